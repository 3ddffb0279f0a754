"""ResNets against timm, torchvision, the paper's Table 5, and what each switch may change."""

import re

import pytest
import timm
import torch
import torchvision
from torch import nn

from tricks.models.resnet import NETS, Bottleneck, build, multiply_adds, parameter_count
from tricks.records.paper import table

B = {"tweak_b": True}
C = {"tweak_c": True}
D = {"tweak_d": True}


def test_resnet50_b_gives_torchvisions_logits():
    reference = torchvision.models.resnet50()
    assert_same_logits(build("resnet50", 1000, **B), reference, sizes=(224,))


@pytest.mark.parametrize(("name", "tweaks"), [("resnet50", B), ("resnet50d", B | C | D)])
def test_resnet50_gives_timms_logits(name, tweaks):
    assert_same_logits(build("resnet50", 1000, **tweaks), timm.create_model(name), sizes=(224, 97))


def assert_same_logits(ours, reference, sizes):
    """97 px is odd at every stage (49, 25, 13, 7, 4), where pooling and strides round differently if they can."""
    scramble_(reference)
    theirs = reference.state_dict()
    copied = {name: theirs.pop(reference_name(name, ours)) for name in ours.state_dict()}
    assert not theirs, f"not copied: {list(theirs)}"
    ours.load_state_dict(copied)
    with torch.no_grad():
        for size in sizes:
            x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
            expected = reference.eval()(x)
            assert expected.std() > 0.1  # an agreement of zeros would say nothing
            torch.testing.assert_close(ours.eval()(x), expected, atol=1e-4, rtol=0)


