"""What curation works with under a home's settings: the frozen suites, the policy, what redacts, and how rows are chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
from learner.rows import Row


class Tools:
    """Made once for a curation; making it takes a moment. Raises `SuiteError`, `PolicyError`, `PresidioMissing`, `StageError`."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        try:
            language.check(settings.curate.languages)
        except ValueError as error:
            raise StageError(str(error)) from error
        self.suites = context.suites()
        self._overlap, self._tokens = Overlap(self.suites), context.tokens
        policy = load_policy(settings.policy)
        cleaner = Cleaner(
            overlap=self._overlap,
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

    def without_items(self, rows: Sequence[Row]) -> list[Row]:
        """Rows of earlier datasets that no item of today's suites stands in: those may be newer than the rows."""
        texts = ((row, (row.prompt_ids, row.answer_ids, row.better_ids)) for row in rows)
        return [row for row, ids in texts if not any(self._tokens.decode(part) in self._overlap for part in ids if part)]


def objection(example: Example, languages: Collection[str]) -> str | None:
    """What is wrong with an example as something to learn from, of quality or language."""
    return quality.objection(example) or language.objection(example.question, languages)
