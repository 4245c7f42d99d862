import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.lab import REPOSITORY, Lab


@pytest.fixture(scope="session", autouse=True)
def image() -> None:
    """The image that all guests boot from, built once for all labs."""
    argv = [sys.executable, "-m", "provisioner", "image", "build", "micro"]
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, timeout=600)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of the test's own."""
    with Lab(tmp_path).opened() as here:
        yield here


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab for all tests of a module that only look."""
    with Lab(tmp_path_factory.mktemp("lab")).opened() as here:
        yield here
