"""What leaves a guest that forges frames is what the page spoof-guard.md says, and no more."""

from pathlib import Path

from tests.host_tools import forging

DOCUMENTED = Path(__file__).parents[2] / "docs" / "explanation" / "spoof-guard.md"


def test_what_passes_each_guard_is_what_is_documented() -> None:
    found = forging.table()
    assert found in DOCUMENTED.read_text(), found


def test_what_honest_guests_send_passes_every_guard() -> None:
    rows = [line.strip("| ").split(" | ") for line in forging.table().splitlines()[2:]]
    kinds = forging.honest()
    assert {cell for name, *cells in rows if name in kinds for cell in cells} == {"passes"}
    assert len(rows) - len(kinds) > 40
