"""Give another host an image of this one, by ssh; the host says how much of it is there already."""

import shlex
from typing import Final

from provisioner.errors import VmnetError
from provisioner.host.image.store import StoredImage
from provisioner.host.system import programs
from provisioner.image.record import as_json
from provisioner.plan.hosts import Login

_SSH: Final = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
_ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
_ASK_S: Final = 60.0
_SEND_S: Final = 3600.0


def send(login: Login, image: StoredImage) -> None:
    """Send what is missing of an image. Raises VmnetError when the host has not taken it."""
    words = ["vmnet", "image", "receive", as_json(image.record).decode()]
    ssh = [*_SSH, *_ALIVE, *login.argv]
    asked = programs.run([*ssh, shlex.join([*words, "--ask"])], timeout_s=_ASK_S, check=False)
    if asked.returncode or not asked.stdout.strip().isdecimal():
        raise _refused(image, asked)
    with image.path.open("rb", buffering=0) as file:
        file.seek(min(int(asked.stdout), image.record.size))
        done = programs.fed([*ssh, shlex.join(words)], file, timeout_s=_SEND_S)
    if done.returncode:
        raise _refused(image, done)


def _refused(image: StoredImage, ended: programs.Finished) -> VmnetError:
    said = programs.last_lines(ended.stderr or ended.stdout)
    return VmnetError(
        f"the image {image.record.name} has not gone there: {said}",
        fix="mend that, and run it again, which goes on from there: vmnet up",
    )
