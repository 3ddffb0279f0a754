# %% [markdown]
# # The paper in ten pictures
#
# **How far does a plain ResNet-50 get, if hardly anything changes but how it is trained?**

# %% tags=["hide-input"]
import sys
from collections import Counter
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tricks import ROOT, label_smoothing, mixup, precision, process, recipe, schedules
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import budget, conclusion, load_data, show, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.models.resnet import build
from tricks.plots import diagrams, distillation, evidence, ladder, preprocessing, segmentation, smoothing, style, tweaks
from tricks.plots import mixup as mixup_plots
from tricks.plots import precision as precision_plots
from tricks.plots import schedules as schedule_plots
from tricks.records import paper, statistics, store
from tricks.studies.studies import arm, recipe_of

# %% tags=["hide-input"]
PUBLISHED, TRICKS, BEST_RIVAL = "ResNet-50", "ResNet-50 + tricks (ours)", "SE-ResNeXt-50"


@style.styled
def rivals(answered=False):
    fig, ax = style.canvas(height=3.4, caption=f"{paper.SOURCE}, Table 1: ImageNet")
    for name, row in paper.table("1").items():
        x, y, ours = row["FLOPs"], row["top1"], name == TRICKS
        colour = style.COLOURS[1] if ours else style.COLOURS[0] if name == PUBLISHED else style.GREY
        words = f"{name.removesuffix(' (ours)')}{'' if ours and not answered else f'  {y}'}"
        if ours and not answered:
            ax.axvline(x, color=colour, linestyle="--", linewidth=1.5, zorder=0)
            ax.text(x + 0.02, 75.5, f"{words}:\nwhere on this line?", color=colour, va="center", fontweight="bold")
        else:
            ax.plot(x, y, "o", color=colour, markersize=10)
            left = name == "ResNeXt-50"  # to the right is the line
            bold = None if colour == style.GREY else "bold"
            ax.text(x + (-0.02 if left else 0.02), y, words.replace("  ", " ") if left else words, color=colour,
                    va="center", ha="right" if left else "left", fontweight=bold)
    ax.set(xlabel="multiply-adds for one picture, 10⁹", ylabel="top-1 accuracy, %", xlim=(3.8, 4.6), ylim=(74.7, 80))
    return fig


gain = paper.delta("1", TRICKS, PUBLISHED, "top1")
over = paper.delta("1", TRICKS, BEST_RIVAL, "top1")
takeaway = f"With the bag of tricks a ResNet-50 gains {gain:.2f} points, and passes the designed networks of its cost"
answer = rivals(answered=True)
slide(answer, "00_rivals", takeaway=takeaway)
rivals()

# %% [markdown]
# **1 The race.** In 2018 the way to a better network was to design one: ResNeXt, SE, DenseNet. He et al. took the old
# ResNet-50 and a bag of small tricks, most of them mentioned in passing elsewhere or found only in code, and measured
# what each is worth.
#
# **Claim.** The bag takes a ResNet-50 past the networks that were designed to beat it. Each trick is a few lines of
# code, none carries the whole gain, and some do harm where they do not belong.
#
# After this lesson you can say in a sentence what each trick does, what it was worth in the paper and in our own
# small runs, and which lesson to open next.
#
# Shift+Enter runs a cell, *Run → Run All Cells* all of them. Nothing needs a GPU.
#
# *Time:* 12 minutes, one of them training on two CPU cores; with questions and exercise 19; with "Deeper" 24.
# *Paper:* all of it, Tables 1 to 9.
#
# ## Your guess
#
# The published ResNet-50 has 75.3 %, and by the claim the bag takes it past 78.9 %. How many points does the whole bag
# add? Your guess is held against the paper's number, and against ours, which the claim does not give away: a network of
# eight layers, CIFAR-10 in place of ImageNet, minutes in place of days, and the bag without the larger batch and the
# tweaks B and C.

# %% tags=["hide-input"]
guess = predict("Points that the whole bag adds", low=0, high=10)

