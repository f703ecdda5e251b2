"""An import remembers how far it is, together with what came in."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.imports import (
    MovedError,
    advance_import,
    begin_import,
    delete_imports,
    finish_import,
    select_import,
    select_imports,
)
from storage.records import DocumentKind, Import
from tests.databases import Place
from tests.storage.loop import in_transaction

FILE = Import("f", "a book", "text", DocumentKind.CORPUS, 0, 0, 0, 1.0)


def test_an_import_that_was_cut_off_goes_on_and_one_that_ended_begins_anew(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        assert await begin_import(connection, FILE) == FILE
        await advance_import(connection, "f", after=0, records=10, added=7, skipped=2)
        cut_off = msgspec.structs.replace(FILE, records=10, added=7, skipped=2)
        assert await begin_import(connection, msgspec.structs.replace(FILE, started_at_s=2.0)) == cut_off
        await advance_import(connection, "f", after=10, records=5, added=5, skipped=0)
        await finish_import(connection, "f", 3.0)
        ended = msgspec.structs.replace(FILE, records=15, added=12, skipped=2, ended_at_s=3.0)
        assert await select_import(connection, "f") == ended
        again = msgspec.structs.replace(FILE, added=12, started_at_s=4.0)
        assert await begin_import(connection, msgspec.structs.replace(FILE, started_at_s=4.0)) == again
        assert await select_import(connection, "f") == again

    in_transaction(place, body)


def test_nobody_counts_the_same_records_twice(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        await begin_import(connection, FILE)
        await advance_import(connection, "f", after=0, records=10, added=10, skipped=0)
        for id, after in (("f", 0), ("f", 20), ("unknown", 0)):
            with pytest.raises(MovedError, match=str(after)):
                await advance_import(connection, id, after=after, records=10, added=10, skipped=0)
        await finish_import(connection, "f", 2.0)
        with pytest.raises(MovedError):
            await advance_import(connection, "f", after=10, records=10, added=10, skipped=0)
        found = await select_import(connection, "f")
        assert found is not None and found.records == 10

    in_transaction(place, body)


def test_imports_are_listed_newest_first_and_go_with_their_source(place: Place) -> None:
    async def body(connection: AsyncConnection) -> None:
        for id, source, at_s in (("a", "one", 1.0), ("c", "two", 3.0), ("b", "one", 2.0)):
            await begin_import(connection, msgspec.structs.replace(FILE, id=id, source=source, started_at_s=at_s))
        assert [one.id for one in await select_imports(connection, 2)] == ["c", "b"]
        assert (await delete_imports(connection, "one"), await delete_imports(connection, "one")) == (2, 0)
        assert [one.id for one in await select_imports(connection, 10)] == ["c"]

    in_transaction(place, body)
