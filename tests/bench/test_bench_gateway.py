"""`ratchet bench gateway`: its engine speaks vLLM's protocol, its load notices whatever is wrong, its figures are what they say."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from learner.engine import Completion, Engine
from service.bench.gateway import load as load_module
from service.bench.gateway.clean import count_clean_streams, is_clean
from service.bench.gateway.frames import PACE_MS, STREAM_HEAD, Script, response, whole_text
from service.bench.gateway.levels import Level, added, whole
from service.bench.gateway.measure import GatewayFigures
from service.bench.gateway.processes import Driver, GatewayError, Usage, run_driver, run_engine
from service.bench.gateway.rates import best_rate
from service.bench.gateway.size import QUICK, Size
from service.bench.gateway.spec import Load, Loaded, Percentiles
from service.bench.gateway.table import gateway_lines
from service.bench.gateway.ways import Way, litellm_yaml, ratchet_toml, run_litellm
from service.cli import main
from service.config import Config

PROMISED = {
    "added_first_token_ms",
    "added_gap_ms",
    "clean_streams",
    "requests_per_s",
    "cpu_ms_per_stream",
    "rss_mb",
    "machine",
    "commit",
    "seconds",
}
STAYS_S = 0.05  # a server that has nothing more to say
FRAMES = 6
ANSWER = Script(number=1, model="base", frames=FRAMES, token_ids=False)
BYTES = ANSWER.begin() + b"".join(map(ANSWER.frame, range(1, FRAMES)))
DIRECT = Way("direct", 1, "base")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a scripted engine in a process of its own."""
    with run_engine() as port:
        yield port


def test_answers_begin_with_words_of_their_own() -> None:
    firsts = {Script(number, "base", FRAMES, token_ids=False).frame(0).rsplit(b'"content":"', 1)[1] for number in range(8)}
    assert len(firsts) > 4


def test_the_engines_client_takes_the_script_for_vllm(port: int) -> None:
    body: dict[str, object] = {"model": "base", "messages": [], "max_tokens": FRAMES, "return_token_ids": True}

    async def talk() -> tuple[list[Completion], Completion]:
        async with Engine(f"http://127.0.0.1:{port}") as engine:
            assert await engine.healthy() and await engine.models() == {}
            await engine.load("base", Path("/nowhere/base"))
            assert await engine.models() == {"base": "/nowhere/base"}
            assert await engine.score("base", [5, 6, 7]) == [-1.0, -1.0]
            before = await engine.progress()
            frames = [frame async for frame in engine.stream(body | {"stream": True}, "request-1")]
            after = await engine.progress()
            assert before.running == after.running == 0 and after.steps >= before.steps + FRAMES
            return frames, await engine.complete(body, "request-2")

    frames, plain = asyncio.run(talk())
    said = [choice for frame in frames for choice in frame.choices]
    number = int(frames[0].id.removeprefix("chatcmpl-bench"))
    assert frames[0].prompt_token_ids and {frame.model for frame in frames} == {"base"}
    assert "".join(one.delta.content or "" for one in said).encode() == whole_text(FRAMES, first=number)
    assert [one.finish_reason for one in said] == [None] * FRAMES + ["length"]  # the first is the role's
    assert [ids for one in said for ids in one.token_ids or []] == plain.choices[0].token_ids
    assert frames[-1].usage == plain.usage and plain.usage is not None and plain.usage.completion_tokens == FRAMES
    assert (plain.choices[0].message.content or "").encode() == whole_text(FRAMES)


def test_streams_are_read_at_the_engines_pace(port: int) -> None:
    with run_driver() as driver:
        loaded = driver.run(Load(port, "base", clients=3, frames=FRAMES))
        plain = driver.run(Load(port, "base", clients=3, frames=FRAMES, streamed=False, seconds=60, answers=20))
    assert (loaded.whole, loaded.failed, loaded.lost_frames) == (3, 0, 0)
    assert loaded.first_ms.count == 3 and loaded.gap_ms.count == 3 * (FRAMES - 1)
    assert loaded.answer_ms.p50 > (FRAMES - 1) * PACE_MS - 2  # never faster, however busy the machine is
    assert (plain.whole, plain.failed, plain.gap_ms.count) == (20, 0, 0)


