"""vmnet cp: files copied by ssh, or through the guest agent."""

from collections.abc import Callable

from provisioner.commands.access.agent_copy import AgentCopy
from provisioner.commands.access.ssh import SshAccess, SshOptions, logins
from provisioner.commands.session import begun, domain
from provisioner.commands.target import Options, PlanTarget, Tell
from provisioner.errors import Exit, VmnetError
from provisioner.guest import openssh
from provisioner.host.system.worker import Worker


def cp(  # noqa: PLR0913  (what the command line says, word by word)
    target: PlanTarget,
    options: Options,
    worker: Worker,
    tell: Tell,
    paths: tuple[str, str],
    *,
    how: SshOptions,
    way: str = "auto",
    folders: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[str]:
    """Copy a file by the guest agent, or return the command line of the scp that does it.

    `way` is "ssh", "agent", or "auto": ssh where the host reaches the guest and knows its key.
    Raises VmnetError when it cannot.
    """
    copied = openssh.copied(*paths, [vm.name for vm in target.plan.vms])
    if way != "agent":
        try:
            access = SshAccess(target, options, worker, tell)
            login, jump = logins(access, copied.vm, how)
        except VmnetError as error:
            if way == "ssh" or how.jump:
                raise
            tell(f"not by ssh: {error.what}")
        else:
            tell(f"by ssh, to {login.user}@{login.address}{f' through {jump.vm}' if jump else ''}")
            return openssh.scp(login, copied, how.identity, jump, folders=folders)
    if folders:
        raise VmnetError(
            "the guest agent copies files one by one, no folders",
            fix=f"pack it: tar -c FOLDER | vmnet exec {copied.vm} -- tar -x; or use --way ssh",
            status=Exit.BAD_INPUT if way == "agent" else Exit.HOST_CANNOT,
        )
    tell("by the guest agent, which needs no network")
    with begun(target, options, worker, lambda _: None) as session:
        domain(session.snapshot.resources.values(), copied.vm)
        session.await_agent(copied.vm, options.timeout_s)
        copy = AgentCopy(worker, copied.vm, progress)
        if copied.to_guest:
            copy.put(copied.here, copied.there)
        else:
            copy.get(copied.there, copied.here)
    return []
