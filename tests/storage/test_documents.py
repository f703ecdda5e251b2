"""Documents come back as they went in, kind by kind and page by page."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.documents import (
    SourceCount,
    count_sources,
    delete_documents,
    insert_documents,
    insert_missing_documents,
    select_document,
    select_documents,
)
from storage.people import insert_person
from storage.records import Document, DocumentKind
from tests.databases import Place
from tests.storage.loop import in_transaction, person

CONTENT = {
    DocumentKind.CORPUS: 'A tale of größe, 😀 and \\ and ".',
    DocumentKind.CHAT: [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    DocumentKind.DEMONSTRATION: [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
    DocumentKind.PREFERENCE: {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"},
}


def document(id: str, kind: DocumentKind = DocumentKind.CORPUS, **more: object) -> Document:
    bare = Document(id, kind, "general", "en", "a book", "CC0-1.0", None, CONTENT[kind], 2.5)
    return msgspec.structs.replace(bare, **more)


@pytest.mark.parametrize("kind", DocumentKind)
def test_every_kind_of_content_comes_back_as_it_went_in(place: Place, kind: DocumentKind) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("ann"))
        kept = document("one", kind, person_id="ann")
        await insert_documents(connection, [kept])
        assert await select_document(connection, "one") == kept
        assert await select_document(connection, "two") is None

    in_transaction(place, body)


def test_pages_hold_one_kind_in_the_order_of_arrival(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_documents(connection, [document("z"), document("chat", DocumentKind.CHAT), document("a"), document("m")])

        async def ids(limit: int, after: str | None = None) -> list[str]:
            return [one.id for one in await select_documents(connection, DocumentKind.CORPUS, limit, after)]

        assert await ids(10) == ["z", "a", "m"]
        assert await ids(2) == ["z", "a"]
        assert await ids(2, "a") == ["m"]
        with pytest.raises(LookupError, match="'nothing'"):
            await ids(2, "nothing")

    in_transaction(place, body)


def test_pages_can_hold_one_domain_or_everything(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        rows = [document("a", domain="law"), document("b"), document("c", DocumentKind.CHAT, domain="law")]
        await insert_documents(connection, rows)
        assert await select_documents(connection, None, 10) == rows
        assert [one.id for one in await select_documents(connection, None, 10, domain="law")] == ["a", "c"]
        assert [one.id for one in await select_documents(connection, DocumentKind.CHAT, 10, domain="law")] == ["c"]
        assert [one.id for one in await select_documents(connection, None, 10, after="a", domain="law")] == ["c"]

    in_transaction(place, body)


def test_only_documents_that_are_missing_are_added(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await insert_missing_documents(connection, [document("a"), document("b"), document("a", domain="law")]) == 2
        assert await insert_missing_documents(connection, [document("b", domain="law"), document("c")]) == 1
        assert await insert_missing_documents(connection, []) == 0
        assert [one.domain for one in await select_documents(connection, DocumentKind.CORPUS, 10)][1:] == ["general", "general"]
        assert [one.id for one in await select_documents(connection, DocumentKind.CORPUS, 10)] == ["a", "b", "c"]

    in_transaction(place, body)


def test_sources_are_counted_and_taken_back_but_not_what_people_wrote_here(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await insert_person(connection, person("ann"))
        mine = document("mine", person_id="ann")
        await insert_documents(connection, [document("a"), document("b"), document("c", source="a film"), mine])
        counted = [
            SourceCount(DocumentKind.CORPUS, "general", "en", *more)
            for more in (("a book", "CC0-1.0", 3), ("a film", "CC0-1.0", 1))
        ]
        assert await count_sources(connection) == counted
        assert [await delete_documents(connection, "a book", 1) for _ in range(3)] == [1, 1, 0]
        assert [one.id for one in await select_documents(connection, None, 10)] == ["c", "mine"]

    in_transaction(place, body)


@pytest.mark.parametrize("bad", [document("twice"), document("new", person_id="nobody")], ids=["same id", "no such person"])
def test_a_document_that_fits_nowhere_is_refused(place: Place, bad: Document) -> None:
    with pytest.raises(IntegrityError):
        in_transaction(place, lambda connection: insert_documents(connection, [document("twice"), bad]))
