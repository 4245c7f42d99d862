"""Install the packages into a folder with mmdebstrap, and make a file system of that folder."""

import shlex
from pathlib import Path

from provisioner.host.image.debian import archive
from provisioner.host.image.debian.archive import Archive
from provisioner.host.image.debian.layout import Layout
from provisioner.host.image.debian.recipe import HOOKS, ROOTFS, DebianRecipe
from provisioner.host.system import programs

_TIMEOUT_S = 1800
# mmdebstrap mounts /proc, /sys and devices into the folder. In a namespace of its own these mounts
# and all processes end with it, and it ends with us: whoever clears away after a killed build must
# not walk into /dev.
_ENDS_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)


def install(
    recipe: DebianRecipe, source: Archive, plan: Layout, folder: Path, out: Path, disk: Path
) -> None:
    """Write / onto the disk, and what its boot loaders start to the folder `out`. Needs root.

    The package lists are the host's, as they were when the versions were looked up.
    """
    setup = _hook("lists", *source.lists)
    customize = _hook("customize", ROOTFS, " ".join(recipe.masked))
    pack = _hook("pack", out, disk, plan.root_offset, plan.root_kib, plan.uuid("root"))
    argv = [
        *_ENDS_WITH_US,
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=null"),
        # Its cleanup would run apt once more. Our hooks remove what it would, without the one
        # danger: without its own configuration that apt clears the host's folders.
        "--skip=update,cleanup",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in archive.transport()),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.left_out),
        f"--setup-hook={setup}",
        f"--customize-hook={customize}",
        f"--customize-hook={pack}",
        *(recipe.suite, "-", "-"),
    ]
    programs.run(
        argv,
        timeout_s=_TIMEOUT_S,
        input=source.sources,
        env={"TMPDIR": str(folder)},
        fix="check the network, the proxy of apt and the space on that disk; if it says 404, run"
        " apt-get update as root",
    )


def _hook(name: str, *arguments: object) -> str:
    """Return a line for mmdebstrap's shell: the hook, its folder ($1), our arguments."""
    quoted = shlex.join(str(argument) for argument in arguments)
    return f'sh {shlex.quote(str(HOOKS / name))} "$1" {quoted}'
