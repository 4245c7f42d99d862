"""What of an Ignition file vmnet judges before it hands it on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.guest import ignition

FIX = "make it with butane, which writes ignition: {version: 3.x.y}"


def complaints(text: str) -> list[str]:
    found = ignition.complaints(text, "core.ign")
    assert {error.fix for error in found} <= {FIX}
    return [f"{error.where}: {error.what}" for error in found]


@pytest.mark.parametrize("version", ["3.0.0", "3.4.0", "3.5.0-experimental"])
def test_an_ignition_file_of_version_3_holds(version: str) -> None:
    told = {"ignition": {"version": version}, "passwd": {"users": [{"name": "core"}]}}
    assert complaints(json.dumps(told)) == []
    assert complaints(json.dumps(told, indent=2)) == []


NO_VERSION = "core.ign:1:1: there is no ignition.version in here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "core.ign:1:1: not valid JSON: Expecting value"),
        ("variant: fcos\n", "core.ign:1:1: not valid JSON: Expecting value"),
        (
            '{"ignition":\n  {"version": "3.4.0"}',
            "core.ign:2:23: not valid JSON: Expecting ',' delimiter",
        ),
        ('{"a": 1, "a": 2}', 'core.ign:1:1: not valid JSON: the key "a" is given twice'),
        ('{"a": NaN}', "core.ign:1:1: not valid JSON: NaN is not a number"),
        ("[" * 100_000, "core.ign:1:1: this is nested too deep"),
        ("[]", NO_VERSION),
        ('{"ignition": []}', NO_VERSION),
        ('{"ignition": {"version": 3}}', NO_VERSION),
        (
            '{\n "ignition": {"version": "2.3.0"}}',
            'core.ign:2:26: "2.3.0" is not a version of Ignition 3',
        ),
        (
            '{"ignition": {"version": "3.4.0\\u001b"}}',
            'core.ign:1:1: "3.4.0\\x1b" is not a version of Ignition 3',
        ),
    ],
)
def test_what_does_not_hold_is_told_with_its_line(text: str, said: str) -> None:
    assert complaints(text) == [said]


def test_a_file_that_is_no_json_is_not_shown() -> None:
    (error,) = ignition.complaints("root:$6$secret:19000::\n", "/etc/shadow")
    assert error.where is not None
    assert error.where.text == ""


@given(st.text())
def test_whatever_stands_there_is_judged(text: str) -> None:
    assert len(complaints(text)) == 1
