"""The files of `templates/`: pages, tables and programs of other languages; the examples."""

from functools import cache
from importlib.resources import files


@cache
def template(name: str) -> str:
    """Return the text of a file, by its path in the folder."""
    return files("provisioner").joinpath("templates", name).read_text("utf-8")


def examples() -> dict[str, str]:
    """Return the text of each plan in `examples/`, by its name."""
    found = files("provisioner").joinpath("examples").iterdir()
    plans = {one.name.removesuffix(".yaml"): one for one in found if one.name.endswith(".yaml")}
    return {name: plans[name].read_text("utf-8") for name in sorted(plans)}
