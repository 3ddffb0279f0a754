"""The biases' own learning rate against torch's SGD with groups written out, and through the loop."""

from dataclasses import replace

import pytest
import torch
from test_train import TINY, dataset
from torch import nn

from tricks.after.bias_rate import faster_biases
from tricks.models.resnet import build
from tricks.parameters import decay_groups
from tricks.records.make import prepare
from tricks.targets import one_hot, soft_cross_entropy
from tricks.train import epochs


@pytest.mark.parametrize("no_bias_decay", [False, True])
def test_each_parameter_is_in_one_group_and_decays_as_fast_as_before(no_bias_decay):
    model = build("resnet14", 10, tweak_d=True)
    plain = decay_groups(model, 1e-3, no_bias_decay)
    groups = faster_biases(plain, model, 64.0)
    grouped = [parameter for group in groups for parameter in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))
    before = {p: group["weight_decay"] for group in plain for p in group["params"]}
    fast = set()
    for group in groups:
        for p in group["params"]:
            assert group.get("factor", 1.0) * group["weight_decay"] == before[p]
            if group.get("factor", 1.0) == 64.0:
                fast.add(p)
    names = {name for name, parameter in model.named_parameters() if parameter in fast}
    expected = {f"{name}.bias" for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert names == expected and len(names) == sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert faster_biases(plain, model, 1.0) is plain


@pytest.mark.parametrize("no_bias_decay", [False, True])
def test_one_step_of_the_loop_is_that_of_torchs_sgd_with_the_groups_written_out(no_bias_decay):
    recipe = replace(TINY, epochs=1, batch_size=64, weight_decay=0.01, bias_lr=64.0, no_bias_decay=no_bias_decay)
    parts, reference = (prepare(recipe, 0, dataset()) for _ in range(2))
    ((x, y),) = parts.train.epoch(0)
    list(epochs(recipe, parts))
    net = reference.model.train()
    soft_cross_entropy(net(x), one_hot(y, 10)).backward()
    beta = [m.bias for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    rest = [m.weight for m in net.modules() if isinstance(m, nn.BatchNorm2d)] + [net.head.bias]
    weights = [p for p in net.parameters() if p.ndim > 1]
    decay = 0.0 if no_bias_decay else 0.01
    torch.optim.SGD(
        [
            {"params": beta, "lr": 64 * recipe.lr, "weight_decay": decay / 64},
            {"params": rest, "weight_decay": decay},
            {"params": weights, "weight_decay": 0.01},
        ],
        lr=recipe.lr,
        momentum=0.9,
        nesterov=True,
    ).step()
    for ours, theirs in zip(parts.model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
