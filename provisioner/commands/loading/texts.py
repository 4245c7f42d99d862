"""A plan that was read, from its texts to the target of a command."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.commands.target import PlanTarget


def loaded(
    written: Sequence[tuple[str, str]],
    sets: Sequence[str],
    first: Path | None,
    *,
    uri: str = "",
    folder: Path | None = None,
    allowed: Sequence[Path] = (),
) -> "PlanTarget":
    """Return the plan of texts that are merged, each given with its name, for this host.

    The arguments are those of `placed`. Raises what it raises, and VmnetError when the plan is of
    several hosts.
    """
    from provisioner.preflight.one_host import refuse_placed

    target = placed(written, sets, first, uri=uri, folder=folder, allowed=allowed)
    refuse_placed(target.plan, target.positions)
    return target


def placed(
    written: Sequence[tuple[str, str]],
    sets: Sequence[str],
    first: Path | None,
    *,
    uri: str = "",
    folder: Path | None = None,
    allowed: Sequence[Path] = (),
) -> "PlanTarget":
    """Return the plan of texts that are merged, each given with its name.

    `first` is the file of the first one, None where it has none; `sets` are as of --set, `uri` is
    where libvirt is. Relative paths begin at `folder`, beside that file without one. Raises
    Complaints, all at once. The plan may be of several hosts.
    """
    from provisioner.commands.target import PlanTarget
    from provisioner.host.jail import settings
    from provisioner.plan.load import loader

    plan = loader.load_merged(written, sets, os.environ, settings.defaults())
    return PlanTarget(
        plan.plan.name,
        plan.plan,
        plan.places,
        folder=(folder or (first.parent if first else Path.cwd())).absolute(),
        file=str(first.absolute()) if first else "",
        uri=uri,
        digest=hashlib.sha256("".join(text for _, text in written).encode()).hexdigest(),
        changed=tuple(one.partition("=")[0] for one in sets),
        allowed=tuple(one.resolve() for one in allowed),
        variables=plan.variables,
        inherited=plan.inherited,
    )
