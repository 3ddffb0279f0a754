"""Plots of number formats: their arithmetic is that of real casts, and the plots draw it."""

import json
import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from tricks import ROOT
from tricks.plots import precision
from tricks.precision import BF16, FORMATS, FP16, FP32, lost_share, shares

DTYPES = {FP32: torch.float32, FP16: torch.float16, BF16: torch.bfloat16}
RANDOM = np.random.default_rng(0)
GRADIENTS = (RANDOM.normal(size=2000) * 2.0 ** RANDOM.uniform(-30, -4, 2000)).astype(np.float32)
WEIGHTS = RANDOM.normal(0, 0.05, 2000).astype(np.float32)
SPEEDS = [
    {"precision": name, "batch_size": batch, "images_per_second": [9 * k, 10 * k, 12 * k], "peak_memory": 2**30 * k}
    for k, (name, batch) in enumerate(product(("fp32", "tf32", "bf16", "fp16"), (32, 128)), start=1)
]

PLOTS = {
    "number_lines": partial(precision.number_lines, 0.1),
    "number_lines, among fp16's subnormal numbers": partial(precision.number_lines, 3e-7),
    "number_lines, above fp16": partial(precision.number_lines, 1e5),
    "gradient_histogram": partial(precision.gradient_histogram, GRADIENTS, 1),
    "lost_updates": partial(precision.lost_updates, WEIGHTS, GRADIENTS, 0.1),
    "speeds": partial(precision.speeds, SPEEDS),
}
REDRAWN = {
    "number_lines": (precision.number_lines, (0.1,), (3e-6,), (3e-6,)),
    "gradient_histogram": (precision.gradient_histogram, (GRADIENTS, 1), (2**16,), (GRADIENTS, 2**16)),
    "lost_updates": (precision.lost_updates, (WEIGHTS, GRADIENTS, 0.1), (0.004,), (WEIGHTS, GRADIENTS, 0.004)),
}


def cast(values, form) -> np.ndarray:
    return torch.as_tensor(values, dtype=torch.float32).to(DTYPES[form]).float().numpy()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_format_has_the_limits_that_torch_states(form):
    info = torch.finfo(DTYPES[form])
    assert (form.largest, form.smallest_normal) == (info.max, info.smallest_normal)
    assert form.spacing(1.0) == info.eps
    assert form.smallest == info.smallest_normal * info.eps


def test_fp16_and_bf16_in_plain_numbers():
    assert (FP16.largest, FP16.smallest_normal, FP16.smallest) == (65504, 2.0**-14, 2.0**-24)
    assert (BF16.spacing(1.0), BF16.smallest_normal) == (2.0**-7, 2.0**-126)


@pytest.mark.parametrize("form", [FP16, BF16], ids=lambda form: form.name)
def test_rounding_is_a_cast(form):
    normal = RANDOM.normal(size=20_000).astype(np.float32) * 2.0 ** RANDOM.integers(-30, 18, 20_000)
    ties = (np.arange(-4096, 4096) + 0.5) * 2.0**-24  # halfway between fp16's smallest numbers
    edge = [0.0, 65504, 65519, 65520, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 3.39e38]
    values = np.concatenate([normal, ties, edge, np.negative(edge)]).astype(np.float32)
    assert np.array_equal(form.round(values), cast(values, form))
    assert [form.round(float(x)) for x in values[:50]] == list(cast(values[:50], form))


def test_the_number_lines_show_every_number_of_a_format_and_no_other():
    x = 0.1
    fig = precision.number_lines(x)
    unit = BF16.spacing(x)
    for place, form in ((1, FP16), (0, BF16)):
        drawn = next(line for line in fig.axes[0].lines if line.get_marker() == "|" and place in line.get_ydata())
        found = np.asarray(drawn.get_xdata()) * unit + x
        dense = np.linspace(x - 2.6 * unit, x + 2.6 * unit, 20_001)
        everything = np.unique(form.round(dense))
        inside = everything[np.abs(everything - x) <= 2.6 * unit]
        assert np.allclose(found, inside, rtol=1e-12, atol=0)
    text = " ".join(text.get_text() for text in fig.axes[0].texts)
    assert f"stored as {float(torch.tensor(x).half()):.8g}" in text
    assert f"stored as {float(torch.tensor(x).bfloat16()):.8g}" in text


@pytest.mark.parametrize(
    "x, low, high, expected",
    [
        (1.0, 1 - 2.0**-8, 1 + 2.0**-7, [1 - 2.0**-8, 1, 1 + 2.0**-7]),  # the spacing changes at a power of 2
        (0.0, -(2.0**-133), 2.0**-132, [-(2.0**-133), 0, 2.0**-133, 2.0**-132]),
    ],
)
def test_numbers_across_a_power_of_two_and_across_zero(x, low, high, expected):
    numbers, (left, right) = precision._numbers(BF16, low, high, 2.0**-140)
    assert sorted(numbers) == expected
    assert left == right


