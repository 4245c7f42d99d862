"""The schemas of what commands write with --json, held to strictly."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from provisioner.cli.plan_file.documents import schema


def valid(document: Any, name: str) -> Any:  # noqa: ANN401  (JSON)
    """Return a document of a command that its schema takes, and that has no key besides."""
    strictly(name).validate(document)
    return document


@cache
def strictly(name: str) -> Draft202012Validator:
    """Return what holds a document to a schema, and takes no key that is not there."""
    return Draft202012Validator(_closed(schema(name)))


def _closed(form: Any) -> Any:  # noqa: ANN401  (JSON)
    """Return a schema whose objects have no keys but those that it names."""
    if isinstance(form, list):
        return [_closed(one) for one in form]
    if not isinstance(form, dict):
        return form
    found = {key: _closed(one) for key, one in form.items()}
    named = isinstance(form.get("properties"), dict) and form.get("type") == "object"
    return {**found, "additionalProperties": False} if named else found
