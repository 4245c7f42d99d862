"""By which signs a guest is ready, and how each is read."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.check import readiness
from provisioner.check.readiness import (
    AgentSeen,
    GuestState,
    Sign,
    SignKind,
    SignState,
    WireSeen,
)
from provisioner.image.traits import ImageTraits
from provisioner.plan.load.loader import load
from provisioner.plan.vm import Vm

MICRO = ImageTraits(agent=True, cloud_init=False)
BARE = ImageTraits(agent=False, cloud_init=False)
BARE_CLOUD = ImageTraits(agent=False, cloud_init=True)
CLOUD = ImageTraits(agent=True, cloud_init=True)
# /proc/net/tcp of a Linux guest: 22 listens, 80 is an established connection.
SOCKETS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:0
"""


def vm(words: str = "") -> Vm:
    lan = "networks: {lan: {switch: true, subnet: 10.77.0.0/24}}"
    return load(f"name: lab\n{lan}\nvms: {{a: {{nics: [lan]{words}}}}}\n", "p", ()).plan.vms[0]


@pytest.mark.parametrize(
    ("words", "image", "signs"),
    [
        ("", MICRO, [Sign(SignKind.AGENT)]),
        ("", BARE, [Sign(SignKind.ADDRESS)]),
        ("", BARE_CLOUD, [Sign(SignKind.ADDRESS)]),
        ("", CLOUD, [Sign(SignKind.CLOUD_INIT)]),
        (", ready: started", MICRO, [Sign(SignKind.STARTED)]),
        (", ready: [ssh, tcp/80, ssh]", MICRO, [Sign(SignKind.SSH, 22), Sign(SignKind.TCP, 80)]),
        (', ready: "command test -e /x"', MICRO, [Sign(SignKind.COMMAND, line="test -e /x")]),
    ],
)
def test_a_plan_decides_and_else_the_image(
    words: str, image: ImageTraits, signs: list[Sign]
) -> None:
    assert list(readiness.signs(vm(words), image)) == signs


def test_only_a_guest_with_an_agent_and_no_wish_is_waited_for_as_ever() -> None:
    assert readiness.usual(vm(), MICRO)
    assert not readiness.usual(vm(", ready: agent"), MICRO)
    assert not readiness.usual(vm(), BARE)


def test_signs_are_told_as_a_plan_spells_them() -> None:
    words = ["started", "agent", "address", "ssh", "tcp/80", "cloud-init", "command x y"]
    assert [str(readiness.read(word)) for word in words] == words


def test_a_long_command_is_cut_off_where_it_is_shown() -> None:
    assert str(readiness.read(f"command {'x' * 61}")) == f"command {'x' * 59}…"


def test_only_a_guest_can_say_of_some_signs_whether_they_hold() -> None:
    assert {kind.value for kind in SignKind if readiness.needs_agent(Sign(kind))} == {
        "agent",
        "cloud-init",
        "command",
    }


def test_a_listening_port_is_found_in_both_tables() -> None:
    found = {port: readiness.listens(SOCKETS, port) for port in (22, 80, 8080, 40000)}
    assert found == {22: True, 80: False, 8080: True, 40000: False}


@pytest.mark.parametrize(
    ("result", "held"),
    [
        ("", SignState(ok=False, why="it has not ended")),
        ('{"v1": {"datasource": "NoCloud", "err', SignState(ok=False, why="it has not ended")),
        ("[1]", SignState(ok=False, why="it has not ended")),
        ('{"v1": {"errors": []}}', SignState(ok=True)),
        ("disabled\n", SignState(ok=False, why="it is disabled in the guest", over=True)),
        (
            '{"v1": {"errors": ["no \\u001b[2J", 5, ["x"], "more"]}}',
            SignState(ok=False, why="it ended with errors: no \\x1b[2J; 5; ['x']", over=True),
        ),
        ('{"v1": {"errors": "x"}}', SignState(ok=False, why="it ended with errors: x", over=True)),
    ],
)
def test_cloud_inits_result_is_judged(result: str, held: SignState) -> None:
    assert readiness.cloud_init(result) == held


