"""Detection: the wiring between our backbones, torchvision's detector and the metric."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tricks import metrics
from tricks.data.scene import Scene
from tricks.models.resnet import build as resnet
from tricks.recipe import Transfer
from tricks.transfer import detection
from tricks.transfer.detection import build, evaluate, example, loss, predict

RECIPE = Transfer(image_size=64, head_width=8, regions=8)


@pytest.mark.parametrize("net", ["resnet8", "bottleneck14-pool"])
@pytest.mark.parametrize("fpn", [True, False])
def test_any_net_becomes_a_detector(net, fpn, drawn):
    model = build(replace(RECIPE, fpn=fpn), 3, resnet(net, 10))
    assert not any("head.weight" in name and "backbone" in name for name, _ in model.named_parameters())
    total = loss(RECIPE, model.train(), drawn.train[:2], torch.rand(2, 3))
    total.backward()
    assert total.isfinite() and all(p.grad is not None for p in model.parameters())
    found = predict(model.eval(), drawn.test[0])
    assert set(found) == {"boxes", "labels", "scores"} and found["boxes"].shape[1] == 4


def test_with_four_stages_anchors_are_torchvisions_default():
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    ours = build(RECIPE, 3, resnet("bottleneck14-pool", 10)).rpn.anchor_generator
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4).rpn.anchor_generator
    assert (ours.sizes, ours.aspect_ratios) == (theirs.sizes, theirs.aspect_ratios)


def test_a_mirrored_picture_has_mirrored_boxes(drawn):
    scene, cpu = drawn.train[0], torch.device("cpu")
    picture, target = example(scene, True, cpu)
    assert torch.equal(picture, example(scene, False, cpu)[0].flip(2))
    for box, label in zip(target["boxes"].int().tolist(), target["labels"].tolist(), strict=True):
        left, top, right, bottom = box
        assert (scene.pixels[:, ::-1][top:bottom, left:right] == label).any()
    back = target["boxes"].clone()
    back[:, [0, 2]] = picture.shape[2] - back[:, [2, 0]]
    np.testing.assert_array_equal(back.numpy(), scene.boxes)


def test_a_batch_without_any_object_has_a_finite_loss(drawn):
    empty = drawn.train[3]
    assert len(empty.boxes) == 0
    model = build(RECIPE, 3, resnet("resnet8", 10)).train()
    total = loss(RECIPE, model, [empty, empty], torch.rand(2, 3))
    total.backward()
    assert total.isfinite()


def test_difficult_boxes_are_not_trained_on_and_need_not_be_found(drawn, monkeypatch):
    scene = next(scene for scene in drawn.train if len(scene.boxes) > 1)
    first = np.arange(len(scene.boxes)) == 0
    scene = replace(scene, difficult=first)
    assert len(example(scene, False, torch.device("cpu"))[1]["boxes"]) == len(scene.boxes) - 1
    others = {"boxes": torch.from_numpy(scene.boxes[1:]), "labels": torch.from_numpy(scene.labels[1:])}
    found = {**others, "scores": torch.ones(len(scene.boxes) - 1)}
    monkeypatch.setattr(detection, "predict", lambda model, scene: found)
    assert evaluate(RECIPE, torch.nn.Identity(), [scene], 3)["map"] == pytest.approx(100)


def test_a_small_box_inside_a_difficult_one_is_a_false_alarm(monkeypatch):
    boxes = np.array([[0, 0, 100, 100], [100, 0, 140, 40]], dtype=np.float32)
    picture, labels = np.zeros((100, 140, 3), dtype=np.uint8), np.array([1, 1])
    scene = Scene("a", picture, boxes, labels, difficult=np.array([True, False]))
    found = {"boxes": torch.tensor([[20, 20, 50, 50], [100, 0, 140, 40]]).float(), "labels": torch.tensor([1, 1])}
    monkeypatch.setattr(detection, "predict", lambda model, scene: {**found, "scores": torch.tensor([0.9, 0.5])})
    assert evaluate(RECIPE, torch.nn.Identity(), [scene], 1)["map_voc"] == pytest.approx(50)


def test_perfect_predictions_score_100_and_the_metric_sees_what_the_model_says(drawn, monkeypatch):
    def perfect(model, scene):
        boxes, labels = torch.from_numpy(scene.boxes), torch.from_numpy(scene.labels)
        return {"boxes": boxes, "labels": labels, "scores": torch.linspace(1, 0.5, len(labels))}

    monkeypatch.setattr(detection, "predict", perfect)
    scores = evaluate(RECIPE, torch.nn.Identity(), drawn.test, 3)
    assert [scores[name] for name in ("map", "map_50", "map_75", "map_voc")] == pytest.approx([100] * 4)

    def shifted(model, scene):
        found = perfect(model, scene)
        return {**found, "boxes": found["boxes"] + 3}

    monkeypatch.setattr(detection, "predict", shifted)
    found, targets = [], []
    for scene in drawn.test:
        found.append(shifted(None, scene))
        targets.append({"boxes": torch.from_numpy(scene.boxes), "labels": torch.from_numpy(scene.labels)})
    worse = evaluate(RECIPE, torch.nn.Identity(), drawn.test, 3)
    assert worse == metrics.average_precision(found, targets) and 0 < worse["map"] < 100
