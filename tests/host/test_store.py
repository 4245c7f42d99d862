"""The image store: what is in it is what was hashed and judged, and it stays that."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import Exit, VmnetError
from provisioner.host.image import in_use, source_file, store, store_files
from provisioner.image import record as images
from provisioner.image.record import Origin, Stored
from provisioner.image.traits import ImageTraits
from tests.host_tools.image_store import MIB, add, contents, nothing, raw_disk, refusal

HOUSE = Path(__file__).parents[2]
KILLED_AT_THE_END = """\
import os, signal, sys
from pathlib import Path
from provisioner.image.record import Origin
from provisioner.host.image import source_file, store

def die(done, whole):
    if done == whole:
        os.kill(os.getpid(), signal.SIGKILL)

with source_file.opened(Path(sys.argv[2])) as given:
    store.add(Path(sys.argv[1]), given, Origin("a", "x"), print, die)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(raw_disk(5 * MIB))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / ".images"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_image_is_stored_read_only_under_its_digest_for_all_to_read(
    folder: Path, file: Path
) -> None:
    traits = ImageTraits(boot=("bios", "uefi"), user="debian", agent=True)
    with source_file.opened(file) as given:
        record = store.add(folder, given, Origin("debian-12", "x\x1b", traits), nothing, nothing)
    content = folder / f"sha256-{digest(file)}"
    assert record == Stored(
        "debian-12",
        digest(file),
        "raw",
        5 * MIB,
        5 * MIB,
        r"x\x1b",
        record.imported,
        traits,
    )
    assert store.find(folder, "debian-12") == store.StoredImage(record, content)
    assert content.read_bytes() == file.read_bytes()
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert modes == {
        content.name: 0o444,
        "lock": 0o600,
        "names": 0o755,
        "debian-12.json": 0o644,
    }
    assert folder.stat().st_mode & 0o777 == 0o755


