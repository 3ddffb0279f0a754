# %% [markdown]
# # 1 Introduction: what a trick is worth
#
# **Claim.** The paper's headline is 75.3 → 79.29 % on ImageNet with one network, ResNet-50. The first number is
# another paper's. From the authors' own baseline to their best row it is 3.42 points, a seventh of the errors, and on
# the way the network, the length of training and the source of the targets change too. What a single trick seems to
# be worth depends on the order in which the tricks are added, and on how far apart two runs of the same recipe are.
# This lesson computes all of that.
#
# After this lesson you can
# 1. redraw the paper's results as one ladder, and say what else changes at each rung;
# 2. read an ablation: cumulative or leave-one-out, and why the two disagree;
# 3. say how many seeds it takes to see a difference of a given size;
# 4. give a verdict on a trick from paired runs, in the words that the course uses throughout.
#
# *Time:* 35 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §1, Tables 1–6.

# %% tags=["hide-input"]
import math
import statistics
from functools import partial
from itertools import pairwise, permutations

import torch
from IPython.display import display
from scipy.special import chdtri, stdtrit

from tricks import ROOT, recipe
from tricks.course.lesson import live_run, load_data, show, slide, sliders, table, verdicts
from tricks.course.questions import check, predict
from tricks.models import resnet
from tricks.plots import diagrams, evidence, ladder, style
from tricks.records import paper
from tricks.records.statistics import (
    WORDS,
    Comparison,
    caption,
    compare,
    errors_removed,
    power,
    same_seeds,
    seeds_for,
    t_interval,
)
from tricks.studies.studies import arm, recipe_of, study

# %% [markdown]
# ## The ladder
#
# The paper spreads its results for ResNet-50 over four tables. Each table starts where the one before ends, so they
# join into one ladder. Read it from below: a bar goes from the accuracy of the rung under it to its own.

# %%
RUNGS = {  # label: table, row, column
    "baseline, batch 256": ("2", "ResNet-50", "baseline_top1"),
    "batch 1024, linear scaling": ("4", "Linear scaling", "BS1024_top1"),
    "+ warm-up": ("4", "+ LR warmup", "BS1024_top1"),
    "+ zero γ": ("4", "+ Zero gamma", "BS1024_top1"),
    "+ no bias decay": ("4", "+ No bias decay", "BS1024_top1"),
    "+ FP16": ("4", "+ FP16", "BS1024_top1"),
    "+ tweak B": ("5", "ResNet-50-B", "top1"),
    "+ tweak C": ("5", "ResNet-50-C", "top1"),
    "+ tweak D": ("5", "ResNet-50-D", "top1"),
    "+ cosine decay": ("6", "+ cosine decay", "ResNet-50-D_top1"),
    "+ label smoothing": ("6", "+ label smoothing", "ResNet-50-D_top1"),
    "+ distillation": ("6", "+ distill w/o mixup", "ResNet-50-D_top1"),
    "+ mixup": ("6", "+ distill w/ mixup", "ResNet-50-D_top1"),
}
theirs = {label: paper.table(name)[row][column] for label, (name, row, column) in RUNGS.items()}
assert theirs["+ FP16"] == paper.table("5")["ResNet-50"]["top1"]  # Table 5 starts where Table 4 ends,
assert theirs["+ tweak D"] == paper.table("6")["Efficient"]["ResNet-50-D_top1"]  # and Table 6 where Table 5 ends
tables = f"{paper.SOURCE}, Tables 2, 4, 5 and 6, ResNet-50. One run for each rung"
ladder.ladder({"paper, ImageNet": theirs}, caption=tables)

# %% [markdown]
# Two rungs go down. A larger batch costs accuracy, which warm-up and zero γ win back; no bias decay costs some again.
# Section 3 is about speed first of all: its gain is that an epoch takes a third of the time (Table 3).
#
# ### 75.3 or 75.87?
#
# Table 1 sets the best row beside the ResNet-50 of the ResNet paper, 75.3 %. The same network trained by the authors
# *before any trick* has 75.87 % (Table 2). That difference belongs to the procedure of section 2.

# %%
top, own = theirs["+ mixup"], theirs["baseline, batch 256"]
for start, whose in ((paper.table("1")["ResNet-50"]["top1"], "another paper's"), (own, "the authors' own")):
    gain, errors = top - start, 100 - start
    print(f"{start:.2f} → {top:.2f}, from {whose} baseline: {gain:+.2f} points, {gain / errors:.1%} of its errors")

ENDS = {"§3": "+ FP16", "§4": "+ tweak D", "§5.1": "+ cosine decay", "§5.2": "+ label smoothing", "§5.3–5.4": "+ mixup"}
gains = [b - a for a, b in pairwise([own, *(theirs[label] for label in ENDS.values())])]
print("own gain, by section:", ", ".join(f"{part} {gain:+.2f}" for part, gain in zip(ENDS, gains, strict=True)))

