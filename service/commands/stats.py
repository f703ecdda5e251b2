"""`ratchet data stats` as tables for people."""

from __future__ import annotations

import msgspec
from rich.table import Table
from rich.text import Text

from learner.corpora.stats import Stats
from learner.corpora.tally import Group
from service.commands.terminal import console

MAX_LANGUAGES = 3
NUMBERS = (
    "texts",
    "words",
    "~tokens",
    "length 5/50/95 %",
    "exact dup.",
    "~near dup.",
    "~distinct 1/2/3",
    "~bits 1/2/3",
    "~compr.",
)


def figures(document: bytes) -> Stats:
    """What the service answers, typed."""
    return msgspec.json.decode(document, type=Stats)


def print_stats(stats: Stats) -> None:
    """A table of groups and one of domains; estimates have a "~"."""
    out, total = console(), stats.total
    if not stats.groups:
        out.print("no documents and no answers yet")
        return
    out.print(_groups(stats))
    counted = (
        f"{total.texts:,} texts, {total.words:,} words, ~{total.tokens:,} tokens, {total.exact_duplicates:.1%} exact duplicates"
    )
    out.print(f"{counted} in all. ~ is estimated on at most {stats.sample_texts:,} texts of a group; the rest is counted.")
    if stats.domains:
        out.print(_domains(stats))


def _groups(stats: Stats) -> Table:
    table = Table(title="What the data is made of")
    for name in ("domain", "kind", "language"):
        table.add_column(name, overflow="fold")
    for name in NUMBERS:
        table.add_column(name, justify="right")
    table.add_column("~identified")
    for group in stats.groups:
        table.add_row(*map(Text, _cells(group)))  # as text: a "[" in a name is no markup
    return table


def _cells(group: Group) -> list[str]:
    p5, _, p50, _, p95 = group.length_words
    agrees = "" if group.stated_language_agrees is None else f" ({group.stated_language_agrees:.0%} as stated)"
    identified = ", ".join(f"{code} {share:.0%}" for code, share in [*group.languages.items()][:MAX_LANGUAGES])
    return [
        group.domain,
        group.kind,
        group.language,
        f"{group.texts:,}",
        f"{group.words:,}",
        f"{group.tokens:,}",
        f"{p5:,}/{p50:,}/{p95:,}",
        f"{group.exact_duplicates:.1%}",
        f"{group.near_duplicates:.1%}",
        "/".join(f"{share:.2f}" for share in group.spread.distinct),
        "/".join(f"{bits:.1f}" for bits in group.spread.entropy_bits),
        f"{group.spread.compression:.1f}",
        f"{identified}{agrees}",
    ]


def _domains(stats: Stats) -> Table:
    table = Table(title=f"Domains of documents, mixed at temperature {stats.mixing_temperature:g}")
    table.add_column("domain", overflow="fold")
    for name in ("texts", "~tokens", "share", "mixing weight"):
        table.add_column(name, justify="right")
    for one in stats.domains:
        cells = (one.domain, f"{one.texts:,}", f"{one.tokens:,}", f"{one.share:.1%}", f"{one.weight:.1%}")
        table.add_row(*map(Text, cells))
    return table
