"""The plans of plans.txt, and the files beside them that they name."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

FRAMES = {
    "top": "name: stranger\nnetworks: {{lan: {{switch: true, subnet: 10.91.0.0/24}}}}\n"
    "vms:\n  a:\n    nics: [lan]\n{}\n",
    "name": "name: {}\nnetworks: {{lan: {{switch: true, subnet: 10.91.0.0/24}}}}\n"
    "vms: {{a: {{nics: [lan]}}}}\n",
    "net": "name: stranger\nnetworks:\n  lan:\n    subnet: 10.91.0.0/24\n    {}\n"
    "vms: {{a: {{nics: [lan]}}}}\n",
    "netname": "name: stranger\nnetworks:\n  {}: {{switch: true, subnet: 10.91.0.0/24}}\n"
    "vms: {{a: {{nics: []}}}}\n",
    "vmname": "name: stranger\nnetworks: {{lan: {{switch: true, subnet: 10.91.0.0/24}}}}\n"
    "vms:\n  {}: {{nics: [lan]}}\n",
    "nic": "name: stranger\nnetworks: {{lan: {{switch: true, subnet: 10.91.0.0/24}}}}\n"
    "vms:\n  a:\n    nics:\n      - {{{}}}\n",
    "vm": "name: stranger\naccel: tcg\n"
    "networks: {{lan: {{switch: true, subnet: 10.91.0.0/24}}}}\nvms:\n  a: {{{}}}\n",
    "whole": "{}\n",
}
FRAMES |= dict.fromkeys(("files", "texts", "images", "templates"), FRAMES["vm"])
MARK = "«"
BAD_INPUT = 2  # the exit status of a plan that is refused before anything is touched
HOUSE = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("plans.txt")
SECRET = "hunter2"  # noqa: S105  (stands in the canary, and nowhere else)
TEMPLATES = {  # what stands in a template that is otherwise vmnet's own, before an element's end
    "commandline": (
        "</domain>",
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>",
    ),
    "backing": (
        "</devices>",
        "<disk type='file'><source file='/etc/shadow'/><target dev='vdz'/></disk>",
    ),
    "hostdev": ("</devices>", "<hostdev mode='subsystem' type='usb'/>"),
    "filesystem": (
        "</devices>",
        "<filesystem><source dir='/'/><target dir='x'/></filesystem>",
    ),
    "emulator": ("</devices>", "<emulator>/tmp/evil</emulator>"),
    "include": ("</domain>", "{% include '/etc/shadow' %}"),
    "python": ("</domain>", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "loop": (
        "</domain>",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ),
}
ENTITY = "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/shadow'>]><domain>&x;</domain>"


@dataclass(frozen=True, slots=True)
class HostilePlan:
    """One of them: what is hostile in it, its text, and where the complaint has to stand."""

    frame: str
    row: str
    place: str  # "LINE:COLUMN", with a file's name in front when it is not the plan's own
    line: str  # the row as it stands in the plan

    @property
    def text(self) -> str:
        """The plan with this alone in it."""
        return FRAMES[self.frame].format(self.line)


def plans(table: str = "") -> list[HostilePlan]:
    """Parse the table: a frame's name behind @, then a plan a line, its place behind «."""
    found, frame = [], ""
    for line in filter(None, (table or TABLE.read_text(encoding="utf-8")).splitlines()):
        if line.startswith("@"):
            frame = line[1:]
            continue
        row, _, place = line.partition(f" {MARK} ")
        found.append(HostilePlan(frame, row, place, _written(frame, row)))
    return found


def _written(frame: str, row: str) -> str:
    match frame:
        case "whole":
            return row.replace("\\n", "\n").replace("\\x1b", "\x1b").replace("\\x07", "\x07")
        case "nic":
            return row if "network:" in row else f"{row}, network: lan"
        case "net":
            alone = row.startswith(("uplink", "switch", "granted"))
            return row if alone else f"{row}\n    switch: true"
        case "vm" | "files" | "texts" | "images" | "templates":
            inner = row[1:-1] if row.startswith("{") else row
            return inner if "nics:" in row else f"{inner}, nics: [lan]"
        case _:
            return row


