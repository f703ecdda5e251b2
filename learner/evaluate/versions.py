"""Versions on the frozen suites outside of a cycle: scored when an operator asks, and compared with each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from learner import release
from learner.context import CYCLES, Context
from learner.evaluate.kept import known_scores, pair_scores
from learner.evaluate.scoring import score_missing
from learner.evaluate.suite import Item, Suite, load_suites
from learner.gate import SuiteFinding, Verdict, compare_suite, worst_of

MOST_MOVED = 10  # items that are told of a suite whose scores are not only 0 and 1


class SuiteMean(Struct, frozen=True):
    """How a version does on a suite; `mean` is None while it was not scored."""

    name: str
    kind: str
    sha256: str
    items: int
    mean: float | None


class Move(Struct, frozen=True):
    item: str
    topic: str
    before: float
    after: float


class Compared(Struct, frozen=True):
    """What became of a suite. `moves` are the items that turned from right to wrong or back where there is only right and
    wrong, else those that moved furthest; the losses first."""

    kind: str
    sha256: str
    items: int
    advisory: bool
    finding: SuiteFinding
    moves: tuple[Move, ...]


class VersionsCompared(Struct, frozen=True):
    """`verdict` is `promote` where the later version is not worse on any suite that decides."""

    before: str
    after: str
    verdict: Verdict
    suites: list[Compared]


async def score_versions(context: Context, versions: Collection[str], names: Collection[str]) -> dict[str, str]:
    """Has the engine score what is not known of these versions on these suites, or on all, and keeps it. Slows chats meanwhile.

    Returns the judged suites that their judge did not score, with the reason.
    Raises `AdapterError` for a version that cannot be served, `SuiteError`, `EngineError`, `JobError`.
    """
    for name in versions:
        await release.load(context, name)
    result = await score_missing(context, context.home / CYCLES / "asked", sorted(set(versions)), names=names)
    return result.unjudged


async def mean_scores(context: Context, version: str, names: Collection[str]) -> list[SuiteMean]:
    """What is known of a version on these suites, or on all. Raises `SuiteError`; `LookupError` for a suite that there is not."""
    suites = select_suites(context, names)
    known = (await known_scores(context, [version], suites))[version]
    return [
        SuiteMean(suite.name, suite.header.kind, suite.sha256, len(suite.items), _mean(known.get(suite.name, {})))
        for suite in suites
    ]


async def compare_versions(context: Context, before: str, after: str, names: Collection[str]) -> VersionsCompared:
    """The later version against the earlier by what is known of both, on these suites or on all; each suite for itself.

    A suite that was not scored is inconclusive. Raises as `mean_scores` does.
    """
    suites = select_suites(context, names)
    known = await known_scores(context, [after, before], suites)
    compared = []
    for suite, scores in zip(suites, pair_scores(known, suites, after, before, base=before), strict=True):
        finding = compare_suite(scores, context.settings.gate)
        moves = moved(suite.items, scores.live, scores.candidate)
        compared.append(Compared(suite.header.kind, suite.sha256, len(suite.items), suite.header.advisory, finding, moves))
    return VersionsCompared(before, after, overall(compared), compared)


def select_suites(context: Context, names: Collection[str]) -> list[Suite]:
    """The suites of these names, or all where none is given."""
    suites = context.suites()
    if unknown := sorted(set(names) - {suite.name for suite in suites}):
        if unknown[0] in {suite.name for suite in load_suites(*context.suites_dirs)}:
            raise LookupError(f"no judge for suite {unknown[0]!r}; expected learner.judge in ratchet.toml")
        raise LookupError(f"no suite {unknown[0]!r}; expected some of {', '.join(suite.name for suite in suites)}")
    return [suite for suite in suites if not names or suite.name in names]


def moved(items: Sequence[Item], before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Move, ...]:
    """The items that tell most about a change, the losses first."""
    both = [item for item in items if item.id in before and item.id in after]
    moves = [Move(item.id, item.topic, before[item.id], after[item.id]) for item in both if before[item.id] != after[item.id]]
    furthest = sorted(moves, key=lambda move: -abs(move.after - move.before))
    if not {*before.values(), *after.values()} <= {0.0, 1.0}:
        furthest = furthest[:MOST_MOVED]
    return tuple(sorted(furthest, key=lambda move: move.after - move.before))


def overall(compared: Sequence[Compared]) -> Verdict:
    """Worse on one suite is worse. Advisory suites are not asked; where no other is left there is no verdict."""
    return worst_of([one.finding.verdict for one in compared if not one.advisory] or [Verdict.INCONCLUSIVE])


def _mean(scores: Mapping[str, float]) -> float | None:
    return sum(scores.values()) / len(scores) if scores else None
