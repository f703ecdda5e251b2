"""What any adapter has learnt, judged by the plain model and PEFT alone: neither side's code has a part in it.

Always in float32: what a short training moves is less than bfloat16 rounds away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.rows import Row, RowKind
from service.bench.learner.spec import Judged

BETA = 0.1  # TRL's default


def judge(model_dir: Path, adapter_dir: Path, rows: Sequence[Row]) -> Judged:
    """Compares the adapter with base on these rows, which are all votes, of both kinds, or all pairs."""
    plain = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, adapter_dir).eval()
    if rows[0].kind is RowKind.PREFERENCE:
        return compare(_gains(model, rows, better=True), _gains(model, rows))
    liked, disliked = ([row for row in rows if row.label == label] for label in (1, -1))
    every = torch.cartesian_prod(torch.arange(len(liked)), torch.arange(len(disliked)))
    return compare(_gains(model, liked)[every[:, 0]], _gains(model, disliked)[every[:, 1]])


def compare(liked_R2: Tensor, disliked_R2: Tensor) -> Judged:
    """Of answers and what they were preferred over, row by row; each (log-prob gained over base in sum, per token), (R, 2)."""
    sum_R, mean_R = (liked_R2 - disliked_R2).unbind(1)
    accuracy = float((mean_R > 0).double().mean())
    return Judged(float(mean_R.mean()), accuracy, float(F.softplus(-BETA * sum_R).mean()))


@torch.no_grad()
def _gains(model: PeftModel, rows: Sequence[Row], better: bool = False) -> Tensor:
    """(in sum, per token) of each answer, or of the one preferred over it, (R, 2)."""
    gains = []
    for row in rows:
        answer_ids = row.better_ids if better else row.answer_ids
        gained_T = _logps(model, row.prompt_ids, answer_ids)
        with model.disable_adapter():
            gained_T = gained_T - _logps(model, row.prompt_ids, answer_ids)
        gains.append(torch.stack([gained_T.sum(), gained_T.mean()]))
    return torch.stack(gains)


def _logps(model: PeftModel, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Tensor:
    """log p of each token of the answer, (T,)."""
    ids_1N = torch.tensor([[*prompt_ids, *answer_ids]])
    logits_1TV = model(input_ids=ids_1N, logits_to_keep=len(answer_ids) + 1).logits[:, :-1]
    logps_1TV: Tensor = logits_1TV.float().log_softmax(2)
    return logps_1TV.gather(2, torch.tensor(answer_ids)[None, :, None])[0, :, 0]
