"""The Debian package: what lintian says of it, what is in it, and what its scripts leave alone.

`make test-deb` installs and purges it in clean roots. Here it is made for this Python alone, of the
wheels that `make setup` has kept, so no network is asked.
"""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OWN = f"3.{sys.version_info.minor}"


def ran(*argv: str | Path, cwd: Path = REPOSITORY) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deb")
    ran("tools/deb.sh", "--output", folder, OWN)
    (made,) = folder.glob("*.deb")
    return made


@pytest.fixture(scope="module")
def files(package: Path) -> list[str]:
    listed = ran("dpkg-deb", "--contents", package).splitlines()
    return [line.split()[5].removeprefix(".") for line in listed]


@pytest.fixture(scope="module")
def scripts(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("control")
    ran("dpkg-deb", "--control", package, folder)
    return folder


def test_lintian_finds_no_error(package: Path) -> None:
    # Its warnings are about files of guests, and of others' packages.
    told = ran("lintian", "--allow-root", "--fail-on", "error", package)
    assert "copyright" not in told


def test_it_depends_on_the_pythons_that_it_has_packages_for(package: Path) -> None:
    depends = ran("dpkg-deb", "--field", package, "Depends").strip().split(", ")
    after = f"3.{sys.version_info.minor + 1}"
    assert depends[:2] == [f"python3 (>= {OWN}~)", f"python3 (<< {after}~)"]
    assert {"qemu-system-x86", "nftables", "libvirt-daemon-driver-qemu"} <= set(depends)
    assert {name.split()[0] for name in depends} >= {"python3-libvirt", "python3-yaml"}


def test_what_it_brings_is_vmnets_and_below_usr(files: list[str]) -> None:
    assert all(name.startswith("/usr/") for name in files if name != "/")
    assert "/usr/bin/vmnet" in files
    assert "/usr/share/man/man1/vmnet-up.1.gz" in files
    assert "/usr/share/zsh/vendor-completions/_vmnet" in files
    packages = {name.split("/")[4] for name in files if name.startswith("/usr/lib/vmnet/")}
    assert {"provisioner", "pydantic", "pyroute2", "lz4", "elftools"} <= packages
    assert packages & {"libvirt.py", "yaml", "installed"} == set()
    assert [name for name in files if name.endswith(".pyc")] == []


def test_its_packages_are_there_once_for_each_python(package: Path, tmp_path: Path) -> None:
    ran("dpkg-deb", "--extract", package, tmp_path)
    modules = sorted(tmp_path.rglob("*.so"))
    assert modules
    assert [str(m) for m in modules if f"cpython-{OWN.replace('.', '')}-" not in m.name] == []


def test_purge_keeps_what_guests_have_written(scripts: Path) -> None:
    told = ran(
        "unshare",
        "--mount",
        "sh",
        "-ec",
        """for place in /var/lib /var/cache /etc /run; do mount -t tmpfs none $place; done
        mkdir -p /var/lib/vmnet/lab/disk /var/lib/vmnet/.images
        mkdir /var/cache/vmnet /etc/vmnet /run/vmnet
        touch /var/lib/vmnet/lab/disk/db.qcow2
        sh "$1"/postrm remove; find /var /etc /run -name vmnet -type d | sort; echo then
        sh "$1"/postrm purge; find /var/lib/vmnet /var/cache /etc /run | sort""",
        "sh",
        scripts,
    )
    removed, purged = told.split("then\n")
    assert removed.split() == ["/etc/vmnet", "/run/vmnet", "/var/cache/vmnet", "/var/lib/vmnet"]
    notice, *left = purged.splitlines()
    assert notice.startswith("vmnet: what guests have written is kept")
    assert left == [
        *("/etc", "/run", "/var/cache", "/var/lib/vmnet", "/var/lib/vmnet/lab"),
        *("/var/lib/vmnet/lab/disk", "/var/lib/vmnet/lab/disk/db.qcow2"),
    ]


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("/etc/vmnet/plans/lab.yaml", "vmnet boot remove --name lab"),
        ("/etc/systemd/system/vmnet-net.service", "vmnet boot remove --net"),
    ],
)
def test_it_stays_while_plans_come_up_at_boot(scripts: Path, file: str, command: str) -> None:
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c"),
            """mount -t tmpfs none /etc; mkdir -p "${2%/*}"; touch "$2"
            exec sh "$1/prerm" remove""",
            *("sh", scripts, file),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "vmnet: it cannot be removed while plans are up, or come up at boot",
        "  where: 1 of them, see vmnet ls and vmnet boot status",
        "  fix: end them first:",
        f"    {command}",
    ]


def test_a_version_of_python_that_is_none_is_refused() -> None:
    argv = ["tools/deb.sh", "3.11", "three"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith('deb: "three" is not a version of Python\n  where: ')
