"""What can be set, in `<home>/ratchet.toml`. Read once at start and passed down; every field says what it does."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from learner.config import LearnerSettings
from learner.model import BUILTIN
from learner.train import trackers
from learner.train.methods import check_method
from service.settings import EngineSettings
from service.telemetry.settings import HealthSettings, LogSettings, MetricsSettings, TracingSettings, WebhookSettings
from storage.settings import StorageSettings

FILE, ADDRESS_FILE, OPERATOR_KEY_FILE = "ratchet.toml", "address", "operator.key"  # in a home
STORAGE_URL = "RATCHET_STORAGE_URL"  # takes the place of storage.url
Mode = Literal["open", "keys", "proxy"]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LAST_STEPS_S = 1  # of an exit: connections, jobs and the database
KEEP_ALIVE_S = 75  # an idle connection stays open: longer than clients and balancers keep theirs, or they may ask just as it closes
CHECKOUT = Path(__file__).resolve().parents[1]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the field."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens and what it takes."""

    host: str = "127.0.0.1"  # address to listen at; "0.0.0.0" is all of this machine's, and then see auth.mode
    port: int = 8000  # 0 asks the system for a free one
    public_url: str = ""  # where people come by another name, "https://chat.example.org"; behind https cookies are for https alone
    max_body_bytes: int = 1_000_000  # of a request
    body_timeout_s: float = 30.0  # for a request to come whole
    max_prompt_tokens: int | None = None  # where unset, what the engine's context leaves
    max_answer_tokens: int = 1024  # of one answer, and what it is without `max_tokens`
    answers: int = 256  # written at once; what is asked beyond them is refused at once (503)
    answers_per_person: int = 8  # of them (429)
    stream_buffer_bytes: int = 2**18  # of an answer that its client has not taken; it is written no faster then
    stalled_client_s: float = 60.0  # a client that takes nothing for so long is cut off
    temperature: float = 0.7  # of an answer whose request names none
    compare_share: float = 0.05  # of answers on the chat page that are asked for twice, to be compared; 0 is never
    shutdown_s: float = 5.0  # from being asked to end to the end, engine included; answers may take what that leaves

    def __post_init__(self) -> None:
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise ValueError(f"public_url is {self.public_url!r}; expected an address like https://chat.example.org")
        if not 0 <= self.compare_share <= 1:
            raise ValueError(f"compare_share is {self.compare_share}; expected a share from 0 to 1")


class AuthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may come in, and how. Keys of operators and admins work in every mode."""

    mode: Mode = "open"  # "open" is anybody who reaches it, "keys" who has a key, "proxy" whom a single-sign-on proxy names too
    open_to_network: bool = False  # lets anybody who reaches this machine chat and vote, without a key; for mode "open"
    session_s: float = 12 * 3600.0  # how long a browser stays signed in
    rotation_overlap_s: float = 24 * 3600.0  # how long a key that is rotated goes on working beside its successor
    proxy_header: str = "X-Forwarded-User"  # in which the proxy names who asks; it has to take it off what comes from outside
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")  # addresses or networks whose word on that counts
    operators: tuple[str, ...] = ()  # names, as the proxy gives them, of those who operate the loop
    admins: tuple[str, ...] = ()  # and of those who make keys of operators too

    def __post_init__(self) -> None:
        for address in self.trusted_proxies:
            ip_network(address)  # raises ValueError, which quotes it
        if self.session_s <= 0 or self.rotation_overlap_s < 0:
            raise ValueError(f"session_s is {self.session_s} and rotation_overlap_s {self.rotation_overlap_s}; expected seconds")


class RateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How much may be asked for, beyond what `[server]` allows at once. Not limited where unset."""

    requests_per_minute: int | None = None  # answers asked for
    tokens_per_minute: int | None = None  # of prompts and answers together
    requests_per_day: int | None = None  # by days of UTC
    tokens_per_day: int | None = None  # by days of UTC
    feedback_per_minute: int | None = None  # votes and words on answers

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if limit is not None and limit < 1:
                raise ValueError(f"{name} is {limit}; expected 1 or more, or nothing at all for no limit")


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Rates of one person with all their keys, and of one key. Each service process counts by itself."""

    person: RateSettings = RateSettings()
    key: RateSettings = RateSettings()


class GuardSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the policy (`learner.policy`) is held against what people ask and what they are answered."""

    enabled: bool = True  # off, rules only shape what is learnt


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a home, in `<home>/ratchet.toml`. What is not named there is as it stands here."""

    model: str = BUILTIN  # a built-in model or a folder in Hugging Face's layout
    clock: Literal["system", "injected"] = "system"  # "injected" lets an operator move time: for simulations only
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    limits: LimitSettings = LimitSettings()
    guard: GuardSettings = GuardSettings()
    engine: EngineSettings = EngineSettings()
    learner: LearnerSettings = LearnerSettings()
    storage: StorageSettings = StorageSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    webhooks: tuple[WebhookSettings, ...] = ()  # programs that are told of verdicts, rollbacks and failures

    def __post_init__(self) -> None:
        if self.auth.mode == "open" and not self.auth.open_to_network and (place := self._open_place()) is not None:
            raise ValueError(
                f'server.{place}, so that anybody who reaches it could chat and vote: expected `mode = "keys"` or '
                '`mode = "proxy"` under [auth], or `open_to_network = true` there if that is what you want'
            )

    def _open_place(self) -> str | None:
        """The setting that lets others than this machine in."""
        public = urlsplit(self.server.public_url).hostname
        if not is_loopback(self.server.host):
            return f'host is "{self.server.host}"'
        return f'public_url is "{self.server.public_url}"' if public is not None and not is_loopback(public) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return host in LOOPBACK or host.startswith("127.")


def streams_s(config: Config) -> float:
    """How long answers in the making may go on once the service is asked to end."""
    return max(config.server.shutdown_s - config.engine.shutdown_timeout_s - LAST_STEPS_S, 0.0)


def default_home() -> Path:
    """`RATCHET_HOME`, or `.ratchet/` in the checkout."""
    return Path(os.environ.get("RATCHET_HOME") or CHECKOUT / ".ratchet").resolve()


def models_dir() -> Path:
    """Where built-in models are kept, shared by all homes: `RATCHET_MODELS`, or `.ratchet/models` in the checkout."""
    return Path(os.environ.get("RATCHET_MODELS") or CHECKOUT / ".ratchet" / "models").resolve()


def load_config(home: Path) -> Config:
    """The home's configuration; the defaults where there is no file. Raises `ConfigError`."""
    file = home / FILE
    try:
        config = msgspec.toml.decode(file.read_bytes(), type=Config) if file.exists() else Config()
    except msgspec.DecodeError as error:
        raise ConfigError(f"{file}: {error}") from error
    if url := os.environ.get(STORAGE_URL):  # it may hold a password, which does not belong into a file
        config = msgspec.structs.replace(config, storage=msgspec.structs.replace(config.storage, url=url))
    if config.engine.lora_rank != config.learner.train.rank:
        raise ConfigError(
            f"{file}: engine.lora_rank is {config.engine.lora_rank} and learner.train.rank {config.learner.train.rank}; "
            "expected the same"
        )
    try:
        check_method(config.learner.train.method)
    except ValueError as error:
        raise ConfigError(f"{file}: learner.train.method: {error}") from error
    try:
        trackers.check(config.learner.train.trackers)
    except trackers.TrackerMissing as error:
        raise ConfigError(f"{file}: learner.train.trackers: {error}") from error
    return config
