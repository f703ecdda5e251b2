"""The people of a soak: they ask in four ways, vote, correct, and note what they were told was kept."""

from __future__ import annotations

import asyncio
import random
import time
from enum import StrEnum

import aiohttp
import msgspec

from service.bench.heard import Heard, ask_body, hear
from service.bench.soak.ledger import Acknowledged, Ledger, Vote
from service.wire import Answer, FeedbackReceipt

TURNED_AWAY = (429, 502, 503)  # too many at once, or the engine is not there: asked again later
AGAIN_S = 1.0
SLOWNESS_S = 0.2  # that a slow reader takes over each frame
VOTING, CORRECTING, COMMENTING = 0.6, 0.15, 0.1  # shares of whole answers
PLACES = ("Norway", "Kenya", "Peru", "Japan", "Poland", "Chile", "Egypt", "India", "Spain", "Ghana", "Cuba", "Nepal")


class Kind(StrEnum):
    """How somebody reads an answer."""

    PLAIN = "plain"
    STREAMED = "streamed"
    LEAVING = "leaving"  # goes away in the middle of a stream
    SLOW = "slow"


class Talker:
    """One person, who asks one question after another, the same questions in each run."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, number: int, ledger: Ledger, answer_tokens: int, bound_s: float
    ) -> None:
        self._http, self._url, self._ledger = http, url, ledger
        self._answer_tokens, self._bound_s = answer_tokens, bound_s
        self._kind, self._key = [*Kind][number % len(Kind)], f"soak-{number}"
        self._chance, self._asked, self._votes = random.Random(number), 0, 0

    async def talk(self, until: float) -> None:
        """Until then, by `time.monotonic`; an answer that has begun is waited for."""
        while time.monotonic() < until:
            self._asked += 1
            asked = f"question {self._asked} of {self._key} ({self._kind})"
            heard = Heard()
            try:
                async with asyncio.timeout(self._bound_s):
                    if self._kind is Kind.PLAIN:
                        await self._plain()
                    else:
                        await self._stream(heard, asked)
            except TimeoutError:
                self._ledger.stuck.append(f"{asked}, answer {heard.id or 'not begun'}, within {self._bound_s:g} s")
            except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
                self._ledger.failures.append(f"{asked}: {type(error).__name__}: {error}")
                await asyncio.sleep(AGAIN_S)

    async def _plain(self) -> None:
        answer = await self._post("/v1/chat/completions", self._body())
        if answer is not None:
            said = msgspec.json.decode(answer, type=Answer)
            await self._keep(said.id, Acknowledged(said.model, said.choices[0].message.content))

    async def _stream(self, heard: Heard, asked: str) -> None:
        leave_after = self._chance.randrange(1, 12) if self._kind is Kind.LEAVING else None
        pause_s = SLOWNESS_S if self._kind is Kind.SLOW else 0.0
        await hear(self._http, self._url, self._key, self._body(), heard, leave_after, pause_s)
        if heard.left:
            self._ledger.left.add(heard.id)
            self._ledger.counts["left"] += 1
        elif heard.whole and len(heard.models) == 1:
            await self._keep(heard.id, Acknowledged(heard.models.pop(), heard.text))
        elif heard.told and heard.id:
            self._ledger.broken.add(heard.id)
            self._ledger.counts["broken"] += 1
        elif heard.status in TURNED_AWAY:
            await self._wait()
        else:
            named = f", naming {sorted(heard.models)}" if len(heard.models) > 1 else ""
            self._ledger.failures.append(f"{asked}: HTTP {heard.status}{named}: {heard.error}")
            await asyncio.sleep(AGAIN_S)

    async def _keep(self, id: str, said: Acknowledged) -> None:
        self._ledger.answers[id] = said
        self._ledger.counts[self._kind] += 1
        opinion = self._opinion()
        if opinion:
            self._votes += 1
            vote = {"completion_id": id, "id": f"{self._key}-{self._votes}", **opinion}
            receipt = await self._post("/v1/feedback", vote)
            if receipt is not None:
                kept = msgspec.json.decode(receipt, type=FeedbackReceipt)
                self._ledger.votes[kept.id] = Vote(kept.completion_id, tuple(kept.recorded))

    def _opinion(self) -> dict[str, object]:
        said: dict[str, object] = {}
        if self._chance.random() < VOTING:
            said["thumb"] = self._chance.choice(["up", "down"])
        if self._chance.random() < CORRECTING:
            said |= {"thumb": "down", "correction": f"Nothing of the sort, it is {self._chance.choice(PLACES)}."}
        if self._chance.random() < COMMENTING:
            said["comment"] = "So it is said."
        return said

    def _body(self) -> dict[str, object]:
        place = self._chance.choice(PLACES)
        return ask_body(f"What do people eat in {place}, on day {self._asked} of the year?", self._answer_tokens, temperature=1.0)

    async def _post(self, path: str, body: object) -> bytes | None:
        """The answer; None where the request was turned away. Any other refusal is noted as a failure."""
        headers = {"Authorization": f"Bearer {self._key}"}
        async with self._http.post(self._url + path, json=body, headers=headers) as response:
            data = await response.read()
        if response.status == 200:
            return data
        if response.status in TURNED_AWAY:
            await self._wait()
        else:
            self._ledger.failures.append(f"{path}: HTTP {response.status}: {data.decode(errors='replace')[:200]}")
        return None

    async def _wait(self) -> None:
        self._ledger.counts["turned away"] += 1
        await asyncio.sleep(AGAIN_S)
