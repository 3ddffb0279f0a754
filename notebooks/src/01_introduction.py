# %% [markdown]
# # 1 Introduction: what a trick is worth
#
# **Claim.** The paper's headline is 75.3 → 79.29 % on ImageNet with one network, ResNet-50. The first number is
# another paper's. From the authors' own baseline to their best row it is 3.42 points, a seventh of the errors, and on
# the way the network, the length of training and the source of the targets change too. What a single trick seems to
# be worth depends on the order in which the tricks are added. This lesson computes all of that. How far apart two
# runs of the same recipe are, and how many it takes to see a difference, is in
# [C When to believe](C_when_to_believe.ipynb).
#
# After this lesson you can
# 1. say in a sentence what each of the paper's tricks does;
# 2. redraw the paper's results as one ladder, and say what else changes at each rung;
# 3. read an ablation: cumulative or leave-one-out, and why the two disagree;
# 4. give a gain in points and as a share of the errors removed, and say from which baseline.
#
# *Time:* 25 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §1, Tables 1–6.

# %% tags=["hide-input"]
import math
import statistics
from functools import partial
from itertools import pairwise, permutations

import torch
from IPython.display import display

from tricks import ROOT, recipe
from tricks.course.lesson import live_run, load_data, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.models import resnet
from tricks.plots import diagrams, ladder
from tricks.records import paper
from tricks.records.statistics import caption, compare, errors_removed, same_seeds, t_interval
from tricks.studies.studies import arm, recipe_of, study

# %% [markdown]
# ## The tricks, a sentence each
#
# | trick | what changes | § |
# |---|---|---|
# | large batch, linear scaling | four times as many pictures in a step, and a learning rate four times as large | 3.1 |
# | warm-up | the learning rate grows from near 0 to its peak over the first epochs | 3.1 |
# | zero γ | each residual block's last batch norm starts at 0: at first the block passes its input on | 3.1 |
# | no bias decay | weight decay pulls at the weights alone, not at biases nor at batch norm's γ and β | 3.1 |
# | FP16 | most is computed in numbers of 16 bits: faster, and accuracy should stay | 3.2 |
# | tweak B | the main path of a block that halves the picture no longer skips pixels | 4 |
# | tweak C | three 3×3 convolutions take the place of the first 7×7 | 4 |
# | tweak D | that block's shortcut skips no pixels either: it averages, then convolves | 4 |
# | cosine decay | the learning rate falls along half a cosine instead of in three steps | 5.1 |
# | label smoothing | the target of the right class is 0.9 and not 1; the other classes share the rest | 5.2 |
# | distillation | what a larger trained network, the teacher, says of each class is a target, too | 5.3 |
# | mixup | the network is trained on weighted means of two pictures, and of their targets | 5.4 |
#
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
top, own = theirs["+ mixup"], theirs["baseline, batch 256"]
fig = ladder.ladder({"paper, ImageNet": theirs}, caption=tables)
takeaway = f"Trick by trick, the paper climbs {top - own:.2f} points above its authors' own baseline"
slide(fig, "01_ladder", takeaway=takeaway)
fig

# %% [markdown]
# Two rungs go down. A larger batch costs accuracy, which warm-up and zero γ win back; no bias decay costs some again.
# Section 3 is about speed first of all: its gain is that an epoch takes a third of the time (Table 3).
#
# ### 75.3 or 75.87?
#
# Table 1 sets the best row beside the ResNet-50 of the ResNet paper, 75.3 %. The same network trained by the authors
# *before any trick* has 75.87 % (Table 2). That difference belongs to the procedure of section 2.

# %%
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
sliders(partial(ladder.two_orders, 0.36, 0.84, interaction=-0.22, names=names), interaction=(-1.0, 1.0))

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
# ### Would a second run give the same?
#
# The arXiv version of the paper has one run for each row. The version printed at CVPR 2019 repeats the ResNet-50-D
# column as mean ± standard deviation:

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
# The interaction has the other sign. How much the order of these two tricks matters, the paper's runs are too few to
# show. So from here on a difference of ours is the mean over *seeds* (the seed sets first weights, order of pictures
# and crops), the same ones in both recipes, ± its 95 % interval. An interval that holds 0 is "no clear difference".
# Lesson [C](C_when_to_believe.ipynb) computes such an interval by hand, says how many seeds an effect takes, and has
# the four verdicts that stand beside the paper's numbers in all lessons.
#
# ## Our own first comparison
#
# What we have to compare with. Each number is from a recipe, a record, the paper, or counted on the network:

# %% tags=["hide-input"]
baseline, cosine = same_seeds({name: arm(name) for name in ("baseline", "cosine")}).values()
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
# and the time of its first division can do for it, tried on 5,000 held-out training pictures. `cosine` had the same
# kind of search. It has the changes of sections 3 and 4 that this network can have, and the cosine:

