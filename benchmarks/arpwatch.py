"""Asks guests for their MAC, each by itself, until all have answered; says when the first time was.

Run by peers.py on the far end of the NIC: python benchmarks/arpwatch.py DEVICE SECONDS, with
{"address": "mac"} as JSON on standard input. Says "ready", then "ADDRESS MONOTONIC-SECONDS" a line.
Broadcasts would wake all guests at every question, and so make every tool look slower.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from provisioner.host.probe.packet_socket import Wire
from provisioner.plan.mac import Mac

Address = IPv4Address | IPv6Address
_ASK_EVERY_S = 0.05


def answers(device: str, silent: Mapping[Address, str], seconds: float) -> Iterator[Address]:
    """Ask each address for the MAC that it should have; yield each when it answers.

    Ends when all have answered, or after so many seconds.
    """
    left = dict(silent)
    with Wire(device) as wire:
        questions = {a: Mac(mac).packed + wire.request(a)[6:] for a, mac in left.items()}
        asked, end = 0.0, time.monotonic() + seconds
        while left and (now := time.monotonic()) < end:
            if now - asked >= _ASK_EVERY_S:
                asked = now
                for address in left:
                    wire.send(questions[address])
            for answer in wire.answers(max(0.0, asked + _ASK_EVERY_S - time.monotonic())):
                if answer.mac == left.get(answer.address):
                    del left[answer.address]
                    yield answer.address


def main() -> int:
    """Ask, say who answers; the status is 1 when somebody has not within the time."""
    device, seconds = sys.argv[1], float(sys.argv[2])
    given: dict[str, str] = json.load(sys.stdin)
    silent: dict[Address, str] = {IPv4Address(a): mac for a, mac in given.items()}
    print("ready", flush=True)
    for number, address in enumerate(answers(device, silent, seconds), 1):
        print(address, time.monotonic(), flush=True)
        if number == len(silent):
            return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
