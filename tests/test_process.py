"""Random streams: no two calls share one, none has changed its numbers, and what could collide is refused."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tricks import process
from tricks.process import Purpose, generator

WORDS = st.one_of(st.integers(0, 250), st.integers(0, 2**32 - 1))  # small ones meet each other, and the purposes
CALLS = st.one_of(
    st.tuples(st.sampled_from(Purpose), WORDS),
    st.tuples(st.sampled_from(Purpose), WORDS, WORDS),
    st.tuples(st.sampled_from(Purpose), WORDS, WORDS, st.integers(0, 250)),
)


def filled(call):
    """The call with its defaults."""
    return call + (None, 0)[len(call) - 2 :]


@given(first=CALLS, second=CALLS)
@settings(max_examples=500, deadline=None)
def test_two_calls_have_one_stream_only_if_they_are_the_same(first, second):
    same = filled(first) == filled(second)
    assert (process.key(*first) == process.key(*second)) == same
    assert (generator(*first).initial_seed() == generator(*second).initial_seed()) == same
    states = [np.random.default_rng(process.key(*call)).bit_generator.state["state"] for call in (first, second)]
    assert (states[0] == states[1]) == same


def test_numbers_that_numpy_pads_with_zeros_or_splits_are_other_streams():
    """A SeedSequence takes (3, 2), (3, 2, 0) and (3, 2, 0, 0) for the same, and 2³² · 5 + 3 for (3, 5)."""
    calls = [(Purpose.MODEL, 3), (Purpose.MIXUP, 3, 2), (Purpose.MODEL, 3, 0), (Purpose.MODEL, 3, 0, 1)]
    calls += [(Purpose.MODEL, 2), (Purpose.MODEL, 3, 2), (Purpose.MODEL, 2, 3)]
    assert len({generator(*call).initial_seed() for call in calls}) == len(calls)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((Purpose.MODEL, 2**32 + 5), "seed = 4294967301: must be in [0, 4294967295]"),
        ((Purpose.MODEL, -1), "seed = -1: must be in [0, 4294967295]"),
        ((Purpose.ORDER, 0, 2**32), "epoch = 4294967296: must be in [0, 4294967295]"),
        ((Purpose.ORDER, 0, -1), "epoch = -1: must be in [0, 4294967295]"),
        ((Purpose.MIXUP, 0, 0, -1), "rank = -1: must be in [0, 4294967295]"),
        ((Purpose.MIXUP, 0, None, 1), "rank = 1 without an epoch"),
        ((0, 3), "0 is not a valid Purpose"),
    ],
)
def test_what_could_meet_another_stream_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        generator(*call)


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ((Purpose.MIXUP, 3, 5), 516500206117211855),
        ((Purpose.MIXUP, 3, 5, 2), 7316082550301443845),
        ((Purpose.MODEL, 3), 5737856171534892084),
        ((Purpose.CUTMIX, 3, 5), 2541898491919721053),
        ((Purpose.ORDER, 3, 5), 4295163800311467286),
        ((Purpose.AUGMENT, 3, 5), 1675777725452411619),
        ((Purpose.NOISE, 3), 6379903054933658486),
        ((Purpose.FLIP, 3), 7536548409145895750),
        ((Purpose.TRIVIAL_AUGMENT, 3, 5), 8440840556152039845),
        ((Purpose.HEAD, 3), 3838237853091044640),
        ((Purpose.AUGMENT_SCENES, 3, 5), 7399489617469469090),
        ((Purpose.SAMPLING, 3, 5), 1795948288575904466),
        ((Purpose.SAMPLING, 3, 5, 2), 6981618610213618741),
        ((Purpose.ORDER, 2**32 - 1, 9999), 2850464298952795901),
    ],
)
def test_the_streams_never_change(call, state):
    """Records were made with them: these numbers must stay what they are."""
    assert generator(*call).initial_seed() == state


def test_every_purpose_is_among_the_streams_above_and_used_once():
    (mark,) = (m for m in test_the_streams_never_change.pytestmark if m.name == "parametrize")
    assert {call[0] for call, _ in mark.args[1]} == set(Purpose)
    assert len({purpose.value for purpose in Purpose}) == len(Purpose.__members__)  # no name is another's second one


def test_a_stream_repeats():
    first, again = (torch.rand(8, generator=generator(Purpose.ORDER, 1, 2)) for _ in range(2))
    assert torch.equal(first, again)


VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def started(monkeypatch):
    """Started with these variables and no others of their kind."""

    def start(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return start


def test_the_world_is_what_torchrun_says(started):
    started()
    assert process.world() == (0, 1)
    started(RANK="3", WORLD_SIZE="8")
    assert process.world() == (3, 8)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two': must be a whole number from 1 on"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0': must be a whole number from 1 on"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE = ''"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK = '-1': must be a whole number from 0 on"),
        ({"RANK": "1.0", "WORLD_SIZE": "2"}, "RANK = '1.0'"),
        ({"RANK": "²", "WORLD_SIZE": "2"}, "RANK = '²'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK = 2: must be below WORLD_SIZE = 2"),
        ({"RANK": "1"}, "RANK = 1: must be below 1, as WORLD_SIZE is not set"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "WORLD_SIZE = 2, but MASTER_ADDR and MASTER_PORT not set"),
        ({"WORLD_SIZE": "2", "MASTER_ADDR": "a"}, "WORLD_SIZE = 2, but RANK and MASTER_PORT not set"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "x"}, "RANK = 0 of 2 met no others at"),
    ],
)
def test_variables_that_make_no_sense_are_named_with_what_to_do(started, variables, message):
    started(**variables)
    with pytest.raises((ValueError, ConnectionError), match=re.escape(message)) as caught, process.group():
        pass
    assert "Start with torchrun, or unset WORLD_SIZE, RANK and LOCAL_RANK" in str(caught.value)


def test_a_local_rank_beyond_the_gpus_is_named(started, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert process.device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="LOCAL_RANK = 2: must be below 2, this machine's GPUs"):
        process.device()
