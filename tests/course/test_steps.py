"""Steps one at a time are those of the loop, and what they show is what torch says of them."""

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.optim import optimizer as torch_optimizer

from tricks.after.cutmix import box
from tricks.augment import MEAN, STD
from tricks.course import steps as module
from tricks.course.freeze import LARGEST_WITH_PHOTOS, freeze
from tricks.course.lesson import sliders
from tricks.course.steps import folder_of, forget, load_steps, record, save_step, steps, targets_of, watch
from tricks.data.files import WriteError
from tricks.data.sets import Dataset, Split
from tricks.plots.steps import one_step
from tricks.process import Purpose, generator, key
from tricks.recipe import BASELINE
from tricks.records import make
from tricks.records.make import model_for, prepare
from tricks.train import Mixing, epochs

TINY = replace(BASELINE, epochs=2, batch_size=16, train_images=160, lr=0.05)  # 2 epochs of 10 steps
MIXED = replace(TINY, mixup_alpha=0.4, label_smoothing=0.1)


def made_up():
    """160 pictures to train on: noise whose brightness tells the class, which packs worse than photographs."""
    rng = np.random.default_rng(0)

    def split(n):
        y = np.arange(n) % 10
        images = rng.integers(0, 120, (n, 32, 32, 3)) + 13 * y[:, None, None, None]
        return Split(images.astype(np.uint8), y.astype(np.int64))

    return Dataset("cifar10", "made up", tuple(f"class {k}" for k in range(10)), split(160), split(48), "")


def equal(a, b):
    """Whether two steps are the same to the last bit."""
    return all(
        np.array_equal(x, y, equal_nan=True) if isinstance(x, np.ndarray) else x == y for x, y in zip(a, b, strict=True)
    )


TRICKS = {
    "plain": {},
    "mixup": {"mixup_alpha": 0.4, "label_smoothing": 0.1},
    "cutmix": {"cutmix_alpha": 1.0},
    "muon": {"optimizer": "muon", "bias_lr": 8.0},
    "amp": {"amp": True, "zero_gamma": True},
    "schedule": {"schedule": "cosine", "warmup_epochs": 0.5, "start_size": 16, "no_bias_decay": True},
    "average": {"ema_decay": 0.9, "ema_bn": True, "trivial_augment": True},
    "teacher": {"teacher": "resnet8", "distill_weight": 0.5},
}


