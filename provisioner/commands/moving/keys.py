"""The ssh keys of a guest that moves: with them the other host makes the same of its plan."""

import os
from contextlib import suppress
from pathlib import Path

from provisioner.guest.moving.offer import Keys
from provisioner.host.guest import host_keys
from provisioner.host.system import file_errors, paths, whole_files
from provisioner.host.system.paths import AUTHORIZED_KEYS, LOGIN_KEY
from provisioner.plan.scalars import BadValue
from provisioner.plan.vm_scalars import ssh_key


def of_guest(plan: str, vm: str) -> Keys:
    """Return the keys that a guest was given, as far as it was given any."""
    home, pair = paths.home(plan), paths.folder(plan, "keys") / vm
    return Keys(
        _text(home / AUTHORIZED_KEYS),
        _text(home / LOGIN_KEY),
        _text(pair / "key"),
        _text(pair / "key.pub"),
    )


def keep(plan: str, vm: str, keys: Keys) -> None:
    """Keep a guest's keys as this host's plan has them, unless it has others already.

    The plan's folder is there. Raises VmnetError when they cannot be kept.
    """
    home = paths.home(plan)
    try:
        if keys.authorized and not (home / AUTHORIZED_KEYS).exists():
            lines = [line for line in keys.authorized.splitlines() if _is_key(line)]
            whole_files.write_public(home / AUTHORIZED_KEYS, "".join(f"{x}\n" for x in lines))
            if keys.login:
                _write_private(home / LOGIN_KEY, keys.login)
        if keys.host and keys.host_public:
            host_keys.keep(paths.folder(plan, "keys"), vm, keys.host, keys.host_public)
            host_keys.publish(paths.folder(plan, "keys"), plan)
    except OSError as error:
        raise file_errors.converted(error, "cannot keep the keys of a guest in", home) from error


def forget(plan: str, vm: str) -> None:
    """Take back what `keep` has kept of a VM; what is all VMs' goes with the plan's folder."""
    folder = paths.folder(plan, "keys")
    host_keys.remove(folder, vm)
    if folder.is_dir():
        host_keys.publish(folder, plan)


def _is_key(line: str) -> bool:
    try:
        return bool(ssh_key(line))
    except BadValue:
        return False


def _text(path: Path) -> str:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="ascii")
    return ""


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as written:
        written.write(text)
    draft.rename(path)
