"""Lay out the guest's root folder and pack it."""

import stat
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.image.micro import cpio, kernel_modules, libraries
from provisioner.host.image.micro.recipe import MicroRecipe
from provisioner.host.system import programs

_LIST_TIMEOUT_S = 10


def assemble(
    recipe: MicroRecipe, own_files: dict[str, bytes], kernel: Path, roots: list[Path]
) -> bytes:
    """Return the initrd: a cpio archive, not packed, because unpacking it costs more than it saves.

    `kernel` is the unpacked kernel package, `roots` are the other ones.
    """
    return cpio.pack(
        [
            *(cpio.directory(name) for name in recipe.folders),
            *(cpio.link(name, target) for name, target in recipe.links.items()),
            cpio.directory("root", 0o700),
            cpio.character_device("dev/console", 5, 1),
            cpio.character_device("dev/null", 1, 3),
            *(_own(name, data) for name, data in own_files.items()),
            *_busybox(_program(recipe.busybox, roots)),
            *_programs([_program(name, roots) for name in recipe.programs], roots),
            *_modules(recipe, kernel),
        ]
    )


def applets(busybox: Path) -> list[str]:
    """Return the names of the commands that a busybox has, sorted, as its --list prints them.

    busybox-static is a static program for amd64, which is what the host is, so it runs here.
    Raises VmnetError when it does not run or prints no list.
    """
    names = programs.run_as_nobody(busybox, ["--list"], timeout_s=_LIST_TIMEOUT_S).split()
    if "sh" not in names or any("/" in name for name in names):
        printed = programs.last_lines(" ".join(names))
        raise VmnetError(
            f"{busybox.name} --list does not list its commands: {printed}",
            fix="run apt-get update as root, then try again",
        )
    return sorted(names)


def _own(name: str, data: bytes) -> cpio.CpioEntry:
    """Return a file of ours, its mode by the content: a wheel has lost the file's own."""
    return cpio.file(name, data, executable=data.startswith(b"#!"))


def _program(name: str, roots: list[Path]) -> Path:
    for root in roots:
        for path in (root / name, root / "usr" / name):
            if path.is_file():
                return path
    raise VmnetError(f"no package brought {name}", fix="run apt-get update as root, then try again")


def _busybox(program: Path) -> Iterator[cpio.CpioEntry]:
    data = program.read_bytes()
    yield cpio.file("bin/busybox", data, executable=True)
    for name in applets(program):
        if name not in {"busybox", "init", "getty"}:
            yield cpio.link(f"bin/{name}", "busybox")


def _programs(programs: list[Path], roots: list[Path]) -> Iterator[cpio.CpioEntry]:
    for program in programs:
        yield cpio.file(f"usr/sbin/{program.name}", program.read_bytes(), executable=True)
    needed = libraries.closure(programs, roots)
    loader = Path(libraries.interpreter(programs[0])).name
    for soname, path in needed.items():
        if soname != loader:
            yield cpio.file(f"lib/{soname}", path.read_bytes(), executable=True)
    yield cpio.file(f"lib64/{loader}", needed[loader].read_bytes(), executable=True)


def _modules(recipe: MicroRecipe, kernel: Path) -> Iterator[cpio.CpioEntry]:
    root = kernel / "lib" if (kernel / "lib/modules").is_dir() else kernel / "usr/lib"
    releases = [p for p in sorted((root / "modules").iterdir()) if stat.S_ISDIR(p.stat().st_mode)]
    folder = f"lib/modules/{releases[0].name}"
    modules = kernel_modules.gather(releases[0] / "kernel", recipe.modules)
    for name, module in modules.items():
        yield cpio.file(f"{folder}/{name}.ko", module.data)
    yield cpio.file(f"{folder}/modules.dep", kernel_modules.dependency_table(modules).encode())
    for empty in ("modules.alias", "modules.symbols"):
        yield cpio.file(f"{folder}/{empty}", b"")
