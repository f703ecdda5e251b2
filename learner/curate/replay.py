"""Which earlier answers are replayed: as many of each topic as there are, as far as they go, drawn at random in one pass."""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from collections.abc import Callable, Collection, Iterable
from heapq import heappop, heappush

from msgspec.structs import replace

from learner.rows import Row, RowKind, Split

WORDS = re.compile(r"[^\W\d_]{2,}")
TOPIC_WORDS = 2
STEM_LETTERS = 6
# Words that say little of what is asked for.
STOP = frozenset(
    WORDS.findall(
        "about all am an and any are as at be been being but by can could did do does for from get give had has have he hello "
        "help her hey hi him his how if in into is it its just know let like make me might more most my need no not of on one or "
        "our out over please shall she should so some tell than thank thanks that the their them then there these they this "
        "those to too up us very want was we were what when where which who whom whose why will with would you your der die das "
        "ist ich ein eine wie und el la los un una que es le les est je как это мне для на не что"
    )
)


def topic(text: str) -> str:
    """What a request is about, roughly: its first words that say something, "write poem", "capital france".

    Those are most often the verb and its object, by which Self-Instruct tells instructions apart (Wang et al. 2022, arXiv
    2212.10560). Words are told apart by their first six letters, without an s at the end: forms of a word are one.
    """
    told: list[str] = []
    for word in WORDS.findall(text[:2000].lower()):
        stem = word[:STEM_LETTERS].rstrip("s")
        if word not in STOP and stem not in told:
            told.append(stem)
            if len(told) == TOPIC_WORDS:
                break
    return " ".join(told)


def draw(rows: Iterable[Row], taken: Collection[str], count: int, seed: int, topic_of: Callable[[Row], str]) -> list[Row]:
    """Up to `count` of the training rows that are not in `taken`, evenly over topics, to stay near: without vote or correction.

    A reservoir for each topic: every row has a random number of its own, and of each topic those with the smallest stay
    (Vitter 1985; with numbers instead of coin tosses, Efraimidis & Spirakis 2006). Whenever there are too many rows, the largest
    topic gives one up; no row that has gone could come back later, so one pass is exact. In memory are `count` rows.
    What is drawn depends on the seed and the rows, not on their order.
    """
    if count <= 0:
        return []
    reservoir = _Reservoir(count)
    for row in rows:
        is_answer = row.split is Split.TRAIN and row.kind is not RowKind.TEXT
        if is_answer and row.id not in taken and row.id not in reservoir:
            reservoir.add(row, topic_of(row), _chance(seed, row.id))
    return [replace(row, kind=RowKind.REPLAY, label=0, better_ids=(), lesson_from=0) for row in reservoir.drawn()]


def _chance(seed: int, row_id: str) -> int:
    """A number that is drawn anew for each seed and row, and the same again when asked again."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{row_id}".encode(), digest_size=8).digest())


class _Reservoir:
    """The rows with the smallest numbers of each topic, at most `count` of them together."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: dict[str, Row] = {}
        self._topics: dict[str, list[tuple[int, str]]] = {}  # topic → (number, row id), ascending
        self._largest: list[tuple[int, int, str]] = []  # (-size, -largest number, topic) as they were once: a heap

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._rows

    def add(self, row: Row, topic: str, number: int) -> None:
        self._rows[row.id] = row
        insort(self._topics.setdefault(topic, []), (number, row.id))
        self._note(topic)
        if len(self._rows) > self._count:
            self._give_up_one()

    def _note(self, topic: str) -> None:
        members = self._topics[topic]
        if members:
            heappush(self._largest, (-len(members), -members[-1][0], topic))

    def _give_up_one(self) -> None:
        while True:
            size, number, topic = heappop(self._largest)
            members = self._topics.get(topic, [])
            if members and (size, number) == (-len(members), -members[-1][0]):
                break
        del self._rows[members.pop()[1]]
        if members:
            self._note(topic)
        else:
            del self._topics[topic]

    def drawn(self) -> list[Row]:
        return [self._rows[row_id] for _, row_id in sorted(member for members in self._topics.values() for member in members)]
