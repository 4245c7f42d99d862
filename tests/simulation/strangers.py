"""What others do to the host: admins, daemons, guests, the power. Each act returns what it did."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from provisioner import naming
from provisioner.network.facts import Link
from provisioner.network.impairment import PREFIX
from provisioner.network.nft_ruleset import Table
from provisioner.network.nftables import Chain, table_comment, table_name
from tests.simulation.world import STATE, UPLINK, World

PLANS = ("lab", "lob")
REBOOTED = "reboots the host"
VMS = ("a", "b", "c")
_NAMES = tuple(
    name
    for plan in PLANS
    for name in (
        *naming.switch_ends(plan, "lan"),
        naming.bridge(plan, "lan"),
        naming.sibling(plan, "wan"),
        naming.vlan(plan, UPLINK, 7),
        *(naming.macvtap(plan, vm, n) for vm in VMS for n in range(3)),
        *(naming.altname(plan, vm, n) for vm in VMS for n in range(3)),
    )
)
_TABLES = tuple(
    (family, table_name(plan, about))
    for plan in PLANS
    for family, about in (
        ("inet", "lan"),
        *(("netdev", naming.macvtap(plan, vm, n)) for vm in VMS for n in range(2)),
    )
)
_RULE = 'ip saddr 192.0.2.1 counter drop comment "theirs"'
Act = Callable[[World, random.Random], str]
"""It does nothing and returns "" when there is nothing to do it to."""


def _ours(world: World, *kinds: str) -> list[Link]:
    theirs = world.foreign | world.renamed
    found = [x for x in world.links.values() if ("link", x.index) not in theirs]
    return [x for x in found if not kinds or x.kind in kinds]


def _renames_a_device(world: World, luck: random.Random) -> str:
    if not (found := _ours(world)):
        return ""
    link = luck.choice(found)
    name = f"x{world.number()}"
    world.links[link.index] = replace(link, name=name, altname="")
    world.routes = [replace(x, device=name) if x.device == link.name else x for x in world.routes]
    world.renamed.add(("link", link.index))
    return f"renames {link.name} to {name}"


def _deletes_a_device(world: World, luck: random.Random) -> str:
    if not (found := _ours(world)):
        return ""
    link = luck.choice(found)
    world.delete_link(link.index)
    return f"deletes {link.name}"


def _changes_a_device(world: World, luck: random.Random) -> str:
    if not (found := _ours(world)):
        return ""
    link = luck.choice(found)
    changes: dict[str, Any] = {
        "up": not link.up,
        "mtu": 1300,
        "alias": "",
        "ipv6": True,
        "learns": True,
    }
    if link.kind == "macvtap":
        changes |= {"quiet": False, "txqueuelen": 9, "altname": ""}
        if link.mode != "passthru":
            changes["mode"] = luck.choice(("bridge", "private", "vepa"))
            changes["mac"] = "02:00:00:00:00:99"
        changes.pop("learns")
    if link.kind == "vlan":
        changes.pop("learns")  # without IPv6 there it is nothing
    if link.name.startswith((naming.PEER, naming.BRIDGE)):
        changes.pop("alias")  # the lower end's is what counts
    if link.kind == "veth":
        changes |= {"hairpin": False, "addresses": (), "master": 0}
    if link.kind in {"bridge", "macvlan"}:
        changes |= {"addresses": ()}
    name = luck.choice(sorted(changes))
    world.set_link(link.index, **{name: changes[name]})
    return f"sets {name} of {link.name} to {changes[name]!r}"


def _takes_a_name(world: World, luck: random.Random) -> str:
    name = luck.choice(_NAMES)
    if world.named(name):
        return ""
    link = Link(
        name,
        world.number(),
        "dummy",
        "02:00:00:00:00:77",
        1500,
        ethernet=True,
        up=True,
        carrier=True,
    )
    world.add_link(link)
    return f"makes a dummy {name}"


def _takes_a_table(world: World, luck: random.Random) -> str:
    key = luck.choice(_TABLES)
    if key in world.tables:
        return ""
    world.tables[key] = Table(*key, dormant=False, chains=())
    world.foreign.add(("table", key))
    return f"makes a table {' '.join(key)}"


def _flushes_the_rules(world: World, luck: random.Random) -> str:
    del luck
    if not world.tables:
        return ""
    world.tables.clear()
    world.foreign = {x for x in world.foreign if x[0] != "table"}
    return "flushes all rules"


def _changes_a_table(world: World, luck: random.Random) -> str:
    found = [x for x in world.tables if ("table", x) not in world.foreign]
    if not found:
        return ""
    key = luck.choice(found)
    table = world.tables[key]
    match luck.choice(("goes", "sleeps", "rule", "emptied")):
        case "goes":
            del world.tables[key]
            return f"deletes the table {' '.join(key)}"
        case "sleeps":
            world.tables[key] = replace(table, dormant=True)
            return f"switches the table {' '.join(key)} off"
        case "emptied":
            world.tables[key] = replace(table, chains=())
            return f"flushes the table {' '.join(key)}"
        case _:
            if not table.chains:
                return ""
            first = table.chains[0]
            chains = (Chain(first.name, first.hook, (_RULE, *first.rules)), *table.chains[1:])
            world.tables[key] = replace(table, chains=chains)
            return f"puts a rule into the table {' '.join(key)}"


def _impairs_a_link(world: World, luck: random.Random) -> str:
    if not (found := _ours(world, "macvtap")):
        return ""
    link = luck.choice(found)
    key = "netdev", f"{PREFIX}{link.name}"
    if key in world.tables:
        return ""
    world.tables[key] = Table(
        *key,
        dormant=False,
        comment=table_comment(*key),
        chains=(Chain("egress", None, ('counter drop comment "vmnet link: loss 5%"',)),),
    )
    return f"impairs {link.name} by vmnet link"


def _fills_the_disk(world: World, luck: random.Random) -> str:
    del luck
    world.is_full = not world.is_full
    return "fills the disk" if world.is_full else "makes room on the disk"


def _leaves_a_file(world: World, luck: random.Random) -> str:
    home = f"{STATE}/{luck.choice(PLANS)}"
    place = luck.choice(
        (
            "disk/mine.qcow2",
            "seed/mine.iso",
            "boot/mine",
            "mine",
            "console/a.log",
            "disk/a.1.qcow2",
            "dhcp/mine.conf",
            "dhcp/lan-0123456789.conf",
        )
    )
    path = f"{home}/{place}"
    if f"{home}/.vmnet" not in world.files:
        return ""
    if world.exists(path) or (
        path.rsplit("/", 1)[0] + f"/.{path.rsplit('/', 1)[1]}.own" in world.files
    ):
        return ""
    world.write(path, "theirs")
    return f"writes {path}"


def _takes_the_folder(world: World, luck: random.Random) -> str:
    home = f"{STATE}/{luck.choice(PLANS)}"
    if world.exists(home):
        return ""
    world.write(f"{home}/theirs", "theirs")
    return f"makes the folder {home}"


def _deletes_a_file(world: World, luck: random.Random) -> str:
    kinds = (".conf", ".pid", ".leases", ".iso", "/known_hosts", ".log")
    found = [
        x for x in world.below(STATE) if x.endswith(kinds) and ("file", x) not in world.foreign
    ]
    if not found:
        return ""
    path = luck.choice(found)
    world.files.pop(path)
    return f"deletes {path}"


def _kills_a_process(world: World, luck: random.Random) -> str:
    if not world.processes:
        return ""
    pid = luck.choice(sorted(world.processes))
    process = world.processes[pid]
    if process.kind == "dnsmasq" and luck.random() < 0.4:
        process.stopped = True
        return f"stops {process.kind} {process.name}"
    del world.processes[pid]
    return f"kills {process.kind} {process.name}"


def _loses_records(world: World, luck: random.Random) -> str:
    if not world.records:
        return ""
    name = luck.choice(sorted(world.records))
    del world.records[name]
    return f"makes libvirt forget {name}"


def _makes_the_uplink_anew(world: World, luck: random.Random) -> str:
    link = world.named(UPLINK)
    if link is None:
        return ""
    world.delete_link(link.index)
    mac = luck.choice((link.mac, "02:00:00:00:00:03"))
    world.add_link(replace(link, index=world.number(), mac=mac))
    return f"makes {UPLINK} anew, with the MAC {mac}"


def _takes_a_node(world: World, luck: random.Random) -> str:
    index = next(naming.ifindexes(luck.choice(PLANS), luck.choice(VMS), luck.choice((0, 1))))
    if index in world.nodes:
        return ""
    world.nodes[index] = world.number()
    world.foreign.add(("node", index))
    return f"makes a node /dev/tap{index}"


def _reboots(world: World, luck: random.Random) -> str:
    del luck
    world.reboot()
    return REBOOTED


ACTS: tuple[tuple[Act, int], ...] = (
    (_renames_a_device, 3),
    (_deletes_a_device, 5),
    (_changes_a_device, 8),
    (_takes_a_name, 3),
    (_takes_a_table, 2),
    (_flushes_the_rules, 2),
    (_changes_a_table, 5),
    (_impairs_a_link, 3),
    (_fills_the_disk, 4),
    (_leaves_a_file, 4),
    (_takes_the_folder, 1),
    (_deletes_a_file, 2),
    (_kills_a_process, 6),
    (_loses_records, 2),
    (_makes_the_uplink_anew, 2),
    (_takes_a_node, 2),
    (_reboots, 2),
)
_ACTS = tuple(act for act, _ in ACTS)
_WEIGHTS = tuple(weight for _, weight in ACTS)


def act(world: World, luck: random.Random, *, meanwhile: bool = False) -> str:
    """Let one of them act; return what was done, "" for nothing.

    libvirt forgets nothing while a command has it open.
    """
    (chosen,) = luck.choices(_ACTS, _WEIGHTS)
    if meanwhile and chosen is _loses_records:
        return ""
    done = chosen(world, luck)
    if done:
        world.acts += 1
    return done


def withdraw(world: World) -> None:
    """Let them take back whatever is in vmnet's way; what is not stays."""
    world.is_full = False
    world.foreign |= world.renamed
    for link in list(world.links.values()):
        if ("link", link.index) in world.foreign and link.name != UPLINK:
            world.delete_link(link.index)
    for kind, thing in sorted(world.foreign, key=str):
        if kind == "table":
            world.tables.pop(thing, None)
        elif kind == "node":
            world.nodes.pop(thing, None)
        elif kind == "file" and thing.endswith(("a.log", "a.1.qcow2", "/theirs")):
            world.files.pop(thing, None)
        else:
            continue
        world.foreign.discard((kind, thing))
