"""What a run is at an epoch's end: saved whole or not at all, and put back as if it had never stopped."""

import json
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricks import process
from tricks.data.files import write_atomic

Row = dict[str, float]


class State:
    """Everything that an epoch leaves to the next: it starts as the checkpoint says, if there is one.

    `model` is trained; `average`, if there is one, is evaluated in its place. `rows` are the numbers of the epochs so
    far, `seconds` the time that they took, in whatever sessions.
    """

    def __init__(
        self,
        model: nn.Module,
        average: nn.Module | None,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        checkpoint: Path | None = None,
    ) -> None:
        self.networks = {"model": model} | ({"average": average} if average is not None else {})
        self.optimizer, self.scaler, self.checkpoint = optimizer, scaler, checkpoint
        self.rows: list[Row] = []
        self.seconds = 0.0
        if checkpoint and checkpoint.exists():
            self._resume(checkpoint)
        self._started = time.perf_counter() - self.seconds

    def keep(self, row: Row) -> Row:
        """Add an epoch's row, which it returns, and write the checkpoint, whole or not at all."""
        self.rows.append(row)
        self.seconds = time.perf_counter() - self._started
        if self.checkpoint and process.world()[0] == 0:
            kept = {"rows": self.rows, "scaler": self.scaler.state_dict(), "seconds": self.seconds}
            about = {name: json.dumps(value) for name, value in kept.items()}
            write_atomic(self.checkpoint, save(contiguous(self._tensors()), about))
        return row

    def _tensors(self) -> dict[str, Tensor]:
        """Weights, statistics and momentum by name."""
        found = {
            f"{key}.{name}": tensor
            for key, network in self.networks.items()
            for name, tensor in plain(network).state_dict().items()
        }
        for index, parameter in enumerate(self._parameters()):
            if parameter in self.optimizer.state:  # not before its first step: loss scaling may have skipped all so far
                found[f"momentum.{index}"] = self.optimizer.state[parameter]["momentum_buffer"]
        return found

    def _resume(self, checkpoint: Path) -> None:
        device = self._parameters()[0].device
        with safe_open(checkpoint, framework="pt", device=str(device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  a safe_open is no mapping
            about = {name: json.loads(text) for name, text in file.metadata().items()}
        for key, network in self.networks.items():
            start = f"{key}."
            mine = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
            plain(network).load_state_dict(mine)
        for index, parameter in enumerate(self._parameters()):
            if (momentum := tensors.get(f"momentum.{index}")) is not None:
                buffer = torch.empty_like(parameter).copy_(momentum)  # in the parameter's memory format
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
        self.scaler.load_state_dict(about["scaler"])
        self.rows, self.seconds = about["rows"], about["seconds"]

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors wants them: in plain order, each with its own memory."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def plain(model: nn.Module) -> nn.Module:
    """The model without its DistributedDataParallel wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def seconds_in(checkpoint: Path | None) -> float:
    """The seconds that the epochs in a checkpoint took, in whatever sessions; 0 when there is no checkpoint."""
    if checkpoint is None or not checkpoint.exists():
        return 0.0
    with safe_open(checkpoint, framework="pt") as file:
        return json.loads(file.metadata()["seconds"])
