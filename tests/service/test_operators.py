"""What operators see and ask for over HTTP: the loop at a glance, votes, answers, engines, versions side by side, files of them."""

from __future__ import annotations

import io
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from learner.context import CYCLES
from learner.portable import FILES, README
from service.bench.random_adapter import make_random_adapter
from service.compare import is_compared
from storage import cycles
from storage.adapters import insert_adapter
from storage.records import Adapter, AdapterState, CycleState
from tests.conftest import Service
from tests.faults.scripted_chat import ScriptedChat, Talk, answers
from tests.service.scripted import ask, scripted_service
from tests.service.talks import keep_talk

SHARE = 0.4


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    with scripted_service(tmp_path_factory.mktemp("operators"), compare_share=SHARE) as both:
        yield both


@pytest.fixture
def service(running: tuple[Service, ScriptedChat]) -> Service:
    return running[0]


@pytest.fixture
def engine(running: tuple[Service, ScriptedChat]) -> Iterator[ScriptedChat]:
    yield running[1]
    running[1].script = answers


def get(service: Service, path: str, status: int = 200) -> Any:
    found, answer = service.request("GET", path, key=service.key)
    assert found == status, answer
    return answer


def post(service: Service, path: str, body: object, status: int = 200) -> Any:
    found, answer = service.request("POST", path, body, service.key)
    assert found == status, answer
    return answer


def test_the_loop_at_a_glance_says_what_a_cycle_waits_for_and_how_the_last_ended(service: Service) -> None:
    async def end(connection: Any) -> None:
        cycle = await cycles.insert_cycle(connection, "operator", "mixed", 5.0)
        state = {"state": CycleState.SKIPPED, "ended_at_s": 6.0, "reasons": ("too little",)}
        await cycles.update_cycle(connection, cycle.id, **state)

    service.call(service.parts.database.write(end))
    seen = get(service, "/api/status")
    assert (seen["live"], seen["engine"], seen["cycle"], seen["progress"], seen["tried"]) == ("base", "ready", None, None, [])
    assert (seen["last"]["state"], seen["last"]["reasons"]) == ("skipped", ["too little"])
    outlook = seen["outlook"]
    assert (outlook["enabled"], outlook["leads"], outlook["trigger"], outlook["next_look_at_s"]) == (False, True, None, None)
    assert outlook["interval_at_s"] == 5.0 + 24 * 3600
    needs = {(need["way"], need["what"]): need for need in outlook["needs"]}
    assert needs[("evidence", "people")]["need"] == 5 and not needs[("evidence", "people")]["met"]
    assert {way for way, _ in needs} == {"evidence", "interval"}


def test_votes_are_told_by_version_and_day_with_what_they_prove(service: Service) -> None:
    for number in range(3):
        answer, _ = ask(service, "Which animal is the largest?", key=f"voter-{number}")
        thumb = {"completion_id": answer["id"], "thumb": "up" if number else "down"}
        assert service.request("POST", "/v1/feedback", thumb, f"voter-{number}")[0] == 200
    told = get(service, "/api/votes?days=7")
    [total] = told["totals"]
    assert (total["adapter"], total["up"], total["down"], total["share"]) == ("base", 2, 1, pytest.approx(2 / 3))
    assert total["lower"] < 0.25 and 0.95 < total["upper"] < 1
    assert [(day["up"], day["down"], len(day["day"])) for day in told["days"]] == [(2, 1, 10)]
    get(service, "/api/votes?days=0", 400)
    found = get(service, "/api/messages?version=base&thumb=up&limit=1")
    assert found["has_more"] and found["data"][0]["feedback"]["thumb"] == "up"
    assert len(get(service, f"/api/messages?version=base&thumb=up&after={found['last_id']}")["data"]) == 1


def test_answers_are_found_with_their_questions(service: Service) -> None:
    talk = keep_talk(service, key="baker", title="Sourdough")
    found = get(service, "/api/messages?text=sourdough")
    assert [one["id"] for one in found["data"]] == [talk.again, talk.answer]
    assert {one["question"] for one in found["data"]} == {"How is sourdough made?"}
    assert get(service, f"/api/messages?person={talk.person}&until_s=100")["data"] == []
    assert get(service, "/api/messages?after=nothing", 404)["error"]["message"] == "there is no message 'nothing'"
    assert get(service, "/api/messages?reason=rude", 400)["error"]["code"] == "invalid_request"
    assert service.request("POST", "/v1/me", {"learn": False}, "baker")[0] == 200
    assert get(service, "/api/messages?text=sourdough")["data"] == []
    assert len(get(service, "/api/messages?text=sourdough&everyone=true")["data"]) == 2
    assert service.request("GET", "/api/messages")[0] == 403, "for operators alone"


