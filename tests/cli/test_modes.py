"""vmnet modes as its user meets it: tables, words, consent, and what it says when it cannot."""

import json
import os
import pty
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from provisioner.cli import modes
from provisioner.reachability.experiment import Measured, Verdict, labs
from tests.builders.documents import valid
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
NIC = """
ip link add nic0 type veth peer name far0
ip link set dev far0 up
ip link set dev nic0 up
"""

DIFFERS = """\
differs: bridge with bridge, hairpin off, a pings b: \
documented yes (bridge mode hands frames from macvtap to macvtap), measured no"""
NO_NAMESPACE = """\
cannot make a network namespace: Operation not permitted
  fix: run it as root: this needs CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN)
"""
NO_DEVICE = """\
making a veth: the kernel says Operation not permitted
  fix: run vmnet as root: making network devices needs CAP_NET_ADMIN
"""
NO_PACKET = """\
not allowed to send probes through the network: CAP_NET_RAW is missing
  fix: run it as root, or give it CAP_NET_RAW
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def vmnet(*words: str, before: str = "", without: str = "", stdin: int = subprocess.DEVNULL) -> Ran:
    """Run vmnet in a fresh network namespace, without some capabilities."""
    drop = ["setpriv", f"--bounding-set={without}", "--inh-caps=-all"] if without else []
    inside = ["unshare", "-n", "sh", "-ec", f'{before}\nexec "$@"', "sh"]
    ran = subprocess.run(
        [*inside, *drop, *forked.program(), "modes", *words],
        cwd=HOUSE,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_the_whole_table_is_measured_in_seconds() -> None:
    ran = vmnet()
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert ran.status == 0, ran.out
    assert "all 316 cells are as documented (Linux " in lines[-1]
    assert [line for line in lines if line.startswith("bridge bridge")] == [
        "bridge bridge yes / yes no / no no / no yes / yes yes / yes",
        "bridge bridge yes / yes yes / yes yes / yes yes / yes yes / yes",
    ]
    assert len([line for line in lines if " / " in line]) == 2 * 17 + 2


def test_the_table_comes_as_json_too() -> None:
    ran = vmnet("--json")
    told = valid(json.loads(ran.out), "modes")
    pings = [ping for pair in told["pairs"] for ping in pair["pings"]]
    assert (ran.status, told["status"], len(pings)) == (0, 0, 316)
    assert all(ping["as_documented"] for ping in pings)


def test_a_cell_that_differs_is_marked_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    lab = next(x for x in labs() if (x.a, x.b, x.hairpin) == ("bridge", "bridge", False))
    answered = frozenset(
        (each.number, source, target, 4)
        for each in labs()
        for source, target in each.pings
        if each.documented(source, target).works
    )
    measured = Measured("6.18.0", (4,), answered)
    lost = (lab.number, *lab.pings[0], 4)
    modes._show(Verdict(replace(measured, answered=answered - {lost}), 1.0))
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines if "differ" in line] == [
        "bridge bridge yes / no, back yes <- differs no / no no / no yes / yes yes / yes",
        DIFFERS,
        "1 of 316 cells differ from what is documented (Linux 6.18.0, IPv4, 34 uplinks) in 1.0 s",
    ]


def test_a_mode_is_explained_without_any_right() -> None:
    ran = vmnet("vepa", without="-all")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("vepa: every frame goes through the switch")


def test_a_word_that_is_no_mode_is_answered_with_those_there_are() -> None:
    assert vmnet("vepaa") == Ran(
        2,
        "",
        '"vepaa" is not a macvtap mode\n  fix: did you mean vepa? use one of private, vepa, '
        "bridge, passthru, source, nopromisc\n",
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("vepa", "--uplink", "nic0"), "--uplink does not go with a mode to explain"),
        (("vepa", "--json"), "--json does not go with a mode to explain"),
        (("--peer", "10.0.0.1"), "--peer and --yes are about a NIC's switch"),
        (("--yes",), "--peer and --yes are about a NIC's switch"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words: tuple[str, ...], told: str) -> None:
    ran = vmnet(*words)
    assert (ran.status, told in ran.out + ran.err) == (2, True)


@pytest.mark.parametrize(
    ("without", "told"),
    [("-sys_admin", NO_NAMESPACE), ("-net_admin", NO_DEVICE), ("-net_raw", NO_PACKET)],
)
def test_a_missing_right_is_named(without: str, told: str) -> None:
    ran = vmnet(without=without)
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.endswith(told)


def test_nothing_is_sent_without_a_terminal_or_a_yes() -> None:
    ran = vmnet("--uplink", "nic0", "--peer", "10.0.0.1", before=NIC)
    assert (ran.status, ran.out) == (2, "")
    first, *_, what, fix = ran.err.splitlines()
    assert (first, what, fix) == (
        "this will be sent:",
        "nothing has been sent: there is no terminal to ask on",
        "  fix: if these frames may be sent, say so with --yes",
    )


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (b"n\n", 130, "nothing has been sent"),
        (b"y\n", 4, "foreign MACs cannot be tested: nic0 leads to no default gateway"),
    ],
)
def test_on_a_terminal_the_user_is_asked(answer: bytes, status: int, told: str) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    try:
        ran = vmnet("--uplink", "nic0", before=NIC, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (ran.status, "Send them? [y/N]" in ran.err, told in ran.err) == (status, True, True)
    assert ("reflects: no" in ran.out) is (answer == b"y\n")


def test_a_yes_on_the_command_line_asks_nobody() -> None:
    ran = vmnet("--uplink", "nic0", "--yes", "--json", before=NIC)
    told = valid(json.loads(ran.out), "modes")
    assert (ran.status, told["reflects"], told["passes_foreign_macs"]) == (4, False, None)
    assert told["untestable"].startswith("nic0 leads to no default gateway")
