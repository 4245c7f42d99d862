"""What `status --watch` tells, within two seconds of its happening."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.framework.lab import ONE, Lab, until
from tests.framework.plan import brought_up
from tests.framework.running import Running

EVERY_S = "600"  # so that only what happens is told


@contextmanager
def watching(lab: Lab, *words: str) -> Iterator[Running]:
    running = lab.start("status", *words, "--watch", "--every", EVERY_S)
    try:
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        running.finished(130)


def test_what_happens_to_links_and_guests_is_told_at_once_and_as_one_document_a_line(
    lab: Lab,
) -> None:
    plan = brought_up(lab, ONE)
    domain, pid, tap = f"{lab.name}-a", plan.qemus[f"{lab.name}-a"], plan.tap("a")
    path = str(plan.path)
    with watching(lab, path) as text, watching(lab, path, "--json") as js:

        def told(line: str) -> None:
            until(lambda: line in text.stdout, f"it tells {line!r}, but: {text.stdout}")

        told(f"a: running (process {pid})\n")
        lab.ip("link", "set", tap, "down")
        told("up would: update macvtap a.lan: is down")
        lab.ip("link", "set", tap, "up")
        told("no more: update macvtap a.lan: is down")
        os.kill(pid, signal.SIGSTOP)
        told(f"a: running (process {pid}) -> frozen (its process is in state T) (process {pid})")
        os.kill(pid, signal.SIGCONT)
        told(f"(process {pid}) -> running (process {pid})")
        root = f"qemu:///embed?root=/run/vmnet/{lab.name}"
        # A look may have the libvirt open that is embedded in it.
        lab.run(
            "flock", f"/run/vmnet/{lab.name}.lock", "virsh", "-q", "-c", root, "suspend", domain
        )
        told(f"up would: update domain {domain}: it is paused")
        until(lambda: '"paused"' in js.stdout, "the documents tell it too")
        os.kill(pid, signal.SIGKILL)
        told(f"up would: create domain {domain}: missing")
        until(lambda: '"not there"' in js.stdout or '"ended"' in js.stdout, "the documents tell it")
        states = [
            [vm["state"] for vm in json.loads(line)["vms"]] for line in js.stdout.splitlines()
        ]
        assert states[0] == ["running"]
        assert ["paused"] in states
    assert text.stdout.count("\n") < 25  # nothing is told twice