# %% tags=["hide-input", "hide-output"]
RUNGS = {  # label: table, row, column
    "ResNet-50, as published": ("1", PUBLISHED, "top1"),
    "the authors' own baseline": ("2", "ResNet-50", "baseline_top1"),
    "§3 large batch, FP16": ("4", "+ FP16", "BS1024_top1"),
    "§4 tweaks B, C, D": ("5", "ResNet-50-D", "top1"),
    "§5.1 cosine decay": ("6", "+ cosine decay", "ResNet-50-D_top1"),
    "§5.2 label smoothing": ("6", "+ label smoothing", "ResNet-50-D_top1"),
    "§5.3 distillation": ("6", "+ distill w/o mixup", "ResNet-50-D_top1"),
    "§5.4 mixup": ("6", "+ distill w/ mixup", "ResNet-50-D_top1"),
}
rungs = {label: paper.table(name)[row][column] for label, (name, row, column) in RUNGS.items()}
climb = ladder.ladder({"ImageNet": rungs}, caption=f"{paper.SOURCE}, Tables 1, 2, 4, 5 and 6: one run each")
rival, (ax,) = paper.table("1")[BEST_RIVAL]["top1"], climb.axes
ax.axvline(rival, color=style.COLOURS[1], linestyle="--", linewidth=1.5, zorder=0)
ax.text(rival - 0.05, 0.4, f"{BEST_RIVAL}\n{rival:.2f}", color=style.COLOURS[1], ha="right", va="center")

ours = statistics.compare(arm("ladder-all"), arm("ladder-baseline"))
own = rungs["§5.4 mixup"] - rungs["the authors' own baseline"]
whole_bag = paper.Effect(gain, unlike="another network, other data, other tricks")
guess.reveal(ours, whole_bag, label="the whole bag", caption=statistics.caption(arm("ladder-all")))
flops = {which: paper.table("1")[name]["FLOPs"] for which, name in (("new", TRICKS), ("old", PUBLISHED))}
guess.veil(climb, f"""75.3 is another paper's number. From the authors' own baseline it is {own:+.2f} points.
On the way up the network gets {flops["new"]} in place of {flops["old"]} billion multiply-adds, a teacher,
and with mixup 200 epochs in place of 120. Lesson 01 takes that apart.""")

# %% [markdown]
# Nine more pictures, one for each idea. Below each stands what it was worth, in points of accuracy: in the paper, on
# ImageNet (±: what two single runs of one recipe may be apart there, where that is known), and here, in runs of a few
# epochs and in long ones, against the same recipe without it, with the same n seeds. Our ± is a 95 % interval, and *not
# clear* means that it holds 0: lesson [C](C_when_to_believe.ipynb). The paper's numbers for pictures 6 to 9 are means
# of repeated runs, from its CVPR version; the ladder above has the single runs of the arXiv version, so the two differ.

# %% tags=["hide-input"]
LESSONS = {path.stem: "_".join(part for part in path.stem.split("_") if part.isdigit() or part.isupper())
           for path in (ROOT / "notebooks").glob("*.ipynb")}


def measured(pair, metric="accuracy"):
    """What the first arm is above the second, in words, from the records."""
    if pair is None:
        return "not recorded"
    found, new = statistics.compare(*map(arm, pair), metric), arm(pair[0])[0].recipe
    clear = "" if found.clear else ", not clear"
    much = f"{style.signed(found.mean)} ± {found.half:.2f}{clear}"
    return f"{much} ({new.epochs} epochs, n = {len(found.differences)})"


def worth(**rows):
    """A table: trick, its lesson, the paper's effect, two pairs of arms, and a metric where it is not accuracy."""
    table([
        {"trick": name.replace("_", " "), "paper": str(theirs).replace("-", "−"),
         "here, short": measured(short, *metric), "here, long": measured(long, *metric),
         "lesson": f"[{LESSONS[lesson]}]({lesson}.ipynb)"}
        for name, (lesson, theirs, short, long, *metric) in rows.items()
    ])


# %% [markdown]
# ## 2 A larger batch
#
# A batch four times as large leaves a quarter of the steps, so each step has to go four times as far: **linear
# scaling**, a learning rate η = 0.1 · b/256 for b pictures a step. A network with random weights cannot take such steps
# yet: **warm-up** lets the rate grow over the first epochs. The large batch saves time (with 16 bits, picture 4, an
# epoch on eight GPUs gets three times as fast); scaling and warm-up are there so that the accuracy stays.

# %% tags=["hide-input"]
def large_batch(batch_size=512, warmup_epochs=0.0):
    first = replace(recipe.BASELINE, epochs=120, lr=0.1, batch_size=256, first_decay=0.25)
    peak = schedules.scaled_lr(0.1, batch_size)
    return {"batch 256": first, "your batch": replace(first, lr=peak, warmup_epochs=warmup_epochs)}


def as_in_the_paper(batch_size, warmup_epochs):
    return batch_size == 1024 and warmup_epochs == 5


