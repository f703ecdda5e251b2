"""A vLLM plugin that scores the end of a text without computing its beginning again.

Where log-probs of a prompt are asked for, vLLM computes the whole prompt, since cached positions have none. The four
choices of a question share all but their last words, so most of an evaluation would be the same work done again. A
request that says `vllm_xargs = {"score_from": n}` wants log-probs of token n and those after it only: here it may take the
positions before from the prefix cache, and never more, and those that it computes all the same do not go through the
head, a fifth of a small model, which works on the tails of many requests at once. Log-probs that were not asked for are
zero. vLLM loads the plugin by its entry point `vllm.general_plugins` in every process; without it the request is answered
in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from learner.engine import SCORE_FROM
from learner.train.pack import in_chunks
from service.vllm_plugins import is_known

HEAD_ROWS = 512  # that the head works on at once, of which each becomes a number for every token there is


def register() -> None:
    """Teach vLLM `score_from`; do nothing on a version not known to fit."""
    import vllm

    if not is_known(vllm.__version__, "texts are scored whole"):
        return
    from vllm.v1.core.kv_cache_manager import KVCacheManager
    from vllm.v1.outputs import LogprobsTensors
    from vllm.v1.request import Request
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    request_class: Any = Request
    request_class.get_skip_reading_prefix_cache = _unless_a_tail_is_scored(request_class.get_skip_reading_prefix_cache)
    manager_class: Any = KVCacheManager
    manager_class.get_computed_blocks = _up_to_the_tail(manager_class.get_computed_blocks)
    tensors_class: Any = LogprobsTensors
    tensors_class.empty_cpu = staticmethod(_zeroed(tensors_class.empty_cpu))
    runner_class: Any = GPUModelRunner  # that of CPUs, too
    runner_class._get_prompt_logprobs_dict = _of_tails_together(runner_class._get_prompt_logprobs_dict)


def score_from(request: Any) -> int | None:
    """The first token whose log-prob the request wants, where it says so."""
    extra = getattr(request.sampling_params, "extra_args", None) or {}
    return int(extra[SCORE_FROM]) if SCORE_FROM in extra else None


def _unless_a_tail_is_scored(skip_reading_prefix_cache: Any) -> Any:
    def skip(self: Any) -> bool:
        return bool(skip_reading_prefix_cache(self)) and score_from(self) is None

    return skip


def _up_to_the_tail(get_computed_blocks: Any) -> Any:
    """Token n's log-prob comes from position n - 1, which therefore may not be a cached one."""

    def computed(self: Any, request: Any) -> Any:
        blocks, tokens, boundary = get_computed_blocks(self, request)
        first = score_from(request)
        if first is None or tokens < first:
            return blocks, tokens, boundary
        block_tokens = self.coordinator.single_type_managers[0].block_size
        kept_tokens = (first - 1) // block_tokens * block_tokens
        return self.truncate_computed_blocks(blocks, kept_tokens), kept_tokens, boundary

    return computed


def _of_tails_together(get_prompt_logprobs_dict: Any) -> Any:
    """vLLM takes a request's states from where its part of the step begins, and asks the head for one request after the other,
    which reads all of the head each time. Here that part begins where the tail does, and the head is asked for many at once."""

    def get(self: Any, hidden_states: Any, num_scheduled_tokens: dict[str, int]) -> Any:
        starts, scheduled, passed = self.query_start_loc.np, dict(num_scheduled_tokens), dict[str, int]()
        for name in self.num_prompt_logprobs:
            first, computed = score_from(self.requests[name]), self.requests[name].num_computed_tokens
            if first is not None and 0 < first - 1 - computed < scheduled.get(name, 0):
                passed[name] = first - 1 - computed

        def move(sign: int) -> None:
            for name, tokens in passed.items():
                scheduled[name] -= sign * tokens
                self.requests[name].num_computed_tokens += sign * tokens
                starts[self.input_batch.req_id_to_index[name]] += sign * tokens

        move(1)
        try:
            parts = _logits_of_each(self.model.compute_logits, [hidden_states[part] for part in _parts(self, scheduled)])
            self.model.compute_logits = lambda _: next(parts)
            return get_prompt_logprobs_dict(self, hidden_states, scheduled)
        finally:
            self.model.__dict__.pop("compute_logits", None)  # the model's own again
            move(-1)

    return get


def _parts(runner: Any, scheduled: dict[str, int]) -> Iterator[slice]:
    """Where among a step's states are those that vLLM will ask the head for, in that order."""
    for name in runner.num_prompt_logprobs:
        request = runner.requests[name]
        if name not in scheduled or request.prompt_token_ids is None:
            continue
        start = int(runner.query_start_loc.np[runner.input_batch.req_id_to_index[name]])
        rows = min(scheduled[name], len(request.prompt_token_ids) - request.num_computed_tokens - 1)
        if rows > 0:
            yield slice(start, start + rows)


def _logits_of_each(compute_logits: Any, states: Sequence[Any]) -> Iterator[Any]:
    """Each one's logits, computed as the first of a group is wanted, so that few are held at once."""
    import torch

    for group in in_chunks(states, [len(one) for one in states], HEAD_ROWS):
        yield from compute_logits(torch.cat(group)).split([len(one) for one in group])


def _zeroed(empty_cpu: Any) -> Any:
    """What is not computed must still be numbers and tokens: vLLM decodes every row of these, and writes them as JSON."""

    def zeros(positions: int, tokens_per_position: int) -> Any:
        tensors = empty_cpu(positions, tokens_per_position)
        tensors.logprob_token_ids.zero_()
        tensors.logprobs.zero_()
        tensors.selected_token_ranks.zero_()
        return tensors

    return zeros
