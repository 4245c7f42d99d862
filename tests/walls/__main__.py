"""The whole attack: `make test-walls`. With walls through the life of others, and without them."""

import os
import tempfile
from pathlib import Path

from tests.framework.lab import Lab
from tests.walls.attack import Attack

_MANY = 20


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)  # noqa: T201


def victim(folder: Path) -> Path:
    """Make a folder of root's with a file in it, which links are planted to."""
    there = folder / "victim"
    there.mkdir(0o755)
    (there / "file").write_text("root's")
    return there


def plant(attack: Attack, to: Path) -> int:
    """Plant a link wherever the attacker can; return in how many places."""
    uid = int(attack.attackers["Uid"][0])
    planted = 0
    for plan in (attack.plan(attack.own.stem), attack.plan(attack.other.stem)):
        for name, folder in plan.items():
            if name not in {"kind", "name", "next", "lock"}:
                planted += _planted(uid, to, Path(folder) / plan["next"])
    return planted


def _planted(uid: int, to: Path, link: Path) -> int:
    pid = os.fork()
    if pid:
        return int(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0)
    try:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        link.symlink_to(to)
    except OSError:
        os._exit(1)
    os._exit(0)


def with_walls(lab: Lab, folder: Path) -> int:
    """Attack between all that is done to the others; return how many tries got through."""
    there = victim(folder)
    attack = Attack(lab)
    broken = 0
    steps: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("up", ("up", attack.other)),
        ("check", ("check", attack.other)),
        ("snapshot", ("snapshot", "save", "-f", attack.own, "one", "b")),
        ("restore", ("snapshot", "restore", "-f", attack.own, "one", "b", "--yes")),
        ("recreate", ("up", "--recreate", attack.other)),
        ("restart", ("restart", "-f", attack.own, "b")),
        ("rm", ("snapshot", "rm", "-f", attack.own, "one", "--yes")),
    )
    for name, words in steps:
        planted = plant(attack, there)
        lab.vmnet(*words)  # type: ignore[arg-type]
        done, count = attack.attacked()
        found = there.stat()
        kept = (found.st_uid, found.st_mode & 0o777, (there / "file").read_text())
        followed = kept != (0, 0o755, "root's")
        say(f"{name}: {len(done)} of {count} got through, {planted} links planted {done}")
        broken += len(done) + planted + followed
    lab.vmnet("down", attack.other)
    lab.vmnet("down", attack.own)
    return broken


def without_walls(lab: Lab, folder: Path) -> int:
    """Return how many of the same tries get through when all guests are one user."""
    config = folder / "config.yaml"
    config.write_text("guest_users: off\n")
    lab.enter = (*lab.enter, "env", f"VMNET_CONFIG={config}")
    done, count = Attack(lab).attacked()
    say(f"without walls: {len(done)} of {count} got through")
    for name in done:
        say(f"  {name}")
    return len(done)


def main() -> None:
    """Say whether the walls hold, and whether the tries are any."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with Lab(folder).opened() as lab:
            broken = with_walls(lab, folder)
        with Lab(folder).opened() as lab:
            found = without_walls(lab, folder)
    say(f"with walls {broken} got through, without them {found}")
    raise SystemExit(0 if broken == 0 and found >= _MANY else 1)


if __name__ == "__main__":
    main()
