"""Where frames were lost, in a sentence: the place is named, an end only if it was seen to drop.

A sentence names as few ends as it can: so all pairs that lose their frames at one place share it.
"""

from dataclasses import replace
from typing import Final

from provisioner.check.diagnosis import taken, way
from provisioner.check.diagnosis.fixes import FIREWALL, UP_AGAIN, inside, watch
from provisioner.check.diagnosis.way import Gap, WayPoint
from provisioner.check.evidence import NOWHERE, Endpoint, Evidence, Heading, Point
from provisioner.check.result import Finding
from provisioner.network.exchange import FrameKind
from provisioner.network.nft_ruleset import DropChain

_QUESTIONS: Final = {  # of answers
    FrameKind.IS_AT: FrameKind.WHO_HAS,
    FrameKind.REPLY: FrameKind.REQUEST,
    FrameKind.IS_AT_BACK: FrameKind.ASKS_BACK,
}


def passed(e: Evidence) -> Finding | None:
    """Tell of an outage that is over: what works now accuses nobody."""
    if not e.works_now:
        return None
    a, b, when = e.source.vm, e.target.vm, f" at {e.measured_at}" if e.measured_at else ""
    again = f" (asked again at {e.again_at})" if e.again_at else ""
    asked = "" if str(e.asked) == "ping" else f" ({e.asked})"
    small = f" with packets of {e.packet} bytes" if e.packet else ""
    return Finding(
        f"{a} did not reach {b}{asked}{small}{when}; it does now{again}: an outage that has passed",
        f"run it again: vmnet check; if it comes back, {watch(e)}",
        (f"{e.note or 'no answer'}{when}", f"answered{again or ' when asked again'}"),
    )


def misled(e: Evidence) -> Finding | None:
    """Blame that packets, or the answers to them, are sent to another machine's MAC."""
    for a, b, address, macs in (
        (e.source, e.target, e.address, e.sent_to),
        (e.target, e.source, e.source_address, e.answered_to),
    ):
        if macs and b.mac and b.mac not in macs:
            to = ", ".join(macs)
            return Finding(
                f"{a.vm} sends what is for {address} of {b.vm} to the MAC {to}, and {b.vm} is "
                f"{b.mac}",
                f"find the machine with that MAC: it answers for {address} (proxy ARP, or the same "
                f"address), or {a.vm} has a wrong route or neighbour; {inside(a, 'ip neigh')}",
                (f"packets of {a.vm} for {address} left to {to}; {b.vm} is {b.mac}",),
                a.vm,
            )
    return None


def stolen_route(e: Evidence) -> Finding | None:
    """Blame the host's own route to a guest, where it leaves by another device."""
    for host, guest in ((e.source, e.target), (e.target, e.source)):
        if host.is_host and host.route and host.route != host.link:
            to = (e.address if guest is e.target else e.source_address) or guest.vm
            if host.route == NOWHERE:
                return Finding(
                    f"this host has no route to {to} of {guest.vm}",
                    f"look at this host's addresses and routes: ip route get {to}; what vmnet has "
                    "given it comes back with: vmnet up",
                    (f"route of this host to {to}: none; {guest.vm} is behind {host.link}",),
                    "host",
                )
            return Finding(
                f"this host's route to {to} of {guest.vm} leaves by {host.route}, not by "
                f"{host.link}: what it sends to {guest.vm} goes there",
                "look which route it is, and take it away: ip route show table all",
                (f"route of this host to {to}: {host.route}; {guest.vm} is behind {host.link}",),
                "host",
            )
    return None


def where_lost(e: Evidence) -> Finding | None:
    """Blame what lies between the two places where frames were lost."""
    gap = way.lost(e)
    if gap is None or e.works_now:
        return None
    found = _told(e, gap)
    evidence = (*found.evidence, *way.seen(e))
    return Finding(found.what, found.fix, evidence, found.about)


def _told(e: Evidence, gap: Gap) -> Finding:
    if e.uplink.forward_drops and _is_forwarded(e, gap):
        return _not_forwarded(e)
    match gap:
        case Gap(before=None, after=WayPoint() as first):
            return _never_sent(e, gap, first)
        case Gap(before=WayPoint() as last, after=None):
            return _not_taken(e, gap, last)
        case Gap(before=WayPoint() as before, after=WayPoint() as after, changed=True):
            return _changed(e, before, after, gap.kind)
        case Gap(before=WayPoint() as before, after=WayPoint(), unanswered=True):
            return _unanswered(e, gap, before)
        case _:
            return _dropped(e, gap)


