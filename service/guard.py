"""The policy at run time: what may be asked and answered, on prompts before the engine hears them and on answers as they come.

A refused prompt is answered with the rule's own words, and no version is named as their writer. Of a streamed answer nothing that
breaks a rule goes out; only what may become a breach is held back, so that other answers are not delayed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from learner.engine import AnswerMessage, Choice, Completion, Delta
from learner.policy import Breach, Policy, worst
from learner.policy.judge import Judge
from learner.policy.scan import Scan
from service.wire import ChatMessage

FILTERED = "content_filter"  # the finish reason, as OpenAI has it
POLICY = "policy"  # in an answer's metadata: the rule that it or its prompt breaks


class Guard:
    """Holds prompts and answers against a policy; without one everything passes."""

    def __init__(self, policy: Policy | None, judge: Judge | None = None) -> None:
        self._policy, self._judge = policy, judge

    async def of_prompt(self, messages: Sequence[ChatMessage]) -> Breach | None:
        """The worst breach of what the person says in this turn; what was said before had its own. May raise `EngineError`."""
        if self._policy is None:
            return None
        said = "\n".join(_said_now(messages))
        found = self._policy.breaches(said, "prompt")
        if self._judge is not None and not any(one.action == "refuse" for one in found):
            found += await self._judge.inline(self._policy, said)
        return worst(one for one in found if one.action == "refuse") or worst(found)

    def of_answer(self, completion: Completion) -> tuple[Completion, str | None]:
        """A whole answer as it may be given, and the rule that it broke."""
        watch = self.watch()
        passed = [*watch.take(completion), *watch.finish()]
        if watch.breach is None or not watch.changed:
            return completion, watch.rule
        replaced = watch.breach.replacement if watch.stopped else "".join(text_of(frame) for frame in passed)
        choice = Choice(message=AnswerMessage(replaced), finish_reason=FILTERED)
        return msgspec.structs.replace(completion, choices=[choice]), watch.rule

    def watch(self) -> Watch:
        """For one streamed answer."""
        return Watch(self._policy)


class _Held(NamedTuple):
    start: int  # of its text in the answer
    end: int
    frame: Completion


class Watch:
    """Takes the engine's frames and gives those that may go out, as they are wherever nothing is wrong with them."""

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy if policy is not None and policy.about("answer") else None
        scan = Scan(policy) if self._policy and policy else None
        self._scan = scan if scan and not scan.idle else None
        self._text: list[str] = []
        self._length = self._sent = 0  # characters that came, and that went out or were taken out
        self._held: deque[_Held] = deque()
        self.breach: Breach | None = None  # the first that changed the answer, or the worst that is only flagged
        self.changed = False  # something else was put in place of what the engine said
        self.stopped = False  # the answer ends here, whatever the engine would go on to say

    @property
    def rule(self) -> str | None:
        return self.breach.rule if self.breach else None

    def take(self, frame: Completion) -> list[Completion]:
        """What may go out now."""
        if self._policy is None or self.stopped:
            return [] if self.stopped else [frame]
        text = text_of(frame)
        self._text.append(text)
        self._length += len(text)
        if self._scan is None:
            return [frame]
        steps = self._scan.take(text)
        if not self._held and not self.changed and steps == [(self._length, None)]:
            self._sent = self._length
            return [frame]
        self._held.append(_Held(self._length - len(text), self._length, frame))
        return list(self._pass(steps))

    def finish(self) -> list[Completion]:
        """What may go out when the engine has nothing more to say."""
        if self._policy is None or self.stopped:
            return []
        passed = list(self._pass(self._scan.finish())) if self._scan else []
        self.breach = self.breach or worst(self._policy.breaches("".join(self._text), "answer"))
        return passed

    def _pass(self, steps: Sequence[tuple[int, Breach | None]]) -> Iterator[Completion]:
        for upto, breach in steps:
            if self.stopped:
                return
            if breach is None:
                yield from self._through(upto)
            elif breach.end > self._sent:
                yield from self._replace(breach)

    def _replace(self, breach: Breach) -> Iterator[Completion]:
        if breach.start >= self._sent:  # else it goes on from inside one that is being replaced
            yield from self._through(breach.start)
            self.breach, self.changed = self.breach or breach, True
            if self._held and (before := self._left(self._held[0], breach.start)):
                yield _piece(before)
            self.stopped = breach.action == "refuse"
            gap = "\n\n" if self.stopped and breach.start else ""
            yield _piece(gap + breach.replacement, FILTERED if self.stopped else None)
        self._sent = breach.end

    def _through(self, upto: int) -> Iterator[Completion]:
        """The frames whose text ends by then; once something was replaced, what is left of them."""
        while self._held and self._held[0].end <= upto:
            held = self._held.popleft()
            yield _rewritten(held.frame, self._left(held, held.end)) if self.changed else held.frame
            self._sent = max(self._sent, held.end)

    def _left(self, held: _Held, upto: int) -> str:
        """What has not gone out of a frame's text, up to a place in the answer."""
        return text_of(held.frame)[max(self._sent - held.start, 0) : max(upto - held.start, 0)]


def _piece(text: str, finish_reason: str | None = None) -> Completion:
    return Completion(choices=[Choice(delta=Delta(text), finish_reason=finish_reason)])


def refusal(breach: Breach) -> Completion:
    """The answer to a prompt that is refused: a frame, or the whole of it."""
    text = breach.replacement
    return Completion(choices=[Choice(delta=Delta(text), message=AnswerMessage(text), finish_reason=FILTERED)])


def text_of(frame: Completion) -> str:
    return "".join(choice.delta.content or choice.message.content or "" for choice in frame.choices)


def _said_now(messages: Sequence[ChatMessage]) -> list[str]:
    """What people said since the last answer."""
    last = max((number for number, message in enumerate(messages) if message.role == "assistant"), default=-1)
    return [message.text for message in messages[last + 1 :] if message.role == "user"]


def _rewritten(frame: Completion, text: str) -> Completion:
    """The frame with other words: their log-probs would tell the engine's."""
    choices = [
        msgspec.structs.replace(
            choice, delta=Delta(text), message=AnswerMessage(), logprobs=None, finish_reason=choice.finish_reason and FILTERED
        )
        for choice in frame.choices
    ]
    return msgspec.structs.replace(frame, choices=choices)
