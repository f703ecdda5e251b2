"""`POST /v1/chat/completions`: the engine's answer, streamed or whole, kept before its last event is sent.

The engine is read by a task of its own, which no client can cancel: when one leaves, the task stops the generation and
keeps what there is as interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream

from learner.engine import Completion, Engine, EngineError, Usage
from service.auth import Gatekeeper
from service.guard import POLICY, Guard, refusal
from service.problem import Problem, envelope, of_engine, problem_of
from service.router import Router, model_name
from service.turns import Turn, keep_failure, keep_turn
from service.wire import (
    Answer,
    AnswerChoice,
    AnswerDelta,
    AnswerMessage,
    ChatRequest,
    Chunk,
    ChunkChoice,
    ModelCard,
    ModelList,
)
from storage import conversations
from storage.database import Database, UnavailableError
from storage.records import BROKEN_OFF, MessageStatus, Person

encode = msgspec.json.Encoder().encode
Event = bytes | None  # None ends the stream
CONVERSATION = "conversation_id"  # in a request's metadata: the conversation it continues
NO_VERSIONS_FAULT = (400, 422, 503)  # of an engine: the request was wrong, or nobody is there, whatever version is asked for
PASSED_ON = (
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
)


class Chat:
    """Answers requests. Its tasks outlive the requests that began them; `drain` waits for them."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        router: Router,
        guard: Guard,
        clock: Callable[[], float],
        max_answer_tokens: int,
        temperature: float,
    ) -> None:
        self._database, self._engine, self._router, self._guard, self._clock = database, engine, router, guard, clock
        self._max_answer_tokens, self._temperature = max_answer_tokens, temperature
        self.closing = False  # no answer is begun any more
        self._tasks: set[asyncio.Task[Any]] = set()  # that end with a turn kept
        self._reading: set[asyncio.Task[None]] = set()  # streams of the engine

    async def answer(self, request: ChatRequest, person: Person) -> Response[Answer] | Stream:
        """The whole answer, or the stream of it. Raises `Problem` for what is wrong before the first token."""
        if self.closing:
            raise Problem("not_ready", "the service is ending: ask again when it is back")
        if request.store is not False:
            self._database.check_available()  # before work whose outcome could not be kept
        conversation_id = await self._conversation(request, person)
        adapter = self._router.resolve(request.model, person.id, await self._answered_by(conversation_id))
        metadata = {key: value for key, value in (request.metadata or {}).items() if key != CONVERSATION}
        temperature = self._temperature if request.temperature is None else request.temperature
        turn = Turn.begin(person, conversation_id, request.messages, adapter, temperature, metadata, self._clock())
        breach = await self._guard.of_prompt(request.messages)
        if breach is not None:
            turn.metadata[POLICY] = breach.rule
        headers = {"x-conversation-id": turn.conversation_id, "x-request-id": turn.id}
        if breach is not None and breach.action == "refuse":
            return await self._refused(request, turn, refusal(breach), headers)
        body = self._engine_body(request, turn)
        if not request.stream:
            return Response(await self._whole(request, turn, body), headers=headers, media_type=MediaType.JSON, status_code=200)
        events = _Events(request, turn)
        reading = asyncio.create_task(self._read(turn, body, events))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        self._keep(asyncio.create_task(self._record(turn, reading, events, request.store is not False)))
        await events.begun()
        return _ToldStream(events.sent(), reading.cancel, headers)

    async def drain(self, timeout_s: float) -> None:
        """Takes no more requests, and lets answers in the making finish; what takes longer is stopped and kept as interrupted."""
        self.closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for reading in self._reading:
            reading.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _conversation(self, request: ChatRequest, person: Person) -> str | None:
        """The conversation that the request continues, if it names one of this person's."""
        named = (request.metadata or {}).get(CONVERSATION)
        if named is None:
            return None
        found = await self._database.read(lambda c: conversations.select_conversation(c, named, person.id))
        if found is None:
            raise Problem("not_found", f"you have no conversation {named!r}", "metadata.conversation_id")
        return named

    async def _answered_by(self, conversation_id: str | None) -> str | None:
        """The version that answered last in a conversation; asked only while not everybody is answered by the same."""
        if conversation_id is None or not self._router.tries:
            return None
        return await self._database.read(lambda c: conversations.select_last_version(c, conversation_id))

    def _engine_body(self, request: ChatRequest, turn: Turn) -> dict[str, object]:
        asked = request.max_completion_tokens or request.max_tokens or self._max_answer_tokens
        body: dict[str, object] = {
            "model": turn.adapter,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            "max_tokens": min(asked, self._max_answer_tokens),
            "temperature": turn.temperature,
            "stream": request.stream,
            "return_token_ids": True,
        }
        if request.stream:
            body["stream_options"] = {"include_usage": True}
        return body | {name: value for name in PASSED_ON if (value := getattr(request, name)) is not None}

    async def _whole(self, request: ChatRequest, turn: Turn, body: dict[str, object]) -> Answer:
        """The plain answer; kept even when the client does not wait for it."""
        task = asyncio.create_task(self._engine_answer(turn, body, request.store is not False))
        self._keep(task)
        return _answer(turn, await asyncio.shield(task))

    async def _engine_answer(self, turn: Turn, body: dict[str, object], store: bool) -> Completion:
        try:
            with self._router.flight(turn.adapter):
                completion, rule = self._guard.of_answer(await self._engine.complete(body, turn.id))
        except EngineError as error:
            if store:
                await self._count_failure(turn, error)
            raise
        if rule is not None:
            turn.metadata[POLICY] = rule
        turn.take(completion)
        if store:
            await self._database.write(lambda connection: keep_turn(connection, turn, MessageStatus.COMPLETE))
        return completion

    async def _refused(
        self, request: ChatRequest, turn: Turn, said: Completion, headers: dict[str, str]
    ) -> Response[Answer] | Stream:
        """The answer to a prompt that the engine never hears; kept as any other, but no version's."""
        turn.take(said)
        if request.store is not False:
            keeping = asyncio.create_task(
                self._database.write(lambda connection: keep_turn(connection, turn, MessageStatus.COMPLETE))
            )
            self._keep(keeping)
            await asyncio.shield(keeping)
        if not request.stream:
            return Response(_answer(turn, said), headers=headers, media_type=MediaType.JSON, status_code=200)
        events = _Events(request, turn)
        events.put(said)
        events.put(Completion(usage=Usage()))
        events.end(None)
        return _ToldStream(events.sent(), lambda: None, headers)

    async def _read(self, turn: Turn, body: dict[str, object], events: _Events) -> None:
        watch = self._guard.watch()

        def pass_on(frames: list[Completion]) -> None:
            for frame in frames:
                turn.take(frame)
                events.put(frame)

        with self._router.flight(turn.adapter):
            async with aclosing(self._engine.stream(body, turn.id)) as frames:
                async for frame in frames:
                    turn.engine_model = frame.model or turn.engine_model
                    pass_on(watch.take(frame))
                    if watch.stopped:
                        break
            pass_on(watch.finish())
        if watch.changed:
            turn.token_ids.clear()  # they are not what was said
        if watch.rule is not None:
            turn.metadata[POLICY] = watch.rule

    async def _record(self, turn: Turn, reading: asyncio.Task[None], events: _Events, store: bool) -> None:
        """Waits for the end of the answer, whatever it is, keeps the turn, and only then lets the last event go."""
        problem: Problem | None = None
        failure: EngineError | None = None
        status = MessageStatus.COMPLETE
        try:
            await reading
        except EngineError as error:
            status, problem, turn.finish_reason = MessageStatus.INTERRUPTED, of_engine(error), BROKEN_OFF
            failure = error
        except asyncio.CancelledError:
            status, problem = MessageStatus.INTERRUPTED, Problem("not_ready", "the answer was broken off")
        try:
            if store and turn.begun:
                await self._database.write(lambda connection: keep_turn(connection, turn, status))
            elif store and failure is not None:
                await self._count_failure(turn, failure)
        except Exception as error:  # the stream's edge: the client must hear that nothing was kept
            problem = problem_of(error)
        events.end(problem)

    async def _count_failure(self, turn: Turn, error: EngineError) -> None:
        """Counts against the version an answer that it never began, while versions are compared by what people get."""
        if self._router.tries and error.status not in NO_VERSIONS_FAULT:
            with suppress(UnavailableError):  # the engine's failure is what the client is to hear of
                await self._database.write(lambda connection: keep_failure(connection, turn))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a request whose client left has nobody else to hear of it


