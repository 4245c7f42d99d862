"""User-data of the user's own: which kind it is, whether it holds, how ours is merged into it."""

from __future__ import annotations

import base64
from dataclasses import field
from datetime import date, datetime
from typing import TYPE_CHECKING

from provisioner.dataclass import dataclass
from provisioner.plan.load import yaml_tree
from provisioner.plan.load.yaml_tree import Mapping as MappingNode
from provisioner.plan.load.yaml_tree import Scalar, Sequence
from provisioner.source_text import Source, complaint
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.mime.text import MIMEText

    from provisioner.errors import VmnetError
    from provisioner.plan.load.yaml_tree import Node

MOST_BYTES = 512 * 1024

CLOUD_CONFIG = "cloud-config"
MIME = "mime"
_KINDS = {
    "#cloud-config-archive": "cloud-config-archive",
    "#cloud-config-jsonp": "cloud-config-jsonp",
    "#cloud-config": CLOUD_CONFIG,
    "#cloud-boothook": "cloud-boothook",
    "#part-handler": "part-handler",
    "#include-once": "x-include-once-url",
    "#include": "x-include-url",
    "## template: jinja": "jinja2",
    "#!": "x-shellscript",
    "content-type:": MIME,
    "mime-version:": MIME,
}
"""How a file begins, and its kind; what begins with another's beginning stands before it."""

_LISTS = ("ssh_authorized_keys", "users", "packages", "write_files", "runcmd")
"""What vmnet adds to: the user's own must be lists, too."""


@dataclass(frozen=True, slots=True)
class Own:
    """User-data of the user's own: `kind` is cloud-init's, the subtype of its text/… in MIME.

    `config` is the content of a `cloud-config`; None for every other kind.
    """

    kind: str
    text: str = field(repr=False)
    config: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """Files by the path as the plan writes it, and the hashes of passwords in the clear, by VM."""

    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    own: Mapping[str, Own] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(text: str, file: str) -> tuple[Own | None, list[VmnetError]]:
    """Check the text of a `cloud_init` file; complaints carry its lines, None goes with some."""
    text = text.removeprefix("\ufeff")
    beginning = text[:64].lower()
    kind = next((kind for start, kind in _KINDS.items() if beginning.startswith(start)), "")
    source = Source(file, text)
    if not kind:
        # The line is not shown: this may be any file, and hold anybody's secrets.
        where = Source(file, "").where(0, 0)
        what = "this is not user-data that cloud-init knows: its first line does not say what it is"
        fix = "begin it with #cloud-config, #!/bin/sh, #include or ## template: jinja"
        return None, [complaint(where, what, fix)]
    if kind == CLOUD_CONFIG:
        return _config(source)
    found = list(_controls(source)) or (_mime(source) if kind == MIME else [])
    return (None, found) if found else (Own(kind, text), [])


def _controls(source: Source) -> Iterator[VmnetError]:
    for number, line in enumerate(source.lines):
        for column, character in enumerate(line):
            if (ord(character) < ord(" ") and character not in "\t\f") or character == "\x7f":
                what = f"the control character {one_line(character)} stands here"
                yield complaint(source.where(number, column), what, "delete it")
                return


def _mime(source: Source) -> list[VmnetError]:
    from email import message_from_string

    message = message_from_string(source.text)
    if message.is_multipart() and not message.defects:
        return []
    what = "this is not a complete MIME multi-part archive"
    return [complaint(source.where(0, 0), what, "make it with: cloud-init devel make-mime")]


def _config(source: Source) -> tuple[Own | None, list[VmnetError]]:
    """Read a cloud-config as strictly as a plan, and its values as cloud-init itself types them."""
    import yaml

    root, found = yaml_tree.read(source)
    if not found and isinstance(root, MappingNode):
        found = list(_unfit(root))
    elif not found and root is not None:
        what = "a cloud-config is made of keys and values"
        found = [complaint(root.where, what, "write keys and values: packages: [nginx]")]
    if found:
        return None, found
    try:
        config = _plain(yaml.safe_load(source.text) or {})
    except (ValueError, yaml.YAMLError) as error:  # 2024-13-40 looks like a date and is not one
        what = f"a value cannot be read: {one_line(str(error))}"
        return None, [complaint(source.where(0, 0), what, "put it in quotes")]
    if not _comes_back(config):
        what = "a key or a value here is not text, a number, true or false"
        return None, [complaint(source.where(0, 0), what, "put keys such as on: and 1: in quotes")]
    return Own(CLOUD_CONFIG, source.text, config), []


