"""All plans of this host, read side by side: what each command about all of them begins with."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from provisioner.errors import VmnetError
from provisioner.host.inventory import look
from provisioner.host.libvirt import listing
from provisioner.host.libvirt.session import is_embedded
from provisioner.inventory.gather import gathered

if TYPE_CHECKING:
    from provisioner.host.system.worker import Worker
    from provisioner.inventory.found import Inventory, Reading


def read(worker: "Worker", connection: str = "") -> "tuple[Inventory, Reading]":
    """Return the plans of this host, and the look that they were found by.

    `connection` is another libvirt that is asked besides. A daemon that does not answer hides no
    plan but its own.
    """
    reading = worker.do(look.read)
    asked = dict.fromkeys([connection, listing.daemon(), *_named(reading)])
    calls = [
        (uri, worker.call(listing.marked, uri)) for uri in asked if uri and not is_embedded(uri)
    ]
    for uri, call in calls:
        try:
            reading = replace(reading, domains=(*reading.domains, *call.result()))
        except VmnetError as error:
            trouble = f"the domains of {uri}: {error.what}"
            reading = replace(reading, troubles=(*reading.troubles, trouble))
    return gathered(reading), reading


def _named(reading: "Reading") -> Iterable[str]:
    marks = (folder.mark for folder in reading.folders)
    return (mark.connection for mark in marks if mark)
