"""Of rounds: each version answers under its own name, each job learns from its answers, and only the last one is left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from safetensors.torch import load_file, save_file

from learner.adapter import CARD, WEIGHTS, Card, make_zero_adapter
from learner.context import Context, StageError
from learner.engine import Drawn, Engine, EngineError
from learner.rows import Row, RowKind, Split, read_rows
from learner.train.rewards import newest_reward, publish_reward, remove_rewards
from learner.train.round import read_round
from learner.train.rounds import draw_prompts, learn_in_rounds, sample
from learner.train.spec import ADAPTER, RESULT, ROWS, Result
from storage.artifacts import REWARDS
from storage.records import Cycle, CycleState
from tests.learner.tiny import RANK, replays, thumbs
from tests.learner.world import SilentEngine, learner

CYCLE = Cycle(7, "test", "rloo", CycleState.RUNNING, 1.0)


class ScriptedEngine(SilentEngine):
    """Answers a prompt with its own tokens, each second answer cut off; notes who was asked, and from where all was loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, tuple[int, ...], int]] = []
        self.ever: dict[str, str] = {}

    async def load(self, name: str, folder: Path) -> None:
        assert self.ever.setdefault(name, str(folder)) == str(folder), f"{name} was loaded from elsewhere"
        assert (folder / WEIGHTS).is_file()
        await super().load(name, folder)

    async def draw(self, model: str, prompt_ids: Sequence[int], answers: int, max_tokens: int, seed: int) -> list[Drawn]:
        assert model in self.loaded
        self.asked.append((model, tuple(prompt_ids), seed))
        return [Drawn((*prompt_ids, number), (-0.5,) * (len(prompt_ids) + 1), number % 2 == 0) for number in range(answers)]


def live(tmp_path: Path, model_dir: Path, zero_dir: Path, test: Callable[[Context, ScriptedEngine], Awaitable[None]]) -> None:
    """Runs a test with a learner whose engine is scripted."""

    async def run() -> None:
        async with learner(tmp_path, model_dir, zero_dir) as context:
            context.engine = engine = ScriptedEngine()  # type: ignore[assignment]
            train = msgspec.structs.replace(context.settings.train, prompts_per_round=3, answers_each=2, sample_tokens=16)
            context.settings = msgspec.structs.replace(context.settings, train=train)
            await test(context, engine)

    asyncio.run(run())


async def publish_some_reward(context: Context, adapter_dir: Path, cycle_id: int, dataset_id: str = "dataset-1") -> str:
    """Something that lies as a reward model does; nothing here scores with it."""
    folder = context.artifacts.temporary_dir() / "reward"
    shutil.copytree(adapter_dir, folder)
    card = msgspec.json.decode((folder / CARD).read_bytes(), type=Card)
    (folder / CARD).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, dataset_id=dataset_id)))
    return await publish_reward(context, msgspec.structs.replace(CYCLE, id=cycle_id), folder)


class Trainer:
    """Makes another adapter of each parent, as a job would, and keeps what it was given."""

    def __init__(self, stop_after: int = 0, fail_at: int = 0) -> None:
        self.parents: list[Path] = []
        self.rows: list[list[Row]] = []
        self._stop_after, self._fail_at = stop_after, fail_at

    async def __call__(self, job: Path, parent_dir: Path) -> None:
        self.parents.append(parent_dir)
        self.rows.append(list(read_rows(job / ROWS)))
        count = len(self.parents)
        if count == self._fail_at:
            raise StageError("the loss diverged")
        if not (job / ADAPTER).exists():
            shutil.copytree(parent_dir, job / ADAPTER)
            tensors = {name: tensor + 0.03 for name, tensor in load_file(job / ADAPTER / WEIGHTS).items()}
            save_file(tensors, job / ADAPTER / WEIGHTS)
        stopped = "the KL budget is spent" if count == self._stop_after else ""
        (job / RESULT).write_bytes(msgspec.json.encode(Result(None, [], 1, 1.0, stopped=stopped)))


