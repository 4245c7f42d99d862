"""The umask: vmnet's own for what it makes, the user's for programs that take vmnet's place."""

import subprocess
import sys
from pathlib import Path

from provisioner.host.system import paths

BECOME = """\
import os
from provisioner.host.system import programs, umask

os.umask(0o077)
umask.set_own()
(made,) = {os.umask(0o022)}
print(f"{made:04o} {umask.of_user():04o}", flush=True)
programs.become(["sh", "-c", "umask"], "dash")
"""


def test_what_vmnet_makes_has_its_own_and_what_it_becomes_has_the_users() -> None:
    ran = subprocess.run([sys.executable, "-c", BECOME], capture_output=True, text=True, check=True)
    assert ran.stdout == "0022 0077\n0077\n"


MAKE = """\
import os, sys
from pathlib import Path
from provisioner.host.system import paths

os.umask(0)
paths.make(Path(sys.argv[1]))
"""


def test_folders_are_for_their_owner_to_change_whatever_the_umask_is(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    subprocess.run([sys.executable, "-c", MAKE, str(deep)], check=True)
    made = [deep, deep.parent, deep.parent.parent]
    assert [oct(one.stat().st_mode & 0o7777) for one in made] == ["0o755"] * 3
    assert paths.make(deep) == deep
