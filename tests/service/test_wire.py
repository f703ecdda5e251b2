"""What no database could keep is refused at the door, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from service.wire import ChatRequest, FeedbackRequest, MetadataChange

KEPT = "two\nlines\r\n\ttab, größe, 😀, \u2028 and an end\n"


def bodies(text: str) -> list[tuple[type, object]]:
    return [
        (ChatRequest, {"messages": [{"role": "user", "content": text}]}),
        (ChatRequest, {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}),
        (FeedbackRequest, {"completion_id": "x", "comment": text}),
        (FeedbackRequest, {"completion_id": "x", "correction": text}),
        (MetadataChange, {"metadata": {text: ""}}),
        (MetadataChange, {"metadata": {"key": text}}),
    ]


def texts(document: object) -> list[str]:
    """Every string in a document, keys too."""
    match document:
        case str():
            return [document]
        case list():
            return [text for item in document for text in texts(item)]
        case dict():
            return [text for pair in document.items() for item in pair for text in texts(item)]
        case _:
            return []


@pytest.mark.parametrize(("kind", "body"), bodies(KEPT))
def test_any_text_is_taken(kind: type, body: object) -> None:
    sent = msgspec.json.encode(body)
    assert KEPT in texts(msgspec.to_builtins(msgspec.json.decode(sent, type=kind)))


@pytest.mark.parametrize("place", ["\0", "a\0", "\0b", "a\n\0\n"])
def test_a_nul_is_refused_wherever_it_stands(place: str) -> None:
    for kind, body in bodies(place):
        with pytest.raises(msgspec.ValidationError, match=r"matching regex|has a NUL"):
            msgspec.json.decode(msgspec.json.encode(body), type=kind)
