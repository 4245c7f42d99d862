"""Live through the stories of seeds on the model of a host, and hold vmnet to its laws.

    python -m tests.simulation [--jobs N] [--real] SEED|FIRST-LAST…

With --real a part of each story is lived through on a real host at once, in a network namespace,
and what is observed there is compared with the model's.
Of one seed the story is told, step by step; of many only those that break a law. The status is 1
when one does.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.real_host import tell_on_both
from tests.simulation.story import tell_story
from tests.simulation.world import Broken

_AT_ONCE, _AT_ONCE_REAL = 100, 5


def broken(seed: int, story: Callable[[int], None] = tell_story) -> str:
    """Return what is wrong in the story of a seed; "" for nothing."""
    try:
        story(seed)
    except Broken as error:
        return str(error)
    except Exception:  # noqa: BLE001  (whatever the product raises there is a finding)
        return traceback.format_exc(limit=-3)
    return ""


def unlike(seed: int) -> str:
    """Return where the model and a real host differ in the story of a seed; "" for nowhere."""
    return broken(seed, tell_on_both)


def found(seeds: range) -> list[tuple[int, str]]:
    """Return the seeds that break a law, and how."""
    return [(seed, what) for seed in seeds if (what := broken(seed))]


def found_unlike(seeds: range) -> list[tuple[int, str]]:
    """Return the seeds in whose stories the model and a real host differ, and where."""
    return [(seed, what) for seed in seeds if (what := unlike(seed))]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("seeds", nargs="+", help="a seed, or the first and the last of many: 0-99")
    parser.add_argument("--real", action="store_true", help="compare with a real host")
    words = parser.parse_args()
    story, tried = (tell_on_both, found_unlike) if words.real else (tell_story, found)
    at_once = _AT_ONCE_REAL if words.real else _AT_ONCE
    began, count, bad = time.monotonic(), 0, 0
    for word in words.seeds:
        first, _, last = word.partition("-")
        seeds = range(int(first), int(last or first) + 1)
        if len(seeds) == 1:
            story(seeds[0], _say)
            continue
        parts = [seeds[at : at + at_once] for at in range(0, len(seeds), at_once)]
        with ProcessPoolExecutor(words.jobs) as pool:
            for part, wrong in zip(parts, pool.map(tried, parts), strict=True):
                count += len(part)
                bad += len(wrong)
                for seed, what in wrong:
                    _say(f"seed {seed}: {what}")
    took_s = time.monotonic() - began
    if count:
        _say(f"{count} seeds, {bad} broken, {count / took_s:.0f} seeds/s, {took_s:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
