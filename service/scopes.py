"""What a key may be for, within its role: a key that names no scope is for all of it."""

from __future__ import annotations

from collections.abc import Sequence

from service.problem import Problem

CHAT, FEEDBACK, DATA, READ, OPERATE = "chat", "feedback", "data", "read", "operate"
SCOPES = {
    CHAT: "asking for answers, and which models there are",
    FEEDBACK: "votes and words on answers, one's own to read too",
    DATA: "one's own conversations, stored answers, consent, export and end",
    READ: "what operators see",
    OPERATE: "what operators do",
}
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def scope_of(method: str, path: str) -> str:
    """What a request under `/v1` or `/api` needs of a key with scopes."""
    if path.startswith("/api/"):
        return READ if method in SAFE_METHODS else OPERATE
    if path.startswith("/v1/feedback"):
        return FEEDBACK
    if path == "/v1/models" or (method, path) == ("POST", "/v1/chat/completions"):
        return CHAT
    return DATA


def check_scopes(named: Sequence[str]) -> None:
    """Raises `invalid_request` for a scope that there is not."""
    if unknown := [name for name in named if name not in SCOPES]:
        raise Problem("invalid_request", f"there is no scope {unknown[0]!r}: expected {', '.join(SCOPES)}", "scopes")
