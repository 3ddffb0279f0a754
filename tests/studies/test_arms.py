"""The arms of section 6: one trick at a time, in the rows of Tables 8 and 9, at both scales."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.segmentation import fcn_resnet50

from tricks.models.resnet import build as resnet
from tricks.models.resnet import parameter_count
from tricks.recipe import changes, teacher_of
from tricks.records import paper
from tricks.studies import arms
from tricks.transfer import detection, segmentation


@pytest.mark.parametrize("backbones", [arms.BACKBONES, arms.PAPER_BACKBONES])
def test_backbones_differ_by_one_trick_from_row_to_row(backbones):
    assert len(backbones) == len(paper.table("8")) == len(paper.table("9"))
    efficient = changes(backbones["efficient"], backbones["standard"])
    assert {"tweak_c", "tweak_d", "lr", "warmup_epochs", "zero_gamma", "no_bias_decay"} <= set(efficient)
    assert changes(backbones["cosine"], backbones["efficient"]) == {"schedule": "cosine"}
    assert changes(backbones["smooth"], backbones["cosine"]) == {"label_smoothing": 0.1}
    assert set(changes(backbones["distill"], backbones["smooth"])) == {"teacher"}
    assert {*changes(backbones["mixup"], backbones["smooth"])} - {"epochs"} == {"mixup_alpha"}
    assert {*changes(backbones["distill-mixup"], backbones["distill"])} - {"epochs"} == {"mixup_alpha"}
    for recipe in backbones.values():
        build = {name: getattr(recipe, name) for name in ("tweak_b", "tweak_c", "tweak_d")}
        with torch.device("meta"):
            resnet(recipe.net, 10, **build)
            resnet(teacher_of(backbones["distill"]).net, 10, **build)


def test_at_the_papers_scale_the_numbers_are_the_papers():
    standard, mixup = arms.PAPER_BACKBONES["standard"], arms.PAPER_BACKBONES["distill-mixup"]
    assert (standard.epochs, standard.batch_size, standard.lr, standard.first_decay) == (120, 256, 0.1, 30 / 120)
    assert (mixup.epochs, mixup.batch_size, mixup.lr, mixup.warmup_epochs) == (200, 1024, 0.4, 5.0)
    assert (mixup.net, mixup.teacher, mixup.temperature, mixup.mixup_alpha) == ("resnet50", "resnet152", 20.0, 0.2)


@pytest.mark.parametrize(
    "fine_tuned",
    [arms.SECTION_6[f"{scale}{task}"] for scale in ("", "paper-") for task in ("detection", "segmentation")],
)
def test_fine_tuned_arms_differ_in_their_backbone_alone(fine_tuned):
    (first, *others) = fine_tuned.values()
    assert not first.pretrained and all(recipe.pretrained for recipe in others)
    for recipe in others:
        assert all(name.startswith("backbone.") for name in changes(recipe, others[0]))
    assert changes(first, others[1]) == {"pretrained": False}


def test_at_the_papers_size_the_nets_are_torchvisions():
    """Parameter counts; ResNet-50 with tweak B is what torchvision has."""
    with torch.device("meta"):
        recipe = replace(arms.PAPER_DETECTION, freeze_bn=False)
        ours = detection.build(recipe, 20, resnet("resnet50", 10, tweak_b=True))
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=21)
        assert parameter_count(ours) == parameter_count(theirs)
        ours = segmentation.build(arms.PAPER_SEGMENTATION, 150, resnet("resnet50", 10, tweak_b=True))
        theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=151)
        assert parameter_count(ours) == parameter_count(theirs)
