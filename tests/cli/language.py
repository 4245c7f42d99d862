"""Judge pieces of vmnet's two languages, the command line and the plan, by their real readers.

Nothing is run. A piece that is wrong gives a complaint; one that is right gives "".
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import BaseModel

from provisioner.cli.app import built
from provisioner.errors import Complaints
from provisioner.plan.load.loader import load
from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from provisioner.plan.vm import Disk, File

HOUSE: Final = Path(__file__).parents[2]
_USAGE: Any = typer.BadParameter.__bases__[0]
_ROOT: Any = typer.main.get_command(built())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROSE: Final = _words(
    "a about and can cannot does first for from given has if in is itself kills knows makes "
    "may needs never of on only puts reads runs says starts takes tells that then to wants "
    "was with derives refuses through which while work works would there as"
)
"""Words after "vmnet" in sentences about it: no commands."""
METAVARS: Final = {"MODE": "bridge", "N": "1", "SECONDS": "5", "NUMBER": "1"}
"""What stands for the value of an option whose values are not free."""
FOREIGN: Final = frozenset(
    {
        "--conf-file",
        "--pid-file",
        "--dhcp-leasefile",
        "--device",
        "--device-cgroup-rule",
        "--cap-add",
        "--privileged",
        "--check",
        "--no-security-group",
    }
    | {"--no-security-group", "--disable-port-security", "--nic-promisc1", "--batch", "--reload"}
)
"""Options of other programs that texts name alone."""
WORDS: Final = _words(
    "web web1 db db1 lab lan micro debian host gateway nas a b g1 g2 eno1 eth0 root bridge "
    "source private vepa passthru agent ssh up down ssh-config all sample uefi bios"
)
"""Plain words that texts give to commands as arguments, other than words of a sentence."""


# --- the command line ---------------------------------------------------------------------------


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name), command
        yield from _commands(command, (*path, name))


COMMANDS: Final = dict(_commands(_ROOT))


@cache
def options() -> frozenset[str]:
    """Return every option that any command of vmnet has."""
    of_all = [p for command in (_ROOT, *COMMANDS.values()) for p in command.params]
    named = {word for p in of_all for word in (*p.opts, *p.secondary_opts)}
    return frozenset(named | {"--help", "-h", "--install-completion", "--show-completion"})


def refused(words: list[str]) -> str:
    """Return why the command line `vmnet WORDS` is refused, "" when its real parser takes it."""
    command, name, parent = _ROOT, "vmnet", None
    if words and words[-1] in {"--version", "--install-completion", "--show-completion", "--help"}:
        return ""  # they would act at once
    if not words or hasattr(COMMANDS.get(tuple(words)), "resolve_command"):
        return "Missing command."
    try:
        while True:
            context = command.make_context(name, list(words), parent=parent)
            if not hasattr(command, "resolve_command"):
                return _unknown(words, command)
            rest = [*context._protected_args, *context.args]
            name, command, words = command.resolve_command(context, rest)
            parent = context
    except _USAGE as error:
        return str(error.format_message())
    except typer.Exit:
        return ""  # --help


def _unknown(words: list[str], command: Any) -> str:  # noqa: ANN401
    """Find options that a command lets pass unread, before its own words begin."""
    known = {word for p in command.params for word in (*p.opts, *p.secondary_opts)} | {
        "-h",
        "--help",
    }
    for word in words:
        if word == "--":
            break
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known:
            return f"no such option: {word}"
    return ""


def command_in(text: str, *, strict: bool) -> tuple[str, str] | None:
    """Cut the command out of a text that begins behind "vmnet "; give it and why it is wrong.

    It ends at punctuation, or where the words become a sentence. None where the text is prose.
    What is only named, as in "vmnet net rm takes them away", needs no arguments; unless `strict`,
    neither does the rest.
    """
    piece = re.split(r"[;,)`|\n]|\.(?:\s|$)|: | \(| > | # ", text, maxsplit=1)[0].strip()
    tokens = [re.sub("^…$", "X", token) for token in _split(piece)]
    if tokens[:1] == ["-H"]:  # the rest is a command line of that host
        tokens = tokens[2:]
    path: tuple[str, ...] = ()
    while len(path) < len(tokens) and (*path, tokens[len(path)]) in COMMANDS:
        path = (*path, tokens[len(path)])
    if not tokens or (not path and not tokens[0].startswith("-")):
        is_word = bool(tokens) and re.fullmatch(r"[a-z][a-z-]*", tokens[0])
        if not strict or not is_word or tokens[0] in PROSE:
            return None
        return tokens[0], f'there is no command "{tokens[0]}"'
    words = list(path) + _arguments(tokens[len(path) :], path, strict=strict)
    is_named = tuple(words) == path or len(words) < len(tokens)
    why = refused(words)
    if (is_named or not strict) and re.match("Missing|Option .* requires", why):
        why = ""
    return " ".join(words), why


def _split(piece: str) -> list[str]:
    try:
        return shlex.split(piece)
    except ValueError:
        return piece.split()


def _arguments(tokens: list[str], path: tuple[str, ...], *, strict: bool) -> list[str]:
    """Take the arguments off the head of what may become a sentence."""
    command = COMMANDS.get(path, _ROOT)
    valued = {x for p in command.params if not getattr(p, "is_flag", True) for x in p.opts}
    taken: list[str] = []
    if strict and path and hasattr(command, "resolve_command"):
        taken = [token for token in tokens[:1] if token not in PROSE]  # it must be a command
    for token in tokens[len(taken) :]:
        is_value = bool(taken) and taken[-1] in valued
        is_word = re.fullmatch(r"[a-z']+", token) and token not in WORDS
        if is_word and not is_value and "--" not in taken:
            break
        taken.append(METAVARS.get(token, token) if is_value else token)
    return taken


def commands_in(text: str, *, strict: bool = False) -> Iterator[tuple[str, str]]:
    """Find every command of vmnet in a text: each, and why it is wrong or ""."""
    for found in re.finditer(r"(?<![\w./:-])vmnet (?=[\w-])", text):
        before = text[: found.start()].rstrip(" ")
        begins = not before or re.search(r"[:;,`(=]$|\b(run|sudo|or|and|then|with|say|in)$", before)
        if judged := command_in(text[found.end() :], strict=strict and bool(begins)):
            yield judged


# --- the plan -----------------------------------------------------------------------------------

MODELS: Final[dict[str, type[BaseModel]]] = {
    "plan": Plan, "network": Network, "switch": Switch, "vm": Vm, "nic": Nic, "disk": Disk,
    "file": File,
}  # fmt: skip
KEYS: Final = {
    home: {field.alias or name for name, field in model.model_fields.items()}
    for home, model in MODELS.items()
}
KEYS["vm"].add("count")
_LAN: Final = "lan: {uplink: eno1, subnet: 10.0.0.0/24}"
_NETWORKS: Final = (
    "uplink: eno1, subnet: 10.77.0.0/24",
    "switch: true, subnet: [10.77.0.0/24, 'fd77::/64']",
    "uplink: eno1",
    "uplink: eno1, mode: passthru",
    "uplink: eno1, mode: source, allow: [host]",
    "subnet: 10.77.0.0/24",
    "subnet: 'fd77::/64', switch: {dhcp: true}",
    "",
)
"""What a network may say besides."""
_VMS: Final = (
    "",
    "image: debian-12",
    "kernel: ./vmlinuz",
    "image: none, kernel: ./vmlinuz",
    "template: ./web.xml.j2",
)
"""What a VM may say besides its NICs."""
_DISKS: Final = ("", "path: d.img", "path: d.img, format: raw")
_FILES: Final = ("path: /etc/x", "path: /etc/x, content: x")
_NICS: Final = ("network: lan", "network: lan, mode: passthru", "network: lan, mode: source")
_VM: Final = "web: {nics: [lan]}, web1: {nics: [lan]}"


def _plan(networks: str = _LAN, vms: str = _VM, **more: str) -> str:
    rest = "".join(f"\n{key}: {value}" for key, value in more.items())
    return f"name: lab\nnetworks: {{{networks}}}\nvms: {{{vms}}}{rest}"


def _with(bases: Iterable[str], key: str, value: str) -> Iterator[str]:
    """Add `key: value` to each of the bases, in place of what that says of the key."""
    for base in bases:
        pairs = [p for p in re.split(r", (?=[a-z_]+: )", base) if p and not p.startswith(f"{key}:")]
        yield ", ".join([*pairs, f"{key}: {value}"])


def places_of(key: str, value: str) -> Iterator[str]:
    """Give plans with `key: value` at every place that the model has for it, as whole texts.

    A mapping alone has the key "".
    """
    if key in KEYS["plan"]:
        parts = {"networks": _LAN, "vms": _VM} | ({key: value[1:-1]} if value[0] == "{" else {})
        rest = {} if key in {"networks", "vms", "name"} else {key: value}
        yield _plan(**parts, **rest) if key in {"networks", "vms"} else _plan(**rest)
    if key in KEYS["network"]:
        for network in _with(_NETWORKS, key, value):
            yield _plan(f"lan: {{{network}}}")
            yield _plan(f"lan: {{{network}}}", "web: {nics: [lan], image: debian-12}")
    if key in KEYS["switch"]:
        yield _plan(f"lan: {{subnet: 10.77.0.0/24, switch: {{{key}: {value}}}}}")
    for vm in _vms_with(key, value):
        yield _plan(vms=f"web: {{{vm}}}, web1: {{nics: [lan]}}")
        yield _plan(vms=f"web: {{{vm}}}")
    if key in KEYS["vm"] - {"nics", "count"}:
        yield _plan(defaults=f"{{{key}: {value}}}")
    if not any(key in keys for keys in KEYS.values()):
        yield from _entries(key, value)


def _vms_with(key: str, value: str) -> Iterator[str]:
    if key in KEYS["vm"]:
        yield from _with((f"nics: [lan], {base}".rstrip(", ") for base in _VMS), key, value)
    for name, bases in {"disk": _DISKS, "file": _FILES, "nic": _NICS}.items():
        for entry in _with(bases, key, value) if key in KEYS[name] else ():
            yield f"{name}s: [{{{entry}}}]" + ("" if name == "nic" else ", nics: [lan]")


def _entries(key: str, value: str) -> Iterator[str]:
    """Give plans with an entry that bears a name of the user's, or none."""
    named = f"{key or 'x'}: {value}"
    yield _plan(hosts=f"{{{named}}}")
    if value.startswith("{"):
        for vms in ("web: {{nics: [{0}]}}", "web: {{nics: [{0}]}}, web1: {{nics: [{0}]}}"):
            yield _plan(named, vms.format(key or "x"))
        yield _plan(vms=named)
        for list_of in ("disks", "files"):
            yield _plan(vms=f"web: {{nics: [lan], {list_of}: [{value}]}}")
        yield _plan(vms=f"web: {{nics: [{value}]}}")


