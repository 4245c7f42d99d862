"""`python -m provisioner` as a fork of the server of `forked`: the words that start it anywhere.

    python -I -S forked_program.py SOCKET WORD...

It runs where this process does, with its namespaces, streams, environment, folder and mask, gets
its signals, and ends as it does. Where a fork would not be the same (other rights or limits, a
terminal), or there is no server, this process becomes `python -m provisioner`. It imports next to
nothing, since that is what it is for.
"""

import _socket as socket
import array
import marshal
import os
import sys

TYPE_CHECKING = False  # of typing, which takes longer to import than all else here
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

_SPACES = ("mnt", "net", "uts", "pid")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_OF_RIGHTS = ("Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:")
_NUMBER = 4  # bytes of a pid, or of a status
_HANDLE = array.array("i", [0]).itemsize


def rights() -> str:
    """Return what this process may do, and its limits."""
    with open("/proc/self/status") as status, open("/proc/self/limits") as limits:  # noqa: PTH123
        own = [line for line in status if line.startswith(_OF_RIGHTS)]
        return "".join(own) + limits.read() + os.readlink("/proc/self/ns/user")  # noqa: PTH115


def main() -> None:
    """Run the words as a fork, or as they stand."""
    _, place, *words = sys.argv
    try:
        begun = _begun(place, words)
    except OSError:  # no server, a closed stream, no /proc
        begun = None
    if begun is None:
        os.execv(sys.executable, [sys.executable, "-m", "provisioner", *words])  # noqa: S606
    ended, handle = begun
    for number in _FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: signal.pidfd_send_signal(handle, number))
    told = ended.recv(_NUMBER)
    status = int.from_bytes(told, sys.byteorder)
    if os.WIFSIGNALED(status):
        ending = os.WTERMSIG(status)
        if ending not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(ending, signal.SIG_DFL)
        os.kill(os.getpid(), ending)
    os._exit(os.WEXITSTATUS(status) if told else 1)


def _begun(place: str, words: list[str]) -> "tuple[socket.socket, int] | None":
    """Ask for the command; return what tells of its end, and its pidfd."""
    for number in range(3):
        os.fstat(number)  # raises OSError for a stream that is closed
    if any(os.isatty(number) for number in range(3)):
        return None
    mask = os.umask(0)
    os.umask(mask)
    ignored = [n for n in _FORWARDED if signal.getsignal(n) == signal.SIG_IGN]
    asked: dict[str, object] = {"words": words}
    asked |= {"cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    asked |= {"rights": rights(), "umask": mask, "ignored": ignored}
    spaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in _SPACES]
    fds = array.array("i", [0, 1, 2, *spaces])
    ended = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ended.connect(place)
    ended.sendmsg([marshal.dumps(asked)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    _, handles, _, _ = ended.recvmsg(_NUMBER, socket.CMSG_SPACE(_HANDLE))
    for number in spaces:
        os.close(number)
    if not handles:
        return None
    return ended, int.from_bytes(handles[0][2], sys.byteorder)


if __name__ == "__main__":
    main()