@pytest.mark.parametrize("change", TRICKS.values(), ids=TRICKS)
def test_twenty_steps_are_those_of_the_loop_to_the_last_bit(change):
    recipe = replace(TINY, **change)

    def parts():
        made = prepare(replace(recipe, teacher=""), 3, made_up())
        return made._replace(teacher=model_for(TINY, 10, 9).eval().requires_grad_(False) if recipe.teacher else None)

    alone, watched, taken = parts(), parts(), []
    rows = list(epochs(recipe, alone, seed=3))
    watch(recipe, watched, 3, taken.append)
    assert [step.number for step in taken] == list(range(1, 21))
    for ours, theirs in zip((watched.model, watched.judged), (alone.model, alone.judged), strict=True):
        for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b), name  # batch norm's statistics are among them
    for epoch, row in enumerate(rows):  # each step's loss is the loop's own
        mean = torch.tensor([step.loss for step in taken[10 * epoch : 10 * epoch + 10]]).mean()
        assert float(mean) == row["train_loss"] and taken[10 * epoch + 9].rates[0] == row["lr"]
    assert all(np.isfinite([step.gradient_norm, *step.picture_loss, *step.updates.values()]).all() for step in taken)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_what_a_step_shows_is_what_torch_says_of_it(momentum):
    """The loop's first steps with mixup and smoothing written once more, in plain torch."""
    recipe = replace(MIXED, momentum=momentum, weight_decay=1e-3)
    ours = record(recipe, 4, 5, made_up()).steps
    parts = prepare(recipe, 5, made_up())
    model, names = parts.model, [name for name, _ in parts.model.named_parameters()]
    how = {"momentum": 0.9, "nesterov": True} if momentum else {}
    sgd = torch.optim.SGD(model.parameters(), lr=recipe.lr, weight_decay=1e-3, **how)
    lams = np.random.default_rng(key(Purpose.MIXUP, 5, 0)).beta(0.4, 0.4, 10)
    pairs = generator(Purpose.MIXUP, 5, 0)
    model.train()
    for step, (x, y), lam in zip(ours, parts.train.epoch(0), lams, strict=False):
        perm = torch.randperm(16, generator=pairs)
        shown = next(i for i in range(16) if perm[i] != i)
        smoothed = torch.full((16, 10), 0.1 / 9)
        smoothed[range(16), y] = 0.9
        mixed, targets = lam * x + (1 - lam) * x[perm], lam * smoothed + (1 - lam) * smoothed[perm]
        old = copy.deepcopy(model)
        logits = model(mixed.float())
        loss = F.cross_entropy(logits, targets.float())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        norm = sum(float((gradient.double() ** 2).sum()) for gradient in gradients) ** 0.5
        sgd.step()

        assert (step.lam, step.loss) == (pytest.approx(lam), pytest.approx(loss.item(), rel=1e-5))
        assert step.gradient_norm == pytest.approx(norm, rel=1e-4) and step.rates == (recipe.lr,)
        np.testing.assert_allclose(step.target, targets[shown], rtol=1e-5)
        np.testing.assert_allclose(step.before, logits[shown].detach().softmax(0), rtol=1e-3, atol=1e-6)
        later = copy.deepcopy(model)(mixed.float()).detach()
        np.testing.assert_allclose(step.after, later[shown].softmax(0), rtol=1e-2, atol=1e-5)
        for said, out in zip(step.picture_loss, (logits.detach(), later), strict=True):
            assert said == pytest.approx(float(F.cross_entropy(out[shown], targets[shown].float())), rel=1e-3)
        moved = dict(zip(names, zip(old.parameters(), model.parameters(), strict=True), strict=True))
        assert list(step.updates) == [n.removesuffix(".weight") for n, (a, _) in moved.items() if a.ndim > 1]
        for layer, share in step.updates.items():
            before, after = moved[f"{layer}.weight"]
            assert share == pytest.approx(((after - before).norm() / before.norm()).item(), rel=1e-2)
        mean, std = np.array(MEAN), np.array(STD)
        pictures, wanted = [step.mixed, *step.partners], [mixed[shown], x[shown], x[perm[shown]]]
        for picture, seen in zip(pictures, wanted, strict=True):
            assert picture.dtype == np.uint8
            assert np.abs(picture - (seen.permute(1, 2, 0).numpy() * std + mean)).max() <= 0.51


def test_the_gradient_norm_is_the_losss_own_with_muon_too():
    """Muon replaces gradients by directions, and then calls SGD's step: neither is what is shown."""
    sgd, muon = (record(replace(TINY, optimizer=name), 1, 0, made_up()).steps[0] for name in ("sgd", "muon"))
    assert muon.gradient_norm == sgd.gradient_norm and muon.loss == sgd.loss
    assert len(muon.rates) == 2 and muon.updates != sgd.updates


def test_without_mixing_there_is_one_picture_and_no_lam():
    step = record(TINY, 1, 0, made_up()).steps[0]
    assert step.lam is None and step.partners.shape == (1, 32, 32, 3)
    np.testing.assert_array_equal(step.partners[0], step.mixed)


def test_the_weight_of_cutmix_is_the_area_that_is_left():
    x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
    drawn = Mixing(0.7, torch.tensor([0, 2, 3, 1]), (0.1, 0.5))
    recipe = replace(TINY, cutmix_alpha=1.0)
    top, left, bottom, right = box(32, 32, *drawn[::2])
    targets, share = targets_of(recipe, x, y, 10, drawn, 1)
    assert share == pytest.approx(1 - (bottom - top) * (right - left) / 32**2) and 0.7 < share < 1
    assert targets.shape == (4, 10) and float(targets[1, 1]) == pytest.approx(share)
    assert float(targets[1, 2]) == pytest.approx(1 - share) and float(targets[0, 0]) == 1
    assert module.mixed_one(drawn) == 1 and module.mixed_one(None) == 0


# One at a time


def test_nothing_is_computed_between_two_steps_and_closing_leaves_nothing_behind(monkeypatch):
    batches, threads = [], threading.active_count()
    hooks = len(torch_optimizer._global_optimizer_pre_hooks)
    original = module.draw_mixing
    monkeypatch.setattr(module, "draw_mixing", lambda *args: batches.append(args[2]) or original(*args))
    walk = steps(TINY, made_up(), 0)
    assert batches == []
    for number in range(1, 11):
        assert next(walk).number == number
    assert batches == [0] and threading.active_count() == threads + 1
    assert next(walk).number == 11 and batches == [0, 1]
    walk.close()
    assert threading.active_count() == threads
    assert len(torch_optimizer._global_optimizer_pre_hooks) == hooks


