"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum whose directions all get the same length."""

import torch
from torch import Tensor, nn

from tricks.after.bias_rate import Groups, own_rate

QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at 0, so that few steps suffice; singular values end near 1, not at it


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """U V^T of a matrix U S V^T, about: X ← a X + b (X X^T) X + c (X X^T)² X, from X = M / ‖M‖ (Newton and Schulz).

    Each step takes every singular value s to a s + b s³ + c s⁵ and leaves U and V alone. After five, all that were
    above 1/100 of the norm are within 0.68 and 1.14.
    """
    a, b, c = QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T  # X X^T is the smaller of the two products
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T


def direction(gradient: Tensor, buffer: Tensor, momentum: float) -> Tensor:
    """Where to step: g + μ B, `orthogonalise`d as a matrix (out, the rest), times √(out / the rest) if that is above 1.

    g is the gradient and B the momentum, which holds g already: B ← μ B + g. This is Nesterov's momentum as SGD has it.
    """
    matrix = (gradient + momentum * buffer).flatten(1)
    return (orthogonalise(matrix) * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5).view(gradient.shape)


def hidden(model: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions and linear layers but the first and the last: those the authors leave to SGD or Adam."""
    return [parameter for parameter in model.parameters() if parameter.ndim > 1][1:-1]


class Muon(torch.optim.SGD):
    """Muon for the parameters in `chosen`, at `factor` times the learning rate, and SGD with Nesterov for the others.

    Each decays as fast as with SGD alone: see `own_rate`. Each has a `momentum_buffer` in its state.
    """

    def __init__(self, groups: Groups, chosen: list[nn.Parameter], factor: float, momentum: float) -> None:
        # what SGD is given as the gradient of the chosen has its momentum in it
        super().__init__(
            own_rate(groups, chosen, factor, muon=momentum, momentum=0.0), momentum=momentum, nesterov=momentum > 0
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step, after which the gradients of the chosen are their directions."""
        for group in (group for group in self.param_groups if "muon" in group):
            for parameter in (parameter for parameter in group["params"] if parameter.grad is not None):
                state, momentum = self.state[parameter], group["muon"]
                state["momentum_buffer"] = momentum * state.get("momentum_buffer", 0.0) + parameter.grad
                parameter.grad.copy_(direction(parameter.grad, state["momentum_buffer"], momentum))
        super().step()
