"""Twice as many clients as there is room for: half are told at once to come back, nobody's accepted turn is lost, and when the
load falls the next one is served."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import psutil
import pytest

from storage.records import MessageStatus
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import WORDS, ScriptedChat, Talk, answers, config_for
from tests.faults.streams import Heard, hear
from tests.faults.test_clients import answers_of, wait_until

CAPACITY = 6
CLIENTS = 2 * CAPACITY
ROUNDS = 8
WANTED = 5  # answers that each client of a free run wants
MOST_GROWN_BYTES = 64 * 2**20  # of the process over a run: far above noise, far below what piling up would take


class Room:
    """An engine that answers once its door is open, and knows how many it had in it at most."""

    def __init__(self) -> None:
        self.inside = self.most = self.came = 0
        self.open = threading.Event()

    async def script(self, talk: Talk) -> None:
        self.inside, self.came = self.inside + 1, self.came + 1
        self.most = max(self.most, self.inside)
        try:
            while not self.open.is_set():
                await asyncio.sleep(0.005)
            await talk.answer(*WORDS)
        finally:
            self.inside -= 1


@pytest.fixture
def room(chat_engine: ScriptedChat) -> Iterator[Room]:
    found = Room()
    chat_engine.script = found.script
    yield found
    found.open.set()
    chat_engine.script = answers


@pytest.fixture
def service(chat_engine: ScriptedChat, small_model: Path, tmp_path: Path) -> Iterator[Service]:
    with run_service(tmp_path, config_for(chat_engine.url, small_model, answers=CAPACITY)) as running:
        yield running


def is_shed(heard: Heard) -> bool:
    """Whether it was sent away, as everybody who is sent away must be."""
    if heard.status == 200:
        assert heard.text == "".join(WORDS) if len(heard.events) > 1 else heard.events[0]["choices"]
        return False
    assert heard.status in (429, 503), heard
    assert heard.error["code"] in ("rate_limit_exceeded", "overloaded") and int(heard.headers["retry-after"]) > 0
    return True


def settled(service: Service, room: Room) -> None:
    """Nothing of what was asked is in the making any more."""
    wait_until(lambda: room.inside == 0 and service.parts.engine.members[0].in_flight == 0, "the end of all answers")


def assert_kept(service: Service, accepted: list[Heard]) -> None:
    kept = {message.id: message for message in answers_of(service)}
    assert len(kept) == len(accepted)
    assert {heard.id for heard in accepted} == set(kept), "an accepted turn is not there, or a refused one is"
    assert {message.status for message in kept.values()} == {MessageStatus.COMPLETE}
    assert {message.content for message in kept.values()} == {"".join(WORDS)}


def test_at_twice_capacity_half_are_shed_and_every_accepted_turn_is_kept(service: Service, room: Room) -> None:
    accepted: list[Heard] = []
    before_bytes = psutil.Process().memory_info().rss
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(ROUNDS):
            room.open.clear()
            asked = [pool.submit(hear, service.url, f"person {n}", stream=(n + number) % 2 == 0) for n in range(CLIENTS)]
            wait_until(lambda: room.inside == CAPACITY, "a full engine")
            wait_until(lambda asked=asked: sum(one.done() for one in asked) == CLIENTS - CAPACITY, "the refusal of the others")
            shed = [one.result() for one in asked if one.done()]
            assert all(map(is_shed, shed))
            room.open.set()
            accepted += whole(asked)
            settled(service, room)
            after = hear(service.url, "the next one")
            assert not is_shed(after), "the load has fallen, and somebody is sent away"
            accepted.append(after)
            settled(service, room)
    assert room.most == CAPACITY and room.came == len(accepted) == ROUNDS * (CAPACITY + 1)
    assert_kept(service, accepted)
    assert psutil.Process().memory_info().rss - before_bytes < MOST_GROWN_BYTES


def whole(asked: list[Future[Heard]]) -> list[Heard]:
    """Those that were answered."""
    return [one.result() for one in asked if one.result().status == 200 and not is_shed(one.result())]


def test_clients_that_come_back_as_they_are_told_are_all_served_in_the_end(service: Service, room: Room) -> None:
    room.open.set()
    told: Counter[bool] = Counter()
    lock, numbers = threading.Lock(), count()
    accepted: list[Heard] = []

    def wants(person: str) -> None:
        left = WANTED
        while left:
            heard = hear(service.url, person, stream=next(numbers) % 2 == 0)
            with lock:
                told[is_shed(heard)] += 1
                if heard.status == 200:
                    accepted.append(heard)
                    left -= 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        for one in [pool.submit(wants, f"person {n}") for n in range(CLIENTS)]:
            one.result()
    settled(service, room)
    assert told[False] == CLIENTS * WANTED == room.came
    assert room.most <= CAPACITY
    assert_kept(service, accepted)
