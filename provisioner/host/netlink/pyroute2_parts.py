"""The parts of pyroute2 that vmnet uses: its messages, and what parses them.

`import pyroute2` imports all of it first - NDB, IPDB, conntrack, asyncio with TLS -, which takes a
command longer than all that it does by it. So the package's own module is left out.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

_NAME = "pyroute2"


@contextmanager
def _alone() -> Iterator[None]:
    """Let modules of the package be imported without the package's own, which may come later."""
    spec = None if _NAME in sys.modules else find_spec(_NAME)
    if spec is None:
        yield
        return
    bare = ModuleType(_NAME)
    bare.__path__ = list(spec.submodule_search_locations or ())
    bare.__spec__ = spec
    sys.modules[_NAME] = bare
    try:
        yield
    finally:
        del sys.modules[_NAME]


with _alone():
    from pyroute2.netlink import (
        NLM_F_ACK,
        NLM_F_CREATE,
        NLM_F_EXCL,
        NLM_F_REQUEST,
        NLMSG_NOOP,
        nla,
        nla_slot,
        nlmsg,
        rtnl,
    )
    from pyroute2.netlink.marshal import Marshal
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfbase
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

__all__ = (
    "NLMSG_NOOP",
    "NLM_F_ACK",
    "NLM_F_CREATE",
    "NLM_F_EXCL",
    "NLM_F_REQUEST",
    "Marshal",
    "ifaddrmsg",
    "ifinfbase",
    "ndmsg",
    "nla",
    "nla_slot",
    "nlmsg",
    "rtmsg",
    "rtnl",
    "tcmsg",
)
