"""What was run: one frozen, flat `Recipe`. A recipe and a seed are the whole experiment.

Every trick is off by default, so the defaults are the paper's baseline (section 2) on the course's small net, and
`replace(BASELINE, label_smoothing=0.1)` is "one change at a time" in the language itself. `Transfer` is the same for
what comes after: a backbone trained by a recipe, fine-tuned for another task (section 6).
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from tricks.values import Range, Values, choices


@dataclass(frozen=True, kw_only=True)
class Recipe(Values):
    """One training run up to its seed; sections are the paper's. ValueError names a bad field, its value, its range."""

    # data
    dataset: str = "cifar10"  # cifar10, imagenette, shapes, or a path to class folders
    image_size: Annotated[int, Range(8, 1024)] = 32  # px, what the net sees
    train_images: Annotated[int, Range(0, 100_000_000)] = 0  # 0: all of them
    label_noise: Annotated[float, Range(0, 1)] = 0.0  # share of training labels replaced by another class
    split: Literal["test", "validation"] = "test"  # evaluated; validation: 5,000 training images, at most a tenth
    augment: Literal["none", "crop_flip", "paper"] = "crop_flip"  # §2.1 crop_flip: pad 4, crop, flip; paper: all six
    # model
    net: str = "resnet8"  # a name in tricks.models.nets.NETS
    tweak_b: bool = False  # §4 stride in the block's 3x3 convolution instead of its first 1x1
    tweak_c: bool = False  # §4 stem of three 3x3 convolutions
    tweak_d: bool = False  # §4 average pooling before the shortcut's 1x1
    zero_gamma: bool = False  # §3.1 last γ of each residual block starts at 0
    # optimisation
    epochs: Annotated[int, Range(1, 10_000)] = 12  # passes over the training images
    batch_size: Annotated[int, Range(1, 1_000_000)] = 128  # images per step, over all processes
    lr: Annotated[float, Range(0, 100, above=True)] = 0.1  # peak learning rate, at lr_batch images if linear_scaling
    lr_batch: Annotated[int, Range(1, 1_000_000)] = 128  # images, see linear_scaling (paper: 256)
    linear_scaling: bool = False  # §3.1 peak = lr * batch_size / lr_batch
    warmup_epochs: Annotated[float, Range(0, 10_000)] = 0.0  # §3.1 lr grows linearly from 0 over this many epochs
    schedule: Literal["step", "cosine", "linear"] = "step"  # §2 step; §5.1 cosine; after the bag: linear
    first_decay: Annotated[float, Range(0, 1)] = 0.25  # share of the run before step first divides lr by 10 (paper: ¼)
    momentum: Annotated[float, Range(0, 0.9999)] = 0.9  # §2 Nesterov; 0: plain SGD
    weight_decay: Annotated[float, Range(0, 1)] = 5e-4  # §2 λ; the paper gives no value
    no_bias_decay: bool = False  # §3.1 decay only the weights of convolutions and linear layers
    amp: bool = False  # §3.2 mixed precision, where the device has it
    amp_dtype: Literal["auto", "bfloat16", "float16"] = "auto"  # §3.2 auto: bfloat16, or float16 where a GPU lacks it
    # targets
    label_smoothing: Annotated[float, Range(0, 0.9999)] = 0.0  # §5.2 ε
    mixup_alpha: Annotated[float, Range(0, 100)] = 0.0  # §5.4 α of Beta(α, α)
    teacher: str = ""  # §5.3 net that teaches, and what its recipe has otherwise: resnet14 lr=0.4 tweak_d; "": none
    temperature: Annotated[float, Range(0, 1000, above=True)] = 20.0  # §5.3 T
    distill_weight: Annotated[float, Range(0, 1000)] = 1.0  # §5.3 factor before T² · soft loss; eq. 6 has 1
    # after the bag
    cutmix_alpha: Annotated[float, Range(0, 100)] = 0.0  # after the bag: α of Beta(α, α) of CutMix
    whitening: bool = False  # after the bag: first convolution frozen at ± whitened directions of the pictures
    dirac: bool = False  # after the bag: 3x3 convolutions of residual blocks start as the identity
    bias_lr: Annotated[float, Range(0, 1000, above=True)] = 1.0  # after the bag: factor on batch norms' β; λ over it
    optimizer: Literal["sgd", "muon"] = "sgd"  # after the bag: muon for what is neither first nor last layer, β nor γ
    muon_lr: Annotated[float, Range(0, 10, above=True)] = 0.02  # after the bag: Muon's peak; lr is that of the rest
    ema_decay: Annotated[float, Range(0, 0.99999)] = 0.0  # after the bag: memory of the averaged weights; 0: none
    ema_bn: bool = False  # after the bag: batch norm's statistics measured anew for the averaged weights
    alternating_flip: bool = False  # after the bag: mirrored in every other epoch, which one a coin says; not at random
    trivial_augment: bool = False  # after the bag: one more change per picture, any of fourteen, of any strength
    start_size: Annotated[int, Range(0, 1024)] = 0  # after the bag: px of the first pictures, which grow; 0: all alike
    test_views: bool = False  # after the bag: final metrics also of mirror images (flip) and shifts (crops) averaged

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_warmup(self)
        if self.mixup_alpha > 0 and self.cutmix_alpha > 0:
            raise self.bad(
                "cutmix_alpha", f"0 with mixup_alpha = {self.mixup_alpha}: a batch is mixed once, choose one of the two"
            )
        if self.ema_bn and not self.ema_decay:
            raise self.bad("ema_bn", "False without ema_decay: there are no averaged weights")
        if self.alternating_flip and self.augment == "none":
            raise self.bad("alternating_flip", "False with augment = 'none', which mirrors no picture")
        if self.trivial_augment and self.augment == "paper":
            raise self.bad("trivial_augment", "False with augment = 'paper', which has colours of its own")
        if self.start_size and (self.start_size % 4 or not 8 <= self.start_size < self.image_size):
            raise self.bad("start_size", f"0 or a multiple of 4, at least 8 and below image_size = {self.image_size}")
        if self.teacher:
            try:
                teacher_of(self)
            except ValueError as error:
                how = "a net, and numbers or switches of its recipe, as in 'resnet14 lr=0.4 tweak_d'"
                raise self.bad("teacher", f"{how} ({error})") from error

    @property
    def metric(self) -> str:
        """What of `Run.final` arms are compared by, in percent."""
        return "accuracy"


