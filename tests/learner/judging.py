"""A judge by hand: OpenAI's HTTP in a thread of its own, with an opinion that can be read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from learner.config import JudgeSettings

MODEL = "judge-1"
Opinion = Callable[[str, str], str]  # of answers A and B


def finds(word: str) -> Opinion:
    """Prefers the answer with the word in it."""
    return lambda a, b: "C" if (word in a) == (word in b) else "A" if word in a else "B"


def takes_the_first(a: str, b: str) -> str:
    return "A"


@dataclass
class ScriptedJudge:
    opinion: Opinion
    name: str = MODEL  # under which it answers
    refusals: list[int] = field(default_factory=list)  # statuses of the next requests
    keys: list[str | None] = field(default_factory=list)  # that it was shown, one a request
    shown: list[str] = field(default_factory=list)
    url: str = ""

    def settings(self, key_env: str = "") -> JudgeSettings:
        return JudgeSettings(f"{self.url}/v1/", MODEL, key_env, timeout_s=20)

    def answer(self, body: dict[str, object]) -> dict[str, object]:
        text = body["messages"][-1]["content"]  # type: ignore[index]
        self.shown.append(text)
        _, _, _, a, _, b, _ = text.split("\n----\n")
        return {"id": "j", "model": self.name, "choices": [{"message": {"role": "assistant", "content": self.opinion(a, b)}}]}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of callers who are not taken in at once: Linux has those beyond try again after seconds


@contextmanager
def scripted_judge(opinion: Opinion, name: str = MODEL) -> Iterator[ScriptedJudge]:
    judge = ScriptedJudge(opinion, name)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            judge.keys.append(self.headers["Authorization"])
            status = judge.refusals.pop(0) if judge.refusals else 200 if self.path == "/v1/chat/completions" else 404
            said = json.dumps(judge.answer(body) if status == 200 else {"error": {"message": "not now"}}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    judge.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield judge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
