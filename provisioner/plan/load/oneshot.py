"""The plan that `vmnet up --uplink NIC --mode MODE` stands for."""

import json

from provisioner import naming
from provisioner.plan.load.variables import literal


def plan_text(uplink: str, mode: str, image: str, count: int, subnet: str) -> str:
    """Write the plan. Its name comes from the uplink: the same words find the same VMs again.

    `subnet` is one to derive addresses from, or "dhcp". Values are written as JSON strings, which
    are YAML: what they hold is checked when it is loaded.
    """
    addresses = "addressing: dhcp" if subnet == "dhcp" else f"subnet: {_quoted(subnet)}"
    return f"""\
name: on-{naming.digest(uplink, size=3)}
networks:
  lan: {{uplink: {_quoted(uplink)}, mode: {_quoted(mode)}, {addresses}}}
vms:
  vm: {{count: {count}, image: {_quoted(image)}, keep: false, nics: [lan]}}
"""


def _quoted(text: str) -> str:
    return json.dumps(literal(text), ensure_ascii=False)
