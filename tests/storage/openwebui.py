"""Open WebUI's exports, in the shapes its program writes them, with what is of no use here left in."""

from __future__ import annotations

from typing import Any

CREATED_S = 1_732_000_000


def said(id: str, parent: str | None, role: str, content: object, *children: str, **more: object) -> dict[str, Any]:
    node = {"id": id, "parentId": parent, "childrenIds": list(children), "role": role, "content": content}
    return {**node, "timestamp": CREATED_S + 10, **more}


def answered(id: str, parent: str, content: object, *children: str, **more: object) -> dict[str, Any]:
    model = {"model": "llama3.1:8b", "modelName": "llama3.1:8b", "modelIdx": 0, "done": True, "userContext": None}
    return said(id, parent, "assistant", content, *children, **model, **more)


def chat(id: str = "c1", user: str = "u1", **more: object) -> dict[str, Any]:
    """A question with two answers, of which the second was rated and led on."""
    rating = {"rating": 1, "reason": "accurate_information", "comment": "", "tags": ["Geography", "Europe"]}
    nodes = [
        said("q1", None, "user", "Capital of France?", "a1", "a2", models=["llama3.1:8b"]),
        answered("a1", "q1", "Lyon."),
        answered("a2", "q1", "Paris.", "q2", annotation={**rating, "details": {"rating": 9}}, feedbackId="f0"),
        said("q2", "a2", "user", [{"type": "text", "text": "And of Italy?"}, {"type": "image_url", "image_url": {}}], "a3"),
        answered("a3", "q2", "Rome.", error=None),
    ]
    body = {
        "id": "",
        "title": "Capitals",
        "models": ["llama3.1:8b"],
        "params": {"system": "Be brief."},
        "history": {"messages": {node["id"]: node for node in nodes}, "currentId": "a3"},
        "messages": [],
        "tags": [],
        "timestamp": CREATED_S * 1000,
        "files": [],
    }
    times = {"created_at": CREATED_S, "updated_at": CREATED_S + 60, "share_id": None, "archived": False, "pinned": False}
    return {"id": id, "user_id": user, "title": "Capitals", "chat": body, **times, "meta": {}, "folder_id": None, **more}


def rated(message_id: str = "a1", user: str = "u1", of: dict[str, Any] | None = None, **data: object) -> dict[str, Any]:
    """A thumb down for the first answer, a while after the chat."""
    said = {"rating": -1, "model_id": "llama3.1:8b", "sibling_model_ids": ["llama3.1:8b"], "reason": "not_factually_correct"}
    meta = {"arena": False, "model_id": "llama3.1:8b", "message_id": message_id, "message_index": 2, "chat_id": "c1"}
    return {
        "id": f"f-{message_id}",
        "user_id": user,
        "version": 0,
        "type": "rating",
        "data": {**said, "comment": "No, Paris.", "tags": [], "details": {"rating": 1}, **data},
        "meta": {**meta, "base_models": {"llama3.1:8b": None}, "tags": []},
        "snapshot": {"chat": of or chat()},
        "created_at": CREATED_S + 100,
        "updated_at": CREATED_S + 120,
    }
