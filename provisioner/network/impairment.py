"""Impairments of a link: from the command line's words to rules, and from rules to words."""

from collections.abc import Iterable
from typing import Final

from provisioner.dataclass import dataclass
from provisioner.network.nft_ruleset import Table, is_marked, packets
from provisioner.network.nftables import Chain, Hook, definition, deletion
from provisioner.pattern import pattern
from provisioner.plan import units
from provisioner.plan.scalars import BadValue, quoted

PREFIX: Final = "vmnetlink_"
"""What the names of such tables begin with; the device's name follows."""

_MOST_DELAY_S: Final = 60.0
_LEAST_RATE: Final = 8000.0  # bit/s: nft counts whole bytes, and less is not a link
_SCALE: Final = 10000
_COMMENT = pattern(r'comment "vmnet link: ([^"]*)"')


@dataclass(frozen=True, slots=True)
class Impairment:
    """What is done to a link: loss from 0 to 1, delay and jitter in seconds, rate in bit/s."""

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate: float = 0.0

    def __str__(self) -> str:
        """Return it in the words of the command line."""
        words = []
        if self.loss:
            words.append(f"loss {self.loss * 100:g}%")
        if self.delay_s:
            words.append(f"delay {self.delay_s * 1000:g}ms")
        if self.jitter_s:
            words.append(f"jitter {self.jitter_s * 1000:g}ms")
        if self.rate:
            words.append(f"rate {self.rate / 1e6:g}mbit")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Found:
    """What is done to a device now, in words, and how many frames it has cost."""

    words: str
    dropped: int


def wanted(loss: str | None, delay: str | None, jitter: str | None, rate: str | None) -> Impairment:
    """Parse the options of the command line. Raises BadValue."""
    if jitter and not delay:
        raise BadValue("--jitter without --delay means nothing", "add --delay 20ms")
    return Impairment(
        _percent(loss) if loss else 0.0,
        _seconds("--delay", delay) if delay else 0.0,
        _seconds("--jitter", jitter) if jitter else 0.0,
        _bits(rate) if rate else 0.0,
    )


def _percent(text: str) -> float:
    value = units.share(f"{text.strip().removesuffix('%')}%") or 0.0
    if not 0 < value <= 1:
        raise BadValue(
            f"--loss: {quoted(text)} is not a percentage", "write --loss 5%: above 0, up to 100"
        )
    return value


def _seconds(option: str, text: str) -> float:
    value = units.seconds(text.strip()) or 0.0
    if not 0 < value <= _MOST_DELAY_S:
        raise BadValue(
            f"{option}: {quoted(text)} is not a time",
            f"write {option} 20ms: us, ms or s, up to 60s",
        )
    return value


def _bits(text: str) -> float:
    value = units.rate_bit(text.strip()) or 0.0
    if value < _LEAST_RATE:
        raise BadValue(
            f"--rate: {quoted(text)} is not a rate",
            "write --rate 10mbit: kbit, mbit or gbit, from 8kbit",
        )
    return value


def table_of(device: str) -> str:
    """Return the name of the table that holds what is done to a device."""
    return f"{PREFIX}{device}"


def script(device: str, wish: Impairment) -> str:
    """Return the rules that lose frames both ways and hold a rate, replacing what stood there.

    Egress of a macvtap is what its guest sends; ingress is what is on its way to the guest.
    """
    rules = []
    if wish.loss:
        share = max(1, round(wish.loss * _SCALE))
        loss = Impairment(loss=wish.loss)
        # nft takes no comparison that is always true.
        chance = f"numgen random mod {_SCALE} < {share} " if share < _SCALE else ""
        rules.append(f'{chance}counter drop comment "vmnet link: {loss}"')
    if wish.rate:
        rate = Impairment(rate=wish.rate)
        rules.append(
            f"limit rate over {round(wish.rate / 8)} bytes/second counter drop "
            f'comment "vmnet link: {rate}"'
        )
    chains = [
        Chain(hook, Hook("filter", hook, device, -10, "accept"), tuple(rules))
        for hook in ("egress", "ingress")
    ]
    return removal(device) + definition("netdev", table_of(device), chains)


def removal(device: str) -> str:
    """Return the script that deletes the table, whether it is there or not."""
    return deletion("netdev", table_of(device))


def is_taken(device: str, tables: Iterable[Table]) -> bool:
    """Return whether somebody else has a table of the name that a device's would have."""
    return any(
        (x.family, x.name) == ("netdev", table_of(device)) and not is_marked(x) for x in tables
    )


def observed(tables: Iterable[Table]) -> dict[str, Found]:
    """Return what is done to which device."""
    found: dict[str, Found] = {}
    for table in tables:
        if table.family != "netdev" or not table.name.startswith(PREFIX) or not is_marked(table):
            continue
        rules = [rule for chain in table.chains for rule in chain.rules]
        words = dict.fromkeys(one[1] for rule in rules if (one := _COMMENT.search(rule)))
        found[table.name.removeprefix(PREFIX)] = Found(", ".join(words), packets(rules))
    return found
