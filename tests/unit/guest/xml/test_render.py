import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jinja2
import pytest

from provisioner.guest.domain import DomainDisk, DomainNic, Image
from provisioner.guest.xml import check, render
from tests.builders.domain import WEB

GOLDEN = Path(__file__).parent / "golden"

CASES = {
    "one-nic": WEB,
    "kvm-two-nics-seed": replace(
        WEB,
        accel="kvm",
        cpus=2,
        memory_mib=512,
        nics=(*WEB.nics, DomainNic("mvtdeb06583bd", "02:de:b0:65:83:bd", 9000)),
        seed="/var/lib/vmnet/lab/seed/web-0123456789ab.iso",
    ),
    "uefi-disks-vnc": replace(
        WEB,
        kernel="",
        initrd="",
        cmdline="",
        memory_mib=512,
        image=Image(name="debian-12", disk="/var/lib/vmnet/.images/sha256-aa", boot=("uefi",)),
        firmware="uefi",
        loader="/usr/share/OVMF/OVMF_CODE_4M.fd",
        nvram="/var/lib/vmnet/lab/boot/web.nvram",
        cpu_model="max",
        graphics="vnc",
        seed="/var/lib/vmnet/lab/seed/web-0123456789ab.iso",
        disks=(
            DomainDisk(
                "/var/lib/vmnet/lab/disk/web.qcow2",
                "qcow2",
                "/var/lib/vmnet/.images/sha256-aa",
                "qcow2",
            ),
            DomainDisk("/plans/data.img", "raw", cache="none", discard=False, readonly=True),
            DomainDisk("/dev/disk/by-id/x", "raw", kind="block"),
        ),
    ),
    "own-kernel-ignition": replace(
        WEB,
        kernel="/var/lib/vmnet/lab/boot/kernel-abab",
        initrd="",
        cmdline="console=ttyS0 root=/dev/vda",
        image=Image(name="none"),
        machine="pc",
        ignition="/var/lib/vmnet/lab/boot/ignition-cdcd",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_xml_of_a_domain_is_the_golden_one(case: str) -> None:
    assert render.domain_xml(CASES[case]) == (GOLDEN / f"{case}.xml").read_text()


@pytest.mark.parametrize("case", CASES)
def test_libvirts_own_schema_accepts_the_xml(case: str, tmp_path: Path) -> None:
    file = tmp_path / "domain.xml"
    file.write_text(render.domain_xml(CASES[case]))
    ran = subprocess.run(
        ["virt-xml-validate", str(file), "domain"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, f"{file} validates\n")


def test_the_schema_test_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "domain.xml"
    file.write_text(
        render.domain_xml(WEB).replace("<vcpu ", "<vcpus ").replace("/vcpu>", "/vcpus>")
    )
    ran = subprocess.run(
        ["virt-xml-validate", str(file), "domain"], capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0


def test_what_a_plan_says_cannot_become_xml() -> None:
    evil = "x</cmdline></os><qemu:commandline/><os><cmdline>\"'&"
    xml = render.domain_xml(replace(WEB, cmdline=evil, seed="s.iso"))
    root = ET.fromstring(xml)  # noqa: S314  (our own rendering)
    assert root.findtext("os/cmdline") == evil
    assert [child.tag for child in root.findall("os/*")] == ["type", "kernel", "initrd", "cmdline"]


def test_a_domain_is_read_back_from_its_mark_as_it_was() -> None:
    for domain in CASES.values():
        assert render.from_mark(render.to_mark(domain)) == domain


@pytest.mark.parametrize("mark", ["", "{}", "[]", "null", '{"nics": 3}', "\x00"])
def test_a_mark_that_is_not_ours_is_no_domain(mark: str) -> None:
    assert render.from_mark(mark) is None


def test_a_value_that_a_template_misses_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'mark' is undefined"):
        render.rendered("mark.xml.j2")


@pytest.mark.parametrize("case", CASES)
def test_what_users_templates_are_held_to_lets_vmnets_own_pass(case: str) -> None:
    assert check.complaints(render.domain_xml(CASES[case]), CASES[case], ()) == []
