"""What is said in a record: turns of a conversation, in the forms that other programs write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from storage.records import Role

ROLES = {
    "system": Role.SYSTEM, "developer": Role.SYSTEM,
    "user": Role.USER, "human": Role.USER, "prompter": Role.USER,
    "assistant": Role.ASSISTANT, "gpt": Role.ASSISTANT, "chatgpt": Role.ASSISTANT, "bot": Role.ASSISTANT, "model": Role.ASSISTANT,
}  # fmt: skip


class Turn(Struct, frozen=True):
    role: Role
    content: str


def read_turns(field: str, value: object) -> list[Turn]:
    """Turns from a list of `{role, content}` or `{from, value}`, also as JSON in a string. Raises ValueError."""
    if isinstance(value, str):
        value = _decode(field, value)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{field} is {_shown(value)}, expected a list of turns")
    return [_read_turn(f"turn {number} of {field}", one) for number, one in enumerate(value, 1)]


def has_weights(value: object) -> bool:
    """Whether some turn is not to be learnt, as OpenAI's fine-tuning files say it."""
    return isinstance(value, list) and any(isinstance(one, Mapping) and one.get("weight") == 0 for one in value)


def read_weighed(field: str, value: object) -> list[Turn]:
    """Turns up to the last answer that weighs something, which is the one to learn. Raises ValueError."""
    turns = read_turns(field, value)
    weights = [one.get("weight") for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
    ends = [
        at for at, (turn, weight) in enumerate(zip(turns, weights, strict=False), 1) if turn.role is Role.ASSISTANT and weight != 0
    ]
    if not ends:
        raise ValueError(f"no answer in {field} weighs more than 0")
    return turns[: ends[-1]]


def read_words(field: str, value: object) -> str:
    """A text that says something. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{field} is {_shown(value)}, expected text")
    if not value.strip():
        raise ValueError(f"{field} is empty")
    return value


def read_prompt(field: str, value: object) -> list[Turn]:
    """What an answer answers: a text, or turns that end with the person's. Raises ValueError."""
    if isinstance(value, str) and not value.lstrip().startswith("[{"):
        return [Turn(Role.USER, read_words(field, value))]
    turns = read_turns(field, value)
    if turns[-1].role is not Role.USER:
        raise ValueError(f"{field} ends with a turn of {turns[-1].role.value!r}, expected 'user'")
    return turns


def read_answer(field: str, value: object) -> tuple[list[Turn], str]:
    """An answer, and the turns before it where it comes with them. Raises ValueError."""
    if isinstance(value, str) and not value.lstrip().startswith("[{"):
        return [], read_words(field, value)
    *before, last = read_turns(field, value)
    if last.role is not Role.ASSISTANT:
        raise ValueError(f"{field} ends with a turn of {last.role.value!r}, expected 'assistant'")
    return before, last.content


def check_answered(turns: Sequence[Turn]) -> list[Turn]:
    """A chat in which somebody asks and is answered. Raises ValueError."""
    roles = {turn.role for turn in turns}
    if Role.USER not in roles or Role.ASSISTANT not in roles:
        raise ValueError("has no answer to a person's turn")
    return list(turns)


def _read_turn(place: str, value: object) -> Turn:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {_shown(value)}, expected {{role, content}} or {{from, value}}")
    said = value.get("role", value.get("from"))
    role = ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise ValueError(f"{place} has the role {_shown(said)}, expected 'system', 'user' or 'assistant'")
    content = value.get("content", value.get("value"))
    if isinstance(content, list):  # OpenAI's parts
        content = "".join(_part(place, part) for part in content)
    return Turn(role, read_words(f"the content of {place}", content))


def _part(place: str, part: object) -> str:
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise ValueError(f"{place} has a part of type {_shown(kind)}, expected only text")


def _decode(field: str, value: str) -> object:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError(f"{field} is {_shown(value)}, expected a list of turns") from None


def _shown(value: object) -> str:
    """A value as a message quotes it: short."""
    if isinstance(value, list | Mapping):
        return "an empty list" if value == [] else f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}…"
