"""A plan's guests as an inventory of Ansible: how each is logged in to, and which networks it has.

Ansible takes braces in values for templates, which run code where it runs: every value is marked
as plain text.
"""

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from provisioner.guest import openssh
from provisioner.text import one_line

if TYPE_CHECKING:
    from provisioner.guest.openssh import SshLogin
    from provisioner.plan.model import Plan

_UNSAFE: Final = "!unsafe"
_WITHOUT_PYTHON: Final = "micro"
"""The image that modules of Ansible do not run on."""


def inventory(
    plan: "Plan",
    logins: "Sequence[tuple[SshLogin, str]]",
    left_out: Iterable[str],
    identity: openssh.Identity = openssh.ANY,
) -> str:
    """Write an inventory: a group for the plan, in it one for each network with its guests.

    `logins` are ways into guests, each with the VM it goes through, "" for none; `left_out` are
    lines of why other guests are not in it.
    """
    by_vm = {to.vm: to for to, _ in logins}
    hosts = {to.vm: _variables(to, by_vm.get(through), identity) for to, through in logins}
    networks: dict[str, Any] = {}
    for network in plan.networks:
        there = dict.fromkeys(key.vm for key, _ in plan.nics_on(network) if key.vm in hosts)
        networks[_group(plan.name, network.name)] = {"hosts": {vm: {} for vm in there}}
    group = {"hosts": hosts, "children": networks}
    python = any(vm.image != _WITHOUT_PYTHON for vm in plan.vms if vm.name in hosts)
    use = f"ansible -i THIS_FILE all -m {'ping' if python else 'raw -a uptime'}"
    lines = [f"# Made by vmnet export ansible. Use it so: {use}"]
    lines += [f"# {one_line(why)}" for why in left_out]
    return "\n".join(lines) + "\n" + _yaml({"all": {"children": {_group(plan.name): group}}})


def _variables(
    to: "SshLogin", jump: "SshLogin | None", identity: openssh.Identity
) -> "dict[str, _Text]":
    found = {
        "ansible_host": to.address,
        "ansible_user": to.user,
        "ansible_ssh_common_args": shlex.join(openssh.options(to, identity, jump)),
    }
    return {key: _Text(value) for key, value in found.items()}


def _group(*names: str) -> str:
    """Return the name of a group, as Ansible wants it: letters, digits and underscores.

    Two underscores stand for a hyphen, so that no two names become one.
    """
    return "_in_".join(name.replace("_", "_u").replace("-", "__") for name in names)


class _Text(str):
    """A text that Ansible takes as it is."""

    __slots__ = ()


def _yaml(value: object) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes such texts with their tag, and shares no part between two places."""

        def ignore_aliases(self, data: object) -> bool:
            """Return that nothing is written as an alias."""
            del data
            return True

    Dumper.add_representer(
        _Text, lambda dumper, text: dumper.represent_scalar(_UNSAFE, str(text), style='"')
    )
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, width=1000)
