"""The official `openai` client lists, reads, marks and deletes what was answered, and only its own."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.conftest import Service
from tests.service.talks import Talk, keep_talk

pytestmark = pytest.mark.engine
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="tester", max_retries=0) as made:
        yield made


@pytest.fixture
def stranger(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="stranger", max_retries=0) as made:
        yield made


@pytest.fixture
def talks(service: Service) -> list[Talk]:
    """Three talks: six answers."""
    return [keep_talk(service, title=title, at_s=100.0 + number) for number, title in enumerate(("Bread", "Wine", "Cheese"))]


def test_an_answer_is_stored_as_it_was_given(client: OpenAI) -> None:
    marks = {"colour": 'größe "red"', 'odd "key"': "1"}
    question = [SYSTEM, {"role": "user", "content": "Name a colour."}]
    given = client.chat.completions.create(model="ratchet", messages=question, max_tokens=8, metadata=marks, store=True)
    stored = client.chat.completions.retrieve(given.id)
    assert (stored.id, stored.model, stored.created, stored.object) == (given.id, given.model, given.created, given.object)
    assert stored.choices[0].message.content == given.choices[0].message.content
    assert stored.choices[0].finish_reason == given.choices[0].finish_reason
    assert stored.usage == given.usage
    assert stored.metadata == marks
    assert [one.id for one in client.chat.completions.list(metadata=marks)] == [given.id]
    asked = client.chat.completions.messages.list(given.id)
    assert [(one.role, one.content) for one in asked] == [(one["role"], one["content"]) for one in question]


def test_lists_come_in_pages_and_both_orders(client: OpenAI, talks: list[Talk]) -> None:
    ids = [id for talk in talks for id in (talk.answer, talk.again)]
    first = client.chat.completions.list(limit=4)
    assert ([one.id for one in first.data], first.has_more) == (ids[:4], True)
    last = first.get_next_page()
    assert ([one.id for one in last.data], last.has_more) == (ids[4:], False)
    assert [one.id for one in client.chat.completions.list(limit=1)] == ids  # page after page
    assert [one.id for one in client.chat.completions.list(limit=5, order="desc")] == ids[::-1]
    empty = client.chat.completions.list(after=ids[-1])
    assert (empty.data, empty.has_more) == ([], False)


def test_lists_are_filtered_by_model_and_metadata(client: OpenAI, talks: list[Talk]) -> None:
    marked = client.chat.completions.update(talks[0].again, metadata={"kind": "good", "day": "1"})
    assert (marked.id, marked.metadata) == (talks[0].again, {"kind": "good", "day": "1"})
    client.chat.completions.update(talks[2].answer, metadata={"kind": "good", "day": "2"})

    def ids(**filters: object) -> list[str]:
        return [one.id for one in client.chat.completions.list(**filters)]

    assert ids(metadata={"kind": "good"}) == [talks[0].again, talks[2].answer]
    assert ids(metadata={"kind": "good", "day": "2"}) == [talks[2].answer]
    assert ids(metadata={"kind": "bad"}) == []
    assert ids(model="ratchet") == ids(model="ratchet@base") == ids() and len(ids()) == 6
    assert ids(model="ratchet@r7-0123abcd") == []
    assert client.chat.completions.update(talks[0].again, metadata=None).metadata == {}


def test_the_messages_of_a_request_come_in_pages(client: OpenAI, service: Service) -> None:
    turns = [SYSTEM, *({"role": role, "content": f"{role} {n}"} for n in range(3) for role in ("user", "assistant"))]
    asked = [*turns, {"role": "user", "content": "Go on."}]
    given = client.chat.completions.create(model="ratchet", messages=asked, max_tokens=4)
    listed = client.chat.completions.messages.list
    assert [one.content for one in listed(given.id, limit=3)] == [one["content"] for one in asked]
    assert [one.content for one in listed(given.id, limit=3, order="desc")] == [one["content"] for one in asked[::-1]]
    with pytest.raises(openai.NotFoundError, match="'nothing'"):
        listed(given.id, after="nothing")


def test_a_deleted_answer_is_gone(client: OpenAI, talks: list[Talk]) -> None:
    gone = client.chat.completions.delete(talks[1].answer)
    assert (gone.id, gone.deleted, gone.object) == (talks[1].answer, True, "chat.completion.deleted")
    for attempt in (client.chat.completions.retrieve, client.chat.completions.delete, client.chat.completions.messages.list):
        with pytest.raises(openai.NotFoundError, match=talks[1].answer):
            attempt(talks[1].answer)
    assert talks[1].answer not in [one.id for one in client.chat.completions.list()]
    assert client.chat.completions.retrieve(talks[1].again).choices[0].message.content == "By hand."


def test_nobody_sees_or_changes_what_is_anothers(client: OpenAI, stranger: OpenAI, talks: list[Talk]) -> None:
    theirs = talks[0].answer
    assert stranger.chat.completions.list().data == []
    for attempt in (
        lambda: stranger.chat.completions.retrieve(theirs),
        lambda: stranger.chat.completions.update(theirs, metadata={"a": "b"}),
        lambda: stranger.chat.completions.delete(theirs),
        lambda: stranger.chat.completions.messages.list(theirs),
        lambda: stranger.chat.completions.list(after=theirs),
    ):
        with pytest.raises(openai.NotFoundError, match=theirs):
            attempt()
    assert client.chat.completions.retrieve(theirs).metadata == {}


def test_what_is_wrong_is_said(client: OpenAI, service: Service, talks: list[Talk]) -> None:
    answer = talks[0].answer
    for limit in (0, 101):
        with pytest.raises(openai.BadRequestError, match="limit"):
            client.chat.completions.list(limit=limit)
    with pytest.raises(openai.BadRequestError, match="'sideways'"):
        client.chat.completions.list(order="sideways")
    with pytest.raises(openai.NotFoundError, match=r"'gpt-4'.*'ratchet@<version>'"):
        client.chat.completions.list(model="gpt-4")
    too_much = ({str(n): "" for n in range(17)}, {"k" * 65: ""}, {"k": "v" * 513}, {"k": "\0"})
    for metadata in too_much:
        with pytest.raises(openai.BadRequestError, match="metadata"):
            client.chat.completions.update(answer, metadata=metadata)
    most = {f"{n:064}": "v" * 512 for n in range(16)}
    assert client.chat.completions.update(answer, metadata=most).metadata == most
    for path in ("/%00", "?after=%00", "?metadata%5B%00%5D=x"):
        assert service.request("GET", f"/v1/chat/completions{path}")[0] in (200, 400, 404)
