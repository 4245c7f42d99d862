"""The examples of a page of docs/, so that tests run what readers copy."""

import re

from tests.framework.lab import REPOSITORY

_BLOCK = re.compile(r"^```\w+\n# (?P<name>\S+)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: str) -> dict[str, str]:
    """Return the blocks of a page that begin with the name of a file, by that name."""
    text = (REPOSITORY / "docs" / page).read_text()
    return {found["name"]: found["text"] for found in _BLOCK.finditer(text)}
