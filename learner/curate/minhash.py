"""Near-duplicates among a million texts: sketches by which the share of common shingles of two texts is estimated, and
groups of sketches found by sorting.

MinHash (Broder 1997) by one hash of each shingle (Li, Owen and Zhang 2012), whose empty places are filled from others
(Shrivastava 2017, arXiv 1703.04664); 16 bits of each place are kept (Li and König 2010). Candidates share a band of places
(as Lee et al. 2022, arXiv 2107.06499, look for them); a pair counts where its sketches agree.

Letters: N texts, P places, C characters.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from learner.curate.words import fold

THRESHOLD = 0.8  # of the shingles of both that are in both
SHINGLE = 5  # characters of the folded text: one changed word of a short question leaves most of them
PLACES = 128  # of a sketch; its estimate errs by 0.035 or less (one standard deviation) at the threshold
CHUNK_CHARACTERS = 1 << 18  # that are hashed at once: the arrays stay in the cache
CERTAIN = 0.995  # of pairs at the threshold are candidates, at least
PAIRS = 1 << 16  # that are compared at once

U64: TypeAlias = NDArray[np.uint64]
U16: TypeAlias = NDArray[np.uint16]
Index: TypeAlias = NDArray[np.intp]

_random = np.random.Generator(np.random.PCG64(2107_06499))
LETTERS = _random.integers(1 << 63, size=SHINGLE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
MIX = _random.integers(1 << 63, size=2, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
PARTS = _random.integers(1 << 63, size=PLACES // 4, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
DONORS = _random.integers(PLACES, size=(24, PLACES))  # where an empty place looks, one try after another
PLACE_BITS = PLACES.bit_length() - 1
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


def pad(text: str) -> str:
    """The folded text as shingles are cut from it: each starts at one of its characters or right before the first."""
    return "\0" + fold(text) + "\0" * (SHINGLE - 1)


class Sketches:
    """Sketches of texts that are added one by one; the texts themselves are not kept."""

    def __init__(self) -> None:
        self._rows = np.empty((1024, PLACES), np.uint16)
        self._filled = 0
        self._waiting: list[str] = []
        self._characters = 0

    def add(self, text: str) -> None:
        """Any text, also an empty one."""
        padded = pad(text)
        self._waiting.append(padded)
        self._characters += len(padded)
        if self._characters >= CHUNK_CHARACTERS:
            self._flush()

    def rows(self) -> U16:
        """A sketch for each text so far, (N, P)."""
        self._flush()
        return self._rows[: self._filled]

    def _flush(self) -> None:
        needed = self._filled + len(self._waiting)
        if needed > len(self._rows):
            self._rows.resize((max(needed, len(self._rows) * 3 // 2), PLACES), refcheck=False)  # in place where it can be
        if self._waiting:
            self._rows[self._filled : needed] = _sketch(self._waiting)
        self._filled, self._waiting, self._characters = needed, [], 0


def _sketch(padded: list[str]) -> U16:
    """The sketches of a chunk of texts, (N, P)."""
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    shingles = len(letters) - SHINGLE + 1
    hashes = letters[:shingles] * LETTERS[0]  # (C,)
    for at in range(1, SHINGLE):
        hashes += letters[at : at + shingles] * LETTERS[at]
    for factor in MIX:
        hashes ^= hashes >> np.uint64(32)
        hashes *= factor
    hashes ^= hashes >> np.uint64(29)
    owner = np.repeat(np.arange(len(padded)), [len(text) for text in padded])
    whole = owner[:shingles] == owner[SHINGLE - 1 :]  # not over the end of a text
    owner, hashes = owner[:shingles][whole], hashes[whole]
    least = np.full(len(padded) * PLACES, EMPTY)
    places = (hashes >> np.uint64(64 - PLACE_BITS)).astype(np.intp)
    np.minimum.at(least, owner * PLACES + places, hashes & (EMPTY >> np.uint64(PLACE_BITS)))
    return _fill(least.reshape(-1, PLACES)).astype(np.uint16)


def _fill(least: U64) -> U64:
    """Gives empty places the value of others of the same text, by a fixed choice; what stays empty, its least value."""
    filled = least.copy()
    row, place = np.nonzero(least == EMPTY)
    for donors in DONORS:
        found = least[row, donors[place]]
        filled[row, place] = found
        row, place = row[found == EMPTY], place[found == EMPTY]
    filled[row, place] = least.min(axis=1)[row]
    return filled


def group(rows: U16, threshold: float = THRESHOLD) -> list[int]:
    """The number of the first member of each sketch's group. The groups do not depend on the order of the sketches."""
    if not len(rows):
        return []
    whole = np.einsum("np,p->n", rows.view(np.uint64), PARTS)
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)  # equal sketches are one from here on
    labels = np.arange(len(first))
    bands = _bands(threshold)
    keys = (_band_key(rows, band)[first] for band in (*bands, bands[0]))
    key = next(keys)
    for following in keys:
        i, j = _candidates(key, following)
        new = labels[i] != labels[j]
        i, j = i[new], j[new]
        alike = _agree(rows, first[i], first[j], threshold)
        labels = _join(labels, i[alike], j[alike])
        key = following
    least = np.full(labels.max() + 1, len(rows))
    np.minimum.at(least, labels, first)
    return least[labels[which]].tolist()  # type: ignore[no-any-return]


def _bands(threshold: float) -> list[range]:
    """As long as they may be for pairs at the threshold to share at least one of them nearly always."""
    length = max(
        length for length in range(1, PLACES) if length == 1 or 1 - (1 - threshold**length) ** (PLACES // length) >= CERTAIN
    )
    return [range(start, start + length) for start in range(0, PLACES - length + 1, length)]


def _band_key(rows: U16, band: range) -> U64:
    """32 bits that are the same where all of the band's places are, (N,)."""
    key = np.zeros(len(rows), np.uint64)
    for place in band:
        key = (key + rows[:, place]) * MIX[place % 2]
        key ^= key >> np.uint64(32)
    return key & np.uint64(0xFFFFFFFF)


def _candidates(key: U64, following: U64) -> tuple[Index, Index]:
    """Pairs with the same key: each with the one before it, in the order of the following band, and with the first.

    So a key that very many share costs no more than its share; those that belong together are neighbours in some band.
    """
    order = np.argsort(key << np.uint64(32) | following, kind="stable")
    ordered = key[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    opening = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    at = np.flatnonzero(~begins)
    further = at[opening[at] != at - 1]
    return np.concatenate([order[at - 1], order[opening[further]]]), np.concatenate([order[at], order[further]])


def _agree(rows: U16, i: Index, j: Index, threshold: float) -> NDArray[np.bool_]:
    """Whether so large a share of the places of each pair is the same."""
    agreed = np.zeros(len(i), np.bool_)
    for start in range(0, len(i), PAIRS):
        part = slice(start, start + PAIRS)
        agreed[part] = (rows[i[part]] == rows[j[part]]).mean(axis=1) >= threshold
    return agreed


def _join(labels: Index, i: Index, j: Index) -> Index:
    """The labels after each pair has been joined."""
    count = labels.max() + 1
    edges = coo_matrix((np.ones(len(i), np.bool_), (labels[i], labels[j])), shape=(count, count))
    return connected_components(edges, directed=False)[1][labels]  # type: ignore[no-any-return]
