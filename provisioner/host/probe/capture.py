"""Run tcpdump on a device: its lines made harmless, or its packets into a file of ours."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.host.system import accounts, programs

_BAD_FILTER: Final = ("syntax error", "can't parse filter", "expression rejected", "unknown")


def opened(path: Path, *, force: bool) -> int:
    """Make the file that packets go into, for whoever runs vmnet alone; never through a link.

    Raises VmnetError when it is there already, without `force`, or cannot be made.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if force and os.path.lexists(path):
            return os.open(path, flags | os.O_TRUNC)
        made = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        accounts.hand_over(made)
    except FileExistsError as error:
        fix = "give another name to -w, or overwrite it with --force"
        raise bad_input(f"{path} is there already", fix) from error
    except OSError as error:
        what = f"cannot write {path}: {error.strerror}"
        raise bad_input(what, "give another place to -w") from error
    return made


def run(
    argv: Sequence[str],
    into: int | None,
    line: Callable[[str], None],
    duration_s: float | None = None,
) -> str:
    """Run tcpdump until it ends, is interrupted, or `duration_s` seconds have passed.

    Its packets go into the descriptor `into`, else its lines to `line`. Returns what it prints at
    the end. Raises VmnetError when it is missing, or does not understand the filter.
    """
    if not programs.is_installed(argv[0]):
        raise VmnetError(
            f"{argv[0]} is not installed", fix="apt-get install tcpdump", status=Exit.HOST_CANNOT
        )
    done = programs.follow(argv, into, line, duration_s)
    if done.returncode not in {0, -signal.SIGINT, -signal.SIGTERM}:
        words = programs.last_lines(done.stderr)
        bad = any(word in words for word in _BAD_FILTER)
        raise VmnetError(
            f"tcpdump does not take the filter: {words}" if bad else f"tcpdump failed: {words}",
            fix="write it as pcap-filter(7) has it: arp or icmp" if bad else "run it by hand",
            status=Exit.BAD_INPUT if bad else Exit.HOST_CANNOT,
        )
    return done.stderr
