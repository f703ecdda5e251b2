"""Alerts and panels ask for what the service really shows: names, labels and kinds, in a running service with all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from learner.config import LearnerSettings, ScheduleSettings
from storage.cycles import finish_stage, insert_cycle, start_stage, update_cycle
from storage.database import Database
from storage.records import CycleState, StageName
from tests.conftest import Service
from tests.service.telemetry.watched import fetch, say, until, vote, watched_service

promql = pytest.importorskip("promql_parser", reason="expressions cannot be read without promql-parser")

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "ratchet.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
GRAFANA = {"$__rate_interval": "5m", "$instance": ".*"}  # what Grafana puts in place of its variables
SCRAPED = frozenset({"job", "instance"})  # labels that Prometheus adds
UNASKED = {"ratchet_commits_total", "ratchet_disk_size_bytes", "ratchet_http_requests_running"}  # for whoever looks deeper
OF_COUNTERS = {"rate", "increase", "irate", "changes"}
OF_GAUGES = {"predict_linear", "delta", "deriv"}


class Shown(Struct, frozen=True):
    """A series as the service shows it."""

    kind: str  # counter, gauge, histogram or summary
    labels: frozenset[str]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


EXPRESSIONS = [pytest.param(expression, id=f"{name} {number}") for number, (name, expression) in enumerate(expressions())]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """All series of a service in which everything has happened once."""
    learner = LearnerSettings(schedule=ScheduleSettings(check_every_s=3600))
    with watched_service(tmp_path_factory.mktemp("watched"), learner=learner) as (service, _):
        until(lambda: service.parts.scheduler.next_look_at_s is not None)
        answer = say(service, stream=True)
        vote(service, answer, thumb="up")
        service.call(_go_through_a_cycle(service))
        service.parts.instruments.metrics.swapped("flip", 0.01)
        text = fetch(service, "/metrics")[1].decode()
    found = {"up": Shown("gauge", SCRAPED)}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = Shown(family.type, SCRAPED | sample.labels.keys())
    return found


async def _go_through_a_cycle(service: Service) -> None:
    database: Database = service.parts.database
    cycle = await database.write(lambda c: insert_cycle(c, "operator", "mixed", 10.0))
    await database.write(lambda c: start_stage(c, cycle.id, StageName.GATE, 11.0))
    await database.write(lambda c: finish_stage(c, cycle.id, StageName.GATE, 14.0, {"verdict": "reject"}))
    await database.write(lambda c: update_cycle(c, cycle.id, state=CycleState.REJECTED, ended_at_s=15.0))


def parse(expression: str) -> Any:
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    return promql.parse(expression)


def walk(node: Any, within: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every selector of an expression, with what it stands in, the innermost last."""
    inner = (*within, node)
    match node:
        case promql.VectorSelector():
            yield node, within
        case promql.MatrixSelector():
            yield from walk(node.vector_selector, inner)
        case promql.Call():
            for argument in node.args:
                yield from walk(argument, inner)
        case promql.BinaryExpr():
            yield from (*walk(node.lhs, inner), *walk(node.rhs, inner))
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from walk(node.expr, inner)


def kind_of(name: str, series: Shown) -> str:
    """What Prometheus would take it for: parts of histograms and summaries only grow."""
    return "counter" if series.kind in ("histogram", "summary") and name.endswith(("_bucket", "_count", "_sum")) else series.kind


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_there_is(expression: str, shown: dict[str, Shown]) -> None:
    selectors = list(walk(parse(expression)))
    assert selectors
    for selector, within in selectors:
        assert selector.name in shown, f"{selector.name} is not shown"
        series = shown[selector.name]
        unknown = {one.name for one in selector.matchers.matchers} - series.labels
        assert not unknown, f"{selector.name} has no label {unknown}"
        kept = series.labels
        for outer in reversed(within):
            if isinstance(outer, promql.AggregateExpr) and outer.modifier is not None:
                grouped = set(outer.modifier.labels)
                assert grouped <= kept, f"{grouped - kept} is no label of {selector.name}, or is gone by then"
                kept = frozenset(grouped)
            elif isinstance(outer, promql.Call) and outer.func.name == "histogram_quantile":
                assert selector.name.endswith("_bucket") and "le" in kept


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_growth_is_asked_of_what_only_grows(expression: str, shown: dict[str, Shown]) -> None:
    for selector, within in walk(parse(expression)):
        kind = kind_of(selector.name, shown[selector.name])
        calls = {outer.func.name for outer in within if isinstance(outer, promql.Call)}
        if kind == "counter":
            assert calls & OF_COUNTERS and not calls & OF_GAUGES, f"{selector.name} is a {kind}"
        else:
            assert not calls & OF_COUNTERS, f"{selector.name} is a {kind}"


def test_labels_that_texts_name_are_left_by_their_expressions(shown: dict[str, Shown]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = {part.partition("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
            assert named <= left(parse(target["expr"]), shown), panel["title"]
    for rule in RULES:
        named = {part.split()[0] for part in rule["annotations"]["summary"].split("$labels.")[1:]}
        assert named <= left(parse(rule["expr"]), shown), rule["alert"]


def left(node: Any, shown: dict[str, Shown]) -> frozenset[str]:
    """The labels that the result of an expression has."""
    match node:
        case promql.AggregateExpr() if node.modifier is not None:
            return frozenset(node.modifier.labels)
        case promql.AggregateExpr():
            return left(node.expr, shown) if str(node).startswith("topk") else frozenset()
        case promql.VectorSelector():
            return shown[node.name].labels
        case promql.MatrixSelector():
            return left(node.vector_selector, shown)
        case promql.BinaryExpr():
            return left(node.lhs, shown) | left(node.rhs, shown)
        case promql.Call():
            of = frozenset().union(*(left(argument, shown) for argument in node.args))
            return of - {"le"} if node.func.name == "histogram_quantile" else of
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return left(node.expr, shown)
    return frozenset()


def test_rules_have_the_shape_that_prometheus_reads() -> None:
    names = Counter(rule["alert"] for rule in RULES)
    assert max(names.values()) == 1 and len(names) > 15
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket") and set(rule["annotations"]) == {"summary", "action"}
        assert isinstance(rule["expr"], str) and rule.get("for", "1m")[-1] in "mh"
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    assert [one["job_name"] for one in PROMETHEUS["scrape_configs"]] == ["ratchet"]  # as expressions call it


def test_panels_have_the_shape_that_grafana_reads() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }  # fmt: skip
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["description"] and panel["targets"] for panel in PANELS)
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Is it serving?", "Does the loop turn?", "Is a version worse?", "How long does a thumb take to matter?"]


def test_every_figure_of_the_service_is_looked_at_somewhere(shown: dict[str, Shown]) -> None:
    asked = {selector.name for _, expression in expressions() for selector, _ in walk(parse(expression))}
    of_ours = {
        name for name in shown if name.startswith("ratchet_") and not name.endswith(("_bucket", "_count", "_sum", "_created"))
    }
    assert of_ours - asked == UNASKED
