"""Addresses and MACs that a running `vmnet up` gives to guests: each belongs to one plan at a time.

Between the question whether somebody has an address and the guest's own first answer, nobody on the
LAN can see that it is taken. So an `up` keeps its claims in a file that it holds locked (flock(2))
until its guests have been checked: they end with the process, however it ends, and are not state.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from provisioner.errors import VmnetError
from provisioner.host.system import locks, paths
from provisioner.network.addressing import Reservation
from provisioner.text import one_line

_LOCK_S: Final = 30.0
_MOST_BYTES: Final = 1 << 20


@contextmanager
def held(
    plan: str, claims: Collection[Reservation], say: Callable[[str], None]
) -> Iterator[dict[Reservation, str]]:
    """Claim addresses and MACs for a plan while the block runs, if no other plan has one of them.

    Yields those that others have, and who they are; then nothing is claimed. The plan's own lock
    must be held. Raises VmnetError when other commands are at the claims for 30 s.
    """
    if not claims:
        yield {}
        return
    path = paths.claims() / plan
    with locks.held(paths.claims() / ".lock", f"up {plan}", timeout_s=_LOCK_S, notify=say):
        here = _namespace()
        others = dict(_others(plan))
        taken = {claim: others[here, claim] for claim in claims if (here, claim) in others}
        file = None if taken else _written(path, plan, here, claims)
    try:
        yield taken
    finally:
        if file:
            forget(plan)
            file.close()


def forget(plan: str) -> None:
    """Remove the claims of a plan whose lock is held: nobody else has made them.

    With them go the lock over all claims and that on forwarding (host/network/forwarding.py), if a
    command that held one was killed.
    """
    with suppress(FileNotFoundError):
        (paths.claims() / plan).unlink()
    for lock in sorted(paths.claims().glob(".lock*")):
        with (
            suppress(VmnetError),  # another command holds it, and removes it
            locks.held(lock, f"down {plan}", timeout_s=0, notify=lambda _: None),
        ):
            pass
    with suppress(OSError):  # another plan's claims are in it
        paths.claims().rmdir()


def _namespace() -> int:
    return Path("/proc/self/ns/net").stat().st_ino


def _written(path: Path, plan: str, here: int, claims: Collection[Reservation]) -> TextIO:
    path.unlink(missing_ok=True)  # of an `up` that was killed
    file = os.fdopen(
        os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600),
        "w",
        encoding="utf-8",
    )
    fcntl.flock(file, fcntl.LOCK_EX)
    who = f"`vmnet up` of plan {plan} (pid {os.getpid()}, since {time.strftime('%T')})"
    json.dump({"who": who, "namespace": here, "claims": sorted(claims)}, file)
    file.flush()
    return file


def _others(plan: str) -> Iterator[tuple[tuple[int, Reservation], str]]:
    """Return what other plans have claimed, in any network namespace, and who they are."""
    for path in sorted(paths.claims().iterdir()):
        if path.name.startswith(".") or path.name == plan:
            continue
        try:
            file = path.open(encoding="utf-8")
        except FileNotFoundError:
            continue  # that command has just ended
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield from _read(file.read(_MOST_BYTES))
            else:
                path.unlink(missing_ok=True)  # its command was killed


def _read(text: str) -> Iterator[tuple[tuple[int, Reservation], str]]:
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(text)
        for lan, what in found["claims"]:
            yield (int(found["namespace"]), (str(lan), str(what))), one_line(str(found["who"]))