def test_number_lines_say_what_is_lost_and_refuse_what_has_no_logarithm():
    for x, fate in ((1e-8, "stored as 0"), (1e5, "stored as ∞")):
        texts = [text.get_text() for text in precision.number_lines(x).axes[0].texts]
        assert sum(fate in text for text in texts) == 1  # fp16 only
    with pytest.raises(ValueError, match=r"value = 0: must be above 0"):
        precision.number_lines(0)


@pytest.mark.parametrize("scale", [1, 2.0**16, 2.0**24])
def test_shares_are_those_of_torchs_casts(scale):
    scaled = torch.from_numpy(GRADIENTS) * scale
    half, brain = scaled.half(), scaled.bfloat16()
    lost = shares(GRADIENTS, scale)
    assert lost["fp16 0"] == pytest.approx(100 * float((half == 0).float().mean()), abs=1e-4)
    coarse = (half != 0) & (half.abs() < 2.0**-14)
    assert lost["fp16 subnormal"] == pytest.approx(100 * float(coarse.float().mean()), abs=1e-4)
    assert lost["fp16 ∞"] == pytest.approx(100 * float(half.isinf().float().mean()), abs=1e-4)
    assert lost["bf16 0 or ∞"] == pytest.approx(100 * float(((brain == 0) | brain.isinf()).float().mean()), abs=1e-4)


def test_the_gradient_histogram_moves_with_the_scale_and_draws_the_shares():
    fig = precision.gradient_histogram(GRADIENTS, 2**8)
    left, right = fig.axes
    values, edges, _ = next(patch for patch in left.patches if hasattr(patch, "get_data")).get_data()
    assert values.sum() == pytest.approx(100)
    counted = np.histogram(np.log2(np.abs(GRADIENTS.astype(float)) * 2**8), edges)[0]
    assert list(values) == pytest.approx(list(100 * counted / len(GRADIENTS)))
    curve = next(line for line in right.lines if line.get_label() == "fp16 0")
    assert curve.get_ydata()[8] == shares(GRADIENTS, 2**8)["fp16 0"]
    assert any(line.get_xydata().tolist() == [[8, shares(GRADIENTS, 2**8)["fp16 0"]]] for line in right.lines)


@pytest.mark.parametrize("form", [FP16, BF16], ids=lambda form: form.name)
def test_lost_updates_are_those_of_a_real_optimiser(form):
    parameter = torch.nn.Parameter(torch.from_numpy(WEIGHTS).to(DTYPES[form]))
    before = parameter.detach().clone()
    gradients = torch.from_numpy(GRADIENTS).to(DTYPES[form])
    parameter.grad = gradients
    torch.optim.SGD([parameter], lr=2.0**-4).step()
    expected = 100 * float((parameter == before).float().mean())
    ours = lost_share(WEIGHTS, gradients.float().numpy(), 2.0**-4, form)
    assert 5 < expected < 100
    assert ours == pytest.approx(expected, abs=1e-4)


def test_lost_updates_draws_them():
    fig = precision.lost_updates(WEIGHTS, GRADIENTS, 0.01)
    dots = {tuple(line.get_xydata()[0]) for line in fig.axes[1].lines if line.get_marker() == "o"}
    assert dots == {(0.01, lost_share(WEIGHTS, GRADIENTS, 0.01, form)) for form in FORMATS}
    assert math.isclose(sum(lost_share(WEIGHTS, 0 * GRADIENTS, 0.01, form) for form in FORMATS), 300)


def test_a_speed_is_the_median_with_its_range_and_memory_is_in_gibibytes():
    left, right = precision.speeds(SPEEDS).axes
    legend = dict(zip(("fp32", "tf32", "bf16", "fp16"), left.figure.legends[0].get_patches(), strict=True))
    assert [text.get_text() for text in left.figure.legends[0].get_texts()] == list(legend)
    for ax, unit in ((left, 10), (right, 1)):
        drawn = {
            (round(bar.get_x() + bar.get_width() / 2), bar.get_facecolor(), bar.get_height()) for bar in ax.patches
        }
        assert drawn == {
            ((32, 128).index(row["batch_size"]), legend[row["precision"]].get_facecolor(), unit * k)
            for k, row in enumerate(SPEEDS, start=1)
        }
    ranges = [tuple(line.get_ydata()) for line in left.lines]
    assert sorted(ranges) == [(9 * k, 12 * k) for k in range(1, 9)]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["32", "128"]


def test_every_committed_speed_file_has_all_precisions_of_every_size_and_says_where_it_was_made():
    files = sorted((ROOT / "data" / "speed").glob("*.json"))
    assert files, "no committed speeds were found"
    for path in files:
        record = json.loads(path.read_text())
        assert all(record[key] for key in ("device", "torch", "cudnn", "commit", "date"))
        sizes = {(row["net"], row["image_size"], row["batch_size"]) for row in record["rows"]}
        made = [(row["net"], row["image_size"], row["batch_size"], row["precision"]) for row in record["rows"]]
        assert sorted(made) == sorted((*size, name) for size in sizes for name in ("fp32", "tf32", "bf16", "fp16"))
        assert all(min(row["images_per_second"]) > 0 < row["peak_memory"] for row in record["rows"])
        assert all(len(row["images_per_second"]) >= 3 for row in record["rows"])
