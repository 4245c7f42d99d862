"""Compare what vmnet says with what the oracle sees, seed by seed.

    python -m tests.oracle [--jobs N] [--guests] SEED|FIRST-LAST…

With light ends, each seed in a process of its own; with --guests real ones, one seed after another.
Of one that disagrees, all that it stands for is written. The status is 1 when one does, or could
not be judged.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.oracle.compare import Judged
from tests.oracle.grammar import scenario
from tests.oracle.guest_grammar import guest_scenario

_SEED_S = 120.0


@dataclass(slots=True)
class _Job:
    """One seed on its way."""

    seed: int
    pid: int
    pipe: int
    until: float
    said: bytes = b""


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, help="seeds side by side")
    parser.add_argument("seeds", nargs="+", help="a seed, or the first and the last of many: 0-19")
    parser.add_argument("--guests", action="store_true", help="real guests instead of light ends")
    words = parser.parse_args()
    named = guest_scenario if words.guests else scenario
    seeds = [seed for word in words.seeds for seed in _seeds(word)]
    began = time.monotonic()
    total: Counter[str] = Counter()
    bad: list[int] = []
    outcomes = _of_guests(seeds) if words.guests else _outcomes(seeds, words.jobs)
    for seed, outcome in outcomes:
        total.update(outcome.get("claims", {}))
        wrong = outcome["wrong"]
        if wrong:
            bad.append(seed)
            _say(f"{named(seed)}\n  " + "\n  ".join(f"!! {line}" for line in wrong))
        elif len(seeds) == 1:
            _say(str(named(seed)))
    counted = ", ".join(f"{number} {claim}" for claim, number in sorted(total.items()))
    took = time.monotonic() - began
    _say(f"{len(seeds)} seeds, {sum(total.values())} cells ({counted}) in {took:.0f} s")
    _say(f"disagreements: {f'seeds {sorted(bad)}' if bad else 'none'}")
    return 1 if bad else 0


def _seeds(word: str) -> range:
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)


def _of_guests(seeds: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    from tests.oracle import guest_run

    for seed, judged in guest_run.judged(seeds):
        if isinstance(judged, str):
            yield seed, {"wrong": [f"could not be judged: {judged}"]}
        else:
            yield seed, _told(judged)


def _outcomes(seeds: list[int], jobs: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run seeds side by side, and return what came of each as soon as it is there."""
    waiting = list(reversed(seeds))
    running: dict[int, _Job] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            job = _started(waiting.pop())
            running[job.pipe] = job
        until = min(job.until for job in running.values())
        wait_s = max(0.0, until - time.monotonic())
        for pipe in select.select(list(running), [], [], wait_s)[0]:
            more = os.read(pipe, 1 << 16)
            running[pipe].said += more
            if not more:
                job = running.pop(pipe)
                yield job.seed, _ended(job)
        for job in [x for x in running.values() if x.until <= time.monotonic()]:
            os.killpg(job.pid, signal.SIGKILL)
            job.until += _SEED_S


def _started(seed: int) -> _Job:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        os.setsid()
        try:
            os.write(theirs, json.dumps(_outcome(seed)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    return _Job(seed, pid, ours, time.monotonic() + _SEED_S)


def _outcome(seed: int) -> dict[str, Any]:
    try:
        from tests.oracle import light_run

        judged = light_run.run(scenario(seed))
    except Exception:  # noqa: BLE001  (told of this seed, the others go on)
        return {"wrong": [f"could not be judged: {traceback.format_exc()}"]}
    return _told(judged)


def _told(judged: Judged) -> dict[str, Any]:
    claims = Counter(str(claim) for _, claim in judged.claims)
    return {"claims": claims, "wrong": [str(one) for one in judged.wrong]}


def _ended(job: _Job) -> dict[str, Any]:
    os.close(job.pipe)
    os.waitpid(job.pid, 0)
    found: dict[str, Any] = json.loads(job.said or '{"wrong": ["it has not ended in time"]}')
    return found


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
