"""Give each hostile plan alone to `plan` and to `up`, as root: `make test-hostile`."""

import tempfile
from pathlib import Path

from tests.hostile import table
from tests.hostile.running import Outcome, run

COMMANDS = ("plan", "up")


def main() -> bool:
    """Show each plan that is not refused at its place; return whether there is one."""
    rows = table.plans()
    with tempfile.TemporaryDirectory(prefix="vmnet-hostile-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        canary = table.fill(folder)
        for number, row in enumerate(rows):
            file = folder / "plan" / f"{number}.yaml"
            file.write_text(row.text, encoding="utf-8")
        asked = [(word, f"{n}.yaml") for n in range(len(rows)) for word in COMMANDS]
        outcome = run(folder / "plan", asked, [canary])
    wrong = [*_wrong(outcome, rows)]
    print("\n".join([*wrong, f"{len(rows)} plans, {len(asked)} runs, {len(wrong)} wrong"]))  # noqa: T201
    return bool(wrong)


def _wrong(outcome: Outcome, rows: list[table.HostilePlan]) -> list[str]:
    found = [f"opened: {name}" for name in outcome.opened]
    if outcome.connected:
        found.append("somebody has connected")
    for number, ran in enumerate(outcome.runs):
        at, word = divmod(number, len(COMMANDS))
        row = rows[at]
        said = table.refused(ran.err, f"{at}.yaml", row.place)
        if ran.status != table.BAD_INPUT or not said or table.SECRET in ran.out + ran.err:
            found.append(f"{COMMANDS[word]} {row.frame}: {row.row}\n{ran.status}\n{ran.err[:600]}")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
