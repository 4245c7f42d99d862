"""What all tests have in common, and which of them are begun first."""

from pathlib import Path

import pytest

# Their asserts show what they compared, as those of the tests themselves do.
pytest.register_assert_rewrite("tests.framework")

# Files that take long go first, so that none is left alone at the end. Minutes on two idle cores:
# 12 breakages, 3 truth table, 2 Debian, lives and snapshots, 1 the others here.
LONGEST = (
    *("test_breakages_uplink", "test_breakages_switch", "test_breakages_isolation"),
    *("test_debian", "test_truth_table", "test_wiring"),
    *("test_life", "test_snapshots", "test_drift", "test_boot", "test_inventory", "test_crash"),
    *("test_deadlines", "test_checks", "test_trouble", "test_getin", "test_machines"),
    *("test_simulation", "test_uplink_changes"),
)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing of processes that xdist has killed, as it does on an interrupt."""
    if not hasattr(session.config, "workerinput"):  # the process that has started the others
        from tests.framework import lab

        lab.sweep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put guests' tests first, and among them those that take long."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    if path.stem in LONGEST:
        return LONGEST.index(path.stem)
    return len(LONGEST) + (path.parent.name != "guests")
