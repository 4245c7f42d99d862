"""Bytes that pass through vmnet: to the end of a program, of its reader, or of what feeds it."""

import os
from typing import IO

import pytest

from provisioner.errors import VmnetError
from provisioner.host.system import programs
from provisioner.host.system.spawned import piped


def test_a_silent_program_is_ended_when_nobody_reads_any_more() -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    try:
        with pytest.raises(BrokenPipeError):
            programs.stream(["sleep", "1000"], lambda _: None, ours)
        with pytest.raises(BrokenPipeError):
            piped.run(["sleep", "1000"], None, lambda _: None, lambda _: None, ours)
    finally:
        os.close(ours)


def test_bytes_go_in_and_come_out_as_they_are_with_the_status() -> None:
    data, out, errors = os.urandom(1 << 18), bytearray(), bytearray()
    words = ("sh", "-c", "cat; echo told >&2; exit 7")
    status = piped.run(words, lambda stream: stream.write(data), out.extend, errors.extend)
    assert (status, bytes(out), bytes(errors)) == (7, data, b"told\n")


def test_a_program_need_not_read_what_it_is_fed_and_a_signal_is_its_status() -> None:
    fed = b"x" * (1 << 20)
    words = ("sh", "-c", "kill -TERM $$")
    assert piped.run(words, lambda into: into.write(fed), lambda _: None, lambda _: None) == 143


def test_what_goes_wrong_while_it_is_fed_is_raised() -> None:
    def feed(into: IO[bytes]) -> None:
        into.write(b"half")
        raise VmnetError("the file has changed", fix="copy it again")

    out = bytearray()
    with pytest.raises(VmnetError, match="the file has changed"):
        piped.run(["cat"], feed, out.extend, lambda _: None)
    assert out == b"half"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(VmnetError, match="no-such-program is not installed"):
        piped.run(["no-such-program"], None, lambda _: None, lambda _: None)
