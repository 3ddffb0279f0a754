"""What was run: one frozen, flat `Recipe`. A recipe and a seed are the whole experiment.

Every trick is off by default, so the defaults are the paper's baseline (section 2) on the course's small net, and
`replace(BASELINE, label_smoothing=0.1)` is "one change at a time" in the language itself.
"""

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

SCHEDULES = ("step", "cosine")
AUGMENTS = ("none", "crop_flip", "paper")
SPLITS = ("test", "validation")
SAMPLE_IMAGES = 2_000  # of training and of evaluated images, on which curves are measured: all of them take too long


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run up to its seed; sections are the paper's. ValueError names a bad field, its value, its range."""

    # data
    dataset: str = "cifar10"  # cifar10, imagenette, shapes, or a path to class folders
    image_size: int = 32  # px, what the net sees
    train_images: int = 0  # 0: all of them
    label_noise: float = 0.0  # share of training labels replaced by another class
    split: str = "test"  # what is evaluated: test, or validation (5,000 held out of the training set)
    augment: str = "crop_flip"  # §2.1 none; crop_flip (pad 4, crop, flip); paper (all six steps)
    # model
    net: str = "resnet8"  # a name in tricks.models.resnet.NETS
    tweak_b: bool = False  # §4 stride in the block's 3x3 convolution instead of its first 1x1
    tweak_c: bool = False  # §4 stem of three 3x3 convolutions
    tweak_d: bool = False  # §4 average pooling before the shortcut's 1x1
    zero_gamma: bool = False  # §3.1 last γ of each residual block starts at 0
    # optimisation
    epochs: int = 12  # passes over the training images
    batch_size: int = 128  # images per step, over all processes
    lr: float = 0.1  # peak learning rate; with linear_scaling, its value at lr_batch images
    lr_batch: int = 128  # images, see linear_scaling
    linear_scaling: bool = False  # §3.1 peak = lr * batch_size / lr_batch
    warmup_epochs: float = 0.0  # §3.1 lr grows linearly from 0 over this many epochs
    schedule: str = "step"  # §2 step; §5.1 cosine
    first_decay: float = 0.25  # step: share of the run before lr is first divided by 10 (paper: 30 of 120 epochs)
    momentum: float = 0.9  # §2 Nesterov
    weight_decay: float = 5e-4  # §2 λ; the paper gives no value
    no_bias_decay: bool = False  # §3.1 decay only the weights of convolutions and linear layers
    amp: bool = False  # §3.2 mixed precision, where the device has it
    # targets
    label_smoothing: float = 0.0  # §5.2 ε
    mixup_alpha: float = 0.0  # §5.4 α of Beta(α, α)
    teacher: str = ""  # §5.3 name of the net that teaches; "": no distillation
    temperature: float = 20.0  # §5.3 T
    distill_weight: float = 1.0  # §5.3 factor before T² · soft loss; eq. 6 has 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and type(value) is int:  # equal recipes must have equal hashes: 5 becomes 5.0
                object.__setattr__(self, field.name, value := float(value))
            _check_type(field.name, value, field.type)
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"Recipe.{name} = {getattr(self, name)!r}: must be in [{low:g}, {high:g}]")
        for name in ("lr", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Recipe.{name} = {getattr(self, name)!r}: must be above 0")
        for name, allowed in (("schedule", SCHEDULES), ("augment", AUGMENTS), ("split", SPLITS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Recipe.{name} = {getattr(self, name)!r}: must be one of {', '.join(allowed)}")
        if not self.warmup_epochs < self.epochs:
            raise ValueError(
                f"Recipe.warmup_epochs = {self.warmup_epochs!r}: must be below epochs = {self.epochs}, "
                "or nothing is left to train after the warm-up"
            )

    @property
    def hash(self) -> str:
        """Eight hex digits of the fields that are not at their default: a field added later changes no hash."""
        text = json.dumps(changes(self, Recipe()), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe with these fields, others at their default. ValueError names an unknown field and the nearest."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
                raise ValueError(f"Recipe has no field {name!r}. Nearest: {near!r}")
        return cls(**values)


_RANGES = (  # field, lowest, highest value that makes sense
    ("image_size", 8, 1024),
    ("train_images", 0, 100_000_000),
    ("label_noise", 0.0, 1.0),
    ("epochs", 1, 10_000),
    ("batch_size", 1, 1_000_000),
    ("lr", 0.0, 100.0),
    ("lr_batch", 1, 1_000_000),
    ("warmup_epochs", 0.0, 10_000.0),
    ("first_decay", 0.0, 1.0),
    ("momentum", 0.0, 0.9999),
    ("weight_decay", 0.0, 1.0),
    ("label_smoothing", 0.0, 0.9999),
    ("mixup_alpha", 0.0, 100.0),
    ("temperature", 0.0, 1000.0),
    ("distill_weight", 0.0, 1000.0),
)


def _check_type(name: str, value: object, kind: Any) -> None:
    """Refuse '0.1' for a number or 1 for a switch."""
    if type(value) is not kind:
        raise ValueError(f"Recipe.{name} = {value!r}: must be {kind.__name__}, is {type(value).__name__}")


def changes(new: Recipe, old: Recipe) -> dict[str, Any]:
    """The fields in which `new` differs from `old`, with their values in `new`."""
    before = old.to_dict()
    return {name: value for name, value in new.to_dict().items() if value != before[name]}


def teacher_of(recipe: Recipe) -> Recipe:
    """The teacher's own recipe: the student's, on the larger net, without a teacher (§5.5: it has the same tricks)."""
    return replace(
        recipe, net=recipe.teacher, teacher="", temperature=Recipe.temperature, distill_weight=Recipe.distill_weight
    )


BASELINE = Recipe()
