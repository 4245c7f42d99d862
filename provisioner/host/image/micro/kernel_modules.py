"""Gather kernel modules with what they depend on, made small and quick to load."""

import gzip
import lzma
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.pattern import pattern

_SIGNATURE = b"~Module signature appended~\n"
_SIGNATURE_INFO = 12
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
}
_DEPENDS = pattern(rb"\0depends=([^\0]*)\0")


@dataclass(frozen=True, slots=True)
class Module:
    """One module, its name written with underscores as the kernel does."""

    name: str
    data: bytes
    depends: tuple[str, ...]


def gather(folder: Path, names: Iterable[str]) -> dict[str, Module]:
    """Return the named modules and all that they depend on, in an order in which they load.

    `folder` is lib/modules/RELEASE/kernel. A name that has no file is taken to be built into the
    kernel when modules.builtin beside the folder says so. Raises VmnetError for any other.
    """
    files = {_canonical(p.name.partition(".ko")[0]): p for p in sorted(folder.rglob("*.ko*"))}
    built_in = _built_in(folder.parent / "modules.builtin")
    gathered: dict[str, Module] = {}

    def visit(name: str) -> None:
        if name in gathered or name in built_in:
            return
        if name not in files:
            raise VmnetError(
                f"the kernel package has no module {name}",
                fix="use a Debian release that this vmnet knows",
            )
        data = _without_signature(_unpacked(files[name]))
        depends = _depends(data)
        for other in depends:
            visit(other)
        gathered[name] = Module(name, data, tuple(d for d in depends if d in gathered))

    for name in names:
        visit(_canonical(name))
    return gathered


def dependency_table(modules: Mapping[str, Module]) -> str:
    """Return modules.dep as modprobe reads it: after the colon, the last is loaded first."""
    lines = []
    for name in modules:
        wanted = list(reversed(_all_depends(modules, name)))
        lines.append(f"{name}.ko:" + "".join(f" {other}.ko" for other in wanted) + "\n")
    return "".join(lines)


def _all_depends(modules: Mapping[str, Module], name: str) -> list[str]:
    ordered: list[str] = []
    for other in modules[name].depends:
        ordered += [n for n in (*_all_depends(modules, other), other) if n not in ordered]
    return ordered


def _canonical(name: str) -> str:
    return name.replace("-", "_")


def _built_in(listing: Path) -> frozenset[str]:
    if not listing.is_file():
        return frozenset()
    return frozenset(_canonical(Path(line).stem) for line in listing.read_text().splitlines())


def _depends(module: bytes) -> tuple[str, ...]:
    match = _DEPENDS.search(module)
    listed = match[1].decode() if match else ""
    return tuple(_canonical(name) for name in listed.split(",") if name)


def _unpacked(path: Path) -> bytes:
    if path.suffix not in _UNPACK:
        raise VmnetError(
            f"cannot unpack the kernel module {path.name}",
            fix="use a Debian release whose kernel modules are plain, xz or gzip",
        )
    return _UNPACK[path.suffix](path.read_bytes())


def _without_signature(module: bytes) -> bytes:
    """Cut the signature off: checking it costs a guest under TCG 0.1 s, and nobody asks for it."""
    if not module.endswith(_SIGNATURE):
        return module
    body = len(module) - len(_SIGNATURE)
    size = int.from_bytes(module[body - 4 : body], "big")
    return module[: body - _SIGNATURE_INFO - size]