def scramble_(model):
    """Give all batch norms numbers that show a swapped or forgotten one: in fresh nets many are alike, some γ 0."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.0, generator=generator)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, 0.0, 0.1, generator=generator)


def reference_name(name, ours):
    """The name that timm and torchvision give to our parameter or buffer `name`."""
    last_conv = len(ours.stem) - 4  # convolution, batch norm, relu, max pooling
    pooled = any(isinstance(module, nn.AvgPool2d) for module in ours.modules())
    for pattern, theirs in (
        (rf"stem\.{last_conv + 1}\.", "bn1."),
        (r"stem\.0\.", "conv1.") if last_conv == 0 else (r"stem\.(\d)\.", r"conv1.\1."),
        (r"stages\.(\d)\.", lambda match: f"layer{int(match[1]) + 1}."),
        # timm keeps an empty pooling layer in the one shortcut that has stride 1
        (r"shortcut\.conv", "downsample.1" if pooled else "downsample.0"),
        (r"shortcut\.bn", "downsample.2" if pooled else "downsample.1"),
        (r"head\.", "fc."),
    ):
        name = re.sub(pattern, theirs, name)
    return name


@pytest.mark.parametrize(
    ("net", "tweaks", "row", "millions", "giga"),
    [
        ("resnet50", {}, "ResNet-50", 25.557, 3.858),
        ("resnet50", B, "ResNet-50-B", 25.557, 4.089),
        ("resnet50", B | C, "ResNet-50-C", 25.576, 4.329),
        ("resnet50", B | C | D, "ResNet-50-D", 25.576, 4.329),
        ("resnet152", B | C | D, None, 60.212, 11.753),
    ],
)
def test_size_and_cost(net, tweaks, row, millions, giga):
    model = build(net, 1000, **tweaks)
    parameters, cost = parameter_count(model) / 1e6, multiply_adds(model, 224) / 1e9
    assert (round(parameters, 3), round(cost, 3)) == (millions, giga)
    if row:  # the paper's digits are rough: 25.6 M is its 25 M, and 3.86 G is 3.8 G in Table 5 but 3.9 G in Table 1
        assert int(parameters) == table("5")[row]["params"]
        assert table("5")[row]["FLOPs"] == pytest.approx(cost, abs=0.06)


def test_default_net_is_the_small_one_of_the_course():
    model = build("resnet8", 10)
    assert parameter_count(model) == 308_650
    assert multiply_adds(model, 32) == 12_281_088


def test_multiply_adds_are_those_of_every_layer():
    model = build("bottleneck14", 10, **B | C | D)
    counted = multiply_adds(model, 32)
    count = 0

    def add(module, inputs, output):
        nonlocal count
        per_output = module.weight[0].numel()  # each output is one product with each weight of its channel
        count += output.numel() * per_output

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    model.eval()(torch.zeros(1, 3, 32, 32))
    assert counted == count


def test_multiply_adds_leaves_the_model_as_it_is():
    model = build("resnet8", 10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    multiply_adds(model, 32)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def layers(model):
    """What each convolution and pooling layer is, by its name."""
    return {
        name: repr(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.AvgPool2d | nn.MaxPool2d)
    }


@pytest.mark.parametrize(
    ("tweak", "changed"),
    [
        (B, {f"stages.{stage}.0.{layer}" for stage in (1, 2, 3) for layer in ("conv1", "conv2")}),
        (C, {"stem.0", "stem.3", "stem.6", "stem.9"}),  # three convolutions, and the pooling moves from 3 to 9
        (D, {f"stages.{stage}.0.shortcut.{layer}" for stage in (1, 2, 3) for layer in ("pool", "conv")}),
    ],
)
def test_each_switch_alone_changes_only_its_place(tweak, changed):
    plain, tweaked = layers(build("bottleneck14-pool", 10)), layers(build("bottleneck14-pool", 10, **tweak))
    assert {name for name in plain.keys() | tweaked.keys() if plain.get(name) != tweaked.get(name)} == changed


def test_tweak_b_moves_the_stride():
    for tweaks, strides in (({}, (2, 1, 1)), (B, (1, 2, 1))):
        block = build("bottleneck14", 10, **tweaks).stages[1][0]
        assert tuple(conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)) == strides


@pytest.mark.parametrize(("net", "width"), [("bottleneck14", 16), ("resnet50", 64)])
def test_tweak_c_stem(net, width):
    convolutions = [layer for layer in build(net, 10, **C).stem if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [width // 2, width // 2, width]
    assert [layer.stride for layer in convolutions] == [(2, 2), (1, 1), (1, 1)]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(
    ("tweaks", "path_a_reads", "path_b_reads"),
    [({}, "quarter", "quarter"), (B, "all", "quarter"), (D, "quarter", "all"), (B | D, "all", "all")],
)
def test_which_inputs_a_downsampling_block_reads(tweaks, path_a_reads, path_b_reads, side):
    torch.manual_seed(0)
    switches = {"tweak_b": False, "tweak_d": False} | tweaks
    block = Bottleneck(8, 4, stride=2, **switches).eval()
    quarter = torch.zeros(side, side, dtype=torch.bool)
    quarter[::2, ::2] = True
    expected = {"quarter": quarter, "all": torch.ones(side, side, dtype=torch.bool)}
    assert torch.equal(inputs_read(nn.Sequential(block.conv1, block.conv2), side), expected[path_a_reads])
    assert torch.equal(inputs_read(block.shortcut, side), expected[path_b_reads])


def inputs_read(path, side):
    """(side, side) booleans: does any output depend on this pixel?"""
    x = torch.randn(1, 8, side, side, requires_grad=True)
    path(x).square().sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0) > 0


@pytest.mark.parametrize(
    ("net", "image_size", "after_stem", "last"),
    [
        ("resnet8", 32, (32, 16), (128, 4)),
        ("resnet14", 32, (32, 16), (128, 4)),
        ("resnet20", 32, (32, 16), (128, 4)),
        ("bottleneck14", 32, (16, 16), (512, 2)),
        ("bottleneck14-pool", 64, (16, 16), (512, 2)),
        ("resnet50", 64, (64, 16), (2048, 2)),
    ],
)
def test_shapes(net, image_size, after_stem, last):
    with torch.device("meta"):
        model = build(net, 7, tweak_c=True, tweak_d=True)
        x = model.stem(torch.empty(2, 3, image_size, image_size))
        assert x.shape == (2, after_stem[0], after_stem[1], after_stem[1])
        assert model.stages(x).shape == (2, last[0], last[1], last[1])
        assert model(torch.empty(2, 3, image_size, image_size)).shape == (2, 7)


def test_no_convolution_has_a_bias():
    for net in NETS:
        with torch.device("meta"):
            model = build(net, 10, **C | D)
        assert all(layer.bias is None for layer in model.modules() if isinstance(layer, nn.Conv2d))


def test_tweak_b_on_basic_blocks_says_why_not():
    with pytest.raises(ValueError, match=r"tweak_b.*'resnet8'.*no 1x1 convolution on path A.*bottleneck14"):
        build("resnet8", 10, **B)
