"""How a guest and ssh are told the key that a guest's ssh server is known by."""

import base64
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioner.guest import host_key
from provisioner.guest.host_key import HostKey


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> HostKey:
    return made(tmp_path_factory.mktemp("key"), "ed25519")


def made(folder: Path, kind: str, passphrase: str = "") -> HostKey:
    file = folder / kind
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a comment", "-f", str(file)]
    subprocess.run(argv, check=True)
    return HostKey(file.with_suffix(".pub").read_text().strip(), file.read_text())


def test_cloud_init_is_told_both_halves_and_forgets_the_images_own(key: HostKey) -> None:
    text = host_key.vendor_data(key, host_key.CLOUD_INIT)
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": key.private, "ed25519_public": f"{key.public}\n"},
    }


def test_dropbear_is_told_a_file_of_its_own_form(key: HostKey) -> None:
    told = yaml.safe_load(host_key.vendor_data(key, host_key.DROPBEAR))
    (file,) = told["write_files"]
    raw = base64.b64decode(file.pop("content"))
    assert file == {
        "path": "/etc/dropbear/dropbear_ed25519_host_key",
        "encoding": "b64",
        "permissions": "0600",
        "owner": "root:root",
    }
    public = base64.b64decode(key.public.split()[1])[-32:]
    assert (raw[:15], raw[15:19], len(raw)) == (b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x40", 83)
    assert raw[-32:] == public
    assert raw[19:-32] in base64.b64decode("".join(key.private.splitlines()[1:-1]))


@pytest.mark.parametrize(("kind", "passphrase"), [("ecdsa", ""), ("ed25519", "words")])
def test_another_kind_of_key_is_refused(tmp_path: Path, kind: str, passphrase: str) -> None:
    with pytest.raises(ValueError, match="no "):
        host_key.dropbear(made(tmp_path, kind, passphrase).private)


@given(st.binary(max_size=200))
def test_a_damaged_key_is_refused(body: bytes) -> None:
    text = base64.b64encode(host_key._PLAIN + body).decode()
    with pytest.raises(ValueError, match="no "):
        host_key.dropbear(f"-----BEGIN-----\n{text}\n-----END-----\n")


def test_a_known_host_is_named_by_plan_and_vm(key: HostKey) -> None:
    kind, body, *_ = key.public.split()
    assert host_key.known_host("lab", "web", key.public) == f"vmnet:lab:web {kind} {body}\n"


def test_the_private_half_does_not_show(key: HostKey) -> None:
    assert key.private.splitlines()[1][:30] not in repr(key)
