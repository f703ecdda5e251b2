"""What happens is counted, what is shown names only versions that people are answered by, and not everybody may read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import RequestFactory

from service.telemetry.metrics import Gaps, Metrics
from service.telemetry.scrape import is_here
from service.telemetry.settings import MetricsSettings
from service.turns import Turn
from storage.cycles import finish_stage, insert_cycle, start_stage, update_cycle
from storage.database import Database
from storage.records import CycleState, Feedback, FeedbackKind, Person, StageName
from tests.conftest import Service
from tests.faults.scripted_chat import ScriptedChat, Talk
from tests.service.telemetry.watched import fetch, figure, figures, say, vote, watched_service

Served = tuple[Service, ScriptedChat]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with watched_service(tmp_path_factory.mktemp("watched")) as both:
        yield both


def test_answers_are_counted_with_their_version_tokens_and_times(served: Served) -> None:
    service, _ = served
    before = figures(service)
    say(service)
    say(service, stream=True)
    after = figures(service)

    def grew(name: str, **labels: str) -> float:
        return figure(after, name, **labels) - figure(before, name, **labels)

    assert grew("ratchet_answers_total", version="base", status="complete") == 2
    assert grew("ratchet_answer_seconds_count") == 2
    assert grew("ratchet_time_to_first_token_seconds_count") == 1  # a plain answer has no first token that anybody sees
    assert grew("ratchet_frame_gap_seconds_count") == grew("ratchet_frame_gap_seconds_bucket", le="+Inf") == 6  # of 7 frames
    assert (grew("ratchet_tokens_total", direction="in"), grew("ratchet_tokens_total", direction="out")) == (3, 6)
    route = {"method": "POST", "route": "/v1/chat/completions", "status": "200"}
    assert grew("ratchet_http_requests_total", **route) == 2
    assert grew("ratchet_http_request_seconds_count", route="/v1/chat/completions") == 2
    assert figure(after, "ratchet_http_requests_running") == 1  # the one that reads this


def test_an_answer_that_the_engine_fails_is_told_from_one_that_is_left(served: Served) -> None:
    service, engine = served

    async def breaks_off(talk: Talk) -> None:
        await talk.say("Half")
        talk.break_off()

    before = figures(service)
    scripted, engine.script = engine.script, breaks_off
    try:
        body = {"model": "ratchet", "messages": [{"role": "user", "content": "Say."}], "stream": True}
        fetch(service, "/v1/chat/completions", body)
    finally:
        engine.script = scripted
    labels = {"version": "base", "status": "failed"}
    assert figure(figures(service), "ratchet_answers_total", **labels) == figure(before, "ratchet_answers_total", **labels) + 1


def test_routes_are_templates_and_what_is_nowhere_is_one(served: Served) -> None:
    service, _ = served
    for path in ("/v1/feedback/chatcmpl-1", "/v1/feedback/chatcmpl-2", "/nowhere", "/or/else"):
        assert fetch(service, path)[0] == 404
    found = figures(service)
    assert figure(found, "ratchet_http_requests_total", method="GET", route="/v1/feedback/{completion_id}", status="404") == 2
    assert figure(found, "ratchet_http_requests_total", method="GET", route="none", status="404") == 2
    assert not any("chatcmpl" in value for _, labels in found for _, value in labels)


def test_votes_are_counted_by_kind_and_version_and_a_retry_is_none(served: Served) -> None:
    service, _ = served
    before, answer = figures(service), say(service)
    for _ in range(2):
        vote(service, answer, id="fb-once", thumb="up", comment="fine")
    vote(service, answer, thumb="down")
    vote(service, answer, thumb=None)
    after = figures(service)
    for thumb, times in (("up", 1), ("down", 1), ("taken back", 1)):
        labels = {"version": "base", "thumb": thumb}
        assert figure(after, "ratchet_thumbs_total", **labels) - figure(before, "ratchet_thumbs_total", **labels) == times
    kinds = {kind: figure(after, "ratchet_feedback_total", kind=kind) for kind in ("thumb", "comment", "correction")}
    assert kinds == {"thumb": 3, "comment": 1, "correction": 0}
    assert figure(after, "ratchet_vote_to_durable_seconds_count") == 3


def test_the_loop_is_told(served: Served) -> None:
    service, _ = served
    database: Database = service.parts.database

    async def go_through() -> None:
        cycle = await database.write(lambda c: insert_cycle(c, "operator", "mixed", 10.0))
        await database.write(lambda c: start_stage(c, cycle.id, StageName.GATE, 11.0))
        await database.write(lambda c: finish_stage(c, cycle.id, StageName.GATE, 14.0, {"verdict": "reject"}))
        await database.write(lambda c: update_cycle(c, cycle.id, state=CycleState.REJECTED, ended_at_s=15.0))

    service.call(go_through())
    found = figures(service)
    assert figure(found, "ratchet_live_version_info", version="base") == 1
    assert figure(found, "ratchet_version_share", version="base", part="live") == 1
    assert figure(found, "ratchet_verdicts_total", verdict="reject") == 1
    assert figure(found, "ratchet_cycles", state="rejected") == 1 and figure(found, "ratchet_cycles", state="failed") == 0
    stage = {"stage": "gate"}
    assert figure(found, "ratchet_stage_seconds_count", **stage) == 1 and figure(found, "ratchet_stage_seconds_sum", **stage) == 3
    assert figure(found, "ratchet_condition_need", way="evidence", condition="people") > 0
    assert ("ratchet_condition_have", frozenset({"way": "evidence", "condition": "people"}.items())) in found
    assert figure(found, "ratchet_ready") == figure(found, "ratchet_engines", state="ready") == 1
    assert {figure(found, "ratchet_healthy", part=part) for part in ("database", "disk", "engine")} == {1}
    assert figure(found, "ratchet_disk_size_bytes") > figure(found, "ratchet_disk_free_bytes") > 0
    assert figure(found, "process_resident_memory_bytes") > 0


def test_a_version_that_answers_nobody_is_one_of_the_others() -> None:
    metrics = Metrics()
    turn = Turn.begin(Person("ann", "Ann", 1.0), None, (), "r1", 0.7, {}, 1.0)
    thumb = [Feedback("f", "m", "ann", FeedbackKind.THUMB, "up", 1.0, "s")]
    for version in ("r1", "r2", "r3"):
        turn.adapter = version
        metrics.answered(turn, "complete", streamed=False)
        metrics.voted(thumb, version, 0.1)
    metrics.name_only({"r3"})
    metrics.voted(thumb, "r1", 0.1)
    metrics.name_only({"r3"})
    value = metrics.registry.get_sample_value
    assert value("ratchet_answers_total", {"version": "other", "status": "complete"}) == 2
    assert value("ratchet_answers_total", {"version": "r3", "status": "complete"}) == 1
    assert value("ratchet_answers_total", {"version": "r1", "status": "complete"}) is None
    assert value("ratchet_thumbs_total", {"version": "other", "thumb": "up"}) == 3
    assert value("ratchet_thumbs_total", {"version": "r3", "thumb": "up"}) == 1


def test_gaps_fall_into_the_bucket_that_is_no_shorter() -> None:
    gaps = Gaps("gap_seconds", "Between.", (0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        gaps.observe(seconds)
    (family,) = gaps.collect()
    found = {(one.name, one.labels.get("le")): one.value for one in family.samples}
    assert found == {
        ("gap_seconds_bucket", "0.1"): 2, ("gap_seconds_bucket", "1.0"): 3, ("gap_seconds_bucket", "+Inf"): 4,
        ("gap_seconds_count", None): 4, ("gap_seconds_sum", None): pytest.approx(7.65),
    }  # fmt: skip


def test_without_the_operators_key_only_this_machine_may_read(served: Served, tmp_path: Path) -> None:
    service, _ = served
    assert fetch(service, "/metrics", key=None, **{"X-Forwarded-For": "203.0.113.9"})[0] == 401
    assert fetch(service, "/metrics", key="tester", Forwarded="for=127.0.0.1")[0] == 403
    assert fetch(service, "/metrics", key=service.key, **{"X-Forwarded-For": "203.0.113.9"})[0] == 200
    with watched_service(tmp_path, metrics=MetricsSettings(loopback=False)) as (closed, _):
        assert fetch(closed, "/metrics", key=None)[0] == 401
        assert fetch(closed, "/metrics", key=closed.key)[0] == 200


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.2", True), ("10.0.0.1", False), ("testclient", False)],
)
def test_who_is_on_this_machine(address: str, here: bool) -> None:
    request = RequestFactory(server=address).get("/metrics")
    request.scope["client"] = (address, 1234)
    assert is_here(request) is here


def test_switched_off_there_is_no_such_page(tmp_path: Path) -> None:
    with watched_service(tmp_path, metrics=MetricsSettings(enabled=False)) as (service, _):
        assert fetch(service, "/metrics", key=service.key)[0] == 404
