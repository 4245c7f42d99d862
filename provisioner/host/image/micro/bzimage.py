"""Take the ELF vmlinux out of a bzImage.

QEMU starts an ELF kernel that bears the PVH note directly; the kernel need not unpack itself, which
costs 0.35 s under TCG. Source: Documentation/arch/x86/boot.rst of the kernel, "payload_offset".
"""

import lzma
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from provisioner.errors import VmnetError
from provisioner.host.system import programs

_SECTOR = 512
_SETUP_SECTORS = 0x1F1
_HEADER = slice(0x202, 0x206)
_PAYLOAD = 0x248
_OLD_SETUP_SECTORS = 4
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_LZ4_BLOCK = 8 << 20  # every block but the last unpacks to this size
_UNPACK_TIMEOUT_S = 60
_LENGTH = 4  # the build appends the unpacked size to the formats that do not hold it


def vmlinux(bzimage: bytes) -> bytes:
    """Return the ELF file that the bzImage unpacks itself to.

    Raises VmnetError when this is not a bzImage, or one packed in a way we cannot unpack.
    """
    elf = _unpacked(_payload(bzimage))
    if elf[:4] != b"\x7fELF":
        raise _unfit("its payload is not an ELF file")
    return elf


def _payload(bzimage: bytes) -> bytes:
    if bzimage[_HEADER] != b"HdrS" or len(bzimage) < _PAYLOAD + 8:
        raise _unfit("it has no x86 boot header")
    setup = (bzimage[_SETUP_SECTORS] or _OLD_SETUP_SECTORS) + 1
    offset, length = struct.unpack_from("<II", bzimage, _PAYLOAD)
    start = setup * _SECTOR + offset
    payload = bzimage[start : start + length]
    if not length or len(payload) != length:
        raise _unfit("it is cut short")
    return payload


def _unpacked(payload: bytes) -> bytes:
    name, unpack = _FORMATS.get(payload[:2], ("", None))
    if unpack is None:
        raise _unfit(f"its payload is packed in a way we do not know ({payload[:4].hex()})")
    try:
        return unpack(payload)
    except (zlib.error, lzma.LZMAError, _DamagedError) as error:
        raise _unfit(f"its {name} payload is damaged") from error


class _DamagedError(Exception):
    """What lz4 or the program zstd could not unpack."""


def _lz4(payload: bytes) -> bytes:
    import lz4.block

    unpacked, position, end = bytearray(), 0, len(payload) - _LENGTH
    while position + 4 <= end:
        word = payload[position : position + 4]
        position += 4
        if word == _LZ4_LEGACY:
            continue
        size = int.from_bytes(word, "little")
        block = payload[position : min(position + size, end)]
        try:
            unpacked += lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as error:
            raise _DamagedError from error
        position += size
    if len(unpacked) != int.from_bytes(payload[-_LENGTH:], "little"):
        raise _unfit("its LZ4 payload does not unpack to the size it tells")
    return bytes(unpacked)


def _zstd(payload: bytes) -> bytes:
    """Unpack with the program zstd; Python has the format from 3.14 on only."""
    if not programs.is_installed("zstd"):
        raise _unfit("its payload is packed with zstd, which is not installed")
    with tempfile.TemporaryDirectory(prefix="vmnet-kernel-") as folder:
        packed, unpacked = Path(folder) / "kernel.zst", Path(folder) / "kernel"
        packed.write_bytes(payload[:-_LENGTH])
        argv = ["zstd", "--decompress", "--quiet", str(packed), "-o", str(unpacked)]
        try:
            programs.run(argv, timeout_s=_UNPACK_TIMEOUT_S)
        except VmnetError as error:
            raise _DamagedError from error
        return unpacked.read_bytes()


_FORMATS: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    b"\x02\x21": ("LZ4", _lz4),
    b"\x1f\x8b": ("gzip", lambda payload: zlib.decompressobj(wbits=31).decompress(payload)),
    b"\xfd7": ("xz", lambda payload: lzma.LZMADecompressor().decompress(payload)),
    b"\x28\xb5": ("zstd", _zstd),
    b"\x7fE": ("ELF", bytes),
}


def _unfit(why: str) -> VmnetError:
    return VmnetError(
        f"cannot take the kernel out of its bzImage: {why}",
        fix="apt-get install zstd, or use a Debian release whose kernel is packed otherwise",
    )
