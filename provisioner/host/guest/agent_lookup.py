"""Which guests' agents can be asked, looked for side by side: a QEMU that hangs delays no other."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

_LOOK_S: Final = 1.0  # libvirt knows at once, unless it has just been opened or QEMU hangs


class AgentLooks:
    """Looks that may take long, at most one at a time for each VM."""

    def __init__(self, late: Callable[[str], None]) -> None:
        """Make it; `late(vm)` is called for an agent that is found after `connected` returned."""
        self._late = late
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def connected(self, looks: Mapping[str, Callable[[], bool]]) -> list[str]:
        """Return the VMs whose look is true within a second; the others' are not waited for."""
        found: set[str] = set()
        over = threading.Event()

        def look(vm: str, ask: Callable[[], bool]) -> None:
            connected = False
            try:
                connected = ask()
            finally:
                with self._lock:
                    self._under_way.discard(vm)
                    late = over.is_set()
                    if connected:
                        found.add(vm)
            if connected and late:
                self._late(vm)

        with self._lock:
            fresh = {vm: ask for vm, ask in looks.items() if vm not in self._under_way}
            self._under_way |= fresh.keys()
        threads = [
            threading.Thread(target=look, args=(vm, ask), daemon=True) for vm, ask in fresh.items()
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + _LOOK_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._lock:
            over.set()
            return [vm for vm in looks if vm in found]
