"""The ways in: what they say when they cannot, and that they leave alone what is there."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
SCRIPTS = sorted([*(HOUSE / "tools").glob("*.sh"), HOUSE / ".ci" / "run"])
NOBODY = 65534
# What our scripts may lean on wherever they run.
PLAIN = ["awk", "bash", "cat", "dirname", "env", "find", "flock", "id", "ls", "readlink", "sed"]
PLAIN += [
    "chmod",
    "getent",
    "grep",
    "mkdir",
    "mktemp",
    "mount",
    "rm",
    "sh",
    "sha256sum",
    "sort",
    "true",
    "uname",
    "xargs",
]


@pytest.fixture
def programs() -> Iterator[Path]:
    """Give a folder with plain programs only, which everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="vmnet-programs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for program in PLAIN:
            (folder / program).symlink_to(str(shutil.which(program)))
        yield folder


def add(programs: Path, name: str, script: str) -> None:
    path = programs / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ran(*words: str | Path, programs: Path, user: int = 0, **variables: str) -> tuple[int, str]:
    """Run a program of ours with no programs in its PATH but those; give its status and words."""
    done = subprocess.run(
        words,
        cwd=HOUSE if user == 0 else "/",
        env={"PATH": str(programs), **variables},
        user=user,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_run_and_stops_at_its_first_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert re.search(r"^set -euo pipefail$", script.read_text(), re.MULTILINE)


def test_ci_ends_with_make_test_and_tries_the_other_release_and_the_package_first() -> None:
    lines = (HOUSE / ".ci" / "run").read_text().splitlines()
    assert lines[-1] == "exec make test"
    other = "tools/in-release.sh \"$other\" bash -ec 'make setup; make up; make down'"
    begun = [number for number, line in enumerate(lines) if line.startswith(other)]
    tried = lines.index("make test-deb || package=$?")
    assert [lines.index("make setup") < number < tried for number in begun] == [True]


@pytest.mark.parametrize(
    ("failing", "status", "told"),
    [
        ("", 0, ["setup", "test-deb", "test"]),
        ("test-deb", 1, ["setup", "test-deb"]),
        ("elsewhere", 1, ["setup", "test-deb"]),
    ],
)
def test_ci_goes_on_to_the_tests_when_package_and_other_release_are_good(
    programs: Path, tmp_path: Path, failing: str, status: int, told: list[str]
) -> None:
    tree = tmp_path / "tree"
    for folder in (".ci", "tools"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(HOUSE / ".ci" / "run", tree / ".ci")
    add(programs, "make", f'echo "$1" >> {tree}/told; [ "$1" != "{failing}" ]')
    add(tree / "tools", "in-release.sh", f'echo elsewhere; [ "{failing}" != elsewhere ]')
    assert ran(tree / ".ci/run", programs=programs) == (status, "elsewhere\n")
    assert (tree / "told").read_text().split() == told


def test_make_alone_tells_every_word_it_knows() -> None:
    phony = re.findall(r"^\.PHONY: ([a-z-]+)", (HOUSE / "Makefile").read_text(), re.MULTILINE)
    told = subprocess.run(["make"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make ([a-z-]+) +", told, re.MULTILINE) == phony


def test_root_runs_a_program_as_it_is(programs: Path) -> None:
    words = ("sh", "-c", 'printf "<%s>" "$@"', "sh", "two words", "$HOME")
    assert ran(HOUSE / "tools/as-root.sh", *words, programs=programs) == (0, "<two words><$HOME>")


def test_anybody_else_asks_sudo_and_takes_along_what_says_how_to_talk(programs: Path) -> None:
    add(programs, "sudo", 'printf "<%s>" sudo "$@"')
    script = shutil.copy(HOUSE / "tools/as-root.sh", programs)
    told = ran(script, "id", "two words", programs=programs, user=NOBODY, CI="true", OTHER="no")
    assert told == (0, "<sudo><env><CI=true><id><two words>")


def test_without_root_and_sudo_the_message_says_how_to_mend_it(programs: Path) -> None:
    script = shutil.copy(HOUSE / "tools/as-root.sh", programs)
    status, told = ran(script, "vmnet", "up", programs=programs, user=NOBODY)
    assert status == 4
    assert told == (
        "vmnet: network devices and VMs take the rights of root, and there is no sudo here\n"
        "  where: vmnet, run as nobody\n"
        "  fix: run it as root, or as root: apt-get install sudo && adduser nobody sudo\n"
    )


def test_setup_says_so_where_there_is_no_apt(programs: Path) -> None:
    status, told = ran(HOUSE / "tools/setup.sh", programs=programs)
    assert status == 4
    assert re.fullmatch(
        "setup: make setup does not know the packages of .*\n  where: .+\n  fix: .+\n", told
    )


@pytest.fixture
def services(programs: Path) -> str:
    """A shell's line that runs its arguments where nobody has a policy, and /run is empty."""
    (programs / "sbin").mkdir()
    return f'mount --bind {programs}/sbin /usr/sbin; mount -t tmpfs none /run; "$@"; s=$?; '


def setup(*words: str, programs: Path, services: str, then: str = "") -> tuple[int, str]:
    """Run setup in a mount namespace of its own, then a line of shell that sees what it left."""
    argv = ["unshare", "--mount", "sh", "-c", f"{services}{then}\nexit $s", "sh"]
    (programs / "unshare").symlink_to(str(shutil.which("unshare")))
    return ran(*argv, HOUSE / "tools/setup.sh", *words, programs=programs)


PEEK = """[ "$1" = install ] || exit 0
echo "apt-get $1: no network"
cat /usr/sbin/policy-rc.d /run/systemd/system-preset/* /run/systemd/user-preset/*
exit 100"""


def test_setup_says_what_apt_could_not_install(programs: Path, services: str) -> None:
    add(programs, "dpkg-query", "echo libvirt-dev not-installed; echo gcc installed")
    add(programs, "apt-get", 'echo "apt-get $1: no network"; exit 100')
    status, told = setup(programs=programs, services=services)
    assert status == 4
    assert "setup: apt: qemu-utils (qemu-img, which makes their disks)\n" in told
    assert "setup: apt: libvirt-dev (builds libvirt-python)\n" in told
    assert "gcc (" not in told
    assert "apt-get install: no network\nsetup: apt could not install qemu-system-x86 " in told
    assert told.splitlines()[-1].startswith("  fix: see that this machine reaches its package mi")


def asked_of_apt(told: str) -> set[str]:
    return set(re.findall(r"^setup: apt: (\S+) \(", told, re.MULTILINE))


def test_running_takes_nothing_that_only_the_tests_need(programs: Path, services: str) -> None:
    add(programs, "dpkg-query", "exit 0")
    add(programs, "apt-get", "exit 100")
    to_run = asked_of_apt(setup(programs=programs, services=services)[1])
    (programs / "unshare").unlink()
    to_test = asked_of_apt(setup("--tests", programs=programs, services=services)[1])
    assert to_run < to_test
    assert {"qemu-system-x86", "libvirt-daemon-driver-qemu", "mmdebstrap"} <= to_run
    assert to_test - to_run == {
        *("binutils", "chromium", "git", "gnupg", "graphviz", "iputils-arping", "iputils-ping"),
        *("libvirt-clients", "libvirt-daemon-system", "libxml2-utils", "lintian", "mandoc"),
        *("openssh-server", "ovmf", "python3-libvirt", "shellcheck", "tcpdump"),
    }


@pytest.mark.parametrize(
    ("os_release", "packager", "wanted"),
    [
        ("ID=fedora", "dnf", {"qemu-system-x86-core", "libvirt-devel", "openssh-clients"}),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "dnf", {"qemu-img", "iproute", "nftables"}),
        ("ID=arch", "pacman", {"qemu-system-x86", "libvirt", "python", "dnsmasq"}),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'", "apt-get", {"qemu-utils", "libvirt-dev"}),
    ],
)
def test_setup_asks_each_distributions_packages_by_their_names_there(
    programs: Path, services: str, os_release: str, packager: str, wanted: set[str]
) -> None:
    (programs / "os-release").write_text(f"{os_release}\n")
    for name in ("rpm", "dpkg-query"):
        add(programs, name, "exit 1")
    asked = r"""case "$1" in -Qq) exit 1 ;; install | -S) echo "asked: $*"; exit 100 ;; esac"""
    add(programs, packager, asked)
    there = f"mount --bind {programs}/os-release /etc/os-release; {services}"
    status, told = setup(programs=programs, services=there)
    assert status == 4
    (line,) = re.findall(r"^asked: (.*)$", told, re.MULTILINE)
    names = set(line.split())
    assert wanted <= names
    told_of = re.findall(r"^setup: [a-z]+: (\S+) \(", told, re.MULTILINE)
    assert len(told_of) == len(set(told_of)) > 15
    assert set(told_of) <= names
    assert f"setup: {packager.removesuffix('-get')} could not install " in told


def test_setup_knows_no_packages_of_a_distribution_that_the_table_lacks(
    programs: Path, services: str
) -> None:
    (programs / "os-release").write_text('ID=nixos\nPRETTY_NAME="NixOS 26.05"\n')
    add(programs, "apt-get", "exit 100")
    there = f"mount --bind {programs}/os-release /etc/os-release; {services}"
    status, told = setup(programs=programs, services=there)
    assert (status, told.splitlines()[1]) == (4, "  where: NixOS 26.05")


def test_nothing_is_started_or_enabled_by_installing(programs: Path, services: str) -> None:
    add(programs, "dpkg-query", "exit 0")
    add(programs, "apt-get", PEEK)
    left = "find /run/systemd /usr/sbin -type f"
    status, told = setup(programs=programs, services=services, then=left)
    assert status == 4
    during, after = told.split("setup: apt could not install")
    assert re.search(r"#!/bin/sh\n# Made by .* \d+\nexit 101\ndisable \*\ndisable \*\n", during)
    assert "policy-rc.d" not in after
    assert "preset" not in after


def test_a_policy_that_is_there_is_respected(programs: Path, services: str) -> None:
    add(programs, "dpkg-query", "exit 0")
    add(programs, "apt-get", PEEK)
    add(programs / "sbin", "policy-rc.d", "exit 104")
    told = setup(programs=programs, services=services, then="cat /usr/sbin/policy-rc.d")[1]
    assert told.count("#!/bin/sh\nexit 104\n") == 2
    assert "exit 101" not in told


def test_a_policy_left_by_a_killed_setup_is_removed(programs: Path, services: str) -> None:
    add(programs, "dpkg-query", "exit 0")
    add(programs, "apt-get", PEEK)
    gone = "# Made by make setup of vmnet while it installs packages, by process 4194999"
    add(programs / "sbin", "policy-rc.d", f"{gone}\nexit 101")
    told = setup(programs=programs, services=services, then="ls /usr/sbin")[1]
    assert "process 4194999" not in told
    assert "exit 101" in told
    assert not told.endswith("policy-rc.d\n")


@pytest.mark.parametrize("words", [(), ("--tests",)])
def test_setup_leaves_alone_what_is_there(programs: Path, words: tuple[str, ...]) -> None:
    assert (HOUSE / ".venv" / "image.stamp").exists(), "the tests are run by: make test"
    (programs / "dpkg-query").symlink_to(str(shutil.which("dpkg-query")))
    add(programs, "apt-get", 'echo "apt-get was called"; exit 100')
    told = ran(HOUSE / "tools/setup.sh", *words, programs=programs)
    assert told == (0, "setup: nothing was missing\n")


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        ((), 2, '"" is not the name of a release of Debian'),
        (("../x", "true"), 2, '"../x" is not the name of a release of Debian'),
        (("trixie",), 2, "no command is given"),
        (("trixie", "true"), 4, "apt-get is not installed"),
    ],
)
def test_in_release_says_what_it_cannot_do(
    programs: Path, words: tuple[str, ...], status: int, what: str
) -> None:
    found, told = ran(HOUSE / "tools/in-release.sh", *words, programs=programs)
    assert (found, told.splitlines()[0]) == (status, f"in-release: {what}")
    assert "\n  fix: " in told


def test_what_runs_in_a_release_has_a_root_and_namespaces_of_its_own(tmp_path: Path) -> None:
    """Process 1's part, with a root made of this machine's programs."""
    root = tmp_path / "root"
    for folder in ("usr", "proc", "sys", "dev", "run", "etc", "tmp", "srv/vmnet"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (tmp_path / "bound").write_text("/usr /usr ro\n/etc /etc ro\n")
    script = """hostname; pwd; ls -A /proc/1/root | tr '\\n' ' '; echo
        ip -o link | cut -d : -f 2; test ! -w /usr && echo read-only
        ip netns add far && ip netns exec far ip -o link | wc -l; test -c /dev/ptmx; exit 7"""
    options = ["--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child"]
    inside: list[str | Path] = [
        HOUSE / "tools/in-release.sh",
        "--inside",
        "trixie",
        root,
        tmp_path / "bound",
    ]
    done = subprocess.run(
        ["unshare", *options, *inside, "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines == [
        *("vmnet-trixie", "/srv/vmnet", "bin dev etc lib lib64 proc run sbin srv sys tmp usr"),
        *("lo", "read-only", "1"),
    ], done.stderr
    assert done.returncode == 7
    assert str(root) not in Path("/proc/mounts").read_text()
