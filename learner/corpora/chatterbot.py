"""ChatterBot's YAML: `conversations`, a list of lists of turns, said in turn by a person and the bot.

Only the parser's events are read: nothing is built from tags or aliases, every turn is text as it was written, and what is
in memory is one conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml import events

from learner.corpora.files import encoding_of
from learner.corpora.spec import MAX_RECORD_CHARS, Entry, Skipped, Unreadable

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml, the same ten times slower
LIST = "conversations"
MAX_DEPTH = 100  # a parser takes long over deeper ones


def read_chatterbot(file: Path) -> Iterator[Entry | Skipped]:
    """A conversation is a record of `messages`. Raises `Unreadable` for what is not YAML, or has no conversations."""
    try:
        with file.open(encoding=encoding_of(file)) as stream:
            yield from _read(_Events(yaml.parse(stream, Loader=LOADER)))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Unreadable(f"the file is not YAML{place} ({problem})") from error


class _Events:
    """The parser's events, none of them an alias, with the way past a whole node."""

    def __init__(self, parsed: Iterator[events.Event]) -> None:
        self._depth = 0
        self._parsed = (event for event in parsed if not isinstance(event, events.StreamStartEvent | events.DocumentStartEvent))

    def next(self) -> events.Event:
        event = next(self._parsed)
        self._depth += isinstance(event, events.CollectionStartEvent) - isinstance(event, events.CollectionEndEvent)
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"line {event.start_mark.line + 1} is nested too deeply: expected a list of lists of turns")
        if isinstance(event, events.AliasEvent):
            raise Unreadable(f"line {event.start_mark.line + 1} has the alias *{event.anchor}: expected dialogues written out")
        return event

    def skip(self, begun: events.Event) -> None:
        """Goes to the end of the node that began with this event."""
        outside = self._depth - isinstance(begun, events.CollectionStartEvent)
        while self._depth > outside:
            self.next()


def _read(found: _Events) -> Iterator[Entry | Skipped]:
    if not isinstance(found.next(), events.MappingStartEvent):
        raise Unreadable(f"the file is no mapping: expected `{LIST}:`, a list of lists of turns")
    keys = []
    while isinstance(key := found.next(), events.ScalarEvent):
        keys.append(key.value)
        value = found.next()
        if key.value != LIST:
            found.skip(value)
        elif isinstance(value, events.SequenceStartEvent):
            yield from _read_conversations(found)
        else:
            raise Unreadable(f"`{LIST}` is no list: expected a list of lists of turns")
    if LIST not in keys:
        raise Unreadable(f"the file has the keys {', '.join(keys)[:200]!r}, expected {LIST!r}")


def _read_conversations(found: _Events) -> Iterator[Entry | Skipped]:
    number = 0
    while not isinstance(begun := found.next(), events.SequenceEndEvent):
        number += 1
        place = f"conversation {number} (line {begun.start_mark.line + 1})"
        if isinstance(begun, events.SequenceStartEvent):
            yield _read_turns(place, found)
        else:
            found.skip(begun)
            yield Skipped(place, "is no list of turns")


def _read_turns(place: str, found: _Events) -> Entry | Skipped:
    turns: list[str] = []
    problem, chars = "", 0
    while not isinstance(event := found.next(), events.SequenceEndEvent):
        if isinstance(event, events.ScalarEvent):
            chars += len(event.value)
            if chars <= MAX_RECORD_CHARS:
                turns.append(event.value)
        else:
            problem = problem or f"its turn {len(turns) + 1} is no text: expected quotes around what holds ': '"
            found.skip(event)
    if problem or chars > MAX_RECORD_CHARS:
        return Skipped(place, problem or f"has {chars} characters, expected at most {MAX_RECORD_CHARS}")
    roles = ("user", "assistant")
    return Entry(place, {"messages": [{"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)]})
