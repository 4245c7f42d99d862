"""Asks guests for their MAC, each by itself, until all have answered; says when the first time was.

Run by peers.py on the far end of the NIC: python benchmarks/arpwatch.py DEVICE SECONDS, with
{"address": "mac"} as JSON on standard input. Says "ready", then "ADDRESS MONOTONIC-SECONDS" a line.
Broadcasts would wake all guests at every question, and so make every tool look slower.
"""

import json
import sys
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from provisioner.host.probe.packet_socket import Wire
from provisioner.plan.mac import Mac

Address = IPv4Address | IPv6Address
_ASK_EVERY_S = 0.05


def main() -> int:
    """Ask, say who answers; the status is 1 when somebody has not within the time."""
    device, seconds = sys.argv[1], float(sys.argv[2])
    given: dict[str, str] = json.load(sys.stdin)
    silent: dict[Address, str] = {IPv4Address(a): mac for a, mac in given.items()}
    with Wire(device) as wire:
        questions = {a: Mac(mac).packed + wire.request(a)[6:] for a, mac in silent.items()}
        print("ready", flush=True)
        asked, end = 0.0, time.monotonic() + seconds
        while silent and (now := time.monotonic()) < end:
            if now - asked >= _ASK_EVERY_S:
                asked = now
                for address in silent:
                    wire.send(questions[address])
            for answer in wire.answers(max(0.0, asked + _ASK_EVERY_S - time.monotonic())):
                if answer.mac == silent.get(answer.address):
                    del silent[answer.address]
                    print(answer.address, time.monotonic(), flush=True)
    return 1 if silent else 0


if __name__ == "__main__":
    raise SystemExit(main())
