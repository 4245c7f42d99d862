"""The type of the document that each command writes with --json."""

from collections.abc import Mapping

from provisioner.json_document import Envelope
from provisioner.json_schema import Json, document_schema

_REPORTS = ("up", "down", "stop", "start", "restart", "pause", "resume", "status", "check")
_NET = ("net create", "net ls", "net show", "net set")
_HOSTS = ("hosts ls", "hosts facts", "hosts check")
_IGNORE = "Keys that are not here may be added: readers pass over them (docs/reference/json.md)."
REPORT = "report"


def documents() -> Mapping[str, tuple[type, ...]]:
    """Return the types of what each command writes, besides errors, by its words.

    `report` is what `vmnet plan` writes, as the schema "plan" is that of plan files.
    """
    from provisioner.check.discovery import IpDocument
    from provisioner.commands.boot.install import BootDocument
    from provisioner.commands.fabric.moving import Drained
    from provisioner.commands.lifecycle.events import EventDocument
    from provisioner.commands.moving.errand import Moved
    from provisioner.commands.snapshot.listing import (
        SavedDocument,
        SavedOnHostsDocument,
        SnapshotsDocument,
    )
    from provisioner.doctor.findings import DoctorDocument
    from provisioner.fabric.facts import HostFacts
    from provisioner.fabric.remote.installed import BootstrapDocument
    from provisioner.fabric.remote.roll_call import HostsDocument
    from provisioner.image.listing import ImagesDocument
    from provisioner.inventory.garbage import GcDocument
    from provisioner.inventory.listing import LsDocument
    from provisioner.network.standalone.output import NetDocument
    from provisioner.reachability.experiment import ModesDocument
    from provisioner.reachability.explain import Explanation
    from provisioner.reachability.switch_probe import SwitchDocument
    from provisioner.report.document import ReportDocument, ValidateDocument

    return {
        **dict.fromkeys((REPORT, *_REPORTS, "snapshot restore"), (ReportDocument,)),
        **dict.fromkeys(_NET, (NetDocument,)),
        **dict.fromkeys(_HOSTS, (HostsDocument,)),
        "boot install": (BootDocument,),
        "boot status": (BootDocument,),
        "doctor": (DoctorDocument,),
        "drain": (Drained,),
        "events": (EventDocument,),
        "explain": (Explanation,),
        "gc": (GcDocument,),
        "hosts bootstrap": (BootstrapDocument,),
        "host-facts": (HostFacts,),
        "image ls": (ImagesDocument,),
        "ip": (IpDocument,),
        "ls": (LsDocument,),
        "move": (Moved,),
        "modes": (ModesDocument, SwitchDocument),
        "snapshot ls": (SnapshotsDocument,),
        "snapshot save": (SavedDocument, SavedOnHostsDocument),
        "validate": (ValidateDocument,),
    }


def schema(name: str) -> Json:
    """Return the JSON Schema of what a command writes. Raises KeyError for another name."""
    from provisioner.report.document import ErrorsDocument

    what = "a report" if name == REPORT else f"vmnet {name}"
    title = f"What {what} is with --json" if name == REPORT else f"What {what} --json writes"
    kinds = (*documents()[name], ErrorsDocument)
    return document_schema(name, f"{title}. {_IGNORE}", Envelope, kinds)
