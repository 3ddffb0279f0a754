"""Averaged weights against PyTorch's `AveragedModel`, and the rule of the decay against numbers written out."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tricks.after.averaging import average_, decay_at


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5))


def test_it_is_pytorchs_average_of_the_same_steps():
    model = net()
    ours = copy.deepcopy(model)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # the first call copies
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for _ in range(5):
        model(torch.randn(6, 3, 8, 8)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average_(ours, model, 0.9)
        theirs.update_parameters(model)
    state = theirs.module.state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, state[name])
    assert not torch.equal(ours[3].weight, model[3].weight)
    assert torch.equal(ours[1].running_mean, model[1].running_mean)  # batch norm's statistics are the model's


@pytest.mark.parametrize(
    ("step", "decay", "expected"), [(0, 0.99, 0.1), (8, 0.99, 0.5), (89, 0.99, 90 / 99), (10_000, 0.99, 0.99)]
)
def test_the_memory_is_short_at_first(step, decay, expected):
    assert decay_at(step, decay) == pytest.approx(expected)


def test_without_memory_the_average_is_the_model():
    model, average = net(), net()
    nn.init.ones_(model[3].weight)
    average_(average, model, 0.0)
    assert torch.equal(average[3].weight, model[3].weight)
