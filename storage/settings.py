"""What can be set about storage. Every field says what it does, with its unit."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Durability = Literal["strict", "group", "async"]


class StorageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where records and artifacts are kept, how safely, and for how long."""

    url: str | None = None  # of a PostgreSQL database, like "postgresql://host/ratchet"; <home>/ratchet.db where unset
    durability: Durability = "group"  # see storage/database.py; what is acknowledged survives a power cut but under "async"
    max_waiting_writes: int = 4096  # beyond these a write is refused at once, and its request answered with 503
    artifacts: str | None = None  # fsspec URL of a store that all services share, like "s3://bucket/ratchet"
    keep_retired_adapters: int = 20  # newest versions that were live once; older ones are erased, but their rows
    keep_rejected_adapters: int = 5  # newest candidates that never went live
    keep_datasets: int = 50  # newest files; their manifests stay
    keep_conversation_days: float | None = None  # since something was last said; None keeps them until they are deleted
    lease_s: float = 10.0  # how long a service that has died keeps the others from scheduling cycles
