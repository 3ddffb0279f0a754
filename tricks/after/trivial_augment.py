"""TrivialAugment (Müller and Hutter 2021, arXiv:2103.10158), wide: one change a picture, any, of any strength.

There is nothing to tune: the change is drawn from `OPS`, its strength uniformly from 31 steps and, where it has two
directions, the direction by a coin.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 30  # strengths 0, 1/30, ..., 1
WIDEST = 0.99  # of shears, as a tangent, and of colours, as a factor's distance from 1; torchvision's "wide" ranges
Group = tuple[str, Tensor, Tensor]


def draw_changes(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each picture the change, int64 (n,) in [0, 14), and its strength, (n,) in [−1, 1]."""
    ops = torch.randint(len(OPS), (n,), generator=generator)
    strengths = torch.randint(STEPS + 1, (n,), generator=generator) / STEPS
    return ops, torch.where(torch.rand(n, generator=generator) < 0.5, -strengths, strengths)


def group(ops: Tensor, strengths: Tensor, device: torch.device | str = "cpu") -> list[Group]:
    """A batch's draws by change: (its name, which pictures, their strengths), the last two on the device.

    From draws on the CPU: how many pictures a change has decides shapes, and asking a GPU for it would wait.
    """
    order = ops.argsort(stable=True)
    counts = ops.bincount(minlength=len(OPS)).tolist()
    rows, theirs = order.to(device).split(counts), strengths[order].to(device).split(counts)
    return [drawn for drawn in zip(OPS, rows, theirs, strict=True) if len(drawn[1])]


def trivial_augment(x: Tensor, groups: list[Group]) -> Tensor:
    """Change each picture of uint8 (N, 3, S, S) as `group` says."""
    changed = x.clone()  # keeps the order in memory
    for name, rows, strengths in groups:
        changed[rows] = OPS[name](x[rows], strengths)
    return changed


# Geometry: what comes from outside the picture is black ---------------------------------------------------------------


def _warp(x: Tensor, s: Tensor, *theta: Tensor | float) -> Tensor:
    """Pixel (x, y), counted from −1 to 1, becomes the nearest to (θ₀x + θ₁y + θ₂, θ₃x + θ₄y + θ₅)."""
    hair = 2e-4 / x.shape[-1]  # 1e-4 px, so that rounding does not decide where two pixels are equally near
    where = torch.stack([s * 0 + entry for entry in theta], 1).view(-1, 2, 3)
    grid = F.affine_grid(where, list(x.shape), align_corners=False) + hair
    return F.grid_sample(x.float(), grid, mode="nearest", align_corners=False).byte()


def shear_x(x: Tensor, s: Tensor) -> Tensor:
    """Rows are shifted in proportion to their number, by up to 0.99 px a row."""
    return _warp(x, s, 1, WIDEST * s, WIDEST * s, 0, 1, 0)


def shear_y(x: Tensor, s: Tensor) -> Tensor:
    """Columns are shifted in proportion to their number."""
    return _warp(x, s, 1, 0, 0, WIDEST * s, 1, WIDEST * s)


def translate_x(x: Tensor, s: Tensor) -> Tensor:
    """All is shifted by up to 32 px, whole ones."""
    return _warp(x, s, 1, 0, (32 * s).trunc() * (-2 / x.shape[-1]), 0, 1, 0)


def translate_y(x: Tensor, s: Tensor) -> Tensor:
    """As `translate_x`, downwards."""
    return _warp(x, s, 1, 0, 0, 0, 1, (32 * s).trunc() * (-2 / x.shape[-2]))


def rotate(x: Tensor, s: Tensor) -> Tensor:
    """Turned about the middle by up to 135°."""
    angle = s * (0.75 * torch.pi)
    return _warp(x, s, angle.cos(), -angle.sin(), 0, angle.sin(), angle.cos(), 0)


# Colour: towards another picture (factor below 1) or away from it (above) ---------------------------------------------


def _blend(x: Tensor, other: Tensor | float, s: Tensor) -> Tensor:
    """Other + factor · (x − other), factor = 1 + 0.99 s."""
    factor = (1 + WIDEST * s)[:, None, None, None]
    return (other + factor * (x - other)).clamp(0, 255).byte()


def _grey(x: Tensor) -> Tensor:
    """(N, 1, S, S), whole numbers."""
    red, green, blue = x.float().split(1, dim=1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).floor()


def brightness(x: Tensor, s: Tensor) -> Tensor:
    """From or to black."""
    return _blend(x, 0, s)


def color(x: Tensor, s: Tensor) -> Tensor:
    """From or to grey."""
    return _blend(x, _grey(x), s)


def contrast(x: Tensor, s: Tensor) -> Tensor:
    """From or to the picture's mean grey."""
    return _blend(x, _grey(x).mean((2, 3), keepdim=True), s)


def sharpness(x: Tensor, s: Tensor) -> Tensor:
    """From or to a blurred picture: each pixel 5/13, its eight neighbours 1/13 each; the edge stays."""
    blurred = x.float()
    neighbours = F.avg_pool2d(blurred, 3, stride=1, divisor_override=1)
    blurred[:, :, 1:-1, 1:-1] = ((neighbours + 4 * blurred[:, :, 1:-1, 1:-1]) / 13).round()
    return _blend(x, blurred, s)


# Levels: the same table for all pixels of a channel; the strength's sign means nothing --------------------------------


def posterize(x: Tensor, s: Tensor) -> Tensor:
    """Keep the upper 8 to 2 bits."""
    dropped = (6 * s.abs()).round().int()
    return x & (256 - 2**dropped).byte()[:, None, None, None]


def solarize(x: Tensor, s: Tensor) -> Tensor:
    """Invert what is at least 255 · (1 − strength)."""
    return torch.where(x >= (255 - 255 * s.abs())[:, None, None, None], 255 - x, x)


def auto_contrast(x: Tensor, s: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255, if it has two values at least."""
    low, high = x.amin((2, 3), keepdim=True).float(), x.amax((2, 3), keepdim=True).float()
    stretched = (x - low) / ((high - low).clamp(min=1) * (1 / 255))
    return torch.where(high > low, stretched.clamp(0, 255).byte(), x)


def equalize(x: Tensor, s: Tensor) -> Tensor:
    """Make each channel's values equally frequent, as Pillow does in whole numbers."""
    pixels = x.flatten(2).long()
    counts = pixels.new_zeros(*pixels.shape[:2], 256).scatter_add_(2, pixels, torch.ones_like(pixels))
    below = counts.cumsum(2) - counts  # how many pixels are darker
    brightest = counts.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - brightest) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(2, pixels), pixels).byte().view(x.shape)


OPS: dict[str, Any] = {  # torchvision's names: functions of uint8 (n, 3, S, S) and strengths (n,)
    "Identity": lambda x, s: x,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Rotate": rotate,
    "Brightness": brightness,
    "Color": color,
    "Contrast": contrast,
    "Sharpness": sharpness,
    "Posterize": posterize,
    "Solarize": solarize,
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
}
