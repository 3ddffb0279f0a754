"""Metrics against torch, torchmetrics and plain loops."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.classification import multiclass_calibration_error

from tricks import metrics


@pytest.fixture
def predictions():
    """(logits, labels) of an over-confident net that is right about half of the time."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(10, (997,), generator=generator)
    logits = 4 * torch.randn(997, 10, generator=generator)
    logits[torch.arange(997), y] += 4
    return logits, y


def test_accuracy_counts_in_percent():
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    y = torch.tensor([1, 1, 2])
    assert metrics.accuracy(logits, y) == pytest.approx(200 / 3)


def test_nll_is_cross_entropy(predictions):
    logits, y = predictions
    assert metrics.nll(logits, y) == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-6)


def test_brier_by_loop(predictions):
    logits, y = predictions
    probabilities = logits.softmax(1)
    total = 0.0
    for row, label in zip(probabilities.numpy().astype(float), y.tolist(), strict=True):
        total += sum((p - (k == label)) ** 2 for k, p in enumerate(row))
    assert metrics.brier(probabilities, y) == pytest.approx(total / len(y))


def test_brier_range():
    certain = torch.eye(2)
    assert metrics.brier(certain, torch.tensor([0, 1])) == 0
    assert metrics.brier(certain, torch.tensor([1, 0])) == 2


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_is_torchmetrics(predictions, bins):
    logits, y = predictions
    probabilities = logits.softmax(1)
    expected = multiclass_calibration_error(probabilities, y, num_classes=10, n_bins=bins, norm="l1")
    assert expected > 0.05
    assert metrics.ece(probabilities, y, bins) == pytest.approx(float(expected), abs=1e-6)


def test_reliability_by_loop(predictions):
    logits, y = predictions
    probabilities = logits.double().softmax(1).numpy()
    diagram = metrics.reliability(torch.from_numpy(probabilities), y)
    sure, hit = probabilities.max(1), probabilities.argmax(1) == y.numpy()
    for i, (low, high) in enumerate(zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True)):
        inside = (sure > low) & (sure <= high)
        assert diagram["count"][i] == inside.sum()
        assert diagram["confidence"][i] == pytest.approx(sure[inside].mean() if inside.any() else 0)
        assert diagram["accuracy"][i] == pytest.approx(hit[inside].mean() if inside.any() else 0)
    assert sum(diagram["count"]) == len(y)
    assert diagram["count"][0] == 0  # no confidence is below 1 / K, and the empty bin is not NaN


def test_reliability_at_the_edges():
    probabilities = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0 + 1e-12, 0.0]], dtype=torch.float64)
    assert metrics.reliability(probabilities, torch.tensor([0, 0, 1]), bins=2) == {
        "confidence": [0.5, pytest.approx(1.0)],
        "accuracy": [1.0, 0.5],
        "count": [1, 2],
    }


def test_logit_gap_by_loop(predictions):
    logits, _ = predictions
    expected = [max(row) - np.mean(sorted(row)[:-1]) for row in logits.double().tolist()]
    torch.testing.assert_close(metrics.logit_gap(logits), torch.tensor(expected, dtype=torch.float64))


def test_logit_gap_of_the_papers_optimum():
    """Eq. 5 at K = 1000, ε = 0.1: the logits that smoothing asks for are 9.1 apart (§5.2)."""
    logits = torch.zeros(1, 1000)
    logits[0, 3] = math.log(999 * 0.9 / 0.1)
    assert metrics.logit_gap(logits).item() == pytest.approx(9.104, abs=5e-4)


def test_gap_histogram_is_a_density(predictions):
    gap = metrics.logit_gap(predictions[0])
    histogram = metrics.gap_histogram(gap)
    density, edges = np.histogram(gap.numpy(), np.linspace(0, 30, 61), density=True)
    assert histogram["edges"] == edges.tolist()
    assert histogram["density"] == pytest.approx(density.tolist())
    assert histogram["mean"] == pytest.approx(gap.numpy().mean())
    assert histogram["sd"] == pytest.approx(gap.numpy().std())


def test_gap_histogram_leaves_out_what_is_above_its_last_edge():
    gap = metrics.logit_gap(torch.tensor([[0.1] * 7, [31.0] + [0.0] * 6, [30.0] + [0.0] * 6, [77.0] + [0.0] * 6]))
    histogram = metrics.gap_histogram(gap)
    assert gap[0] == 0  # not a rounding error below the first edge
    assert (histogram["density"][0], histogram["density"][-1]) == (0.5, 0.5)  # 1 of 4 in a bin of 0.5
    assert 0.5 * sum(histogram["density"]) == 0.5
    assert histogram["mean"] == pytest.approx(138 / 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_summary_is_json_and_does_not_depend_on_the_order(predictions, dtype):
    logits, y = predictions[0].to(dtype), predictions[1]
    summary = metrics.summary(logits, y)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["accuracy"] == metrics.accuracy(logits, y)
    assert summary["ece"] == metrics.ece(logits.double().softmax(1), y)

    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    shuffled = metrics.summary(logits[order], y[order])
    for name in ("nll", "ece", "brier"):
        assert shuffled[name] == pytest.approx(summary[name], rel=1e-12)