# %%
for name, pilot in (("baseline", "pilot_baseline"), ("cosine", "pilot")):
    tried = [arm(trial)[0] for trial in study(pilot).arms]
    best = max(tried, key=lambda run: run.accuracy).recipe
    assert (best.lr, best.first_decay) == (recipe_of(name).lr, recipe_of(name).first_decay)
    steps = f", first division after {best.first_decay:.0%} of the run" if best.schedule == "step" else ""
    print(f"{name}: best of {len(tried)} settings has lr {best.lr}{steps}")
print(f"cosine − baseline: {recipe.changes(recipe_of('cosine'), recipe_of('baseline'))}")

# %% [markdown]
# (`first_decay` belongs to step decay; a cosine does not read it.) Your guess against what was measured:

# %% tags=["hide-output"]
theirs_too = paper.resnet_50(theirs["+ cosine decay"] - own, unlike="the paper's has B, C and a larger batch, too")
guess.reveal(compare(cosine, baseline), theirs_too, label="cosine − baseline", caption=caption(baseline + cosine))
share, half = t_interval(errors_removed(cosine, baseline))
interval = f" ± {half:.1f}" if math.isfinite(half) else ""
guess.veil(f"errors removed: ours {share:.1f}{interval} %, paper {100 * theirs_too.delta / (100 - own):.1f} %")

# %% [markdown]
# There are several changes in this difference, the learning rate among them, so no single one may be credited with it,
# and the paper's has others. Points are not a common scale either: our baseline makes more errors than the paper's, so
# there is more to remove. The share of the errors removed is the fairer number, and still not the same question: ours
# are errors of a small network that has seen few pictures. What each trick is worth here is for its own lesson to say,
# after your guess; [07](07_conclusion.ipynb) has the whole ladder.
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
# - *"The tricks improve accuracy consistently"* (§7). The last three lines have the refinements of Table 6 that lower
#   it.
# - *"Zero γ, worth 0.44 points"*, or any other row of a ladder: worth that on top of the rows below it.

# %%
PAIRS = {  # refinement: row of Table 6, the row that it is added to
    "cosine decay": ("+ cosine decay", "Efficient"),
    "label smoothing": ("+ label smoothing", "+ cosine decay"),
    "distillation": (DISTILL, "+ label smoothing"),
    "mixup": (MIXUP, "+ label smoothing"),
    "distillation after mixup": (BOTH, MIXUP),
}
best = paper.table("1")["ResNet-50 + tricks (ours)"]["FLOPs"]
print(f"multiply-adds, 10⁹: Table 1's best row {best}, one ResNet-50-D {d}, two of them {2 * d}")
for net in ("ResNet-50-D", "Inception-V3", "MobileNet"):
    gains = {name: paper.delta("6", new, old, f"{net}_top1") for name, (new, old) in PAIRS.items()}
    lower = [f"{name} ({gain:+.2f})" for name, gain in gains.items() if gain < 0]
    print(f"{net}: lowered by", ", ".join(lower) or "none")

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
# **2.** Which share of the errors, in per cent, does a gain from accuracy `before` to accuracy `after` remove, both in
# per cent? Then say why 75.87 → 79.29 is not "14 % better".

# %%
def removed(before, after):
    # solution
    return 100 * (after - before) / (100 - before)


check("errors removed", removed, lambda a, b: 100 * (1 - (100 - b) / (100 - a)), [(50, 75), (75.87, 79.29), (90, 89)],
      hint="How many of 100 pictures are wrong before, and how many fewer after?")

# %% [markdown]
# ## How to read the course
#
# The lessons follow the paper's sections. 00 shows how a lesson works; after this one, each stands on its own. A
# study group can take one section an evening: read the problem, let everyone set a guess, work through the rest,
# compare the guesses with what was measured, and end with the discussion.

# %% tags=["hide-input"]
LESSONS = {
    "00_start_here": ("—", "Is everything here? What are a recipe, a run and a record?"),
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
    "09_after_the_bag": ("—", "What came after the paper, and what is it worth on top of it?"),
    "A_background": ("—", "The background, topic by topic"),
    "B_paper_vs_code": ("—", "Where the paper and well-known code disagree"),
    "C_when_to_believe": ("—", "How many seeds, which interval, which epoch: when is a difference to be believed?"),
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
# - Give a gain in points and as a share of the errors removed, and name the baseline. A difference of ours is a mean
#   over seeds with its interval: see [C](C_when_to_believe.ipynb).
#
# ## For discussion
#
# 1. You have 24 runs for four tricks. A cumulative ladder, leave-one-out, or all sixteen combinations: how many seeds
#    does each leave you, and which questions can each answer?
# 2. The paper tuned nothing again after adding a trick, as far as it says. Which of its tricks would you expect to
#    want another learning rate? What does that do to a ladder?
# 3. A table shows eight tricks, one run each, and all eight have a gain. What would you ask the authors for first?