def _is_forwarded(e: Evidence, gap: Gap) -> bool:
    """Return whether frames have come to this host by its own switch, to go on from there.

    What a bridge passes runs through the host's firewall too, as if it were routed
    (net.bridge.bridge-nf-call-iptables).
    """
    before, after = gap.before, gap.after
    if not before or not after or before.point is not Point.FAR:
        return False
    inside = after.point is Point.FAR and not gap.changed
    return inside or (gap.unanswered and not e.target.link)


def _not_forwarded(e: Evidence) -> Finding:
    chains = "; ".join(e.uplink.forward_drops)
    return Finding(
        f"this host's firewall drops what it forwards: {chains}",
        "let pass there what comes in and goes out by mv*: nft list ruleset (Docker: iptables -I "
        "DOCKER-USER -i 'mv+' -j ACCEPT and iptables -I DOCKER-USER -o 'mv+' -j ACCEPT)",
        about=e.uplink.name,
    )


def _dropped(e: Evidence, gap: Gap, what: str = "") -> Finding:
    """Name the filter of this host that drops there, else the two places of a gap."""
    what = what or f"{_stream(e, gap)} {_from_to(gap.before, gap.after)}"
    for one in way.suspects(e, gap):
        return _filtered(e, one, what)
    device = gap.after.device if gap.after else e.uplink.name
    return Finding(
        f"{what}: it is dropped between them",
        f"look what drops it there: nft list ruleset; tc filter show dev {device} egress; "
        f"{watch(e)}",
        about=_subject(e, gap),
    )


def _filtered(e: Evidence, one: DropChain, lost: str) -> Finding:
    """Name a filter and its place, and no ends: all pairs that lose their frames there share it."""
    # What bridge mode hands over passes the uplink, which is no place of its way.
    uplink = f"the uplink {one.device}"
    place = next((x.name for x in way.way(e) if x.device == one.device), uplink)
    vm = next((end.vm for end in e.ends if end.link == one.device), e.uplink.name)
    seen = (lost, f"{one.hook} of {one.device}: table {one.table}, chain {one.chain}: {one.rule}")
    if one.is_guard:
        return Finding(
            f"the spoof guard of {vm} has a rule that is not vmnet's and drops frames: {one.rule}",
            UP_AGAIN,
            seen,
            vm,
        )
    return Finding(
        f"the nftables chain {one.chain} of table {one.table} drops frames at the {one.hook} of "
        f"{place}",
        f"look at it, and take its drop away: nft list table {one.table}",
        seen,
        vm,
    )


def _from_to(before: WayPoint | None, after: WayPoint | None) -> str:
    if before is None or after is None:
        return "is seen nowhere"
    if before.device != after.device:
        return f"is seen at {before.name} and never at {after.name}"
    if before.heading is Heading.IN:
        return f"comes in by {before.name} and never leaves by it"
    return f"leaves by {before.name} and never comes back"


def _ends(e: Evidence, kind: FrameKind) -> tuple[Endpoint, Endpoint]:
    """Return who sends frames of a kind, and who receives them."""
    return e.ends if kind in way.FORTH else (e.target, e.source)


def _stream(e: Evidence, gap: Gap) -> str:
    """Name what is lost by as few ends as the place allows."""
    sender, receiver = _ends(e, gap.kind)
    own, far = _is_of_end(gap.before), _is_of_end(gap.after)
    if own and not far:
        return f"what {sender.vm} sends"
    if far and not own:
        return f"what is sent to {receiver.vm}"
    return f"what {sender.vm} sends to {receiver.vm}"


def _subject(e: Evidence, gap: Gap) -> str:
    sender, receiver = _ends(e, gap.kind)
    if _is_of_end(gap.before):
        return sender.vm
    return receiver.vm if _is_of_end(gap.after) else e.uplink.name


def _is_of_end(place: WayPoint | None) -> bool:
    return place is not None and place.point in {Point.SOURCE, Point.TARGET}


def _changed(e: Evidence, before: WayPoint, after: WayPoint, kind: FrameKind) -> Finding:
    sender, receiver = _ends(e, kind)
    return Finding(
        f"what {sender.vm} sends to {receiver.vm} is changed on the way: seen as it was sent at "
        f"{before.name}, and otherwise at {after.name}",
        f"look what rewrites packets between them: nft list ruleset; tc filter show dev "
        f"{after.device} ingress; {watch(e)}",
        about=e.uplink.name,
    )


