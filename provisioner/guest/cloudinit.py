"""The NoCloud files that cloud-init reads from a guest's seed at its first boot."""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING

from provisioner.guest import host_key as hostkey
from provisioner.guest import userdata
from provisioner.guest.domain import Seed
from provisioner.guest.userdata import cloud_config, encoded_file
from provisioner.plan.vm_scalars import AUTO_KEYS

if TYPE_CHECKING:
    from provisioner.guest.userdata import Texts
    from provisioner.plan.vm import File, Vm

MICRO_SCRIPT = "/run/vmnet.run"
"""Where the micro image keeps the lines that it runs once."""

_SUDO = "ALL=(ALL) NOPASSWD:ALL"
_DIGEST_BYTES = 6


def user_data(vm: Vm, login: str | None, texts: Texts) -> str:
    """Return a VM's user-data, "" when there is nothing to configure.

    `login` is the user that its image makes by itself, None when that is not known. The ssh host
    key is no part of it: that is put into the seed when it is written, and nowhere else.
    """
    ours = _micro(vm, texts) if vm.image == "micro" else _ours(vm, login, texts)
    own = texts.own.get(vm.cloud_init) if vm.cloud_init else None
    if own is None:
        return cloud_config(ours) if ours else ""
    if not ours:
        return own.text
    if own.config is not None:
        return cloud_config(userdata.merged(ours, own.config))
    if "user" not in ours:  # a config of theirs that names users shall not drop this one
        ours["users"] = ["default"]
    return userdata.mime_archive(cloud_config(ours), own)


def with_keys(vm: Vm, auto: tuple[str, ...]) -> Vm:
    """Return a VM whose ssh keys are written out: `auto` are what auto stands for."""
    if AUTO_KEYS not in vm.ssh_keys:
        return vm
    return vm.model_copy(update={"ssh_keys": tuple(dict.fromkeys((*_written(vm), *auto)))})


def _written(vm: Vm) -> list[str]:
    """Return the keys that stand in the plan; auto alone is none."""
    return [key for key in vm.ssh_keys if key != AUTO_KEYS]


def host_key(vm: Vm) -> str:
    """Return how a VM takes the key of its ssh server, "" when nobody could log in there."""
    if vm.ignition or (vm.image == "micro" and not _written(vm)):
        return ""
    return hostkey.DROPBEAR if vm.image == "micro" else hostkey.CLOUD_INIT


def fingerprint(text: str) -> str:
    """Return what is kept of a text to tell whether it has changed; "" of none.

    User-data holds hashes of passwords and the content of files, and every user of libvirt may
    read what is kept there.
    """
    return blake2s(text.encode("utf-8", "surrogatepass")).hexdigest() if text else ""


def seed(home: str, plan: str, vm: str, documents: tuple[str, str], host_key: str) -> Seed:
    """Return the seed image of a VM; `documents` is its user-data and its network-config.

    `host_key` is how the guest takes the key of its ssh server: see guest.host_key. The key
    itself is neither in here nor in the digest.
    """
    user, network = documents
    body = (("user-data", user or cloud_config({})), ("network-config", network))
    # cloud-init runs its once-only parts again when the instance-id changes.
    digest = blake2s(repr(body).encode(), digest_size=_DIGEST_BYTES).hexdigest()
    meta = f"instance-id: {plan}-{vm}-{digest}\nlocal-hostname: {vm}\n"
    path = f"{home}/seed/{vm}-{digest}.iso"
    return Seed(path, (("meta-data", meta), *body), plan=plan, vm=vm, host_key=host_key)


def _ours(vm: Vm, login: str | None, texts: Texts) -> dict[str, object]:
    out: dict[str, object] = {}
    if keys := _written(vm):
        out["ssh_authorized_keys"] = keys
    out |= _account(vm, login, vm.password_hash or texts.hashes.get(vm.name, ""))
    if vm.packages:
        out |= {"package_update": True, "packages": list(vm.packages)}
    if vm.files:
        out["write_files"] = [_file(file, texts) for file in vm.files]
    if vm.run:
        out["runcmd"] = list(vm.run)
    return out


def _account(vm: Vm, login: str | None, hashed: str) -> dict[str, object]:
    """Return who logs in; nothing, when that is the image's own user, with keys alone."""
    name = vm.user or login
    if not name:
        # The password of the default user, whoever that is.
        default = {"password": hashed, "chpasswd": {"expire": False}, "ssh_pwauth": True}
        return default if hashed else {}
    # `user` is laid over the image's own default user: its groups and its shell stay.
    user: dict[str, object] = {"name": name}
    out: dict[str, object] = {"user": user}
    if name == "root":
        out["disable_root"] = False
    elif vm.user:
        user["sudo"] = _SUDO
    elif not hashed:
        return {}
    if hashed:
        user |= {"lock_passwd": False, "hashed_passwd": hashed}
        out["ssh_pwauth"] = True
    return out


def _micro(vm: Vm, texts: Texts) -> dict[str, object]:
    """Return the same in the keys that the micro image's reader supports: text as base64 only."""
    out: dict[str, object] = {}
    if keys := _written(vm):
        out["ssh_authorized_keys"] = keys
    files = [_encoded(file, texts) for file in vm.files]
    if vm.run:
        script = "".join(f"{line}\n" for line in vm.run)
        files.append(
            encoded_file(MICRO_SCRIPT, script.encode("utf-8", "surrogatepass"), "0700", "root:root")
        )
        out["runcmd"] = [f"sh {MICRO_SCRIPT}"]
    if files:
        out["write_files"] = files
    return out


def _file(file: File, texts: Texts) -> dict[str, object]:
    text = _content(file, texts)
    entry = _encoded(file, texts)
    if text.isascii() and all(one.isprintable() or one in "\n\t" for one in text):
        del entry["encoding"]
        entry["content"] = text
    if file.owner not in {"root", "root:root"}:
        entry["defer"] = True  # until the users and the packages that may bring it are there
    return entry


def _encoded(file: File, texts: Texts) -> dict[str, object]:
    content = _content(file, texts).encode("utf-8", "surrogatepass")
    return encoded_file(file.path, content, file.mode, file.owner)


def _content(file: File, texts: Texts) -> str:
    return file.content if file.content is not None else texts.files[str(file.source)]
