"""What of a request goes through the head: its tail, where it says which. On the engine itself: test_scoring.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from learner.engine import SCORE_FROM
from service.vllm_score_tail import _of_the_tail


class Runner:
    """As much of vLLM's as the plugin touches: three requests in one step, of which two ask for log-probs."""

    def __init__(self, score_from: int | None, computed: int) -> None:
        extra = {} if score_from is None else {SCORE_FROM: score_from}
        asks = SimpleNamespace(num_computed_tokens=computed, sampling_params=SimpleNamespace(extra_args=extra))
        whole = SimpleNamespace(num_computed_tokens=0, sampling_params=SimpleNamespace(extra_args=None))
        self.requests = {"asks": asks, "whole": whole}
        self.num_prompt_logprobs = {"whole": 0, "asks": 0}
        self.query_start_loc = SimpleNamespace(np=np.array([0, 5, 12, 30]))
        self.input_batch = SimpleNamespace(req_id_to_index={"other": 0, "asks": 1, "whole": 2})

    def seen(self, scheduled: dict[str, int]) -> tuple[int, int, int]:
        """Of "asks": from where on it is computed, where that stands in the step, and how many tokens it is."""
        return self.requests["asks"].num_computed_tokens, int(self.query_start_loc.np[1]), scheduled["asks"]


@pytest.mark.parametrize(
    ("score_from", "computed", "expected"),
    [
        (None, 0, (0, 5, 7)),
        (1, 0, (0, 5, 7)),
        (4, 0, (3, 8, 4)),
        (7, 0, (6, 11, 1)),
        (20, 16, (19, 8, 4)),
        (9, 16, (16, 5, 7)),  # what it wants is in an earlier part of it
        (30, 16, (16, 5, 7)),  # or in a later one
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_request_begins_where_its_tail_does(
    score_from: int | None, computed: int, expected: tuple[int, int, int], broken: bool
) -> None:
    runner, scheduled, seen = Runner(score_from, computed), {"other": 5, "asks": 7, "whole": 18}, []

    def original(self: Runner, states: Any, counts: dict[str, int]) -> str:
        seen.append(self.seen(counts))
        assert counts["whole"] == 18 and self.query_start_loc.np[2] == 12
        if broken:
            raise RuntimeError("no memory")
        return "log-probs"

    before = runner.seen(scheduled)
    if broken:
        with pytest.raises(RuntimeError, match="no memory"):
            _of_the_tail(original)(runner, None, scheduled)
    else:
        assert _of_the_tail(original)(runner, None, scheduled) == "log-probs"
    assert seen == [expected]
    assert runner.seen(scheduled) == before  # all is as it was
