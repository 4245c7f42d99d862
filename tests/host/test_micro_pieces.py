"""The parts of the micro image's builder that turn bytes into bytes."""

import gzip
import lzma
import stat
import struct
import subprocess
from pathlib import Path

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import VmnetError
from provisioner.host.image.micro import bzimage, cpio, initrd, kernel_modules
from provisioner.host.image.micro.kernel_modules import Module
from tests.host_tools.micro_parts import files, image, unpacked

ELF = b"\x7fELF" + bytes(range(256)) * 200


def packed_kernel(payload: bytes) -> bytes:
    """Give a bzImage of two setup sectors and one payload that begins 16 bytes into the rest."""
    head = bytearray(3 * 512 + 16)
    head[0x1F1] = 2
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(payload))
    return bytes(head) + payload + b"what follows the payload"


def lz4_legacy(content: bytes) -> bytes:
    blocks = [lz4.block.compress(content[i : i + (8 << 20)], store_size=False) for i in (0,)]
    told = b"".join(struct.pack("<I", len(block)) + block for block in blocks)
    return b"\x02\x21\x4c\x18" + told + struct.pack("<I", len(content))


def zstd(content: bytes) -> bytes:
    done = subprocess.run(["zstd", "-19", "-c"], input=content, capture_output=True, check=True)
    return done.stdout + struct.pack("<I", len(content))


@pytest.mark.parametrize(
    "payload",
    [
        zstd(ELF),
        lz4_legacy(ELF),
        gzip.compress(ELF) + struct.pack("<I", len(ELF)),
        lzma.compress(ELF) + struct.pack("<I", len(ELF)),
        ELF,
    ],
    ids=["zstd", "lz4", "gzip", "xz", "plain"],
)
def test_the_kernel_comes_out_of_its_bzimage_whole(payload: bytes) -> None:
    assert bzimage.vmlinux(packed_kernel(payload)) == ELF


@pytest.mark.parametrize(
    ("image_file", "why"),
    [
        (b"", "it has no x86 boot header"),
        (packed_kernel(ELF)[:2000], "it is cut short"),
        (packed_kernel(b""), "it is cut short"),
        (
            packed_kernel(b"BZh9 and so on"),
            "its payload is packed in a way we do not know (425a6839)",
        ),
        (packed_kernel(zstd(ELF)[:-5]), "its zstd payload is damaged"),
        (packed_kernel(gzip.compress(b"no kernel")), "its payload is not an ELF file"),
        (packed_kernel(b"\x1f\x8bnonsense"), "its gzip payload is damaged"),
        (packed_kernel(b"\xfd7zXZ\x00nonsense"), "its xz payload is damaged"),
        (
            packed_kernel(b"\x02\x21\x4c\x18\x04\x00\x00\x00\xff\xff\xff\xff...."),
            "its LZ4 payload is damaged",
        ),
        (
            packed_kernel(lz4_legacy(ELF)[:-4] + bytes(4)),
            "its LZ4 payload does not unpack to the size it tells",
        ),
    ],
)
def test_a_kernel_that_cannot_be_unpacked_says_why(image_file: bytes, why: str) -> None:
    with pytest.raises(VmnetError) as caught:
        bzimage.vmlinux(image_file)
    assert caught.value.what == f"cannot take the kernel out of its bzImage: {why}"


names = st.text("abcxyz.-_0", min_size=1, max_size=9).filter(lambda n: n.strip("."))


@given(st.dictionaries(names.map("folder/{}".format), st.binary(max_size=40)))
def test_an_archive_holds_what_was_put_in(content: dict[str, bytes]) -> None:
    entries = [cpio.file(name, data) for name, data in content.items()]
    folders = {"folder": (0o40755, b"")} if content else {}
    root = {".": (0o40755, b"")} if content else {}
    expected = root | folders | {name: (0o100644, data) for name, data in content.items()}
    assert unpacked(cpio.pack(entries)) == expected


