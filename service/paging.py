"""Lists that come in pages, as OpenAI has them: `after` is the id that ended the page before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, Protocol, TypeVar

from litestar.params import QueryParameter
from msgspec import Struct

Limit = Annotated[int, QueryParameter(ge=1, le=100)]
After = Annotated[str | None, QueryParameter()]
Order = Annotated[Literal["asc", "desc"], QueryParameter()]
LIMIT = 20


class Named(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=Named)


class Page(Struct, Generic[Item], frozen=True):
    """`has_more` says whether a page after `last_id` would hold anything."""

    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


def page(found: Sequence[Item], limit: int) -> Page[Item]:
    """A page of at most `limit` items; `found` has one more where there is one."""
    data = list(found[:limit])
    first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
    return Page(data, first_id, last_id, len(found) > limit)
