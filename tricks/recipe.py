"""What was run: one frozen, flat `Recipe`. A recipe and a seed are the whole experiment.

Every trick is off by default, so the defaults are the paper's baseline (section 2) on the course's small net, and
`replace(BASELINE, label_smoothing=0.1)` is "one change at a time" in the language itself. `Transfer` is the same for
what comes after: a backbone trained by a recipe, fine-tuned for another task (section 6).
"""

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

SCHEDULES = ("step", "cosine")
AUGMENTS = ("none", "crop_flip", "paper")
SPLITS = ("test", "validation")
AMP_DTYPES = ("auto", "bfloat16", "float16")
TASKS = ("detection", "segmentation")
SAMPLE_IMAGES = 2_000  # of training and of evaluated images, on which curves are measured: all of them take too long
_RANGES = {  # field: lowest and highest value that makes sense
    "image_size": (8, 1024),
    "train_images": (0, 100_000_000),
    "label_noise": (0.0, 1.0),
    "epochs": (1, 10_000),
    "batch_size": (1, 1_000_000),
    "lr": (0.0, 100.0),
    "lr_batch": (1, 1_000_000),
    "warmup_epochs": (0.0, 10_000.0),
    "first_decay": (0.0, 1.0),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 1.0),
    "label_smoothing": (0.0, 0.9999),
    "mixup_alpha": (0.0, 100.0),
    "cutmix_alpha": (0.0, 100.0),
    "ema_decay": (0.0, 0.99999),
    "temperature": (0.0, 1000.0),
    "distill_weight": (0.0, 1000.0),
    "folds": (3, 100),
    "head_width": (1, 4096),
    "regions": (1, 100_000),
}


