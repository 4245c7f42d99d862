"""What forbids a wish of `vmnet net`, checked before the kernel is asked."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields

from provisioner.errors import Exit, VmnetError
from provisioner.network import uplink
from provisioner.network.facts import Facts, Link
from provisioner.network.resources import Macvtap
from provisioner.network.standalone.device import LONGEST_NAME, Change, Wish, free_names
from provisioner.plan.choices import Mode
from provisioner.plan.ip import LEAST_MTU_OF_IPV6


def complaints(wish: Wish, facts: Facts, taken: Collection[str]) -> list[VmnetError]:
    """List every reason why these devices cannot be made; `taken` are names of devices."""
    link = facts.link(wish.uplink)
    if link is None:
        return [uplink.missing(wish.uplink, facts).error(), *_wish(wish)]
    if refusal := uplink.device_problem(link, facts):
        return [refusal.error(), *_wish(wish)]
    found = [*_wish(wish), *_names(wish, taken)]
    if refusal := uplink.mode_problem(link, facts, wish.mode, take_over=wish.take_over):
        found.append(refusal.error())
    if wish.mtu and (refusal := uplink.mtu_problem(wish.mtu, link)):
        found.append(refusal.error())
    siblings = uplink.taken_macs(link, facts)
    if not wish.mode.takes_uplink_mac and (refusal := uplink.mac_problem(wish.mac, link, siblings)):
        found.append(refusal.error())
    return found


def change_complaints(
    changes: Sequence[tuple[Macvtap, Macvtap]], change: Change, facts: Facts
) -> list[VmnetError]:
    """List every reason why devices cannot become what they should; pairs of before and after."""
    if all(getattr(change, f.name) is None for f in fields(change)):
        return [_bad("nothing is to be changed", "say what: --mode, --mtu, --up, … (see --help)")]
    return [error for have, want in changes for error in _change(have, want, change, facts)]


def warnings(wish: Wish, uplink: Link) -> list[str]:
    """List what will work otherwise than one may think."""
    found = []
    if wish.mode.has_source_list and not wish.sources:
        found.append(_DEAF)
    if (wish.mtu or uplink.mtu) < LEAST_MTU_OF_IPV6:
        found.append(_NO_IPV6)
    if not (uplink.up and uplink.carrier):
        what = "has no carrier" if uplink.up else "is down"
        found.append(f"uplink {uplink.name} {what}: nobody outside is reached until it comes up")
    return found


def change_warnings(changes: Sequence[tuple[Macvtap, Macvtap]]) -> list[str]:
    """List what the devices will do otherwise than one may think, after a change."""
    found = set()
    for have, want in changes:
        if want.mode.has_source_list and not want.sources:
            found.add(_DEAF)
        if want.mtu < LEAST_MTU_OF_IPV6 <= have.mtu:
            found.add(_NO_IPV6)
        if have.sources and not want.mode.has_source_list:
            listed = " ".join(have.sources)
            found.add(f"{have.name} forgets its list: to go back, say --allow for each of {listed}")
    return sorted(found)


_DEAF = "in mode source a guest hears only the MACs of its list, and that is empty: see --allow"
_NO_IPV6 = f"an MTU below {LEAST_MTU_OF_IPV6} leaves no room for IPv6"


def _wish(wish: Wish) -> Iterator[VmnetError]:
    """Check a wish by itself."""
    passthru = wish.mode.is_exclusive
    if passthru and wish.mac:
        yield _bad(
            "a passthru device bears its uplink's MAC, no other",
            "leave --mac out, or give the uplink that MAC",
        )
    if passthru and wish.count > 1:
        yield _bad(
            f"a passthru device is alone on its uplink, and {wish.count} are asked for",
            "leave --count out, or use another mode",
        )
    if wish.mac and wish.count > 1:
        yield _bad(
            f"{wish.count} devices cannot have one MAC",
            "leave --mac out: each gets its own; or make them one by one",
        )
    yield from _fits_mode(wish.mode, nopromisc=wish.nopromisc, listed=bool(wish.sources))


def _fits_mode(mode: Mode, *, nopromisc: bool, listed: bool) -> Iterator[VmnetError]:
    if nopromisc and not mode.is_exclusive:
        yield _bad(
            f"--no-promisc means something in mode passthru only, not in {mode}",
            "leave --no-promisc out, or use --mode passthru",
        )
    if listed and not mode.has_source_list:
        yield _bad(
            f"--allow means something in mode source only, not in {mode}",
            "leave --allow out, or use --mode source",
        )


def _names(wish: Wish, taken: Collection[str]) -> Iterator[VmnetError]:
    for name in free_names(wish.name, wish.count, taken):
        if name in taken:
            yield VmnetError(
                f'there is a device "{name}" already',
                fix="use another --name, or take that device away first: vmnet net ls",
                status=Exit.CONFLICT,
            )
        if len(name) > LONGEST_NAME + 4:
            yield _bad(
                f'"{name}" is too long for the name of a device',
                f"use a --name of at most {LONGEST_NAME} characters, its number among them",
            )
            return


def _change(have: Macvtap, want: Macvtap, change: Change, facts: Facts) -> Iterator[VmnetError]:
    if have.mode.is_exclusive != want.mode.is_exclusive:
        yield _bad(
            f"{have.name} is in mode {have.mode}, and nothing goes to or from passthru while it "
            "lives",
            f"make it anew: vmnet net rm {have.name}, then vmnet net create --mode {want.mode} …",
        )
    yield from _fits_mode(want.mode, nopromisc=bool(change.nopromisc), listed=bool(change.sources))
    link = facts.link(want.uplink)
    if link and change.mtu and (refusal := uplink.mtu_problem(change.mtu, link)):
        yield refusal.error()


def _bad(what: str, fix: str) -> VmnetError:
    return VmnetError(what, fix=fix, status=Exit.BAD_INPUT)
