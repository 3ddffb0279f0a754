"""The decision card: what each trick of the paper gained, there and here, what it costs and needs, when it harms."""

from dataclasses import dataclass
from typing import NamedTuple

from tricks.course import cost
from tricks.plots.style import signed
from tricks.records import paper
from tricks.records.statistics import Comparison, compare
from tricks.records.store import Run, find
from tricks.studies.arms import ARMS
from tricks.studies.studies import recipe_of

Pair = tuple[str, str]  # two arms: with the trick, without it
NOT_RECORDED = "not recorded"
NBSP = "\N{NO-BREAK SPACE}"  # so that narrow cells break between numbers and not within them


@dataclass(frozen=True)
class Trick:
    """A row of the card. Its numbers come from the paper's tables and the records, its words are advice."""

    rows: tuple[str, str, str, str] | None  # the paper's table, row with and row without the trick, and column
    short: Pair  # 8 to 12 epochs here
    long: Pair | None  # 60 to 200 epochs here; None where no arm has it
    there: Pair  # at the paper's scale: for the cost
    needs: str
    harms: str
    check: str
    unlike: str = ""  # what else changes in the paper's rows


class Cost(NamedTuple):
    """What a trick adds to a training and to a network, as shares: multiply-adds, epochs included, and parameters."""

    training: float
    parameters: float


TABLE_4, TABLE_5, TABLE_6 = ("4", "BS1024_top1"), ("5", "top1"), ("6", "ResNet-50-D_top1")


def _paper(table: tuple[str, str], row: str, reference: str) -> tuple[str, str, str, str]:
    name, column = table
    return name, row, reference, column


CARD = {
    "linear scaling": Trick(
        None, ("large", "large-unscaled"), ("large-long", "large-long-unscaled"), ("paper-large", "paper-large"),
        needs="SGD, and a batch that grows",
        harms="few steps are left, or no warm-up goes with it",
        check="how many steps an epoch still has",
    ),
    "warm-up": Trick(
        _paper(TABLE_4, "+ LR warmup", "Linear scaling"),
        ("large-warmup", "large"), ("large-long-warmup", "large-long"), ("paper-large-warmup", "paper-large"),
        needs="a rate that is too large for the first steps",
        harms="the warm-up takes most of a short run",
        check="the loss of the first hundred steps: does it jump?",
    ),
    "zero γ": Trick(
        _paper(TABLE_4, "+ Zero gamma", "+ LR warmup"),
        ("large-zero", "large-warmup"), ("large-long-zero", "large-long-warmup"),
        ("paper-large-zero", "paper-large-warmup"),
        needs="residual blocks that end in a batch norm; many of them",
        harms="the run ends before its blocks are awake",
        check="the last γ of each block when the run ends: still near 0?",
    ),
    "no bias decay": Trick(
        _paper(TABLE_4, "+ No bias decay", "+ Zero gamma"),
        ("large-no-bias", "large-zero"), ("large-long-no-bias", "large-long-zero"),
        ("paper-large-no-bias", "paper-large-zero"),
        needs="two groups of parameters in the optimiser",
        harms="you expect much of it: it is a convention",
        check="that both arms of a comparison have it, or none",
    ),
    "mixed precision": Trick(
        _paper(TABLE_4, "+ FP16", "+ No bias decay"),
        ("cosine-amp", "cosine"), ("full-cosine-float16", "full-cosine"), ("paper-large-amp", "paper-large-no-bias"),
        needs="hardware with fast 16-bit arithmetic; fp16 needs a loss scale",
        harms="weights or sums are kept in 16 bits too",
        check="seconds an epoch: time is its only gain",
    ),
    "tweak B": Trick(
        _paper(TABLE_5, "ResNet-50-B", "ResNet-50"),
        ("tweaks-b", "tweaks-plain"), None, ("paper-tweaks-b", "paper-large-amp"),
        needs="bottleneck blocks, trained from scratch",
        harms="the weights that you load were trained without it",
        check="the strides of your library's block: most have B",
    ),
    "tweak C": Trick(
        _paper(TABLE_5, "ResNet-50-C", "ResNet-50-B"),
        ("tweaks-c", "tweaks-b"), None, ("paper-tweaks-c", "paper-tweaks-b"),
        needs="a 7×7 stem to replace, trained from scratch",
        harms="the weights that you load were trained without it",
        check="the multiply-adds of the stem, and whether time is short",
    ),
    "tweak D": Trick(
        _paper(TABLE_5, "ResNet-50-D", "ResNet-50-C"),
        ("tweaks-d", "tweaks-c"), ("full-efficient", "full-without-d"), ("paper-pretrain-efficient", "paper-tweaks-c"),
        needs="shortcuts that halve the map, trained from scratch",
        harms="the weights that you load were trained without it",
        check="the stride of the 1×1 on the shortcut: is it 2?",
    ),
    "cosine decay": Trick(
        _paper(TABLE_6, "+ cosine decay", "Efficient"),
        ("cosine", "efficient"), ("full-cosine", "full-efficient"),
        ("paper-pretrain-cosine", "paper-pretrain-efficient"),
        needs="the number of epochs, known in advance",
        harms="the run is stopped, or judged, before its planned end",
        check="that the peak was chosen, on held-out pictures",
    ),
    "label smoothing": Trick(
        _paper(TABLE_6, "+ label smoothing", "+ cosine decay"),
        ("smoothing-0.1", "cosine"), ("full-smooth", "full-cosine"), ("paper-pretrain-smooth", "paper-pretrain-cosine"),
        needs="a network that fits nearly all its training pictures",
        harms="the network is honest already, or is to be a teacher",
        check="confidence − accuracy; and whether it is on already",
    ),
    "distillation": Trick(
        _paper(TABLE_6, "+ distill w/o mixup", "+ label smoothing"),
        ("distill", "smoothing-0.1"), ("full-distill", "full-smooth"),
        ("paper-pretrain-distill", "paper-pretrain-smooth"),
        needs="a trained, better network of the same family",
        harms="the teacher is of another family, or not clearly better",
        check="the teacher's own held-out accuracy",
    ),
    "mixup": Trick(
        _paper(TABLE_6, "+ mixup w/o distill", "+ label smoothing"),
        ("smooth-mixup", "smoothing-0.1"), ("full-mixup", "full-smooth-200"),
        ("paper-pretrain-mixup", "paper-pretrain-smooth"),
        needs="a network that fits its pictures, and more epochs",
        harms="the run is short or the network small",
        check="clean training accuracy: is it near 100 %?",
        unlike="80 more epochs, too",
    ),
}  # fmt: skip


