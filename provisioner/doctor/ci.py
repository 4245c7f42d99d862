"""What vmnet doctor --ci prints: lines to copy for runners of GitHub and GitLab."""

from importlib.resources import files
from typing import Final

# None for macvtap's nodes: vmnet gives one device to one user (vmnet net create --owner); a rule
# would give all of them to a group.
_UDEV: Final = """\
# /etc/udev/rules.d/60-vmnet.rules
KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm"
"""


def text(major: int) -> str:
    """Return all lines; `major` is macvtap's device number on this host, 0 where it has none.

    The number is given out when the driver is loaded: another host may have another one.
    """
    note = "# macvtap's number is that of /proc/devices on the host that runs the containers\n"
    gitlab = _template("ci-gitlab.yml").replace("MAJOR", str(major or "MAJOR"))
    return "\n".join((_UDEV, _template("ci-github.yml"), gitlab + note))


def _template(name: str) -> str:
    return files("provisioner").joinpath("templates", name).read_text(encoding="utf-8")
