"""The metrics of a check, as Prometheus' own parser reads them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from provisioner.report.prometheus import as_metrics
from provisioner.report.report import Report
from tests.builders.report import DEAD, GOOD, HOSTILE, LEAK, UNKNOWN, pair, report

NOW = 1_800_000_000.5
Labels = dict[str, str]


def read(of: Report) -> dict[str, list[tuple[Labels, float]]]:
    """Return the samples of each metric."""
    families: Any = text_string_to_metric_families(as_metrics(of, NOW))
    found = {}
    for family in families:
        assert family.documentation.endswith(".")
        assert family.type == "gauge"
        found[family.name] = [(one.labels, one.value) for one in family.samples]
    return found


def test_each_pair_has_its_reachability_and_whether_that_is_as_expected() -> None:
    found = read(report(GOOD, UNKNOWN))
    labels = {
        "plan": "lab",
        "network": "lan",
        "source": "a",
        "target": "b",
        "asked": "ping",
        "address": "10.0.0.2",
        "expected": "reaches",
    }
    other = {**labels, "source": "b", "target": "a", "address": "10.0.0.1"}
    assert found["vmnet_check_reachable"] == [(labels, 1.0)]
    assert found["vmnet_check_as_expected"] == [(labels, 1.0), (other, 0.0)]
    assert found["vmnet_check_rtt_seconds"] == [(labels, 0.0004)]


def test_a_leak_is_reachable_and_not_as_expected() -> None:
    found = read(report(LEAK))
    values = [found[f"vmnet_check_{name}"][0][1] for name in ("reachable", "as_expected")]
    assert values == [1.0, 0.0]


def test_the_check_itself_has_its_status_and_its_time() -> None:
    found = read(report(DEAD))
    plan = {"plan": "lab"}
    assert found["vmnet_check_status"] == [(plan, 5.0)]
    assert found["vmnet_check_timestamp_seconds"] == [(plan, NOW)]
    assert found["vmnet_check_duration_seconds"] == [(plan, 1.5)]


def test_of_what_was_measured_twice_the_worst_counts_once() -> None:
    found = read(report(GOOD, DEAD, GOOD))
    assert [value for _, value in found["vmnet_check_reachable"]] == [0.0]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_a_hostile_label_is_a_label_and_nothing_else(text: str) -> None:
    made = replace(GOOD, pair=pair(network=text))
    assert len(read(report(made))["vmnet_check_reachable"]) == 1


@given(st.text(max_size=40))
def test_no_line_is_a_labels(text: str) -> None:
    plain = as_metrics(report(GOOD), NOW).split("\n")
    spoilt = as_metrics(report(replace(GOOD, pair=pair(network=text))), NOW).split("\n")
    assert len(spoilt) == len(plain)
    assert [line.partition("{")[0] for line in spoilt] == [line.partition("{")[0] for line in plain]
