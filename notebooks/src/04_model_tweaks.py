# %% [markdown]
# # 4 Model tweaks
#
# **Claim.** Where the original ResNet-50 halves its feature maps, both paths of the block read one position in four.
# The other three were computed by the block before and are never looked at. Tweak B moves the stride of path A to a
# 3×3 convolution, tweak D puts an average before path B's 1×1; either makes the block read every position. Tweak C is
# another matter: it replaces the first convolution of the network. What is read and what it costs is exact
# arithmetic, done below. What it does to accuracy is measured.
#
# After this lesson you can
# 1. say which inputs a layer of kernel k and stride s never reads, and which it reads more often than others;
# 2. draw path A and path B of a downsampling block, plain and with B and D, and name the stride of each convolution;
# 3. reproduce the parameters and FLOPs of the paper's Table 5, and say in which stage each tweak spends them;
# 4. tell from its strides which ResNet-50 a library has given you.
#
# *Time:* 30 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §4, Fig. 1 and 2, Table 5.

# %% tags=["hide-input"]
import textwrap
from dataclasses import replace
from functools import cache

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn.functional import avg_pool2d, pad

from tricks import parameters, recipe
from tricks.course.lesson import live_run, load_data, show, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.models.resnet import (
    NETS,
    Bottleneck,
    build,
    conv,
    make_shortcut,
    make_stem,
    multiply_adds,
    parameter_count,
)
from tricks.plots import diagrams, evidence, preprocessing, tweaks
from tricks.records import make, paper
from tricks.records.statistics import caption, compare, plus_minus
from tricks.studies.studies import arm, recipe_of, study

TWEAKS = recipe_of("tweaks-plain")
dataset = load_data()

# %% [markdown]
# ## The problem: three quarters unread
#
# A 1×1 convolution computes each output from one position. With a stride of 2 it visits every second row and every
# second column: a quarter of the positions. In a network it does that to feature maps; on a picture it is easier to
# see. Second from the left: all that the layer reads. Third: what it can make of it, at half the size. Last: the mean
# of each 2×2 square, which has the same size and reads everything.

# %%
image = dataset.test.images[180] / 255
seen = np.full_like(image, 0.75)
seen[::2, ::2] = image[::2, ::2]
squares = image.reshape(len(image) // 2, 2, len(image) // 2, 2, 3)  # rows, 2, columns, 2, colours
preprocessing.images_grid(
    [image, seen, image[::2, ::2], squares.mean((1, 3))],
    ["the input", "read by 1×1, stride 2", "its output", "mean of 2×2, stride 2"],
    columns=4,
)

# %% [markdown]
# ### Before you go on: predict
#
# The names B, C and D are cumulative, here as in the paper: C is B and another stem, D is C and another shortcut.
# What all three add to ResNet-50 on ImageNet is printed below. By how much will they change the test accuracy of our
# small network on Imagenette (ten classes of ImageNet, 64 px)? Set the slider and leave it there.

# %%
theirs = paper.effect("5", "ResNet-50-D", "ResNet-50", "top1")
print(f"paper, Table 5, ResNet-50-D against ResNet-50: {theirs}, points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-5, high=5, unit="points")

# %% [markdown]
# ## By hand
#
# A feature map of one channel and 4×4 positions. The stride is a slice, and the 1×1 convolution a product with the
# same numbers at every position. Path B of the plain block needs nothing else. Tweak D first takes the mean of each
# 2×2 square, and only then the 1×1, now with stride 1:

# %%
x = torch.arange(16.0).reshape(1, 1, 4, 4)
print(x[0, 0])
print("read by a 1×1 convolution of stride 2:", x[:, :, ::2, ::2].flatten().tolist())
quarters = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]  # the four corners of the squares
pooled = sum(quarters) / 4
print("read by tweak D:", pooled.flatten().tolist())

# %% [markdown]
# This is the library's path B. Its 1×1 convolution has one matrix, (channels out, channels in), for all positions. We
# apply that matrix by hand, after slicing and after pooling, and compare with the layers:

# %%
show(make_shortcut)
x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
pooled = sum(x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)) / 4
for tweak_d, read in ((False, x[:, :, ::2, ::2]), (True, pooled)):
    shortcut = make_shortcut(3, 5, stride=2, tweak_d=tweak_d)
    before_bn = shortcut[:-1](x)  # all but the batch norm
    by_hand = torch.einsum("oi,nihw->nohw", shortcut.conv.weight[:, :, 0, 0], read)
    assert torch.allclose(before_bn, by_hand, atol=1e-6)
    print("with tweak D:" if tweak_d else "plain:", tuple(x.shape), "→", tuple(before_bn.shape), "as by hand")

