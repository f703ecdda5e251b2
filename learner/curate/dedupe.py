"""Collapses what is said again and again: one person's exact repetitions, and what many say in nearly the same words.

Of each example a trace is kept, about 300 bytes, so that a million of them need no more memory than that.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from learner.curate.example import Example, Sifted, drop
from learner.curate.minhash import THRESHOLD, Sketches, group
from learner.curate.words import fold

DUPLICATE = "duplicate"
TOO_MANY = "over the limit for near-duplicates"


class Traces:
    """What is remembered of examples, which may stream by, to say afterwards which of them are too much."""

    def __init__(self) -> None:
        self._sketches = Sketches()
        self._opinions = array("Q")  # hashes of person, words and opinion
        self._people = array("Q")
        self._said_at_s = array("d")

    def add(self, example: Example) -> None:
        self._sketches.add(example.gist)
        self._opinions.append(_opinion(example))
        self._people.append(_hash(example.person_id))
        self._said_at_s.append(example.said_at_s)

    def objections(self, max_per_cluster: int, threshold: float = THRESHOLD) -> list[str | None]:
        """Why each is too much, None for what is left, in the order in which they were added.

        Of a person's duplicates the newest is left. Of near-duplicates at most `max_per_cluster` are: of each person the
        newest before anybody's second newest, and of one person no more than half, or one.
        """
        clusters = group(self._sketches.rows(), threshold)
        reasons: list[str | None] = [DUPLICATE] * len(clusters)
        newer: Counter[tuple[int, int]] = Counter()  # of a person in a cluster
        left: list[tuple[int, int]] = []  # how many newer ones there are, the number
        for number in self._newest():
            mine = clusters[number], self._people[number]
            left.append((newer[mine], number))
            newer[mine] += 1
        left.sort(key=itemgetter(0))  # stable: newest first among equals
        taken: Counter[int] = Counter()
        for turn, number in left:
            many = turn >= max(1, max_per_cluster // 2) or taken[clusters[number]] >= max_per_cluster
            reasons[number] = TOO_MANY if many else None
            taken[clusters[number]] += not many
        return reasons

    def _newest(self) -> Iterator[int]:
        """The newest of each opinion, newest first."""
        seen: set[int] = set()
        for number in sorted(range(len(self._opinions)), key=lambda one: (self._said_at_s[one], one), reverse=True):
            if self._opinions[number] not in seen:
                seen.add(self._opinions[number])
                yield number


def sift(examples: Sequence[Example], max_per_cluster: int) -> Sifted:
    """Leaves out duplicates and what is over the limit for near-duplicates; see `Traces.objections`."""
    traces = Traces()
    for example in examples:
        traces.add(example)
    judged = list(zip(examples, traces.objections(max_per_cluster), strict=True))
    return Sifted([one for one, reason in judged if not reason], [drop(one, reason) for one, reason in judged if reason])


def cluster(texts: Iterable[str], threshold: float = THRESHOLD) -> list[int]:
    """A cluster for each text: the number of its first member. Texts whose words are the same always share one; others do
    where about `threshold` of their shingles are the same (Jaccard index), directly or through others."""
    sketches = Sketches()
    for text in texts:
        sketches.add(text)
    return group(sketches.rows(), threshold)


def _opinion(example: Example) -> int:
    prompt = "\n".join(f"{said.role} {fold(said.content)}" for said in example.prompt)
    said = (
        example.person_id,
        prompt,
        fold(example.answer),
        example.thumb or "",
        fold(example.correction or ""),
        fold(example.worse or ""),
    )
    return _hash("\0".join(said))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
