"""The door: starts the worker before anything heavy is loaded, then lets the command line speak."""

import os
import sys
from collections.abc import Callable

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

        worker = workers.start(_SERVED.get(words[0], _serve))
    if words == ["--version"]:
        from provisioner import __version__

        print(f"vmnet {__version__}")  # noqa: T201  (typer's import would take ten times as long)
        return
    from provisioner.cli.app import app

    app(obj=worker)


def _serve() -> dict[str, Callable[..., object]]:
    from provisioner.host import machine

    return machine.serve()


def _serve_doctor() -> dict[str, Callable[..., object]]:
    from provisioner.host.lab import switch_probe
    from provisioner.host.libvirt import embedded, trial

    embedded.private_mounts()
    # What matters of libvirt's log arrives as an error anyway.
    os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
    return {
        "libvirt": trial.opened,
        "question": switch_probe.question,
        "ask": switch_probe.ask,
    }


def _serve_modes() -> dict[str, Callable[..., object]]:
    from provisioner.host.lab import experiment, switch_probe

    return {
        "measure": experiment.measure,
        "question": switch_probe.question,
        "ask": switch_probe.ask,
    }


_SERVED = {"modes": _serve_modes, "doctor": _serve_doctor}

if __name__ == "__main__":
    main()
