"""Documents as rows.

| document      | rows                                                                                    |
|---------------|-----------------------------------------------------------------------------------------|
| demonstration | its last answer, as it should be                                                        |
| chat          | each of its answers, as it should be, after what was said before it                     |
| preference    | the chosen answer over the rejected one                                                 |
| corpus        | its text in pieces, some documents only to measure by                                   |

They go through the same cleaning as what people here said, and are of nobody's taste: none of them judges a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from learner.corpora.pieces import split
from learner.corpora.shapes import Pair
from learner.corpora.turns import Turn as PairTurn
from learner.curate.clean import Cleaner
from learner.curate.example import Drop, Example, Said
from learner.curate.split import split_of
from learner.evaluate.suite import Turn
from learner.rows import Row, RowKind, Split
from learner.tokens import Tokens
from storage.records import Document, DocumentKind

NO_ANSWER, OTHER_FORM = "does not end with an answer", "is not of the form of its kind"
TOO_LONG = "too long"


class Shown(NamedTuple):
    rows: list[Row]
    transformations: dict[str, tuple[str, ...]]  # by row, where something was done to it
    dropped: list[Drop]


def make_rows(
    drawn: Sequence[Document],
    cleaner: Cleaner,
    tokens: Tokens,
    max_tokens: int,
    text_heldout_share: float = 0.0,
    limit: int | None = None,
) -> Shown:
    """Rows of what is clean and no longer than `max_tokens`; of the first documents that make `limit` of them."""
    shown, maker = Shown([], {}, []), _Maker(cleaner, tokens, max_tokens, text_heldout_share)
    for document in drawn:
        if limit is not None and len(shown.rows) >= limit:
            break
        for made, transformations in maker.rows(document):
            if isinstance(made, Drop):
                shown.dropped.append(made)
                continue
            shown.rows.append(made)
            if transformations:
                shown.transformations[made.id] = transformations
    return Shown(shown.rows[:limit], shown.transformations, shown.dropped)


Made = tuple[Row | Drop, tuple[str, ...]]


class _Maker:
    """What rows are made with; `rows` has a maker for each kind of document."""

    def __init__(self, cleaner: Cleaner, tokens: Tokens, max_tokens: int, text_heldout_share: float) -> None:
        self._cleaner, self._tokens, self._max_tokens = cleaner, tokens, max_tokens
        self._text_heldout_share = text_heldout_share
        self._of_kind = {
            DocumentKind.DEMONSTRATION: self._demonstration,
            DocumentKind.CHAT: self._chat,
            DocumentKind.PREFERENCE: self._preference,
            DocumentKind.CORPUS: self._text,
        }

    def rows(self, document: Document) -> Iterator[Made]:
        """What becomes of a document; where it makes several rows, their ids end in numbers."""
        try:
            yield from self._of_kind[document.kind](document)
        except msgspec.ValidationError:
            yield _drop(document, OTHER_FORM), ()

    def _demonstration(self, document: Document) -> Iterator[Made]:
        turns = msgspec.convert(document.content, list[Turn])
        if len(turns) < 2 or turns[-1].role != "assistant":
            yield _drop(document, NO_ANSWER), ()
            return
        yield self._answered(_example(document, document.id, _said(turns[:-1]), turns[-1].content, thumb="up"))

    def _chat(self, document: Document) -> Iterator[Made]:
        turns = msgspec.convert(document.content, list[Turn])
        places = [at for at in range(1, len(turns)) if turns[at].role == "assistant"]
        if not places:
            yield _drop(document, NO_ANSWER), ()
        for at in places:
            made = self._answered(_example(document, f"{document.id}#{at}", _said(turns[:at]), turns[at].content, thumb="up"))
            yield made
            if isinstance(made[0], Drop) and made[0].reason == TOO_LONG:
                return  # what follows is longer still

    def _preference(self, document: Document) -> Iterator[Made]:
        pair = msgspec.convert(document.content, Pair)
        example = _example(document, document.id, _said(pair.prompt), pair.rejected)
        yield self._answered(replace(example, correction=pair.chosen))

    def _text(self, document: Document) -> Iterator[Made]:
        side = split_of(document.id, self._text_heldout_share)
        number = 0
        for piece in split(msgspec.convert(document.content, str)):
            made = self._clean(_example(document, document.id, (), piece, thumb="up"))
            if isinstance(made, Drop):
                yield made, ()
                continue
            ids = self._tokens.text(made.answer)
            for start in range(0, len(ids), self._max_tokens):
                part = tuple(ids[start : start + self._max_tokens])
                yield Row(f"{document.id}#{number}", made.person_id, RowKind.TEXT, side, 1.0, (), part), made.transformations
                number += 1

    def _answered(self, example: Example) -> Made:
        """A demonstration of the answer, or of the correction over it where there is one."""
        turns = [(said.role, said.content) for said in example.prompt]
        if len(self._tokens.prompt(turns)) > self._max_tokens:  # cleaning what is far too long takes its time
            return Drop(example.id, example.person_id, TOO_LONG), ()
        made = self._clean(example)
        if isinstance(made, Drop):
            return made, ()
        prompt_ids = tuple(self._tokens.prompt([(said.role, said.content) for said in made.prompt]))
        answer_ids = tuple(self._tokens.answer(made.answer))
        better_ids = tuple(self._tokens.answer(made.correction)) if made.correction else ()
        if len(prompt_ids) + max(len(answer_ids), len(better_ids)) > self._max_tokens:
            return Drop(made.id, made.person_id, TOO_LONG), ()
        kind = RowKind.PREFERENCE if better_ids else RowKind.DEMONSTRATION
        row = Row(made.id, made.person_id, kind, Split.TRAIN, 1.0, prompt_ids, answer_ids, better_ids=better_ids)
        return row, made.transformations

    def _clean(self, example: Example) -> Example | Drop:
        """As a liked answer is cleaned; but what breaks a rule is no example of how not to answer either: nobody disliked it."""
        made = self._cleaner.clean(example)
        if isinstance(made, Example) and made.thumb != example.thumb:
            return Drop(made.id, made.person_id, made.transformations[-1].replace("turned into a negative by", "breaks"))
        return made


def _said(turns: Sequence[Turn] | Sequence[PairTurn]) -> tuple[Said, ...]:
    return tuple(Said(str(turn.role), turn.content) for turn in turns)


def _example(document: Document, id: str, prompt: tuple[Said, ...], answer: str, thumb: str | None = None) -> Example:
    return Example(id, document.person_id or "", "", prompt, answer, thumb, None, (), document.created_at_s)


def _drop(document: Document, reason: str) -> Drop:
    return Drop(document.id, document.person_id or "", reason)
