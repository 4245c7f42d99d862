"""vmnet doctor: looks at everything that can be wrong before `up`, side by side."""

import getpass
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from provisioner.core import doctorhost, doctorkernel, doctornet
from provisioner.core.doctor import Item, State
from provisioner.flow.session import Tell
from provisioner.host import doctor, embedded, firmware, programs, rights
from provisioner.host import doctornet as nics
from provisioner.host.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.core.facts import Facts
    from provisioner.core.switchverdict import Findings


def look(worker: Worker, tell: Tell, uplink: str = "") -> list[Item]:
    """Look at the host; at one NIC alone among the uplinks, when it is named."""
    tell("booting a kernel under KVM, if there is one; opening libvirt")
    with ThreadPoolExecutor(max_workers=2) as side_by_side:
        kvm = side_by_side.submit(doctor.kvm)
        qemu = side_by_side.submit(doctor.qemu)
        libvirt = worker.call("libvirt")
        facts, held = doctor.facts()
        kernel = doctor.kernel(facts)
        found = [
            *doctorhost.rights(rights.lacking(), getpass.getuser()),
            *doctorkernel.kernel(kernel),
            *doctorkernel.nodes(doctor.nodes(), kernel.container),
            *_around(facts, held, uplink),
        ]
        version, trouble = qemu.result()
        found += [
            doctorkernel.kvm(kvm.result(), kernel.container),
            doctorhost.qemu(version, trouble, embedded.run_user()[0]),
            *doctorhost.libvirt(libvirt.result()),
            *doctorhost.tools(
                {name for name in doctorhost.programs() if programs.found(name)},
                uefi=firmware.loader() is not None,
            ),
        ]
    return found


def _around(facts: "Facts", held: frozenset[str], uplink: str) -> "Iterator[Item]":
    yield from doctorhost.rooms(doctor.rooms())
    yield doctorhost.memory(doctor.memory())
    cards = nics.cards([(x.name, x.index) for x in facts.links])
    yield from doctornet.uplinks(facts, cards, nics.dmi(), uplink)
    yield from doctornet.firewall(facts, bridge_filter=nics.bridge_filter())
    yield from doctornet.leftovers(facts, held)
    yield from doctornet.managers(nics.others())


def asked(findings: "Findings") -> list[Item]:
    """Judge what the switch behind a NIC has answered."""
    reflection, foreign = findings.lines
    passes = findings.passes_foreign
    state = {True: State.GOOD, False: State.BAD, None: State.UNKNOWN}[passes]
    fix = {
        True: "",
        False: "let the switch or hypervisor pass foreign MACs, use mode passthru, or `switch:`",
        None: "name a machine behind it that answers: --peer ADDRESS",
    }[passes]
    about = findings.question.uplink
    return [
        Item("the switch", f"{about}: {reflection}"),
        Item("the switch", f"{about}: {foreign}", state, fix),
    ]
