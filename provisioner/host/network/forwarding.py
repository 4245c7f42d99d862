"""Whether this network namespace forwards packets: read, switched on, put back.

/proc/sys/net shows the namespace of the thread that opens it. What stood before is recorded in
vmnet's own tables (network/nft_ruleset.py), which go when the namespace goes. A second record is a
file, for when somebody flushes all rules: it says its boot and its namespace, so none is stale.
"""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from provisioner import naming
from provisioner.errors import Exit, VmnetError
from provisioner.host.netlink import links
from provisioner.host.system import file_errors, locks, paths
from provisioner.network.facts import Link
from provisioner.network.standalone import device

_SWITCHES: Final = {4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding"}
_IPV6: Final = 6
_PATIENCE_S: Final = 30.0
_NAME: Final = ".forwarding-"
_DRAFT: Final = ".part"
_NAMESPACE: Final = Path("/proc/thread-self/ns/net")
_FROM_ROUTER = 0x00010000 | 0x00040000
"""RTF_DEFAULT and RTF_ADDRCONF (linux/ipv6_route.h): a default route that the kernel itself has
learned from a router advertisement."""
_ROUTE_FIELDS: Final = 10
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_SO_NETNS_COOKIE: Final = 71  # asm-generic/socket.h; since Linux 5.14
_ALWAYS: Final = "2"  # accept_ra: even while forwarding (ip-sysctl.rst)


@contextmanager
def alone() -> Iterator[None]:
    """Keep other plans from switching forwarding in this namespace meanwhile.

    The lock lies among the claims of plans, where no plan has its name; `down` takes away what a
    killed vmnet leaves of it. The namespace itself anybody in it could lock. Raises VmnetError when
    another plan does not end in time.
    """
    lock = paths.claims() / f".lock-forwarding-{_NAMESPACE.stat().st_ino}"
    with locks.held(lock, "up", timeout_s=_PATIENCE_S, notify=lambda _: None):
        yield


def value(version: int) -> int:
    """Return whether packets of an IP version are forwarded: 1 or 0; 0 when the kernel lacks it."""
    try:
        return int(Path(_SWITCHES[version]).read_text(encoding="ascii") != "0\n")
    except FileNotFoundError:
        return 0


def put(version: int, wanted: int) -> None:
    """Switch forwarding on (1) or off (0). Raises VmnetError where that is not allowed."""
    if value(version) == wanted:
        return
    path = Path(_SWITCHES[version])
    try:
        path.write_text(f"{wanted}\n", encoding="ascii")
    except OSError as error:
        raise VmnetError(
            f"cannot set {path} to {wanted}: {error.strerror}",
            fix=f"run it by hand where that is allowed: sysctl -w {_sysctl(path)}={wanted}"
            " (in a container: on its host, or with --privileged)",
        ) from error


def remember(plan: str, was: Mapping[int, int]) -> None:
    """Write down for a plan what stood before, by IP version; nothing when `was` is empty.

    Raises VmnetError when the file cannot be written.
    """
    path = _record(plan)
    try:
        draft = path.with_suffix(_DRAFT)
        if not was:
            path.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)
            return
        paths.make(path.parent)
        text = json.dumps({"here": _here(), "was": {str(v): one for v, one in was.items()}})
        draft.write_text(text, encoding="ascii")
        draft.replace(path)
    except OSError as error:
        raise file_errors.converted(error, "cannot write", path) from error


def is_noted(plan: str) -> bool:
    """Return whether there is a file about a plan, or what a killed run has left of one."""
    path = _record(plan)
    return path.exists() or path.with_suffix(_DRAFT).exists()


def remembered(plan: str = "") -> dict[int, int]:
    """Return what stood before by the file of a plan, or of all: then 1 before 0."""
    found: dict[int, int] = {}
    for path in [_record(plan)] if plan else paths.run().glob(f"{_NAME}*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            known = json.loads(path.read_text(encoding="ascii"))
            if known["here"] == _here():
                for version, was in known["was"].items():
                    found[int(version)] = max(int(was), found.get(int(version), 0))
    return {version: was for version, was in found.items() if version in _SWITCHES}


def _record(plan: str) -> Path:
    return paths.run() / f"{_NAME}{plan}.json"  # no plan's name begins with a dot


def _here() -> str:
    """Return what tells this namespace of this boot from every other one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        try:
            cookie = one.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
        except OSError:
            cookie = str(_NAMESPACE.stat().st_ino)
    return f"{_BOOT.read_text(encoding='ascii').strip()} {cookie}"


def prove_possible(versions: Iterable[int]) -> None:
    """Raise VmnetError when forwarding cannot be switched on, or would cost the host its route.

    A host that forwards ignores router advertisements (ip-sysctl.rst, accept_ra): its own default
    route would expire some time later.
    """
    for version in versions:
        if value(version):
            continue
        path = Path(_SWITCHES[version])
        if not is_writable(version):
            raise VmnetError(
                f"NAT for IPv{version} needs this host to forward packets, and {path} cannot be"
                " written",
                fix=f"run it where that is allowed: sysctl -w {_sysctl(path)}=1"
                " (in a container: on its host, or with --privileged)",
            )
        if version == _IPV6 and (routers := ra_routers()):
            raise VmnetError(
                "NAT for IPv6 makes this host forward, and then it would lose the default route"
                f" that it has learned on {', '.join(routers)}",
                # With slashes: a device's name may hold dots (sysctl(8)).
                fix="; ".join(f"sysctl -w net/ipv6/conf/{name}/accept_ra=2" for name in routers),
                status=Exit.CONFLICT,
            )


def is_writable(version: int) -> bool:
    """Return whether forwarding can be switched; writing what is there already changes nothing."""
    path = Path(_SWITCHES[version])
    try:
        with path.open("r+", encoding="ascii"):
            return True
    except OSError:
        return False


def ra_routers() -> tuple[str, ...]:
    """Return the devices whose IPv6 default route would be lost when the host begins to forward.

    Those of vmnet's own are passed over: the host is not meant to learn any there.
    """
    try:
        table = Path("/proc/thread-self/net/ipv6_route").read_text(encoding="ascii")
    except FileNotFoundError:
        return ()
    rows = [line.split() for line in table.splitlines()]
    devices = {
        row[-1]
        for row in rows
        if len(row) == _ROUTE_FIELDS and int(row[8], 16) & _FROM_ROUTER == _FROM_ROUTER
    }
    lost = {name for name in devices if _stops_listening(name)}
    own = {x.name for x in links.every() if _is_ours(x)} if lost else set()
    return tuple(sorted(lost - own))


def _is_ours(link: Link) -> bool:
    """Return whether a device is some plan's, or of `vmnet net`."""
    plans = naming.is_group(link.group) and naming.are_ours(link.name, link.kind)
    return plans or device.is_ours(link)


def _stops_listening(device: str) -> bool:
    folder = Path("/proc/sys/net/ipv6/conf") / device
    try:
        return (folder / "accept_ra").read_text(encoding="ascii").strip() != _ALWAYS
    except OSError:
        return False  # it went away meanwhile, and its routes with it


def _sysctl(path: Path) -> str:
    return ".".join(path.parts[3:])
