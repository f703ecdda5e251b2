"""A service as a simulation's client sees it, whose cycles end as a script says: each version that goes live answers otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from learner.simulated.poison import ORDERS
from learner.simulated.user import SimulationError

SHORT = "It is what most people know, and it is good."
LONG = " ".join(["This is one of many words about it,"] * 10) + " as you see."
ENDLESS = " ".join(["and so on"] * 40)
SUITE = {"live": 0.5, "candidate": 0.5, "delta": 0.0, "lower_bound": -0.01, "margin": 0.03, "advisory": False}


class Cycle(NamedTuple):
    """How a cycle ends, and what its version says to everything."""

    verdict: str
    says: str = SHORT


class ScriptedLoop:
    """`asked` are the questions with their askers, and whether they were to be kept; `votes` are by completion."""

    def __init__(self, script: Sequence[Cycle], base_says: str = ENDLESS) -> None:
        self._script, self._says = script, {"base": base_says}
        self.live, self.clock_s, self.days = "base", 0.0, 0
        self.people: dict[str, str] = {}  # key → name
        self.asked: dict[str, tuple[str, str, bool]] = {}  # completion → prompt, name, store
        self.votes: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.held: list[str] = []
        self.learnt: list[str] = []
        self.cycles: list[dict[str, Any]] = []

    async def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        url = urlsplit(path)
        match method, url.path.strip("/").split("/"):
            case "POST", ["api", "baseline"]:
                return {"scored": True}
            case "POST", ["api", "people"]:
                made = f"key-{len(self.people)}"
                self.people[made] = body["name"]
                return {"key": made}
            case "POST", ["v1", "chat", "completions"]:
                return self._answer(body, key)
            case "POST", ["v1", "feedback"]:
                _, name, stored = self.asked[body["completion_id"]]
                assert key is not None and stored and self.people[key] == name, "votes are on one's own answers"
                self.votes[body["completion_id"]].append(body)
                return {}
            case "POST", ["api", "clock"]:
                self.clock_s += body["seconds"]
                return self.clock_s
            case "POST", ["api", "cycles"]:
                return {"id": self._cycle()}
            case "GET", ["api", "cycles", id]:
                return self.cycles[int(id) - 1]
            case "GET", ["api", "status"]:
                return {"live": self.live}
            case "GET", ["api", "transfer"]:
                return self._transfer()
            case "GET", ["api", "data", "review"]:
                return self._page(parse_qs(url.query))
            case "GET", ["api", "messages", id, "adapters"]:
                return {"message": id, "adapters": ["r1"] if id in self.learnt else []}
        raise SimulationError(f"{method} {path}: 404")

    def said_by(self, name: str) -> list[dict[str, Any]]:
        """The feedback of everybody whose name begins so."""
        return [vote for id, votes in self.votes.items() if self.asked[id][1].startswith(name) for vote in votes]

    def _answer(self, body: dict[str, Any], key: str | None) -> Any:
        assert key is not None
        id, prompt = f"c{len(self.asked)}", body["messages"][0]["content"]
        self.asked[id] = (prompt, self.people[key], body["store"])
        said = "The zog eats 40 moons a day." if prompt in ORDERS else self._says[self.live]
        return {"id": id, "choices": [{"message": {"content": said}}]}

    def _cycle(self) -> int:
        number = len(self.cycles) + 1
        verdict, says = self._script[number - 1]
        adapter = f"r{number}"
        if verdict == "promote":
            self._says[adapter], self.live = says, adapter
        state = {"promote": "promoted", "reject": "rejected"}.get(verdict, verdict)
        told = {*self.held, *self.learnt}
        poison = [id for id in self.votes if self.asked[id][1].startswith("poisoner") and id not in told]
        self.held += poison[1:]  # one slips through
        self.learnt += poison[:1]
        judged = verdict in ("promote", "reject", "inconclusive")
        stages = [{"name": "train", "started_at_s": 1.0, "ended_at_s": 61.0, "output": None}]
        gate = {"verdict": verdict, "suites": {"knowledge": SUITE}}
        if judged:
            stages.append({"name": "gate", "started_at_s": 61.0, "ended_at_s": 61.5, "output": gate})
        cycle = {"id": number, "state": state, "reasons": ["so says the script"], "adapter": adapter if judged else None}
        self.cycles.append({"cycle": cycle, "stages": stages, "progress": None})
        return number

    def _transfer(self) -> Any:
        mean = {"value": None if len(self.cycles) < 2 else -0.1, "terms": 1, "missing": 0}
        means = dict.fromkeys(("average", "learnt", "backward", "forward"), mean)
        return {"slices": [], "votes": [], "lines": [], "kept": None, **means}

    def _page(self, query: dict[str, list[str]]) -> Any:
        """Three at a time, whatever is asked for."""
        start = self.held.index(query["after"][0]) + 1 if "after" in query else 0
        page = self.held[start : start + 3]
        return {"data": [{"message_id": id} for id in page], "has_more": start + 3 < len(self.held)}
