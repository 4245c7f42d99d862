"""What a guest's agent answers is hostile: it never breaks anything, and never grows."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.guest import agent_info
from provisioner.guest.agent_info import AgentNic, GuestDisk, GuestInfo
from provisioner.text import hides

QUESTIONS = (
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
    "guest-get-users",
)
NIC = {
    "name": "eth0",
    "hardware-address": "02:00:00:00:00:01",
    "ip-addresses": [{"ip-address": "10.0.0.1", "ip-address-type": "ipv4", "prefix": 24}],
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300)
keys = st.text(max_size=5) | st.sampled_from(
    ["host-name", "pretty-name", "name", "hardware-address", "ip-addresses", "ip-address", "user"]
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=30
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        "\ufeff{}",
        '{"return": ' + "9" * 5000 + "}",
        '{"return": 123456789012345678901}',
        '{"return": 1e999}',
        '{"return": NaN}',
        '{"return": -Infinity}',
        '{"return": 1, "return": 2}',
        '{"return": {"a": 1, "a": 2}}',
        "[" * 100_000,
        '{"error": {}}',
        "[]",
        '"return"',
    ],
)
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        agent_info.returned(text)


def test_what_is_an_answer_is_given() -> None:
    assert agent_info.returned('{"return": {"a": [1, 2.5, null, true]}}') == {
        "a": [1, 2.5, None, True]
    }


def test_a_guests_words_are_put_together() -> None:
    answers = {
        "guest-get-host-name": {"host-name": "web"},
        "guest-get-osinfo": {"pretty-name": "Debian 12", "kernel-release": "6.1"},
        "guest-network-get-interfaces": [{"name": "lo", "hardware-address": "0" * 17}, NIC],
        "guest-get-fsinfo": [{"mountpoint": "/", "used-bytes": 5 << 30, "total-bytes": 20 << 30}],
        "guest-get-users": [{"user": "root"}, {"user": "root"}],
    }
    words = agent_info.read(answers, "0.10 0.20 3.00 1/80 1234\n")
    assert words == GuestInfo(
        hostname="web",
        os="Debian 12",
        kernel="6.1",
        load=(0.1, 0.2, 3.0),
        nics=(AgentNic("eth0", "02:00:00:00:00:01", ("10.0.0.1",), ("10.0.0.1/24",)),),
        disks=(GuestDisk("/", 5 << 30, 20 << 30),),
        users=("root",),
    )
    assert agent_info.cells(words) == (
        "web",
        "Debian 12",
        "6.1",
        "0.1 0.2 3",
        "/ 25% of 20G",
        "10.0.0.1",
    )


def test_ten_thousand_cards_are_a_few() -> None:
    words = agent_info.read({"guest-network-get-interfaces": [NIC] * 10_000})
    assert len(words.nics) == agent_info.MOST
    many = NIC | {"ip-addresses": NIC["ip-addresses"] * 10_000}  # type: ignore[operator]
    (card,) = agent_info.read({"guest-network-get-interfaces": [many]}).nics
    assert len(card.addresses) == agent_info.MOST


def test_addresses_that_nobody_can_be_reached_at_are_left_out() -> None:
    told = [{"ip-address": a} for a in ("127.0.0.1", "fe80::1", "224.0.0.1", "10.0.0.1\x1b", "x")]
    words = agent_info.read({"guest-network-get-interfaces": [NIC | {"ip-addresses": told}]})
    assert words.nics == (AgentNic("eth0", "02:00:00:00:00:01", ()),)


def test_a_hostile_name_is_shown_and_does_nothing() -> None:
    name = "\x1b]52;c;x\x07::error::\n\u202e" + "x" * 1000
    shown = agent_info.read({"guest-get-host-name": {"host-name": name}}).hostname
    assert shown.startswith("\\x1b]52;c;x\\x07::error::\\n\\u202ex")
    assert len(shown) == 80


@given(st.dictionaries(st.sampled_from(QUESTIONS), anything), st.text(max_size=80))
def test_whatever_is_answered_gives_words_of_a_bounded_size(
    answers: dict[str, object], loadavg: str
) -> None:
    words = agent_info.read(answers, loadavg)
    text = json.dumps(asdict(words), allow_nan=False)
    assert len(text) < 1 << 20
    assert not any(hides(character) for cell in agent_info.cells(words) for character in cell)


@given(anything)
def test_the_addresses_of_all_devices_are_told_whatever_is_answered(answer: object) -> None:
    assert all(len(one) <= 80 for one in agent_info.addresses(answer))


def test_an_address_counts_on_whatever_device_it_is() -> None:
    lo = {"name": "lo", "hardware-address": "00:00:00:00:00:00"}
    lo["ip-addresses"] = [{"ip-address": x} for x in ("127.0.0.1", "10.0.0.2")]  # type: ignore[assignment]
    assert list(agent_info.addresses([lo, NIC])) == ["10.0.0.2", "10.0.0.1"]
    assert [nic.addresses for nic in agent_info.nics([lo, NIC])] == [("10.0.0.1",)]
