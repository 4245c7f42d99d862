"""Regular expressions are compiled when they are used, and each of vmnet's can be."""

import gc
import importlib
import pkgutil
import re

import pytest

import provisioner
from provisioner.pattern import Uncompiled, pattern


def test_a_pattern_does_what_the_compiled_one_does() -> None:
    word = pattern(r"(?P<first>a)b*", re.IGNORECASE)
    assert word.fullmatch("ABB") is not None
    assert word.sub("-", "xabby") == "x-y"
    assert word.groupindex == {"first": 1}
    assert [each.start() for each in word.finditer("a-a")] == [0, 2]


def test_nothing_is_compiled_before_it_is_used() -> None:
    broken = pattern("(")
    with pytest.raises(re.error, match="unterminated"):
        broken.search("")


def test_every_pattern_of_vmnet_can_be_compiled() -> None:
    for module in pkgutil.walk_packages(provisioner.__path__, "provisioner."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [each for each in gc.get_objects() if isinstance(each, Uncompiled)]
    assert len(found) > 100
    for each in found:
        assert isinstance(each.pattern, str | bytes)
