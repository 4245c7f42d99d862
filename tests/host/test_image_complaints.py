"""Images that cannot be had, each complained of once where the plan names it."""

import pytest

from provisioner.commands.defaults import images
from provisioner.commands.target import PlanTarget
from provisioner.errors import Complaints
from provisioner.plan.load.loader import load

PLAN = """\
name: lab
networks: {lan: {switch: true, subnet: 10.0.0.0/24}}
vms:
  web: {count: 3, image: there-is-none, nics: [lan]}
  db: {image: there-is-none, nics: [lan]}
"""


def test_an_image_that_cannot_be_had_is_complained_of_once_for_each_place() -> None:
    loaded = load(PLAN, "p")
    with pytest.raises(Complaints) as raised:
        images(PlanTarget("lab", loaded.plan, loaded.places), {}, None)
    assert [(str(e.where), e.what) for e in raised.value.errors] == [
        ("p:4:26", 'there is no image "there-is-none"'),
        ("p:5:15", 'there is no image "there-is-none"'),
    ]
