"""What images cost vmnet, beside the plain programs; benchmarks.md says how to read it.

Run it with the Python that has vmnet's libraries: python benchmarks/images.py
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
HOUSE = HERE.parent.parent
sys.path.insert(0, str(HOUSE))

from provisioner.commands.execute import execute  # noqa: E402
from provisioner.guest.domain import Overlay, Seed  # noqa: E402
from provisioner.host.drivers import drivers  # noqa: E402
from provisioner.host.libvirt.session import LibvirtSession  # noqa: E402
from provisioner.host.system import paths  # noqa: E402
from provisioner.reconcile.diff import Step, Verb  # noqa: E402

_MOST = 1.3
_CHUNK = 4 << 20
TOLD = (
    ("meta-data", "instance-id: a\nlocal-hostname: a\n"),
    ("user-data", "#cloud-config\nssh_authorized_keys: [ssh-ed25519 AAAA]\n"),
    ("network-config", "version: 2\n"),
)
_UNITS = {"M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class Measured:
    """One goal: ours against theirs, both in this run; the other ways explain the difference.

    `seconds` are by the clock, `cpu` what all processors together worked for it.
    """

    what: str
    seconds: dict[str, list[float]]
    cpu: dict[str, list[float]]
    ours: str
    theirs: str
    most: float

    @property
    def ratio(self) -> float:
        """Ours by theirs, median by median."""
        return median(self.seconds[self.ours]) / median(self.seconds[self.theirs])


def main() -> None:
    """Measure everything, in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1G", help="of the imported image: 64M, 1G")
    parser.add_argument("--counts", default="1,10,50", help="of VMs whose disks and seeds are made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the store and the image lie", default="/var/tmp")  # noqa: S108
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not shutil.which("genisoimage"):
        raise SystemExit("this needs genisoimage: apt-get install genisoimage")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        counts = [int(word) for word in options.counts.split(",")]
        found = [making(Path(name), count, options.rounds) for count in counts]
        found.append(importing(Path(name), _bytes(options.size), options.rounds))
    if options.json:
        told = [asdict(one) | {"ratio": one.ratio} for one in found]
        print(json.dumps({"load": load, "measured": told}, indent=2))
    else:
        print(f"load at the start: {load:.1f}; seconds of {options.rounds} rounds")
        for one in found:
            show(one)


def making(folder: Path, count: int, rounds: int) -> Measured:
    """Measure the disks and seeds of `count` VMs against a process for each of both.

    Ours are on the disk when they are done (fsync, rename), private, and QEMU's user's own.
    """
    base = made(folder, 16 << 20)
    os.environ["VMNET_STATE_DIR"] = str(folder / "state")
    home, plain = paths.home("bench"), folder / "plain"
    steps = [step for at in range(count) for step in _of_one(home, base, at)]
    sources = [folder / name for name, _ in TOLD]
    for source, (_, text) in zip(sources, TOLD, strict=True):
        source.write_text(text)

    def processes(at: int) -> None:
        overlay = ["-f", "qcow2", "-F", "qcow2", "-b", str(base), f"{plain}/v{at}.qcow2", "20G"]
        subprocess.run(["qemu-img", "create", "-q", *overlay], check=True)
        image = ["-quiet", "-V", "cidata", "-J", "-r", "-o", f"{plain}/v{at}.iso"]
        subprocess.run(["genisoimage", *image, *map(str, sources)], check=True)

    def ours() -> None:
        table = drivers(LibvirtSession("bench"))
        done = execute(steps, table.perform).done
        assert len(done) == len(steps)  # noqa: S101  (a benchmark of what fails says nothing)

    def one_after_the_other() -> None:
        for at in range(count):
            processes(at)

    def side_by_side() -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(processes, range(count)))

    def forget() -> None:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(plain, ignore_errors=True)
        plain.mkdir()

    theirs = "qemu-img create and genisoimage, one after the other"
    ways: dict[str, Callable[[], None]] = {
        "vmnet: disk and seed": ours,
        theirs: one_after_the_other,
        "the same processes, 16 at once": side_by_side,
    }
    seconds, cpu = timed(ways, rounds, forget)
    what = f"disks and seeds of {count} VMs"
    return Measured(what, seconds, cpu, "vmnet: disk and seed", theirs, 1.0)


