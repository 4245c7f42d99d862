"""What a QEMU's command line tells: whose guest it is, who started it, what there is to lose."""

import json

import pytest

from provisioner import naming
from provisioner.guest.qemu import arguments

UUID = naming.domain_uuid("lab", "web")
KEY = {"qom-type": "secret", "id": "masterKey0", "file": "/run/vmnet/lab/lib/qemu/domain-1-lab/k"}
FILE = {"driver": "file", "filename": "/a.qcow2", "node-name": "s", "auto-read-only": True}


def argv(name: str = "guest=lab-web,debug-threads=on", uuid: str = UUID) -> list[str]:
    return ["/usr/bin/qemu-system-x86_64", "-name", name, "-S", "-uuid", uuid]


def layer(*, read_only: bool) -> list[str]:
    node = {"node-name": "f", "read-only": read_only, "driver": "qcow2", "file": "s"}
    return ["-blockdev", json.dumps(FILE), "-blockdev", json.dumps(node)]


@pytest.mark.parametrize(
    "words",
    [
        argv(name="guest=lab-db,debug-threads=on"),
        argv(name="guest=web"),
        argv(uuid=naming.domain_uuid("lab", "db")),
        argv()[:4],
        [*argv()[:5]],
        ["vim", "guest=lab-web", UUID],
    ],
)
def test_a_process_without_both_marks_is_no_vms(words: list[str]) -> None:
    assert arguments.vm_of("lab", argv()) == "web"
    assert arguments.vm_of("lab", words) == ""


def test_a_plan_whose_name_begins_another_ones_has_none_of_its_vms() -> None:
    uuid = naming.domain_uuid("lab-a", "web")
    words = argv("guest=lab-a-web", uuid)
    assert arguments.vm_of("lab-a", words) == "web"
    assert arguments.vm_of("lab", words) == ""


def test_the_key_of_a_domain_tells_which_libvirt_started_it() -> None:
    words = [*argv(), "-object", "no JSON", "-object", json.dumps(KEY)]
    assert arguments.folder(words) == "/run/vmnet/lab/lib/qemu"
    assert arguments.folder(argv()) == ""


def test_a_guest_writes_when_a_layer_over_a_file_is_not_read_only() -> None:
    assert not arguments.writes(argv())
    assert not arguments.writes([*argv(), *layer(read_only=True)])
    assert arguments.writes([*argv(), *layer(read_only=True), *layer(read_only=False)])
