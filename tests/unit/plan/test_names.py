"""Names that cannot be, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of, with_name, with_network

LABEL = "use a-z, 0-9 and -, a letter first, no - at the end, at most 32 characters"

PLANS = [
    ("vm%d", "vm%d", 4),
    ("..", "..", 2),
    (".", ".", 1),
    ("a/b", "a/b", 3),
    ("a b", "a b", 3),
    ("a:b", "a:b", 3),
    ('"a\\nb"', "a\\nb", 3),
    ("Web", "Web", 3),
    ("-x", "-x", 2),
    ('" lead"', " lead", 5),
    ('"trail "', "trail ", 6),
    ("a-", "a-", 2),
    ("éé", "éé", 2),
    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 33),
    ("1lab", "1lab", 4),
    ("a.b", "a.b", 3),
    ("a_b", "a_b", 3),
    ("$(id)", "$(id)", 5),
    ("a@b", "a@b", 3),
    ("'%s'", "%s", 2),
    ("'`x`'", "`x`", 3),
    ("'a\"b'", 'a"b', 3),
    ("<a>", "<a>", 3),
    ("a&b", "a&b", 3),
    ("if=1", "if=1", 4),
    ('"a\\tb"', "a\\tb", 3),
    ("lab!", "lab!", 4),
]


@pytest.mark.parametrize(("value", "shown", "length"), PLANS)
def test_a_plan_refuses_a_name_that_is_no_label(value: str, shown: str, length: int) -> None:
    assert complaints_of(with_name(value)) == [
        f'1:7 "{shown}" cannot name a plan',
        f"fix: {LABEL} (this has {length})",
    ]


UPLINKS = r"""
uplink: vm%d
-> 3:17 "vm%d" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: '..'
-> 3:17 ".." cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: a/b
-> 3:17 "a/b" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: 'a b'
-> 3:17 "a b" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: 'a:b'
-> 3:17 "a:b" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: sixteen-bytes-up
-> 3:17 "sixteen-bytes-up" cannot name an uplink
-> fix: the kernel allows at most 15 bytes (this has 16)
uplink: éééééééé
-> 3:17 "éééééééé" cannot name an uplink
-> fix: the kernel allows at most 15 bytes (this has 16)
uplink: lo
-> 3:17 "lo" cannot carry macvtaps
-> fix: name a NIC of this host (`ip link` lists them), or use switch: true instead
uplink: all
-> 3:17 "all" cannot carry macvtaps
-> fix: name a NIC of this host (`ip link` lists them), or use switch: true instead
uplink: default
-> 3:17 "default" cannot carry macvtaps
-> fix: name a NIC of this host (`ip link` lists them), or use switch: true instead
uplink: -rf
-> 3:17 "-rf" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: $(id)
-> 3:17 "$(id)" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: '`x`'
-> 3:17 "`x`" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: if=1
-> 3:17 "if=1" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: <a>
-> 3:17 "<a>" cannot name an uplink
-> fix: use letters, digits, . _ and -, a letter or digit first; `ip link` lists your NICs
uplink: ""
-> 3:17 there is no value here
-> fix: write one, or remove the key
uplink: [eno1, eno2]
-> 3:9 one value is wanted here, not a list
-> fix: write a single value
uplink: {a: b}
-> 3:9 one value is wanted here, not keys
-> fix: write a single value
"""


@pytest.mark.parametrize(("value", "complaints"), cases(UPLINKS))
def test_an_uplink_is_named_as_the_nics_of_people_are(value: str, complaints: list[str]) -> None:
    assert complaints_of(with_network(value)) == complaints
