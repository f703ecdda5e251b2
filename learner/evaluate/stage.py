"""Stage 4: candidates, live and base on the held-out votes and on every frozen suite, each suite scored once per version.

Votes come first, by the adapters as they were trained: they cost little, and a candidate that they do not speak for is not
promoted whatever the suites say, so its suites are left out unless the settings want them. Those of the live version and of
base are scored all the same, where nobody did yet: the next cycle, which may bring something live, has that time less.
Suites are scored as people are answered, by the engine, which before and after has to show that it serves the very candidates.
Whatever keeps an evaluation from being whole makes it inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from learner import release
from learner.adapter import BASE, AdapterError
from learner.context import Context, StageError
from learner.engine import EngineError
from learner.evaluate.budget import spend_on
from learner.evaluate.kept import known_scores, pair_scores
from learner.evaluate.scoring import appraise, score_missing
from learner.evaluate.suite import Suite, SuiteError
from learner.gate import Case, Verdict, VoteScore, judge_votes
from learner.jobs import JobError
from learner.rows import heldout_votes
from learner.train.spec import Probe
from storage.records import Cycle


class VotedAnswer(Struct, frozen=True):
    """An answer that somebody voted on who never teaches, its mean log-prob per token by version, base among them, and what
    the vote says of each candidate: by how much the share of thumbs up would change."""

    id: str
    person_id: str
    label: int  # +1 or -1
    means: dict[str, float]
    drawn_by: str = ""  # the version whose answer it is
    gains: dict[str, float] = {}


class Evaluated(Struct, frozen=True):
    """`sha256` are the hashes of the suites that were scored; the scores themselves are in the database."""

    candidates: list[str]
    live: str  # whom they are judged against
    sha256: dict[str, str]
    votes: list[VotedAnswer]
    seconds: float
    vote_alpha: float = 0.0  # what the cycle may err on its votes
    scored: list[str] = []  # the candidates whose suites were
    failure: str = ""  # why it is not whole; empty where it is
    unjudged: dict[str, str] = {}  # judged suites without scores, and why their judge gave none

    @property
    def judging(self) -> list[VotedAnswer]:
        """What the gate goes by: the votes on answers of the live version. Others tell what became of earlier tastes."""
        return [vote for vote in self.votes if vote.drawn_by == self.live]

    def votes_on(self, candidate: str) -> list[VoteScore]:
        """What the votes say of this candidate, as the gate reads it."""
        return [VoteScore(vote.id, vote.person_id, vote.label, vote.gains.get(candidate, math.nan)) for vote in self.judging]


Probes = Mapping[str, Sequence[Probe]]  # candidate → what shows that it is served
FAILURES = (JobError, EngineError, SuiteError, AdapterError, StageError)


async def evaluate(context: Context, cycle: Cycle, dataset_id: str, probes: Probes, live: str) -> Evaluated:
    """Has the engine score what is not known yet of the candidates that the probes are of, and keeps it."""
    candidates = list(probes)
    rows_file = await context.dataset_file(dataset_id)
    try:
        for name in (live, *candidates):
            await release.load(context, name)
        await _prove(context, probes)
        judged = await _score_votes(context, cycle, rows_file, candidates, live)
        models = sorted({*judged.scored, live, BASE})
        result = await score_missing(context, context.folder(cycle.id) / "evaluate", models, cycle.id)
        await _prove(context, probes)
    except FAILURES as error:
        return Evaluated(candidates, live, {}, [], 0.0, failure=f"it could not be evaluated: {error}")
    sha256 = {suite.name: suite.sha256 for suite in context.suites()} if judged.scored else {}
    return msgspec.structs.replace(judged, sha256=sha256, seconds=judged.seconds + result.seconds, unjudged=result.unjudged)


async def _prove(context: Context, probes: Probes) -> None:
    for name, texts in probes.items():
        await release.prove(context, name, texts)


async def _score_votes(context: Context, cycle: Cycle, rows_file: Path, candidates: list[str], live: str) -> Evaluated:
    """The held-out votes under every version, and the candidates whose suites are worth scoring."""
    appraised = await appraise(context, context.folder(cycle.id) / "appraise", rows_file, live, candidates)
    votes = []
    for row in heldout_votes(rows_file):
        gains = _of(row.id, appraised.gains) if row.drawn_by == live else {}
        votes.append(VotedAnswer(row.id, row.person_id, row.label, _of(row.id, appraised.means), row.drawn_by, gains))
    judged = Evaluated(candidates, live, {}, votes, appraised.seconds, await spend_on(context, cycle.id))
    gate, alpha = context.settings.gate, judged.vote_alpha / len(candidates)
    passed = [name for name in candidates if judge_votes(judged.votes_on(name), alpha, gate)[1] is Verdict.PROMOTE]
    return msgspec.structs.replace(judged, scored=candidates if gate.always_score_suites else passed)


def _of(row_id: str, figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {model: by_row[row_id] for model, by_row in figures.items()}


async def cases(context: Context, evaluated: Evaluated) -> dict[str, Case]:
    """The gate's input for each candidate: without scores of its suites where the votes refused it before."""
    suites, failure = _unchanged_suites(context, evaluated)
    known = await known_scores(context, [*evaluated.scored, evaluated.live, BASE], suites)
    return {
        name: Case([], [], failure=failure)
        if failure
        else Case(
            pair_scores(known, suites, name, evaluated.live) if name in evaluated.scored else [],
            evaluated.votes_on(name),
            evaluated.vote_alpha,
        )
        for name in evaluated.candidates
    }


def _unchanged_suites(context: Context, evaluated: Evaluated) -> tuple[list[Suite], str]:
    """The suites that were scored; or else why the evaluation does not count."""
    if evaluated.failure or not evaluated.scored:
        return [], evaluated.failure
    try:
        suites = context.suites()
    except SuiteError as error:
        return [], f"it could not be evaluated: {error}"
    if changed := {suite.name for suite in suites if evaluated.sha256.get(suite.name) != suite.sha256}:
        return [], f"it could not be evaluated: {', '.join(sorted(changed))} changed since it was scored"
    return suites, ""
