"""vLLM's HTTP, and the only file that knows it: chat, scoring of token ids, adapters by name, and signs of life.

The service streams through it, the evaluation job scores through it. It lives on this floor because both need it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from learner.timeouts import DEFAULT_TIMEOUTS, Timeouts

KEEP_ALIVE_S = 1.0  # well below vLLM's 5 s: a connection it closes just as we use it would look like a failure
UNNAMED = "the engine answered without saying which model does"
LONGEST_FRAME_BYTES = 2**24  # of one event of a stream; one that never ends would fill the memory
T = TypeVar("T")

SCORE_FROM = "score_from"  # what `service/vllm_score_tail.py` looks for in a request
LOW_PRIORITY = 100  # vLLM serves smaller numbers first; people's requests are 0


class EngineError(Exception):
    """The engine refused or failed. `status` is its HTTP status, or 503 where there was no answer at all."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    total_tokens: int = 0


class Delta(Struct, frozen=True):
    content: str | None = None


class AnswerMessage(Struct, frozen=True):
    content: str | None = None


class Choice(Struct, frozen=True):
    """A choice of a plain answer (`message`) or of one frame of a stream (`delta`)."""

    index: int = 0
    delta: Delta = Delta()
    message: AnswerMessage = AnswerMessage()
    logprobs: dict[str, Any] | None = None  # as OpenAI has them
    finish_reason: str | None = None
    token_ids: list[int] | None = None


class Completion(Struct, frozen=True):
    """A chat completion, whole or one frame of it."""

    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[Choice] = []
    usage: Usage | None = None
    prompt_token_ids: list[int] | None = None


class Progress(Struct, frozen=True):
    """What the engine is doing: requests in it, those among them that still wait, and model steps since it started."""

    running: int
    steps: int
    waiting: int = 0


class _ErrorBody(Struct):
    message: str = ""


class _ErrorEnvelope(Struct):
    error: _ErrorBody = msgspec.field(default_factory=_ErrorBody)
    message: str = ""


class _Model(Struct):
    id: str
    root: str | None = None


class _Models(Struct):
    data: list[_Model]


class Drawn(Struct, frozen=True):
    """An answer as it was drawn, with the log-prob of each token. `whole` where it came to an end by itself."""

    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    whole: bool


class _TokenLogprobs(Struct):
    token_logprobs: list[float | None] = []


class _TextChoice(Struct):
    prompt_logprobs: list[dict[str, Any] | None] | None = None
    token_ids: list[int] | None = None
    logprobs: _TokenLogprobs | None = None
    finish_reason: str | None = None


class _Text(Struct):
    model: str
    choices: list[_TextChoice]


_completions, _texts = msgspec.json.Decoder(Completion), msgspec.json.Decoder(_Text)
_models, _errors = msgspec.json.Decoder(_Models), msgspec.json.Decoder(_ErrorEnvelope)


