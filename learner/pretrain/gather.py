"""The documents of a corpus, clean, as the file a pretraining job reads: eval overlap, broken rules, personal data and what is no
good go out as they do in a cycle, and every document that is left out has its reason counted.

Only what was imported is learnt from, nothing that people here wrote: no cycle could take a person who is forgotten out of weights
that everything else descends from.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from learner.context import Context
from learner.curate.clean import Cleaner
from learner.curate.example import Drop, Example
from learner.curate.split import split_of
from learner.curate.tools import Tools
from learner.pretrain.spec import DOCUMENTS, PretrainError, Request, Text
from storage import documents
from storage.documents import SourceCount
from storage.records import Document, DocumentKind

PAGE = 200  # documents that are read and cleaned at a time


class Gathered(NamedTuple):
    licences: tuple[str, ...]
    documents: int
    dropped: dict[str, int]  # reason → count
    sha256: str  # of the file


async def gather(context: Context, request: Request, folder: Path, told: Callable[[int], None]) -> Gathered:
    """Writes the file; `told` hears how many documents were looked at. Raises `PretrainError` where nothing is left, and what
    `learner.curate.tools.Tools` raises."""
    sources = await _sources(context, request.corpus)
    cleaner = (await asyncio.to_thread(Tools, context)).chooser.cleaner
    dropped, digest, kept, looked = Counter[str](), hashlib.sha256(), 0, 0
    after: str | None = None
    with (folder / DOCUMENTS).open("wb") as file:
        while page := await context.database.read(
            partial(documents.select_documents, kind=DocumentKind.CORPUS, limit=PAGE, after=after)
        ):
            lines, reasons = await asyncio.to_thread(_clean_page, page, request, cleaner)
            file.writelines(lines)
            for line in lines:
                digest.update(line)
            dropped.update(reasons)
            kept, looked, after = kept + len(lines), looked + len(page), page[-1].id
            told(looked)
    if not kept:
        raise PretrainError(f"no document of corpus {request.corpus!r} is left to learn from: {dict(dropped)}")
    return Gathered(tuple(sorted({source.licence for source in sources})), kept, dict(dropped), digest.hexdigest())


async def _sources(context: Context, corpus: str) -> Sequence[SourceCount]:
    counted = [one for one in await context.database.read(documents.count_sources) if one.kind is DocumentKind.CORPUS]
    if found := [one for one in counted if corpus in (one.domain, one.source)]:
        return found
    there = ", ".join(sorted({repr(name) for one in counted for name in (one.domain, one.source)})) or "none: import one"
    raise PretrainError(f"there is no corpus {corpus!r}, expected a domain or source of documents of kind corpus: {there}")


def _clean_page(page: Iterable[Document], request: Request, cleaner: Cleaner) -> tuple[list[bytes], list[str]]:
    """Lines of the file, and why documents are none."""
    lines, reasons = [], []
    for outcome in _cleaned(page, request.corpus, cleaner):
        if isinstance(outcome, Drop):
            reasons.append(outcome.reason)
        else:
            text = Text(outcome.id, split_of(outcome.id, request.heldout_share), outcome.answer)
            lines.append(msgspec.json.encode(text) + b"\n")
    return lines, reasons


def _cleaned(page: Iterable[Document], corpus: str, cleaner: Cleaner) -> Iterator[Example | Drop]:
    """As an answer that is to be said again; one that breaks a rule is no document of what not to say either."""
    for document in page:
        if document.person_id is None and corpus in (document.domain, document.source):
            text = str(document.content)
            made = cleaner.clean(Example(document.id, "", "", (), text, "up", None, (), document.created_at_s))
            broke = isinstance(made, Example) and made.thumb != "up"
            yield Drop(document.id, "", "breaks a rule") if broke else made
