"""What the answers of hosts come to: a status, and what is wrong."""

from provisioner.errors import Exit
from provisioner.fabric.document import as_json
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.remote.answers import HostAnswer
from provisioner.fabric.remote.roll_call import CalledHost, called, problems, status
from tests.builders.fabric import host, nic, placed


def answer(text: str, code: int = 0, stderr: str = "", wrong_s: float = 0.0) -> HostAnswer:
    return HostAnswer(status=code, stdout=text, stderr=stderr, clock_error_s=wrong_s)


WELL = called("h1", "10.9.0.1", answer(as_json(host())))
SKEWED = called("h2", "", answer(as_json(host()).replace('"protocol": 1', '"protocol": 2')))
SILENT = called("h3", "", Silent("no route"))


def test_the_status_says_whether_a_host_is_unknown_or_has_another_vmnet() -> None:
    assert isinstance(WELL.said, HostFacts)
    assert status([WELL]) == Exit.DONE
    assert status([WELL, SILENT]) == Exit.PARTLY_DONE
    assert status([SILENT, SKEWED]) == Exit.HOST_CANNOT


def test_a_vmnet_that_fails_makes_its_host_silent_with_its_first_line() -> None:
    said = called("h1", "", answer("", 2, "no such command\nmore")).said
    assert said == Silent("vmnet host-facts fails there: no such command")


def test_what_is_wrong_is_told_of_each_host_and_network() -> None:
    late = called("h2", "", answer(as_json(host(4096, nic(mtu=9000))), wrong_s=99.4))
    unplugged = CalledHost("h4", "", host(4096, nic(carrier=False)))
    without = CalledHost("h5", "", host(4096, nic("eno9")))
    plan = placed("a: {nics: [lan]}", hosts="h1 h2 h3 h4 h5")
    assert list(problems(plan, [WELL, late, SILENT, unplugged, without])) == [
        "h3 is unknown: no route",
        "the clock of h2 is wrong by 99 s or more",
        "NIC eno1 of h4 has no carrier: network lan ends there",
        "h5 has no NIC eno1 that can carry network lan",
        "network lan has several MTUs: 1500 on h1 and h4 and 9000 on h2; larger frames are lost",
    ]
    assert list(problems(plan, [WELL])) == []
