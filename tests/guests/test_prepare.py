"""What a start takes is made before it, and nothing of it is on the wire until then."""

import re
from contextlib import ExitStack
from pathlib import Path

from tests.framework.lab import Lab
from tests.framework.wire import cabled_nic

PLAN = """\
networks:
  lan: {{uplink: {}, subnet: 10.77.0.0/24}}
  own: {{uplink: {}, mode: passthru, subnet: 10.78.0.0/24}}
vms: {{a: {{nics: [lan]}}, b: {{nics: [lan, own]}}}}
"""


def test_prepared_guests_are_started_by_the_next_up_and_a_killed_run_leaves_nothing(
    tmp_path: Path,
) -> None:
    with Lab(tmp_path).opened() as lab, ExitStack() as stack:
        nics = [stack.enter_context(cabled_nic(lab)).name for _ in range(2)]
        path = lab.plan(PLAN.format(*nics))
        before = lab.ip("-d", "-o", "link")
        ran = lab.vmnet("up", path, "--prepare", "--json")
        assert re.search(r'"action": "create",\s+"kind": "macvtap"', ran.stdout)
        taps = lab.macvtaps()
        assert (len(taps), lab.qemus(), lab.modes()) == (2, {}, {"bridge"})
        assert "UP" not in "".join(re.findall(r"mvt\w+@.*<(.*)>", lab.ip("-o", "link")))
        assert "nothing to prepare" in lab.vmnet("up", path, "--prepare").stderr
        lab.vmnet("down", path)
        assert lab.ip("-d", "-o", "link") == before
        lab.vmnet("up", path, "--prepare")
        ran = lab.vmnet("up", path, "--no-check")
        assert "measurement" not in ran.stdout
        assert set(lab.qemus()) == {f"{lab.name}-a", f"{lab.name}-b"}
        assert "nothing to prepare" in lab.vmnet("up", path, "--prepare").stderr
        assert "nothing to do" in lab.vmnet("up", path).stderr
        lab.vmnet("down", path)


def test_a_snapshot_is_not_prepared(tmp_path: Path) -> None:
    with Lab(tmp_path).opened() as lab:
        words = ("up", lab.plan(PLAN.format("x0", "x1")), "--prepare", "--from-snapshot", "one")
        assert "--prepare starts no guest" in lab.vmnet(*words, status=2).stderr
