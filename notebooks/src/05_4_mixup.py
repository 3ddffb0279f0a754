# %% [markdown]
# # 5.4 Mixup training
#
# **Nobody will ever take the picture in the middle. Why should a network that is trained on nothing else get better at
# real ones?**

# %% tags=["hide-input"]
import copy
import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from IPython.display import display
from IPython.utils.capture import capture_output
from scipy.special import digamma, entr
from torch import nn
from torch.nn.functional import cross_entropy

from tricks import augment, label_smoothing, metrics, mixup, targets, train
from tricks.after import averaging
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import conclusion, load_data, show, show_loop, slide, sliders, table, tabled
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots import evidence
from tricks.plots import mixup as mixup_plots
from tricks.records import paper, statistics
from tricks.studies.studies import arm

# %% tags=["hide-input"]
dataset = load_data()
pair = [int(np.flatnonzero(dataset.train.labels == label)[n]) for label, n in ((3, 22), (8, 1))]
two = torch.from_numpy(dataset.train.images[pair])
two_labels = targets.one_hot(torch.from_numpy(dataset.train.labels[pair]), len(dataset.classes))


def mixture(lam=0.7):
    picture, target = mixup.mixup(two, two_labels, lam, torch.tensor([1, 0]))
    return picture[0].numpy(), target[0].numpy()


drawn = partial(mixup_plots.mixed_pair, two.numpy(), dataset.classes)
takeaway = "Mixup trains on a weighted average of two pictures, and of their labels"
idea = drawn(mixture(0.7))
slide(idea, "05_4_idea", takeaway=takeaway)
sliders(
    drawn, mixture, lam=(0.0, 1.0), goal="Give the second picture three times the weight of the first.",
    reached=lambda lam: math.isclose(lam, 0.25, abs_tol=0.02), solution={"lam": 0.25},
)

# %% [markdown]
# **Claim.** Mixup trains on weighted averages of two pictures, with their labels averaged by the same weights. So the
# network is asked what to say *between* the training pictures, and becomes less sure there. That is a brake on learning
# by heart: a cost where there is nothing to stop yet, and the hope of a gain where there is.
#
# After this lesson you can
# 1. write mixup and its loss from memory, and say what is drawn per batch and what per picture;
# 2. say how much is mixed at a given α, which is not α;
# 3. say why loss and accuracy in training cannot be compared with those of a run without mixup;
# 4. show a case in which a mixture gets the wrong target;
# 5. say what the paper's number for mixup mixes, and when you would switch mixup on.
#
# *Time:* 30 minutes, 20 more for the parts headed "Deeper", 40 for questions and exercises; one minute of training on
# two idle CPU cores. *Paper:* §5.4–5.5, eq. 7–8, Table 6.
#
# ## Before you go on: predict
#
# What the row with mixup adds to ResNet-50-D on ImageNet, on top of label smoothing, is printed below. By how much will
# it change the test accuracy of our small network on CIFAR-10, also with smoothing, and with *as many epochs* (12) as
# without mixup? (The paper's ± is how far apart two single runs may be there.)

