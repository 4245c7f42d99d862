"""Why the XML of a template is refused, for what people write most, and how to fix it."""

_YOUR_PLAN = "take it out and use the plan"
REASONS: dict[str, tuple[str, str | None]] = {
    "qemu:commandline": ("gives QEMU options that libvirt does not look at", None),
    "devices/hostdev": ("hands a device of this host to the guest", None),
    "devices/filesystem": ("shows a folder of this host to the guest", None),
    "devices/redirdev": ("redirects a device from elsewhere to the guest", None),
    "devices/shmem": ("shares memory with other programs of this host", None),
    "devices/vsock": ("lets the guest and the host talk past every network of the plan", None),
    "devices/tpm": ("starts a program of its own, and its state is not vmnet's", None),
    "memoryBacking/locked": ("takes the memory from the host for good", None),
    "seclabel": ("changes what confines the guest's QEMU", None),
    "devices/interface@type": (
        "is another way to a network than the plan's macvtap; type=direct even crashes libvirt 9.0",
        'write <interface type="ethernet">, or include "interface.xml.j2"',
    ),
    "devices/interface/target@managed": (
        "has libvirt make and delete the device: it is vmnet's",
        'write managed="no"',
    ),
    "devices/interface@trustGuestRxFilters": (
        "lets the guest change its MAC and hear what is meant for others",
        "take it out",
    ),
    "devices/interface/filterref": (
        "does nothing on a macvtap: nwfilter needs a port of a bridge",
        f"{_YOUR_PLAN}: spoof_guard: strict on the network or NIC, which vmnet does with nft",
    ),
    "devices/interface/bandwidth": (
        "is for devices that libvirt makes, and this one is vmnet's",
        "take it out, and use vmnet link VM --rate",
    ),
    "devices/interface/script": ("is a program that libvirt runs as root", None),
    "devices/interface/downscript": ("is a program that libvirt runs as root", None),
    "devices/graphics@listen": (
        "lets others than this host see the guest's screen",
        'write listen="127.0.0.1"; from elsewhere, come through ssh -L',
    ),
    "devices/graphics/listen@address": (
        "lets others than this host see the guest's screen",
        'write address="127.0.0.1"; from elsewhere, come through ssh -L',
    ),
    "devices/disk@type": (
        "is a source that vmnet does not look after",
        'write type="file", and name the image in the plan',
    ),
    "devices/disk/driver@type": (
        "is not a format that vmnet checks",
        'write the format of the plan: type="qcow2" or type="raw"',
    ),
    "os@firmware": (
        "has libvirt choose the firmware, and leave a file of its variables behind",
        f"{_YOUR_PLAN}: boot: uefi",
    ),
}
"""What is known about those that people write most: why it is refused, and another mend."""
