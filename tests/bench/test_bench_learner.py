"""`ratchet bench learner` prints every figure that is promised, and its arms learn from the same."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import torch

from learner.adapter import make_zero_adapter
from learner.config import TrainSettings
from learner.jobs import JobError
from learner.rows import write_rows
from learner.tokens import Tokens
from learner.train.spec import Step
from service.bench.learner import arm as arm_module
from service.bench.learner.arm import read_peak_mb
from service.bench.learner.chats import compare_chats
from service.bench.learner.judge import compare, judge
from service.bench.learner.measure import QUICK, LearnerFigures, measure_learner
from service.bench.learner.rows import PROMPTS, load_prose, make_pairs, make_thumbs
from service.bench.learner.run import Arms
from service.bench.learner.spec import ARM, STEPS, Arm, ArmJob, ArmResult, Training
from service.bench.tiny_model import make_tiny_model
from service.cli import main
from service.commands.bench import _learner_lines

PROMISED = {"thumbs", "pairs", "tokens_per_s", "peak_mb", "loss", "growth", "chat_p95_ratio", "machine", "commit", "seconds"}
GROWTH = {"history_100x", "length_2x", "length_4x", "rank_4x", "rows_4x"}
SIZE = msgspec.structs.replace(QUICK, rows=16, growth_rows=4)


class ArmsHere(Arms):
    """Runs them in this process, one after another: starting one for each takes longer than all the rest."""

    async def run(
        self, arm: Arm, trainings: Sequence[Training], judged_rows: int = 0, on_step: Callable[[], None] = lambda: None
    ) -> ArmResult:
        folder = self.folder / f"{len([*self.folder.iterdir()])}-{arm}"
        folder.mkdir()
        single = [
            Training(one.rows_file, msgspec.structs.replace(one.settings, threads=1, precision="float32")) for one in trainings
        ]
        (folder / ARM).write_bytes(msgspec.json.encode(ArmJob(arm, str(self.model_dir), single, judged_rows, limit_s=0.0)))
        return arm_module.run(folder)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def figures(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> LearnerFigures:
    arms = ArmsHere(tmp_path_factory.mktemp("arms"), model_dir, 0.0)
    return asyncio.run(measure_learner(arms, SIZE, engine=False))


def test_every_promised_figure_is_there(figures: LearnerFigures) -> None:
    found = msgspec.to_builtins(figures)
    assert found.keys() >= PROMISED and found["growth"].keys() >= GROWTH
    for kind in ("thumbs", "pairs"):
        for name in (kind, "tokens_per_s", "peak_mb"):
            by_arm = found[name] if name == kind else found[name][kind]
            assert by_arm.keys() == {"mixed", "mixed_daily", "trl_careful", "trl_default"}
            assert all(math.isfinite(value) and value > 0 for value in by_arm.values())
    assert all(math.isfinite(value) and value > 0 for value in found["growth"].values())
    assert found["chat_p95_ratio"] is None  # no engine was asked for


def test_people_get_a_table_with_ratios(figures: LearnerFigures) -> None:
    lines = _learner_lines(figures)
    ours = next(line for line in lines if line.startswith("  mixed "))
    assert f"{figures.thumbs['mixed'] / figures.thumbs['trl_careful']:.2f}" in ours.split()
    assert len([line for line in lines if line.startswith("  trl_careful ")]) == 2


def test_all_arms_are_given_the_same_tokens(figures: LearnerFigures) -> None:
    """TRL is given text and tokenises it itself; one that is stopped counts what it saw."""
    for kind in ("thumbs", "pairs"):
        rates = getattr(figures, kind)
        per_row = {arm: figures.tokens_per_s[kind][arm] / rates[arm] for arm in rates}
        assert per_row == {arm: pytest.approx(per_row["mixed"], abs=1) for arm in rates}
        assert figures.rows_seen[kind] == {"mixed": 16, "mixed_daily": 16, "trl_careful": 16, "trl_default": 8}


def test_what_was_learnt_is_told_by_one_measure(figures: LearnerFigures) -> None:
    for kind in ("thumbs", "pairs"):
        for arm in ("mixed", "trl_careful"):
            judged = figures.loss[kind][arm]
            assert judged is not None and judged.loss < math.log(2) and judged.margin > 0
        assert figures.loss[kind]["trl_default"].loss == pytest.approx(math.log(2), abs=0.01)  # a millionth a step teaches little


def test_an_adapter_that_changes_nothing_has_learnt_nothing(model_dir: Path, tmp_path: Path) -> None:
    make_zero_adapter(model_dir, tmp_path / "zero", rank=4)
    tokens, prose = Tokens(model_dir), load_prose()
    for rows in (make_thumbs(4, prose, tokens), make_pairs(2, prose, tokens)):
        judged = judge(model_dir, tmp_path / "zero", rows)
        assert (judged.margin, judged.accuracy, judged.loss) == (0.0, 0.0, pytest.approx(math.log(2)))


def test_gains_are_compared_row_by_row() -> None:
    judged = compare(torch.tensor([[10.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [10.0, 1.0]]))
    assert judged.margin == 0.5 and judged.accuracy == 0.5
    assert judged.loss == pytest.approx((math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2)


def test_rows_are_the_same_each_time_and_as_long_as_chats_are(model_dir: Path) -> None:
    tokens, prose = Tokens(model_dir), load_prose()
    rows = make_thumbs(60, prose, tokens)
    assert rows == make_thumbs(60, prose, tokens)
    assert [row.label for row in rows[:4]] == [1, -1, 1, -1]
    length = sum(len(row.answer_ids) for row in rows) / 60
    assert 90 < length < 110
    longer = sum(len(row.answer_ids) for row in make_thumbs(60, prose, tokens, longer=4)) / 60
    assert longer == pytest.approx(4 * length, rel=0.05)


def test_token_ids_are_those_of_the_text(model_dir: Path) -> None:
    tokens, prose = Tokens(model_dir), load_prose()
    for row in (*make_thumbs(20, prose, tokens), *make_pairs(20, prose, tokens)):
        for answer_ids in filter(None, (row.answer_ids, row.better_ids)):
            whole = tokens.text(tokens.decode(row.prompt_ids) + tokens.decode(answer_ids))
            assert tuple(whole) == row.prompt_ids + answer_ids


@pytest.mark.skipif(not PROMPTS.exists(), reason="no instructions lie beside the checkout")
def test_rows_are_cut_from_instructions_beside_the_checkout(tmp_path: Path) -> None:
    there, made_up = load_prose(), load_prose(tmp_path / "missing.jsonl")
    assert len(there.words) > 1000 < len(made_up.words)
    assert there.prompts != made_up.prompts


def test_an_arm_in_a_process_of_its_own_trains_and_tells_each_step(model_dir: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", make_thumbs(8, load_prose(), Tokens(model_dir)))
    settings = TrainSettings(rank=4, batch_rows=4, passes=2, threads=1, precision="float32")
    heard: list[None] = []
    arms = Arms(tmp_path, model_dir, limit_s=60.0)
    training = Training(str(tmp_path / "rows.jsonl"), settings)
    result = asyncio.run(arms.run(Arm.MIXED, [training, training], on_step=lambda: heard.append(None)))
    assert [one.rows for one in result.trained] == [16, 16] and result.judged is None
    steps = [msgspec.json.decode(line, type=Step) for line in (tmp_path / "1-mixed" / STEPS).read_bytes().splitlines()]
    assert [step.step for step in steps] == [1, 2, 3, 4] * 2 and len(heard) == 8
    assert 50 < result.peak_mb < 4000


def test_the_peak_is_that_of_the_process_alone(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 9000000 kB\nVmHWM:\t  500000 kB\nVmRSS:\t  400000 kB\n")
    assert read_peak_mb(status) == pytest.approx(512)


class Clockwork:
    """Chats that take a millisecond, and ten while training runs."""

    def __init__(self, lasts: bool = True) -> None:
        self.lasts, self.training, self.asked = lasts, False, list[str]()

    async def ask(self, prompt: str) -> float:
        await asyncio.sleep(0)
        self.asked.append(prompt)
        return 10.0 if self.training else 1.0

    async def train(self, on_step: Callable[[], None]) -> None:
        try:
            self.training = True
            on_step()
            await asyncio.sleep(600 if self.lasts else 0)
        finally:
            self.training = False


def test_chats_are_compared_with_themselves_while_training_runs() -> None:
    world, prompts = Clockwork(), [f"Question {number}?" for number in range(100)]
    found = asyncio.run(compare_chats(world.ask, world.train, prompts, 20))
    assert found.ratio == pytest.approx(10) and found.idle_ms["p50"] == 1.0
    assert len(set(world.asked)) == len(world.asked) == 43  # none twice: the engine would remember it
    assert not world.training  # it was ended


def test_training_that_ends_before_the_chats_is_no_measurement() -> None:
    world = Clockwork(lasts=False)
    with pytest.raises(JobError, match="ended before 20 chats"):
        asyncio.run(compare_chats(world.ask, world.train, ["Why?"], 20))


def test_training_that_fails_fails_the_measurement() -> None:
    async def train(on_step: Callable[[], None]) -> None:
        raise JobError("it fell over")

    with pytest.raises(JobError, match="it fell over"):
        asyncio.run(compare_chats(Clockwork().ask, train, ["Why?"], 20))


def test_too_few_rows_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "learner", "--quick", "--rows", "1", "--dir", str(tmp_path)])
    assert "--rows is 1, expected 2 or more" in capsys.readouterr().err


@pytest.mark.long
def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "learner", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= PROMISED and found["growth"].keys() >= GROWTH
    assert list(tmp_path.iterdir()) == []  # it cleans up
