"""Clients that leave, that do not read, and that are too many; and a service that is asked to end while it answers."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from storage import conversations
from storage.records import Message, MessageStatus
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import WORDS, ScriptedChat, Talk, answers, config_for, hangs
from tests.faults.streams import Heard, ask, hear

ABORT_S = 1.0  # from a client's leaving to the end of its generation
REFUSAL_S = 1.0
STALLED_S = 1.0
STOPPED_S = 1.0  # without a byte more, the engine is being read no further
MOST_BYTES = 40 * 2**20  # between an engine that never ends and a client that never reads: the system's buffers, mostly
ANSWERS, PER_PERSON = 3, 2
SHUTDOWN_S = 6.0
STREAMS_S = 2.0  # of it, for streams: what the engine's own time and the last steps leave
PATIENCE_S = 60


async def goes_on(talk: Talk) -> None:
    """As fast as it is read, for ever."""
    while True:
        await talk.say("whale " * 200)


async def ticks(talk: Talk) -> None:
    """A word now and then, for ever."""
    while True:
        await talk.say("whale ")
        await asyncio.sleep(0.05)


def wait_until(true: Callable[[], object], what: str, limit_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.01)


def answers_of(service: Service) -> list[Message]:
    async def select(connection: Any) -> list[Message]:
        rows = await connection.exec_driver_sql("SELECT id FROM messages WHERE role = 'assistant' ORDER BY position")
        found = [await conversations.select_message(connection, id) for (id,) in rows.all()]
        return [message for message in found if message is not None]

    return service.call(service.parts.database.read(select))


@pytest.mark.parametrize("begun", [True, False], ids=["amid its stream", "before the first word"])
def test_the_engine_stops_within_a_second_when_a_streams_client_leaves(
    front: Service, chat_engine: ScriptedChat, begun: bool
) -> None:
    chat_engine.script = ticks if begun else hangs
    before = len(answers_of(front))
    with closing(ask(front.url)) as connection:
        wait_until(lambda: chat_engine.talks, "the request's arrival")
        if begun:
            connection.recv(10_000)
    left_at_s = time.monotonic()
    assert_aborted(chat_engine.talks[0], left_at_s)
    if begun:
        wait_until(lambda: len(answers_of(front)) > before, "the turn's being kept")
        answer = answers_of(front)[-1]
        assert answer.status is MessageStatus.INTERRUPTED and answer.content.startswith("whale")
    assert len(answers_of(front)) == before + begun


def test_the_engine_stops_within_a_second_when_a_plain_answers_client_leaves(front: Service, chat_engine: ScriptedChat) -> None:
    chat_engine.script = hangs
    before = len(answers_of(front))
    with closing(ask(front.url, stream=False)):
        wait_until(lambda: chat_engine.talks, "the request's arrival")
    assert_aborted(chat_engine.talks[0], time.monotonic())
    assert len(answers_of(front)) == before


def assert_aborted(talk: Talk, left_at_s: float) -> None:
    assert talk.ended.wait(PATIENCE_S) and talk.aborted_at_s is not None
    assert talk.aborted_at_s - left_at_s < ABORT_S


def test_a_client_that_reads_nothing_takes_bounded_memory_and_keeps_nobody_waiting(
    front: Service, chat_engine: ScriptedChat
) -> None:
    chat_engine.script = goes_on
    with closing(ask(front.url, receive_bytes=4096)):
        wait_until(lambda: chat_engine.talks, "the request's arrival")
        [talk] = chat_engine.talks
        wait_until(lambda: talk.sent_bytes > MOST_BYTES or has_stopped(talk), "the end of reading from the engine")
        assert talk.sent_bytes < MOST_BYTES
        chat_engine.script = answers
        assert hear(front.url, "another").text == "".join(WORDS)
        assert has_stopped(talk)
    assert_aborted(talk, time.monotonic())


def has_stopped(talk: Talk) -> bool:
    sent_bytes = talk.sent_bytes
    time.sleep(STOPPED_S)
    return talk.sent_bytes == sent_bytes > 0


def test_a_client_that_takes_nothing_for_too_long_is_cut_off(chat_engine: ScriptedChat, small_model: Path, tmp_path: Path) -> None:
    chat_engine.script = goes_on
    chat_engine.talks.clear()
    config = config_for(chat_engine.url, small_model, stalled_client_s=STALLED_S)
    with run_service(tmp_path, config) as service, closing(ask(service.url, receive_bytes=4096)):
        wait_until(lambda: chat_engine.talks, "the request's arrival")
        [talk] = chat_engine.talks
        assert talk.ended.wait(PATIENCE_S) and talk.aborted_at_s is not None
        wait_until(lambda: answers_of(service), "the turn's being kept")
        assert answers_of(service)[0].status is MessageStatus.INTERRUPTED
    chat_engine.script = answers


class Gate:
    """Streams that tick until it opens, and then end whole."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    async def script(self, talk: Talk) -> None:
        while not self.opened.is_set():
            await talk.say("whale ")
            await asyncio.sleep(0.05)
        await talk.finish()


