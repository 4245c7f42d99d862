"""The table of all kinds of resources and their drivers."""

from typing import get_args

from provisioner.host.drivers import drivers
from provisioner.host.libvirt.session import LibvirtSession
from provisioner.reconcile.resources import AnyResource
from provisioner.resource import Leftover


def test_every_kind_of_resource_has_a_driver() -> None:
    table = drivers(LibvirtSession("lab"))
    kinds = set(get_args(AnyResource))
    assert set(table.makers) == {kind for kind in kinds if not issubclass(kind, Leftover)}
    assert set(table.others) == {kind for kind in kinds if issubclass(kind, Leftover)}


def test_every_kind_of_resource_has_a_name_of_its_own() -> None:
    kinds = get_args(AnyResource)
    assert len({kind.KIND for kind in kinds}) == len(kinds)