def test_each_round_is_answered_by_the_version_before_it_under_a_name_of_its_own(
    tmp_path: Path, model_dir: Path, zero_dir: Path
) -> None:
    async def test(context: Context, engine: ScriptedEngine) -> None:
        await publish_some_reward(context, zero_dir, 3)
        trainer = Trainer()
        last = await learn_in_rounds(context, CYCLE, thumbs(8), "base", tmp_path / "train", trainer)
        models = list(dict.fromkeys(model for model, _, _ in engine.asked))
        assert models[0] == "base" and models[1].startswith("r7-round1-") and len(models) == 2
        assert trainer.parents[0] == context.artifacts.adapter_dir("base") and trainer.parents[1].name == models[1]
        assert last == tmp_path / "train" / "round-2" and (last / ADAPTER / WEIGHTS).is_file()
        one, two = ({row.prompt_ids for row in rows} for rows in trainer.rows)
        assert len(one) == len(two) == 3 and one != two  # a draw of its own for each
        assert {(row.kind, row.split, row.logps[0]) for rows in trainer.rows for row in rows} == {
            (RowKind.SAMPLED, Split.TRAIN, -0.5)
        }
        told = read_round(last)
        assert told is not None and told.live_dir == str(context.artifacts.adapter_dir("base"))
        assert Path(told.reward_dir).name.startswith("r3-")
        assert set(engine.loaded) == {"base"} and not (tmp_path / "train" / "served").exists()

    live(tmp_path, model_dir, zero_dir, test)


