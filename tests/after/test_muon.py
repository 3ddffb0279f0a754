"""Muon against `torch.optim.Muon`, its matrices against the singular value decomposition, and a step of the loop."""

from dataclasses import replace

import pytest
import torch
from test_train import TINY, dataset
from torch import nn

from tricks.after.muon import Muon, hidden, orthogonalise
from tricks.models.resnet import build
from tricks.records.make import prepare
from tricks.targets import one_hot, soft_cross_entropy
from tricks.train import epochs


@pytest.fixture
def in_float32(monkeypatch):
    """torch.optim.Muon's iteration in float32 and not in bfloat16, so that it can be compared to all digits."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.mark.parametrize("shape", [(32, 288), (288, 32), (64, 64), (1, 9), (9, 1)])
def test_orthogonalise_is_near_u_v_of_the_singular_value_decomposition(shape):
    torch.manual_seed(0)
    u, s, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    s = torch.linspace(1, 0.2, len(s))  # none so small that five steps do not lift it
    found = u.T @ orthogonalise(u * s @ v) @ v.T
    torch.testing.assert_close(found - found.diag().diag(), torch.zeros_like(found), atol=1e-4, rtol=0)
    assert found.diag().min() > 0.68 and found.diag().max() < 1.14


def test_more_steps_of_a_polynomial_that_settles_are_exact(monkeypatch):
    """Which shows the iteration right beyond the wide band: (15 s − 10 s³ + 3 s⁵) / 8 has its fixed point at 1."""
    monkeypatch.setattr("tricks.after.muon.QUINTIC", (15 / 8, -10 / 8, 3 / 8))
    torch.manual_seed(0)
    matrix = torch.randn(24, 40, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(orthogonalise(matrix, steps=30), u @ v)


def test_a_gradient_of_zeros_stays_one():
    assert torch.equal(orthogonalise(torch.zeros(3, 5)), torch.zeros(3, 5))


@pytest.mark.parametrize("momentum", [0.5, 0.95])
def test_steps_are_those_of_torchs_muon(in_float32, momentum):
    """Of filters as matrices, tall and wide, over ten steps with decay; the other parameter has SGD's."""
    torch.manual_seed(0)
    shapes = [(16, 8, 3, 3), (40, 4, 3, 3), (6, 9)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().flatten(1).clone()) for p in ours]
    bias, other = (nn.Parameter(torch.ones(7)) for _ in range(2))
    mine = Muon([{"params": [*ours, bias], "weight_decay": 0.02}], ours, 0.5, momentum)
    muon = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.04, momentum=momentum, nesterov=True)
    sgd = torch.optim.SGD([other], lr=0.2, weight_decay=0.02, momentum=momentum, nesterov=True)
    for group in mine.param_groups:
        group["lr"] = 0.2 * group.get("factor", 1.0)
    for _ in range(10):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape)
            q.grad = p.grad.flatten(1).clone()
        bias.grad = torch.randn(7)
        other.grad = bias.grad.clone()
        for optimizer in (mine, muon, sgd):
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p.flatten(1), q, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(bias, other)


def test_hidden_are_all_weights_between_the_first_layer_and_the_last():
    model = build("resnet14", 10, tweak_c=True, tweak_d=True)
    chosen = {name for name, parameter in model.named_parameters() if any(parameter is h for h in hidden(model))}
    weights = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    assert chosen == weights - {"stem.0.weight", "head.weight"} and len(chosen) > 10


def test_a_step_of_the_loop(in_float32):
    recipe = replace(TINY, epochs=1, batch_size=64, optimizer="muon", muon_lr=0.03, no_bias_decay=True, bias_lr=2.0)
    parts, reference = (prepare(recipe, 0, dataset()) for _ in range(2))
    ((x, y),) = parts.train.epoch(0)
    list(epochs(recipe, parts))
    net = reference.model.train()
    soft_cross_entropy(net(x), one_hot(y, 10)).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None
        if p.ndim == 1 or name in ("stem.0.weight", "head.weight"):
            lr = 2 * recipe.lr if p.ndim == 1 and name.endswith("bias") and name != "head.bias" else recipe.lr
            decay = 0.0 if p.ndim == 1 else recipe.weight_decay
            torch.optim.SGD([p], lr=lr, momentum=0.9, nesterov=True, weight_decay=decay).step()
        else:
            flat = nn.Parameter(p.detach().flatten(1).clone())
            flat.grad = p.grad.flatten(1).clone()
            decay = recipe.weight_decay * recipe.lr / recipe.muon_lr  # lr · decay as with SGD
            torch.optim.Muon([flat], lr=recipe.muon_lr, momentum=0.9, weight_decay=decay).step()
            p.data.copy_(flat.detach().view_as(p))
    for (name, ours), theirs in zip(parts.model.named_parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
