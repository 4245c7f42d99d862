"""A guest that is told files, lines and a host key; and who else can read of them."""

import base64
import re
import subprocess
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.framework.lab import Lab, call, until
from tests.framework.plan import PlanUp, brought_up

PLAN = """\
networks: {{lan: {{switch: true, subnet: 10.77.0.0/24}}}}
vms:
  a:
    nics: [lan]
    ssh_keys: "{key}"
    run: ["echo hidden line $(cut -d' ' -f19 /proc/self/stat) > /tmp/ran", "exit 3"]
    files:
      - {{path: /etc/motd, content: "hidden content\\n", mode: "0640"}}
      - {{path: /opt/deep/down, source: ./own}}
      - {{path: /etc/empty, content: ""}}
"""
SOURCE = "hidden source é\n" * 3000
SECRETS = [b"hidden content", b"hidden line", b"hidden source", b"PRIVATE KEY"]
SECRETS += [base64.b64encode(secret)[:-4] for secret in SECRETS[:3]]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key to log in with."""
    file = tmp_path_factory.mktemp("ssh") / "key"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", str(file))
    return file


@pytest.fixture(scope="module")
def text(key: Path) -> str:
    return PLAN.format(key=key.with_suffix(".pub").read_text().strip())


@pytest.fixture(scope="module")
def plan_text(shared_lab: Lab, text: str) -> str:
    (shared_lab.directory / "own").write_text(SOURCE)
    return text


def ssh(plan: PlanUp, key: Path, vm: str) -> subprocess.CompletedProcess[str]:
    options = (
        *("StrictHostKeyChecking=yes", f"UserKnownHostsFile={plan.home / 'known_hosts'}"),
        *(f"HostKeyAlias=vmnet:{plan.path.stem}:{vm}", "ConnectionAttempts=20", "BatchMode=yes"),
    )
    flags = [word for option in options for word in ("-o", option)]
    there = f"root@{plan.addresses('a')[0]}"
    argv = [*plan.lab.enter, "ssh", "-F", "none", "-i", str(key), *flags, there, "hostname"]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_guest_has_its_files(plan_up: PlanUp) -> None:
    shown = "cd /; stat -c '%n %a %U:%G %s' etc/motd opt/deep/down etc/empty; cat etc/motd"
    size = len(SOURCE.encode())
    assert plan_up.inside("a", shown) == (
        f"etc/motd 640 root:root 15\nopt/deep/down 644 root:root {size}\n"
        "etc/empty 644 root:root 0\nhidden content\n"
    )


def test_the_guest_has_run_its_lines_and_says_how_they_ended(plan_up: PlanUp) -> None:
    until(lambda: "0" in plan_up.inside("a", "ls /run/ran && echo 0"), "its lines are run")
    assert plan_up.inside("a", "cat /tmp/ran") == "hidden line 0\n"
    console = (plan_up.home / "console" / "a.log").read_text(errors="replace")
    assert "vmnet: /run/vmnet.run ended with status 3: see /run/vmnet.run.log" in console


def test_ssh_knows_the_guest_and_takes_no_other_for_it(plan_up: PlanUp, key: Path) -> None:
    known = ssh(plan_up, key, "a")
    assert (known.returncode, known.stdout) == (0, "a\n")
    other = ssh(plan_up, key, "b")
    assert (other.returncode, other.stdout) == (255, "")
    assert "Host key verification failed" in other.stderr


def test_only_qemu_can_read_the_seed_and_only_root_the_keys(plan_up: PlanUp) -> None:
    (seed,) = (plan_up.home / "seed").glob("*.iso")
    found = seed.stat()
    qemus = plan_up.lab.qemus()
    users = {vm[-1]: Path(f"/proc/{pid}").stat().st_uid for vm, pid in qemus.items()}
    assert (found.st_uid, S_IMODE(found.st_mode)) == (users["a"], 0o600)
    assert len({*users.values(), 0}) == len(users) + 1
    keys = plan_up.home / "keys"
    private, known = keys / "a" / "key", plan_up.home / "known_hosts"
    modes = [S_IMODE(path.stat().st_mode) for path in (keys, keys / "a", private, known)]
    assert modes == [0o700, 0o700, 0o600, 0o644]  # whom a guest is known by is no secret
    assert {path.stat().st_uid for path in (keys, private, known)} == {0}
    assert S_IMODE((plan_up.home / "console" / "a.log").stat().st_mode) == 0o600
    told = seed.read_bytes()
    assert base64.b64encode(b"hidden content\n") in told
    assert b"hidden content" not in told
    assert b"OPENSSH" not in known.read_bytes()


def test_what_is_hidden_shows_nowhere_else(plan_up: PlanUp) -> None:
    told = [
        plan_up.run("render", "a"),
        *(plan_up.lab.vmnet(x, plan_up.path, "--json") for x in ("status", "plan")),
        *(plan_up.lab.vmnet(x, plan_up.path) for x in ("plan", "up")),
        plan_up.run("logs", "a"),
        plan_up.run("logs", "a", "--qemu"),
    ]
    spoken = "".join(ran.stdout + ran.stderr for ran in told).encode()
    # Where libvirt keeps its domains, their logs and what it says to those who may only read.
    places = [Path("/run/vmnet") / plan_up.path.stem, plan_up.home]
    kept = {
        path: path.read_bytes()
        for place in places
        for path in place.rglob("*")
        if path.is_file() and not {"seed", "keys", "cache"} & {*path.relative_to(place).parts}
    }
    assert any(path.suffix == ".xml" for path in kept)
    for pid in plan_up.qemus.values():
        kept[Path(f"/proc/{pid}")] = Path(f"/proc/{pid}/cmdline").read_bytes()
    everything = {Path("what vmnet says"): spoken} | kept
    assert [
        (path, secret) for path, text in everything.items() for secret in SECRETS if secret in text
    ] == []


def test_a_file_that_has_changed_is_a_cause_to_start_anew_with_the_same_key(
    lab: Lab, text: str, key: Path
) -> None:
    (lab.directory / "own").write_text(SOURCE)
    plan = brought_up(lab, text)
    before = (plan.home / "known_hosts").read_text()
    (lab.directory / "own").write_text("other words\n")
    refused = plan.up(status=3)
    assert re.search("would have to be started anew: .*user-data has changed", refused.stderr)
    plan.up("--recreate")
    assert plan.inside("a", "cat /opt/deep/down") == "other words\n"
    assert (plan.home / "known_hosts").read_text() == before
    assert ssh(plan, key, "a").stdout == "a\n"
    assert lab.vmnet("down", plan.path, "--json").report["status"] == 0
    assert not plan.home.exists()
