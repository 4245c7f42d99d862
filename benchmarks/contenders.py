"""The tools that benchmarks/peers.py compares: how each brings guests up on a NIC, and away.

All boot vmnet's micro image, by its kernel, with the MACs and addresses that vmnet gives.
"""

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import rawqemu
from harness import HOUSE, NIC, FailedError
from rawqemu import Guest

SYSTEM = "qemu:///system"
_SOCKET = Path("/run/libvirt/libvirt-sock")
_TIMEOUT_S = 300
_DOMAIN = """\
<domain type="{kind}">
  <name>{name}</name>
  <memory unit="MiB">{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode="custom" match="exact" check="none"><model fallback="forbid">{cpu}</model></cpu>
  <devices>
    <controller type="usb" model="none"/>
    <interface type="direct">
      <mac address="{mac}"/>
      <source dev="{nic}" mode="bridge"/>
      <model type="virtio"/>
      <rom enabled="no"/>
    </interface>
    <serial type="pty"/>
    <memballoon model="none"/>
  </devices>
</domain>
"""
_VAGRANT = """\
Vagrant.configure("2") do |config|
  config.vm.communicator = "none"
  config.vm.synced_folder ".", "/vagrant", disabled: true
{machines}end
"""
_MACHINE = """\
  config.vm.define "{name}" do |m|
    m.vm.network :public_network, dev: "{nic}", mode: "bridge", type: "direct", mac: "{mac}",
      auto_config: false
    m.vm.provider :libvirt do |v|
      v.uri = "{uri}"
      v.driver = "{kind}"
      v.cpu_mode = "custom"
      v.cpu_model = "{cpu}"
      v.machine_type = "q35"
      v.memory = {memory}
      v.kernel = "{kernel}"
      v.initrd = "{initrd}"
      v.cmd_line = "{cmdline}"
      v.mgmt_attach = false
      v.qemu_use_agent = true
      v.channel :type => "unix", :target_name => "org.qemu.guest_agent.0", :target_type => "virtio"
      v.graphics_type = "none"
      v.video_type = "none"
      v.memballoon_enabled = false
    end
  end
"""


@dataclass(frozen=True, slots=True)
class Boot:
    """What a guest is started with, as vmnet starts it."""

    name: str
    mac: str
    memory: str  # MiB
    kind: str  # libvirt's: "qemu" or "kvm"
    cpu: str
    kernel: str
    initrd: str
    cmdline: str


def boot_of(guest: Guest) -> Boot:
    """Read a guest's QEMU command line."""
    words = dict(rawqemu.options(guest.argv))
    kind = "kvm" if words["-accel"].startswith("kvm") else "qemu"
    return Boot(
        f"peer-{guest.name}",
        guest.mac,
        words["-m"].removesuffix("M"),
        kind,
        words["-cpu"].partition(",")[0],
        words["-kernel"],
        words["-initrd"],
        words["-append"],
    )


class Contender(ABC):
    """A tool: its name, and what it is run with."""

    name: str
    how: str
    programs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name.replace(" ", "-")
        self.folder.mkdir()

    def absent(self) -> str:
        """Return why it cannot be run here, "" when it can."""
        missing = [program for program in self.programs if not shutil.which(program)]
        return f"{', '.join(missing)} is not installed" if missing else ""

    def prepare(self, guests: Sequence[Guest]) -> None:
        """Write what a user has written before: this is not timed."""
        del guests

    @abstractmethod
    def up(self, guests: Sequence[Guest]) -> None:
        """Start the guests; return when the tool says that it has."""

    @abstractmethod
    def down(self, guests: Sequence[Guest]) -> None:
        """Take them away; return when they have gone."""


class Raw(Contender):
    """The floor: QEMUs on macvtaps of one `ip -batch`, all at once."""

    name = "raw QEMU"
    how = "ip -batch, then all QEMUs at once with the command lines that libvirt makes for vmnet"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = ExitStack()

    def up(self, guests: Sequence[Guest]) -> None:
        """Start the guests; return when the processes have been started."""
        rawqemu.started(guests, NIC, self.folder, self._stack)

    def down(self, guests: Sequence[Guest]) -> None:
        """Kill the QEMUs and delete the macvtaps."""
        del guests
        self._stack.close()


