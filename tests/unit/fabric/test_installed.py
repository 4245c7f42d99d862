"""What installing vmnet has come to on hosts, from what Ansible tells of its tasks."""

from typing import Any

from provisioner.errors import Exit
from provisioner.fabric.facts import Silent
from provisioner.fabric.remote import installed
from provisioner.fabric.remote.installed import InstalledHost

READY = InstalledHost("h1", ("Copy the wheel",))
LOST = InstalledHost("h2", (), "no route")


def told(**result: object) -> dict[str, Any]:
    return {"task": "Copy the wheel", "task_action": "ansible.builtin.copy", "res": result}


def test_a_task_that_has_changed_something_is_told_by_its_name() -> None:
    assert installed.change(told(changed=True, msg="text of the host")) == "Copy the wheel"
    assert installed.change(told(changed=False)) == ""
    assert installed.change({"task": "Copy the wheel", "res": "text"}) == ""


def test_a_message_of_the_role_is_told_and_is_harmless_to_a_terminal() -> None:
    about = told(changed=True, msg="zstd \x1b[2Jmtools\nx") | {
        "task_action": "ansible.builtin.debug"
    }
    assert installed.change(about) == r"Copy the wheel: zstd \x1b[2Jmtools\nx"


def test_what_differs_is_told_line_by_line_and_is_harmless_to_a_terminal() -> None:
    text = {"before": "one\ntwo\n", "after": "one\n\x1b[2J\n"}
    assert [*installed.differences(told(diff=text))] == ["- two", r"+ \x1b[2J"]
    link = {"before": {"path": "/b", "state": "absent"}, "after": {"path": "/b", "state": "link"}}
    assert [*installed.differences(told(diff=[link]))] == ["- state: absent", "+ state: link"]
    assert [*installed.differences(told(cmd=["pip", "install", "a b"]))] == ["+ pip install 'a b'"]
    long = told(diff={"before": "", "after": "x\n" * 9999})
    assert len([*installed.differences(long)]) == 50
    assert [*installed.differences(told(diff=[{"before": 7}, None]))] == []
    assert [*installed.differences({"res": "text"})] == []


def test_a_failure_has_the_message_and_the_last_lines_of_the_errors() -> None:
    about = told(msg="non-zero return code", stderr="1\n2\n3\n4 \x07\n")
    assert installed.failure(about) == r"Copy the wheel: non-zero return code 2 3 4 \x07"
    assert installed.failure(told(module_stderr="no python")) == "Copy the wheel: no python"


def test_a_host_is_ready_only_when_all_was_done() -> None:
    assert installed.ended("h1", ["Copy the wheel"], None, is_over=True) == READY
    assert installed.ended("h2", [], Silent("no route"), is_over=True) == LOST
    cut = installed.ended("h1", [], None, is_over=False)
    assert cut.why == "it has not come to an end in time"


def test_the_status_is_4_where_no_host_is_ready_and_6_where_some_are() -> None:
    assert [error.status for error in installed.complaints([LOST])] == [Exit.HOST_CANNOT]
    assert [error.status for error in installed.complaints([READY, LOST])] == [Exit.PARTLY_DONE]
    assert installed.complaints([READY]) == []


def test_a_host_that_needs_nothing_says_so() -> None:
    assert installed.summary(InstalledHost("h1"), is_check=False) == "h1: nothing to change"
    assert installed.summary(READY, is_check=False) == "h1: 1 change made"
    assert installed.summary(READY, is_check=True) == "h1: 1 change to make"