class _Events:
    """The events of one stream, between the task that reads the engine and the response that sends them."""

    def __init__(self, request: ChatRequest, turn: Turn) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._turn = turn
        self._usage = bool(request.stream_options and request.stream_options.include_usage)
        self._begun = asyncio.Event()
        self._sent_any = False
        self._problem: Problem | None = None

    def put(self, frame: Completion) -> None:
        for choice in frame.choices:
            delta = AnswerDelta(role=None if self._sent_any else "assistant", content=choice.delta.content)
            self._send([ChunkChoice(choice.index, delta, choice.finish_reason, choice.logprobs)])
        if not frame.choices and frame.usage is not None and self._usage:
            self._send([], frame.usage)

    def end(self, problem: Problem | None) -> None:
        """The last event: everything that is to be kept is on disk."""
        self._problem = problem
        self._queue.put_nowait(_event(envelope(problem)) if problem else b"data: [DONE]\n\n")
        self._queue.put_nowait(None)
        self._begun.set()

    async def begun(self) -> None:
        """Waits for the first event. Raises the problem if it came before any, so that it gets its own HTTP status."""
        await self._begun.wait()
        if self._problem is not None and not self._sent_any:
            raise self._problem

    async def sent(self) -> AsyncIterator[bytes]:
        """The events as they come."""
        while (event := await self._queue.get()) is not None:
            yield event

    def _send(self, choices: list[ChunkChoice], usage: Usage | None = None) -> None:
        chunk = Chunk(
            id=self._turn.id,
            created=int(self._turn.created_at_s),
            model=model_name(self._turn.engine_model),
            choices=choices,
            usage=usage if self._usage else msgspec.UNSET,
        )
        self._sent_any = True
        self._queue.put_nowait(_event(chunk))
        self._begun.set()