def answered_by(pieces: list[bytes], load: Load) -> Loaded:
    """What one client sees of a server that writes these pieces, one after another, and ends the connection."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]")
        with suppress(ConnectionError):  # the client may have left
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            await asyncio.sleep(STAYS_S)
            writer.close()
            await writer.wait_closed()
        over.set()

    async def run() -> Loaded:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            seen = await load_module.run(msgspec.structs.replace(load, port=server.sockets[0].getsockname()[1]))
            await over.wait()
            return seen

    return asyncio.run(run())


LOAD = Load(port=0, model="base", clients=1, frames=FRAMES, limit_s=30.0)


def test_an_answer_is_whole_however_its_bytes_are_cut() -> None:
    pieces = [BYTES[at : at + 7] for at in range(0, len(BYTES), 7)]
    loaded = answered_by(pieces, LOAD)
    assert (loaded.whole, loaded.problem) == (1, "") and loaded.gap_ms.count == FRAMES - 1


@pytest.mark.parametrize(
    ("answer", "lost", "problem"),
    [
        (BYTES.replace(ANSWER.frame(3), b""), 1, "1 of 6 frames lost"),
        (BYTES.replace(ANSWER.frame(3), ANSWER.frame(2)), 1, "1 of 6 frames lost"),
        (BYTES.replace(ANSWER.frame(3), ANSWER.frame(3) * 2), 0, "or others among them"),
        (BYTES.replace(b"e\r\ndata: [DONE]\n\n\r\n", b""), 0, "without [DONE]"),
        (BYTES[: -len(ANSWER.frame(FRAMES - 1))], 1, "connection was lost"),
        (response(404, b'{"detail":"Not Found"}'), FRAMES, "status 404"),
        (STREAM_HEAD + b"0\r\n\r\n", FRAMES, "6 of 6 frames lost"),
        (b"no HTTP at all", FRAMES, "no HTTP"),
    ],
    ids=["lost", "replaced", "twice", "no DONE", "broken off", "refused", "empty", "no HTTP"],
)
def test_an_answer_that_is_not_whole_fails_and_says_why(answer: bytes, lost: int, problem: str) -> None:
    loaded = answered_by([answer], LOAD)
    assert (loaded.whole, loaded.failed, loaded.lost_frames) == (0, 1, lost)
    assert problem in loaded.problem
    with pytest.raises(GatewayError, match="direct: 1 of 1 answers at 1 at once were not whole"):
        whole(DIRECT, LOAD, loaded)


def test_an_answer_without_end_fails_in_time() -> None:
    assert "no end within 0.02 s" in answered_by([STREAM_HEAD], msgspec.structs.replace(LOAD, limit_s=0.02)).problem


def loaded(answer_p99_ms: float = 0.0, gap_ms: float = 0.0, failed: int = 0, whole: int = 10, seconds: float = 1.0) -> Loaded:
    none = Percentiles()
    gaps, answers = Percentiles(PACE_MS, PACE_MS, gap_ms, 100), Percentiles(1.0, answer_p99_ms, answer_p99_ms, whole)
    return Loaded(whole, failed, 0, none, gaps, answers, seconds, "it fell over" if failed else "")


def test_percentiles_are_values_that_were_measured() -> None:
    assert Percentiles.of([float(value) for value in range(100, -1, -1)]) == Percentiles(50.0, 99.0, 100.0, 101)
    assert Percentiles.of([3.0]) == Percentiles(3.0, 3.0, 3.0, 1)
    assert Percentiles.of([]) == Percentiles()


def test_what_is_added_is_the_middle_of_the_rounds_differences() -> None:
    direct = [Percentiles(1.0, 2.0), Percentiles(5.0, 9.0), Percentiles(1.0, 2.0)]
    through = [Percentiles(2.0, 6.0), Percentiles(6.5, 90.0), Percentiles(1.5, 5.0)]
    assert added(direct, through) == {"p50": 1.0, "p99": 4.0}


def test_streams_are_clean_up_to_ten_times_the_pace() -> None:
    assert is_clean(loaded(gap_ms=10 * PACE_MS))
    assert not is_clean(loaded(gap_ms=10 * PACE_MS + 0.1))
    assert not is_clean(loaded(failed=1))


class Carrier(Driver):
    """Answers loads without any clients: each port carries as many streams as its number says, but for the first try."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def run(self, load: Load) -> Loaded:
        first = (load.port, load.clients) not in self.asked
        self.asked.append((load.port, load.clients))
        return loaded(failed=int(first or load.clients > load.port))


