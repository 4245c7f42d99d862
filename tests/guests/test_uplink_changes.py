"""An uplink that is changed under a running guest: named, and mended without a restart."""

from tests.framework.lab import Lab
from tests.framework.plan import brought_up
from tests.framework.wire import cabled_nic

PLAN = """\
networks:
  lan: {{uplink: {nic}, subnet: 10.90.0.0/24, pool: 10.90.0.10-10.90.0.99, gateway: 10.90.0.254}}
vms: {{a: {{nics: [lan]}}}}
"""


def test_an_uplink_that_is_changed_is_named_and_its_guest_goes_on(lab: Lab) -> None:
    with cabled_nic(lab, "10.90.0.254/24") as wire:
        plan = brought_up(lab, PLAN.format(nic=wire.name))
        domain, nic = f"{plan.path.stem}-a", wire.name
        mac = lab.run("cat", f"/sys/class/net/{plan.tap('a')}/address").strip()

        lab.ip("link", "set", nic, "mtu", "1400")
        line = f"update domain {domain}: its NIC {mac} has to be told its MTU, 1400"
        assert lab.vmnet("status", plan.path, "--json").report["to_do"] == [line]
        assert line in plan.check(status=5)["findings"][0]["what"]
        assert plan.up("--json").report["done"] == [line]
        assert plan.inside("a", "cat /sys/class/net/eth0/mtu") == "1400\n"

        lab.ip("link", "set", nic, "down")
        assert f"warning: uplink {nic} is down" in lab.vmnet("status", plan.path).stderr
        lab.ip("link", "set", nic, "name", "re0")
        lab.ip("link", "set", "re0", "up")
        status = lab.vmnet("status", plan.path, "--json")
        assert f"warning: uplink {nic} is called re0 now" in status.stderr
        assert status.report["to_do"] == []
        assert f'the network device "{nic}" is called "re0" now' in plan.up(status=2).stderr

        lab.ip("link", "del", "re0")
        status = lab.vmnet("status", plan.path, "--json")
        assert f"warning: uplink {nic} is gone: guests on lan are cut off" in status.stderr
        lost = f"update domain {domain}: its NIC a.lan has lost its device"
        assert next(x for x in status.report["to_do"] if "domain" in x).startswith(lost)
        lab.ip("link", "add", nic, "type", "veth", "peer", "name", "far", "netns", wire.lan)
        wire.outside("ip", "link", "set", "far", "master", "sw", "up", "addrgenmode", "none")
        lab.ip("link", "set", nic, "up", "addrgenmode", "none")
        report = plan.up("--json").report
        assert "create macvtap a.lan: missing" in report["done"]
        assert next(x for x in report["done"] if "domain" in x).startswith(lost)
        assert report["summary"].startswith("all ")
        assert lab.qemus() == plan.qemus
        assert lab.vmnet("status", plan.path, "--json").report["to_do"] == []
        lab.vmnet("down", plan.path)
