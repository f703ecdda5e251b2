"""Of balancing: what begins alike stays on one engine, what comes and goes moves little, and no engine is buried."""

from __future__ import annotations

from collections import Counter
from typing import Any

from learner.balancing import HEAD_TOKENS, choose, head_of_chat, head_of_tokens, rank

URLS = [f"http://10.0.0.{n}:8000" for n in range(4)]
HEADS = [f"prompt {n}".encode() for n in range(2000)]


def idle(urls: list[str] = URLS) -> dict[str, int]:
    return dict.fromkeys(urls, 0)


def test_each_engine_is_the_favourite_of_its_share() -> None:
    favourites = Counter(choose(head, idle()) for head in HEADS)
    assert all(430 <= favourites[url] <= 570 for url in URLS), favourites  # 500 expected, 3.6 standard deviations


def test_only_what_an_engine_had_moves_when_it_leaves() -> None:
    for head in HEADS:
        before, after = choose(head, idle()), choose(head, idle(URLS[:-1]))
        assert after == before or before == URLS[-1]


def test_a_favourite_is_kept_until_it_has_more_than_its_share_and_then_the_least_busy_is_taken() -> None:
    favourite, *others = rank(b"a prompt", URLS)
    busy = {favourite: 6, others[0]: 4, others[1]: 3, others[2]: 4}
    assert choose(b"a prompt", busy) == favourite  # 6 of 17: at most 1.25 * 17 / 4 + 1
    assert choose(b"a prompt", busy | {favourite: 7}) == others[1]


def test_no_engine_gets_much_more_than_its_share_of_one_beginning() -> None:
    loads = idle()
    for _ in range(400):
        loads[choose(b"the only prompt", loads)] += 1
    assert max(loads.values()) <= 1.25 * 100 + 2


def chat(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"model": "r1", "messages": [{"role": role, "content": content} for role, content in turns]}


def test_a_conversation_has_one_head_whatever_is_said_later_and_by_whatever_version() -> None:
    begun = chat(("system", "Be kind."), ("user", "Hello"))
    later = chat(("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi!"), ("user", "Bye")) | {"model": "r2"}
    assert head_of_chat(begun) == head_of_chat(later)
    assert head_of_chat(begun) != head_of_chat(chat(("system", "Be kind."), ("user", "Hullo")))
    assert head_of_chat(begun) != head_of_chat(chat(("system", "Be brief."), ("user", "Hello")))


def test_texts_have_one_head_where_they_begin_alike() -> None:
    beginning = list(range(HEAD_TOKENS))
    assert head_of_tokens([*beginning, 7]) == head_of_tokens([*beginning, 8, 9])
    assert head_of_tokens([1, *beginning]) != head_of_tokens(beginning)
