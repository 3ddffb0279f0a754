"""Named recipes: the arms of all studies, at the course's scale and at the paper's."""

import itertools
from dataclasses import replace

from tricks.recipe import AMP_DTYPES, BASELINE, Recipe, Transfer
from tricks.records.store import K

# 10,000 images and 12 epochs: minutes on one CPU core. docs/evidence.md says how these were chosen.
SHORT = replace(BASELINE, train_images=10_000)
EFFICIENT = replace(SHORT, lr=0.4, warmup_epochs=1.0, zero_gamma=True, no_bias_decay=True, tweak_d=True)
COSINE = replace(EFFICIENT, schedule="cosine")
SMOOTH = replace(COSINE, label_smoothing=0.1)
DISTILL = replace(SMOOTH, teacher="resnet14")
# Of the step schedule's first decay, the paper's quarter of the run leaves 3 of 12 epochs at the peak: half did better.
STEP = replace(EFFICIENT, first_decay=0.5)
LONG = replace(SMOOTH, epochs=20)  # the paper's 120 to 200 epochs, which mixup's rows have (§5.5)
# Imagenette at 96 px: the largest pictures whose 21 runs fit into an afternoon on two cores. "Standard" has tweak B, as
# in Tables 8 and 9, and "efficient" what Table 3 has: mixed precision too.
PRETRAIN_STANDARD = replace(
    BASELINE,
    dataset="imagenette",
    image_size=96,
    epochs=16,
    net="bottleneck14-pool",
    lr=0.05,
    tweak_b=True,
    first_decay=0.5,
)
PRETRAIN_EFFICIENT = replace(
    PRETRAIN_STANDARD,
    lr=0.2,
    warmup_epochs=1.0,
    zero_gamma=True,
    no_bias_decay=True,
    amp=True,
    tweak_c=True,
    tweak_d=True,
)
# The paper's own scale, for those who have ImageNet as class folders in data/imagenet, and a machine for it (§2.1, §3).
PAPER_STANDARD = replace(
    PRETRAIN_STANDARD,
    dataset="data/imagenet",
    image_size=224,
    augment="paper",
    net="resnet50",
    epochs=120,
    batch_size=256,
    lr=0.1,
    first_decay=0.25,
    weight_decay=1e-4,
)
PAPER_EFFICIENT = replace(
    PAPER_STANDARD,
    batch_size=1024,
    lr=0.4,
    warmup_epochs=5.0,
    zero_gamma=True,
    no_bias_decay=True,
    amp=True,
    tweak_c=True,
    tweak_d=True,
)
DETECTION = Transfer(task="detection", backbone=PRETRAIN_EFFICIENT)
SEGMENTATION = Transfer(task="segmentation", backbone=PRETRAIN_EFFICIENT, lr=0.2)
PAPER_DETECTION = replace(
    DETECTION,
    backbone=PAPER_EFFICIENT,
    dataset="voc",
    image_size=600,
    head_width=256,
    regions=512,
    freeze_bn=True,
    batch_size=16,
    epochs=20,
    schedule="step",
)
PAPER_SEGMENTATION = replace(
    SEGMENTATION, backbone=PAPER_EFFICIENT, dataset="ade20k", image_size=480, batch_size=16, epochs=120, lr=0.01
)


def table(standard: Recipe, efficient: Recipe, teacher: str, mixup_epochs: int) -> dict[str, Recipe]:
    """The rows of Tables 6, 8 and 9 below a standard one: how the network was trained, by a short name for each row."""
    cosine = replace(efficient, schedule="cosine")
    smooth = replace(cosine, label_smoothing=0.1)
    distill = replace(smooth, teacher=teacher)
    return {
        "standard": standard,
        "efficient": efficient,
        "cosine": cosine,
        "smooth": smooth,
        "distill": distill,
        "mixup": replace(smooth, mixup_alpha=0.2, epochs=mixup_epochs),
        "distill-mixup": replace(distill, mixup_alpha=0.2, epochs=mixup_epochs),
    }


