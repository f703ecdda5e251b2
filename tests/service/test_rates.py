"""What a person, and a key, may ask for in a minute and in a day; the rest is refused with when to come again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from service.auth import Asker, person_of
from service.bench.tiny_model import make_tiny_model
from service.config import LimitSettings, RateSettings
from service.problem import Problem
from service.rates import DAY_S, MANY, Rates
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import config_for, scripted_chat
from tests.service.visitor import visit

ANN, BOB = Asker(person_of("key", "ann")), Asker(person_of("key", "bob"))


class Counted:
    """Rates at a time that is set."""

    def __init__(self, person: RateSettings | None = None, key: RateSettings | None = None) -> None:
        self.now_s = DAY_S * 100 + 3600
        self.rates = Rates(LimitSettings(person or RateSettings(), key or RateSettings()), lambda: self.now_s)

    def answer(self, asker: Asker = ANN, tokens: int = 0) -> dict[str, str]:
        """The headers that an answer of so many tokens begins with."""
        charge = self.rates.take_answer(asker)
        headers = charge.headers
        charge.settle(tokens)
        return headers

    def refused(self, asker: Asker = ANN) -> Problem:
        with pytest.raises(Problem) as refused:
            self.rates.take_answer(asker)
        assert refused.value.status == 429
        return refused.value


def test_requests_refill_through_the_minute_for_each_by_themselves() -> None:
    counted = Counted(RateSettings(requests_per_minute=2))
    assert counted.answer()["x-ratelimit-remaining-requests"] == "1"
    assert counted.answer() == {
        "x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s",
    }  # fmt: skip
    told = counted.refused()
    assert "2 requests a minute are yours" in told.message and "try again in 30s" in told.message
    assert (told.headers["Retry-After"], told.headers["x-ratelimit-remaining-requests"]) == ("30", "0")
    counted.answer(BOB)
    counted.now_s += 30
    counted.answer()
    counted.refused()


def test_tokens_are_owed_once_an_answer_has_ended() -> None:
    counted = Counted(RateSettings(tokens_per_minute=600))
    assert counted.answer(tokens=900)["x-ratelimit-remaining-tokens"] == "600"
    told = counted.refused()
    assert told.headers["x-ratelimit-remaining-tokens"] == "0" and told.headers["Retry-After"] == "31"
    counted.now_s += 32
    assert 0 < int(counted.answer()["x-ratelimit-remaining-tokens"]) < 60


def test_a_days_cap_holds_until_the_day_of_utc_is_over() -> None:
    counted = Counted(RateSettings(tokens_per_day=100, requests_per_day=5))
    counted.answer(tokens=100)
    told = counted.refused()
    assert "100 tokens a day" in told.message and told.headers["Retry-After"] == str(23 * 3600)
    assert told.headers["x-ratelimit-reset-tokens"] == "23h0m0s"
    counted.now_s += 23 * 3600
    for _ in range(5):
        counted.answer()
    assert "5 requests a day" in counted.refused().message


def test_a_key_has_limits_of_its_own_beside_those_of_its_person() -> None:
    counted = Counted(RateSettings(requests_per_minute=3), RateSettings(requests_per_minute=1))
    first, second = (replace(ANN, key_sha256=name) for name in ("first", "second"))
    assert counted.answer(first)["x-ratelimit-limit-requests"] == "1"
    assert "1 requests a minute" in counted.refused(first).message
    counted.answer(second)
    counted.answer(ANN)
    assert "3 requests a minute" in counted.refused(ANN).message


def test_votes_have_a_rate_and_without_any_nothing_is_counted() -> None:
    counted = Counted(RateSettings(feedback_per_minute=2))
    for _ in range(2):
        counted.rates.take_feedback(ANN)
    with pytest.raises(Problem, match="2 feedback a minute"):
        counted.rates.take_feedback(ANN)
    for _ in range(50):
        assert counted.answer() == {}


def test_accounts_that_nothing_is_held_against_are_let_go() -> None:
    counted = Counted(RateSettings(requests_per_minute=1))
    counted.answer()
    for number in range(MANY):
        counted.answer(Asker(person_of("key", str(number))))
        counted.now_s += 1
    counted.answer(BOB)
    assert len(counted.rates._accounts) < 100


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("rates")
    (home := folder / "home").mkdir()
    limits = LimitSettings(RateSettings(requests_per_minute=3, tokens_per_minute=1000, feedback_per_minute=1))
    with scripted_chat() as engine:
        config = replace(config_for(engine.url, make_tiny_model(Path(folder / "model"))), limits=limits)
        with run_service(home, config) as service:
            service.parts.rates._clock = lambda: 5.0  # or a slow machine would have some of it back
            yield service


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_what_is_left_and_what_is_too_much_is_refused(service: Service, stream: bool) -> None:
    body = {"model": "ratchet", "messages": [{"role": "user", "content": "Well?"}], "stream": stream}
    key = f"asks-{stream}"
    left = []
    for _ in range(3):
        heard = visit(service.url, "POST", "/v1/chat/completions", body, key)
        assert heard.status == 200
        left.append((heard.headers["x-ratelimit-remaining-requests"], int(heard.headers["x-ratelimit-remaining-tokens"])))
    assert [requests for requests, _ in left] == ["2", "1", "0"]
    assert left[2][1] < left[0][1] <= 1000, "answers that ended are counted"
    heard = visit(service.url, "POST", "/v1/chat/completions", body, key)
    assert heard.status == 429 and int(heard.headers["Retry-After"]) > 2
    assert heard.json()["error"]["type"] == "rate_limit_error"  # type: ignore[index]


def test_too_many_votes_are_refused(service: Service) -> None:
    answer = service.chat("Which?", key="votes")
    vote = {"completion_id": answer["id"], "thumb": "up"}
    assert visit(service.url, "POST", "/v1/feedback", vote, "votes").status == 200
    heard = visit(service.url, "POST", "/v1/feedback", vote, "votes")
    assert heard.status == 429 and heard.headers["Retry-After"] == "60"
