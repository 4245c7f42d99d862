"""What is made of an agent's answers, given by a plain function in libvirt's place."""

import base64
import itertools
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from provisioner.errors import VmnetError
from provisioner.host.guest import queries
from provisioner.host.guest.agent import READ, WRITTEN
from provisioner.host.guest.commands import Guests

if TYPE_CHECKING:
    from provisioner.host.libvirt.domains import Domains

NIC = {"name": "e", "hardware-address": "02:00:00:00:00:01", "ip-addresses": [{}, 5, None]}


LASTS_S = 1.5


class Answering:
    """Gives each command's answer by a function of its name and arguments."""

    def __init__(self, answer: Callable[[str, dict[str, object]], str]) -> None:
        self._answer = answer

    def agent(self, _domain: str, command: str, _timeout_s: int) -> str:
        asked = json.loads(command)
        return self._answer(asked["execute"], asked["arguments"])


def guest(answer: Callable[[str, dict[str, object]], str]) -> Guests:
    return Guests(cast("Domains", Answering(answer)), "lab-web")


def returning(value: object) -> Guests:
    return guest(lambda _command, _arguments: json.dumps({"return": value}))


def test_a_guest_that_forbids_programs_is_got_into_by_ssh() -> None:
    def refuse(command: str, _arguments: dict[str, object]) -> str:
        raise VmnetError(f"Command {command} has been disabled: the command is not allowed")

    with pytest.raises(VmnetError) as refused:
        guest(refuse).run_bounded(["/bin/true"], 5)
    assert "does not allow guest-exec" in refused.value.what
    assert "vmnet ssh" in str(refused.value.fix)


@pytest.mark.parametrize("text", ["", "{}", '{"return": NaN}', "[" * 9999, "\x1b[2J"])
def test_what_is_no_answer_is_an_error_with_a_mend(text: str) -> None:
    with pytest.raises(VmnetError) as refused:
        guest(lambda _command, _arguments: text).addresses()
    assert refused.value.what == (
        "the guest agent of lab-web gave an invalid answer to guest-network-get-interfaces"
    )


@pytest.mark.parametrize("value", [None, [], "x", 5, {"pid": "x"}])
def test_a_nonsensical_state_of_a_program_ends_its_wait(value: object) -> None:
    with pytest.raises(VmnetError):
        returning(value).run(["/bin/true"], 0)


@pytest.mark.parametrize("value", [None, {}, [5, None, {}, {"hardware-address": 7}], [NIC] * 9999])
def test_addresses_are_read_from_whatever_is_said(value: object) -> None:
    assert set(returning(value).addresses()) <= {"02:00:00:00:00:01"}


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"buf-b64": "!", "eof": True},
        {"buf-b64": "", "eof": False},
        {"buf-b64": base64.b64encode(bytes(READ + 1)).decode(), "eof": True},
    ],
)
def test_a_piece_of_a_file_that_is_none_is_refused(told: object) -> None:
    with pytest.raises(VmnetError):
        returning(told).file_read(1)


def test_a_file_is_written_in_pieces_that_a_socket_holds() -> None:
    pieces: list[bytes] = []

    def take(_command: str, arguments: dict[str, object]) -> str:
        data = base64.b64decode(str(arguments["buf-b64"]))
        pieces.append(data[: WRITTEN // 2])  # an agent may write less than it is given
        return json.dumps({"return": {"count": len(pieces[-1]), "eof": False}})

    guest(take).file_write(1, bytes(range(256)) * 1000)
    assert b"".join(pieces) == bytes(range(256)) * 1000
    for count in (0, -1, WRITTEN + 1, "5", None):
        with pytest.raises(VmnetError):
            returning({"count": count}).file_write(1, b"x" * WRITTEN)


def test_a_guest_that_answers_nonsense_has_no_words_and_a_problem() -> None:
    words = queries.info(guest(lambda _command, _arguments: '{"return": 1e999}'))
    assert words.hostname == ""
    assert "gave an invalid answer to guest-get-host-name" in words.problem


def test_an_agent_is_asked_the_less_often_the_longer_its_program_runs() -> None:
    began = time.monotonic()
    asked: list[float] = []

    def answer(command: str, _arguments: dict[str, object]) -> str:
        if command == "guest-exec":
            return json.dumps({"return": {"pid": 7}})
        asked.append(time.monotonic() - began)
        ended = {"exited": True, "exitcode": 3} if asked[-1] > LASTS_S else {"exited": False}
        return json.dumps({"return": ended})

    assert guest(answer).run(["/bin/program"], 10).status == 3
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert asked[1] < 0.1  # most programs end at once
    assert len(gaps) < LASTS_S / 0.04  # however quick the start
    assert gaps[-1] > 5 * min(gaps)
    assert asked[-1] < LASTS_S + 1  # and its end is seen soon
