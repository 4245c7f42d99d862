"""Pings in guests' places: they are answered by ends that take pings, and by nobody else."""

from dataclasses import replace

from provisioner.host.probe.place_ping import PlacePing, answered
from tests.host_tools.macvtap_lab import end, lab
from tests.host_tools.namespace import ip
from tests.host_tools.tap_peer import TapEnd


def ping(source: TapEnd, target: TapEnd) -> PlacePing:
    return PlacePing(source.link, source.mac, source.address, target.mac, target.address)


def test_an_end_that_takes_pings_answers_in_the_place_of_another() -> None:
    a, b = end(1), end(2)
    with lab([a, b], "bridge"):
        assert set(answered([ping(a, b), ping(b, a)], 1.0)) == {ping(a, b), ping(b, a)}


def test_who_does_not_answer_pings_or_cannot_be_met_is_silent() -> None:
    a, b, c = end(1), end(2, silent=True), end(3)
    gone = replace(ping(a, c), device="nowhere")
    with lab([a, b, c], "bridge"):
        assert set(answered([ping(a, b), ping(a, c), gone], 0.3)) == {ping(a, c)}
        ip("link set tap1 down")
        assert answered([ping(a, c), gone], 0.3) == {}
    with lab([a, c], "private"):
        assert answered([ping(a, c)], 0.3) == {}