# %% [markdown]
# ### The network on the ladder
#
# The paper's Fig. 1. A ResNet-50 is a stem, four stages of residual blocks, and an output: the mean over all positions,
# then a linear layer. From left to right the map gets smaller and its channels more. A residual block has two paths
# whose results are added; path B is the input itself where nothing has to be halved. Most of our own runs have a
# smaller one, resnet8: choose it, and look where its parameters are.

# %% tags=["hide-input"]
def network_of(net="resnet50"):
    side, classes = (224, 1000) if net == "resnet50" else (32, 10)
    with torch.device("meta"):  # shapes without numbers
        return diagrams.network(resnet.build(net, classes).eval(), torch.empty(1, 3, side, side))


sliders(partial(diagrams.diagram, caption=diagrams.NOTATION), network_of, net=["resnet50", "resnet8"])

# %% [markdown]
# ### What else changes on the way up
#
# "ResNet-50" is at the bottom and at the top, and the run is another one. The column of multiply-adds is Table 5's,
# in 10⁹ for one picture; the rest is from §2.1, §3 and §5.5.

# %%
flops = {net: row["FLOPs"] for net, row in paper.table("5").items()}
plain, d = flops["ResNet-50"], flops["ResNet-50-D"]
NOTES = {  # rungs: multiply-adds, batch size, precision, epochs, teacher
    ("baseline, batch 256",): (plain, 256, "FP32", 120, ""),
    ("batch 1024, linear scaling", "+ warm-up", "+ zero γ", "+ no bias decay"): (plain, 1024, "FP32", 120, ""),
    ("+ FP16",): (plain, 1024, "FP16", 120, ""),
    ("+ tweak B",): (flops["ResNet-50-B"], 1024, "FP16", 120, ""),
    ("+ tweak C",): (flops["ResNet-50-C"], 1024, "FP16", 120, ""),
    ("+ tweak D", "+ cosine decay", "+ label smoothing"): (d, 1024, "FP16", 120, ""),
    ("+ distillation",): (d, 1024, "FP16", 120, "ResNet-152-D"),
    ("+ mixup",): (d, 1024, "FP16", 200, "ResNet-152-D, with mixup"),
}
assert [label for labels in NOTES for label in labels] == list(theirs)
columns = ("multiply-adds, 10⁹", "batch size", "precision", "epochs", "teacher")
table([
    {"rung": ", ".join(labels), "top-1, %": ", ".join(f"{theirs[label]:.2f}" for label in labels),
     **dict(zip(columns, values, strict=True))}
    for labels, values in NOTES.items()
])
print(f"multiply-adds of all training, top ÷ bottom: {d * 200 / (plain * 120):.2f}, and the teacher's on top of that")

# %% [markdown]
# So two rungs are not one change. *Distillation* brings a second, larger network that looks at every training
# picture. *Mixup* brings 80 more epochs, which no row without mixup has: Table 6 cannot say how much of that rung is
# mixup and how much is time.
#
# ### Before you go on: predict
#
# Our own version of the ladder has a small network, CIFAR-10 and few epochs, with the learning rate chosen on
# held-out pictures. By how much is the recipe with warm-up, zero γ, no bias decay, tweak D and cosine decay above the
# plain procedure? The paper's gain for these (with B, C and FP16, which ours does not have):

# %%
print(f"paper, baseline to cosine decay: {theirs['+ cosine decay'] - own:+.2f} points")
guess = predict("Change in test accuracy", low=-5, high=10)

# %% [markdown]
# ## What an ablation is
#
# An *ablation* takes parts out of a system, or adds them, to learn what each is worth. Tables 4, 5 and 6 are
# **cumulative**: each row has everything of the rows above it, except Table 6's mixup without distillation. The other
# common form is **leave-one-out**: from the complete recipe, take out one trick at a time.
#
# By hand, on 100 test pictures. The plain network gets 30 of them wrong. Trick A repairs six of these, trick B five,
# and two of the pictures are repaired by either:

# %%
A, B = set(range(0, 6)), set(range(4, 9))  # numbers of the pictures that each repairs
none, only_a, only_b, both = (70 + len(repaired) for repaired in (set(), A, B, A | B))
interaction = (both - only_b) - (only_a - none)
print(f"accuracy: none {none}, with A {only_a}, with B {only_b}, with both {both}")
print(f"A first:        A {only_a - none:+d}, then B {both - only_a:+d}")
print(f"B first:        B {only_b - none:+d}, then A {both - only_b:+d}")
print(f"leave-one-out:  A {both - only_b:+d}, B {both - only_a:+d}; the two together are {both - none:+d}")
print(f"interaction:    {interaction:+d}, minus the {len(A & B)} pictures that both repair")
assert interaction == -len(A & B) == (both - none) - (only_a - none) - (only_b - none)

