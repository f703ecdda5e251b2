"""Of base models that are made here: they learn their corpus, are the same again whatever happened on the way, and are whole."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from learner.adapter import check_adapter, make_zero_adapter
from learner.model import model_sha256
from learner.pretrain import job
from learner.pretrain.model import check_model
from learner.pretrain.spec import (
    DOCUMENTS,
    JOB,
    LINEAGE,
    METRICS,
    MODEL,
    RESULT,
    Job,
    Lineage,
    Origin,
    PretrainError,
    Progress,
    Request,
    Result,
    Scratch,
    Text,
    check,
    read_lineage,
)
from learner.pretrain.tokenizer import end_of_text, train_tokenizer
from learner.pretrain.windows import make_windows
from learner.rows import Split
from learner.tokens import Tokens
from learner.train.spec import CHECKPOINTS
from tests.learner.tiny import RANK

CHECKOUT = Path(__file__).parents[2]
SHAPE = Scratch(layers=1, hidden=32, heads=1, kv_heads=1, intermediate=64, vocabulary=320, positions=64)
SCRATCH = Request("tales", "tales-1", SHAPE, passes=4, learning_rate=2e-2, window_tokens=24, batch_windows=4, checkpoint_steps=5)
FULL = msgspec.structs.replace(SCRATCH, name="tales-2", scratch=None)
ENDS_BY_S = 120


def tales(count: int) -> list[Text]:
    """Little stories of few words; one in five is held out."""
    return [Text(f"doc-{n}", Split.TRAIN if n % 5 else Split.HELDOUT, tale(n)) for n in range(count)]


def tale(number: int) -> str:
    chance = random.Random(number)
    who, what, where = (
        chance.choice(words.split()) for words in ("fox owl crow", "a hat|a nut|a song".replace(" ", "_"), "hill oak")
    )
    return f"The {who} found {chance.choice(what.split('|')).replace('_', ' ')} under the {where}. So the {who} was glad."


def job_folder(folder: Path, request: Request, model_dir: Path | str = "", texts: Sequence[Text] = ()) -> Path:
    folder.mkdir()
    texts = texts or tales(40)
    (folder / DOCUMENTS).write_bytes(b"".join(msgspec.json.encode(text) + b"\n" for text in texts))
    parent = model_sha256(Path(model_dir)) if model_dir else None
    origin = Origin(parent, request.corpus, ("CC0-1.0",), len(texts), {"too long": 1}, "of the file", 9.0)
    (folder / JOB).write_bytes(msgspec.json.encode(Job(request, origin, str(model_dir), "float32", 1)))
    return folder


def made(folder: Path) -> Lineage:
    result = job.run(folder)
    assert result.error is None and result.lineage is not None, result.error
    assert msgspec.json.decode((folder / RESULT).read_bytes(), type=Result) == result
    return result.lineage


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lineage]:
    """A model from scratch, and what is said of it."""
    folder = job_folder(tmp_path_factory.mktemp("scratch") / "job", SCRATCH)
    return folder / MODEL, made(folder)


def test_a_tokenizer_says_every_text_and_is_the_same_for_the_same_texts() -> None:
    texts = [text.text for text in tales(40)]
    one, other = (train_tokenizer(texts, SHAPE.vocabulary, SHAPE.positions) for _ in range(2))
    assert one.get_vocab() == other.get_vocab() and len(one) <= SHAPE.vocabulary
    for text in (texts[0], "  größe\n\tпривет 🦊\x00", ""):
        ids = one(text, add_special_tokens=False)["input_ids"]
        assert one.decode(ids) == text and ids == other(text, add_special_tokens=False)["input_ids"]
    assert len(one(texts[0])["input_ids"]) < len(texts[0]) / 2  # it knows the words of its corpus


def test_every_token_of_every_document_is_predicted_exactly_once_in_windows_of_one_length() -> None:
    rows = make_windows(["abc", "", "defghij"], lambda text: list(map(ord, text)), 0, 4, Split.HELDOUT)
    assert [token for row in rows for token in row.answer_ids[1:]] == [*map(ord, "abc"), 0, 0, *map(ord, "defghij"), 0]
    assert [len(row.answer_ids) - 1 for row in rows] == [4, 4, 4, 1] and {row.split for row in rows} == {Split.HELDOUT}
    assert [row.answer_ids[0] for row in rows] == [0, 0, ord("f"), ord("j")]  # what stood before
    assert make_windows([], lambda text: [], 0, 4, Split.TRAIN) == []


def test_a_model_from_scratch_learns_its_corpus_and_can_be_served_and_adapted(parent: tuple[Path, Lineage], tmp_path: Path) -> None:
    model_dir, lineage = parent
    assert lineage.perplexity_before is not None and lineage.perplexity_after is not None
    assert lineage.perplexity_after < 6 < 200 < lineage.perplexity_before
    assert read_lineage(model_dir) == lineage and lineage.sha256 == model_sha256(model_dir)
    assert lineage.origin.licences == ("CC0-1.0",) and lineage.origin.parent_sha256 is None
    assert lineage.tokens_seen == 4 * lineage.tokens and lineage.heldout_tokens > 0
    assert sorted(file.suffix for file in model_dir.iterdir() if file.suffix not in (".json", ".jinja")) == [".safetensors"]
    tokens = Tokens(model_dir)
    asked = tokens.prompt([("system", "Be brief."), ("user", "Hi")])
    assert (
        tokens.decode(asked) == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokens.decode(tokens.answer("Yes."))[-len("<|im_end|>") :] == "<|im_end|>"
    make_zero_adapter(model_dir, tmp_path / "base", RANK)
    assert check_adapter(tmp_path / "base", model_dir, RANK).base_sha256 == lineage.sha256


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(parent: tuple[Path, Lineage], tmp_path: Path) -> None:
    assert made(job_folder(tmp_path / "again", SCRATCH)).sha256 == parent[1].sha256
    assert made(job_folder(tmp_path / "other", msgspec.structs.replace(SCRATCH, seed=1))).sha256 != parent[1].sha256


def test_all_weights_of_a_model_go_on_learning_in_a_new_folder(parent: tuple[Path, Lineage], tmp_path: Path) -> None:
    model_dir, first = parent
    texts = [msgspec.structs.replace(text, text=text.text.replace("glad", "sorry")) for text in tales(40)]
    folder = job_folder(tmp_path / "job", FULL, model_dir, texts)
    lineage = made(folder)
    assert lineage.perplexity_before is not None and lineage.perplexity_after is not None
    assert lineage.perplexity_after < lineage.perplexity_before
    assert lineage.origin.parent_sha256 == first.sha256 != lineage.sha256
    assert model_sha256(model_dir) == first.sha256  # the parent is as it was
    before, after = (load_file(path / "model.safetensors") for path in (model_dir, folder / MODEL))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in before.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in after.items()
    }
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert Tokens(folder / MODEL).text("The fox") == Tokens(model_dir).text("The fox")


def test_one_that_is_killed_and_run_again_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    request = msgspec.structs.replace(SCRATCH, passes=40)
    folder = job_folder(tmp_path / "killed", request)
    checkpoint = folder / CHECKPOINTS / "newest"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "learner.pretrain.job", folder], cwd=CHECKOUT, stdout=log, stderr=log)
        ends_at_s = time.monotonic() + ENDS_BY_S
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < ends_at_s:
            time.sleep(0.002)
        process.kill()
    assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert not (folder / RESULT).exists() and not (folder / MODEL).exists()
    resumed = made(folder)
    steps = [msgspec.json.decode(line, type=Progress).step for line in (folder / METRICS).read_bytes().splitlines()]
    assert steps.count(1) == 1 and steps[-1] == max(steps)  # it did not begin anew
    assert resumed.sha256 == made(job_folder(tmp_path / "whole", request)).sha256
    assert not (folder / CHECKPOINTS).exists()


def test_progress_says_how_fast_it_is_and_how_long_it_takes(parent: tuple[Path, Lineage]) -> None:
    lines = [msgspec.json.decode(line, type=Progress) for line in (parent[0].parent / METRICS).read_bytes().splitlines()]
    assert [line.step for line in lines] == list(range(1, lines[-1].steps + 1))
    assert all(line.tokens_per_s > 0 for line in lines) and lines[0].seconds_left > lines[-1].seconds_left == 0
    assert lines[-1].loss < lines[0].loss / 2


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        pytest.param(msgspec.structs.replace(SCRATCH, learning_rate=1e30), "diverged at step", id="diverged"),
        pytest.param(
            msgspec.structs.replace(SCRATCH, learning_rate=1e30, passes=1, batch_windows=10_000),
            "no better than chance",
            id="in the last step",
        ),
    ],
)
def test_weights_that_are_no_longer_numbers_are_a_reason_and_no_model(request_: Request, why: str, tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", request_)
    error = job.run(folder).error
    assert error is not None and why in error
    assert not (folder / MODEL).exists()


def test_a_window_that_the_model_cannot_read_is_refused(parent: tuple[Path, Lineage], tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", msgspec.structs.replace(FULL, window_tokens=64), parent[0])
    assert job.run(folder).error == "window_tokens is 64, expected less than the model's 64 positions"


def test_a_written_model_that_is_not_whole_is_refused(parent: tuple[Path, Lineage], tmp_path: Path) -> None:
    def damaged(how: str) -> Path:
        folder = tmp_path / how
        shutil.copytree(parent[0], folder)
        tensors = load_file(folder / "model.safetensors")
        name = "model.layers.0.mlp.up_proj.weight"
        if how == "missing":
            del tensors[name]
        else:
            tensors[name] = torch.full_like(tensors[name], torch.nan) if how == "finite" else tensors[name][:-1].clone()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    for how in ("missing", "finite", "misshapen"):
        with pytest.raises(PretrainError, match="the new model"):
            check_model(damaged(how))
    assert check_model(parent[0]).config.vocab_size > end_of_text(train_tokenizer([], 259, 64))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Request("tales", "../tales"), "name is '../tales', expected"),
        (Request("tales", scratch=Scratch(hidden=100, heads=3)), "hidden / heads is 100 / 3"),
        (Request("tales", scratch=Scratch(hidden=64, heads=4)), "hidden / heads is 64 / 4, expected one of 32"),
        (Request("tales", scratch=Scratch(heads=8, kv_heads=3)), "kv_heads is 3, expected a divisor"),
        (Request("tales", scratch=Scratch(positions=512)), "positions is 512, expected more"),
    ],
)
def test_what_no_model_can_be_made_of_is_refused_before_anything_is_read(request_: Request, why: str) -> None:
    with pytest.raises(PretrainError, match=why):
        check(request_)


def test_a_model_is_named_by_its_corpus_unless_it_is_named() -> None:
    assert check(Request("Old tales, 2nd ed.")).name == "old-tales-2nd-ed-full"
    assert check(Request("…", scratch=Scratch())).name == "corpus-scratch"
    assert check(Request("tales", "mine")).name == "mine"


def test_lineage_is_there_for_people_to_read(parent: tuple[Path, Lineage]) -> None:
    assert len((parent[0] / LINEAGE).read_text().splitlines()) > 20
