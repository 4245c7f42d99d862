"""What a host tells another of a guest, and what the other refuses to believe."""

import json
from dataclasses import replace
from typing import Any

import pytest

from provisioner.errors import VmnetError
from provisioner.guest.moving.offer import GuestOffer, Keys, as_line, from_line, missing_flags
from tests.builders.domain import SEEDED_KVM, WEB

OFFER = GuestOffer(
    vm="web",
    plan="name: lab\nvms: {web: {}}\n",
    xml="<domain/>",
    domain=SEEDED_KVM,
    keys=Keys("ssh-ed25519 AAAA me\n", "private\nlines\n", "host key\n", "host pub\n"),
    cpu_flags=frozenset({"sse2", "avx512f"}),
)


def changed(**values: object) -> str:
    return json.dumps(json.loads(as_line(OFFER)) | values)


def test_an_offer_comes_as_it_was_sent_on_one_line() -> None:
    line = as_line(OFFER)
    assert "\n" not in line
    assert from_line(line) == OFFER


def test_another_protocol_is_refused_with_what_mends_it() -> None:
    with pytest.raises(VmnetError, match="offers by protocol 2, and this one knows 1") as raised:
        from_line(changed(protocol=2))
    assert "same version" in (raised.value.fix or "")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{" * 100_000,
        changed(plan=7),
        changed(cpu_flags="sse2"),
        changed(cpu_flags=[1]),
        changed(mark="{}"),
        changed(vm="db"),
        changed(vm="../etc"),
    ],
)
def test_what_is_no_offer_is_refused(line: str) -> None:
    with pytest.raises(VmnetError):
        from_line(line)


def test_a_guest_under_kvm_needs_what_it_has_seen_of_its_processor() -> None:
    error = missing_flags(OFFER, frozenset({"sse2"}))
    assert error
    assert "lacks what the guest web has seen: avx512f" in error.what
    assert missing_flags(OFFER, frozenset({"sse2", "avx512f", "more"})) is None


def test_a_guest_that_is_emulated_needs_nothing_of_the_processor() -> None:
    emulated: Any = replace(OFFER, domain=WEB, cpu_flags=frozenset())
    assert missing_flags(emulated, frozenset()) is None
