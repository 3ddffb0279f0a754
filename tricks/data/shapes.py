"""`shapes`: ten outlines under clutter, occlusion and noise, drawn on the fly. Needs no network, shows nothing real."""

import math

import numpy as np

# How far outside each outline points (x, y) lie, negative inside; each outline fits the unit circle.
OUTLINES = {
    "circle": lambda x, y: np.hypot(x, y) - 0.85,
    "crescent": lambda x, y: np.maximum(np.hypot(x, y) - 0.9, 0.72 - np.hypot(x - 0.5, y)),
    "cross": lambda x, y: np.minimum(_box(x, y, 0.95, 0.26), _box(x, y, 0.26, 0.95)),
    "ell": lambda x, y: np.minimum(_box(x + 0.4, y, 0.24, 0.85), _box(x - 0.1, y - 0.62, 0.65, 0.24)),
    "frame": lambda x, y: np.abs(_box(x, y, 0.6, 0.6)) - 0.17,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.7) - 0.2,
    "square": lambda x, y: _box(x, y, 0.72, 0.72),
    "star": lambda x, y: _star(x, y, points=5, inner=0.42),
    "tee": lambda x, y: np.minimum(_box(x, y, 0.24, 0.85), _box(x, y - 0.62, 0.72, 0.24)),
    "triangle": lambda x, y: _star(x, y, points=3, inner=0.5),  # the inner corners lie on the sides
}
CLASSES = tuple(OUTLINES)
TRAIN_IMAGES, TEST_IMAGES = 20_000, 4_000
CHUNK = 500  # pictures drawn at a time, so that intermediate arrays stay small
BEHIND, BEFORE = 1, 2  # bars behind the shape and before it
TILT = 0.35  # radians, how far a shape is turned at most
CONTRAST = (90.0, 140.0)  # distance of a layer's colour from the background's, of 255
NOISE = 16.0  # standard deviation, of 255

# RandomState and not Generator: its numbers are frozen for ever, so that the set is the same with every numpy.


def dataset(image_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """20,000 images uint8 (N, S, S, 3) with classes int64 (N,) to train on, 4,000 to test on; always the same."""
    parts = [np.arange(images) % len(CLASSES) for images in (TRAIN_IMAGES, TEST_IMAGES)]
    return [(draw(labels, image_size, seed), labels) for seed, labels in enumerate(parts)]


def draw(labels: np.ndarray, image_size: int, seed: int) -> np.ndarray:
    """One picture for each class number in `labels` (N,): uint8 (N, S, S, 3). Colours say nothing about the class."""
    random = np.random.RandomState(seed)
    images = np.empty((len(labels), image_size, image_size, 3), dtype=np.uint8)
    for start in range(0, len(labels), CHUNK):
        images[start : start + CHUNK] = _draw(labels[start : start + CHUNK], image_size, random)
    return images


def _draw(labels: np.ndarray, size: int, random: np.random.RandomState) -> np.ndarray:
    n = len(labels)
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)  # the picture spans −1 to 1
    ground, slope_x, slope_y = random.uniform(70, 185, (3, n, 1, 1)), *random.normal(0, 15, (2, 3, n, 1, 1))
    image = (ground + slope_x * axis + slope_y * axis[:, None]).astype(np.float32)  # (3, n, size, size)

    def numbers(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (n, 1, 1)).astype(np.float32)

    def paint(distance: np.ndarray) -> None:
        """A layer in a random colour wherever `distance` (n, size, size), in units of the picture, is negative."""
        direction = random.normal(size=(3, n, 1, 1))
        colour = ground + random.uniform(*CONTRAST, (n, 1, 1)) * direction / np.sqrt((direction**2).mean(axis=0))
        cover = np.clip(0.5 - distance * (size / 2), 0, 1)
        np.add(image, cover * (colour.astype(np.float32) - image), out=image)

    def bar() -> np.ndarray:
        x, y = _placed(axis, numbers(-0.9, 0.9), numbers(-0.9, 0.9), numbers(0, math.pi))
        return _box(x, y, numbers(0.15, 0.8), numbers(0.03, 0.12))

    for _ in range(BEHIND):
        paint(bar())
    radius = numbers(0.5, 0.75)
    x, y = _placed(axis, numbers(-0.2, 0.2), numbers(-0.2, 0.2), numbers(-TILT, TILT))
    x, y = x / radius, y / radius
    outline = np.empty_like(x)
    for label in np.unique(labels):
        outline[labels == label] = OUTLINES[CLASSES[label]](x[labels == label], y[labels == label])
    paint(outline * radius)
    for _ in range(BEFORE):
        paint(bar())
    uniform = random.randint(0, 256, (2, *image.shape), dtype=np.uint8)  # two of them make a triangular distribution
    noise = (uniform[0].astype(np.float32) + uniform[1] - 255) * (NOISE / (256 / math.sqrt(6)))
    return np.clip(image + noise, 0, 255).astype(np.uint8).transpose(1, 2, 3, 0)


def _placed(axis: np.ndarray, left: np.ndarray, top: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel in coordinates that start at (left, top) and are turned by `angle`: x and y, (n, size, size) each."""
    x, y = axis - left, axis[:, None] - top
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _box(x: np.ndarray, y: np.ndarray, half_width: np.ndarray | float, half_height: np.ndarray | float) -> np.ndarray:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _star(x: np.ndarray, y: np.ndarray, points: int, inner: float) -> np.ndarray:
    """A star with tips at radius 1 and the corners between them at radius `inner`."""
    sector = 2 * math.pi / points
    angle = np.abs((np.arctan2(y, x) + sector / 2) % sector - sector / 2)  # every tip turned onto the x axis
    r = np.hypot(x, y)
    corner_x, corner_y = inner * math.cos(sector / 2), inner * math.sin(sector / 2)
    edge_x, edge_y = corner_x - 1, corner_y  # from the tip (1, 0) to the corner
    return ((r * np.cos(angle) - 1) * edge_y - r * np.sin(angle) * edge_x) / math.hypot(edge_x, edge_y)
