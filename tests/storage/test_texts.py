"""All texts are read once each, page by page, but for those whose owners do not share them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from storage.documents import insert_documents
from storage.people import update_consent
from storage.records import Document, DocumentKind
from storage.texts import Text, page_answers, page_documents
from tests.databases import Place
from tests.storage.loop import furnish, in_transaction


def document(id: str, kind: DocumentKind, domain: str) -> Document:
    return Document(id, kind, domain, "en", "a book", "CC0-1.0", None, f"text of {id}", 2.5)


async def contents(page: Callable[[int], Awaitable[list[Text]]]) -> list[object]:
    """Of all pages."""
    found: list[Text] = []
    while more := await page(found[-1].position if found else 0):
        found += more
    return [one.content for one in found]


def test_documents_come_in_pages_all_or_of_a_kind_or_domain(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        corpus, chat = DocumentKind.CORPUS, DocumentKind.CHAT
        named = [("z", corpus, "tales"), ("a", chat, "tales"), ("m", corpus, "talk"), ("b", corpus, "tales")]
        await insert_documents(connection, [document(*one) for one in named])

        async def texts(kind: str | None = None, domain: str | None = None) -> list[object]:
            return await contents(lambda after: page_documents(connection, after, 2, kind, domain))

        assert await texts() == ["text of z", "text of a", "text of m", "text of b"]
        assert await texts("corpus") == ["text of z", "text of m", "text of b"]
        assert await texts(domain="tales") == ["text of z", "text of a", "text of b"]
        assert await texts("corpus", "talk") == ["text of m"]
        assert await texts("preference") == []

    in_transaction(place, body)


def test_answers_are_whole_ones_of_people_who_let_cycles_learn(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await furnish(connection)
        assert await contents(lambda after: page_answers(connection, after, 2)) == [
            "text of answer",
            "text of again",
            "text of second",
        ]
        [first, *_] = await page_answers(connection, 0, 10)
        assert (first.kind, first.domain, first.language) == ("answer", "conversations", "und")
        await update_consent(connection, "owner", False)
        assert await page_answers(connection, 0, 10) == []

    in_transaction(place, body)
