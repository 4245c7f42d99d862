"""The table of `status --watch`: a row for each NIC, and no text that steers a terminal."""

import json

import pytest

from provisioner.report import live_table
from provisioner.report.document import as_json
from provisioner.report.report import NicStatus, Report, VmStatus
from provisioner.text import sanitize
from tests.builders.report import HOSTILE


def nic(network: str, address: str) -> NicStatus:
    return NicStatus(f"a.{network}", network, "up0", "bridge", "", "mvt1", None, (address,))


def told(*vms: VmStatus) -> object:
    return json.loads(as_json(Report("status", "lab", vms=vms)))


def test_each_nic_has_a_row_and_each_vm_its_name_once() -> None:
    nics = (nic("lan", "10.0.0.1/24"), nic("dmz", "10.1.0.1/24"))
    report = told(VmStatus("a", "running", 7, nics=nics), VmStatus("b", "not there"))
    assert live_table.rows(report) == [  # type: ignore[arg-type]
        ("VM", "state", "process", "network", "mode", "addresses"),
        ("a", "running", "7", "lan", "bridge", "10.0.0.1/24"),
        ("", "", "", "dmz", "bridge", "10.1.0.1/24"),
        ("b", "not there", "", "", "", ""),
    ]


def test_below_it_stands_what_up_would_do_or_what_is_wrong() -> None:
    report = {"plan": "lab", "vms": [], "to_do": ["x"]}
    assert live_table.summary(report) == "lab: vmnet up would take 1 step"
    assert live_table.summary({**report, "to_do": []}) == "lab: all is as planned"
    assert live_table.summary({"errors": [{"what": "no plan"}]}) == "no plan"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_a_hostile_text_is_one_harmless_line(text: str) -> None:
    vm = {"name": text, "state": text, "pid": 0, "nics": [{"network": text, "addresses": [text]}]}
    for row in live_table.rows({"vms": [vm]}):
        assert all("\n" not in cell and sanitize(cell) == cell for cell in row)
