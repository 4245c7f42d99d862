"""vmnet and the oracle on light networks: the first seeds; make test-oracle has many more."""

import subprocess
import sys

from tests.framework.lab import REPOSITORY


def test_vmnet_and_the_oracle_agree_on_twenty_broken_networks() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.oracle", "--jobs", "3", "0-19"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "20 seeds" in ran.stdout
