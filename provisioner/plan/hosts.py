"""Other machines that a plan names: their addresses, how to log in, and what their NICs are called.

Checks may name all of them; VMs are placed on those whose NICs the plan names.
"""

from collections.abc import Mapping

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.plan import scalars
from provisioner.plan.ip import Address, Subnet, address, is_address
from provisioner.plan.parts.elsewhere import RemoteNic, remote_nics
from provisioner.plan.scalars import BadValue, Matching, many, meant, quoted, scalar, vm_name

KEYS = ("address", "ssh", "uplinks", "groups", "nics")
_FORM = "write nas: 192.168.1.9, or nas: {address: 192.168.1.9, ssh: admin@192.168.1.9}"
_SSH = "write it like admin@192.168.1.9, admin@nas:2222, admin@[fd00::9]:22, or a Host of ~/.ssh"
# Narrower than ssh: nothing here can be read as an option, or by a shell.
USER = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
HOST = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_PLACE = pattern(r"(?P<host>\[[^\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
MOST_PORT = 65535

place = Matching(vm_name.pattern, "{text} cannot name a host or a group of hosts", vm_name.fix)
"""The name of a host, or of a group of hosts."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where ssh logs in: a name, an address or a Host of ssh's own configuration.

    An empty user and port 0 leave them to that configuration.
    """

    host: str
    user: str = ""
    port: int = 0

    @property
    def argv(self) -> tuple[str, ...]:
        """Its arguments for ssh; nothing in it can be taken for an option."""
        port = ("-p", str(self.port)) if self.port else ()
        user = ("-l", self.user) if self.user else ()
        return (*port, *user, "--", self.host)

    def __str__(self) -> str:
        """Write it as a plan has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        at = f"{self.user}@" if self.user else ""
        return f"{at}{host}:{self.port}" if self.port else f"{at}{host}"


@dataclass(frozen=True, slots=True)
class ExternalHost:
    """A machine that is not a guest; without `ssh` it can be asked, but nothing asks from it.

    VMs are placed on it when it has `uplinks`, be they empty. With `nics` it is a VM of the plan
    that another host runs.
    """

    addresses: tuple[Address, ...]
    ssh: Login | None = None
    uplinks: tuple[tuple[str, str], ...] | None = None  # network, and what its NIC is called there
    groups: tuple[str, ...] = ()
    nics: tuple[RemoteNic, ...] = ()

    def at(self, network: str) -> tuple[Address, ...]:
        """Return its addresses on a network; all of them where nobody knows which those are."""
        known = (a for nic in self.nics if nic.network == network for a in nic.addresses)
        return tuple(known) or self.addresses

    def on(self, subnets: "tuple[Subnet, ...]") -> tuple[Address, ...]:
        """Return those of its addresses that lie in one of these subnets."""
        return tuple(a for a in self.addresses if any(a in subnet for subnet in subnets))


def machines(value: object) -> Mapping[str, ExternalHost]:
    """Parse other machines: a name, and an address, several, or keys. Raises BadValue."""
    if not isinstance(value, dict):
        raise BadValue(
            "hosts is not a mapping of names to addresses", "write hosts: {nas: 10.0.0.5}"
        )
    return {vm_name(name): _machine(str(name), given) for name, given in value.items()}


def login(value: object) -> Login:
    """Parse [USER@]HOST[:PORT] for ssh. Raises BadValue."""
    text = scalar(value)
    user, at, place = text.rpartition("@")
    whole = f"[{place}]" if is_address(place) else place  # an IPv6 address has colons of its own
    found = _PLACE.fullmatch(whole)
    if not found or (at and not USER.fullmatch(user)):
        raise BadValue(f"{quoted(text)} is nobody to log in to by ssh", _SSH)
    host = found["host"].removeprefix("[").removesuffix("]")
    port = int(found["port"] or 0)
    if not (is_address(host) or HOST.fullmatch(host)):
        raise BadValue(f"{quoted(text)} is nobody to log in to by ssh", _SSH)
    if found["port"] and not 0 < port <= MOST_PORT:
        raise BadValue(f"{quoted(text)} names no port", "ports are 1 to 65535")
    return Login(host, user, port)


def _machine(name: str, given: object) -> ExternalHost:
    keys = given if isinstance(given, dict) else {"address": given}
    for key in keys:
        if key not in KEYS:
            raise BadValue(
                f"unknown key {quoted(key)} of host {quoted(name)}",
                f"{meant(str(key), KEYS)}known keys: {', '.join(KEYS)}",
            )
    nics = remote_nics(name, keys["nics"]) if "nics" in keys else ()
    if nics and (left := next((key for key in keys if key not in {"nics", "address"}), None)):
        raise BadValue(
            f"host {quoted(name)} has nics, so it is a guest of another host, and {left} too",
            f"leave {left} or nics out",
        )
    given_at = [address(one) for one in many(keys.get("address", ()))]
    addresses = tuple(dict.fromkeys([*given_at, *(a for nic in nics for a in nic.addresses)]))
    if not addresses:
        raise BadValue(f"host {quoted(name)} has no address", _FORM)
    return ExternalHost(
        addresses,
        login(keys["ssh"]) if "ssh" in keys else None,
        _uplinks(name, keys["uplinks"]) if "uplinks" in keys else None,
        tuple(dict.fromkeys(place(one) for one in many(keys.get("groups", ())))),
        nics,
    )


def _uplinks(name: str, given: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, dict):
        raise BadValue(
            f"uplinks of host {quoted(name)} is not a mapping of networks to NICs",
            "write hosts: {h1: {address: 10.0.0.5, uplinks: {lan: enp3s0}}}",
        )
    return tuple((scalars.network_name(key), scalars.uplink(nic)) for key, nic in given.items())
