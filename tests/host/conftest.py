from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host_tools.http_server import trusting
from tests.host_tools.namespace import Namespace, far_namespace, fresh_namespace, ip
from tests.host_tools.veth_peer import FAR, FOUR, NEAR, SIX


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A fresh network namespace that the test is in; everything in it disappears with it."""
    with fresh_namespace() as here:
        yield here


@pytest.fixture
def far(namespace: Namespace) -> Iterator[Namespace]:  # noqa: ARG001  (the test is in it)
    """A wire from `near`, where the test is, to `far`, where nobody has an address yet."""
    with far_namespace() as there:
        ip(
            f"link add name near address {NEAR} type veth"
            f" peer name far address {FAR} netns {there.path}",
            "link set dev near up",
        )
        Path("/proc/sys/net/ipv6/neigh/near/retrans_time_ms").write_text("100")
        with there.entered():
            Path("/proc/sys/net/ipv6/conf/far/router_solicitation_delay").write_text("0")
            Path("/proc/sys/net/ipv6/neigh/far/retrans_time_ms").write_text("300")
            ip("link set dev far up")
        yield there


@pytest.fixture
def guest(far: Namespace) -> Namespace:
    """The far end holds both addresses, as a booted guest does."""
    with far.entered():
        ip(f"addr add {FOUR}/24 dev far", f"addr add {SIX}/64 dev far nodad")
    return far


@pytest.fixture
def trusted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the tests' own servers; set no proxy, and run as outside CI."""
    for name, value in trusting(tmp_path_factory.mktemp("authority")).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