def test_an_archive_does_not_depend_on_the_order_of_its_entries() -> None:
    entries = [
        cpio.file("init", b"#!/bin/sh\n", executable=True),
        cpio.link("bin/sh", "busybox"),
        cpio.directory("root", 0o700),
        cpio.character_device("dev/null", 1, 3),
    ]
    assert cpio.pack(entries) == cpio.pack(reversed(entries))
    assert {name: oct(mode) for name, (mode, _) in unpacked(cpio.pack(entries)).items()} == {
        ".": "0o40755",
        "bin": "0o40755",
        "bin/sh": "0o120777",
        "dev": "0o40755",
        "dev/null": "0o20600",
        "init": "0o100755",
        "root": "0o40700",
    }


def test_two_different_entries_of_one_name_are_a_bug_that_is_told() -> None:
    with pytest.raises(ValueError, match="two different entries are named etc/passwd"):
        cpio.pack([cpio.file("etc/passwd", b"a"), cpio.file("etc/passwd", b"b")])


def busybox_that(folder: Path, script: str) -> Path:
    program = folder / "busybox"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_the_commands_of_busybox_are_those_that_it_lists(tmp_path: Path) -> None:
    """The file in a folder of root's alone, run as somebody else; its table's layout is its own."""
    busybox = tmp_path / "busybox"
    busybox.write_bytes(files(image().initrd)["bin/busybox"][1])
    busybox.chmod(0o755)
    names = initrd.applets(busybox)
    assert {"[", "awk", "cat", "ip", "mount", "sh", "udhcpc"} <= set(names)
    assert names == sorted(set(names))
    links = {name for name, (mode, _) in files(image().initrd).items() if stat.S_ISLNK(mode)}
    assert {f"bin/{name}" for name in names} - links == {"bin/busybox", "bin/init", "bin/getty"}


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo no list", "busybox --list does not list its commands: no list"),
        ("echo sh; echo ../../etc", "busybox --list does not list its commands: sh ../../etc"),
        ("echo oops; exit 3", "busybox --list failed with status 3: oops"),
    ],
)
def test_a_busybox_that_lists_nothing_of_use_is_refused(
    tmp_path: Path, script: str, what: str
) -> None:
    with pytest.raises(VmnetError) as caught:
        initrd.applets(busybox_that(tmp_path, script))
    assert caught.value.what == what


def module_file(path: Path, depends: str, *, signed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"ELF and all\0license=GPL\0depends=" + depends.encode() + b"\0"
    signature = b"PKCS7" + bytes(8) + struct.pack(">I", 5) + b"~Module signature appended~\n"
    content = body + (signature if signed else b"")
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)


def test_modules_come_with_what_they_lean_on_and_without_their_signatures(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    module_file(kernel / "net/virtio_net.ko", "virtio,net-failover", signed=True)
    module_file(kernel / "net/net_failover.ko.xz", "failover")
    module_file(kernel / "net/failover.ko", "")
    module_file(kernel / "virtio/virtio.ko", "virtio_ring")
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_ring.ko\n")
    gathered = kernel_modules.gather(kernel, ["virtio-net"])
    assert list(gathered) == ["virtio", "failover", "net_failover", "virtio_net"]
    assert gathered["virtio_net"] == Module(
        "virtio_net",
        b"ELF and all\0license=GPL\0depends=virtio,net-failover\0",
        ("virtio", "net_failover"),
    )
    assert kernel_modules.dependency_table(gathered) == (
        "virtio.ko:\n"
        "failover.ko:\n"
        "net_failover.ko: failover.ko\n"
        "virtio_net.ko: net_failover.ko failover.ko virtio.ko\n"
    )


def test_a_module_that_the_kernel_package_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(VmnetError) as caught:
        kernel_modules.gather(tmp_path / "kernel", ["virtio_pci"])
    assert caught.value.what == "the kernel package has no module virtio_pci"


def test_the_image_holds_every_library_and_starts_at_init() -> None:
    content = files(image().initrd)
    assert oct(content["init"][0]) == "0o100755"
    assert {
        name
        for name in content
        if name.startswith(("lib/lib", "lib64/")) and not name.endswith(".ko")
    } >= {"lib/libc.so.6", "lib/libglib-2.0.so.0", "lib64/ld-linux-x86-64.so.2"}
    assert {
        name for name, (mode, _) in content.items() if mode & 0o22 and mode != 0o120777
    } == set()
