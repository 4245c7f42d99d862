"""What a guest gets of this host: what keeps the guest from the host keeps it from that, too."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from provisioner.check.evidence import Evidence
from provisioner.check.result import Finding
from provisioner.plan.checks import PING, What

Reason = tuple[Evidence, Finding]


def shared(
    reasons: Sequence[Reason], nat: Mapping[str, Finding], dhcp: Mapping[str, Finding]
) -> Iterator[Finding]:
    """Return the findings again, where a guest does not reach the host with that one instead.

    `nat` and `dhcp` have for networks whose NAT or dnsmasq is not as the plan says what is wrong
    with it: where a guest reaches the host and does not get out, or a name, that is it, unless a
    reason was found at the guest.
    """
    at_host: dict[tuple[object, int], Finding] = {
        (_source(e), e.address.version): finding
        for e, finding in reasons
        if e.expected and e.target.is_host and e.asked == PING and e.address and not e.works_now
    }
    for e, finding in reasons:
        same = [found for v in _versions(e) if (found := at_host.get((_source(e), v)))]
        differs = dhcp.get(e.network) if _is_name(e) else None
        if _leads_out(e) and finding.about != e.source.vm:
            differs = nat.get(e.network)
        yield next(iter(same), differs) or finding


def _source(e: Evidence) -> tuple[str, str, int]:
    return e.network, e.source.vm, e.source.nic


def _versions(e: Evidence) -> Iterable[int]:
    """Return the IP versions by which the host is asked for a name, or leads out."""
    if _is_name(e) and not e.refused:
        return [one.version for one in e.target.planned]
    return [e.address.version] if _leads_out(e) and e.address else []


def _is_name(e: Evidence) -> bool:
    return e.target.is_host and e.asked.what is What.DNS


def _leads_out(e: Evidence) -> bool:
    """Return whether something behind the host of vmnet's own switch was asked."""
    outside = e.uplink.own_switch and not e.target.link and e.expected
    return outside and not (e.works_now or e.refused)
