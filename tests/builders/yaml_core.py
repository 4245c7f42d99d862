"""YAML as editors read it: version 1.2, its core schema, where PyYAML knows 1.1."""

import re
from typing import Any

import yaml

_TYPES = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "null": r"~|null|Null|NULL|",
}


class _Core(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own word for them)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


for _name, _form in _TYPES.items():
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_form})\\Z"), None)
_Core.add_constructor("tag:yaml.org,2002:int", _whole)


def typed(text: str) -> Any:  # noqa: ANN401  (what a text of YAML stands for)
    """Return what a JSON Schema judges of a text."""
    return yaml.load(text, Loader=_Core)  # noqa: S506  (derived from the safe one)
