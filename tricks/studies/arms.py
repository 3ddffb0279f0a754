"""The arms of section 6 as data: classifiers that differ in one trick, and what is fine-tuned on them (Tables 8, 9)."""

from dataclasses import replace

from tricks.recipe import BASELINE, Recipe, Transfer

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
