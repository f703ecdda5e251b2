"""What `ratchet adapters` says of versions that are live, tried or taken away: lines, documents, exit statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from litestar import Litestar, Router
from litestar.di import Provide

from learner import rollout
from learner.config import ReleaseSettings
from service import releases
from service.canary_keeper import CanaryKeeper
from service.errors import respond
from storage.records import AdapterState, CanaryState
from tests.learner.trials import STAGED, Trials, trials
from tests.service.command_line import Served, printed, run, serve

FIRST, SECOND = "r1-00000000", "r2-00000000"


class Operated:
    """A home that is served, and what commands do to it."""

    def __init__(self, world: Trials, served: Served) -> None:
        self.world, self._served = world, served

    def begin(self, live: str = "base") -> str:
        """A version that is tried against this one; gives its name."""
        return self._served.call(self.world.begin(live)).adapter

    def promote(self, name: str) -> None:
        world = self.world

        async def go() -> None:
            await rollout.promote(world.context, await world.canary(name), "test", "good")

        self._served.call(go())

    def answer(self, person: str, version: str, thumb: str) -> None:
        self._served.call(self.world.answer(person, version, [thumb]))

    def state(self, name: str) -> tuple[CanaryState, AdapterState]:
        return self._served.call(self.world.canary(name)).state, self._served.call(self.world.state(name))


@pytest.fixture
def settings() -> ReleaseSettings:
    return STAGED


@pytest.fixture
def operated(
    settings: ReleaseSettings, tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operated]:
    """The command line beside a service where base is live."""
    worlds, keepers = list[Trials](), list[CanaryKeeper]()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with trials(tmp_path / "home", *tiny, settings) as world:
            worlds.append(world)
            keepers.append(CanaryKeeper(world.context, lambda: False))
            yield

    provided = {"context": lambda: worlds[0].context, "keeper": lambda: keepers[0], "actor": lambda: "operator"}
    app = Litestar(
        [Router("/api", route_handlers=releases.HANDLERS)],
        dependencies={name: Provide(part, sync_to_thread=False) for name, part in provided.items()},
        lifespan=[lifespan],
        exception_handlers={Exception: respond},
    )
    with serve(app) as served:
        monkeypatch.setenv("RATCHET_URL", served.url)
        monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))
        yield Operated(worlds[0], served)


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a command that works prints for people."""
    assert run(*arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_status_tells_what_is_live_what_is_tried_and_how_it_does(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, "adapters", "canary") == ["live: base (before: None), mode: staged"]
    operated.begin()
    operated.answer("ann", FIRST, "up")
    assert lines(capsys, "adapters", "canary") == [
        "live: base (before: None), mode: staged",
        "r1-00000000      running          against base: people like it",
        "    stage 1 of 3, 5% of the people",
        "    1 people voted on its answers; expected 2",
    ]
    status = printed(capsys, "adapters", "canary")
    assert (status["live"], status["shares"], status["ended"]) == ("base", [0.05, 0.25, 1.0], [])
    [trial] = status["trials"]
    assert (trial["canary"]["adapter"], trial["share"], trial["judgement"]["people"]) == (FIRST, 0.05, 1)
    assert run("adapters", "canary", FIRST, "--withdraw") == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["r1-00000000      rolled_back      against base: taken back by an operator"]
    assert lines(capsys, "adapters", "canary")[1:] == told


def test_a_word_on_what_is_tried(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.begin()
    operated.begin()
    assert lines(capsys, "adapters", "canary", FIRST, "--hold") == [
        "r1-00000000      held             against base: held by an operator"
    ]
    assert printed(capsys, "adapters", "canary", FIRST, "--resume")["state"] == "running"
    assert lines(capsys, "adapters", "promote", FIRST) == ["live: r1-00000000 (before: base)"]
    assert operated.state(FIRST) == (CanaryState.PROMOTED, AdapterState.LIVE)
    assert operated.state(SECOND) == (CanaryState.ENDED, AdapterState.REJECTED)


@pytest.mark.parametrize("settings", [ReleaseSettings(mode="approve")])
def test_a_word_on_what_waits_for_one(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.begin()
    operated.begin()
    waiting = "r1-00000000      waiting_approval against base: people like it"
    assert lines(capsys, "adapters", "canary")[1:3] == [waiting, "    stage 1 of 3, 0% of the people"]
    declined = printed(capsys, "adapters", "canary", SECOND, "--withdraw")
    assert (declined["state"], operated.state(SECOND)[1]) == ("ended", AdapterState.REJECTED)
    moved = printed(capsys, "adapters", "promote", FIRST)
    assert (moved["adapter"], moved["previous"]) == (FIRST, "base") and "served log-probs" in moved["proof"]


def test_what_is_refused_is_one_line_and_changes_nothing(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.begin()
    for arguments, told in (
        (("adapters", "canary", FIRST, "--resume"), "r1-00000000 is running, expected held"),
        (("adapters", "canary", "r9-00000000", "--hold"), "'r9-00000000' was never tried"),
        (("adapters", "promote", "r9-00000000"), "'r9-00000000' was never tried"),
        (("adapters", "rollback"), "there is no version before 'base' to roll back to"),
        (("adapters", "rollback", "--to", FIRST), "r1-00000000 is canary, expected a retired version"),
        (("adapters", "rollback", "--to", "r9-00000000"), "there is no adapter 'r9-00000000'"),
        (("adapters", "quarantine", FIRST, "--reason", " "), "the reason is ' '; expected words that say why"),
        (("adapters", "quarantine", "base", "--reason", "rude"), "base is always there: it cannot be quarantined"),
        (("adapters", "restore", FIRST, "--reason", "fine"), "r1-00000000 is canary, expected a quarantined version"),
    ):
        assert run(*arguments) == 1
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"ratchet: {told}\n")
    assert operated.state(FIRST) == (CanaryState.RUNNING, AdapterState.CANARY)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("promote", "NAME"),
        ("forget r1", "there is no command 'forget'"),
        ("quarantine r1", "--reason"),
        ("restore r1", "--reason"),
        ("canary --hold", "expected a NAME and one of --hold, --resume, --withdraw"),
        ("canary r1", "expected a NAME and one of --hold, --resume, --withdraw"),
    ],
)
def test_misuse_has_a_status_of_its_own(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("adapters", *words.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ratchet adapters") and told in err and err.count("\n") == 1


def test_a_rollback_goes_to_the_version_before_or_to_one_that_is_named(
    operated: Operated, capsys: pytest.CaptureFixture[str]
) -> None:
    for live in ("base", FIRST):
        operated.promote(operated.begin(live))
    assert lines(capsys, "adapters", "rollback") == ["live: r1-00000000 (before: r2-00000000)"]
    moved = printed(capsys, "adapters", "rollback", "--to", "base")
    assert (moved["adapter"], moved["previous"]) == ("base", FIRST)


def test_what_is_quarantined_comes_back_for_a_reason(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.promote(operated.begin())
    assert lines(capsys, "adapters", "quarantine", FIRST, "--reason", "it is rude") == ["r1-00000000 is quarantined"]
    assert lines(capsys, "adapters", "canary")[0] == "live: base (before: None), mode: staged"
    assert run("adapters", "rollback", "--to", FIRST) == 1
    assert "r1-00000000 is quarantined, expected a retired version" in capsys.readouterr().err
    assert printed(capsys, "adapters", "restore", FIRST, "--reason", "a mistake")["state"] == "retired"
    assert lines(capsys, "adapters", "rollback", "--to", FIRST) == ["live: r1-00000000 (before: base)"]


def test_without_a_service_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RATCHET_URL", raising=False)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    assert run("adapters", "canary") == 1
    assert capsys.readouterr().err.startswith("ratchet: no service found: start one with `ratchet up`")