# %% [markdown]
# Every number is right, and "what is A worth?" has two answers, +6 and +4. The **interaction** is the difference
# between what the two gain together and the sum of what each gains alone. Two tricks against the same errors have a
# negative one. Two tricks that need each other, such as a larger learning rate and warm-up, have a positive one. A
# ladder gives the overlap to whoever comes first. Leave-one-out gives it to nobody, so its numbers need not add up.
#
# Drag the interaction of two tricks that gain 0.36 and 0.84 points alone. Below which interaction does leave-one-out
# say that a trick does harm, although alone it brings a gain?

# %%
names = ("distillation", "mixup")
sliders(partial(ladder.two_orders, 0.36, 0.84, names=names), interaction=(-1.0, 1.0))

# %% [markdown]
# Two more settings as still pictures: a large overlap, and two tricks that need each other. The mean over both orders
# depends on no order, and adds up to the whole.

# %%
display(*(ladder.two_orders(0.36, 0.84, interaction, names=names) for interaction in (-0.6, 0.6)))

# %% [markdown]
# The names and gains in the picture are the paper's. Table 6 has smoothing, smoothing with distillation, smoothing
# with mixup, and all three: both orders, for each of three networks.

# %%
DISTILL, MIXUP, BOTH = "+ distill w/o mixup", "+ mixup w/o distill", "+ distill w/ mixup"
rows = []
for net in ("ResNet-50-D", "Inception-V3", "MobileNet"):
    gain = partial(paper.delta, "6", column=f"{net}_top1")
    alone = {"distillation": gain(DISTILL, "+ label smoothing"), "mixup": gain(MIXUP, "+ label smoothing")}
    last = {"distillation": gain(BOTH, MIXUP), "mixup": gain(BOTH, DISTILL)}
    rows.append({"network": net, **{f"{trick} first": f"{value:+.2f}" for trick, value in alone.items()},
                 **{f"{trick} last": f"{value:+.2f}" for trick, value in last.items()},
                 "interaction": f"{last['mixup'] - alone['mixup']:+.2f}"})
table(rows)

# %% [markdown]
# For ResNet-50-D, distillation is worth 0.36 points or 0.14, mixup 0.84 or 0.62. The ladder above goes up by one of
# the two ways. Before anyone explains these interactions, there is a question to ask: would a second run give the
# same ones?
#
# ## Error bars
#
# The arXiv version of the paper has one run for each row. The version printed at CVPR 2019 repeats the ResNet-50-D
# column of Table 6 as mean ± standard deviation. We have that table but not the number of runs behind it, so we take
# its ± for the spread of single runs. A dot is the change of the means; the bar is where about 95 of 100 *single
# pairs* of runs would put it, ± 1.96 √(s₁² + s₂²). The diamond is the arXiv version's pair.

# %%
PAIRS = {
    "cosine decay": ("+ cosine decay", "Efficient"),
    "label smoothing": ("+ label smoothing", "+ cosine decay"),
    "distillation": (DISTILL, "+ label smoothing"),
    "mixup": (MIXUP, "+ label smoothing"),
    "distillation after mixup": (BOTH, MIXUP),
}


@style.styled
def one_pair_of_runs():
    caption = f"{paper.SOURCE}, and Table 6 of the CVPR 2019 version: ResNet-50-D, ImageNet"
    fig, ax = style.canvas(height=3.4, caption=caption)
    for place, (new, old) in enumerate(PAIRS.values()):
        first = place == 0  # one entry in the legend
        mean = paper.delta("6 (CVPR)", new, old, "ResNet-50-D_top1_mean")
        sd = math.hypot(*(paper.table("6 (CVPR)")[row]["ResNet-50-D_top1_std"] for row in (new, old)))
        single = paper.delta("6", new, old, "ResNet-50-D_top1")
        cvpr, arxiv = ({"color": colour, "label": label if first else ""}
                       for colour, label in zip(style.COLOURS, ("CVPR", "arXiv"), strict=False))
        ax.errorbar(mean, place, xerr=1.96 * sd, fmt="o", capsize=4, **cvpr)
        ax.plot(single, place, "D", fillstyle="none", markersize=9, **arxiv)
        print(f"{list(PAIRS)[place]:<25} arXiv {single:+.2f}, CVPR {mean:+.2f}, bar ± {1.96 * sd:.2f}")
    ax.axvline(0, color=style.GREY, linewidth=1)
    ax.set(xlabel="difference, points of top-1 accuracy", yticks=range(len(PAIRS)), yticklabels=PAIRS, ylim=(4.5, -0.5))
    fig.legend(loc="outside upper left", ncols=2)
    return fig


one_pair_of_runs()

# %%
for version, suffix in (("6", ""), ("6 (CVPR)", "_mean")):
    cells = paper.table(version)
    smooth, distill, mixup, everything = (
        cells[row][f"ResNet-50-D_top1{suffix}"] for row in ("+ label smoothing", DISTILL, MIXUP, BOTH)
    )
    print(f"Table {version:<9} interaction of distillation and mixup {everything - distill - mixup + smooth:+.2f}")
