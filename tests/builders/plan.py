"""Short ways to write a plan with one thing in it, and to read every complaint about it."""

import pytest
from _pytest.mark.structures import ParameterSet

from provisioner.errors import Complaints, Exit
from provisioner.plan.load.loader import load

KEYS = {
    "KEYS OF A PLAN": "name, networks, vms, hosts, placement, checks, connection, accel,"
    " hosts_file, overcommit, defaults",
    "KEYS OF A NETWORK": "uplink, subnet, switch, granted, mode, gateway, pool, addressing, slaac,"
    " mtu, max_loss, dns, promisc, allow, take_over, host_access, vlan, spoof_guard, ether_types,"
    " isolate, queues, vhost, txqueuelen",
    "KEYS OF A NIC": "network, mode, mac, address, mtu, link, promisc, allow, spoof_guard,"
    " ether_types, isolate, queues, vhost, txqueuelen",
    "KEYS OF A VM": "kernel, image, digest, memory, cpus, cpu_model, machine, boot, initrd,"
    " cmdline, disk, disks, keep, graphics, template, allow_xml, nics, on, user, ssh_keys,"
    " password_hash, password, packages, run, files, cloud_init, ignition, ready, after, tpm,"
    " secure_boot, count",
    "KEYS OF DEFAULTS": "image, memory, cpus, cpu_model, machine, boot, disk, keep, graphics, on,"
    " user, ssh_keys, password_hash, packages, run, cloud_init, ready, accel, connection",
    "ETHER TYPES": "aoe, eapol, ethercat, llc, lldp, macsec, mpls, pppoe, pppoe-discovery,"
    " profinet, ptp, qinq, rarp, vlan",
    "HOST ACCESS AND": "host access works in mode bridge only: the kernel lets nothing pass between"
    " the host and a guest of mode",
    "BRIDGE OR NO HOST ACCESS": "use mode: bridge, leave host_access out, or use a switch: there"
    " the host is reached in every mode",
}
"""What stands in the tables for the lists that are too long for a line."""


def complaints_of(text: str, *overrides: str) -> list[str]:
    """Give each complaint as two lines, `place what` and `fix: …`, without the file's name."""
    try:
        load(text, "p", overrides)
    except Complaints as refused:
        errors = refused.errors
    else:
        return []
    assert {error.status for error in errors} == {Exit.BAD_INPUT}
    lines = [line for error in errors for line in (f"{error.where} {error.what}", error.fix)]
    return [f"fix: {line}" if at % 2 else _bare(str(line)) for at, line in enumerate(lines)]


def _bare(line: str) -> str:
    return line.removeprefix("p:").replace(" p:", " ")


def cases(table: str) -> list[ParameterSet]:
    """Read a table: lines of input, then what is told about them, each line after an arrow."""
    found = []
    given: list[str] = []
    expected: list[str] = []
    for line in [*filter(None, table.split("\n")), ""]:
        if line.startswith("-> "):
            expected.append(_spelt_out(line.removeprefix("-> ")))
            continue
        if expected:
            found.append(pytest.param("\n".join(given), expected, id=given[0]))
            given, expected = [], []
        given.append(line)
    return found


def _spelt_out(line: str) -> str:
    for short, keys in KEYS.items():
        line = line.replace(short, keys)
    return line


def with_name(name: str) -> str:
    return f"name: {name}\nnetworks: {{lan: {{uplink: eno1}}}}\nvms: {{web: {{nics: [lan]}}}}\n"


def with_network(inside: str) -> str:
    return f"name: lab\nnetworks:\n  lan: {{{inside}}}\nvms: {{web: {{nics: [lan]}}}}\n"


def with_vm(inside: str) -> str:
    lan = "networks: {lan: {uplink: eno1}}"
    return f"name: lab\n{lan}\nvms:\n  web: {{nics: [lan], {inside}}}\n"


def with_nic(inside: str) -> str:
    lan = "networks: {lan: {switch: true, subnet: 10.77.0.0/24}}"
    return f"name: lab\n{lan}\nvms:\n  web: {{nics: [{{network: lan, {inside}}}]}}\n"
