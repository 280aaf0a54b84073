"""Prometheus' own parser, and one of YAML, judge what the broker tells and what is packaged."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from real_broker import BINARY, RealBroker

from babelmq import JSONQueue, MiddlewareType, PickleQueue, XMLQueue

PRODUCER = MiddlewareType.PRODUCER
PACKAGING = Path(__file__).parents[3] / "packaging"


@pytest.fixture
def broker() -> Iterator[RealBroker]:
    if not BINARY:
        pytest.skip("BABELMQ_BIN is not set")
    broker = RealBroker("--listen", "http://127.0.0.1:0")
    yield broker
    broker.close()


def scrape(broker: RealBroker) -> dict[str, Any]:
    (http,) = (url for url in broker.listening if url.startswith("http://"))
    with urllib.request.urlopen(f"{http}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_prometheus_reads_the_metrics(broker: RealBroker) -> None:
    with (
        XMLQueue("/t", address=broker.address, timeout=10) as consumer,
        PickleQueue("/t", PRODUCER, address=broker.address, timeout=10) as producer,
        JSONQueue("/t", PRODUCER, address=broker.address, timeout=10) as other,
    ):
        for number in range(3):
            producer.push(number)
        producer.flush()
        other.push("four")
        other.flush()
        assert [consumer.pull()[1] for _ in range(4)] == [0, 1, 2, "four"]
        families = scrape(broker)
    published = {
        sample.labels["format"]: sample.value
        for sample in families["babelmq_messages_published"].samples
    }
    assert published == {"json": 1, "xml": 0, "pickle": 3}
    translated = {
        (sample.labels["from"], sample.labels["to"]): sample.value
        for sample in families["babelmq_messages_translated"].samples
    }
    assert translated["pickle", "xml"] == 3
    assert translated["json", "xml"] == 1
    assert sum(translated.values()) == 4
    for name, family in families.items():
        assert family.documentation.endswith("."), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        if family.type == "histogram":
            values = {sample.name: sample.value for sample in family.samples}
            assert values[f"{name}_bucket"] == values[f"{name}_count"], "the last is +Inf"
            assert values[f"{name}_sum"] >= 0
    routing = families["babelmq_routing_seconds"].samples
    bounds = [sample.labels["le"] for sample in routing if sample.name.endswith("_bucket")]
    assert bounds[-1] == "+Inf"
    assert [float(bound) for bound in bounds] == sorted(float(bound) for bound in bounds)


def names_of(families: dict[str, Any]) -> set[str]:
    names = {sample.name for family in families.values() for sample in family.samples}
    return names | {f"{name}_total" for name, f in families.items() if f.type == "counter"}


def test_the_rules_and_the_dashboard_ask_for_what_a_broker_tells(broker: RealBroker) -> None:
    told = names_of(scrape(broker))
    told.add("babelmq_certificate_expiry_timestamp_seconds")  # It has no certificate.
    # It has no streams; the document is held to a broker that has some.
    document = (PACKAGING.parent / "docs/metrics.md").read_text("utf-8")
    told.update(re.findall(r"`(babelmq_(?:stream|consumer)\w*)", document))
    rules = yaml.safe_load((PACKAGING / "prometheus/alerts.yml").read_text("utf-8"))
    (group,) = rules["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 5
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
    dashboard = json.loads((PACKAGING / "grafana/babelmq.json").read_text("utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    expressions = [target["expr"] for target in targets] + [r["expr"] for r in group["rules"]]
    for expression in expressions:
        for name in re.findall(r"\b(?:babelmq|process)_\w+", expression):
            assert name in told, expression
