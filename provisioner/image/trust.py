"""Whether an image may be used that nothing proves: once, said aloud, and never in CI."""

from collections.abc import Mapping

from provisioner.errors import Exit, VmnetError
from provisioner.image.digest import Digest

_NO = frozenset({"", "0", "false", "no", "off"})


def in_ci(environment: Mapping[str, str]) -> bool:
    """Tell whether this is a CI job, as all CI systems say it: by the variable CI."""
    return environment.get("CI", "").strip().lower() not in _NO


def refusal(told: str, *, proved: bool, ci: bool) -> VmnetError | None:
    """Refuse, before anything is fetched, an https source without any digest in a CI job."""
    if proved or not ci:
        return None
    return VmnetError(
        f"nothing proves {told}: no digest is given, and this is a CI job",
        fix="fetch it once by hand, and write the digest that vmnet tells: SOURCE@sha256:HEX",
        status=Exit.BAD_INPUT,
    )


def notice(told: str, found: Digest) -> str:
    """Say what a first use has found, so that the user can pin it."""
    return (
        f"nothing proved {told}: this time it is {found}; "
        f"to get the same again, write {told}@{found}"
    )
