"""The user's checks, run inside a guest with the tools that it has.

Output of a guest is hostile: only what matches exactly is trusted, and what could not be tested is
reported as untested, never as unreachable.
"""

import json
import re
from collections.abc import Collection
from functools import partial
from ipaddress import ip_address
from statistics import median
from typing import TYPE_CHECKING, Final

from provisioner.check.result import OWN_MTU, Probed
from provisioner.host.guest.commands import Guests, Ran
from provisioner.pattern import pattern
from provisioner.plan.checks import CheckSpec, Probe, What, at_address
from provisioner.plan.ip import Address, is_address
from provisioner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_USUAL_S: Final = 4.0
_GRACE_S: Final = 12.0  # an emulated guest on a busy host is slow to start a program
_PINGS: Final = 10
_MANY_PINGS: Final = 50
_SIZES_AT_ONCE: Final = 8
_LEAST_PACKET: Final = 68
_THROUGHPUT_S: Final = 3
_IPV4: Final = 4
_PORT: Final = 5201  # iperf3's own

_NO_TOOL: Final = 97
_TIMED_OUT: Final = frozenset({124, 143})
_STATUS: Final = pattern(r"HTTP/\d(?:\.\d)? (\d{3})")
_TIMES: Final = pattern(r"bytes from .{1,300} time=(\d{1,6}(?:\.\d{1,6})?) ms")
_COUNTS: Final = pattern(r"(\d{1,6}) packets transmitted, (\d{1,6}) (?:packets )?received")
_ANSWER: Final = pattern(r"(?m)^(?:Name:|Address(?: \d+)?: *[0-9a-f.:]+ *$|[0-9a-f.:]+ +STREAM)")
_ADDRESS: Final = pattern(r"(?m)^(?:Address(?: \d+)?: *)?([0-9a-f.:]{3,45})(?: +STREAM.*| *)$")
_NO_NAME: Final = pattern(r"NXDOMAIN|can't find|No answer|not found", re.IGNORECASE)
_SERVED: Final = pattern(r"(?m)^Server:\s+\S+")


def probe(guest: Guests, question: Probe) -> Probed:
    """Ask one thing from inside a guest.

    Raises VmnetError when the guest agent does not answer.
    """
    asked, address = question.asked, str(question.address or "")
    within_s = question.within_s or _USUAL_S
    port, seconds = f"{asked.number:.0f}", f"{within_s:g}"
    words: tuple[str, ...] = (address, port, f"{max(1, round(within_s))}")
    judge: Callable[[CheckSpec, Ran], Probed]
    match asked.what:
        case What.TCP:
            kind, judge, tools = "tcp", _tcp, "neither bash, python3 nor nc"
        case What.UDP if port == "53":  # there is a question that must be answered
            kind, judge, tools = "dns", _dns_server, "no nslookup"
            words = ("localhost", address, seconds)
        case What.UDP:
            kind, judge, tools = "udp", _udp, "no bash to send a datagram with"
        case What.HTTP:
            kind, judge, tools = "http", _http, "neither curl nor wget"
            words = (at_address(asked.text, question.address), seconds)
        case What.DNS:
            judge = partial(_dns_name, due=question.due)
            kind, tools = "dns", "neither nslookup nor getent"
            words = (asked.text, address, seconds)
        case What.MTU if question.address:
            return _mtu(guest, round(asked.number), question.address, question.own_mtu)
        case _:
            return _pinged(guest, asked, address)
    ran = _run(guest, kind, within_s, *words)
    if ran.status == _NO_TOOL:
        return Probed(None, note=f"cannot be tested: the guest has {tools}")
    return judge(asked, ran)


