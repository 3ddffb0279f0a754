"""Missions: each criterion with made-up runs, reached and not, and with those that cannot be compared."""

from dataclasses import replace

import pytest

from tricks import ROOT
from tricks.course.missions import MISSIONS, several_seeds
from tricks.recipe import Recipe
from tricks.records.store import Run
from tricks.studies.arms import ARMS

MISSION = {mission.title: mission for mission in MISSIONS}
# title: the change that it asks for, the change of accuracy that it asks for
PAIRS = {
    "A run that is too fast": ({"warmup_epochs": 1.0}, 3),
    "Four times the batch": ({"linear_scaling": True}, -3),
    "Blocks that start as nothing": ({"zero_gamma": True}, -3),
    "A first layer that is not learnt": ({"whitening": True}, 3),
    "Another optimiser": ({"optimizer": "muon", "muon_lr": 0.05}, 3),
}


def made_up(recipe: Recipe, accuracy: float | None, seed: int = 0, source: str = "drawn") -> Run:
    """A run that ended with this accuracy, or was stopped."""
    final = {} if accuracy is None else {"accuracy": accuracy}
    return Run("lab", recipe, seed, [], final, {"source": source})


def start(mission) -> Recipe:
    return replace(ARMS["baseline"], **mission.start)


def test_every_mission_has_a_test_and_a_start_that_is_a_recipe():
    assert {*PAIRS, "What is luck?"} == set(MISSION) and 4 <= len(MISSIONS) <= 6
    for mission in MISSIONS:
        assert start(mission) != ARMS["baseline"] and mission.hypothesis and mission.todo
        found = mission.reached([])
        assert not found.reached and found.words


def test_every_mission_is_a_part_of_lesson_8():
    text = (ROOT / "notebooks" / "src" / "08_trick_lab.py").read_text(encoding="utf8")
    assert [mission.title for mission in MISSIONS] == [
        line.removeprefix("# ### ") for line in text.splitlines() if line.startswith("# ### ")
    ]


@pytest.mark.parametrize("title", PAIRS)
def test_a_mission_of_two_runs_is_reached_by_a_difference_that_is_large_enough(title):
    mission, (change, least) = MISSION[title], PAIRS[title]
    before = made_up(start(mission), 50.0)
    after = made_up(replace(before.recipe, **change), 50.0 + least)
    assert mission.reached([before, after]).reached and mission.reached([after, before]).reached
    short = mission.reached([before, replace(after, final={"accuracy": 50.0 + 0.9 * least})])
    assert not short.reached and "points" in short.words
    opposite = replace(after, final={"accuracy": 50.0 - 2 * least})
    assert not mission.reached([before, opposite]).reached
    assert mission.reached([before, opposite, after]).reached  # the best of them


@pytest.mark.parametrize("title", PAIRS)
def test_a_mission_says_in_words_what_is_missing(title):
    mission, (change, least) = MISSION[title], PAIRS[title]
    before = made_up(start(mission), 50.0)
    after = made_up(replace(before.recipe, **change), 50.0 + 2 * least)
    assert "Train the recipe as it stands" in mission.reached([]).words
    for one in (before, after):
        assert mission.reached([one]) == mission.reached([one, replace(one, seed=1)])
        assert "One run is not enough" in mission.reached([one]).words
    assert "One run is not enough" in mission.reached([before, replace(after, final={})]).words  # stopped
    unlike = (
        replace(after, seed=1),
        replace(after, meta={"source": "other pictures"}),
        replace(after, recipe=replace(after.recipe, label_smoothing=0.1)),
    )
    for other in unlike:
        found = mission.reached([before, other])
        assert not found.reached and "No two runs have the same seed and data" in found.words


def test_luck_takes_three_seeds_of_two_recipes_and_gives_an_interval():
    old = start(MISSION["What is luck?"])
    new = replace(old, label_smoothing=0.1)
    runs = [made_up(old, 40.0 + seed, seed) for seed in range(3)]
    runs += [made_up(new, 40.5 + 1.5 * seed, seed) for seed in range(3)]
    found = several_seeds(runs)
    assert found.reached and "label_smoothing = 0.1: " in found.words and "±" in found.words
    assert several_seeds([*runs, runs[0]]).reached
    fewer = several_seeds(runs[:-1])
    assert not fewer.reached and "2 of 3 seeds" in fewer.words
    assert not several_seeds([*runs[:-1], replace(runs[-1], meta={"source": "other pictures"})]).reached
    assert not several_seeds([*runs[:-1], replace(runs[-1], final={})]).reached
    assert "0 of 3 seeds" in several_seeds(runs[:3]).words  # one recipe alone
