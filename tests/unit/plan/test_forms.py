"""What a plan may look like, and what it comes to mean."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from provisioner.plan import scalars
from provisioner.plan.choices import Accel, Addressing, DiskFormat, Mode
from provisioner.plan.load.loader import load
from provisioner.plan.model import Network, Nic, Plan, Switch, Vm
from tests.builders.plan import with_name, with_network, with_nic, with_vm

EXAMPLES = Path(__file__).parents[3] / "examples"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"


def plan(text: str) -> Plan:
    return load(text, "p").plan


def network(inside: str) -> Network:
    return plan(with_network(inside)).network("lan")


def nic(inside: str) -> Nic:
    return plan(with_nic(inside)).vm("web").nics[0]


def vm(inside: str) -> Vm:
    return plan(with_vm(inside)).vm("web")


def test_the_pair_is_two_guests_on_a_switch() -> None:
    assert plan((EXAMPLES / "pair.yaml").read_text()) == Plan(
        name="pair",
        networks=(
            Network(
                name="lan",
                switch=Switch(host=(ip_interface("10.77.0.1/24"), ip_interface("fd77::1/64"))),
                subnet=(ip_network("10.77.0.0/24"), ip_network("fd77::/64")),
                addressing=Addressing.STATIC,
            ),
        ),
        vms=(Vm(name="a", nics=(Nic(network="lan"),)), Vm(name="b", nics=(Nic(network="lan"),))),
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_holds(path: Path) -> None:
    assert plan(path.read_text()).name == path.stem


def test_a_device_may_be_called_raw() -> None:
    (disk,) = vm("disks: [{device: /dev/sdb, format: raw}]").disks
    assert (disk.device, disk.format) == ("/dev/sdb", DiskFormat.RAW)


def test_a_byte_order_mark_is_no_part_of_the_plan() -> None:
    assert plan("\ufeff" + with_name("lab")) == plan(with_name("lab"))


def test_json_is_a_plan_too() -> None:
    text = (
        '{"name": "lab", "networks": {"lan": {"uplink": "eno1"}}, "vms": {"a": {"nics": ["lan"]}}}'
    )
    assert plan(text).vm("a").nics == (Nic(network="lan"),)


def test_what_yaml_would_guess_stays_text() -> None:
    text = 'name: "on"\nnetworks: {no: {uplink: 1e3}}\nvms: {y: {nics: [no]}, null: {nics: [no]}}\n'
    assert [*(one.name for one in plan(text.replace("null", "off")).vms)] == ["y", "off"]
    assert plan(text.replace("null", "off")).network("no").uplink == "1e3"
    assert nic("mac: 52:54:00:12:34:56").mac == "52:54:00:12:34:56"


def test_a_count_numbers_its_vms_from_1_even_if_it_is_1() -> None:
    text = (
        "name: lab\nnetworks: {lan: {uplink: eno1}}\n"
        "vms: {a: {nics: [lan]}, b: {count: 1, nics: [lan]}, c: {count: 3, nics: [lan]}}\n"
    )
    assert [one.name for one in plan(text).vms] == ["a", "b1", "c1", "c2", "c3"]


def test_a_vm_says_otherwise_than_its_defaults() -> None:
    text = (
        "name: lab\ndefaults: {memory: 256M, cpus: 2, accel: tcg, connection: 'qemu:///session'}\n"
        "networks: {lan: {uplink: eno1}}\n"
        "vms: {a: {nics: [lan]}, b: {memory: 1G, nics: [lan]}}\n"
    )
    made = plan(text)
    assert [(one.memory_mib, one.cpus) for one in made.vms] == [(256, 2), (1024, 2)]
    assert (made.accel, made.connection) == (Accel.TCG, "qemu:///session")
    told = plan(text + "accel: kvm\nconnection: auto\n")
    assert (told.accel, told.connection) == (Accel.KVM, "auto")


@pytest.mark.parametrize(
    ("written", "mib"),
    [("96", 96), ("128M", 128), ("512MiB", 512), ("512 Mi", 512), ("1G", 1024), ("2GiB", 2048)],
)
def test_memory_is_counted_in_mib(written: str, mib: int) -> None:
    assert vm(f"memory: {written}").memory_mib == mib


@pytest.mark.parametrize("form", ["true", "yes", "on", "{}", "{host: 10.77.0.1}"])
def test_a_switch_gives_the_host_the_first_address(form: str) -> None:
    made = network(f"switch: {form}, subnet: 10.77.0.0/24")
    assert made.switch == Switch(host=(ip_interface("10.77.0.1/24"),))


def test_a_switch_takes_the_addresses_that_it_is_given() -> None:
    made = network("switch: {host: [10.77.0.9, 'fd77::9/64']}, subnet: [10.77.0.0/24, 'fd77::/64']")
    assert made.switch == Switch(host=(ip_interface("10.77.0.9/24"), ip_interface("fd77::9/64")))


def test_an_uplink_without_a_subnet_is_left_to_dhcp() -> None:
    assert network("uplink: eno1").addressing is Addressing.DHCP
    assert network("uplink: eno1, subnet: 10.0.0.0/24").addressing is Addressing.STATIC
    assert network("switch: true, addressing: none").addressing is Addressing.NONE


def test_one_value_stands_for_a_list_of_it() -> None:
    one = "uplink: eno1, subnet: 10.0.0.0/24, gateway: 10.0.0.1, dns: 9.9.9.9"
    many = "uplink: eno1, subnet: [10.0.0.0/24], gateway: [10.0.0.1], dns: [9.9.9.9]"
    assert network(one) == network(many)
    assert network(one).gateway == (ip_address("10.0.0.1"),)


def test_a_pool_has_two_ends() -> None:
    made = network("uplink: eno1, subnet: 10.0.0.0/24, pool: 10.0.0.10-10.0.0.20")
    assert made.pool == (ip_address("10.0.0.10"), ip_address("10.0.0.20"))


def test_an_address_without_a_prefix_takes_the_subnets() -> None:
    assert nic("address: 10.77.0.9").address == (ip_interface("10.77.0.9/24"),)
    assert nic("address: [10.77.0.9/24]").address == (ip_interface("10.77.0.9/24"),)


def test_a_mac_is_kept_in_lower_case() -> None:
    assert nic("mac: 02-AA-BB-CC-DD-EE").mac == "02:aa:bb:cc:dd:ee"


def test_a_nic_may_differ_from_its_network() -> None:
    made = nic("mode: vepa, mtu: 1400")
    assert (made.mode, made.mtu) == (Mode.VEPA, 1400)


def test_a_public_key_is_one_line() -> None:
    assert vm(f"ssh_keys: {KEY}").ssh_keys == (KEY,)
    assert vm(f"ssh_keys: ['{KEY}']").ssh_keys == (KEY,)


def test_keys_that_nobody_has_written_are_the_callers_and_none_are_none() -> None:
    assert vm("memory: 128M").ssh_keys == vm("ssh_keys: auto").ssh_keys == ("auto",)
    assert vm(f"ssh_keys: [auto, {KEY}]").ssh_keys == ("auto", KEY)
    for none in ("none", "[none]", "[]"):
        assert vm(f"ssh_keys: {none}").ssh_keys == ()


@pytest.mark.parametrize("uri", ["auto", "qemu:///system", "qemu:///session"])
def test_a_plan_may_choose_between_the_usual_connections(uri: str) -> None:
    assert plan(with_name("lab") + f"connection: {uri}\n").connection == uri
    assert scalars.uri(uri) == uri


SOCKETS = ["qemu+unix:///system?socket=/run/s", "qemu:///system?mode=direct"]


@pytest.mark.parametrize("uri", SOCKETS)
def test_another_socket_is_for_the_operator_alone_to_name(uri: str) -> None:
    assert scalars.uri(uri) == uri
    with pytest.raises(ValidationError, match="a plan cannot choose the connection"):
        Plan.model_validate({"name": "lab", "networks": [], "vms": [], "connection": uri})


ELSEWHERE = "leads to another host, and macvtaps are made on this one"
EMBEDDED = "vmnet alone chooses the root of its embedded libvirt"
UNKNOWN = "is not a libvirt connection to QEMU"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("qemu:///embed?root=/tmp/x", EMBEDDED),
        ("qemu:///embed", EMBEDDED),
        ("QEMU:///embed?root=/tmp/x", EMBEDDED),
        ("qemu+unix:///embed?root=/tmp/x", EMBEDDED),
        ("qemu+ssh://me@host/system?keyfile=/k", ELSEWHERE),
        ("qemu+ssh:///system", ELSEWHERE),
        ("qemu+ssh://localhost/system", ELSEWHERE),
        ("qemu+libssh2://host/system", ELSEWHERE),
        ("qemu+tls://host/system", ELSEWHERE),
        ("qemu+tcp://10.0.0.1:16509/system", ELSEWHERE),
        ("qemu+ext:///system?command=/bin/id", ELSEWHERE),
        ("qemu://host/system", ELSEWHERE),
        ("qemu+unix://host/system", ELSEWHERE),
        ("qemu+ssh://-oProxyCommand=id/system", ELSEWHERE),
        ("qemu:///embed/../system", UNKNOWN),
        ("qemu:///embed/", UNKNOWN),
        ("qemu:///%65mbed?root=/tmp/x", UNKNOWN),
        ("qemu:///system#?root=/x", UNKNOWN),
        ("qemu:///system?root=/tmp/x", UNKNOWN),
        ("qemu:///system?pkipath=/tmp", UNKNOWN),
        ("qemu:///system?netcat=id", UNKNOWN),
        ("qemu:", UNKNOWN),
        ("qemu://", UNKNOWN),
        ("qemu:/system", UNKNOWN),
        ("qemu:///sys tem", UNKNOWN),
        ("qemu:///système", UNKNOWN),
        ("qemu://[/system", UNKNOWN),
        ("lxc:///system", UNKNOWN),
        ("test:///default", UNKNOWN),
        ("xen:///system", UNKNOWN),
        ("/system", UNKNOWN),
    ],
)
def test_no_connection_runs_a_program_or_leaves_this_host(uri: str, said: str) -> None:
    with pytest.raises(scalars.BadValue, match=said):
        scalars.uri(uri)
    with pytest.raises(ValidationError, match=said):
        Plan.model_validate({"name": "lab", "networks": [], "vms": [], "connection": uri})


def test_a_plan_survives_json() -> None:
    made = plan((EXAMPLES / "homelab.yaml").read_text())
    assert Plan.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        plan(with_name("lab")).name = "other"  # type: ignore[misc]


def test_a_plan_knows_its_parts_by_name() -> None:
    made = plan(with_name("lab"))
    assert (made.network("lan"), made.vm("web")) == (made.networks[0], made.vms[0])
    with pytest.raises(KeyError, match="dmz"):
        made.network("dmz")
    with pytest.raises(KeyError, match="db"):
        made.vm("db")
