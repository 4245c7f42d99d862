"""A guest in a few words, and its user-data as its own readers take it."""

from email import message_from_string
from typing import Any

import yaml

from provisioner.guest import cloudinit, userdata
from provisioner.guest.userdata import Texts
from provisioner.plan.vm import Vm

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@home"
HASH = "$6$abcdefgh$" + "x" * 86


def guest(**user_data_of: object) -> Vm:
    return Vm.model_validate({"name": "web", "nics": ["lan"], "image": "debian-12"} | user_data_of)


def texts(own: str = "", **files: str) -> Texts:
    """The files that a plan names: `own` is the one of its `cloud_init: own`."""
    read, found = userdata.read(own, "own") if own else (None, [])
    assert found == []
    return Texts(files, {"own": read} if read else {})


def cloud_config_in(text: str) -> dict[str, Any]:
    """What a cloud-config says, by a YAML reader that knows nothing of JSON."""
    assert text.startswith("#cloud-config\n")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def user_data_of(vm: Vm, login: str | None = "debian", own: str = "") -> dict[str, Any]:
    """What a guest is told, and where it has been taken out of a MIME archive."""
    return cloud_config_in(cloudinit.user_data(vm, login, texts(own)))


def parts(text: str) -> list[tuple[str, str]]:
    """The parts of a MIME archive, each with its type, as cloud-init walks through them."""
    message = message_from_string(text)
    assert message.defects == []
    found = []
    for part in message.walk():
        if part.get_content_maintype() != "multipart":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((part.get_content_type(), payload.decode()))
    return found