class _ToldStream(Stream):
    """A stream that tells when its response is over, in whatever way.

    Litestar cancels a stream whose client has left, but the generator hears of it only when it happens to be the one that
    waits: while the connection is being written to, it stays suspended until the garbage collector comes.
    """

    def __init__(self, content: AsyncIterator[bytes], over: Callable[[], object], headers: dict[str, str]) -> None:
        super().__init__(content, media_type="text/event-stream", headers={**headers, "cache-control": "no-store"})
        self._over = over

    def to_asgi_response(self, *arguments: Any, **options: Any) -> Any:
        response = super().to_asgi_response(*arguments, **options)

        async def respond(scope: Any, receive: Any, send: Any) -> None:
            try:
                await response(scope, receive, send)
            finally:
                self._over()

        return respond


def _answer(turn: Turn, completion: Completion) -> Answer:
    return Answer(
        id=turn.id,
        created=int(turn.created_at_s),
        model=model_name(turn.engine_model),
        choices=[AnswerChoice(0, AnswerMessage(turn.text), turn.finish_reason, completion.choices[0].logprobs)],
        usage=completion.usage or Usage(),
    )


def _event(body: msgspec.Struct) -> bytes:
    return b"data: " + encode(body) + b"\n\n"


@post("/v1/chat/completions", status_code=200)
async def complete(
    data: JSONBody[ChatRequest],
    request: Request,  # type: ignore[type-arg]
    chat: NamedDependency[Chat],
    gatekeeper: NamedDependency[Gatekeeper],
) -> Response[Answer] | Stream:
    """An answer of the live model, or of a pinned version."""
    return await chat.answer(data, await gatekeeper.person(request))


@get("/v1/models")
async def models(router: NamedDependency[Router], started_at_s: NamedDependency[float]) -> ModelList:
    """What can be asked for: the alias, and each version that is loaded."""
    return ModelList([ModelCard(name, int(started_at_s)) for name in router.names])


HANDLERS = [complete, models]
