"""Impairs links, so that a user can watch a check fail, and restores them.

Loss and rate are rules of nftables at the macvtap, both ways. Delay needs the kernel's netem, which
many kernels of clouds and containers lack; it delays what the guest sends.
"""

import json
from collections.abc import Collection
from typing import Final

from provisioner.errors import Exit, VmnetError
from provisioner.host.network import nftables
from provisioner.host.system import programs
from provisioner.network import impairment, nft_ruleset
from provisioner.network.impairment import Found, Impairment
from provisioner.network.resources import Impaired
from provisioner.reconcile.resources import Look

_PATIENCE_S: Final = 30


def found_on(devices: Collection[str]) -> dict[str, Found]:
    """Read what is done to these devices, and the frames that it has cost."""
    found = {
        x: y for x, y in impairment.observed(nftables.listing().tables).items() if x in devices
    }
    for device, delay in _delays().items():
        if device in devices:
            before = found.get(device, Found("", 0))
            both = ", ".join(filter(None, (before.words, delay)))
            found[device] = Found(both, before.dropped)
    return found


def set_on(device: str, wish: Impairment) -> None:
    """Impair a device as wished, instead of as before.

    Raises VmnetError before anything has changed: with status 4 when the kernel cannot, with 3
    when somebody else has a table of the name that is needed.
    """
    if impairment.is_taken(device, nftables.listing().tables):
        raise nft_ruleset.taken("netdev", impairment.table_of(device), "leave that link as it is")
    if wish.delay_s:
        _delay(device, wish)
    else:
        _undelay(device)
    try:
        _nft(impairment.script(device, wish))
    except VmnetError as error:
        _undelay(device)
        raise VmnetError(
            f"the kernel cannot lose frames of {device}: {error.what}",
            fix="it needs nftables with netdev egress and numgen: modprobe -a nft_numgen nft_limit",
            status=Exit.HOST_CANNOT,
        ) from error


def clear(device: str) -> None:
    """Restore a device; one that is left alone already is fine."""
    if _delayed(device):
        _undelay(device)
    if device in impairment.observed(nftables.listing().tables):
        _nft(impairment.removal(device))


def observe(look: Look) -> list[Impaired]:
    """List what is done to the plan's devices, and to those of any plan that have gone."""
    there, ours = ({x.name for x in links} for links in (look.links, look.ours))
    return [
        Impaired(device, exists=device in there)
        for device in impairment.observed(look.tables.tables)
        if device in ours or device not in there
    ]


def delete(impaired: Impaired) -> None:
    """Delete the rules about a device, whether it is there or not."""
    _nft(impairment.removal(impaired.name))


def _nft(text: str) -> None:
    programs.run(["nft", "-f", "-"], timeout_s=_PATIENCE_S, input=text)


def _delay(device: str, wish: Impairment) -> None:
    options = ["netem", "delay", f"{wish.delay_s * 1000:.3f}ms"]
    if wish.jitter_s:
        options.append(f"{wish.jitter_s * 1000:.3f}ms")
    argv = ["tc", "qdisc", "replace", "dev", device, "root", *options]
    done = programs.run(argv, timeout_s=_PATIENCE_S, check=False)
    if done.returncode:
        raise VmnetError(
            f"the kernel cannot delay frames: {programs.last_lines(done.stderr)}",
            fix="delay needs netem: modprobe sch_netem (Debian's cloud kernels lack it: install "
            "linux-image-amd64); --loss and --rate work without it",
            status=Exit.HOST_CANNOT,
        )


def _undelay(device: str) -> None:
    if _delayed(device):
        argv = ["tc", "qdisc", "del", "dev", device, "root"]
        programs.run(argv, timeout_s=_PATIENCE_S, check=False)


def _delayed(device: str) -> str:
    """Return the delay of a device; "" where tc is missing or there is none."""
    return _delays("dev", device).get(device, "")


def _delays(*which: str) -> dict[str, str]:
    """Return the devices that delay, with how much; of all devices, or those that tc means."""
    if not programs.is_installed("tc"):
        return {}
    argv = ["tc", "-j", "qdisc", "show", *which]
    done = programs.run(argv, timeout_s=_PATIENCE_S, check=False)
    if done.returncode or not done.stdout.strip():
        return {}
    found = {}
    for one in json.loads(done.stdout):
        delay = (one.get("options") or {}).get("delay")
        if one.get("kind") == "netem" and delay:
            wish = Impairment(delay_s=float(delay["delay"]), jitter_s=float(delay.get("jitter", 0)))
            found[str(one["dev"])] = str(wish)
    return found
