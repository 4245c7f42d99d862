"""vmnet ip: what is known of a NIC's addresses, and what is wrong with what was heard."""

from ipaddress import ip_address

from provisioner.check.discovery import NicAddresses, NicObservations, judged

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:66"
A, B, LOCAL = ip_address("10.0.0.2"), ip_address("10.0.0.3"), ip_address("fe80::1")
SUBNETS = ("10.0.0.0/24",)


def told(
    heard: NicObservations, planned: tuple[str, ...] = (), subnets: tuple[str, ...] = SUBNETS
) -> str:
    return " | ".join(f.what for f in found(heard, planned, subnets).findings)


def found(
    heard: NicObservations, planned: tuple[str, ...] = (), subnets: tuple[str, ...] = SUBNETS
) -> NicAddresses:
    return judged(("web", 0, "lan", MAC), heard, planned, subnets)


def test_the_surest_address_comes_first_and_link_local_ones_last() -> None:
    heard = NicObservations(
        {LOCAL: ["x", "y", "z"], B: ["seen"], A: ["seen", "lease", "seen"]}, frames=9
    )
    known = found(heard).addresses
    assert [one.address for one in known] == ["10.0.0.2", "10.0.0.3", "fe80::1"]
    assert known[0].how == ("seen", "lease")


def test_a_nic_with_its_address_has_no_findings() -> None:
    assert not told(NicObservations({A: ["seen"]}, {A: [MAC]}, frames=9), ("10.0.0.2",))


def test_a_guest_that_sends_from_another_mac_hears_no_answer() -> None:
    heard = NicObservations({A: ["its lease"]}, others={OTHER}, frames=9)
    assert told(heard) == (
        f"web sends frames from {OTHER}, its NIC has {MAC}: it receives no answer to them"
    )


def test_an_address_that_two_answer_for_is_told_with_the_other_mac() -> None:
    assert told(NicObservations({A: ["seen"]}, {A: [MAC, OTHER]}, frames=9)) == (
        f"10.0.0.2 of web is used twice: {OTHER} answers for it too"
    )


def test_a_planned_address_that_only_an_impostor_answers_for_is_told() -> None:
    assert told(NicObservations({B: ["seen"]}, {A: [OTHER]}, frames=9), ("10.0.0.2",)) == (
        f"10.0.0.2 of web is used twice: {OTHER} answers for it and web does not"
    )


def test_an_address_of_somebody_else_is_nobodys_business() -> None:
    assert not told(NicObservations({A: ["seen"]}, {B: [OTHER]}, frames=9))


def test_a_silent_guest_and_one_without_a_server_are_told_apart() -> None:
    assert "never sent a frame" in told(NicObservations())
    assert "link-local address only" in told(NicObservations({LOCAL: ["seen"]}, frames=9))
    assert not told(NicObservations({LOCAL: ["seen"]}, frames=9), subnets=())
