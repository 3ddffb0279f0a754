"""Segmentation: dilation keeps the weights and what they compute; crops and masks stay together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import tricks
from tricks.data import voc
from tricks.data.files import DataError
from tricks.models.resnet import NETS, ResNet
from tricks.models.resnet import build as resnet
from tricks.recipe import Transfer
from tricks.transfer import loop, segmentation
from tricks.transfer.backbone import trunk
from tricks.transfer.loop import prepare
from tricks.transfer.segmentation import SpreadPool, build, dilate_, evaluate, example, loss, pixels, predict

RECIPE = Transfer(task="segmentation", image_size=64)
TWEAKS = [{}, {"tweak_b": True}, {"tweak_d": True}, {"tweak_b": True, "tweak_c": True, "tweak_d": True}]


@torch.no_grad()
def shaken(model):
    """The model in eval mode, with statistics, γ and β away from their start."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
    return model.eval()


@pytest.mark.parametrize("tweaks", TWEAKS, ids=str)
@pytest.mark.parametrize("side", [64, 75])
@torch.no_grad()
def test_a_dilated_net_computes_the_same_at_every_fourth_place_with_the_same_weights(tweaks, side):
    """Two blocks a stage, so that a block that follows the dilation is tried as well; odd sides, too."""
    spec = replace(NETS["bottleneck14-pool"], depths=(1, 1, 2, 2), width=8)
    flags = {"tweak_b": False, "tweak_c": False, "tweak_d": False, **tweaks}
    plain, dilated = (ResNet(spec, 10, **flags) for _ in range(2))
    shaken(plain)
    dilate_(dilated)
    dilated.load_state_dict(plain.state_dict())
    dilated.eval()
    x = torch.randn(1, 3, side, side)
    coarse, fine = trunk(plain)(x), trunk(dilated)(x)
    assert fine.shape[2] == -(-side // 8) and coarse.shape[2] == -(-side // 32)  # output stride 8 instead of 32
    torch.testing.assert_close(fine[:, :, ::4, ::4], coarse, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tweaks", [{}, {"tweak_b": True}])
def test_strides_and_dilations_are_torchvisions(tweaks):
    """torchvision's ResNet-50 has tweak B; a plain one has its stride one convolution earlier."""
    from torchvision.models import resnet50

    theirs = resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
    ours = resnet("resnet50", 10, **tweaks)
    dilate_(ours)

    def layout(model):
        return [(c.stride, c.dilation, c.padding) for c in model.modules() if isinstance(c, nn.Conv2d)]

    if tweaks:
        assert sorted(layout(ours)) == sorted(layout(theirs))
    else:
        assert {d for _, d, _ in layout(ours)} == {(1, 1), (2, 2), (4, 4)}
        assert sum(stride == (2, 2) for stride, _, _ in layout(ours)) == 3  # the stem, and both paths of stage 2


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("side", [3, 8, 9])
def test_spread_pooling_at_every_second_place_is_the_pooling_of_the_shortcut(dilation, side):
    x = torch.randn(2, 3, side, side)
    for offset in range(dilation):  # the places that are `dilation` apart form a coarser map
        coarse = x[:, :, offset::dilation, offset::dilation]
        if min(coarse.shape[2:]) == 0:
            continue
        expected = F.avg_pool2d(coarse, 2, ceil_mode=True, count_include_pad=False)
        ours = SpreadPool(dilation)(x)[:, :, offset :: 2 * dilation, offset :: 2 * dilation]
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("net", ["resnet8", "bottleneck14-pool"])
def test_any_net_becomes_a_segmenter(net, drawn):
    model = build(RECIPE, 3, resnet(net, 10, tweak_d=True)).train()
    total = loss(RECIPE, model, drawn.train[:4], torch.rand(4, 3))
    total.backward()
    assert total.isfinite() and all(p.grad is not None for p in model.parameters())
    found = predict(model.eval(), drawn.test[0], 64)
    assert found.shape == drawn.test[0].picture.shape[:2] and found.max() <= 3


def test_a_crop_and_its_classes_stay_together(drawn):
    """The picture is replaced by its own mask, so that every crop must agree with itself."""
    scene = drawn.train[0]
    white = np.repeat((scene.pixels > 0).astype(np.uint8)[..., None] * 255, 3, axis=2)
    scene = replace(scene, picture=white)
    for draw in ([0.1, 0.0, 0.0], [0.9, 0.99, 0.5], [0.4, 0.5, 0.99]):
        x, y = example(scene, 96, draw)
        assert x.shape == (3, 96, 96) and y.shape == (96, 96)
        assert ((x[0] > 0) == (y > 0)).float().mean() > 0.97  # they differ only where resizing blurs an edge


def test_ignored_pixels_have_no_loss(drawn, monkeypatch):
    scene = replace(drawn.train[0], pixels=np.full_like(drawn.train[0].pixels, 255))
    model = build(RECIPE, 3, resnet("resnet8", 10)).train()
    monkeypatch.setattr(model, "forward", lambda x: {"out": torch.zeros(2, 4, 64, 64)})
    draws = torch.full((2, 3), 0.5)
    assert float(loss(RECIPE, model, [scene, drawn.train[1]], draws)) == pytest.approx(np.log(4))
    with_one = loss(RECIPE, model, [drawn.train[1], drawn.train[1]], draws)
    assert float(with_one) == pytest.approx(np.log(4))


def test_a_scene_without_classes_of_pixels_says_so(drawn):
    with pytest.raises(DataError, match="scene 0-0 has no class for each pixel, which segmentation needs"):
        pixels(replace(drawn.train[0], pixels=None))


def test_evaluation_counts_pixels_at_the_pictures_own_size(drawn, monkeypatch):
    monkeypatch.setattr(segmentation, "predict", lambda model, scene, size: pixels(scene))
    scores = evaluate(RECIPE, nn.Identity(), drawn.test, 3)
    assert scores["miou"] == scores["pixel_accuracy"] == 100
    monkeypatch.setattr(segmentation, "predict", lambda model, scene, size: pixels(scene) * 0)
    scores = evaluate(RECIPE, nn.Identity(), drawn.test, 3)
    background = 100 * np.mean([scene.pixels == 0 for scene in drawn.test])
    assert scores["pixel_accuracy"] == pytest.approx(background) and scores["iou"][0] == pytest.approx(background)


@torch.no_grad()
def test_without_a_background_every_output_is_a_class(tmp_path, monkeypatch):
    """Three classes, and a net that says the first of them everywhere: right for 1 of the 5 places that have one."""
    monkeypatch.setattr(tricks, "ROOT", tmp_path)
    monkeypatch.setattr(voc, "ADE20K_COUNT", 3)
    mask = np.array([[0, 1, 2, 2, 3, 3]], dtype=np.uint8).repeat(20, axis=0).repeat(20, axis=1)
    for part in ("training", "validation"):
        for kind, name in (("images", "a.jpg"), ("annotations", "a.png")):
            folder = tmp_path / "data" / "ADEChallengeData2016" / kind / part
            folder.mkdir(parents=True)
            Image.fromarray(mask).save(folder / name)
    recipe = replace(RECIPE, dataset="ade20k", pretrained=False)
    parts = prepare(recipe)
    last = list(parts.model.modules())[-1]
    last.weight.zero_()
    last.bias.copy_(torch.arange(len(last.bias)) == 0)
    assert loop.evaluate(recipe, parts) == {
        "miou": pytest.approx(20 / 3),
        "pixel_accuracy": pytest.approx(20),
        "iou": pytest.approx([20, 0, 0]),
    }
