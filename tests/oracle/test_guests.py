"""vmnet and the oracle on a plan of real guests: the first seeds; make test-oracle has fifty."""

import subprocess
import sys

from tests.framework.lab import REPOSITORY


def test_vmnet_and_the_oracle_agree_on_guests_that_are_broken() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.oracle", "--guests", "0-1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 seeds" in ran.stdout