def test_holes_are_kept_out_of_the_copy(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "sparse.img"
    file.write_bytes(raw_disk(MIB))
    os.truncate(file, 64 * MIB)
    record = add(folder, file)
    content = folder / images.content_name(record.digest)
    assert (record.digest, content.stat().st_size) == (digest(file), 64 * MIB)
    assert store_files.allocated(content.stat()) <= MIB


def test_several_names_share_a_content_that_goes_with_the_last(folder: Path, file: Path) -> None:
    for name in ("a", "b"):
        add(folder, file, name)
    content = f"sha256-{digest(file)}"
    assert contents(folder) == ["a.json", "b.json", content]
    assert store.remove(folder, "a", {}).size == 0
    assert contents(folder) == ["b.json", content]
    assert store.remove(folder, "b", {}).size > 2 * MIB
    assert contents(folder) == []


def test_what_a_run_killed_before_the_rename_leaves_is_cleared_by_the_next(
    folder: Path, file: Path
) -> None:
    words = [sys.executable, "-c", KILLED_AT_THE_END, str(folder), str(file)]
    ran = subprocess.run(words, cwd=HOUSE, check=False, timeout=60)
    assert ran.returncode == -signal.SIGKILL
    (left,) = contents(folder)
    assert left.startswith(".draft-")
    assert (store.every(folder), store.unused(folder, {})) == ([], [])
    add(folder, file)
    assert contents(folder) == ["a.json", f"sha256-{digest(file)}"]


def test_prune_takes_away_what_killed_runs_left(folder: Path, file: Path) -> None:
    words = [sys.executable, "-c", KILLED_AT_THE_END, str(folder), str(file)]
    subprocess.run(words, cwd=HOUSE, check=False, timeout=60)
    (gone,) = store.prune(folder, [], {})
    assert gone.size > 2 * MIB
    assert contents(folder) == []


def test_a_draft_whose_writer_lives_is_not_cleared(folder: Path) -> None:
    store_files.prepare(folder)
    with store_files.draft(folder) as draft:
        assert store_files.clear(folder) == 0
        assert Path(draft.name).exists()
    assert contents(folder) == []


def test_an_import_that_is_interrupted_leaves_nothing(folder: Path, file: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), source_file.opened(file) as given:
        store.add(folder, given, Origin("a", "x"), nothing, interrupt)
    assert contents(folder) == []


def test_a_file_that_changes_while_it_is_read_is_refused(folder: Path, file: Path) -> None:
    def grow(done: int, whole: int) -> None:
        if done == whole:
            with file.open("ab") as more:
                more.write(bytes(512))

    with pytest.raises(VmnetError, match="changed while it was read"):  # noqa: SIM117
        with source_file.opened(file) as given:
            store.add(folder, given, Origin("a", "x"), nothing, grow)
    assert contents(folder) == []


def test_a_file_of_another_digest_is_refused(folder: Path, file: Path) -> None:
    wanted = "0" * 64
    assert refusal(folder, file, f"sha256:{wanted}") == (
        f"FILE: its SHA-256 is {digest(file)}, not {wanted}"
    )
    sha512 = hashlib.sha512(file.read_bytes()).hexdigest()
    assert add(folder, file, digest=f"sha512:{sha512}").digest == digest(file)


def test_devices_pipes_and_folders_are_refused_at_once(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    told = {name: refusal(folder, tmp_path / name) for name in ("pipe", "link", "", "loop", "nope")}
    assert told == {
        "pipe": "FILE is a pipe, not an image file",
        "link": "FILE is a device, not an image file",
        "": "FILE is a folder, not an image file",
        "loop": "cannot read FILE: Too many levels of symbolic links",
        "nope": "cannot read FILE: No such file or directory",
    }


def test_nothing_and_what_is_cut_off_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(raw_disk(MIB)[:-1])
    told = [refusal(folder, tmp_path / name) for name in ("empty", "short")]
    assert told == [
        "FILE: it is empty",
        f"FILE: it is cut off: {MIB - 1} bytes are not a whole number of sectors",
    ]


def test_verify_finds_one_bit_that_has_turned(folder: Path, file: Path) -> None:
    add(folder, file)
    kept = store.find(folder, "a")
    assert kept
    store.verify(kept, nothing)
    kept.path.chmod(0o644)
    with pytest.raises(VmnetError, match=r"can be written to \(mode 0644\)"):
        store.verify(kept, nothing)
    with kept.path.open("rb+") as content:
        content.seek(3 * MIB)
        content.write(b"\x01")
    with pytest.raises(VmnetError, match="has changed: its SHA-256 is") as caught:
        store.verify(kept, nothing)
    assert caught.value.status == Exit.CHECK_FAILED
    add(folder, file)  # the mend
    store.verify(kept, nothing)


def test_a_content_that_is_gone_or_shorter_is_never_given(folder: Path, file: Path) -> None:
    add(folder, file)
    content = folder / f"sha256-{digest(file)}"
    os.truncate(content, MIB)
    with pytest.raises(VmnetError, match="has 1048576 bytes, not 5242880"):
        store.find(folder, "a")
    content.unlink()
    with pytest.raises(VmnetError, match="No such file"):
        store.find(folder, "a")


def test_prune_and_rm_keep_what_a_plans_disk_leans_on(folder: Path, tmp_path: Path) -> None:
    for name in ("used", "unused"):
        (tmp_path / name).write_bytes(raw_disk(MIB))
        add(folder, tmp_path / name, name)
    content = folder / f"sha256-{digest(tmp_path / 'used')}"
    disks = folder.parent / "lab" / "disk"
    disks.mkdir(parents=True)
    overlay = ("create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(content))
    subprocess.run(["qemu-img", *overlay, str(disks / ".vm.qcow2.part")], check=True)
    (disks / "data.raw").write_bytes(bytes(512))
    os.mkfifo(disks / "pipe")
    (disks / "link").symlink_to("/dev/zero")
    used = in_use.in_use(folder.parent)
    assert used == {digest(tmp_path / "used"): ("lab",)}
    with pytest.raises(VmnetError, match="in use: disks of lab depend on it") as caught:
        store.remove(folder, "used", used)
    assert caught.value.status == Exit.CONFLICT
    gone = store.prune(folder, store.unused(folder, {}), used)
    assert [one.names for one in gone] == [("unused",)]
    assert contents(folder) == [content.name, "used.json"]


def test_disks_that_cannot_be_seen_keep_everything(tmp_path: Path) -> None:
    disks = tmp_path / "lab" / "disk"
    disks.mkdir(parents=True)
    (disks / "vm.qcow2").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "disk").touch()
    assert in_use.in_use(tmp_path) == {}
    tmp_path.chmod(0o755)
    script = (
        "import os, sys; from pathlib import Path; from provisioner.host.image import in_use\n"
        "from provisioner.errors import VmnetError\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "try: in_use.in_use(Path('.'))\n"
        "except VmnetError as error: print(error.what)"
    )
    told = []
    for closed in (disks / "vm.qcow2", disks):
        closed.chmod(0)
        ran = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={"PYTHONPATH": str(HOUSE)},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(ran.stdout)
    assert told == [
        "cannot see what the disk lab/disk/vm.qcow2 depends on: Permission denied\n",
        "cannot see what disks are in lab/disk: Permission denied\n",
    ]


def test_who_takes_away_waits_for_who_uses_the_store(folder: Path) -> None:
    store_files.prepare(folder)
    script = (
        "import sys; from pathlib import Path\n"
        "from provisioner.host.image.store_files import held\n"
        "with held(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdin
        assert other.stdout
        stdin = other.stdin
        assert other.stdout.readline() == b"held\n"
        with store_files.held(folder, pytest.fail):  # users do not wait for each other
            pass
        said: list[str] = []

        def free(text: str) -> None:
            said.append(text)
            stdin.close()

        with store_files.held(folder, free, alone=True):
            assert said == ["waiting for another vmnet that uses the images"]


def test_a_store_that_others_can_change_is_not_used(folder: Path, file: Path) -> None:
    store_files.prepare(folder)
    folder.chmod(0o777)
    assert refusal(folder, file) == f"others than you could change the images in {folder}"
    folder.chmod(0o755)
    os.chown(folder / "names", 65534, -1)
    assert refusal(folder, file).startswith("others than you could change the images in")


def test_a_record_that_is_none_is_no_image(folder: Path, file: Path) -> None:
    add(folder, file)
    good = (folder / "names" / "a.json").read_text()
    for text in ("", "{}", "[]", good.replace('"raw"', '"vmdk"'), good.replace(": 5", ': "5')):
        (folder / "names" / "a.json").write_text(text)
        assert (store.find(folder, "a"), store.every(folder)) == (None, [])


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "-x",
    "a/b",
    "a:b",
    "json:{}",
    "A",
    "ä",
    "a\n",
    "a,b",
    "a b",
    "a\0",
    "x" * 64,
    "micro",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_could_mean_something_else_is_refused(
    folder: Path, file: Path, name: str
) -> None:
    with pytest.raises(VmnetError) as caught:
        add(folder, file, name)
    assert caught.value.status == Exit.BAD_INPUT
    assert not folder.exists()
    assert store.find(folder, name) is None


@given(st.text(max_size=100))
def test_a_name_derived_from_a_file_is_a_name_or_nothing(file_name: str) -> None:
    name = images.name_from(file_name)
    assert not name or images.is_name(name)


def test_names_are_derived_from_what_vendors_call_their_files() -> None:
    told = {
        "debian-12-genericcloud-amd64.qcow2": "debian-12-genericcloud-amd64",
        "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2": "fedora-cloud-base-generic-43-1.6.x86-64",
        "disk.tar.gz": "disk",
        "json:{}": "json",
        "-x": "x",
        ".img": "",
    }
    assert {file: images.name_from(file) for file in told} == told
