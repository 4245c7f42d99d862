"""What pytest shows of an answer, and what there is to read of it."""

from provisioner.api import Measurement, ReachAnswer

SILENT = Measurement(
    source="a",
    target="b",
    network="lan",
    address="10.0.0.2",
    asked="ping",
    expected="reaches",
    why="the mode",
    observed="no answer",
    note="no answer to ping",
    reached=False,
    as_expected=False,
    milliseconds=None,
    finding="b is off",
    fix="vmnet start b",
    evidence=("b: off",),
)


def test_an_answer_is_as_true_as_it_holds() -> None:
    assert ReachAnswer("a reaches b", holds=True, why="the modes let it", measurements=())
    assert not ReachAnswer("a reaches b", holds=False, why="private mode", measurements=())


def test_an_answer_is_shown_on_a_line_that_pytest_does_not_cut() -> None:
    shown = repr(
        ReachAnswer("a reaches b", holds=False, why="because\n" + "x" * 500, measurements=())
    )
    assert shown.startswith("<a reaches b: no: because\\nxxx")
    assert len(shown) <= 240
    assert "\n" not in shown


def test_an_answer_has_its_measurements_its_evidence_and_its_path_to_read() -> None:
    path = "the question:\n  ✗ b: off\n"
    text = str(
        ReachAnswer("a reaches b", holds=False, why="b is off", measurements=(SILENT,), path=path)
    )
    assert text.splitlines() == [
        "a reaches b: no: b is off",
        "  a -> b (10.0.0.2 on lan): no answer; no answer to ping",
        "    seen: b: off",
        "    finding: b is off",
        "    fix: vmnet start b",
        "  the question:",
        "    ✗ b: off",
    ]
