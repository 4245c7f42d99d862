"""The character devices behind macvtaps: /dev/tap<ifindex>, proved before anybody opens them.

The node is named after the ifindex, which counts per network namespace, while /dev is one for all:
/dev/tap7 may well be another namespace's device. In a container it does not exist at all. So its
number is compared with the one that sysfs gives for the link. libvirt opens this path and no other
(virnetdevmacvlan.c: virNetDevMacVLanTapOpen).
"""

import ctypes
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from provisioner.errors import Exit, VmnetError
from provisioner.host.system import paths, processes
from provisioner.network.resources import LeftNode
from provisioner.pattern import pattern
from provisioner.reconcile.resources import Look
from provisioner.text import one_line

_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432  # the same on every architecture
_FSCONFIG_CMD_CREATE = 6
# What was opened in a mount namespace that is gone, as a vmnet's own, has lost its /dev.
_TAP_NODE = pattern(r".*/tap\d+( \(deleted\))?\Z")
_TUNGETIFF, _IFREQ_SIZE = 0x800454D2, 40
_GONE_NODE = pattern(r".*/tap(\d+) \(deleted\)\Z")


def path_of(index: int) -> Path:
    """Return the only path under which libvirt looks for the tap of the link with an ifindex."""
    return Path(f"/dev/tap{index}")


def state_of(name: str, index: int) -> str:
    """Return whether the link's node is "right", "missing" or "foreign" (another device's)."""
    return states_of({name: index})[name]


def states_of(taps: Mapping[str, int]) -> dict[str, str]:
    """Return the state of each link's node (name to ifindex) as `state_of` does for one."""
    have = {name: _number_at(path_of(index)) for name, index in taps.items()}
    numbers = numbers_of({name: taps[name] for name, number in have.items() if number is not None})
    states = dict.fromkeys(taps, "missing")
    for name, number in numbers.items():
        states[name] = "right" if have[name] == number else "foreign"
    return states


def numbers_of(taps: Mapping[str, int]) -> dict[str, int]:
    """Return the device number of each link's tap, by name, from the sysfs of this namespace.

    `taps` are the ifindexes by name; a link that has gone meanwhile is left out. Raises VmnetError
    when no sysfs shows a link that is there.
    """
    found: dict[str, int] = {}
    for sysfs in (Path("/sys/class/net"), None):
        left = {name: index for name, index in taps.items() if name not in found}
        if not left:
            break
        fd = os.open(sysfs, os.O_PATH) if sysfs else _own_sysfs()
        try:
            found |= {n: number for n, i in left.items() if (number := _number_in(fd, n, i))}
        finally:
            os.close(fd)
    for name, index in taps.items():
        if name not in found and _is_there(name, index):
            raise VmnetError(
                f'sysfs does not show the macvtap "{name}"',
                fix="mount a sysfs of this network namespace on /sys: mount -t sysfs sysfs /sys",
            )
    return found


def _is_there(name: str, index: int) -> bool:
    try:
        return socket.if_nametoindex(name) == index
    except OSError:
        return False


def _number_in(fd: int, name: str, index: int) -> int:
    """Read a tap's number from a sysfs; 0 when it does not show that link.

    /sys may show another namespace's devices: the same name, another ifindex.
    """
    if int(_read_at(fd, f"{name}/ifindex") or -1) != index:
        return 0
    major, _, minor = _read_at(fd, f"{name}/macvtap/tap{index}/dev").partition(":")
    return os.makedev(int(major), int(minor)) if minor else 0