def test_clean_streams_are_the_most_below_which_all_were() -> None:
    ways = [Way("direct", 64, "base"), Way("ratchet", 16, "ratchet"), Way("litellm", 1, "bench")]
    size = msgspec.structs.replace(QUICK, clean_levels=(16, 32, 64, 128), tries=2)
    driver = Carrier()
    assert count_clean_streams(driver, ways, size, lambda line: None) == {"direct": 64, "ratchet": 16, "litellm": 0}
    assert driver.asked.count((16, 32)) == 2 and (16, 64) not in driver.asked  # who does not carry 32 is not asked for more


def test_a_rate_counts_only_within_its_bound() -> None:
    by_clients = [[loaded(2.0, whole=10)] * 3, [loaded(9.0, whole=30), loaded(90.0, whole=99), loaded(8.0, whole=31)]]
    by_clients.append([loaded(200.0, whole=50)])
    assert [best_rate(by_clients, bound) for bound in (1, 5, 10, 250)] == [0.0, 10.0, 31.0, 50.0]


def test_ratchets_settings_can_be_used(tmp_path: Path) -> None:
    config = msgspec.toml.decode(ratchet_toml(tmp_path, 4321), type=Config)
    assert config.engine.urls == ("http://127.0.0.1:4321",) and config.storage.durability == "group"
    assert not config.learner.schedule.enabled
    assert min(config.server.answers, config.server.answers_per_person) > max(Size().clean_levels)
    assert "http://127.0.0.1:4321/v1" in litellm_yaml(4321)


def test_a_folder_without_litellm_is_told(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"litellm is not there: expected a virtual environment with litellm\[proxy\]"), \
            run_litellm(tmp_path, tmp_path / "nothing", 1):  # fmt: skip
        pass


def test_a_process_is_looked_at_while_it_lives(port: int) -> None:
    with run_driver() as driver:
        usage = Usage(driver.pid)
        before_ms = usage.cpu_ms()
        driver.run(Load(port, "base", clients=1, frames=1, streamed=False, seconds=60, answers=500))
        assert usage.cpu_ms() > before_ms and 5 < usage.rss_mb() < 500


def test_people_get_a_table() -> None:
    levels = {
        "direct": {"16": Level([Percentiles(1.0, 2.0)], [Percentiles(20.0, 21.0)], None, 10)},
        "ratchet": {"16": Level([Percentiles(3.5, 6.0)], [Percentiles(20.1, 24.0)], 7.5, 10)},
    }
    figures = GatewayFigures(
        added_first_token_ms={"16": {"p50": 2.5, "p99": 4.0}},
        added_gap_ms={"16": {"p50": 0.1, "p99": 3.0}},
        clean_streams={"direct": 320, "ratchet": 256},
        requests_per_s={"direct": {"10": 2000.0}, "ratchet": {"10": 400.0}},
        cpu_ms_per_stream={"ratchet": 7.5, "litellm": None},
        rss_mb={"rest": 300.0, "after_1k": 301.0, "after_10k": 302.0},
        measured=levels,
        size=QUICK,
        machine="2 x processor",
        commit="",
        seconds=10.0,
    )
    table = "\n".join(gateway_lines(figures))
    assert "+2.50    +4.00 ms" in table and "7.5 ms" in table
    assert "256 clean streams; requests/s at p99  10 ms    400" in table and "after_10k 302 MB" in table


@pytest.mark.long
def test_it_prints_every_promised_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "gateway", "--quick", "--json", "--dir", str(tmp_path)])
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found.keys() >= PROMISED
    for name in ("added_first_token_ms", "added_gap_ms"):
        assert found[name].keys() == {"1", "16", "64"}
        assert all(math.isfinite(value) for one in found[name].values() for value in one.values())
    assert found["cpu_ms_per_stream"]["ratchet"] > 0 and found["cpu_ms_per_stream"]["litellm"] is None
    assert found["requests_per_s"].keys() == found["clean_streams"].keys() == {"direct", "ratchet"}
    assert found["rss_mb"].keys() == {"rest", "after_1k", "after_10k"}
    assert list(tmp_path.iterdir()) == []  # it cleans up
