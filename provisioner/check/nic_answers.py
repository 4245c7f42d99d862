"""Whether two NICs meet, where a guest has several on one network.

Such a guest takes on each of its NICs what is for any of its addresses, answers there who has it
(`arp_ignore` 0), keeps the addresses of a NIC that is down, and sends by the NIC that its routes
name first (Documentation/networking/ip-sysctl.rst). So a ping from inside shows that two guests
meet, and not by which NICs. The frames at their macvtaps show it: what is sent to one MAC arrives
at one NIC, and the answer to who-has leaves by the NIC that was asked.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.check.result import Result, Vantage
from provisioner.dataclass import dataclass
from provisioner.reachability.pairs import Expected

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from provisioner.plan.ip import Address


@dataclass(frozen=True, slots=True)
class NicAnswers:
    """What two NICs have answered themselves, asked by frames at the macvtaps.

    `target`: the asked NIC has answered a question of the asking one's, sent at its macvtap.
    `source`: the asking NIC answers too. None: there is nothing that could be asked. `why` says why
    nobody could ask at all.
    """

    target: bool | None = None
    source: bool | None = None
    why: str = ""


def at_its_nics(result: Result, answers: NicAnswers) -> Result:
    """Return what a ping from inside has shown of the two NICs that it is about.

    Nothing counts as reached that these NICs have not answered themselves; what must not reach is
    what the frames say alone, since an answer may have come by another NIC of the same guest.
    """
    pair = result.pair
    if pair.expected is Expected.ISOLATED:
        return _must_not(result, answers)
    if not result.reached:
        return result
    if answers.why:
        why = f"which NIC of its guest answered cannot be told: {answers.why}"
        return replace(result, reached=None, note=why)
    for answered, end, role in (
        (answers.target, pair.target_label, "answered"),
        (answers.source, pair.source_label, "asked"),
    ):
        if answered is False:
            note = f"{end} itself does not answer ARP/ND: the ping was {role} by another NIC"
            return replace(result, reached=False, seconds=None, note=note, wrong="")
    return result


def owner(label: str, mac: str, macs: "Sequence[str]") -> tuple[bool | None, str]:
    """Return what is shown of the NIC with a MAC by who has answered for its address, and why.

    `macs` are those without the other NICs of its guest; "" when the NIC alone has answered.
    """
    others = ", ".join(one for one in macs if one != mac)
    if others and mac in macs:
        return None, f"{others} answers for this address too: it is used twice"
    if others:
        return None, f"{others} answers for this address, and {label} does not"
    if not macs:
        return False, f"{label} itself does not answer ARP/ND: another NIC of its guest does"
    return True, ""


def not_by_itself(result: Result, own: "Collection[Address]") -> Result:
    """Return what a ping from inside has shown, which is nothing when the guest asked itself.

    `own` are the addresses that the guest has: what is sent to one of them never leaves it.
    """
    if result.address not in own:
        return result
    pair = result.pair
    note = f"{pair.source} has {result.address} itself: what it sends there never leaves it"
    return replace(result, reached=None, seconds=None, note=note, by=None, wrong="")


def _must_not(result: Result, answers: NicAnswers) -> Result:
    if answers.why:
        return replace(result, reached=None, note=answers.why) if result.reached else result
    if answers.target:
        return replace(result, reached=True, note="ARP/ND", by=Vantage.MACVTAP)
    if answers.target is False and result.reached:
        note = "no answer to ARP/ND; a ping was answered by another NIC"
        return replace(result, reached=False, seconds=None, note=note, by=Vantage.MACVTAP)
    return result