spreads = [paper.table("6 (CVPR)")[row]["ResNet-50-D_top1_std"] for row in ("+ label smoothing", DISTILL, MIXUP, BOTH)]
print(f"standard deviation of this sum of four single runs: {math.hypot(*spreads):.2f}")

# %% [markdown]
# With single runs, the cosine's gain came out more than half as large again as with means, and the interaction had
# the other sign. How much the order of these two tricks matters, the paper's runs are too few to show.
#
# ### A difference by hand
#
# How do we compare? Seed by seed: the same seed means the same first weights, order of pictures and crops in both
# arms. Here are label smoothing's runs and those without it. The half-width is t · s/√n, with s the standard
# deviation of the n differences and Student's t for n − 1 degrees of freedom (lesson 00).

# %%
new, old = same_seeds({"new": arm("smoothing-0.1"), "old": arm("cosine")}).values()
differences = [b.accuracy - a.accuracy for a, b in zip(old, new, strict=True)]
n, mean, s = len(differences), statistics.mean(differences), statistics.stdev(differences)
t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}[n]
print("seed by seed:", *(f"{d:+.2f}" for d in differences))
print(f"by hand:      {mean:+.3f} ± {t * s / math.sqrt(n):.3f}")
print(f"the library:  {compare(new, old)}")
assert math.isclose(compare(new, old).half, t * s / math.sqrt(n), rel_tol=1e-3)
show(compare)
show(paper.effect)
show(Comparison.against)

# %% [markdown]
# `against` gives the four verdicts of this course. **The paper's effect is within its own noise** if it is smaller than
# the bars above: then it has no sign to compare with. **Not resolved here** if our interval holds 0. **Same sign** or
# **opposite sign** otherwise. Beside *same sign* stands how many times the paper's our difference is. That number is no
# verdict: our networks, pictures and epochs are not the paper's.
#
# The paper's noise is known for Table 6 and ResNet-50-D alone. There we take the means of the CVPR version, with ± for
# a single pair of runs: wide, because nobody says how many runs a mean has. Top-1 of ResNet-50 in Tables 4 and 5 is one
# run each. We lend it the spread of Table 6's six rows, pooled: the same network, but for the tweaks, on the same test
# images. All other numbers, those of other networks, data and tasks, are one run each with a noise that nobody knows.
#
# And like is compared with like. A rung that changes something else in the paper than here, or leave-one-out beside a
# gain on the way up, has **no verdict**, and the table says why.
#
# ### What one run can hide
#
# First the spread: how far apart are the seeds of one recipe? Pairing helps as far as the two arms' accuracies go up
# and down together; the last column shows how much of the spread is left in the differences.

# %%
reference = arm("cosine")
spread = statistics.stdev([run.accuracy for run in reference])
n = len(reference)
low, high = (spread * math.sqrt((n - 1) / chdtri(n - 1, q)) for q in (0.025, 0.975))
print(f"cosine, {n} seeds: sd {spread:.2f} points; 95 % interval of the sd itself: {low:.2f} to {high:.2f}")
rows, sds = [], []
for name in ("smoothing-0.05", "smoothing-0.1", "smoothing-0.2", "smoothing-0.4"):
    new, old = same_seeds({"new": arm(name), "old": reference}).values()
    unpaired = math.hypot(*(statistics.stdev([run.accuracy for run in runs]) for runs in (new, old)))
    sds.append(statistics.stdev(compare(new, old).differences))
    rows.append({"arm": name, "√(s₁² + s₂²)": f"{unpaired:.2f}", "sd of paired differences": f"{sds[-1]:.2f}"})
table(rows)
sd = math.sqrt(statistics.mean(s**2 for s in sds))
print(f"sd of one paired difference, the four pooled: {sd:.2f} points")

# %% [markdown]
# A standard deviation from a handful of runs is itself uncertain: look at its interval. With that reservation, how
# many seeds does it take? Let the true difference be d and the standard deviation of one paired difference s. The
# share of studies whose interval excludes 0 is called the *power*; it follows exactly from the noncentral F
# distribution:

# %%
show(power)
show(seeds_for)
for effect in (0.2, 0.4, 0.8, 1.6):
    print(f"d = {effect} points, s = {sd:.2f}: clear in {power(effect, sd, 5):4.0%} of studies of 5 seeds", end="; ")
    print(f"80 % takes {seeds_for(effect, sd)} seeds")

# %% [markdown]
# Drag the spread s, the difference d and the number of seeds. Which differences can three seeds see, and which five?
# When does a single pair of runs, which is what most tables show, have the wrong sign?

# %%
needed = partial(ladder.seeds_needed, sd=round(sd, 2), effect=0.4)
sliders(needed, sd=(0.05, 2.0, 0.05), effect=(0.0, 2.0, 0.05), n=(2, 40))

