"""The first paragraph of a report: why a candidate was promoted, refused or could not be judged, as a person would say it."""

from __future__ import annotations

from enum import StrEnum
from string import Formatter

import msgspec
import pytest
from msgspec.structs import replace

from learner.canary import Fault, Step
from learner.evaluate.stage import Evaluated, VotedAnswer
from learner.gate import Choice, SuiteComparison, Verdict, VoteComparison
from learner.report.document import CanaryPath, SuiteChange
from learner.report.language import FOLDER, LANGUAGES, Words, words_in
from learner.report.words import explain
from learner.rows import RowKind
from storage.records import Canary, CanaryState, Cycle, CycleState, Reason, StageName

NAME, ENGLISH, RUSSIAN = "r7-00000001", words_in("en"), words_in("ru")
VOTES = [VotedAnswer(f"v{n}", f"p{n % 3}", 1 if n % 2 else -1, {}, "base") for n in range(12)]
EVALUATED = Evaluated([NAME], "base", {"facts": "f"}, VOTES, 1.0, 0.0125, [NAME])
BETTER, WORSE = VoteComparison(0.1, 0.4, 0.3, 0.05), VoteComparison(0.4, 0.1, -0.3, -0.5)
HELD = SuiteChange("facts", "f", 0.02, False, 0.6, 0.59, -0.01, -0.015)
LOST = SuiteChange("manners", "m", 0.02, False, 0.6, 0.5, -0.1, -0.13)
ASIDE = SuiteChange("russian", "r", 0.02, False, 0.6, 0.5, -0.1, -0.13, advisory=True)
COMPARED = {"facts": SuiteComparison(0.6, 0.59, -0.01, -0.015)}


def cycle(state: CycleState, *reasons: str) -> Cycle:
    return Cycle(7, "operator", "mixed", state, 1.0, 2.0, NAME, reasons)


def choice(verdict: Verdict, votes: VoteComparison | None, *reasons: str) -> Choice:
    return Choice(verdict, reasons, COMPARED, votes, NAME, {})


def test_a_promotion_says_what_spoke_for_it_what_it_could_err_and_which_suites_held_with_what_room() -> None:
    said = explain(ENGLISH, cycle(CycleState.PROMOTED), choice(Verdict.PROMOTE, BETTER, "fine"), EVALUATED, [HELD, ASIDE], None)
    assert said == (
        "r7-00000001 passed the gate: it is better on the votes, and not worse by more than it may on any suite that decides. "
        "Of 12 held-out votes of 3 people 10% are thumbs up; by them that would change by +30.0 points, and by +5.0 at the least, "
        "which speaks for it. This cycle could be wrong about that with a chance of 1.25%. "
        "Held, with what is left of the margin: facts (0.0050 of 0.0200). "
        "Reported only, without a say: russian -0.1000. It went live at once."
    )


def test_a_refusal_says_what_was_lost_and_how_much_may_be() -> None:
    refused = choice(Verdict.REJECT, BETTER, "manners: worse")
    said = explain(ENGLISH, cycle(CycleState.REJECTED), refused, EVALUATED, [HELD, LOST], None)
    assert said.startswith("r7-00000001 was refused: manners: worse. Of 12")
    assert said.endswith(
        "Not held: on manners the mean score went from 0.6000 to 0.5000, and may have fallen by 0.1300, where 0.0200 is the "
        "most that may be lost."
    )


def test_suites_that_the_votes_made_needless_are_not_passed_over_in_silence() -> None:
    refused = replace(choice(Verdict.REJECT, WORSE, "not better"), suites={})
    said = explain(ENGLISH, cycle(CycleState.REJECTED), refused, replace(EVALUATED, scored=[], sha256={}), [], None)
    assert "which speaks against it" in said
    assert said.endswith("Its frozen suites were not scored, since the votes had refused it already.")


def test_what_could_not_be_evaluated_was_not_judged() -> None:
    failed = Evaluated([NAME], "base", {}, [], 0.0, failure="it could not be evaluated: the engine is gone")
    nothing = Choice(Verdict.INCONCLUSIVE, (failed.failure,), {}, None, NAME, {})
    said = explain(ENGLISH, cycle(CycleState.INCONCLUSIVE), nothing, failed, [], None)
    assert said == (
        "r7-00000001 was not judged, and what is not judged does not go live: it could not be evaluated: the engine is gone."
    )


def test_the_best_of_several_shares_the_error_with_them() -> None:
    several = replace(EVALUATED, candidates=[NAME, "r7-00000002", "r7-00000003", "r7-00000004", "r7-00000005"])
    maybe = choice(Verdict.INCONCLUSIVE, replace(BETTER, lower_bound=-0.1), "may be chance")
    said = explain(ENGLISH, cycle(CycleState.INCONCLUSIVE), maybe, several, [], None)
    assert said.startswith("It cannot be told whether r7-00000001, the best of 5 candidates, is good enough, and so")
    assert "which may be chance. This cycle could be wrong about that with a chance of 1.25%, 0.25% for each of its 5" in said


