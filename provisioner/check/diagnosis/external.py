"""What can be wrong when another machine asks: it cannot be logged in to, or frames are lost."""

from provisioner.check.diagnosis.fixes import watch
from provisioner.check.diagnosis.path import ASKED, REPLIED, saw
from provisioner.check.evidence import Evidence, Heading, Point
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


def where_lost(e: Evidence) -> Finding | None:
    """Blame what lies between the two places where frames of a machine outside were lost."""
    if not e.source.login or Point.UPLINK not in e.listened:
        return None
    a, b, up = e.source.vm, e.target.vm, e.uplink.name
    look = watch(e)
    if not saw(e, Point.UPLINK, Heading.IN, ASKED):
        return Finding(
            f"what {a} sent to {e.address} never came to {up}: it was lost before this host",
            f"look at the way of {a}: its routes, its firewall, the switch; tcpdump -n -i {up}",
            about=a,
        )
    if Point.TARGET in e.listened and not saw(e, Point.TARGET, Heading.IN, ASKED):
        return Finding(f"what {a} sent came in by {up} and never reached the macvtap of {b}", look)
    if Point.TARGET in e.listened and not saw(e, Point.TARGET, Heading.OUT, REPLIED):
        what = f"what {a} sent reached {b}, which has not answered: its own stack keeps silent"
        return Finding(what, f"look inside: vmnet console {b}")
    if not saw(e, Point.UPLINK, Heading.OUT, REPLIED):
        return Finding(f"{b} answered, but its answer never left by {up}", look)
    return Finding(
        f"the answer of {b} left by {up}, and {a} did not get it: it was lost behind this host",
        f"look at the way of {a}: its firewall, the switch, foreign MACs that are dropped there",
        about=a,
    )
