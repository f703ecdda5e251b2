"""The matrix of forgetting is the paper's where everything is scored, and honest about what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.transfer import Slice, Transfer, Version, measure

VOTES = 6  # of a slice


def world(margins: Sequence[Sequence[float]]) -> tuple[list[Version], list[Slice]]:
    """Versions with exactly these margins, R[i][j]: row 0 is base, row i cycle i's; column j is cycle j + 1's slice."""
    slices = [Slice(j + 1, {f"{j}-{n}": 1 - 2 * (n % 2) for n in range(VOTES)}) for j in range(len(margins[0]))]
    versions = []
    for i, row in enumerate(margins):
        logps = {
            message: -2.0 + label * worth / 2
            for part, worth in zip(slices, row, strict=True)
            for message, label in part.labels.items()
        }
        versions.append(Version(i, f"r{i}" if i else "base", logps))
    return versions, slices


def values(transfer: Transfer) -> list[float | None]:
    return [transfer.average.value, transfer.backward.value, transfer.forward.value, transfer.learnt.value]


@st.composite
def matrices(draw: st.DrawFn) -> list[list[float]]:
    tasks = draw(st.integers(2, 5))
    cell = st.floats(-3, 3, allow_nan=False)
    return draw(st.lists(st.lists(cell, min_size=tasks, max_size=tasks), min_size=tasks + 1, max_size=tasks + 1))


@given(matrices())
def test_a_full_matrix_gives_the_papers_averages(margins: list[list[float]]) -> None:
    tasks = range(1, len(margins))
    transfer = measure(*world(margins))

    def at(i: int, j: int) -> float:
        return margins[i][j - 1]

    last = len(margins) - 1
    wanted = [
        sum(at(last, j) for j in tasks) / last,
        sum(at(last, j) - at(j, j) for j in tasks if j < last) / (last - 1),
        sum(at(j - 1, j) - at(0, j) for j in tasks if j > 1) / (last - 1),
        sum(at(j, j) - at(j - 1, j) for j in tasks) / last,
    ]
    assert values(transfer) == pytest.approx(wanted, abs=1e-9)
    assert transfer.average.missing == transfer.backward.missing == transfer.forward.missing == 0
    assert [[cell.margin for cell in line.cells if cell] for line in transfer.lines] == [pytest.approx(row) for row in margins]


@given(matrices(), st.floats(-2, 2), st.data())
def test_what_raises_all_answers_alike_moves_nothing(margins: list[list[float]], by: float, data: st.DataObject) -> None:
    versions, slices = world(margins)
    before = measure(versions, slices)
    chosen = data.draw(st.integers(0, len(versions) - 1))
    raised = Version(chosen, versions[chosen].adapter, {id: logp + by for id, logp in versions[chosen].logps.items()})
    after = measure([*versions[:chosen], raised, *versions[chosen + 1 :]], slices)
    assert values(after) == pytest.approx(values(before), abs=1e-9)


@given(matrices(), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 4))))
def test_missing_cells_are_counted_and_the_rest_is_as_it_was(margins: list[list[float]], gone: set[tuple[int, int]]) -> None:
    versions, slices = world(margins)
    left = [
        Version(v.cycle, v.adapter, {id: logp for id, logp in v.logps.items() if (v.cycle, int(id[0])) not in gone})
        for v in versions
    ]
    transfer, last = measure(left, slices), len(margins) - 1
    shown = [[cell is not None for cell in line.cells] for line in transfer.lines]
    assert shown == [[(i, j) not in gone for j in range(last)] for i in range(last + 1)]
    lost = [j for j in range(1, last) if {(last, j - 1), (j, j - 1)} & gone]
    assert (transfer.backward.missing, transfer.backward.terms) == (len(lost), last - 1 - len(lost))
    terms = [margins[last][j - 1] - margins[j][j - 1] for j in range(1, last) if j not in lost]
    assert transfer.backward.value == (pytest.approx(sum(terms) / len(terms), abs=1e-9) if terms else None)


def test_a_difference_is_over_the_votes_that_both_versions_were_scored_on() -> None:
    """The newer version was scored on the half of the slice where both had more: alone, its margin would look like a gain."""
    labels = {"up": 1, "down": -1, "hard-up": 1, "hard-down": -1}
    easy = {"up": -1.0, "down": -3.0}
    hard = {"hard-up": -2.0, "hard-down": -2.0}
    versions = [
        Version(0, "base", {}),
        Version(1, "r1", easy | hard),
        Version(2, "r2", easy),
    ]
    transfer = measure(versions, [Slice(1, labels), Slice(2, {})])
    assert [cell.margin for line in transfer.lines[1:] if (cell := line.cells[0])] == [1.0, 2.0]
    assert transfer.backward.value == 0.0


def test_two_tastes_in_turn_say_how_much_of_the_first_is_kept() -> None:
    gained_then_half_lost = [[0.0, 0.0], [1.0, 0.0], [0.5, 2.0]]
    assert measure(*world(gained_then_half_lost)).kept == pytest.approx(0.5)
    nothing_gained = [[0.0, 0.0], [0.0, 0.0], [-0.5, 2.0]]
    assert measure(*world(nothing_gained)).kept is None


def test_cycles_that_were_refused_have_a_column_and_no_part_in_the_averages() -> None:
    versions, slices = world([[0.0, 0.0], [1.0, 0.4]])
    transfer = measure(versions, slices)  # cycle 2 used votes up, and its candidate did not go live
    assert transfer.slices == (1, 2) and [line.cycle for line in transfer.lines] == [0, 1]
    assert transfer.average.value == pytest.approx(1.0) and transfer.average.terms == 1
    assert transfer.backward.value is None and transfer.forward.value is None


def test_a_slice_without_a_liked_or_a_disliked_answer_is_a_missing_cell() -> None:
    transfer = measure([Version(0, "base", {}), Version(1, "r1", {"a": -1.0, "b": -1.5})], [Slice(1, {"a": 1, "b": 1})])
    assert transfer.lines[1].cells == (None,)
    assert transfer.average.value is None and transfer.average.missing == 1


def test_before_the_first_cycle_there_is_nothing_to_tell() -> None:
    transfer = measure([Version(0, "base", {})], [])
    assert transfer.lines[0].cells == () and all(value is None for value in values(transfer))
