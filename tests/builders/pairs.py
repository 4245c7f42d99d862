"""Pairs as text, a line each."""

from collections.abc import Iterable

from provisioner.reachability.pairs import Pair


def written(pairs: Iterable[Pair]) -> str:
    """Write all that a pair says: network, ends with their NICs, what is asked, and why."""
    return "".join(f"{_line(pair)}\n" for pair in pairs)


def _line(p: Pair) -> str:
    at = " ".join(str(address or "its name") for address in p.addresses) or "?"
    asked = "" if str(p.asked) == "ping" else f" {p.asked}"
    within = f" within {p.within_s:g}s" if p.within_s else ""
    version = f" ipv{p.version}" if p.version else ""
    ends = f"{p.source}.{p.source_nic} -> {p.target}.{p.nic}"
    return f"{p.network}: {ends} at {at}{asked}{within}{version}: {p.expected}: {p.why}"
