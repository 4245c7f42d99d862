"""The documentation as a site: no dead link, no page outside its menu, a whole reference."""

import ast
import re
import runpy
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.completion import index
from provisioner.errors import Exit

HOUSE = Path(__file__).parents[2]
DOCS = HOUSE / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))
INDEX = index.read()
HIDDEN = frozenset({"boot devices", "net restore"})
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")
VARIABLE = re.compile(r"_?[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
UNTOLD = {"LC_ALL", "LD_LIBRARY_PATH", "LIBVIRT_LOG_OUTPUTS"}
"""Variables that vmnet sets or hands on to other programs, for itself alone."""


def built(house: Path, site: Path) -> tuple[int, str]:
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    ran = subprocess.run(argv, cwd=house, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert built(HOUSE, folder)[0] == 0, built(HOUSE, folder)[1]
    return folder


def anchors(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))


def test_each_page_of_the_docs_is_a_page_of_the_site(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert len(pages) > 40
    assert not [page for page in pages if not (site / page).is_file()]


def test_what_leads_nowhere_or_is_in_no_menu_fails_the_build(tmp_path: Path) -> None:
    house = tmp_path / "house"
    for name in ("docs", "tools", "templates", "images", "examples"):
        shutil.copytree(HOUSE / name, house / name)
    for file in (*HOUSE.glob("*.md"), HOUSE / "mkdocs.yml"):
        shutil.copy(file, house)
    (house / "docs" / "lost.md").write_text("# Lost\n")
    page = house / "docs" / "glossary.md"
    page.write_text(
        f"{page.read_text()}\n[a](gone.md) [b](index.md#gone) [c](../gone.txt) [d](/x.md)\n"
    )
    status, said = built(house, tmp_path / "site")
    assert status == 1
    for part in (
        'not included in the "nav" configuration:\n  - lost.md',
        "contains a link 'gone.md'",
        "docs/glossary.md links to ../gone.txt, which is no file",
        "contains a link 'index.md#gone'",
        "docs/glossary.md links to /x.md",
    ):
        assert part in said, said


def test_each_link_of_the_readme_leads_somewhere(site: Path) -> None:
    text = (HOUSE / "README.md").read_text(encoding="utf-8")
    found = LINK.findall(text)
    assert len(found) > 20
    for target, anchor in found:
        assert (HOUSE / target).exists(), target
        if anchor and target:
            page = site / Path(target).relative_to("docs").with_suffix(".html")
            assert anchor in anchors(page), f"{target}#{anchor}"


def test_no_page_shows_markdown_that_the_repository_shows_as_lists_tables_or_code(
    site: Path,
) -> None:
    # A list without an empty line before it, or code inside of a list, is none for MkDocs.
    left = re.compile(r"^ *(?:[-*] |\d+\. |\||```)", re.MULTILINE)
    for page in site.rglob("*.html"):
        text = re.sub(r"<pre.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not left.search(text), f"{page.name}: {left.search(text)}"


def test_the_site_fetches_nothing_from_another_host(site: Path) -> None:
    fetched = re.compile(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*href="https?:')
    pages = [*site.rglob("*.html"), *PICTURES]
    assert not [p for p in pages if fetched.search(p.read_text(encoding="utf-8"))]


def test_a_bar_in_the_code_of_a_table_is_shown_without_its_backslash(site: Path) -> None:
    assert r"`--spoof-guard mac\|strict\|off`" in (DOCS / "reference" / "net.md").read_text()
    shown = (site / "reference" / "net.html").read_text(encoding="utf-8")
    assert "<code>--spoof-guard mac|strict|off</code>" in shown
    assert not [page for page in site.rglob("*.html") if r"\|" in page.read_text(encoding="utf-8")]


def test_the_reference_has_each_command_and_each_of_its_options(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    parts = re.split(r"<h2 id=\"[^\"]+\">", text)
    told = {re.split("<", part)[0]: part for part in parts[1:]}
    everywhere = told.pop("Options of all commands")
    wanted = {f"vmnet {command}".strip() for command in INDEX if command not in HIDDEN}
    assert told.keys() == wanted
    for command, entry in INDEX.items():
        if command not in HIDDEN:
            there = told[f"vmnet {command}".strip()] + everywhere
            missing = [option for option in entry["options"] if option not in there]
            assert missing in ([], ["--help"]), command


def rows(page: Path) -> dict[str, str]:
    """Return the first two cells of each row of a page's tables."""
    found = re.findall(r"^\| ([^|]+) \| ([^|]*) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {first.strip("` "): second.strip() for first, second in found}


def test_the_page_of_exit_statuses_has_each_status() -> None:
    told = {k: v for k, v in rows(DOCS / "reference" / "exit-statuses.md").items() if k.isdigit()}
    named = {f"{one:d}": one.name.lower().replace("_", " ") for one in Exit}
    ended = {f"{128 + signal.SIGTERM:d}": "terminated", f"{128 + signal.SIGHUP:d}": "hung up"}
    assert told == named | ended | {"1": "bug"}


def variables_read() -> Iterator[str]:
    """Give the variables that the product names as vmnet's, or reads from an environment."""
    for path in sorted((HOUSE / "provisioner").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        yield from re.findall(r"\b_?VMNET_[A-Z_]+\b", source)
        if "environ" in source:
            yield from (name for node in ast.walk(ast.parse(source)) for name in read_by(node))


def read_by(node: ast.AST) -> Iterator[str]:
    """Give what a node reads: environ["X"], environment.get("X"), is_on(environment, "X")."""
    match node:
        case ast.Subscript(value=where, slice=ast.Constant() as name):
            names, places = [name], [where]
        case ast.Call(func=function, args=given):
            names, places = [x for x in given if isinstance(x, ast.Constant)], [function, *given]
        case _:
            return
    if any("environ" in ast.unparse(place) for place in places):
        yield from (str(x.value) for x in names if VARIABLE.fullmatch(str(x.value)))


def test_the_page_of_the_environment_has_each_variable_that_vmnet_reads() -> None:
    text = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`\$?([A-Z_][A-Z0-9_]+)\b", text))
    read = set(variables_read()) - UNTOLD
    assert {"VMNET_STATE_DIR", "CI", "NO_COLOR", "GITHUB_STEP_SUMMARY", "COMP_WORDS"} <= read
    assert not sorted(name for name in read if name not in told)
    assert not sorted(name for name in told if name.startswith("VMNET_") and name not in read)


def told_by_the_product() -> str:
    """Return the source and its tables, each text in one piece, what is filled in as "…"."""
    files = [*(HOUSE / "provisioner").rglob("*.py"), *(HOUSE / "templates").rglob("*.yaml")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return re.sub(r"\{[^{}\n]*\}", "…", re.sub(r"""["']\s*\n\s*f?["']""", "", source))


def test_each_symptom_is_in_words_that_vmnet_really_says() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (.+?) \| .*\|$", page, re.MULTILINE)
    quoted = [x for cell in shown for x in re.findall(r"`([^`]+)`", cell) if is_said(x)]
    said = told_by_the_product()
    assert len(quoted) > 20
    assert not [x for x in quoted if x not in said]


def is_said(code: str) -> bool:
    """Tell what vmnet says from what a reader types."""
    return not re.match(r"vmnet |/dev/", code)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda p: p.stem)
def test_a_picture_is_shown_somewhere_and_can_be_read(picture: Path) -> None:
    assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    pages = [HOUSE / "README.md", *DOCS.rglob("*.md")]
    assert any(f"pictures/{picture.name})" in page.read_text() for page in pages)


def test_a_picture_has_no_folder_of_a_machine_and_rounded_times(tmp_path: Path) -> None:
    script: dict[str, Any] = runpy.run_path(str(HOUSE / "tools" / "pictures.py"))
    printed = (
        f"libvirt qemu:///embed?root={tmp_path}/run/pair: embedded\n"
        f"kept: {tmp_path}/state/pair/a.log\n"
        "a  \x1b[32m✓ 26.5 ms\x1b[0m  b is up after 0.4 s\n" + "x" * 200
    )
    assert script["sanitized"](printed, tmp_path).splitlines() == [
        "libvirt qemu:///embed?root=/run/vmnet/pair: embedded",
        "kept: /var/lib/vmnet/pair/a.log",
        "a  \x1b[32m✓ 30 ms  \x1b[0m  b is up after 1 s  ",
        "x" * 90 + " …",
    ]
    svg = script["drawn"]("up", "\x1b[1m$ vmnet up\x1b[0m\n<b>\n")
    root = ET.fromstring(svg)  # noqa: S314
    assert "vmnet up".replace(" ", "\xa0") in "".join(root.itertext())
    assert "@font-face" not in svg
