"""What a real switch is asked, what it has answered, and what that means for guests."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Annotated, TypedDict

from provisioner.dataclass import dataclass
from provisioner.errors import Exit
from provisioner.json_document import json_document
from provisioner.plan.ip import Address
from provisioner.plan.mac import Mac

ETHERTYPE = 0x88B5  # IEEE 802, local experimental: no protocol of anybody's
REFLECTION_TRIES = 3
REFLECTION_WAIT_S = 0.3
PEER_TRIES = 5
PEER_WAIT_S = 0.4


@dataclass(frozen=True, slots=True)
class SwitchProbe:
    """What is to be asked through an uplink.

    `peer` is the machine that is asked from both MACs; when there is none, `untestable` is why
    foreign MACs cannot be tested.
    """

    uplink: str
    mac: Mac
    foreign_mac: Mac
    peer: Address | None = None
    peer_is_gateway: bool = False  # the default one, else the user has named it
    untestable: str = ""

    @property
    def to_send(self) -> tuple[str, ...]:
        """Everything that will be sent, a line each."""
        return tuple(self._to_send())

    def _to_send(self) -> Iterator[str]:
        yield (
            f"through {self.uplink}, up to {REFLECTION_TRIES} broadcast frames of the "
            f"experimental ethertype {ETHERTYPE:#06x} from its own MAC {self.mac}: "
            "does the switch send them back?"
        )
        if not self.peer:
            return
        kind = "ARP requests" if isinstance(self.peer, IPv4Address) else "neighbour solicitations"
        who = f"{self.peer} (the default gateway)" if self.peer_is_gateway else self.peer
        yield f"up to {2 * PEER_TRIES} {kind} for {who} from that MAC: does it answer?"
        yield (
            f"up to {PEER_TRIES} of the same from the new MAC {self.foreign_mac}, a macvlan on "
            f"{self.uplink} in a network namespace of its own: does the network let it pass?"
        )


@dataclass(frozen=True, slots=True)
class ForeignMac:
    """Whether the network lets a new MAC pass, as one machine has shown that answers the uplink."""

    peer: Address
    passes: bool


@dataclass(frozen=True, slots=True)
class SwitchAnswer:
    """What was found; None for what could not be tested, and then `untestable` is why."""

    probe: SwitchProbe
    reflects: bool
    passes_foreign: bool | None
    untestable: str = ""

    @property
    def status(self) -> Exit:
        """The exit status: done when both questions are answered, whatever the answers."""
        return Exit.HOST_CANNOT if self.passes_foreign is None else Exit.DONE

    @property
    def lines(self) -> tuple[str, ...]:
        """What was found, and what it means: of frames sent back, and of foreign MACs."""
        return self._about_reflection, self._about_foreign

    @property
    def _about_reflection(self) -> str:
        if self.reflects:
            return (
                "reflects: yes; vepa and source guests reach each other, and all but passthru "
                "reach the host (the table: hairpin on)"
            )
        return (
            "reflects: no; only bridge guests reach each other, and no guest reaches the host "
            "(the table: hairpin off)"
        )

    @property
    def _about_foreign(self) -> str:
        peer, uplink = self.probe.peer, self.probe.uplink
        match self.passes_foreign:
            case True:
                return (
                    f"foreign MACs: pass; {peer} has answered a new one, as it will answer guests"
                )
            case False:
                return (
                    f"foreign MACs: dropped; {peer} answers the MAC of {uplink} and "
                    "no new one, so guests have no network here, except one in mode passthru"
                )
            case None:
                return f"foreign MACs: cannot be tested; {self.untestable}"


class SwitchDocument(TypedDict):
    """What the switch behind an uplink does."""

    uplink: str
    peer: Annotated[str | None, "The machine that was asked; null for none."]
    sent: tuple[str, ...]
    reflects: bool
    passes_foreign_macs: bool | None
    untestable: Annotated[str | None, "Why foreign MACs could not be tested."]
    verdicts: tuple[str, ...]


def as_json(answer: SwitchAnswer) -> str:
    """Return the answer as JSON."""
    return json_document(
        "modes",
        answer.status,
        SwitchDocument(
            uplink=answer.probe.uplink,
            peer=str(answer.probe.peer) if answer.probe.peer else None,
            sent=answer.probe.to_send,
            reflects=answer.reflects,
            passes_foreign_macs=answer.passes_foreign,
            untestable=answer.untestable or None,
            verdicts=answer.lines,
        ),
    )
