"""Macvtaps: made whole in one call, changed while guests run on them, read back and compared.

The order of a birth is measured, not chosen: group, name, MAC and ifindex go into the creating
message, since alias and altname are silently ignored there (Linux 6.18, rtnetlink.c); the host's
IPv6 must be off and addr_gen_mode "none" before UP, or the host sends neighbour discovery with the
guest's MAC, and takes routes from routers while nobody holds the tap.
"""

import errno
import select
import time
from collections.abc import Iterable, Iterator, Sequence

from provisioner.errors import VmnetError
from provisioner.host.netlink import ipv6
from provisioner.host.netlink import link_codec as m
from provisioner.host.netlink.batch import Write, write
from provisioner.host.netlink.link_codec import Message
from provisioner.host.netlink.rtnetlink import ask, existing_index, refused, transact
from provisioner.network.facts import Link
from provisioner.network.readback import CARRIER, Difference, differences
from provisioner.network.resources import Macvtap

_QUIET = m.NOARP | m.ALLMULTI
_FOLLOWS_S = 2.0  # a macvtap follows its uplink's carrier when the kernel's link watch runs
_POLL_S = 0.02

_AT_BIRTH_ONLY = "passthru is chosen when a device is made: take this one away and make it anew"
_ALONE = "a passthru device must be alone on its uplink: look at what else sits there: ip -d link"


def create(tap: Macvtap, index: int) -> None:
    """Make a macvtap with the given ifindex, whole or not at all.

    Raises VmnetError when the kernel refuses, or has made something else than was asked for;
    FileExistsError when the ifindex is taken.
    """
    if error := create_all([(tap, index)])[0]:
        raise error


def create_all(wanted: Sequence[tuple[Macvtap, int]]) -> list[Exception | None]:
    """Make many macvtaps in few calls; give for each what `create` would raise.

    One that fails is gone again, whatever becomes of the others.
    """
    uplinks = {name: existing_index(name) for name in {tap.uplink for tap, _ in wanted}}
    answers = transact([_birth(tap, index, uplinks[tap.uplink]) for tap, index in wanted])
    made = [at for at, statuses in enumerate(answers) if statuses[0] == 0]
    _wake([wanted[at][0] for at in made], [answers[at] for at in made])
    found: list[Exception | None] = [
        _refusal(f'making the macvtap "{tap.name}" on "{tap.uplink}"', tap, statuses)
        for (tap, _), statuses in zip(wanted, answers, strict=True)
    ]
    whole = [at for at in made if found[at] is None]
    told = _differences([wanted[at] for at in whole])
    for at in whole:
        found[at] = told.get(wanted[at][0].name)
    gone = [[m.delete(index=wanted[at][1])] for at in made if found[at] is not None]
    transact(gone)
    return found


def update(tap: Macvtap, have: Link) -> None:
    """Bring what can be set on a living macvtap to what it should be.

    Raises VmnetError when the kernel refuses, or has done something else than was asked for.
    """
    if error := update_all([(tap, have)])[0]:
        raise error


def update_all(wanted: Sequence[tuple[Macvtap, Link]]) -> list[Exception | None]:
    """Change many macvtaps in few calls; give for each what `update` would raise."""
    answers = transact([_changes(tap, have) for tap, have in wanted])
    _wake([tap for tap, _ in wanted], answers)
    found = [
        _refusal(f'changing the macvtap "{tap.name}"', tap, statuses, have)
        for (tap, have), statuses in zip(wanted, answers, strict=True)
    ]
    whole = [at for at, error in enumerate(found) if error is None]
    told = _differences([(wanted[at][0], wanted[at][1].index) for at in whole])
    return [error or told.get(tap.name) for error, (tap, _) in zip(found, wanted, strict=True)]


def plug(name: str, *, up: bool) -> None:
    """Set a macvtap up or down, as if its guest's cable were plugged in or pulled out.

    Raises VmnetError when it is not there.
    """
    index = existing_index(name)
    message = m.new(index=index, on=m.UP) if up else m.new(index=index, off=m.UP)
    write(f'setting "{name}" {"up" if up else "down"}', [Write(message)])


def let_go(doomed: Iterable[Link]) -> None:
    """Make macvtaps ready to be deleted: a passthru one gives back what it asked of its uplink.

    The kernel counts ALLMULTI up on the uplink when it is set on a passthru device that is up, and
    forgets to count it down when the device goes (macvlan_stop skips it, Linux 6.18).
    """
    transact([[m.new(index=x.index, off=m.ALLMULTI)] for x in doomed if x.mode == "passthru"])


def _birth(tap: Macvtap, index: int, uplink: int) -> list[Message]:
    """List the messages that make a macvtap, the creating one first."""
    named = m.text(m.IFNAME, tap.name)
    # A passthru device bears its uplink's MAC: the kernel ignores any other at birth, and setting
    # one later would change the uplink's.
    mac = () if tap.mode == "passthru" else (m.mac(m.ADDRESS, tap.mac),)
    attributes = (
        named,
        m.number(m.LINK, uplink),
        m.number(m.MTU, tap.mtu),
        m.number(m.GROUP, tap.group),
        m.number(m.TXQLEN, tap.txqueuelen),
        m.number(m.NUM_TX_QUEUES, tap.queues),
        m.number(m.NUM_RX_QUEUES, tap.queues),
        m.info("macvtap", *_mode(tap)),
    )
    messages = [
        m.new(*attributes, *mac, index=index, flags=m.CREATE | m.EXCL),
        m.new(named, m.info("macvtap"), m.text(m.IFALIAS, tap.alias)),
    ]
    if tap.altname:
        messages.append(m.altname(tap.altname, link=tap.name))
    return messages


