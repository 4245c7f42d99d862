"""Which guests' agents can be asked, looked for side by side: a QEMU that hangs delays no other."""

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

_LOOK_S: Final = 1.0  # libvirt knows at once, unless it has just been opened or QEMU hangs


class _Look:
    """One look at a VM's agent; `late` when somebody has not waited for its end."""

    def __init__(self, run: Callable[["_Look"], None]) -> None:
        self.connected = self.late = False
        self.thread = threading.Thread(target=run, args=(self,), daemon=True)
        self.thread.start()


class AgentLooks:
    """Looks that may take long, at most one at a time for each VM."""

    def __init__(self, late: Callable[[str], None]) -> None:
        """Make it; `late(vm)` is called for an agent that is found after `connected` returned."""
        self._late = late
        self._lock = threading.Lock()
        self._under_way: dict[str, _Look] = {}

    def connected(self, looks: Mapping[str, Callable[[], bool]]) -> list[str]:
        """Return the VMs whose look is true within a second; the others' are not waited for."""
        with self._lock:
            for vm, ask in looks.items():
                if vm not in self._under_way:
                    self._under_way[vm] = _Look(partial(self._run, vm, ask))
            mine = {vm: self._under_way[vm] for vm in looks}
        end = time.monotonic() + _LOOK_S
        for look in mine.values():
            look.thread.join(max(0.0, end - time.monotonic()))
        with self._lock:
            for look in mine.values():
                look.late = look.late or look.thread.is_alive()
            return [vm for vm, look in mine.items() if look.connected]

    def _run(self, vm: str, ask: Callable[[], bool], look: _Look) -> None:
        connected = False
        try:
            connected = ask()
        finally:
            with self._lock:
                del self._under_way[vm]
                look.connected, late = connected, look.late
        if connected and late:
            self._late(vm)
