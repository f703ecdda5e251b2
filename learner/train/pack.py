"""Texts laid into rows of one width, so that nothing is computed twice and little of it is padding.

Texts with the same prompt make a tree: the prompt once, its answers side by side after it. Trees are laid end to end
into bins of one width (first-fit decreasing, Johnson 1974). A token attends to those before it in its own prompt and
its own answer, at the positions it would have alone, so each text gets the log-probs it would get by itself.

Shapes: B bins, W tokens wide, T answer tokens of all texts end to end, in the order of the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Text = tuple[Sequence[int], Sequence[int]]  # prompt ids, answer ids; neither is empty
T = TypeVar("T")

WIDTH = 256  # of a bin, where no tree is longer: attention costs by the square of it
MAX_TREE = 1024  # answers to one prompt that would be longer together make several trees


Tree = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # a prompt and its answers


class Placed(NamedTuple):
    """A tree, and where in which bin its tokens stand."""

    tree: Tree
    bin: int
    start: int
    stop: int


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


def pack(texts: Sequence[Text]) -> Packed:
    """Lays the texts out. Every text has a prompt of a token or more, and an answer of a token or more."""
    bins = _bins(list(_trees(texts)))
    width = max(sum(tree.length for tree in trees) for trees in bins)
    ids_BW = torch.zeros(len(bins), width, dtype=torch.long)
    positions_BW, tree_BW, branch_BW = (torch.zeros_like(ids_BW) for _ in range(3))
    at: dict[int, list[int]] = {}
    placed: list[Placed] = []
    for number, trees in enumerate(bins):
        start = 0
        for name, tree in enumerate(trees, 1):
            end = start + len(tree.prompt)
            ids_BW[number, start:end] = torch.tensor(tree.prompt)
            positions_BW[number, start:end] = torch.arange(end - start)
            prompt_end = number * width + end - 1
            tree_BW[number, start : start + tree.length] = name
            placed.append(Placed(tree.tree, number, start, start + tree.length))
            for branch, (text, answer) in enumerate(tree.answers, 1):
                stop = end + len(answer) - 1
                ids_BW[number, end:stop] = torch.tensor(answer[:-1], dtype=torch.long)
                positions_BW[number, end:stop] = len(tree.prompt) + torch.arange(stop - end)
                branch_BW[number, end:stop] = branch
                at[text] = [prompt_end, *range(number * width + end, number * width + stop)]
                end = stop
            start = end
    return Packed(
        ids_BW,
        positions_BW,
        _seen(tree_BW, branch_BW),
        torch.tensor([place for text in range(len(texts)) for place in at[text]], dtype=torch.long),
        torch.tensor([token for _, answer in texts for token in answer], dtype=torch.long),
        torch.tensor([text for text, (_, answer) in enumerate(texts) for _ in answer], dtype=torch.long),
        tuple(placed),
    )


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


def _bins(trees: list[_Open]) -> list[list[_Open]]:
    """First-fit decreasing into bins as wide as the longest tree, or `WIDTH` if that is more."""
    width = max(WIDTH, max(tree.length for tree in trees))
    bins: list[list[_Open]] = []
    room: list[int] = []
    for tree in sorted(trees, key=lambda tree: -tree.length):
        fits = next((number for number, left in enumerate(room) if tree.length <= left), None)
        if fits is None:
            bins.append([tree])
            room.append(width - tree.length)
        else:
            bins[fits].append(tree)
            room[fits] -= tree.length
    return bins


def _seen(tree_BW: Tensor, branch_BW: Tensor) -> Tensor:
    """Padding, tree 0, sees padding alone: a row of a softmax must see something."""
    width = tree_BW.shape[1]
    same_tree = tree_BW[:, :, None] == tree_BW[:, None, :]
    prompt_or_own = (branch_BW[:, None, :] == 0) | (branch_BW[:, :, None] == branch_BW[:, None, :])
    return same_tree & prompt_or_own & torch.ones(width, width, dtype=torch.bool).tril()
