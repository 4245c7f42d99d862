"""Put vmnet, its packages, manual pages and completion below a prefix, or take them away again.

tools/install.py install|uninstall PREFIX [--destdir FOLDER] [--wheels FOLDER] [--without NAME ...]
    [--python PROGRAM] [--no-compile]

PREFIX/lib/vmnet holds the Python packages of the wheels and vmnet's own, PREFIX/bin/vmnet starts
it. Wheels for several versions of Python may lie side by side. A list of all that has been made,
PREFIX/lib/vmnet/installed, is what `uninstall` goes by.
"""

import argparse
import compileall
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from zipfile import ZipFile

_REPOSITORY: Final = Path(__file__).parents[1]
_LIST: Final = "installed"
_LAUNCHER: Final = '''\
#!{python} -I
"""Runs the vmnet whose packages are in this folder, and no others of these names."""

import os
import sys

_FOLDER = os.path.dirname(os.path.realpath(__file__))
if sys.path[0] != _FOLDER:
    sys.path.insert(0, _FOLDER)

from provisioner.__main__ import main

if __name__ == "__main__":
    main()
'''


class Tree:
    """What is put below a prefix; each file and folder that was not there is noted."""

    def __init__(self, destdir: Path, prefix: Path) -> None:
        self.prefix = prefix
        self.root = destdir / prefix.relative_to("/")
        self.lib = self.root / "lib" / "vmnet"
        self.destdir = destdir
        self._made: list[Path] = []

    def folder(self, path: Path) -> Path:
        """Make a folder and those above it, readable for everybody."""
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o755)
            one.chmod(0o755)
            if one.is_relative_to(self.destdir) and one != self.destdir:
                self._made.append(one)
        return path

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file of PREFIX, whole or not at all."""
        path = self.folder((self.root / name).parent) / Path(name).name
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(content)
        new.chmod(mode)
        new.replace(path)
        self._made.append(path)

    def link(self, name: str, to: str) -> None:
        """Make a symbolic link in PREFIX, in place of what has its name."""
        path = self.folder((self.root / name).parent) / Path(name).name
        path.unlink(missing_ok=True)
        path.symlink_to(to)
        self._made.append(path)

    def note(self) -> None:
        """Write down what was made, for `uninstall`; what is in lib/vmnet goes with that folder."""
        names = (f"/{one.relative_to(self.destdir)}" for one in self._made if one != self.lib)
        kept = (name for name in names if not name.startswith(f"{self.prefix}/lib/vmnet/"))
        self.file(f"lib/vmnet/{_LIST}", "".join(f"{name}\n" for name in kept).encode())


def install(tree: Tree, wheels: Path, without: Sequence[str], python: str) -> None:
    """Put everything below the prefix; what an earlier vmnet had there goes first."""
    if (tree.lib / _LIST).exists():
        uninstall(tree)
    shutil.rmtree(tree.lib, ignore_errors=True)  # of an installation that was interrupted
    tree.folder(tree.lib)
    with tempfile.TemporaryDirectory(prefix="vmnet-install-") as name:
        work = Path(name)
        for wheel in [*sorted(wheels.glob("*.whl")), _own_wheel(work)]:
            if wheel.name.split("-")[0] not in without:
                unpack(wheel, tree.lib)
        tree.file("lib/vmnet/__main__.py", _LAUNCHER.format(python=python).encode(), 0o755)
        tree.link("bin/vmnet", "../lib/vmnet/__main__.py")
        subprocess.run(
            [sys.executable, "tools/manpages.py", work / "man"], check=True, cwd=_REPOSITORY
        )
        for page in sorted((work / "man").iterdir()):
            content = gzip.compress(page.read_bytes(), mtime=0)
            tree.file(f"share/man/man{page.suffix[1:]}/{page.name}.gz", content)
    for path, text in completion(tree.prefix):
        tree.file(path, text.encode())
    tree.note()


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the packages of a wheel, and what is known of them.

    Its programs and pages, which lie in .data, are left out; packages there need an installer.
    """
    with ZipFile(wheel) as opened:
        for name in opened.namelist():
            top, _, below = name.partition("/")
            if not top.endswith(".data"):
                opened.extract(name, folder)
                (folder / name).chmod(0o755 if name.endswith("/") else 0o644)
            elif below.startswith(("purelib/", "platlib/")):
                raise SystemExit(f"install: {wheel.name} has packages in .data: {name}")


def completion(prefix: Path) -> Iterator[tuple[str, str]]:
    """Return the files of completion by their paths in the prefix.

    zsh runs a file of its path as the function that completes, so that one calls what it defines.
    """
    from typer._completion_shared import get_completion_script

    def script(shell: str) -> str:
        made = get_completion_script(prog_name="vmnet", complete_var="_VMNET_COMPLETE", shell=shell)
        return f"{made}\n"

    zsh = "vendor-completions" if str(prefix) == "/usr" else "site-functions"
    yield "share/bash-completion/completions/vmnet", script("bash")
    yield f"share/zsh/{zsh}/_vmnet", f'{script("zsh")}_vmnet_completion "$@"\n'
    yield "share/fish/vendor_completions.d/vmnet.fish", script("fish")


def uninstall(tree: Tree) -> None:
    """Take away what the list names: files, and folders that it made and nothing else is in."""
    try:
        listed = (tree.lib / _LIST).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SystemExit(f"install: make install has put no vmnet below {tree.root}") from None
    paths = [tree.destdir / name.lstrip("/") for name in listed]
    for path in paths:
        if path.is_symlink() or path.is_file():
            path.unlink()
    shutil.rmtree(tree.lib)
    for path in sorted(paths, key=lambda one: len(one.parts), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _own_wheel(work: Path) -> Path:
    """Build vmnet's own wheel; nothing is asked of the network."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(work)]
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*argv, *options, str(_REPOSITORY)], check=True, cwd=work)
    (wheel,) = work.glob("*.whl")
    return wheel


def main() -> None:
    """Read the words of the command line and do what they say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=["install", "uninstall"])
    parser.add_argument("prefix", type=Path)
    parser.add_argument("--destdir", type=Path, default=Path("/"))
    parser.add_argument("--wheels", type=Path, default=Path(sys.prefix) / "wheels")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--python", default=str(Path(sys.executable).resolve()))
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    given = parser.parse_args()
    os.umask(0o022)
    if not given.prefix.is_absolute():
        raise SystemExit(f"install: PREFIX is not an absolute path: {given.prefix}")
    tree = Tree(given.destdir.absolute(), given.prefix)
    if given.action == "uninstall":
        uninstall(tree)
        return
    install(tree, given.wheels, given.without, given.python)
    if given.compiled:  # ahead of time: start-up counts, and not everybody may write there
        compileall.compile_dir(tree.lib, quiet=1, stripdir=given.destdir, workers=0)
    print(f"vmnet is installed: {tree.root / 'bin' / 'vmnet'}")


if __name__ == "__main__":
    main()
