"""`vmnet image` as its user meets it: files with strange names, full disks, two at once."""

import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.builders.documents import valid
from tests.cli.test_answers import HOUSE
from tests.cli.test_colours import VMNET
from tests.framework import forked

MIB = 1 << 20


@dataclass(frozen=True)
class Room:
    """A folder with a store in it and image files beside."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "state" / ".images"

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(HOUSE),
            "VMNET_STATE_DIR": str(self.path / "state"),
            "VMNET_CACHE_DIR": str(self.path / "cache"),
        }

    def image(self, *words: str, status: int = 0, before: str = "") -> tuple[str, str]:
        """Run `vmnet image` in this folder; give what it wrote to both of its outputs."""
        hidden = "mount -t tmpfs none /var/lib"  # the host's own store must not be seen
        script = f'{hidden}\n{before}\nexec "$@"'
        argv = ["unshare", "-m", "sh", "-c", script, "sh", *VMNET, "image", *words]
        ran = subprocess.run(
            argv,
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in ran.stderr
        assert ran.returncode == status, (words, ran.stdout, ran.stderr)
        return ran.stdout, ran.stderr

    def listed(self) -> Any:  # noqa: ANN401  (JSON)
        """List what is here; the catalogue has many more that could be."""
        images = valid(json.loads(self.image("ls", "--json")[0]), "image ls")["images"]
        return [one for one in images if one["state"] != "can be pulled"]

    def contents(self) -> list[str]:
        return sorted(x.name for x in self.store.glob("*") if x.name not in {"lock", "names"})


def disk(size: int = MIB) -> bytes:
    entry = struct.pack("<B3sB3sII", 0x80, b"", 0x83, b"", 1, size // 512 - 1)
    start = bytes(446) + entry + bytes(48) + b"\x55\xaa"
    return start + os.urandom(size - len(start))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    (tmp_path / "disk.img").write_bytes(disk())
    return Room(tmp_path)


def of_store(said: str) -> str:
    """What `verify` says of the store: micro, in the cache, comes first."""
    return said.removeprefix("micro: as it was built\n")


def test_an_image_comes_is_listed_and_goes(room: Room) -> None:
    digest = hashlib.sha256((room.path / "disk.img").read_bytes()).hexdigest()
    words = ("--name", "mine", "--sha256", digest.upper(), "--user", "me", "--boot", "uefi,bios")
    assert room.image("import", "disk.img", *words) == (
        f"mine: raw, a disk of 1.0 MiB in 1.0 MiB, SHA-256 {digest}\n",
        "",
    )
    micro, mine = sorted(room.listed(), key=lambda one: str(one["name"]))
    assert mine.pop("imported")
    assert mine == {
        "name": "mine",
        "state": "stored",
        "image_format": "raw",
        "sha256": digest,
        "virtual_size": MIB,
        "size": MIB,
        "source": str(room.path / "disk.img"),
        "boot": ["bios", "uefi"],
        "user": "me",
        "min_memory_mib": 256,
        "agent": False,
        "cloud_init": True,
        "plans": [],
    }
    assert micro["name"] == "micro"
    title, *rows = room.image("ls")[0].splitlines()
    (row,) = [line for line in rows if line.startswith("mine ")]
    assert [line.split()[:4] for line in rows if line.startswith("rocky-9 ")] == [
        ["rocky-9", "can", "be", "pulled"]
    ]
    assert (title.split(), row.split()) == (
        ["image", "state", "format", "disk", "file", "SHA-256", "boots", "user", "in", "use", "by"],
        ["mine", "stored", "raw", "1.0", "MiB", "1.0", "MiB", digest[:12], "bios,uefi", "me", "-"],
    )
    assert of_store(room.image("verify")[0]) == "mine: as it was imported\n"
    assert of_store(room.image("verify", "mine")[0]) == "mine: as it was imported\n"
    assert room.image("rm", "mine") == ("mine is gone, 1.0 MiB freed\n", "")
    assert room.contents() == []


def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(room: Room) -> None:
    assert room.image("import", "/proc/self/mem", "--name", "a", status=2)[1] == (
        "cannot read /proc/self/mem: Input/output error\n"
        "  fix: name an image file that can be read to its end\n"
    )
    assert room.contents() == []


NAMES = ["-x", "a:b", "json:{}", "nbd:localhost:1", "fd:3", "a\nb", "a,b", "a b", "ä\x1b[2J"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_a_file(room: Room, name: str) -> None:
    (room.path / "disk.img").rename(room.path / name)
    room.image("import", "--name", "a", "--", name)
    stored = next(one for one in room.listed() if one["state"] == "stored")
    assert (stored["name"], "\x1b" in stored["source"]) == ("a", False)
    room.image("import", f"./{name}", "--name", "b")
    assert len(room.contents()) == 1
    assert room.contents()[0].startswith("sha256-")


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (("import", "disk.img", "--name", "../x"), 2, 'an image cannot be named "../x"'),
        (("import", "disk.img", "--name", "micro"), 2, '"micro" is the name of an image that'),
        (("import", "disk.img", "--sha256", "12"), 2, '"sha256:12" is not a SHA-256'),
        (("import", "disk.img", "--sha256", "0" * 64), 2, "disk.img: its SHA-256 is"),
        (("import", "disk.img", "--user", "a b"), 2, '--user: "a b" cannot be the name of a user'),
        (("import", "disk.img", "--boot", "usb"), 2, '--boot: "usb" is not a list of bios and'),
        (("import", "nope.img"), 2, "cannot read nope.img: No such file or directory"),
        (("import", "/dev/zero"), 2, "/dev/zero is a device, not an image file"),
        (("import", "."), 2, "is a folder, not an image file"),
        (("import", "/etc/passwd"), 2, "/etc/passwd: it is not a disk image that vmnet knows"),
        (("rm", "nope"), 2, 'there is no image "nope" in the store'),
        (("rm", "micro"), 2, "micro is not an image in the store"),
        (("rm", "../../x"), 2, 'there is no image "../../x" in the store'),
        (("verify", "nope"), 2, 'there is no image "nope" in the store'),
        (("build", "nope"), 2, 'there is no recipe for an image "nope"'),
        (("build", "debian", "--mirror", "a b"), 2, '"a b" is not the address of a mirror'),
        (("build", "--mirror", "http://m.test/debian"), 2, "micro is made of the host's own pack"),
    ],
)
def test_what_cannot_be_is_said_with_its_mend(
    room: Room, words: tuple[str, ...], status: int, what: str
) -> None:
    out, err = room.image(*words, status=status)
    assert (out, what in err, "fix:" in err) == ("", True, True), err
    assert room.contents() == []


def test_all_that_is_wrong_with_an_image_is_said_at_once(room: Room) -> None:
    backed = ("-u", "-F", "raw", "-b", "/etc/shadow", "bad.qcow2", "64P")
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", *backed]
    subprocess.run(words, cwd=room.path, check=True)
    (room.path / "bad.qcow2").rename(room.path / "b\x1bad")
    _, err = room.image("import", "b\x1bad", status=2)
    assert err.splitlines()[0] == (
        rf"{room.path}/b\x1bad: its disk is said to be 65,536.0 TiB large, vmnet takes up to 1 TiB"
    )


def test_two_that_import_one_file_at_once_both_end_well(room: Room) -> None:
    (room.path / "disk.img").write_bytes(disk(64 * MIB))
    words = [*VMNET, "image", "import", "disk.img"]
    both = [
        subprocess.Popen(words, cwd=room.path, env=room.env, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [one.communicate(timeout=60)[1] for one in both]
    assert ([one.returncode for one in both], told) == ([0, 0], [b"", b""])
    assert of_store(room.image("verify")[0]) == "disk: as it was imported\n"
    assert len(room.contents()) == 1


def test_a_full_disk_is_told_and_nothing_stays_on_it(room: Room) -> None:
    (room.path / "disk.img").write_bytes(disk(16 * MIB))
    (room.path / "state").mkdir()
    small = f"mount -t tmpfs -o size=4m,mode=755 none {room.path}/state"
    look = f'trap "ls -A {room.path}/state/.images" EXIT; "$@"; exit $?'
    out, err = room.image("import", "disk.img", status=4, before=f"{small}\n{look}")
    assert err.splitlines() == [
        f"the disk of the image store {room.store} is full: 16 MiB are needed, 4 MiB are free",
        "  fix: make room there (vmnet image prune), or set VMNET_STATE_DIR to another place",
    ]
    assert out.split() == ["names"]


def test_an_interrupt_leaves_the_store_as_it_was(room: Room) -> None:
    with (room.path / "disk.img").open("ab") as file:
        file.truncate(512 << 30)  # all of it is hashed: that takes minutes
    argv = [*VMNET, "image", "import", "disk.img"]
    with subprocess.Popen(argv, cwd=room.path, env=room.env, stderr=subprocess.PIPE) as ran:
        end = time.monotonic() + 30
        while not any(x.startswith(".draft-") for x in room.contents()):
            assert time.monotonic() < end
        ran.send_signal(signal.SIGINT)
        assert ran.stderr
        told = ran.stderr.read()
    assert (ran.returncode, told) == (130, b"interrupted: the store is as it was\n")
    assert room.contents() == []


def test_prune_asks_and_spares_what_plans_lean_on(room: Room) -> None:
    for name in ("used", "unused"):
        (room.path / name).write_bytes(disk())
        room.image("import", name)
    used = next(x for x in room.listed() if x["name"] == "used")
    disks = room.path / "state" / "lab" / "disk"
    disks.mkdir(parents=True)
    content = str(room.store / f"sha256-{used['sha256']}")
    overlay = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", content, "vm.qcow2")
    subprocess.run(overlay, cwd=disks, check=True)
    assert [x["plans"] for x in room.listed() if x["name"] == "used"] == [["lab"]]
    _, err = room.image("prune", status=2)
    assert err.splitlines()[:3] == [
        "this will be removed:",
        "  unused: 1.0 MiB",
        "  together 1.0 MiB",
    ]
    assert len(room.contents()) == 2
    assert room.image("prune", "--yes")[0] == "  unused: 1.0 MiB\n  together 1.0 MiB\n"
    assert room.image("prune") == ("nothing to remove\n", "")
    _, err = room.image("rm", "used", status=3)
    assert err.startswith("the image used is in use: disks of lab depend on it\n  fix: take the")
    assert room.contents() == [f"sha256-{used['sha256']}"]


def test_a_changed_content_ends_verify_with_5_after_the_good_ones(room: Room) -> None:
    for name in ("bad", "good"):
        (room.path / name).write_bytes(disk())
        room.image("import", name)
    bad = next(x for x in room.listed() if x["name"] == "bad")
    content = room.store / f"sha256-{bad['sha256']}"
    content.chmod(0o644)
    content.write_bytes(content.read_bytes()[:-1] + b"!")
    content.chmod(0o444)
    out, err = room.image("verify", status=5)
    assert of_store(out) == "good: as it was imported\n"
    assert err.startswith(f"bad: its content {content} has changed: its SHA-256 is ")


def test_a_name_that_meant_another_image_is_told(room: Room) -> None:
    room.image("import", "disk.img")
    (room.path / "disk.img").write_bytes(disk())
    _, err = room.image("import", "disk.img")
    assert err == ("disk was another image before; disks of plans that run keep that one\n")
    assert len(room.contents()) == 2


def test_others_see_roots_images_and_cannot_remove_them(room: Room) -> None:
    mine = room.env["VMNET_STATE_DIR"]
    before = (
        f"VMNET_STATE_DIR=/var/lib/vmnet {' '.join(VMNET)} image import disk.img >/dev/null\n"
        f"export VMNET_STATE_DIR={mine}"
    )
    out, _ = room.image("ls", before=before)
    assert ["disk", "root's"] in [line.split()[:2] for line in out.splitlines()]
    assert of_store(room.image("verify", "disk", before=before)[0]) == "disk: as it was imported\n"
    _, err = room.image("rm", "disk", status=2, before=before)
    assert err.startswith('there is no image "disk" in the store')


def test_a_bar_is_drawn_on_a_terminal_and_only_there(room: Room) -> None:
    (room.path / "disk.img").write_bytes(disk(128 * MIB))
    ours, its = pty.openpty()
    argv = [*VMNET, "image", "import", "disk.img"]
    env = room.env | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(argv, cwd=room.path, env=env, stderr=its, stdout=subprocess.PIPE) as ran:
        os.close(its)
        shown = b""
        while data := _read(ours):
            shown += data
        assert ran.stdout
        assert b"disk: raw" in ran.stdout.read()
    os.close(ours)
    assert b"import" in shown
    assert b"MB" in shown
    assert room.image("import", "disk.img")[1] == ""


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has its other end any more
        return b""


def test_help_names_every_command(room: Room) -> None:
    ran = subprocess.run(
        [*forked.program(), "image", "--help"],
        cwd=room.path,
        env=room.env,
        capture_output=True,
        text=True,
        check=True,
    )
    told = ("build", "import", "ls", "prune", "pull", "rm", "verify")
    assert [word for word in told if f" {word} " not in ran.stdout] == []


def test_micro_in_the_cache_is_hashed_too(room: Room) -> None:
    assert room.image("verify", "micro")[0] == "micro: as it was built\n"
