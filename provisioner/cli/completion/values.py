"""Words that only this host or a plan knows: plans, VMs, NICs, images, for completion.

A shell waits for them, so nothing heavy is imported, no worker is started, and what cannot be read
is no word. Whatever could surprise a shell or a terminal is left out.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from provisioner import naming
from provisioner.pattern import pattern
from provisioner.plan.choices import Mode

_PLAN_WORDS: Final = frozenset({"-f", "--file", "-p", "--plan"})
_NAME: Final = pattern(r"[a-z0-9][a-z0-9-]{0,62}")
_DEVICE: Final = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_IMAGE: Final = pattern(r"[a-z0-9][a-z0-9.-]{0,62}")
_IN_CATALOGUE: Final = pattern(r"^  - name: ([a-z0-9.-]+)$", re.MULTILINE)
_MOST_BYTES: Final = 1 << 20
_MOST_COUNT: Final = 1000


def of_kind(kind: str, before: Sequence[str]) -> list[str]:
    """Return the words of a kind; `before` are the words that stand before it."""
    found: Iterable[str] = ()
    match kind:
        case "plan":
            found = sorted(_plans())
        case "vm":
            found = _guests(before)
        case "nic":
            found = (*_guests(before), *_nics(before))
        case "uplink":
            found = _uplinks()
        case "image":
            found = sorted(_images())
        case "mode":
            found = map(str, Mode)
        case _:
            pass
    return list(found)


def _plans() -> Iterator[str]:
    """Return the plans that have a folder with a mark."""
    from provisioner.host.system import paths

    with suppress(OSError):
        for folder in paths.state().iterdir():
            if _NAME.fullmatch(folder.name) and (folder / ".vmnet").is_file():
                yield folder.name


def _images() -> set[str]:
    from importlib.resources import files

    from provisioner.host.system import paths

    found = {"micro"}
    with suppress(OSError):
        catalogue = files("provisioner").joinpath("images", "catalogue.yaml").read_text("utf-8")
        found |= set(_IN_CATALOGUE.findall(catalogue))
    for store in (paths.store(), paths.shared_store()):
        with suppress(OSError):
            found |= {one.name.removesuffix(".json") for one in (store / "names").iterdir()}
    return {name for name in found if _IMAGE.fullmatch(name)}


def _uplinks() -> list[str]:
    from socket import if_nameindex

    names = [name for _, name in if_nameindex() if name != "lo"]
    return [name for name in names if _DEVICE.fullmatch(name) and not _is_ours(name)]


def _is_ours(name: str) -> bool:
    kind = naming.KINDS.get(name[:3], "")
    return naming.are_ours(name, kind) or naming.is_wire(name, kind)


def _guests(before: Sequence[str]) -> Iterator[str]:
    for name, entry in _vms(before).items():
        yield from _numbered(name, entry)


def _nics(before: Sequence[str]) -> Iterator[str]:
    for name, entry in _vms(before).items():
        given = entry.get("nics", ()) if isinstance(entry, dict) else ()
        for nic in given if isinstance(given, list) else [given]:
            network = nic.get("network") if isinstance(nic, dict) else nic
            if isinstance(network, str) and _NAME.fullmatch(network):
                yield from (f"{vm}.{network}" for vm in _numbered(name, entry))


def _numbered(name: str, entry: Any) -> Iterator[str]:  # noqa: ANN401  (of a file that nobody has judged)
    count = entry.get("count") if isinstance(entry, dict) else None
    if not _NAME.fullmatch(name):
        return
    if count is None:
        yield name
    elif isinstance(count, str) and count.isdecimal():
        yield from (f"{name}{n}" for n in range(1, min(int(count), _MOST_COUNT) + 1))


def _vms(before: Sequence[str]) -> Mapping[str, Any]:
    """Return the `vms` of the plan that the words name, of several files the sum."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    found: dict[str, Any] = {}
    for path in _files(before):
        with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
            if not path.is_file() or path.stat().st_size > _MOST_BYTES:
                continue
            plan = yaml.load(path.read_text("utf-8"), Loader=loader)  # noqa: S506  (text alone)
            vms = plan.get("vms") if isinstance(plan, dict) else None
            named = vms.items() if isinstance(vms, dict) else ()
            found |= {key: value for key, value in named if isinstance(key, str)}
    return found


def _files(before: Sequence[str]) -> list[Path]:
    pairs = list(pairwise(before))
    if named := [word for option, word in pairs if option in _PLAN_WORDS]:
        return [Path(word).expanduser() for word in named]
    for option, word in pairs:
        if option == "--name" and _NAME.fullmatch(word):
            return _file_of(word)
    if given := [word for word in before if word.endswith((".yaml", ".yml"))]:
        return [Path(word).expanduser() for word in given]
    if implied := os.environ.get("VMNET_FILE"):
        return [Path(word) for word in implied.split(os.pathsep)]
    return [Path("vmnet.yaml"), Path("vmnet.yml")]


def _file_of(plan: str) -> list[Path]:
    """Return the file that a plan was brought up from, as the mark of its folder has it."""
    from provisioner.host.system import paths

    with suppress(OSError, UnicodeDecodeError):
        for line in (paths.home(plan) / ".vmnet").read_text("utf-8").splitlines():
            if line.startswith("file: "):
                return [Path(line.removeprefix("file: "))]
    return []
