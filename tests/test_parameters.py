"""Initialisation, zero γ and parameter groups: what they touch, what they leave, and what follows at the first step."""

import math

import pytest
import torch
from torch import nn

from tricks.models.resnet import Basic, Bottleneck, build
from tricks.parameters import decay_groups, xavier_init_, zero_last_gamma_


@pytest.fixture(params=["resnet14", "bottleneck14"])
def model(request):
    torch.manual_seed(0)
    return build(request.param, 10, tweak_d=True)


def blocks_of(model):
    return [module for module in model.modules() if isinstance(module, Basic | Bottleneck)]


def convolutions(block):
    """Path A's convolutions."""
    return [layer for name, layer in block.named_children() if name.startswith("conv")]


def test_xavier_init_is_the_formula(model):
    for parameter in model.parameters():
        nn.init.constant_(parameter, 9.0)
    xavier_init_(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            w = module.weight.detach().double()
            area = w[0, 0].numel() if w.ndim == 4 else 1
            a = math.sqrt(6 / ((w.shape[1] + w.shape[0]) * area))
            assert w.abs().max() <= a * (1 + 1e-6)
            # of n uniform draws the largest is above a (1 - 20 / n) but once in e^20; their sd is a / √3
            assert w.abs().max() > a * (1 - 20 / w.numel())
            assert w.std() == pytest.approx(a / math.sqrt(3), rel=3 / math.sqrt(w.numel()))
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    assert (model.head.bias == 0).all()


def test_xavier_init_repeats_with_its_generator():
    first, again, other = (build("resnet8", 10) for _ in range(3))
    for model, seed in ((first, 1), (again, 1), (other, 2)):
        xavier_init_(model, torch.Generator().manual_seed(seed))
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_zero_last_gamma_touches_only_the_last_batch_norm_of_each_block(model):
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    zero_last_gamma_(model)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    last = "bn2" if isinstance(model.stages[0][0], Basic) else "bn3"
    assert changed == {name for name in before if name.endswith(f".{last}.weight")}
    assert len(changed) == len(blocks_of(model))


def test_with_zero_gamma_a_block_starts_as_its_shortcut(model):
    zero_last_gamma_(model)
    for block in blocks_of(model):
        x = torch.randn(2, block.conv1.in_channels, 8, 8)
        torch.testing.assert_close(block(x), block.shortcut(x).relu(), atol=0, rtol=0)


def test_zero_gamma_does_not_stop_back_propagation(model):
    """In the first step γ has a gradient and what feeds it has none; in the second, all of them have."""
    zero_last_gamma_(model)
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        assert model.stem[0].weight.grad.abs().sum() > 0
        for block in blocks_of(model):
            assert block.last_bn.weight.grad.abs().sum() > 0
            assert all((layer.weight.grad.abs().sum() > 0) == (step == 1) for layer in convolutions(block))
        optimiser.step()


def test_zero_gamma_needs_residual_blocks():
    with pytest.raises(ValueError, match="zero γ needs residual blocks, and Sequential has none"):
        zero_last_gamma_(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))


@pytest.mark.parametrize("no_bias_decay", [False, True])
def test_decay_groups_hold_each_parameter_once(model, no_bias_decay):
    groups = decay_groups(model, 1e-4, no_bias_decay)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("no_bias_decay", [False, True])
def test_what_decays_in_a_step_without_gradient(model, no_bias_decay):
    """The module's type says what must decay; `decay_groups` looks at dimensions only."""
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1.0)
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.SGD(decay_groups(model, 0.01, no_bias_decay), lr=0.5).step()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            weight = isinstance(module, nn.Conv2d | nn.Linear) and name == "weight"
            expected = 1 - 0.5 * 0.01 if weight or not no_bias_decay else 1.0
            torch.testing.assert_close(parameter, torch.full_like(parameter, expected))
