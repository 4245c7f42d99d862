"""Faults: what can break in a network of guests, each as a value that breaks it and undoes that.

A fault is made on a `Stage`. `apply` breaks and returns what undoes it; two can be made at a time.
What is given back is what was there; a guest that has ended comes up again.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.framework.lab import call, until
from tests.framework.stage import GIVE_BACK, KEEP, Stage

OTHER_MAC = "02:00:00:00:66:66"
BOTH = frozenset({"uplink", "switch"})
UPLINK, SWITCH = frozenset({"uplink"}), frozenset({"switch"})


class Layer(StrEnum):
    """What is broken."""

    GUEST = "guest"
    AGENT = "agent"
    QEMU = "QEMU"
    TAP = "tap"
    GUARD = "guard"
    PLUG = "uplink"
    SWITCH = "switch"
    LAN = "LAN"
    HOST = "host"
    SERVICE = "service"
    CLOCK = "clock"


class Moment(StrEnum):
    """When it breaks."""

    BEFORE = "before the check"
    AMID = "while the check is under way"


Undo = Callable[[], None]
Breaking = Callable[[Stage], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a network."""

    name: str
    layer: Layer
    breaking: Breaking
    plans: frozenset[str] = BOTH  # kinds of plans in which there is what it breaks
    moment: Moment = Moment.BEFORE

    def apply(self, stage: Stage) -> Undo:
        """Break it; return what undoes it."""
        with ExitStack() as stack:
            stack.enter_context(self.breaking(stage))
            return stack.pop_all().close

    def amid(self) -> "Fault":
        """Return the same fault, which happens while a check is under way."""
        return replace(self, name=f"{self.name}, amid the check", moment=Moment.AMID)


def _scripted(run: Callable[[Stage, str], object], breaks: str, mends: str) -> Breaking:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        run(stage, breaks)
        yield
        run(stage, mends)

    return breaking


def in_guest(
    name: str, vm: str, breaks: str, mends: str = "true", layer: Layer = Layer.GUEST
) -> Fault:
    """Return a fault that a script makes inside a guest, and another one undoes."""
    broken = _scripted(lambda stage, script: stage.inside(vm, script), breaks, mends)
    return Fault(f"{name} ({vm})", layer, broken)


def in_guest_losing(name: str, vm: str, breaks: str, mends: str = "true") -> Fault:
    """Return the same, where the guest loses routes and IPv6 addresses by it: it gets them back."""
    return in_guest(name, vm, f"{KEEP}{breaks}", f"{mends}\n{GIVE_BACK}")


def on_host(
    name: str, layer: Layer, breaks: str, mends: str, plans: frozenset[str] = BOTH
) -> Fault:
    """Return a fault that a script makes on the host, and another one undoes."""
    return Fault(name, layer, _scripted(Stage.host, breaks, mends), plans)


def on_lan(name: str, breaks: str, mends: str, network: str = "") -> Fault:
    """Return a fault that a script makes on the LAN, and another one undoes."""

    def run(stage: Stage, script: str) -> object:
        return stage.lan(script, network)

    return Fault(name, Layer.LAN, _scripted(run, breaks, mends), UPLINK)


def lan_drops(name: str, rule: str) -> Fault:
    """Return a fault of the LAN's switch: it drops the frames of a rule."""
    hook = "type filter hook prerouting priority 0"
    return on_lan(
        name,
        f"nft 'add table bridge bad; add chain bridge bad in {{ {hook}; }}; "
        f"add rule bridge bad in {rule}'",
        "nft delete table bridge bad",
    )


def device_drops(name: str, layer: Layer, device: str, hook: str, rule: str) -> Fault:
    """Return a fault of the host: a rule of somebody's drops frames at a device.

    At a macvtap egress is what the guest sends, ingress what is for it.
    """
    return on_host(
        name,
        layer,
        f"nft 'add table netdev bad; add chain netdev bad c {{ type filter hook {hook} device "
        f'"{device}" priority 10; }}; add rule netdev bad c {rule}\'',
        "nft delete table netdev bad",
    )