def _of_one(home: Path, base: Path, at: int) -> tuple[Step, Step]:
    disk = Overlay(str(home / "disk" / f"v{at}.qcow2"), 20 << 30, str(base), "qcow2")
    seed = Seed(str(home / "seed" / f"v{at}-1.iso"), TOLD, vm=f"v{at}")
    return Step(Verb.CREATE, disk, "missing"), Step(Verb.CREATE, seed, "missing")


def importing(folder: Path, size: int, rounds: int) -> Measured:
    """Measure `vmnet image import` of an image that lies in memory, against `sha256sum` of it."""
    image = made(folder, size)
    vmnet = [sys.executable, "-m", "provisioner", "image"]
    env = os.environ | {"PYTHONPATH": str(HOUSE), "VMNET_STATE_DIR": str(folder / "state")}
    copy = folder / "copy"

    def run(*words: str | Path) -> None:
        subprocess.run(words, check=True, env=env, stdout=subprocess.DEVNULL)

    def forget() -> None:
        if (folder / "state").exists():
            run(*vmnet, "prune", "--yes")
        copy.unlink(missing_ok=True)

    def copied() -> None:
        run("cp", "--reflink=never", image, copy)
        synced(copy)

    def both() -> None:
        run("sha256sum", image)
        copied()

    ways: dict[str, Callable[[], None]] = {
        "vmnet image import": lambda: run(*vmnet, "import", image, "--name", "a"),
        "sha256sum": lambda: run("sha256sum", image),
        "sha256sum and cp, one after the other": both,
        "cp and fsync": copied,
        "hashing by Python's OpenSSL": lambda: hashed(image),
        "vmnet image ls (what starting costs)": lambda: run(*vmnet, "ls"),
    }
    what = f"import of {size >> 20} MiB"
    seconds, cpu = timed(ways, rounds, forget)
    return Measured(what, seconds, cpu, "vmnet image import", "sha256sum", _MOST)


def timed(
    ways: Mapping[str, Callable[[], None]], rounds: int, forget: Callable[[], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Time every way in every round; in between all is forgotten, and nothing is left to write."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for at in range(rounds + 1):
        for way, work in ways.items():
            forget()
            os.sync()
            begun, before = time.perf_counter(), os.times()
            work()
            took, after = time.perf_counter() - begun, os.times()
            if at:  # the first round is to warm up
                seconds[way].append(took)
                cpu[way].append(sum(after[:4]) - sum(before[:4]))
    forget()
    return seconds, cpu


def made(folder: Path, size: int) -> Path:
    """Make a qcow2 image of `size` bytes that neither compress nor repeat."""
    raw, image = folder / "raw", folder / "image.qcow2"
    with raw.open("wb") as file:
        for _ in range(size // _CHUNK):
            file.write(os.urandom(_CHUNK))
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(image)], check=True
    )
    raw.unlink()
    return image


def synced(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def hashed(path: Path) -> None:
    """Hash a file in this process."""
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, "sha256")


def show(one: Measured) -> None:
    """Print a table, and whether the goal is met."""
    print(f"\n{one.what}")
    print(f"{'median':>8} {'least':>8} {'CPU':>8}")
    for way, seconds in one.seconds.items():
        cells = (median(seconds), min(seconds), median(one.cpu[way]))
        print(" ".join(f"{cell:>8.2f}" for cell in cells) + f"  {way}")
    mark = "met" if one.ratio <= one.most else "MISSED"
    print(f"{mark:>6}: {one.ours} : {one.theirs} = {one.ratio:.2f}, at most {one.most:g}")


def _bytes(words: str) -> int:
    return int(words[:-1]) * _UNITS[words[-1].upper()]


if __name__ == "__main__":
    main()