@given(st.text())
def test_whatever_is_said_for_a_result_is_judged(text: str) -> None:
    assert readiness.cloud_init(text).why.isprintable()
    assert not readiness.listens(text, 0)


def test_all_that_is_missing_is_told() -> None:
    left = {
        Sign(SignKind.SSH, 22): SignState(ok=False, why="no"),
        Sign(SignKind.AGENT): SignState(ok=False),
    }
    assert readiness.missing(left) == "ssh: no; agent"


ON_NO_WIRE = "; it does not answer on the wire either"
OWN = (ip_address("10.0.0.9"), ip_address("fd00::9"))
SILENT_AGENTS = st.builds(
    AgentSeen,
    answers=st.sampled_from([False]),
    connected=st.booleans(),
    state=st.sampled_from(["running", "paused", "not there"]),
    stopped=st.sampled_from([0, 17]),
    error=st.sampled_from(["", "it hangs"]),
)
WIRES = st.builds(
    WireSeen,
    asked=st.just(OWN),
    answered=st.lists(st.sampled_from(OWN), unique=True).map(tuple),
    failed=st.sampled_from(["", "the uplink is down"]),
)


@given(SILENT_AGENTS, WIRES)
def test_only_who_was_seen_to_answer_on_the_wire_is_measured_at_its_macvtap(
    agent: AgentSeen, wire: WireSeen
) -> None:
    guest = readiness.judged("b", agent, wire)
    assert guest.state is (GuestState.NO_AGENT if wire.answered else GuestState.SILENT)
    assert guest.state.is_up == bool(wire.answered)
    assert guest.state.is_down != guest.state.is_up
    assert [f"who has {a}: its own MAC answered" in guest.evidence for a in OWN] == [
        a in wire.answered for a in OWN
    ]


@pytest.mark.parametrize(
    ("agent", "wire", "why", "fix"),
    [
        (
            AgentSeen(answers=False, connected=True),
            WireSeen(OWN),
            (
                "its guest agent does not answer, though libvirt says it is connected; "
                "it does not answer on the wire either"
            ),
            "look at what it said: vmnet logs b",
        ),
        (
            AgentSeen(answers=False, connected=True, stopped=17),
            WireSeen(OWN),
            (
                "its guest agent does not answer: its QEMU, process 17, is stopped (state T); "
                "it does not answer on the wire either"
            ),
            "let its QEMU run on: kill -CONT 17",
        ),
        (
            AgentSeen(answers=False, connected=True, state="paused"),
            WireSeen(OWN, failed="nic0 is down"),
            (
                "its guest agent does not answer: libvirt says that it is paused; "
                "nobody could ask it on the wire: nic0 is down"
            ),
            "look at what it said: vmnet logs b",
        ),
        (
            AgentSeen(answers=False, state="", error="libvirt has not asked it after 5 s"),
            WireSeen(OWN),
            "its guest agent does not answer: libvirt has not asked it after 5 s" + ON_NO_WIRE,
            "look at what it said: vmnet logs b",
        ),
        (
            AgentSeen(answers=False),
            WireSeen(),
            (
                "its guest agent does not answer, and libvirt says it is not connected; "
                "it has no address to ask for on the wire"
            ),
            "look at what it said: vmnet logs b",
        ),
        (
            AgentSeen(answers=False, connected=True),
            WireSeen(OWN, OWN[:1]),
            "its guest agent does not answer, though libvirt says it is connected",
            "look at the guest: vmnet console b; its image needs qemu-guest-agent",
        ),
    ],
)
def test_a_silent_guest_is_told_with_what_was_seen(
    agent: AgentSeen, wire: WireSeen, why: str, fix: str
) -> None:
    guest = readiness.judged("b", agent, wire)
    assert (guest.why, guest.fix) == (why, fix)


@pytest.mark.parametrize(
    ("seen", "awaited"),
    [
        (AgentSeen(answers=False), True),
        (AgentSeen(answers=False, connected=True), False),
        (AgentSeen(answers=False, stopped=17), False),
        (AgentSeen(answers=False, state="paused"), False),
    ],
)
def test_only_an_agent_that_has_not_opened_its_port_may_yet_come(
    seen: AgentSeen, awaited: object
) -> None:
    assert seen.is_awaited is awaited