def test_an_evaluation_of_an_older_service_is_told_without_what_it_does_not_say() -> None:
    older = Evaluated([NAME], "base", {"facts": "f"}, VOTES, 1.0)
    said = explain(ENGLISH, cycle(CycleState.PROMOTED), choice(Verdict.PROMOTE, BETTER, "fine"), older, [HELD], None)
    assert "chance of" not in said and "not scored" not in said and "facts (0.0050" in said


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (CanaryState.WAITING_APPROVAL, "It waits for an operator to approve it."),
        (CanaryState.RUNNING, "It is being tried by 25% of the people before it goes live."),
        (CanaryState.HELD, "It is tried by 25% of the people, and held there: no proof."),
        (CanaryState.PROMOTED, "Then it went live: no proof."),
        (CanaryState.ROLLED_BACK, "But it was taken back while people tried it: no proof."),
        (CanaryState.ENDED, "But its trial ended without a judgement: no proof."),
    ],
)
def test_what_came_of_its_trial_is_the_last_word(state: CanaryState, told: str) -> None:
    path = CanaryPath(Canary(1, NAME, "base", 7, state, 0, 1.0, 1.0, reason="no proof"), 0.25, [])
    said = explain(ENGLISH, cycle(CycleState.STAGED), choice(Verdict.PROMOTE, BETTER, "fine"), EVALUATED, [HELD], path)
    assert said.endswith(told)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (CycleState.RUNNING, "Cycle 7 is still running, and nothing is judged yet."),
        (CycleState.SKIPPED, "Cycle 7 ended as skipped before the gate had judged anything: too few votes."),
        (CycleState.TRAINED, "Cycle 7 made no version that could answer people, but something that later cycles learn by: too few"),
    ],
)
def test_what_was_never_judged_is_told_as_such(state: CycleState, told: str) -> None:
    assert explain(ENGLISH, cycle(state, "too few votes"), None, None, [], None).startswith(told)


def test_a_candidate_that_passed_and_could_not_be_released_did_not_go_live() -> None:
    failed = cycle(CycleState.FAILED, "release: the engine is gone")
    said = explain(ENGLISH, failed, choice(Verdict.PROMOTE, BETTER, "fine"), EVALUATED, [HELD], None)
    assert said.endswith("It did not go live, for the cycle ended as failed: release: the engine is gone.")


def test_the_same_is_told_in_russian() -> None:
    said = explain(RUSSIAN, cycle(CycleState.PROMOTED), choice(Verdict.PROMOTE, BETTER, "fine"), EVALUATED, [HELD, LOST], None)
    assert said.startswith("r7-00000001 прошла проверку: ") and said.endswith("Она сразу вышла к людям.")
    for figure in (
        "голосов: 12, людей: 3",
        "10\N{NO-BREAK SPACE}%",
        "на +30,0 п. п.",
        "1,25\N{NO-BREAK SPACE}%",
        "facts (0,0050 из 0,0200)",
        "упасть на 0,1300",
    ):
        assert figure in said, said


def texts(language: str) -> dict[str, str]:
    return msgspec.json.decode((FOLDER / f"report.{language}.json").read_bytes(), type=dict[str, str])


def test_both_languages_say_the_same_things_with_the_same_places() -> None:
    def places(text: str) -> list[str]:
        return sorted(name for _, name, _, _ in Formatter().parse(text) if name)

    first, *others = [{key: places(text) for key, text in texts(language).items()} for language in LANGUAGES]
    assert all(other == first for other in others)


def test_every_state_that_a_report_can_be_in_has_words_in_every_language() -> None:
    named: dict[str, type[StrEnum]] = {
        "state": CycleState, "verdict": Verdict, "trial_state": CanaryState, "stage": StageName, "kind": RowKind, "reason": Reason,
        "step": Step, "fault": Fault,
    }  # fmt: skip
    wanted = {f"{kind}.{value}" for kind, values in named.items() for value in values}
    wanted |= {f"why.trial_{state}" for state in CanaryState} | {f"why.{verdict}" for verdict in Verdict}
    for language in LANGUAGES:
        assert wanted - texts(language).keys() == set(), language


def test_what_has_no_name_is_told_as_it_is_kept() -> None:
    assert RUSSIAN.name("dropped", "a new reason") == "a new reason"
    with pytest.raises(KeyError, match="no such text"):
        Words("en", {}).t("no such text")
    with pytest.raises(KeyError, match="xx"):
        words_in("xx")
