"""Try the cases of the crash matrix.

    python -m tests.crash --list FILE [COMMAND…] [--inside]   write the cases down, as JSON lines
    python -m tests.crash FILE LOG [--sample N] [--seed S]

Each result is a line of JSON in LOG; cases that are in LOG already are passed over, so that a run
that was ended goes on, and several runs share the work (--part 0/2, --part 1/2). A case whose event
did not come is tried again: what all plans share differs with what runs beside. The status is 1
when a case is bad.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.crash.matrix import COMMANDS, MISSED, Case, all_cases, opened


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--list", action="store_true", help="write the cases down")
    parser.add_argument("--inside", action="store_true", help="list what steps do, too")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1", help="the cases whose number leaves 0 of 1")
    parser.add_argument("--most", type=int, help="end after so many cases")
    parser.add_argument("file", type=Path)
    parser.add_argument("more", nargs="*", help="commands to list, or the log")
    words = parser.parse_args()
    if words.list:
        with opened() as matrix:
            cases = all_cases(matrix, words.more or list(COMMANDS), inside=words.inside)
        words.file.write_text("".join(f"{json.dumps(asdict(x))}\n" for x in cases))
        _say(f"{len(cases)} cases")
        return 0
    cases = [Case(**json.loads(line)) for line in words.file.read_text().splitlines()]
    if words.sample:
        cases = random.Random(words.seed).sample(cases, words.sample)  # noqa: S311
    part, parts = map(int, words.part.split("/"))
    log = Path(words.more[0])
    before = log.read_text().splitlines() if log.exists() else []
    tried = map(json.loads, before)
    done = {Case(**each["case"]) for each in tried if each["wrong"] != [MISSED]}
    return _tried([x for x in cases[part::parts] if x not in done][: words.most], log)


def _tried(cases: list[Case], log: Path) -> int:
    bad = missed = 0
    with opened() as matrix, log.open("a") as out:
        for case in cases:
            began = time.monotonic()
            wrong = matrix.tried(case)
            bad += bool(wrong) and wrong != [MISSED]
            missed += wrong == [MISSED]
            took_s = round(time.monotonic() - began, 1)
            out.write(f"{json.dumps({'case': asdict(case), 'wrong': wrong, 's': took_s})}\n")
            out.flush()
            _say(f"{'BAD' if wrong else 'ok '} {took_s:5} s  {case}")
            for line in wrong:
                _say(f"    {line}")
    _say(f"{len(cases)} cases, {bad} bad, {missed} whose event did not come")
    return 1 if bad else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
