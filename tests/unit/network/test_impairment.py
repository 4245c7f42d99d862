"""vmnet link's words: what may be wished, the rules it becomes, and what is read back from them."""

import pytest

from provisioner.network import impairment, nft_ruleset
from provisioner.network.impairment import Impairment
from provisioner.plan.scalars import BadValue


@pytest.mark.parametrize(
    ("words", "wish", "told"),
    [
        (("5%", None, None, None), Impairment(loss=0.05), "loss 5%"),
        (("0.5", None, None, None), Impairment(loss=0.005), "loss 0.5%"),
        ((None, "20ms", "5ms", None), Impairment(0, 0.02, 0.005), "delay 20ms, jitter 5ms"),
        ((None, "1s", None, None), Impairment(delay_s=1.0), "delay 1000ms"),
        ((None, None, None, "10mbit"), Impairment(rate=1e7), "rate 10mbit"),
        ((None, None, None, "64Kbit"), Impairment(rate=64e3), "rate 0.064mbit"),
    ],
)
def test_wishes_are_read_and_told_in_the_same_words(
    words: tuple[str | None, ...], wish: Impairment, told: str
) -> None:
    assert impairment.wanted(*words) == wish
    assert str(wish) == told


@pytest.mark.parametrize(
    "words",
    [
        ("0%", None, None, None),
        ("101%", None, None, None),
        ("a lot", None, None, None),
        (None, "20", None, None),
        (None, "61s", None, None),
        (None, None, "5ms", None),
        (None, None, None, "1kbit"),
        (None, None, None, "10m"),
    ],
)
def test_what_is_no_share_no_time_and_no_rate_is_refused(words: tuple[str | None, ...]) -> None:
    with pytest.raises(BadValue) as raised:
        impairment.wanted(*words)
    assert raised.value.fix


def test_both_directions_are_dropped_before_the_guard_sees_them() -> None:
    text = impairment.script("mvt1", Impairment(loss=0.05, rate=1e7))
    assert text.count("numgen random mod 10000 < 500 counter drop") == 2
    assert text.count("limit rate over 1250000 bytes/second counter drop") == 2
    assert 'hook egress device "mvt1" priority -10' in text
    assert 'hook ingress device "mvt1" priority -10' in text


def test_a_share_too_small_for_the_scale_still_loses_something() -> None:
    assert "< 1 counter" in impairment.script("mvt1", Impairment(loss=0.00001))


def test_all_frames_are_lost_without_asking_for_chance() -> None:
    text = impairment.script("mvt1", Impairment(loss=1.0))
    assert "numgen" not in text
    assert text.count('counter drop comment "vmnet link: loss 100%"') == 2


def test_what_nft_lists_is_read_back_with_what_it_has_cost() -> None:
    listed = """\
table netdev vmnetlink_mvt1 {
	chain egress {
		type filter hook egress device "mvt1" priority -10; policy accept;
		numgen random mod 10000 < 500 counter packets 3 bytes 294 drop comment "vmnet link: loss 5%"
	}
	chain ingress {
		type filter hook ingress device "mvt1" priority -10; policy accept;
		numgen random mod 10000 < 500 counter packets 4 bytes 392 drop comment "vmnet link: loss 5%"
	}
}
table netdev somebody_elses {
	chain x {
		counter packets 9 bytes 9 drop comment "vmnet link: loss 5%"
	}
}
"""
    found = impairment.observed(nft_ruleset.parse(listed))
    assert found == {"mvt1": impairment.Found("loss 5%", 7)}


def test_a_whole_script_makes_the_table_anew() -> None:
    assert (
        impairment.script("mvt1", Impairment(loss=0.05, delay_s=1.0, rate=1e7))
        == """\
table netdev vmnetlink_mvt1
delete table netdev vmnetlink_mvt1
table netdev vmnetlink_mvt1 {
  comment "vmnet:5d3bf13ef7"
  chain egress {
    type filter hook egress device "mvt1" priority -10; policy accept;
    numgen random mod 10000 < 500 counter drop comment "vmnet link: loss 5%"
    limit rate over 1250000 bytes/second counter drop comment "vmnet link: rate 10mbit"
  }
  chain ingress {
    type filter hook ingress device "mvt1" priority -10; policy accept;
    numgen random mod 10000 < 500 counter drop comment "vmnet link: loss 5%"
    limit rate over 1250000 bytes/second counter drop comment "vmnet link: rate 10mbit"
  }
}
"""
    )
    assert impairment.removal("mvt1") == (
        "table netdev vmnetlink_mvt1\ndelete table netdev vmnetlink_mvt1\n"
    )


def test_a_table_of_that_name_may_be_somebody_elses() -> None:
    made = nft_ruleset.parse(impairment.script("mvt1", Impairment(loss=0.05)).replace("  ", "\t"))
    theirs = nft_ruleset.parse("table netdev vmnetlink_mvt1 {\n}\ntable inet vmnetlink_mvt2 {\n}")
    assert impairment.is_taken("mvt1", theirs)
    assert not impairment.is_taken("mvt1", made)
    assert not impairment.is_taken("mvt2", theirs)
    assert not impairment.is_taken("mvt3", theirs)
    assert impairment.observed(theirs) == {}


def test_each_thing_that_is_done_is_read_back_once() -> None:
    wish = Impairment(loss=0.05, rate=1e7)
    listed = impairment.script("mvt1", wish).partition("mvt1\ntable")[2].replace("  ", "\t")
    counted = "table" + listed.replace("counter drop", "counter packets 2 bytes 9 drop")
    found = impairment.observed(nft_ruleset.parse(counted))
    assert found == {"mvt1": impairment.Found("loss 5%, rate 10mbit", 8)}


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (
            ("0%", None, None, None),
            '--loss: "0%" is not a percentage',
            "write --loss 5%: above 0, up to 100",
        ),
        (
            (None, "61s", None, None),
            '--delay: "61s" is not a time',
            "write --delay 20ms: us, ms or s, up to 60s",
        ),
        (
            (None, "1s", "x", None),
            '--jitter: "x" is not a time',
            "write --jitter 20ms: us, ms or s, up to 60s",
        ),
        (
            (None, None, None, "7kbit"),
            '--rate: "7kbit" is not a rate',
            "write --rate 10mbit: kbit, mbit or gbit, from 8kbit",
        ),
        (
            (None, None, "5ms", None),
            "--jitter without --delay means nothing",
            "add --delay 20ms",
        ),
    ],
)
def test_what_is_refused_is_answered_with_what_can_be_written(
    words: tuple[str | None, ...], what: str, fix: str
) -> None:
    with pytest.raises(BadValue) as raised:
        impairment.wanted(*words)
    assert (raised.value.what, raised.value.fix) == (what, fix)


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        (("100%", None, None, None), Impairment(loss=1.0)),
        ((None, "60s", "1us", None), Impairment(delay_s=60.0, jitter_s=1e-6)),
        ((None, None, None, "8kbit"), Impairment(rate=8000.0)),
        ((" 5% ", None, None, None), Impairment(loss=0.05)),
        ((None, " 5ms ", None, " 1gbit "), Impairment(delay_s=0.005, rate=1e9)),
    ],
)
def test_the_edges_may_be_wished_for(words: tuple[str | None, ...], wish: Impairment) -> None:
    assert impairment.wanted(*words) == wish