def runs(name: str) -> list[Run]:
    """The recorded runs of an arm; none while there is no record. ValueError on an unknown arm."""
    return find(recipe_of(name))


def gain(new: str, old: str, metric: str = "accuracy") -> Comparison | None:
    """What one arm is above another, over the seeds that both have; None while there is no such seed."""
    found = runs(new), runs(old)
    shared = {run.seed for run in found[0]} & {run.seed for run in found[1]}
    return compare(*found, metric) if shared else None


def in_paper(trick: Trick) -> paper.Effect | None:
    """What the paper's tables say of a trick; None where they have no row for it alone."""
    return paper.effect(*trick.rows, unlike=trick.unlike) if trick.rows else None


def added_cost(new: str, old: str, classes: int = 10) -> Cost:
    """What one arm costs above another."""
    (training, parameters), (training_old, parameters_old) = (
        (ARMS[name].epochs * cost.per_picture(ARMS[name], classes)[0], cost.size(ARMS[name], classes)[0])
        for name in (new, old)
    )
    return Cost(training / training_old - 1, parameters / parameters_old - 1)


def words(found: Comparison | None) -> str:
    """Our difference in a cell, "↑ +3.25 ± 0.52 (n = 5)"; an arrow says that its interval does not hold 0."""
    if found is None:
        return NOT_RECORDED
    n = len(found.differences)
    arrow = "" if not found.clear else "↑ " if found.mean > 0 else "↓ "
    half = f" ± {found.half:.2f}" if n > 1 else ""
    return f"{arrow}{signed(found.mean)}{half}".replace(" ", NBSP) + f" (n{NBSP}={NBSP}{n})"


def card() -> list[dict[str, str]]:
    """The card as rows for `lesson.table`: a column for each question. Gains are points of accuracy."""
    return [_row(name, trick) for name, trick in CARD.items()]


def _row(name: str, trick: Trick) -> dict[str, str]:
    effect = in_paper(trick)
    also = f" ({trick.unlike})" if trick.unlike else ""
    there, here = added_cost(*trick.there, classes=1000), added_cost(*trick.short)
    costs = {"training": (there.training, here.training), "parameters": (there.parameters, here.parameters)}
    return {
        "trick": name,
        "paper": f"{signed(effect.delta)}{NBSP}±{NBSP}{effect.noise:.2f}{also}" if effect else "no row of its own",
        "here, short": _where(trick.short),
        "here, long": _where(trick.long),
        "cost": "; ".join(
            f"{what} {_share(paper_net)}, here {_share(ours)}"
            for what, (paper_net, ours) in costs.items()
            if {_share(paper_net), _share(ours)} != {"0"}
        )
        or "none",
        "needs": trick.needs,
        "harms when": trick.harms,
        "check first": trick.check,
    }


def _where(pair: Pair | None) -> str:
    found = gain(*pair) if pair else None
    return f"{words(found)}, {ARMS[pair[0]].epochs}{NBSP}epochs" if pair and found else words(found)


def _share(share: float) -> str:
    percent = signed(100 * share, 1)
    return "0" if percent in ("+0.0", "−0.0") else f"{percent}{NBSP}%"
