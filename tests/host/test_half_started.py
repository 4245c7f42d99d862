"""libvirt's records, read while it cannot be opened: what is half started, and what runs."""

import os
from html import escape
from pathlib import Path

import pytest

from provisioner.guest.domain import NAMESPACE, Domain
from provisioner.guest.xml import render
from provisioner.host.libvirt import half_started
from provisioner.host.system import paths

NOBODY = 1 << 22  # above the kernel's highest process number


@pytest.mark.parametrize("runs", [True, False])
def test_a_domain_is_told_from_its_record_while_its_qemu_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    pid = os.getpid() if runs else NOBODY
    monkeypatch.setenv("VMNET_RUN_DIR", str(tmp_path))
    domain = Domain("lab-a", "u", "lab", "a", 128, 1, "tcg", "/c.log", ())
    place = paths.libvirt_root("lab") / "run/qemu"
    place.mkdir(parents=True)
    (place / "lab-a.xml").write_text(
        f"<domstatus state='running' reason='booted' pid='{pid}'><domain>"
        f"<metadata><vmnet:domain xmlns:vmnet='{NAMESPACE}'>{escape(render.to_mark(domain))}"
        "</vmnet:domain></metadata></domain></domstatus>"
    )
    assert [found.name for found, _ in half_started.others("lab")] == ["lab-a"] * runs