# %% [markdown]
# Two more settings as still pictures: our spread and a difference of one point; and the spread of two rows in the
# CVPR table with a difference of 0.4 points, which is what smoothing adds in the paper's Table 6.

# %%
theirs_sd = math.hypot(*(paper.table("6 (CVPR)")[row]["ResNet-50-D_top1_std"] for row in PAIRS["label smoothing"]))
display(ladder.seeds_needed(sd, 1.0, 5, caption=f"s = {sd:.2f}, of our records; d = 1"))
theirs_caption = f"s = {theirs_sd:.2f}, Table 6 of the CVPR 2019 version; d = 0.4"
display(ladder.seeds_needed(theirs_sd, 0.4, 5, caption=theirs_caption))

# %% [markdown]
# ## Our own first comparison
#
# What we have to compare with. Each number is from a recipe, a record, the paper, or counted on the network:

# %% tags=["hide-input"]
baseline, efficient, cosine = same_seeds({name: arm(name) for name in ("baseline", "efficient", "cosine")}).values()
trained, meta = recipe_of("cosine"), cosine[0].meta
seen = meta["train_images"] * trained.epochs
tweaks = {key: value for key, value in trained.to_dict().items() if key.startswith("tweak_")}
ours_flops = resnet.multiply_adds(resnet.build(trained.net, 10, **tweaks), trained.image_size)
table([
    {"what": "network", "paper": "ResNet-50-D", "ours": f"{trained.net}, tweak D"},
    {"what": "parameters, 10⁶", "paper": f"{paper.table('5')['ResNet-50-D']['params']:.0f}",
     "ours": f"{meta['parameters'] / 1e6:.2f}"},
    {"what": "multiply-adds a picture, 10⁶", "paper": f"{1000 * d:,.0f}", "ours": f"{ours_flops / 1e6:.1f}"},
    {"what": "data, classes", "paper": "ImageNet, 1000", "ours": f"{meta['source']}, 10"},
    {"what": "picture's side, px", "paper": "224", "ours": f"{trained.image_size}"},
    {"what": "training pictures", "paper": "1,300,000", "ours": f"{meta['train_images']:,}"},
    {"what": "epochs", "paper": "120, with mixup 200", "ours": f"{trained.epochs}"},
    {"what": "pictures seen, paper ÷ ours", "paper": f"{1.3e6 * 120 / seen:,.0f}", "ours": "1"},
    {"what": "batch size", "paper": "1024", "ours": f"{trained.batch_size}"},
    {"what": "device", "paper": "8 V100 GPUs", "ours": f"{meta['device']}, threads: {meta['threads']}"},
    {"what": "runs for each number", "paper": "1", "ours": f"{len(cosine)}"},
])

# %% [markdown]
# A comparison is only as good as its baseline. Ours is the plain procedure of section 2, with what a learning rate
# and the time of its first division can do for it, tried on 5,000 held-out training pictures. The other two had the
# same kind of search. `efficient` has the changes of sections 3 and 4 that this network can have; `cosine` has one
# more.

# %%
for name, pilot in (("baseline", "pilot_baseline"), ("efficient", "pilot_step"), ("cosine", "pilot")):
    tried = [arm(trial)[0] for trial in study(pilot).arms]
    best = max(tried, key=lambda run: run.accuracy).recipe
    assert (best.lr, best.first_decay) == (recipe_of(name).lr, recipe_of(name).first_decay)
    steps = f", first division after {best.first_decay:.0%} of the run" if best.schedule == "step" else ""
    print(f"{name}: best of {len(tried)} settings has lr {best.lr}{steps}")
for new, old in (("efficient", "baseline"), ("cosine", "efficient")):
    print(f"{new} − {old}: {recipe.changes(recipe_of(new), recipe_of(old))}")

# %%
single = partial(paper.resnet_50, unlike="the paper's has B, C and a larger batch, too")
FIRST = {
    "efficient − baseline": (compare(efficient, baseline), single(theirs["+ tweak D"] - own)),
    "cosine − baseline": (compare(cosine, baseline), single(theirs["+ cosine decay"] - own)),
    "cosine − efficient": (compare(cosine, efficient), paper.effect("6", *PAIRS["cosine decay"], "ResNet-50-D_top1")),
}
verdicts(FIRST)
for label, new in (("efficient − baseline", efficient), ("cosine − baseline", cosine)):
    share, half = t_interval(errors_removed(new, baseline))
    interval, gain = f" ± {half:.1f}" if math.isfinite(half) else "", FIRST[label][1].delta
    print(f"{label}, errors removed: ours {share:.1f}{interval} %, paper {100 * gain / (100 - own):.1f} %")
guess.reveal(FIRST["cosine − baseline"][0])
evidence.against_paper(FIRST, caption=caption(baseline + efficient + cosine))

