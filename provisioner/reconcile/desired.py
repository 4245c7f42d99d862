"""What must exist on the host for a plan to be up."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner import naming
from provisioner.guest import boot, cloudinit
from provisioner.guest.boot import New
from provisioner.guest.domain import MICRO, Domain, DomainNic, Seed
from provisioner.guest.hosts_block import HostsBlock, lines_of
from provisioner.guest.qemu.memory import USUAL_MIB
from provisioner.guest.xml.render import MAX_CMDLINE, with_network
from provisioner.network import addressing, nftables
from provisioner.network.addressing import Nics
from provisioner.network.devices import host_mac, of_network, uplink_now
from provisioner.network.facts import ELSEWHERE, Facts
from provisioner.network.resources import Macvtap
from provisioner.network.standalone import granted
from provisioner.network.standalone.device import born_mac
from provisioner.plan.nic_id import NicId, numbered
from provisioner.plan.nic_settings import DEFAULT_MTU, settings_on
from provisioner.reachability.ssh_route import Routes
from provisioner.reconcile.known_wire import wire_of
from provisioner.resource import Key, Resource, Resources, by_key

if TYPE_CHECKING:
    from provisioner.plan.model import Nic, Plan, Vm
_MOST_MTU = 65535
_ANY_KEYS = ("of whoever brings the guest up",)


def desired(plan: "Plan", nics: Nics, facts: Facts, new: New) -> dict[Key, Resource]:
    """Return everything that must exist for `plan` to be up."""
    resources: list[Resource] = [*desired_network(plan, nics, facts).values()]
    for vm in plan.vms:
        resources += _guest(plan, vm, _taps(plan, vm, nics, facts), nics, facts, new)
    if plan.hosts_file:
        first = Routes(plan, nics, facts).reached()
        resources.append(HostsBlock(plan.name, tuple(lines_of(plan, nics, first))))
    return by_key(resources)


def desired_network(plan: "Plan", nics: Nics, facts: Facts) -> dict[Key, Resource]:
    """Return what must exist on the host before the guests of `plan` can be started."""
    resources: list[Resource] = []
    for network in plan.networks:
        resources += of_network(plan, network, nics, facts)
    for vm in plan.vms:
        taps = _taps(plan, vm, nics, facts)
        resources += [tap for tap in taps if tap.group == naming.group(plan.name)]
        resources += _guards(plan, vm, nics, facts)
    return by_key(resources)


def _taps(plan: "Plan", vm: "Vm", nics: Nics, facts: Facts) -> list[Macvtap]:
    given = granted.devices(plan, facts)
    return [
        replace(Macvtap.from_link(given[key], uplink=""), mac=born_mac(given[key]))
        if key in given
        else _macvtap(plan, key, nic, nics, facts)
        for key, nic in numbered(vm.name, vm.nics)
    ]


def named(plan: "Plan", observed: Resources) -> Resources:
    """Return what was observed, its macvtaps called as the plan calls their NICs."""
    names = {naming.macvtap(plan.name, *key): plan.nic_name(key) for key, _ in plan.nics()}
    return {
        k: replace(have, shown=names.get(have.name, "")) if isinstance(have, Macvtap) else have
        for k, have in observed.items()
    }


def _guards(plan: "Plan", vm: "Vm", nics: Nics, facts: Facts) -> Iterator[Resource]:
    if facts.firewall.no_guard:
        return  # preflight.host has warned of it
    for key, nic in numbered(vm.name, vm.nics):
        network = plan.network(nic.network)
        level = settings_on(network, nic).spoof_guard
        if level == "off" or network.granted:
            continue
        tap = naming.macvtap(plan.name, *key)
        yield nftables.guard(plan.name, tap, nics[key], level, wire_of(plan, key, nics))


def _macvtap(plan: "Plan", key: NicId, nic: "Nic", nics: Nics, facts: Facts) -> Macvtap:
    network = plan.network(nic.network)
    how = settings_on(network, nic)
    name, on = naming.macvtap(plan.name, *key), uplink_now(plan, network, facts)
    # A switch or a VLAN of the plan's may have another MTU now than it is to have.
    uplink = facts.link(network.uplink or "")
    if uplink is None and network.uplink:
        uplink = facts.link(name if on == ELSEWHERE else on)  # moved or renamed
    return Macvtap(
        name=name,
        uplink=on,
        mode=how.mode,
        mac=nics[key].mac,
        mtu=how.mtu or (uplink.mtu if uplink else DEFAULT_MTU),
        group=naming.group(plan.name),
        alias=naming.alias(plan.name, *key),
        altname=naming.altname(plan.name, *key),
        nopromisc=not how.promisc,
        sources=addressing.source_macs(how.allow, nics, host_mac(plan, network, facts)),
        queues=how.queues,
        txqueuelen=how.txqueuelen,
        up=nic.link == "up",
        plan=plan.name,
        vm=key.vm,
        nic=key.number,
        shown=plan.nic_name(key),
    )


def _guest(
    plan: "Plan",
    vm: "Vm",
    taps: list[Macvtap],
    nics: Nics,
    facts: Facts,
    new: New,
) -> list[Resource]:
    from provisioner.guest.network_config import network_config

    image = new.image_of(vm.name)
    old = new.kept.get(vm.name)
    given = _nics(plan, vm, taps, facts, old)
    # A guest knows the MTU that its NIC was started with; another one it has to be told.
    told = {tap.mac: tap.mtu for tap, nic in zip(taps, given, strict=True) if nic.mtu != tap.mtu}
    configs = [nics[key] for key, _ in numbered(vm.name, vm.nics)]
    network = network_config([replace(c, mtu=told.get(c.mac, c.mtu)) for c in configs])
    accel = new.accel_of(vm.name, str(plan.accel))
    uid, gid = new.user_of(plan.name, vm.name, accel)
    login = image.user if image.cloud_init else None
    user = _user_data(vm, login, new, new.login_keys)
    known = _fingerprint(vm, login, new, old)
    domain = Domain(
        name=naming.domain(plan.name, vm.name),
        uuid=naming.domain_uuid(plan.name, vm.name),
        plan=plan.name,
        vm=vm.name,
        memory_mib=vm.memory_mib or max(USUAL_MIB, image.min_memory_mib),
        cpus=vm.cpus,
        accel=accel,
        console=f"{facts.home}/console/{vm.name}.log",
        nics=given,
        network=network,
        user=known,
        image=image,
        machine=str(vm.machine),
        cpu_model=boot.cpu_of(vm, image, accel),
        graphics=str(vm.graphics),
        login=vm.user or image.user,
        uid=uid,
        gid=gid,
        home=facts.home,
    )
    domain, files = boot.with_boot(domain, vm, new)
    micro = image.name == MICRO
    seed = None
    if old and old.user == known:
        # What it booted with stays: its agent changes its network while it runs.
        seed = Seed(old.seed) if old.seed else None
    elif vm.ignition:
        pass  # it reads that instead of a seed
    elif user or not micro or len(with_network(domain.cmdline, network)) > MAX_CMDLINE:
        # The command line saves the guest a disk to look for and to mount; what does not fit
        # there, or is more than a network, goes the way every cloud image understands.
        key = (
            cloudinit.host_key(cloudinit.with_keys(vm, new.login_keys))
            if micro or image.cloud_init
            else ""
        )
        seed = cloudinit.seed(facts.home, plan.name, vm.name, (user, network), key)
    if seed:
        return [seed, *files, replace(domain, seed=seed.path)]
    return [*files, domain]


def _user_data(vm: "Vm", login: str | None, new: New, auto: tuple[str, ...]) -> str:
    return cloudinit.user_data(cloudinit.with_keys(vm, auto), login, new.texts)


def _fingerprint(vm: "Vm", login: str | None, new: New, old: Domain | None) -> str:
    """Return by what a guest's user-data is known again.

    Whose keys `auto` stands for is no part of it: a guest keeps those that it was started with,
    whoever runs the next command. One that an older vmnet has started has none, and keeps that.
    """
    plain = cloudinit.fingerprint(_user_data(vm, login, new, ()))
    if not new.login_keys or (old and old.user == plain):
        return plain
    return cloudinit.fingerprint(_user_data(vm, login, new, _ANY_KEYS))


def _nics(
    plan: "Plan", vm: "Vm", taps: list[Macvtap], facts: Facts, old: Domain | None
) -> tuple[DomainNic, ...]:
    had = {nic.link: nic for nic in old.nics} if old else {}
    out = []
    for tap, nic in zip(taps, vm.nics, strict=True):
        wish = settings_on(plan.network(nic.network), nic).vhost
        before = had.get(tap.name)
        vhost = wish == "on" or (wish == "auto" and (before.vhost if before else facts.vhost))
        # The MTU of a NIC is fixed when the guest starts: a later one is set by its agent, unless
        # the NIC's forbids it.
        mtu = before.mtu if before and tap.mtu <= _most(before.mtu) else tap.mtu
        foreign = tap.group != naming.group(plan.name)
        out.append(DomainNic(tap.name, tap.mac, mtu, tap.queues, vhost, foreign))
    return tuple(out)


def _most(mtu: int) -> int:
    """Return the largest MTU that a running guest can set on a NIC that was started with `mtu`.

    1500 is not given to the NIC at all, and then virtio has no limit of its own.
    """
    return mtu if mtu != DEFAULT_MTU else _MOST_MTU
