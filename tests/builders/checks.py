"""What a check asks, from its text as a plan has it."""

from provisioner.plan import checks
from provisioner.plan.checks import PING, Check, CheckSpec


def spec(text: str) -> CheckSpec:
    """Return what is asked: "ping", or the words after the arrow and the target."""
    if text == "ping":
        return PING
    found = checks.line(f"a -> {text}" if "://" in text or text[:4] == "dns " else f"a -> b {text}")
    assert isinstance(found, Check)
    return found.asked
