# %% [markdown]
# # 4 Model tweaks
#
# **A layer that halves a picture: how much of the picture does it look at?**

# %% tags=["hide-input"]
import textwrap
from functools import cache

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn.functional import avg_pool2d, pad

from tricks import parameters
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import conclusion, load_data, show, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
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
from tricks.records import make, paper, statistics
from tricks.studies.studies import arm, recipe_of, study

# %% tags=["hide-input"]
dataset = load_data()
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
# A 1×1 convolution computes each output from one position. With a stride of 2 it visits every second row and every
# second column: a quarter of the positions (second picture). The mean of each 2×2 square has the same size as its
# output, and reads everything. The original ResNet-50 has the 1×1 with stride 2 wherever a block halves its map.
#
# **Claim.** A block that halves its map has two paths, the convolutions (A) and the shortcut (B), and on both three
# positions of four are computed by the block before and never looked at. Tweak B makes path A read them, by moving a
# stride; tweak D makes path B read them, by a mean. (Tweak C replaces the first convolution of the network.)
#
# After this lesson you can
# 1. say which inputs a layer of kernel k and stride s never reads;
# 2. draw path A and path B of a downsampling block, plain and with B and D, and name the stride of each convolution;
# 3. write tweak D in one line, and say how much of its input a shortcut reads;
# 4. reproduce the parameters and FLOPs of the paper's Table 5, and say in which part of the network each tweak spends
#    them;
# 5. tell from its strides which ResNet-50 a library has given you.
#
# *Time:* 30 minutes; 45 with the parts headed "Deeper", 90 with questions and exercises. One minute of it is training,
# on two idle CPU cores. *Paper:* §4, Fig. 1 and 2, Table 5.
#
# ## Before you go on: predict
#
# The names B, C and D are cumulative, here as in the paper: C is B and another *stem* (the first layers of the
# network), D is C and another shortcut. What all three add to ResNet-50 on ImageNet is printed below, ± what two runs
# of one recipe may be apart there. By how much will they change the test accuracy of a small ResNet on Imagenette (ten
# classes of ImageNet, 64 px), in 8 epochs?

# %%
theirs = paper.effect("5", "ResNet-50-D", "ResNet-50", "top1")
print(f"paper, Table 5, ResNet-50-D against ResNet-50: {theirs}, points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-10, high=10, unit="points")

# %% [markdown]
# ## By hand
#
# A feature map of one channel and 4×4 positions. The stride is a slice, and the 1×1 convolution a product with the same
# numbers at every position. The plain shortcut needs nothing else. Tweak D first takes the mean of each 2×2 square, and
# only then the 1×1, now with stride 1:

# %%
x = torch.arange(16.0).reshape(1, 1, 4, 4)
print(x[0, 0])
print("read by a 1×1 convolution of stride 2:", x[:, :, ::2, ::2].flatten().tolist())
quarters = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]  # the four corners of the squares
print("read by tweak D:", (sum(quarters) / 4).flatten().tolist())

# %% [markdown]
# ## What a block reads
#
# *Path A* of a bottleneck block is a 1×1, a 3×3 and a 1×1 convolution; *path B* is the shortcut; the block puts out
# their sum. A *stage* is a row of blocks whose maps have one size. Below, the first block of stage 2, which halves the
# map. A box is a layer: kernel, channels out, stride. At an arrow stands the shape of what passes, channels × height ×
# width. Each convolution has its batch norm after it, and a ReLU, but for the last one on each path.
#
# On the right is what the chosen path reads. Every weight averages, and the gradient of the sum of all outputs says how
# much each input position counts: 1 is an even reading, 0 (orange) a position that no output depends on. *D alone* is
# the plain block with D's pooling.

# %% tags=["hide-input"]
TWEAK = {"plain": {}, "B": {"tweak_b": True}}
TWEAK["C"] = TWEAK["B"] | {"tweak_c": True}
TWEAK["D"] = TWEAK["C"] | {"tweak_d": True}
TWEAK["D alone"] = {"tweak_d": True}
SMALL = "bottleneck14-pool"  # the recorded network
PATHS = ("path A", "path B", "both")


