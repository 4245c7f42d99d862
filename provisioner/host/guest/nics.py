"""What a guest says of its own cards, asked through its agent: hostile until it has been checked.

A card is known by its MAC. One that bears a MAC which nobody planned stands for the planned card
that is missing, when there are as many of the one as of the other.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from provisioner.check.evidence import Inside
from provisioner.host.guest.commands import Guests

_ASK_S: Final = 10.0
_MOST: Final = 64
_UP: Final = 1  # IFF_UP
_CARDS: Final = """\
cd /sys/class/net || exit 1
for card in *; do
    [ -e "$card/device" ] || continue
    read -r index < "$card/ifindex"; read -r mac < "$card/address"; read -r flags < "$card/flags"
    echo "$index $mac $flags"
done
"""
_CARD: Final = re.compile(r"(\d{1,9}) ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) (0x[0-9a-f]{1,8})")


def cards(guest: Guests, planned: Sequence[str]) -> dict[str, Inside]:
    """Give what the guest has for each planned MAC, in the order of its NICs.

    Raises VmnetError when the agent does not answer.
    """
    said = guest.run(["/bin/sh", "-c", _CARDS], _ASK_S).stdout.decode("ascii", "replace")
    return matched(said, planned, guest.addresses())


def matched(
    said: str, planned: Sequence[str], addresses: Mapping[str, tuple[str, ...]]
) -> dict[str, Inside]:
    """Match the cards that a guest has told of, a line each, with the planned MACs."""
    lines = (match for line in said.splitlines()[:_MOST] if (match := _CARD.fullmatch(line)))
    there = {
        mac: bool(int(flags, 16) & _UP)
        for _, mac, flags in sorted((int(x[1]), x[2], x[3]) for x in lines)
    }
    missing = [mac for mac in planned if mac not in there]
    strange = [mac for mac in there if mac not in planned]
    instead = dict(zip(missing, strange, strict=True)) if len(missing) == len(strange) else {}
    found = {}
    for mac in planned:
        used = instead.get(mac, mac)
        if used in there:
            found[mac] = Inside(used, there[used], addresses.get(used, ()))
        else:
            found[mac] = Inside("", up=False, addresses=(), found=False)
    return found
