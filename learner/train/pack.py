"""Texts laid into rows of one width, so that nothing is computed twice and little of it is padding.

Texts with the same prompt make a tree: the prompt once, its answers side by side after it. Trees are dealt to bins, the longest
first, each to the bin that is then the shortest (Graham 1969). In a bin, prompts that begin alike share their beginning, as
all do that a system prompt begins. A token attends to those before it in its own prompt and its own answer, at the
positions it would have alone, so each text gets the log-probs it would get by itself.

Shapes: B bins, W tokens wide, T answer tokens of all texts end to end, in the order of the texts, K tokens of one tree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Text = tuple[Sequence[int], Sequence[int]]  # prompt ids, answer ids; neither is empty
T = TypeVar("T")

WIDTH = 256  # of a bin, about, where no tree is longer: attention costs by the square of it
MAX_TREE = 1024  # answers to one prompt that would be longer together make several trees


Tree = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # a prompt and its answers


class Placed(NamedTuple):
    """A tree, and where in which bin its tokens stand: `at_K` are places in the bin, of which other trees may have some too."""

    tree: Tree
    bin: int
    at_K: Tensor


class Packed(NamedTuple):
    """`ids_BW` and `positions_BW` go into the model, with `seen_BWW` as its mask: True where row token sees column token.

    Answer token t is predicted at `at_T[t]`, counted over the flattened bins.
    """

    ids_BW: Tensor
    positions_BW: Tensor
    seen_BWW: Tensor
    at_T: Tensor
    tokens_T: Tensor
    texts_T: Tensor
    trees: tuple[Placed, ...]

    def to(self, device: torch.device) -> Packed:
        return Packed(
            self.ids_BW.to(device),
            self.positions_BW.to(device),
            self.seen_BWW.to(device),
            self.at_T.to(device),
            self.tokens_T.to(device),
            self.texts_T.to(device),
            self.trees,
        )


class _Open(NamedTuple):
    """A tree in the making."""

    prompt: tuple[int, ...]
    answers: list[tuple[int, Sequence[int]]]  # which text, its answer

    @property
    def length(self) -> int:
        return len(self.prompt) + sum(len(answer) - 1 for _, answer in self.answers)  # nothing follows a last token

    @property
    def tree(self) -> Tree:
        return self.prompt, tuple(tuple(answer) for _, answer in self.answers)


class _Stretch(NamedTuple):
    """Tokens that stand together in a bin from `start` on, and the places of those before them in their text."""

    start: int
    ids: Sequence[int]
    before: Sequence[int]


class _Bin:
    """A bin in the making."""

    def __init__(self) -> None:
        self.length = 0
        self.stretches: list[_Stretch] = []
        self._prompts: list[tuple[tuple[int, ...], list[int]]] = []  # with their tokens' places

    def length_with(self, tree: _Open) -> int:
        return self.length + tree.length - len(self._shared(tree.prompt))

    def add(self, tree: _Open) -> tuple[list[int], list[list[int]]]:
        """Where the prompt's tokens stand, and those of each answer but its last, which nothing follows."""
        shared = self._shared(tree.prompt)
        prompt = [*shared, *self._lay(tree.prompt[len(shared) :], shared)]
        self._prompts.append((tree.prompt, prompt))
        return prompt, [self._lay(answer[:-1], prompt) for _, answer in tree.answers]

    def _shared(self, prompt: Sequence[int]) -> list[int]:
        """The places of the longest beginning of it that is here already."""
        return max((at[: _alike(prompt, other)] for other, at in self._prompts), key=len, default=[])

    def _lay(self, ids: Sequence[int], before: Sequence[int]) -> list[int]:
        start, self.length = self.length, self.length + len(ids)
        self.stretches.append(_Stretch(start, ids, before))
        return list(range(start, self.length))


def pack(texts: Sequence[Text]) -> Packed:
    """Lays the texts out. Every text has a prompt of a token or more, and an answer of a token or more."""
    trees = sorted(_trees(texts), key=lambda tree: -tree.length)
    bins = [_Bin() for _ in range(_bins_for(trees))]
    laid = []
    for tree in trees:
        number = min(range(len(bins)), key=lambda number: bins[number].length_with(tree))
        laid.append((tree, number, *bins[number].add(tree)))
    width = max(one.length for one in bins)
    at: dict[int, list[int]] = {}
    placed: list[Placed] = []
    for tree, number, prompt, answers in laid:
        for (text, _), places in zip(tree.answers, answers, strict=True):
            at[text] = [number * width + place for place in (prompt[-1], *places)]
        placed.append(Placed(tree.tree, number, torch.tensor([*prompt, *chain.from_iterable(answers)])))
    return Packed(
        *_fill(bins, width),
        torch.tensor([place for text in range(len(texts)) for place in at[text]], dtype=torch.long),
        torch.tensor([token for _, answer in texts for token in answer], dtype=torch.long),
        torch.tensor([text for text, (_, answer) in enumerate(texts) for _ in answer], dtype=torch.long),
        tuple(placed),
    )


def _bins_for(trees: Sequence[_Open]) -> int:
    """How many bins hold the trees, none much wider than `WIDTH` or the longest tree, with the beginning that all share."""
    stem = min(_alike(trees[0].prompt, tree.prompt) for tree in trees)
    room = max(WIDTH, max(tree.length for tree in trees)) - stem
    return math.ceil(sum(tree.length - stem for tree in trees) / max(room, 1)) or 1


def _fill(bins: Sequence[_Bin], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The bins' ids, positions and what sees what. Padding sees itself alone: a row of a softmax must see something."""
    ids_BW = torch.zeros(len(bins), width, dtype=torch.long)
    positions_BW = torch.zeros_like(ids_BW)
    seen_BWW = torch.eye(width, dtype=torch.bool).repeat(len(bins), 1, 1)
    for number, one in enumerate(bins):
        for start, ids, before in one.stretches:
            own = slice(start, start + len(ids))
            ids_BW[number, own] = torch.tensor(ids, dtype=torch.long)
            positions_BW[number, own] = torch.arange(len(before), len(before) + len(ids))
            seen_BWW[number, own, torch.tensor(before, dtype=torch.long)] = True
            seen_BWW[number, own, own] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    return ids_BW, positions_BW, seen_BWW


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the beginning that both have."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def in_chunks(items: Sequence[T], tokens: Sequence[int], limit: int) -> Iterator[list[T]]:
    """Items in their order, as many at a time as have no more than `limit` tokens; one that has more is alone."""
    chunk: list[T] = []
    held = 0
    for item, cost in zip(items, tokens, strict=True):
        if chunk and held + cost > limit:
            yield chunk
            chunk, held = [], 0
        chunk.append(item)
        held += cost
    if chunk:
        yield chunk


def _trees(texts: Sequence[Text]) -> Iterator[_Open]:
    open_trees: dict[tuple[int, ...], _Open] = {}
    for number, (prompt, answer) in enumerate(texts):
        if not prompt or not answer:
            raise ValueError(f"text {number} has {len(prompt)} tokens of prompt and {len(answer)} of answer, expected one or more")
        key = tuple(prompt)
        tree = open_trees.get(key)
        if tree is not None and tree.length + len(answer) - 1 > MAX_TREE:
            yield open_trees.pop(key)
            tree = None
        if tree is None:
            tree = open_trees[key] = _Open(key, [])
        tree.answers.append((number, answer))
    yield from open_trees.values()
