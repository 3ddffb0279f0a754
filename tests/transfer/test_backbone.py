"""Backbones: taken from a classifier by its recipe, refused when the weights are another net's."""

import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from tricks.data import sets
from tricks.models.resnet import build
from tricks.recipe import Recipe, Transfer
from tricks.records import make
from tricks.records.store import find
from tricks.studies.arms import PRETRAIN_EFFICIENT
from tricks.transfer.backbone import backbone_for, freeze_bn_, load_weights_, stage_channels, trunk

SMALL = Recipe(net="bottleneck14-pool", tweak_b=True, tweak_d=True)


@pytest.mark.parametrize(("net", "channels"), [("resnet8", [32, 64, 128]), ("bottleneck14", [64, 128, 256, 512])])
def test_the_trunk_is_the_classifier_without_its_head(net, channels):
    model = build(net, 10).eval()
    stages = trunk(model)
    assert [name for name, _ in stages.named_children()][:2] == ["stem", "stage1"]
    assert stage_channels(stages) == channels
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.head(stages(x).mean((2, 3))), model(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": "bottleneck14"}, r"size mismatch for stem.0.weight: .*\[16, 3, 3, 3\].*\[16, 3, 7, 7\]"),
        ({"tweak_c": True}, r"Unexpected key.*stem.3.weight"),
        ({"net": "resnet8", "tweak_b": False}, "Missing key.*stages.0.0.conv3.weight"),
    ],
)
def test_weights_of_another_architecture_say_what_differs(change, message):
    def model(recipe):
        tweaks = {name: getattr(recipe, name) for name in ("tweak_b", "tweak_c", "tweak_d")}
        return build(recipe.net, 10, **tweaks)

    with pytest.raises(ValueError, match="(?s)of another architecture: .*" + message):
        load_weights_(model(SMALL), model(replace(SMALL, **change)).state_dict())


def test_pretrained_weights_are_those_of_the_backbones_recipe_and_seed(monkeypatch, tmp_path):
    nothing = sets.Split(np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int64))
    data = sets.Dataset("cifar10", "cifar10", ("cat", "dog"), nothing, nothing, fingerprint="0123456789abcdef")
    monkeypatch.setattr(make, "load", lambda *_: data)
    monkeypatch.setattr(make, "CACHE", tmp_path)
    model = make.model_for(SMALL, 10, 7)
    make.keep_weights(make.weights_path(SMALL, 3, data), model)
    backbone = backbone_for(Transfer(backbone=SMALL), 3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, backbone.state_dict()[name])
    without = backbone_for(Transfer(backbone=SMALL, pretrained=False), 3)
    fresh = make.model_for(SMALL, 1, 3)
    assert torch.equal(without.stem[0].weight, fresh.stem[0].weight)


def test_a_backbone_that_is_no_resnet_is_refused_before_it_is_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(make, "CACHE", tmp_path)
    monkeypatch.setattr(make, "prepare", lambda *_: pytest.fail("it was trained"))
    for pretrained in (True, False):
        with pytest.raises(ValueError, match="backbone.net = 'mobilenet-small': must be a ResNet, .*: resnet8, "):
            backbone_for(Transfer(backbone=Recipe(net="mobilenet-small"), pretrained=pretrained), 0)


def test_weights_that_come_with_the_course_go_before_the_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(make, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(make, "WEIGHTS", tmp_path / "weights")
    model = make.model_for(SMALL, 10, 7)
    make.keep_weights(tmp_path / "weights" / make.weights_path(SMALL, 3).name, model)
    found = make.weights_for(SMALL, 3)
    assert torch.equal(found["head.weight"], model.state_dict()["head.weight"])
    assert not (tmp_path / "cache").exists()


def test_the_committed_weights_are_the_lessons_and_classify_as_their_record_says():
    """On every eighth test picture of Imagenette, read by torchvision's transforms with the paper's numbers (§2.1)."""
    (path,) = make.WEIGHTS.iterdir()
    assert path.name == make.weights_path(PRETRAIN_EFFICIENT, 0).name and path.stat().st_size < 3e6
    archive = sets.find("imagenette")
    if archive is None or archive.is_dir():
        pytest.skip("needs Imagenette's archive: ./course data imagenette --fetch")
    mean, std = (123.68, 116.779, 103.939), (58.393, 57.12, 57.375)
    read = transforms.Compose(
        [
            *(transforms.Resize(110), transforms.CenterCrop(96), transforms.PILToTensor()),
            *(
                transforms.ConvertImageDtype(torch.float32),
                transforms.Normalize([m / 255 for m in mean], [s / 255 for s in std]),
            ),
        ]
    )
    pictures: dict[str, Tensor] = {}
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if "/val/" in name and name.endswith(".JPEG"))
        classes = sorted({name.split("/")[-2] for name in names})
        chosen = set(names[::8])
        for member in tar:
            if member.name in chosen:
                file = tar.extractfile(member)
                assert file is not None
                pictures[member.name] = read(Image.open(file).convert("RGB"))
    assert len(pictures) > 400 and len(classes) == 10
    with torch.no_grad():
        found = (
            backbone_for(Transfer(backbone=PRETRAIN_EFFICIENT), 0)
            .cpu()
            .eval()(torch.stack(list(pictures.values())))
            .argmax(1)
        )
    truth = torch.tensor([classes.index(name.split("/")[-2]) for name in pictures])
    (recorded,) = [run for run in find(PRETRAIN_EFFICIENT) if run.seed == 0]
    assert 100 * float((found == truth).float().mean()) == pytest.approx(recorded.accuracy, abs=5)  # 3 standard errors


def test_frozen_batch_norms_compute_the_same_and_learn_nothing():
    model = build("resnet8", 10)
    model(torch.randn(4, 3, 32, 32))  # statistics that are not at their start
    x = torch.randn(2, 3, 32, 32)
    before = model.eval()(x)
    freeze_bn_(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(model.train()(x), before)
    assert all("bn" not in name for name, _ in model.named_parameters())
