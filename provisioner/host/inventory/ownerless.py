"""What vmnet has left that is of no plan: removed by the drivers that remove it for a plan."""

from pathlib import Path

from provisioner.host.network import impairment
from provisioner.host.probe import ingress_injector
from provisioner.host.system import locks, paths
from provisioner.network.resources import Impaired, LeftWire


def remove(kind: str, name: str) -> None:
    """Remove one, if it is still left; one that has gone already is fine. Raises VmnetError."""
    match kind:
        case "wire":
            ingress_injector.delete(LeftWire(name))
        case "impairment":
            impairment.delete(Impaired(name))
        case "lock":
            path = Path(name)
            if path.parent == paths.run() and path.exists():
                with locks.held(path, "gc", timeout_s=0, notify=lambda _: None):
                    pass  # whoever holds it removes it
        case _:
            raise ValueError(kind)
