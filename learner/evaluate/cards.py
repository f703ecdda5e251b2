"""What there is to know about the suites of a home without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from learner.config import JudgeSettings
from learner.evaluate.judged import Calibration, standing, weigh_judged
from learner.evaluate.suite import Header, Suite, load_suites


class SuiteCard(Struct, frozen=True):
    """A suite as it counts here; `note` says of a judged one what its judge makes of it."""

    name: str
    kind: str
    version: int
    items: int
    margin: float
    veto: bool
    advisory: bool
    language: str
    about: str
    folder: str
    sha256: str  # of its files
    note: str = ""


def suite_cards(roots: Sequence[Path], judge: JudgeSettings | None, calibration: Calibration | None) -> list[SuiteCard]:
    """A card for each suite below the folders, also for those that are skipped, by name. Raises `SuiteError`."""
    suites = load_suites(*roots)
    headers = {suite.name: suite.header for suite in weigh_judged(suites, judge, calibration)}
    told = standing(judge, calibration)
    return [
        _card(
            suite,
            headers.get(suite.name, suite.header),
            next(root for root in roots if (root / suite.name).is_dir()),
            told if suite.header.kind == "judged" else "",
        )
        for suite in suites
    ]


def _card(suite: Suite, header: Header, root: Path, note: str) -> SuiteCard:
    return SuiteCard(
        suite.name,
        header.kind,
        header.version,
        len(suite.items),
        header.margin,
        header.veto,
        header.advisory,
        header.language,
        header.about,
        str(root / suite.name),
        suite.sha256,
        note,
    )
