"""What a run is at an epoch's end: saved whole or not at all, and put back as if it had never stopped."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricks import process
from tricks.data.files import write_atomic

Row = dict[str, float]


def plain(model: nn.Module) -> nn.Module:
    """The model without its DistributedDataParallel wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors wants them: in plain order, each with its own memory."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def save_checkpoint(
    path: Path | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rows: list[Row],
    seconds: float,
) -> None:
    """Write weights, momentum, loss scale, rows and the seconds so far after an epoch, whole or not at all.

    `path` None keeps nothing.
    """
    if path is None or process.world()[0]:
        return
    state = {f"model.{name}": tensor for name, tensor in plain(model).state_dict().items()}
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if parameter in optimizer.state:  # not before its first step: loss scaling may have skipped all so far
            state[f"momentum.{index}"] = optimizer.state[parameter]["momentum_buffer"]
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"rows": rows, "scaler": scaler.state_dict(), "seconds": seconds}
    write_atomic(path, save(contiguous(state), {name: json.dumps(value) for name, value in kept.items()}))


def resume(
    path: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> tuple[list[Row], float]:
    """Put a checkpoint's state back and return its rows and the seconds that they took; none when there is none."""
    if path is None or not path.exists():
        return [], 0.0
    device = next(model.parameters()).device
    with safe_open(path, framework="pt", device=str(device)) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a safe_open is no mapping
        rows, scale, seconds = (json.loads(file.metadata()[name]) for name in ("rows", "scaler", "seconds"))
    plain(model).load_state_dict({name[6:]: tensor for name, tensor in state.items() if name.startswith("model.")})
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        if (momentum := state.get(f"momentum.{index}")) is not None:
            buffer = torch.empty_like(parameter).copy_(momentum)  # in the parameter's memory format
            optimizer.state[parameter]["momentum_buffer"] = buffer
    scaler.load_state_dict(scale)
    return rows, seconds


def seconds_in(path: Path | None) -> float:
    """The seconds that the epochs in a checkpoint took, in whatever sessions; 0 when there is no checkpoint."""
    if path is None or not path.exists():
        return 0.0
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["seconds"])
