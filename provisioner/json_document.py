"""The envelope of every JSON document that vmnet prints."""

import json

from provisioner.text import sanitize

FORMAT = 1  # changes only when a reader of the old one would be misled


def json_document(command: str = "", status: int | None = None, /, **fields: object) -> str:
    """Return a document of a command, with its exit status if it has one, every string sanitised.

    `fields` hold what json.dumps takes.
    """
    envelope: dict[str, object] = {"format": FORMAT}
    if command:
        envelope["command"] = command
    if status is not None:
        envelope["status"] = int(status)
    return json.dumps(sanitized(envelope | fields), indent=2)


def sanitized(value: object) -> object:
    """Return a value with every string in its dictionaries, lists and tuples sanitised."""
    match value:
        case str():
            return sanitize(value)
        case dict():
            return {sanitize(str(key)): sanitized(item) for key, item in value.items()}
        case list() | tuple():
            return [sanitized(item) for item in value]
        case _:
            return value