def test_it_ends_with_the_run_and_its_error_is_raised():
    assert len(list(steps(TINY, made_up(), 0))) == 20
    bad = replace(TINY, batch_size=512)
    with pytest.raises(ValueError, match="batch"):
        next(steps(bad, made_up(), 0))


def test_a_loss_that_is_not_finite_ends_the_steps_with_the_loops_own_words(monkeypatch):
    def broken(*args):
        parts = prepare(*args)
        with torch.no_grad():
            parts.model.head.weight.fill_(float("nan"))
        return parts

    monkeypatch.setattr(module, "prepare", broken)
    walk = steps(TINY, made_up(), 0)
    assert np.isnan([next(walk).loss for _ in range(10)]).all()
    with pytest.raises(FloatingPointError, match="not finite from step 0 on"):
        next(walk)


def test_another_optimiser_that_steps_meanwhile_is_not_taken_for_the_runs():
    walk = steps(TINY, made_up(), 0)
    first = next(walk)
    weight = torch.ones(3, requires_grad=True)
    other = torch.optim.SGD([weight], lr=7.0)
    weight.grad = torch.ones(3)
    other.step()
    second = next(walk)
    walk.close()
    wanted = record(TINY, 2, 0, made_up()).steps
    assert equal(first, wanted[0]) and equal(second, wanted[1])


# Kept


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(make, "CACHE", tmp_path)
    return folder_of(MIXED, 0, made_up())


def test_a_kept_step_is_read_back_to_the_last_bit(folder):
    taken = [*record(MIXED, 2, 0, made_up()).steps, record(TINY, 3, 0, made_up()).steps[2]]
    for step in taken:
        save_step(folder, step)
    again = load_steps(folder)
    assert len(again) == 3 and all(map(equal, again, taken)) and again[2].lam is None
    assert type(again[0].number) is int and type(again[0].rates[0]) is float


def test_steps_that_are_taken_again_after_a_restart_are_those_that_were_kept(folder):
    for step in record(MIXED, 12, 0, made_up()).steps:
        save_step(folder, step)
    walk = steps(MIXED, made_up(), 0)
    assert all(equal(next(walk), kept) for kept in load_steps(folder))
    walk.close()


def test_a_damaged_or_missing_step_ends_what_is_read_and_others_have_a_folder_of_their_own(folder):
    for step in record(MIXED, 3, 0, made_up()).steps:
        save_step(folder, step)
    path = folder / "000002.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert [step.number for step in load_steps(folder)] == [1]
    path.unlink()
    assert [step.number for step in load_steps(folder)] == [1]
    others = [(MIXED, 1), (replace(MIXED, lr=0.06), 0)]
    assert len({folder, *(folder_of(recipe, seed, made_up()) for recipe, seed in others)}) == 3
    forget(folder)
    assert load_steps(folder) == []


def test_a_step_that_cannot_be_written_says_so(folder):
    folder.parent.mkdir()
    folder.parent.joinpath(folder.name).write_text("in the way")
    with pytest.raises(WriteError, match=folder.name):
        save_step(folder, record(TINY, 1, 0, made_up()).steps[0])


# Frozen


def test_twenty_steps_freeze_into_a_page_that_is_small_enough(tmp_path):
    taken = record(MIXED, 20, 0, made_up())
    most = min(range(1, 21), key=lambda step: abs(taken.steps[step - 1].lam - 0.5))

    def steps_of_the_lab(shown):
        return one_step(shown, classes=taken.classes, caption=taken.caption)

    panel = sliders(
        steps_of_the_lab, taken.at, step=(1, 20), goal="The step that mixes most: λ nearest to ½.",
        reached=lambda step: step == most, solution={"step": most},
    )  # fmt: skip
    done = freeze(panel, tmp_path / "steps.html")
    print(f"{done.states} states, {done.size / 1000:.0f} kB")
    assert done.states == 20 and done.size < LARGEST_WITH_PHOTOS


def test_the_caption_says_n_budget_data_and_device():
    said = record(MIXED, 1, 2, made_up()).caption
    assert said.startswith(
        "n = 1 run, seed 2 · resnet8, lr = 0.05, label_smoothing = 0.1, mixup_alpha = 0.4 · 160 images × 2 epochs, "
        "10 steps each of 16 images · made up · "
    )
