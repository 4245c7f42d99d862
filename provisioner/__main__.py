"""The entry point: starts the worker before anything heavy is loaded, then the command line."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker


def main() -> None:
    """Run vmnet.

    The worker imports libvirt and pyroute2 on one core while this process imports the rest on the
    other. It has to be forked before there are threads anyway.
    """
    argv = sys.argv[1:]
    if argv == ["--version"]:
        from provisioner import __version__

        print(f"vmnet {__version__}")  # noqa: T201  (typer's import would take ten times as long)
        return
    if "_VMNET_COMPLETE" in os.environ:
        from provisioner.cli.completion.answer import answered

        if answer := answered(os.environ):
            sys.stdout.write(answer[0])
            raise SystemExit(answer[1])
    from provisioner.commands.command import COMMANDS, unaliased
    from provisioner.distribution import HERE
    from provisioner.host.system import paths, umask

    argv = unaliased(argv)
    if argv and argv[0] not in COMMANDS and not argv[0].startswith("-"):
        from provisioner.cli.help import mistyped

        sys.stderr.write(mistyped.answer(argv[0]))
        raise SystemExit(2)

    _open_log(argv)
    # Looking for them reads what each package of this Python says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    umask.set_own()  # before the worker is forked, which libvirt makes its folders in
    paths.complete()
    HERE.os_release = paths.os_release
    worker = None
    command = COMMANDS.get(argv[0]) if argv else None
    if command and command.starts_worker(argv):
        from provisioner.host.system import worker as workers

        worker = workers.start(_serve if command.uses_libvirt else nullcontext)
    _run(argv, worker)


def _run(argv: list[str], worker: "Worker | None") -> None:
    """Run a command line; what nobody has foreseen is told in a line, or raised for who asks."""
    from provisioner.cli import app
    from provisioner.cli.help.screen import SCREEN
    from provisioner.event_log import LOG

    try:
        app.run(argv, worker)
    except SystemExit as end:
        LOG.write("info", "ended", status=end.code)
        raise
    except Exception as error:
        LOG.write("info", "failed", error=repr(error), traceback=_traceback())
        if SCREEN.debug or os.environ.get("VMNET_DEBUG", "0") not in {"", "0"}:
            raise
        from provisioner.cli.help import bug

        sys.stderr.write(bug.told(error))
        raise SystemExit(bug.STATUS) from None


def _open_log(argv: list[str]) -> None:
    """Begin the log that VMNET_LOG asks for; end vmnet with a message where it cannot be."""
    from provisioner import event_log

    wish = os.environ.get(event_log.VARIABLE, "")
    if not wish:
        return
    from provisioner.errors import bad_input, explain
    from provisioner.host.system import accounts

    try:
        event_log.began(argv, accounts.hand_over)
    except OSError as error:
        what = f"VMNET_LOG: cannot write to {wish}: {error.strerror}"
        told = bad_input(what, "set it to info, debug, or a file that can be written to")
        sys.stderr.write(explain(told) + "\n")
        raise SystemExit(told.status) from None


def _traceback() -> str:
    import traceback

    return traceback.format_exc()


def _serve() -> AbstractContextManager[None]:
    from provisioner.host import machine

    return machine.served()


if __name__ == "__main__":
    main()
