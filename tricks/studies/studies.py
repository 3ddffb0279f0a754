"""Studies as data: a question, its arms, its seeds; and the runs that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tricks.recipe import Recipe, Transfer
from tricks.records.store import Run, nearest_name, recorded
from tricks.studies.arms import (
    AFTER_ARMS,
    ARMS,
    FULL_AFTER,
    FULL_ARMS,
    FULL_LEAVE_OUT,
    LADDER_ARMS,
    NOISY,
    PAPER_4,
    PAPER_5,
    PAPER_7,
    PAPER_NETS,
    PILOTS,
    SECTION_6,
    THREE_NETS,
    TRANSFERS,
)


@dataclass(frozen=True)
class Study:
    """A question to recorded runs: arms by name, the one that the others are compared with, and the seeds of each."""

    name: str
    question: str
    source: str  # section and table of the paper
    arms: tuple[str, ...]
    reference: str
    seeds: tuple[int, ...]
    more: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # the seeds of arms that have more
    more_references: tuple[str, ...] = ()  # one for each further network: that of the arms after it

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds of one of the arms."""
        return self.more.get(arm, self.seeds)

    def reference_for(self, arm: str) -> str:
        """What an arm is compared with."""
        before = self.arms[: self.arms.index(arm) + 1]
        return [self.reference, *(name for name in before if name in self.more_references)][-1]

    @property
    def metric(self) -> str:
        """What of `Run.final` the arms are compared by."""
        return recipe_of(self.reference).metric

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Every (arm, seed), seed by seed: an interrupted study has complete seeds rather than complete arms."""
        seeds = sorted({*self.seeds, *(seed for seeds in self.more.values() for seed in seeds)})
        return [(arm, seed) for seed in seeds for arm in self.arms if seed in self.seeds_of(arm)]


THREE, FIVE = (0, 1, 2), (0, 1, 2, 3, 4)  # seeds
# Section 6: the rows whose claims all five folds may resolve. Seed k fine-tunes what seed k pretrained, on fold k.
ALL_FOLDS = {
    "pretrain": ("standard", "efficient", "cosine", "distill-mixup"),
    "detection": ("random", "standard", "efficient", "distill-mixup"),
    "segmentation": ("random", "standard", "efficient", "cosine", "distill-mixup"),
}
# fmt: off
STUDIES = {study.name: study for study in (
    Study("baseline", "What does the paper's plain procedure give with the course's small net and budget?",
          "§2", ("baseline",), "baseline", FIVE),
    Study("large_batch", "What does a batch eight times as large cost, and which heuristics win it back?",
          "§3.1, Table 4", ("small", "small-warmup", "small-zero", "small-no-bias", "large-unscaled",
                            "large", "large-warmup", "large-zero", "large-no-bias"), "small", THREE),
    Study("large_batch_long", "Does the gap between a batch of 64 and one of 512 close when there are steps enough?",
          "§3.1, Table 4", ("small-long", "large-long-unscaled", "large-long", "large-long-warmup", "large-long-zero",
                            "large-long-no-bias"), "small-long", FIVE),
    Study("precision", "What does mixed precision change: time, accuracy?",
          "§3.2, Table 3", ("cosine", "cosine-amp"), "cosine", FIVE),
    Study("precision_gpu", "What does mixed precision change on a GPU, in bfloat16, and in float16 with loss scaling?",
          "§3.2, Tables 3 and 4", ("full-cosine", "full-cosine-bfloat16", "full-cosine-float16"), "full-cosine", THREE),
    Study("tweaks", "What do the tweaks B, C and D bring and cost, one on top of the other, and D's pooling alone?",
          "§4, Table 5", ("tweaks-plain", "tweaks-b", "tweaks-c", "tweaks-d", "tweaks-d-alone"), "tweaks-plain", THREE),
    Study("schedule", "Step or cosine decay: who is ahead when, and at the end?",
          "§5.1, Fig. 3", ("efficient", "efficient-early", "cosine"), "efficient", FIVE),
    Study("smoothing", "What does ε do to accuracy, to the likelihood, to calibration and to the logit gap?",
          "§5.2, Fig. 4, Table 6", ("cosine", "smoothing-0.05", "smoothing-0.1", "smoothing-0.2", "smoothing-0.4"),
          "cosine", FIVE),
    Study("temperature", "What does the temperature of distillation do?",
          "§5.3", ("smoothing-0.1", "distill-1", "distill-2", "distill-4", "distill-10", "distill"),
          "smoothing-0.1", THREE),
    Study("mixup_alpha",
          "What does mixup's α do to accuracy, to the fit of clean training images, and to calibration?",
          "§5.4", ("cosine", "mixup-0.1", "mixup-0.2", "mixup-0.5", "mixup-1.0"), "cosine", THREE),
    Study("label_noise", "Which tricks help when a fifth, or two fifths, of the training labels are wrong?",
          "not in the paper", ("cosine", "smoothing-0.1", "mixup-0.2", *NOISY), "cosine", THREE),
    Study("refinements", "What does each refinement of section 5 add to the one before?",
          "§5.5, Table 6", ("efficient", "cosine", "smoothing-0.1", "distill", "smooth-mixup", "distill-mixup",
                            "long", "long-mixup"),  # Table 6 gives mixup more epochs; here both have them
          "efficient", FIVE),
    Study("three_nets", "Do the refinements carry over to networks that are no ResNets?",
          "§5.5, Table 6", tuple(THREE_NETS), "inception-efficient", THREE, more_references=("mobilenet-efficient",)),
    Study("full_schedule", "What does each refinement of section 5 add with the paper's numbers of epochs?",
          "§5.5, Table 6", tuple(FULL_ARMS), "full-efficient", FIVE),
    Study("full_leave_out", "Which heuristics of sections 3 and 4 carry a network that is trained to the end?",
          "§3.1, §4, Tables 4 and 5", ("full-efficient", *FULL_LEAVE_OUT), "full-efficient", THREE),
    Study("ladder", "What does the whole stack bring with all images, and which of its tricks carry it?",
          "§7, Tables 1 and 6", tuple(LADDER_ARMS), "ladder-baseline", THREE),
    Study("after", "What do tricks from after the paper add to what was kept of the bag, each alone?",
          "after the paper", tuple(AFTER_ARMS), "after-bag", THREE),
    Study("full_after", "Do CutMix, TrivialAugment and Muon pay where the network fits its training pictures?",
          "after the paper", ("full-smooth", *FULL_AFTER), "full-smooth", FIVE),
    Study("paper_large_batch", "What do the heuristics do at the paper's scale, at batches of 256 and 1,024?",
          "§3.1, §3.2, Table 4", tuple(PAPER_4), "paper-small", THREE),
    Study("paper_tweaks", "What do the tweaks B, C and D bring at the paper's scale?",
          "§4, Table 5", ("paper-large-amp", *PAPER_5, "paper-pretrain-efficient"), "paper-large-amp", THREE),
    Study("paper_three_nets", "Do the tricks carry over to Inception-V3 and MobileNet, at the paper's scale?",
          "§2.2, §3.3, §5.5, Tables 2, 3 and 6", tuple(PAPER_NETS), "paper-inception-standard", THREE,
          more_references=("paper-mobilenet-standard",)),
    Study("paper_places", "Do the refinements carry over to Places365, at the paper's scale?",
          "§5.5, Table 7", tuple(PAPER_7), "paper-places-efficient", THREE),
    *(Study(f"{scale}{task}".replace("-", "_"), f"{question}{where}?",
            source, tuple(SECTION_6[f"{scale}{task}"]), f"{scale}{task}-standard", THREE,
            {} if scale else {f"{task}-{row}": FIVE for row in ALL_FOLDS[task]})
      for scale, where in (("", ""), ("paper-", ", at the paper's scale"))
      for task, question, source in (  # seed k fine-tunes what seed k pretrained
          ("pretrain", "How well do the backbones of section 6 classify", "§6, Tables 8 and 9"),
          ("detection", "Does a better classifier make a better detector", "§6.1, Table 8"),
          ("segmentation", "Does a better classifier make a better segmenter", "§6.2, Table 9"))),
    *(Study(name, "Which choice is best on held-out training images?",
            "not in the paper", tuple(arms), next(iter(arms)), (0,))
      for name, arms in PILOTS.items()),
)}
# fmt: on


def study(name: str) -> Study:
    """A study by name. ValueError on an unknown one, with the nearest name."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}. Nearest: {nearest_name(name, STUDIES)!r}. There are {', '.join(STUDIES)}")
    return STUDIES[name]


def recipe_of(name: str) -> Recipe | Transfer:
    """What an arm stands for. ValueError on an unknown one, with the nearest name."""
    if found := ARMS.get(name) or TRANSFERS.get(name):
        return found
    raise ValueError(f"no arm {name!r}. Nearest: {nearest_name(name, (*ARMS, *TRANSFERS))!r}")


def arm(name: str) -> list[Run]:
    """The recorded runs of an arm. ValueError on an unknown one; LookupError, as from `recorded`, when it has none."""
    return recorded(recipe_of(name), name)