sliders(
    partial(schedule_plots.schedule, steps_per_epoch=10), large_batch,
    batch_size=[64, 128, 256, 512, 1024, 2048], warmup_epochs=(0.0, 20.0, 1.0),
    goal="Set the paper's efficient training: a peak of 0.4, reached after five epochs.",
    reached=as_in_the_paper, solution={"batch_size": 1024, "warmup_epochs": 5.0},
)

# %% tags=["hide-input"]
small, large = (paper.table("4")["Linear scaling"][f"BS{b}_top1"] for b in (256, 1024))
table_4 = partial(paper.effect, "4", column="BS1024_top1")
worth(
    larger_batch_with_scaled_rate=("03_1_large_batch_training", paper.resnet_50(round(large - small, 2)),
                                   ("large", "small"), ("large-long", "small-long")),
    warm_up=("03_1_large_batch_training", table_4("+ LR warmup", "Linear scaling"), ("large-warmup", "large"),
             ("large-long-warmup", "large-long")),
)

# %% [markdown]
# Our batch is eight times as large, on few pictures: a short run has too few steps left, and loses more than the
# paper's. Warm-up wins much of it back, in a long run most of it. So count the steps that are left before you enlarge
# the batch.
#
# ## 3 Where a block begins, and what decay should not touch
#
# **Zero γ**: the last batch norm of each residual block starts with the scale γ = 0, so that the block hands on what it
# was given and a deep network starts as a shallow one. **No bias decay**: weight decay (of strength λ) pulls weights to
# 0 and leaves biases and batch norm's scale and shift alone.

# %% tags=["hide-input"]
def block_against_shortcut(zero):
    """The norm of path A over that of path B in each of nine blocks, at the start, on noise."""
    torch.manual_seed(0)
    net, norms = build("resnet20", 10), {}
    blocks = [module for module in net.modules() if hasattr(module, "last_bn")]
    for block in blocks:
        nn.init.constant_(block.last_bn.weight, 0.0 if zero else 1.0)
        for part in (block.last_bn, block.shortcut):
            part.register_forward_hook(lambda part, _, out: norms.update({part: float(out.detach().norm())}))
    net(torch.randn(64, 3, 32, 32))
    return [norms[block.last_bn] / norms[block.shortcut] for block in blocks]


@style.styled
def at_the_start():
    fig, (left, right) = style.canvas(2, height=3.4, caption="computed · resnet20, random weights, noise as pictures")
    places = np.arange(1, 10)
    left.bar(places, block_against_shortcut(zero=False), color=style.COLOURS[0], label="γ = 1")
    left.plot(places, block_against_shortcut(zero=True), "o", color=style.COLOURS[1], label="γ = 0")
    left.set(xlabel="residual block", ylabel="‖block‖ / ‖shortcut‖", title="At the start")
    left.set(xticks=places, ylim=(-0.05, 1.5))
    steps = np.arange(20_000)
    right.plot(steps, (1 - 0.1 * 5e-4) ** steps, label="with decay")
    right.axhline(1, color=style.COLOURS[1], label="without")
    right.set(xlabel="step, η = 0.1, λ = 0.0005", ylabel="its value", title="A bias without a gradient", ylim=(0, 1.3))
    for ax in (left, right):
        ax.legend(loc="upper right", ncols=2)
    return fig


at_the_start()

# %% tags=["hide-input"]
worth(
    zero_γ=("03_1_large_batch_training", table_4("+ Zero gamma", "+ LR warmup"), ("large-zero", "large-warmup"),
            ("large-long-zero", "large-long-warmup")),
    no_bias_decay=("03_1_large_batch_training", table_4("+ No bias decay", "+ Zero gamma"),
                   ("large-no-bias", "large-zero"), ("large-long-no-bias", "large-long-zero")),
)

# %% [markdown]
# In a short run zero γ costs our network of three blocks a good deal: leave it off there. In a long one neither a gain
# nor a loss is resolved. No bias decay shows next to nothing here, and the paper's own row with it is lower: expect
# nothing from it.
#
# ## 4 Half the bits
#
# **Mixed precision** computes in numbers of 16 bits and keeps the weights in 32. It is a trick for speed. The price
# is that 16 bits have gaps, and an end: drag x.

# %% tags=["hide-input"]
def lost_in_fp16_only(value):
    fp16, bf16 = (float(form.round(value)) for form in (precision.FP16, precision.BF16))
    return fp16 == 0 != bf16


sliders(
    precision_plots.number_lines, value=(1e-9, 1e5), reached=lost_in_fp16_only, solution={"value": 1e-8},
    goal="Find an x that fp16 stores as 0, while bf16 keeps it.",
)