@dataclass(frozen=True, kw_only=True)
class _Values:
    """What recipes of both kinds can do: refuse bad values, have a hash, go through JSON."""

    def _check(self, choices: dict[str, tuple[str, ...]], positive: tuple[str, ...]) -> None:
        """ValueError names the first bad field, its value and what is allowed."""
        kind = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and type(value) is int:  # equal recipes must have equal hashes: 5 becomes 5.0
                object.__setattr__(self, field.name, value := float(value))
            if type(value) is not field.type:  # refuse '0.1' for a number or 1 for a switch
                wanted = getattr(field.type, "__name__", field.type)
                raise ValueError(f"{kind}.{field.name} = {value!r}: must be {wanted}, is {type(value).__name__}")
            if field.name in _RANGES:
                low, high = _RANGES[field.name]
                if not low <= value <= high:
                    raise ValueError(f"{kind}.{field.name} = {value!r}: must be in [{low:g}, {high:g}]")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{kind}.{name} = {getattr(self, name)!r}: must be above 0")
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{kind}.{name} = {getattr(self, name)!r}: must be one of {', '.join(allowed)}")
        values = self.to_dict()
        if not values["warmup_epochs"] < values["epochs"]:
            raise ValueError(
                f"{kind}.warmup_epochs = {values['warmup_epochs']!r}: must be below epochs = {values['epochs']}, "
                "or nothing is left to train after the warm-up"
            )

    @property
    def hash(self) -> str:
        """Eight hex digits of the fields that are not at their default: a field added later changes no hash."""
        before = type(self)().to_dict()
        different = {name: value for name, value in self.to_dict().items() if value != before[name]}
        return hashlib.sha256(json.dumps(different, sort_keys=True).encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The recipe with these fields, others at their default. ValueError names an unknown field and the nearest."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
                raise ValueError(f"{cls.__name__} has no field {name!r}. Nearest: {near!r}")
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Recipe(_Values):
    """One training run up to its seed; sections are the paper's. ValueError names a bad field, its value, its range."""

    # data
    dataset: str = "cifar10"  # cifar10, imagenette, shapes, or a path to class folders
    image_size: int = 32  # px, what the net sees
    train_images: int = 0  # 0: all of them
    label_noise: float = 0.0  # share of training labels replaced by another class
    split: str = "test"  # what is evaluated: test, or validation (5,000 training images, of fewer than 50,000 a tenth)
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
    lr_batch: int = 128  # images, see linear_scaling (paper: 256)
    linear_scaling: bool = False  # §3.1 peak = lr * batch_size / lr_batch
    warmup_epochs: float = 0.0  # §3.1 lr grows linearly from 0 over this many epochs
    schedule: str = "step"  # §2 step; §5.1 cosine
    first_decay: float = 0.25  # step: share of the run before lr is first divided by 10 (paper: 30 of 120 epochs)
    momentum: float = 0.9  # §2 Nesterov
    weight_decay: float = 5e-4  # §2 λ; the paper gives no value
    no_bias_decay: bool = False  # §3.1 decay only the weights of convolutions and linear layers
    ema_decay: float = 0.0  # after the bag: memory of the averaged weights that are evaluated; 0: none
    amp: bool = False  # §3.2 mixed precision, where the device has it
    amp_dtype: str = "auto"  # §3.2 16-bit type of amp; auto: bfloat16, or float16 where a GPU lacks it
    # targets
    label_smoothing: float = 0.0  # §5.2 ε
    mixup_alpha: float = 0.0  # §5.4 α of Beta(α, α)
    cutmix_alpha: float = 0.0  # after the bag: α of Beta(α, α) of CutMix
    teacher: str = ""  # §5.3 name of the net that teaches; "": no distillation
    temperature: float = 20.0  # §5.3 T
    distill_weight: float = 1.0  # §5.3 factor before T² · soft loss; eq. 6 has 1

    def __post_init__(self) -> None:
        choices = {"schedule": SCHEDULES, "augment": AUGMENTS, "split": SPLITS, "amp_dtype": AMP_DTYPES}
        self._check(choices, positive=("lr", "temperature"))

    @property
    def metric(self) -> str:
        """What of `Run.final` arms are compared by, in percent."""
        return "accuracy"


@dataclass(frozen=True, kw_only=True)
class Transfer(_Values):
    """One fine-tuning run up to its seed (§6): seed k takes the backbone that was trained with seed k, on fold k."""

    # what is transferred
    task: str = "detection"  # detection (Faster R-CNN) or segmentation (FCN)
    backbone: Recipe = Recipe()  # how the backbone was trained for classification
    pretrained: bool = True  # False: the same backbone at its random initialisation
    # data
    dataset: str = "pennfudan"  # pennfudan, shapes, voc, ade20k
    folds: int = 5  # seed k is tested on fold k modulo this many; sets with a test set of their own have no folds
    split: str = "test"  # what is evaluated: the test fold, or validation (the next fold, not trained on)
    image_size: int = 160  # px of a picture's shorter side
    # model
    fpn: bool = True  # detection: a feature pyramid over all stages, or the last stage's map alone
    head_width: int = 64  # detection: channels of the pyramid and, times four, of the box head
    regions: int = 64  # detection: regions per picture that the box head learns from
    freeze_bn: bool = False  # the backbone's batch norms keep statistics, γ and β, for batches of a few pictures
    # optimisation
    epochs: int = 12  # passes over the training pictures
    batch_size: int = 4  # pictures per step, over all processes
    lr: float = 0.02  # peak learning rate; with linear_scaling, its value at lr_batch pictures
    lr_batch: int = 4  # pictures, see linear_scaling
    linear_scaling: bool = False  # peak = lr * batch_size / lr_batch
    warmup_epochs: float = 1.0  # lr grows linearly from 0 over this many epochs
    schedule: str = "cosine"  # step or cosine
    first_decay: float = 0.25  # step: share of the run before lr is first divided by 10
    momentum: float = 0.9  # Nesterov
    weight_decay: float = 1e-4  # λ
    no_bias_decay: bool = False  # decay only the weights of convolutions and linear layers
    amp: bool = False  # mixed precision, where the device has it

    def __post_init__(self) -> None:
        self._check({"task": TASKS, "split": SPLITS, "schedule": SCHEDULES}, positive=("lr",))

    @property
    def metric(self) -> str:
        """What of `Run.final` arms are compared by, in percent (Tables 8 and 9)."""
        return {"detection": "map_50", "segmentation": "miou"}[self.task]

    @property
    def net(self) -> str:
        """The backbone's net."""
        return self.backbone.net

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON, those of the backbone's recipe as backbone.net and so on."""
        values = super().to_dict()
        backbone = values.pop("backbone")
        return {**values, **{f"backbone.{name}": value for name, value in backbone.items()}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """As `Recipe.from_dict`, with the backbone's fields as `to_dict` names them."""
        start = "backbone."
        own = {name: value for name, value in values.items() if not name.startswith(start)}
        backbone = {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}
        return super().from_dict({**own, "backbone": Recipe.from_dict(backbone)})


def changes(new: Recipe | Transfer, old: Recipe | Transfer) -> dict[str, Any]:
    """The fields in which `new` differs from `old`, with their values in `new`."""
    before = old.to_dict()
    return {name: value for name, value in new.to_dict().items() if value != before[name]}


def teacher_of(recipe: Recipe) -> Recipe:
    """The teacher's own recipe: the student's, on the larger net, without a teacher (§5.5: it has the same tricks)."""
    return replace(
        recipe, net=recipe.teacher, teacher="", temperature=Recipe.temperature, distill_weight=Recipe.distill_weight
    )


BASELINE = Recipe()
