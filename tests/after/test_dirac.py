"""Dirac initialisation against `torch.nn.init.dirac_` and what a block then does."""

import pytest
import torch
from torch import nn

from tricks.after.dirac import dirac_init_
from tricks.models.resnet import build
from tricks.parameters import xavier_init_


@pytest.mark.parametrize("net", ["resnet14", "bottleneck14"])
def test_it_is_torchs_dirac_in_the_blocks_3x3_and_nowhere_else(net):
    torch.manual_seed(0)
    model = build(net, 10, tweak_c=True, tweak_d=True)
    xavier_init_(model)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    dirac_init_(model)
    touched = set()
    for name, weight in model.named_parameters():
        if name.startswith("stages") and weight.ndim == 4 and weight.shape[2:] == (3, 3):
            narrow = weight.shape[1]
            expected = torch.cat([nn.init.dirac_(torch.empty_like(weight))[:narrow], before[name][narrow:]])
            assert torch.equal(weight, expected)
            touched.add(name)
        else:
            assert torch.equal(weight, before[name])
    assert len(touched) == {"resnet14": 12, "bottleneck14": 4}[net]


def test_a_convolution_hands_its_input_on():
    model = build("resnet8", 10)
    dirac_init_(model)
    same, wider = model.stages[0][0].conv1, model.stages[1][0].conv1
    x = torch.randn(2, 32, 8, 8)
    torch.testing.assert_close(same(x), x)
    torch.testing.assert_close(wider(x)[:, :32], x[:, :, ::2, ::2])  # its stride reads every second position
    assert wider(x)[:, 32:].std() > 0


def test_it_needs_residual_blocks():
    with pytest.raises(ValueError, match="Dirac initialisation needs residual blocks, and Sequential has none"):
        dirac_init_(nn.Sequential(nn.Conv2d(3, 8, 3)))
