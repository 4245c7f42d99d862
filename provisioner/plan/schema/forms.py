"""What a JSON Schema says of the values that each reader of a plan takes.

A plan's values are text, and JSON's are typed, by YAML 1.2 (its core schema, as editors read it).
So a number may stand where a reader takes its digits, and a truth value where it takes `true`.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from provisioner.pattern import pattern
from provisioner.plan import checks, hosts, ip, scalars, vm_scalars
from provisioner.plan.choices import LinkState, Mode
from provisioner.plan.parts import elsewhere, placement
from provisioner.plan.scalars import Matching, Whole
from provisioner.plan.schema.patterns import ANY_IPV6, IPV4, IPV6, MAC, caseless, ecma, number
from provisioner.plan.types import PASSTHROUGH, OneWord, macvtap_mode
from provisioner.plan.vm_scalars import Unsupported

Json = dict[str, Any]
_TYPED: Final = {
    "boolean": ("true", "True", "TRUE", "false", "False", "FALSE"),
    "number": ("1.5", "-1.5", ".5", "1e3", "1E-3"),
    "integer": ("0", "7", "12", "0644", "1234567890", "-1", "+1", "0x1f", "0o17"),
}
"""What text has to look like for YAML 1.2 to take it for something else."""

_SIZED = pattern(r"(?P<any>\.|\[\^[^\]]+\])\{(?P<least>\d+),(?P<most>\d+)\}")
_EVERY_MIB, _EVERY_GIB = "[M](?:i|iB)?", "[G](?:i|iB)?"


def of(reader: Callable[..., object]) -> Json:
    """Return what a schema says of the values that a reader takes.

    Raises TypeError for a reader that nothing is known of: it needs a row in `_READERS`.
    """
    match reader:
        case _ if reader in _READERS:
            return _READERS[reader]
        case Whole():
            return whole(reader.low, reader.high)
        case Matching():
            inner = {"allOf": [of(reader.text_of)]} if isinstance(reader.text_of, Matching) else {}
            return {**text(reader.pattern), **inner}
        case OneWord():
            return {"enum": [str(one) for one in reader.words]}
        case Unsupported():
            return _flag(wanted=False)
        case _:
            raise TypeError(f"{reader} has no form in a JSON Schema: add it to {__name__}")


def shared(name: str) -> Json:
    """Return a reference to one of SHARED, or to a part of a plan."""
    return {"$ref": f"#/$defs/{name}"}


def or_variable(form: Json) -> Json:
    """Return the form of a value, or of text that variables of the environment make one."""
    return form if form == {"type": "string"} else {"anyOf": [form, shared("variable")]}


def many(item: Json, least: int = 0, most: int | None = None) -> Json:
    """Return the form of one value or a list of them."""
    sizes = {"minItems": least or None, "maxItems": most}
    held = {key: size for key, size in sizes.items() if size is not None}
    return {"anyOf": [item, {"type": "array", "items": item, **held}]}


def mapping(names: Matching, values: Json, least: int = 0, most: int | None = None) -> Json:
    """Return the form of names, which are text whatever they look like, and what they name."""
    sizes = {"minProperties": least or None, "maxProperties": most}
    held = {key: size for key, size in sizes.items() if size is not None}
    known = {"pattern": ecma(names.pattern)}
    return {"type": "object", "propertyNames": known, "additionalProperties": values, **held}


def keys(properties: Mapping[str, Json], required: list[str]) -> Json:
    """Return the form of a part: its keys, and those that it must have."""
    needs = {"required": required} if required else {}
    return {
        "type": "object",
        "properties": dict(properties),
        **needs,
        "additionalProperties": False,
    }


def text(pattern: str, **more: object) -> Json:
    """Return the form of text that matches a whole pattern of ours."""
    types = [name for name, spelt in _TYPED.items() if any(_fits(pattern, one) for one in spelt)]
    types = [name for name in types if name != "integer" or "number" not in types]
    found: Json = {"type": ["string", *types] if types else "string"}
    if sized := _SIZED.fullmatch(pattern):
        found |= {"minLength": int(sized["least"]), "maxLength": int(sized["most"])}
        found |= {} if sized["any"] == "." else {"pattern": ecma(f"{sized['any']}*")}
    else:
        found["pattern"] = ecma(pattern)
    return found | more


def whole(low: int, high: int) -> Json:
    """Return the form of a whole number, in quotes or without."""
    limits = {"minimum": low, "maximum": high}
    return {"type": ["integer", "string"], **limits, "pattern": ecma(number(low, high))}


def _fits(pattern: str, spelt: str) -> bool:
    return re.fullmatch(pattern, spelt, re.DOTALL | re.ASCII) is not None


def _flag(*, wanted: bool | None = None) -> Json:
    """Return the form of true and false, or of one of them, in all the words for it."""
    words = tuple(word for word, value in scalars.FLAGS.items() if wanted in {None, value})
    values = [True, False] if wanted is None else [wanted]
    return {"anyOf": [{"enum": values}, {"type": "string", "pattern": ecma(caseless(words))}]}


def _memory() -> Json:
    low, high = scalars.LEAST_MEMORY_MIB, scalars.MOST_MEMORY_MIB
    mib, gib = number(low, high), number(-(-low // 1024), high // 1024)
    found = whole(low, high)
    return found | {"pattern": ecma(f"{mib} ?(?:{_EVERY_MIB})?|{gib} ?{_EVERY_GIB}")}


def _disk_size() -> Json:
    low, high = vm_scalars.LEAST_DISK_MIB, vm_scalars.MOST_DISK_MIB
    most = min(high, 10**9 - 1)
    units = {_EVERY_MIB: 1, _EVERY_GIB: 1024, "[T](?:i|iB)?": 1024 * 1024}
    sizes = (f"{number(max(low // n, 1), most // n)} ?{unit}" for unit, n in units.items())
    return text("|".join(sizes))


def _prefix(low: int, high: int) -> str:
    return f"/0*{number(low, high)}"


def _ssh_key() -> Json:
    """Return the form of a key: its body begins with the length and the text of its type."""
    kinds = []
    for name in vm_scalars.KEY_TYPES:
        head = len(name).to_bytes(4, "big") + name.encode()
        head = head[: len(head) // 3 * 3]  # what stands in whole groups of four letters
        begins = re.escape(binascii.b2a_base64(head, newline=False).decode())
        kinds.append(f"{re.escape(name)} {begins}")
    pattern = f"(?:{'|'.join(kinds)})[A-Za-z0-9+/]*={{0,2}}(?: .*)?"
    words = f"{vm_scalars.AUTO_KEYS}|{vm_scalars.NO_KEYS}"
    return text(rf"\s*(?:{words}|{pattern.replace(chr(92) + '-', '-')})\s*")


def _ether_type() -> Json:
    least, known = scalars.LEAST_ETHER_TYPE, [*scalars.ETHER_TYPES]
    closed = {"enum": sorted(scalars.ALWAYS_OPEN)}
    words = [f"0x{caseless((f'{one:04x}',))}" for one in sorted(scalars.ALWAYS_OPEN)]
    hexadecimal = (
        rf"(?!(?:{'|'.join(words)})\Z)0x(?:0[6-9a-fA-F]|[1-9a-fA-F][0-9a-fA-F])[0-9a-fA-F]{{2}}"
    )
    return {
        "anyOf": [
            {"enum": known},
            {"type": "string", "pattern": ecma(hexadecimal)},
            {"type": "integer", "minimum": least, "maximum": 0xFFFF, "not": closed},
        ]
    }


def _login() -> Json:
    port = rf"(?::0*{number(1, hosts.MOST_PORT)})?"
    host = hosts.HOST.pattern
    place = rf"(?:{host}|\[(?:{host}|{ANY_IPV6})\]){port}|{ANY_IPV6}"
    return text(rf"(?:{hosts.USER.pattern}@)?(?:{place})")


def _uplink() -> Json:
    return text(rf"(?!(?:lo|all|default)\Z)(?=.{{1,15}}\Z){scalars.UPLINK.pattern}")


def _apart() -> Json:
    """Return the form of VMs that share no host: one, a list of them, or several lists."""
    one = text(placement.vm_pattern.pattern)
    several = {"type": "array", "items": {"type": "array", "items": one}}
    return {"anyOf": [*many(one)["anyOf"], several]}


def _machines() -> Json:
    addresses = many(shared("address"), 1)
    about: dict[str, Json] = {
        "address": addresses | {"description": "Its address, or a list of them."},
        "ssh": _login() | {"description": "Where to log in to measure from it: USER@HOST:PORT."},
        "uplinks": {
            **mapping(scalars.network_name, _uplink()),
            "description": "What its NICs are called, by network; it runs VMs then.",
        },
        "groups": many(text(hosts.place.pattern))
        | {"description": "Groups of hosts that it is in, which on: may name."},
        "nics": {
            "type": "array",
            "items": _remote_nic(),
            "minItems": 1,
            "description": "It is a VM that another host runs: its NICs, for what is promised.",
        },
    }
    machine = keys({key: about[key] for key in hosts.KEYS}, [])
    machine["anyOf"] = [{"required": ["address"]}, {"required": ["nics"]}]
    return mapping(scalars.vm_name, {"anyOf": [*addresses["anyOf"], machine]})


_ISOLATED: Json = {"anyOf": [shared("mac"), {"const": scalars.ISOLATE_PLAN}]}


def _remote_nic() -> Json:
    """Return the form of a NIC of a guest that another host runs."""
    about: dict[str, Json] = {
        "network": text(scalars.network_name.pattern) | {"description": "The network's name."},
        "address": many(shared("address"), 1)
        | {"description": "The addresses that it has there, without prefixes."},
        "mode": {"enum": [*map(str, Mode), PASSTHROUGH], "description": "Its macvtap mode."},
        "mac": shared("mac") | {"description": "Its MAC, for source lists."},
        "allow": many(shared("mac")) | {"description": "With mode source: the MACs that it hears."},
        "isolate": many(_ISOLATED) | {"description": "Whose frames it never gets."},
        "link": {
            "enum": [*map(str, LinkState)],
            "description": "Whether the cable is plugged in.",
        },
    }
    return keys({key: about[key] for key in elsewhere.KEYS}, ["network", "address"])


_subnets = (
    f"{IPV4}{_prefix(ip.SHORTEST_PREFIX, ip.LONGEST_PREFIX[4])}",
    f"{IPV6}{_prefix(ip.SHORTEST_PREFIX, ip.LONGEST_PREFIX[6])}",
)
_interfaces = f"{IPV4}(?:{_prefix(0, 32)})?|{IPV6}(?:{_prefix(0, 128)})?"
_vm = rf"vm:(?:{scalars.vm_name.pattern})"
_port = rf"tcp/0*{number(1, vm_scalars.MOST_PORT)}"
_ready = rf"{'|'.join(vm_scalars.READY_SIGNS)}|{_port}|command\s.*\S.*"

SHARED: Final[dict[str, Json]] = {
    "variable": {
        "description": "Text with variables of the environment: ${NAME} or ${NAME:-DEFAULT}.",
        "type": "string",
        "pattern": r"\$\{",
    },
    "flag": _flag(),
    "address": text(rf"{IPV4}|{IPV6}"),
    "interface": text(_interfaces),
    "subnet": text("|".join(_subnets)),
    "mac": text(MAC),
    "ether_type": _ether_type(),
    "ssh_key": _ssh_key(),
    "disk_size": _disk_size(),
    "check": text(checks.LINE),
}
"""The forms that are long, by name: others refer to them."""

_READERS: Final[Mapping[object, Json]] = {
    scalars.flag: shared("flag"),
    scalars.allowed: {"anyOf": [shared("mac"), text(_vm), {"const": "host"}]},
    scalars.connection: {"enum": list(scalars.FOR_PLANS)},
    scalars.isolated: _ISOLATED,
    scalars.ether_type: shared("ether_type"),
    scalars.host_service: {"enum": list(scalars.HOST_SERVICES)},
    scalars.mac: shared("mac"),
    scalars.memory_mib: _memory(),
    scalars.share: text(r"(?:0{0,2}[0-9]|0?[1-9][0-9])(?:\.[0-9]{1,3})?%|100(?:\.0{1,3})?%"),
    vm_scalars.ssh_key: shared("ssh_key"),
    scalars.uplink: _uplink(),
    vm_scalars.content: {"anyOf": [text(vm_scalars.content.pattern), {"type": "null"}]},
    vm_scalars.digest: text(vm_scalars.digest.pattern.replace("a-f", "a-fA-F")),
    vm_scalars.file_mode: text("0?[0-7]{3}", minimum=0, maximum=777),
    vm_scalars.ready: text(_ready),
    vm_scalars.size_mib: shared("disk_size"),
    ip.address: shared("address"),
    ip.domain: text(ip.DOMAIN.pattern.replace("a-z", "A-Za-z"), maxLength=ip.LONGEST_DOMAIN),
    ip.host_access: {"anyOf": [shared("flag"), *many(shared("address"))["anyOf"]]},
    ip.interface: shared("interface"),
    ip.pool: {
        "anyOf": [
            text("|".join(rf"\s*{one}\s*-\s*{one}\s*" for one in (IPV4, IPV6))),
            {"type": "array", "items": shared("address"), "minItems": 2, "maxItems": 2},
        ]
    },
    ip.subnet: shared("subnet"),
    macvtap_mode: {"enum": [*map(str, Mode), PASSTHROUGH]},
    checks.line: shared("check"),
    hosts.machines: _machines(),
    placement.lists_apart: _apart(),
}
"""What cannot be told from the reader itself."""

TRUE: Final = _flag(wanted=True)
"""The form of true alone."""
