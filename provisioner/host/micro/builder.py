"""Build the micro image from Debian's packages, once for a recipe and a set of versions."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.micro import bzimage, image, initrd, packages, recipe
from provisioner.host.micro.image import Image
from provisioner.host.micro.packages import Package

_MIB = 1 << 20
_NEEDED_MIB = 256  # the packages, unpacked, and the image made of them
_SPACE_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def build(cache: Path, say: Callable[[str], None]) -> Image:
    """Give the image of the current recipe and package versions, building it when there is none.

    Needs apt, its package lists and the network, but not root. Several may build at once: one
    does, the others wait and find it. Raises VmnetError when the host cannot; nothing is left then.
    """
    packages.demand()
    told = recipe.read()
    with _disk_errors(cache), _lock(cache, say):
        kernel_name, names = packages.closure(told.kernel_package, told.packages)
        wanted = packages.candidates([kernel_name, *names])
        name = image.folder_name(recipe.digest(), _digest(wanted))
        final = cache / "images" / name
        if there := image.load(final):
            say(f"the micro image is up to date: {final}")
            return there
        _demand_space(cache)
        with _workshop(cache) as room:
            _bake(room, told, kernel_name, wanted, say)
            _put_in_place(room / "image", final)
    done = image.load(final)
    if done is None:
        raise VmnetError(f"the image in {final} was damaged as it was built", fix="build it again")
    say(f"built the micro image: {final}")
    return done


def _bake(
    room: Path,
    told: recipe.Recipe,
    kernel_name: str,
    wanted: list[Package],
    say: Callable[[str], None],
) -> None:
    say(f"fetching {len(wanted)} Debian packages for the micro image")
    roots = {}
    for package, deb in zip(wanted, packages.fetch(wanted, room), strict=True):
        roots[package.name] = room / "root" / package.name
        packages.unpack(deb, roots[package.name])
        deb.unlink()
    say("packing the kernel and the initrd")
    kernel = roots.pop(kernel_name)
    archive = initrd.assemble(told, recipe.rootfs(), kernel, list(roots.values()))
    kernel_file, content = _kernel(kernel, say)
    out = room / "image"
    out.mkdir(mode=0o755)
    outputs = {
        "kernel": _written(out / kernel_file, content),
        "initrd": _written(out / "initrd", archive),
    }
    manifest = {
        **outputs,
        "cmdline": told.cmdline,
        "digest": _hashed(f"{outputs}{told.cmdline}".encode()),
        "min_memory_mib": told.min_memory_mib,
        "packages": {p.name: p.version for p in wanted},
    }
    _written(out / image.MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def _kernel(package: Path, say: Callable[[str], None]) -> tuple[str, bytes]:
    found = sorted((package / "boot").glob("vmlinuz-*"))
    if not found:
        raise VmnetError("the kernel package has no boot/vmlinuz", fix="run apt-get update")
    content = found[0].read_bytes()
    try:
        return "vmlinux", bzimage.vmlinux(content)
    except VmnetError as error:
        say(f"{error.what}: guests will boot it as it is, about 0.4 s slower")
        return "vmlinuz", content


def _written(path: Path, content: bytes) -> dict[str, str | int]:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fchmod(stream.fileno(), 0o644)
        os.fsync(stream.fileno())
    return {"name": path.name, "size": len(content), "sha256": _hashed(content)}


def _put_in_place(made: Path, final: Path) -> None:
    """Let the whole folder appear at once; a damaged one of that name gives way."""
    made.chmod(0o755)
    _flushed(made)
    if final.exists():
        final.rename(made.parent / "damaged")
    made.rename(final)
    _flushed(final.parent)


def _flushed(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    """Give a folder to work in, on the cache's own disk, gone afterwards whatever happens."""
    for left in (cache / "images").glob("work-*"):  # of a builder that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=cache / "images") as name:
        yield Path(name)


@contextmanager
def _lock(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let one builder work at a time; the lock dies with its holder."""
    folder = cache / "images"
    for made in (cache, folder):
        if not made.is_dir():
            made.mkdir(parents=True, exist_ok=True)
            made.chmod(0o755)  # QEMU, another user, must come through
    handle = os.open(folder / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another vmnet that builds the micro image")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(cache: Path) -> Iterator[None]:
    """Tell what the disk refused in words the user can act on."""
    try:
        yield
    except OSError as error:
        where = error.filename or cache
        if error.errno in _SPACE_FULL:
            raise _full(cache, where) from error
        raise VmnetError(
            f"cannot write the cache: {where}: {error.strerror}",
            fix=f"make {cache} writable for you, or name another cache folder",
        ) from error


def _demand_space(cache: Path) -> None:
    """Say it before a long download, and not with the words of one of the programs we run."""
    if shutil.disk_usage(cache).free < _NEEDED_MIB * _MIB:
        raise _full(cache, cache)


def _full(cache: Path, where: str | Path) -> VmnetError:
    free = shutil.disk_usage(cache).free // _MIB
    return VmnetError(
        f"the disk is full: {where} ({free} MiB free)",
        fix=f"make room for {_NEEDED_MIB} MiB in {cache}, or name another cache folder",
    )


def _digest(wanted: list[Package]) -> str:
    return _hashed("\n".join(f"{p.name} {p.version} {p.hash}" for p in wanted).encode())


def _hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