# %% tags=["hide-input"]
theirs = paper.effect("6", "+ mixup w/o distill", "+ label smoothing", "ResNet-50-D_top1")
print(f"paper, Table 6, means of the CVPR version: {theirs} points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-4, high=4, unit="points")

# %% [markdown]
# ## By hand
#
# Mixup draws a weight λ in [0, 1] and trains on
#
# $$\hat{x} = \lambda x_i + (1 - \lambda) x_j, \qquad \hat{y} = \lambda y_i + (1 - \lambda) y_j
# \qquad\text{(eq. 7 and 8).}$$
#
# A batch of two pictures of two pixels each, of classes 0 and 2 out of three, and λ = 0.3. Each is the other's
# partner. The first mixture is 0.3 of the first picture and 0.7 of the second, the second mixture the reverse:

# %%
x, y = torch.tensor([[0.0, 4.0], [10.0, 8.0]]), torch.tensor([0, 2])
lam, perm = 0.3, torch.tensor([1, 0])
mixed_by_hand = torch.tensor([[0.3 * 0 + 0.7 * 10, 0.3 * 4 + 0.7 * 8], [0.3 * 10 + 0.7 * 0, 0.3 * 8 + 0.7 * 4]])
targets_by_hand = torch.tensor([[0.3, 0, 0.7], [0.7, 0, 0.3]])
print(mixed_by_hand)
show(mixup.mixup)
mixed, mixed_targets = mixup.mixup(x, targets.one_hot(y, 3), lam, perm)
assert torch.allclose(mixed, mixed_by_hand) and torch.allclose(mixed_targets, targets_by_hand)

# %% [markdown]
# The cross-entropy −Σ p log q is linear in the target p. So the loss of the mixed target is the mixed loss of the two
# labels, and code without dense targets can call its loss twice. (The *pictures* cannot be separated in this way: the
# network is not linear.)

# %%
logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
of_mixed_target = targets.soft_cross_entropy(logits, mixed_targets)
mixed_loss = lam * cross_entropy(logits, y) + (1 - lam) * cross_entropy(logits, y[perm])
print(f"{of_mixed_target:.6f} = {mixed_loss:.6f}")
assert torch.allclose(of_mixed_target, mixed_loss)

# %% [markdown]
# ## How much is mixed
#
# λ is drawn from Beta(α, α), once per *batch*. This density is symmetric about ½; for α < 1 it is a bowl, for α = 1 it
# is uniform, for α > 1 a hill. Two numbers say how much is mixed: the share of batches whose λ is within 0.1 of 0 or 1,
# which are almost unmixed, and the mean weight of the lighter picture, E[min(λ, 1 − λ)]. The paper's α is 0.2.

# %% tags=["hide-input"]
sliders(
    mixup_plots.beta_density, alpha=(0.05, 4.0, 0.05), goal="Let the lighter picture weigh a quarter, on average.",
    reached=lambda alpha: abs(mixup.lighter_weight(alpha) - 0.25) < 0.005, solution={"alpha": 1.0},
)

# %% tags=["hide-input"]
for alpha in (0.1, 0.2, 0.5, 1.0):
    print(f"α = {alpha}: {100 * mixup.near_ends(alpha):4.1f} % of the batches are within 0.1 of 0 or 1, "
          f"mean weight of the lighter picture {100 * mixup.lighter_weight(alpha):4.1f} %")

# %% [markdown]
# ## What the network learns between the points
#
# On a plane it can be seen. 200 points of two classes, in two shapes, and a network with two hidden layers that learns
# them in 600 steps, with mixup at three α (0: none). Left, what it is given: ten of the mixed points of each of the
# first 40 steps, in the colour of their target. Right, the probability that it then gives to the orange class all over
# the plane. The black line is the decision boundary.

# %% tags=["hide-input"]
def two_moons(t, y):
    sign = np.where(y == 0, 1, -1)[:, None]
    return sign * (np.stack([np.cos(math.pi * t), np.sin(math.pi * t)], axis=1) - [0.5, 0.25])


def rings(t, y):
    radius = np.where(y == 0, 0.4, 1.2)[:, None]
    return radius * np.stack([np.cos(2 * math.pi * t), np.sin(2 * math.pi * t)], axis=1)


SHAPES = {"two moons": two_moons, "rings": rings}
STEPS = 600


def sample(shape, n, seed):
    """n points (n, 2) and their classes (n,), blue 0 and orange 1, with noise of standard deviation 0.12."""
    rng, y = np.random.default_rng(seed), np.arange(n) % 2
    x = SHAPES[shape](rng.random(n), y) + rng.normal(0, 0.12, (n, 2))
    return torch.from_numpy(x).float(), torch.from_numpy(y)


def batches(x, y, alpha, steps=STEPS):
    """All points in each step, mixed."""
    draws, pairs = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for _ in range(steps):
        lam = draws.beta(alpha, alpha) if alpha else 1.0
        yield mixup.mixup(x, targets.one_hot(y, 2), lam, torch.randperm(len(x), generator=pairs))


@cache
def learnt(shape, alpha):
    """What a network is given and what it says: the probabilities on the plane, and its logits for 4,000 new points."""
    x, y = sample(shape, 200, seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for mixed, wanted in batches(x, y, alpha):
        loss = targets.soft_cross_entropy(model(mixed), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    given = [(mixed[k % 20 :: 20], wanted[k % 20 :: 20, 1])  # ten points of each of the first 40 steps
             for k, (mixed, wanted) in enumerate(batches(x, y, alpha, steps=40))]
    with torch.no_grad():
        probability = model(torch.from_numpy(mixup_plots.grid(160)).float()).softmax(1)[:, 1].reshape(160, 160)
        new = model(sample(shape, 4_000, seed=1)[0])
    return mixup_plots.Plane(x, y, *map(torch.cat, zip(*given, strict=True)), probability), new


def plane(shape="two moons", alpha=0.2):
    return learnt(shape, alpha)[0]


inner = sample("rings", 4_000, seed=1)[1] == 0
says_outer = {alpha: learnt("rings", alpha)[1][inner].softmax(1)[:, 1].mean().item() for alpha in (0.0, 0.2, 1.0)}
for alpha in says_outer:  # train all six now, so that the slider only draws
    learnt("two moons", alpha)
sliders(
    mixup_plots.decision_map, plane, shape=list(SHAPES), alpha=[0.0, 0.2, 1.0],
    goal="Find the setting in which real points of one class are told most often that they are of the other.",
    reached=lambda shape, alpha: shape == "rings" and alpha == 1.0, solution={"shape": "rings", "alpha": 1.0},
)

# %% [markdown]
# Without mixup the network is almost certain on both sides of the line, also where there are no points at all: no
# target asked for that, and none forbade it. With mixup the cliff between the classes becomes a slope. The table says
# how much of the plane is left in doubt, and what it costs or brings at the points themselves:

# %% tags=["hide-input"]
rows = []
for shape in SHAPES:
    y = sample(shape, 4_000, seed=1)[1]
    for alpha in says_outer:
        q = learnt(shape, alpha)[1].softmax(1)
        unsure = (plane(shape, alpha).probability - 0.5).abs() < 0.4
        rows.append({"shape": shape, "α": alpha, "accuracy on new points, %": f"{metrics.accuracy(q.log(), y):.1f}",
                     "mean confidence there, %": f"{100 * q.amax(1).mean():.1f}",
                     "plane with confidence below 90 %": f"{100 * unsure.float().mean():.0f} %"})
table(rows)
display(mixup_plots.decision_map(plane("rings", 1.0)))
print("Mean probability of “outer” at new points of the inner ring:", end=" ")
print(", ".join(f"{100 * share:.1f} % at α = {alpha:g}" for alpha, share in says_outer.items()))

# %% [markdown]
# The rings show where it goes wrong. The line under them has the mean *probability* of "outer" at points of the inner
# ring: few of these points are classified wrongly, as the table's accuracy says, but the network is less sure of them.
# Take two points of the outer ring, on opposite sides. Their target is "outer", with certainty, and their mixture may
# lie inside the *inner* ring. This is called *manifold intrusion*: a mixture lands where real pictures of another class
# are. Pictures have thousands of dimensions, and a mixture of two seldom looks like a third, so it should be rarer
# among them; it cannot be ruled out.
#
# ## In the loop from zero
#
# A weight, a permutation of the batch, the mixture, and the loss twice. Both draws come from a random stream of their
# own, so that the run with mixup sees the same crops in the same order as the run without. Each picture is used twice,
# with weights λ and 1 − λ, and no second batch is loaded. (The paper does not say how it pairs.)
#
# What may come out? After 8 epochs the network does not know its pictures by heart. If mixup is a brake on learning by
# heart, there is nothing to stop yet: expect it behind. (One seed and 2,000 test pictures: a point or two can be
# chance; the records further down have more.) And its training loss ends higher in any case: it is measured on
# mixtures, against two labels at once, and no network can bring the loss of a mixture of two classes below H(λ) = −λ
# log λ − (1 − λ) log(1 − λ) nats, 0.61 at λ = 0.3.

# %%
PLAIN_LINES = """\
            x, y = augmented(pictures[rows]), labels[rows]
            loss = F.cross_entropy(net(x), y)
"""
MIXED_LINES = """\
            x, y = augmented(pictures[rows]), labels[rows]
            lam, perm = draws.beta(alpha, alpha), draws.permutation(len(x))
            logits = net(lam * x + (1 - lam) * x[perm])
            loss = lam * F.cross_entropy(logits, y) + (1 - lam) * F.cross_entropy(logits, y[perm])
"""
KEEP = {"    for epoch in range(epochs):": "    keep.append(net)\n    for epoch in range(epochs):"}
kept = []  # networks, as they are trained
mixes = loop({PLAIN_LINES: MIXED_LINES, **KEEP}, alpha=0.2, draws=np.random.default_rng(0), keep=kept)
with capture_output():  # the loop as it was, but for the line that keeps the network
    plain = loop(KEEP, keep=kept)
data = pictures(dataset)
live = race({"plain": plain.train, "mixed": mixes.train}, data,
            caption=f"live, seed 0 · the loop from zero · {dataset.source}")

# %% tags=["hide-input"]
nets = dict(zip(live, kept[-2:], strict=True))
clean = {name: plain.accuracy(net, *data[0]) for name, net in nets.items()}
tested = {name: ended[-1]["test_accuracy"] for name, ended in live.items()}
table([
    {"": name, "training loss": ended[-1]["train_loss"], "clean training pictures, %": f"{clean[name]:.1f}",
     "test pictures, %": f"{tested[name]:.1f}"} for name, ended in live.items()
])
change, fitted = tested["mixed"] - tested["plain"], clean["mixed"] - clean["plain"]
print(f"With mixup: {change:+.1f} points on the test pictures, {fitted:+.1f} on the training pictures, shown clean.")
chance = 100 * math.sqrt(0.5 / len(data[1][1]))  # sd of a difference of two shares near one half
if change < -chance:
    print("It lost, as expected: the network does not know its pictures by heart, and mixup slowed it down.")
elif change > chance:
    print("It gained, against what was expected. One seed can do that; the records below have more.")
else:
    print(f"On the test pictures that is a tie: chance alone moves it by {chance:.1f} points (standard deviation).")

# %% [markdown]
# *Clean* training accuracy, on pictures that are neither mixed nor cropped, is the number to compare. If it is far from
# 100 % without mixup, there is little learning by heart that mixup could stop. The library's line, and where λ and the
# partners are drawn, at an epoch's start:

# %% tags=["hide-input"]
show_loop("# mixup", context=2)
show(train.draw_mixing)

# %% [markdown]
# ## Evidence
#
# **The paper's number is two changes.** Its row "+ mixup w/o distill" differs from "+ label smoothing" in α = 0.2,
# *and* in 200 epochs for 120 (§5.5), for all three networks. The difference cannot be divided between the two. So we
# trained with label smoothing, with and without mixup, for 12, for 20 and for 200 epochs, and without mixup for 120;
# part of the long runs on a GPU.

# %% tags=["hide-output"]
plain_12, plain_20, mix_12, mix_20 = (arm(name) for name in ("smoothing-0.1", "long", "smooth-mixup", "long-mixup"))
longer = replace(theirs, unlike="the paper's has 80 more epochs, too")
short = statistics.compare(mix_12, plain_12)
guess.reveal(short, longer, label="mixup, 12 epochs", caption=statistics.caption(plain_12 + mix_12))

# %% tags=["hide-input", "hide-output"]
plain_120, plain_200, mix_200 = arm("full-smooth"), arm("full-smooth-200"), arm("full-mixup")
ARMS = (plain_12, mix_12, plain_20, mix_20, plain_120, plain_200, mix_200)
guess.veil(tabled([
    {"epochs": runs[0].recipe.epochs, "mixup α": f"{runs[0].recipe.mixup_alpha:g}", "seeds": len(runs),
     "clean training accuracy, %": statistics.plus_minus([run.rows[-1]["train_accuracy"] for run in runs], 1),
     "test accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "confidence − accuracy, points": statistics.plus_minus([statistics.overconfidence(run) for run in runs], 1)}
    for runs in ARMS
]))
everything = [run for runs in ARMS for run in runs]
print(statistics.caption(everything))

# %% [markdown]
# The paper has one number, which stands in all rows of the picture. Only the first two make the same comparison, two
# changes at once, so only they have a verdict (lesson [C](C_when_to_believe.ipynb)). The other three change mixup
# alone:

# %% tags=["hide-input", "hide-output"]
middle, long = (statistics.compare(*both) for both in ((mix_20, plain_20), (mix_200, plain_200)))
more_12, more_120 = statistics.compare(plain_20, plain_12), statistics.compare(plain_200, plain_120)
as_in_table_6 = statistics.compare(mix_200, plain_120)
results = {
    "mixup and 20 instead of 12 epochs": (statistics.compare(mix_20, plain_12), theirs),
    "mixup and 200 instead of 120 epochs": (as_in_table_6, theirs),
    "mixup, 12 epochs": (short, longer),
    "mixup, 20 epochs": (middle, longer),
    "mixup, 200 epochs": (long, longer),
}
fig = evidence.against_paper(results, caption=statistics.caption(everything))
lengths = {"in 12 epochs": short, "in 200 epochs": long}
takeaway, numbers = statistics.headline("Mixup with α = 0.2", lengths, longer)
slide(fig, "05_4_short_and_long", takeaway=takeaway, numbers=numbers, runs=everything)
guess.veil(fig)

# %% tags=["hide-output"]
guess.veil(f"no mixup, 20 instead of 12 epochs: {more_12}\nno mixup, 200 instead of 120 epochs: {more_120}")

# %% [markdown]
# **Why the sign changes.** At 12 and 20 epochs the network is still far from knowing its own training pictures, and
# with mixup further. There is nothing to cure yet; mixup takes from what little time there is. "20 epochs with mixup"
# is ahead of "12 without" all the same, because eight more epochs bring more than mixup costs. That is how a two-change
# comparison can show a gain from a trick that loses. At 200 epochs the network knows its 10,000 pictures almost by
# heart, with mixup too, and is still wrong on many test pictures: here is a gap that a regulariser could close. The
# step of Table 6, mixup *and* 80 more epochs, then gains about what it does in the paper. How much of it is mixup, and
# how much the epochs, our two single steps do not resolve.

# %% tags=["hide-input", "hide-output"]
right = statistics.t_interval([run.accuracy for run in mix_200])[0]
turn = ("gains" if long.mean > 0 else "loses") if long.clear else "neither clearly gains nor clearly loses"
guess.veil(f"200 epochs: {100 - right:.0f} of 100 test pictures are still wrong, and mixup {turn}: "
           f"{long.mean:+.2f} ± {long.half:.2f} points, {len(long.seeds)} seeds.")

# %% [markdown]
# Others report a turn with longer training: with 90 epochs on ImageNet-LT mixup lost a point, with 180 it gained more
# than one (MiSLAS, issue 10).
#
# And the last column of the table: smoothing alone makes a network claim less than it could, and mixup on top of it
# still less, at each of the three lengths. If somebody uses the probabilities, look at this column before you use both.
#
# ## Conclusion

# %% tags=["hide-input"]
deviation = float(torch.tensor(long.differences).std())
others = [f"{net} {paper.delta('6', '+ mixup w/o distill', '+ label smoothing', f'{net}_top1'):+.2f}"
          for net in ("Inception-V3", "MobileNet")]
conclusion(
    mechanism="""Targets between the training pictures: the cliff between two classes becomes a slope, the network
        becomes less sure, and no picture comes twice in the same form, so that it is harder to learn by heart.""",
    paper=f"""{theirs} points for ResNet-50-D, {" and ".join(others)}; all of them with 80 more epochs than the row that
        they are compared with. What mixup alone brought there is not known.""",
    short=f"At equal length, 12 epochs: {short}; 20 epochs: {middle}. A loss.",
    long=f"""At equal length, 200 epochs: {long}. To see half a point with this scatter takes
        {statistics.seeds_for(0.5, deviation)} seeds. Mixup and 80 more epochs at once, the step of
        Table 6: {as_in_table_6}; {as_in_table_6.against(theirs)}.""",
    use="""Clean training accuracy comes near 100 % while test pictures are still wrong, and you can afford more epochs.
        Then it is worth a try, with α = 0.2 and against a run of equal length; with less weight decay if the network no
        longer fits (an author's advice, not tested here).""",
    harms="""The run is too short for the network to learn its pictures. Where mixtures land on another
        class (the rings). And where confidence counts and smoothing is on: it lowers what is too low already.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("Table 6 (CVPR): ResNet-50-D gains 0.6 points in the row with mixup. What did mixup bring there?", {
    "0.6 points": (False, "The row also has 200 epochs instead of 120. That alone may bring points, or all of them."),
    "It cannot be told from the table": (
        True, "Mixup and training length change together, for all three networks. One more run would tell them apart."),
    "Less than nothing, as in our short runs": (
        False, "Ours are another regime. Even at our scale the long runs do not show the loss of the short ones."),
})
quiz("You switch mixup on. Training accuracy drops from 80 to 50 %. What is broken?", {
    "Nothing: it is counted on mixtures, against one of two labels": (
        True, "Measure it on clean pictures. Exercise 1 has the ceiling of the other count."),
    "The labels are no longer those of the pictures": (
        False, "They belong to them, in two halves. A program that counts against one label misses the other."),
    "The learning rate is too large for mixed pictures": (
        False, "It may be, but this number does not show it. Look at clean pictures first."),
})
quiz("How much is mixed at α = 0.2?", {
    "20 % of the lighter picture on average": (
        False, "It is about 10 %. α is the shape of the distribution of λ, not a weight."),
    "20 % of the batches": (
        False, "Every batch is mixed, though two thirds of them by less than a tenth."),
    "The lighter picture weighs about 10 % on average, and most batches are almost unmixed": (
        True, "The panel with Beta(α, α). At α = 1 the lighter picture weighs a quarter."),
})
quiz("Is mixup an ensemble?", {
    "Yes: it averages pictures": (
        False, "An ensemble averages answers of several networks. Here an average goes in, and one network answers."),
    "No: one network is trained, one is used, and test pictures are not mixed": (
        True, "It costs one forward pass a step, as without, and nothing at test time."),
    "Yes, at test time over many λ": (False, "At test time nothing is mixed at all."),
})
quiz("Ten epochs, a small network, and mixup cost you a point. What first?", {
    "Raise α: more of a good thing": (
        False, "In our 12 epochs each larger α cost more: see “Deeper: α”. The network lacks time, not noise."),
    "Look at clean training accuracy; if it is far from 100 %, leave mixup out or train longer": (
        True, "There is no learning by heart to stop yet. Mixup needs epochs."),
    "Add weight decay, as mixup makes the weights grow": (
        False, "That is a second brake. Asked in public, one of mixup's authors advised the opposite: less of it."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). This loss trains, with a network that ends much worse than without mixup. Which line is
# wrong?

# %% tags=["hide-input"]
def unmixed_is_unmixed(names):
    x, y, perm = torch.eye(3), torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
    ours, expected = names["mixup_loss"](lambda x: 5 * x, x, y, 1.0, perm), cross_entropy(5 * x, y)
    assert torch.isclose(ours, expected), f"with λ = 1 nothing is mixed, and the loss is {ours:.2f}, not {expected:.2f}"


bug_hunt(
    """
def mixup_loss(net, x, y, lam, perm):
    logits = net(lam * x + (1 - lam) * x[perm])
    of_first = cross_entropy(logits, y)
    of_second = cross_entropy(logits, y[perm])
    return (1 - lam) * of_first + lam * of_second
""",
    wrong="return (1 - lam) * of_first + lam * of_second",
    right="return lam * of_first + (1 - lam) * of_second",
    why="The heavier picture's label gets the lighter weight.",
    test=unmixed_is_unmixed,
    cross_entropy=cross_entropy,
)

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). A network always names the heavier of the two pictures, without a mistake. Its
# partner is of any of the K classes with equal probability. Which accuracy, in per cent, does it get when it is counted
# against y_i, as many programs do?

# %%
def ceiling(K):
    # solution
    return 100 * (0.5 + 0.5 / K)  # half the time y_i is the heavier one; else it must be of the same class


def counted(K):
    """The share of hits over all cases, which are equally likely: who is heavier, and the partner's class; y_i is 0."""
    return 100 * np.mean([y_i_is_heavier or partner == 0 for y_i_is_heavier in (True, False) for partner in range(K)])


check("ceiling of the mixed training accuracy", ceiling, counted, [10, 1000, 2],
      hint="λ is above ½ half of the time. In the other half, it is a hit if both pictures are of one class.")

# %% [markdown]
# **2.** (5 minutes, easy) Some programs draw a λ for each picture of the batch. Write that mixup: `lam` is (N,), the
# pictures are (N, 3, H, W), the targets (N, K).

# %%
def mixup_each(x, targets, lam, perm):
    # solution
    of_x = lam[:, None, None, None]
    return of_x * x + (1 - of_x) * x[perm], lam[:, None] * targets + (1 - lam[:, None]) * targets[perm]


def one_by_one(x, targets, lam, perm):
    rows = [mixup.mixup(x, targets, float(share), perm) for share in lam]
    return [torch.stack([row[part][i] for i, row in enumerate(rows)]) for part in (0, 1)]


stream = torch.Generator().manual_seed(1)
some_targets = targets.one_hot(torch.tensor([0, 2, 1]), 4)
batch = torch.rand(3, 3, 4, 4, generator=stream), some_targets, torch.rand(3, generator=stream)
check("a λ for each picture", mixup_each, one_by_one, [(*batch, torch.tensor([1, 2, 0]))],
      hint="Give `lam` as many axes as what it multiplies: (N, 1, 1, 1) and (N, 1).")

# %% [markdown]
# **3.** (10 minutes, hard) Mixup and smoothing together, as in Table 6: what is the smallest loss for two pictures of
# different classes, as a function of λ, ε and K?

# %%
def lowest_loss(lam, eps, K):
    # solution
    on, off = 1 - eps, eps / (K - 1)
    first, second = lam * on + (1 - lam) * off, lam * off + (1 - lam) * on
    return -first * math.log(first) - second * math.log(second) - (K - 2) * off * math.log(off)


def measured(lam, eps, K):
    both = torch.eye(K, dtype=torch.float64)[:2]
    target = label_smoothing.smooth(mixup.mixup(both, both, lam, torch.tensor([1, 0]))[1], eps)[:1]
    return float(targets.soft_cross_entropy(target.log(), target))  # logits whose softmax is the target


check("lowest loss", lowest_loss, measured, [(0.3, 0.1, 10), (0.9, 0.1, 1000), (0.5, 0.4, 3)],
      hint="The lowest cross-entropy is the target's own entropy. Write down the target: two classes stand out of K.")

# %% [markdown]
# **4.** (10 minutes, predict–train–explain) With mixup, lower the weight decay: that is the advice of one of its
# authors to somebody whose network no longer fitted. Write down first: at a fifth of the weight decay,
# `weight_decay=1e-4`, will clean training accuracy and test accuracy of the mixed run rise or fall in 8 epochs? Then
# call `race` with `mixes.train` and this keyword, and say why. The clean training accuracy is then
# `plain.accuracy(kept[-1], *data[0])`. (Half a minute on two idle cores.)

# %%
def less_decay():
    # solution
    return race({"mixed, less decay": mixes.train}, data, caption="live, seed 0 · weight decay 1e-4", weight_decay=1e-4)


freer = less_decay()

# %% tags=["solution"]
table([
    {"weight decay": decay, "clean training pictures, %": f"{plain.accuracy(net, *data[0]):.1f}",
     "test pictures, %": f"{ended[-1]['test_accuracy']:.1f}"}
    for decay, net, ended in (("5e-4", nets["mixed"], live["mixed"]), ("1e-4", kept[-1], freer["mixed, less decay"]))
])

# %% [markdown] tags=["solution"]
# In so few epochs weight decay has hardly begun to hold the weights. By lesson 02 it shrinks them by the factor 1/e in
# (1 − momentum)/(η · decay) steps, 2,000 at η = 0.1, a momentum of 0.9 and a decay of 5·10⁻⁴; this run has about 630,
# half of them at a tenth of η or less. So a point or two between the two runs is chance. The advice is for long runs,
# where both brakes act at once. That arm, 200 epochs with mixup and less decay, is not recorded.

# %% [markdown]
# ## Deeper: more pictures of what is mixed
#
# λ = 0.9, 0.5 and 0.3; the densities at α = 1 and α = 4; the two moons without mixup and with α = 1. The loop mixes
# after normalising; as that is an affine map and the weights add up to 1, it makes no difference. The shares in the
# panel are
#
# $$P = 2\,I_{0.1}(\alpha, \alpha), \qquad E[\min(\lambda, 1 - \lambda)] = I_{1/2}(\alpha + 1, \alpha),$$
#
# where I is the regularised incomplete beta function.

# %% tags=["hide-input"]
assert torch.allclose(augment.normalise(mixup.mixup(two, two_labels, 0.7, torch.tensor([1, 0]))[0]),
                      mixup.mixup(augment.normalise(two), two_labels, 0.7, torch.tensor([1, 0]))[0], atol=1e-5)
display(*(drawn(mixture(lam)) for lam in (0.9, 0.5, 0.3)))
display(mixup_plots.beta_density(1.0), mixup_plots.beta_density(4.0))
display(mixup_plots.decision_map(plane("two moons", 0.0)), mixup_plots.decision_map(plane("two moons", 1.0)))

# %% [markdown]
# How often does a mixture of two outer points land inside the inner ring, and what was the network told there?

# %% tags=["hide-input"]
for alpha, says in says_outer.items():
    mixed, wanted = map(torch.cat, zip(*batches(*sample("rings", 200, seed=0), alpha), strict=True))
    outer = wanted[:, 1]
    inside = mixed.norm(dim=1) < 0.6  # the inner ring has radius 0.4, the outer one 1.2
    strays = inside[outer == 1].float().mean()
    print(f"α = {alpha}: {100 * strays:.1f} % of the mixtures of two outer points lie inside radius 0.6.\n"
          f"   “Outer” in the targets of all mixtures there: {100 * outer[inside].mean():.1f} %, "
          f"in the answers to new inner points: {100 * says:.1f} %")

# %% [markdown]
# ## Deeper: mixup and batch norm
#
# Batch norm divides by the running variance of what it saw in training, and those were mixtures. An average of two
# pictures has less contrast than either: the variance of λa + (1 − λ)b, for independent a and b, is λ² + (1 − λ)² times
# theirs. People ask whether clean test pictures then meet the wrong statistics. Measure it: the two networks from
# above, the variances that they remember beside those of clean training pictures, and the accuracy before and after
# `reestimate_bn_` puts the clean ones in place.

# %% tags=["hide-input"]
with torch.no_grad():
    clean_batches = [plain.augmented(x) for x in data[0][0][:2_000].split(250)]
rows = []
for name, net in nets.items():
    again = copy.deepcopy(net)
    averaging.reestimate_bn_(again, clean_batches)
    layers = [
        (a.running_var / b.running_var).mean().item()
        for a, b in zip(net.modules(), again.modules(), strict=True) if isinstance(a, nn.BatchNorm2d)
    ]
    rows.append({"": name, "variance remembered ÷ clean: first layer": layers[0], "mean over layers": np.mean(layers),
                 "test accuracy, %": f"{plain.accuracy(net, *data[1]):.1f}",
                 "after re-estimating, %": f"{plain.accuracy(again, *data[1]):.1f}"})
table(rows)
show(averaging.reestimate_bn_)

# %% [markdown]
# With λ from Beta(α, α) the factor is 1 − α/(2α + 1) on average: 0.86 at α = 0.2, 0.67 at α = 1. What is remembered are
# the last ten batches or so, and it wobbles with their λ. So at α = 0.2 do not expect re-estimating to give back what
# mixup costs; it is worth a look at α = 1, or where statistics are frozen. (Test accuracy that jumps from epoch to
# epoch at a high learning rate is no sign of mixup: the plain run does it as well.)

# %% [markdown]
# ## Deeper: α, without smoothing
#
# Mixup alone, on the recipe of 5.1, in 12 epochs: each larger α costs more.

# %% tags=["hide-input"]
ALPHA = {0.0: arm("cosine"), **{alpha: arm(f"mixup-{alpha}") for alpha in (0.1, 0.2, 0.5, 1.0)}}
of_alpha = [run for runs in ALPHA.values() for run in runs]
accuracies = [[run.accuracy for run in runs] for runs in ALPHA.values()]
about = statistics.caption(of_alpha)
evidence.response(list(ALPHA), accuracies, "mixup α (0: no mixup)", "test accuracy, %", caption=about)

# %% tags=["hide-input"]
for alpha in (0.1, 0.2, 0.5, 1.0):
    print(f"α = {alpha} against no mixup: {statistics.compare(ALPHA[alpha], ALPHA[0.0])}")

# %% [markdown]
# ## Deeper: why the training loss stays up
#
# No network can push a cross-entropy below the target's own entropy: H(λ) for two classes, and 0 where both pictures
# are of one class. Over Beta(α, α) its mean is ψ(2α + 1) − ψ(α + 1), with the digamma function ψ. For a recorded run we
# need no mean: its λ can be drawn again, since they depend on the seed and the epoch alone.

# %% tags=["hide-input"]
def lowest_loss_of(run):
    """The mean entropy of the mixed targets in a run's last epoch, nats."""
    recipe, steps = run.recipe, run.meta["train_images"] // run.recipe.batch_size
    if not recipe.mixup_alpha:
        return 0.0
    lam = np.array([drawn.lam for drawn in train.draw_mixing(recipe, run.seed, recipe.epochs - 1, steps, "cpu")])
    different = (1 - 1 / recipe.batch_size) * 0.9  # the partner is another picture, and of another of ten classes
    return different * float(np.mean(entr(lam) + entr(1 - lam)))


def mean(runs, measure):
    return statistics.t_interval([measure(run) for run in runs])[0]


table([
    {"α": alpha, "floor on average": 0.9 * (digamma(2 * alpha + 1) - digamma(alpha + 1)),
     "floor, last epoch": mean(runs, lowest_loss_of),
     "training loss": mean(runs, lambda run: run.rows[-1]["train_loss"]),
     "loss − floor": mean(runs, lambda run: run.rows[-1]["train_loss"] - lowest_loss_of(run)),
     "clean training accuracy, %": mean(runs, lambda run: run.rows[-1]["train_accuracy"]),
     "test accuracy, %": mean(runs, lambda run: run.rows[-1]["test_accuracy"])}
    for alpha, runs in ALPHA.items()
])
print(statistics.caption(of_alpha, curve=True))

# %% [markdown]
# Losses of two rows cannot be compared, not even after subtracting the floor: a mixture is harder to read than a
# picture. Nor can the accuracy that many programs print under mixup, on mixtures and against y_i. The mixed network
# from above, on the same training pictures:

# %% tags=["hide-input"]
draws, pairs = np.random.default_rng(0), torch.Generator().manual_seed(0)
net, against_first, against_heavier = nets["mixed"].eval(), [], []
for x, y in zip(data[0][0][:2_000].split(250), data[0][1][:2_000].split(250), strict=True):
    for _ in range(4):  # four λ for each batch
        lam, perm = draws.beta(0.2, 0.2), torch.randperm(len(x), generator=pairs).to(x.device)
        with torch.no_grad():
            answer = net(lam * x + (1 - lam) * x[perm]).argmax(1)
        against_first.append((answer == y).float())
        against_heavier.append((answer == (y if lam >= 0.5 else y[perm])).float())
print(f"clean pictures:                        {plain.accuracy(net, *(part[:2_000] for part in data[0])):.1f} %")
print(f"mixed, counted against y_i:            {100 * torch.cat(against_first).mean():.1f} %")
print(f"mixed, counted against the heavier:    {100 * torch.cat(against_heavier).mean():.1f} %")

# %% [markdown]
# ## Deeper: confidence
#
# ECE is the mean of |accuracy − confidence| over bins of confidence, NLL the cross-entropy of the true labels; lower
# is better for both (5.2). Read them together with the column *confidence − accuracy*: above 0 a network claims too
# much, below 0 too little.

# %% tags=["hide-input"]
three = {f"α = {alpha:g}": ALPHA[alpha] for alpha in (0.0, 0.2, 1.0)}
display(evidence.reliability(three, caption=statistics.caption([run for runs in three.values() for run in runs])))
table([
    {"α": alpha, "accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "confidence − accuracy, points": statistics.plus_minus([statistics.overconfidence(run) for run in runs], 1),
     "ECE": statistics.plus_minus([run.final["ece"] for run in runs], 3),
     "NLL, nats": statistics.plus_minus([run.final["nll"] for run in runs], 3)}
    for alpha, runs in ALPHA.items()
])

# %% [markdown]
# A method that lowers confidence brings a network that was overconfident closer to honesty, and takes one that was
# honest away from it. These short runs were nearly honest without mixup, so it made them worse. That says as much about
# the network without mixup as about mixup.

# %% [markdown]
# ## Deeper: the four combinations
#
# With and without mixup, for fewer and for more epochs. Table 6 has two of them: without mixup for fewer epochs, with
# mixup for more.

# %% tags=["hide-input"]
COMBINATIONS = {"without mixup": (plain_12, plain_20), "α = 0.2": (mix_12, mix_20)}
four = [*plain_12, *plain_20, *mix_12, *mix_20]
by_epochs = {label: [[run.accuracy for run in runs] for runs in both] for label, both in COMBINATIONS.items()}
evidence.response([12, 20], by_epochs, "epochs", "test accuracy, %", caption=statistics.caption(four))

# %% [markdown]
# ## Deeper: wrong labels, a null
#
# A label that is wrong is a target that the network should *not* fit. Methods that keep it from being certain are
# said to help against it. We gave a share of the training pictures, drawn at random, another class (`noisy_labels`).
# This noise is made by us, and not in the paper; real label errors are more often between classes that are alike.

# %% tags=["hide-input"]
SHARES = (0.0, 0.2, 0.4)
SUFFIXES = {"one-hot": "", "smoothing, ε = 0.1": "-smoothing", "mixup, α = 0.2": "-mixup"}
CLEAN = dict(zip(SUFFIXES, ("cosine", "smoothing-0.1", "mixup-0.2"), strict=True))
NOISY = {
    label: [arm(f"noise-{share}{suffix}") if share else arm(CLEAN[label]) for share in SHARES]
    for label, suffix in SUFFIXES.items()
}
percent = [round(100 * share) for share in SHARES]
for label in list(SUFFIXES)[1:]:
    print(f"{label}, against one-hot")
    for share, runs, old in zip(percent, NOISY[label], NOISY["one-hot"], strict=True):
        print(f"   {share:2d} % wrong labels: {statistics.compare(runs, old)}")
table([
    {"wrong labels, %": share, "targets": label,
     "training pictures, true labels, %": statistics.plus_minus([run.rows[-1]["train_accuracy"] for run in runs[i]], 1),
     "test accuracy, %": statistics.plus_minus([run.accuracy for run in runs[i]], 1)}
    for i, share in enumerate(percent) for label, runs in NOISY.items()
])
print(statistics.caption([run for levels in NOISY.values() for runs in levels for run in runs]))

# %% [markdown]
# With wrong labels mixup is not ahead, and smoothing shows no clear gain: a null, and no evidence against the claim.
# The column *true labels* is measured against the labels before we spoilt them. A network that has learnt all its
# labels by heart, wrong ones included, has 100 minus their share there, whatever it has on the test pictures. Ours are
# only a few points better on training pictures than on test pictures: in 12 epochs hardly a label was learned by heart,
# and there was nothing to protect. What it would take is the same arms with 120 epochs. They are not recorded.

# %% [markdown]
# ## Deeper: no data from thin air
#
# A mixture is a weighted average of two pictures that were there. Any number of mixtures of 32 pictures lies in the
# space that these 32 span. What is new is not the data, but the demand that the answer change in proportion along the
# line between two pictures.

# %% tags=["hide-input"]
some = torch.from_numpy(dataset.train.images[:32]).double().flatten(1)
generator, draws = torch.Generator().manual_seed(0), np.random.default_rng(0)
shuffled = [torch.randperm(32, generator=generator) for _ in range(30)]
mixtures = torch.cat([mixup.mixup(some, some, draws.beta(1, 1), perm)[0] for perm in shuffled])
for name, matrix in (("pictures", some), ("mixtures", mixtures)):
    rank = int(torch.linalg.matrix_rank(matrix, rtol=1e-9))
    print(f"{len(matrix):4d} {name} of {matrix.shape[1]:,} numbers each: rank {rank}")

# %% [markdown]
# ## Deeper: smoothing before or after
#
# Smoothing is linear too, so it may come before or after: both orders give the same targets. Some programs smooth one
# of the two labels only, when their parts are put together in the wrong order. No error is raised, and the targets are
# others:

# %%
x, y, lam, perm = torch.tensor([[0.0, 4.0], [10.0, 8.0]]), torch.tensor([0, 2]), 0.3, torch.tensor([1, 0])
hot = targets.one_hot(y, 3)
mixed_then_smooth = label_smoothing.smooth(mixup.mixup(x, hot, lam, perm)[1], 0.1)
assert torch.allclose(mixup.mixup(x, label_smoothing.smooth(hot, 0.1), lam, perm)[1], mixed_then_smooth)
one_smoothed = lam * label_smoothing.smooth(hot, 0.1) + (1 - lam) * hot[perm]
print(f"largest difference if only y_i is smoothed: {(one_smoothed - mixed_then_smooth).abs().max():.3f}")

# %% [markdown]
# ## For discussion
#
# 1. Our networks see each picture 12, 20, 120 or 200 times. Which number of this lesson tells you whether mixup has
#    anything to cure? How would you decide, before training, whether to switch it on?
# 2. With mixup the training loss cannot come near 0, however long you train. By which numbers would you notice
#    overfitting?
# 3. Which one run would the authors have had to add to Table 6, so that its mixup row can be read?
# 4. Would you mix two pictures of a street for object detection? What is the target of a mixed box?