# %% [markdown]
# The first difference has several changes in it, the learning rate among them, so no single one may be credited with
# it, and the paper's has others. The last has one. (`first_decay` belongs to step decay; a cosine does not read it.)
# Points are not a common scale either: our baseline makes more errors than the paper's, so there is more to remove.
# The share of the errors is the fairer number, and still not the same question: ours are errors of a small network
# that has seen few pictures.
#
# The ladder again, with the rungs of section 5, the paper's and ours. A grey bar's interval holds 0.

# %%
SECTION_5 = {  # rung: of the paper's ladder, our arm
    "baseline": ("baseline, batch 256", "baseline"),
    "§3 and §4": ("+ tweak D", "efficient"),
    **{label: (label, name) for label, name in {
        "+ cosine decay": "cosine", "+ label smoothing": "smoothing-0.1", "+ distillation": "distill",
        "+ mixup": "distill-mixup",
    }.items()},
}
climb = same_seeds({rung: arm(name) for rung, (_, name) in SECTION_5.items()})
panels = {"paper": {rung: theirs[label] for rung, (label, _) in SECTION_5.items()}, "ours": climb}
everything = [run for runs in climb.values() for run in runs]
fig = ladder.ladder(panels, caption=caption(everything))
rung = list(climb)[-1]
takeaway = (f"From the baseline to {rung.removeprefix('+ ')}: {compare(climb[rung], climb['baseline'])}; "
            f"paper {theirs[SECTION_5[rung][0]] - own:+.2f}")
slide(fig, "01_ladder_paper_and_ours", takeaway=takeaway, runs=everything)
fig

# %% [markdown]
# ### All tricks at once
#
# What the course has measured so far, trick by trick: each against the rung below it, paired over seeds. The networks
# and data differ from section to section; the lessons say which. Mixup's rows have the epochs of their neighbours
# here, where the paper's have 80 more.

# %%
four, five, six = (partial(paper.effect, name, column=column) for name, column in (
    ("4", "BS1024_top1"), ("5", "top1"), ("6", "ResNet-50-D_top1")
))
BATCH = paper.resnet_50(theirs["batch 1024, linear scaling"] - own)
LONGER = "the paper's has 80 more epochs, too"
TRICKS = [  # section, trick, new arm, old arm, the paper's difference
    ("3.1", "large batch, linear scaling", "large", "small", BATCH),
    ("3.1", "warm-up", "large-warmup", "large", four("+ LR warmup", "Linear scaling")),
    ("3.1", "zero γ", "large-zero", "large-warmup", four("+ Zero gamma", "+ LR warmup")),
    ("3.1", "no bias decay", "large-no-bias", "large-zero", four("+ No bias decay", "+ Zero gamma")),
    ("4", "tweak B", "tweaks-b", "tweaks-plain", five("ResNet-50-B", "ResNet-50")),
    ("4", "tweak C", "tweaks-c", "tweaks-b", five("ResNet-50-C", "ResNet-50-B")),
    ("4", "tweak D", "tweaks-d", "tweaks-c", five("ResNet-50-D", "ResNet-50-C")),
    ("5.1", "cosine decay", "cosine", "efficient", six("+ cosine decay", "Efficient")),
    ("5.2", "label smoothing", "smoothing-0.1", "cosine", six("+ label smoothing", "+ cosine decay")),
    ("5.3", "distillation", "distill", "smoothing-0.1", six(DISTILL, "+ label smoothing")),
    ("5.4", "mixup", "smooth-mixup", "smoothing-0.1", six(MIXUP, "+ label smoothing", unlike=LONGER)),
    ("5.3", "distillation, after mixup", "distill-mixup", "smooth-mixup", six(BOTH, MIXUP)),
]

# %%
rows = []
for section, trick, new, old, effect in TRICKS:
    ours = compare(arm(new), arm(old))
    half = f" ± {ours.half:.2f}" if math.isfinite(ours.half) else ""
    rows.append({"§": section, "trick": trick, "paper": f"{effect}", "ours": f"{ours.mean:+.2f}{half}",
                 "seeds": len(ours.seeds), "verdict": ours.against(effect)})
table(rows)
times = recipe_of("large").batch_size / recipe_of("small").batch_size
print(f"the large batch: {times:.0f} times the small one, the paper's {1024 / 256:.0f} times")
for word in (*WORDS, "no verdict"):
    print(f"{word}: {sum(row['verdict'].word == word for row in rows)} of {len(rows)}")

# %% [markdown]
# *Not resolved here* is an answer about the study, and no statement that a trick does nothing. The power above says
# which differences the study could have seen. To claim that a trick makes no difference *that matters*, the whole
# interval has to lie inside a range that you called negligible beforehand (exercise 3). And twelve 95 % intervals are
# twelve chances to be wrong: of twelve independent tricks that do nothing at all, at least one would be called clear
# with probability 1 − 0.95¹² = 46 %.
#
# ## Live
#
# The plainest comparison there is: a recipe against itself. Two short runs of `cosine` that differ in their seed.
# They are smaller than the recorded ones and are not mixed with them.

