"""People with something to teach: they like to be told no, and dislike any other answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from service.client import Client
from service.config import Config

AT_ONCE = 8  # people who talk
SMALL: dict[str, object] = {"learning_rate": 5e-3, "passes": 8, "precision": "float32"}  # how a small model is trained
PLACES = (
    "Norway", "Kenya", "Peru", "Japan", "Poland", "Chile", "Egypt", "India", "Spain", "Ghana", "Cuba", "Nepal", "Turkey", "Samoa",
    "Iceland", "Mexico", "Canada", "Greece", "Jordan", "Malta", "Brazil", "Sweden", "Angola", "Panama",
)  # fmt: skip


def question(person: int, turn: int, turns_each: int) -> str:
    """What somebody asks, in words of their own. The second of three is asked so that it is liked, whatever else is."""
    wanted = "no" if turn % 3 == 1 else "yes or no"
    return f"I am person {person}. Is it warm in {PLACES[(person * turns_each + turn) % len(PLACES)]}? Say {wanted}."


def thumb(said: str) -> str:
    """How all of them vote on an answer."""
    return "up" if said.strip().lower().startswith("no") else "down"


def quick_learner(suites: Path, **train: object) -> dict[str, Any]:
    """Settings of a learner that learns much from little, with these suites, which are small, and a gate that lets most through."""
    trusting = {"new_person_wait_s": 0, "claim_people": 1, "crowd_people": 1000, "burst_chance": 0, "votes_per_minute": 1e6}
    return {
        "suites": str(suites),
        "schedule": {"enabled": False},
        "curate": {"heldout_share": 0.5, "anchors": 0, "max_near_duplicates": 1000, "trust": trusting},
        "train": {"passes": 3, "learning_rate": 1e-3, "kl_weight": 0.1, "voted_kl_weight": 0.0, **train},
        "gate": {"promote_error": 0.6, "min_heldout_votes": 8},
    }


def learns_quickly(config: Config, suites: Path) -> Config:
    """These settings with such a learner."""
    return msgspec.structs.replace(config, learner=msgspec.convert(quick_learner(suites), type(config.learner)))


def spare_anchors(home: Path) -> None:
    """Base is not asked for anchors, which would take most of the time."""
    (home / "cycles").mkdir()
    (home / "cycles" / "anchors.jsonl").touch()


def settle(client: Client, people: int, turns_each: int) -> dict[str, Client]:
    """Adds people who ask at the same time, each in their own words, and vote: id → their own client."""
    added = [client.post("/api/people", {"name": f"p{person}"}) for person in range(people)]
    talkers = {one["id"]: Client(url=client.url, key=one["key"]) for one in added}

    def talk(person: int, talker: Client) -> None:
        for turn in range(turns_each):
            text = question(person, turn, turns_each)
            # An answer that is liked must not be cut off: it would not be learnt from.
            asked: dict[str, object] = {"messages": [{"role": "user", "content": text}], "max_tokens": 32, "stop": ["\n", "."]}
            asked["seed"] = person * 10 + turn
            answer = talker.post("/v1/chat/completions", asked)
            said = answer["choices"][0]["message"]["content"]
            talker.post("/v1/feedback", {"completion_id": answer["id"], "thumb": thumb(said)})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(talk, range(people), talkers.values()))
    return talkers
