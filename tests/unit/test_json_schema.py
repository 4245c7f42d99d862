"""The schemas of documents: made of types, and one for each command that writes JSON."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from jsonschema import Draft202012Validator, ValidationError

from provisioner.cli.completion import index
from provisioner.cli.plan_file.documents import documents, schema
from provisioner.dataclass import dataclass
from provisioner.json_document import Envelope
from provisioner.json_schema import document_schema
from tests.builders.documents import valid

COMMANDS = sorted(documents())


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel."""

    size: int


class Car(TypedDict):
    """A car."""

    name: Annotated[str, "What it is called."]
    colour: Colour | None
    wheels: Sequence[Wheel]
    doors: NotRequired[Literal[3, 5]]
    prices: dict[str, float]


def test_a_type_becomes_the_form_of_its_values() -> None:
    found = document_schema("car ls", "Cars", Envelope, [Car])
    assert found["$id"] == "urn:vmnet:schema:car-ls"
    assert found["required"] == [
        "format", "command", "status", "name", "colour", "wheels", "prices",
    ]  # fmt: skip
    assert {key: found["properties"][key] for key in ("name", "colour", "wheels", "doors")} == {
        "name": {"type": "string", "description": "What it is called."},
        "colour": {"anyOf": [{"enum": ["red"]}, {"type": "null"}]},
        "wheels": {"type": "array", "items": {"$ref": "#/$defs/Wheel"}},
        "doors": {"enum": [3, 5]},
    }
    assert found["$defs"]["Wheel"]["properties"] == {"size": {"type": "integer"}}


def test_a_type_without_a_form_in_json_is_refused() -> None:
    class Odd(TypedDict):
        """Odd."""

        thing: complex

    with pytest.raises(TypeError, match="has no form in JSON"):
        document_schema("x", "x", Envelope, [Odd])


def test_each_command_that_writes_json_has_a_schema() -> None:
    writing = {words for words, entry in index.read().items() if "--json" in entry["options"]}
    # The schema "plan" is that of plan files: what vmnet plan writes is a report.
    assert writing - {"plan"} == set(COMMANDS) - {"report"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_schema_is_one_of_draft_2020_12_whose_readers_ignore_unknown_keys(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert "readers pass over them" in found["title"]
    closed = [one for one in objects(found) if one.get("additionalProperties") is False]
    assert closed == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_part_of_a_schema_says_what_it_is(name: str) -> None:
    parts = [one for one in objects(schema(name)) if "properties" in one]
    assert [one for one in parts if len(one["description"].split()) < 2] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_schema_takes_errors_and_refuses_half_a_document(name: str) -> None:
    error = {"what": "no", "where": None, "fix": "do it"}
    envelope = {"format": 1, "command": name, "status": 4}
    valid({**envelope, "errors": [error]}, name)
    with pytest.raises(ValidationError):
        valid(envelope, name)
    with pytest.raises(ValidationError):
        valid({**envelope, "errors": [{**error, "what": 7}]}, name)


def objects(form: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  (JSON)
    """Return each object of a schema that is one of JSON Schema's own."""
    if isinstance(form, list):
        for one in form:
            yield from objects(one)
    if isinstance(form, dict):
        yield form
        for one in form.values():
            yield from objects(one)
