"""What happens in the service, counted as it happens. Each application has a registry of its own.

No figure has a label that people's words, ids or keys could end up in, and of versions only those are named that people are
answered by: what others had counts as `other`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from learner.engine import Usage
from service.turns import Turn
from storage.records import Feedback, FeedbackKind

OTHER = "other"  # in place of a version that nobody is answered by any more
NOBODY = "none"  # in place of a version where none answered
REFUSED, FAILED = "refused", "failed"  # how answers end, beside the statuses of messages: by the guard, or by the engine's fault
SWAP_STEPS = ("load", "flip")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
REQUEST_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30)
GAP_S = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5)
DURABLE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
SWAP_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60)
WAIT_S = (60, 300, 900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 30 * 86_400)


class Gaps(Collector):
    """A histogram of one loop's own, without the locks of others: it is told of every frame."""

    def __init__(self, name: str, words: str, bounds_s: Sequence[float]) -> None:
        self._name, self._words, self._bounds_s = name, words, bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._sum_s += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        bounds = [*(str(float(bound)) for bound in self._bounds_s), "+Inf"]
        buckets: list[tuple[str, float]] = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._words, buckets=buckets, sum_value=self._sum_s)


class Metrics:
    """What is counted here. To be told inside one event loop."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def histogram(name: str, words: str, bounds_s: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, words, labels, registry=registry, buckets=bounds_s)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, labels, registry=registry)

        self._requests = counter("ratchet_http_requests", "Requests by route and status.", "method", "route", "status")
        self._request_s = histogram("ratchet_http_request_seconds", "From request to the end of its answer.", REQUEST_S, "route")
        self._running = Gauge("ratchet_http_requests_running", "Requests being answered.", registry=registry)
        self._answers = counter("ratchet_answers", "Answers by the version that wrote them, and how they end.", "version", "status")
        self._answer_s = histogram("ratchet_answer_seconds", "From the question to the end of the answer.", REQUEST_S)
        self._first_token_s = histogram("ratchet_time_to_first_token_seconds", "Of streamed answers.", FIRST_TOKEN_S)
        self.gaps = Gaps("ratchet_frame_gap_seconds", "Between two frames of a streamed answer.", GAP_S)
        registry.register(self.gaps)
        self._tokens = counter("ratchet_tokens", "Tokens of prompts (in) and of answers (out).", "direction")
        self._feedback = counter("ratchet_feedback", "What people said of answers, by kind.", "kind")
        self._thumbs = counter("ratchet_thumbs", "Thumbs by the version that wrote the answer.", "version", "thumb")
        self._durable_s = histogram("ratchet_vote_to_durable_seconds", "From a vote's arrival until it is on disk.", DURABLE_S)
        self._eligible_s = histogram("ratchet_vote_to_eligible_seconds", "From a vote until a dataset has it to teach.", WAIT_S)
        self._live_s = histogram(
            "ratchet_vote_to_live_seconds", "From a vote until a version that learnt from it goes live.", WAIT_S
        )
        self._swap_s = histogram(
            "ratchet_swap_seconds", "Of a new version: loading it, and the flip from the commit to new requests.", SWAP_S, "step"
        )

        for kind in FeedbackKind:
            self._feedback.labels(kind.value)  # a figure that begins at 0 is seen to grow
        for step in SWAP_STEPS:
            self._swap_s.labels(step)

    @contextmanager
    def request(self) -> Iterator[Callable[[str, str, int], None]]:
        """Counts a request as running while inside; what it gives is told of the method, route and status at the end."""
        began = time.perf_counter()

        def end(method: str, route: str, status: int) -> None:
            self._requests.labels(method if method in METHODS else OTHER, route, str(status)).inc()
            self._request_s.labels(route).observe(time.perf_counter() - began)

        self._running.inc()
        try:
            yield end
        finally:
            self._running.dec()

    def answered(self, turn: Turn, status: str, streamed: bool) -> None:
        """An answer ended: `status` is that of its message, or `REFUSED`, or `FAILED`."""
        self._answers.labels(NOBODY if status == REFUSED else turn.adapter, status).inc()
        self._answer_s.observe(time.monotonic() - turn.started)
        if streamed and turn.first_token_ms is not None:
            self._first_token_s.observe(turn.first_token_ms / 1000)
        usage = turn.usage or Usage(len(turn.prompt_token_ids), len(turn.token_ids))
        self._tokens.labels("in").inc(usage.prompt_tokens)
        self._tokens.labels("out").inc(usage.completion_tokens or 0)

    def voted(self, rows: Sequence[Feedback], version: str | None, seconds: float) -> None:
        """Feedback on an answer by this version is on disk, so many seconds after it came."""
        for row in rows:
            self._feedback.labels(row.kind.value).inc()
            if row.kind is FeedbackKind.THUMB:
                self._thumbs.labels(version or NOBODY, str(row.value or "taken back")).inc()
        if rows:
            self._durable_s.observe(seconds)

    def waited(self, to_eligible_s: Sequence[float], to_live_s: Sequence[float]) -> None:
        """How long votes had waited for what has just come."""
        for seconds in to_eligible_s:
            self._eligible_s.observe(seconds)
        for seconds in to_live_s:
            self._live_s.observe(seconds)

    def swapped(self, step: str, seconds: float) -> None:
        """A step of putting a version live."""
        self._swap_s.labels(step).observe(seconds)

    def name_only(self, versions: Collection[str]) -> None:
        """From now on what other versions had counts as `OTHER`."""
        for counter in (self._answers, self._thumbs):
            _fold(counter, versions)


def _fold(counter: Counter, named: Collection[str]) -> None:
    for family in list(counter.collect()):
        for sample in family.samples:
            version, *others = sample.labels.values()
            if sample.name.endswith("_total") and version not in (*named, OTHER, NOBODY):
                counter.labels(OTHER, *others).inc(sample.value)
                counter.remove(version, *others)