# %% [markdown]
# Path A is a 1×1, a 3×3 and a 1×1 convolution. The original has the stride in the first of them, which is a 1×1
# again; tweak B has it in the second. Nothing of this enters the training loop: the tweaks are three switches of the
# model.

# %%
show(Bottleneck.forward)
show(Bottleneck.__init__, around="tweak_b else", context=1)
show(make.model_for, around="# model tweaks", context=3)

# %% [markdown]
# ## What a block reads
#
# Take a real downsampling block and let every weight average what it reads. Then the gradient of the sum of all
# outputs says how much each input position counts. We divide it by its mean: 1 is an even reading, 0 a position that
# no output depends on. The input has 16×16 positions, of which we look at the middle 8×8, away from the zero padding.

# %%
TWEAK = {"plain": {}, "B": {"tweak_b": True}}
TWEAK["C"] = TWEAK["B"] | {"tweak_c": True}
TWEAK["D"] = TWEAK["C"] | {"tweak_d": True}
TWEAK["D alone"] = {"tweak_d": True}


def averaging_(net):
    """Make every convolution the mean of what it reads, and every batch norm pass it on."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return net.eval()


@cache
def reading(tweak, path):
    """(8, 8): how much each input position counts in the outputs of a path of the recorded net's first such block."""
    block = averaging_(build("bottleneck14-pool", 10, **TWEAK[tweak]).stages[1][0])
    first, second = (block.conv1, block.bn1, block.relu), (block.conv2, block.bn2, block.relu)
    path_a = nn.Sequential(*first, *second, block.conv3, block.bn3)
    layers = {"path A": path_a, "path B": block.shortcut, "both": block}[path]
    x = torch.ones(1, block.conv1.in_channels, 16, 16, requires_grad=True)
    layers(x).sum().backward()
    middle = x.grad[0].sum(0)[4:12, 4:12]
    return middle / middle.mean()


# %%
PATHS = ("path A", "path B", "both")
COLUMNS = {"plain": "plain", "B and C": "B", "D": "D"}  # what stands above them: whose block it is
maps = {f"{name}, {path}": reading(tweak, path) for path in PATHS for name, tweak in COLUMNS.items()}
for label, weights in maps.items():
    print(f"{label:<16} {100 * (weights == 0).double().mean():3.0f} % of the input never read")
tweaks.coverage(maps, columns=3)

# %% [markdown]
# Read it row by row. *Path A*: plain loses three quarters in its first 1×1. B gives the stride to a 3×3, which reads
# everything, though not evenly: its windows overlap by one row and one column, and a position counts once, twice or
# four times. *Path B*: B leaves it as it was. D's 2×2 windows of stride 2 do not overlap and leave no gap. *Both*: a
# block with B alone already reads every position, through path A; the orange of its path B does not show in the sum.
# What D adds is that path B reads evenly. C changes the stem and no block.
#
# The same block as a diagram, with the network's stem on its left. A box is a layer: kernel, channels out, stride. At
# an arrow stands the shape of what passes, channels × height × width. Each convolution has its batch norm after it, and
# a ReLU, but for the last one on each path. The map on the right is of the path that you choose. *D alone* is the plain
# block with D's pooling: it reads everything, but three quarters of it only through the shortcut.

# %% tags=["hide-input"]
@cache
def block_diagram(tweak):
    read = {path: float((reading(tweak, path) > 0).double().mean()) for path in ("path A", "path B")}
    net = build("bottleneck14-pool", 10, **TWEAK[tweak]).eval()
    return diagrams.block(net, torch.zeros(1, 3, TWEAKS.image_size, TWEAKS.image_size), read)


def one_block(tweak="plain", path="path B"):
    return block_diagram(tweak), f"{tweak}, {path}", reading(tweak, path)


def shortcut_reads_all(tweak, path):
    return bool((reading(tweak, "path B") > 0).all())