def fine_tuned(name: str, recipe: Transfer, backbones: dict[str, Recipe]) -> dict[str, Transfer]:
    """A recipe on each of these backbones, and on one that nobody trained."""
    return {
        f"{name}-random": replace(recipe, pretrained=False),
        **{f"{name}-{row}": replace(recipe, backbone=backbone) for row, backbone in backbones.items()},
    }


BACKBONES = table(
    PRETRAIN_STANDARD, PRETRAIN_EFFICIENT, teacher="bottleneck26-pool", mixup_epochs=PRETRAIN_STANDARD.epochs
)
PAPER_BACKBONES = table(PAPER_STANDARD, PAPER_EFFICIENT, teacher="resnet152", mixup_epochs=200)
PRETRAIN_ARMS = {f"pretrain-{row}": recipe for row, recipe in BACKBONES.items()}
DETECTION_ARMS = fine_tuned("detection", DETECTION, BACKBONES)
SEGMENTATION_ARMS = fine_tuned("segmentation", SEGMENTATION, BACKBONES)
PAPER_PRETRAIN_ARMS = {f"paper-pretrain-{row}": recipe for row, recipe in PAPER_BACKBONES.items()}
PAPER_DETECTION_ARMS = fine_tuned("paper-detection", PAPER_DETECTION, PAPER_BACKBONES)
PAPER_SEGMENTATION_ARMS = fine_tuned("paper-segmentation", PAPER_SEGMENTATION, PAPER_BACKBONES)
# Table 6 with the paper's 120 and 200 epochs, its warm-up and its first decay: ten times as many steps, so on a GPU.
# Without its two rows of distillation, which would train a teacher each.
FULL = table(
    standard=replace(SHORT, epochs=120),
    efficient=replace(EFFICIENT, epochs=120, warmup_epochs=5.0),
    teacher="resnet14",
    mixup_epochs=200,
)
FULL_ARMS = {
    **{f"full-{row}": FULL[row] for row in ("standard", "efficient", "cosine", "smooth", "mixup")},
    "full-smooth-200": replace(FULL["smooth"], epochs=200),  # as many as mixup has
}
FULL_LEAVE_OUT = {  # one trick of `full-efficient` left out, all others kept
    f"full-without-{trick}": replace(FULL["efficient"], **off)
    for trick, off in {
        "warmup": {"warmup_epochs": 0.0},
        "zero": {"zero_gamma": False},
        "no-bias": {"no_bias_decay": False},
        "d": {"tweak_d": False},
    }.items()
}
# Few large steps: 156 a pass at 64 images, 19 at 512. A later first decay leaves a short run time at its peak.
SMALL_BATCH = replace(SHORT, epochs=8, batch_size=64, lr=0.05, lr_batch=64, linear_scaling=True, first_decay=0.5)
LARGE_BATCH = replace(SMALL_BATCH, batch_size=512)
# The same arms with seven and a half times as many steps.
SMALL_BATCH_LONG, LARGE_BATCH_LONG = replace(SMALL_BATCH, epochs=60), replace(LARGE_BATCH, epochs=60)
# Bottleneck blocks, because tweak B exists only for them, and pictures large enough for the ImageNet stem.
TWEAKS = replace(
    COSINE,
    dataset="imagenette",
    image_size=64,
    train_images=0,
    epochs=8,
    net="bottleneck14-pool",
    tweak_d=False,
)
# All images, and mixed precision on top: the longest runs that 50 of fit into an afternoon on two cores.
LADDER = replace(BASELINE, epochs=8, lr=0.2, first_decay=0.5)
LADDER_COSINE = replace(
    LADDER, amp=True, lr=0.4, warmup_epochs=1.0, no_bias_decay=True, tweak_d=True, schedule="cosine"
)
STACK = {  # rung: what it changes in the one below
    "ladder-amp": {"amp": True},
    "ladder-warmup": {"lr": 0.4, "warmup_epochs": 1.0},
    "ladder-zero": {"zero_gamma": True},
    "ladder-no-bias": {"no_bias_decay": True},
    "ladder-d": {"tweak_d": True},
    "ladder-cosine": {"schedule": "cosine"},
    "ladder-smoothing": {"label_smoothing": 0.1},
    "ladder-mixup": {"mixup_alpha": 0.2},
    "ladder-all": {"teacher": "resnet14"},
}


