"""The key that a guest's ssh server is known by: how the guest and ssh get it."""

import base64
from dataclasses import field
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.guest.userdata import cloud_config, encoded_file

CLOUD_INIT: Final = "cloud-init"
DROPBEAR: Final = "dropbear"
"""How a guest takes its host key: as cloud-init's ssh_keys, or as a file of dropbear's."""

DROPBEAR_FILE = "/etc/dropbear/dropbear_ed25519_host_key"

# OpenSSH's PROTOCOL.key: no cipher, no key derivation with no options, one key.
_PLAIN = b"openssh-key-v1\0" + b"\0\0\0\x04none" * 2 + b"\0\0\0\0" + b"\0\0\0\x01"
_CHECK = 8  # bytes that tell whether a passphrase was right
_TYPE = b"ssh-ed25519"
_PAIR = 64  # bytes: the private half, then the public one (RFC 8709)


@dataclass(frozen=True, slots=True)
class HostKey:
    """A pair of ed25519 keys as ssh-keygen writes them; the private one never shows in a repr."""

    public: str
    private: str = field(repr=False)


def vendor_data(key: HostKey, how: str) -> str:
    """Return the vendor-data that brings a guest its host key.

    It is vendor-data because user-data is compared, kept and shown, and this is not.
    """
    if how == DROPBEAR:
        entry = encoded_file(DROPBEAR_FILE, dropbear(key.private), "0600", "root:root")
        return cloud_config({"write_files": [entry]})
    # Those that came with the image are deleted first: every guest of it would have the same.
    pair = {"ed25519_private": key.private, "ed25519_public": f"{key.public}\n"}
    return cloud_config({"ssh_deletekeys": True, "ssh_keys": pair})


def dropbear(private: str) -> bytes:
    """Return a private key of OpenSSH's as dropbear keeps it: its type, then both halves.

    Raises ValueError when it is not such a key, or has a passphrase.
    """
    body = base64.b64decode("".join(private.strip().splitlines()[1:-1]), validate=True)
    if not body.startswith(_PLAIN):
        raise ValueError("no key of OpenSSH without a passphrase")
    _, rest = _taken(body[len(_PLAIN) :])
    secret, _ = _taken(rest)
    kind, rest = _taken(secret[_CHECK:])
    public, rest = _taken(rest)
    pair, _ = _taken(rest)
    if kind != _TYPE or len(pair) != _PAIR or not pair.endswith(public):
        raise ValueError("no ed25519 key")
    return _string(_TYPE) + _string(pair)


def alias(plan: str, vm: str) -> str:
    """Return the HostKeyAlias of a VM: addresses change, this does not."""
    return f"vmnet:{plan}:{vm}"


def known_host(plan: str, vm: str, public: str) -> str:
    """Return the line of a VM in a known_hosts file; the comment of the key is left out."""
    kind, body = public.split()[:2]
    return f"{alias(plan, vm)} {kind} {body}\n"


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _taken(raw: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(raw[:4], "big")
    return raw[4:end], raw[end:]
