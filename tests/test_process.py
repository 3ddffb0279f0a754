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