def _table_4(recipe: Recipe, name: str) -> dict[str, Recipe]:
    """The heuristics of §3.1 in the order of Table 4, each on top of the one before."""
    warmup = replace(recipe, warmup_epochs=2.0)
    zero = replace(warmup, zero_gamma=True)
    return {
        name: recipe,
        f"{name}-warmup": warmup,
        f"{name}-zero": zero,
        f"{name}-no-bias": replace(zero, no_bias_decay=True),
    }


def _stacked() -> dict[str, Recipe]:
    """Table 6's way up from the baseline, one trick after another, and the way down from the rung under the teacher.

    Without the teacher, because leaving out a trick changes the teacher's recipe too, and each would have to be
    trained.
    """
    rungs, recipe = {"ladder-baseline": LADDER}, LADDER
    for name, change in STACK.items():
        rungs[name] = recipe = replace(recipe, **change)
    top = rungs["ladder-mixup"]
    for name in ("warmup", "zero", "no-bias", "d", "cosine", "smoothing"):
        before = {field: getattr(LADDER, field) for field in STACK[f"ladder-{name}"]}
        rungs[f"ladder-without-{name}"] = replace(top, **before)
    # what was better with than without on held-out images (`pilot_ladder`, `pilot_ladder_kept`), and the teacher
    rungs["ladder-kept"] = replace(rungs["ladder-all"], zero_gamma=False, mixup_alpha=0.0)
    return rungs


def _noisy(share: float) -> dict[str, Recipe]:
    """Wrong training labels, with and without the tricks that are said to help against them."""
    noisy, name = replace(COSINE, label_noise=share), f"noise-{share}"
    tricks = {"": {}, "-smoothing": {"label_smoothing": 0.1}, "-mixup": {"mixup_alpha": 0.2}}
    return {f"{name}{suffix}": replace(noisy, **trick) for suffix, trick in tricks.items()}


def _held_out(name: str, recipe: K, **grid: tuple[float | str | bool, ...]) -> dict[str, K]:
    """Candidates for a choice, tried on held-out training images: every combination of some fields' values."""
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return {
        "-".join([name, *map(str, values.values())]): replace(recipe, split="validation", **values)
        for values in combinations
    }