sliders(
    tweaks.block_and_coverage, one_block, tweak=list(TWEAK), path=list(PATHS),
    goal="Find the tweak with which the shortcut reads every pixel of its input.",
    reached=shortcut_reads_all, solution={"tweak": "D"},
)

# %% [markdown]
# For those who read this without a kernel, the block with all three tweaks. Its first 1×1 has stride 1 now, its 3×3
# stride 2, and path B begins with a mean:

# %% tags=["hide-input"]
tweaks.block_and_coverage(one_block("D"))

# %% [markdown]
# ### Work that nobody uses
#
# The pixels of the *picture* all reach a plain ResNet-50: earlier 3×3 convolutions have spread them over their
# neighbours. What is lost is work. The block before has computed four positions where one is read. The next cell goes
# through whole networks and adds up the multiply-adds of convolutions at positions to which no gradient comes back.

# %%
def unused(net, tweak, side=64):
    """Multiply-adds in the stages whose results no later layer reads, as a share of all."""
    model, outputs = averaging_(build(net, 10, **TWEAK[tweak])), []
    everything = multiply_adds(model, side)

    def keep(layer, inputs, output):
        output.retain_grad()
        outputs.append((layer, output))

    for layer in model.stages.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(keep)
    model(torch.ones(1, 3, side, side)).sum().backward()
    idle = sum(layer.weight.numel() * int((y.grad[0] == 0).all(0).sum()) for layer, y in outputs)
    return idle / everything


for net in ("resnet50", "bottleneck14-pool"):
    for tweak in ("plain", "B", "D alone"):
        print(f"{net:<18} {tweak:<8} {100 * unused(net, tweak):4.1f} % of the multiply-adds are never used")

# %% [markdown]
# In ResNet-50 it is the last block of each stage but the last; in our small network, where a stage has one block, it
# is every block but the last. Either tweak, B or D, puts that work to use.
#
# ## Kernel, stride, and an even reading
#
# One layer that averages k×k positions with stride s, on a 12×12 input whose edges are joined so that it has no
# border. On the left, tweak D's 2×2 with stride 2. Look for two rules: when are positions left out, and when is the
# reading even? D's windows do not overlap. Must they not?

# %%
def layer_reading(kernel, stride):
    x = torch.ones(1, 1, 12, 12, requires_grad=True)
    left, right = (kernel - 1) // 2, kernel // 2
    joined = pad(x, (left, right, left, right), mode="circular")
    avg_pool2d(joined, kernel, stride).sum().backward()  # the same as a convolution with equal weights
    return x.grad[0, 0] / x.grad.mean()


def beside_pooling(kernel=3, stride=2):
    chosen = layer_reading(kernel, stride)
    return {"D's pooling: 2×2, stride 2": layer_reading(2, 2), f"{kernel}×{kernel}, stride {stride}": chosen}


def overlaps_evenly(kernel, stride):
    return kernel > stride > 1 and layer_reading(kernel, stride).unique().numel() == 1


sliders(
    tweaks.coverage, beside_pooling, kernel=(1, 7), stride=(1, 4), reached=overlaps_evenly, solution={"kernel": 4},
    goal="Windows that overlap, a stride of 2 or more, and every position counts the same.",
)

# %% [markdown]
# Four settings in one picture. The last is how vision transformers cut a picture into patches:

# %%
four = {f"{k}×{k}, stride {s}": layer_reading(k, s) for k, s in ((1, 2), (3, 2), (7, 2), (4, 4))}
tweaks.coverage(four, columns=2)

# %% [markdown]
# Positions are left out if the kernel is smaller than the stride. The reading is even if the stride divides the
# kernel. A 3×3 or a 7×7 with stride 2 reads everything, but in a checkerboard; a trained layer may make up for that
# with its weights, an average cannot. Large kernels make the unevenness small: for 7×7 it is 9 to 16 windows.
#
# ## The stem
#
# Tweak C replaces the first layer, a 7×7 convolution of stride 2, by three 3×3.

# %%
show(make_stem)

# %% [markdown]
# §4.2 of the paper can be read as if the first *two* of them had stride 2. Its Fig. 2b has it in the first only. Cost
# decides: we count the multiply-adds of all three at 224 px, and of a ResNet-50 with B that begins with them.