def test_engines_tell_their_state_and_the_pace_of_answers(service: Service, engine: ScriptedChat) -> None:
    async def breaks(talk: Talk) -> None:
        await talk.say("Blue")
        talk.break_off()

    before = get(service, "/api/engine")["hour"]
    ask(service, "How fast are you?")
    engine.script = breaks
    body = {"model": "ratchet", "messages": [{"role": "user", "content": "Go"}], "stream": True}
    sent = {"Authorization": "Bearer tester", "Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{service.url}/v1/chat/completions", msgspec.json.encode(body), sent), timeout=60
    ) as stream:
        assert b'"error"' in stream.read()
    seen = get(service, "/api/engine")
    [one] = seen["engines"]
    assert (one["address"], one["state"], one["running"], one["waiting"]) == (engine.url.removeprefix("http://"), "ready", 0, 0)
    assert one["in_state_s"] > 0
    hour = seen["hour"]
    assert (hour["answers"] - before["answers"], hour["errors"] - before["errors"]) == (2, 1)
    assert hour["answers_per_minute"] == pytest.approx(hour["answers"] / 60)
    assert 0 < hour["latency_ms"]["p50"] <= hour["latency_ms"]["p99"]


def test_versions_answer_side_by_side_and_nothing_is_kept(service: Service, engine: ScriptedChat, tmp_path: Path) -> None:
    async def names_itself(talk: Talk) -> None:
        await talk.answer(f"I am {talk.body['model']}.")

    engine.script = names_itself
    name = import_adapter(service, tmp_path, seed=1)["name"]
    kept = len(get(service, "/api/messages?limit=100&everyone=true")["data"])
    question = {"versions": [name, "base"], "messages": [{"role": "user", "content": "Who are you?"}]}
    first, second = post(service, "/api/adapters/ask", question)
    assert (first["version"], first["content"], first["loaded"]) == (name, f"I am {name}.", True)
    assert (second["version"], second["content"], second["loaded"]) == ("base", "I am base.", False)
    assert {talk.body["priority"] for talk in engine.talks[-2:]} == {1}
    assert [one["loaded"] for one in post(service, "/api/adapters/ask", question)] == [False, False]
    assert len(get(service, "/api/messages?limit=100&everyone=true")["data"]) == kept
    assert (
        "expected each once"
        in post(service, "/api/adapters/ask", question | {"versions": ["base", "base"]}, 400)["error"]["message"]
    )
    assert (
        post(service, "/api/adapters/ask", question | {"versions": ["r9"]}, 404)["error"]["message"] == "there is no adapter 'r9'"
    )
    post(service, "/api/adapters/ask", question | {"versions": []}, 400)

    async def refuses(talk: Talk) -> None:
        talk.refuse(400, "This model's maximum context length is 8 tokens")

    engine.script = refuses
    problem = post(service, "/api/adapters/ask", question, 400)["error"]
    assert problem["code"] == "context_length_exceeded" and name in problem["message"]


def test_one_whose_weights_are_gone_is_not_asked(service: Service) -> None:
    gone = Adapter("r7-00000007", "base", None, None, "ff", "", AdapterState.ERASED, 1.0)
    service.call(service.parts.database.write(lambda connection: insert_adapter(connection, gone)))
    question = {"versions": [gone.name], "messages": [{"role": "user", "content": "Who are you?"}]}
    assert "is erased" in post(service, "/api/adapters/ask", question, 409)["error"]["message"]
    get(service, f"/api/adapters/{gone.name}/export", 409)


