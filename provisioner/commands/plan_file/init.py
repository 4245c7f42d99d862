"""vmnet init: looks at this host, without libvirt or any right, and writes a plan that fits it."""

from ipaddress import ip_address

from provisioner.host.doctor import network as doctor
from provisioner.host.netlink import addresses, links
from provisioner.network.facts import Facts
from provisioner.preflight.first_plan import HostNetworks, first_plan


def written(uplink: str = "") -> str:
    """Return the text of the plan, on a NIC of the caller's choice or, with "", of vmnet's.

    Raises VmnetError when that NIC cannot carry guests, or the kernel does not tell of its NICs.
    """
    found, routes = links.observe()
    facts = Facts(links=found, routes=routes)
    names = {link.index: link.name for link in found}
    leased = {
        names.get(one.index, "")
        for one in addresses.addresses()
        if one.address.version == 4 and not one.permanent  # noqa: PLR2004  (IPv4)
    }
    gateways = {
        names.get(route.index, ""): ip_address(route.gateway)
        for route in reversed(addresses.routes())
        if route.gateway and not route.network.prefixlen and route.network.version == 4  # noqa: PLR2004
    }
    nics = doctor.nics([(link.name, link.index) for link in found])
    drivers = {name: nic.driver for name, nic in nics.items()}
    met = frozenset(map(ip_address, addresses.neighbours()))
    around = HostNetworks(frozenset(leased), gateways, met, drivers, doctor.dmi())
    return first_plan(facts, around, uplink)
