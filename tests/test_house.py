"""The house rules, so that `pytest` is the one command to remember."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
PRODUCT = sorted((HOUSE / "provisioner").rglob("*.py"))
CODE = [*PRODUCT, *sorted((HOUSE / "tests").rglob("*.py"))]
LOCKS = sorted(HOUSE.glob("requirements*.lock"))
NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "misc", "base", "manager"}
# What each door opens to: nothing else in the product may import it.
DOORS = {
    "pyroute2": "provisioner/host/netlink/*.py",
    "libvirt": "provisioner/host/libvirt/*.py",
    "libvirt_qemu": "provisioner/host/libvirt/*.py",
    "subprocess": "provisioner/host/system/*.py",
    "urllib3": "provisioner/host/download/*.py",
    "ansible_runner": "provisioner/host/fabric/*.py",
}

# Names of classes that more than one module has, and why. Nothing may be added without a reason.
SAME_NAME = {
    "Lab": "a plan, as users of the API call it; the namespaces that vmnet modes measures in",
    "LinkState": "up or down in a plan; what vmnet link shows of a NIC",
    "Switch": "as a plan has it; as a resource of the host",
}


def named(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def names_in(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))


def tracked() -> list[Path]:
    # The tests may run as root in a user's folder, which git by itself would refuse to read.
    git = ["git", "-c", "safe.directory=*"]
    asked = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=HOUSE, capture_output=True, text=True, check=True)
    paths = (HOUSE / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize(
    "command", ["ruff check .", "ruff format --check .", "mypy", "lint-imports"]
)
def test_the_tools_have_nothing_to_say(command: str) -> None:
    program, *words = command.split()
    ran = subprocess.run(
        [PROGRAMS / program, *words], cwd=HOUSE, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("module", PRODUCT, ids=named)
def test_a_module_is_small_and_its_name_says_what_it_is(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400
    assert module.stem not in NAMES_THAT_SAY_NOTHING
    assert module.parent.name not in NAMES_THAT_SAY_NOTHING


def test_no_folder_has_too_many_modules() -> None:
    modules = Counter(path.parent for path in PRODUCT if path.name != "__init__.py")
    assert {named(folder): n for folder, n in modules.items() if n > 15} == {}


def test_a_class_has_a_name_of_its_own() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module in PRODUCT:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(named(module))
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert {name: twice[name] for name in twice.keys() - SAME_NAME.keys()} == {}
    assert SAME_NAME.keys() <= twice.keys(), "the list has names that only one module has"


@pytest.mark.parametrize("library", DOORS)
def test_what_touches_the_machine_has_one_door(library: str) -> None:
    importers = {
        named(module)
        for module in PRODUCT
        for name in imports(module)
        if name.partition(".")[0] == library
    }
    assert importers
    assert [name for name in importers if not fnmatch(name, DOORS[library])] == []


@pytest.mark.parametrize("module", CODE, ids=named)
def test_nobody_sleeps_mocks_or_skips(module: Path) -> None:
    forbidden = {"time.sleep", "pytest.skip", "pytest.importorskip"}
    marks = {f"pytest.mark.{mark}" for mark in ("skip", "skipif", "xfail")}
    nodes = list(ast.walk(ast.parse(module.read_text())))
    dotted = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert dotted & (forbidden | marks) == set()
    assert [name for name in imports(module) if name.startswith("unittest.mock")] == []


@pytest.mark.parametrize("lock", LOCKS, ids=named)
def test_a_lock_pins_with_hashes_and_names_no_place(lock: Path) -> None:
    written = (line.strip() for line in lock.read_text().splitlines())
    lines = [line for line in written if line and not line.startswith("#")]
    assert [line for line in lines if "==" not in line and "--hash=sha256:" not in line] == []
    assert all(line.endswith("\\") for line in lines if "==" in line)
    assert "://" not in lock.read_text()
    assert [line for line in lines if line.startswith("-") and "--hash" not in line] == []


def test_the_lock_covers_what_pyproject_asks_for() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[^A-Za-z0-9._-]", words)[0].lower() for words in asked}
    pinned: set[str] = set().union(*(names_in(lock) for lock in LOCKS))
    assert names - pinned == set()
    installed = [*project["dependencies"], *project["optional-dependencies"]["micro"]]
    runs = {re.split(r"[^A-Za-z0-9._-]", words)[0].lower() for words in installed}
    assert runs - names_in(HOUSE / "requirements.lock") == set()


def test_each_package_is_pinned_in_one_lock() -> None:
    names = [name for lock in LOCKS for name in sorted(names_in(lock))]
    assert sorted(names) == sorted(set(names))
    assert not {"pytest", "mypy", "ruff"} & names_in(HOUSE / "requirements.lock")


def test_nobody_names_a_home_or_a_workplace() -> None:
    places = re.compile(rb"(?<![\w.])/(?:home/\w|Users/\w|work/|tmp/v/|root/\.(?!ssh))")
    assert [named(path) for path in tracked() if places.search(path.read_bytes())] == []
