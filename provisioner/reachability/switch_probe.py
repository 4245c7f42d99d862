"""What a real switch is asked, what it answered, and what that means for guests."""

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.errors import Exit
from provisioner.json_document import json_document

ETHERTYPE = 0x88B5  # IEEE 802, local experimental: no protocol of anybody's
REFLECTION_TRIES = 3
REFLECTION_WAIT_S = 0.3
PEER_TRIES = 5
PEER_WAIT_S = 0.4


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be asked through an uplink.

    `peer` is the machine that is asked who it is; when it is empty, `untestable` says why foreign
    MACs cannot be tested.
    """

    uplink: str
    mac: str
    foreign_mac: str
    peer: str = ""
    peer_is: str = "named"  # or "the default gateway"
    untestable: str = ""

    @property
    def to_send(self) -> tuple[str, ...]:
        """Say everything that will be sent."""
        return tuple(self._to_send())

    def _to_send(self) -> Iterator[str]:
        yield (
            f"through {self.uplink}, up to {REFLECTION_TRIES} broadcast frames of the "
            f"experimental ethertype {ETHERTYPE:#06x} from its own MAC {self.mac}: "
            "does the switch send them back?"
        )
        if self.untestable:
            return
        kind = "neighbour solicitations" if ":" in self.peer else "ARP requests"
        whose = f"{self.peer} ({self.peer_is})" if self.peer_is != "named" else self.peer
        yield f"up to {2 * PEER_TRIES} {kind} for {whose} from that MAC: does it answer?"
        yield (
            f"up to {PEER_TRIES} of the same from the new MAC {self.foreign_mac}, a macvlan on "
            f"{self.uplink} in a network namespace of its own: does the network let it pass?"
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; None for what could not be tested, and then `untestable` says why."""

    question: Question
    reflects: bool
    passes_foreign: bool | None
    untestable: str = ""

    @property
    def status(self) -> Exit:
        """Every question answered, whatever the answers: done."""
        return Exit.HOST_CANNOT if self.passes_foreign is None else Exit.DONE

    @property
    def lines(self) -> tuple[str, ...]:
        """Say what was found, and what it means."""
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
        peer = self.question.peer
        match self.passes_foreign:
            case True:
                return (
                    f"foreign MACs: pass; {peer} has answered a new one, as it will answer guests"
                )
            case False:
                return (
                    f"foreign MACs: dropped; {peer} answers the MAC of {self.question.uplink} and "
                    "no new one, so guests have no network here, except one in mode passthru"
                )
            case None:
                return f"foreign MACs: cannot be tested; {self.untestable}"


def as_json(findings: Findings) -> str:
    """Write the findings as JSON."""
    return json_document(
        "modes",
        findings.status,
        uplink=findings.question.uplink,
        peer=findings.question.peer or None,
        sent=findings.question.to_send,
        reflects=findings.reflects,
        passes_foreign_macs=findings.passes_foreign,
        untestable=findings.untestable or None,
        verdicts=findings.lines,
    )