# %% tags=["hide-input"]
worth(mixed_precision=("03_2_low_precision", table_4("+ FP16", "+ No bias decay"), ("cosine-amp", "cosine"),
                       ("full-cosine-bfloat16", "full-cosine")))
minutes = [paper.table("3")["ResNet-50"][f"{which}_time_per_epoch"] for which in ("baseline", "efficient")]
print(f"paper, minutes per epoch with batch 1,024 and FP16: {minutes[1]:g} in place of {minutes[0]:g}")

# %% [markdown]
# No clear loss, in the paper or here. That is the result that was hoped for: the same accuracy in less time.
#
# ## 5 Pixels that nobody reads
#
# Where a ResNet halves its feature map, 1×1 convolutions with stride 2 read one position in four. **Tweak B** moves
# the stride of the main path (A) to its 3×3, **tweak D** puts a mean over 2×2 before the shortcut's (path B) 1×1.
# **Tweak C** is about the network's first layer: three 3×3 for a 7×7.

# %% tags=["hide-input"]
TWEAK = {"plain": {}}
for tweak in "BCD":
    TWEAK[tweak] = [*TWEAK.values()][-1] | {f"tweak_{tweak.lower()}": True}


@cache
def reading(tweak, path):
    """(8, 8): how much each input position counts in a path of the first block that halves, all weights being equal."""
    block = build("bottleneck14-pool", 10, **TWEAK[tweak]).stages[1][0].eval()
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    a = nn.Sequential(block.conv1, block.bn1, block.conv2, block.bn2, block.conv3, block.bn3)
    x = torch.ones(1, block.conv1.in_channels, 16, 16, requires_grad=True)
    (a if path == "path A" else block.shortcut)(x).sum().backward()
    middle = x.grad[0].sum(0)[4:12, 4:12]
    return middle / middle.mean()


@cache
def drawn_block(tweak):
    read = {path: float((reading(tweak, path) > 0).double().mean()) for path in ("path A", "path B")}
    return diagrams.block(build("bottleneck14-pool", 10, **TWEAK[tweak]).eval(), torch.zeros(1, 3, 64, 64), read)


def one_block(tweak="plain", path="path A"):
    return drawn_block(tweak), f"{tweak}, {path}", reading(tweak, path)


def both_read_all(tweak, path):
    return all(bool((reading(tweak, each) > 0).all()) for each in ("path A", "path B"))


sliders(
    tweaks.block_and_coverage, one_block, tweak=list(TWEAK), path=["path A", "path B"], reached=both_read_all,
    goal="Find the tweak with which neither path leaves anything unread.", solution={"tweak": "D"},
)

# %% tags=["hide-input"]
table_5 = partial(paper.effect, "5", column="top1")
worth(
    tweak_B=("04_model_tweaks", table_5("ResNet-50-B", "ResNet-50"), ("tweaks-b", "tweaks-plain"), None),
    tweak_C=("04_model_tweaks", table_5("ResNet-50-C", "ResNet-50-B"), ("tweaks-c", "tweaks-b"), None),
    tweak_D=("04_model_tweaks", table_5("ResNet-50-D", "ResNet-50-C"), ("tweaks-d", "tweaks-c"),
             ("full-efficient", "full-without-d")),
)

# %% [markdown]
# In our short runs (Imagenette: ten classes of ImageNet, at 64 px) only D's gain is clear, and it is one line: the
# first tweak to take. In the long ones, of a network without bottlenecks on CIFAR-10, it is smaller, near the paper's,
# and still clear. Three seeds cannot tell whether B and C gain.
#
# ## 6 The way down
#
# Large steps get far and stay noisy, small ones are quiet and slow. The old schedule divides the rate by 10 three
# times; **cosine decay** lowers it a little at every step. Behind for most of the run, ahead at its end:

# %% tags=["hide-input"]
long = {"step": arm("full-efficient"), "cosine": arm("full-cosine")}
theirs = {name: (xs, [100 * y for y in ys]) for name, (xs, ys) in ((name, paper.curve("3b", name)) for name in long)}
both = statistics.caption([run for runs in long.values() for run in runs], curve=True)
evidence.curves(long, paper=theirs, caption=f"paper: Fig. 3b, ImageNet. Ours: {both}")

# %% tags=["hide-input"]
table_6 = partial(paper.effect, "6", column="ResNet-50-D_top1")
worth(cosine_decay=("05_1_cosine_decay", table_6("+ cosine decay", "Efficient"), ("cosine", "efficient"),
                    ("full-cosine", "full-efficient")))

