"""What judged suites count for: nothing without a judge, advice until the judge is known to agree with people, then what
their headers say.

Scores are those of one judge: a judged suite's hash is that of its files together with whom and how the judge is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from learner.config import JudgeSettings
from learner.evaluate.judge import ASKED, INSTRUCTION
from learner.evaluate.suite import Suite, SuiteError

CALIBRATION = "judge.json"  # in a home
MIN_PAIRS, MIN_BOUND = 50, 0.7  # from which a judge may decide


class Calibration(Struct, frozen=True):
    """How a judge did on pairs of answers of which people had preferred one. `pairs` are those that it told apart."""

    model: str
    host: str
    pairs: int
    agreed: int
    ties: int  # pairs beside those
    bound: float  # lower, of its agreement with people
    created_at_s: float

    @property
    def agreement(self) -> float:
        return self.agreed / self.pairs if self.pairs else 0.0


def keep_calibration(home: Path, calibration: Calibration) -> None:
    unfinished = home / f".{CALIBRATION}"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n")
    unfinished.replace(home / CALIBRATION)


def read_calibration(home: Path) -> Calibration | None:
    """What was last found, of whichever judge. Raises `SuiteError` for a file that is none."""
    try:
        return msgspec.json.decode((home / CALIBRATION).read_bytes(), type=Calibration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{home / CALIBRATION} cannot be read: {error}; calibrate the judge anew, or remove it") from error


def may_decide(judge: JudgeSettings, calibration: Calibration | None) -> bool:
    """Whether this very model was found to agree with people."""
    return (
        calibration is not None
        and calibration.model == judge.model
        and calibration.pairs >= MIN_PAIRS
        and calibration.bound >= MIN_BOUND
    )


def standing(judge: JudgeSettings | None, calibration: Calibration | None) -> str:
    """What the judge counts for, in words."""
    if judge is None:
        return "no judge is set (learner.judge): skipped"
    if calibration is None or calibration.model != judge.model:
        return f"the judge {judge.model!r} is not calibrated: reported only"
    told = f"the judge {judge.model!r} agreed with people on {calibration.agreed} of {calibration.pairs} pairs"
    told += f", bound {calibration.bound:.2f}, {calibration.ties} ties beside them"
    if may_decide(judge, calibration):
        return told
    return f"{told}; expected {MIN_PAIRS} pairs and {MIN_BOUND}, so it is not calibrated: reported only"


def pin_judge(suites: Iterable[Suite], judge: JudgeSettings | None) -> list[Suite]:
    """Without a judge the suites but the judged ones; with one all, the judged ones under hashes that tell judges apart."""
    return [
        suite if suite.header.kind != "judged" else replace(suite, sha256=_pinned(suite.sha256, judge))
        for suite in suites
        if judge is not None or suite.header.kind != "judged"
    ]


def weigh_judged(suites: Iterable[Suite], judge: JudgeSettings | None, calibration: Calibration | None) -> list[Suite]:
    """The suites as they count: pinned, and the judged ones advisory, whatever their headers say, unless the judge may decide."""
    if judge is not None and may_decide(judge, calibration):
        return pin_judge(suites, judge)
    return [
        suite if suite.header.kind != "judged" else replace(suite, header=replace(suite.header, advisory=True, veto=False))
        for suite in pin_judge(suites, judge)
    ]


def _pinned(sha256: str, judge: JudgeSettings | None) -> str:
    asked = (sha256, judge and (judge.model, judge.answer_tokens, judge.verdict_tokens), INSTRUCTION, ASKED)
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