def host_drops(name: str, hook: str, rule: str) -> Fault:
    """Return a fault of the host: its firewall drops packets."""
    return on_host(
        name,
        Layer.HOST,
        f"nft 'add table inet bad; add chain inet bad c {{ type filter hook {hook} priority 0; }}; "
        f"add rule inet bad c {rule}'",
        "nft delete table inet bad",
    )


def link_impaired(name: str, vm: str, *words: str) -> Fault:
    """Return an impairment by `vmnet link`."""
    back = ("up",) if words == ("down",) else ("--clear",)

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.plan.run("link", vm, *words)
        yield
        stage.plan.run("link", vm, *back)

    return Fault(f"{name} ({vm})", Layer.TAP, breaking)


def forgetting(fault: Fault, *vms: str) -> Fault:
    """Return the same, where guests forget the MACs of their neighbours after it: else all do."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with fault.breaking(stage):
            for vm in vms:
                stage.inside(vm, "ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
            if not vms:
                _forget(stage)
            yield

    return replace(fault, breaking=breaking)


def forgotten(fault: Fault) -> Fault:
    """Return the same, where all forget the MACs of their neighbours once it is undone.

    Else what they have learnt of the wrong machine would be the next row's fault.
    """

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with fault.breaking(stage):
            yield
        _forget(stage)

    return replace(fault, breaking=breaking)


def _forget(stage: Stage) -> None:
    """Let the host, the machine on the LAN and all guests forget the MACs of their neighbours."""
    for run in (stage.host, stage.lan):
        run("ip neigh flush all")
    for vm in stage.plan.report["vms"]:
        for number, _ in enumerate(vm["taps"]):
            device = f"dev eth{number}"
            stage.inside(vm["name"], f"ip neigh flush {device}; ip -6 neigh flush {device}")


# In a guest


def interface_down(vm: str) -> Fault:
    return in_guest_losing("its interface is down", vm, "ip link set dev eth0 down")


def another_mac(vm: str) -> Fault:
    wear = "ip link set dev eth0 down; ip link set dev eth0 address {}; ip link set dev eth0 up"
    return in_guest_losing(
        "it uses another MAC", vm, wear.format(OTHER_MAC), wear.format(f"<mac {vm}>")
    )


def pings_ignored(vm: str) -> Fault:
    knob = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
    return in_guest("it ignores pings", vm, f"echo 1 > {knob}", f"echo 0 > {knob}")


def address_lost(vm: str) -> Fault:
    return in_guest_losing(
        "its address is gone",
        vm,
        f"ip -4 addr flush dev eth0; echo <ip {vm}> > /run/lost",
        f"ip addr add <ip {vm}>/24 dev eth0",
    )


def address_changed(vm: str, to: str) -> Fault:
    return in_guest_losing(
        "it has another address",
        vm,
        f"ip addr del <ip {vm}>/24 dev eth0; ip addr add {to}/24 dev eth0",
        f"ip addr del {to}/24 dev eth0; ip addr add <ip {vm}>/24 dev eth0",
    )


def routes_lost(vm: str) -> Fault:
    return in_guest_losing("its routes are gone", vm, "ip -4 route flush table main")


def default_route_lost(vm: str) -> Fault:
    return in_guest_losing("its default route is gone", vm, "ip -4 route del default")


def blackhole(vm: str, target: str) -> Fault:
    way = f"blackhole <ip {target}>/32"
    return in_guest(
        f"a route to {target} leads nowhere", vm, f"ip route add {way}", f"ip route del {way}"
    )


def wrong_neighbour(vm: str, target: str) -> Fault:
    return in_guest(
        f"a static neighbour entry for {target} is wrong",
        vm,
        f"arp -i eth0 -s <ip {target}> {OTHER_MAC}",
        f"arp -i eth0 -d <ip {target}>",
    )


def arp_off(vm: str) -> Fault:
    return in_guest_losing(
        "ARP is off", vm, "ip link set dev eth0 arp off", "ip link set dev eth0 arp on"
    )


def ipv6_off(vm: str) -> Fault:
    knob = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"
    return in_guest_losing("IPv6 is off", vm, f"echo 1 > {knob}", f"echo 0 > {knob}")


def carries(vm: str, other: str) -> Fault:
    own = f"<ip {other}>/32 dev lo"
    return in_guest(
        f"it carries the address of {other} too", vm, f"ip addr add {own}", f"ip addr del {own}"
    )


def narrow_prefix(vm: str) -> Fault:
    return in_guest_losing(
        "its prefix is /31",
        vm,
        f"ip addr del <ip {vm}>/24 dev eth0; ip addr add <ip {vm}>/31 dev eth0",
        f"ip addr del <ip {vm}>/31 dev eth0; ip addr add <ip {vm}>/24 dev eth0",
    )


def busy(vm: str) -> Fault:
    return in_guest(
        "its CPU is busy",
        vm,
        "while :; do :; done > /dev/null 2>&1 & echo $! > /run/busy",
        "kill $(cat /run/busy)",
    )


def clock_wrong(vm: str) -> Fault:
    back = "date -s @$(cat /run/date) > /dev/null"
    return in_guest(
        "its clock says 1970",
        vm,
        "date +%s > /run/date; date -s @0 > /dev/null",
        back,
        Layer.CLOCK,
    )


def resolver_wrong(vm: str) -> Fault:
    return in_guest(
        "its resolver is another one",
        vm,
        "cp /etc/resolv.conf /run/resolv; echo nameserver 127.0.0.53 > /etc/resolv.conf",
        "cp /run/resolv /etc/resolv.conf",
        Layer.SERVICE,
    )


def agent_stopped(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.typed(vm, "kill -STOP $(pidof qemu-ga)")
        yield
        stage.typed(vm, "kill -CONT $(pidof qemu-ga)")

    return Fault(f"its agent is stopped ({vm})", Layer.AGENT, breaking)


# QEMU and the guest as a whole


def panicked(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with_panic = subprocess.Popen(
            stage.lab.argv(
                *("exec", "-f", stage.plan.path, vm, "--"),
                *("sh", "-c", "echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger"),
            ),
            env=stage.lab.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _says(stage, vm, b"end Kernel panic")
        with_panic.kill()
        with_panic.wait()
        yield
        _killed(stage, vm)
        stage.again()

    return Fault(f"its kernel has panicked ({vm})", Layer.GUEST, breaking)


def _says(stage: Stage, vm: str, text: bytes) -> None:
    console = stage.plan.home / "console" / f"{vm}.log"
    until(lambda: text in console.read_bytes(), f"{vm} says {text!r} on its console")


def killed(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        _killed(stage, vm)
        yield
        stage.again()

    return Fault(f"its QEMU is killed ({vm})", Layer.QEMU, breaking)


def _killed(stage: Stage, vm: str) -> None:
    pid = stage.qemu(vm)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in stage.lab.qemus().values(), f"QEMU of {vm} has ended")


def frozen(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        pid = stage.qemu(vm)
        os.kill(pid, signal.SIGSTOP)
        yield
        os.kill(pid, signal.SIGCONT)

    return Fault(f"its QEMU is stopped ({vm})", Layer.QEMU, breaking)


def powered_off(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.inside(vm, "(sleep 1; poweroff -f) > /dev/null 2>&1 &")
        _says(stage, vm, b"Power down")
        yield
        stage.again()

    return Fault(f"it has powered itself off ({vm})", Layer.GUEST, breaking)


# Taps and guards


def tap_set(name: str, vm: str, breaks: str, mends: str) -> Fault:
    device = f"ip link set dev <tap {vm}>"
    return on_host(f"{name} ({vm})", Layer.TAP, f"{device} {breaks}", f"{device} {mends}")


def tap_down(vm: str) -> Fault:
    return tap_set("its macvtap is down", vm, "down", "up")


def tap_mode(vm: str, mode: str, planned: str) -> Fault:
    kind = "type macvtap mode"
    return tap_set(f"its macvtap is in mode {mode}", vm, f"{kind} {mode}", f"{kind} {planned}")


def tap_mac(vm: str) -> Fault:
    return tap_set("its macvtap has another MAC", vm, f"address {OTHER_MAC}", f"address <mac {vm}>")


def tap_mtu(vm: str) -> Fault:
    return tap_set("its macvtap has an MTU of 1300", vm, "mtu 1300", "mtu 1500")


def deaf_to_multicast(*vms: str) -> Fault:
    """Each learns the other's MAC from a question of the other's: so all have to be deaf."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        for vm in vms:
            stage.host(f"ip link set dev <tap {vm}> allmulticast off")
        for vm in (*vms, *vms[:-1]):
            stage.inside(vm, "ip -6 neigh flush dev eth0")
        yield
        for vm in vms:
            stage.host(f"ip link set dev <tap {vm}> allmulticast on")

    return Fault("macvtaps hear no multicast", Layer.TAP, breaking)


