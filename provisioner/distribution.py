"""Distributions of Linux: which one this is, and what is called otherwise there.

Fixes are written for Debian ("apt-get install ovmf", "systemctl start libvirtd") and said in the
words of the distribution that vmnet runs on, by the table templates/platforms.txt.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from provisioner.dataclass import dataclass
from provisioner.pattern import pattern
from provisioner.template_files import template

if TYPE_CHECKING:
    from collections.abc import Callable

_TABLE: Final = "platforms.txt"
_RELATIVES: Final = {"ubuntu": "ubuntu", "debian": "debian", "fedora": "fedora", "arch": "arch"}
_RELATIVES_TOO: Final = {"rhel": "fedora", "centos": "fedora"}
_INSTALL: Final = pattern(r"apt-get install((?: [a-z0-9][a-z0-9.+-]*[a-z0-9])+)")
_DAEMON: Final = pattern(r"(systemctl [a-z-]+ )libvirtd\b")


@dataclass(frozen=True, slots=True)
class PlatformRow:
    """What one thing is called in each distribution: a package, or a fact such as a path."""

    use: str
    what: str
    called: dict[str, str]  # by distribution; those that have no such thing are missing
    why: str


@cache
def table() -> tuple[PlatformRow, ...]:
    """Return the rows of the table."""
    lines = [line.split(" | ") for line in template(_TABLE).splitlines() if " | " in line[:20]]
    names = lines[0][2:-1]
    return tuple(
        PlatformRow(
            use=line[0],
            what=line[1],
            called={n: there for n, there in zip(names, line[2:-1], strict=True) if there != "-"},
            why=line[-1],
        )
        for line in lines[1:]
        if line[0][0] != "#"
    )


def fact(what: str) -> dict[str, str]:
    """Return a fact by distribution, in the order of the table. Raises KeyError for no fact."""
    rows = {row.what: row.called for row in table() if row.use == "fact"}
    return rows[what]


def family(os_release: str) -> str:
    """Return the column of the table for the text of an os-release file (os-release(5)).

    "" is one that the table does not have, nor a relative of it.
    """
    fields = dict(re.findall(r"^([A-Z_]+)=(.*)$", os_release, re.MULTILINE))
    known = _RELATIVES | _RELATIVES_TOO
    own, like = (fields.get(name, "").strip("\"'").split() for name in ("ID", "ID_LIKE"))
    return next((known[word] for word in (*own, *like) if word in known), "")


def spoken(fix: str, there: str) -> str:
    """Return a fix that is written for Debian in the words of another distribution.

    Packages that it has no name for keep Debian's, and so do all of an unknown one.
    """
    if there in {"", "debian"}:
        return fix
    packages = {row.what: row.called.get(there, "") for row in table() if row.use != "fact"}

    def installed(found: re.Match[str]) -> str:
        names = [packages.get(name, name) or name for name in found[1].split()]
        return " ".join((fact("install")[there], *dict.fromkeys(names)))

    return _DAEMON.sub(rf"\g<1>{fact('daemon')[there]}", _INSTALL.sub(installed, fix))


class _Here:
    """The distribution that vmnet runs on, which is read when it is first asked for."""

    def __init__(self) -> None:
        self.os_release: Callable[[], str] = str  # no text: fixes are Debian's

    @property
    def family(self) -> str:
        return family(self.os_release())

    def spoken(self, fix: str) -> str:
        """Return a fix in the words of this distribution."""
        if "apt-get install" in fix or "libvirtd" in fix:
            return spoken(fix, self.family)
        return fix


HERE: Final = _Here()
