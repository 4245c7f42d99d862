"""What holds for every text, also for those that nobody thought of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import Complaints, Exit, explain
from provisioner.plan.load.loader import load
from provisioner.text import hides

ANY = st.text(st.characters(exclude_categories=()), max_size=30)
YAMLISH = st.text(st.sampled_from("{}[]:,-#&*!|>'\"%@`?~<= \n\tabn0.\x1bé"), max_size=60)
WORDS = st.sampled_from(
    [
        *("lab", "lan", "web1", "true", "auto", "kvm", "bridge", "source", "10.0.0.0/24", "128M"),
        *("10.0.0.5", "fd00::/64", "fd00::5", "10.0.0.2-10.0.0.9", "02:00:00:00:00:01", "-1"),
        *("static", "dhcp", "1400", "micro", "eno1", "", "qemu:///system", "2", "1001", "~"),
    ]
)
KEYS = st.sampled_from(
    [
        *("name", "networks", "vms", "defaults", "uplink", "switch", "host", "mode", "subnet"),
        *("gateway", "pool", "addressing", "mtu", "dns", "network", "mac", "address", "nics"),
        *("image", "memory", "cpus", "ssh_keys", "count", "accel", "connection", "lan", "web"),
    ]
)
VALUES = st.recursive(
    WORDS | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | ANY, inner, max_size=4),
    max_leaves=12,
)

PATIENT = settings(deadline=None)  # the first load also imports and compiles the models


def section(keys: list[str]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(keys) | ANY, VALUES, max_size=5)


NETWORK = ["uplink", "switch", "mode", "subnet", "gateway", "pool", "addressing", "mtu", "dns"]
VM = ["nics", "count", "image", "memory", "cpus", "ssh_keys"]
PLANS = st.fixed_dictionaries(
    {"name": WORDS, "networks": st.dictionaries(WORDS, section(NETWORK) | VALUES, max_size=3)},
    optional={
        "vms": st.dictionaries(WORDS, section(VM) | VALUES, max_size=3),
        "defaults": section(["memory", "cpus", "accel"]) | VALUES,
        "extra": VALUES,
    },
)


def flow(value: object) -> str:
    """Write a value as YAML in braces; text is quoted, so that every key and value gets through."""
    match value:
        case dict():
            return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(flow, value)) + "]"
        case _:
            return "'" + str(value).replace("'", "''").replace("\n", " ") + "'"


def judged(text: str, *overrides: str) -> None:
    try:
        loaded = load(text, "p", overrides)
    except Complaints as refused:
        errors = refused.errors
    else:
        assert loaded.plan.vms
        return
    assert errors
    for error in errors:
        assert error.status is Exit.BAD_INPUT
        assert error.where
        assert error.fix
        assert error.where.line >= 1
        assert error.where.column >= 1
        assert not any(hides(one) for one in explain(error).replace("\n", ""))
    assert len({(error.where, error.what) for error in errors}) == len(errors)


@PATIENT
@given(ANY | YAMLISH)
def test_any_text_is_a_plan_or_gets_complaints(text: str) -> None:
    judged(text)


@PATIENT
@given(PLANS | VALUES)
def test_any_tree_is_a_plan_or_gets_complaints(tree: object) -> None:
    judged(flow(tree))


@PATIENT
@given(st.builds("{}={}".format, ANY | st.builds("networks.lan.{}".format, KEYS), ANY | YAMLISH))
def test_any_override_is_taken_or_gets_complaints(override: str) -> None:
    lan = "networks: {lan: {switch: true, subnet: 10.77.0.0/24}}"
    judged(f"name: lab\n{lan}\nvms: {{web: {{nics: [lan]}}}}\n", override)