def test_a_cycle_that_goes_on_after_a_crash_asks_again_for_nothing_it_has(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    async def test(context: Context, engine: ScriptedEngine) -> None:
        await publish_some_reward(context, zero_dir, 3)
        folder = tmp_path / "train"
        with pytest.raises(StageError, match="diverged"):
            await learn_in_rounds(context, CYCLE, thumbs(8), "base", folder, Trainer(fail_at=2))
        asked = list(engine.asked)
        assert set(engine.loaded) == {"base"}  # also where a round comes to nothing
        await learn_in_rounds(context, CYCLE, thumbs(8), "base", folder, trainer := Trainer())
        assert engine.asked == asked and len(trainer.rows) == 2

    live(tmp_path, model_dir, zero_dir, test)


def test_a_round_that_spent_its_budget_is_the_last(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    async def test(context: Context, engine: ScriptedEngine) -> None:
        await publish_some_reward(context, zero_dir, 3)
        last = await learn_in_rounds(context, CYCLE, thumbs(8), "base", tmp_path / "train", Trainer(stop_after=1))
        assert last.name == "round-1" and {model for model, _, _ in engine.asked} == {"base"}

    live(tmp_path, model_dir, zero_dir, test)


def test_without_a_reward_model_or_prompts_nothing_is_asked(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    async def test(context: Context, engine: ScriptedEngine) -> None:
        with pytest.raises(StageError, match="run `ratchet cycle run --method reward` first"):
            await learn_in_rounds(context, CYCLE, thumbs(8), "base", tmp_path / "train", Trainer())
        await publish_some_reward(context, zero_dir, 3)
        heldout = [msgspec.structs.replace(row, split=Split.HELDOUT) for row in thumbs(8)]
        with pytest.raises(StageError, match="none of the dataset's 8 rows has a prompt"):
            await learn_in_rounds(context, CYCLE, heldout, "base", tmp_path / "train", Trainer())
        assert engine.asked == []

    live(tmp_path, model_dir, zero_dir, test)


def test_the_newest_reward_model_of_this_base_counts_and_those_of_a_dataset_can_be_removed(
    tmp_path: Path, model_dir: Path, other_model_dir: Path, zero_dir: Path
) -> None:
    other_dir = tmp_path / "other"
    make_zero_adapter(other_model_dir, other_dir, RANK)

    async def test(context: Context, engine: ScriptedEngine) -> None:
        old = await publish_some_reward(context, zero_dir, 9)
        new = await publish_some_reward(context, zero_dir, 10, "dataset-2")
        assert (await newest_reward(context)).name == new
        await publish_some_reward(context, other_dir, 11)
        assert (await newest_reward(context)).name == new  # that of another base is passed over
        assert await remove_rewards(context, {"dataset-2", "dataset-9"}) == 1
        assert (await newest_reward(context)).name == old
        (context.artifacts.reward_dir(old) / CARD).unlink()
        assert await remove_rewards(context, set()) == 1  # nobody can say any more from whom it learnt
        assert [path.name[:4] for path in context.artifacts.published(REWARDS)] == ["r11-"]

    live(tmp_path, model_dir, zero_dir, test)


def test_answers_are_rows_and_those_that_were_cut_off_weigh_nothing(tmp_path: Path, model_dir: Path, zero_dir: Path) -> None:
    async def test(context: Context, engine: ScriptedEngine) -> None:
        await engine.load("base", zero_dir)
        prompts = thumbs(2)
        rows = await sample(context, "base", prompts, 2, seed=50)
        assert [row.weight for row in rows] == [1.0, 0.0, 1.0, 0.0] and len({row.id for row in rows}) == 4
        assert [row.prompt_ids for row in rows[::2]] == [row.prompt_ids for row in prompts]
        assert all(len(row.logps) == len(row.answer_ids) for row in rows)
        assert [row.person_id for row in rows[::2]] == [row.person_id for row in prompts]
        assert [seed for _, _, seed in engine.asked] == [50, 52]  # no two answers of one seed

    live(tmp_path, model_dir, zero_dir, test)


def test_prompts_are_drawn_once_each_by_seed_from_what_teaches() -> None:
    rows = [*thumbs(8), *replays(4)]
    again = [msgspec.structs.replace(row, id=f"{row.id}-again") for row in rows]
    drawn = draw_prompts([*rows, *again], 100, 64, seed=1)
    assert {row.prompt_ids for row in drawn} == {row.prompt_ids for row in rows} and len(drawn) == len({*drawn})
    assert len({row.prompt_ids for row in drawn}) == len(drawn)
    assert draw_prompts(rows[::-1], 5, 64, seed=1) == draw_prompts(rows, 5, 64, seed=1) != draw_prompts(rows, 5, 64, seed=2)
    assert all(len(row.prompt_ids) <= 3 for row in draw_prompts(rows, 100, 3, seed=1))


class Server:
    """Answers `/v1/completions` as vLLM does, with what it is told."""

    def __init__(self, model: str, choices: list[dict[str, object]]) -> None:
        self.bodies: list[dict[str, object]] = []
        self._reply = {"model": model, "choices": choices}

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.json_response(self._reply)


def drawn_from(server: Server) -> list[Drawn]:
    async def run() -> list[Drawn]:
        app = web.Application()
        app.router.add_post("/v1/completions", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with Engine(f"http://127.0.0.1:{runner.addresses[0][1]}") as engine:
                return await engine.draw("r1-x", [4, 5], 2, 8, seed=3)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def choice(ids: list[int], logps: list[float], finish: str) -> dict[str, object]:
    return {"text": "…", "token_ids": ids, "logprobs": {"token_logprobs": logps}, "finish_reason": finish}


def test_the_engine_draws_from_the_version_as_it_is() -> None:
    server = Server("r1-x", [choice([7, 2], [-0.1, -0.2], "stop"), choice([7], [-0.1], "length")])
    assert drawn_from(server) == [Drawn((7, 2), (-0.1, -0.2), True), Drawn((7,), (-0.1,), False)]
    body = server.bodies[0]
    assert (body["prompt"], body["n"], body["seed"], body["model"]) == ([4, 5], 2, 3, "r1-x")
    assert (body["temperature"], body["top_p"], body["return_token_ids"], body["logprobs"]) == (1.0, 1.0, True, 0)
    assert body["priority"] == 100


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (Server("base", [choice([7], [-0.1], "stop")]), "'base' answered"),
        (Server("r1-x", [choice([7, 2], [-0.1], "stop")]), "2 tokens came with 1 log-probs"),
    ],
)
def test_answers_of_another_version_or_without_log_probs_are_refused(server: Server, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        drawn_from(server)
