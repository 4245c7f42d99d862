"""The worker as a program of its own: a program that imports vmnet may have threads.

What is forked beside threads may wait for ever for a lock that one of them held, and Python warns
about it; what is executed begins anew. All else of it is in provisioner.host.system.worker.
"""

import os
import socket
import subprocess
from typing import NoReturn

from provisioner.host.channel import Channel
from provisioner.host.system import programs, umask, worker
from provisioner.host.system.spawned import interpreter
from provisioner.host.system.worker import Serve, Worker


def start(module: str) -> Worker:
    """Start the worker as the program that `module` is, which calls `serve`.

    Raises VmnetError when it cannot be started.
    """
    ours, theirs = worker.sockets()
    pid_read, pid_write = os.pipe()
    numbers = (theirs.fileno(), pid_write)
    argv = [*interpreter.argv(module), *map(str, numbers), str(os.getpid())]
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=numbers,
        )
    except OSError as error:
        ours.close()
        os.close(pid_read)
        raise programs.not_started(argv[0], error) from error
    finally:
        theirs.close()
        os.close(pid_write)
    child.returncode = 0  # the worker waits for it by its pid: to Popen it has ended
    return Worker(Channel(ours), child.pid, pid_read)


def serve(words: list[str], served: Serve) -> NoReturn:
    """Be the worker of the process that has given these words; `served` is as of worker.start."""
    channel, pid_write, parent = map(int, words)
    for number in (channel, pid_write):
        os.set_inheritable(number, False)  # noqa: FBT003  (its one argument)
    umask.set_own()
    worker.reap(socket.socket(fileno=channel), served, parent, pid_write)
