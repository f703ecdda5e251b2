"""What curation does to each example by itself, in one pass: eval items, broken rules and what is no good go, personal data
goes out of what stays. Many examples are shared among processes."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, Protocol

import msgspec

from learner.curate.example import Drop, Example, Said, drop
from learner.curate.found import TAG
from learner.jobs import settle_in

CHUNK = 500  # examples that a process takes at once
MANY = 20_000  # examples from which on starting processes pays
AHEAD = 3  # chunks that wait for each process

OVERLAPS = "overlaps a frozen eval item"
NOTHING_LEFT = "nothing left after redaction"
MAX_REDACTED = 1 / 3  # of the words of a question, an answer or a correction

Breaches = Literal["negative", "drop"]


class Breach(Protocol):
    """A broken rule, as `learner.policy` has it."""

    @property
    def rule(self) -> str: ...
    @property
    def action(self) -> str: ...


class Redacted(Protocol):
    """A text without what was found in it, as `learner.curate.pii` has it."""

    @property
    def text(self) -> str: ...
    @property
    def found(self) -> dict[str, int]: ...


class Overlap(Protocol):
    """What texts may not share words with, as `learner.curate.decontaminate` has it."""

    def __contains__(self, text: str, /) -> bool: ...


@dataclass(frozen=True)
class Cleaner:
    """The steps, each given; all of it can be sent to other processes."""

    overlap: Overlap
    judge: Callable[[str, str], Breach | None]  # of a prompt and an answer
    redact: Callable[[str], Redacted]
    describe: Callable[[Mapping[str, int]], str]  # what was redacted, in words
    objection: Callable[[Example], str | None]  # to its quality
    breaches: Breaches = "negative"  # what becomes of a liked answer that breaks a rule which refuses or replaces

    def clean(self, example: Example) -> Example | Drop:
        """The example as it may teach, or why it may not."""
        if any(text in self.overlap for text in example.texts):
            return drop(example, OVERLAPS)
        made = self._redacted(example)
        if isinstance(made, Example):
            made = self._ruled(example, made)
        if isinstance(made, Example) and (reason := self.objection(made)):
            return drop(example, reason)
        return made

    def _ruled(self, example: Example, made: Example) -> Example | Drop:
        """What is said to be good breaks no rule: a liked answer that does is dropped or disliked, a correction dropped."""
        if example.correction and (breach := self._breach(example, made, example.correction, made.correction or "")):
            return drop(example, f"breaks the rule {breach.rule!r}")
        if not example.is_liked or not (breach := self._breach(example, made, example.answer, made.answer)):
            return made
        if self.breaches == "drop" or breach.action not in ("refuse", "replace"):
            return drop(example, f"breaks the rule {breach.rule!r}")
        return _changed(made, f"turned into a negative by the rule {breach.rule!r}", thumb="down")

    def _breach(self, example: Example, made: Example, said: str, left: str) -> Breach | None:
        """The rule that an answer breaks as it was said; one that only flags, if what is left of it breaks it still."""
        breach = self.judge(example.question, said)
        return self.judge(made.question, left) if breach and breach.action == "flag" else breach

    def _redacted(self, example: Example) -> Example | Drop:
        outcomes = [self.redact(text) for text in example.texts]
        found: dict[str, int] = {}
        for kind, count in chain.from_iterable(outcome.found.items() for outcome in outcomes):
            found[kind] = found.get(kind, 0) + count
        if not found:
            return example
        texts = [outcome.text for outcome in outcomes]
        said = [Said(one.role, text, one.status) for one, text in zip(example.prompt, texts, strict=False)]
        answer, *others = texts[len(said) :]
        better = others.pop(0) if example.correction else example.correction
        worse = others.pop(0) if example.worse else example.worse
        made = _changed(example, self.describe(found), prompt=tuple(said), answer=answer, correction=better, worse=worse)
        if any(map(_is_gutted, _told(example), _told(made))):
            return drop(example, NOTHING_LEFT)
        if any(text in self.overlap for text in texts):
            return drop(example, OVERLAPS)
        return made


def clean(examples: Iterable[Example], cleaner: Cleaner, processes: int | None = None) -> Iterator[Example | Drop]:
    """What becomes of each example, in their order; they may stream, whatever their number.

    One process cleans them in place. Where no number is given, there are as many as processors for many examples.
    """
    rest = iter(examples)
    chunks = iter(lambda: list(islice(rest, CHUNK)), [])
    if processes is None:
        first = list(islice(chunks, MANY // CHUNK))
        chunks, processes = chain(first, chunks), (os.cpu_count() or 1) if len(first) == MANY // CHUNK else 1
    if processes == 1:
        return map(cleaner.clean, chain.from_iterable(chunks))
    return _share(chunks, cleaner, processes)


def _share(chunks: Iterable[list[Example]], cleaner: Cleaner, processes: int) -> Iterator[Example | Drop]:
    context = multiprocessing.get_context("spawn")  # a service has threads, which a fork would not survive
    with ProcessPoolExecutor(processes, context, _begin, (cleaner,)) as pool:
        waiting: deque[Future[bytes]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_clean_chunk, _encode(chunk)))
            if len(waiting) >= processes * AHEAD:
                yield from _outcomes(waiting.popleft())
        while waiting:
            yield from _outcomes(waiting.popleft())


# Chunks travel as MessagePack: pickling Structs one by one would cost as much as cleaning them.
_encode = msgspec.msgpack.Encoder().encode
_decode_examples = msgspec.msgpack.Decoder(list[Example]).decode
_decode_outcomes = msgspec.msgpack.Decoder(list[tuple[Example | None, Drop | None]]).decode
_of_process: list[Cleaner] = []


def _begin(cleaner: Cleaner) -> None:
    settle_in()
    _of_process.append(cleaner)


def _clean_chunk(chunk: bytes) -> bytes:
    [cleaner] = _of_process
    outcomes = map(cleaner.clean, _decode_examples(chunk))
    return _encode([(one, None) if isinstance(one, Example) else (None, one) for one in outcomes])


def _outcomes(waiting: Future[bytes]) -> Iterator[Example | Drop]:
    for example, dropped in _decode_outcomes(waiting.result()):
        yield example or dropped  # type: ignore[misc]  # one of them is there


def _changed(example: Example, how: str, **fields: object) -> Example:
    return msgspec.structs.replace(example, transformations=(*example.transformations, how), **fields)


def _told(example: Example) -> tuple[str, ...]:
    return example.question, example.answer, example.correction or "", example.worse or ""


def _is_gutted(before: str, after: str) -> bool:
    return _words(before) > 0 and _words(after) < (1 - MAX_REDACTED) * _words(before)


def _words(text: str) -> int:
    """Words beside tags."""
    return sum(any(map(str.isalnum, word)) for word in TAG.sub("", text).split())
