"""What is told of a KVM that does not work, by a test boot of a real QEMU."""

import subprocess
import sys
from pathlib import Path

from provisioner.host.jail import users
from provisioner.host.system import accounts

_BOOT = """
import sys
from pathlib import Path
from provisioner.host.libvirt import accelerator
print(accelerator.test(Path("/dev/null"), Path(sys.argv[1])))
"""


def test_a_test_boot_that_fails_says_as_which_user(tmp_path: Path) -> None:
    script = 'mount --bind /dev/null /dev/kvm; exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", _BOOT, str(tmp_path)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    user = accounts.name_of(users.prober()[0])
    assert f"a test boot under it fails as user {user}: " in told
