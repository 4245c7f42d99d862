"""A step fails: what does not depend on it goes on, or all that was made is taken away again."""

from pathlib import Path

from tests.framework.lab import Lab

# QEMU refuses b's kernel: a file that is none.
PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms:
  a: {nics: [lan]}
  b: {nics: [lan], image: none, kernel: ./junk, memory: 96M}
"""


def plan(lab: Lab) -> Path:
    (lab.directory / "junk").write_bytes(b"no kernel")
    return lab.plan(PLAN)


def test_the_others_come_up_and_the_report_says_which_does_not(lab: Lab) -> None:
    path = plan(lab)
    assert lab.vmnet("plan", path, "--exit-code", status=5).stdout.endswith("steps to do\n")
    report = lab.vmnet("up", path, "--json", status=6).report
    assert [f["step"] for f in report["failed"]] == [f"create domain {lab.name}-b: new"]
    assert {vm["name"]: vm["state"] for vm in report["vms"]} == {"a": "running", "b": "not there"}
    assert report["to_do"] == [f"create domain {lab.name}-b: missing"]
    assert lab.vmnet("status", path, "--exit-code", "--json", status=5).report["summary"] == (
        "1 step to do"
    )

    running = lab.qemus()
    again = lab.vmnet("up", path, "--all-or-nothing", status=6)
    assert "what this run has made is taken away again" in again.stderr
    assert lab.qemus() == running
    lab.vmnet("down", path)
    assert lab.vmnet("status", "--name", lab.name, "--exit-code").stdout.endswith("nothing to do\n")


def test_all_or_nothing_leaves_nothing_of_a_first_run(lab: Lab) -> None:
    ran = lab.vmnet("up", plan(lab), "--all-or-nothing", "--json", status=4)
    assert ran.report["done"] == []
    assert [f["step"] for f in ran.report["failed"]] == [f"create domain {lab.name}-b: new"]
    assert lab.snapshot() == lab.before


def test_a_host_that_would_swap_is_left_alone(lab: Lab) -> None:
    path = lab.plan(PLAN.replace("image: none, kernel: ./junk, memory: 96M", "memory: 900G"))
    for words in (("plan", path), ("up", path)):
        refused = lab.vmnet(*words, status=4).stderr
        assert f"{path}:5:" in refused
        assert "MiB too few" in refused
    assert lab.snapshot() == lab.before
