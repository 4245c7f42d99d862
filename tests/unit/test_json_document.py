"""The envelope of vmnet's JSON: what stands first, and nothing in it that steers a terminal."""

import json

import pytest

from provisioner.doctor.findings import Item
from provisioner.errors import Exit
from provisioner.json_document import json_document
from tests.builders.report import HOSTILE


def test_the_envelope_comes_first_then_the_fields_as_they_are_given() -> None:
    text = json_document(
        "net ls", Exit.CONFLICT, {"warnings": (), "devices": [{"name": "a", "up": True}]}
    )
    assert text == (
        '{\n  "format": 1,\n  "command": "net ls",\n  "status": 3,\n  "warnings": [],\n'
        '  "devices": [\n    {\n      "name": "a",\n      "up": true\n    }\n  ]\n}'
    )


def test_a_data_class_is_written_as_its_fields() -> None:
    document = {"item": Item("host", "x"), "none": None, "seconds": 1.5}
    assert json.loads(json_document("check", 5, document)) == {
        "format": 1,
        "command": "check",
        "status": 5,
        "item": {"area": "host", "what": "x", "state": "ok", "fix": ""},
        "none": None,
        "seconds": 1.5,
    }


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_every_string_is_harmless_however_deep_it_stands(text: str) -> None:
    value = json.loads(json_document("ip", Exit.DONE, {"nics": ({text: [(text,)]}, text)}))
    for shown in (*value["nics"][0], value["nics"][0][next(iter(value["nics"][0]))][0][0]):
        assert shown == value["nics"][1]
        assert "\x1b" not in shown
        assert "##[" not in shown
