"""What a host tells another of a guest that it gives it stopped, and what the other believes."""

import json
from dataclasses import asdict

import pytest

from provisioner.errors import VmnetError
from provisioner.guest.moving.offer import Keys
from provisioner.guest.moving.stopped_offer import (
    OfferedFile,
    StoppedOffer,
    as_line,
    files_in,
    from_line,
    is_of_stopped,
)

DISK = OfferedFile("disk/web.qcow2", 1 << 30, backing="/var/lib/vmnet/.images/sha256-00")
NVRAM = OfferedFile("boot/web.nvram", 4096, "0" * 64)
OFFER = StoppedOffer(
    "web", "name: lab\nvms: {web: {}}\n", Keys("a\n", "b\n", "c\n", "d\n"), (DISK, NVRAM)
)


def changed(**values: object) -> str:
    return json.dumps(json.loads(as_line(OFFER)) | values)


def file(**values: object) -> list[dict[str, object]]:
    return [asdict(DISK) | values]


def test_an_offer_comes_as_it_was_sent_on_one_line() -> None:
    line = as_line(OFFER)
    assert "\n" not in line
    assert is_of_stopped(line)
    assert from_line(line) == OFFER


@pytest.mark.parametrize("line", ["", "[]", "{" * 100_000, "{}", '{"how": "live"}'])
def test_other_lines_offer_no_stopped_guest(line: str) -> None:
    assert not is_of_stopped(line)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        changed(protocol=1),
        changed(plan=7),
        changed(vm="../etc"),
        changed(host_key=None),
        changed(files={}),
        changed(files=[1]),
        changed(files=file(place="disk/../../etc/shadow")),
        changed(files=file(place="disk/web.qcow2\n")),
        changed(files=file(place="known_hosts")),
        changed(files=file(size=-1)),
        changed(files=file(size=True)),
        changed(files=file(size=1 << 60)),
        changed(files=file(sha256="../x")),
        changed(files=file(backing=None)),
        changed(files=[*file(), *file()]),
    ],
)
def test_what_is_no_offer_is_refused(line: str) -> None:
    with pytest.raises(VmnetError):
        from_line(line)


def test_files_are_read_of_any_line_that_lists_them() -> None:
    assert files_in({"state": "files", "files": [asdict(DISK), asdict(NVRAM)]}) == (DISK, NVRAM)
