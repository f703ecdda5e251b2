"""What curation works with under a home's settings: the frozen suites, the policy, what redacts, and how rows are chosen."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import msgspec

from learner.context import Context, StageError
from learner.curate import language, quality
from learner.curate.choose import Chooser
from learner.curate.clean import Cleaner
from learner.curate.decontaminate import Overlap
from learner.curate.example import Example
from learner.curate.pii import describe
from learner.curate.presidio import redactor
from learner.policy import load_policy


class Tools:
    """Made once for a curation; making it takes a moment. Raises `SuiteError`, `PolicyError`, `PresidioMissing`, `StageError`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        try:
            language.check(settings.curate.languages)
        except ValueError as error:
            raise StageError(str(error)) from error
        self.suites = context.suites()
        policy = load_policy(settings.policy)
        cleaner = Cleaner(
            overlap=Overlap(self.suites),
            judge=policy.judge,
            redact=redactor(settings.curate.pii),
            describe=describe,
            objection=partial(objection, languages=settings.curate.languages),
            breaches=settings.curate.breaches,
        )
        self.chooser = Chooser(cleaner, context.tokens, settings.curate, settings.train)
        self.recipe: dict[str, object] = {
            "curate": msgspec.to_builtins(settings.curate),
            "max_row_tokens": settings.train.max_row_tokens,
            "policy": policy.sha256,
        }


def objection(example: Example, languages: Collection[str]) -> str | None:
    """What is wrong with an example as something to learn from, of quality or language."""
    return quality.objection(example) or language.objection(example.question, languages)
