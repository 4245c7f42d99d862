"""`make install` and `make uninstall`: a vmnet for everybody, and nothing of it afterwards."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PREFIX = "/opt/local"


def make(*words: str) -> str:
    argv = ["make", "--no-print-directory", f"PREFIX={PREFIX}", *words]
    # `make install` would first see that nothing is missing here, as these tests' own make has.
    done = subprocess.run(
        [*argv, "--old-file=setup"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(*argv: str | Path, **variables: str) -> str:
    """Run a program in an empty environment, from the root folder."""
    done = subprocess.run(
        argv,
        cwd="/",
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def destdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("destdir")
    told = make("install", f"DESTDIR={folder}")
    assert told.endswith(f"vmnet is installed: {folder}{PREFIX}/bin/vmnet\n")
    return folder


@pytest.fixture
def root(destdir: Path) -> Path:
    return destdir / PREFIX.lstrip("/")


def test_the_installed_command_runs_with_its_own_packages_and_no_environment(root: Path) -> None:
    assert ran(root / "bin/vmnet", "--version", PYTHONPATH="/nowhere").startswith("vmnet 0.")
    # -S: no packages but those of the folder.
    told = ran("/usr/bin/python3", "-I", "-S", root / "lib/vmnet", "schema", "plan")
    assert '"$schema"' in told


def test_another_vmnet_is_started_from_the_same_packages(root: Path) -> None:
    code = "from provisioner.host.system import processes; print(*processes.vmnet(), sep='\\n')"
    script = f"import sys; sys.path.insert(0, {str(root / 'lib/vmnet')!r}); {code}"
    words = ran(sys.executable, "-I", "-S", "-c", script).splitlines()
    assert words == [sys.executable, "-I", str(root / "lib/vmnet")]
    assert ran(*words, "--version").startswith("vmnet 0.")


def test_each_manual_page_is_there_compressed(root: Path) -> None:
    assert gzip.decompress((root / "share/man/man1/vmnet-up.1.gz").read_bytes()).startswith(b".TH")
    assert (root / "share/man/man5/vmnet.yaml.5.gz").exists()


def test_bash_completes_the_installed_command(root: Path) -> None:
    script = """. "$1"; COMP_WORDS=(vmnet image bu); COMP_CWORD=2; set -- "$2"
        _vmnet_completion "$1"; echo "${COMPREPLY[*]}"; complete -p vmnet"""
    file = root / "share/bash-completion/completions/vmnet"
    told = ran("bash", "-c", script, "bash", file, root / "bin/vmnet")
    assert told.splitlines() == ["build", "complete -o default -F _vmnet_completion vmnet"]


def test_zsh_and_fish_find_their_files(root: Path) -> None:
    zsh = (root / "share/zsh/site-functions/_vmnet").read_text()
    assert zsh.startswith("#compdef vmnet\n")
    assert zsh.splitlines()[-1] == '_vmnet_completion "$@"'
    assert (
        "_VMNET_COMPLETE=complete_fish"
        in (root / "share/fish/vendor_completions.d/vmnet.fish").read_text()
    )


def test_everybody_may_read_and_only_the_owner_write(destdir: Path) -> None:
    for path in destdir.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 in {0o755, 0o644}, path


def test_uninstall_takes_away_all_but_what_is_somebody_elses(tmp_path: Path) -> None:
    theirs = tmp_path / "opt/local/share/man/man1/other.1"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("other")
    before = below(tmp_path)
    install = ["tools/install.py", "install", PREFIX, "--destdir", str(tmp_path), "--no-compile"]
    for _ in range(2):  # over what is there, too
        subprocess.run([sys.executable, *install], cwd=REPOSITORY, check=True)
        assert len(below(tmp_path)) > 1000
    make("uninstall", f"DESTDIR={tmp_path}")
    assert below(tmp_path) == before


def test_uninstall_says_where_there_is_nothing_to_take_away(tmp_path: Path) -> None:
    argv = ["python3", "tools/install.py", "uninstall", PREFIX, "--destdir", str(tmp_path)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (f"install: make install has put no vmnet below {tmp_path}{PREFIX}\n")
