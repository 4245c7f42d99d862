"""The door: starts the worker before anything heavy is loaded, then lets the command line speak."""

import sys
from contextlib import AbstractContextManager, nullcontext

_WITH_WORKER = frozenset(
    {"up", "down", "plan", "status", "check", "exec", "console", "ssh", "cp", "modes", "link", "ip"}
    | {"doctor"}
)
_NOT_WITH = frozenset({"--help", "--print-plan", "--watch", "--ci"})


def main() -> None:
    """Run vmnet.

    The worker imports libvirt and pyroute2 on one core while this process imports the rest on the
    other. It has to be forked before there are threads anyway.
    """
    from provisioner.host.system import umask

    umask.set_own()  # before the worker is forked, which libvirt makes its folders in
    worker = None
    words = sys.argv[1:]
    if words and words[0] in _WITH_WORKER and not _NOT_WITH & set(words):
        from provisioner.host.system import worker as workers

        worker = workers.start(nullcontext if words[0] == "modes" else _serve)
    if words == ["--version"]:
        from provisioner import __version__

        print(f"vmnet {__version__}")  # noqa: T201  (typer's import would take ten times as long)
        return
    from provisioner.cli.app import app

    app(obj=worker)


def _serve() -> AbstractContextManager[None]:
    from provisioner.host import machine

    return machine.served()


if __name__ == "__main__":
    main()
