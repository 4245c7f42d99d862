"""Variables of the environment in a plan's values: what they can stand for, and what not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import Complaints, explain
from provisioner.plan.load.loader import load_merged, printed
from provisioner.plan.load.oneshot import plan_text
from provisioner.plan.load.variables import literal
from provisioner.plan.model import Plan, Vm

HEAD = "name: lab\nnetworks: {lan: {switch: true, subnet: 10.77.0.0/24}}\n"


def plan(text: str, **environment: str) -> Plan:
    return load_merged([("p", text)], (), environment).plan


def with_vm(*lines: str) -> str:
    written = "".join(f"    {line}\n" for line in ("nics: [lan]", "image: debian-12", *lines))
    return f"{HEAD}vms:\n  web:\n{written}"


def vm(*lines: str, **environment: str) -> Vm:
    return plan(with_vm(*lines), **environment).vm("web")


def told(text: str, *overrides: str, **environment: str) -> list[str]:
    with pytest.raises(Complaints) as refused:
        load_merged([("p", text)], overrides, environment)
    return [line for e in refused.value.errors for line in (f"{e.where} {e.what}", f"fix: {e.fix}")]


def refusal(line: str, **environment: str) -> str:
    return told(with_vm(line), **environment)[0]


def test_a_variable_is_filled_in_and_typed_by_its_key() -> None:
    found = vm("memory: ${MEM}", "cpus: ${N}", MEM="256M", N="2")
    assert (found.memory_mib, found.cpus) == (256, 2)


@pytest.mark.parametrize("environment", [{}, {"MEM": ""}])
def test_a_default_stands_in_for_what_is_unset_or_empty(environment: dict[str, str]) -> None:
    found = vm("memory: ${MEM:-256M}", 'cpus: "${N:-2}"', **environment)
    assert (found.memory_mib, found.cpus) == (256, 2)


def test_what_is_set_goes_before_the_default() -> None:
    assert vm("memory: ${MEM:-256M}", MEM="1G").memory_mib == 1024


def test_a_default_may_be_empty() -> None:
    assert vm("cmdline: 'x${MORE:-}'", "kernel: k").cmdline == "x"


def test_variables_may_be_a_part_of_a_value_and_several() -> None:
    given = "networks: {lan: {switch: true, subnet: '10.${A}.${B:-7}.0/${A:-9}'}}\n"
    text = f"name: ci-${{JOB}}-x\n{given}vms: {{web: {{nics: [lan]}}}}\n"
    found = plan(text, JOB="17", A="24")
    assert found.name == "ci-17-x"
    assert [str(one) for one in found.networks[0].subnet] == ["10.24.7.0/24"]


def test_variables_are_filled_in_everywhere_in_the_tree() -> None:
    text = (
        "name: lab\ndefaults: {memory: '${MEM}'}\nnetworks: {lan: {uplink: '${NIC}'}}\n"
        "vms: {web: {count: '${N}', nics: ['${NET}']}}\nchecks: ['web1 -> ${TO}']\n"
    )
    found = plan(text, MEM="1G", NIC="eno1", N="2", NET="lan", TO="web2")
    assert [(one.name, one.memory_mib) for one in found.vms] == [("web1", 1024), ("web2", 1024)]
    assert (found.networks[0].uplink, found.vms[0].nics[0].network) == ("eno1", "lan")


def test_a_whole_plain_value_may_be_nothing_and_a_quoted_one_is_text() -> None:
    assert refusal("cpus: ${N}", N="~").endswith("there is no value here")
    assert refusal('cpus: "${N}"', N="~").endswith('"~" is not a number of CPUs')
    assert refusal("cpus: ~${N}", N="").endswith('"~" is not a number of CPUs')


def test_two_dollars_are_one() -> None:
    assert vm("cmdline: 'a $$b $${C} $$$$ $d $'", "kernel: k").cmdline == "a $b ${C} $$ $d $"


def test_keys_are_never_filled_in() -> None:
    text = HEAD + "vms: {'${X}': {nics: [lan]}}\n"
    assert told(text, X="web")[0] == 'p:3:7 "${X}" cannot name a VM'


HOSTILE = [
    "{mode: vepa}",
    "vepa, uplink: eno1",
    "vepa\n  uplink: eno1",
    "[vepa]",
    "*x",
    "&x vepa",
    "!!str vepa",
    "'vepa",
    "# vepa",
    "${MODE}",
    "$${MODE}",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_a_variable_holds_is_one_value_and_no_yaml(value: str) -> None:
    text = (
        "name: lab\nnetworks:\n  lan:\n    switch: true\n    subnet: 10.77.0.0/24\n"
        "    mode: ${MODE}\nvms: {web: {nics: [lan]}}\n"
    )
    (what, fix) = told(text, MODE=value)
    assert what.startswith("p:6:11 ")
    assert what.endswith("is not a macvtap mode")
    assert fix == "fix: use one of private, vepa, bridge, passthru, source"


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=200))
def test_any_text_of_the_environment_comes_through_unchanged(value: str) -> None:
    text = with_vm("cmdline: 'a=${X} b'", "kernel: k")
    assert vm("cmdline: 'a=${X} b'", "kernel: k", X=value).cmdline == f"a={value} b"
    assert (
        vm(f"cmdline: {json.dumps(literal(value) + '.', ensure_ascii=False)}", "kernel: k").cmdline
        == f"{value}."
    )
    assert "${X}" in printed([("p", text)])


@pytest.mark.parametrize("value", ["a\x1b[2J", "a\x00", "a\u202e", "a\udcff"], ids=ascii)
def test_a_variable_cannot_bring_what_a_plan_cannot_hold(value: str) -> None:
    what = refusal("user: ${X}", X=value)
    assert what.startswith("p:7:11 the variable X holds the character ")


def test_an_unset_variable_is_told_at_its_place() -> None:
    assert told(with_vm("memory: ${MEM}")) == [
        "p:7:13 the variable MEM is not set",
        "fix: set MEM (through sudo: --preserve-env=MEM), or write ${MEM:-VALUE}",
    ]


def test_all_unset_variables_are_told_at_once_beside_other_complaints() -> None:
    text = with_vm("memory: ${MEM}", "cpus: ${N}", "boot: nope")
    assert [line for line in told(text) if not line.startswith("fix")] == [
        "p:7:13 the variable MEM is not set",
        "p:8:11 the variable N is not set",
        'p:9:11 "nope" is not a way to boot',
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A B}", "${A-b}", "${A:-{}", "${Ä}"])
def test_what_only_looks_like_a_variable_is_refused(text: str) -> None:
    assert told(with_vm(f"memory: '{text}'"), A="1G") == [
        'p:7:13 "${" begins no variable here',
        "fix: write ${NAME} or ${NAME:-VALUE}; $${ stands for ${ itself",
    ]


def test_a_variable_that_needs_quotes_is_told_so() -> None:
    text = f"{HEAD}vms: {{web: {{memory: ${{MEM}}, nics: [lan]}}}}\n"
    assert told(text, MEM="1G") == [
        "p:3:22 within { } and [ ] the braces of a variable are taken for the YAML's own",
        'fix: put it in quotes: "${NAME}"',
    ]


def test_what_set_puts_into_a_plan_may_have_variables_and_takes_others_away() -> None:
    text = with_vm("memory: ${UNSET}")
    changed = load_merged([("p", text)], ["vms.web.memory='${MEM}'"], {"MEM": "1G"})
    assert changed.plan.vm("web").memory_mib == 1024
    assert told(text, "vms.web.memory='${MEM}'")[0].startswith("--set vms.web.memory='${MEM}':1:16")


def test_a_variable_that_a_later_file_replaces_need_not_be_set() -> None:
    texts = [("p", with_vm("memory: ${MEM}")), ("q", "vms: {web: {memory: 1G}}\n")]
    assert load_merged(texts).plan.vm("web").memory_mib == 1024


# --- texts for guests -----------------------------------------------------------------------------

SHELL = "echo ${HOME} $$ ${X:-y}"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"run: ['{SHELL}']"], lambda web: web.run[0]),
        ([f"run: '{SHELL}'"], lambda web: web.run[0]),
        ([f"files: [{{path: /a, content: '{SHELL}'}}]"], lambda web: web.files[0].content),
        ([f"ready: 'command {SHELL}'"], lambda web: web.ready[0].removeprefix("command ")),
    ],
    ids=["run", "a single line", "content", "ready"],
)
def test_a_text_for_the_guest_is_left_alone(lines: list[str], found: object) -> None:
    assert callable(found)
    assert found(vm(*lines, X="z", HOME="/root")) == SHELL


def test_a_text_for_all_guests_is_left_alone() -> None:
    text = with_vm().replace("networks", f"defaults: {{run: ['{SHELL}']}}\nnetworks")
    assert plan(text, X="z", HOME="/root").vm("web").run == (SHELL,)


def test_beside_a_text_for_the_guest_variables_are_filled_in() -> None:
    web = vm(
        "files: [{path: '/etc/${X}', content: '${X}', mode: '${M}'}]", "ready: '${R}'",
        X="z", M="0600", R="ssh",
    )  # fmt: skip
    assert (web.files[0].path, web.files[0].content, web.ready) == ("/etc/z", "${X}", ("ssh",))


def test_a_vm_that_is_called_run_or_content_is_no_text() -> None:
    text = (
        HEAD + "vms: {run: {memory: '${M}', nics: [lan]}, content: {cpus: '${N}', nics: [lan]}}\n"
    )
    found = plan(text, M="1G", N="3")
    assert (found.vm("run").memory_mib, found.vm("content").cpus) == (1024, 3)


# --- secrets --------------------------------------------------------------------------------------


def test_a_password_may_come_from_a_secret_variable() -> None:
    assert vm("password: ${DB_PASSWORD}", DB_PASSWORD="hunter2").password == "hunter2"  # noqa: S105, S106


def test_dollars_of_passwords_and_hashes_stay_as_they_are() -> None:
    crypt = "$6$$abcdefgh$$ijklmnop"
    assert vm(f"password_hash: '{crypt}'").password_hash == crypt
    assert vm("password: 'a$$b'").password == "a$$b"  # noqa: S105
    assert vm("password: 'a$${X}'").password == "a${X}"  # noqa: S105
    assert vm("password_hash: ${H}", H=crypt).password_hash == crypt


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "PASSPHRASE", "DB_PASS", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"),
        *("API_KEY", "APIKEY", "SSH_KEY", "ssh_private_key", "MYSQL_PWD", "GCP_CREDENTIALS"),
        *("BASIC_AUTH", "GH_PAT", "AWS_CREDS", "GITHUB_TOKEN_2", "PUBLIC_KEY_PASS"),
    ],
)
@pytest.mark.parametrize("line", ["user: ${N}", "template: 'a${N:-x}'", "cpu_model: ${N}"])
def test_a_secret_of_the_environment_gets_nowhere_else(name: str, line: str) -> None:
    (what, fix, *_) = told(with_vm(line.replace("${N", f"${{{name}")), **{name: "hunter2"})
    assert what.endswith(f"the variable {name} looks like a secret, and guests could read it here")
    assert fix == (
        "fix: only password takes it; if the guests may have it, pass it under another name"
    )


@pytest.mark.parametrize("name", ["PWD", "SSH_PUBLIC_KEY", "PUB_KEY", "KEYMAP", "PATH", "AUTHOR"])
def test_other_variables_are_no_secrets(name: str) -> None:
    assert vm(f"cmdline: ${{{name}}}", "kernel: k", **{name: "me"}).cmdline == "me"


@pytest.mark.parametrize("key", ["password", "password_hash"])
def test_a_secret_that_cannot_be_used_is_not_shown(key: str) -> None:
    name = "DB_PASSWORD" if key == "password" else "HASH"
    with pytest.raises(Complaints) as refused:
        plan(with_vm(f"{key}: ${{{name}}}", "cpus: x"), **{name: "hunter2\nhunter2"})
    shown = "\n".join(map(explain, refused.value.errors))
    assert len(refused.value.errors) == 2
    assert "hunter2" not in shown


# --- more -----------------------------------------------------------------------------------------


def test_variables_cannot_make_a_plan_too_large() -> None:
    packages = ", ".join(["'${A}'"] * 60)
    found = told(with_vm(f"packages: [{packages}]", "memory: '${A}'"), A="a" * 100_000)
    large = "with its variables filled in the plan is larger than 5 MiB"
    column = 16 + 52 * len("'${A}', ")
    assert [line for line in found if line.endswith(large)] == [f"p:7:{column} {large}"]
    assert "fix: a plan is a page of text: set them to less" in found


def test_which_variables_the_environment_has_set_is_known() -> None:
    text = with_vm("memory: ${MEM:-256M}", "cpus: ${N:-2}")
    assert {name: str(where) for name, where in
            load_merged([("p", text)], (), {"N": "3", "X": "y"}).variables.items()} == {
        "N": "p:8:11"
    }  # fmt: skip


def test_the_plan_of_a_command_line_means_its_words_as_they_are() -> None:
    text = plan_text("eno1", "bridge", "file:${NIC}$$", 1, "dhcp")
    assert plan(text, NIC="eno1").vms[0].image == "file:${NIC}$$"
