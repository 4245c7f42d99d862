"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

FILE_VARIABLE: Final = "VMNET_FILE"

Plan = Annotated[
    Path | None,
    typer.Argument(help="The plan; - is standard input.", show_default="vmnet.yaml or vmnet.yml"),
]
File = Annotated[
    list[Path] | None,
    typer.Option(
        *("--file", "-f", "--plan", "-p"),
        metavar="PLAN",
        envvar=FILE_VARIABLE,
        help="The plan; - is standard input. Repeatable: later ones change earlier ones.",
    ),
]
FollowedFile = Annotated[
    list[Path] | None,
    typer.Option(
        *("--plan", "-p", "--file"),
        metavar="PLAN",
        envvar=FILE_VARIABLE,
        help="The plan; - is standard input. Repeatable: later ones change earlier ones.",
    ),
]
"""The plan of a command whose -f follows."""
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value: networks.lan.mode=vepa. Repeatable."),
]
Name = Annotated[
    str | None, typer.Option("--name", help="The plan's name, when there is no file any more.")
]
MadeName = Annotated[
    str | None, typer.Option("--name", help="The name of a plan that up --uplink has made.")
]
Vm = Annotated[str, typer.Argument(help="The VM; may be left out when there is one only.")]
Nic = Annotated[str, typer.Argument(help="VM, VM.NUMBER or VM.NETWORK.", metavar="VM[.NIC]")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON on standard output.")]
All = Annotated[bool, typer.Option("--all", help="Show what is as expected too, row by row.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Connection = Annotated[
    str | None,
    typer.Option(
        "--connection",
        envvar="VMNET_CONNECTION",
        help="Where libvirt is, instead of what the plan says.",
        metavar="URI",
    ),
]
AllowFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-file",
        help="A file or folder outside the plan's folder that it may name. Repeatable.",
    ),
]
DeclareDead = Annotated[
    list[str] | None,
    typer.Option(
        "--declare-dead",
        metavar="HOST",
        help="Of several hosts: this one does not answer, and runs nothing any more. Repeatable.",
    ),
]
INVENTORY_HELP: Final = "Of several hosts: an inventory of Ansible says how to log in to them."
Inventory = Annotated[
    Path | None,
    typer.Option("--inventory", "-i", metavar="FILE", help=INVENTORY_HELP),
]
LongInventory = Annotated[
    Path | None, typer.Option("--inventory", metavar="FILE", help=INVENTORY_HELP)
]
"""The inventory of a command whose -i is a private key."""
LockTimeout = Annotated[
    float, typer.Option(help="Seconds to wait for another command on the same plan.", min=0)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds that it may take from its first step to its end.",
        min=1,
        show_default="120 for the guests; 600 with cloud-init",
    ),
]
Grace = Annotated[
    float,
    typer.Option("--grace", help="Seconds that guests have to shut down.", min=0),
]
Now = Annotated[bool, typer.Option("--now", help="End guests without letting them shut down.")]
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="End with 5 when there is something to do.")
]
GuestTimeout = Annotated[float, typer.Option(help="Seconds to wait for the guest.", min=1)]
Identity = Annotated[
    Path | None, typer.Option("--identity", "-i", help="The private key, instead of your own.")
]
Jump = Annotated[str, typer.Option("--jump", help="Go through this VM of the plan.")]
Peer = Annotated[
    str | None,
    typer.Option(
        help="With --uplink: the machine that is asked.", show_default="the default gateway"
    ),
]
