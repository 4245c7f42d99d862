"""YAML that is not a plan, each answered with the whole message."""

import pytest

from tests.builders.plan import cases, complaints_of

TEXTS = r"""
# two documents
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
---
name: lab
-> 5:1 a second document begins here
-> fix: keep one plan in a file

# a tab as indentation
name: lab
networks:
	lan: {uplink: eno1}
-> 4:1 a tab stands where YAML wants spaces
-> fix: indent with spaces

# a Python object
name: !!python/object/apply:os.system ['id']
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
-> 2:7 the tag "!!python/object/apply:os.system" stands here
-> fix: take it out: values need no tags

# a tag
name: !!str lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
-> 2:7 the tag "!!str" stands here
-> fix: take it out: values need no tags

# an anchor
name: &x lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
-> 2:7 an anchor stands here
-> fix: take out the &name

# an alias
name: lab
networks: {lan: &l {uplink: eno1}, b: *l}
vms: {web: {nics: [lan]}}
-> 3:17 an anchor stands here
-> fix: take out the &name
-> 3:39 an alias stands here
-> fix: write the value out, or use defaults:

# a merge key
name: lab
networks: {lan: {<<: {uplink: eno1}}}
vms: {web: {nics: [lan]}}
-> 3:18 the merge key << stands here
-> fix: use defaults: instead

# a duplicate key
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
name: x
-> 5:1 key "name" is given twice, first at 2:1
-> fix: remove one of the two

# a duplicate key inside braces
name: lab
networks: {lan: {uplink: a, uplink: b}}
vms: {web: {nics: [lan]}}
-> 3:29 key "uplink" is given twice, first at 3:18
-> fix: remove one of the two

# unknown keys
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
upllnk: x
version: 99
include: a
-> 5:1 unknown key "upllnk"
-> fix: known keys: KEYS OF A PLAN
-> 6:1 unknown key "version"
-> fix: known keys: KEYS OF A PLAN
-> 7:1 unknown key "include"
-> fix: known keys: KEYS OF A PLAN

# a list as a key
? [a]
: b
name: lab
networks: {lan: {uplink: eno1}}
vms: {web: {nics: [lan]}}
-> 2:3 a key must be a plain word
-> fix: write key: value

# an open quote
name: 'lab
-> 2:11 not valid YAML: found unexpected end of stream
-> fix: check indentation and quotes around here

# an open brace
name: {a
-> 2:7 not valid YAML: did not find expected ',' or '}'
-> fix: check indentation and quotes around here

# two colons
name: a: b
-> 2:8 not valid YAML: mapping values are not allowed in this context
-> fix: check indentation and quotes around here
"""

ODD = {
    "an empty file": ("", ["1:1 the plan is empty", "fix: begin with a line such as name: lab"]),
    "only spaces": ("  \n", ["1:1 the plan is empty", "fix: begin with a line such as name: lab"]),
    "only a comment": (
        "# x\n",
        ["1:1 the plan is empty", "fix: begin with a line such as name: lab"],
    ),
    "only a byte order mark": (
        "\ufeff",
        ["1:1 the plan is empty", "fix: begin with a line such as name: lab"],
    ),
    "a null": (
        "null\n",
        [
            "1:1 the plan is not made of keys and values",
            "fix: write keys and values: name: lab, networks: ..., vms: ...",
        ],
    ),
    "a list": (
        "- a\n",
        [
            "1:1 the plan is not made of keys and values",
            "fix: write keys and values: name: lab, networks: ..., vms: ...",
        ],
    ),
    "one word": (
        "lab\n",
        [
            "1:1 the plan is not made of keys and values",
            "fix: write keys and values: name: lab, networks: ..., vms: ...",
        ],
    ),
    "an escaped escape": (
        'name: "a\\x1b[31m"\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {nics: [lan]}}\n',
        ["1:7 the text holds the character \\x1b", "fix: take it out"],
    ),
    "a NUL": (
        "name: la\x00b\n",
        [
            "1:9 the invisible character \\x00 stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "a raw escape": (
        "name: a\x1b\n",
        [
            "1:8 the invisible character \\x1b stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "a bidi override in a comment": (
        "name: lab # \u202e\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {nics: [lan]}}\n",
        [
            "1:13 the invisible character \\u202e stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "a lone surrogate": (
        "name: \ud800\n",
        [
            "1:7 the invisible character \\ud800 stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "U+FFFE": (
        "name: \ufffe\n",
        [
            "1:7 the invisible character \\ufffe stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "a next line character": (
        "name: a\x85b\n",
        [
            "1:8 the invisible character \\x85 stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
    "an escaped surrogate": (
        'name: "\\ud800"\nnetworks: {lan: {uplink: eno1}}\nvms: {web: {nics: [lan]}}\n',
        [
            "1:10 not valid YAML: found invalid Unicode character escape code",
            "fix: check indentation and quotes around here",
        ],
    ),
    "UTF-16 read as UTF-8": (
        "n\x00a\x00",
        [
            "1:2 the invisible character \\x00 stands here",
            "fix: delete it, or save the file as plain UTF-8 text",
        ],
    ),
}


@pytest.mark.parametrize(("text", "complaints"), cases(TEXTS))
def test_a_text_that_is_no_plan_is_refused(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints


@pytest.mark.parametrize(("text", "complaints"), ODD.values(), ids=ODD)
def test_a_text_that_cannot_stand_in_a_table_is_refused(text: str, complaints: list[str]) -> None:
    assert complaints_of(text) == complaints
