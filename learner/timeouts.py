"""How long an engine may take. Read with the configuration, so it imports nothing heavy."""

from __future__ import annotations

from msgspec import Struct


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """How long an engine may take before it counts as failed."""

    connect_s: float = 5.0  # to take a connection, and to tell how it is
    silence_s: float = 120.0  # to send the next piece of a stream, the first one included
    answer_s: float = 900.0  # for a whole answer or the scores of a text, its time in the queue included
    control_s: float = 60.0  # to load an adapter, and to name what is loaded


DEFAULT_TIMEOUTS = Timeouts()