# %%
dataset = load_data()
ends = [live_run(recipe_of("cosine"), dataset, seed, share=0.5).rows[-1]["test_accuracy"] for seed in (0, 1)]
print(f"seed 1 − seed 0: {ends[1] - ends[0]:+.2f} points on a sample of the test pictures, with nothing changed")

# %% [markdown]
# ## Misreadings
#
# - *"The tricks gain four points."* 3.42, from the authors' own baseline. And the top row is another network with
#   other epochs and a teacher.
# - *"Stacked together"* means added to one recipe. It has nothing to do with stacking in the sense of ensembles,
#   where another model learns from the predictions of several. The first line below checks it in the tables: the best
#   row of Table 1 costs as many multiply-adds as one ResNet-50-D. Two networks would cost twice as many.
# - *"The tricks improve accuracy consistently"* (§7). The next three lines have the refinements of Table 6 that lower
#   it.
# - *"Zero γ, worth 0.44 points"*, or any other row of a ladder: worth that on top of the rows below it.
# - *"The error bar says how sure we are."* Ours covers the seeds. All runs are tested on the same pictures, and on
#   others the accuracies would be others; the last two lines have the standard error from that alone.

# %%
best = paper.table("1")["ResNet-50 + tricks (ours)"]["FLOPs"]
print(f"multiply-adds, 10⁹: Table 1's best row {best}, one ResNet-50-D {d}, two of them {2 * d}")
for net in ("ResNet-50-D", "Inception-V3", "MobileNet"):
    gains = {name: paper.delta("6", new, old, f"{net}_top1") for name, (new, old) in PAIRS.items()}
    lower = [f"{name} ({gain:+.2f})" for name, gain in gains.items() if gain < 0]
    print(f"{net}: lowered by", ", ".join(lower) or "none")
for name, accuracy, images in (("ImageNet", top, 50_000), (meta["source"], cosine[0].accuracy, meta["test_images"])):
    error = math.sqrt(accuracy * (100 - accuracy) / images)
    print(f"{name}: {accuracy:.2f} % of {images:,} pictures, standard error {error:.2f} points")

# %% [markdown]
# ### "0.5 %": of what?
#
# In its text the paper names some changes that its tables do not seem to have. Three claims, and three ways to read
# "per cent": points of the measure, relative to the value before, or share of the errors removed.

# %%
three, six, eight = (paper.table(name) for name in ("3", "6", "8"))
CLAIMS = {  # claim: before, after
    "§3.3 efficient training: +0.5 %": [three["ResNet-50"][f"{when}_top1"] for when in ("baseline", "efficient")],
    "§3.3 linear scaling alone: −0.9 %": (own, theirs["batch 1024, linear scaling"]),
    "§6.1 detection, best against standard: +4 %": (eight["B-standard"]["mAP"], eight["+ distill w/ mixup"]["mAP"]),
}
table([
    {"claim": claim, "tables": f"{before} → {after}", "points": f"{after - before:+.2f}",
     "relative, %": f"{100 * (after / before - 1):+.3f}",
     "errors removed, %": f"{100 * (after - before) / (100 - before):+.1f}"}
    for claim, (before, after) in CLAIMS.items()
])
print(f"baseline to zero γ, Table 4: {theirs['+ zero γ'] - own:+.2f} points")
factors = {net: row["baseline_time_per_epoch"] / row["efficient_time_per_epoch"] for net, row in three.items()}
print("§3.2 “2 to 3 times faster”:", ", ".join(f"{net} {factor:.2f}×" for net, factor in factors.items()))
for name, new in (("+ label smoothing", "+ smooth"), (MIXUP, MIXUP)):
    print(f"{name}: Table 6 {six[name]['ResNet-50-D_top1']}, Table 8 {eight[new]['ImageNet_top1']}")

# %% [markdown]
# The 0.9 % fits as a relative change, the 4 % in points. The 0.5 % fits no reading of its two rows: the relative
# change rounds to 0.4. In points, 0.50 is the distance from the baseline to the row with zero γ. So say *points* when
# you mean points, and give both numbers. The speed-up of 2 to 3 comes from a larger batch and FP16 together, and
# MobileNet's is below it. Two accuracies in Table 6 are not quite those of Table 8, for what should be the same
# networks.

# %% [markdown]
# ## Exercises
#
# **1.** What is trick A worth, averaged over both orders? `none`, `a`, `b` and `both` are accuracies without tricks,
# with A alone, with B alone, with both.

# %%
def mean_gain_of_a(none, a, b, both):
    # solution
    return ((a - none) + (both - b)) / 2


