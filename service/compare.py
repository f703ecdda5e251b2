"""Which answers of the chat page are to be compared with another: a share of them, the same ones whoever looks.

The page says with a header of its request that it can show two answers side by side, and hears by one of the response that
this answer is to be compared. It then asks the same again, without the header, and posts which of the two is better as
feedback (`preferred_over`). Programs, which send no such header, are never told.
"""

from __future__ import annotations

from collections.abc import Mapping

from learner.chance import fraction_of

PAGE, CHAT = "x-ratchet-page", "chat"  # in a request: the page it comes from
COMPARE = "x-compare"  # in a response: "1" where the answer is to be compared


def can_compare(headers: Mapping[str, str]) -> bool:
    """Whether the request comes from where two answers can be shown."""
    return headers.get(PAGE) == CHAT


def is_compared(turn_id: str, share: float) -> bool:
    """Whether this turn is among the share that is compared."""
    return fraction_of(f"compare/{turn_id}") < share
