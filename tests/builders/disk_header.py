"""Headers of qcow2 images in literals: good ones, and every way of spoiling them."""

import struct
from dataclasses import dataclass

CLUSTER = 65536


@dataclass(frozen=True)
class Made:
    """The fields of a header; by default those of an empty image of 10 MiB."""

    version: int = 3
    backing_offset: int = 0
    backing_size: int = 0
    cluster_bits: int = 16
    virtual_size: int = 10 << 20
    crypt_method: int = 0
    l1_size: int = 1
    l1_offset: int = 3 * CLUSTER
    refcount_offset: int = CLUSTER
    refcount_clusters: int = 1
    snapshots: int = 0
    snapshots_offset: int = 0
    incompatible: int = 0
    compatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = 112
    compression: int = 0
    extensions: bytes = bytes(8)
    named: bytes = b""

    def head(self) -> bytes:
        """The first cluster."""
        out = struct.pack(
            ">4sIQIIQIIQQIIQQQQIIQ",
            b"QFI\xfb",
            self.version,
            self.backing_offset,
            self.backing_size,
            self.cluster_bits,
            self.virtual_size,
            self.crypt_method,
            self.l1_size,
            self.l1_offset,
            self.refcount_offset,
            self.refcount_clusters,
            self.snapshots,
            self.snapshots_offset,
            self.incompatible,
            self.compatible,
            self.autoclear,
            self.refcount_order,
            self.length,
            self.compression << 56,
        )
        out += self.extensions + self.named
        return out + bytes(CLUSTER - len(out))


SIZE = 3 * CLUSTER + 8
"""How large the file of such an image is."""