# %% [markdown]
# A clear gain in the short runs and in the long ones. There it is smaller, nearer to the paper's.
#
# ## 7 A target that can be reached
#
# A target of 1 for the right class asks for infinite logits. **Label smoothing** asks for 1 − ε, and shares ε among the
# other classes: the best logits are finite, the right one ahead of the others by a fixed margin.

# %% tags=["hide-input"]
def gap_of_six(eps, K):
    return abs(label_smoothing.theoretical_gap(eps, K) - 6) < 0.25 and K == 10


sliders(smoothing.optimal_gap, eps=(0.001, 0.9), K=[2, 10, 100, 1000], reached=gap_of_six, solution={"eps": 0.02},
        goal="With ten classes, find the ε whose best logit gap is 6, within 0.25.")

# %% tags=["hide-input"]
worth(label_smoothing=("05_2_label_smoothing", table_6("+ label smoothing", "+ cosine decay"),
                       ("smoothing-0.1", "cosine"), ("full-smooth", "full-cosine")))

# %% [markdown]
# A clear gain in the paper. Here both intervals hold 0. That of the short runs holds the paper's gain too and tells
# neither; that of the long ones does not: so much is not gained there. What smoothing does to the confidence *is*
# clear: lesson [5.2](05_2_label_smoothing.ipynb).
#
# ## 8 What a teacher tells
#
# A label says "cat". A larger trained network, the teacher, says how much of a dog this cat is. **Distillation** adds
# its softened answer to the loss; the temperature T sets how soft. (The teacher's logits here are made up.)

# %% tags=["hide-input"]
dataset = load_data()  # CIFAR-10 if it is here or can be fetched, else drawn pictures
MADE_UP = {  # class: a teacher's logits for the ten classes
    3: [0.5, -1.0, 1.5, 6.0, 2.0, 4.6, 2.2, 1.0, -0.5, -1.0],  # a cat that might be a dog
    8: [4.0, 1.2, 0.5, -1.0, -0.5, -1.5, -0.5, -1.0, 6.5, 1.5],  # a ship in front of a blue sky
    9: [0.2, 5.2, -1.0, -0.8, -1.0, -1.0, -0.8, 0.0, 1.0, 5.6],  # a lorry, or a car
}
shown = [int(np.flatnonzero(dataset.train.labels == label)[n]) for label, n in ((3, 22), (8, 1), (9, 0))]



def less_than_half_a_cat(temperature):
    return distillation.softmax(np.array(MADE_UP[3]) / temperature)[3] < 0.5


soft = partial(distillation.soft_targets, dataset.train.images[shown], [*MADE_UP.values()], [*MADE_UP], dataset.classes)
sliders(
    partial(soft, temperature=1.0), temperature=(1.0, 20.0, 0.5), reached=less_than_half_a_cat,
    goal="Find a T at which the teacher gives the cat less than half, and still more than any other class.",
    solution={"temperature": 3.0},
)

# %% tags=["hide-input"]
worth(distillation=("05_3_knowledge_distillation", table_6("+ distill w/o mixup", "+ label smoothing"),
                    ("distill", "smoothing-0.1"), ("full-distill", "full-smooth")))
for net in ("Inception-V3", "MobileNet"):
    print(f"paper, {net}: {paper.delta('6', '+ distill w/o mixup', '+ label smoothing', f'{net}_top1'):+.2f}")

# %% [markdown]
# A large gain here in short runs, and a small one in long ones. In the paper the same teacher, a ResNet, takes accuracy
# away from networks of another kind.
#
# ## 9 Pictures that do not exist
#
# **Mixup** trains on weighted means of two pictures and of their labels, with a weight λ that is drawn anew for each
# batch. Drag it.

# %% tags=["hide-input"]
pair = torch.from_numpy(dataset.train.images[shown[:2]])
one_hot = torch.eye(len(dataset.classes))[torch.from_numpy(dataset.train.labels[shown[:2]]).long()]


def mixture(lam=0.7):
    picture, target = mixup.mixup(pair, one_hot, lam, torch.tensor([1, 0]))
    return picture[0].numpy(), target[0].numpy()


sliders(partial(mixup_plots.mixed_pair, pair.numpy(), dataset.classes), mixture, lam=(0.0, 1.0))

# %% tags=["hide-input"]
longer = "200 epochs, not 120"
worth(mixup=("05_4_mixup", f"{table_6('+ mixup w/o distill', '+ label smoothing')}; {longer}",
             ("smooth-mixup", "smoothing-0.1"), ("full-mixup", "full-smooth-200")))