def test_a_request_that_does_not_come_whole_is_refused_in_time(
    chat_engine: ScriptedChat, small_model: Path, tmp_path: Path
) -> None:
    with (
        run_service(tmp_path, config_for(chat_engine.url, small_model, body_timeout_s=0.5)) as service,
        socket.create_connection(("127.0.0.1", int(service.url.rsplit(":", 1)[1])), PATIENCE_S) as connection,
    ):
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer slow\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode())
        began = time.monotonic()
        sender = threading.Thread(target=trickle, args=(connection,))
        sender.start()
        with HTTPResponse(connection) as response:
            response.begin()
            error = json.loads(response.read())["error"]
        sender.join()
        assert (response.status, error["code"]) == (408, "request_timeout")
        assert 0.4 < time.monotonic() - began < 10
        assert hear(service.url, stream=False).status == 200


def trickle(connection: socket.socket) -> None:
    """A byte of a body now and then, until the other side has had enough."""
    with suppress(OSError):
        for _ in range(30):
            connection.sendall(b" ")
            time.sleep(0.1)


def test_what_is_too_much_at_once_is_refused_at_once_and_piles_up_nowhere(
    chat_engine: ScriptedChat, small_model: Path, tmp_path: Path
) -> None:
    gate = Gate()
    chat_engine.script = gate.script
    chat_engine.talks.clear()
    config = config_for(chat_engine.url, small_model, answers=ANSWERS, answers_per_person=PER_PERSON)
    with run_service(tmp_path, config) as service, ThreadPoolExecutor(ANSWERS) as pool:
        try:
            running = [pool.submit(hear, service.url, "ann") for _ in range(PER_PERSON)]
            wait_until(lambda: len(chat_engine.talks) == PER_PERSON, "the first streams")
            for stream in (True, False):
                assert_refused(hear(service.url, "ann", stream), 429, "rate_limit_exceeded")
            running.append(pool.submit(hear, service.url, "bob"))
            wait_until(lambda: len(chat_engine.talks) == ANSWERS, "the other person's stream")
            for number in range(20):
                assert_refused(hear(service.url, f"person {number}", stream=number % 2 == 0), 503, "overloaded")
            assert len(chat_engine.talks) == ANSWERS, "what was refused reached the engine"
            assert service.parts.engine.members[0].in_flight == ANSWERS
        finally:
            gate.opened.set()
        assert [one.result().events[-1] for one in running] == ["[DONE]"] * ANSWERS
        wait_until(lambda: hear(service.url, "ann").status == 200, "a place for the next")


def assert_refused(heard: Heard, status: int, code: str) -> None:
    assert (heard.status, heard.error["code"]) == (status, code)
    assert float(heard.headers["retry-after"]) > 0 and heard.took_s < REFUSAL_S


def test_a_service_that_is_asked_to_end_is_unready_first_and_tells_every_stream(
    chat_engine: ScriptedChat, small_model: Path, tmp_path: Path
) -> None:
    gate = Gate()
    chat_engine.talks.clear()
    with up(chat_engine.url, small_model, tmp_path) as process, ThreadPoolExecutor(2) as pool:
        url = ready_url(process)
        chat_engine.script = gate.script
        short = pool.submit(hear, url, "ann")
        wait_until(lambda: len(chat_engine.talks) == 1, "the first stream")
        chat_engine.script = ticks
        long = pool.submit(hear, url, "bob")
        wait_until(lambda: len(chat_engine.talks) == 2, "the second stream")
        process.send_signal(signal.SIGTERM)
        asked_at_s = time.monotonic()
        wait_until(lambda: not_ready(url) == "the end", "its being unready")
        assert not short.done() and not long.done()
        refused = hear(url, "eve")
        assert (refused.status, refused.error["code"]) == (503, "not_ready") and "retry-after" in refused.headers
        gate.opened.set()
        assert process.wait(PATIENCE_S) == -signal.SIGTERM
        assert time.monotonic() - asked_at_s < SHUTDOWN_S
        assert_told(short, long)
    chat_engine.script = answers
    connection = sqlite3.connect(tmp_path / "ratchet.db")
    kept = connection.execute("SELECT status FROM messages WHERE role = 'assistant' ORDER BY status").fetchall()
    connection.close()
    assert kept == [("complete",), ("interrupted",)]


def assert_told(short: Future[Heard], long: Future[Heard]) -> None:
    assert short.result().events[-1] == "[DONE]"
    assert long.result().status == 200 and long.result().error["code"] == "not_ready"


@contextmanager
def up(engine_url: str, model_dir: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    (home / "ratchet.toml").write_text(
        f'model = "{model_dir}"\n[server]\nshutdown_s = {SHUTDOWN_S}\n[engine]\nurls = ["{engine_url}"]\n'
        f"shutdown_timeout_s = {SHUTDOWN_S - STREAMS_S - 1}\n"
    )
    command = [sys.executable, "-m", "service.cli", "up", "--home", str(home), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready_url(process: subprocess.Popen[str]) -> str:
    """The address that it prints once it is ready, after what its start was made of."""
    assert process.stdout is not None
    stages: list[str] = []
    for line in process.stdout:
        if line.startswith("Ready: "):
            assert stages == [
                "settings and imports", "database and its migration", "model", "service",
                "engine elsewhere", "adapters", "first answer", "in all, to the first answer",
            ]  # fmt: skip
            return line.split()[2]
        seconds, _, stage = line.strip().partition(" s  ")
        if stage:
            assert float(seconds) >= 0
            stages.append(stage)
    raise AssertionError("it ended without being ready")


def not_ready(url: str) -> str | None:
    """What the service says that it waits for; None while it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=10):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return str(json.loads(error.read())["waiting_for"])
