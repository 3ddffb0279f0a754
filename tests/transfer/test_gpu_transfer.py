"""Fine-tuning on a GPU: it predicts what the CPU predicts, learns in every precision, and a seed repeats."""

from dataclasses import replace

import pytest
import torch

from tricks import process
from tricks.transfer.loop import epochs, evaluate, prepare

pytestmark = [
    pytest.mark.any_device,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here"),
]


def scores(evaluated):
    return {name: value for name, value in evaluated.items() if isinstance(value, float)}


def test_the_same_weights_score_the_same_as_on_the_cpu(tiny, drawn, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    recipe = replace(tiny, epochs=8)  # with fewer, a detector finds nothing that could differ
    parts = prepare(recipe, 0, drawn)
    list(epochs(recipe, parts))
    there = scores(evaluate(recipe, parts))
    monkeypatch.setattr(process, "device", lambda: torch.device("cpu"))
    here = scores(evaluate(recipe, parts._replace(model=parts.model.cpu())))
    assert there == pytest.approx(here, abs=0.5) and len(here) >= 2


@pytest.mark.parametrize("amp", [False, True], ids=["fp32", "amp"])
def test_it_learns_and_a_seed_repeats(tiny, drawn, amp):
    recipe = replace(tiny, epochs=4, amp=amp)
    first, again = (list(epochs(recipe, prepare(recipe, 0, drawn))) for _ in range(2))
    assert first[-1]["train_loss"] < first[0]["train_loss"]
    # the gradients of regions and of enlarged maps are summed by atomic additions, in any order
    assert first[0]["train_loss"] == pytest.approx(again[0]["train_loss"], rel=0.02)
