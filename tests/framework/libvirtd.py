"""A libvirt daemon of a lab's own, whose files nobody else sees."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.framework.lab import Lab, until

# Its files are where every daemon has them, but nobody else sees them.
# /dev/kvm is covered: where QEMU's user may not open it, libvirt 9.0 probes QEMU for a minute.
# Its own mount namespaces for QEMU, which a covered device confuses, are switched off for that.
PRIVATE = """\
mount -t tmpfs tmpfs /mnt
cp -a /etc/libvirt /mnt/etc
rm -rf /mnt/etc/qemu/networks/autostart
echo 'namespaces = []' >> /mnt/etc/qemu.conf
mkdir -p /mnt/lib /mnt/cache /mnt/log /mnt/run/lock /mnt/run/libvirt
if [ -d /var/cache/vmnet/libvirt/qemu ]; then cp -a /var/cache/vmnet/libvirt/qemu /mnt/cache/; fi
for x in lib cache log; do mount --bind /mnt/$x /var/$x/libvirt; done
mount --bind /mnt/etc /etc/libvirt
mount --rbind /mnt/run /run
: > /run/no-kvm; chmod 600 /run/no-kvm
if [ -e /dev/kvm ]; then mount --bind /run/no-kvm /dev/kvm; fi
"""
SYSTEM = "qemu:///system"


@contextmanager
def running(lab: Lab) -> Iterator[None]:
    """Run libvirt in a lab whose folders are its own (PRIVATE), and wait until it answers."""
    with daemon(lab, "virtlogd"), daemon(lab, "libvirtd"):
        until(lambda: answers(lab), "libvirtd answers")
        yield


@contextmanager
def daemon(lab: Lab, name: str) -> Iterator[None]:
    """Run one daemon until the end of the block."""
    log = (lab.directory / f"{name}.log").open("wb")
    with log, subprocess.Popen([*lab.enter, name], stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


def answers(lab: Lab) -> bool:
    """Return whether libvirt answers."""
    argv = [*lab.enter, "virsh", "-c", SYSTEM, "list"]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0
