"""What fuzzers feed: valid samples that were damaged, as bytes or as JSON, and noise; so many of them, the same each time.

`RATCHET_FUZZ_SEED` has others drawn. Tests marked `long` take many more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")
SEED = int(os.environ.get("RATCHET_FUZZ_SEED", "0"))
MOST_DAMAGE = 4  # places at which one input is damaged
NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308])
TEXTS = st.text(max_size=20) | st.sampled_from(["", "\x00", "\ud800", "\u202e", "../..", "😀" * 9, "[" * 3000, "__class__"])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def amounts(few: int, many: int) -> pytest.MarkDecorator:
    """Parametrizes a test by its number of inputs: a few by default, many where long tests are asked for."""
    return pytest.mark.parametrize("inputs", [few, pytest.param(many, marks=pytest.mark.long)])


def fuzz(inputs: int, strategy: st.SearchStrategy[T], check: Callable[[T], None]) -> None:
    """Has `check` look at so many inputs; the smallest that it fails for is reported."""
    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    phases = [Phase.explicit, Phase.generate, Phase.shrink]
    limits = settings(max_examples=inputs, deadline=None, database=None, phases=phases, suppress_health_check=health)
    seed(SEED)(limits(given(strategy)(check)))()


def damaged(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A sample with some of its bytes replaced, taken out, said again or cut off; now and then noise."""
    return st.one_of(_damage(samples), _damage(samples), st.binary(max_size=400))


def damaged_json(samples: Sequence[object]) -> st.SearchStrategy[bytes]:
    """A sample as JSON in which some values are others, or gone."""
    return _change(samples).map(lambda value: json.dumps(value).encode(errors="replace"))


@st.composite
def _damage(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, MOST_DAMAGE))):
        begin = draw(st.integers(0, len(data)))
        end = min(begin + draw(st.integers(0, 40)), len(data))
        data = draw(
            st.sampled_from([data[:begin] + data[end:], data[:begin], data[:end] + data[begin:]])
            | st.binary(min_size=1, max_size=40).map(lambda new, begin=begin, end=end, data=data: data[:begin] + new + data[end:])
        )
    return data


@st.composite
def _change(draw: st.DrawFn, samples: Sequence[object]) -> object:
    root = [json.loads(json.dumps(draw(st.sampled_from(samples))))]
    for _ in range(draw(st.integers(0, MOST_DAMAGE))):
        holder, place = draw(st.sampled_from(_places(root)))
        if holder is not root and draw(st.integers(0, 3)) == 0:
            del holder[place]
        else:
            holder[place] = draw(JSON)
    return root[0]


def _places(root: list[object]) -> list[tuple[list[object] | dict[str, object], int | str]]:
    """Every value's holder, and where it has it."""
    found: list[tuple[list[object] | dict[str, object], int | str]] = []
    waiting: list[object] = [root]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, list):
            found += [(holder, number) for number in range(len(holder))]
            waiting += holder
        elif isinstance(holder, dict):
            found += [(holder, name) for name in holder]
            waiting += holder.values()
    return found
