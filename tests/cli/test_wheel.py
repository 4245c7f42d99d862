"""What we hand out is a wheel: it must hold every file, and run in an environment of its own.

Nothing here reaches a network: `make setup` kept the wheels of everything that vmnet leans on.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

HOUSE = Path(__file__).parent.parent.parent
WHEELS = Path(sys.prefix) / "wheels"
VERSION = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["version"]
# pip as it comes, whatever indexes this machine's settings and variables point it to.
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))},
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_INDEX": "1",
    "PIP_NO_INPUT": "1",
}
PLAN = """\
name: lab
networks: {lan: {switch: {}, mode: bridge, subnet: 192.0.2.0/24}}
vms: {web: {image: micro, nics: [lan]}}
"""


def ran(*words: str | Path, cwd: Path) -> str:
    """Run a program in an empty network namespace and give what it says."""
    done = subprocess.run(
        ["unshare", "--net", *words],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    ran(sys.executable, "-m", "pip", "wheel", *options, HOUSE, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment; give the path of its `vmnet`."""
    folder = tmp_path_factory.mktemp("installed")
    ran(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    ran(*pip, "install", "--no-compile", "--find-links", WHEELS, wheel, cwd=folder)
    ran(*pip, "check", cwd=folder)
    return python.with_name("vmnet")


def test_the_wheel_of_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    ran(
        Path(sys.executable).with_name("hatchling"),
        "build",
        "-t",
        "sdist",
        "-d",
        tmp_path,
        cwd=HOUSE,
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    ran(sys.executable, "-m", "pip", "wheel", *options, sdist, cwd=tmp_path)
    (built,) = tmp_path.glob("*.whl")
    assert sorted(ZipFile(built).namelist()) == sorted(ZipFile(wheel).namelist())


def test_the_distributions_libvirt_will_do_and_lz4_may_be_missing(
    wheel: Path, tmp_path: Path
) -> None:
    """What `pipx install --system-site-packages` does, with no libvirt-python to be had."""
    (tmp_path / "wheels").mkdir()
    for kept in WHEELS.glob("*.whl"):
        if not kept.name.startswith(("libvirt", "lz4", "pyelftools")):
            (tmp_path / "wheels" / kept.name).symlink_to(kept)
    options = ["--without-pip", "--system-site-packages"]
    ran("/usr/bin/python3", "-m", "venv", *options, "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    ran(*pip, "install", "--no-compile", "--find-links", tmp_path / "wheels", wheel, cwd=tmp_path)
    own = ran(python, "-c", "import libvirt; print(libvirt.__file__)", cwd=tmp_path).strip()
    assert own == "/usr/lib/python3/dist-packages/libvirt.py"
    told = ran(python.with_name("vmnet"), "doctor", "--json", cwd=tmp_path)
    found = {item["what"] for item in json.loads(told)["findings"]}
    assert any(what.startswith("libvirt ") and "; opened, driver" in what for what in found)
    done = subprocess.run(
        [python.with_name("vmnet"), "image", "build", "micro"],
        env={**ENVIRONMENT, "VMNET_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr == (
        "the micro image is built with lz4 and pyelftools, which this vmnet lacks\n"
        "  fix: install them beside it: pip install 'vmnet-provisioner[micro]'\n"
    )


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(HOUSE)) for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_holds_every_template_recipe_and_example_and_nothing_but_the_product(
    wheel: Path,
) -> None:
    held = set(ZipFile(wheel).namelist())
    folders = (HOUSE / name for name in ("templates", "images", "examples"))
    handed = set().union(*map(files_in, folders))
    assert "images/micro/recipe.toml" in handed
    assert {"templates/domain.xml.j2", "examples/pair.yaml"} <= handed
    assert {f"provisioner/{name}" for name in handed} - held == set()
    about = f"vmnet_provisioner-{VERSION}.dist-info"
    assert {name.split("/")[0] for name in held} == {"provisioner", about}
    assert [name for name in held if name.endswith(".pyc")] == []


def test_the_wheel_brings_the_pytest_plugin_and_tells_type_checkers_of_its_types(
    wheel: Path,
) -> None:
    about = f"vmnet_provisioner-{VERSION}.dist-info/entry_points.txt"
    held = ZipFile(wheel)
    assert "[pytest11]\nvmnet = provisioner.testing.plugin\n" in held.read(about).decode()
    assert {"provisioner/py.typed", "provisioner/testing/plugin.py"} <= set(held.namelist())


def test_the_installed_wheel_says_its_version(installed_wheel: Path, tmp_path: Path) -> None:
    assert ran(installed_wheel, "--version", cwd=tmp_path) == f"vmnet {VERSION}\n"


def test_the_installed_wheel_finds_its_templates_from_any_folder(
    installed_wheel: Path, tmp_path: Path
) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN)
    assert "<name>lab-web</name>" in ran(installed_wheel, "render", "web", cwd=tmp_path)


def test_the_installed_wheel_has_the_examples_and_judges_them(
    installed_wheel: Path, tmp_path: Path
) -> None:
    ran(installed_wheel, "init", "--example", "pair", cwd=tmp_path)
    told = ran(installed_wheel, "validate", cwd=tmp_path)
    assert told == "vmnet.yaml: 2 VMs, 1 network: valid\n"


def test_the_installed_wheel_brings_a_plan_up_from_any_folder(
    installed_wheel: Path, tmp_path: Path
) -> None:
    (tmp_path / "vmnet.yaml").write_text(PLAN.replace("name: lab", "name: wheel"))
    # One namespace for both commands: what the first one makes is the second one's to take away.
    both = f'"{installed_wheel}" up --json; status=$?; "{installed_wheel}" down >&2; exit $status'
    report = json.loads(ran("sh", "-c", both, cwd=tmp_path))
    assert report["summary"] == "all 2 measurements are as expected"
    assert {(r["from"], r["to"], r["observed"]) for r in report["results"]} == {
        ("host", "web", "reaches"),
        ("web", "host", "reaches"),
    }
