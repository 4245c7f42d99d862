"""Scripts for nft that come at once: one process, one transaction, and each its own complaint."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.host.network import nft_transaction
from tests.framework.lab import until

pytestmark = pytest.mark.usefixtures("namespace")

NFT = """\
#!/bin/sh
echo run >> "{log}"
while ! [ -e "{go}" ]; do sleep 0.01; done
exec {nft} "$@"
"""


class Slow:
    """An nft that does nothing before it is told to go, and takes down that it was run."""

    def __init__(self, folder: Path) -> None:
        self.log, self.go = folder / "log", folder / "go"
        program = folder / "nft"
        nft = shutil.which("nft")
        program.write_text(NFT.format(log=self.log, go=self.go, nft=nft))
        program.chmod(0o755)

    @property
    def runs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    made = Slow(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    yield made
    made.go.touch()


def table(number: int) -> str:
    return f"create table inet t{number}\n"


def tables() -> set[str]:
    ran = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in ran.stdout.splitlines()}


def begun(pool: ThreadPoolExecutor, slow: Slow, *scripts: str) -> list[Future[str]]:
    """Have the first script executed, and let the others come while it is."""
    first, *others = scripts
    jobs = [pool.submit(nft_transaction.executed, first)]
    try:
        until(lambda: slow.runs, "nft runs")
        jobs += [pool.submit(nft_transaction.executed, script) for script in others]
        until(lambda: len(nft_transaction._waiting) == len(others), "all others wait")
    finally:
        slow.go.touch()
    return jobs


def test_what_comes_while_another_is_executed_is_executed_together(slow: Slow) -> None:
    with ThreadPoolExecutor(32) as pool:
        jobs = begun(pool, slow, *map(table, range(20)))
        assert [job.result() for job in jobs] == [""] * 20
    assert slow.runs == 2
    assert tables() == {f"t{n}" for n in range(20)}


def test_one_that_is_refused_is_told_so_and_the_others_are_done(slow: Slow) -> None:
    with ThreadPoolExecutor(32) as pool:
        jobs = begun(pool, slow, table(0), table(1), table(0), "nonsense\n", table(2))
        said = [job.result() for job in jobs]
    assert [bool(each) for each in said] == [False, False, True, True, False]
    assert "File exists" in said[2]
    assert "syntax error" in said[3]
    assert tables() == {"t0", "t1", "t2"}


def test_a_script_alone_is_executed_whole_or_not_at_all() -> None:
    assert nft_transaction.executed(table(1)) == ""
    assert "File exists" in nft_transaction.executed(table(2) + table(1))
    assert tables() == {"t1"}
