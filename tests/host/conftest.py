from collections.abc import Iterator

import pytest
from namespace import Namespace, fresh_namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A fresh network namespace that the test is in; everything in it disappears with it."""
    with fresh_namespace() as here:
        yield here
