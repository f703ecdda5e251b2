"""What of a request goes through the head: its tail, where it says which, with others'. On the engine itself: test_scoring.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from learner.engine import SCORE_FROM
from service import vllm_score_tail
from service.vllm_score_tail import _of_tails_together

SCHEDULED = {"other": 5, "asks": 7, "whole": 18}


class Head(nn.Module):
    """The model's, which remembers of how many rows it was asked at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def compute_logits(self, states: Tensor) -> Tensor:
        self.asked.append(len(states))
        return states * 2


class Runner:
    """As much of vLLM's as the plugin touches: a step of three requests, of which two ask for log-probs of their prompts."""

    def __init__(self, score_from: int | None, computed: int) -> None:
        extra = {} if score_from is None else {SCORE_FROM: score_from}
        self.requests = {
            "asks": SimpleNamespace(
                num_computed_tokens=computed,
                sampling_params=SimpleNamespace(extra_args=extra),
                prompt_token_ids=range(max(computed + 7, score_from or 0)),
            ),
            "whole": SimpleNamespace(
                num_computed_tokens=0, sampling_params=SimpleNamespace(extra_args=None), prompt_token_ids=range(18)
            ),
        }
        self.num_prompt_logprobs = {"whole": 0, "asks": 0, "not in this step": 0}
        self.requests["not in this step"] = self.requests["whole"]
        self.query_start_loc = SimpleNamespace(np=np.array([0, 5, 12, 30]))
        self.input_batch = SimpleNamespace(req_id_to_index={"other": 0, "asks": 1, "whole": 2})
        self.model = Head()

    def seen(self, scheduled: dict[str, int]) -> tuple[int, int, int]:
        """Of "asks": from where on it is computed, where that stands in the step, and how many tokens it is."""
        return self.requests["asks"].num_computed_tokens, int(self.query_start_loc.np[1]), scheduled["asks"]

    def get_prompt_logprobs(self, states: Tensor, scheduled: dict[str, int]) -> dict[str, Tensor]:
        """As vLLM goes about it."""
        found = {}
        for name in self.num_prompt_logprobs:
            if name not in scheduled:
                continue
            request, start = self.requests[name], int(self.query_start_loc.np[self.input_batch.req_id_to_index[name]])
            rows = min(scheduled[name], len(request.prompt_token_ids) - request.num_computed_tokens - 1)
            found[name] = self.model.compute_logits(states[start : start + rows])
            torch.testing.assert_close(found[name], 2 * states[start : start + rows])
        return found


@pytest.mark.parametrize(
    ("score_from", "computed", "expected"),
    [
        (None, 0, (0, 5, 7)),
        (1, 0, (0, 5, 7)),
        (4, 0, (3, 8, 4)),
        (6, 0, (5, 10, 2)),
        (20, 16, (19, 8, 4)),
        (9, 16, (16, 5, 7)),  # what it wants is in an earlier part of it
        (30, 16, (16, 5, 7)),  # or in a later one
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_request_begins_where_its_tail_does(
    score_from: int | None, computed: int, expected: tuple[int, int, int], broken: bool
) -> None:
    runner, scheduled, states = Runner(score_from, computed), dict(SCHEDULED), torch.arange(30.0)[:, None]
    seen = []

    def original(self: Runner, states: Tensor, counts: dict[str, int]) -> Any:
        seen.append(self.seen(counts))
        assert counts["whole"] == 18 and self.query_start_loc.np[2] == 12
        if broken:
            raise RuntimeError("no memory")
        return self.get_prompt_logprobs(states, counts)

    before = runner.seen(scheduled)
    if broken:
        with pytest.raises(RuntimeError, match="no memory"):
            _of_tails_together(original)(runner, states, scheduled)
    else:
        found = _of_tails_together(original)(runner, states, scheduled)
        assert list(found) == ["whole", "asks"]
        assert runner.model.asked == [len(found["whole"]) + len(found["asks"])]
    assert seen == [expected]
    assert runner.seen(scheduled) == before and runner.model.compute_logits.__func__ is Head.compute_logits  # all is as it was


def test_the_head_works_on_no_more_at_once_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_score_tail, "HEAD_ROWS", 20)
    runner, states = Runner(4, 0), torch.arange(30.0)[:, None]
    _of_tails_together(Runner.get_prompt_logprobs)(runner, states, dict(SCHEDULED))
    assert runner.model.asked == [17 + 3] and not Runner(4, 0).model.asked
    monkeypatch.setattr(vllm_score_tail, "HEAD_ROWS", 19)
    _of_tails_together(Runner.get_prompt_logprobs)(runner, states, dict(SCHEDULED))
    assert runner.model.asked == [20, 17, 3]


def test_a_step_without_such_requests_asks_the_head_for_nothing() -> None:
    runner = Runner(None, 0)
    runner.num_prompt_logprobs = {}
    assert _of_tails_together(Runner.get_prompt_logprobs)(runner, torch.zeros(30, 1), dict(SCHEDULED)) == {}
    assert runner.model.asked == []