def give(name: str, index: int, uid: int) -> None:
    """Give the link's node to one user: nobody else but root can open it.

    Raises VmnetError when the node is not the link's own, or the kernel refuses.
    """
    node = path_of(index)
    try:
        # The very file whose number is compared is the one that is given away.
        fd = os.open(node, os.O_PATH | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_rdev != numbers_of({name: index}).get(name):
                raise VmnetError(
                    f"{node} is not the device of the macvtap {name}",
                    fix=f"make the device anew: vmnet net rm {name}",
                    status=Exit.CONFLICT,
                )
            os.chmod(f"/proc/self/fd/{fd}", 0o600)  # noqa: PTH101  (a magic link, not a path)
            os.chown(f"/proc/self/fd/{fd}", uid, -1)
        finally:
            os.close(fd)
    except OSError as error:
        raise VmnetError(
            f"giving {node} to the user {uid} fails: {error.strerror}",
            fix="run vmnet as root: it needs CAP_CHOWN and CAP_FOWNER, and /dev must be writable",
        ) from error


def _read_at(fd: int, name: str) -> str:
    """Read an attribute in a sysfs; "" when it is not there, or goes while it is read.

    Of a link that is being deleted an open attribute gives EINVAL (net-sysfs.c: netdev_show), a
    moment later ENODEV (kernfs_fop_read_iter).
    """
    try:
        with open(name, encoding="ascii", opener=lambda p, f: os.open(p, f, dir_fd=fd)) as file:
            return file.read().strip()
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.EINVAL, errno.ENODEV}:
            raise
        return ""


