"""vmnet image: the images that guests boot from."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli import output
from provisioner.cli.options import Json, Yes
from provisioner.cli.run import confirm, plan_target, running
from provisioner.errors import bad_input
from provisioner.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provisioner.host.image.store import Removable
    from provisioner.image.traits import FirmwareName

app = typer.Typer(no_args_is_help=True, help="The images that guests boot from.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The image.")]
Mirrors = Annotated[
    list[str] | None,
    typer.Option("--mirror", metavar="URI", help="Where its packages come from; repeatable."),
]
_NOTHING_KEPT = "interrupted: the store is as it was"
_USER = pattern(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_FIRMWARE: "dict[str, FirmwareName]" = {"bios": "bios", "uefi": "uefi"}


@app.command()
def ls(*, json: Json = False) -> None:
    """List the images there are, and those that can be had.

    Example: vmnet image ls
    """
    with running("image ls", json=json):
        from provisioner.commands import image
        from provisioner.image import listing

        rows = image.listed()
        if json:
            output.typed(listing.as_json(rows))
        else:
            output.print_rows(listing.as_rows(rows))


@app.command(name="import")
def import_(  # noqa: PLR0913  (each an option of the command line)
    file: Annotated[
        Path, typer.Argument(help="qcow2 or raw; also as gz, xz, bz2 or tar; or a folder of micro.")
    ],
    *,
    name: Annotated[str, typer.Option(help="How plans name it.", show_default="by FILE")] = "",
    sha256: Annotated[str, typer.Option(help="What FILE's SHA-256 must be.")] = "",
    user: Annotated[str, typer.Option(help="Who logs in to its guests.")] = "root",
    boot: Annotated[str, typer.Option(help="Which firmware boots it: bios,uefi.")] = "bios",
    agent: Annotated[
        bool, typer.Option("--agent", help="The QEMU guest agent is in it and starts by itself.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="It is a raw disk, even if nothing in it is recognised.")
    ] = False,
) -> None:
    """Take a copy of an image file into the store, hashed, checked and read-only.

    A folder is one that `vmnet image build micro --output DIR` has made.

    Example: vmnet image import disk.qcow2 --name web
    """
    with running("image import", interrupted=_NOTHING_KEPT):
        from provisioner.commands import image

        if (file / "manifest.json").is_file():
            if name or sha256:
                raise bad_input("a folder of micro has its name and digests", "leave them out")
            output.typed(image.take_in(file, output.line))
            return
        from provisioner.image.digest import sha256 as parsed
        from provisioner.image.listing import summary
        from provisioner.image.record import Origin, name_from
        from provisioner.image.traits import ImageTraits

        origin = Origin(
            name=name or name_from(file.absolute().name),
            source=str(file.absolute()),
            traits=ImageTraits(boot=_firmware(boot), user=_user(user), agent=agent),
            digest=parsed(sha256) if sha256 else None,
            raw=raw,
        )
        with output.bar("import") as (tell, progress):
            record = image.add(file, origin, tell, progress)
        output.typed(summary(record))


@app.command()
def pull(
    what: Annotated[str, typer.Argument(metavar="NAME|ADDRESS", help="What to fetch.")] = "",
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            *("--file", "-f", "--plan", "-p"),
            metavar="PLAN",
            help="Fetch what the VMs of this plan boot from; - is standard input.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="How plans name it.", show_default="by WHAT")] = "",
    digest: Annotated[str, typer.Option(help="Its SHA-256 or SHA-512.")] = "",
) -> None:
    """Fetch an image of the catalogue, or from an https address, prove it, and keep it.

    With --file all that a plan boots from, but micro, which is built.

    Example: vmnet image pull debian-12
    """
    with running("image pull", interrupted="interrupted: the next pull goes on from here"):
        if file:
            _pull_of_plan(file, {"NAME": what, "--name": name, "--digest": digest})
            return
        from provisioner.commands import image_pull
        from provisioner.image.listing import summary

        if not what:
            raise bad_input("no image is named", "name one, or a plan: vmnet image pull -f PLAN")
        with output.bar("pull") as (tell, progress):
            record = image_pull.pull(what, tell, progress, name=name, pin=digest)
        output.typed(summary(record))


@app.command()
def receive(
    record: Annotated[str, typer.Argument(help="Its record, as names/NAME.json of a store is.")],
    *,
    ask: Annotated[
        bool, typer.Option("--ask", help="Take nothing; tell how many bytes are here.")
    ] = False,
) -> None:
    """Take an image from standard input: what another vmnet has, or the rest of it.

    What was cut off is gone on with; an image whose digest is another one is not kept. `vmnet up`
    of a plan of several hosts calls it on hosts.

    Example: vmnet image receive "$RECORD" --ask
    """
    with running("image receive", interrupted="interrupted: the next one goes on from here"):
        from provisioner.commands.fabric import receive as receiving

        wanted = receiving.wanted(record)
        if ask:
            output.typed(str(receiving.there(wanted)))
            return
        output.typed(receiving.receive(wanted, sys.stdin.buffer, output.line))


@app.command()
def send(
    name: Name,
    *,
    record: Annotated[
        bool, typer.Option("--record", help="Write its record, and nothing of it.")
    ] = False,
    start: Annotated[
        int, typer.Option("--from", metavar="BYTES", help="Leave out its first bytes.", min=0)
    ] = 0,
) -> None:
    """Write an image to standard output, for `vmnet image receive` of another host.

    `vmnet up` of a plan of several hosts calls it on a host whose image others lack.

    Example: vmnet image send web --record
    """
    with running("image send", interrupted="interrupted: nothing has been changed"):
        from provisioner.commands.fabric import send as sending

        if record:
            typer.echo(sending.record(name), nl=False)
        elif sys.stdout.isatty():
            raise bad_input("an image is not for a terminal", "send it on: vmnet image send --help")
        else:
            sending.content(name, start, sys.stdout.buffer)


@app.command()
def build(
    name: Name = "micro",
    mirror: Mirrors = None,
    output_folder: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Leave a copy of micro there, to import."),
    ] = None,
) -> None:
    """Build micro or a Debian, unless it is there for this recipe and these packages.

    "debian" is the one of this host's own release, from the mirror of its apt; another release
    (debian-12, debian-13) comes from the mirror that is named. micro is made of Debian's packages:
    for a host that is no Debian it is built elsewhere, with --output, and imported there.

    Example: vmnet image build debian-12
    """
    with running("image build"):
        from provisioner.commands import image

        with output.bar("build") as (tell, progress):
            line = image.build(name, tell, progress, mirror or (), output_folder)
        output.typed(line)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="All without.")] = "",
) -> None:
    """Hash what is in the store anew, and report whether it is what was imported.

    Example: vmnet image verify
    """
    with running("image verify"):
        from provisioner.commands import image

        with output.bar("verify") as (tell, progress):
            for good in image.verify(name, tell, progress):
                made = "built" if good == "micro" else "imported"
                output.typed_now(f"{good}: as it was {made}")


@app.command()
def rm(names: Annotated[list[str], typer.Argument(metavar="NAME", help="Images.")]) -> None:
    """Remove images; the content goes with its last name, unless a plan's disks depend on it.

    Example: vmnet image rm web
    """
    with running("image rm"):
        from provisioner.commands import image
        from provisioner.image.listing import size

        for name in names:
            gone = image.remove(name, output.line)
            output.typed_now(f"{name} is gone" + (f", {size(gone.size)} freed" * bool(gone.size)))


@app.command()
def prune(*, yes: Yes = False) -> None:
    """Remove all images of the store that no plan's disks depend on.

    Example: vmnet image prune
    """
    with running("image prune"):
        from provisioner.commands import image

        agreed = image.prunable()
        if agreed and not yes:
            output.line("\n".join(["this will be removed:", *_lines(agreed)]))
            confirm(
                "Remove them?", "nothing has been removed", "if these may be removed, add --yes"
            )
        gone = image.prune(agreed, output.line)
        output.typed("\n".join(_lines(gone)) if gone else "nothing to remove")


def _pull_of_plan(file: Path, alone: "Mapping[str, str]") -> None:
    """Fetch what a plan boots from. Raises VmnetError with a word of `alone`: the plan has it."""
    from provisioner.commands import defaults
    from provisioner.guest.domain import MICRO
    from provisioner.plan.vm_scalars import NO_IMAGE

    for word, value in alone.items():
        if value:
            raise bad_input(f"{word} does not go with --file", "leave one of them out")
    target = plan_target([file], several=True)
    vms = [vm.name for vm in target.plan.vms if vm.image not in {MICRO, NO_IMAGE}]
    with output.progress("image pull") as (tell, _):
        found = defaults.images(target, {}, tell, vms)
    for name in dict.fromkeys(one.name for one in found.values()):
        output.typed(f"{name} is here")


def _lines(gone: "Sequence[Removable]") -> list[str]:
    from provisioner.image.listing import size

    lines = []
    for one in gone:
        whole = one.path.name.startswith("sha256-")
        unnamed = "a content without a name" if whole else "what killed runs had left"
        lines.append(f"  {', '.join(one.names) or unnamed}: {size(one.size)}")
    return [*lines, f"  together {size(sum(one.size for one in gone))}"]


def _firmware(boot: str) -> "tuple[FirmwareName, ...]":
    words = [word.strip() for word in boot.split(",")]
    if not all(word in _FIRMWARE for word in words):
        raise bad_input(
            f'--boot: "{boot}" is not a list of bios and uefi',
            "write --boot bios, --boot uefi or --boot bios,uefi",
        )
    return tuple(found for word, found in _FIRMWARE.items() if word in words)


def _user(user: str) -> str:
    if not _USER.fullmatch(user):
        raise bad_input(
            f'--user: "{user}" cannot be the name of a user',
            "use a-z, 0-9, _ and -, a letter or _ first, as in --user debian",
        )
    return user
