"""A swap and a rollback under load: no stream fails, none mixes versions, and new requests see the new version at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import OpenAI

from learner import release
from learner.adapter import AdapterError
from learner.release import NotServed
from service.bench.random_adapter import make_random_adapter
from storage import adapters, conversations
from storage.records import AdapterState
from tests.adapters import probe, published
from tests.conftest import Service

pytestmark = pytest.mark.engine
STREAMS = 32
ANSWERS = 16  # of each version, while the others run
PATIENCE_S = 120
FLIP_LIMIT_S = 0.1


def test_streams_run_through_a_swap_and_a_rollback(service: Service, model_dir: Path, tmp_path: Path) -> None:
    context = service.parts.context
    name = service.call(published(context, make_random_adapter(model_dir, tmp_path / "new", 16, seed=1)))
    service.call(release.load(context, name))
    client = OpenAI(base_url=f"{service.url}/v1", api_key="crowd", max_retries=0)
    ending = threading.Event()
    answers: list[tuple[str, list[str]]] = []  # each as its id and the models its chunks named

    def stream_on(number: int) -> None:
        """Answers one after another until the end."""
        while not ending.is_set():
            question = [{"role": "user", "content": f"Tell me story number {number}."}]
            chunks = list(
                client.chat.completions.create(model="ratchet", messages=question, max_tokens=48, temperature=1.0, stream=True)
            )
            assert chunks[-1].choices[0].finish_reason in ("stop", "length")
            answers.append((chunks[0].id, [chunk.model for chunk in chunks]))

    def answered_by(version: str, count: int) -> None:
        """Waits until a version has finished so many answers more: how long that takes is the machine's affair."""
        wanted = count + sum(models[0] == version for _, models in answers)
        deadline = time.monotonic() + PATIENCE_S
        while sum(models[0] == version for _, models in answers) < wanted:
            assert time.monotonic() < deadline, f"{version} gave too few answers"
            time.sleep(0.1)

    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(stream_on, number) for number in range(STREAMS)]
        answered_by("ratchet@base", ANSWERS)
        service.call(release.go_live(context, name, "test", "swap"))
        at_once = [service.parts.router.resolve("ratchet")]
        answered_by(f"ratchet@{name}", ANSWERS)
        moved = service.call(release.roll_back(context, "test"))
        at_once.append(service.parts.router.resolve("ratchet"))
        answered_by("ratchet@base", ANSWERS)
        ending.set()
        for stream in running:
            stream.result()
    assert at_once == [name, "base"] and moved.adapter == "base"
    assert all(len(set(models)) == 1 for _, models in answers), "a stream named two versions"
    assert set(Counter(models[0] for _, models in answers)) == {"ratchet@base", f"ratchet@{name}"}
    for id, models in answers:
        kept = service.call(service.parts.database.read(lambda c, id=id: conversations.select_message(c, id)))
        assert kept is not None and f"ratchet@{kept.engine_model}" == models[0]
        assert kept.status == "complete"
    assert_written_by_one_version(service, longest(answers, f"ratchet@{name}"), name, "base")
    assert_written_by_one_version(service, longest(answers, "ratchet@base"), "base", name)
    client.close()


def longest(answers: list[tuple[str, list[str]]], model: str) -> list[str]:
    """The three longest answers of a version: over few tokens chance could favour the other one."""
    own = sorted((answer for answer in answers if answer[1][0] == model), key=lambda answer: len(answer[1]), reverse=True)
    assert len(own) >= 3 and len(own[2][1]) >= 32
    return [id for id, _ in own[:3]]


def assert_written_by_one_version(service: Service, ids: list[str], author: str, other: str) -> None:
    """Both halves of each answer are likelier under the version that it names: its weights did not change on the way."""
    for id in ids:
        kept = service.call(service.parts.database.read(lambda c, id=id: conversations.select_message(c, id)))
        assert kept is not None
        text = [*kept.prompt_token_ids, *kept.token_ids]
        own, others = (
            service.call(service.parts.engine.score(model, text, start=len(kept.prompt_token_ids))) for model in (author, other)
        )
        half = len(own) // 2
        for part in (slice(0, half), slice(half, None)):
            assert sum(own[part]) > sum(others[part]), f"{id} is not wholly by {author}"


def test_new_requests_see_the_new_version_within_100_ms(service: Service, model_dir: Path, tmp_path: Path) -> None:
    """From the commit's return to requests that are routed to the new version, as the answers themselves say."""
    context = service.parts.context
    name = service.call(published(context, make_random_adapter(model_dir, tmp_path / "new", 16, seed=2)))
    service.call(release.load(context, name))
    for target in (name, "base"):
        service.call(release.go_live(context, target, "test", "swap"))
        committed = time.monotonic()
        status, models = service.request("GET", "/v1/models")
        assert status == 200 and models["data"][1]["id"] == f"ratchet@{target}"
        assert time.monotonic() - committed < FLIP_LIMIT_S
        assert service.chat("Hi", max_tokens=1)["model"] == f"ratchet@{target}"


def test_a_candidate_is_proved_by_its_log_probs(service: Service, model_dir: Path, tmp_path: Path, base_adapter: Path) -> None:
    """The proof holds for the adapter that was trained, and fails for a name that serves something else."""
    context = service.parts.context
    folder = make_random_adapter(model_dir, tmp_path / "new", 16, seed=3)
    evidence = probe(model_dir, base_adapter, folder)
    name = service.call(published(context, folder))
    done = service.call(release.promote(context, name, "base", [evidence], "test"))
    assert done.adapter == name and done.previous == "base"

    impostor = service.call(published(context, make_random_adapter(model_dir, tmp_path / "other", 16, seed=4), parent=name))
    with pytest.raises(NotServed, match="expected nearer to the candidate"):
        service.call(release.promote(context, impostor, name, [evidence], "test"))
    assert service.parts.router.live == name
    assert service.chat("Hi", max_tokens=1)["model"] == f"ratchet@{name}"


@pytest.mark.parametrize("fault", ["rank", "base", "nan", "truncated"])
def test_a_bad_adapter_never_reaches_the_engine(service: Service, model_dir: Path, tmp_path: Path, fault: str) -> None:
    context = service.parts.context
    folder = make_random_adapter(model_dir, tmp_path / "bad", 16, seed=5)
    spoil(folder, fault)
    with pytest.raises(AdapterError, match=r"expected|not finite|whole"):
        service.call(published(context, folder))
    known = service.call(context.database.read(adapters.select_adapters))
    assert [adapter.name for adapter in known if adapter.state is AdapterState.CANDIDATE] == []
    assert set(service.call(context.engine.models())) & {adapter.name for adapter in known} == {"base"}
    assert service.chat("Hi", max_tokens=1)["model"] == "ratchet@base"


def spoil(folder: Path, fault: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = folder / "adapter_model.safetensors"
    match fault:
        case "rank":
            config = folder / "adapter_config.json"
            config.write_text(config.read_text().replace('"r": 16', '"r": 8'))
        case "base":
            card = folder / "ratchet.json"
            card.write_text(card.read_text().replace('"base_sha256":"', '"base_sha256":"0'))
        case "nan":
            tensors = load_file(weights)
            next(iter(tensors.values()))[0, 0] = torch.nan
            save_file(tensors, weights)
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-1000])
