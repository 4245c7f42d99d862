"""A switch without NAT has a table of its own, unless somebody else has taken its name."""

from tests.framework.lab import Lab

PLAN = """\
networks: {lan: {switch: true, subnet: 10.77.0.0/24}}
vms: {a: {nics: [lan]}}
"""


def test_the_table_of_a_switch_is_made_mended_and_never_taken_from_others(lab: Lab) -> None:
    plan = lab.plan(PLAN)
    table = f"vmnet_{lab.name}_lan"
    theirs = f"table inet {table} {{\n\tchain theirs {{\n\t}}\n}}\n"
    with lab.settled():
        lab.run("nft", theirs)
        refused = lab.vmnet("up", plan, status=3)
        assert f"{plan.name}:2:12: the nftables table inet {table} has a name" in refused.stderr
        left = lab.vmnet("down", plan)
        assert f"left alone: the nftables table {table} (inet) is not vmnet's" in left.stderr
        assert lab.run("nft", "list", "ruleset") == theirs
        (way_out,) = [x for x in refused.stderr.splitlines() if "nft delete table" in x]
        lab.run(*f"nft {way_out.rpartition('nft ')[2]}".split())

        assert f"create isolation {table}: new" in lab.vmnet("up", plan).stderr
        made = lab.run("nft", "--stateless", "list", "table", "inet", table)
        lab.run("nft", "delete", "table", "inet", table)
        missed = lab.vmnet("plan", plan)
        assert f"create isolation {table}: missing" in missed.stdout + missed.stderr
        lab.vmnet("up", plan)
        assert lab.run("nft", "--stateless", "list", "table", "inet", table) == made
        lab.vmnet("down", plan)
        assert lab.run("nft", "list", "ruleset") == ""
