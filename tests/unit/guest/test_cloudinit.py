"""What a guest is told at its first boot."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.guest import cloudinit
from provisioner.guest.domain import Seed
from provisioner.guest.userdata import Texts
from provisioner.plan.vm import File
from tests.builders.guest import HASH, KEY, cloud_config_in, guest, texts, user_data_of

NETWORK = '{"ethernets":{},"version":2}'


def seed(user: str, network: str = NETWORK, how: str = "cloud-init") -> Seed:
    return cloudinit.seed("/v/lab", "lab", "web", (user, network), how)


def test_a_guest_is_told_all_that_the_plan_says_of_its_inside() -> None:
    vm = guest(
        ssh_keys=KEY,
        password_hash=HASH,
        packages=["nginx", "curl"],
        run=["echo hello", "systemctl restart nginx"],
        files=[
            {"path": "/etc/motd", "content": "hello\n\tall\n"},
            {"path": "/srv/é", "content": "é\n", "mode": "640", "owner": "www-data:www-data"},
            {"path": "/etc/bell", "source": "./bell", "owner": "root"},
        ],
    )
    assert cloud_config_in(cloudinit.user_data(vm, "debian", texts(**{"./bell": "\a\r\n"}))) == {
        "ssh_authorized_keys": [KEY],
        "user": {"name": "debian", "lock_passwd": False, "hashed_passwd": HASH},
        "ssh_pwauth": True,
        "package_update": True,
        "packages": ["nginx", "curl"],
        "write_files": [
            {
                "path": "/etc/motd",
                "content": "hello\n\tall\n",
                "permissions": "0644",
                "owner": "root:root",
            },
            {
                "path": "/srv/é",
                "encoding": "b64",
                "content": "w6kK",
                "permissions": "0640",
                "owner": "www-data:www-data",
                "defer": True,
            },
            {
                "path": "/etc/bell",
                "encoding": "b64",
                "content": "Bw0K",
                "permissions": "0644",
                "owner": "root",
            },
        ],
        "runcmd": ["echo hello", "systemctl restart nginx"],
    }


def test_a_guest_of_which_the_plan_says_nothing_is_told_nothing() -> None:
    assert cloudinit.user_data(guest(), "debian", Texts()) == ""
    assert cloudinit.user_data(guest(image="micro"), "root", Texts()) == ""


SUDO = "ALL=(ALL) NOPASSWD:ALL"


@pytest.mark.parametrize(
    ("keys", "login", "account"),
    [
        ({"ssh_keys": KEY}, "debian", {"ssh_authorized_keys": [KEY]}),
        ({"ssh_keys": KEY}, None, {"ssh_authorized_keys": [KEY]}),
        ({"user": "me"}, "debian", {"user": {"name": "me", "sudo": SUDO}}),
        ({"user": "me"}, None, {"user": {"name": "me", "sudo": SUDO}}),
        ({"user": "root"}, "debian", {"user": {"name": "root"}, "disable_root": False}),
        (
            {"password_hash": HASH},
            "debian",
            {
                "user": {"name": "debian", "lock_passwd": False, "hashed_passwd": HASH},
                "ssh_pwauth": True,
            },
        ),
        (
            {"password_hash": HASH},
            None,
            {"password": HASH, "chpasswd": {"expire": False}, "ssh_pwauth": True},
        ),
        (
            {"user": "root", "password_hash": HASH},
            "debian",
            {
                "user": {"name": "root", "lock_passwd": False, "hashed_passwd": HASH},
                "disable_root": False,
                "ssh_pwauth": True,
            },
        ),
    ],
)
def test_whoever_logs_in_can(
    keys: dict[str, object], login: str | None, account: dict[str, object]
) -> None:
    assert user_data_of(guest(**keys), login) == account


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        ({}, "cloud-init"),
        ({"ssh_keys": KEY}, "cloud-init"),
        ({"ignition": "core.ign"}, ""),
        ({"image": "micro"}, ""),
        ({"image": "micro", "ssh_keys": KEY}, "dropbear"),
    ],
)
def test_a_guest_that_lets_ssh_in_takes_a_host_key(keys: dict[str, object], how: str) -> None:
    assert cloudinit.host_key(guest(**keys)) == how


def test_a_password_in_the_clear_is_told_as_its_hash() -> None:
    vm = guest(user="me", password="secret words")  # noqa: S106
    text = cloudinit.user_data(vm, None, Texts(hashes={"web": HASH}))
    assert cloud_config_in(text)["user"]["hashed_passwd"] == HASH
    assert "secret" not in text


def test_the_micro_image_is_told_in_words_that_it_reads() -> None:
    vm = guest(image="micro", run=['echo "1"', "echo 2"], files=[{"path": "/etc/a", "content": ""}])
    script = base64.b64encode(b'echo "1"\necho 2\n').decode()
    file = {"encoding": "b64", "permissions": "0644", "owner": "root:root"}
    assert user_data_of(vm, "root") == {
        "write_files": [
            file | {"path": "/etc/a", "content": ""},
            file | {"path": "/run/vmnet.run", "content": script, "permissions": "0700"},
        ],
        "runcmd": ["sh /run/vmnet.run"],
    }


def test_guests_with_keys_alone_are_told_what_older_versions_told_them() -> None:
    vm = guest(image="micro", ssh_keys=KEY)
    assert cloudinit.user_data(vm, "root", Texts()) == (
        f'#cloud-config\n{{"ssh_authorized_keys": ["{KEY}"]}}\n'
    )


def text_of(raw: Any) -> str:  # noqa: ANN401  (YAML)
    return base64.b64decode(raw["content"]).decode() if "encoding" in raw else str(raw["content"])


# No lone surrogates: no file and no plan can hold one.
hostile = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\n", "- x", "a: b", "#", "}]'\"", "\\", "\u2028", "\x85", "\ufeff", "\x7f", "😀", "\0", "---"]
)


@settings(max_examples=300, deadline=None)
@given(values=st.lists(hostile, min_size=6, max_size=6), image=st.sampled_from(["micro", "x"]))
def test_whatever_the_plan_says_comes_back_as_it_was_and_never_breaks_out(
    values: list[str], image: str
) -> None:
    path, content, source, run, package, key = values
    vm = guest().model_copy(
        update={
            "image": image,
            "ssh_keys": (key,),
            "packages": (package,),
            "run": (run,),
            "files": (
                File.model_construct(path=path, content=content, mode="0644", owner="root"),
                File.model_construct(path="/b", content=None, source="s", mode="0", owner=path),
            ),
        }
    )
    read = cloud_config_in(cloudinit.user_data(vm, "debian", Texts({"s": source})))
    assert read["ssh_authorized_keys"] == [key]
    first, second, *script = read["write_files"]
    assert (first["path"], text_of(first), second["owner"], text_of(second)) == (
        path,
        content,
        path,
        source,
    )
    if image == "micro":
        assert (text_of(script[0]), len(read)) == (f"{run}\n", 3)
    else:
        assert (read["runcmd"], read["packages"], len(read)) == ([run], [package], 5)


def test_a_seed_has_cloud_inits_four_files_but_the_secret_one() -> None:
    found = seed("#cloud-config\n{}\n")
    assert [name for name, _ in found.files] == ["meta-data", "user-data", "network-config"]
    instance = found.path.removeprefix("/v/lab/seed/").removesuffix(".iso")
    assert dict(found.files)["meta-data"] == (f"instance-id: lab-{instance}\nlocal-hostname: web\n")
    assert (found.vm, found.host_key) == ("web", "cloud-init")


@given(one=st.tuples(hostile, hostile), other=st.tuples(hostile, hostile))
def test_the_instance_id_changes_exactly_when_the_seed_does(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    first, second = seed(*one), seed(*other)
    same = first.files[1:] == second.files[1:]
    assert (first.files[0] == second.files[0]) == same
    assert (first.path == second.path) == same
    assert seed(*one, how="").path == first.path


def test_what_is_in_a_seed_does_not_show_when_it_is_told_of() -> None:
    assert "secret" not in repr(seed("secret"))
    assert repr(replace(seed("secret"), files=())) == repr(seed("secret"))
    assert "secret" not in repr(texts("#!/bin/sh\nsecret\n", secretless="secret words"))


def test_a_fingerprint_tells_texts_apart_and_nothing_of_them() -> None:
    assert cloudinit.fingerprint("") == ""
    assert len(cloudinit.fingerprint("a")) == 64
    assert cloudinit.fingerprint("a") != cloudinit.fingerprint("b")
