"""What is believed of a host's answer, and what is not."""

import pytest

from provisioner.fabric.facts import Silent
from provisioner.fabric.remote.answers import (
    MOST_ANSWER,
    HostAnswer,
    Request,
    answered,
    unreachable,
)

WELL = {"rc": 0, "stdout": '{"a": 1}', "stderr": "", "clock": 1000.0, "seconds": 0.5}


def test_an_answer_has_the_status_the_document_and_the_time() -> None:
    said = answered(WELL | {"changed": True}, 999.0, 1002.0)
    assert said == HostAnswer(
        status=0,
        stdout='{"a": 1}',
        stderr="",
        document={"a": 1},
        seconds=0.5,
        clock=1000.0,
        changed=True,
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rc": True}, "it has returned no answer of vmnet"),
        ({"rc": "0", "msg": "no"}, "no"),
        ({"rc": None, "msg": "MODULE FAILURE", "module_stderr": "sh: python3"}, "sh: python3"),
        ({"stdout": {"a": 1}}, "it has returned no answer of vmnet"),
        ({"rc": 300}, "300, which is no exit status"),
        ({"rc": 124}, "has not come to an end in time"),
        ({"stdout": "x" * (MOST_ANSWER + 1)}, "longer than"),
    ],
)
def test_what_is_no_answer_makes_a_host_silent(changed: dict[str, object], why: str) -> None:
    said = answered(WELL | changed, 999.0, 1002.0)
    assert isinstance(said, Silent)
    assert why in said.why


@pytest.mark.parametrize("said", [None, [], "text", 3])
def test_what_is_no_object_makes_a_host_silent(said: object) -> None:
    assert answered(said, 0.0, 1.0) == Silent("it has returned nothing")


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}', "[1]", '{"a": NaN}', "[" * 100_000])
def test_what_is_not_strictly_one_json_object_is_no_document(text: str) -> None:
    said = answered(WELL | {"stdout": text}, 999.0, 1002.0)
    assert isinstance(said, HostAnswer)
    assert said.document is None


def test_no_text_of_a_host_reaches_a_terminal_as_it_is() -> None:
    said = answered(
        WELL | {"stdout": '{"a": "\\u001b[2J"}', "stderr": "\x1b]0;x\x07"}, 999.0, 1002.0
    )
    assert isinstance(said, HostAnswer)
    assert said.document
    assert "\x1b" not in f"{said.document['a']}{said.stdout}{said.stderr}"
    assert "\x1b" not in unreachable({"msg": "\x1b[2J"}).why


@pytest.mark.parametrize(
    ("clock", "error_s", "wrong"),
    [(1000.0, 0.0, False), (996.0, 3.0, False), (900.0, 99.0, True), (1100.0, 98.0, True)],
)
def test_a_clock_is_wrong_by_what_no_delay_can_explain(
    clock: float, error_s: float, *, wrong: bool
) -> None:
    said = answered(WELL | {"clock": clock}, 999.0, 1002.0)
    assert isinstance(said, HostAnswer)
    assert (said.clock_error_s, said.has_wrong_clock) == (error_s, wrong)


def test_a_host_that_cannot_be_reached_is_silent_with_the_reason() -> None:
    said = unreachable({"msg": "Warning: added\nssh: connect to host h1 port 22: No route to host"})
    assert said == Silent("ssh: connect to host h1 port 22: No route to host")
    assert unreachable({"msg": 3}) == Silent("it cannot be reached")


def test_ansibles_own_prefix_says_nothing_about_a_host() -> None:
    assert unreachable({"msg": "Task failed: Broken pipe"}) == Silent("Broken pipe")


def test_the_plan_of_a_request_is_not_shown() -> None:
    assert "secret" not in repr(Request(("up",), plan="password: secret"))