# %%
def stem_of(name):
    stem = make_stem(NETS["resnet50"], tweak_c=name != "7×7, stride 2")
    if name == "3×3, strides 2, 2, 1":
        stem[3].stride = (2, 2)  # the second convolution
        stem[-1] = nn.Identity()  # no max pooling, or all that follows would work at half the width and height
    return stem


def row_of(name):
    stem, net = stem_of(name), build("resnet50", 1000, tweak_b=True)
    net.stem = stem
    return {"stem": name, "parameters": f"{parameter_count(stem):,}", "stem, M": round(multiply_adds(stem, 224) / 1e6),
            "whole net with B, G": round(multiply_adds(net, 224) / 1e9, 2)}


STEMS = ("7×7, stride 2", "3×3, strides 2, 1, 1", "3×3, strides 2, 2, 1")
table([row_of(name) for name in STEMS])
flops = {row[-1]: values["FLOPs"] for row, values in paper.table("5").items()}
print(f"paper, Table 5: {flops['B']} G with the 7×7 (ResNet-50-B), {flops['C']} G with three 3×3 (ResNet-50-C)")

# %% [markdown]
# With two strides the stem would be *cheaper* than the 7×7. Only the stem with one stride gives the paper's growth.
# Of its three layers the first is cheap; the other two are not, because they read 32 channels at 112×112 positions,
# where the 7×7 reads 3.
#
# What the three layers read together is wider than 7 pixels. One output, in the middle, and how much each pixel
# column counts in it when all weights average:

# %%
def profile(layers, channels=3, side=65):
    """Weights of the pixel columns, from the first to the last that the middle output reads; all layers average."""
    x = torch.ones(1, channels, side, side, requires_grad=True)
    y = averaging_(layers)(x)[0, 0]
    y[len(y) // 2, len(y) // 2].backward()
    columns = x.grad.sum((0, 1, 2))
    read = columns.nonzero()[:, 0]
    return (columns / columns.sum())[read[0] : read[-1] + 1].tolist()


tweaks.receptive_field({name: profile(stem_of(name)[:-1]) for name in STEMS})  # without the max pooling

# %% [markdown]
# The three layers of tweak C read 11×11 pixels. The inner columns count more than the outer ones, and the odd ones,
# but for the ends, more than the even ones beside them: the checkerboard of a 3×3 with stride 2 again. Weights that
# are trained can make other patterns within these bounds. Between the three convolutions stand two more batch norms
# and ReLUs.
#
# ## Table 5: what the tweaks cost
#
# Parameters and multiply-adds of ResNet-50 for one picture of 224×224, counted layer by layer on our own networks,
# next to the paper's. (The paper's FLOPs are multiply-adds.)

# %%
PARTS = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "head")


def part_by_part(net, classes, side, tweak):
    """Multiply-adds of each part: how much more a net costs that ends after it than one that ends before."""
    with torch.device("meta"):  # shapes without numbers
        model = build(net, classes, **TWEAK[tweak])
        ends = [nn.Sequential(model.stem, model.stages[:n]) for n in range(len(model.stages) + 1)]
    totals = [multiply_adds(part, side) for part in (*ends, model)]
    return dict(zip(PARTS, np.diff([0, *totals]).tolist(), strict=True)), parameter_count(model)


counted = {tweak: part_by_part("resnet50", 1000, 224, tweak) for tweak in ("plain", "B", "C", "D")}
table([
    {"network": row, "parameters, M": count / 1e6, "Table 5: parameters, M": printed["params"],
     "multiply-adds, G": sum(costs.values()) / 1e9, "Table 5: FLOPs, G": printed["FLOPs"]}
    for (row, printed), (costs, count) in zip(paper.table("5").items(), counted.values(), strict=True)
])
print(f"paper, Table 1, for ResNet-50: {paper.table('1')['ResNet-50']['FLOPs']} G")
tweaks.part_costs({tweak: costs for tweak, (costs, _) in counted.items()})

# %% [markdown]
# The numbers on the bars are what a tweak adds there, in millions. B costs the same in stages 2, 3 and 4: its first
# 1×1 now works on the large grid, four times as many positions. C costs in the stem. D has no number: path B's 1×1
# computes as many outputs as before, only from averages. The averages themselves are no multiply-adds of a
# convolution, so the counter leaves them out. How many they are:

