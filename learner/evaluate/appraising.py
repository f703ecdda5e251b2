"""The appraisal job: how much more often people would like a candidate's answers, told from their votes on the live version's.

Run as `python -m learner.evaluate.appraising FOLDER`. It never opens the database; killed, it leaves nothing that counts.

To first order, the share of thumbs up changes between two policies by (policy gradient theorem, Sutton et al. 2000)

    E_live[ sum over t of d_t (v - b_t) ]    with d_t = m_t - E_live[m_t] and m_t = log p_candidate(y_t) / p_live(y_t)

v is 1 for a thumb up and 0 for one down. Each d_t is zero on average whatever people like, so drift gains nothing, however
long the answers. m_t is cut off at +-MAX_MOVE_NATS, before its mean is taken: what is judged is a candidate that moves no
token farther. Few tokens do, but half of the noise was in them, and what only they promise is no promise to go by.

b_t may be anything that is known without the answer from t on. It is the share of thumbs up among the votes of everybody
else, each weighing by the variance of d_t as the live version has it there, which leaves the least noise (Greensmith,
Bartlett & Baxter 2004). Only answers that the live version drew say anything of it: along another's, d_t is no longer zero
on average, and what people liked of that one they may have had enough of. Of those nothing but their log-probs is told.

Shapes: N votes, T answer tokens, of one answer or of some end to end, V tokens that there are.
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
from torch.nn.utils.rnn import pad_sequence

from learner.adapter import BASE
from learner.evaluate.spec import EVALUATION, RESULT, Appraisal, Appraised, telling
from learner.jobs import leave_result, settle_in
from learner.rows import Row, heldout_votes
from learner.train.place import use_threads
from learner.train.policy import Policy
from learner.train.reference import score_answers
from learner.train.scored import logits_as_drawn, rows_in_chunks, tokens_of

MAX_MOVE_NATS = 2.0
PRIOR_VOTES = 2.0  # of the mean share, that a share of few answers is drawn to
LEAST_SPREAD = 1e-12  # nats squared: a candidate that moves nothing has shares to compare with too


def appraise(job: Appraisal, advance: Callable[[int, str], None]) -> Appraised:
    """What each held-out vote on an answer of the live version says of each candidate.

    `advance` hears how many votes are done, and by whom.
    """
    started_s = time.monotonic()
    votes = [replace(row, better_ids=(), lesson_from=0) for row in heldout_votes(Path(job.rows_file))]
    gains: dict[str, dict[str, float]] = {}
    means: dict[str, dict[str, float]] = {name: {} for name in (job.live, *job.candidate_dirs)}
    for name, folder in job.candidate_dirs.items():
        policy = Policy(Path(job.model_dir), Path(job.live_dir), job.precision, start_dir=Path(folder))
        judging: list[tuple[Row, Along]] = []
        for rows in rows_in_chunks(sorted(votes, key=tokens_of), job.chunk_tokens):
            for row, along in zip(rows, go_along(policy, rows), strict=True):
                if row.drawn_by == job.live:
                    judging.append((row, along))
                means[name][row.id], means[job.live][row.id] = float(along.candidate_T.mean()), float(along.live_T.mean())
            advance(len(rows), f"held-out votes: {name} beside the live version")
        gains[name] = {row.id: gain for (row, _), gain in zip(judging, gains_of(judging), strict=True)}
        if BASE not in means:
            with policy.base():
                base_R = score_answers(policy, votes, job.chunk_tokens)
            means[BASE] = {row.id: mean for row, mean in zip(votes, base_R.tolist(), strict=True)}
    return Appraised(gains, means, time.monotonic() - started_s)


class Along(NamedTuple):
    """d_t along an answer and its variance, and the tokens' log-probs under the candidate and the live version, (T,) each."""

    moved_T: Tensor
    spread_T: Tensor
    candidate_T: Tensor
    live_T: Tensor


@torch.no_grad()
def go_along(policy: Policy, rows: Sequence[Row]) -> list[Along]:
    """The policy beside its reference along the answer of each row, which has no other, at the temperature it was drawn at."""
    logits_TV, tokens_T = logits_as_drawn(policy, rows, "mean")
    candidate_TV = logits_TV.float().log_softmax(dim=1)
    with policy.reference():
        live_TV = logits_as_drawn(policy, rows, "mean")[0].float().log_softmax(dim=1)
    move_TV = (candidate_TV - live_TV).clamp(-MAX_MOVE_NATS, MAX_MOVE_NATS)
    chance_TV = live_TV.exp()
    mean_T = (chance_TV * move_TV).sum(dim=1)
    spread_T = (chance_TV * (move_TV - mean_T[:, None]).square()).sum(dim=1)
    move_T, candidate_T, live_T = (of_TV.gather(1, tokens_T[:, None])[:, 0] for of_TV in (move_TV, candidate_TV, live_TV))
    lengths = [len(row.answer_ids) for row in rows]
    each = [value_T.cpu().double().split(lengths) for value_T in (move_T - mean_T, spread_T, candidate_T, live_T)]
    return [Along(*of_row) for of_row in zip(*each, strict=True)]


def gains_of(votes: Sequence[tuple[Row, Along]]) -> list[float]:
    """What each vote says of the change in the share of thumbs up."""
    if not votes:
        return []
    liked_N = torch.tensor([row.label > 0 for row, _ in votes], dtype=torch.float64)
    moved_NT = pad_sequence([along.moved_T for _, along in votes], batch_first=True)
    baseline_NT = liked_by_others(liked_N, [row.person_id for row, _ in votes], [along.spread_T for _, along in votes])
    gain_N = (moved_NT * (liked_N[:, None] - baseline_NT)).sum(dim=1)
    return [float(gain) for gain in gain_N]


def liked_by_others(liked_N: Tensor, people: Sequence[str], spread: Sequence[Tensor]) -> Tensor:
    """b_t of each vote, (N, T): the share of thumbs up among other people's, weighing by `spread`; one half without others."""
    numbers = {person: number for number, person in enumerate(dict.fromkeys(people))}
    if len(numbers) < 2:
        return torch.full((len(people), max(map(len, spread))), 0.5, dtype=torch.float64)
    number_N = torch.tensor([numbers[person] for person in people])

    def of_others(value_NT: Tensor) -> Tensor:
        of_person_PT = torch.zeros(len(numbers), value_NT.shape[1], dtype=torch.float64).index_add_(0, number_N, value_NT)
        return (value_NT.sum(dim=0) - of_person_PT)[number_N]

    spread_NT = pad_sequence([spread_T + LEAST_SPREAD for spread_T in spread], batch_first=True)
    there_NT = (spread_NT > 0).double()
    weight_NT, liked_NT = of_others(spread_NT), of_others(spread_NT * liked_N[:, None])
    total_N1 = weight_NT.sum(dim=1, keepdim=True)
    mean_N1 = liked_NT.sum(dim=1, keepdim=True) / total_N1
    prior_N1 = PRIOR_VOTES * total_N1 / of_others(there_NT).sum(dim=1, keepdim=True)
    return (liked_NT + prior_N1 * mean_N1) / (weight_NT + prior_N1)


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