def _own_sysfs() -> int:
    """Open class/net of a sysfs mounted for this namespace alone, attached nowhere (fsmount(2))."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *args: object) -> int:
        result = int(libc.syscall(number, *args))
        if result < 0:
            code = ctypes.get_errno()
            raise VmnetError(
                f"/sys belongs to another network namespace, and mounting one for this namespace "
                f"fails: {os.strerror(code)}",
                fix="run vmnet through `ip netns exec`, or with CAP_SYS_ADMIN",
            )
        return result

    context = call(_SYS_FSOPEN, b"sysfs", 0)
    try:
        call(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        mount = call(_SYS_FSMOUNT, context, 0, 0)
    finally:
        os.close(context)
    try:
        return os.open("class/net", os.O_PATH, dir_fd=mount)
    finally:
        os.close(mount)


def _number_at(path: Path) -> int | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_rdev if stat.S_ISCHR(found.st_mode) else -1


def is_free(index: int) -> bool:
    """Return whether nobody has a node for this ifindex yet."""
    return _number_at(path_of(index)) is None


def make_node(name: str, index: int, records: Path) -> None:
    """Make the node where the kernel's devtmpfs does not (containers); 0600, as the kernel would.

    What is made is recorded first, so that it can be proved to be vmnet's when the link is gone.
    Raises VmnetError when mknod is refused.
    """
    number = numbers_of({name: index}).get(name)
    if number is None:
        raise VmnetError(
            f'the macvtap "{name}" has gone while its node was made',
            fix="do it again; when it happens again, look who deletes it: ip monitor link",
        )
    node = path_of(index)
    paths.make(records)
    (records / node.name).write_text(f"{number}\n", encoding="ascii")
    try:
        os.mknod(node, stat.S_IFCHR | 0o600, number)
    except FileExistsError:
        pass  # devtmpfs was only late; whether it is the right one is checked before use
    except PermissionError as error:
        major = os.major(number)
        raise VmnetError(
            f"{node} is missing, and making it is refused: {error.strerror}",
            fix=f"give the container CAP_MKNOD and the device rule `c {major}:* rwm`",
        ) from error


def remove_node(index: int, records: Path) -> None:
    """Remove a node that vmnet made, if it is still the one recorded."""
    node = path_of(index)
    record = records / node.name
    try:
        number = int(record.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return
    if _number_at(node) == number:
        node.unlink(missing_ok=True)
    record.unlink(missing_ok=True)


def observe(look: Look) -> list[LeftNode]:
    """List the nodes made for macvtaps that are gone: for instance with their uplink."""
    if not look.has_home:
        return []
    alive = {path_of(x.index).name for x in look.ours}
    return [
        LeftNode(str(path_of(int(number))), str(record))
        for record in sorted(paths.folder(look.plan, "node").glob("tap[0-9]*"))
        if (number := record.name.removeprefix("tap")).isdecimal() and record.name not in alive
    ]


def delete(node: LeftNode) -> None:
    """Remove a node whose macvtap has gone, if it is still the one that vmnet made."""
    remove_node(int(node.path.removeprefix("/dev/tap")), Path(node.record).parent)


def holders(taps: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the processes that have taps open, by link name; `taps` are ifindexes by name.

    They are found by the device number, whatever path they opened; but the kernel gives the
    number of a macvtap that is gone to the next one (drivers/net/tap.c: tap_get_minor), while
    a process may still have the former tap open, by the deleted node of another ifindex.
    Raises VmnetError when no sysfs shows a link.
    """
    names = {number: name for name, number in numbers_of(taps).items()}
    found: dict[str, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        for number, path in _open_devices(entry.path):
            name, gone = names.get(number), _GONE_NODE.match(path)
            if name is not None and (not gone or int(gone[1]) == taps[name]):
                found.setdefault(name, []).append(int(entry.name))
    return found


def opened_by(pid: int) -> frozenset[str] | None:
    """Return the names of the macvtaps that a process has open; None when it cannot be known.

    The kernel is asked for the device behind each descriptor: the node of one that was deleted
    may have had the name, and the number, of the one that is there now.
    """
    names = set()
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        for fd in os.scandir(f"/proc/{pid}/fd"):
            if _TAP_NODE.match(os.readlink(fd.path)):  # noqa: PTH115  (cheap)
                names.add(_device_of(process, int(fd.name)))
    except OSError:
        return None  # it may not be traced, or has ended
    finally:
        os.close(process)
    return frozenset(names) - {""}


def _device_of(process: int, number: int) -> str:
    """Return the macvtap that a descriptor of a process is of, "" when that was deleted."""
    own = processes.duplicated(process, number)
    try:
        answer = fcntl.ioctl(own, _TUNGETIFF, bytes(_IFREQ_SIZE))
    except OSError as error:
        if error.errno in {errno.ENOLINK, errno.ENODEV}:
            return ""
        raise
    finally:
        os.close(own)
    return answer.partition(b"\0")[0].decode("ascii", "replace")


def _open_devices(process: str) -> Iterable[tuple[int, str]]:
    try:
        fds = list(os.scandir(f"{process}/fd"))
    except OSError:
        return  # it ended meanwhile, or is a kernel thread
    for fd in fds:
        try:
            # The link's text first: it is cheaper than a stat, and no tap is a socket or a pipe.
            path = os.readlink(fd.path)  # noqa: PTH115  (a thousand of them: cheap)
            if path.startswith("/"):
                found = os.stat(fd.path)  # noqa: PTH116  (a magic link, not a path)
                if stat.S_ISCHR(found.st_mode):
                    yield found.st_rdev, path
        except OSError:
            continue


def prove_usable(taps: Mapping[str, int]) -> None:
    """Prove that each node is its link's own and that nobody holds it: link name to ifindex.

    A second opener of a tap becomes a second queue of it: frames are lost without a word.
    Raises VmnetError otherwise.
    """
    for name, index in taps.items():
        if (state := state_of(name, index)) != "right":
            raise VmnetError(
                f"{path_of(index)} is {state}: it is not the device of the macvtap {name}",
                fix="run vmnet up again: it repairs the node or takes another ifindex",
                status=Exit.CONFLICT,
            )
    for name, pids in holders(taps).items():
        who = ", ".join(f"{pid} ({command(pid)})" for pid in pids)
        raise VmnetError(
            f"the macvtap {name} is already open in process {who}",
            fix="end that process: two readers of one tap lose each other's frames",
            status=Exit.CONFLICT,
        )


def command(pid: int) -> str:
    """Return the name of the program that a process runs."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
        return one_line(name.removesuffix("\n"))
    except OSError:
        return "ended"