# %%
with torch.device("meta"):
    model, sums = build("resnet50", 1000, **TWEAK["D"]), []
    for layer in model.modules():
        if isinstance(layer, nn.AvgPool2d):
            layer.register_forward_pre_hook(lambda layer, inputs: sums.append(inputs[0].numel()))
    model(torch.empty(1, 3, 224, 224))
total = sum(counted["D"][0].values())
share = f"{100 * sum(sums) / total:.2f} % of the {total / 1e9:.2f} G multiply-adds"
print(f"The {len(sums)} poolings of ResNet-50-D add up {sum(sums) / 1e6:.1f} M numbers, {share}")

# %% [markdown]
# ## Evidence
#
# The study `tweaks` trains `bottleneck14-pool`, a ResNet with one bottleneck block in each of four stages and a
# quarter of ResNet-50's channels, on Imagenette at 64 px. All arms have section 5.1's recipe (warm-up, zero γ, no
# bias decay, cosine decay); only the model differs. The learning rate was chosen with the plain net on a tenth of the
# training pictures, held out. If that favours an arm, it favours plain. The largest rate below was run after the
# choice, to see whether the choice lies at an edge.

# %%
pilots = [run for name in study("pilot_tweaks").arms for run in arm(name)]
table([{"learning rate": run.recipe.lr, "held-out accuracy, %": run.accuracy, "seed": run.seed} for run in pilots])
best = max(pilots, key=lambda run: run.accuracy)
error = (best.accuracy * (100 - best.accuracy) / best.meta["test_images"]) ** 0.5
taken = max(run.accuracy for run in pilots if run.recipe.lr == TWEAKS.lr)
print(f"best {best.recipe.lr}; taken {TWEAKS.lr}, {taken - best.accuracy:+.1f} points from the best")
print(f"standard error of one such accuracy, on {best.meta['test_images']} pictures: {error:.1f} points")

# %%
ARMS = {tweak: arm("tweaks-" + tweak.lower().replace(" ", "-")) for tweak in TWEAK}
everything = [run for runs in ARMS.values() for run in runs]


def milliseconds(runs):
    """Time per training picture, of each run that has one; it includes measuring the curve, and the test at the end."""
    return [1000 * seconds / (run.meta["train_images"] * run.recipe.epochs)
            for run in runs if (seconds := run.meta["seconds"])]


small = {tweak: part_by_part("bottleneck14-pool", 10, 64, tweak) for tweak in TWEAK}
table([
    {"net": tweak, "parameters": f"{small[tweak][1]:,}", "multiply-adds, M": sum(small[tweak][0].values()) / 1e6,
     "training images per second, by seed": ", ".join(f"{1000 / time:.0f}" for time in milliseconds(runs)),
     "test accuracy, %": plus_minus([run.accuracy for run in runs])}
    for tweak, runs in ARMS.items()
])
machines = {f"{m['device']}, {m['threads']} thread(s), PyTorch {m['torch']}" for m in (run.meta for run in everything)}
print(f"machine: {' / '.join(sorted(machines))}. {caption(everything)}")

# %% [markdown]
# In this network C makes the stem *cheaper*: with 16 channels instead of 64 the two inner 3×3 shrink by 16, the 7×7
# only by 4. B costs a larger share than in ResNet-50, because every block but the first is a downsampling one. The
# speed is that of a whole run, test included, on a machine that did other work at the same time: compare the seeds of
# one net before you compare two nets.

# %%
ROWS = dict(zip(("plain", "B", "C", "D"), paper.table("5"), strict=True))
results = {
    f"{new} against {old}": (compare(ARMS[new], ARMS[old]), paper.effect("5", ROWS[new], ROWS[old], "top1"))
    for new, old in (("B", "plain"), ("C", "B"), ("D", "C"), ("D", "plain"))
}
evidence.against_paper(results, caption=caption([run for tweak in ROWS for run in ARMS[tweak]]))

# %%
for label, (ours, theirs) in results.items():
    print(f"{label}: paper {theirs}, ours {ours}")
print(f"D alone against plain: {compare(ARMS['D alone'], ARMS['plain'])}")
guess.reveal(results["D against plain"][0])

