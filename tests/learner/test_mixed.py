"""Of training: every signal moves the policy its way, nothing else does, and what diverged is never an adapter."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from learner.adapter import WEIGHTS, AdapterError, Card, check_adapter, write_adapter
from learner.config import TrainSettings
from learner.model import model_sha256
from learner.rows import Row, RowKind, Split, write_rows
from learner.train import job
from learner.train.checkpoint import NEWEST
from learner.train.methods import READS
from learner.train.mixed import MixedLesson, train
from learner.train.objective import kl_to_reference, row_means, token_logps, top_logps
from learner.train.pack import Text
from learner.train.policy import Policy
from learner.train.scored import logits_as_drawn, texts_of
from learner.train.spec import ADAPTER, CHECKPOINTS, JOB, METRICS, RESULT, ROWS, Diverged, Job, Result, Step, Work
from tests.learner.tiny import RANK, SETTINGS, VOCABULARY, corrections, replays, thumbs, weighed


@pytest.fixture
def policy(model_dir: Path, zero_dir: Path) -> Policy:
    torch.set_num_threads(1)
    return Policy(model_dir, zero_dir)


def trained(policy: Policy, rows: Sequence[Row], **changes: object) -> list[Step]:
    steps: list[Step] = []
    with TemporaryDirectory() as folder:
        train(Work(policy, rows, [], msgspec.structs.replace(SETTINGS, **changes), Path(folder), steps.append))
    return steps


def answers(rows: Sequence[Row]) -> list[Text]:
    return [(row.prompt_ids, row.answer_ids) for row in rows]


def betters(rows: Sequence[Row]) -> list[Text]:
    return [(row.prompt_ids, row.better_ids) for row in rows]


@torch.no_grad()
def means(policy: Policy, texts: Sequence[Text]) -> Tensor:
    """Mean log-prob per token of each answer, by the policy as it is now."""
    logits_TV, tokens_T, rows_T = policy.logits(texts)
    return row_means(token_logps(logits_TV, tokens_T), rows_T, len(texts))


def gain(policy: Policy, texts: Sequence[Text]) -> float:
    """How much more likely than under the reference the answers have become, in the mean."""
    with policy.reference():
        before = means(policy, texts)
    return float((means(policy, texts) - before).mean())


def test_votes_raise_liked_answers_over_disliked_ones(policy: Policy) -> None:
    rows = thumbs(16)
    steps = trained(policy, rows)
    liked, disliked = ([row for row in rows if row.label == label] for label in (1, -1))
    assert gain(policy, answers(liked)) > gain(policy, answers(disliked)) + 0.3
    assert [(step.step, step.steps) for step in steps] == [(n, 8) for n in range(1, 9)]
    assert steps[-1].loss < steps[0].loss


@pytest.mark.parametrize("label", [1, -1])
def test_votes_of_one_kind_move_their_answers_that_way_without_the_other(policy: Policy, label: int) -> None:
    rows = [row for row in thumbs(16) if row.label == label]
    trained(policy, rows, preferred_nll_weight=0.0)
    assert gain(policy, answers(rows)) * label > 0.05


def test_a_correction_is_raised_over_what_it_corrects(policy: Policy) -> None:
    rows = corrections(8)
    trained(policy, rows)
    assert gain(policy, betters(rows)) > gain(policy, answers(rows)) + 0.3
    assert gain(policy, betters(rows)) > 0.1


def test_a_demonstration_is_raised_as_supervised_fine_tuning_raises_it(policy: Policy) -> None:
    rows = [msgspec.structs.replace(row, kind=RowKind.DEMONSTRATION, label=0) for row in thumbs(8)]
    steps = trained(policy, rows)
    assert gain(policy, answers(rows)) > 0.3
    assert all(step.loss == pytest.approx(step.terms["nll_shown"], abs=1e-5) for step in steps)


def test_sampled_answers_of_more_reward_are_raised_over_the_others_to_their_prompt(policy: Policy) -> None:
    rows = [row for pair in zip(thumbs(8), thumbs(8, seed=3), strict=True) for row in pair]
    asked = [msgspec.structs.replace(row, prompt_ids=rows[at // 2 * 2].prompt_ids) for at, row in enumerate(rows)]
    with torch.no_grad():
        logits_TV, tokens_T, texts_T = policy.logits(answers(asked))
        logps_T = token_logps(logits_TV, tokens_T)
    sampled = [
        msgspec.structs.replace(
            row,
            id=f"sampled-{at}",
            kind=RowKind.SAMPLED,
            label=0,
            reward=5.0 * (at % 2),
            logps=tuple(logps_T[texts_T == at].tolist()),
        )
        for at, row in enumerate(asked)
    ]
    trained(policy, sampled)
    assert gain(policy, answers(sampled[1::2])) > gain(policy, answers(sampled[::2])) + 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_likelihood_of_all_that_is_drawn_teaches_nothing_at_the_temperature_of_drawing(
    model_dir: Path, zero_dir: Path, temperature: float
) -> None:
    """The mean gradient over all answers, each as often as it is drawn, is 0: only what people choose among them moves anything."""
    policy, prompt_ids = Policy(model_dir, zero_dir, "float32"), (5, 9, 3)
    with torch.no_grad():
        logits_V = policy.logits([(prompt_ids, (0,))])[0][0].float()
    chance_V = (logits_V / temperature).softmax(0)
    every = Row("", "", RowKind.DEMONSTRATION, Split.TRAIN, 1.0, prompt_ids, (0,), temperature=temperature)
    rows = [
        msgspec.structs.replace(every, id=f"token-{token}", answer_ids=(token,), weight=VOCABULARY * float(chance_V[token]))
        for token in range(VOCABULARY)
    ]
    assert gradient(policy, rows) == pytest.approx(0.0, abs=1e-4)
    as_if_at_1 = [msgspec.structs.replace(row, temperature=1.0) for row in rows]
    assert (gradient(policy, as_if_at_1) > 0.1) == (temperature < 1)


def gradient(policy: Policy, rows: Sequence[Row]) -> float:
    """The norm of the gradient of one step over the rows."""
    policy.peft.zero_grad()
    MixedLesson(policy, rows, SETTINGS).backward(rows)
    return float(torch.nn.utils.get_total_norm([p.grad for p in policy.parameters() if p.grad is not None]))


def test_each_answer_is_read_at_its_own_temperature_and_what_a_person_wrote_at_1(policy: Policy) -> None:
    drawn, corrected = (msgspec.structs.replace(row, temperature=0.5) for row in (*thumbs(1), *corrections(1)))
    preferred = msgspec.structs.replace(corrected, kind=RowKind.PREFERENCE)
    for row, temperatures in ((drawn, [0.5]), (corrected, [0.5, 1.0]), (preferred, [0.5, 0.5])):
        texts = texts_of(row)
        logits_TV, tokens_T, texts_T = policy.logits(texts)
        expected_TV = logits_TV / torch.tensor(temperatures)[texts_T][:, None]
        scaled_TV, same_T = logits_as_drawn(policy, [row], "mean")
        torch.testing.assert_close(scaled_TV, expected_TV)
        assert same_T.equal(tokens_T)
        assert logits_as_drawn(policy, [row], "sum")[0].equal(logits_TV)  # sums are as KTO, DPO and SFT have them


def test_replay_alone_leaves_the_policy_where_it_was(policy: Policy) -> None:
    rows = replays(8)
    steps = trained(policy, rows, learning_rate=1e-3)  # Adam takes whole steps after a gradient of nothing but rounding, too
    assert abs(steps[0].loss) < 1e-5
    assert max(step.terms["kl"] for step in steps) < 1e-2
    assert abs(gain(policy, answers(rows))) < 0.05


def test_replay_holds_back_what_votes_would_move(model_dir: Path, zero_dir: Path) -> None:
    def drift(kl_weight: float) -> float:
        policy = Policy(model_dir, zero_dir)
        trained(policy, [*thumbs(8), *replays(8)], kl_weight=kl_weight)
        with policy.reference():
            reference = top_logps(policy.logits(answers(replays(8)))[0], 128)
        with torch.no_grad():
            return float(kl_to_reference(policy.logits(answers(replays(8)))[0], reference).mean())

    assert drift(kl_weight=5.0) < 0.5 * drift(kl_weight=0.0)


def test_voted_answers_are_held_back_too_where_the_vote_tells_nothing(model_dir: Path, zero_dir: Path) -> None:
    """All that tells the liked from the disliked is their first token: the rest is to stay as it was."""
    rows = [msgspec.structs.replace(row, answer_ids=(7 if row.label > 0 else 9, *row.answer_ids)) for row in thumbs(16)]

    def change(weight: float) -> tuple[float, float]:
        """Of the first token, in favour of the liked; and the mean KL at the others."""
        policy = Policy(model_dir, zero_dir)
        steps = trained(policy, rows, voted_kl_weight=weight, preferred_nll_weight=0.0)
        assert ("kl_voted" in steps[0].terms) is bool(weight)
        first, others = [], []
        for row in rows:
            text = [(row.prompt_ids, row.answer_ids)]
            with policy.reference():
                logits_TV, tokens_T, _ = policy.logits(text)
                before_T, reference = token_logps(logits_TV, tokens_T), top_logps(logits_TV, VOCABULARY)
            with torch.no_grad():
                logits_TV, _, _ = policy.logits(text)
            first.append(row.label * float((token_logps(logits_TV, tokens_T) - before_T)[0]))
            others.append(float(kl_to_reference(logits_TV, reference)[1:].mean()))
        return sum(first) / len(first), sum(others) / len(others)

    (free, drifted), (held, stayed) = change(0.0), change(3.0)
    assert stayed < 0.5 * drifted
    assert held / free > stayed / drifted  # of what is wanted, less is lost


def test_a_row_of_weight_zero_equals_a_row_that_is_not_there(model_dir: Path, zero_dir: Path) -> None:
    kept, ignored = [*thumbs(8), *replays(2)], weighed([*thumbs(4, seed=9), *corrections(2), *replays(2, seed=9)], 0.0)
    one, other = Policy(model_dir, zero_dir), Policy(model_dir, zero_dir)
    trained(one, kept)
    trained(other, [*ignored[:4], *kept, *ignored[4:]])
    assert_same(one.adapter_tensors(), other.adapter_tensors())


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(model_dir: Path, zero_dir: Path) -> None:
    rows = [*thumbs(12), *corrections(4), *replays(4)]

    def adapter(seed: int) -> dict[str, Tensor]:
        policy = Policy(model_dir, zero_dir)
        trained(policy, rows, seed=seed)
        return policy.adapter_tensors()

    first = adapter(0)
    assert_same(first, adapter(0))
    other = adapter(1)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_token_is_judged_by_what_came_before_it(policy: Policy, model_dir: Path) -> None:
    """The log-probs are those of the whole model run plainly over the text, one position before each token."""
    rows = thumbs(6)
    plain = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    for row, found in zip(rows, means(policy, answers(rows)), strict=True):
        ids = torch.tensor([[*row.prompt_ids, *row.answer_ids]])
        with torch.no_grad():
            logps_T = plain(input_ids=ids).logits[0, :-1].float().log_softmax(1).gather(1, ids[0, 1:, None]).squeeze(1)
        assert float(found) == pytest.approx(float(logps_T[len(row.prompt_ids) - 1 :].mean()), abs=0.05)  # bfloat16


def test_texts_of_a_batch_do_not_see_each_other_or_the_padding(policy: Policy) -> None:
    texts = answers(thumbs(6))
    alone = torch.cat([means(policy, [text]) for text in texts])
    torch.testing.assert_close(means(policy, texts), alone, atol=0.05, rtol=0)  # bfloat16


def test_the_reference_stays_the_parent_while_the_policy_learns(policy: Policy) -> None:
    texts = answers(thumbs(16))
    before = means(policy, texts)
    trained(policy, thumbs(16))
    with policy.reference():
        torch.testing.assert_close(means(policy, texts), before, atol=0, rtol=0)
    assert not torch.allclose(means(policy, texts), before, atol=0.05)


def test_a_continued_adapter_starts_as_its_parent_and_not_as_base(policy: Policy, model_dir: Path, tmp_path: Path) -> None:
    rows = thumbs(16)
    base = means(policy, answers(rows))
    trained(policy, rows)
    parent = means(policy, answers(rows))
    write_adapter(tmp_path / "parent", policy.adapter_tensors(), RANK, model_dir, Card(model_sha256(model_dir), None, None))
    child = Policy(model_dir, tmp_path / "parent")
    torch.testing.assert_close(means(child, answers(rows)), parent, atol=0, rtol=0)
    with child.reference():
        torch.testing.assert_close(means(child, answers(rows)), parent, atol=0, rtol=0)
    assert not torch.allclose(parent, base, atol=0.05)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        pytest.param(thumbs(16), {"learning_rate": math.inf}, id="infinite learning rate"),
        pytest.param(thumbs(16), {"learning_rate": 1e30}, id="huge learning rate"),
        pytest.param(weighed(thumbs(8), math.inf), {"passes": 1}, id="infinite weight, one step"),
        pytest.param(replays(4), {"kl_weight": math.nan, "passes": 1}, id="KL weight not a number, one step"),
    ],
)
def test_a_loss_that_is_no_longer_a_number_is_never_trained_on(policy: Policy, rows: list[Row], changes: dict[str, float]) -> None:
    with pytest.raises(Diverged, match="diverged at step"):
        trained(policy, rows, **changes)


def test_rows_that_all_weigh_nothing_are_refused(policy: Policy) -> None:
    with pytest.raises(Diverged, match="no row of any weight"):
        trained(policy, weighed(thumbs(4), 0.0))


def job_folder(folder: Path, model_dir: Path, parent_dir: Path, rows: Sequence[Row], settings: TrainSettings = SETTINGS) -> Path:
    folder.mkdir()
    write_rows(folder / ROWS, rows)
    (folder / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(parent_dir), "dataset-1", settings)))
    return folder


def steps_in(folder: Path) -> list[Step]:
    return [msgspec.json.decode(line, type=Step) for line in (folder / METRICS).read_bytes().splitlines()]


def result_in(folder: Path) -> Result:
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)


def test_a_job_leaves_an_adapter_that_can_be_served_with_proof_that_it_learnt(
    model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    rows = [*thumbs(16), *corrections(4), *replays(4)]
    heldout = [msgspec.structs.replace(row, split=Split.HELDOUT) for row in thumbs(4, seed=5)]
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, [*rows, *heldout])
    result = job.run(folder)
    assert result == result_in(folder) and result.error is None
    assert result.rows == len(rows)  # those held out are never seen
    assert check_adapter(folder / ADAPTER, model_dir, RANK) == Card(model_sha256(model_dir), "base", "dataset-1")
    steps = steps_in(folder)
    assert [step.step for step in steps] == [*range(1, steps[-1].steps + 1)] and len(steps) == 12
    assert all(math.isfinite(step.loss) and {"loss", "grad_norm"} <= step.terms.keys() for step in steps)
    assert result.final_loss == pytest.approx(sum(step.loss for step in steps[-3:]) / 3)

    parent, candidate = Policy(model_dir, zero_dir), Policy(model_dir, folder / ADAPTER)
    assert len(result.probes) == job.PROBES
    for probe in result.probes:
        text = (tuple(probe.token_ids[:1]), tuple(probe.token_ids[1:]))
        for policy, told in ((parent, probe.parent_logprobs), (candidate, probe.candidate_logprobs)):
            with torch.no_grad():
                logits_TV, tokens_T, _ = policy.logits([text])
            assert token_logps(logits_TV, tokens_T).tolist() == pytest.approx(told, abs=1e-4)
        assert max(abs(a - b) for a, b in zip(probe.parent_logprobs, probe.candidate_logprobs, strict=True)) > 0.1


def test_a_job_that_diverges_leaves_its_reason_and_no_adapter(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, learning_rate=1e30)
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, thumbs(16), settings)
    job.run(folder)
    result = result_in(folder)
    assert result.error is not None and "diverged at step" in result.error
    assert result.probes == [] and result.final_loss is None
    assert not (folder / ADAPTER).exists()


def test_a_job_that_diverges_after_an_earlier_try_leaves_no_adapter(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, thumbs(8))
    job.run(folder)
    spoilt = msgspec.structs.replace(SETTINGS, learning_rate=1e30)
    (folder / JOB).write_bytes(msgspec.json.encode(Job(str(model_dir), "base", str(zero_dir), "dataset-1", spoilt)))
    job.run(folder)
    assert result_in(folder).error is not None
    assert not (folder / ADAPTER).exists()


def test_weights_spoilt_by_the_very_last_step_are_an_error_too(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, learning_rate=1e30, passes=1)  # one step: no loss is taken after it
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, thumbs(8), settings)
    job.run(folder)
    assert result_in(folder).error is not None
    assert not (folder / ADAPTER).exists()


def test_a_job_run_again_replaces_what_an_interrupted_one_left(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, thumbs(8))
    shutil.copytree(zero_dir, folder / f"{ADAPTER}.tmp")
    shutil.copytree(zero_dir, folder / ADAPTER)
    assert job.run(folder).error is None
    assert check_adapter(folder / ADAPTER, model_dir, RANK).dataset_id == "dataset-1"
    assert not (folder / f"{ADAPTER}.tmp").exists()


def test_a_job_killed_outright_and_run_again_makes_the_adapter_of_one_that_was_not(
    model_dir: Path, zero_dir: Path, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(SETTINGS, passes=40, checkpoint_steps=5, precision="float32")
    folders = [job_folder(tmp_path / name, model_dir, zero_dir, thumbs(16), settings) for name in ("killed", "whole")]
    command = [sys.executable, "-m", "learner.train.job"]
    process = subprocess.Popen([*command, str(folders[0])])
    while not (folders[0] / CHECKPOINTS / NEWEST).exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (folders[0] / RESULT).exists()
    for folder in folders:
        subprocess.run([*command, str(folder)], check=True)
    killed, whole = ((folder / ADAPTER / WEIGHTS).read_bytes() for folder in folders)
    assert killed == whole
    numbers = [[step.step for step in steps_in(folder)] for folder in folders]
    assert numbers[0] == numbers[1] == list(range(1, 81))


def test_a_parent_of_another_rank_makes_no_adapter(model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, rank=2 * RANK, passes=1)
    folder = job_folder(tmp_path / "job", model_dir, zero_dir, thumbs(8), settings)
    job.run(folder)
    assert result_in(folder).error is not None
    assert not (folder / ADAPTER).exists()
    with pytest.raises(AdapterError):
        check_adapter(zero_dir, model_dir, settings.rank)


def test_every_kind_of_row_that_is_read_can_be_learnt_from(policy: Policy) -> None:
    for kind in READS["mixed"]:
        row = msgspec.structs.replace(corrections(1)[0], kind=kind, logps=(-1.0,) * len(corrections(1)[0].answer_ids))
        assert math.isfinite(MixedLesson(policy, [row], SETTINGS).backward([row])["loss"])
