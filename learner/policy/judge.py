"""Rules that a model decides: it is shown a text and says yes for a breach."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from learner.engine import LOW_PRIORITY
from learner.engines import Engines
from learner.policy.policy import Breach, Policy
from learner.policy.rule import Rule, Where
from storage.records import new_id

ASKED = "Text between the lines:\n----\n{text}\n----\nDoes the text break this rule? Answer with one word, yes or no."
ANSWER_TOKENS = 4
PEOPLE_PRIORITY = 0


class Judge:
    """Asks a model behind an engine, at low priority unless a person waits for it. Its methods raise `EngineError`."""

    def __init__(self, engine: Engines, model: Callable[[], str], priority: int = LOW_PRIORITY) -> None:
        self._engine, self._model, self._priority = engine, model, priority

    async def breaches(self, policy: Policy, text: str, where: Where) -> list[Breach]:
        """Of each rule with a prompt that the model says the text breaks."""
        return await self._decide((rule for rule in policy.about(where) if rule.prompt), text, where)

    async def inline(self, policy: Policy, text: str) -> list[Breach]:
        """Of the rules that a prompt is held against before it is answered."""
        return await self._decide((rule for rule in policy.about("prompt") if rule.inline), text, "prompt")

    async def _decide(self, rules: Iterable[Rule], text: str, where: Where) -> list[Breach]:
        broken = [rule for rule in rules if await self._says_yes(rule, text)]
        return [
            Breach(rule.name, rule.severity, rule.action, rule.reason, where, 0, len(text), rule.replacement) for rule in broken
        ]

    async def _says_yes(self, rule: Rule, text: str) -> bool:
        """What is neither yes nor no is no: a model that rambles stops nobody."""
        messages = [{"role": "system", "content": rule.prompt}, {"role": "user", "content": ASKED.format(text=text)}]
        body: dict[str, object] = {
            "model": self._model(),
            "messages": messages,
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
            "priority": self._priority,
        }
        completion = await self._engine.complete(body, new_id("judge"))
        return (completion.choices[0].message.content or "").strip().lower().startswith("yes")