# %% [markdown]
# The verdicts stand at the right of the picture. The line through a diamond is what two runs of one recipe may be apart
# in the paper (lesson 01). *D alone* has no row there.
#
# ### What the first step sees
#
# One more thing belongs to D's rows. All arms start with zero γ (section 3.1): each block begins as its shortcut, and
# what path A could read does not count yet. How much of the stem's output, 16×16 positions, does the whole network
# read at that moment?

# %%
for tweak in TWEAK:
    net = averaging_(build("bottleneck14-pool", 10, **TWEAK[tweak]))
    parameters.zero_last_gamma_(net)
    x = torch.ones(1, 16, 16, 16, requires_grad=True)
    net.stages(x).sum().backward()
    print(f"{tweak:<8} reads {int((x.grad[0] != 0).any(0).sum()):3d} of 256 positions at the start")

# %% [markdown]
# Three strides of 2 on path B leave one position in 64, with tweak B or without. γ moves from the first step on, so
# this is a matter of early training; it is one way in which D can act on more than path B's own reading. The paper's
# Table 5 has zero γ too, because its ResNet-50 is that of section 3's efficient training. How large this effect is,
# an arm without zero γ would tell. It is not recorded.
#
# ### Accuracy against cost
#
# A tweak is worth having if it lies above what the same cost buys elsewhere. On the left, the paper's Table 5, one
# run each. Then ours, against multiply-adds and against time. Right is dearer, up is better. Bars are intervals,
# small dots the seeds.

# %%
table_5 = {tweak: ([paper.table("5")[row]["FLOPs"]], [paper.table("5")[row]["top1"]]) for tweak, row in ROWS.items()}
accuracies = {tweak: [run.accuracy for run in runs] for tweak, runs in ARMS.items()}
arithmetic = {tweak: ([sum(small[tweak][0].values()) / 1e6], values) for tweak, values in accuracies.items()}
durations = {tweak: (milliseconds(ARMS[tweak]), values) for tweak, values in accuracies.items()}
fig = tweaks.accuracy_cost(
    {
        "paper: ImageNet": ("multiply-adds, G", table_5),
        "ours: arithmetic": ("multiply-adds, M", arithmetic),
        "ours: time": ("ms per training image", durations),
    },
    caption=caption(everything),
)
ours, theirs = results["D against plain"]
costs = [sum(small[tweak][0].values()) for tweak in ("D", "plain")]
takeaway = f"D − plain: {ours}, for {costs[0] / costs[1]:.2f} × the multiply-adds; paper {theirs.delta:+.2f}"
slide(fig, "04_accuracy_against_cost", takeaway=takeaway, runs=everything)
fig

# %% [markdown]
# When the paper's column and ours disagree, think of three differences first. Ours has one block per stage, so more
# of its work is in the places that the tweaks change. Its pictures have 64 px, so its last stage works on 2×2
# positions. And it has seen a few thousand pictures a few times. Each row of Table 5 is one run, too.
#
# ## Live
#
# Plain and D, seed 0, a short run of each on your data. One seed tells nothing about which is better: watch that both
# train, and how far two curves of a single seed lie apart. These runs are not mixed with the records.

# %%
smaller = replace(TWEAKS, net="bottleneck14", image_size=32)
print(f"Changed from the recorded recipe, for both: {recipe.changes(smaller, TWEAKS)}")
lines = {}
for tweak in ("plain", "D"):
    cut, _, rows = live_run(replace(smaller, **TWEAK[tweak]), dataset)
    lines[f"{tweak}, live, one seed"] = [rows]
evidence.curves(lines, caption=f"live, 1 seed · {cut.net} · {cut.train_images:,} images · {dataset.source}")

# %% [markdown]
# ## Misreadings
#
# *"ResNet-C has two convolutions of stride 2 in its stem."* One, the first: Fig. 2b, and the costs counted above.
#
# *"The paper invented ResNet-B, -C and -D."* It says itself that B comes from the Torch code for ResNet and C from
# Inception-v2, and that others had used them. D is the paper's own.
#
# *"Our baseline is a plain ResNet-50: it is in the library."* What most libraries call ResNet-50 has tweak B, and
# then part of the paper's gain is in the baseline already. The parameters do not show it. The strides and the
# multiply-adds do:

