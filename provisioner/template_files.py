"""The files of `templates/`: pages, tables and programs of other languages."""

from functools import cache
from importlib.resources import files


@cache
def template(name: str) -> str:
    """Return the text of a file, by its path in the folder."""
    return files("provisioner").joinpath("templates", name).read_text("utf-8")
