"""The plan that `vmnet up --uplink NIC --mode MODE` stands for."""

import json
import shlex

from provisioner import naming
from provisioner.plan.load.variables import literal

_OPTIONS = ("--uplink", "--mode", "--image", "--count", "--subnet")


def name_of(uplink: str) -> str:
    """Return the name of the plan on an uplink: there is one on each."""
    return f"on-{naming.digest(uplink, size=3)}"


def words(uplink: str, mode: str, image: str, count: int, subnet: str) -> str:
    """Return the words of `vmnet up` that stand for a plan, as one line."""
    pairs = zip(_OPTIONS, (uplink, mode, image, str(count), subnet), strict=True)
    return shlex.join(word for pair in pairs for word in pair)


def text_of(line: str) -> str | None:
    """Return the plan that such a line stands for; None when it is none."""
    try:
        given = shlex.split(line)
    except ValueError:
        return None
    if tuple(given[::2]) != _OPTIONS or len(given) != 2 * len(_OPTIONS):
        return None
    uplink, mode, image, count, subnet = given[1::2]
    return plan_text(uplink, mode, image, int(count), subnet) if count.isdecimal() else None


def plan_text(uplink: str, mode: str, image: str, count: int, subnet: str) -> str:
    """Write the plan. Its name comes from the uplink: the same words find the same VMs again.

    `subnet` is one to derive addresses from, or "dhcp". Values are written as JSON strings, which
    are YAML: what they hold is checked when it is loaded.
    """
    addresses = "addressing: dhcp" if subnet == "dhcp" else f"subnet: {_quoted(subnet)}"
    return f"""\
name: {name_of(uplink)}
networks:
  lan: {{uplink: {_quoted(uplink)}, mode: {_quoted(mode)}, {addresses}}}
vms:
  vm: {{count: {count}, image: {_quoted(image)}, keep: false, nics: [lan]}}
"""


def _quoted(text: str) -> str:
    return json.dumps(literal(text), ensure_ascii=False)
