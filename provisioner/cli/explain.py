"""vmnet explain A B: the path of a frame, step by step, from the plan alone."""

from dataclasses import asdict
from typing import Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import File, Json
from provisioner.cli.run import plan_target, running
from provisioner.commands import command
from provisioner.errors import Exit, bad_input
from provisioner.json_document import json_document
from provisioner.pattern import pattern

_ARROW = pattern(r"\s*(\S+?)\s*-/?>\s*([^\s>]+)\s*")
_TORN_ARROW = pattern(r".*-/?>?")


def explain(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Two ends: web1 db1. An arrow needs quotes: 'web1 -> db1'.", metavar="A B"
        ),
    ],
    file: File = None,
    *,
    hairpin: Annotated[
        bool | None,
        typer.Option("--hairpin/--no-hairpin", help="Take it that the NIC's switch reflects."),
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Write a Mermaid flowchart.")] = False,
    json: Json = False,
) -> None:
    """Explain how a frame gets from A to B and back: VM, VM.NIC, host, gateway, or an address.

    It tells what the plan and the modes promise; no link is looked at. vmnet check measures it.

    Example: vmnet explain web db
    """
    with running(command.EXPLAIN, json=json):
        from provisioner.network.addressing import assign
        from provisioner.reachability import explain, explain_text

        source, to = _ends(words)
        plan = plan_target(file).plan
        path = explain.explain(plan, assign(plan), source, to, reflects=hairpin)
        if json:
            output.typed(json_document("explain", Exit.DONE, asdict(path)))
        else:
            output.typed(
                (explain_text.as_mermaid if mermaid else explain_text.as_text)(path).rstrip("\n")
            )


def _ends(words: list[str]) -> tuple[str, str]:
    """Return the two ends. Raises VmnetError when the words are not two, or one quoted arrow."""
    arrow = _ARROW.fullmatch(words[0]) if len(words) == 1 else None
    if arrow:
        return arrow[1], arrow[2]
    if any(_TORN_ARROW.fullmatch(word) for word in words):
        raise bad_input(
            "the shell takes the > of an arrow for a redirect, which empties the file after it",
            "write two names, without an arrow: vmnet explain web1 db1",
        )
    if len(words) != 2 or any(word.startswith("-") for word in words):  # noqa: PLR2004
        raise bad_input(
            f"{' '.join(words)}: these are not two ends", "write two names: vmnet explain web1 db1"
        )
    return words[0], words[1]
