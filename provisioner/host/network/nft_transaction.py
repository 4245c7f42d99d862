"""Scripts for nft, those of several steps in one process and one transaction.

A process of nft takes 10 MiB and 20 ms, of which reading the kernel's tables is most, and the
kernel does one transaction at a time anyway.
"""

import threading
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.host.system import programs

_PATIENCE_S: Final = 30


@dataclass(slots=True, eq=False)
class _Script:
    text: str
    is_over: bool = False
    complaint: str = ""


_turn = threading.Lock()
_change = threading.Lock()
_waiting: list[_Script] = []


def executed(script: str) -> str:
    """Have nft execute a script, all of it or nothing; return what nft has said where it refuses.

    What comes while another is executed waits, and is executed together: where that is refused,
    each by itself. Raises VmnetError when nft does not end in time.
    """
    mine = _Script(script)
    with _change:
        _waiting.append(mine)
    with _turn:
        if not mine.is_over:
            _execute(mine)
    return mine.complaint


def _execute(mine: _Script) -> None:
    """Execute all that wait; those who have brought them find them done in their turn."""
    with _change:
        others = [each for each in _waiting if each is not mine]
        _waiting.clear()
        _waiting.extend(others)
    together = [mine, *others]
    if others and not _complaint("".join(each.text for each in together)):
        for each in together:
            each.is_over = True
    else:
        mine.complaint = _complaint(mine.text)
        mine.is_over = True
    with _change:
        _waiting[:] = [each for each in _waiting if not each.is_over]


def _complaint(script: str) -> str:
    done = programs.run(["nft", "-f", "-"], timeout_s=_PATIENCE_S, input=script, check=False)
    return (done.stderr.strip() or f"nft ended with {done.returncode}") if done.returncode else ""
