"""What hosts of a plan tell of themselves: of one whose vmnet fails, nothing is known."""

from provisioner.commands.fabric.fleet import Ask, facts_of
from provisioner.fabric.document import as_json
from provisioner.fabric.facts import HostFacts, Silent
from provisioner.fabric.remote.answers import HostAnswer
from tests.builders.fabric import host


def answering(**answers: HostAnswer | Silent) -> Ask:
    return lambda _: answers


def test_a_host_whose_vmnet_fails_is_silent_with_the_reason_and_keeps_no_other_from_work() -> None:
    fails = HostAnswer(4, "", "cannot look at the links: Bad file descriptor\n  fix: …\n")
    works = HostAnswer(0, as_json(host()), "")
    found = facts_of(["h1", "h2"], answering(h1=fails, h2=works))
    assert found["h1"] == Silent(
        "vmnet host-facts fails there: cannot look at the links: Bad file descriptor"
    )
    assert isinstance(found["h2"], HostFacts)
