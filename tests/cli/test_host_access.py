"""Where guests meet the host, where the plan says no more than `host_access: true`."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.test_colours import VMNET, environment

PLAN = """\
name: met
networks: {{lan: {{uplink: nic0, subnet: 10.3.0.0/24, host_access: {}}}}}
vms: {{w: {{nics: [lan]}}}}
"""
ADDED = "ip link add nic0 up type veth peer name far0 && ip link set far0 up && exec "


@pytest.mark.parametrize(("wanted", "is_told"), [("true", True), ("10.3.0.9", False)])
def test_the_address_that_vmnet_chooses_for_the_host_is_told(
    *, wanted: str, is_told: bool, tmp_path: Path
) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN.format(wanted))
    ran = subprocess.run(
        ["unshare", "-mn", "sh", "-c", ADDED + '"$@"', "sh", *VMNET, "plan"],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "create host access to lan: new" in ran.stdout, ran.stderr
    told = [x for x in ran.stderr.splitlines() if x.startswith("address of this host on lan")]
    why = "host_access: true; guests reach this host there"
    found = [line.removesuffix(f": {why}").split()[-1] for line in told]
    assert [address.startswith("10.3.0.") for address in found] == [True] * is_told
