"""Install the packages into a folder with mmdebstrap, and make a file system of that folder."""

import shlex
from pathlib import Path

from provisioner.host.image.debian import archive, recipe
from provisioner.host.image.debian.archive import Archive
from provisioner.host.image.debian.layout import Layout
from provisioner.host.image.debian.recipe import Recipe
from provisioner.host.system import programs

_TIMEOUT_S = 1800
# mmdebstrap mounts /proc, /sys and devices into the folder. In a namespace of its own these mounts
# and all processes end with it, and it ends with us: whoever clears away after a killed build must
# not walk into /dev.
_ENDS_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)


def install(told: Recipe, source: Archive, plan: Layout, room: Path, disk: Path) -> Path:
    """Write / onto the disk; give the folder of what its boot loaders start. Needs root.

    The package lists are the host's: what is installed is what they said when versions were asked.
    """
    out = room / "out"
    out.mkdir()
    setup = _hook("lists", *source.lists)
    customize = _hook("customize", recipe.ROOTFS, " ".join(told.masked))
    pack = _hook("pack", out, disk, plan.root_offset, plan.root_kib, plan.uuid("root"))
    argv = [
        *_ENDS_WITH_US,
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=null"),
        # Its cleanup would run apt once more. Our hooks remove what it would, without the one
        # danger: without its own configuration that apt clears the host's folders.
        "--skip=update,cleanup",
        f"--include={','.join(told.packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in archive.transport()),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in told.left_out),
        f"--setup-hook={setup}",
        f"--customize-hook={customize}",
        f"--customize-hook={pack}",
        *(told.suite, "-", "-"),
    ]
    programs.run(
        argv,
        timeout_s=_TIMEOUT_S,
        input=source.sources,
        env={"TMPDIR": str(room)},
        fix="check the network, the proxy of apt and the space on that disk; if it says 404, run"
        " apt-get update as root",
    )
    return out


def _hook(name: str, *words: object) -> str:
    """Give a line for mmdebstrap's shell: the hook, the folder it works on ($1), our words."""
    told = " ".join(shlex.quote(str(word)) for word in words)
    return f'sh {shlex.quote(str(recipe.HOOKS / name))} "$1" {told}'
