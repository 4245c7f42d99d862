"""vmnet ip: what is known of a NIC's addresses, and what is wrong with what was observed."""

from dataclasses import replace
from ipaddress import ip_address

from provisioner.check.discovery import Known, NicAddresses, NicObservations, judged
from provisioner.check.result import Finding
from provisioner.plan.ip import Address

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:66"
A, B, LOCAL = ip_address("10.0.0.2"), ip_address("10.0.0.3"), ip_address("fe80::1")
NIC = NicAddresses("web", 0, "lan", MAC)
RIVAL = "give web another address, or find that machine and take the address from it"


def found(
    observed: NicObservations, planned: tuple[Address, ...] = (), *, has_subnet: bool = True
) -> tuple[Finding, ...]:
    return judged(NIC, replace(observed, planned=planned), has_subnet=has_subnet).findings


def test_the_surest_address_comes_first_and_link_local_ones_last() -> None:
    observed = NicObservations(
        (),
        {LOCAL: ["x", "y", "z"], B: ["seen", "seen", "seen"], A: ["seen", "lease", "seen"]},
        frames=9,
    )
    assert judged(NIC, observed, has_subnet=True) == NicAddresses(
        "web",
        0,
        "lan",
        MAC,
        (
            Known("10.0.0.2", ("seen", "lease")),
            Known("10.0.0.3", ("seen",)),
            Known("fe80::1", ("x", "y", "z")),
        ),
    )


def test_a_nic_with_its_address_has_no_findings() -> None:
    assert not found(NicObservations((), {A: ["seen"]}, {A: [MAC]}, frames=9), (A,))


def test_a_guest_that_sends_from_other_macs_receives_no_answer() -> None:
    third = "02:00:00:00:00:77"
    observed = NicObservations((), {A: ["its lease"]}, others={third, OTHER}, frames=9)
    assert found(observed) == (
        Finding(
            f"web sends frames from {OTHER}, {third}, its NIC has {MAC}: it receives no answer to "
            "them",
            "give the NIC its MAC back inside web, or write that MAC into the plan",
            (f"frames from {OTHER}, {third} have left the macvtap of web",),
            "web",
        ),
    )


def test_an_address_that_others_answer_for_too_is_reported_with_their_macs() -> None:
    third = "02:00:00:00:00:77"
    assert found(NicObservations((), {A: ["seen"]}, {A: [MAC, OTHER, third]}, frames=9)) == (
        Finding(
            f"10.0.0.2 of web is used twice: {OTHER}, {third} answers for it too",
            RIVAL,
            (f"who has 10.0.0.2: {MAC}, {OTHER}, {third}",),
            "web",
        ),
    )


def test_a_planned_address_that_only_an_impostor_answers_for_is_reported() -> None:
    assert found(NicObservations((), {B: ["seen"]}, {A: [OTHER]}, frames=9), (A,)) == (
        Finding(
            f"10.0.0.2 of web is used twice: {OTHER} answers for it and web does not",
            RIVAL,
            (f"who has 10.0.0.2: {OTHER}",),
            "web",
        ),
    )


def test_an_address_of_somebody_else_is_nobodys_business() -> None:
    assert not found(NicObservations((), {A: ["seen"]}, {B: [OTHER]}, frames=9))


def test_a_guest_that_has_never_sent_a_frame_is_reported() -> None:
    assert found(NicObservations()) == (
        Finding(
            "web has never sent a frame: it has not booted, or knows nothing of its NIC",
            "look at what it said: vmnet logs web",
            about="web",
        ),
    )
    assert not found(NicObservations(frames=1))
    assert not found(NicObservations((), {A: ["seen"]}))


def test_a_guest_with_a_link_local_address_only_lacks_a_server() -> None:
    observed = NicObservations((), {LOCAL: ["seen"]}, frames=9)
    assert found(observed) == (
        Finding(
            "web has a link-local address only: nobody has given it another",
            "look at the DHCP server and the router advertisements of that network",
            about="web",
        ),
    )
    assert not found(observed, has_subnet=False)


def test_a_link_local_address_of_the_plans_is_an_address() -> None:
    planned = ip_address("169.254.77.9")
    observed = NicObservations((), {LOCAL: ["x", "y"], planned: ["the agent"]}, frames=9)
    assert found(observed, (planned,)) == ()
    known = judged(NIC, replace(observed, planned=(planned,)), has_subnet=True).addresses
    assert [one.address for one in known] == [str(planned), str(LOCAL)]
    assert found(observed, ()) == (
        Finding(
            "web has a link-local address only: nobody has given it another",
            "look at the DHCP server and the router advertisements of that network",
            about="web",
        ),
    )