# %% [markdown]
# Mixup makes the task harder. A short run, which has not learnt its training pictures, loses by it; a long one does not
# show that loss. The paper gives it 80 epochs more, so its number is mixup *and* time; both together bring about as
# much here.
#
# ## 10 Does it help elsewhere?
#
# A network that was trained on ImageNet is the start of a detector or a segmenter. To the right: better at ImageNet.
# Up: better at the new task (mAP scores the boxes that a detector finds, mIoU the areas that a segmenter marks).

# %% tags=["hide-input"]
tasks = {"8": ("detection", "mAP"), "9": ("segmentation", "mIoU")}
panels = {
    f"Table {name}: {task}": (f"{metric}, %", {
        backbone: ([row["ImageNet_top1"]], [row[metric]])
        for backbone, row in zip(paper.table("8"), paper.table(name).values(), strict=True)})
    for name, (task, metric) in tasks.items()
}
segmentation.classifier_and_task(panels, "top-1 accuracy on ImageNet, %", caption=f"{paper.SOURCE}: one run each")

# %% tags=["hide-input"]
found = paper.Effect(paper.delta("8", "+ distill w/ mixup", "B-standard", "mAP"))
outlined = paper.Effect(paper.delta("9", "+ mixup w/ distill", "B-standard", "mIoU"))
worth(
    all_tricks_and_detection_in_mAP=("06_1_object_detection", found, ("detection-distill-mixup", "detection-standard"),
                                     None, "map_50"),
    all_tricks_and_segmentation_in_mIoU=("06_2_semantic_segmentation", outlined,
                                         ("segmentation-distill-mixup", "segmentation-standard"), None, "miou"),
)

# %% [markdown]
# The detector follows the classifier. The segmenter is best with cosine decay alone: label smoothing takes back what
# cosine had added, with a teacher or without, and mixup takes more. On our street scenes the whole bag's gain is clear
# for the detector, if only just, and not for the segmenter. So choose a network at its own task.
#
# ## Train it yourself
#
# The loop that lesson 02 writes from zero in plain PyTorch, on a fifth of CIFAR-10's pictures, for eight epochs: once
# as it is, once with the two lines whose tricks stand out in our short runs, cosine decay and tweak D. Expect the
# second to end some points ahead. It is one seed, so the size will be another on your machine; and before the end it
# may be behind.

# %%
plain = loop()
changed = loop({
    "return peak * 0.1 ** sum(done >= share for share in (1 / 2, 2 / 3, 5 / 6))":
        "return peak * (1 + math.cos(math.pi * done)) / 2",
    "self.shortcut = conv(inputs, outputs, 1, stride)":
        "self.shortcut = nn.Sequential(nn.AvgPool2d(stride, stride), conv(inputs, outputs, 1))",
})

# %% tags=["hide-input"]
data = pictures(dataset)
words = f"live, seed 0 · the loop of lesson 02, batch 64 · {len(data[0][1]):,} pictures · {dataset.source}"
ended = race({"plain": plain.train, "two lines": changed.train}, data, caption=words, batch_size=64)

# %% tags=["hide-input"]
first, second = (ended[name][-1]["test_accuracy"] for name in ("plain", "two lines"))
recorded = statistics.compare(arm("cosine"), arm("efficient"))
print(f"One seed: {first:.1f} % as it is, {second:.1f} % with the two lines, {second - first:+.1f} points,", end=" ")
print(f"on {len(data[1][1]):,} test pictures.")
if second - first < 1:
    print("The records say more than that. One run of each is no evidence either way.")
print(f"Recorded, cosine decay alone: {recorded}.")

# %% [markdown]
# ## Conclusion

