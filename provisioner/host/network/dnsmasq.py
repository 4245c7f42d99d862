"""The dnsmasq of each switch with DHCP: found in /proc by its configuration, then signalled.

It goes into the background when it really serves (dnsmasq(8): the parent ends when the child has
bound its sockets), so the end of the program that was started is the event to wait for.

It is never root: it is started as a user of its own, which may write to its lease file alone.
"""

import errno
import os
import select
import signal
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.jail import users
from provisioner.host.system import file_errors, paths, plan_folders, processes, programs
from provisioner.host.system.whole_files import Owner
from provisioner.network import dnsmasq as texts
from provisioner.network.resources import Dhcp
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_PATIENCE_S = 20
_ALONE = threading.RLock()
"""A switch that is changed starts anew a server that another step may just be ending."""

_RESOLV_CONF: Final = Path("/etc/resolv.conf")
_MOST_RESOLV_CONF: Final = 64 << 10
_MOST_LEASES: Final = 96 << 20
"""Bytes that are read of a lease file, which a server may have filled: all the leases that it gives
(network/dnsmasq.py), each with a client-id of 255 octets."""
_SERVING: Final = "+net_admin,+net_raw,+net_bind_service"
"""What dnsmasq keeps of root's rights, too, when it is started as root."""


def observe(look: Look) -> list[Dhcp]:
    """List the servers of a plan; one whose process has ended or is stopped is not `alive`.

    One that runs on without its files is found too.
    """
    folder = _folder(look.plan)
    running = _running(folder)
    written = set(folder.glob("*.conf")) if look.has_home else set()
    found = []
    for config in sorted({x for x in written if plan_folders.is_own(x)} | running.keys()):
        network = texts.network_of(config.name)
        if not network:
            continue
        try:
            text = config.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            text = ""
        alive = not all(map(_is_stopped, running.get(config, ())))
        found.append(Dhcp(network, texts.device_of(text), str(config), alive=alive))
    return found


def create(dhcp: Dhcp) -> None:
    """Start the server of a network; it serves when this returns. Leases of an older one stay.

    Raises VmnetError when dnsmasq is missing or does not start.
    """
    with _ALONE:
        _create(dhcp)


def _create(dhcp: Dhcp) -> None:
    config = Path(dhcp.config)
    draft = plan_folders.draft_of(config)
    try:
        plan_folders.own(config)
        plan_folders.own(_lease(config))
        draft.write_text(dhcp.text, encoding="ascii")
        draft.rename(config)
    except OSError as error:
        draft.unlink(missing_ok=True)
        plan_folders.give_up(config)
        raise file_errors.converted(error, "cannot write", config) from error
    _end(config)
    try:
        _serve(dhcp, config)
    except VmnetError:
        _take_back(config)
        raise


def _serve(dhcp: Dhcp, config: Path) -> None:
    if not programs.is_installed("dnsmasq"):
        raise VmnetError(
            f'network "{dhcp.name}" wants DHCP, and dnsmasq is not installed',
            fix="apt-get install dnsmasq-base, or give the network addressing: static",
        )
    owner = _owner(config)
    _give(_lease(config), owner or (os.geteuid(), os.getegid()))
    words = [_word(config), "--pid-file", f"--dhcp-leasefile={_lease(config)}"]
    done = programs.run(
        ["dnsmasq", *words, *texts.own_domains(dhcp.text, _resolv_conf())],
        timeout_s=_PATIENCE_S,
        check=False,
        through=users.without_rights(owner, but=_SERVING) if owner else (),
    )
    if done.returncode:
        raise VmnetError(
            f'dnsmasq does not serve network "{dhcp.name}": '
            f"{one_line(programs.last_lines(done.stderr))}",
            fix=file_errors.no_space_fix(done.stderr, config)
            or f"see who else answers on {dhcp.device}: ss -lnup | grep -E ':(53|67) '",
        )


def _owner(config: Path) -> Owner | None:
    """Return the user and the group of the server, None where `shared` says why it has none.

    Raises VmnetError when somebody else has them.
    """
    plan, network = config.parents[1].name, texts.network_of(config.name)
    if shared(config.parent):
        return None
    uid = users.of_server(plan, network)
    if other := users.taken({network: uid}, plan).get(uid):
        raise VmnetError(
            f'the user {uid}, whom the dnsmasq of network "{network}" would run as, is that of '
            f"{other}",
            fix="rename the network or the plan, or have such users taken from another range: "
            "guest_users in /etc/vmnet/config.yaml",
            status=Exit.CONFLICT,
        )
    return uid, uid


def shared(folder: Path) -> str:
    """Return why servers with files in a folder are run as dnsmasq's own user, "" if they are not.

    That is whom its package has chosen: nobody, mostly.
    """
    if not users.available():
        return "there are no users for guests"
    for one in (folder, *folder.parents):
        with suppress(FileNotFoundError):
            if not one.stat().st_mode & stat.S_IXOTH:
                return f"only some users may walk through {one}"
    return ""


