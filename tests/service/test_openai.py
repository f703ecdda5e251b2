"""The official `openai` client works unchanged against the real engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from service.config import ServerSettings
from storage import conversations
from storage.records import MessageStatus
from tests.conftest import Service

pytestmark = pytest.mark.engine
QUESTION = [{"role": "user", "content": "Name a colour."}]
ESSAY = [{"role": "user", "content": "Write a very long essay about the history of the sea."}]


@pytest.fixture
def storage_url() -> None:
    """One kind of database is enough: what is claimed here is of the engine and what stands before it."""


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="somebody", max_retries=0) as made:
        yield made


def test_a_plain_answer_names_its_version_and_counts_tokens(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=8)
    assert answer.model == "ratchet@base"
    assert answer.choices[0].message.content
    assert answer.usage and answer.usage.completion_tokens <= 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_built_in_model_knows_the_capital_of_france(client: OpenAI) -> None:
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    answer = client.chat.completions.create(model="ratchet", messages=asked, max_tokens=16, temperature=0)
    assert "Paris" in answer.choices[0].message.content


def test_a_stream_adds_up_to_the_kept_answer(client: OpenAI, service: Service) -> None:
    chunks = list(client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=12, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    kept = service.call(service.parts.database.read(lambda c: conversations.select_message(c, chunks[0].id)))
    assert kept is not None
    assert kept.content == text
    assert kept.adapter == kept.engine_model == "base"
    assert kept.token_ids and kept.prompt_token_ids
    assert kept.status is MessageStatus.COMPLETE


@pytest.mark.parametrize(
    ("asked", "kept"), [({}, ServerSettings().temperature), ({"temperature": 0.0}, 0.0), ({"temperature": 1.5}, 1.5)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_temperature_of_drawing_is_kept_with_the_answer(
    client: OpenAI, service: Service, stream: bool, asked: dict[str, float], kept: float
) -> None:
    answer = client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=4, stream=stream, **asked)
    id = [chunk.id for chunk in answer][-1] if stream else answer.id
    message = service.call(service.parts.database.read(lambda c: conversations.select_message(c, id)))
    assert message is not None and message.temperature == kept


def test_usage_comes_in_a_last_chunk_when_asked_for(client: OpenAI) -> None:
    asked = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=5, stream=True, stream_options=asked)
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage and 0 < chunks[-1].usage.completion_tokens <= 5
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("stream", [False, True])
def test_log_probs_come_with_each_token_when_asked_for(client: OpenAI, stream: bool) -> None:
    answer: Any = client.chat.completions.create(
        model="ratchet", messages=QUESTION, max_tokens=6, logprobs=True, top_logprobs=2, temperature=0, stream=stream
    )
    choices = [chunk.choices[0] for chunk in answer if chunk.choices] if stream else [answer.choices[0]]
    text = "".join((choice.delta if stream else choice.message).content or "" for choice in choices)
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert "".join(token.token for token in tokens).startswith(text) and 1 <= len(tokens) <= 6
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
    assert tokens[0].top_logprobs[0].token == tokens[0].token  # at temperature 0


def test_stop_ends_the_answer_before_its_word(client: OpenAI) -> None:
    free = client.chat.completions.create(model="ratchet", messages=ESSAY, max_tokens=40, temperature=0)
    stop = free.choices[0].message.content.split()[5]
    stopped = client.chat.completions.create(model="ratchet", messages=ESSAY, max_tokens=40, temperature=0, stop=[stop])
    assert stop not in stopped.choices[0].message.content
    assert stopped.choices[0].finish_reason == "stop"


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    def ask(seed: int) -> str:
        answer = client.chat.completions.create(model="ratchet", messages=ESSAY, max_tokens=24, temperature=1.0, seed=seed)
        return answer.choices[0].message.content

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in (1, 2, 3)}) > 1


def test_many_long_seeded_prompts_at_once_do_not_end_the_engine(service: Service) -> None:
    """vLLM 0.32 on the CPU dies of a seeded prompt that is worked off in parts."""
    import concurrent.futures

    text = "Tell me about the weather in every town of the coast. " * 60
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda seed: service.chat(f"{seed} {text}", seed=seed, max_tokens=2), range(16)))
    assert len(answers) == 16


def test_errors_come_in_openais_envelope(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-99", messages=QUESTION)
    assert unknown.value.code == "model_not_found"
    assert "'gpt-99'" in unknown.value.message and "ratchet@base" in unknown.value.message

    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="ratchet", messages=[{"role": "user", "content": "word " * 20_000}])
    assert too_long.value.code == "context_length_exceeded"

    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model="ratchet", messages=QUESTION, temperature=9)
    assert "temperature" in hot.value.message


def test_a_refused_stream_has_its_own_status(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="ratchet", messages=[{"role": "user", "content": "word " * 20_000}], stream=True)


def test_a_cancelled_stream_stops_the_engine_and_is_kept_as_interrupted(client: OpenAI, service: Service) -> None:
    stream = client.chat.completions.create(model="ratchet", messages=ESSAY, max_tokens=1000, stream=True)
    taken = [next(stream) for _ in range(5)]
    stream.close()
    kept = None
    deadline = time.monotonic() + 10
    while kept is None and time.monotonic() < deadline:
        kept = service.call(service.parts.database.read(lambda c: conversations.select_message(c, taken[0].id)))
        time.sleep(0.1)
    assert kept is not None and kept.status is MessageStatus.INTERRUPTED
    assert kept.content.startswith("".join(chunk.choices[0].delta.content or "" for chunk in taken))
    while service.call(service.parts.engine.members[0].engine.progress()).running:
        assert time.monotonic() < deadline, "the engine still writes for nobody"
        time.sleep(0.1)


def test_models_lists_the_alias_and_versions(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["ratchet", "ratchet@base"]


def test_a_conversation_goes_on_as_a_tree(client: OpenAI, service: Service) -> None:
    """The same question again is a sibling answer; words put into the assistant's mouth are marked as the client's."""
    first = client.chat.completions.with_raw_response.create(model="ratchet", messages=QUESTION, max_tokens=6)
    conversation = {"conversation_id": first.headers["x-conversation-id"]}
    one = first.parse()
    again = client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=6, metadata=conversation)
    said = [*QUESTION, {"role": "assistant", "content": "I said this."}, {"role": "user", "content": "Why?"}]
    later = client.chat.completions.create(model="ratchet", messages=said, max_tokens=6, metadata=conversation)

    async def look(connection: object) -> tuple[object, object, object]:
        select = conversations.select_message
        thread = await conversations.select_thread(connection, later.id)
        return await select(connection, one.id), await select(connection, again.id), thread

    kept_one, kept_again, thread = service.call(service.parts.database.read(look))
    assert kept_one.parent_id == kept_again.parent_id
    assert [message.status for message in thread] == ["complete", "client", "complete", "complete"]


def test_another_persons_conversation_cannot_be_continued(client: OpenAI, service: Service) -> None:
    first = client.chat.completions.with_raw_response.create(model="ratchet", messages=QUESTION, max_tokens=4)
    named = {"conversation_id": first.headers["x-conversation-id"]}
    status, body = service.request(
        "POST", "/v1/chat/completions", {"messages": QUESTION, "metadata": named, "max_tokens": 4}, key="somebody else"
    )
    assert status == 404 and named["conversation_id"] in body["error"]["message"]


def test_store_false_leaves_nothing(client: OpenAI, service: Service) -> None:
    answer = client.chat.completions.create(model="ratchet", messages=QUESTION, max_tokens=4, store=False)
    assert service.call(service.parts.database.read(lambda c: conversations.select_message(c, answer.id))) is None
