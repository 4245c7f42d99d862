"""Ask apt for packages, fetch them and unpack them; none of it needs root."""

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.system import programs
from provisioner.pattern import pattern

_ASK_TIMEOUT_S = 60
_FETCH_TIMEOUT_S = 900
_UNPACK_TIMEOUT_S = 120
_UPDATE = "run apt-get update as root, then try again"
_OFFLINE = "check the network and the proxy of apt; if it says 404, run apt-get update as root"
_RECURSE = (
    *("depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"),
    *("--no-breaks", "--no-replaces", "--no-enhances"),
)
_LIBRARY = pattern(r"lib(?!perl)[a-z0-9.+-]+|zlib1g")
_DEPENDENCY = pattern(r"[ |]*(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]+)(?::\w+)?$")
_URI_LINE = pattern(r"'[^']*' (?P<file>\S+) \d+ (?P<hash>\S+)$")
_NO_SANDBOX = ("-o", "APT::Sandbox::User=root")  # root fetches into a folder of its own


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package at the version that apt would install now."""

    name: str
    version: str
    file: str
    hash: str


def require(what: str) -> None:
    """Raise VmnetError when this host cannot fetch packages for the guest, which is `what`."""
    if platform.machine() != "x86_64":
        raise VmnetError(
            f"{what} is made for amd64, this host is {platform.machine()}",
            fix="give the VMs an image or a kernel of your own",
        )
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if not programs.is_installed(program):
            raise VmnetError(
                f"{what} is made of Debian packages, and {program} is not installed",
                fix="use a Debian-like host, or give the VMs an image or a kernel of your own",
            )


def closure(kernel: str, names: Iterable[str]) -> tuple[str, list[str]]:
    """Return the kernel package that a metapackage stands for, and `names` with their libraries."""
    wanted = list(names)
    asked = programs.run(
        ["apt-cache", *_RECURSE, kernel, *wanted], timeout_s=_ASK_TIMEOUT_S, check=False
    )
    depends = _graph(asked.stdout)
    missing = [name for name in (kernel, *wanted) if name not in depends]
    if missing:
        raise VmnetError(f"apt knows no package {missing[0]}", fix=_UPDATE)
    real = next((n for n in depends[kernel] if n.startswith("linux-image-")), kernel)
    waiting, known = list(wanted), set(wanted)
    while waiting:
        libraries = {n for n in depends.get(waiting.pop(), []) if _LIBRARY.fullmatch(n)}
        waiting += libraries - known
        known |= libraries
    return real, sorted(known)


def candidates(names: Iterable[str]) -> list[Package]:
    """Return the versions that apt would fetch; nothing is fetched."""
    argv = ["apt-get", "--print-uris", "download", *names]
    return listed(programs.run(argv, timeout_s=_ASK_TIMEOUT_S, fix=_UPDATE).stdout)


def listed(uris: str) -> list[Package]:
    """Parse what apt prints for --print-uris."""
    found = []
    for line in uris.splitlines():
        if match := _URI_LINE.match(line):
            name, version, _ = match["file"].split("_", 2)
            found.append(Package(name, unquote(version), match["file"], match["hash"]))
    return sorted(found)


def digest(packages: Iterable[Package]) -> str:
    """Hash names, versions and contents."""
    text = "\n".join(f"{p.name} {p.version} {p.hash}" for p in packages)
    return hashlib.sha256(text.encode()).hexdigest()


def fetch(packages: Iterable[Package], folder: Path) -> list[Path]:
    """Fetch the packages into the folder; apt checks their hashes. Returns the files."""
    packages = list(packages)
    names = [f"{p.name}={p.version}" for p in packages]
    programs.run(
        ["apt-get", *_NO_SANDBOX, "--quiet", "download", *names],
        cwd=folder,
        timeout_s=_FETCH_TIMEOUT_S,
        fix=_OFFLINE,
    )
    return [folder / package.file for package in packages]


def unpack(deb: Path, folder: Path) -> None:
    """Unpack the files of a package into a new folder."""
    folder.mkdir(parents=True)
    programs.run(
        ["dpkg-deb", "--extract", str(deb), str(folder)],
        timeout_s=_UNPACK_TIMEOUT_S,
        fix="check the space on that disk",
    )


def _graph(listing: str) -> dict[str, list[str]]:
    """Parse `apt-cache depends`: a name, then its dependencies indented, without <virtual> ones."""
    graph: dict[str, list[str]] = {}
    current: list[str] = []
    for line in listing.splitlines():
        if match := _DEPENDENCY.match(line):
            current.append(match[1])
        elif line and not line[0].isspace() and not line.startswith("<"):
            current = graph.setdefault(line.partition(":")[0], [])
    return graph
