"""vmnet cp: files copied by ssh, or through the guest agent."""

from collections.abc import Callable
from dataclasses import replace

from provisioner.commands.access.agent_copy import AgentCopy
from provisioner.commands.access.ssh import SshAccess, SshOptions, identity, logins
from provisioner.commands.session import begun, domain
from provisioner.commands.target import CommandRun, NameTarget, PlanTarget
from provisioner.errors import Exit, VmnetError, bad_input
from provisioner.guest import openssh


def cp(  # noqa: PLR0913  (what the command line says, word by word)
    target: PlanTarget | NameTarget,
    run: CommandRun,
    paths: tuple[str, str],
    *,
    how: SshOptions,
    way: str = "auto",
    folders: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[str]:
    """Copy a file by the guest agent, or return the command line of the scp that does it.

    `way` is "ssh", "agent", or "auto": ssh where the host reaches the guest and knows its key,
    which only the plan tells, and its name does not. Raises VmnetError when it cannot.
    """
    copied = openssh.copy_spec(*paths, _known(target))
    if isinstance(target, NameTarget):
        _refuse_ssh(target, copied.vm, wanted=way == "ssh" or bool(how.jump))
    elif way != "agent":
        try:
            access = SshAccess(target, run)
            login, jump = logins(access, copied.vm, how)
        except VmnetError as error:
            if way == "ssh" or how.jump:
                raise
            run.tell(f"not by ssh: {error.what}")
        else:
            through = f" through {jump.vm}" if jump else ""
            run.tell(f"by ssh, to {login.user}@{login.address}{through}")
            key = identity(target.name, how.identity)
            return openssh.scp(login, copied, key, jump, folders=folders)
    if folders:
        raise VmnetError(
            "the guest agent copies files one by one, no folders",
            fix=f"pack it: tar -c FOLDER | vmnet exec {copied.vm} -- tar -x; or use --way ssh",
            status=Exit.BAD_INPUT if way == "agent" else Exit.HOST_CANNOT,
        )
    run.tell("by the guest agent, which needs no network")
    with begun(target, replace(run, tell=lambda _: None)) as session:
        domain(session.domains, copied.vm)
        session.await_agent(copied.vm, run.timeout_s)
        copy = AgentCopy(run.worker, copied.vm, progress)
        if copied.to_guest:
            copy.put(copied.here, copied.there)
        else:
            copy.get(copied.there, copied.here)
    return []


def _refuse_ssh(target: NameTarget, vm: str, *, wanted: bool) -> None:
    if wanted:
        raise bad_input(
            f"the name {target.name} alone does not say how {vm} is reached by ssh",
            "name the plan's file with --file, or let the agent do it: --way agent",
        )


def _known(target: PlanTarget | NameTarget) -> list[str] | None:
    return [vm.name for vm in target.plan.vms] if isinstance(target, PlanTarget) else None
