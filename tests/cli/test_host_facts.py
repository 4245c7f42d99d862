"""vmnet host-facts in a network namespace of its own: what it says of NICs is so."""

import json
import os
import subprocess
from pathlib import Path

from provisioner import __version__
from provisioner.fabric.document import from_json
from provisioner.fabric.facts import FEATURES, PROTOCOL, UplinkTap
from provisioner.plan.mac import Mac
from tests.builders.documents import valid
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
VMNET = forked.program()
NICS = """
ip link add nic0 type veth peer name far0
ip link set dev nic0 up mtu 1400
ip link set dev far0 up mtu 1400
ip link add link nic0 name tap0 type macvtap mode vepa
"""


def test_a_host_tells_what_it_has(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            "unshare",
            "-n",
            "sh",
            "-c",
            f'{NICS}\nexec "$@"',
            "sh",
            *forked.program(),
            "host-facts",
            "--json",
        ],
        cwd=HOUSE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "VMNET_STATE_DIR": str(tmp_path), "VMNET_RUN_DIR": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    valid(json.loads(ran.stdout), "host-facts")
    facts = from_json(ran.stdout, "h1")
    assert (facts.version, facts.protocol, facts.name) == (
        __version__,
        PROTOCOL,
        os.uname().nodename,
    )
    assert facts.cores == len(os.sched_getaffinity(0))
    assert 0 < facts.free_memory_mib <= facts.memory_mib
    assert set(facts.features) <= set(FEATURES)
    assert "macvtap" in facts.features
    uplink = facts.uplink("nic0")
    assert uplink
    assert (uplink.mtu, uplink.carrier) == (1400, True)
    (tap,) = uplink.taps
    assert tap == UplinkTap("tap0", "vepa", mac=tap.mac)
    assert Mac(tap.mac)
    assert list(tmp_path.iterdir()) == []
