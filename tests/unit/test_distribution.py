"""The one table of distributions, and fixes in the words of each."""

import re
from pathlib import Path

import pytest

from provisioner.distribution import HERE, fact, family, spoken, table
from provisioner.doctor import findings
from provisioner.doctor.host import qemu
from provisioner.errors import VmnetError, explain
from provisioner.report.document import errors_as_data

REPOSITORY = Path(__file__).parents[2]
DEBIAN_12 = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
"""
DEBIAN_13 = DEBIAN_12.replace("12", "13").replace("bookworm", "trixie")
UBUNTU_24 = """\
PRETTY_NAME="Ubuntu 24.04.2 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
FEDORA = """\
NAME="Fedora Linux"
VERSION="43 (Server Edition)"
ID=fedora
VERSION_ID=43
ANSI_COLOR="0;38;2;60;110;180"
"""
ROCKY = """\
NAME="Rocky Linux"
ID="rocky"
ID_LIKE="rhel centos fedora"
"""
ARCH = """\
NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
"""
OTHERS = {
    "ubuntu 22.04": (UBUNTU_24.replace("24.04", "22.04"), "ubuntu"),
    "ubuntu 26.04": (UBUNTU_24.replace("24.04", "26.04"), "ubuntu"),
    "mint": ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "ubuntu"),
    "raspbian": ("ID=raspbian\nID_LIKE=debian\n", "debian"),
    "manjaro": ("ID=manjaro\nID_LIKE=arch\n", "arch"),
    "opensuse": ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', ""),
    "a name within another": ("ID=debianish\nVARIANT_ID=debian\n", ""),
    "nothing": ("", ""),
}
INSTALL = "install it: apt-get install qemu-system-x86"
START = "start it again (systemctl start libvirtd), then vmnet up"


@pytest.mark.parametrize(
    ("os_release", "known"),
    [
        (DEBIAN_12, "debian"),
        (DEBIAN_13, "debian"),
        (UBUNTU_24, "ubuntu"),
        (FEDORA, "fedora"),
        (ROCKY, "fedora"),
        (ARCH, "arch"),
        *OTHERS.values(),
    ],
)
def test_a_distribution_is_known_by_its_os_release(os_release: str, known: str) -> None:
    assert family(os_release) == known


@pytest.mark.parametrize(
    ("there", "install", "start"),
    [
        ("debian", INSTALL, START),
        ("ubuntu", INSTALL, START),
        (
            "fedora",
            "install it: dnf install qemu-system-x86-core",
            "start it again (systemctl start virtqemud), then vmnet up",
        ),
        ("arch", "install it: pacman -S qemu-system-x86", START),
        ("", INSTALL, START),
    ],
)
def test_a_fix_is_said_in_the_words_of_the_distribution(
    there: str, install: str, start: str
) -> None:
    assert spoken(INSTALL, there) == install
    assert spoken(START, there) == start


def test_only_the_names_of_packages_are_replaced() -> None:
    fix = "apt-get install dnsmasq-base, or give the network addressing: static"
    told = "dnf install dnsmasq, or give the network addressing: static"
    assert spoken(fix, "fedora") == told
    assert spoken("libvirtd: see its log", "fedora") == "libvirtd: see its log"


def test_packages_that_are_one_elsewhere_are_named_once() -> None:
    fix = "apt-get install libvirt0 libvirt-daemon-driver-qemu python3-libvirt"
    assert spoken(fix, "arch") == "pacman -S libvirt libvirt-python"


def test_a_package_that_a_distribution_lacks_keeps_debians_name() -> None:
    assert spoken("apt-get install mmdebstrap", "arch") == "pacman -S mmdebstrap"


def test_each_package_that_a_fix_names_is_in_the_table() -> None:
    packages = {row.what for row in table() if row.use != "fact"}
    named = set()
    for module in (REPOSITORY / "provisioner").rglob("*.py"):
        for names in re.findall(r"apt-get install ([a-z0-9 .+-]*[a-z0-9])", module.read_text()):
            named |= set(names.split())
    assert {"qemu-system-x86", "nftables", "ovmf"} <= named
    assert named - {"or"} <= packages


def test_each_program_that_the_doctor_misses_is_in_a_package_of_the_table() -> None:
    packages = {row.what for row in table()}
    assert {row["package"] for row in findings.table("programs")} <= packages


def test_debians_column_is_the_name_that_fixes_have() -> None:
    rows = [row for row in table() if row.use != "fact"]
    assert len(rows) > 30
    assert [row.what for row in rows if row.called["debian"] != row.what] == []
    assert len({row.what for row in rows}) == len(rows)


def test_each_row_says_what_it_is_for() -> None:
    assert {row.use for row in table()} == {"fact", "run", "build", "test", "advice"}
    assert [row.what for row in table() if not row.why or not row.called] == []


def test_where_programs_of_administration_are_is_in_the_path_that_vmnet_runs_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    from provisioner.host.system import paths

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    paths.complete()
    assert set(fact("sbin").values()) <= set(os.environ["PATH"].split(":"))
    assert os.environ["PATH"].startswith("/usr/bin:/bin:")


def test_errors_and_the_doctor_speak_as_the_host_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HERE, "os_release", lambda: FEDORA)
    error = VmnetError("QEMU is not installed", fix=INSTALL)
    assert explain(error).endswith("\n  fix: install it: dnf install qemu-system-x86-core")
    assert errors_as_data([error])[0]["fix"] == "install it: dnf install qemu-system-x86-core"
    missing = qemu("", "QEMU is not installed", "root")
    told = "dnf install qemu-system-x86-core"
    assert f"fix: {told}" in "\n".join(findings.lines([missing]))
    assert f'"fix": "{told}"' in findings.as_json([missing])
