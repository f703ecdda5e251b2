"""How far a judge agrees with people: it is asked about pairs of answers of which they preferred one.

Pairs come first from people here who never teach, a few of each person, then from imported preferences. Personal data is
taken out of them before the judge sees any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.context import Context
from learner.corpora.shapes import Pair
from learner.corpora.turns import Turn as PairTurn
from learner.curate.presidio import redactor
from learner.curate.split import split_of
from learner.engine import gather_limited
from learner.evaluate.judge import BETTER, TIE, Judge, JudgeError, host
from learner.evaluate.judged import Calibration, keep_calibration
from learner.evaluate.suite import Turn
from learner.rows import Split
from learner.statistics import share_bound
from storage import documents, feedback
from storage.records import Document, DocumentKind, Evidence, Message

PAGE = 500
MOST_OF_A_PERSON = 5  # pairs: it is people whom the judge is to agree with
CONFIDENCE = 0.95  # of the bound, one-sided


class Preferred(Struct, frozen=True):
    """Two answers to a prompt; somebody preferred the first."""

    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str


async def calibrate(context: Context, limit: int) -> Calibration:
    """Asks the judge about at most `limit` pairs, in both orders, and keeps in the home what is found.

    Raises `JudgeError`, also where no judge is set or there is nothing to ask about.
    """
    settings = context.settings.judge
    if settings is None:
        raise JudgeError("no judge is set; expected learner.judge with url and model in ratchet.toml")
    if not (pairs := await preferences(context, limit)):
        raise JudgeError("there is no preference of a held-out person and no imported one; expected some to ask the judge about")
    async with Judge(settings) as judge:
        asked = [partial(judge.compare, pair.prompt, pair.chosen, pair.rejected) for pair in pairs]
        scores = await gather_limited(context.settings.evaluation_concurrency, asked)
    ties, agreed = scores.count(TIE), scores.count(BETTER)
    told = len(scores) - ties
    found = Calibration(settings.model, host(settings), told, agreed, ties, share_bound(agreed, told, CONFIDENCE), context.clock())
    keep_calibration(context.home, found)
    return found


async def preferences(context: Context, limit: int) -> list[Preferred]:
    """Held-out pairs without personal data, the same for the same database."""
    redact = redactor(context.settings.curate.pii)
    found = await _of_people(context, limit)
    if missing := limit - len(found):
        imported = await context.database.read(partial(_imported, limit=missing))
        found += imported
    return [_cleaned(pair, lambda text: redact(text).text) for pair in found]


async def _of_people(context: Context, limit: int) -> list[Preferred]:
    found: list[Preferred] = []
    of_person: Counter[str] = Counter()
    position = 0
    while len(found) < limit and (page := await _page(context, position)):
        position = page[-1].position
        for one in page:
            heldout = split_of(one.person_id, context.settings.curate.heldout_share) is Split.HELDOUT
            if one.preferred_over is not None and heldout and of_person[one.person_id] < MOST_OF_A_PERSON:
                of_person[one.person_id] += 1
                found.append(Preferred(_turns(one.context), one.message.content, one.preferred_over.content))
    return found[:limit]


async def _page(context: Context, position: int) -> list[Evidence]:
    return await context.database.read(lambda connection: feedback.select_preferences(connection, position, PAGE))


async def _imported(connection: AsyncConnection, limit: int) -> list[Preferred]:
    rows = await documents.select_documents(connection, DocumentKind.PREFERENCE, limit)
    return [_of_document(row) for row in rows if row.person_id is None]


def _of_document(document: Document) -> Preferred:
    pair = msgspec.convert(document.content, Pair)
    return Preferred(_turns(pair.prompt), pair.chosen, pair.rejected)


def _turns(said: Iterable[Message] | Iterable[PairTurn]) -> tuple[Turn, ...]:
    return tuple(msgspec.convert(one, Turn, from_attributes=True) for one in said)


def _cleaned(pair: Preferred, clean: Callable[[str], str]) -> Preferred:
    prompt = tuple(Turn(turn.role, clean(turn.content)) for turn in pair.prompt)
    return Preferred(prompt, clean(pair.chosen), clean(pair.rejected))