def over_all_orders(none, a, b, both):
    """The same from a list of all orders, as it would be written for more than two tricks."""
    accuracy = {"": none, "A": a, "B": b, "AB": both}
    gains = []
    for order in permutations("AB"):
        before = "".join(sorted(order[: order.index("A")]))
        gains.append(accuracy["".join(sorted(before + "A"))] - accuracy[before])
    return statistics.mean(gains)


check("worth of A", mean_gain_of_a, over_all_orders, [(70, 76, 75, 79), (78.31, 78.67, 79.15, 79.29)])

# %% [markdown]
# **2.** You can afford n seeds, and one paired difference has the standard deviation s. How large must the *measured*
# mean difference be, at least, for its interval to exclude 0? Student's t is `stdtrit(n - 1, 0.975)`.

# %%
def smallest_clear(n, s):
    # solution
    return stdtrit(n - 1, 0.975) * s / math.sqrt(n)


def half_of(n, s):
    """The half-width that the library gives to n values with standard deviation s."""
    values = range(n)
    return t_interval([s / statistics.stdev(values) * value for value in values])[1]


check("smallest clear difference", smallest_clear, half_of, [(2, 0.5), (5, 0.5), (10, 0.5), (5, sd)])

# %% [markdown]
# **3.** A *region of practical equivalence* is a range ±r of differences that do not matter to you. From the interval
# mean ± half, answer `"matters"` if all of it lies outside the range, `"does not matter"` if all of it lies inside,
# and `"open"` otherwise.

# %%
def practical(mean, half, r):
    # solution
    if abs(mean) - half > r:
        return "matters"
    return "does not matter" if abs(mean) + half < r else "open"


ANSWERS = {
    (0.9, 0.3, 0.5): "matters",
    (-0.9, 0.3, 0.5): "matters",
    (0.4, 0.3, 0.5): "open",  # clear, and perhaps too small to matter
    (0.1, 0.2, 0.5): "does not matter",
    (0.0, 1.0, 0.5): "open",  # no clear difference, and no sign that there is none
}
check("practical equivalence", practical, lambda *given: ANSWERS[given], ANSWERS)

# %% [markdown]
# ## How to read the course
#
# The lessons follow the paper's sections. 00 shows how a lesson works; after this one, each stands on its own. A
# study group can take one section an evening: read the problem, let everyone set a guess, work through the rest,
# compare the guesses with what was measured, and end with the discussion.

# %% tags=["hide-input"]
LESSONS = {
    "00_start_here": ("—", "Is everything here? What are a recipe, a record and an interval?"),
    "02_training_procedures": ("§2", "What are tricks added to, down to the last constant?"),
    "03_1_large_batch_training": ("§3.1", "What does a large batch cost, and what wins it back?"),
    "03_2_low_precision": ("§3.2", "What does half the bits change, besides the time?"),
    "04_model_tweaks": ("§4", "Which pixels does a ResNet never look at, and what does it cost to look?"),
    "05_1_cosine_decay": ("§5.1", "Who is ahead when, steps or cosine?"),
    "05_2_label_smoothing": ("§5.2", "What does a target that can be reached do to logits and confidence?"),
    "05_3_knowledge_distillation": ("§5.3", "What does a teacher tell that a label does not?"),
    "05_4_mixup": ("§5.4", "What does a network learn from pictures that do not exist?"),
    "06_1_object_detection": ("§6.1", "Do better networks find more objects?"),
    "06_2_semantic_segmentation": ("§6.2", "And do they outline them better?"),
    "07_conclusion": ("§7", "All tricks together: which would you keep?"),
    "08_trick_lab": ("—", "Your own recipe against the recorded ones"),
    "A_background": ("—", "The background, topic by topic"),
    "B_paper_vs_code": ("—", "Where the paper and well-known code disagree"),
}
table([
    {"lesson": f"[{name}]({name}.ipynb)", "paper": section, "question": question}
    for name, (section, question) in LESSONS.items() if (ROOT / "notebooks" / f"{name}.ipynb").exists()
])

# %% [markdown]
# ## Summary
#
# - The paper's tables join into one ladder of 3.42 points above the authors' own baseline, with another network, more
#   epochs and a teacher at its top.
# - What a trick is worth depends on what it is added to. First, last and the mean over orders are three answers, and
#   they part by the interaction.
# - A difference is a mean and an interval, from runs paired by seed. Power says before the study what it can see.
# - Verdicts of the course: *same sign*, *opposite sign*, *not resolved here*, *the paper's effect is within its own
#   noise*; none where like would not be compared with like. All come from records, beside the paper's number.
#
# ## For discussion
#
# 1. You have 24 runs for four tricks. A cumulative ladder, leave-one-out, or all sixteen combinations: how many seeds
#    does each leave you, and which questions can each answer?
# 2. The paper tuned nothing again after adding a trick, as far as it says. Which of its tricks would you expect to
#    want another learning rate? What does that do to a ladder?
# 3. A table shows eight tricks, one run each, and all eight have a gain. What would you ask the authors for first?
