"""`ratchet bench soak` finds what was lost, what is not as it was said, and what grows; and nothing where all is well."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from learner.engine import Choice, Completion, Delta
from service.bench.soak.ledger import Acknowledged, Ledger, Vote, audit
from service.bench.soak.run import Plan, soak
from service.bench.soak.table import soak_lines
from service.bench.soak.watch import fit_growth
from service.bench.tiny_model import make_tiny_model
from service.cli import main
from service.feedback import give
from service.turns import Turn, keep_turn
from service.wire import ChatMessage, FeedbackRequest
from storage.archive import DATABASE
from storage.database import Database
from storage.records import MessageStatus, Person
from tests.faults.scripted_chat import Talk, scripted_chat

ANN = Person("ann", "Ann", 1.0)


def test_a_level_with_noise_does_not_grow_and_a_leak_does() -> None:
    at_s = [float(second) for second in range(600)]
    chance = random.Random(1)
    level = [200 + chance.gauss(0, 3) for _ in at_s]
    assert fit_growth(at_s, level, 0.05, 4.0).is_none
    leak = fit_growth(at_s, [value + second / 20 for second, value in enumerate(level)], 0.05, 4.0)
    assert not leak.is_none and leak.ended - leak.began == pytest.approx(27, abs=1)


def test_what_fills_up_at_the_start_is_no_growth_and_a_few_odd_looks_are_none() -> None:
    at_s = [float(second) for second in range(100)]
    values = [100.0 + min(second, 10) * 10 for second in range(100)]
    values[40] = values[95] = 900.0
    growth = fit_growth(at_s, values, 0.0, 1.0)
    assert growth.is_none and growth.began == pytest.approx(200)


def test_too_few_looks_are_refused() -> None:
    with pytest.raises(ValueError, match="1 looks after the first tenth"):
        fit_growth([0.0], [1.0], 0.0, 1.0)


class Kept:
    """A home with a whole answer, an interrupted one, and a vote with a comment on the first; and what was said of them."""

    def __init__(self, home: Path) -> None:
        self.home, self.ledger = home, Ledger()
        self.whole, self.interrupted = asyncio.run(self._keep())

    def audit(self) -> list[str]:
        return asyncio.run(audit(self.home, self.ledger))

    async def _keep(self) -> tuple[str, str]:
        database = await Database.open(self.home / DATABASE)
        ids = []
        for status in (MessageStatus.COMPLETE, MessageStatus.INTERRUPTED):
            turn = Turn.begin(ANN, None, [ChatMessage("user", "Well?")], "base", 0.7, {}, 2.0)
            turn.take(Completion(model="base", choices=[Choice(delta=Delta("Yes"), token_ids=[1])]))
            await database.write(partial(keep_turn, turn=turn, status=status))
            ids.append(turn.id)
        said = FeedbackRequest(ids[0], id="vote-1", thumb="up", comment="So it is.")
        given = await database.write(partial(give, said=said, person=ANN, now_s=3.0))
        await database.close()
        self.ledger.answers[ids[0]] = Acknowledged("ratchet@base", "Yes")
        self.ledger.broken.add(ids[1])
        self.ledger.left |= {*ids}
        self.ledger.votes[given.receipt.id] = Vote(ids[0], tuple(given.receipt.recorded))
        return ids[0], ids[1]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("home"))


@pytest.fixture
def ledger(kept: Kept) -> Iterator[Ledger]:
    """What was said of the home, to be spoilt."""
    said = kept.ledger
    kept.ledger = Ledger(dict(said.answers), set(said.broken), set(said.left), dict(said.votes))
    yield kept.ledger
    kept.ledger = said


def test_what_is_kept_as_it_was_acknowledged_is_no_problem(kept: Kept) -> None:
    assert kept.audit() == []


YES = Acknowledged("ratchet@base", "Yes")
Spoil = Callable[[Ledger, str, str], object]  # what is kept whole, what is kept as interrupted


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lambda said, *_: said.answers.update(gone=YES), "answer gone: is not there", id="lost"),
        pytest.param(lambda said, _, cut: said.answers.update({cut: YES}), "is interrupted, expected complete", id="cut short"),
        pytest.param(lambda said, whole, _: said.answers.update({whole: replace(YES, model="ratchet@r1")}), "@r1 was", id="model"),
        pytest.param(lambda said, whole, _: said.answers.update({whole: replace(YES, text="No")}), "'No' was said", id="words"),
        pytest.param(lambda said, whole, _: said.broken.add(whole), "is complete, expected interrupted", id="broken off"),
        pytest.param(lambda said, *_: said.left.add("nobody"), "whose client left: is not there", id="left"),
        pytest.param(lambda said, whole, _: said.votes.update(v=Vote(whole, ("thumb",))), "vote v: [] is kept", id="no vote"),
        pytest.param(lambda said, whole, _: said.votes.update({"vote-1": Vote(whole, ())}), "[] was acknowledged", id="vote"),
    ],
)
def test_what_is_not_as_it_was_acknowledged_is_told(kept: Kept, ledger: Ledger, spoil: Spoil, found: str) -> None:
    spoil(ledger, kept.whole, kept.interrupted)
    [problem] = kept.audit()
    assert found in problem


async def fickle(talk: Talk) -> None:
    """Breaks off now and then; otherwise answers at an even pace."""
    if not talk.body.get("stream"):
        return await talk.answer("Plain", " words.")
    for number in range(16):
        await talk.say(f"{number} ")
        await asyncio.sleep(0.005)
        if number == 8 and "day 3 " in talk.body["messages"][0]["content"]:
            return talk.break_off()
    return await talk.finish()


def test_a_service_whose_engine_is_fickle_keeps_its_promises(tmp_path: Path) -> None:
    """The whole run, short, with an engine that is a script and so cannot be killed."""
    plan = Plan(minutes=0.12, talkers=4, swap_every_s=1.0, look_every_s=0.2, bound_s=30.0)
    with scripted_chat() as engine:
        engine.script = fickle
        found = asyncio.run(soak(tmp_path, make_tiny_model(tmp_path / "model"), plan, f'urls = ["{engine.url}"]'))
    grown = ("memory", "open files")  # in seconds after a start they may
    assert [problem for problem in found.problems if not problem.startswith(grown)] == []
    assert found.acknowledged > 0 < found.votes and found.swaps > 0 == found.kills
    assert {"plain", "streamed", "slow", "left", "broken"} <= found.counts.keys()
    assert f"{found.acknowledged} answers and {found.votes} votes acknowledged" in soak_lines(found)[0]


def test_no_time_at_all_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "soak", "--minutes", "0", "--dir", str(tmp_path)])
    assert "--minutes is 0, expected more than 0" in capsys.readouterr().err
