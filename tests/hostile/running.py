"""Runs of vmnet in a fresh network and mount namespace, and what happened meanwhile."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: how it ended, and what it wrote."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs, the canaries that somebody has opened, and whether anybody has connected."""

    runs: list[Ran]
    opened: list[str]
    connected: bool


def run(folder: Path, words: Sequence[Sequence[str]], canaries: Sequence[Path]) -> Outcome:
    """Run vmnet with each of these words in the folder; see many_runs.py."""
    asked = {
        "runs": [[str(folder), one] for one in words],
        "canaries": [str(one) for one in canaries],
    }
    ran = subprocess.run(
        ["unshare", "-mn", sys.executable, "-m", "tests.hostile.many_runs"],
        cwd=HOUSE,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    return Outcome([Ran(**one) for one in told["runs"]], told["opened"], told["connected"])
