"""The appraisal job: how much more often people would like a candidate's answers, told from their votes on the live version's.

Run as `python -m learner.evaluate.appraising FOLDER`. It never opens the database; killed, it leaves nothing that counts.

To first order, the share of thumbs up changes between two policies by (policy gradient theorem, Sutton et al. 2000)

    E_live[ sum over t of d_t (v - b_t) ]    with d_t = log p_candidate(y_t) / p_live(y_t) + KL(p_live || p_candidate) at t

v is 1 for a thumb up and 0 for one down. Each d_t is zero on average whatever people like, so drift gains nothing, however
long the answers. b_t may be anything that is known before token t: it is the share of thumbs up among the answers to people
who teach that are longer than t tokens. Where an answer is too long for anybody, the rest of it tells nothing, and weighs
nothing. Only answers that the live version drew say anything of it: along another's, d_t is no longer zero on average, and
what people liked of that one they may have had enough of. Of those nothing but their log-probs is told.

Shapes: T answer tokens of some rows, end to end, V tokens that there are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from msgspec.structs import replace
from torch import Tensor

from learner.adapter import BASE
from learner.evaluate.spec import EVALUATION, RESULT, Appraisal, Appraised, telling
from learner.jobs import leave_result, settle_in
from learner.rows import Row, Split, heldout_votes, read_rows
from learner.train.place import use_threads
from learner.train.policy import Policy
from learner.train.reference import score_answers
from learner.train.scored import logits_as_drawn, rows_in_chunks, tokens_of

PRIOR_VOTES = 2.0  # of the mean share, that a share of few answers is drawn to


def appraise(job: Appraisal, advance: Callable[[int, str], None]) -> Appraised:
    """What each held-out vote on an answer of the live version says of each candidate.

    `advance` hears how many votes are done, and by whom.
    """
    started_s = time.monotonic()
    votes = [replace(row, better_ids=(), lesson_from=0) for row in heldout_votes(Path(job.rows_file))]
    of_live = (row for row in read_rows(Path(job.rows_file)) if row.drawn_by == job.live)
    taught = [row for row in of_live if row.split is Split.TRAIN and row.label]
    longest = max((len(row.answer_ids) for row in votes), default=0)
    baseline_T = liked_of_longer([len(row.answer_ids) for row in taught], [row.label > 0 for row in taught], longest)
    gains: dict[str, dict[str, float]] = {}
    means: dict[str, dict[str, float]] = {name: {} for name in (job.live, *job.candidate_dirs)}
    for name, folder in job.candidate_dirs.items():
        policy = Policy(Path(job.model_dir), Path(job.live_dir), job.precision, start_dir=Path(folder))
        gains[name] = {}
        for rows in rows_in_chunks(sorted(votes, key=tokens_of), job.chunk_tokens):
            for row, along in zip(rows, go_along(policy, rows), strict=True):
                if row.drawn_by == job.live:
                    gains[name][row.id] = gain(along.moved_T, baseline_T, liked=row.label > 0)
                means[name][row.id], means[job.live][row.id] = (float(logp_T.mean()) for logp_T in along[1:])
            advance(len(rows), f"held-out votes: {name} beside the live version")
        if BASE not in means:
            with policy.base():
                base_R = score_answers(policy, votes, job.chunk_tokens)
            means[BASE] = {row.id: mean for row, mean in zip(votes, base_R.tolist(), strict=True)}
    return Appraised(gains, means, time.monotonic() - started_s)


def liked_of_longer(lengths: Sequence[int], liked: Sequence[bool], count: int) -> Tensor:
    """Of answers that are longer than t tokens, the share that was liked, for each t below `count`; one half without any."""
    length_N, liked_N = torch.tensor(lengths, dtype=torch.long), torch.tensor(liked, dtype=torch.float64)
    mean = float(liked_N.mean()) if len(lengths) else 0.5
    longer_TN = (length_N > torch.arange(count)[:, None]).double()
    return (longer_TN @ liked_N + PRIOR_VOTES * mean) / (longer_TN.sum(dim=1) + PRIOR_VOTES)


class Along(NamedTuple):
    """d_t along an answer, and its tokens' log-probs under the candidate and the live version, (T,) each."""

    moved_T: Tensor
    candidate_T: Tensor
    live_T: Tensor


@torch.no_grad()
def go_along(policy: Policy, rows: Sequence[Row]) -> list[Along]:
    """The policy beside its reference along the answer of each row, which has no other, at the temperature it was drawn at."""
    logits_TV, tokens_T = logits_as_drawn(policy, rows, "mean")
    candidate_TV = logits_TV.float().log_softmax(dim=1)
    with policy.reference():
        live_TV = logits_as_drawn(policy, rows, "mean")[0].float().log_softmax(dim=1)
    kl_T = (live_TV.exp() * (live_TV - candidate_TV)).sum(dim=1)
    candidate_T, live_T = (logp_TV.gather(1, tokens_T[:, None])[:, 0] for logp_TV in (candidate_TV, live_TV))
    lengths = [len(row.answer_ids) for row in rows]
    each = [value_T.cpu().double().split(lengths) for value_T in (candidate_T - live_T + kl_T, candidate_T, live_T)]
    return [Along(*of_row) for of_row in zip(*each, strict=True)]


def gain(moved_T: Tensor, baseline_T: Tensor, liked: bool) -> float:
    """What one vote says of the change in the share of thumbs up."""
    return float((moved_T * (float(liked) - baseline_T[: len(moved_T)])).sum())


def main(folder: Path) -> None:
    job = msgspec.json.decode((folder / EVALUATION).read_bytes(), type=Appraisal)
    use_threads(job.threads)
    total = len(heldout_votes(Path(job.rows_file))) * len(job.candidate_dirs)
    with telling(folder, total) as advance:
        appraised = appraise(job, advance)
    leave_result(folder / RESULT, appraised)


if __name__ == "__main__":
    settle_in()
    main(Path(sys.argv[1]))
