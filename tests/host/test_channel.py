"""What one process sends another arrives whole, whoever else sends, or not at all."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.host.channel import Channel


def test_values_of_any_size_arrive_whole_from_several_threads() -> None:
    here, there = map(Channel, socket.socketpair())
    sent = [bytes([number]) * (number * 40_000) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        for value in sent:
            threads.submit(here.send, value)
        received = [there.receive() for _ in sent]
    assert sorted(received) == sent
    here.close()
    there.close()


def test_the_end_of_the_other_side_is_told_also_within_a_value() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.sendall(b"\x10" + b"\0" * 7 + b"too little")
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive()
    with pytest.raises(OSError, match="pipe"):
        channel.send("nobody is there")
    channel.close()


def test_a_receiver_hears_that_the_other_side_has_closed() -> None:
    here, there = map(Channel, socket.socketpair())
    ended = threading.Event()

    def receive() -> None:
        with pytest.raises(EOFError):
            there.receive()
        ended.set()

    thread = threading.Thread(target=receive)
    thread.start()
    here.close()
    assert ended.wait(10)
    thread.join()
    there.close()
