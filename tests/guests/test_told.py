"""A guest that is told files, lines and a host key; and who else can read of them."""

import base64
import json
import pwd
import re
import subprocess
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.framework.lab import Lab, call, until

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
SECRETS = [b"hidden content", b"hidden line", b"hidden source", b"PRIVATE KEY"]
SECRETS += [base64.b64encode(secret)[:-4] for secret in SECRETS[:3]]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key to log in with."""
    file = tmp_path_factory.mktemp("ssh") / "key"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@here", "-f", str(file))
    return file


@pytest.fixture(scope="module")
def plan(shared_lab: Lab, key: Path) -> Path:
    (shared_lab.directory / "own").write_text("hidden source é\n" * 3000)
    plan = shared_lab.plan(PLAN.format(key=key.with_suffix(".pub").read_text().strip()))
    shared_lab.vmnet("up", plan)
    return plan


def home(lab: Lab) -> Path:
    return Path("/var/lib/vmnet") / lab.name


def inside(lab: Lab, plan: Path, script: str) -> str:
    return lab.vmnet("exec", "-f", plan, "a", "--", "sh", "-c", script).stdout


def ssh(lab: Lab, plan: Path, key: Path, alias: str) -> subprocess.CompletedProcess[str]:
    status = lab.vmnet("status", plan, "--json").report
    address = status["vms"][0]["addresses"][0].partition("/")[0]
    options = (
        *("StrictHostKeyChecking=yes", f"UserKnownHostsFile={home(lab) / 'known_hosts'}"),
        *(f"HostKeyAlias={alias}", "ConnectionAttempts=20", "BatchMode=yes"),
    )
    flags = [word for option in options for word in ("-o", option)]
    argv = [*lab.enter, "ssh", "-F", "none", "-i", str(key), *flags, f"root@{address}", "hostname"]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_guest_has_its_files(shared_lab: Lab, plan: Path) -> None:
    shown = "cd /; stat -c '%n %a %U:%G %s' etc/motd opt/deep/down etc/empty; cat etc/motd"
    size = len((shared_lab.directory / "own").read_bytes())
    assert inside(shared_lab, plan, shown) == (
        f"etc/motd 640 root:root 15\nopt/deep/down 644 root:root {size}\n"
        "etc/empty 644 root:root 0\nhidden content\n"
    )


def test_the_guest_has_run_its_lines_and_says_how_they_ended(shared_lab: Lab, plan: Path) -> None:
    until(lambda: "0" in inside(shared_lab, plan, "ls /run/ran && echo 0"), "its lines are run")
    assert inside(shared_lab, plan, "cat /tmp/ran") == "hidden line 0\n"
    console = (home(shared_lab) / "console" / "a.log").read_text(errors="replace")
    assert "vmnet: /run/vmnet.run ended with status 3: see /run/vmnet.run.log" in console


def test_ssh_knows_the_guest_and_takes_no_other_for_it(
    shared_lab: Lab, plan: Path, key: Path
) -> None:
    known = ssh(shared_lab, plan, key, f"vmnet:{shared_lab.name}:a")
    assert (known.returncode, known.stdout) == (0, "a\n")
    other = ssh(shared_lab, plan, key, f"vmnet:{shared_lab.name}:b")
    assert (other.returncode, other.stdout) == (255, "")
    assert "Host key verification failed" in other.stderr


@pytest.mark.usefixtures("plan")
def test_only_qemu_can_read_the_seed_and_only_root_the_keys(shared_lab: Lab) -> None:
    (seed,) = (home(shared_lab) / "seed").glob("*.iso")
    found = seed.stat()
    assert (pwd.getpwuid(found.st_uid).pw_name, S_IMODE(found.st_mode)) == ("libvirt-qemu", 0o600)
    keys = home(shared_lab) / "keys"
    private, known = keys / "a" / "key", home(shared_lab) / "known_hosts"
    modes = [S_IMODE(path.stat().st_mode) for path in (keys, keys / "a", private, known)]
    assert modes == [0o700, 0o700, 0o600, 0o600]
    assert {path.stat().st_uid for path in (keys, private, known)} == {0}
    assert S_IMODE((home(shared_lab) / "console" / "a.log").stat().st_mode) == 0o600
    assert b"hidden" in seed.read_bytes() or SECRETS[-1] in seed.read_bytes()
    assert b"OPENSSH" not in known.read_bytes()


def test_what_is_hidden_shows_nowhere_else(shared_lab: Lab, plan: Path) -> None:
    told = [
        shared_lab.vmnet("render", "-f", plan, "a"),
        shared_lab.vmnet("status", plan, "--json"),
        shared_lab.vmnet("plan", plan, "--json"),
        shared_lab.vmnet("plan", plan),
        shared_lab.vmnet("up", plan),
        shared_lab.vmnet("logs", "-f", plan, "a"),
        shared_lab.vmnet("logs", "-f", plan, "a", "--qemu"),
    ]
    spoken = "".join(ran.stdout + ran.stderr for ran in told).encode()
    # Where libvirt keeps its domains, their logs and what it says to those who may only read.
    places = [Path("/run/vmnet") / shared_lab.name, home(shared_lab)]
    kept = {
        path: path.read_bytes()
        for place in places
        for path in place.rglob("*")
        if path.is_file() and not {"seed", "keys", "cache"} & {*path.relative_to(place).parts}
    }
    assert any(path.suffix == ".xml" for path in kept)
    for pid in shared_lab.qemus().values():
        kept[Path(f"/proc/{pid}")] = Path(f"/proc/{pid}/cmdline").read_bytes()
    everything = {Path("what vmnet says"): spoken} | kept
    assert [
        (path, secret) for path, text in everything.items() for secret in SECRETS if secret in text
    ] == []


def test_a_file_that_has_changed_is_a_cause_to_start_anew_with_the_same_key(
    shared_lab: Lab, plan: Path, key: Path
) -> None:
    before = (home(shared_lab) / "known_hosts").read_text()
    (shared_lab.directory / "own").write_text("other words\n")
    refused = shared_lab.vmnet("up", plan, status=3)
    assert re.search("would have to be started anew: .*user-data has changed", refused.stderr)
    shared_lab.vmnet("up", plan, "--recreate")
    assert inside(shared_lab, plan, "cat /opt/deep/down") == "other words\n"
    assert (home(shared_lab) / "known_hosts").read_text() == before
    assert ssh(shared_lab, plan, key, f"vmnet:{shared_lab.name}:a").stdout == "a\n"
    report = json.loads(shared_lab.vmnet("down", plan, "--json").stdout)
    assert report["status"] == 0
    assert not home(shared_lab).exists()
