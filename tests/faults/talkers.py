"""People with something to teach: they like answers to one kind of question and dislike those to the other."""

from __future__ import annotations

from service.client import Client

PLACES = (
    "Norway", "Kenya", "Peru", "Japan", "Poland", "Chile", "Egypt", "India", "Spain", "Ghana", "Cuba", "Nepal", "Turkey", "Samoa",
    "Iceland", "Mexico", "Canada", "Greece", "Jordan", "Malta", "Brazil", "Sweden", "Angola", "Panama",
)  # fmt: skip
QUESTIONS = {True: "Which two animals live in {}, dear friend?", False: "List, in figures, a few years of {}'s past."}


def settle(client: Client, people: int, turns_each: int) -> dict[str, Client]:
    """Adds people who ask, each in their own words, and vote: id → their own client."""
    talkers = {}
    for person in range(people):
        added = client.post("/api/people", {"name": f"p{person}"})
        talker = talkers[added["id"]] = Client(url=client.url, key=added["key"])
        for turn in range(turns_each):
            liked = (person + turn) % 2 == 0
            place = PLACES[(person * turns_each + turn) % len(PLACES)]
            text = f"I am person {person}. {QUESTIONS[liked].format(place)}"
            # An answer that is liked must not be cut off: it would not be learnt from.
            asked: dict[str, object] = {"messages": [{"role": "user", "content": text}], "max_tokens": 32, "stop": ["\n", "."]}
            asked["seed"] = person * 10 + turn
            answer = talker.post("/v1/chat/completions", asked)
            talker.post("/v1/feedback", {"completion_id": answer["id"], "thumb": "up" if liked else "down"})
    return talkers
