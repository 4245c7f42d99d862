"""Reports of a check for tests of what is written of them."""

from dataclasses import replace
from ipaddress import ip_address

from provisioner.check.result import Finding, Result, Vantage
from provisioner.errors import Exit
from provisioner.network.facts import Chosen
from provisioner.plan.load.loader import load
from provisioner.reachability.pairs import Expected, Pair
from provisioner.report.report import Report, ReportOrigin, VmStatus
from tests.builders.controls import SHOWN

PLAN = load(
    """\
name: lab
networks:
  lan: {uplink: nic0, subnet: 10.0.0.0/24}
  dmz: {switch: true, subnet: 10.1.0.0/24, mode: private}
vms: {a: {nics: [lan]}, b: {nics: [lan, dmz]}}
""",
    "p",
).plan
ADDRESS = ip_address("10.0.0.2")
HOSTILE = (
    "\x1b]0;x\x07", "[/x]", "[bold]", "::error::x", "##[error]", "\x9b31m", "\ud800", "\u202e",
    "]]>", "</script><script>alert(1)</script>", "\0", "\ufffe", "a|b", "# skip", "\n::stop::",
    "##vso[task.complete]", "##teamcity[x]", "\r\n::add-mask::a", "x" * 70_000, "\u2028::error::",
    "%0A::error::", "'\"--><svg onload=x>", "\t\x85::debug::", "[link=https://x]y[/link]",
)  # fmt: skip


def pair(expected: Expected = Expected.REACHES, **more: object) -> Pair:
    made = Pair("lan", "a", "b", expected, "bridge mode hands frames over", (ADDRESS,))
    return replace(made, **more)  # type: ignore[arg-type]


FINDING = Finding("the uplink nic0 is down", "ip link set dev nic0 up", ("uplink nic0: down",), "b")
GOOD = Result(pair(), ADDRESS, reached=True, seconds=0.0004, by=Vantage.AGENT)
DEAD = Result(pair(), ADDRESS, reached=False, note="no answer to ping", finding=FINDING)
LEAK = Result(pair(Expected.ISOLATED), ADDRESS, reached=True, seconds=0.001)
APART = Result(pair(Expected.ISOLATED), ADDRESS, reached=False, control=SHOWN)
NOT_SHOWN = replace(APART, control=None)
UNKNOWN = Result(pair(source="b", target="a"), ip_address("10.0.0.1"), None, note="a is not up")


def report(*results: Result, hostile: str = "", findings: tuple[Finding, ...] = ()) -> Report:
    return Report(
        "check",
        "lab",
        Exit.CHECK_FAILED,
        chosen={"libvirt": Chosen("embedded", f"because {hostile}")},
        results=results,
        findings=findings,
        vms=(VmStatus("a", "running", 1, ("10.0.0.1/24",), ("/dev/tap1",)),),
        consoles=(("a", f"login: {hostile}"),) if hostile else (),
        seconds=1.5,
        origin=ReportOrigin(
            "2026-11-28 10:00:00 +0000", "builder", "Linux 6.18.0", "0f" * 32, ("networks.lan",)
        ),
    )


def spoilt(text: str) -> Report:
    """A report whose every foreign text is hostile."""
    finding = Finding(f"x {text}", f"do {text}", (f"seen {text}", text), "a")
    result = Result(pair(), ADDRESS, reached=False, note=text, finding=finding)
    return report(result, GOOD, hostile=text, findings=(finding,))
