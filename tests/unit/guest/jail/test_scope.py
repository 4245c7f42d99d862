"""What systemd is told to limit a guest's QEMU to."""

import pytest

from provisioner.guest.jail.scope import memory_max, scope_of, start_words
from tests.builders.domain import WEB

MIB = 1 << 20


@pytest.mark.parametrize(("accel", "own_mib"), [("kvm", 512), ("tcg", 1536)])
def test_a_qemu_has_room_beside_its_guests_memory(accel: str, own_mib: int) -> None:
    assert memory_max(256 * MIB, accel) == (256 + own_mib) * MIB


def test_no_two_guests_have_one_scope() -> None:
    assert scope_of("web", "a-b") == "vmnet-web.a-b.scope"
    assert scope_of("web", "a-b") != scope_of("web-a", "b")


def test_the_words_name_the_process_its_limits_and_the_unit_that_ends_before() -> None:
    words = start_words(WEB, 4711, 96 * MIB, "vmnet@lab.service")
    assert words[5:9] == ["StartTransientUnit", "ssa(sv)a(sa(sv))", "vmnet-lab.web.scope", "fail"]
    text = " ".join(words)
    assert " PIDs au 1 4711 " in text
    assert f" MemoryMax t {memory_max(96 * MIB, WEB.accel)} " in text
    assert " Before as 1 vmnet@lab.service " in text


def test_the_words_tell_how_many_properties_follow_and_that_no_other_unit_does() -> None:
    words = start_words(WEB, 1, MIB, "vmnet@lab.service")
    count = int(words[9])
    rest = words[10:]
    for _ in range(count):
        kind = rest[1]
        size = 2 + int(rest[2]) if kind in {"au", "as"} else 2
        del rest[: size + 1]
    assert rest == ["0"]
