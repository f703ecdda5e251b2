"""A judge that fails leaves its suites without scores: what it only reports on stops nothing, what it decides is inconclusive."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from learner.evaluate.judged import Calibration, keep_calibration
from learner.evaluate.stage import Evaluated
from learner.evaluate.suite import OWN, Header, Item, Turn, add_suite
from learner.gate import Choice, Verdict
from tests.faults.test_evaluation import CANDIDATE, decide, stage
from tests.learner.judging import MODEL, ScriptedJudge, finds, scripted_judge

pytestmark = pytest.mark.usefixtures("computes_here")
ITEMS = [Item(f"talk-{n}", f"talk-{n}", "tests", prompt=(Turn("user", f"Talk of {n} things."),)) for n in range(6)]
GOOD = Calibration(MODEL, "there", pairs=60, agreed=55, ties=2, bound=0.83, created_at_s=1.0)


def judged(
    tmp_path: Path, model_dir: Path, base: Path, taught: Path, judge: ScriptedJudge, calibrated: bool
) -> tuple[Evaluated, Choice]:
    """A candidate that is better in all else, beside a judged suite whose header says that it decides."""

    async def body() -> tuple[Evaluated, Choice]:
        async with stage(tmp_path, model_dir, base, taught) as ready:
            add_suite(ready.context.home / OWN, "talk", Header("of talk", "judged", 1, 0.1, veto=True), ITEMS)
            if calibrated:
                keep_calibration(ready.context.home, GOOD)
            ready.context.settings = msgspec.structs.replace(ready.context.settings, judge=judge.settings())
            evaluated = await ready.evaluate()
            return evaluated, await decide(ready.context, evaluated)

    return asyncio.run(body())


@pytest.mark.parametrize(("calibrated", "verdict"), [(False, Verdict.PROMOTE), (True, Verdict.INCONCLUSIVE)])
def test_a_judge_of_another_name_stops_only_what_it_decides(
    calibrated: bool, verdict: Verdict, tmp_path: Path, small_model: Path, small_base: Path, taught: Path
) -> None:
    with scripted_judge(finds(CANDIDATE), name="judge-2") as judge:
        evaluated, choice = judged(tmp_path, small_model, small_base, taught, judge, calibrated)
    assert choice.verdict is verdict and set(choice.suites) == {"facts", "plain"}
    assert "'judge-2' answered" in evaluated.unjudged["talk"]
    if calibrated:
        assert choice.reasons == ("talk: candidate has no proper score for 6 items",)


def test_a_calibrated_judge_refuses_what_it_finds_worse(tmp_path: Path, small_model: Path, small_base: Path, taught: Path) -> None:
    with scripted_judge(finds("of base")) as judge:
        evaluated, choice = judged(tmp_path, small_model, small_base, taught, judge, calibrated=True)
    assert evaluated.unjudged == {} and choice.verdict is Verdict.REJECT
    assert (choice.suites["talk"].live, choice.suites["talk"].candidate) == (0.5, 0.0)
