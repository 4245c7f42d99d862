"""Find out which guests' agents can be asked, side by side: a QEMU that hangs delays no other."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Final

_LOOK_S: Final = 1.0  # libvirt knows at once, unless it has just been opened or QEMU hangs


class AgentLooks:
    """Looks that may take long, at most one at a time for each VM."""

    def __init__(self, late: Callable[[str], None]) -> None:
        """Make it; `late(vm)` is called for an agent that is found after `connected` returned."""
        self._late = late
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[bool]] = {}

    def connected(self, looks: Mapping[str, Callable[[], bool]]) -> list[str]:
        """Return the VMs whose look is true within a second; the others' are not waited for."""
        with self._lock:
            mine = {
                vm: self._under_way.get(vm) or self._start(vm, ask) for vm, ask in looks.items()
            }
        wait(mine.values(), _LOOK_S)
        late = {vm: look for vm, look in mine.items() if not look.done()}
        for vm, look in late.items():
            look.add_done_callback(partial(self._report, vm))
        return [vm for vm, look in mine.items() if vm not in late and look.result()]

    def _start(self, vm: str, ask: Callable[[], bool]) -> Future[bool]:
        look = self._under_way[vm] = Future[bool]()

        def run() -> None:
            connected = False
            try:
                connected = ask()
            finally:
                with self._lock:
                    del self._under_way[vm]
                look.set_result(connected)

        threading.Thread(target=run, daemon=True).start()
        return look

    def _report(self, vm: str, look: Future[bool]) -> None:
        if look.result():
            self._late(vm)
