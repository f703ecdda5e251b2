"""What can be set, in `<home>/ratchet.toml`. Read once at start and passed down; every field says what it does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from learner.config import LearnerSettings
from learner.model import BUILTIN
from learner.train import trackers
from learner.train.methods import check_method
from service.settings import EngineSettings
from service.telemetry.settings import HealthSettings, LogSettings, MetricsSettings, TracingSettings, WebhookSettings
from storage.settings import StorageSettings

FILE, ADDRESS_FILE, OPERATOR_KEY_FILE = "ratchet.toml", "address", "operator.key"  # in a home
STORAGE_URL = "RATCHET_STORAGE_URL"  # takes the place of storage.url
LAST_STEPS_S = 1  # of an exit: connections, jobs and the database
CHECKOUT = Path(__file__).resolve().parents[1]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the field."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens and what it takes."""

    host: str = "127.0.0.1"  # address to listen at; "0.0.0.0" is all of this machine's
    port: int = 8000  # 0 asks the system for a free one
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
        if not 0 <= self.compare_share <= 1:
            raise ValueError(f"compare_share is {self.compare_share}; expected a share from 0 to 1")


class GuardSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the policy (`learner.policy`) is held against what people ask and what they are answered."""

    enabled: bool = True  # off, rules only shape what is learnt


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a home, in `<home>/ratchet.toml`. What is not named there is as it stands here."""

    model: str = BUILTIN  # a built-in model or a folder in Hugging Face's layout
    clock: Literal["system", "injected"] = "system"  # "injected" lets an operator move time: for simulations only
    server: ServerSettings = ServerSettings()
    guard: GuardSettings = GuardSettings()
    engine: EngineSettings = EngineSettings()
    learner: LearnerSettings = LearnerSettings()
    storage: StorageSettings = StorageSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    webhooks: tuple[WebhookSettings, ...] = ()  # programs that are told of verdicts, rollbacks and failures


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
