"""A learning rate of their own for the biases of batch norm (airbench, Jordan 2024, arXiv:2404.00498, §3.4).

In a file of its own and not in `parameters.decay_groups`, which is the paper's trick and shown as such.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

Groups = list[dict[str, Any]]


def own_rate(groups: Groups, chosen: Iterable[nn.Parameter], factor: float, **settings: Any) -> Groups:
    """Parameter groups in which those `chosen` have `factor` times the learning rate and decay as fast as before.

    A step takes η λ of a parameter away, so their λ is divided by the factor. The loop multiplies the learning rate by
    a group's "factor". Their groups also get the `settings`.
    """
    chosen, split = set(chosen), []
    for group in groups:
        rest = [parameter for parameter in group["params"] if parameter not in chosen]
        own = [parameter for parameter in group["params"] if parameter in chosen]
        changed = {"weight_decay": group["weight_decay"] / factor, "factor": factor * group.get("factor", 1.0)}
        split += [{**group, "params": rest}, {**group, "params": own, **changed, **settings}]
    return [group for group in split if group["params"]]


def faster_biases(groups: Groups, model: nn.Module, factor: float) -> Groups:
    """The groups with the β of every batch norm at `factor` times the learning rate (`own_rate`); at 1 as they are."""
    biases = (module.bias for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    return groups if factor == 1 else own_rate(groups, biases, factor)