class Engine:
    """A client of one vLLM server. Use as an async context manager, inside one event loop.

    `url` may be a function, for a server whose address changes when it is started again.
    """

    def __init__(self, url: str | Callable[[], str], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> None:
        self._url, self._timeouts = url, timeouts
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return (self._url if isinstance(self._url, str) else self._url()).rstrip("/")

    async def __aenter__(self) -> Engine:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=2**18)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def stream(self, body: dict[str, object], request_id: str) -> AsyncGenerator[Completion, None]:
        """The frames of a streamed chat completion. Closing the iterator early makes vLLM stop generating.

        Raises `EngineError` when refused, when the engine dies on the way, when it ends without `[DONE]`, and when it does
        not say which model answers.
        """
        rest, named = b"", False
        async with self._ask_chat(body, request_id, self._timeouts.silence_s) as response:
            async for part in response.content.iter_any():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if not line.startswith(b"data: "):
                        continue
                    data = line[6:].strip()
                    if data == b"[DONE]":
                        if named:
                            return
                        raise EngineError(502, UNNAMED)
                    if data.startswith(b'{"error"'):
                        raise EngineError(500, _message_of(data))
                    frame = _decoded(data, _completions)
                    if not (named := named or bool(frame.model)):
                        raise EngineError(502, UNNAMED)
                    yield frame
                if len(rest) > LONGEST_FRAME_BYTES:
                    raise EngineError(502, f"the engine sent {len(rest)} bytes without the end of a frame")
        raise EngineError(502, "the engine ended its answer without saying that it was done")

    async def complete(self, body: dict[str, object], request_id: str) -> Completion:
        """A whole chat completion."""
        async with self._ask_chat(body, request_id) as response:
            completion = _decoded(await response.read(), _completions)
        if not completion.choices:
            raise EngineError(502, "the engine gave an answer without a choice")
        if not completion.model:
            raise EngineError(502, UNNAMED)
        return completion

    async def score(self, model: str, token_ids: Sequence[int], start: int = 1, priority: int = LOW_PRIORITY) -> list[float]:
        """log p(token | tokens before it) under `model`, for each of token_ids[start:]. The first token has none.

        Raises `EngineError` also when another model than the one asked for answered.
        """
        body = {
            "model": model,
            "prompt": list(token_ids),
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
            "priority": priority,
            "vllm_xargs": {SCORE_FROM: start},  # a shared beginning need not be computed again
        }
        text = await self._continue(body, model, "log-probs")
        rows = (text.choices[0].prompt_logprobs if text.choices else None) or []
        try:
            return [_logp(row, token) for row, token in zip(rows[start:], token_ids[start:], strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError(502, f"the engine gave what are not log-probs of {len(token_ids)} tokens ({error!r})") from error

    async def draw(self, model: str, prompt_ids: Sequence[int], answers: int, max_tokens: int, seed: int) -> list[Drawn]:
        """So many answers by `model` to a prompt of token ids, drawn from its own distribution as it is, at low priority.

        The n-th is drawn by `seed` + n: the same seed gives the same answers. Raises `EngineError` also when
        another model answered, or when an answer's log-probs are not all there.
        """
        body = {
            "model": model,
            "prompt": list(prompt_ids),
            "n": answers,
            "max_tokens": max_tokens,
            "temperature": 1.0,
            "top_p": 1.0,
            "seed": seed,
            "logprobs": 0,  # of the drawn token alone
            "return_token_ids": True,
            "priority": LOW_PRIORITY,
        }
        text = await self._continue(body, model, "answers")
        return [_drawn(choice) for choice in text.choices]

    async def _continue(self, body: dict[str, object], model: str, wanted: str) -> _Text:
        async with self._post("/v1/completions", body, {}, self._timeouts.answer_s) as response:
            text = _decoded(await response.read(), _texts)
        if text.model != model:
            raise EngineError(500, f"asked {model!r} for {wanted}, but {text.model!r} answered")
        return text

    async def models(self) -> dict[str, str | None]:
        """Names of what can be asked for, each with the folder it was loaded from."""
        async with self._get("/v1/models", self._timeouts.control_s) as response:
            return {model.id: model.root for model in _decoded(await response.read(), _models).data}

    async def load(self, name: str, folder: Path) -> None:
        """Makes the adapter in `folder` askable as `name`. Loading what is loaded already is success.

        Services that share an engine have folders of their own; one of the same name has the same content, as adapters are
        named after it.
        """
        try:
            async with self._control("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}):
                return
        except EngineError as error:
            root = (await self.models()).get(name) if error.status == 400 else None
            if root is not None and Path(root).name == folder.name:
                return
            raise

    async def unload(self, name: str) -> None:
        """Forgets an adapter's name; answers in flight finish. Unknown names are fine."""
        try:
            async with self._control("/v1/unload_lora_adapter", {"lora_name": name}):
                return
        except EngineError as error:
            if error.status != 404:
                raise

    async def healthy(self) -> bool:
        """Whether the server answers at all. It says so even while its core hangs: see `progress`."""
        try:
            async with self._get("/health", self._timeouts.connect_s):
                return True
        except EngineError:
            return False

    async def progress(self) -> Progress:
        async with self._get("/metrics", self._timeouts.connect_s) as response:
            text = (await response.read()).decode(errors="replace")
        waiting = int(_metric(text, "vllm:num_requests_waiting"))
        return Progress(
            running=int(_metric(text, "vllm:num_requests_running")) + waiting,
            steps=int(_metric(text, "vllm:iteration_tokens_total_count")),
            waiting=waiting,
        )

    def _ask_chat(self, body: dict[str, object], request_id: str, silence_s: float | None = None) -> _Call:
        headers = {"X-Request-Id": request_id}
        return self._post("/v1/chat/completions", body, headers, self._timeouts.answer_s, silence_s)

    def _control(self, path: str, body: object) -> _Call:
        return self._post(path, body, {}, self._timeouts.control_s)

    def _post(self, path: str, body: object, headers: dict[str, str], total_s: float, silence_s: float | None = None) -> _Call:
        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=self._timeouts.connect_s, sock_read=silence_s)
        return _Call(self._open(), "POST", self.url + path, msgspec.json.encode(body), headers, timeout)

    def _get(self, path: str, timeout_s: float) -> _Call:
        return _Call(self._open(), "GET", self.url + path, None, {}, aiohttp.ClientTimeout(total=timeout_s))

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the engine inside `async with`"
        return self._session


class _Call:
    """One request; entering it gives the response, and turns every failure into an `EngineError`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        all_headers = {"Content-Type": "application/json", **headers}
        self._request = session.request(method, url, data=data, headers=all_headers, timeout=timeout)

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            self._response = await self._request.__aenter__()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineError(503, f"the engine does not answer ({type(error).__name__})") from error
        if self._response.status != 200:
            raise await _refusal(self._response)
        return self._response

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._response.release()
            return
        self._response.close()  # leaving early closes the connection, which aborts the generation
        if isinstance(error, (aiohttp.ClientError, TimeoutError, ConnectionError)):
            raise EngineError(502, f"the engine broke off its answer ({type(error).__name__})") from error


async def _refusal(response: aiohttp.ClientResponse) -> EngineError:
    try:
        return EngineError(response.status, _message_of(await response.read()))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return EngineError(response.status, "the engine broke off its refusal")
    finally:
        response.release()


def _decoded(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineError(502, f"the engine sent what cannot be read ({error})") from error


def _message_of(data: bytes) -> str:
    """The message of an error body of vLLM's, which has two forms, or the body itself."""
    try:
        envelope = _errors.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data[:500].decode(errors="replace")
    return envelope.error.message or envelope.message or data[:500].decode(errors="replace")


def _logp(row: dict[str, Any] | None, token: int) -> float:
    return float((row or {})[str(token)]["logprob"])


def _drawn(choice: _TextChoice) -> Drawn:
    token_ids, logps = choice.token_ids or [], choice.logprobs.token_logprobs if choice.logprobs else []
    known = tuple(logp for logp in logps if logp is not None)
    if len(known) != len(token_ids):
        raise EngineError(500, f"an answer of {len(token_ids)} tokens came with {len(known)} log-probs")
    return Drawn(tuple(token_ids), known, choice.finish_reason == "stop")


def _metric(text: str, name: str) -> float:
    """The sum of a Prometheus metric over its labels; 0 where it is not there yet."""
    values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.M)
    try:
        return sum(map(float, values))
    except ValueError as error:
        raise EngineError(502, f"the engine's metrics cannot be read ({name}: {error})") from error


async def gather_limited(limit: int, jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Runs all jobs, at most `limit` at a time, results in order. The first failure cancels the rest and is raised."""
    gate = asyncio.Semaphore(limit)

    async def run(job: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await job()

    tasks = [asyncio.create_task(run(job)) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
