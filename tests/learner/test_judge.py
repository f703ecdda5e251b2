"""Of a judge: its word counts where both orders agree, of nobody but the pinned model, and decides only once people agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.adapter import BASE
from learner.config import JudgeSettings
from learner.context import Context
from learner.curate.split import split_of
from learner.engine import AnswerMessage, Choice, Completion
from learner.evaluate.calibrate import CONFIDENCE, MOST_OF_A_PERSON, calibrate
from learner.evaluate.judge import BETTER, TIE, WORSE, Judge, JudgeError
from learner.evaluate.judged import CALIBRATION, Calibration, keep_calibration, read_calibration, standing, weigh_judged
from learner.evaluate.score import score_suite
from learner.evaluate.suite import OWN, Header, Item, Suite, SuiteError, Turn, add_suite
from learner.rows import Split
from learner.statistics import share_bound
from storage.conversations import insert_conversation, insert_messages
from storage.documents import insert_documents
from storage.feedback import insert_feedback
from storage.people import insert_person
from storage.records import (
    Conversation,
    Document,
    DocumentKind,
    Feedback,
    FeedbackKind,
    Message,
    MessageStatus,
    Person,
    Role,
)
from tests.learner.judging import MODEL, Opinion, ScriptedJudge, finds, scripted_judge, takes_the_first
from tests.learner.tiny import LetterTokens
from tests.learner.world import learner

ASKED = (Turn("user", "What is a good day?"),)
JUDGED = Header("of talk", "judged", 1, 0.1, veto=True)
ITEMS = tuple(Item(f"talk-{n}", f"talk-{n}", "tests", prompt=(Turn("user", f"Talk of {n} things."),)) for n in range(4))
GOOD = Calibration(MODEL, "there", pairs=60, agreed=55, ties=2, bound=0.83, created_at_s=1.0)


@pytest.fixture
def judge() -> Iterator[ScriptedJudge]:
    """One that prefers what is good."""
    with scripted_judge(finds("good")) as judge:
        yield judge


def compare(settings: JudgeSettings, *answers: tuple[str, str], waits_s: tuple[float, ...] = ()) -> list[float]:
    async def body() -> list[float]:
        async with Judge(settings, waits_s) as judge:
            return [await judge.compare(ASKED, answer, other) for answer, other in answers]

    return asyncio.run(body())


def test_an_answer_is_better_where_both_orders_say_so(judge: ScriptedJudge) -> None:
    answers = [("good", "bad"), ("bad", "good"), ("bad", "worse")]
    assert compare(judge.settings(), *answers) == [BETTER, WORSE, TIE]
    assert len(judge.shown) == 6 and all("What is a good day?" in shown for shown in judge.shown)


def test_what_depends_on_the_order_is_a_tie() -> None:
    with scripted_judge(takes_the_first) as judge:
        assert compare(judge.settings(), ("good", "bad"), ("bad", "good")) == [TIE, TIE]


def test_the_same_answer_is_not_asked_about(judge: ScriptedJudge) -> None:
    assert compare(judge.settings(), ("good", " good\n")) == [TIE] and judge.shown == []


def test_another_model_than_the_pinned_one_is_refused_by_both_names() -> None:
    with scripted_judge(finds("good"), name="judge-1-2031") as judge, pytest.raises(JudgeError) as error:
        compare(judge.settings(), ("good", "bad"))
    assert "'judge-1'" in str(error.value) and "'judge-1-2031'" in str(error.value)


def test_one_that_is_down_is_told_and_one_that_is_busy_is_asked_again(judge: ScriptedJudge) -> None:
    with pytest.raises(JudgeError, match=r"the judge at 127.0.0.1:9 does not answer"):
        compare(JudgeSettings("http://me:secret@127.0.0.1:9/v1", MODEL), ("good", "bad"), waits_s=(9.0,))
    judge.refusals = [429, 503]
    assert compare(judge.settings(), ("good", "bad"), waits_s=(0.0, 0.0)) == [BETTER]
    judge.refusals = [429, 503]
    with pytest.raises(JudgeError, match=r"refuses with HTTP 503: .*not now"):
        compare(judge.settings(), ("good", "bad"), waits_s=(0.0,))
    judge.refusals = [401]
    with pytest.raises(JudgeError, match="refuses with HTTP 401"):
        compare(judge.settings(), ("good", "bad"), waits_s=(9.0,))


@pytest.mark.parametrize(("said", "score"), [("**{}**", BETTER), ("Answer: {}.", BETTER), ("<think>A? B?</think>\n{}", BETTER)])
def test_a_letter_is_found_in_how_models_write_it(said: str, score: float) -> None:
    with scripted_judge(lambda a, b: said.format(finds("good")(a, b))) as judge:
        assert compare(judge.settings(), ("good", "bad")) == [score]


def test_an_unclear_word_is_a_tie_but_who_never_says_a_clear_one_is_no_judge() -> None:
    answers = [(f"good {n}", "bad") for n in range(20)]
    with scripted_judge(lambda a, b: "Both have merit." if "7" in a + b else finds("good")(a, b)) as judge:
        assert compare(judge.settings(), *answers).count(TIE) == 2  # 7 and 17
    with scripted_judge(lambda a, b: "Both have merit.") as judge, pytest.raises(JudgeError, match=r"such as 'Both have merit\.'"):
        compare(judge.settings(), *answers)


def test_the_key_is_that_of_the_environment(judge: ScriptedJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_JUDGES_KEY", "k3y")
    compare(judge.settings("A_JUDGES_KEY"), ("good", "bad"))
    assert set(judge.keys) == {"Bearer k3y"}
    monkeypatch.delenv("A_JUDGES_KEY")
    with pytest.raises(JudgeError, match="key_env is 'A_JUDGES_KEY'; expected an environment variable"):
        compare(judge.settings("A_JUDGES_KEY"), ("good", "bad"))


class TalkingEngine:
    """Each version has one thing to say."""

    def __init__(self, **says: str) -> None:
        self.says = says

    async def complete(self, body: dict[str, Any], id: str) -> Completion:
        assert body["temperature"] == 0
        return Completion(model=body["model"], choices=[Choice(message=AnswerMessage(self.says[body["model"]]))])


def test_a_version_is_judged_by_its_answers_beside_those_of_base(judge: ScriptedJudge) -> None:
    suite = Suite("talk", "0", JUDGED, ITEMS)
    engine = TalkingEngine(base="bad", better="good", same="bad", other="no")

    async def body(version: str) -> set[float]:
        async with Judge(judge.settings()) as client:
            scores = await score_suite(engine, version, suite, LetterTokens(), 2, lambda count: None, client)  # type: ignore[arg-type]
        assert list(scores) == [item.id for item in ITEMS]
        return set(scores.values())

    assert [asyncio.run(body(version)) for version in (BASE, "same")] == [{TIE}, {TIE}] and judge.shown == []
    assert [asyncio.run(body(version)) for version in ("better", "other")] == [{BETTER}, {TIE}]


def test_judged_suites_are_skipped_then_reported_then_decide(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    settings = JudgeSettings("http://127.0.0.1:9/v1", MODEL)

    async def body(context: Context) -> None:
        add_suite(tmp_path / OWN, "talk", JUDGED, ITEMS)

        def talk(judge: JudgeSettings | None) -> list[Suite]:
            context.settings = msgspec.structs.replace(context.settings, judge=judge)
            return [suite for suite in context.suites() if suite.name == "talk"]

        assert talk(None) == []
        [advice] = talk(settings)
        assert advice.header.advisory and not advice.header.veto and advice.items == ITEMS
        for weak in (
            msgspec.structs.replace(GOOD, pairs=49),
            msgspec.structs.replace(GOOD, bound=0.69),
            msgspec.structs.replace(GOOD, model="judge-0"),
        ):
            keep_calibration(tmp_path, weak)
            assert talk(settings) == [advice] and standing(settings, weak).endswith("not calibrated: reported only")
        keep_calibration(tmp_path, GOOD)
        [deciding] = talk(settings)
        assert deciding.header == JUDGED and deciding.sha256 == advice.sha256 and "55 of 60 pairs" in standing(settings, GOOD)
        (tmp_path / CALIBRATION).write_text("{}")
        with pytest.raises(SuiteError, match=r"judge.json cannot be read"):
            talk(settings)

    with_learner(tmp_path, model_dir, zero_dir, body)


def test_scores_of_one_judge_are_not_taken_for_those_of_another() -> None:
    suites = [Suite("facts", "1", Header("", "text", 1, 0.1, False), ()), Suite("talk", "2", JUDGED, ITEMS)]
    one, other = (weigh_judged(suites, JudgeSettings("http://x", model), None) for model in ("judge-1", "judge-2"))
    moved = weigh_judged(suites, JudgeSettings("http://y", "judge-1"), None)
    assert one[0] == other[0] == suites[0]
    assert len({"2", one[1].sha256, other[1].sha256}) == 3 and moved == one


def with_learner(home: Path, model_dir: Path, base: Path, body: Callable[[Context], Awaitable[None]]) -> None:
    async def run() -> None:
        async with learner(home, model_dir, base) as context:
            await body(context)

    asyncio.run(run())


async def prefer(connection: AsyncConnection, person: str, times: int, learn: bool = True) -> None:
    """Somebody prefers good answers over bad ones, in a conversation of their own."""
    await insert_person(connection, Person(person, person, 1.0, learn))
    await insert_conversation(connection, Conversation(f"talk-{person}", person, 1.0))
    for n in range(times):
        texts = {
            f"asked-{person}-{n}": f"Call me at {person}@example.org",
            f"good-{person}-{n}": f"good {n}",
            f"bad-{person}-{n}": f"bad {n}",
        }
        asked, good, bad = (
            Message(
                id, f"talk-{person}", person, None if id.startswith("asked") else f"asked-{person}-{n}",
                Role.USER if id.startswith("asked") else Role.ASSISTANT, said, MessageStatus.COMPLETE, 1.0,
            )
            for id, said in texts.items()
        )  # fmt: skip
        await insert_messages(connection, [asked, good, bad])
        rows = [
            Feedback(f"thumb-{person}-{n}", good.id, person, FeedbackKind.THUMB, "up", 1.0, f"s-{person}-{n}"),
            Feedback(f"pair-{person}-{n}", good.id, person, FeedbackKind.PREFERENCE, bad.id, 1.0, f"s-{person}-{n}"),
        ]
        await insert_feedback(connection, rows)


def imported(count: int) -> list[Document]:
    turns = [{"role": "system", "content": "Be good."}, {"role": "user", "content": "How?"}]
    return [
        Document(
            f"doc-{n}", DocumentKind.PREFERENCE, "chat", "en", "tests", "none", None,
            {"prompt": turns, "chosen": f"a good one {n}", "rejected": f"a bad one {n}"}, 1.0,
        )
        for n in range(count)
    ]  # fmt: skip


def people(side: Split, count: int) -> list[str]:
    return [name for name in map("person-{}".format, range(1000)) if split_of(name, 0.25) is side][:count]


@pytest.mark.parametrize(
    ("opinion", "pairs", "agreed", "ties", "decides"),
    [
        (finds("good"), 60, 60, 0, True),
        (takes_the_first, 0, 0, 60, False),
        (finds("bad"), 60, 0, 0, False),
        (lambda a, b: finds("good")(a, b) if "a " in a else "C", 40, 40, 20, False),
    ],
)
def test_a_judge_is_calibrated_where_it_agrees_with_people(
    tmp_path: Path, model_dir: Path, zero_dir: Path, opinion: Opinion, pairs: int, agreed: int, ties: int, decides: bool
) -> None:
    async def body(context: Context) -> None:
        curate = msgspec.structs.replace(context.settings.curate, heldout_share=0.25)
        context.settings = msgspec.structs.replace(context.settings, curate=curate, judge=judge.settings())

        async def fill(connection: AsyncConnection) -> None:
            private, *held = people(Split.HELDOUT, 5)
            for person in held:
                await prefer(connection, person, MOST_OF_A_PERSON + 2)
            await prefer(connection, private, 1, learn=False)
            await prefer(connection, people(Split.TRAIN, 1)[0], 2)
            await insert_documents(connection, imported(50))

        await context.database.write(fill)
        found = await calibrate(context, 60)
        assert (found.model, found.pairs, found.agreed, found.ties) == (MODEL, pairs, agreed, ties)
        assert found == read_calibration(tmp_path) and found.created_at_s == 9.0
        assert found.host == judge.url.removeprefix("http://") and (found.bound >= 0.7) is bool(agreed)
        assert standing(judge.settings(), found).endswith("reported only") is not decides
        of_people = [shown for shown in judge.shown if "Call me" in shown]
        assert len(of_people) == 2 * 4 * MOST_OF_A_PERSON and len(judge.shown) == 120
        assert not any("@example.org" in shown for shown in judge.shown)

    with scripted_judge(opinion) as judge:
        with_learner(tmp_path, model_dir, zero_dir, body)


def test_without_a_judge_or_preferences_there_is_nothing_to_calibrate(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    async def body(context: Context) -> None:
        with pytest.raises(JudgeError, match="no judge is set"):
            await calibrate(context, 10)
        context.settings = msgspec.structs.replace(context.settings, judge=JudgeSettings("http://127.0.0.1:9", MODEL))
        with pytest.raises(JudgeError, match="there is no preference"):
            await calibrate(context, 10)
        await context.database.write(lambda connection: insert_documents(connection, imported(3)))
        with pytest.raises(JudgeError, match="does not answer"):
            await calibrate(context, 10)
        assert read_calibration(tmp_path) is None

    with_learner(tmp_path, model_dir, zero_dir, body)


def test_the_bound_is_wilsons() -> None:
    assert share_bound(0, 0, CONFIDENCE) == 0 and share_bound(0, 50, CONFIDENCE) == pytest.approx(0)
    assert share_bound(50, 50, CONFIDENCE) == pytest.approx(50 / (50 + 1.6448536**2))  # z² / (n + z²) below one
    assert share_bound(39, 50, CONFIDENCE) < 0.7 < share_bound(41, 50, CONFIDENCE)