def not_loaded(key: str, value: str) -> str:
    """Return why no plan with `key: value` loads at any of its places, "" when one does."""
    why = []
    for text in places_of(key, value):
        try:
            load(text, "p")
        except Complaints as refusal:
            why += [error.what for error in refusal.errors]
        else:
            return ""
    if key and value[0] != "{" and not any(key in keys for keys in KEYS.values()):
        return f'a plan has no key "{key}"'
    return "; ".join(dict.fromkeys(why))


_BEFORE: Final = ("write", "use", "or", "and", "with", "in", "without", "say", "into", "read")
_PAIR: Final = re.compile(
    r"(?:^|(?<=\n)|(?<=[:;,(`]) |(?<=[(`])|"
    + "|".join(rf"(?<=\b{word} )" for word in _BEFORE)
    + r")(?:([a-z_]+): (?=\S)|(?=\{))"
)
"""Where a key of a plan may stand in a sentence."""
_PROGRAM: Final = re.compile(
    r"(vmnet|sudo|ip|apt-get|modprobe|sysctl|nft|kill|ls|ps|ss|openssl|chown|rm|nmcli|tcpdump)\b"
)
ENGLISH: Final = _words(
    "look see then it them agent plans that there way first instead once note or often "
    "libvirt nics here images systems allowed sentence digests bond key values elsewhere "
    "docker nothing multicast most micro auto"
)
"""Words of a sentence that stand before a colon where a key of a plan could stand."""


def pairs_in(text: str) -> Iterator[tuple[str, str]]:
    """Find what a text says as a plan does, `key: value` or `{…}`; it ends as in YAML."""
    at = 0
    while found := _PAIR.search(text, at):
        key, at = found[1] or "", max(found.end(), at + 1)
        rest = text[found.end() :]
        if key in ENGLISH or _PROGRAM.match(rest) or rest.startswith("…"):
            continue
        value = _bracketed(rest) or re.match(r"'[^']*'|\"[^\"]*\"|[^\s,;)`}]*", rest)[0]  # type: ignore[index]
        at = found.end() + max(len(value), 1)
        if (value := value.rstrip(".:")) and value != "{key: value}":
            yield key, value


def _bracketed(text: str) -> str:
    if text[0] not in "{[":
        return ""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "{[") - (letter in "}]")
        if depth == 0:
            return text[: at + 1]
    return ""
