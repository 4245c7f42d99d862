"""Find the shared libraries that a program needs, among unpacked packages."""

from collections.abc import Iterable
from pathlib import Path

from provisioner.errors import VmnetError

_FOLDERS = (
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib",
    "usr/lib",
    "lib64",
    "usr/lib64",
)


def closure(programs: Iterable[Path], roots: Iterable[Path]) -> dict[str, Path]:
    """Return the file of every library the programs need, directly or through another, by soname.

    `roots` are the folders that packages were unpacked into. Raises VmnetError when one is missing.
    """
    roots = sorted(roots)
    found: dict[str, Path] = {}
    waiting = list(programs)
    while waiting:
        for soname in _needed(waiting.pop()):
            if soname not in found:
                found[soname] = _library(soname, roots)
                waiting.append(found[soname])
    return found


def interpreter(program: Path) -> str:
    """Return the path of the dynamic loader that the program names; empty for a static one."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.segments import InterpSegment

    with program.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments():
            if isinstance(segment, InterpSegment):
                return str(segment.get_interp_name())
    return ""


def _needed(elf: Path) -> list[str]:
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        dynamic = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(dynamic, DynamicSection):
            return []
        # The attribute is made while the tag is read; the stubs do not know it.
        return [str(vars(tag)["needed"]) for tag in dynamic.iter_tags("DT_NEEDED")]


def _library(soname: str, roots: list[Path]) -> Path:
    for root in roots:
        for folder in _FOLDERS:
            path = root / folder / soname
            if path.is_file():
                return path.resolve()
    raise VmnetError(
        f"no package brought the library {soname}",
        fix="run apt-get update and try again; if it stays, report it with your Debian release",
    )
