"""`ratchet bench swap` counts and times what streams hear, and prints every figure that is promised."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import aiohttp
import msgspec
import pytest

from service.bench.heard import Heard
from service.bench.served import ServedError, measure_restart
from service.bench.spread import spread
from service.bench.swap.figures import QUICK, Move, Size, SwapFigures, summarize
from service.bench.swap.measure import measure_swap, swap_config
from service.bench.swap.table import swap_lines
from service.bench.tiny_model import make_tiny_model
from service.cli import main
from service.settings import EngineSettings
from tests.faults.scripted_chat import Talk, scripted_chat

PROMISED = {
    "failed", "mixed", "misrouted", "flip_ms", "commit_ms", "load_ms", "stall_ms", "quiet_stall_ms", "first_answer_ms",
    "tenth_answer_ms", "restart_s", "interruption_ratio", "machine", "commit", "seconds",
}  # fmt: skip
SIZE = Size(swaps=2, streams=4, rank=4, after=3, around_s=0.1, restarts=0)
FRAME_S = 0.01


async def paced(talk: Talk) -> None:
    """A stream of as many frames as are asked for, at an even pace."""
    for number in range(min(int(talk.body["max_tokens"]), 30)):
        await talk.say(f"{number} ")
        await asyncio.sleep(FRAME_S)
    await talk.finish()


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> SwapFigures:
    """Of a whole run, with an engine that is a script."""
    folder = tmp_path_factory.mktemp("swap")
    model_dir = make_tiny_model(folder / "model")
    with scripted_chat() as engine:
        engine.script = paced
        config = swap_config(model_dir, SIZE, EngineSettings(lora_rank=SIZE.rank, urls=(engine.url,)))
        return asyncio.run(measure_swap(folder, config, SIZE))


def test_every_promised_figure_is_there(figures: SwapFigures) -> None:
    found = msgspec.to_builtins(figures)
    assert found.keys() >= PROMISED
    for name in ("flip_ms", "commit_ms", "load_ms", "rollback_ms", "first_answer_ms", "tenth_answer_ms"):
        assert 0 < found[name]["p50"] <= found[name]["max"]
    assert found["commit_ms"]["max"] <= found["flip_ms"]["max"]
    assert found["restart_s"] is None  # that engine was not ours to kill


def test_swaps_and_rollbacks_disturb_no_stream(figures: SwapFigures) -> None:
    """Each move waits for as many answers of its version as there are streams."""
    assert (figures.failed, figures.mixed, figures.misrouted) == (0, 0, 0)
    assert figures.answers >= SIZE.streams * (1 + 2 * SIZE.swaps) + SIZE.swaps * SIZE.after


def test_people_get_a_table(figures: SwapFigures) -> None:
    lines = swap_lines(figures)
    assert "2 swaps and rollbacks under 4 streams" in lines[0]
    assert all(len(line) < 200 for line in lines)


def frames(*at: float, model: str = "ratchet@base", whole: bool = True) -> Heard:
    """An answer whose frames came at these times."""
    return Heard(0.0, list(at), {model}, ["a"] * len(at), "id", 200, "stop" if whole else None, whole)


def test_a_stall_is_the_longest_gap_that_reaches_into_the_span_above_the_usual_one() -> None:
    steady = frames(1.0, 1.1, 1.2, 1.3, 1.8, 1.9, 2.0, 2.9, 3.0)
    assert steady.stall_ms(1.25, 1.5) == pytest.approx(400)  # the gap goes on after the span
    assert steady.stall_ms(1.5, 1.6) == pytest.approx(400)  # and began before it
    assert steady.stall_ms(1.0, 1.15) == pytest.approx(0)
    assert steady.stall_ms(0.5, 1.5) is None  # it did not run yet
    assert steady.stall_ms(3.0, 4.0) is None  # and does not run any more
    assert frames(1.0, 2.0, 3.0).stall_ms(1.5, 2.5) is None  # too few frames to know what is usual


def move(*after: Heard) -> Move:
    spans = ((1.0, 2.0), (3.0, 3.5), (0.2, 0.4))
    return Move("r0-x", load_ms=8.0, flip_ms=2.0, commit_ms=1.0, rollback_ms=9.0, after=[*after], swapped=spans[0],
                returned=spans[1], quiet=spans[2])  # fmt: skip


def test_what_goes_wrong_is_counted() -> None:
    good, late = frames(0.1, 0.2, model="ratchet@r0-x"), frames(0.5, 0.6)
    steady = frames(*(at / 10 for at in range(1, 60)))
    mixed = frames(1.0, 1.1)
    mixed.models.add("ratchet@r0-x")
    heard = [steady, mixed, frames(1.0, whole=False)]
    found = summarize(heard, [move(good, late)], [20.0, 30.0, 26.0], Size(), 1.0)
    assert (found.answers, found.failed, found.mixed, found.misrouted) == (5, 1, 1, 1)
    assert found.first_answer_ms.p50 == pytest.approx(100) and found.tenth_answer_ms.p50 == pytest.approx(500)
    assert found.restart_s == 26.0 and found.stall_ms.max == pytest.approx(0, abs=1e-6)
    assert found.interruption_ratio == pytest.approx(26_000)  # a stall below what can be told apart counts as a millisecond


def test_an_event_that_says_what_went_wrong_ends_an_answer() -> None:
    heard = Heard()
    heard.take(b'{"id":"a","model":"ratchet@base","choices":[{"delta":{"content":"Hi"}}]}', 1.0)
    heard.take(b'{"error":{"message":"the engine broke off"}}', 2.0)
    heard.take(b"[DONE]", 3.0)
    assert (heard.id, heard.text, heard.told, heard.error, heard.whole) == ("a", "Hi", True, "the engine broke off", False)


def test_a_spread_of_nothing_is_refused() -> None:
    assert spread([3.0, 1.0, 2.0]).p50 == 2.0
    with pytest.raises(ValueError, match="expected one measurement or more"):
        spread([])


def restart(url: str, home: Path) -> float:
    async def measure() -> float:
        async with aiohttp.ClientSession() as http:
            return await measure_restart(http, url, home)

    return asyncio.run(measure())


def test_a_restart_lasts_from_the_kill_to_the_next_answer(tmp_path: Path) -> None:
    """Who asks meanwhile is refused twice, and then answered by another engine."""
    folder = tmp_path / "engine"
    folder.mkdir()
    killed = subprocess.Popen(["sleep", "600"], cwd=folder, start_new_session=True)
    (folder / "engine.pid").write_text(f"{killed.pid}\n")
    with scripted_chat() as service:

        async def come_back(talk: Talk) -> None:
            assert killed.wait(10) == -signal.SIGKILL
            if len(service.talks) < 3:
                return talk.refuse(503, "not ready")
            return await talk.answer("Yes.")

        service.script = come_back
        assert restart(service.url, tmp_path) > 0
        assert len(service.talks) == 3


def test_an_engine_that_is_not_there_is_not_killed(tmp_path: Path) -> None:
    with pytest.raises(ServedError, match="no engine of its own"):
        restart("http://127.0.0.1:9", tmp_path)


@pytest.mark.engine
@pytest.mark.long  # the scripted engine above shows each figure; the swap of the real one is in tests/faults
def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "swap", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= PROMISED
    assert (found["failed"], found["mixed"], found["misrouted"]) == (0, 0, 0)
    assert found["restart_s"] > 0 and found["interruption_ratio"] > 0
    assert found["size"]["swaps"] == QUICK.swaps
    assert list(tmp_path.iterdir()) == []  # it cleans up
