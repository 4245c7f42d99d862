"""Random plans: each a variant of another, so that one can follow the other on a living host."""

import random

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvE9Yq0m3b0v0m8qJ0QW3b2m7yq1Y6v2Q0m1o9wqz7T"


def plan(luck: random.Random, name: str) -> str:
    """Return the text of a plan of that name."""

    def maybe(words: str, chance: float = 0.5) -> str:
        return words if luck.random() < chance else ""

    net = 77 if name == "lab" else 78
    switch = ", ".join(
        f"{key}: {str(luck.random() < chance).lower()}"
        for key, chance in (("nat", 0.5), ("dhcp", 0.6), ("hairpin", 0.4))
    )
    third = luck.choice((net, net, net + 4))
    mode = luck.choice(("bridge", "bridge", "private", "vepa"))
    lines = [
        f"name: {name}",
        "networks:",
        (
            f"  lan: {{switch: {{{switch}}}, subnet: 10.{third}.0.0/24, addressing: static,"
            f" mode: {mode}{maybe(', mtu: 1400', 0.2)}}}"
        ),
    ]
    has_wan = luck.random() < 0.7
    if has_wan:
        last = 100 if name == "lab" else 140
        mode = luck.choice(("bridge", "bridge", "private", "passthru", "source"))
        tagged = maybe(", vlan: 7", 0.2)
        access = maybe(", host_access: true", 0.6) if mode == "bridge" else ""
        lines.append(
            f"  wan: {{uplink: up0, mode: {mode}{tagged}{access}, subnet: 10.9.0.0/24,"
            f" pool: 10.9.0.{last}-10.9.0.{last + 30},"
            f" spoof_guard: {luck.choice(('strict', 'mac', 'off'))}}}"
        )
    lines.append("vms:")
    alone = has_wan and mode == "passthru"
    for at, vm in enumerate(luck.sample("abc", luck.choice((1, 2, 2, 3)))):
        nics = ["lan"] * luck.choice((0, 1, 1, 1, 2))
        if has_wan and (at == 0 or not alone) and luck.random() < 0.6:
            nics.append("wan")
        words = [f"nics: [{', '.join(nics or ['lan'])}]"]
        if luck.random() < 0.4:
            words.append(f"disks: [{luck.choice((1, 1, 2))}G]{maybe(', keep: true')}")
        if luck.random() < 0.3:
            words.append(f'ssh_keys: ["{KEY}"]')
        if luck.random() < 0.2:
            words.append("kernel: ./k")
        lines.append(f"  {vm}: {{{', '.join(words)}}}")
    return "\n".join([*lines, ""])
