"""The arms of Tables 2 to 9: one trick at a time, row by row, at both scales."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.segmentation import fcn_resnet50

from tricks.data.sets import Dataset, Split
from tricks.models import inception, mobilenet, resnet
from tricks.models.nets import build
from tricks.models.resnet import parameter_count
from tricks.recipe import changes, teacher_of
from tricks.records import make, paper
from tricks.studies import arms, studies
from tricks.train import epochs
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
        tweaks = {name: getattr(recipe, name) for name in ("tweak_b", "tweak_c", "tweak_d")}
        with torch.device("meta"):
            build(recipe.net, 10, **tweaks)
            build(teacher_of(backbones["distill"]).net, 10, **tweaks)


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
        ours = detection.build(recipe, 20, resnet.build("resnet50", 10, tweak_b=True))
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=21)
        assert parameter_count(ours) == parameter_count(theirs)
        ours = segmentation.build(arms.PAPER_SEGMENTATION, 150, resnet.build("resnet50", 10, tweak_b=True))
        theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=151)
        assert parameter_count(ours) == parameter_count(theirs)


def papers_rows():
    """Every arm of the paper's scale that classifies, and the table that it stands in."""
    return {name: recipe for name, recipe in arms.ARMS.items() if name.startswith("paper-")}


def test_at_the_papers_scale_every_row_of_tables_2_to_7_has_an_arm():
    small, large = (arms.ARMS[f"paper-{batch}"] for batch in ("small", "large"))
    assert (small.net, small.batch_size, small.lr, small.epochs) == ("resnet50", 256, 0.1, 120)  # Table 2
    assert not any((small.tweak_b, small.tweak_c, small.tweak_d, small.warmup_epochs, small.amp))
    assert changes(large, small) == {"batch_size": 1024, "lr": 0.1 * 1024 / 256}
    four = [["warmup_epochs"], ["zero_gamma"], ["no_bias_decay"], ["amp"]]
    for batch in ("small", "large"):
        rows = [arms.ARMS[f"paper-{batch}{row}"] for row in ("", "-warmup", "-zero", "-no-bias", "-amp")]
        assert [list(changes(new, old)) for old, new in pairwise(rows)] == four and len(rows) == len(paper.table("4"))
    five = [arms.ARMS[name] for name in studies.STUDIES["paper_tweaks"].arms]
    assert [list(changes(new, old)) for old, new in pairwise(five)] == [["tweak_b"], ["tweak_c"], ["tweak_d"]]
    assert len(five) == len(paper.table("5"))
    efficient, best = arms.ARMS["paper-places-efficient"], arms.ARMS["paper-places-best"]
    assert efficient.dataset == "data/places365" and len(paper.table("7")) == 2
    assert changes(best, efficient) == {
        "schedule": "cosine", "label_smoothing": 0.1, "mixup_alpha": 0.2, "epochs": 200
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "on", "resnets"),
    [("", {"first_decay"}, "distill"), ("paper-", set(), "paper-pretrain-distill")],
)
@pytest.mark.parametrize("net", ["inception", "mobilenet"])
def test_the_other_networks_have_the_rows_of_table_6_and_the_resnets_teacher(scale, on, resnets, net):
    rows = {row: arms.ARMS[f"{scale}{net}-{row}"] for row in ROWS_OF_TABLE_6}
    assert len(rows) == len(paper.table("6"))
    assert set(changes(rows["cosine"], rows["efficient"])) == {"schedule", *on}  # first_decay is of the step schedule
    assert changes(rows["smooth"], rows["cosine"]) == {"label_smoothing": 0.1}
    assert set(changes(rows["distill"], rows["smooth"])) == {"teacher"}
    assert {*changes(rows["mixup"], rows["smooth"])} - {"epochs"} == {"mixup_alpha"}
    assert {*changes(rows["distill-mixup"], rows["distill"])} - {"epochs"} == {"mixup_alpha"}
    for row in ("distill", "distill-mixup"):
        assert teacher_of(rows[row]) == teacher_of(arms.ARMS[resnets.replace("distill", row)])
    for recipe in rows.values():
        assert (recipe.no_bias_decay, recipe.warmup_epochs > 0) == (True, True)
        with torch.device("meta"):
            build(recipe.net, 10, tweak_b=recipe.tweak_b, tweak_c=recipe.tweak_c, tweak_d=recipe.tweak_d)


ROWS_OF_TABLE_6 = ("efficient", "cosine", "smooth", "distill", "mixup", "distill-mixup")


def test_the_other_networks_are_trained_as_the_resnet_is_in_refinements():
    """But for what they do not have, and their learning rate."""
    for row, theirs in zip(ROWS_OF_TABLE_6, studies.STUDIES["refinements"].arms, strict=False):
        for net in ("inception", "mobilenet"):
            differs = changes(arms.ARMS[f"{net}-{row}"], arms.ARMS[theirs])
            assert set(differs) - {"lr", "teacher"} == {"net", "zero_gamma", "tweak_d"}


@pytest.fixture
def narrow(monkeypatch):
    """The paper's networks with as many layers and few channels."""
    for net in ("resnet50", "resnet152"):
        monkeypatch.setitem(resnet.NETS, net, replace(resnet.NETS[net], width=4))
    monkeypatch.setitem(inception.NETS, "inception-v3", replace(inception.NETS["inception-v3"], width=1 / 16))
    blocks = tuple((channels // 16, stride) for channels, stride in mobilenet.NETS["mobilenet-v1"].blocks)
    monkeypatch.setitem(mobilenet.NETS, "mobilenet-v1", mobilenet.Net(4, blocks))


@pytest.mark.parametrize("name", papers_rows())
def test_every_arm_of_the_papers_scale_builds_and_takes_a_step(name, narrow, monkeypatch):
    """A step on two small pictures of two classes; the teacher untrained."""
    monkeypatch.setattr(make, "weights_for", lambda recipe, *_: make.model_for(recipe, 2, 0).state_dict())
    recipe = papers_rows()[name]
    side = 75 if recipe.net == "inception-v3" else 32  # px: the least that Inception-V3 takes
    teacher = recipe.teacher.replace("224", str(side))
    small = replace(recipe, image_size=side, teacher=teacher, epochs=1, warmup_epochs=0.0, batch_size=2)
    pictures = Split(np.random.default_rng(0).integers(0, 255, (2, side, side, 3), np.uint8), np.array([0, 1]))
    parts = make.prepare(small, 0, Dataset("two", "two", ("a", "b"), pictures, pictures))
    assert (parts.teacher is not None) == bool(recipe.teacher)
    before = parts.model.head.weight.clone()
    (row,) = epochs(small, parts)
    assert np.isfinite(row["train_loss"]) and not torch.equal(parts.model.head.weight, before)


def test_what_is_stacked_after_the_bag_has_the_bags_teacher():
    stack, taught = arms.ARMS["after-stack"], arms.ARMS["after-stack-taught"]
    assert set(changes(taught, stack)) == {"teacher"}
    assert teacher_of(taught) == teacher_of(arms.ARMS["ladder-kept"])
    assert stack.epochs == arms.ARMS["after-bag"].epochs == arms.ARMS["after-baseline"].epochs