# %%
with torch.device("meta"):
    plain, with_b = (build("resnet50", 1000, tweak_b=tweak_b) for tweak_b in (False, True))
    library = torchvision.models.resnet50()
blocks = {"ours, plain": (plain, plain.stages[1][0]), "ours, B": (with_b, with_b.stages[1][0]),
          "torchvision's": (library, library.layer2[0])}
table([
    {"resnet50": name, "parameters": f"{parameter_count(model):,}", "multiply-adds, G": multiply_adds(model, 224) / 1e9,
     "strides on path A": str([layer.stride[0] for layer in (block.conv1, block.conv2, block.conv3)])}
    for name, (model, block) in blocks.items()
])

# %% [markdown]
# *"ResNet-D is free."* D's own step from C is, but for the averages counted above. ResNet-50-D against ResNet-50 is
# not: it contains B and C, and their multiply-adds are the numbers on the bars above.
#
# *"Every ResNet can have B."* A basic block has two 3×3 convolutions and no 1×1 on path A. Its stride is in a 3×3
# already:

# %%
try:
    build("resnet8", 10, tweak_b=True)
except ValueError as error:
    print(textwrap.fill(f"ValueError: {error}", 110))

# %% [markdown]
# ## Exercises
#
# **1.** Which share of its input does a k×k convolution of stride s never read, away from the border? In one
# dimension it reads min(k, s) of every s positions.

# %%
def share_unread(kernel, stride):
    # solution
    return 1 - (min(kernel, stride) / stride) ** 2


def measured_share(kernel, stride):
    return float((layer_reading(kernel, stride) == 0).double().mean())


check("share never read", share_unread, measured_share, [(1, 2), (2, 2), (1, 3), (2, 4), (7, 2)])

# %% [markdown]
# **2.** How many pixels are there from the first to the last that one output reads, after a chain of convolutions?
# Each is a pair (kernel, stride), the first layer first. A kernel of k adds k − 1 steps, and a step is as long as the
# product of all strides before it.

# %%
def field_width(layers):
    # solution
    width, step = 1, 1
    for kernel, stride in layers:
        width += (kernel - 1) * step
        step *= stride
    return width


def measured_width(layers):
    return len(profile(nn.Sequential(*(conv(1, 1, kernel, stride) for kernel, stride in layers)), channels=1))


check("receptive field", field_width, measured_width,
      [[(7, 2)], [(3, 2), (3, 1), (3, 1)], [(3, 2), (3, 2), (3, 1)], [(1, 2), (3, 1)], [(3, 1)] * 4])

# %% [markdown]
# **3.** How many multiply-adds does tweak B add to a block that has `channels` inputs, `width` channels inside, and
# side×side positions at its input? The three stages of ResNet-50 are the test.

# %%
def added_by_b(channels, width, side):
    # solution
    return channels * width * (side**2 - (side // 2) ** 2)  # the 1×1, on the large grid instead of the small one


def counted_for_b(channels, width, side):
    stage = {56: "stage 2", 28: "stage 3", 14: "stage 4"}[side]
    return counted["B"][0][stage] - counted["plain"][0][stage]


check("cost of B", added_by_b, counted_for_b, [(256, 128, 56), (512, 256, 28), (1024, 512, 14)])

# %% [markdown]
# ## Summary
#
# - A layer leaves inputs out if its kernel is smaller than its stride, and reads evenly if the stride divides the
#   kernel. The plain block has 1×1 with stride 2 on both paths; B repairs path A, D path B.
# - What is not read was computed all the same: in a plain ResNet-50 a tenth of all multiply-adds, in our small
#   network more than a third.
# - B costs in the first 1×1 of three blocks, C in the stem, D next to nothing. Together 3.86 G become 4.33 G.
# - What they do to accuracy here is the sentence that the cells above print, beside the paper's.
#
# ## For discussion
#
# 1. The average of tweak D and the 1×1 after it are both linear, so they may change places and give the same numbers.
#    What would that cost? Is the same true of an average and a 3×3?
# 2. Tweak B reads everything on path A already. What could an even reading on path B be good for, if path A can learn
#    its weights?
# 3. You compare a new block with the ResNet-50 of a library, and your block averages on its shortcut. Which baseline
#    tells what the new block is worth, and which two costs would you report?