def test_a_version_goes_out_and_comes_in(service: Service, tmp_path: Path) -> None:
    before = set((service.home / "artifacts" / "tmp").iterdir())
    made = import_adapter(service, tmp_path, seed=2)
    data = download(service, made["name"])
    assert data == download(service, made["name"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [README, *FILES]
        card = tar.extractfile(README)
        assert card is not None and made["base_sha256"].encode() in card.read()
    assert f"is here already: {made['name']}" in post(service, "/api/adapters/import", data, 409)["error"]["message"]
    assert "no whole tar" in post(service, "/api/adapters/import", b"no tar at all", 409)["error"]["message"]
    assert "no held-out votes yet" in post(service, f"/api/adapters/{made['name']}/judge", None, 409)["error"]["message"]
    assert set((service.home / "artifacts" / "tmp").iterdir()) == before, "nothing half-written is left"
    [entry] = [one for one in get(service, "/api/audit") if (one["action"], one["subject"]) == ("adapter.import", made["name"])]
    assert entry["actor"] == "operator"


def test_a_share_of_the_chat_pages_answers_is_to_be_compared(service: Service) -> None:
    marked = {}
    for number in range(40):
        answer, headers = ask(service, f"Question {number}", **{"X-Ratchet-Page": "chat"})
        marked[str(answer["id"])] = headers.get("x-compare") == "1"
    assert marked == {id: is_compared(id, SHARE) for id in marked}, "by the turn alone, whenever it is asked"
    assert 4 <= sum(marked.values()) <= 28
    plain = [ask(service, f"Question {number}")[1].get("x-compare") for number in range(12)]
    assert plain == [None] * 12, "programs hear nothing of it"


def test_the_share_that_is_compared_is_as_set() -> None:
    ids = [f"chatcmpl-{number}" for number in range(4000)]
    assert sum(is_compared(id, 0.05) for id in ids) == pytest.approx(200, abs=50)
    assert not any(is_compared(id, 0.0) for id in ids) and all(is_compared(id, 1.0) for id in ids)


def test_a_cycles_curves_and_logs_can_be_read(service: Service) -> None:
    cycle = service.call(service.parts.database.write(lambda c: cycles.insert_cycle(c, "operator", "mixed", 7.0)))
    ended = {"state": CycleState.FAILED, "ended_at_s": 8.0, "reasons": ("train: no memory",)}
    service.call(service.parts.database.write(lambda c: cycles.update_cycle(c, cycle.id, **ended)))
    assert get(service, f"/api/cycles/{cycle.id}/curves") == []
    assert get(service, f"/api/cycles/{cycle.id}/log") == {"run": "", "text": "", "next": 0, "runs": []}
    folder = service.home / CYCLES / str(cycle.id) / "train"
    folder.mkdir(parents=True)
    steps = [{"step": n, "steps": 2, "loss": 1 / n, "rows_per_s": 9.0, "terms": {"kl": 0.1}} for n in (1, 2)]
    (folder / "metrics.jsonl").write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in steps))
    (folder / "job.log").write_text("loading\nout of memory\n")
    [curve] = get(service, f"/api/cycles/{cycle.id}/curves")
    assert curve["run"] == "train" and [step["loss"] for step in curve["steps"]] == [1.0, 0.5]
    log = get(service, f"/api/cycles/{cycle.id}/log")
    assert (log["run"], log["text"], log["runs"]) == ("train", "loading\nout of memory\n", ["train"])
    (folder / "job.log").write_text("loading\nout of memory\nended\n")
    assert get(service, f"/api/cycles/{cycle.id}/log?run=train&after={log['next']}")["text"] == "ended\n"
    assert "expected one of train" in get(service, f"/api/cycles/{cycle.id}/log?run=../../..", 404)["error"]["message"]
    get(service, "/api/cycles/999/curves", 404)
    why = post(service, f"/api/cycles/{cycle.id}/resume", None, 409)["error"]["message"]
    assert why == f"cycle {cycle.id} has no dataset (its last saved stage is none): start a new one"
    post(service, "/api/cycles/999/resume", None, 404)


def test_the_description_of_the_api_has_all_of_it(service: Service) -> None:
    _, schema = service.request("GET", "/schema/openapi.json")
    for path in ("votes", "status", "messages", "adapters/ask", "adapters/{name}/export", "engine", "cycles/{cycle_id}/resume"):
        assert f"/api/{path}" in schema["paths"]


def import_adapter(service: Service, folder: Path, seed: int) -> Any:
    """A version that was made elsewhere."""
    made = make_random_adapter(service.parts.context.model_dir, folder / f"adapter-{seed}", 16, seed)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in FILES:
            tar.add(made / name, name)
    return post(service, "/api/adapters/import", out.getvalue(), 201)


def download(service: Service, name: str) -> bytes:
    asked = urllib.request.Request(f"{service.url}/api/adapters/{name}/export", headers={"Authorization": f"Bearer {service.key}"})
    with urllib.request.urlopen(asked, timeout=60) as response:
        found: bytes = response.read()
        return found
