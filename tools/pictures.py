"""Draw what vmnet really prints, as SVG for the documentation: docs/pictures/NAME.svg.

tools/pictures.py [NAME ...]; as root. Guests run in a network namespace of their own.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

_ROOT: Final = Path(__file__).parents[1]
_PICTURES: Final = _ROOT / "docs" / "pictures"
_WIDTH: Final = 92  # columns
_NAMESPACE: Final = f"pictures{os.getpid()}"
_PATIENCE_S: Final = 300

SCENES: Final[Mapping[str, Mapping[str, int]]] = {
    "up": {"up": 0},
    "broken": {"link a down": 0, "check": 5},
    "isolated": {"link a up": 0, "up --set networks.lan.mode=private": 0},
}
"""The commands of each picture, and how each has to end; all on the plan of examples/pair.yaml."""

_FETCHED: Final = re.compile(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*", re.DOTALL)
_FORMAT: Final = _FETCHED.sub("", CONSOLE_SVG_FORMAT)
"""rich's own form, without the fonts that it would fetch from another host."""


def main(names: Sequence[str]) -> None:
    """Run all scenes in order; write the pictures that are named, all of them without names."""
    with tempfile.TemporaryDirectory(prefix="vp") as made, _namespace():
        folder = Path(made)
        folder.chmod(0o755)  # QEMU runs as users of its own
        (folder / "vmnet.yaml").write_bytes((_ROOT / "examples" / "pair.yaml").read_bytes())
        try:
            for name, commands in SCENES.items():
                printed = "".join(_ran(*command, folder) for command in commands.items())
                if name in names or not names:
                    (_PICTURES / f"{name}.svg").write_text(drawn(name, printed), encoding="utf-8")
        finally:
            _ran("down", 0, folder)


@contextmanager
def _namespace() -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", _NAMESPACE], check=True)
    try:
        subprocess.run(["ip", "-n", _NAMESPACE, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "del", _NAMESPACE], check=True)


def _ran(command: str, status: int, folder: Path) -> str:
    """Run a command of vmnet; return its line, and what it has printed, as a user would see it."""
    argv = ["ip", "netns", "exec", _NAMESPACE, sys.executable, "-m", "provisioner"]
    places = {f"VMNET_{x.upper()}_DIR": str(folder / x) for x in ("state", "run")}
    ran = subprocess.run(
        [*argv, *command.split(), "--color", "always"],
        cwd=folder,
        env={**os.environ, **places, "PYTHONPATH": str(_ROOT), "COLUMNS": str(_WIDTH)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_PATIENCE_S,
    )
    if ran.returncode != status:
        raise ChildProcessError(f"vmnet {command} ends with {ran.returncode}: {ran.stdout}")
    return f"\x1b[1m$ vmnet {command}\x1b[0m\n{sanitized(ran.stdout, folder)}"


def sanitized(printed: str, folder: Path) -> str:
    """Return output without what differs from machine to machine and from run to run.

    Folders become the usual ones, times are rounded to one digit, long lines are cut.
    """
    text = printed.replace(f"{folder}/run", "/run/vmnet").replace(
        f"{folder}/state", "/var/lib/vmnet"
    )
    text = re.sub(r"(\d+)\.\d+ (m?s)\b", _rounded, text.replace(f"{folder}/", ""))
    return "".join(f"{_cut(line)}\n" for line in text.splitlines())


def _rounded(found: re.Match[str]) -> str:
    whole = max(1, int(float(f"{float(found[1]):.1g}")))
    return f"{whole} {found[2]}".ljust(len(found[0]))


def _cut(line: str) -> str:
    text = Text.from_ansi(line)
    return line if len(text) <= _WIDTH else f"{text.plain[: _WIDTH - 2]} …"


def drawn(name: str, printed: str) -> str:
    """Return an SVG of what was printed, which fetches nothing."""
    console = Console(
        record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    console.print(Text.from_ansi(printed.rstrip("\n")))
    svg = console.export_svg(title="vmnet", code_format=_FORMAT, unique_id=f"vmnet-{name}")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
