"""Made-up answers with opinions on them, as many as asked: what `ratchet bench data` curates."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec
import numpy as np

from learner.curate.example import Example, Said
from learner.curate.words import words
from learner.evaluate.suite import Suite

BLOCK = 10_000  # examples whose numbers are drawn at once
RECENT = 1000  # examples back from which one may be taken up again
QUESTION_WORDS, ANSWER_WORDS = (6, 16), (12, 40)
PEOPLE_PER_ROW = 0.05
REPEATED, NEAR, SECRET, PLANTED = 0.01, 0.1, 0.03, 0.01  # shares: duplicates, near-duplicates, personal data, eval items
SECRETS = (
    "Write to anna.k{0}@mail.example.org about it.",
    "My card is 4111 1111 1111 1111, by the way.",
    "The key is AKIA{0:016d} as far as I know.",
    "Call me at +44 20 7946 {1:04d} after nine.",
)


def talk(rows: int, suites: Sequence[Suite], seed: int = 0) -> Iterator[Example]:
    """So many examples, the same for the same seed. Words come as often as words do (Zipf), and are those of the suites."""
    random = np.random.default_rng(seed)
    items = [item.prompt[-1].content for suite in suites for item in suite.items if item.prompt]
    said = Counter(chain.from_iterable(words(turn.content) for suite in suites for item in suite.items for turn in item.prompt))
    vocabulary = np.array([word for word, _ in said.most_common()])
    chances = np.cumsum(1 / (np.arange(len(vocabulary)) + 2.7))
    recent: deque[Example] = deque(maxlen=RECENT)
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        drawn = np.searchsorted(chances, random.random((count, QUESTION_WORDS[1] + ANSWER_WORDS[1])) * chances[-1])
        low, high = np.array([QUESTION_WORDS, ANSWER_WORDS]).T
        lengths = random.integers(low, high, size=(count, 2), endpoint=True)
        people = random.zipf(1.3, count) % max(2, round(rows * PEOPLE_PER_ROW))
        fates, picks, liked = random.random(count), random.integers(1 << 31, size=count), random.random(count) < 0.7
        for at in range(count):
            pick, fate = int(picks[at]), fates[at]
            spoken = vocabulary[drawn[at]]
            question, answer = _sentence(spoken[: lengths[at, 0]], "?"), _sentence(spoken[-lengths[at, 1] :], ".")
            made = _example(start + at, f"person-{people[at]}", question, answer, "up" if liked[at] else "down")
            if fate < REPEATED + NEAR and recent:
                made = _again(recent[pick % len(recent)], made, word=None if fate < REPEATED else str(spoken[0]))
            elif fate > 1 - PLANTED:
                made = msgspec.structs.replace(made, answer=f"{made.answer} {items[pick % len(items)]}")
            elif fate > 1 - PLANTED - SECRET:
                secret = SECRETS[pick % len(SECRETS)].format(pick, pick % 10_000)
                made = msgspec.structs.replace(made, answer=f"{made.answer} {secret}")
            recent.append(made)
            yield made


def _example(number: int, person_id: str, question: str, answer: str, thumb: str) -> Example:
    prompt = (Said("user", question),)
    return Example(
        f"msg-{number}", person_id, f"conv-{number}", prompt, answer, thumb, None, (), float(number), finish_reason="stop"
    )


def _again(earlier: Example, now: Example, word: str | None) -> Example:
    """The earlier one once more: by the same person, or by another with one word of the answer exchanged."""
    if word is None:
        return msgspec.structs.replace(earlier, id=now.id, conversation_id=now.conversation_id, said_at_s=now.said_at_s)
    _, *rest = earlier.answer.split()
    return msgspec.structs.replace(now, prompt=earlier.prompt, answer=" ".join([word.capitalize(), *rest]))


def _sentence(spoken: Sequence[str], end: str) -> str:
    return f"{' '.join(spoken)}{end}".capitalize()
