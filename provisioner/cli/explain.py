"""vmnet explain A B: the way of a frame, step by step, from the plan alone."""

import json as jsons
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.run import answering, target
from provisioner.errors import Exit, VmnetError

_ARROW = re.compile(r"\s*(\S+?)\s*-/?>\s*([^\s>]+)\s*")
_TORN_ARROW = re.compile(r".*-/?>?")


def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Two ends: web1 db1. An arrow needs quotes: 'web1 -> db1'.", metavar="A B"
        ),
    ],
    file: Annotated[Path | None, typer.Option("--file", "-f", help="The plan.")] = None,
    *,
    hairpin: Annotated[
        bool | None,
        typer.Option("--hairpin/--no-hairpin", help="Take it that the NIC's switch reflects."),
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Write a Mermaid flowchart.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write it as JSON.")] = False,
) -> None:
    """Explain how a frame gets from A to B and back: VMs, host, gateway, or an address."""

    def work() -> None:
        from provisioner.network.addressing import assign
        from provisioner.reachability import explain as ways
        from provisioner.reachability import explain_text as texts

        source, to = _ends(words)
        plan = target(None, file, None).plan
        way = ways.explain(plan, assign(plan), source, to, reflects=hairpin)
        if json:
            output.typed(jsons.dumps({"format": 1, **asdict(way)}, indent=2))
        else:
            output.typed((texts.as_mermaid if mermaid else texts.as_text)(way).rstrip("\n"))

    answering("explain", work, json=json)


def _ends(words: list[str]) -> tuple[str, str]:
    """Return the two ends. Raises VmnetError when the words are not two, or one quoted arrow."""
    arrow = _ARROW.fullmatch(words[0]) if len(words) == 1 else None
    if arrow:
        return arrow[1], arrow[2]
    torn = any(_TORN_ARROW.fullmatch(word) for word in words)
    if len(words) == 2 and not torn and not any(word.startswith("-") for word in words):  # noqa: PLR2004
        return words[0], words[1]
    if torn:
        raise VmnetError(
            "the shell takes the > of an arrow for a redirect, which empties the file after it",
            fix="write two names, without an arrow: vmnet explain web1 db1",
            status=Exit.BAD_INPUT,
        )
    raise VmnetError(
        f"{' '.join(words)}: these are not two ends",
        fix="write two names: vmnet explain web1 db1",
        status=Exit.BAD_INPUT,
    )