def together(rows: list[HostilePlan]) -> tuple[str, list[str]]:
    """Return one plan of many VMs, each of a row, and the places of the complaints about it.

    Complaints of one stage are made all at once, so one run is enough for all of them.
    """
    head = FRAMES["vm"].partition("  a:")[0].format()
    vms = "".join(f"  a{n}: {{{row.line}}}\n" for n, row in enumerate(rows))
    return head + vms, [_moved(row.place, n) for n, row in enumerate(rows)]


def _moved(place: str, number: int) -> str:
    *file, line, column = place.split(":")
    return place if file else f"{int(line) + number}:{int(column) + len(str(number))}"


def refused(text: str, file: str, place: str) -> bool:
    """Return whether messages name a place; without a number it is only what they are about."""
    if not place[-1].isdecimal():
        return place in text
    where = place if place.count(":") > 1 else f"{file}:{place}"
    return any(line.startswith(f"{where}: ") or f"/{where}: " in line for line in text.splitlines())


def fill(folder: Path) -> Path:
    """Make the files that the plans name, in the folder `plan`; return the canary, which is not."""
    plan = folder / "plan"
    (plan / "folder").mkdir(parents=True)
    canary = folder / "canary"
    canary.write_text(f"#cloud-config\nuser: {SECRET}\n")
    (plan / "link").symlink_to(canary)
    (plan / "folder-link").symlink_to(folder)
    (plan / "elsewhere.yaml").symlink_to(canary)
    (plan / "ok").write_text("a kernel, as far as is looked at here")
    os.mkfifo(plan / "pipe")
    for name, backing, data_bit, data_name, size in (
        ("leaning", str(canary), False, "", 1 << 20),
        ("remote", "nbd://127.0.0.1:8999/disk", False, "", 1 << 20),
        ("data", "", True, str(canary), 1 << 20),
        ("data-without-bit", "", False, "nbd://127.0.0.1:8999/disk", 1 << 20),
        ("huge", "", False, "", 1 << 56),
    ):
        content = qcow2(backing, data_name, size, data_bit=data_bit)
        (plan / f"{name}.qcow2").write_bytes(content)
    (plan / "text.vmdk").write_text(
        f'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\n'
        f'RW 2048 FLAT "{canary}" 0\n'
    )
    (plan / "deep.json").write_text("[" * 9999 + "]" * 9999)
    bomb = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 2)}]\n" for n in range(1, 3))
    (plan / "bomb.yaml").write_text(f"#cloud-config\nl0: &l0 [x]\n{bomb}")
    (plan / "python.yaml").write_text("#cloud-config\na: !!python/object/apply:os.system [id]\n")
    (plan / "user.yaml").write_text("#cloud-config\nuser: evil\n")
    own = (HOUSE / "templates" / "domain.xml.j2").read_text()
    for name, (before, piece) in TEMPLATES.items():
        (plan / f"{name}.xml.j2").write_text(own.replace(before, f"{piece}\n{before}"))
    (plan / "entity.xml.j2").write_text(ENTITY)
    return canary


def qcow2(backing: str, data_name: str, size: int, *, data_bit: bool) -> bytes:
    """Return a qcow2 disk of version 3 without content, that names other files."""
    cluster = 1 << 16
    name = backing.encode()
    extensions = b""
    if data_name:
        padded = data_name.encode().ljust(-(-len(data_name) // 8) * 8, b"\0")
        extensions = struct.pack(">II", 0x44415441, len(data_name)) + padded
    extensions += struct.pack(">II", 0, 0)
    at = 104 + len(extensions) if backing else 0
    l1 = max(1, -(-size // (cluster * cluster // 8)))
    header = struct.pack(
        *(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, at, len(name), 16, size, 0, min(l1, 8192)),
        *(cluster, 2 * cluster, 1, 0, 0, int(data_bit) << 2, 0, 0, 4, 104),
    )
    return (header + extensions + name).ljust(4 * cluster, b"\0")
