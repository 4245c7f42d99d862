"""What a check that goes on tells when somebody takes the plan's rules away."""

import subprocess
from pathlib import Path

import pytest

from provisioner.commands.check.happenings import Happenings
from provisioner.host.network import nftables as nft
from provisioner.network import nftables

pytestmark = pytest.mark.usefixtures("namespace")


def test_rules_that_go_are_told_once_and_those_of_others_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path))
    with Happenings("lab", "auto", []) as happenings:
        nft.create(nftables.isolation("lab", "lan", "mvh0123456789"))
        happenings.watch([], [])
        assert happenings.within(0.1) == []
        subprocess.run(["nft", "add", "table", "inet", "theirs"], check=True)
        assert happenings.within(5) == []
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        assert [str(one) for one in happenings.within(5)] == [
            "somebody has taken 1 table of the plan's rules away: vmnet up"
        ]
        assert happenings.within(0.1) == []
