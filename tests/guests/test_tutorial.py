"""The tutorial, as a reader would follow it: its plans are written, its commands are run.

What the pages show below a command has to be printed by it. Times, numbers of processes, addresses
and names of devices may differ, and a page may leave out lines, and parts of a line by "…".
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.framework.lab import REPOSITORY, Lab
from tests.framework.running import Ran
from tests.framework.wire import cabled_nic

PAGES = REPOSITORY / "docs" / "tutorial"
BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIFFERS = {
    r"\d+(\.\d+)? m?s\b": "TIME",
    r"\d+\.\d+\.\d+\.\d+": "IPV4",
    r"\bfd77::[0-9a-f]+": "IPV6",
    r"/dev/tap\d+": "TAP",
    r"\b\d{2,}\b": "NUMBER",
    r"\s+": " ",
}


def normal(line: str) -> str:
    for pattern, word in DIFFERS.items():
        line = re.sub(pattern, word, line)
    return line.strip()


def is_shown(line: str, printed: str) -> bool:
    parts = (re.escape(normal(part)) for part in line.split("…"))
    wanted = re.compile(".*".join(parts))
    return any(wanted.search(normal(each)) for each in printed.splitlines())


def commands(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Give each command of a block: its words, its exit status, the lines below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *below = part.splitlines()
        command, _, remark = line.partition("  #")
        status = re.fullmatch(r" ends with (\d+)", remark)
        yield command.strip(), int(status[1]) if status else 0, below


def followed(page: Path, lab: Lab, plan: str, nics: dict[str, str]) -> None:
    """Do what a page says, with names of the lab's for its plan and for the NICs that it names."""
    lab.plans.add(lab.name)
    written = lab.directory / "vmnet.yaml"
    its_own, the_labs = f"name: {plan}\n", f"name: {lab.name}\n"
    told = {lab.name: plan, **{ours: its for its, ours in nics.items()}}
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "yaml":
            written.write_text(renamed(text, nics | {its_own: the_labs}))
            continue
        for command, status, below in commands(text):
            ran = called(lab, renamed(command, nics), status)
            printed = renamed(ran.stdout + ran.stderr, told)
            missing = [line for line in below if not is_shown(line, printed)]
            assert not missing, f"$ {command}\n{printed}"
            if command.startswith("vmnet init"):
                written.write_text(renamed(written.read_text(), {its_own: the_labs}))


def renamed(text: str, names: dict[str, str]) -> str:
    for old, new in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(old, new)
    return text


def called(lab: Lab, command: str, status: int) -> Ran:
    program, *words = shlex.split(command)
    assert program == "vmnet", f"the tutorial runs {program}, which this test does not know"
    return lab.vmnet(*words, status=status)


def test_the_first_part_of_the_tutorial_does_what_it_says(lab: Lab) -> None:
    with lab.settled():
        followed(PAGES / "first-pair.md", lab, "pair", {})


def test_the_second_part_of_the_tutorial_does_what_it_says(lab: Lab) -> None:
    with cabled_nic(lab, "192.168.1.1/24", host=("192.168.1.10/24",)) as wire, lab.settled():
        followed(PAGES / "your-own-nic.md", lab, "mine", {"eno1": wire.name})


@pytest.mark.parametrize(
    ("line", "printed", "is_there"),
    [
        ("pair: all 12 measurements in 3.4 s", "pair: all 12 measurements in 10 s\n", True),
        ("a   running  12345", "x\na running 99\n", True),
        ("ok  eno1 (…): can carry guests", "ok eno1 (veth): can carry guests", True),
        ("a  · isolated", "a  ✓ 4.5 ms", False),
        ("ok  eno1 (…): can carry guests", "lacking eno1 (veth): cannot", False),
    ],
)
def test_what_a_page_shows_is_told_from_what_it_does_not(
    line: str,
    printed: str,
    is_there: bool,  # noqa: FBT001
) -> None:
    assert is_shown(line, printed) == is_there
