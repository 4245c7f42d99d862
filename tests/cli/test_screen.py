"""What a terminal or a CI runner is shown of a check: nothing in it is a guest's to command."""

import io
import re
import sys
import threading
from dataclasses import replace

import pytest

from provisioner.check.result import Vantage
from provisioner.cli import output
from provisioner.errors import Exit
from provisioner.plan.checks import CheckSpec, What
from provisioner.reconcile.diff import Verb
from provisioner.report.report import Report, ReportStep, VmStatus
from provisioner.text import sanitize
from tests.builders.report import DEAD, GOOD, HOSTILE, UNKNOWN, report, spoilt

OURS = re.compile(r"(VM|a|b|network|  \||the last lines|  (cells|seen|fix): |lab: |ok|FAILED|x | )")


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(
    told: Report, monkeypatch: pytest.MonkeyPatch, out: io.StringIO, *, every: bool = True
) -> str:
    monkeypatch.setattr(sys, "stdout", out)
    output.show(told, every=every)
    return out.getvalue()


def everywhere(text: str) -> Report:
    """A report whose every text, even what vmnet itself has checked before, is hostile."""
    told = spoilt(text)
    results = tuple(replace(r, note=f"{text} {'x ' * 200} {text}") for r in told.results)
    vms = (VmStatus("a", text, 1, (text,), (text,)),)
    return replace(told, results=results, vms=vms)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_no_line_for_a_ci_runner_is_a_guests(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in shown(everywhere(text), monkeypatch, io.StringIO()).split("\n"):
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##\w*\[", line)
        assert sanitize(line) == line
        assert not line or OURS.match(line), line


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_a_terminal_is_steered_by_our_colours_alone(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = shown(everywhere(text), monkeypatch, Terminal())
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert "\x1b[" in out
    assert sanitize(plain.replace("\n", "")) == plain.replace("\n", "")
    assert "]8;" not in plain


def test_how_it_was_measured_is_told_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = replace(GOOD.pair, asked=CheckSpec(What.TCP, 22), source="nas")
    told = report(replace(GOOD, pair=pair, by=Vantage.PEER, note="open"), DEAD, UNKNOWN)
    lines = shown(told, monkeypatch, io.StringIO()).splitlines()
    (row,) = [line for line in lines if line.startswith("ok")]
    assert re.split(r"\s{2,}", row) == [
        "ok", "nas", "b tcp/22", "10.0.0.2", "reaches", "reaches", "0.40 ms",
        "another host, by ssh; open",
    ]  # fmt: skip


def test_what_is_as_expected_has_a_row_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = report(GOOD, DEAD)
    rows = [
        line for line in shown(told, monkeypatch, io.StringIO()).splitlines() if "0.40 ms" in line
    ]
    assert len(rows) == 1
    few = shown(told, monkeypatch, io.StringIO(), every=False)
    assert "0.40 ms" not in few
    assert few.splitlines() == [
        "network lan: from the left to the top",
        "   b",
        "a  x no answer 1/2",
        "x the uplink nic0 is down",
        "  cells: a -> b",
        "  seen: uplink nic0: down",
        "  fix: ip link set dev nic0 up",
        "lab: 1 of 2 measurements are not as expected in 1.5 s",
    ]


def test_signs_are_ascii_only_where_no_others_can_be_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for encoding, sign in (("ascii", "x"), ("utf-8", "✗")):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding=encoding)
        monkeypatch.setattr(sys, "stdout", out)
        output.show(report(GOOD, DEAD))
        out.flush()
        assert f"a  {sign} no answer 1/2\n" in raw.getvalue().decode()


@pytest.mark.parametrize("width", [40, 100])
def test_a_table_that_is_too_wide_for_its_words_becomes_paragraphs(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    vm = VmStatus("a" * 30, "running", 7, ("10.0.0.1/24", "fd00::1/64"), ("/dev/tap123456789",))
    told = replace(report(), command="up", vms=(vm,))
    coloured = shown(told, monkeypatch, Terminal(), every=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()
    assert max(map(len, lines)) <= width
    assert ("  addresses: 10.0.0.1/24 fd00::1/64" in lines) is (width == 40)
    assert any("/dev/tap123456789" in line for line in lines)


def told_by_progress(err: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is asked for how far things are, while a line is told."""
    asked: list[str] = []
    seen = threading.Event()

    def far() -> str:
        asked.append("7 of 12 guests are up")
        seen.set()
        return asked[-1]

    monkeypatch.setattr(sys, "stderr", err)
    with output.progress("check") as (tell, count):
        count(far)
        tell("a is up\x1b[2J")
        if err.isatty():
            assert seen.wait(10)
    return asked


def test_a_terminal_shows_how_far_it_is_below_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    err = Terminal()
    assert told_by_progress(err, monkeypatch)
    assert "check: 7 of 12 guests are up" in err.getvalue()
    assert "a is up\\x1b[2J" in err.getvalue()


def test_a_log_has_nothing_of_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    assert told_by_progress(err, monkeypatch) == []
    assert err.getvalue() == "a is up\\x1b[2J\n"


@pytest.mark.parametrize(("count", "said"), [(1, "lab: 1 step to do"), (2, "lab: 2 steps to do")])
def test_steps_that_are_left_are_counted(
    *, count: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    step = ReportStep(Verb.CREATE, (), "new", "x")
    output.show(Report("plan", "lab", Exit.DONE, to_do=(step,) * count), steps=True)
    assert out.getvalue().splitlines()[-1] == said