# %% tags=["hide-input"]
kept, top, bottom = (arm(f"ladder-{name}") for name in ("kept", "all", "baseline"))
many, few_tricks, mixed = (arm(f"full-{name}") for name in ("standard", "cosine", "distill-mixup"))
removed = statistics.plus_minus(statistics.errors_removed(top, bottom), 0)
conclusion(
    mechanism="""None of the tricks is a new idea of what a network is. They change the steps that training takes
        (batch, rate, warm-up, cosine), where it starts (zero γ), what it aims at (smoothing, teacher, mixup), what is
        read (B, C, D), and what a step costs (FP16).""",
    paper=f"""{rungs["ResNet-50, as published"]} → {rungs["§5.4 mixup"]} % on ImageNet, {gain:+.2f} points, {over:+.2f}
        above SE-ResNeXt-50; {own:+.2f} from the authors' own baseline, for a tenth more multiply-adds, a teacher, and
        80 more epochs.""",
    short=f"""The whole bag, {top[0].recipe.epochs} epochs of all pictures: {ours}; {removed} % of the baseline's errors
        removed. Without zero γ and mixup, which were chosen against on held-out pictures:
        {statistics.compare(kept, bottom)}.""",
    long=f"""{many[0].recipe.epochs} epochs of a fifth of the pictures: with the tricks up to cosine decay
        {statistics.compare(few_tricks, many)}; with smoothing, mixup and a teacher too, and {mixed[0].recipe.epochs}
        epochs, {statistics.compare(mixed, many)}.""",
    use="""Start with what costs nothing and seldom harms: cosine decay, warm-up with a larger rate, tweak D, 16 bits.
        Add a teacher if you can pay for one; mixup and smoothing if the network fits its training pictures.""",
    harms="""You copy the whole bag. Zero γ and mixup cost our short runs points, a ResNet teacher cost MobileNet
        points in the paper, and smoothing, teacher and mixup took from segmentation what cosine decay had given.""",
)

# %% [markdown]
# ## Questions
#
# 7 minutes with the exercise. A wrong answer does not stop anything.

# %% tags=["hide-input"]
quiz("75.3 → 79.29: better training of one and the same ResNet-50. What else is in that number?", {
    "Nothing: network, team and data are the same": (
        False, "Tweaks B, C and D change its stem and its blocks, for about a tenth more multiply-adds."),
    "The blocks are changed, a larger network helps as a teacher, and the first number is another team's": (
        True, "Each of the three is in the number. From the authors' own baseline it is 3.42 points."),
    "It is an average of several networks: the tricks are stacked": (
        False, "Stacked means added to one network one after the other. No predictions are averaged."),
})
quiz("The FP16 row of Table 4 is 0.18 points above the one before. What was the trick for?", {
    "Accuracy: fewer bits regularise": (
        False, "Two runs of one recipe differ by that much. The paper claims time, not accuracy."),
    "Time: the accuracy should stay where it was, and it does": (
        True, "A third of the time per epoch, together with the larger batch."),
    "Memory: all weights are kept in 16 bits": (
        False, "Weights are kept in 32 bits, or small updates would be lost. Mixed precision is the name."),
})
quiz("Label smoothing: our interval holds 0, and the paper has a gain. What follows?", {
    "It does nothing for small networks": (
        False, "An interval that holds 0 also holds gains. It excludes only large ones."),
    "The paper was lucky": (False, "Its repeated runs at CVPR agree. Another network, other data: another question."),
    "Not seen with these seeds at this budget; more of either could show it": (
        True, "A null is said as a null, with what it would take to see it. Lesson C computes that."),
})
quiz("Zero γ helped the paper's ResNet-50 and cost our network points. What is the best next step?", {
    "Leave it out everywhere": (False, "ResNet-50 has sixteen blocks and long training, ours three and little of it."),
    "Use it: the paper is ImageNet": (False, "Your network and budget decide. That is what a run of your own tells."),
    "Try it on held-out pictures, with the network and the budget that will be used": (
        True, "A trick is worth something inside a procedure. That is the course's main lesson."),
})

# %% [markdown]
# **Bug hunt** (2 minutes, easy). Mixup of two pictures. Which line is wrong?

# %% tags=["hide-input"]
def both_labels_are_there(names):
    _, y = names["mixed"](np.array([0.0, 1.0]), np.eye(2), 0.7)
    assert abs(y[0, 0] - 0.7) < 1e-9, f"a picture that is 0.7 of the first has {y[0, 0]:.1f} of its label"


bug_hunt(
    """
def mixed(x, y, lam):
    partner = [1, 0]
    x = lam * x + (1 - lam) * x[partner]
    y = y[partner]
    return x, y
""",
    wrong="y = y[partner]",
    right="y = lam * y + (1 - lam) * y[partner]",
    why="The picture is mixed and the label is not: it is the other picture's.",
    test=both_labels_are_there,
)

# %% [markdown]
# **Exercise** (2 minutes, easy). η = 0.1 was tuned for batches of 256. What is it for b pictures, by linear scaling?
# Put your answer in place of the dots and run the cell: it says *not yet*, *different* and where, or *correct*.


# %%
def scaled(b):
    # solution
    return 0.1 * b / 256


check("linear scaling", scaled, lambda b: schedules.scaled_lr(0.1, b), [256, 1024, 64],
      hint="Four times the batch, four times the rate: 0.4 at 1,024.")