def throughput(source: Guests, target: Guests, question: Probe) -> Probed:
    """Measure how fast one guest can send to another: iperf3 where both have it, else nc and dd.

    Raises VmnetError when an agent does not answer.
    """
    asked, address = question.asked, str(question.address or "")
    if _has(source, "iperf3") and _has(target, "iperf3"):
        # It would wait for ever for a client that does not get through.
        most = _THROUGHPUT_S + 12
        server = f"timeout {most} iperf3 -s -1 -p {_PORT} > /dev/null 2>&1 & sleep 1"
        target.run(["/bin/sh", "-c", server], _GRACE_S)
        words = (address, str(_PORT), str(_THROUGHPUT_S))
        ran = _run(source, "iperf3", _THROUGHPUT_S + 10, *words)
        return _fast(_iperf_rate(ran.stdout), asked, "iperf3")
    for guest, where in ((source, "the source"), (target, "the target")):
        if not _has(guest, "nc"):
            return Probed(None, note=f"cannot be tested: {where} has neither iperf3 nor nc")
    return _fast(_nc_rate(source, target, address), asked, "by nc and dd, no iperf3 there")


def _run(guest: Guests, kind: str, seconds: float, *words: str) -> Ran:
    return guest.run_script("guest-probe.sh", seconds + _GRACE_S, kind, *words)


def _has(guest: Guests, tool: str) -> bool:
    return guest.run(["/bin/sh", "-c", f"command -v {tool}"], _GRACE_S).status == 0


def _output(ran: Ran) -> str:
    return (ran.stdout + ran.stderr).decode("utf-8", "replace")


def _last(ran: Ran) -> str:
    return one_line(_output(ran).strip().rpartition("\n")[2], 120)


def _is_refused(ran: Ran) -> bool:
    return bool(re.search("refused", _output(ran), re.IGNORECASE))


def _tcp(asked: CheckSpec, ran: Ran) -> Probed:
    if ran.status == 0:
        return Probed(reached=True, note=f"{asked} is open")
    if _is_refused(ran):
        return Probed(reached=False, note=f"{asked} was refused", refused=True)
    return Probed(reached=False, note=f"{asked}: {_last(ran) or 'no answer'}")


def _udp(asked: CheckSpec, ran: Ran) -> Probed:
    if _is_refused(ran):
        return Probed(reached=False, note=f"{asked} was refused", refused=True)
    if ran.status == 0:
        return Probed(reached=True, note=f"{asked} has answered")
    return Probed(None, note="no answer, which says nothing of UDP: it may have arrived")


def _dns_server(_asked: CheckSpec, ran: Ran) -> Probed:
    answered = bool(_SERVED.search(_output(ran))) and ran.status not in _TIMED_OUT
    refused = _is_refused(ran)
    good = answered and not refused and "timed out" not in _output(ran)
    return Probed(good, note="a DNS query", refused=refused)


def _http(asked: CheckSpec, ran: Ran) -> Probed:
    found = _STATUS.findall(_output(ran))
    status = int(found[-1]) if found else 0
    if not status:
        return Probed(reached=False, note=_last(ran) or "no answer", refused=_is_refused(ran))
    good = status == round(asked.number) if asked.number else status < 400  # noqa: PLR2004
    return Probed(good, value=f"status {status}")


def _dns_name(_asked: CheckSpec, ran: Ran, due: Collection[Address] = ()) -> Probed:
    output = _output(ran)
    # nslookup names the server first, and an empty line behind it; getent has neither.
    answer = re.split(r"\n\s*\n", output, maxsplit=1)[-1]
    good = ran.status == 0 and bool(_ANSWER.search(answer)) and not _NO_NAME.search(answer)
    if good and due:
        return _as_due(answer, due)
    # A server that knows no such name has answered, all the same.
    answered = bool(_SERVED.search(output) and _NO_NAME.search(answer))
    value = _last(ran).removeprefix("** ") if answered else ""
    return Probed(good, value=value, note="" if good or value else _last(ran) or "no answer")


def _as_due(answer: str, due: Collection[Address]) -> Probed:
    """Return whether a name has the addresses that it is to have; of IPv6 it may have more."""
    texts = dict.fromkeys(filter(is_address, _ADDRESS.findall(answer)))
    found = [ip_address(text) for text in texts]
    wanted: list[Address] = [a for a in due if a.version == _IPV4] or [*due]
    others = [a for a in found if a.version == _IPV4 and a not in due]
    good = bool(found) and set(wanted) <= set(found) and not others
    said, meant = (", ".join(map(str, each)) or "no address" for each in (found, wanted))
    return Probed(good, value="" if good else f"its resolver says {said}, and not {meant}")