def averaging_(net):
    """Make every convolution the mean of what it reads, and every batch norm pass it on."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return net.eval()


@cache
def reading(tweak, path):
    """(8, 8): how much each input position counts in the outputs of a path, away from the zero padding."""
    block = averaging_(build(SMALL, 10, **TWEAK[tweak]).stages[1][0])
    first, second = (block.conv1, block.bn1, block.relu), (block.conv2, block.bn2, block.relu)
    path_a = nn.Sequential(*first, *second, block.conv3, block.bn3)
    layers = {"path A": path_a, "path B": block.shortcut, "both": block}[path]
    x = torch.ones(1, block.conv1.in_channels, 16, 16, requires_grad=True)
    layers(x).sum().backward()
    middle = x.grad[0].sum(0)[4:12, 4:12]
    return middle / middle.mean()


def share_of(tweak, path):
    return float((reading(tweak, path) > 0).double().mean())


@cache
def block_diagram(tweak):
    net, side = build(SMALL, 10, **TWEAK[tweak]).eval(), recipe_of("tweaks-plain").image_size
    return diagrams.block(net, torch.zeros(1, 3, side, side), {path: share_of(tweak, path) for path in PATHS[:2]})


def one_block(tweak="plain", path="path B"):
    return block_diagram(tweak), f"{tweak}, {path}", reading(tweak, path)


takeaway = "Where a plain ResNet halves its maps, both paths read a quarter of them; tweaks B and D make them read all"
idea = tweaks.block_and_coverage(one_block())
slide(idea, "04_idea", takeaway=takeaway)
sliders(
    tweaks.block_and_coverage, one_block, tweak=list(TWEAK), path=list(PATHS),
    goal="Find the tweak with which the shortcut reads all of its input.",
    reached=lambda tweak, path: share_of(tweak, "path B") == 1, solution={"tweak": "D"},
)

# %% tags=["hide-input"]
table([{"share of its input that is read": path, **{tweak: f"{100 * share_of(tweak, path):.0f} %" for tweak in TWEAK}}
       for path in PATHS])

# %% [markdown]
# *Plain* loses three quarters on both paths, in a 1×1 each. *B* gives the stride of path A to its 3×3, whose windows
# overlap, and leaves path B as it was. *C* changes the stem and no block. *D* gives path B 2×2 windows that leave no
# gap and do not overlap, so it reads evenly. A block with B alone reads everything, but three quarters of it through
# path A only; with *D alone* it is the other way round.
#
# What is not read was computed all the same, by the block before:

# %% tags=["hide-input"]
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


idle = {net: {tweak: unused(net, tweak) for tweak in ("plain", "B", "D alone")} for net in ("resnet50", SMALL)}
table([{"multiply-adds that nobody uses": net, **{tweak: f"{100 * share:.1f} %" for tweak, share in shares.items()}}
       for net, shares in idle.items()])

# %% [markdown]
# In ResNet-50 it is the last block of each stage but the last; in our small network, where a stage has one block, it is
# every block but the last. Either tweak, B or D, puts that work to use.
#
# ## The tricks' own file
#
# D is in the function that makes the shortcut; B is two numbers in the block, the strides of its first two
# convolutions; C is in the stem.

# %%
show(make_shortcut)
show(Bottleneck.__init__, around="tweak_b else", context=1)
show(make_stem, around="half = width // 2", context=1)

# %% [markdown]
# ## In the loop from zero
#
# The loop of lesson 02 has a small ResNet with *basic* blocks: path A is two 3×3, and the stride is in the first of
# them. So path A reads everything, and there is nothing for B to do. The shortcut is a 1×1 with stride 2, as in the
# plain ResNet-50. Tweak D is one line. (A mean over 1×1 squares, where the stride is 1, changes nothing.)

# %%
plain = loop()
pooled = loop({
    "self.shortcut = conv(inputs, outputs, 1, stride)":
    "self.shortcut = nn.Sequential(nn.AvgPool2d(stride), conv(inputs, outputs, 1))"
})

# %% [markdown]
# How much of its input does such a shortcut read? Ask the gradient, with weights as they are at the start:

# %%
def share_read(layers, channels, side=16):
    """Share of the positions of a (channels, side, side) input on which the output depends."""
    x = torch.rand(1, channels, side, side, requires_grad=True)
    layers.eval()(x).sum().backward()
    return float((x.grad[0] != 0).any(0).double().mean())


for name, made in {"plain": plain, "tweak D": pooled}.items():
    block = made.Block(32, 64, stride=2)
    by_shortcut, by_path = (100 * share_read(path, 32) for path in (block.shortcut, block.path))
    print(f"{name:<8} shortcut {by_shortcut:.0f} %, path A {by_path:.0f} %")

# %% [markdown]
# What may come out of a race? In this network D changes two of three shortcuts, and path A read everything before. One
# seed and eight epochs on a fifth of the pictures see differences of three points or more, and no smaller ones.

# %%
data = pictures(dataset)
live = race({"plain": plain.train, "tweak D": pooled.train}, data, caption=f"live, seed 0 · {dataset.source}")

# %% tags=["hide-input"]
end, tested = {name: rows[-1]["test_accuracy"] for name, rows in live.items()}, len(data[1][1])
apart, share = end["tweak D"] - end["plain"], end["plain"] / 100
luck = 196 * (2 * share * (1 - share) / tested) ** 0.5
verdict = "says nothing" if abs(apart) < luck else "is more than that; but it is one seed"
print(f"Tweak D − plain: {apart:+.1f} points. On {tested:,} test pictures two equally good networks may be {luck:.1f}")
print(f"apart, so this {verdict}. The records below have more seeds and more pictures.")

# %% [markdown]
# In the library the training loop knows nothing of the tweaks. They are switches of the model:

# %% tags=["hide-input"]
show(make.model_for, around="# model tweaks", context=3)

# %% [markdown]
# ## The stem, and what it costs
#
# Tweak C replaces the first layer, a 7×7 convolution of stride 2, by three 3×3. For one pair of channels a 7×7 takes 49
# multiply-adds an output and a 3×3 takes 9: the 7×7 is 5.4 times as expensive, says §4.2. It does not follow that three
# 3×3 are cheaper. The 7×7 reads the three colours; the second and third 3×3 read 32 channels.
#
# §4.2 can be read as if the first *two* of them had stride 2, Fig. 2b has it in the first only. Cost decides. All three
# at 224 px, and a ResNet-50 with B that begins with them:

# %% tags=["hide-input"]
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
#
# Now all of Table 5, counted layer by layer on our own networks, for one picture of 224×224. The paper's FLOPs are
# multiply-adds. Many counters call one multiply-add two FLOPs, so theirs are twice these.

# %% tags=["hide-input"]
PARTS = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "head")


def part_by_part(net, classes, side, tweak):
    """Multiply-adds of each part: how much more a net costs that ends after it than one that ends before."""
    with torch.device("meta"):  # shapes without numbers
        model = build(net, classes, **TWEAK[tweak])
        ends = [nn.Sequential(model.stem, model.stages[:n]) for n in range(len(model.stages) + 1)]
    totals = [multiply_adds(part, side) for part in (*ends, model)]
    return dict(zip(PARTS, np.diff([0, *totals]).tolist(), strict=True)), parameter_count(model)


counted = {tweak: part_by_part("resnet50", 1000, 224, tweak) for tweak in ("plain", "B", "C", "D")}
total = {tweak: sum(costs.values()) for tweak, (costs, _) in counted.items()}
table([
    {"network": row, "parameters, M": count / 1e6, "Table 5: parameters, M": printed["params"],
     "multiply-adds, G": sum(costs.values()) / 1e9, "Table 5: FLOPs, G": printed["FLOPs"]}
    for (row, printed), (costs, count) in zip(paper.table("5").items(), counted.values(), strict=True)
])
with torch.device("meta"):
    model, sums = build("resnet50", 1000, **TWEAK["D"]), []
    for layer in model.modules():
        if isinstance(layer, nn.AvgPool2d):
            layer.register_forward_pre_hook(lambda layer, inputs: sums.append(inputs[0].numel()))
    model(torch.empty(1, 3, 224, 224))
print(f"The {len(sums)} poolings of ResNet-50-D add up {sum(sums) / 1e6:.1f} M numbers, which the counter leaves out.")
print(f"ResNet-50-D has {total['D'] / total['plain']:.2f} times the multiply-adds of ResNet-50.")
tweaks.part_costs({tweak: costs for tweak, (costs, _) in counted.items()})

# %% [markdown]
# The numbers on the bars are what a tweak adds there, in millions. B costs the same in stages 2, 3 and 4: its first 1×1
# now works on the large grid, four times as many positions. C costs in the stem. D has no number: path B's 1×1 computes
# as many outputs as before, only from means.
#
# Arithmetic is not time. The paper's text (end of §4) has ResNet-50-D only 3 % slower in training than ResNet-50, for a
# count that is larger by more than 10 %. Layers that move much and compute little may set the pace.
#
# ## Evidence
#
# The study `tweaks` trains `bottleneck14-pool`, a ResNet with one bottleneck block in each of four stages and a quarter
# of ResNet-50's channels, on Imagenette at 64 px for 8 epochs. All arms have warm-up, zero γ, no bias decay and cosine
# decay; only the model differs. How far off is your guess?

# %% tags=["hide-output"]
ARMS = {tweak: arm("tweaks-" + tweak.lower().replace(" ", "-")) for tweak in TWEAK}
everything = [run for runs in ARMS.values() for run in runs]
ours = statistics.compare(ARMS["D"], ARMS["plain"])
guess.reveal(ours, theirs, label="B, C and D", caption=statistics.caption(ARMS["D"] + ARMS["plain"]))

# %% tags=["hide-input", "hide-output"]
ROWS = dict(zip(("plain", "B", "C", "D"), paper.table("5"), strict=True))
results = {
    f"{new} against {old}": (statistics.compare(ARMS[new], ARMS[old]),
                             paper.effect("5", ROWS[new], ROWS[old], "top1"))
    for new, old in (("B", "plain"), ("C", "B"), ("D", "C"), ("D", "plain"))
}
drawn = statistics.caption([run for tweak in ROWS for run in ARMS[tweak]])
guess.veil(evidence.against_paper(results, caption=drawn))

# %% tags=["hide-input", "hide-output"]
def seeds_to_see(effect, found):
    """How many seeds see an effect in 80 of 100 studies, if their differences scatter as these do."""
    return statistics.seeds_for(effect, float(np.std(found.differences, ddof=1)))


alone = statistics.compare(ARMS["D alone"], ARMS["plain"])
lines = [f"{step}: {found}" for step, (found, _) in results.items()] + [f"D alone against plain: {alone}"]
for step in ("B against plain", "C against B"):
    found, effect = results[step]
    lines.append(
        f"{step} is a null: anything from {found.mean - found.half:+.1f} to {found.mean + found.half:+.1f} points is "
        f"not excluded. To see the paper's {effect.delta:+.2f} takes {seeds_to_see(effect.delta, found)} seeds like "
        f"these, to see 1 point {seeds_to_see(1.0, found)}."
    )
guess.veil("\n".join(textwrap.fill(line, 110) for line in lines))

# %% [markdown]
# D is what can be seen here: its step from C is clear, and so is its pooling alone on the plain block, which brings
# nearly as much as all three. Of B and C so few seeds say little. D's gain is several times the paper's. Four things
# may make it so: one block in each stage, so that three of four blocks are downsampling ones; zero γ, with which a
# block begins as its shortcut ("Deeper" below shows how little the plain network then sees); maps as small as 2×2; and
# 8 epochs, in which an early start counts.
#
# A second network fits that, though its data differ too. In `resnet8`, as in the loop above, path A reads everything,
# and D's gain is smaller:

# %% tags=["hide-input"]
basic = statistics.compare(arm("ladder-d"), arm("ladder-no-bias"))
print(f"D's pooling in resnet8, 50,000 pictures of CIFAR-10 × 8 epochs: {basic}")
try:
    without = arm("full-without-d")
except LookupError:
    long = "Not recorded: whether D's gain lasts until the network fits its training pictures, we cannot say."
else:
    in_long = statistics.compare(arm("full-efficient"), without)
    long = f"resnet8, {without[0].recipe.epochs} epochs, D's pooling against a recipe without it: {in_long}."

# %% [markdown]
# A tweak is worth having if it lies above what the same cost buys elsewhere. On the left, the paper's Table 5, one run
# each. Then ours, against multiply-adds and against time. Right is dearer, up is better. Bars are intervals, small dots
# the seeds.

# %% tags=["hide-input"]
def milliseconds(runs):
    """Time per training picture, of each run that has one; it includes measuring the curve, and the test at the end."""
    return [1000 * seconds / (run.meta["train_images"] * run.recipe.epochs)
            for run in runs if (seconds := run.meta["seconds"])]


small = {tweak: part_by_part(SMALL, 10, 64, tweak) for tweak in TWEAK}
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
    caption=statistics.caption(everything),
)
dearer = sum(small["D"][0].values()) / sum(small["plain"][0].values())
where = {"on a plain block": alone, "on top of B and C": results["D against C"][0]}
takeaway, numbers = statistics.headline("Tweak D", where)
slide(fig, "04_accuracy_against_cost", takeaway=takeaway, numbers=numbers, runs=everything)
fig

# %% [markdown]
# *D alone* is where to look: nearly as high as all three, at the cost of plain. Our times cannot test the paper's 3 %:
# the machine did other work, and the seeds of one net are further apart than that.
#
# ## Conclusion

# %% tags=["hide-input"]
b, c = (results[step][0] for step in ("B against plain", "C against B"))
conclusion(
    mechanism=f"""A 1×1 with stride 2 reads a quarter of its input. B moves path A's stride into the 3×3, D averages 2×2
        before path B's 1×1: both read everything, and work that nobody used ({100 * idle["resnet50"]["plain"]:.0f} % of
        a plain ResNet-50) gets used. C makes the stem deeper.""",
    paper=f"""B {results["B against plain"][1].delta:+.2f}, C {results["C against B"][1].delta:+.2f}, D
        {results["D against C"][1].delta:+.2f}, together {theirs.delta:+.2f} points, one run each, for
        {total["D"] / total["plain"]:.2f} times the multiply-adds; 3 % slower, says its text.""",
    short=f"""{ARMS["D"][0].recipe.epochs} epochs. D on top of B and C {results["D against C"][0]}; D's pooling alone
        {alone}. B ({b.mean:+.1f} ± {b.half:.1f}) and C ({c.mean:+.1f} ± {c.half:.1f}) are not resolved: the paper's
        {results["B against plain"][1].delta:+.2f} for B takes {seeds_to_see(results["B against plain"][1].delta, b)}
        seeds like ours. In resnet8, whose path A reads everything, D brings {basic.mean:+.2f} ± {basic.half:.2f}.""",
    long=long,
    use="""You train a residual network from scratch. Take D always: it is one line and costs nothing that counts. Take
        B where blocks are bottlenecks; torchvision's has it already. Take C last: it costs as much as B, and
        its step in the paper is within the noise of two runs.""",
    harms="""You load weights that were trained without it: what comes out of a shortcut that suddenly averages, nobody
        has learnt to read. Or you compare with a library's ResNet-50, which has B, and count B twice.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("Which layer reads every position of its input, each exactly once?", {
    "1×1 with stride 2": (False, "It reads one position of four. The kernel is smaller than the stride."),
    "3×3 with stride 2": (
        False, "It reads everything, but neighbouring windows overlap: a position counts once, twice or four times."),
    "2×2 with stride 2": (True, "The windows touch and do not overlap. That is the pooling of tweak D."),
    "7×7 with stride 2": (False, "It reads everything, each position 9 to 16 times."),
})
quiz("torchvision's resnet50 is your baseline, and you add B, C and D. Which difference of Table 5 may you expect?", {
    "D against plain: it is the ResNet-50 of the 2015 paper": (
        False, "It has the stride in the 3×3. The parameters are the same, the strides and the multiply-adds are not."),
    "D against B: it has tweak B already": (
        True, "Look at the strides on path A: 1, 2, 1. A part of the paper's gain is in your baseline."),
    "D against C": (False, "Its stem is a 7×7 with stride 2, so it has no tweak C."),
})
quiz("A 7×7 convolution costs 5.4 times a 3×3. So tweak C makes the stem …", {
    "cheaper: three 3×3 are 27 products, one 7×7 is 49": (
        False, "For equal channels. But the second and the third 3×3 read 32 channels, the 7×7 reads three colours."),
    "dearer, because the last two of the three read 32 channels": (
        True, "118 M become 358 M multiply-adds in ResNet-50: all that C adds in Table 5."),
    "cheaper, because two of the three have stride 2": (
        False, "One has: Fig. 2b, and the FLOPs of Table 5. The text of the paper can be misread there."),
})
quiz("A counter says that your ResNet-50-D has 8.7 GFLOPs. Table 5 says 4.3. What is wrong?", {
    "Nothing: the paper counts a multiply-add as one": (
        True, "FLOPs are said of both. State which one you count, or say multiply-adds."),
    "The counter forgot that D's pooling is cheap": (False, "The poolings are a few million of thousands of millions."),
    "You have a wider network": (False, "Possible, but a factor of two is first of all a matter of counting."),
})
quiz("Whose inventions are B, C and D?", {
    "All three are this paper's": (
        False, "The paper says itself that B comes from the Torch code for ResNet, and C from Inception-v2."),
    "D is the paper's own, B and C are older": (True, "And D is the one that costs least."),
    "None: all three are older": (False, "The paper introduces D, inspired by what B does for path A."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). A shortcut with tweak D. The shapes fit, it trains, and the accuracy is that of the plain
# network. Which line is wrong?

# %% tags=["hide-input"]
def everything_is_read(names):
    share = share_read(names["shortcut"](4, 8, 2), 4)
    assert share == 1, f"the shortcut reads {100 * share:.0f} % of its input"


torch.manual_seed(0)
bug_hunt(
    """
def shortcut(inputs, outputs, stride):
    layers = []
    if stride > 1:
        layers.append(nn.AvgPool2d(1, stride))
    layers.append(nn.Conv2d(inputs, outputs, 1, bias=False))
    layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers)
""",
    wrong="layers.append(nn.AvgPool2d(1, stride))",
    right="layers.append(nn.AvgPool2d(stride))",
    why="The mean is over 1×1 squares, so the pooling is a slice: three quarters are dropped as before.",
    test=everything_is_read,
    nn=nn,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy, by hand) Which share of its input does a k×k convolution of stride s never read, away from
# the border? In one dimension it reads min(k, s) of every s positions.

# %%
def share_unread(kernel, stride):
    # solution
    return 1 - (min(kernel, stride) / stride) ** 2


def layer_reading(kernel, stride):
    """(12, 12): what a layer of equal weights reads of an input whose edges are joined, so that it has no border."""
    x = torch.ones(1, 1, 12, 12, requires_grad=True)
    left, right = (kernel - 1) // 2, kernel // 2
    joined = pad(x, (left, right, left, right), mode="circular")
    avg_pool2d(joined, kernel, stride).sum().backward()  # the same as a convolution with equal weights
    return x.grad[0, 0] / x.grad.mean()


check("share never read", share_unread, lambda k, s: float((layer_reading(k, s) == 0).double().mean()),
      [(1, 2), (2, 2), (1, 3), (2, 4), (7, 2)],
      hint="What is read is a share of the rows times the same share of the columns. Subtract it from 1.")

# %% [markdown]
# **2.** (10 minutes, medium, by hand) How many multiply-adds does tweak B add to a block that has `channels` inputs,
# `width` channels inside, and side×side positions at its input? The three stages of ResNet-50 are the test.

# %%
def added_by_b(channels, width, side):
    # solution
    return channels * width * (side**2 - (side // 2) ** 2)  # the 1×1, on the large grid instead of the small one


def counted_for_b(channels, width, side):
    stage = {56: "stage 2", 28: "stage 3", 14: "stage 4"}[side]
    return counted["B"][0][stage] - counted["plain"][0][stage]


check("cost of B", added_by_b, counted_for_b, [(256, 128, 56), (512, 256, 28), (1024, 512, 14)],
      hint="Only the first 1×1 works on another grid. A 1×1 takes channels · width multiply-adds at each position.")

# %% [markdown]
# **3.** (10 minutes, medium) How many pixels are there from the first to the last that one output reads, after a chain
# of convolutions? Each is a pair (kernel, stride), the first layer first.

# %%
def field_width(layers):
    # solution
    width, step = 1, 1
    for kernel, stride in layers:
        width += (kernel - 1) * step
        step *= stride
    return width


def profile(layers, channels=3, side=65):
    """Weights of the pixel columns, from the first to the last that the middle output reads; all layers average."""
    x = torch.ones(1, channels, side, side, requires_grad=True)
    y = averaging_(layers)(x)[0, 0]
    y[len(y) // 2, len(y) // 2].backward()
    columns = x.grad.sum((0, 1, 2))
    read = columns.nonzero()[:, 0]
    return (columns / columns.sum())[read[0] : read[-1] + 1].tolist()


def measured_width(layers):
    return len(profile(nn.Sequential(*(conv(1, 1, kernel, stride) for kernel, stride in layers)), channels=1))


check("receptive field", field_width, measured_width,
      [[(7, 2)], [(3, 2), (3, 1), (3, 1)], [(3, 2), (3, 2), (3, 1)], [(1, 2), (3, 1)], [(3, 1)] * 4],
      hint="A kernel of k adds k − 1 steps, and a step is as long as the product of all strides before it.")

# %% [markdown]
# **4.** (10 minutes, predict–train–explain) Make the block of the loop read as little as a plain bottleneck: the first
# convolution of path A becomes a 1×1 with the stride. Write down first: which share of its input does the block read,
# and by how many points will the accuracy change? Then measure both (half a minute on two CPU cores), and name the two
# things that you changed.

# %%
def with_a_quarter():
    # solution
    quarter = loop({"conv(inputs, outputs, 3, stride)": "conv(inputs, outputs, 1, stride)"})
    print(f"the block reads {100 * share_read(quarter.Block(32, 64, stride=2), 32):.0f} % of its input")
    return race({"a quarter": quarter.train}, data, caption="live, seed 0 · path A begins with 1×1")


quarter = with_a_quarter()

# %% tags=["solution"]
fell = quarter["a quarter"][-1]["test_accuracy"] - end["plain"]
print(f"A quarter − plain: {fell:+.1f} points; two equally good networks may be {luck:.1f} apart.")

# %% [markdown] tags=["solution"]
# The block reads a quarter. But its first convolution also has a ninth of the weights now, so a change of accuracy has
# two causes, and this run cannot divide it between them. An arm with D's shortcut on top would: it reads everything
# again, and has as few weights.

# %% [markdown]
# ## Deeper: all blocks at once
#
# The maps of the panel side by side, for those who read this without a kernel.

# %% tags=["hide-input"]
COLUMNS = {"plain": "plain", "B and C": "B", "D": "D"}  # what stands above them: whose block it is
tweaks.coverage({f"{name}, {path}": reading(tweak, path) for path in PATHS for name, tweak in COLUMNS.items()},
                columns=3)

# %% [markdown]
# Read it row by row. *Path A*: with B a position counts once, twice or four times, because 3×3 windows of stride 2
# overlap by one row and one column. *Path B*: D's reading is even. *Both*: in a block with B alone the orange of path B
# does not show in the sum. What D adds is that path B reads all of it, and evenly.
#
# This is the library's path B. Its 1×1 convolution has one matrix, (channels out, channels in), for all positions. That
# matrix applied by hand, after slicing and after pooling, gives what the layers give:

# %%
x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
means = sum(x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)) / 4
for tweak_d, read in ((False, x[:, :, ::2, ::2]), (True, means)):
    shortcut = make_shortcut(3, 5, stride=2, tweak_d=tweak_d)
    before_bn = shortcut[:-1](x)  # all but the batch norm
    by_hand = torch.einsum("oi,nihw->nohw", shortcut.conv.weight[:, :, 0, 0], read)
    assert torch.allclose(before_bn, by_hand, atol=1e-6)
    print("with tweak D:" if tweak_d else "plain:", tuple(x.shape), "→", tuple(before_bn.shape), "as by hand")

# %% [markdown]
# ## Deeper: kernel, stride, and an even reading
#
# One layer that averages k×k positions with stride s, on a 12×12 input whose edges are joined. On the left, tweak D's
# 2×2 with stride 2. Look for two rules: when are positions left out, and when is the reading even? D's windows do not
# overlap. Must they not?

# %% tags=["hide-input"]
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

# %% tags=["hide-input"]
tweaks.coverage({f"{k}×{k}, stride {s}": layer_reading(k, s) for k, s in ((1, 2), (3, 2), (7, 2), (4, 4))}, columns=4)

# %% [markdown]
# Positions are left out if the kernel is smaller than the stride. The reading is even if the stride divides the kernel.
# A 3×3 or a 7×7 with stride 2 reads everything, but in a checkerboard; a trained layer may make up for that with its
# weights, a mean cannot. Large kernels make the unevenness small: for 7×7 it is 9 to 16 windows.

# %% [markdown]
# ## Deeper: what the stems read
#
# What the three layers of tweak C read together is wider than 7 pixels. One output, in the middle, and how much each
# pixel column counts in it when all weights average:

# %% tags=["hide-input"]
tweaks.receptive_field({name: profile(stem_of(name)[:-1]) for name in STEMS})  # without the max pooling

# %% [markdown]
# They read 11×11 pixels. The inner columns count more than the outer ones, and the odd ones, but for the ends, more
# than the even ones beside them: the checkerboard of a 3×3 with stride 2 again. Between the three convolutions stand
# two more batch norms and ReLUs.

# %% [markdown]
# ## Deeper: what the first step sees
#
# All arms start with zero γ (section 3.1): each block begins as its shortcut, and what path A could read does not count
# yet. How much of the stem's output, 16×16 positions, does the whole network read at that moment?

# %% tags=["hide-input"]
for tweak in TWEAK:
    net = averaging_(build(SMALL, 10, **TWEAK[tweak]))
    parameters.zero_last_gamma_(net)
    x = torch.ones(1, 16, 16, 16, requires_grad=True)
    net.stages(x).sum().backward()
    print(f"{tweak:<8} reads {int((x.grad[0] != 0).any(0).sum()):3d} of 256 positions at the start")

# %% [markdown]
# Three strides of 2 on path B leave one position in 64, with tweak B or without. γ moves from the first step on, so
# this is a matter of early training; it is one way in which D can act on more than path B's own reading. The paper's
# Table 5 has zero γ too, because its ResNet-50 is that of section 3's efficient training. How large this effect is, an
# arm without zero γ would tell. It is not recorded.

# %% [markdown]
# ## Deeper: the study's choices and costs
#
# The learning rate was chosen with the plain net on a tenth of the training pictures, held out. If that favours an arm,
# it favours plain. The largest rate below was run after the choice, to see whether the choice lies at an edge.

# %% tags=["hide-input"]
pilots = [run for name in study("pilot_tweaks").arms for run in arm(name)]
table([{"learning rate": run.recipe.lr, "held-out accuracy, %": run.accuracy, "seed": run.seed} for run in pilots])
best, lr = max(pilots, key=lambda run: run.accuracy), recipe_of("tweaks-plain").lr
error = (best.accuracy * (100 - best.accuracy) / best.meta["test_images"]) ** 0.5
taken = max(run.accuracy for run in pilots if run.recipe.lr == lr)
print(f"best {best.recipe.lr}; taken {lr}, {taken - best.accuracy:+.1f} points from the best")
print(f"standard error of one such accuracy, on {best.meta['test_images']} pictures: {error:.1f} points")
table([
    {"net": tweak, "parameters": f"{small[tweak][1]:,}", "multiply-adds, M": sum(small[tweak][0].values()) / 1e6,
     "training images per second, by seed": ", ".join(f"{1000 / time:.0f}" for time in milliseconds(runs)),
     "test accuracy, %": statistics.plus_minus([run.accuracy for run in runs])}
    for tweak, runs in ARMS.items()
])
machines = {f"{m['device']}, {m['threads']} thread(s), PyTorch {m['torch']}" for m in (run.meta for run in everything)}
print(f"machine: {' / '.join(sorted(machines))}. {statistics.caption(everything)}")

# %% [markdown]
# In this network C makes the stem *cheaper*: with 16 channels instead of 64 the two inner 3×3 shrink by 16, the 7×7
# only by 4. B costs a larger share than in ResNet-50, because every block but the first is a downsampling one. Speed is
# that of a whole run, test included, on a machine that did other work at the same time: compare the seeds of one net
# before you compare two nets.

# %% [markdown]
# ## Deeper: which ResNet-50 have you got?
#
# The parameters do not show it. The strides and the multiply-adds do:

# %% tags=["hide-input"]
with torch.device("meta"):
    without_b, with_b = (build("resnet50", 1000, tweak_b=tweak_b) for tweak_b in (False, True))
    library = torchvision.models.resnet50()
blocks = {"ours, plain": (without_b, without_b.stages[1][0]), "ours, B": (with_b, with_b.stages[1][0]),
          "torchvision's": (library, library.layer2[0])}
table([
    {"resnet50": name, "parameters": f"{parameter_count(model):,}", "multiply-adds, G": multiply_adds(model, 224) / 1e9,
     "strides on path A": str([layer.stride[0] for layer in (block.conv1, block.conv2, block.conv3)])}
    for name, (model, block) in blocks.items()
])
try:
    build("resnet8", 10, tweak_b=True)
except ValueError as error:
    print("And not every ResNet can have B:")
    print(textwrap.fill(f"ValueError: {error}", 110))

# %% [markdown]
# ## For discussion
#
# 1. The mean of tweak D and the 1×1 after it are both linear, so they may change places and give the same numbers. What
#    would that cost? Is the same true of a mean and a 3×3?
# 2. Tweak B reads everything on path A already. What could an even reading on path B be good for, if path A can learn
#    its weights?
# 3. You compare a new block with the ResNet-50 of a library, and your block averages on its shortcut. Which baseline
#    tells what the new block is worth, and which two costs would you report?