def _wake(taps: Sequence[Macvtap], answers: Sequence[list[int]]) -> None:
    """Shut macvtaps out of the host's IPv6, then set their flags; add the kernel's answers.

    In this order: on a device that is up, the host would take routes from any router on the wire.
    """
    ipv6.disable(*(tap.name for tap in taps))
    asked = [
        [m.new(m.text(m.IFNAME, x.name), m.info("macvtap"), m.silent()), _flags(x)] for x in taps
    ]
    for told, statuses in zip(answers, transact(asked), strict=True):
        told.extend(statuses)


def _changes(tap: Macvtap, have: Link) -> list[Message]:
    """List the messages that make a living macvtap what it should be, but for its flags.

    It never stops working, unless its MTU was too small for IPv6 and becomes large enough.
    """
    at = have.index
    messages = [x.message for x in ipv6.below_ipv6(have.mtu, tap.mtu, at)]
    if (have.mode, have.nopromisc) != (tap.mode, tap.nopromisc):
        messages.append(m.new(m.info("macvtap", *_mode(tap)), index=at))
    elif tap.mode == "source":
        messages += _edits(tap, have)
    if have.altname != tap.altname:
        messages += [m.altname(have.altname, index=at, away=True)] if have.altname else []
        messages += [m.altname(tap.altname, index=at)] if tap.altname else []
    mtu, length = m.number(m.MTU, tap.mtu), m.number(m.TXQLEN, tap.txqueuelen)
    alias = m.text(m.IFALIAS, tap.alias)
    messages.append(m.new(m.info("macvtap"), mtu, length, alias, index=at))
    return messages


def _flags(tap: Macvtap) -> Message:
    """Set and clear the flags of a macvtap.

    ALLMULTI: macvlan filters multicast by the host-side device's list, which knows nothing of
    the guest's addresses, and would drop the neighbour solicitations for them.
    """
    on, off = (_QUIET | m.UP, 0) if tap.up else (_QUIET, m.UP)
    return m.new(m.text(m.IFNAME, tap.name), m.info("macvtap"), on=on, off=off)


def _mode(tap: Macvtap) -> list[bytes]:
    """Frame a mode with all that belongs to it: leaving source has flushed its list."""
    out = [m.number(m.MACVLAN_MODE, m.MODES[tap.mode])]
    out.append(m.flags16(m.NOPROMISC if tap.nopromisc else 0))
    if tap.mode == "source":
        out.append(m.number(m.MACADDR_MODE, m.MACADDR_SET))
        out.append(m.nest(m.MACADDR_DATA, *(m.mac(m.MACADDR, x) for x in tap.sources)))
    return out


def _edits(tap: Macvtap, have: Link) -> Iterator[Message]:
    """Add and take away single MACs: to set the list anew would lose frames from those that stay.

    (macvlan_changelink_sources flushes it first.)
    """
    for mode, macs in (
        (m.MACADDR_ADD, sorted(set(tap.sources) - set(have.sources))),
        (m.MACADDR_DEL, sorted(set(have.sources) - set(tap.sources))),
    ):
        for one in macs:
            edit = m.info("macvtap", m.number(m.MACADDR_MODE, mode), m.mac(m.MACADDR, one))
            yield m.new(edit, index=have.index)


def _refusal(
    doing: str, tap: Macvtap, statuses: Sequence[int], have: Link | None = None
) -> Exception | None:
    """Turn the kernel's answers into an error, if one of them is one."""
    # A kernel without IPv6 has no addr_gen_mode to set.
    bad = [status for status in statuses if status not in {0, errno.EAFNOSUPPORT}]
    if not bad:
        return None
    fix = None
    if bad[0] == errno.EINVAL:
        if have and have.mode != tap.mode and "passthru" in {have.mode, tap.mode}:
            fix = _AT_BIRTH_ONLY
        elif tap.mode == "passthru":
            fix = _ALONE
    return refused(bad[0], doing, made=have is not None or statuses[0] == 0, fix=fix)


def _differences(wanted: Sequence[tuple[Macvtap, int]]) -> dict[str, VmnetError]:
    """Read devices back and compare; give the error of each that is something else, by name."""
    end = time.monotonic() + _FOLLOWS_S
    told: dict[str, VmnetError] = {}
    left = wanted
    while left:
        found = {tap.name: bad for tap, bad in _compared(left) if bad}
        late = {name for name, bad in found.items() if {x.field for x in bad} == {CARRIER}}
        if time.monotonic() > end:
            late = set()
        told |= {name: _mismatch(name, bad) for name, bad in found.items() if name not in late}
        left = [(tap, index) for tap, index in left if tap.name in late]
        select.select([], [], [], _POLL_S if left else 0)
    return told


def _compared(
    wanted: Sequence[tuple[Macvtap, int]],
) -> Iterator[tuple[Macvtap, tuple[Difference, ...]]]:
    bodies = ask([m.get(index) for _, index in wanted])
    links = [m.link(body) if body else None for body in bodies]
    lowers = sorted({x.lower for x in links if x and x.lower})
    uplinks = {
        index: m.link(body)
        for index, body in zip(lowers, ask([m.get(index) for index in lowers]), strict=True)
        if body
    }
    for (tap, _), have, body in zip(wanted, links, bodies, strict=True):
        if have and body:
            heard = m.heard(body)
            if have.ipv6 and ipv6.can_be_set():
                heard.append("disable_ipv6")
            yield tap, differences(tap, have, uplinks.get(have.lower), heard)
        else:
            yield tap, (Difference("device", "a macvtap", "none any more"),)


def _mismatch(name: str, bad: Sequence[Difference]) -> VmnetError:
    told = "; ".join(map(str, bad))
    return VmnetError(
        f'the macvtap "{name}" is not what was asked for: {told}',
        fix="the kernel has passed over it without a word: ask for something else in its place",
    )