def _check_warmup(recipe: "Recipe | Transfer") -> None:
    if not recipe.warmup_epochs < recipe.epochs:
        raise recipe.bad(
            "warmup_epochs", f"below epochs = {recipe.epochs}, or nothing is left to train after the warm-up"
        )


@dataclass(frozen=True, kw_only=True)
class Transfer(Values):
    """One fine-tuning run up to its seed (§6): seed k takes the backbone that was trained with seed k, on fold k."""

    # what is transferred
    task: Literal["detection", "segmentation"] = "detection"  # detection (Faster R-CNN) or segmentation (FCN)
    backbone: Recipe = Recipe()  # how the backbone was trained for classification
    pretrained: bool = True  # False: the same backbone at its random initialisation
    # data
    dataset: str = "pennfudan"  # pennfudan, shapes, voc, ade20k
    folds: Annotated[int, Range(3, 100)] = 5  # seed k is tested on fold k modulo this many; none if there is a test set
    split: Literal["test", "validation"] = "test"  # what is evaluated; validation: the next fold, not trained on
    image_size: Annotated[int, Range(8, 1024)] = 160  # px of a picture's shorter side
    # model
    fpn: bool = True  # detection: a feature pyramid over all stages, or the last stage's map alone
    head_width: Annotated[int, Range(1, 4096)] = 64  # detection: channels of the pyramid and, times 4, of the box head
    regions: Annotated[int, Range(1, 100_000)] = 64  # detection: regions per picture that the box head learns from
    freeze_bn: bool = False  # the backbone's batch norms keep statistics, γ and β, for batches of a few pictures
    # optimisation
    epochs: Annotated[int, Range(1, 10_000)] = 12  # passes over the training pictures
    batch_size: Annotated[int, Range(1, 1_000_000)] = 4  # pictures per step, over all processes
    lr: Annotated[float, Range(0, 100, above=True)] = 0.02  # peak learning rate, at lr_batch pictures if linear_scaling
    lr_batch: Annotated[int, Range(1, 1_000_000)] = 4  # pictures, see linear_scaling
    linear_scaling: bool = False  # peak = lr * batch_size / lr_batch
    warmup_epochs: Annotated[float, Range(0, 10_000)] = 1.0  # lr grows linearly from 0 over this many epochs
    schedule: Literal["step", "cosine"] = "cosine"  # step or cosine
    first_decay: Annotated[float, Range(0, 1)] = 0.25  # share of the run before step first divides lr by 10
    momentum: Annotated[float, Range(0, 0.9999)] = 0.9  # Nesterov; 0: plain SGD
    weight_decay: Annotated[float, Range(0, 1)] = 1e-4  # λ
    no_bias_decay: bool = False  # decay only the weights of convolutions and linear layers
    amp: bool = False  # mixed precision, where the device has it

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_warmup(self)

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
    """The teacher's own recipe: the student's, on the larger net, without a teacher (§5.5: it has the same tricks).

    A student of another family has no tweaks or zero γ to share: then `recipe.teacher` lists what its teacher has.
    """
    net, *others = recipe.teacher.split()
    changes = {name: json.loads(value or "true") for name, _, value in (other.partition("=") for other in others)}
    fields = ("teacher", "temperature", "distill_weight", "test_views")  # as if they were never set
    none = {name: getattr(Recipe, name) for name in fields}
    return Recipe.from_dict({**recipe.to_dict(), "net": net, **none, **changes})


BASELINE = Recipe()
SPLITS = choices(Recipe, "split")
AUGMENTS = choices(Recipe, "augment")
AMP_DTYPES = choices(Recipe, "amp_dtype")
SAMPLE_IMAGES = 2_000  # of training and of evaluated images, on which curves are measured: all of them take too long
