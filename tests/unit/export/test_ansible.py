"""The inventory of a plan's guests, as Ansible itself reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.export import ansible
from provisioner.guest.openssh import SshLogin
from provisioner.plan.load.loader import load

PLAN = load(
    """\
name: two-labs
networks:
  lan: {switch: true, subnet: 10.0.0.0/24}
  back-end: {switch: true, subnet: 10.1.0.0/24, mode: private}
vms: {a: {nics: [lan]}, b: {nics: [lan, back-end]}, c: {nics: [back-end]}}
""",
    "p",
).plan
KNOWN = "/var/lib/vmnet/two-labs/known_hosts"
LOGINS = [
    (SshLogin("two-labs", "a", "root", "10.0.0.1", KNOWN), ""),
    (SshLogin("two-labs", "b", "debian", "10.1.0.2", KNOWN), "a"),
]


def read(tmp_path: Path, text: str) -> Any:  # noqa: ANN401  (JSON)
    """Return the inventory as ansible-inventory lists it."""
    path = tmp_path / "inventory.yaml"
    path.write_text(text)
    program = Path(sys.executable).with_name("ansible-inventory")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
    }
    ran = subprocess.run(
        [program, "-i", path, "--list"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr
    return json.loads(ran.stdout)


def plain(value: Any) -> str:  # noqa: ANN401  (JSON)
    """Return a value that ansible-inventory lists as one that is no template."""
    return str(value["__ansible_unsafe"])


def test_ansible_reads_the_guests_their_logins_and_their_networks(tmp_path: Path) -> None:
    found = read(tmp_path, ansible.inventory(PLAN, LOGINS, ["c: no way"]))
    hosts = found["_meta"]["hostvars"]
    hosts = {vm: {key: plain(value) for key, value in v.items()} for vm, v in hosts.items()}
    assert {vm: (v["ansible_host"], v["ansible_user"]) for vm, v in hosts.items()} == {
        "a": ("10.0.0.1", "root"),
        "b": ("10.1.0.2", "debian"),
    }
    assert f'UserKnownHostsFile="{KNOWN}"' in hosts["a"]["ansible_ssh_common_args"]
    assert "HostKeyAlias=vmnet:two-labs:b" in hosts["b"]["ansible_ssh_common_args"]
    assert "ProxyCommand=ssh -F none" in hosts["b"]["ansible_ssh_common_args"]
    groups = {name: group.get("hosts", []) for name, group in found.items() if name != "_meta"}
    assert groups["two__labs_in_lan"] == ["a", "b"]
    assert groups["two__labs_in_back__end"] == ["b"]
    assert set(found["two__labs"]["children"]) == {"two__labs_in_lan", "two__labs_in_back__end"}


def test_a_guest_without_a_way_in_is_named_in_a_comment() -> None:
    assert "# c: no way\\n[all]\n" in ansible.inventory(PLAN, LOGINS, ["c: no way\n[all]"])


def test_no_value_is_a_template_of_ansibles() -> None:
    login = SshLogin("two-labs", "a", "root", "10.0.0.1", "/{{ lookup(7) }}/known_hosts")
    text = ansible.inventory(PLAN, [(login, "")], [])

    class Loader(yaml.SafeLoader):
        """Reads only what is marked as plain text."""

    def read(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[str, str]:
        return "plain", str(loader.construct_scalar(node))

    Loader.add_constructor("!unsafe", read)
    host = yaml.load(text, Loader)["all"]["children"]["two__labs"]["hosts"]["a"]  # noqa: S506
    assert {kind for kind, _ in host.values()} == {"plain"}
    assert "{{ lookup(7) }}" in host["ansible_ssh_common_args"][1]


def test_no_two_names_make_one_group() -> None:
    names = ["a-b", "a_b", "a__b", "a-_b"]
    assert len({ansible._group("lab", name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("image", "use"), [("micro", "all -m raw -a uptime"), ("debian-12", "all -m ping")]
)
def test_its_first_line_names_a_module_that_the_guests_can_run(image: str, use: str) -> None:
    text = "name: two-labs\nnetworks: {lan: {switch: true, subnet: 10.0.0.0/24}}\n"
    text += f"vms: {{a: {{nics: [lan]}}, b: {{nics: [lan], image: {image}}}}}\n"
    first = ansible.inventory(load(text, "p").plan, LOGINS, []).partition("\n")[0]
    assert first == f"# Made by vmnet export ansible. Use it so: ansible -i THIS_FILE {use}"
