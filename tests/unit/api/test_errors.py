"""What the API raises is a VmnetError, with its place and its fix in the message."""

import pytest

from provisioner.api import ExecFailedError, ExecResult, LabError, PlanRefusedError, VmnetError
from provisioner.api.errors import raised
from provisioner.errors import Complaints, Exit, Where, bad_input

WHERE = Where("plan.yaml", 3, 7)


def test_an_error_has_its_place_and_its_fix_in_its_message() -> None:
    with pytest.raises(LabError) as caught, raised():
        raise bad_input("no such mode", "use bridge").at(WHERE)
    assert str(caught.value) == "plan.yaml:3:7: no such mode\n  fix: use bridge"
    assert (caught.value.status, caught.value.where) == (Exit.BAD_INPUT, WHERE)


def test_a_refused_plan_tells_all_that_is_wrong_and_is_an_error_of_vmnet() -> None:
    errors = [bad_input("one", "first"), bad_input("two", "second")]
    with pytest.raises(PlanRefusedError) as caught, raised():
        raise Complaints(errors)
    assert isinstance(caught.value, VmnetError)
    assert str(caught.value) == "one\n  fix: first\ntwo\n  fix: second"
    assert caught.value.errors == tuple(errors)


def test_a_file_that_cannot_be_used_is_an_error_of_vmnet() -> None:
    with pytest.raises(LabError, match="cannot use /x: Permission denied"), raised():
        raise PermissionError(13, "Permission denied", "/x")


def test_a_bug_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), raised():
        raise ZeroDivisionError


def test_a_program_that_failed_is_told_with_what_it_said() -> None:
    error = ExecFailedError("web", ("test", "-e", "/x"), ExecResult(2, "out", "bad\n"))
    assert str(error) == (
        "test -e /x in web has ended with status 2\n  fix: look at what it says: bad"
    )
    assert error.result.stdout == "out"
