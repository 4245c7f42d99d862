"""Short ways to write hosts of a fabric, and a plan that is placed on them."""

from provisioner.fabric.facts import FEATURES, HostFacts, ResidentVm, UplinkFacts, UplinkTap
from provisioner.plan.load.loader import load
from provisioner.plan.model import Plan


def nic(name: str = "eno1", *taps: UplinkTap, mtu: int = 1500, carrier: bool = True) -> UplinkFacts:
    return UplinkFacts(name, "02:00:00:00:00:01", mtu, carrier, taps)


def host(
    free_mib: int = 4096,
    *uplinks: UplinkFacts,
    vms: tuple[ResidentVm, ...] = (),
    features: tuple[str, ...] = FEATURES,
    pool_mib: int = 10_000,
) -> HostFacts:
    return HostFacts(
        name="host",
        version="0.1.0",
        architecture="x86_64",
        cores=4,
        memory_mib=8192,
        free_memory_mib=free_mib,
        free_pool_mib=pool_mib,
        features=features,
        uplinks=uplinks or (nic(),),
        vms=vms,
    )


def placed(vms: str, hosts: str = "h1 h2", more: str = "", networks: str = "") -> Plan:
    """Give a plan of some VMs on network lan, which hosts of these names can run."""
    named = ", ".join(
        f"{name}: {{address: 10.9.0.{n}, uplinks: {{}}}}" for n, name in enumerate(hosts.split(), 1)
    )
    every = ", ".join(filter(None, ("lan: {uplink: eno1}", networks)))
    text = f"name: lab\nnetworks: {{{every}}}\nhosts: {{{named}}}\nvms: {{{vms}}}\n{more}\n"
    return load(text, "p").plan
