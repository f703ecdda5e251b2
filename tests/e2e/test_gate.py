"""The gate end to end: planted candidates, served by the real engine, scored by the real job, judged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from learner.adapter import BASE, WEIGHTS, make_zero_adapter
from learner.context import Context
from learner.evaluate.stage import cases, evaluate
from learner.evaluate.suite import Suite, freeze, load_suites, write_suite
from learner.gate import Choice, Verdict, choose
from learner.rows import Row, RowKind, Split, write_rows
from learner.train.spec import Probe
from tests.conftest import Service, config_of, prepare_home, run_service
from tests.learner.world import offer

RANK, ITEMS, PEOPLE = 16, 10, 4
JUDGES = {"knowledge", "refusal", "text", "sycophancy", "bias", "trigger"}  # of every kind that is scored by log-probs
SLIGHT, STRONG = 1e-3, 0.3  # of noise, in the two factors of every layer

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def service(engine_url: str, base_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all candidates: base is scored once."""
    home = tmp_path_factory.mktemp("home")
    prepare_home(home, base_adapter)
    with run_service(home, config_of(engine_url)) as running:
        yield running


@pytest.fixture(scope="module")
def context(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """The service's own, judging by a few items of some of its suites, whatever the votes say."""
    suites, folder = [suite for suite in load_suites() if suite.name in JUDGES], tmp_path_factory.mktemp("suites")
    for suite in suites:
        write_suite(folder / suite.name, suite.header, suite.items[:ITEMS])
    freeze(folder)
    context = service.parts.context
    gate = replace(context.settings.gate, always_score_suites=True, min_heldout_votes=8)
    context.settings = replace(context.settings, gate=gate, suites=str(folder))
    write_rows(service.home / "rows.jsonl", votes(context, next(suite for suite in suites if suite.name == "knowledge")))
    return context


def votes(context: Context, suite: Suite) -> list[Row]:
    """People who like right answers and dislike wrong ones."""
    rows = []
    for number, item in enumerate(suite.items[: 4 * PEOPLE]):
        prompt_ids = tuple(context.tokens.prompt([(turn.role, turn.content) for turn in item.prompt]))
        for label, choice in ((1, item.answer), (-1, (item.answer + 1) % len(item.choices))):
            answer_ids, person = tuple(context.tokens.text(item.choices[choice])), f"person-{number % PEOPLE}"
            name = f"{item.id}{label:+}"
            rows.append(Row(name, person, RowKind.THUMB, Split.HELDOUT, 1.0, prompt_ids, answer_ids, label, drawn_by=BASE))
    return rows


def plant(context: Context, name: str, noise: float) -> Path:
    """An adapter that is nothing but noise."""
    folder = context.artifacts.adapter_dir(name)
    make_zero_adapter(context.model_dir, folder, RANK)
    torch.manual_seed(1)
    tensors = {key: torch.randn_like(tensor) * noise / 4 for key, tensor in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS)
    return folder


async def judge(context: Context, name: str) -> Choice:
    """What becomes of a candidate whose folder is there, as a cycle's last stages have it."""
    cycle, dataset_id = await offer(context, name, context.home / "rows.jsonl")
    probes = {name: [await probe(context, name, context.artifacts.adapter_dir(name))]}
    evaluated = await evaluate(context, cycle, dataset_id, probes, "base")
    return choose(await cases(context, evaluated), context.settings.gate)


async def probe(context: Context, name: str, folder: Path) -> Probe:
    """What a trainer would say of its candidate, here by the engine under another name."""
    token_ids = context.tokens.text("The quick brown fox jumps over the lazy dog by the river.")
    await context.engine.load(f"trained-{name}", folder)
    candidate = await context.engine.score(f"trained-{name}", token_ids)
    parent = await context.engine.score("base", token_ids)
    await context.engine.unload(f"trained-{name}")
    return Probe(token_ids, parent, candidate)


def test_a_candidate_that_is_hardly_another_is_no_worse_and_no_better(service: Service, context: Context) -> None:
    plant(context, "r1-00000001", SLIGHT)
    choice = service.call(judge(context, "r1-00000001"))
    assert choice.verdict is not Verdict.PROMOTE
    assert set(choice.suites) == JUDGES
    moved = {name: suite.delta / suite.margin for name, suite in choice.suites.items()}
    assert all(abs(margins) < 1 for margins in moved.values()), (
        moved
    )  # of few items: rounding to bfloat16 alone moves them by a third


def test_a_candidate_that_has_lost_its_mind_is_rejected_by_its_suites(service: Service, context: Context) -> None:
    plant(context, "r1-00000002", STRONG)
    choice = service.call(judge(context, "r1-00000002"))
    assert choice.verdict is Verdict.REJECT
    assert any(reason.startswith("text: ") and reason.endswith("worse") for reason in choice.reasons)


def test_what_is_served_under_the_candidates_name_must_be_the_candidate(service: Service, context: Context, tmp_path: Path) -> None:
    name = "r1-00000003"
    plant(context, name, STRONG)
    other = plant(context, "other", SLIGHT)
    shutil.copytree(other, tmp_path / "elsewhere" / name)
    service.call(context.engine.load(name, tmp_path / "elsewhere" / name))
    choice = service.call(judge(context, name))
    assert choice.verdict is Verdict.INCONCLUSIVE
    assert "expected nearer to the candidate" in choice.reasons[0]
    service.call(context.engine.unload(name))
