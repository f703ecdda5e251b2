"""The steps of trust together: a planted fact reaches no row, and honest people are learnt from."""

from __future__ import annotations

import pytest

from tests.learner import voters
from tests.learner.voters import PLANTED, World

ATTACKS = {
    "nobody": World([], {}),
    "hypnosis, 50 votes": voters.hypnotist(50),
    "hypnosis, 250 votes": voters.hypnotist(250),
    "hypnosis, 1000 votes": voters.hypnotist(1000),
    "corrections, 50 votes": voters.corrector(50),
    "corrections, 1000 votes": voters.corrector(1000),
    "5 colluders": voters.colluders(5, 10),
    "5 colluders with one correction each": voters.colluders(5, 2),
    "5 colluders who vote like others besides": voters.colluders(5, 10, voters.honest()),
    "a brigade of 30": voters.brigade(),
    "a patient brigade of 30": voters.brigade(age_s=60 * voters.DAY_S),
    "a brigade of 30 who came today": voters.brigade(age_s=voters.DAY_S / 2),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_planted_fact_reaches_no_row_and_honest_people_are_learnt_from(attack: str) -> None:
    world = voters.honest() + ATTACKS[attack]
    kept, dropped = voters.sifted(world)
    assert [one.id for one in kept if any(word in text.lower() for text in one.texts for word in PLANTED)] == []
    honest = [one for one in kept if one.person_id.startswith("honest")]
    asked = [one for one in world.examples if one.person_id.startswith("honest")]
    assert len(honest) >= 0.8 * len(asked)
    assert {one.person_id for one in honest} == {one.person_id for one in asked}
    assert "It is Canberra." in {one.correction for one in honest}
    assert min(one.weight for one in honest) >= 0.3
    assert len(kept) + len(dropped) == len(world.examples)
    assert all(one.held for one in dropped if not one.person_id.startswith("honest"))
