"""The ssh host keys of a plan's guests: made once per VM, given to the guest by its seed."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.guest import host_key
from provisioner.guest.host_key import HostKey
from provisioner.host.system import file_errors, paths, programs, whole_files

_KEYGEN_S = 30.0
_FOLDER_MODE = 0o700


def ensure(folder: Path, vm: str) -> HostKey:
    """Return the key pair of a VM; it is made if there is none yet.

    A pair is one folder that appears by a rename: a run that is killed leaves none, or a draft that
    the next one clears away. Raises VmnetError when it cannot be made, or when others may read it.
    """
    pair = folder / vm
    try:
        _private(paths.make(folder.parent) / folder.name)
        if not pair.is_dir():
            _make(folder, vm)
        return HostKey(_text(pair / "key.pub").strip(), _text(pair / "key"))
    except OSError as error:
        raise file_errors.converted(
            error, f"cannot make the ssh host key of {vm}:", folder
        ) from error


def keep(folder: Path, vm: str, private: str, public: str) -> None:
    """Keep a pair that another host has made for a VM, unless there is one.

    Raises VmnetError when others may read it, OSError when it cannot be written.
    """
    _private(paths.make(folder.parent) / folder.name)
    if (folder / vm).is_dir():
        return
    draft = folder / f".{vm}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(_FOLDER_MODE)
    for name, text in (("key", private), ("key.pub", public)):
        file = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
    draft.rename(folder / vm)
    whole_files.sync(folder)


def remove(folder: Path, vm: str) -> None:
    """Delete the key pair of a VM; one that is gone already is fine."""
    shutil.rmtree(folder / vm, ignore_errors=True)


def publish(folder: Path, plan: str) -> Path:
    """Write the known_hosts of a plan beside the folder of its keys, and return its path.

    It is written anew from all keys that are there, by one after the other: VMs start side by side.
    Raises VmnetError when it cannot be written.
    """
    path = known_hosts(folder)
    try:
        with _locked(folder):
            lines = [
                host_key.known_host(plan, pair.parent.name, _text(pair))
                for pair in sorted(folder.glob("[!.]*/key.pub"))
            ]
            # Public keys: whoever uses an exported ssh_config has to read them.
            # Not durable: the guests do not outlive the host either, and it is soon made again.
            whole_files.write_public(path, "".join(lines), durable=False)
    except OSError as error:
        raise file_errors.converted(error, "cannot write", path) from error
    return path


def known_hosts(folder: Path) -> Path:
    """Return where the known_hosts of a plan is; it may not be there yet."""
    return folder.parent / "known_hosts"


def _private(folder: Path) -> None:
    """Make a folder that only we may enter, or verify that it is one. Raises VmnetError."""
    try:
        folder.mkdir(_FOLDER_MODE)
    except FileExistsError:
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not ours or stat.S_IMODE(found.st_mode) & ~_FOLDER_MODE:
            raise VmnetError(
                f"{folder} holds private keys, and others may get at them",
                fix=f"look at it, then: rm -r {folder}; vmnet up --recreate",
            ) from None


def _make(folder: Path, vm: str) -> None:
    draft = folder / f".{vm}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(_FOLDER_MODE)
    key = draft / "key"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", vm, "-f", str(key)]
    programs.run(argv, timeout_s=_KEYGEN_S, fix="vmnet needs OpenSSH's client: openssh-client")
    for file in (key, key.with_suffix(".pub")):
        with file.open("rb") as written:
            os.fsync(written.fileno())
    draft.rename(folder / vm)
    whole_files.sync(folder)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
