"""How much may be asked of the service at once: what is more is refused at once, instead of piling up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from learner.tokens import Tokens
from service.config import ServerSettings
from service.problem import Problem
from service.wire import ChatMessage

TEMPLATE_TOKENS = 64  # more than any chat template adds to a message


@dataclass
class Place:
    """Room for one answer: given back at the end of the block that took it, or with the task that goes on after it."""

    task: asyncio.Task[Any] | None = None
    over: Callable[[], object] = lambda: None  # called when it is given back


class Limits:
    """Counts answers in the making, in all and of each person, and measures prompts."""

    def __init__(self, settings: ServerSettings, tokens: Tokens) -> None:
        self._settings, self._tokens = settings, tokens
        self._by_person: Counter[str] = Counter()

    @contextmanager
    def place(self, person_id: str) -> Iterator[Place]:
        """Takes room for one answer. Raises `rate_limit_exceeded` for a person with too many, `overloaded` for all together."""
        answers, per_person = self._settings.answers, self._settings.answers_per_person
        if self._by_person[person_id] >= per_person:
            raise Problem("rate_limit_exceeded", f"{per_person} answers are being written for you: wait for one to end")
        if self._by_person.total() >= answers:
            raise Problem("overloaded", f"{answers} answers are being written, as many as can be at once: try again in a moment")
        self._by_person[person_id] += 1
        place = Place()
        try:
            yield place
        finally:
            if place.task is None or place.task.done():
                self._give_back(person_id, place)
            else:
                place.task.add_done_callback(lambda _: self._give_back(person_id, place))

    async def check_prompt(self, messages: Sequence[ChatMessage]) -> None:
        """Raises `context_length_exceeded` for a prompt of more than `max_prompt_tokens`; the engine has a limit of its own."""
        limit = self._settings.max_prompt_tokens
        if limit is None or sum(len(message.text.encode()) for message in messages) + TEMPLATE_TOKENS * len(messages) <= limit:
            return  # no token is shorter than a byte
        turns = [(message.role, message.text) for message in messages]
        count = len(await asyncio.to_thread(self._tokens.prompt, turns))
        if count > limit:
            raise Problem("context_length_exceeded", f"the prompt has {count} tokens, expected {limit} at most", "messages")

    def _give_back(self, person_id: str, place: Place) -> None:
        place.over()
        self._by_person[person_id] -= 1
        if not self._by_person[person_id]:
            del self._by_person[person_id]
