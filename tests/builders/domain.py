"""Domains as vmnet starts them: one of a single NIC, and one with two NICs and a seed."""

from dataclasses import replace

from provisioner.guest.domain import Domain, DomainNic

WEB = Domain(
    name="lab-web",
    uuid="5f3c1c1e-6a5b-5d0f-8a47-c3e1907bd254",
    plan="lab",
    vm="web",
    memory_mib=128,
    cpus=1,
    accel="tcg",
    kernel="/var/cache/vmnet/images/micro/vmlinux",
    initrd="/var/cache/vmnet/images/micro/initrd",
    cmdline="console=ttyS0 quiet vmnet.hostname=web",
    console="/var/lib/vmnet/lab/console/web.log",
    nics=(DomainNic("mvt9ec10a7b78", "02:9e:c1:0a:7b:78", 1500),),
)
SEEDED = replace(
    WEB,
    nics=(
        *WEB.nics,
        DomainNic("mvtdeb06583bd", "02:de:b0:65:83:bd", 9000, queues=2, vhost=True),
    ),
    seed="/var/lib/vmnet/lab/seed/web-0123456789ab.iso",
)
SEEDED_KVM = replace(SEEDED, memory_mib=512, cpus=2, accel="kvm")
