"""User-data of the user's own: judged, and merged with what the plan says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.guest import cloudinit, userdata
from tests.builders.guest import KEY, cloud_config_in, guest, parts, texts, user_data_of

WEB = guest(ssh_keys=KEY, packages=["nginx"], run=["echo ours"], cloud_init="own")


def complaints(text: str) -> list[str]:
    own, found = userdata.read(text, "own.yaml")
    assert (own is None) == bool(found)
    return [f"{error.where}: {error.what}" for error in found]


def merged(own: str) -> dict[str, Any]:
    return user_data_of(WEB, own=f"#cloud-config\n{own}")


def test_lists_are_joined_mappings_merged_and_the_users_own_scalars_win() -> None:
    own = """
packages: [vim]
runcmd:
  - [sh, -c, "echo theirs"]
package_update: no
apt: {conf: x}
timezone: Europe/Berlin
"""
    assert merged(own) == {
        "ssh_authorized_keys": [KEY],
        "package_update": False,
        "packages": ["nginx", "vim"],
        "runcmd": ["echo ours", ["sh", "-c", "echo theirs"]],
        "apt": {"conf": "x"},
        "timezone": "Europe/Berlin",
    }


@pytest.mark.parametrize(
    ("theirs", "users"),
    [
        ("users: [{name: joe}]", ["default", {"name": "joe"}]),
        ("users: [default, joe]", ["default", "joe"]),
        ("users: []", ["default"]),
    ],
)
def test_whoever_the_keys_are_for_is_made_whatever_users_they_add(
    theirs: str, users: list[object]
) -> None:
    assert merged(theirs)["users"] == users


def test_root_may_log_in_where_the_plan_says_so() -> None:
    vm = guest(user="root", ssh_keys=KEY, cloud_init="own")
    found = user_data_of(vm, own="#cloud-config\ndisable_root: true\nusers: [joe]\n")
    assert (found["disable_root"], found["user"], found["users"]) == (
        False,
        {"name": "root"},
        ["joe"],  # cloud-init adds the user of `user` by itself
    )


def test_keys_of_their_own_let_their_owners_in_too() -> None:
    assert merged("ssh_authorized_keys: [theirs]")["ssh_authorized_keys"] == [KEY, "theirs"]


def test_values_keep_the_types_that_cloud_init_reads() -> None:
    own = "a: 0644\nb: 1.5\nc: ~\nd: 'yes'\ne: yes\nf: 2024-05-06\ng: [1, x: {y: 2}]\n"
    found = merged(own)
    assert {key: found[key] for key in "abcdef"} == {
        "a": 0o644,
        "b": 1.5,
        "c": None,
        "d": "yes",
        "e": True,
        "f": "2024-05-06",
    }
    assert found["g"] == [1, {"x": {"y": 2}}]


def test_user_data_of_their_own_alone_is_handed_on_as_it_is() -> None:
    own = "#cloud-config\n# a comment\npackages: [vim]\n"
    assert cloudinit.user_data(guest(cloud_init="own"), "debian", texts(own)) == own


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        ("#!/bin/sh\n", "text/x-shellscript"),
        ("#include\n", "text/x-include-url"),
        ("#include-once\n", "text/x-include-once-url"),
        ("#cloud-boothook\n", "text/cloud-boothook"),
        ("#part-handler\n", "text/part-handler"),
        ("#cloud-config-archive\n", "text/cloud-config-archive"),
        ("#cloud-config-jsonp\n", "text/cloud-config-jsonp"),
        ("## template: jinja\n#cloud-config\n", "text/jinja2"),
    ],
)
def test_other_kinds_go_beside_ours_which_comes_last(beginning: str, kind: str) -> None:
    own = f"{beginning}echo 'é' --==vmnet\nFrom me\n"
    text = cloudinit.user_data(WEB, "debian", texts(own))
    (first, last) = parts(text)
    assert first == (kind, own)
    assert (last[0], cloud_config_in(last[1])) == (
        "text/cloud-config",
        {
            "ssh_authorized_keys": [KEY],
            "package_update": True,
            "packages": ["nginx"],
            "runcmd": ["echo ours"],
            "users": ["default"],
        },
    )
    assert "Merge-Type: dict(no_replace,recurse_list)+list(append)" in text
    assert text == cloudinit.user_data(WEB, "debian", texts(own))
    assert text.isascii()


def test_the_parts_of_a_mime_archive_stay_in_their_order() -> None:
    own = (
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n'
        "--x\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n\n"
        "--x\nContent-Type: text/cloud-config\n\n#cloud-config\n{}\n--x--\n"
    )
    found = parts(cloudinit.user_data(WEB, "debian", texts(own)))
    assert [kind for kind, _ in found] == [
        "text/x-shellscript",
        "text/cloud-config",
        "text/cloud-config",
    ]


UNKNOWN = "not user-data that cloud-init knows: its first line does not say what it is"
NOTHING_KNOWN = [f"own.yaml:1:1: this is {UNKNOWN}"]
NO_LIST = "is not a list, and vmnet has something to add to it"
ODD = ["own.yaml:1:1: a key or a value here is not text, a number, true or false"]
NOT_WHOLE = ["own.yaml:1:1: this is not a complete MIME multi-part archive"]


@pytest.mark.parametrize(
    ("text", "cloud_config_in"),
    [
        ("packages: [x]\n", NOTHING_KNOWN),
        ("", NOTHING_KNOWN),
        ("#cloud-config\n- a\n", ["own.yaml:2:1: a cloud-config is made of keys and values"]),
        (
            "#cloud-config\na: [\n",
            ["own.yaml:3:1: not valid YAML: did not find expected node content"],
        ),
        (
            "#cloud-config\na: 1\na: 2\n",
            ['own.yaml:3:1: key "a" is given twice, first at own.yaml:2:1'],
        ),
        (
            "#cloud-config\na: &x [1]\nb: *x\n",
            ["own.yaml:2:4: an anchor stands here", "own.yaml:3:4: an alias stands here"],
        ),
        ("#cloud-config\na: {<<: {b: 1}}\n", ["own.yaml:2:5: the merge key << stands here"]),
        (
            "#cloud-config\na: !!python/object:os.system x\n",
            ['own.yaml:2:4: the tag "!!python/object:os.system" stands here'],
        ),
        (
            "#cloud-config\na: x\x1b[2J\n",
            ["own.yaml:2:5: the invisible character \\x1b stands here"],
        ),
        ("#cloud-config\na: 1\n---\nb: 2\n", ["own.yaml:3:1: a second document begins here"]),
        ("#cloud-config\nruncmd: echo\n", [f"own.yaml:2:1: runcmd {NO_LIST}"]),
        ("#cloud-config\nusers: {joe: {}}\n", [f"own.yaml:2:1: users {NO_LIST}"]),
        (
            "#cloud-config\nuser: joe\n",
            ["own.yaml:2:1: user: stands here, and vmnet would not know whom to log in as"],
        ),
        (
            "#cloud-config\nvendor_data:\n  enabled: no\n",
            ["own.yaml:3:3: this keeps out the key that the guest's ssh server is known by"],
        ),
        ("#cloud-config\nx: {on: 1}\n", ODD),
        ("#cloud-config\nx: .nan\n", ODD),
        (
            "#cloud-config\nx: 2024-13-40\n",
            ["own.yaml:1:1: a value cannot be read: month must be in 1..12"],
        ),
        ("#!/bin/sh\necho \0\n", ["own.yaml:2:6: the control character \\x00 stands here"]),
        ("MIME-Version: 1.0\n\nhello\n", NOT_WHOLE),
        ('Content-Type: multipart/mixed; boundary="x"\n\n--y\n', NOT_WHOLE),
    ],
)
def test_what_does_not_hold_is_told_with_its_line(text: str, cloud_config_in: list[str]) -> None:
    assert complaints(text) == cloud_config_in


def test_a_file_that_is_no_user_data_is_not_shown() -> None:
    _, (error,) = userdata.read("root:$6$secret:19000::\n", "/etc/shadow")
    assert error.where is not None
    assert error.where.text == ""
    assert "secret" not in error.what


def test_an_empty_cloud_config_is_one() -> None:
    assert complaints("#cloud-config\n") == []
    assert merged("") == user_data_of(WEB)


plain = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["C"]))
trees = st.recursive(
    plain,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.text(st.characters(categories=["L"])), below, max_size=3)
    ),
    max_leaves=12,
)


@given(theirs=st.dictionaries(st.sampled_from(["a", "bootcmd", "apt", "é😀"]), trees))
def test_all_that_they_say_arrives_as_they_said_it(theirs: dict[str, Any]) -> None:
    found = merged(json.dumps(theirs, ensure_ascii=False))
    assert {key: found[key] for key in theirs} == theirs
    assert found["ssh_authorized_keys"] == [KEY]
