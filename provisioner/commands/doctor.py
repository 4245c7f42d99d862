"""vmnet doctor: looks at everything that can be wrong before `up`, side by side."""

import getpass
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from provisioner.commands.target import Tell
from provisioner.distribution import HERE, fact
from provisioner.doctor import host, network
from provisioner.doctor import kernel as doctorkernel
from provisioner.doctor.findings import Item, Severity
from provisioner.host import room
from provisioner.host.doctor import host as doctor
from provisioner.host.doctor import network as nics
from provisioner.host.jail import scope, settings, users, walls
from provisioner.host.libvirt import privileges, trial
from provisioner.host.network import dnsmasq
from provisioner.host.storage import firmware
from provisioner.host.system import accounts, paths, programs
from provisioner.host.system.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.network.facts import Facts
    from provisioner.reachability.switch_probe import SwitchAnswer


def look(worker: Worker, tell: Tell, uplink: str = "") -> list[Item]:
    """Look at the host; at one NIC alone among the uplinks, when it is named."""
    tell("booting a kernel under KVM, if there is one; opening libvirt")
    with ThreadPoolExecutor(max_workers=2) as side_by_side:
        kvm = side_by_side.submit(doctor.kvm)
        qemu = side_by_side.submit(doctor.qemu)
        libvirt = worker.call(trial.opened)
        facts, held = doctor.facts()
        kernel = doctor.kernel(facts)
        found = [
            host.rights(privileges.missing(), getpass.getuser()),
            *doctorkernel.kernel(kernel),
            *doctorkernel.nodes(doctor.nodes(), kernel.container),
            *_around(facts, held, uplink),
        ]
        version, trouble = qemu.result()
        found += [
            doctorkernel.kvm(kvm.result(), kernel.container),
            host.qemu(version, trouble, _runs_as()),
            host.libvirt(libvirt.result()),
            *_walls(),
            *host.tools(programs.is_installed, uefi=firmware.loader() is not None),
        ]
    return found


def _runs_as() -> str:
    """Return whom guests run as, in words."""
    found = users.available()
    if found is None:
        return f"the user {accounts.name_of(users.shared()[0])}, all of them"
    return "a user of its own each"


def _walls() -> "Iterator[Item]":
    found = users.available()
    of = f"{found.uids[0]}-{found.uids[-1]}" if found else ""
    alone = "vmnet is not root" if os.geteuid() else f"{settings.place()}, or too few users here"
    served = dnsmasq.shared(paths.state())
    groups = "vmnet is not root" if os.geteuid() else scope.why_none()
    usual = fact("label").get(HERE.family, "")
    return host.walls(of, alone, served, walls.module(), groups, usual)


def _around(facts: "Facts", held: frozenset[str], uplink: str) -> "Iterator[Item]":
    yield from map(host.free_space, doctor.free_space())
    yield host.memory(room.memory())
    found = nics.nics([(x.name, x.index) for x in facts.links])
    yield from network.uplinks(facts, found, nics.dmi(), uplink)
    yield from network.firewall(facts, bridge_filter=nics.bridge_filter())
    yield from network.leftovers(facts, held)
    yield from network.managers(nics.others())


def asked(answer: "SwitchAnswer") -> list[Item]:
    """Judge what the switch behind a NIC has answered."""
    reflection, foreign = answer.lines
    passes = answer.passes_foreign
    state = {True: Severity.GOOD, False: Severity.BAD, None: Severity.UNKNOWN}[passes]
    fix = {
        True: "",
        False: "let the switch or hypervisor pass foreign MACs, use mode passthru, or `switch:`",
        None: "name a machine behind it that answers: --peer ADDRESS",
    }[passes]
    about = answer.probe.uplink
    return [
        Item("the switch", f"{about}: {reflection}"),
        Item("the switch", f"{about}: {foreign}", state, fix),
    ]