# %% [markdown]
# Solutions are in the notebook of the same name in `notebooks/solutions/`.
#
# ## How to go on
#
# | you | start with |
# |---|---|
# | want the paper, in its order | [01](01_introduction.ipynb), [02](02_training_procedures.ipynb), then by section |
# | train networks, and want to know what to switch on | [07](07_conclusion.ipynb), then the lessons that it names |
# | never wrote a training loop | [A](A_background.ipynb): the words; [02](02_training_procedures.ipynb): the loop |
# | doubt the numbers | [C](C_when_to_believe.ipynb), then [B](B_paper_vs_code.ipynb): paper against code |
# | want to play | [08](08_trick_lab.ipynb): your own recipe under sliders |
# | know the bag, and ask what came later | [09](09_after_the_bag.ipynb): each later trick on top of it |
# | lead a group | `docs/session_plan.md` |
#
# After 01 and 02 each lesson stands on its own. Each goes the same way: a guess, the trick by hand, under a slider,
# in the loop, in the library; then the evidence, a conclusion, and questions. A live run is one seed and carries no
# claim.
#
# *Where things are*: a trick is a file in `tricks/`, the loop is `tricks/train.py`, records are in `data/runs/`,
# pictures for slides in `figures/`. The button under a panel writes what you set into `figures/own/`.
#
# ## Is everything here?
#
# Without CIFAR-10 the course draws pictures of its own, and says so. The environment variable `TRICKS_BUDGET` (smoke,
# quick or full) sets how much a lesson computes.

# %% tags=["hide-input"]
device = process.device()
home = "the course's .venv" if Path(sys.executable).is_relative_to(ROOT / ".venv") else "an environment of your own"
dtype = str(precision.amp_dtype(device)).removeprefix("torch.")
records = store.load_all()
made_on = Counter("a GPU" if run.meta["device"].startswith("NVIDIA") else "a CPU" for run in records)
print(f"python   {sys.version_info.major}.{sys.version_info.minor} in {home}; ./course info shows its path")
print(f"device   {device}; mixed precision would use {dtype}")
print(f"images   {len(dataset.train.labels):,} training and {len(dataset.test.labels):,} to test on, {dataset.source}")
print(f"budget   {budget()}")
print(f"records  {len(records)} runs in data/runs:", ", ".join(f"{n} made on {made}" for made, n in made_on.items()))

# %% [markdown]
# Nobody has run this course on ImageNet, on several GPUs, on Windows or on macOS; the code for it is there. The
# README says what has been run and where.

# %% [markdown]
# ## Deeper: a recipe, a run, a record
#
# A recipe and a seed are the whole experiment. `BASELINE` has every trick switched off, and a trick is one changed
# field. A recipe refuses a value that makes no sense:

# %%
cosine = replace(recipe.BASELINE, schedule="cosine")
print("one trick:", recipe.changes(cosine, recipe.BASELINE))
try:
    replace(recipe.BASELINE, label_smoothing=1.5)
except ValueError as error:
    print("refused:", error)

# %% [markdown]
# Most short runs above start from the recipe that is called `cosine`. Its network, *resnet8*, is a first convolution,
# three residual blocks of two 3×3 convolutions, and a linear layer. Here is how it differs from `BASELINE`, and its
# recorded runs: each is a file with its recipe, its seed and a row per epoch, found by the *value* of the recipe. The
# result is that of the last epoch, on all test pictures.

# %% tags=["hide-input"]
new = recipe.changes(recipe_of("cosine"), recipe.BASELINE)
table([{"field": field, "BASELINE": getattr(recipe.BASELINE, field), "cosine": new[field]} for field in new])
runs = arm("cosine")
print("test accuracy, %, seed by seed:", *(f"{run.accuracy:.2f}" for run in runs))
evidence.curves({"recorded, one thin line per seed": runs}, caption=statistics.caption(runs, curve=True))

# %% [markdown]
# The schedule of this run, as the library has it, and one picture of each class, as the network gets it:

# %% tags=["hide-input"]
show(schedules.cosine_lr)
one_each = [int(np.flatnonzero(dataset.train.labels == k)[0]) for k in range(len(dataset.classes))]
preprocessing.images_grid(dataset.train.images[one_each], dataset.classes, columns=5, caption=dataset.source)

# %% [markdown]
# ## For discussion
#
# 1. Which trick surprised you most, by its gain or by having none here? What would change your mind?
# 2. 79.29 against 78.90: would the rivals gain from the same bag? What does that say about the race?
# 3. Your budget is two trainings. Which two tricks would you try first, and what would you hold them against?
