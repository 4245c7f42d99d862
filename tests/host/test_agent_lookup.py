"""Looks at guests' agents, one of which may hang."""

import queue
import threading

from provisioner.host.guest.agent_lookup import AgentLooks

NEVER = 10.0


def test_those_that_answer_are_returned_though_another_hangs() -> None:
    late: queue.SimpleQueue[str] = queue.SimpleQueue()
    hangs = threading.Event()
    looks = AgentLooks(late.put)
    asked = {"a": lambda: True, "b": lambda: False, "c": lambda: hangs.wait(NEVER)}
    assert looks.connected(asked) == ["a"]
    hangs.set()
    assert late.get(timeout=NEVER) == "c"


def test_a_vm_whose_look_hangs_is_not_looked_at_again() -> None:
    hangs = threading.Event()
    begun: list[int] = []

    def look() -> bool:
        begun.append(1)
        return hangs.wait(NEVER)

    looks = AgentLooks(lambda _: None)
    assert looks.connected({"a": look}) == looks.connected({"a": look}) == []
    assert len(begun) == 1
    hangs.set()