class Vmnet(Contender):
    """vmnet with its embedded libvirt: a plan of guests on the NIC."""

    name = "vmnet"
    how = "up, down; embedded libvirt"

    def __init__(self, folder: Path, vmnet: Sequence[str], plan: Path) -> None:
        super().__init__(folder)
        self._vmnet, self._plan = vmnet, plan

    def up(self, guests: Sequence[Guest]) -> None:
        """Bring the plan up; return with the verdict."""
        del guests
        with without_daemon():
            self._up()

    def _up(self) -> None:
        told = json.loads(run([*self._vmnet, "up", str(self._plan), "--json"], self.folder))
        if not told["results"] or not all(each["as_expected"] for each in told["results"]):
            raise FailedError(f"{self.name} has another verdict:\n{told}")

    def down(self, guests: Sequence[Guest]) -> None:
        """Take the plan down."""
        del guests
        run([*self._vmnet, "down", str(self._plan)], self.folder)


class VmnetDaemon(Vmnet):
    """vmnet with a libvirt daemon."""

    name = "vmnet, daemon"
    how = "up, down; libvirtd"

    def up(self, guests: Sequence[Guest]) -> None:
        """Bring the plan up; return with the verdict."""
        del guests
        self._up()


class Virsh(Contender):
    """`virsh create` of transient domains."""

    name = "virsh create"
    how = "transient domains with nothing but a NIC and a serial line, 10 at a time"
    programs = ("virsh",)

    def prepare(self, guests: Sequence[Guest]) -> None:
        """Write the domains."""
        for boot in map(boot_of, guests):
            fields = {key: escape(getattr(boot, key)) for key in Boot.__slots__}
            (self.folder / f"{boot.name}.xml").write_text(_DOMAIN.format(nic=NIC, **fields))

    def up(self, guests: Sequence[Guest]) -> None:
        """Create them."""
        files = [self.folder / f"{boot_of(guest).name}.xml" for guest in guests]
        at_once(10, [["virsh", "-q", "-c", SYSTEM, "create", str(x)] for x in files], self.folder)

    def down(self, guests: Sequence[Guest]) -> None:
        """Destroy them."""
        destroy(guests, self.folder)


class VirtInstall(Contender):
    """virt-install, which makes transient domains."""

    name = "virt-install"
    how = "--transient --noautoconsole, no devices but a NIC and a serial line, 4 at a time"
    programs = ("virt-install", "virsh")

    def up(self, guests: Sequence[Guest]) -> None:
        """Install each guest."""
        at_once(4, [self._argv(boot_of(guest)) for guest in guests], self.folder)

    @staticmethod
    def _argv(boot: Boot) -> list[str]:
        return [
            "virt-install", "--connect", SYSTEM, "--name", boot.name, "--memory", boot.memory,
            "--vcpus", "1", "--virt-type", boot.kind, "--machine", "q35", "--transient",
            "--osinfo", "detect=off,require=off", "--noautoconsole", "--disk", "none", "--import",
            "--boot", f'kernel={boot.kernel},initrd={boot.initrd},kernel_args="{boot.cmdline}"',
            "--cpu", boot.cpu,
            "--network", f"type=direct,source={NIC},source_mode=bridge,model=virtio,mac={boot.mac}",
            "--graphics", "none", "--controller", "usb,model=none", "--memballoon", "none",
            "--rng", "none", "--channel", "none", "--sound", "none",
        ]  # fmt: skip

    def down(self, guests: Sequence[Guest]) -> None:
        """Destroy them."""
        destroy(guests, self.folder)


