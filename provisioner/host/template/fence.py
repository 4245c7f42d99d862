"""What the program that fills a user's template gives up before it looks at the template.

It stands for itself, like child.py, which runs it: nothing of vmnet is imported.
"""

import ctypes
import os
import resource
import signal
import struct
from contextlib import suppress

_MEMORY = 512 << 20
_CPU_S = 2  # after which the kernel ends us, without a word
_NOBODY = 65534
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

_COMPUTING = (
    *("read", "write", "close", "fstat", "lseek", "mmap", "mprotect", "munmap", "brk"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "mremap", "madvise", "exit"),
    *("sigaltstack", "futex", "clock_gettime", "exit_group", "getrandom"),
)
_GENERIC = (
    *(63, 64, 57, 80, 62, 222, 226, 215, 214, 134),
    *(135, 139, 216, 233, 93, 132, 98, 113, 94, 278),
)
_POWER = (3, 4, 6, 108, 19, 90, 125, 91, 45, 173, 174, 172, 163, 205, 1, 185, 221, 246, 234, 359)
_S390 = (3, 4, 6, 108, 19, 90, 125, 91, 45, 174, 175, 173, 163, 219, 1, 186, 238, 260, 248, 349)
_X86 = (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 60, 131, 202, 228, 231, 318)
ARCHITECTURES = {
    "x86_64": (0xC000003E, _X86),
    "aarch64": (0xC00000B7, _GENERIC),
    "riscv64": (0xC00000F3, _GENERIC),
    "loongarch64": (0xC0000102, _GENERIC),
    "ppc64le": (0xC0000015, _POWER),
    "s390x": (0x80000016, _S390),
}
"""By what uname calls a machine: its number in linux/audit.h, and those of the calls above."""


def limit_ourselves() -> None:
    """Bound what can be used up; files can still be read, for what is to be imported."""
    _limit(resource.RLIMIT_CPU, _CPU_S)
    _limit(resource.RLIMIT_AS, _MEMORY)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def give_up_the_rest() -> None:
    """Give up files, processes, the network, root's rights, and all system calls but for computing.

    Each measure stands for itself, since a host may refuse some (no right to make a network
    namespace, no seccomp): without any file descriptor to be had there is still nothing to open
    and nobody to talk to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.close(0)
    libc.unshare(_CLONE_NEWNET)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, 0)
    if os.geteuid() == 0:
        # In a user namespace nobody may be unmapped, or groups may be fixed.
        with suppress(OSError):
            os.setgroups([])
        with suppress(OSError):
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after setresuid, which clears it
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.uname().machine in ARCHITECTURES:
        _only_compute(libc, *ARCHITECTURES[os.uname().machine])


def _only_compute(libc: ctypes.CDLL, architecture: int, calls: tuple[int, ...]) -> None:
    """Have the kernel refuse (EPERM) every system call that is not in the list: seccomp(2)."""

    def step(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, jump_true, jump_false, value)

    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    number = len(calls)
    steps = [
        step(load, 0, 0, 4),  # the architecture: a 32-bit call has other numbers
        step(equal, 1, 0, architecture),
        step(give, 0, 0, kill),
        step(load, 0, 0, 0),  # the number of the call
        *(step(equal, number - at, 0, call) for at, call in enumerate(calls)),
        step(give, 0, 0, refuse),
        step(give, 0, 0, allow),
    ]
    program = ctypes.create_string_buffer(b"".join(steps))
    header = struct.pack("@HP", len(steps), ctypes.addressof(program))  # struct sock_fprog
    libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0)
