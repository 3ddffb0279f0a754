"""Averaged weights against PyTorch's `AveragedModel`, and the rule of the decay against numbers written out."""

import copy
from dataclasses import replace

import pytest
import torch
from test_train import TINY, dataset, train_rows
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from tricks.after.averaging import average_, decay_at, reestimate_bn_
from tricks.records.make import prepare
from tricks.train import epochs


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


def test_the_statistics_are_those_of_pytorchs_update_bn():
    model, batches = net(), [torch.randn(6, 3, 8, 8) + k for k in range(4)]
    theirs = copy.deepcopy(model)
    for x in batches[::-1]:
        model(x)  # statistics that have to go
    reestimate_bn_(model, batches)
    update_bn(batches, theirs)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name])
    assert model[1].momentum == theirs[1].momentum == 0.1


def test_the_average_is_judged_with_statistics_of_its_own():
    """On every epoch's end, of the clean sample; nothing of it gets into training."""
    recipe = replace(TINY, ema_decay=0.9, ema_bn=True)
    parts = prepare(recipe, 0, dataset())
    rows, copied = list(epochs(recipe, parts)), train_rows(replace(recipe, ema_bn=False))
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in copied]
    assert all(a["test_nll"] != b["test_nll"] for a, b in zip(rows, copied, strict=True))
    expected = copy.deepcopy(parts.judged)
    update_bn([x for x, _ in parts.clean_sample], expected)
    for name, tensor in parts.judged.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name])
    assert not torch.equal(parts.judged.state_dict()["stem.1.running_var"], parts.model.stem[1].running_var)