class Kcli(Contender):
    """A plan of kcli; the kernel goes past it to QEMU, since its plans boot from disks only."""

    name = "kcli"
    how = "create plan --threaded, delete plan; no disks; the kernel by qemuextra"
    programs = ("kcli",)

    def prepare(self, guests: Sequence[Guest]) -> None:
        """Write the plan, the configuration, and a file that QEMU reads the kernel from."""
        (self.folder / ".kcli").mkdir(exist_ok=True)
        (self.folder / ".kcli/config.yml").write_text(
            "default: {client: local, pool: default}\nlocal: {type: kvm, host: 127.0.0.1}\n"
        )
        vms = []
        for boot in map(boot_of, guests):
            config = self.folder / f"{boot.name}.cfg"
            config.write_text(
                f'[machine]\n  kernel = "{boot.kernel}"\n  initrd = "{boot.initrd}"\n'
                f'  append = "{boot.cmdline}"\n'
            )
            vms.append(
                f"{boot.name}:\n  memory: {boot.memory}\n  numcpus: 1\n  disks: []\n  vnc: false\n"
                f"  machine: q35\n  cpumodel: {boot.cpu}\n  tpm: false\n  rng: false\n"
                f"  nested: false\n  cloudinit: false\n  start: true\n"
                f"  nets: [{{name: {NIC}, mac: '{boot.mac}'}}]\n"
                f"  qemuextra: -readconfig {config}\n"
            )
        (self.folder / "plan.yml").write_text("".join(vms))

    def up(self, guests: Sequence[Guest]) -> None:
        """Create the plan."""
        del guests
        run(["kcli", "create", "plan", "--threaded", "-f", "plan.yml", "peers"], self.folder)

    def down(self, guests: Sequence[Guest]) -> None:
        """Delete it."""
        del guests
        run(["kcli", "delete", "plan", "--yes", "peers"], self.folder)


class Vagrant(Contender):
    """vagrant-libvirt, without a box: it boots a kernel, and waits for the guest's agent."""

    name = "vagrant-libvirt"
    how = "up --parallel, destroy --force --parallel; no box, no management network, no ssh"
    programs = ("vagrant",)

    def absent(self) -> str:
        """Return why it cannot be run here, "" when it can."""
        if why := super().absent():
            return why
        listed = run(["vagrant", "plugin", "list"], self.folder)
        return "" if "vagrant-libvirt" in listed else "vagrant has no plugin vagrant-libvirt"

    def prepare(self, guests: Sequence[Guest]) -> None:
        """Write the Vagrantfile."""
        machines = "".join(
            _MACHINE.format(
                nic=NIC,
                uri=SYSTEM,
                **{
                    key: getattr(boot, key).replace("\\", "\\\\").replace('"', '\\"')
                    for key in Boot.__slots__
                },
            )
            for boot in map(boot_of, guests)
        )
        (self.folder / "Vagrantfile").write_text(_VAGRANT.format(machines=machines))

    def up(self, guests: Sequence[Guest]) -> None:
        """Bring the machines up."""
        del guests
        run(["vagrant", "up", "--parallel", "--provider", "libvirt"], self.folder)

    def down(self, guests: Sequence[Guest]) -> None:
        """Destroy them."""
        del guests
        run(["vagrant", "destroy", "--force", "--parallel"], self.folder)


@contextmanager
def without_daemon() -> Iterator[None]:
    """Let no libvirt daemon be found while the block runs: vmnet takes its own then."""
    hidden = _SOCKET.with_suffix(".hidden")
    _SOCKET.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(_SOCKET)


def destroy(guests: Sequence[Guest], folder: Path) -> None:
    """Destroy transient domains, ten at a time."""
    names = [boot_of(guest).name for guest in guests]
    at_once(10, [["virsh", "-q", "-c", SYSTEM, "destroy", name] for name in names], folder)


def at_once(most: int, commands: Sequence[Sequence[str]], folder: Path) -> None:
    """Run commands, so many at a time."""
    with ThreadPoolExecutor(most) as pool:
        list(pool.map(run, commands, [folder] * len(commands)))


def run(argv: Sequence[str], folder: Path) -> str:
    """Run a command in a tool's folder, its home; return what it said.

    Raises FailedError when it ends with another status than 0.
    """
    environment = os.environ | {"HOME": str(folder), "VAGRANT_HOME": str(folder / ".vagrant.d")}
    environment |= {"PYTHONPATH": str(HOUSE)} if "provisioner" in argv else {}
    ran = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_TIMEOUT_S,
    )
    if ran.returncode != 0:
        said = ran.stderr + ran.stdout
        raise FailedError(f"{' '.join(argv)} ended with {ran.returncode}:\n{said[:2000]}")
    return ran.stdout