PILOTS = {
    "pilot": _held_out("pilot-lr", COSINE, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_baseline": _held_out("pilot-baseline", SHORT, lr=(0.05, 0.1, 0.2, 0.4), first_decay=(0.25, 0.5)),
    "pilot_step": _held_out("pilot-step", EFFICIENT, lr=(0.2, 0.4, 0.8), first_decay=(0.25, 0.5)),
    "pilot_large_batch": _held_out("pilot-small-batch", SMALL_BATCH, lr=(0.025, 0.05, 0.1, 0.2)),
    "pilot_tweaks": _held_out("pilot-tweaks", TWEAKS, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_ladder": _held_out("pilot-ladder", LADDER_COSINE, lr=(0.4, 0.8), zero_gamma=(False, True)),
    "pilot_ladder_kept": {  # each alone on top of `pilot-ladder-0.4-False`
        **_held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.1,), mixup_alpha=(0.0,)),
        **_held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.0,), mixup_alpha=(0.2,)),
        **_held_out("pilot-ladder-c", LADDER_COSINE, tweak_c=(True,)),
    },
    "pilot_ladder_baseline": _held_out("pilot-ladder-baseline", LADDER, lr=(0.05, 0.1, 0.2, 0.4)),
    "pilot_pretrain": {
        **_held_out("pilot-pretrain-standard", PRETRAIN_STANDARD, lr=(0.025, 0.05, 0.1, 0.2)),
        **_held_out("pilot-pretrain", replace(PRETRAIN_EFFICIENT, schedule="cosine"), lr=(0.1, 0.2, 0.4, 0.8)),
    },
    "pilot_teacher": _held_out("pilot-teacher", SMOOTH, net=("resnet14", "resnet20")),
}
TRANSFER_PILOTS = {
    "pilot_detection": _held_out("pilot-detection", DETECTION, lr=(0.01, 0.02)),
    "pilot_segmentation": _held_out("pilot-segmentation", SEGMENTATION, lr=(0.01, 0.02, 0.05, 0.1, 0.2, 0.4)),
}
ARMS: dict[str, Recipe] = {
    "baseline": replace(SHORT, first_decay=0.5),
    # §5, from Table 6's first row on
    "efficient": STEP,
    "efficient-early": EFFICIENT,
    "cosine": COSINE,
    "cosine-amp": replace(COSINE, amp=True),
    **{f"smoothing-{eps}": replace(COSINE, label_smoothing=eps) for eps in (0.05, 0.1, 0.2, 0.4)},
    "distill": DISTILL,
    "smooth-mixup": replace(SMOOTH, mixup_alpha=0.2),
    "distill-mixup": replace(DISTILL, mixup_alpha=0.2),
    "long": LONG,
    "long-mixup": replace(LONG, mixup_alpha=0.2),
    **{f"mixup-{alpha}": replace(COSINE, mixup_alpha=alpha) for alpha in (0.1, 0.2, 0.5, 1.0)},
    **{f"distill-{T:g}": replace(DISTILL, temperature=T) for T in (1.0, 2.0, 4.0, 10.0)},
    **_noisy(0.2),
    **_noisy(0.4),
    **FULL_ARMS,
    **FULL_LEAVE_OUT,
    # §3.2 on a GPU
    **{f"full-cosine-{kind}": replace(FULL["cosine"], amp=True, amp_dtype=kind) for kind in AMP_DTYPES[1:]},
    # §3.1, Table 4
    **_table_4(SMALL_BATCH, "small"),
    "large-unscaled": replace(LARGE_BATCH, linear_scaling=False),
    **_table_4(LARGE_BATCH, "large"),
    "small-long": SMALL_BATCH_LONG,
    "large-long-unscaled": replace(LARGE_BATCH_LONG, linear_scaling=False),
    **_table_4(LARGE_BATCH_LONG, "large-long"),
    # §4, Table 5
    "tweaks-plain": TWEAKS,
    "tweaks-b": replace(TWEAKS, tweak_b=True),
    "tweaks-c": replace(TWEAKS, tweak_b=True, tweak_c=True),
    "tweaks-d": replace(TWEAKS, tweak_b=True, tweak_c=True, tweak_d=True),
    "tweaks-d-alone": replace(TWEAKS, tweak_d=True),
    # §7: everything stacked
    **_stacked(),
    # §6, Tables 8 and 9: the backbones
    **PRETRAIN_ARMS,
    **PAPER_PRETRAIN_ARMS,
    **{name: recipe for pilot in PILOTS.values() for name, recipe in pilot.items()},
}
TRANSFERS: dict[str, Transfer] = {  # §6, Tables 8 and 9: what is fine-tuned on them
    **DETECTION_ARMS,
    **SEGMENTATION_ARMS,
    **PAPER_DETECTION_ARMS,
    **PAPER_SEGMENTATION_ARMS,
    **{name: recipe for pilot in TRANSFER_PILOTS.values() for name, recipe in pilot.items()},
}
