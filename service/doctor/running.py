"""The port, the service and its engine, where they run."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from service.client import Client, ClientError
from service.doctor.subject import Finding, Subject
from service.listen import listen
from storage.checkup import CheckupError, measure_skew_s

TIMEOUT_S = 5.0
SLOW_S = 1.0  # for a service to say that it lives
SKEW_S = 5.0  # of two clocks; what a service says is exact to a second
NOT_RUNNING = Finding("ok", "no service runs here: `ratchet up` starts one")


class _Heard(Struct, frozen=True):
    """What came back, how long it took, and the time that the other side had."""

    status: int
    body: bytes
    took_s: float
    ahead_s: float  # of the other's clock; 0 where it does not say


class _Ready(Struct):
    """What this needs of /health/ready."""

    ready: bool
    waiting_for: str | None = None
    detail: str | None = None


class _Version(Struct):
    version: str


def check_port(subject: Subject) -> Finding:
    """The configured port is free, or it is this home's service that has it."""
    server = subject.config.server
    where = f"{server.host}:{server.port}"
    if server.port == 0:
        return Finding("ok", "any that is free")
    if subject.address and urlsplit(subject.address).port == server.port and _hear(subject.address, "/health/live"):
        return Finding("ok", f"{where} is this service's")
    try:
        listen(server).close()
    except OSError as error:
        return Finding("problem", f"cannot listen on {where} ({error.strerror})", "free it, or set server.port (0 for any)")
    return Finding("ok", f"{where} is free")


def check_service(subject: Subject) -> Finding:
    """Where one is said to run, it lives and answers soon."""
    if not subject.address:
        return NOT_RUNNING
    heard = _hear(subject.address, "/health/live")
    if heard is None:
        return Finding("warning", f"nothing answers at {subject.address}", "start it with `ratchet up`, or correct RATCHET_URL")
    if heard.status != 200:
        return Finding(
            "problem", f"{subject.address} answers HTTP {heard.status}", "another program may have this port: set server.port"
        )
    found = f"{subject.address} answers in {heard.took_s * 1000:.0f} ms"
    if heard.took_s > SLOW_S:
        return Finding("warning", found, "the machine is busy: see `ratchet status`")
    return Finding("ok", found)


def check_ready(subject: Subject) -> Finding:
    """People can be answered."""
    heard = _hear(subject.address, "/health/ready") if subject.address else None
    if heard is None:
        return NOT_RUNNING
    try:
        said = msgspec.json.decode(heard.body, type=_Ready)
    except msgspec.DecodeError:
        return Finding("problem", f"{subject.address}/health/ready answers what no Ratchet says", "correct RATCHET_URL")
    if said.ready:
        return Finding("ok", f"ready, told in {heard.took_s * 1000:.0f} ms")
    found = f"waits for {said.waiting_for}" + (f": {said.detail}" if said.detail else "")
    return Finding("problem" if said.detail else "warning", found, "wait, and look into the log of `ratchet up` if it stays so")


def check_engines(subject: Subject) -> Finding:
    """Every engine of the running service answers, and with which version."""
    if not subject.address or _hear(subject.address, "/health/live") is None:
        return NOT_RUNNING
    if not subject.key:
        return Finding("warning", "nobody says where the engine is", "set RATCHET_KEY to the operator's key")
    try:
        urls: list[str] = Client(subject.address, subject.key, subject.home).get("/api/status")["engine_urls"]
    except ClientError as error:
        return Finding("warning", str(error), "set RATCHET_KEY to the operator's key")
    told = [_engine(url) for url in urls]
    if silent := [url for url, version in zip(urls, told, strict=True) if not version]:
        return Finding(
            "problem", f"no answer from {', '.join(silent)}", "see to that engine; one of our own is started again by itself"
        )
    return Finding("ok", ", ".join(told))


def check_skew(subject: Subject) -> Finding:
    """This clock, the service's and the database server's agree."""
    skews: dict[str, float] = {}
    if subject.address and (heard := _hear(subject.address, "/health/live", subject.now)) is not None:
        skews["the service's"] = heard.ahead_s
    if url := subject.config.storage.url:
        try:
            skews["PostgreSQL's"] = measure_skew_s(url)
        except CheckupError as error:
            return Finding("warning", f"PostgreSQL does not say: {error}", "see to the database first")
    for whose, ahead_s in skews.items():
        if abs(ahead_s) > SKEW_S:
            found = f"{whose} clock is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}"
            return Finding("problem", found, "have both machines set their clocks by the same time server")
    return Finding("ok", f"agrees with {' and '.join(skews)} clock" if skews else "no other clock to compare with")


def _engine(url: str) -> str:
    """Its version and how soon it said it; "" where nothing answers."""
    heard = _hear(url, "/version")
    if heard is None or heard.status != 200:
        return ""
    return f"vLLM {msgspec.json.decode(heard.body, type=_Version).version} in {heard.took_s * 1000:.0f} ms"


def _hear(url: str, path: str, now: Callable[[], float] = time.time) -> _Heard | None:
    """None where nothing answers."""
    before, begun = now(), time.perf_counter()
    try:
        with urllib.request.urlopen(url + path, timeout=TIMEOUT_S) as response:
            return _heard(response, before, begun)
    except urllib.error.HTTPError as error:
        with error:
            return _heard(error, before, begun)
    except (OSError, ValueError):  # ValueError: the address is none
        return None


def _heard(response: Any, before: float, begun: float) -> _Heard:
    body, took_s = response.read(), time.perf_counter() - begun
    date = response.headers.get("date")
    ahead_s = parsedate_to_datetime(date).timestamp() - (before + took_s / 2) if date else 0.0
    return _Heard(response.status, body, took_s, ahead_s)
