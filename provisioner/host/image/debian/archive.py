"""The host's own package sources for one release of Debian, and what they would install now."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from provisioner.dataclass import dataclass
from provisioner.errors import VmnetError
from provisioner.host.image import packages
from provisioner.host.image.debian.recipe import DebianRecipe
from provisioner.host.image.packages import Package
from provisioner.host.system import programs
from provisioner.pattern import pattern

_TIMEOUT_S = 120
_FETCH_TIMEOUT_S = 600
_FIELDS = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CODENAME)|$(FILENAME)"
_ASK = ("apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages", "Origin: Debian")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_BASE = ("?essential", "?priority(required)", "apt")  # what mmdebstrap calls minbase
_HANDED_ON = pattern(r"Acquire::(?:https?|ftp)::[^\n]*Proxy[^\n]*|Acquire::Retries [^\n]*")


@dataclass(frozen=True, slots=True)
class Archive:
    """`sources` is a sources.list; `lists` are the files that apt has fetched for it.

    `options` are settings with which apt finds these lists, where they are not the host's own.
    """

    sources: str
    lists: tuple[Path, ...]
    options: tuple[str, ...] = ()


def of(recipe: DebianRecipe) -> Archive:
    """Return what this host's apt knows of a release: itself, its updates, its security updates.

    Third parties' packages are left out, and other releases. Raises VmnetError when it knows none.
    """
    found = read(programs.run(_ASK, timeout_s=_TIMEOUT_S).stdout, recipe.suite, signed_by=_KEYRING)
    if not found.lists:
        raise VmnetError(
            f"apt has no package lists of {recipe.title} ({recipe.suite})",
            fix=f"name a mirror that has it: vmnet image build {recipe.name} --mirror URI, or give"
            f" apt a source of Debian {recipe.suite} main and run apt-get update as root",
        )
    return found


def fetched(recipe: DebianRecipe, mirrors: Sequence[str], folder: Path) -> Archive:
    """Fetch the lists of a release from the mirrors that were named, into the folder.

    A mirror of security updates is one whose address ends in "-security". The host's own lists and
    sources are left alone. Raises VmnetError when a mirror does not have the release.
    """
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    sources = [
        f"deb {signed}{uri} {suite} main\n" for uri in mirrors for suite in _suites_of(uri, recipe)
    ]
    (folder / "mirror.list").write_text("".join(sources))
    (folder / "lists" / "partial").mkdir(parents=True)
    settings = {
        "Dir::State::lists": folder / "lists",
        "APT::Sandbox::User": "root",  # the folder is root's alone
        "APT::Update::Error-Mode": "any",
    }
    options = _options(folder / "mirror.list", settings)
    programs.run(
        ["apt-get", *options, "--quiet", "update"],
        timeout_s=_FETCH_TIMEOUT_S,
        fix=f"see that {', '.join(mirrors)} has {recipe.suite}, and that this host reaches it",
    )
    targets = programs.run([*_ASK[:1], *options, *_ASK[1:]], timeout_s=_TIMEOUT_S).stdout
    lists = tuple(sorted(path for path in (folder / "lists").iterdir() if path.is_file()))
    found = read(targets, recipe.suite, signed_by=_KEYRING)
    return Archive(found.sources, lists, options)


def _options(sources: Path, settings: Mapping[str, object]) -> tuple[str, ...]:
    """Return options of apt with which it knows these sources and no others."""
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        **settings,
    }
    return tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))


def _suites_of(uri: str, recipe: DebianRecipe) -> tuple[str, ...]:
    if uri.rstrip("/").endswith("-security"):
        return (f"{recipe.suite}-security",)
    return (recipe.suite, f"{recipe.suite}-updates")


def read(targets: str, suite: str, *, signed_by: Path) -> Archive:
    """Choose the sources of one release among the index targets that apt names."""
    signed = f"[signed-by={signed_by}] " if signed_by.exists() else ""
    sources, lists = [], set()
    for line in targets.splitlines():
        uri, release, component, codename, file = line.split("|")
        if codename in {suite, f"{suite}-updates", f"{suite}-security"}:
            sources.append(f"deb {signed}{uri.rstrip('/')} {release} {component}\n")
            path = Path(file)
            beginning = path.name.partition(f"_{component.replace('/', '_')}_binary-")[0]
            lists |= {path, *path.parent.glob(f"{beginning}_InRelease")}
            lists |= set(path.parent.glob(f"{beginning}_Release*"))
    return Archive("".join(dict.fromkeys(sources)), tuple(sorted(lists)))


def versions(archive: Archive, names: Iterable[str], folder: Path) -> list[Package]:
    """Return what an empty machine would get for these names; nothing is fetched.

    Only the archive's sources count, neither what is installed here nor what is preferred here.
    """
    (folder / "empty").mkdir()
    (folder / "status").touch()
    (folder / "sources.list").write_text(archive.sources)
    settings = {
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::status": folder / "status",
        "Dir::State::extended_states": folder / "states",
        "Dir::Cache::archives": folder / "empty",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    options = (*archive.options, *_options(folder / "sources.list", settings))
    argv = ["apt-get", "--print-uris", *options, "--yes", "install", *_BASE, *names]
    planned = programs.run(
        argv, timeout_s=_TIMEOUT_S, fix="run apt-get update as root, then try again"
    )
    return packages.listed(planned.stdout)


def transport() -> list[str]:
    """Return how apt reaches its sources (proxies, retries), as lines of an apt.conf."""
    settings = programs.run(["apt-config", "dump", "Acquire"], timeout_s=_TIMEOUT_S)
    return [line.rstrip(";") for line in settings.stdout.splitlines() if _HANDED_ON.match(line)]