def tap_shared(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        index = stage.lab.macvtaps()[stage.known[f"tap {vm}"]]
        held = os.open(stage.lab.node(index), os.O_RDWR | os.O_NONBLOCK)
        yield
        os.close(held)

    return Fault(f"somebody else reads its tap ({vm})", Layer.TAP, breaking)


def tap_deleted(vm: str) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host(f"ip link del <tap {vm}>")
        yield
        stage.plan.up("--recreate")
        stage.look()

    return Fault(f"its macvtap is deleted ({vm})", Layer.TAP, breaking)


def tap_drops(vm: str, rule: str = "drop") -> Fault:
    return device_drops(
        f"a rule drops what it sends: {rule} ({vm})", Layer.TAP, f"<tap {vm}>", "egress", rule
    )


def tap_hides(vm: str, rule: str) -> Fault:
    return device_drops(
        f"a rule drops what it gets: {rule} ({vm})", Layer.TAP, f"<tap {vm}>", "ingress", rule
    )


def guard_gone(vm: str) -> Fault:
    table = f"netdev vmnet_<plan>_<tap {vm}>"

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host(f"nft delete table {table}")
        yield
        stage.again()

    return Fault(f"its guard is gone ({vm})", Layer.GUARD, breaking)


def guard_with(vm: str, rule: str) -> Fault:
    """Return a rule that somebody has put into a guard of vmnet's."""
    table = f"netdev vmnet_<plan>_<tap {vm}>"

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host(f"nft 'insert rule {table} egress {rule}'")
        yield
        stage.again()

    return Fault(f"its guard has another rule: {rule} ({vm})", Layer.GUARD, breaking)


# Uplink and LAN


def uplink_down() -> Fault:
    return on_host(
        "the uplink is down", Layer.PLUG, "ip link set <nic> down", "ip link set <nic> up", UPLINK
    )


def no_carrier(network: str = "") -> Fault:
    return replace(
        on_lan("the cable is pulled", "ip link set far down", "ip link set far up", network),
        layer=Layer.PLUG,
    )


def uplink_mtu() -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host("ip link set dev <nic> mtu 1400")
        yield
        stage.host("ip link set dev <nic> mtu 1500")
        stage.again()

    return Fault("the uplink's MTU is 1400", Layer.PLUG, breaking, UPLINK)


def uplink_drops(hook: str, rule: str = "drop") -> Fault:
    name = f"a rule at the uplink's {hook}: {rule}"
    return replace(device_drops(name, Layer.PLUG, "<nic>", hook, rule), plans=UPLINK)


def host_has(vm: str) -> Fault:
    return on_host(
        f"the host has the address of {vm}",
        Layer.HOST,
        f"ip addr add <ip {vm}>/32 dev <nic>",
        f"ip addr del <ip {vm}>/32 dev <nic>",
        UPLINK,
    )


def lan_has(what: str, address: str) -> Fault:
    return on_lan(
        f"a machine on the LAN has the address of {what}",
        f"ip addr add {address}/32 dev sw",
        f"ip addr del {address}/32 dev sw",
    )


@contextmanager
def second_station(stage: Stage, *addresses: str, mac: str = "") -> Iterator[str]:
    """Put another machine onto the LAN; return its network namespace."""
    name, lan = f"{stage.wire.lan}st", stage.wire.lan
    call("ip", "netns", "add", name)
    try:
        # A bridge takes the lowest MAC of its ports, unless it has been given one.
        call("ip", "-n", lan, "link", "set", "sw", "address", stage.wire.mac())
        call("ip", "-n", lan, "link", "add", "st", "type", "veth", "peer", "st", "netns", name)
        if mac:
            call("ip", "-n", name, "link", "set", "st", "address", stage.text(mac))
        call("ip", "-n", lan, "link", "set", "st", "master", "sw", "up")
        call("ip", "-n", name, "link", "set", "st", "up")
        for address in addresses:
            call("ip", "-n", name, "addr", "add", stage.text(address), "dev", "st", "nodad")
        yield name
        call("ip", "-n", lan, "link", "del", "st")
    finally:
        call("ip", "netns", "del", name)


def rival(name: str, address: str, mac: str = "") -> Fault:
    """Return a second machine on the LAN, with an address or a MAC that is another's."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with second_station(stage, address, mac=mac) as there:
            # Broadcasts: what it sends to one machine alone, the switch shows nobody else.
            argv = ["ip", "netns", "exec", there, "ping", "-qbi", "0.3", "10.90.0.255"]
            quiet = subprocess.DEVNULL
            with subprocess.Popen(argv, stdout=quiet, stderr=quiet) as talking:
                yield
                talking.kill()

    return Fault(name, Layer.LAN, breaking, UPLINK)


def proxy_arp() -> Fault:
    """Return a second machine on the LAN that answers ARP for all IPv4 addresses there."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with second_station(stage, "10.90.0.200/24") as there:
            # Linux answers for what it would forward to another device.
            call("ip", "-n", there, "link", "add", "off", "type", "veth", "peer", "name", "away")
            call("ip", "-n", there, "link", "set", "off", "up")
            for half in ("10.90.0.0/25", "10.90.0.128/25"):
                call("ip", "-n", there, "route", "add", half, "dev", "off")
            for knob in ("st.forwarding=1", "st.proxy_arp=1", "st.rp_filter=0", "all.rp_filter=0"):
                call("ip", "netns", "exec", there, "sysctl", "-qw", f"net.ipv4.conf.{knob}")
            yield

    return forgotten(Fault("a machine on the LAN answers ARP for all", Layer.LAN, breaking, UPLINK))


def rogue_dnsmasq(name: str, *words: str) -> Fault:
    """Return a machine on the LAN that hands out addresses nobody has asked it to."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        with second_station(stage, "10.90.0.200/24", "fd90:bad::1/64") as there:
            pid = stage.plan.lab.directory / f"{there}.pid"
            argv = ["ip", "netns", "exec", there, "dnsmasq", "-p", "0", "-C", "/dev/null"]
            more = ("--interface=st", "--bind-dynamic", "--leasefile-ro", "--user=root")
            call(*argv, *more, f"--pid-file={pid}", *words)
            yield
            os.kill(int(pid.read_text()), signal.SIGKILL)

    return Fault(name, Layer.LAN, breaking, UPLINK)


# The switch that vmnet has made


def switch_set(name: str, breaks: str, mends: str) -> Fault:
    return on_host(name, Layer.SWITCH, breaks, mends, SWITCH)


def port_set(name: str, breaks: str, mends: str) -> Fault:
    port = "ip link set <port> type bridge_slave"
    return switch_set(name, f"{port} {breaks}", f"{port} {mends}")


def bridge_drops(name: str, rule: str) -> Fault:
    hook = "type filter hook prerouting priority 0"
    return switch_set(
        name,
        f"nft 'add table bridge bad; add chain bridge bad in {{ {hook}; }}; "
        f"add rule bridge bad in {rule}'",
        "nft delete table bridge bad",
    )


def breaks_until_up(name: str, layer: Layer, script: str, plans: frozenset[str] = BOTH) -> Fault:
    """Return a fault of the host that `vmnet up` mends."""

    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        stage.host(script)
        yield
        stage.again()

    return Fault(name, layer, breaking, plans)


def dnsmasq_gets(sig: signal.Signals) -> Fault:
    @contextmanager
    def breaking(stage: Stage) -> Iterator[None]:
        pid = stage.dnsmasq()
        os.kill(pid, sig)
        yield
        if sig is signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
        else:
            stage.again()

    return Fault(f"the plan's dnsmasq gets {sig.name}", Layer.SERVICE, breaking, SWITCH)
