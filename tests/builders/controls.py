"""What was seen around a silence: whole, as it shows isolation, to be taken apart by tests."""

from provisioner.check.isolation import Control, ControlBy, EndControl, Path

SHOWN = Control(
    source=EndControl(ControlBy.WHO_HAS, 0.002),
    target=EndControl(ControlBy.PING, 0.003),
    asked=True,
    left=True,
    path=Path("nic0", exists=True, up=True, carrier=True, beyond="10.0.0.254"),
)
