"""/etc/vmnet/config.yaml and a user's own: what they have set for all plans."""

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from provisioner.errors import VmnetError, Where, bad_input
from provisioner.guest.jail import user
from provisioner.host.system import accounts
from provisioner.plan.load.inherited import DefaultsFile
from provisioner.text import one_line

_PLACE: Final = Path("/etc/vmnet/config.yaml")
_KEYS: Final = frozenset({"guest_users"})
_MOST_BYTES: Final = 64 << 10
_OTHERS_WRITE: Final = 0o022


def place() -> Path:
    """Return where the file is; it need not be there."""
    return Path(os.environ.get("VMNET_CONFIG", _PLACE))


def guest_users(default: range | None) -> range | None:
    """Return which users the guests' QEMUs run as, `default` where the file does not say.

    None for one user for all of them. Raises VmnetError when the file cannot be used.
    """
    text = _read().get("guest_users")
    if text is None:
        return default
    try:
        return user.read_range("off" if text is False else str(text))  # off is YAML's no
    except VmnetError as error:
        raise error.at(Where(str(place()), 1, 1)) from error


def defaults() -> list[DefaultsFile]:
    """Return the files of defaults of this host and of whoever runs vmnet; the latter comes first.

    Under sudo that is the user behind it. Raises VmnetError when one cannot be used.
    """
    found = []
    if text := _text(place()):
        found.append(DefaultsFile(str(place()), text, tuple(_KEYS)))
    caller = accounts.caller()
    config = os.environ.get("XDG_CONFIG_HOME") or caller.home / ".config"
    own = Path(config, "vmnet", "config.yaml")
    if os.path.lexists(own):
        read = accounts.own_text(own, caller, _MOST_BYTES)
        if read is None:
            raise bad_input(
                f"{own} cannot be used: it is no readable file of {caller.name}'s own, of 64 KiB "
                "at most, that nobody else may change",
                f"look at it with ls -lL {shlex.quote(str(own))}, then mend or remove it",
            )
        found.append(DefaultsFile(str(own), read))
    return found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            _require_owned(file, os.fstat(stream.fileno()))
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise bad_input(
            f"cannot read {file}: {error.strerror}", "make it a file that root can read"
        ) from error


def _read() -> dict[str, object]:
    file = place()
    text = _text(file)
    import yaml

    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise bad_input(
            f"{file} is not YAML: {one_line(str(error))}", "write one line: guest_users: FIRST-LAST"
        ) from error
    if not isinstance(found, dict) or (unknown := [k for k in found if k not in _known()]):
        said = one_line(str(unknown[0])) if isinstance(found, dict) else "a text"
        fix = "use guest_users, and the keys that a plan's defaults may have"
        raise bad_input(f"{file} has {said}, which vmnet does not know", fix)
    return found


def _known() -> frozenset[str]:
    from provisioner.plan.model import Plan, Vm
    from provisioner.plan.types import DEFAULTABLE, keys

    return _KEYS | {*keys(Vm, DEFAULTABLE), *keys(Plan, DEFAULTABLE)}


def _require_owned(file: Path, found: os.stat_result) -> None:
    if found.st_uid not in {0, os.geteuid()} or stat.S_IMODE(found.st_mode) & _OTHERS_WRITE:
        raise VmnetError(
            f"others than you could change {file} ({stat.filemode(found.st_mode)}, "
            f"owner {found.st_uid})",
            fix=f"see who did that, then: chown {os.geteuid()} {file}; chmod go-w {file}",
        )
