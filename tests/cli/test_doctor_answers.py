"""vmnet doctor as its user meets it: nothing changed, nothing left, nothing sent unasked."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.builders.documents import valid
from tests.framework import forked

HOUSE = Path(__file__).parents[2]
NIC = """
ip link add nic0 type veth peer name far0
ip link set dev nic0 up
ip link set dev far0 up
ip addr add 10.9.0.1/24 dev far0
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def vmnet(*words: str, before: str = "", after: str = "", user: int = 0) -> Ran:
    """Run the doctor in a fresh network namespace, as some user."""
    inside = ["unshare", "-n", "sh", "-c", f'{before}\n"$@"; s=$?; {after}\nexit $s', "sh"]
    drop = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
    ran = subprocess.run(
        [*inside, *drop, *forked.program(), "doctor", *words],
        cwd=HOUSE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"},
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def test_a_host_that_can_run_all_these_tests_is_found_fit() -> None:
    ran = vmnet("--json", before=NIC)
    told = valid(json.loads(ran.out), "doctor")
    assert (ran.status, told["status"]) == (0, 0), ran.out
    whats = {f["what"] for f in told["findings"]}
    for driver in ("macvlan", "macvtap", "veth", "bridge", "clsact"):
        assert any(w.startswith(f"{driver}: works") for w in whats), (driver, whats)
    assert any(w.startswith("QEMU emulator version") for w in whats)
    assert any(w.startswith("libvirt ") and "opened" in w for w in whats)
    assert any(w.startswith("nic0 (veth") and "can carry guests" in w for w in whats)
    assert any(w.startswith("KVM: ") for w in whats)
    assert all(f["fix"] for f in told["findings"] if f["state"] in {"lacking", "broken"})


def test_asking_the_kernel_for_drivers_makes_nothing() -> None:
    ran = vmnet(after="ip -br link >&2; tc qdisc show dev lo >&2; nft list ruleset >&2")
    devices = [line.split()[0] for line in ran.err.splitlines() if " DOWN " in line]
    assert ran.status == 0
    assert devices == ["lo"], ran.err
    assert "table" not in ran.err
    assert "clsact" not in ran.err
    assert not list(Path("/run/vmnet").glob(".doctor-*"))
    assert not list(Path("/dev").glob(".vmnet-doctor*"))


def test_a_switch_is_asked_only_after_consent() -> None:
    ran = vmnet("--uplink", "nic0", "--peer", "10.9.0.1", before=NIC)
    assert ran.status == 2
    assert "this will be sent:" in ran.err
    assert "nothing has been sent" in ran.err
    asked = vmnet("--uplink", "nic0", "--peer", "10.9.0.1", "--yes", before=NIC)
    assert asked.status == 0, asked.out
    assert "foreign MACs: pass" in asked.out


def test_a_nic_that_cannot_do_is_status_4() -> None:
    assert 'there is no NIC "nope"' in (ran := vmnet("--uplink", "nope")).out
    assert ran.status == 4
    told = json.loads(vmnet("--uplink", "nope", "--json").out)
    assert told["status"] == 4
    assert [f["state"] for f in told["findings"] if "nope" in f["what"]] == ["broken"]
    down = vmnet("--uplink", "nic0", before="ip link add nic0 type veth peer name far0")
    assert (down.status, "ip link set dev nic0 up" in down.out) == (4, True)


def test_an_unprivileged_user_learns_what_is_missing(tmp_path: Path) -> None:
    del tmp_path
    ran = vmnet(user=65534)
    assert ran.status == 4
    assert "CAP_NET_ADMIN (to make macvtap devices)" in ran.out
    assert "tells root only" in ran.out


def test_words_that_do_not_go_together_are_refused() -> None:
    ran = vmnet("--yes")
    assert (ran.status, "name the NIC: --uplink NIC" in ran.err) == (2, True)


def test_the_lines_for_runners_are_printed_without_looking_further() -> None:
    ran = vmnet("--ci")
    assert ran.status == 0
    for word in ('KERNEL=="kvm"', "runs-on: ubuntu-latest", "device_cgroup_rules"):
        assert word in ran.out
