"""`POST /v1/chat/completions`: the engine's answer, streamed or whole, kept before its last event is sent.

The engine is read by a task of its own, which no client can cancel: when one leaves, the task stops the generation and
keeps what there is as interrupted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, TypeVar

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream

from learner.engine import Completion, EngineError, Usage
from learner.engines import Engines
from learner.policy import Breach
from service.auth import asker_of
from service.compare import COMPARE, can_compare, is_compared
from service.config import ServerSettings
from service.errors import problem_of
from service.guard import POLICY, Guard, refusal
from service.limits import Limits
from service.problem import Problem
from service.rates import Rates
from service.router import Router, model_name
from service.stream import Events, ToldStream
from service.telemetry.instruments import Instruments
from service.telemetry.logs import rename_request
from service.telemetry.metrics import FAILED, REFUSED
from service.turns import Turn, keep_failure, keep_turn
from service.wire import Answer, AnswerChoice, AnswerMessage, ChatRequest, ModelCard, ModelList
from storage import conversations
from storage.database import Database, UnavailableError
from storage.records import BROKEN_OFF, MessageStatus, Person

T = TypeVar("T")
Left = Callable[[], Coroutine[Any, Any, None]]  # returns when the client is gone
CONVERSATION = "conversation_id"  # in a request's metadata: the conversation it continues
NO_VERSIONS_FAULT = (400, 422, 503)  # of an engine: the request was wrong, or nobody is there, whatever version is asked for
BROKEN = "the answer was broken off"
PASSED_ON = (
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
)


async def never() -> None:
    await asyncio.Event().wait()


class Chat:
    """Answers requests. Its tasks outlive the requests that began them; `drain` waits for them."""

    def __init__(
        self,
        database: Database,
        engine: Engines,
        router: Router,
        guard: Guard,
        limits: Limits,
        clock: Callable[[], float],
        settings: ServerSettings,
        instruments: Instruments,
    ) -> None:
        self._database, self._engine, self._router, self._guard, self._limits = database, engine, router, guard, limits
        self._clock, self._settings = clock, settings
        self._metrics, self._tracing = instruments.metrics, instruments.tracing
        self.closing = False  # no answer is begun any more
        self._tasks: set[asyncio.Task[Any]] = set()  # that end with a turn kept
        self._asking: set[asyncio.Task[Any]] = set()  # that wait for the engine

    async def answer(
        self,
        request: ChatRequest,
        person: Person,
        left: Left = never,
        compares: bool = False,
        spent: Callable[[int], object] = lambda _: None,
    ) -> Response[Answer] | Stream:
        """The whole answer, or the stream of it. Raises `Problem` for what is wrong before the first token.

        The engine stops when the client has `left`: what a stream has said by then is kept, a plain answer is not. A client
        that `compares` is told where this answer is one to be compared. What the answer took, in tokens, is told to `spent`
        when it has ended, however it ends.
        """
        if self.closing:
            raise Problem("not_ready", "the service is ending: ask again when it is back")
        if request.store is not False:
            self._database.check_available()  # before work whose outcome could not be kept
        with self._limits.place(person.id) as place:
            await self._limits.check_prompt(request.messages)
            turn, refused = await self._begin(request, person)
            place.over = lambda: spent(len(turn.prompt_token_ids) + len(turn.token_ids))
            rename_request(turn.id)
            headers = {"x-conversation-id": turn.conversation_id}
            if refused is not None:
                return await self._refused(request, turn, refusal(refused), headers)
            if compares and request.store is not False and is_compared(turn.id, self._settings.compare_share):
                headers[COMPARE] = "1"
            body, store = self._engine_body(request, turn), request.store is not False
            if not request.stream:
                whole = place.task = self._stoppable(self._keep(self._engine_answer(turn, body, store)))
                answer = _answer(turn, await _wait_for(whole, left, whole))
                return Response(answer, headers=headers, media_type=MediaType.JSON, status_code=200)
            events = Events(request, turn, self._settings.stream_buffer_bytes)
            reading = self._stoppable(asyncio.create_task(self._read(turn, body, events)))
            place.task = self._keep(self._record(turn, reading, events, store))
            if problem := await _wait_for(asyncio.create_task(events.begun()), left, reading):
                raise problem
            return ToldStream(events.sent(), reading.cancel, headers)

    async def drain(self, timeout_s: float) -> None:
        """Takes no more requests, and lets answers in the making finish; what takes longer is stopped and kept as interrupted."""
        self.closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for asking in self._asking:
            asking.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin(self, request: ChatRequest, person: Person) -> tuple[Turn, Breach | None]:
        """The turn that the request begins, and the rule by which it is refused."""
        conversation_id = await self._conversation(request, person)
        adapter = self._router.resolve(request.model, person.id, await self._answered_by(conversation_id))
        metadata = {key: value for key, value in (request.metadata or {}).items() if key != CONVERSATION}
        temperature = self._settings.temperature if request.temperature is None else request.temperature
        turn = Turn.begin(person, conversation_id, request.messages, adapter, temperature, metadata, self._clock())
        breach = await self._guard.of_prompt(request.messages)
        if breach is not None:
            turn.metadata[POLICY] = breach.rule
        return turn, breach if breach is not None and breach.action == "refuse" else None

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
        asked = request.max_completion_tokens or request.max_tokens or self._settings.max_answer_tokens
        body: dict[str, object] = {
            "model": turn.adapter,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            "max_tokens": min(asked, self._settings.max_answer_tokens),
            "temperature": turn.temperature,
            "stream": request.stream,
            "return_token_ids": True,
        }
        if request.stream:
            body["stream_options"] = {"include_usage": True}
        return body | {name: value for name in PASSED_ON if (value := getattr(request, name)) is not None}

    async def _engine_answer(self, turn: Turn, body: dict[str, object], store: bool) -> Completion:
        try:
            with self._router.flight(turn.adapter), self._tracing.engine(turn):
                completion, rule = self._guard.of_answer(await self._engine.complete(body, turn.id))
                turn.take(completion)
        except EngineError as error:
            if store:
                await self._count_failure(turn, error)
            self._metrics.answered(turn, FAILED, streamed=False)
            raise
        if rule is not None:
            turn.metadata[POLICY] = rule
        if store:
            await self._commit(turn, MessageStatus.COMPLETE)
        self._metrics.answered(turn, MessageStatus.COMPLETE.value, streamed=False)
        return completion

    async def _refused(
        self, request: ChatRequest, turn: Turn, said: Completion, headers: dict[str, str]
    ) -> Response[Answer] | Stream:
        """The answer to a prompt that the engine never hears; kept as any other, but no version's."""
        turn.take(said)
        self._metrics.answered(turn, REFUSED, streamed=False)
        if request.store is not False:
            await asyncio.shield(self._keep(self._commit(turn, MessageStatus.COMPLETE)))
        if not request.stream:
            return Response(_answer(turn, said), headers=headers, media_type=MediaType.JSON, status_code=200)
        events = Events(request, turn, self._settings.stream_buffer_bytes)
        events.put(said)
        events.put(Completion(usage=Usage()))
        events.end(None)
        return ToldStream(events.sent(), lambda: None, headers)

    async def _read(self, turn: Turn, body: dict[str, object], events: Events) -> None:
        watch, gaps = self._guard.watch(), self._metrics.gaps
        last_at = 0.0  # when the client was last sent a frame

        def pass_on(frames: list[Completion]) -> None:
            nonlocal last_at
            for frame in frames:
                now = time.perf_counter()
                if last_at:
                    gaps.observe(now - last_at)
                last_at = now
                turn.take(frame)
                events.put(frame)

        with self._router.flight(turn.adapter), self._tracing.engine(turn):
            async with aclosing(self._engine.stream(body, turn.id)) as frames:
                async for frame in frames:
                    turn.engine_model = frame.model or turn.engine_model
                    pass_on(watch.take(frame))
                    if watch.stopped:
                        break
                    if events.full:
                        await events.room()
                        last_at = 0.0  # the client took its time, not the engine
            pass_on(watch.finish())
        if watch.changed:
            turn.token_ids.clear()  # they are not what was said
        if watch.rule is not None:
            turn.metadata[POLICY] = watch.rule

    async def _record(self, turn: Turn, reading: asyncio.Task[None], events: Events, store: bool) -> None:
        """Waits for the end of the answer, whatever it is, keeps the turn, and only then lets the last event go."""
        problem: Problem | None = None
        failure: Exception | None = None
        status = MessageStatus.COMPLETE
        try:
            await reading
        except asyncio.CancelledError:
            status, problem = MessageStatus.INTERRUPTED, Problem("not_ready", BROKEN)
        except Exception as error:  # the stream's edge: whatever it is, the client must hear of it
            status, problem, turn.finish_reason = MessageStatus.INTERRUPTED, problem_of(error), BROKEN_OFF
            failure = error
        try:
            if store and turn.begun:
                await self._commit(turn, status)
            elif store and isinstance(failure, EngineError):
                await self._count_failure(turn, failure)
        except Exception as error:  # and that nothing was kept
            problem = problem_of(error)
        self._metrics.answered(turn, status.value if failure is None else FAILED, streamed=True)
        events.end(problem)

    async def _commit(self, turn: Turn, status: MessageStatus) -> None:
        with self._tracing.commit("turn"):
            await self._database.write(lambda connection: keep_turn(connection, turn, status))

    async def _count_failure(self, turn: Turn, error: EngineError) -> None:
        """Counts against the version an answer that it never began, while versions are compared by what people get."""
        if self._router.tries and error.status not in NO_VERSIONS_FAULT:
            with suppress(UnavailableError):  # the engine's failure is what the client is to hear of
                await self._database.write(lambda connection: keep_failure(connection, turn))

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Has the work done whatever becomes of the request."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _stoppable(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        """Lets `drain` end the task when time is up."""
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a request whose client left has nobody else to hear of it


async def _wait_for(wanted: asyncio.Task[T], left: Left, work: asyncio.Task[Any]) -> T:
    """What is wanted; the work behind it is stopped when the client leaves before that. Raises what it raises, and `Problem`."""
    leaving = asyncio.create_task(left())
    await asyncio.wait((wanted, leaving), return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not wanted.done():
        work.cancel()
        raise Problem("not_ready", "the client left")
    if wanted.cancelled():
        raise Problem("not_ready", BROKEN)
    return wanted.result()


def _answer(turn: Turn, completion: Completion) -> Answer:
    return Answer(
        id=turn.id,
        created=int(turn.created_at_s),
        model=model_name(turn.engine_model),
        choices=[AnswerChoice(0, AnswerMessage(turn.text), turn.finish_reason, completion.choices[0].logprobs)],
        usage=completion.usage or Usage(),
    )


@post("/v1/chat/completions", status_code=200)
async def complete(
    data: JSONBody[ChatRequest],
    request: Request,  # type: ignore[type-arg]
    chat: NamedDependency[Chat],
    rates: NamedDependency[Rates],
) -> Response[Answer] | Stream:
    """An answer of the live model, or of a pinned version."""
    asker = asker_of(request)
    charge = rates.take_answer(asker)
    left = partial(_disconnected, request)
    answer = await chat.answer(data, asker.person, left, can_compare(request.headers), charge.settle)
    answer.headers.update(charge.headers)
    return answer


async def _disconnected(request: Request) -> None:  # type: ignore[type-arg]
    """Returns when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@get("/v1/models")
async def models(router: NamedDependency[Router], started_at_s: NamedDependency[float]) -> ModelList:
    """What can be asked for: the alias, and each version that is loaded."""
    return ModelList([ModelCard(name, int(started_at_s)) for name in router.names])


HANDLERS = [complete, models]
