"""Inception-V3 and MobileNet against torchvision and timm; what a network without residual blocks refuses."""

import inspect

import pytest
import timm
import torch
import torchvision
from torch import nn

from tricks.models import inception, mobilenet, resnet
from tricks.models.nets import NETS, build
from tricks.models.resnet import multiply_adds, parameter_count
from tricks.parameters import xavier_init_, zero_last_gamma_

OTHERS = (*inception.NETS, *mobilenet.NETS)


def inception_v3():
    return torchvision.models.inception_v3(aux_logits=False, transform_input=False, init_weights=False)


def mobilenet_v1():
    """With ReLU, as in the paper, where timm's own has ReLU6."""
    return timm.create_model("mobilenetv1_100", act_layer=nn.ReLU)


@pytest.mark.parametrize(
    ("net", "reference", "sizes"),
    [("inception-v3", inception_v3, (299, 150)), ("mobilenet-v1", mobilenet_v1, (224, 97))],
)
def test_at_the_papers_size_the_logits_are_those_of_another_implementation(net, reference, sizes):
    """150 and 97 px are odd or even at other layers than 299 and 224, where pooling and strides round otherwise."""
    torch.manual_seed(0)
    theirs, ours = reference(), build(net, 1000)
    scramble_(theirs)
    copy_in_order_(ours, theirs)
    with torch.no_grad():
        for size in sizes:
            x = torch.randn(2, 3, size, size)
            expected = theirs.eval()(x)
            assert expected.std() > 0.05  # an agreement of zeros would say nothing
            torch.testing.assert_close(ours.eval()(x), expected, atol=1e-5, rtol=1e-4)


def scramble_(model):
    """Weights that keep the size of their input, and batch norms that show a swapped or forgotten one."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.0)
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, 0.0, 0.1)


def copy_in_order_(ours, theirs):
    """Both list their layers from the input to the output, and parallel paths from left to right in the figures."""
    names, values = list(ours.state_dict()), list(theirs.state_dict().values())
    ours.load_state_dict(dict(zip(names, values, strict=True)))


@pytest.mark.parametrize(
    ("net", "image_size", "millions", "giga"),
    [("inception-v3", 299, 23.835, 5.713), ("mobilenet-v1", 224, 4.232, 0.569)],
)
def test_at_the_papers_size_parameters_and_cost_are_as_published(net, image_size, millions, giga):
    with torch.device("meta"):
        model = build(net, 1000)
    assert round(parameter_count(model) / 1e6, 3) == millions
    assert round(multiply_adds(model, image_size) / 1e9, 3) == giga


def test_batch_norms_have_the_epsilon_of_their_paper():
    for net, eps in (("inception-small", 1e-3), ("mobilenet-small", 1e-5), ("resnet8", 1e-5)):
        assert {module.eps for module in build(net, 10).modules() if isinstance(module, nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize("net", ["inception-small", "mobilenet-small"])
def test_the_courses_size_costs_about_as_much_as_the_resnet(net):
    model = build(net, 10)
    assert multiply_adds(model, 32) == pytest.approx(10e6, rel=0.1)
    assert parameter_count(model) == pytest.approx(parameter_count(build("resnet8", 10)), rel=0.25)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_small_inception_has_every_kind_of_block_and_maps_as_small_as_they_need():
    kinds = {str(block) for block in inception.NETS["inception-v3"].blocks}
    small = inception.NETS["inception-small"].blocks
    assert all(str(block) in kinds for block in small)
    model, sides = build("inception-small", 10), []
    for block in (model.stem, *model.stages):
        block.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    model(torch.zeros(2, 3, 32, 32))
    assert sides == [15, 15, 7, 7, 3, 3]


def test_a_depthwise_convolution_reads_one_channel():
    block = build("mobilenet-small", 10).stages[1].eval()
    x = torch.randn(1, 64, 8, 8, requires_grad=True)
    block[0](x)[0, 5].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize("net", NETS)
def test_every_network_has_the_same_face(net):
    with torch.device("meta"):
        model = build(net, 7)
        side = 299 if net == "inception-v3" else 64
        x = model.stages(model.stem(torch.empty(2, 3, side, side)))
        assert model.head(x.mean(dim=(2, 3))).shape == model(torch.empty(2, 3, side, side)).shape == (2, 7)
    assert all(layer.bias is None for layer in model.modules() if isinstance(layer, nn.Conv2d))


def test_unknown_net_names_the_nearest_of_all():
    with pytest.raises(ValueError, match="unknown net 'resnet5'. Nearest: 'resnet50'. There are resnet8"):
        build("resnet5", 10)
    with pytest.raises(ValueError, match="unknown net 'mobilenet'. Nearest: 'mobilenet-v1'"):
        build("mobilenet", 10)


@pytest.mark.parametrize("net", OTHERS)
@pytest.mark.parametrize(
    ("tweak", "reason"), [("tweak_b", "path A"), ("tweak_c", "stem of a ResNet"), ("tweak_d", "shortcut")]
)
def test_a_network_without_residual_blocks_refuses_the_tweaks(net, tweak, reason):
    with pytest.raises(ValueError, match=rf"{tweak} does not exist for '{net}': .*{reason}.*use a ResNet: resnet8"):
        build(net, 10, **{tweak: True})


@pytest.mark.parametrize("net", ["inception-small", "mobilenet-small"])
def test_a_network_without_residual_blocks_refuses_zero_gamma(net):
    with pytest.raises(ValueError, match="zero γ needs residual blocks, and .* has none: leave zero_gamma off"):
        zero_last_gamma_(build(net, 10))


def test_all_take_the_same_switches():
    """What `nets.build` may be asked is what `resnet.build` may be asked."""
    assert inspect.signature(build).parameters == inspect.signature(resnet.build).parameters


def test_xavier_reads_a_depthwise_kernel_as_one_output_and_one_input():
    """d_in = d_out = 9: one output reads nine values, one input feeds nine (§2.1)."""
    model = build("mobilenet-small", 10)
    xavier_init_(model, torch.Generator().manual_seed(0))
    depthwise = model.stages[4][0].weight
    bound = (6 / (9 + 9)) ** 0.5
    assert 0.98 * bound < depthwise.abs().max() <= bound
