"""Named recipes: the arms of all studies, at the course's scale and at the paper's."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tricks.recipe import AMP_DTYPES, BASELINE, Recipe, Transfer
from tricks.records.store import K

# 10,000 images and 12 epochs: minutes on one CPU core. docs/evidence.md says how these were chosen.
SHORT = replace(BASELINE, train_images=10_000)
EFFICIENT = replace(SHORT, lr=0.4, warmup_epochs=1.0, zero_gamma=True, no_bias_decay=True, tweak_d=True)
COSINE = replace(EFFICIENT, schedule="cosine")
SMOOTH = replace(COSINE, label_smoothing=0.1)
DISTILL = replace(SMOOTH, teacher="resnet14")
# Of the step schedule's first decay, the paper's quarter comes after 3 of 12 epochs: half of the run did better.
STEP = replace(EFFICIENT, first_decay=0.5)
# The same teacher for students that have no residual blocks to give tweak D and zero γ to, and another rate (§5.5).
RESNET_TEACHER = "resnet14 lr=0.4 tweak_d zero_gamma"
LONG = replace(SMOOTH, epochs=20)  # the paper's 120 to 200 epochs, which mixup's rows have (§5.5)
# Imagenette at 96 px: the largest pictures whose 21 runs fit into an afternoon on two cores. "Standard" has tweak B, as
# in Tables 8 and 9, and "efficient" what Table 3 has: mixed precision too.
IMAGENETTE = replace(BASELINE, dataset="imagenette", net="bottleneck14-pool")
PRETRAIN_STANDARD = replace(IMAGENETTE, image_size=96, epochs=16, lr=0.05, tweak_b=True, first_decay=0.5)
TABLE_3 = {"zero_gamma": True, "no_bias_decay": True, "amp": True, "tweak_c": True, "tweak_d": True}
PRETRAIN_EFFICIENT = replace(PRETRAIN_STANDARD, lr=0.2, warmup_epochs=1.0, **TABLE_3)
# The paper's own scale, for those who have ImageNet as class folders in data/imagenet, and a machine for it (§2.1, §3).
IMAGENET = replace(BASELINE, dataset="data/imagenet", net="resnet50", image_size=224, augment="paper")
PAPER_STANDARD = replace(IMAGENET, epochs=120, batch_size=256, tweak_b=True, weight_decay=1e-4)
PAPER_EFFICIENT = replace(PAPER_STANDARD, batch_size=1024, lr=0.4, warmup_epochs=5.0, **TABLE_3)
DETECTION = Transfer(task="detection", backbone=PRETRAIN_EFFICIENT)
SEGMENTATION = Transfer(task="segmentation", backbone=PRETRAIN_EFFICIENT, lr=0.2)
PAPER_TRANSFER = {"backbone": PAPER_EFFICIENT, "batch_size": 16}
PAPER_HEAD = {"head_width": 256, "regions": 512, "freeze_bn": True}
PAPER_DETECTION = replace(
    DETECTION, dataset="voc", image_size=600, epochs=20, schedule="step", **PAPER_HEAD, **PAPER_TRANSFER
)
PAPER_SEGMENTATION = replace(SEGMENTATION, dataset="ade20k", image_size=480, epochs=120, lr=0.01, **PAPER_TRANSFER)


def stacked(recipe: Recipe, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """A recipe with the first of these changes, then with the second on top, and so on, by their names."""
    return {name: (recipe := replace(recipe, **change)) for name, change in changes.items()}


def named(groups: Mapping[str, Mapping[str, K]]) -> dict[str, K]:
    """The arms of several groups, each called after its group and its row."""
    return {f"{group}-{row}": arm for group, arms in groups.items() for row, arm in arms.items()}


def table(standard: Recipe, efficient: Recipe, teacher: str, mixup_epochs: int) -> dict[str, Recipe]:
    """The rows of Tables 6, 8 and 9 below a standard one: how the network was trained, by a short name for each row."""
    refinements = {
        "cosine": {"schedule": "cosine"},
        "smooth": {"label_smoothing": 0.1},
        "distill": {"teacher": teacher},
    }
    rows = {"standard": standard, "efficient": efficient, **stacked(efficient, refinements)}
    mixup = {"mixup_alpha": 0.2, "epochs": mixup_epochs}
    return {**rows, "mixup": replace(rows["smooth"], **mixup), "distill-mixup": replace(rows["distill"], **mixup)}


def table_4(recipe: Recipe, name: str, warmup_epochs: float = 2.0) -> dict[str, Recipe]:
    """The heuristics of §3.1 in the order of Table 4, each on top of the one before."""
    changes = {
        "warmup": {"warmup_epochs": warmup_epochs},
        "zero": {"zero_gamma": True},
        "no-bias": {"no_bias_decay": True},
    }
    return {name: recipe, **stacked(recipe, {f"{name}-{trick}": change for trick, change in changes.items()})}


def three_nets(net: str, lr: float) -> dict[str, Recipe]:
    """The rows of Table 6 for another network, as `refinements` has them for the ResNet."""
    cosine = replace(COSINE, net=net, lr=lr, zero_gamma=False, tweak_d=False)
    rows = table(cosine, cosine, RESNET_TEACHER, mixup_epochs=cosine.epochs)
    rows["efficient"] = replace(cosine, schedule="step", first_decay=STEP.first_decay)
    return {row: recipe for row, recipe in rows.items() if row != "standard"}


def section_6(scale: str, backbones: dict[str, Recipe], *tasks: Transfer) -> dict[str, Mapping[str, Recipe | Transfer]]:
    """The arms of each study of §6: the backbones, then each task on one that nobody trained, and on each of them."""
    groups: dict[str, Mapping[str, Recipe | Transfer]] = {f"{scale}pretrain": backbones}
    for task in tasks:
        on = {row: replace(task, backbone=backbone) for row, backbone in backbones.items()}
        groups[f"{scale}{task.task}"] = {"random": replace(task, pretrained=False), **on}
    return {group: named({group: arms}) for group, arms in groups.items()}


BACKBONES = table(PRETRAIN_STANDARD, PRETRAIN_EFFICIENT, "bottleneck26-pool", mixup_epochs=PRETRAIN_STANDARD.epochs)
PAPER_BACKBONES = table(PAPER_STANDARD, PAPER_EFFICIENT, "resnet152", mixup_epochs=200)
# Tables 2 to 7 at the paper's scale, as far as they are not among these backbones: ResNet-50-D is `paper-pretrain-…`.
PAPER_TEACHER = "resnet152 image_size=224 tweak_b tweak_c tweak_d zero_gamma"
PAPER_LARGE = {"batch_size": 1024, "lr": 0.4}
PAPER_PLAIN = replace(PAPER_STANDARD, tweak_b=False)


def paper_net(net: str, image_size: int) -> dict[str, Recipe]:
    """A network without residual blocks: Table 2's baseline, Table 3's efficient training, the rows of Table 6."""
    standard = replace(PAPER_PLAIN, net=net, image_size=image_size)
    efficient = replace(standard, **PAPER_LARGE, warmup_epochs=5.0, no_bias_decay=True, amp=True)
    return table(standard, efficient, PAPER_TEACHER, mixup_epochs=200)


PAPER_4 = {
    **table_4(PAPER_PLAIN, "paper-small", warmup_epochs=5.0),
    **table_4(replace(PAPER_PLAIN, **PAPER_LARGE), "paper-large", warmup_epochs=5.0),
}
PAPER_4 |= {f"paper-{batch}-amp": replace(PAPER_4[f"paper-{batch}-no-bias"], amp=True) for batch in ("small", "large")}
PAPER_5 = stacked(PAPER_4["paper-large-amp"], {f"paper-tweaks-{tweak}": {f"tweak_{tweak}": True} for tweak in "bc"})
PAPER_NETS = named(
    {
        "paper-inception": paper_net("inception-v3", image_size=299),
        "paper-mobilenet": paper_net("mobilenet-v1", image_size=224),
    }
)
PAPER_7 = {  # Places365 as class folders; "best" is without a teacher
    f"paper-places-{name}": replace(PAPER_BACKBONES[row], dataset="data/places365")
    for name, row in (("efficient", "efficient"), ("best", "mixup"))
}
SECTION_6 = {
    **section_6("", BACKBONES, DETECTION, SEGMENTATION),
    **section_6("paper-", PAPER_BACKBONES, PAPER_DETECTION, PAPER_SEGMENTATION),
}
# Table 6 with the paper's 120 and 200 epochs, its warm-up and its first decay: ten times as many steps. The two rows of
# distillation train a teacher each, of as many epochs.
FULL = table(
    replace(SHORT, epochs=120), replace(EFFICIENT, epochs=120, warmup_epochs=5.0), "resnet14", mixup_epochs=200
)
FULL_ARMS = {
    **named({"full": FULL}),
    "full-smooth-200": replace(FULL["smooth"], epochs=200),  # as many as mixup has
}
FULL_LEAVE_OUT = {  # one trick of `full-efficient` left out, all others kept
    "full-without-warmup": replace(FULL["efficient"], warmup_epochs=0.0),
    "full-without-zero": replace(FULL["efficient"], zero_gamma=False),
    "full-without-no-bias": replace(FULL["efficient"], no_bias_decay=False),
    "full-without-d": replace(FULL["efficient"], tweak_d=False),
}
# Few large steps: 156 a pass at 64 images, 19 at 512. A later first decay leaves a short run time at its peak.
SMALL_BATCH = replace(SHORT, epochs=8, batch_size=64, lr=0.05, lr_batch=64, linear_scaling=True, first_decay=0.5)
LARGE_BATCH = replace(SMALL_BATCH, batch_size=512)
# The same arms with seven and a half times as many steps.
SMALL_BATCH_LONG, LARGE_BATCH_LONG = replace(SMALL_BATCH, epochs=60), replace(LARGE_BATCH, epochs=60)
# Bottleneck blocks, because tweak B exists only for them, and pictures large enough for the ImageNet stem.
TWEAKS = replace(
    COSINE, dataset="imagenette", image_size=64, train_images=0, epochs=8, net="bottleneck14-pool", tweak_d=False
)
# All images, and mixed precision on top: the longest runs that 50 of fit into an afternoon on two cores.
LADDER = replace(BASELINE, epochs=8, lr=0.2, first_decay=0.5)
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
# Table 6's way up from the baseline, one trick after another, and the way down from the rung under the teacher: leaving
# out a trick changes the teacher's recipe too, and each would have to be trained.
UP = {"ladder-baseline": LADDER, **stacked(LADDER, STACK)}
LADDER_ARMS = UP | {
    f"ladder-without-{trick}": replace(UP["ladder-mixup"], **{k: getattr(LADDER, k) for k in STACK[f"ladder-{trick}"]})
    for trick in ("warmup", "zero", "no-bias", "d", "cosine", "smoothing")
}
# what was better with than without on held-out images (`pilot_ladder`, `pilot_ladder_kept`), and the teacher
LADDER_ARMS["ladder-kept"] = replace(UP["ladder-all"], zero_gamma=False, mixup_alpha=0.0)
LADDER_ARMS["ladder-kept-resnet20"] = replace(LADDER_ARMS["ladder-kept"], teacher="resnet20")
LADDER_COSINE = replace(UP["ladder-cosine"], zero_gamma=False)
# What came after the bag, each trick alone on what the ladder kept, without its teacher. All of them, and the baseline,
# are also judged by several views of each picture, so that those are nobody's own advantage.
AFTER = replace(LADDER_ARMS["ladder-kept"], teacher="", test_views=True)
MUON = {"optimizer": "muon", "muon_lr": 0.2}
AFTER_STACK = replace(AFTER, **MUON, whitening=True, dirac=True)
# The teacher of `ladder-kept`, for a student that has more than the bag.
BAG_TEACHER = 'resnet14 optimizer="sgd" muon_lr=0.02 schedule="cosine" whitening=false dirac=false'
AFTER_ARMS = {
    "after-baseline": replace(LADDER, test_views=True),
    "after-bag": AFTER,
    "after-whitening": replace(AFTER, whitening=True),
    "after-bias": replace(AFTER, bias_lr=64.0),
    "after-whitening-bias": replace(AFTER, whitening=True, bias_lr=64.0),
    "after-dirac": replace(AFTER, dirac=True),
    "after-muon": replace(AFTER, **MUON),
    "after-linear": replace(AFTER, schedule="linear"),
    "after-average": replace(AFTER, ema_decay=0.99),
    "after-average-bn": replace(AFTER, ema_decay=0.99, ema_bn=True),
    "after-flips": replace(AFTER, alternating_flip=True),
    "after-cutmix": replace(AFTER, cutmix_alpha=1.0),
    "after-trivial": replace(AFTER, trivial_augment=True),
    "after-resizing": replace(AFTER, start_size=16),  # seven tenths of the multiply-adds
    "after-resizing-11": replace(AFTER, start_size=16, epochs=11),  # as many as eight epochs of full pictures
    # what was the best on held-out images (`pilot_after`), alone and with the teacher of `ladder-kept`
    "after-stack": replace(AFTER_STACK, schedule="linear"),
    "after-stack-taught": replace(AFTER_STACK, schedule="linear", teacher=BAG_TEACHER),
}
# Those that need time, where they have it: the paper's 120 epochs on fewer pictures.
FULL_AFTER = {
    "full-cutmix": replace(FULL["smooth"], cutmix_alpha=1.0),
    "full-trivial": replace(FULL["smooth"], trivial_augment=True),
    "full-muon": replace(FULL["smooth"], **MUON),
}
THREE_NETS = named(
    {"inception": three_nets("inception-small", lr=0.4), "mobilenet": three_nets("mobilenet-small", lr=0.8)}
)
NOISY = {  # wrong training labels, with and without the tricks that are said to help against them
    f"noise-{share}{suffix}": replace(COSINE, label_noise=share, **trick)
    for share in (0.2, 0.4)
    for suffix, trick in (("", {}), ("-smoothing", {"label_smoothing": 0.1}), ("-mixup", {"mixup_alpha": 0.2}))
}


def held_out(name: str, recipe: K, **grid: tuple[float | str | bool, ...]) -> dict[str, K]:
    """Candidates for a choice, tried on held-out training images: every combination of some fields' values."""
    return {
        "-".join([name, *map(str, values)]): replace(recipe, split="validation", **dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    }


PILOTS: dict[str, Mapping[str, Recipe | Transfer]] = {  # study: its candidates
    "pilot": held_out("pilot-lr", COSINE, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_baseline": held_out("pilot-baseline", SHORT, lr=(0.05, 0.1, 0.2, 0.4), first_decay=(0.25, 0.5)),
    "pilot_step": held_out("pilot-step", EFFICIENT, lr=(0.2, 0.4, 0.8), first_decay=(0.25, 0.5)),
    "pilot_large_batch": held_out("pilot-small-batch", SMALL_BATCH, lr=(0.025, 0.05, 0.1, 0.2)),
    "pilot_tweaks": held_out("pilot-tweaks", TWEAKS, lr=(0.05, 0.1, 0.2, 0.4, 0.8)),
    "pilot_ladder": held_out("pilot-ladder", LADDER_COSINE, lr=(0.4, 0.8), zero_gamma=(False, True)),
    "pilot_ladder_kept": {  # each alone on top of `pilot-ladder-0.4-False`
        **held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.1,), mixup_alpha=(0.0,)),
        **held_out("pilot-ladder-kept", LADDER_COSINE, label_smoothing=(0.0,), mixup_alpha=(0.2,)),
        **held_out("pilot-ladder-c", LADDER_COSINE, tweak_c=(True,)),
    },
    "pilot_ladder_baseline": held_out("pilot-ladder-baseline", LADDER, lr=(0.05, 0.1, 0.2, 0.4)),
    "pilot_pretrain": {
        **held_out("pilot-pretrain-standard", PRETRAIN_STANDARD, lr=(0.025, 0.05, 0.1, 0.2)),
        **held_out("pilot-pretrain", replace(PRETRAIN_EFFICIENT, schedule="cosine"), lr=(0.1, 0.2, 0.4, 0.8)),
    },
    "pilot_teacher": held_out("pilot-teacher", SMOOTH, net=("resnet14", "resnet20")),
    **{
        f"pilot_{name}": {
            **held_out(f"pilot-{name}", THREE_NETS[f"{name}-cosine"], lr=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6)),
            **held_out(f"pilot-{name}-step", THREE_NETS[f"{name}-efficient"], lr=(0.2, 0.4, 0.8)),
        }
        for name in ("inception", "mobilenet")
    },
    "pilot_after": {  # Muon's rate, alone and with what goes with it; and what more the stack may take
        **held_out("pilot-muon", replace(AFTER, optimizer="muon"), muon_lr=(0.05, 0.1, 0.2, 0.4)),
        **held_out("pilot-stack", AFTER_STACK, muon_lr=(0.1, 0.2, 0.4)),
        **held_out("pilot-stack-flips", AFTER_STACK, alternating_flip=(True,)),
        **held_out("pilot-stack-linear", replace(AFTER_STACK, schedule="linear")),
    },
    "pilot_detection": held_out("pilot-detection", DETECTION, lr=(0.01, 0.02)),
    "pilot_segmentation": held_out("pilot-segmentation", SEGMENTATION, lr=(0.01, 0.02, 0.05, 0.1, 0.2, 0.4)),
}
GROUPED = {name: arm for arms in (*SECTION_6.values(), *PILOTS.values()) for name, arm in arms.items()}
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
    **NOISY,
    **THREE_NETS,
    **FULL_ARMS,
    **FULL_LEAVE_OUT,
    # §3.2 on a GPU
    **{f"full-cosine-{kind}": replace(FULL["cosine"], amp=True, amp_dtype=kind) for kind in AMP_DTYPES[1:]},
    # §3.1, Table 4
    **table_4(SMALL_BATCH, "small"),
    "large-unscaled": replace(LARGE_BATCH, linear_scaling=False),
    **table_4(LARGE_BATCH, "large"),
    "small-long": SMALL_BATCH_LONG,
    "large-long-unscaled": replace(LARGE_BATCH_LONG, linear_scaling=False),
    **table_4(LARGE_BATCH_LONG, "large-long"),
    # §4, Table 5
    "tweaks-plain": TWEAKS,
    **stacked(TWEAKS, {f"tweaks-{tweak}": {f"tweak_{tweak}": True} for tweak in "bcd"}),
    "tweaks-d-alone": replace(TWEAKS, tweak_d=True),
    # §7: everything stacked
    **LADDER_ARMS,
    **AFTER_ARMS,
    **FULL_AFTER,
    # Tables 2 to 7 at the paper's scale
    **PAPER_4,
    **PAPER_5,
    **PAPER_NETS,
    **PAPER_7,
    # §6, Tables 8 and 9: the backbones; and the candidates
    **{name: arm for name, arm in GROUPED.items() if isinstance(arm, Recipe)},
}
# §6, Tables 8 and 9: what is fine-tuned on them; and the candidates
TRANSFERS = {name: arm for name, arm in GROUPED.items() if isinstance(arm, Transfer)}
