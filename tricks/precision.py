"""Numbers in 16 bits (§3.2): which there are, what becomes of gradients and updates, which type a device wants."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # plots take the formats without torch
    import torch


@dataclass(frozen=True)
class Format:
    """A floating-point format: sign, exponent and mantissa bits as in IEEE 754. Its arithmetic here is exact."""

    name: str
    exponent_bits: int
    mantissa_bits: int

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2 - 2.0**-self.mantissa_bits) * 2.0 ** (2 ** (self.exponent_bits - 1) - 1)

    @property
    def smallest_normal(self) -> float:
        """The smallest number with a full mantissa. Below it are the subnormal ones, evenly spaced down to 0."""
        return 2.0 ** (2 - 2 ** (self.exponent_bits - 1))

    @property
    def smallest(self) -> float:
        """The smallest number above 0, which is the spacing of the subnormal ones."""
        return self.smallest_normal * 2.0**-self.mantissa_bits

    def spacing(self, x: Any) -> Any:
        """From |x| to the format's next number above it: 2^(exponent of x) · 2^−mantissa_bits, never below `smallest`.

        A number, or an array of any shape.
        """
        exponent = np.frexp(np.maximum(np.abs(x), self.smallest_normal))[1] - 1
        return np.ldexp(1.0, exponent - self.mantissa_bits)

    def round(self, x: Any) -> Any:
        """The format's nearest number, the even one of two, infinite if that is above `largest`: what a cast gives.

        A number, or an array of any shape.
        """
        spacing = self.spacing(x)
        nearest = np.rint(np.asarray(x, float) / spacing) * spacing
        return np.where(np.abs(nearest) > self.largest, np.copysign(np.inf, nearest), nearest)[()]


FP32, FP16, BF16 = Format("fp32", 8, 23), Format("fp16", 5, 10), Format("bf16", 8, 7)
FORMATS = (FP32, FP16, BF16)


def shares(gradients: Any, loss_scale: float) -> dict[str, float]:
    """What share of numbers, in per cent, becomes 0, subnormal or infinite when multiplied and cast to 16 bits.

    "fp16 0", "fp16 subnormal", "fp16 ∞", "bf16 0 or ∞". The array must hold no 0.
    """
    scaled = np.asarray(gradients, np.float32) * np.float32(loss_scale)
    with np.errstate(over="ignore"):
        half = np.abs(scaled.astype(np.float16))
    brain = BF16.round(scaled)
    kinds = {
        "fp16 0": half == 0,
        "fp16 subnormal": (half > 0) & (half < FP16.smallest_normal),
        "fp16 ∞": np.isinf(half),
        "bf16 0 or ∞": (brain == 0) | np.isinf(brain),
    }
    return {kind: 100 * float(which.mean()) for kind, which in kinds.items()}


def lost_share(weights: Any, gradients: Any, lr: float, form: Format) -> float:
    """Per cent of the weights that w − lr · g leaves where they are, when w is kept in `form`."""
    stored = form.round(weights)
    return 100 * float((form.round(stored - lr * np.asarray(gradients, float)) == stored).mean())


def amp_dtype(device: "torch.device", wanted: str = "auto") -> "torch.dtype":
    """The 16-bit type of mixed precision (§3.2): the one that is wanted, or for "auto" one that the device is fast in.

    That is bfloat16 on the CPU and on GPUs that have it in hardware, else float16, which needs loss scaling.
    """
    import torch

    if wanted != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.bfloat16 if device.type == "cpu" else torch.float16


def has_tf32(device: "torch.device") -> bool:
    """Whether matrix units can read fp32 numbers with 10 bits of mantissa: NVIDIA GPUs from the A100 on."""
    import torch

    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
