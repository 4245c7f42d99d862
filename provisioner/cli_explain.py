"""vmnet explain A -> B: the way of a frame, step by step, from the plan alone."""

import json as jsons
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from provisioner import screen
from provisioner.answer import answering, target
from provisioner.errors import Exit, VmnetError

_PAIR = re.compile(r"\s*([^\s>]+?)\s*(?:->|\s)\s*([^\s>]+)\s*")


def explain(
    words: Annotated[list[str], typer.Argument(help="web1 db1, or 'web1 -> db1'.", metavar="A B")],
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
        from provisioner.core import explain as ways
        from provisioner.core import explainwords as texts
        from provisioner.core.addresses import assign

        found = _PAIR.fullmatch(" ".join(words))
        if not found:
            raise VmnetError(
                f'"{" ".join(words)}" are no two ends of a way',
                fix="write two names: vmnet explain web1 db1",
                status=Exit.BAD_INPUT,
            )
        plan = target(None, file, None).plan
        way = ways.explain(plan, assign(plan), found[1], found[2], reflects=hairpin)
        if json:
            screen.typed(jsons.dumps({"format": 1, **asdict(way)}, indent=2))
        else:
            screen.typed((texts.as_mermaid if mermaid else texts.as_text)(way).rstrip("\n"))

    answering("explain", work, json=json)
