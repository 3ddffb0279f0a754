"""The six preprocessing steps of §2.1, per sample, on the device. Every random draw is an argument.

Images are stored as uint8 (N, H, W, 3); a batch is a vector of indices into them. `draw_*` make the random numbers on
the CPU, so that every device sees the same crops; the other functions turn images and draws into a batch.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (123.68, 116.779, 103.939)  # RGB on the 0-255 scale (§2.1, step 6)
STD = (58.393, 57.12, 57.375)
PAD = 4  # px of reflection around the picture before `crop_flip` crops it
AREA = (0.08, 1.0)  # share of the picture that a random crop keeps (step 2)
ASPECT = (3 / 4, 4 / 3)  # width / height of that crop
TRIES = 10  # boxes that are drawn for one that fits
JITTER = (0.6, 1.4)  # coefficients of hue, saturation and brightness (step 4)
PCA_SD = 0.1  # standard deviation of the PCA coefficients (step 5)

# Principal components of ImageNet's RGB values on the 0-255 scale, as AlexNet's noise is commonly implemented. The
# paper names the noise but prints neither values nor vectors. Row: R, G, B; column: component.
PCA_VALUES = (55.46, 4.794, 1.148)
PCA_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))

# RGB to YIQ, the television colour space in which grey (Y) and the colour plane (I, Q) are apart.
RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
YIQ_TO_RGB = tuple(map(tuple, torch.linalg.inv(torch.tensor(RGB_TO_YIQ)).tolist()))


@cache
def constant(values: tuple, device: torch.device) -> Tensor:
    """One of these tables on a device, made once: a copy to a GPU waits for all the work that was queued before it."""
    return torch.tensor(values, device=device)


# Random draws -------------------------------------------------------------------------------------------------------


def draw_offsets(n: int, side: int, image_size: int, generator: torch.Generator) -> Tensor:
    """Where `crop_flip` starts: int64 (n, 2), (top, left) uniform in [−PAD, side + PAD − image_size]."""
    return torch.randint(-PAD, side + PAD - image_size + 1, (n, 2), generator=generator)


def draw_flips(n: int, generator: torch.Generator) -> Tensor:
    """Which pictures are mirrored: bool (n,), true with probability ½ (step 3)."""
    return torch.rand(n, generator=generator) < 0.5


def draw_boxes(n: int, side: int, generator: torch.Generator) -> Tensor:
    """Random area and aspect (step 2): int64 (n, 4), (top, left, height, width) inside a square picture.

    Area uniform in [8 %, 100 %], aspect log-uniform in [3/4, 4/3], position uniform. A box that does not fit is drawn
    again; after `TRIES` the whole picture is taken.
    """
    u = torch.rand(n, TRIES, 2, generator=generator)
    area = (AREA[0] + (AREA[1] - AREA[0]) * u[..., 0]) * side**2
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    aspect = torch.exp(low + (high - low) * u[..., 1])
    size = torch.stack([(area / aspect).sqrt(), (area * aspect).sqrt()], dim=-1).round()  # (n, TRIES, 2): height, width
    fits = ((size >= 1) & (size <= side)).all(dim=-1)
    first = size[torch.arange(n), fits.int().argmax(dim=1)]
    size = torch.where(fits.any(dim=1, keepdim=True), first, float(side))
    start = (torch.rand(n, 2, generator=generator) * (side - size + 1)).floor()
    return torch.cat([start, size], dim=1).long()


def draw_coefficients(n: int, generator: torch.Generator) -> Tensor:
    """Coefficients of hue, saturation and brightness (step 4): (n, 3), uniform in [0.6, 1.4]."""
    return JITTER[0] + (JITTER[1] - JITTER[0]) * torch.rand(n, 3, generator=generator)


def draw_alphas(n: int, generator: torch.Generator) -> Tensor:
    """Coefficients of the PCA noise (step 5): (n, 3) from N(0, 0.1), 0.1 taken as the standard deviation."""
    return PCA_SD * torch.randn(n, 3, generator=generator)


# Geometry -----------------------------------------------------------------------------------------------------------


def crop_flip(images: Tensor, index: Tensor, offsets: Tensor, flips: Tensor, image_size: int) -> Tensor:
    """Pad by reflection, crop, mirror: uint8 (N, H, W, 3) and indices (B,) to uint8 (B, S, S, 3), in one gather.

    `offsets` (B, 2) as from `draw_offsets`, `flips` (B,). No padded copy exists: coordinates outside the picture are
    reflected back into it.
    """
    height, width = images.shape[1:3]
    steps = torch.arange(image_size, device=images.device)
    rows = _reflect(offsets[:, :1] + steps, height)
    cols = _reflect(offsets[:, 1:] + torch.where(flips[:, None], steps.flip(0), steps), width)
    pixels = (index[:, None, None] * height + rows[:, :, None]) * width + cols[:, None, :]
    return images.view(-1, 3).index_select(0, pixels.view(-1)).view(*pixels.shape, 3)


def _reflect(i: Tensor, size: int) -> Tensor:
    """Coordinates −k and size − 1 + k as k and size − 1 − k: the edge pixel is not repeated."""
    i = i.abs()
    return torch.where(i < size, i, 2 * (size - 1) - i)


def centre_crop(images: Tensor, index: Tensor, image_size: int) -> Tensor:
    """The middle of each picture, the paper's view for validation: uint8 (N, H, W, 3) to uint8 (B, S, S, 3)."""
    top, left = ((side - image_size) // 2 for side in images.shape[1:3])
    return images[:, top : top + image_size, left : left + image_size].index_select(0, index)


def resized_crop(x: Tensor, boxes: Tensor, flips: Tensor, image_size: int) -> Tensor:
    """Cut a box out of each picture, resize it to S × S, mirror it (steps 2, 3): float (B, 3, H, W) to (B, 3, S, S).

    Bilinear, without antialiasing; `boxes` (B, 4) as from `draw_boxes`. A box's edge pixels are continued beyond it, as
    if it had been cut out before it was resized.
    """
    top, left, height, width = boxes.to(x.dtype)[:, :, None].unbind(dim=1)  # (B, 1) each
    centres = (torch.arange(image_size, device=x.device) + 0.5) / image_size
    rows = top + (height * centres - 0.5).clamp(min=0).minimum(height - 1)
    cols = left + (width * centres - 0.5).clamp(min=0).minimum(width - 1)
    cols = torch.where(flips[:, None], cols.flip(1), cols)
    rows = rows * (2 / (x.shape[2] - 1)) - 1  # grid_sample counts from −1 to 1
    cols = cols * (2 / (x.shape[3] - 1)) - 1
    grid = torch.stack(torch.broadcast_tensors(cols[:, None, :], rows[:, :, None]), dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)


# Colour: each step is a matrix (B, 3, 3) or an offset (B, 3), so that all of them together are one affine map ---------


def brightness(c: Tensor) -> Tensor:
    """Matrices (B, 3, 3) that multiply every channel by c (B,)."""
    return c[:, None, None] * torch.eye(3, device=c.device)


def saturation(c: Tensor) -> Tensor:
    """Matrices (B, 3, 3) for c · rgb + (1 − c) · grey, grey = 0.299 R + 0.587 G + 0.114 B in all three channels."""
    grey = constant(RGB_TO_YIQ[0], c.device).expand(3, 3)
    return brightness(c) + (1 - c)[:, None, None] * grey


def hue(c: Tensor) -> Tensor:
    """Matrices (B, 3, 3) that turn the colours by (c − 1) · π in the I-Q plane of YIQ; grey stays as it is.

    The paper scales "hue" by c without saying what that means. This linear form is the one that its authors' framework
    used; scaling the hue angle of HSV would depend on which colour is called 0.
    """
    angle = (c - 1) * math.pi
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(c), torch.ones_like(c)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    return constant(YIQ_TO_RGB, c.device) @ turn @ constant(RGB_TO_YIQ, c.device)


def pca_noise(alphas: Tensor) -> Tensor:
    """One RGB offset per picture, Σ_k α_k λ_k p_k along ImageNet's principal components (AlexNet): (B, 3) to (B, 3)."""
    return (alphas * constant(PCA_VALUES, alphas.device)) @ constant(PCA_VECTORS, alphas.device).T


def colour_map(coefficients: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Steps 4 and 5 as one affine map per picture: matrices (B, 3, 3) and offsets (B, 3).

    `coefficients` (B, 3) of hue, saturation, brightness; `alphas` (B, 3). The three matrices commute: turning the
    colours leaves grey alone, and blending with grey leaves their angle alone.
    """
    h, s, b = coefficients.unbind(dim=1)
    return brightness(b) @ saturation(s) @ hue(h), pca_noise(alphas)


def recolour(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """matrix · rgb + offset for every pixel of float (B, 3, H, W). Nothing is clamped: the paper works on floats."""
    return torch.baddbmm(offset[:, :, None], matrix, x.flatten(2)).view_as(x)


def normalise(x: Tensor) -> Tensor:
    """Subtract MEAN and divide by STD (step 6): uint8 (B, H, W, 3) to float32 (B, 3, H, W), channels last in memory."""
    b, height, width, _ = x.shape
    mean = constant(MEAN, x.device).repeat(width)  # one value per number of an image row: the inner loop of the
    std = constant(STD, x.device).repeat(width)  # subtraction is then long enough to be fast
    rows = x.reshape(b, height, width * 3).float().sub_(mean).div_(std)
    return rows.view(b, height, width, 3).permute(0, 3, 1, 2)


def with_normalise(matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """A colour map (B, 3, 3), (B, 3) followed by step 6, as one map."""
    mean, std = constant(MEAN, matrix.device), constant(STD, matrix.device)
    return matrix / std[:, None], (offset - mean) / std


# The pipeline -------------------------------------------------------------------------------------------------------


def paper(
    images: Tensor, index: Tensor, boxes: Tensor, flips: Tensor, coefficients: Tensor, alphas: Tensor, image_size: int
) -> Tensor:
    """All six steps in order: uint8 (N, H, W, 3) and indices (B,) to float32 (B, 3, S, S), channels last in memory."""
    x = images.index_select(0, index).permute(0, 3, 1, 2).float()  # 1: a view that is channels last in memory
    x = resized_crop(x, boxes, flips, image_size)  # 2, 3
    x = recolour(x, *with_normalise(*colour_map(coefficients, alphas)))  # 4, 5 and 6 as one map
    return x.contiguous(memory_format=torch.channels_last)
