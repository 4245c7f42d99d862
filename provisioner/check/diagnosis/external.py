"""What can be wrong when another machine asks: it cannot be logged in to."""

from provisioner.check.evidence import Evidence
from provisioner.check.result import NO_LOGIN, Finding


def no_login(e: Evidence) -> Finding | None:
    """Blame the login to another machine: that nothing was asked from it proves nothing."""
    if not (e.untested and e.note.startswith(NO_LOGIN)):
        return None
    return Finding(
        f"cannot be tested: {e.note}",
        f"log in by hand as vmnet does, as the same user: ssh -o BatchMode=yes {e.source.login}",
        about=e.source.vm,
    )
