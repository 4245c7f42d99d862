"""No complaint shows a secret: neither the line that it quotes nor what it says."""

import pytest

from provisioner.errors import Complaints, VmnetError, explain
from provisioner.guest import ignition, userdata
from provisioner.plan.load.loader import load

HEAD = "name: lab\nnetworks: {lan: {switch: true, subnet: 10.77.0.0/24}}\n"
SECRET = "hunter2"  # noqa: S105  (what no complaint may show)


def shown(text: str, *overrides: str) -> str:
    """Give all complaints about a plan, as they are shown."""
    with pytest.raises(Complaints) as refused:
        load(text, "p", overrides)
    return _shown(refused.value.errors)


def _shown(errors: list[VmnetError]) -> str:
    for error in errors:
        assert SECRET not in f"{error.what} {error.fix} {error.where!r}"
    return "\n".join(map(explain, errors))


@pytest.mark.parametrize(
    "vm",
    [
        "{password: hunter2, nics: [lan], memory: x}",
        "{memory: x, nics: [lan], password: hunter2}",
        "{memory: x, nics: [lan], 'password': 'hunter2'}",
        '{memory: x, nics: [lan], "password": "hunter2 \\" , hunter2"}',
        "{memory: x, nics: [lan], password_hash: $6$hunter2$hunter2}",
        "{memory: x, nics: [lan], password: [hunter2, a]}",
        "{memory: x, nics: [lan], password: {hunter2: hunter2}}",
        "{memory: x, nics: [lan], password: {a: {b: hunter2}, c: hunter2}}",
        "{memory: x, nics: [lan], pasword: hunter2}",
        "{memory: x, nics: [lan], Root-Password: hunter2}",
        "{memory: x, nics: [lan], files: [{path: /a, content: hunter2}]}",
        "{memory: x, nics: [lan]}  # password: hunter2",
        "{memory: x, nics: [lan]}  # the token = hunter2",
        "{memory: x, nics: [lan], image: 'https://me:hunter2@host/x'}",
        "{memory: x, nics: [lan], image: 'https://host/x?key=hunter2'}",
        "{memory: x, nics: [lan], password: !hunter2 x}",
        "{memory: x, nics: [lan], password: !hunter2}",
        "{memory: x, nics: [lan], password: &hunter2 x}",
        "{memory: x, nics: [lan], password: *hunter2}",
        "{memory: x, nics: [lan], password: @hunter2}",
        "{memory: x, nics: [lan], password: hunter2",
        "{memory: x, nics: [lan], password: 'hunter2",
        "{memory: x, nics: [lan], ? password : 'hunter2', {",
        "{memory: x, nics: [lan], password: hun\n  ter2 hunter2, cpus: x}",
        "{memory: x, nics: [lan], ssh_keys: '-----BEGIN OPENSSH PRIVATE KEY----- hunter2'}",
        "\n    memory: x\n    nics: [lan]\n    password: |\n      hunter2\n      hunter2 a",
        "\n    memory: x\n    nics: [lan]\n    password: >-\n      a\n      hunter2\n    cpus: x",
        "\n    nics: [lan]\n    cpus: x\n    files:\n    - {path: /a, content: 'x\n\n  hunter2'}",
        "\n    nics: [lan]\n    password: hunter2\n    password: hunter2",
        "\n    nics: [lan]\n    password: hunter2\n   cpus: x",
        "\n    nics: [lan]\n    password: hunter2: x",
        "\n    nics: [lan]\n    password:\thunter2\n\tcpus: x",
        "\n    nics: [lan]\n    password: hun\x07hunter2",
        "\n    nics: [lan]\n    password: |\n      hunter2\x07hunter2",
    ],
)
def test_no_secret_of_a_plan_is_shown(vm: str) -> None:
    told = shown(f"{HEAD}vms:\n  web: {vm}\n")
    assert SECRET not in told
    assert "p:4" in told or "p:5" in told or "p:6" in told or "p:7" in told


def test_the_rest_of_the_line_is_shown_and_the_caret_stands_below_its_word() -> None:
    line = "vms: {web: {password: hunter2-hunter2, memory: much, image: debian-12, nics: [lan]}}"
    what, told, caret = shown(f"{HEAD}{line}  # token: hunter2\n").splitlines()[:3]
    assert what == f'p:3:{line.index("much") + 1}: "much" is not an amount of memory'
    assert told == f"{line.replace('hunter2-hunter2', '***')}  # token: ***"
    assert caret == " " * told.index("much") + "^"


def test_what_is_no_secret_is_shown_whole() -> None:
    line = "vms: {secret: {nics: [lan], memory: much}, token: {nics: [lan]}}"
    assert line in shown(f"{HEAD}{line}\n")
    line = "vms: {web: {nics: [lan], memory: much}}  # content with it"
    assert line in shown(f"{HEAD}{line}\n")


@pytest.mark.parametrize(
    "override",
    [
        "vms.web.password=[hunter2]",
        "vms.web.password=hunter2\nx",
        "vms.web.password=@hunter2",
        "vms.web={password: hunter2, memory: x}",
        "vms.nobody.else.password.x=hunter2",
        "vms.web.image=https://me:hunter2@host/",
        "vms..password=hunter2",
    ],
)
def test_no_secret_of_an_override_is_shown(override: str) -> None:
    told = shown(f"{HEAD}vms: {{web: {{nics: [lan], memory: x}}}}\n", override)
    assert SECRET not in told


@pytest.mark.parametrize(
    "text",
    [
        "chpasswd: {list: 'root:hunter2'}\nuser: x",
        "chpasswd: {list: 'root:hunter2'}, user: x",
        "{user: x, password: hunter2}",
        "{user: x, ssh_keys: {rsa_private: hunter2}}",
        "{user: x, write_files: [{path: /a, content: hunter2}]}",
        "users: [{name: a, hashed_passwd: hunter2, x: }]}",
    ],
)
def test_no_secret_of_user_data_is_shown(text: str) -> None:
    _, found = userdata.read(f"#cloud-config\n{text}\n", "own")
    assert found
    assert SECRET not in _shown(found)


@pytest.mark.parametrize(
    "text",
    [
        '{"passwd": {"users": [{"passwordHash": "hunter2"}]}, x}',
        '{"ignition": {"version": "9"}, "storage": {"files": [{"contents": "hunter2"}]}}',
        '{"ignition": {"version": "3.4.0", "passwordHash": "hunter2',
    ],
)
def test_no_secret_of_an_ignition_file_is_shown(text: str) -> None:
    found = ignition.complaints(text, "core.ign")
    assert found
    assert SECRET not in _shown(found)