def _unfit(root: MappingNode) -> Iterator[VmnetError]:
    for key in _LISTS:
        node = root.items.get(key)
        if (
            node
            and not isinstance(node, Sequence)
            and not (isinstance(node, Scalar) and not node.text)
        ):
            what = f"{key} is not a list, and vmnet has something to add to it"
            yield complaint(root.keys[key], what, f"write it as a list: {key}: [...]")
    if "user" in root.items:
        what = "user: stands here, and vmnet would not know whom to log in as"
        yield complaint(root.keys["user"], what, "write user: NAME at the VM, in the plan")
    vendor = root.items.get("vendor_data")
    if isinstance(vendor, MappingNode) and _is_off(vendor.items.get("enabled")):
        what = "this keeps out the key that the guest's ssh server is known by"
        yield complaint(vendor.keys["enabled"], what, "take vendor_data out")


def _is_off(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.text.lower() in {"false", "no", "off", "0"}


def _plain(value: object) -> dict[str, object]:
    return {k: _jsonable(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _jsonable(value: object) -> object:
    match value:
        case dict():
            return {key: _jsonable(one) for key, one in value.items()}
        case list():
            return [_jsonable(one) for one in value]
        case datetime() | date():
            return value.isoformat()
        case _:
            return value


def _comes_back(config: Mapping[str, object]) -> bool:
    import yaml

    try:
        again = yaml.safe_load(rendered(config))
    except (TypeError, ValueError, yaml.YAMLError):
        return False
    return bool(again == config)


def rendered(value: object) -> str:
    """Write a value as JSON on one line that every YAML reader understands, too.

    YAML knows no surrogate pairs, so letters stand as they are; it takes some characters only as
    escapes, and JSON's are the same.
    """
    import json
    import re

    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        text,
    )


def cloud_config(config: Mapping[str, object]) -> str:
    """Write a configuration as user-data or vendor-data."""
    return f"#cloud-config\n{rendered(config)}\n"


def encoded_file(path: str, content: bytes, mode: str, owner: str) -> dict[str, object]:
    """Return an entry of write_files with its content in base64."""
    return {
        "path": path,
        "encoding": "b64",
        "content": base64.b64encode(content).decode(),
        "permissions": mode,
        "owner": owner,
    }


def merged(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, object]:
    """Merge two configurations: lists are joined, mappings merged, else the user's own wins.

    Whom vmnet logs in as stays: without `default` in `users`, cloud-init would not make that user.
    """
    out = _merged(ours, theirs)
    users = out.get("users")
    if isinstance(users, list) and "user" not in ours and "default" not in users:
        out["users"] = ["default", *users]
    if ours.get("disable_root") is False:
        out["disable_root"] = False
    return out


def _merged(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, object]:
    out = dict(ours)
    for key, value in theirs.items():
        match ours.get(key), value:
            case dict() as mine, dict():
                out[key] = _merged(mine, value)
            case list() as mine, list():
                out[key] = [*mine, *value]
            case list(), None:
                continue
            case _:
                out[key] = value
    return out


def mime_archive(ours: str, own: Own) -> str:
    """Return a MIME archive of user-data of another kind and our cloud-config.

    Ours comes last, and names how it is merged into any before it: what those have stays.
    """
    from email import message_from_string
    from email.mime.multipart import MIMEMultipart
    from hashlib import blake2s

    archive = MIMEMultipart()
    if own.kind == MIME:
        archive.attach(message_from_string(own.text))
    else:
        archive.attach(_part(own.text, own.kind, "own"))
    last = _part(ours, CLOUD_CONFIG, "vmnet")
    last["Merge-Type"] = "dict(no_replace,recurse_list)+list(append)"
    archive.attach(last)
    # A boundary that email would draw changes the seed at every run.
    digest = blake2s(f"{own.text}\0{ours}".encode(), digest_size=12).hexdigest()
    archive.set_boundary(f"==vmnet-{digest}==")
    return archive.as_string()


def _part(text: str, kind: str, name: str) -> MIMEText:
    from email.mime.text import MIMEText

    part = MIMEText(text, kind, "utf-8")
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part