def _give(lease: Path, owner: Owner) -> None:
    """Let one user alone write to the lease file, which is made if it is not there.

    Raises VmnetError when something else is in its place.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(lease, flags, 0o600)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.ELOOP, "it is not a file of its own")
            os.fchown(file, *owner)
            os.fchmod(file, 0o600)
        finally:
            os.close(file)
    except OSError as error:
        fix = f"see who has put it there (ls -l {lease}), remove it and run the command again"
        raise file_errors.converted(error, "cannot use the lease file", lease, fix=fix) from error


def _take_back(config: Path) -> None:
    config.unlink(missing_ok=True)
    plan_folders.give_up(config)


update = create
"""The old server of the network is ended before the new one is started."""


def restart(plan: str, device: str) -> None:
    """Start the server at a device anew, if one runs there; it has kept its leases.

    One whose device was down when an advertisement was due sends no further ones, also when the
    device has its addresses again (dnsmasq 2.90, periodic_ra in radv.c): guests would lose their
    IPv6 default route three minutes later. Raises VmnetError as `create` does.
    """
    with _ALONE:
        for dhcp in observe(Look(plan)):
            if dhcp.device == device and dhcp.alive:
                create(replace(dhcp, text=Path(dhcp.config).read_text(encoding="ascii")))


def delete(dhcp: Dhcp) -> None:
    """End the server and take its files away; what has gone already is fine."""
    with _ALONE:
        _delete(dhcp)


def _delete(dhcp: Dhcp) -> None:
    config = Path(dhcp.config)
    _end(config)
    # The configuration last: by it the rest is found again by whoever goes on after a kill.
    # Another network of the plan may be taken down at this moment, and the folder with it.
    with suppress(FileNotFoundError):
        own = {x for x in config.parent.glob("*.conf") if plan_folders.is_own(x)}
        left = {texts.network_of(x.name) for x in own - {config}}
        if dhcp.name not in left and plan_folders.is_own(_lease(config)):
            _lease(config).unlink(missing_ok=True)
            plan_folders.disown(_lease(config))
    for path in (_pid_file(config), plan_folders.draft_of(config), config):
        path.unlink(missing_ok=True)
    plan_folders.disown(config)
    try:
        config.parent.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTEMPTY}:
            raise


def leases(plan: str) -> dict[str, str]:
    """Return the IPv4 address that each MAC holds, of all networks of a plan."""
    found: dict[str, str] = {}
    for file in sorted(_folder(plan).glob("*.leases")):
        found |= texts.leased(_written(file))
    return found


def _resolv_conf() -> str:
    with suppress(OSError), _RESOLV_CONF.open("rb") as file:
        return file.read(_MOST_RESOLV_CONF).decode("ascii", "replace")
    return ""


def _written(lease: Path) -> str:
    """Return what its server has written into a lease file, "" when something else is there."""
    with suppress(OSError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(lease, flags), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(_MOST_LEASES).decode("ascii", "replace")
    return ""


def _folder(plan: str) -> Path:
    return paths.folder(plan, "dhcp")


def _pid_file(config: Path) -> Path:
    """Return where an older vmnet has had the number of the process written."""
    return config.with_suffix(".pid")


def _lease(config: Path) -> Path:
    """Return the lease file: of the network, whatever its configuration is at the moment."""
    return config.with_name(f"{texts.network_of(config.name)}.leases")


def _word(config: Path) -> str:
    return f"--conf-file={config}"


def _end(config: Path) -> None:
    """End the processes that serve this configuration's network, if there are, and await it."""
    network = texts.network_of(config.name)
    running = _running(config.parent)
    for other, pids in running.items():
        for pid in pids if texts.network_of(other.name) == network else ():
            _end_process(pid, other)


def _end_process(pid: int, config: Path) -> None:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # Once it is proved, its number cannot become another's while the descriptor is open.
        if _served_by(pid, config.parent) != config:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                signal.pidfd_send_signal(process, number)
                signal.pidfd_send_signal(process, signal.SIGCONT)  # if it is stopped
            except ProcessLookupError:
                return
            # A pidfd becomes readable when its process has ended (pidfd_open(2)).
            if select.select([process], [], [], _PATIENCE_S / 2)[0]:
                return
    finally:
        os.close(process)
    raise VmnetError(
        f"the dnsmasq of {config.name} does not end", fix="look at it: ps -C dnsmasq -o pid,args"
    )


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # it has just ended
    return stat.rpartition(")")[2].split()[:1] == ["T"]


def _running(folder: Path) -> dict[Path, list[int]]:
    """Return the processes that serve by configurations in a folder.

    Not by their pid files: one is written some time after the process has been started, and can be
    lost.
    """
    found: dict[Path, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (config := _served_by(int(entry.name), folder)):
            found.setdefault(config, []).append(int(entry.name))
    return found


def _served_by(pid: int, folder: Path) -> Path | None:
    """Return by which configuration in a folder a process serves; None when it is not ours.

    It is proved by its name, its command line and its network namespace.
    """
    process, prefix = Path("/proc", str(pid)), os.fsencode(_word(folder)) + b"/"
    try:
        if (process / "comm").read_bytes() != b"dnsmasq\n":
            return None
        words = (process / "cmdline").read_bytes().split(b"\0")
        is_here = processes.network_namespace(pid) == processes.network_namespace()
    except OSError:
        return None
    names = [word.removeprefix(prefix) for word in words if word.startswith(prefix)]
    return folder / os.fsdecode(names[0]) if len(names) == 1 and is_here else None