def _mtu(guest: Guests, wanted: int, address: Address, own_mtu: int) -> Probed:
    """Send whole packets of a size; when they vanish, find the largest that come through."""
    if own_mtu and wanted > own_mtu:
        note = f"{OWN_MTU} {own_mtu}"
        return Probed(reached=False, note=note, largest=_largest(guest, address, own_mtu))
    found = guest.ping({address: 3}, {address: wanted}).get(address)
    if found is None:
        return Probed(reached=False, note="no answer to ping")
    if found.size >= wanted:
        return Probed(
            reached=True, seconds=found.seconds, value=f"{found.size} bytes", largest=found.size
        )
    largest = _largest(guest, address, wanted)
    return Probed(reached=False, value=f"at most {largest} bytes", largest=largest)


def _largest(guest: Guests, address: Address, above: int) -> int:
    """Find the size of the largest IP packet that is answered, `above` bytes being too many."""
    low, high = _LEAST_PACKET, above + 1
    while high - low > 1:
        step = max(1, (high - low) // (_SIZES_AT_ONCE + 1))
        steps = (low + n * step for n in range(1, _SIZES_AT_ONCE + 1))
        sizes = sorted({size for size in steps if low < size < high})
        passed = guest.sizes_answered(address, sizes)
        best = max(passed, default=low)
        higher = [size for size in sizes if size > best]
        low, high = best, min(higher, default=high)
    return low


def _pinged(guest: Guests, asked: CheckSpec, address: str) -> Probed:
    many = asked.what is What.LOSS
    count, every = (_MANY_PINGS, "0.05") if many else (_PINGS, "0.1")
    ran = _run(guest, "ping", count * 0.2, address, str(count), every)
    counted = _COUNTS.search(_output(ran))
    if not counted:
        return Probed(None, note=f"cannot be tested: ping says {_last(ran)}")
    sent, answered = int(counted[1]), min(int(counted[1]), int(counted[2]))
    if many:
        share = 1 - answered / sent if sent else 1.0
        good = share < asked.number
        return Probed(good, value=f"{share * 100:.3g}% lost", sent=sent, answered=answered)
    times = [float(one) / 1000 for one in _TIMES.findall(_output(ran))]
    if not times:
        return Probed(reached=False, note="no answer to ping", sent=sent)
    middle = median(times)
    return Probed(middle < asked.number, middle, f"median {middle * 1000:.3g} ms")


def _fast(rate: float | None, asked: CheckSpec, how: str) -> Probed:
    if rate is None:
        return Probed(reached=False, note=f"nothing came through ({how})")
    return Probed(rate > asked.number, value=f"{rate / 1e6:.3g} Mbit/s", note=how)


def _iperf_rate(text: bytes) -> float | None:
    try:
        found = json.loads(text)["end"]["sum_received"]["bits_per_second"]
        rate = float(found)
    except (ValueError, KeyError, TypeError):
        return None
    return rate if 0 < rate < 1e13 else None  # noqa: PLR2004  (NaN and infinity are neither)


def _nc_rate(source: Guests, target: Guests, address: str) -> float | None:
    count = f"/tmp/vmnet-throughput-{_PORT}"  # noqa: S108  (inside the guest)
    # A listener whose input ends tells the sender, which then stops: its input is kept open.
    most = _THROUGHPUT_S + 6
    listen = (
        f"(sleep {most} | timeout {most} nc -l -p {_PORT} | wc -c > {count}) > /dev/null 2>&1 &"
    )
    target.run(["/bin/sh", "-c", f"rm -f {count}; {listen} sleep 1"], _GRACE_S)
    words = (address, str(_PORT), str(_THROUGHPUT_S))
    _run(source, "send", _THROUGHPUT_S, *words)
    wait = f"n=0; while [ ! -s {count} ] && [ $n -lt 40 ]; do sleep 0.2; n=$((n+1)); done"
    ran = target.run(["/bin/sh", "-c", f"{wait}; cat {count}; rm -f {count}"], _GRACE_S)
    found = re.fullmatch(rb"\s*(\d{1,15})\s*", ran.stdout)
    return int(found[1]) * 8 / _THROUGHPUT_S if found and int(found[1]) else None
