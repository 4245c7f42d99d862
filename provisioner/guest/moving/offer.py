"""What a host tells another of a guest that it would move there, as one line of JSON.

Whoever receives it believes no more of it than of a plan: each value is judged before it is used.
"""

import json
from dataclasses import asdict
from typing import Any, Final

from provisioner.dataclass import dataclass
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.guest.domain import Domain
from provisioner.guest.xml.render import from_mark, to_mark
from provisioner.json_document import strict
from provisioner.plan.scalars import is_vm_name
from provisioner.text import one_line

PROTOCOL: Final = 1
MOST_LENGTH: Final = 16 << 20
KEYS: Final = ("authorized_keys", "login_key", "host_key", "host_pub")  # as Keys has them
_TEXTS: Final = ("vm", "plan", "xml", "mark", *KEYS)


@dataclass(frozen=True, slots=True)
class Keys:
    """The ssh keys that a guest was given: who may log in, and the pair that it is known by.

    `login` is the private key of the plan's own, "" where it has none. The texts are files'.
    """

    authorized: str = ""
    login: str = ""
    host: str = ""
    host_public: str = ""


@dataclass(frozen=True, slots=True)
class GuestOffer:
    """A guest, the plan that the other host has it in, and what the other host cannot derive.

    `xml` is libvirt's of the guest as it runs, `cpu_flags` what the processor can do that it runs
    on under KVM: empty where it is emulated.
    """

    vm: str
    plan: str
    xml: str
    domain: Domain
    keys: Keys
    cpu_flags: frozenset[str] = frozenset()


def as_line(offer: GuestOffer) -> str:
    """Return an offer as one line, for the standard input of `vmnet receive`."""
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "vm": offer.vm,
            "plan": offer.plan,
            "xml": offer.xml,
            "mark": to_mark(offer.domain),
            **dict(zip(KEYS, asdict(offer.keys).values(), strict=True)),
            "cpu_flags": sorted(offer.cpu_flags),
        }
    )


def from_line(line: str) -> GuestOffer:
    """Read an offer. Raises VmnetError when it is none, or one of another protocol."""
    found = document(line)
    if found.get("protocol") != PROTOCOL:
        raise VmnetError(
            f"the other host offers by protocol {one_line(str(found.get('protocol')), 20)}, and "
            f"this one knows {PROTOCOL}",
            fix="install the same version of vmnet on both hosts",
        )
    texts = {name: found.get(name) for name in _TEXTS}
    flags = found.get("cpu_flags")
    if not all(isinstance(text, str) for text in texts.values()) or not _are_words(flags):
        raise unusable("a value of it is no text")
    domain = from_mark(str(texts["mark"]))
    vm = str(texts["vm"])
    if domain is None or not is_vm_name(vm) or domain.vm != vm:
        raise unusable("it is of no VM that this version knows")
    keys = Keys(*(str(texts[name]) for name in KEYS))
    return GuestOffer(
        vm, str(texts["plan"]), str(texts["xml"]), domain, keys, frozenset(flags or ())
    )


def document(line: str) -> dict[str, Any]:
    """Return the mapping that a line is. Raises VmnetError when it is none."""
    if len(line) > MOST_LENGTH:
        raise unusable(f"it is longer than {MOST_LENGTH} characters")
    try:
        found = strict(line)
    except (ValueError, RecursionError) as error:
        raise unusable(f"it is not JSON: {one_line(str(error), 80)}") from None
    if not isinstance(found, dict):
        raise unusable("it is no mapping")
    return found


def _are_words(flags: object) -> bool:
    return isinstance(flags, list) and all(isinstance(flag, str) for flag in flags)


def unusable(why: str) -> VmnetError:
    """Return the error for what is no offer."""
    return bad_input(
        f"what stands on standard input is no offer of a guest: {why}",
        "vmnet receive is run by vmnet move: vmnet move VM HOST",
    )


def missing_flags(offer: GuestOffer, here: frozenset[str]) -> VmnetError | None:
    """Return why a guest under KVM cannot run on this host's processor, None when it can."""
    missing = sorted(offer.cpu_flags - here)
    if not missing:
        return None
    shown = one_line(", ".join(missing[:5]), 200)
    return VmnetError(
        f"the processor of this host lacks what the guest {offer.vm} has seen: {shown}",
        fix="move it while it is stopped, so that it finds the other processor when it boots: "
        f"vmnet move {offer.vm} HOST --stopped",
        status=Exit.CONFLICT,
    )
