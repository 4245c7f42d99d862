"""The files of `templates/`: pages, tables and programs of other languages; the examples."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@cache
def template(name: str) -> str:
    """Return the text of a file, by its path in the folder."""
    return _packaged().joinpath("templates", name).read_text("utf-8")


def examples() -> dict[str, str]:
    """Return the text of each plan in `examples/`, by its name."""
    found = _packaged().joinpath("examples").iterdir()
    plans = {one.name.removesuffix(".yaml"): one for one in found if one.name.endswith(".yaml")}
    return {name: plans[name].read_text("utf-8") for name in sorted(plans)}


def _packaged() -> "Traversable":
    from importlib.resources import files

    return files("provisioner")
