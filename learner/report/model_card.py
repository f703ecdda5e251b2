"""The model card of an adapter, as Hugging Face has them: where it comes from, what it is worth, and how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from learner.adapter import BASE, SCALE, TARGETS
from learner.context import Context
from learner.model import BUILTIN
from learner.report.document import Report
from learner.report.write import read_report
from storage import lineage
from storage.lineage import Link

BUILTIN_LICENCE = "apache-2.0"
UNKNOWN = "other"  # what Hugging Face calls a licence that has no identifier there


async def write_card(context: Context, name: str) -> str:
    """The card in Markdown: figures and identifiers, never people or what they said. LookupError for no adapter.

    The same again as long as nothing becomes of the adapter, or of those it descends from.
    """
    chain = await context.database.read(lambda connection: lineage.select_chain(connection, name))
    if not chain:
        raise LookupError(f"no adapter {name!r}")
    cycle_id = chain[0].adapter.cycle_id
    report = None if cycle_id is None else await read_report(context, cycle_id)
    rank = context.settings.train.rank
    return "\n".join([*_head(context.model_dir, chain[0]), *_origin(chain), *_training(chain[0], report, rank),
                      *_worth(chain[0], report), *_loading(context.model_dir, name, rank)]) + "\n"  # fmt: skip


def licence_of(model_dir: Path) -> str:
    """The licence of a base model, by the head of its own card; "other" where nobody says."""
    if model_dir.name == BUILTIN.removeprefix("builtin:"):
        return BUILTIN_LICENCE
    readme = model_dir / "README.md"
    lines = readme.read_text(errors="replace").splitlines()[:50] if readme.is_file() else []
    said = [line.partition(":")[2].strip().strip("\"'") for line in lines if line.startswith("license:")]
    return said[0] if said and said[0] else UNKNOWN


def _head(model_dir: Path, link: Link) -> Iterator[str]:
    licence = licence_of(model_dir)
    yield from ("---", f"base_model: {model_dir.name}", "library_name: peft", "pipeline_tag: text-generation")
    yield from (f"license: {licence}", "tags:", "- lora", "---", "", f"# {link.adapter.name}", "")
    yield f"A LoRA adapter of `{model_dir.name}`. Its files have SHA-256 `{link.adapter.sha256}`."
    yield from ("", "## Base model", "", f"- Name: `{model_dir.name}`", f"- SHA-256 of its weights: `{link.adapter.base_sha256}`")
    yield f"- Licence: {licence}" + (", see the base model's own card" if licence == UNKNOWN else "")


def _origin(chain: Sequence[Link]) -> Iterator[str]:
    yield from ("", "## Lineage", "", "Newest first; `base` is the base model with an adapter that changes nothing.", "")
    for link in chain:
        dataset = f", dataset `{link.dataset.id}`" if link.dataset else ""
        cycle = f", cycle {link.cycle.id} ({link.cycle.state.value})" if link.cycle else ""
        yield f"- `{link.adapter.name}`{cycle}{dataset}"


def _training(link: Link, report: Report | None, rank: int) -> Iterator[str]:
    yield from ("", "## Training", "", f"- LoRA: rank {rank}, alpha {SCALE * rank}, modules {', '.join(TARGETS)}")
    if link.cycle:
        yield f"- Method: {link.cycle.method}"
    for split, number in sorted(link.splits.items()):
        yield f"- Rows, {split}: {number}"
    for reason, number in sorted(link.dataset.dropped.items() if link.dataset else ()):
        yield f"- Rows that were dropped, {reason}: {number}"
    for tried in report.tried if report else ():
        if tried.adapter == link.adapter.name:
            yield f"- Variant of the settings: {tried.variant or 'none'}"
            yield f"- Time: {tried.seconds:.0f} s"
            yield from (f"- {name}: {value:.6g}" for name, value in sorted(tried.measures.items()))


def _worth(link: Link, report: Report | None) -> Iterator[str]:
    yield from ("", "## Evaluation", "")
    chosen = report is not None and report.origin is not None and report.origin.adapter == link.adapter.name
    if report is not None and chosen and report.suites:
        yield f"On frozen suites, against `{report.origin.against if report.origin else BASE}`; a loss within the margin is none."
        yield from ("", "| suite | before | now | change | lower bound | margin |", "|---|---|---|---|---|---|")
        for suite in report.suites:
            values = (suite.live, suite.candidate, suite.delta, suite.lower_bound, suite.margin)
            yield f"| {suite.name} | " + " | ".join(f"{value:.4f}" for value in values) + " |"
    elif link.evaluations:
        yield from ("| suite | mean |", "|---|---|")
        newest = {evaluation.suite: evaluation.mean for evaluation in link.evaluations}
        yield from (f"| {name} | {mean:.4f} |" for name, mean in sorted(newest.items()))
    else:
        yield "It was not evaluated on frozen suites."
    if report is not None and chosen and report.votes:
        votes = report.votes
        yield from ("", f"Held-out votes: {votes.live:.3f} of them are thumbs up; by them, to first order, that would change")
        yield f"by {votes.delta:+.3f}, with a lower bound of {votes.lower_bound:+.3f}."


def _loading(model_dir: Path, name: str, rank: int) -> Iterator[str]:
    yield from ("", "## How to load it", "", "`BASE` is a folder or a name of the base model above, `ADAPTER` this folder.", "")
    yield from ("```python", "from peft import PeftModel", "from transformers import AutoModelForCausalLM", "")
    yield from ('base = AutoModelForCausalLM.from_pretrained("BASE")', 'model = PeftModel.from_pretrained(base, "ADAPTER")')
    yield from ("```", "", "```sh", f"vllm serve BASE --enable-lora --max-lora-rank {rank} --lora-modules {name}=ADAPTER", "```")