def _never_sent(e: Evidence, gap: Gap, first: WayPoint) -> Finding:
    """Tell that a question was seen nowhere: whether its sender has sent it, its NIC counts."""
    a, stack = e.source, e.source.stack
    if not a.link:
        return Finding(
            f"what {a.vm} sent to {e.address} never came to {e.uplink.name}: it was lost before "
            "this host",
            f"look at the way of {a.vm}: its routes, its firewall, the switch; tcpdump -n -i "
            f"{e.uplink.name}",
            about=a.vm,
        )
    nothing = f"nothing that asks {e.address} has come out of {first.name}"
    route = inside(a, "ip route")
    if stack and stack.no_way:
        what = f"{a.vm} has no way to {e.address}: {stack.no_way}"
        return Finding(what, route, (f"{a.vm} says: {stack.no_way}", nothing), a.vm)
    if way.suspects(e, gap) or (stack and stack.nic_out):
        # How many frames that were differs from pair to pair, and is evidence.
        sent = ", but its NIC has sent frames meanwhile" if stack and stack.nic_out else ""
        what = f"what {a.vm} sends never comes out of {first.name}{sent}"
        found = _dropped(e, Gap(gap.kind, first, first), what)
        return replace(
            found, evidence=(*(taken.counted(a, stack) if stack else ()), *found.evidence)
        )
    if stack:
        what = f"{a.vm} has sent nothing to {e.address}: its NIC has sent no frame meanwhile"
        return Finding(what, route, (*taken.counted(a, stack), nothing), a.vm)
    return Finding(
        f"{nothing}: {a.vm} has sent nothing, or a filter at the egress of {first.device} drops it",
        f"{route}; and here: nft list ruleset",
        (nothing,),
        a.vm,
    )


def _unanswered(e: Evidence, gap: Gap, before: WayPoint) -> Finding:
    """Tell that a question has come to where its receiver is, and that no answer was seen there."""
    other, end = _ends(e, _QUESTIONS[gap.kind])
    question = way.named(e, _QUESTIONS[gap.kind])
    came = f"{question} has come to {before.name}"
    own = Point.SOURCE if gap.kind is FrameKind.IS_AT_BACK else Point.TARGET
    if before.point is not own:
        nobody = "nobody there has it, or " if gap.kind is FrameKind.IS_AT else ""
        return Finding(
            f"{question} has passed {before.name}, and no answer came back there: {nobody}the one "
            f"or the other was lost behind {before.device}",
            f"look whether {end.vm} answers others, and at the network behind {before.device}: "
            f"tcpdump -n -i {before.device}",
            about=end.vm,
        )
    is_packet = gap.kind is FrameKind.REPLY
    if end.stack and is_packet:
        seen = taken.counted(end, end.stack)
        if told := taken.inside_target(e, end.stack):
            return Finding(told[0], told[1], (came, *seen), end.vm)
        found = _dropped(e, gap, taken.outside_target(end, end.stack, came))
        return Finding(found.what, found.fix, (came, *seen, *found.evidence), end.vm)
    if way.suspects(e, gap):
        return _dropped(e, gap, f"{came}, and no answer has come out of it")
    if e.answers_others and is_packet:
        others = ", ".join(e.answers_others)
        return Finding(
            f"{end.vm} answers {others} but not {other.vm}, whose packets come to {before.name}: "
            "something inside it drops them, such as its firewall",
            inside(end, FIREWALL),
            (f"{end.vm} has answered {others} to {e.asked} in this check", came),
            end.vm,
        )
    more = "; it answers who-has" if end.alive and is_packet else ""
    more += "; its guest agent does not answer either" if end.agent is False else ""
    return Finding(
        f"{came}, and {end.vm} has not answered{more}",
        inside(end, FIREWALL),
        (came,),
        end.vm,
    )


def _not_taken(e: Evidence, gap: Gap, last: WayPoint) -> Finding:
    """Tell that the answer has come to where its receiver is, and was not taken there."""
    a, b, stack = e.source, e.target, e.source.stack
    if not a.link:
        return Finding(
            f"the answer of {b.vm} left by {e.uplink.name}, and {a.vm} did not get it: it was lost "
            "behind this host",
            f"look at the way of {a.vm}: its firewall, the switch, foreign MACs that are dropped "
            "there",
            about=a.vm,
        )
    came = f"{way.named(e, gap.kind)} has come to {last.name}"
    if way.suspects(e, gap) and not (stack and stack.nic_in):
        return _dropped(e, Gap(gap.kind, last, last), f"{came}, and {a.vm} did not take it")
    if gap.kind is FrameKind.IS_AT:
        what = f"{came}, and {a.vm} has sent no packet after it"
        return Finding(what, inside(a, "ip neigh"), (came,), a.vm)
    seen = taken.counted(a, stack) if stack else ()
    if stack and stack.ip_in and not stack.answered_in and stack.drops:
        what = (
            f"the firewall of {a.vm} drops the answers of {b.vm}: its IP has received them and "
            f"handed none on; it has the rule: {stack.drops[0]}"
        )
    else:
        # Whose answers they were is evidence: what one end does not take is told once.
        what = f"answers have come to {last.name}, and {a.vm} did not take them"
    return Finding(what, inside(a, FIREWALL), (came, *seen), a.vm)
