"""What vmnet doctor --ci prints: lines to copy for runners of GitHub and GitLab."""

from typing import Final

from provisioner.template_files import template

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
    gitlab = template("ci-gitlab.yml").replace("MAJOR", str(major or "MAJOR"))
    return "\n".join((_UDEV, template("ci-github.yml"), gitlab + note))
