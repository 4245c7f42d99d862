"""The envelope of vmnet's JSON: what stands first, and nothing in it that steers a terminal."""

import json

import pytest

from provisioner.errors import Exit
from provisioner.json_document import json_document
from tests.builders.report import HOSTILE


def test_the_envelope_comes_first_then_the_fields_as_they_are_given() -> None:
    text = json_document("net ls", Exit.CONFLICT, warnings=(), devices=[{"name": "a", "up": True}])
    assert text == (
        '{\n  "format": 1,\n  "command": "net ls",\n  "status": 3,\n  "warnings": [],\n'
        '  "devices": [\n    {\n      "name": "a",\n      "up": true\n    }\n  ]\n}'
    )


def test_a_document_may_be_of_no_command_and_have_a_field_named_like_the_envelopes() -> None:
    assert json.loads(json_document(status="up", seconds=1.5, none=None)) == {
        "format": 1,
        "status": "up",
        "seconds": 1.5,
        "none": None,
    }


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_every_string_is_harmless_however_deep_it_stands(text: str) -> None:
    value = json.loads(json_document("ip", nics=({text: [(text,)]}, text)))
    for shown in (*value["nics"][0], value["nics"][0][next(iter(value["nics"][0]))][0][0]):
        assert shown == value["nics"][1]
        assert "\x1b" not in shown
        assert "##[" not in shown
