# %% [markdown]
# # 5.4 Mixup training
#
# **Claim.** Mixup trains on weighted averages of two pictures, with their labels averaged by the same weights. Its
# targets are seldom certain, so the training loss has a floor, which can be computed, and the network becomes less
# sure between the classes. Whether it answers more test pictures correctly is a second question. The paper's rows
# with mixup were trained for 200 epochs, those without for 120; the records below separate the two.
#
# After this lesson you can
# 1. write mixup and its loss from memory, and say what is drawn per batch and what per picture;
# 2. say how much is mixed at a given α, which is not α;
# 3. say why loss and accuracy in training cannot be compared with those of a run without mixup;
# 4. show a case in which a mixture gets the wrong target.
#
# *Time:* 35 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §5.4–5.5, eq. 7–8, Table 6.

# %% tags=["hide-input"]
import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from IPython.display import display
from scipy.special import digamma, entr
from torch import nn
from torch.nn.functional import cross_entropy

from tricks import augment, label_smoothing, metrics, mixup, train
from tricks.course.lesson import live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.plots import evidence
from tricks.plots import mixup as mixup_plots
from tricks.records import paper
from tricks.records.statistics import caption, compare, headline, overconfidence, plus_minus, t_interval
from tricks.studies.studies import arm, recipe_of
from tricks.targets import one_hot, soft_cross_entropy

# %% [markdown]
# ## The problem: nothing is asked between the pictures
#
# Training asks for the right answer at each training picture. What the network does between two of them is left to
# it. On a plane this can be seen: 200 points of two classes, in two shapes.

# %%
def two_moons(t, y):
    sign = np.where(y == 0, 1, -1)[:, None]
    return sign * (np.stack([np.cos(math.pi * t), np.sin(math.pi * t)], axis=1) - [0.5, 0.25])


def rings(t, y):
    radius = np.where(y == 0, 0.4, 1.2)[:, None]
    return radius * np.stack([np.cos(2 * math.pi * t), np.sin(2 * math.pi * t)], axis=1)


SHAPES = {"two moons": two_moons, "rings": rings}


def sample(shape, n, seed):
    """n points (n, 2) and their classes (n,), blue 0 and orange 1, with noise of standard deviation 0.12."""
    rng, y = np.random.default_rng(seed), np.arange(n) % 2
    x = SHAPES[shape](rng.random(n), y) + rng.normal(0, 0.12, (n, 2))
    return torch.from_numpy(x).float(), torch.from_numpy(y)


# %% [markdown]
# A network with two hidden layers learns them. `batches` already holds the trick, in its last line; without it, at
# α = 0, λ is 1 and nothing is mixed.

# %%
STEPS = 600


def batches(x, y, alpha, steps=STEPS):
    """All points in each step, mixed."""
    draws, pairs = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for _ in range(steps):
        lam = draws.beta(alpha, alpha) if alpha else 1.0
        yield mixup.mixup(x, one_hot(y, 2), lam, torch.randperm(len(x), generator=pairs))


# %%
@cache
def learnt(shape, alpha):
    """What a network is given and what it says: the probabilities on the plane, and its logits for 4,000 new points."""
    x, y = sample(shape, 200, seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for mixed, targets in batches(x, y, alpha):
        loss = soft_cross_entropy(model(mixed), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    given = [(mixed[k % 20 :: 20], targets[k % 20 :: 20, 1])  # ten points of each of the first 40 steps
             for k, (mixed, targets) in enumerate(batches(x, y, alpha, steps=40))]
    with torch.no_grad():
        probability = model(torch.from_numpy(mixup_plots.grid(160)).float()).softmax(1)[:, 1].reshape(160, 160)
        new = model(sample(shape, 4_000, seed=1)[0])
    return mixup_plots.Plane(x, y, *map(torch.cat, zip(*given, strict=True)), probability), new


def plane(shape="two moons", alpha=0.2):
    return learnt(shape, alpha)[0]


mixup_plots.decision_map(plane("two moons", 0.0))

# %% [markdown]
# Left, the points that it was trained on; right, the probability that it gives to the orange class. The black line is
# the decision boundary. On both sides of it the network is soon almost certain, also where there are no points at
# all. No target asked for that, and none forbade it.
#
# Mixup gives it targets there (§5.4, eq. 7 and 8): it draws λ in [0, 1] and trains on
#
# $$\hat{x} = \lambda x_i + (1 - \lambda) x_j, \qquad \hat{y} = \lambda y_i + (1 - \lambda) y_j.$$
#
# ### Before you go on: predict
#
# What mixup adds to ResNet-50-D on ImageNet, on top of label smoothing, is printed below. By how much will α = 0.2
# change the test accuracy of our small network on CIFAR-10, also with smoothing, and with as many epochs as without
# mixup?

# %%
theirs = paper.effect("6", "+ mixup w/o distill", "+ label smoothing", "ResNet-50-D_top1")
print(f"paper, Table 6, means of the CVPR version: {theirs} points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-4, high=4, unit="points")

# %% [markdown]
# ## By hand
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
mixed, targets = mixup.mixup(x, one_hot(y, 3), lam, perm)
assert torch.allclose(mixed, mixed_by_hand) and torch.allclose(targets, targets_by_hand)

# %% [markdown]
# The cross-entropy −Σ p log q is linear in the target p. So the loss of the mixed target is the mixed loss of the two
# labels, λ · CE(y_i) + (1 − λ) · CE(y_j), and code that has no dense targets can call its loss twice. (The *pictures*
# cannot be separated in this way: the network is not linear.)

# %%
logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
of_mixed_target = soft_cross_entropy(logits, targets)
mixed_loss = lam * cross_entropy(logits, y) + (1 - lam) * cross_entropy(logits, y[perm])
assert torch.allclose(of_mixed_target, mixed_loss)
print(f"{of_mixed_target:.6f} = {mixed_loss:.6f}")

# %% [markdown]
# Smoothing is linear too, so it may come before or after: both orders give the same targets. Some programs smooth one
# of the two labels only, when their parts are put together in the wrong order. No error is raised, and the targets
# are others:

# %%
def smooth_then_mix(eps):
    return mixup.mixup(x, label_smoothing.smooth(one_hot(y, 3), eps), lam, perm)[1]


assert torch.allclose(smooth_then_mix(0.1), label_smoothing.smooth(targets, 0.1))
one_smoothed = lam * label_smoothing.smooth(one_hot(y, 3), 0.1) + (1 - lam) * one_hot(y, 3)[perm]
apart = (one_smoothed - label_smoothing.smooth(targets, 0.1)).abs().max()
print(f"largest difference if only y_i is smoothed: {apart:.3f}")

# %% [markdown]
# In the training loop it takes three lines. λ is drawn once per *batch*; the partners are a random permutation of the
# batch, so each picture is used twice, with weights λ and 1 − λ, and no second batch is loaded. (The paper does not
# say how it pairs.) Both are drawn at an epoch's start, from random streams of their own, keyed by seed and epoch: a
# run with mixup sees the same crops in the same order as the run without.

# %%
show_loop("# mixup", context=2)
show(train.draw_mixing)

# %% [markdown]
# ## Two pictures
#
# Drag λ. The function behind the slider is the one that training calls. The loop mixes after normalising; as that is
# an affine map and the weights add up to 1, it makes no difference.

# %%
dataset = load_data()
pair = [int(np.flatnonzero(dataset.train.labels == label)[n]) for label, n in ((3, 22), (8, 1))]
pictures = torch.from_numpy(dataset.train.images[pair])
labels = one_hot(torch.from_numpy(dataset.train.labels[pair]), len(dataset.classes))


def mixture(lam=0.7):
    picture, target = mixup.mixup(pictures, labels, lam, torch.tensor([1, 0]))
    return picture[0].numpy(), target[0].numpy()


assert torch.allclose(augment.normalise(mixup.mixup(pictures, labels, 0.7, torch.tensor([1, 0]))[0]),
                      mixup.mixup(augment.normalise(pictures), labels, 0.7, torch.tensor([1, 0]))[0], atol=1e-5)
drawn = partial(mixup_plots.mixed_pair, pictures.numpy(), dataset.classes)
sliders(drawn, mixture, lam=(0.0, 1.0))

# %%
idea = drawn(mixture(0.7))
slide(idea, "05_4_idea", takeaway="Mixup trains on a weighted average of two pictures, and of their labels")
display(*(drawn(mixture(lam)) for lam in (0.9, 0.5, 0.3)))

# %% [markdown]
# ## How much is mixed
#
# λ is drawn from Beta(α, α). This density is symmetric about ½; for α < 1 it is a bowl, for α = 1 it is uniform, for
# α > 1 a hill. Drag α. Two numbers say how much is mixed: the share of batches whose λ is within 0.1 of 0 or 1, which
# are almost unmixed, and the mean weight of the lighter picture, E[min(λ, 1 − λ)]:
#
# $$P = 2\,I_{0.1}(\alpha, \alpha), \qquad E[\min(\lambda, 1 - \lambda)] = I_{1/2}(\alpha + 1, \alpha),$$
#
# where I is the regularised incomplete beta function. The paper's α is 0.2.

# %%
sliders(mixup_plots.beta_density, alpha=(0.05, 4.0, 0.05))

# %%
for alpha in (0.1, 0.2, 0.5, 1.0):
    print(f"α = {alpha}: {100 * mixup.near_ends(alpha):4.1f} % of the batches are within 0.1 of 0 or 1, "
          f"mean weight of the lighter picture {100 * mixup.lighter_weight(alpha):4.1f} %")
display(mixup_plots.beta_density(1.0), mixup_plots.beta_density(4.0))

# %% [markdown]
# ## What the network learns between the points
#
# The same networks as above, now with mixup. Left, ten of the mixed points of each of the first 40 steps, in the
# colour of their target; right, what the network made of them.

# %%
for shape in SHAPES:
    for alpha in (0.0, 0.2, 1.0):
        learnt(shape, alpha)  # train all six now, so that the slider only draws
sliders(mixup_plots.decision_map, plane, shape=list(SHAPES), alpha=[0.0, 0.2, 1.0])

# %%
display(mixup_plots.decision_map(plane("two moons", 1.0)), mixup_plots.decision_map(plane("rings", 1.0)))

# %%
rows = []
for shape in SHAPES:
    y = sample(shape, 4_000, seed=1)[1]
    for alpha in (0.0, 0.2, 1.0):
        q = learnt(shape, alpha)[1].softmax(1)
        unsure = (plane(shape, alpha).probability - 0.5).abs() < 0.4
        rows.append({"shape": shape, "α": alpha, "accuracy on new points, %": f"{metrics.accuracy(q.log(), y):.1f}",
                     "mean confidence there, %": f"{100 * q.amax(1).mean():.1f}",
                     "plane with confidence below 90 %": f"{100 * unsure.float().mean():.0f} %"})
table(rows)

# %% [markdown]
# The last column is how much of the plane is left in doubt: mixup turns the cliff between the classes into a slope.
# The column of accuracies says what that costs or brings at the points themselves, at each α.
#
# The rings show where it can go wrong. Take two points of the outer ring, on opposite sides. Their target is "outer",
# with certainty, and their mixture may lie inside the *inner* ring. This is called manifold intrusion: a mixture
# lands where real pictures of another class are. How often?

# %%
inner = sample("rings", 4_000, seed=1)[1] == 0
for alpha in (0.0, 0.2, 1.0):
    mixed, targets = map(torch.cat, zip(*batches(*sample("rings", 200, seed=0), alpha), strict=True))
    outer = targets[:, 1]
    inside = mixed.norm(dim=1) < 0.6  # the inner ring has radius 0.4, the outer one 1.2
    says = learnt("rings", alpha)[1][inner].softmax(1)[:, 1].mean()
    strays = inside[outer == 1].float().mean()
    print(f"α = {alpha}: {100 * strays:.1f} % of the mixtures of two outer points lie inside radius 0.6.\n"
          f"   “Outer” in the targets of all mixtures there: {100 * outer[inside].mean():.1f} %, "
          f"in the answers to new inner points: {100 * says:.1f} %")

# %% [markdown]
# Compare the last two numbers of each α: what the network was told about the inner ring, and what it then says of
# points that do belong there. Pictures have thousands of dimensions, and a mixture of two pictures seldom looks like
# a third, so intrusion should be rarer among them; it cannot be ruled out.
#
# ## Why the training loss stays up
#
# No network can push a cross-entropy below the target's own entropy. For two classes mixed by λ it is H(λ) = −λ log λ
# − (1 − λ) log(1 − λ), and 0 where both pictures are of one class. Over Beta(α, α) its mean is ψ(2α + 1) − ψ(α + 1),
# with the digamma function ψ. For a recorded run we need no mean: its λ can be drawn again, since they depend on the
# seed and the epoch alone.

# %%
ALPHA = {0.0: arm("cosine"), **{alpha: arm(f"mixup-{alpha}") for alpha in (0.1, 0.2, 0.5, 1.0)}}
everything = [run for runs in ALPHA.values() for run in runs]


def lowest_loss_of(run):
    """The mean entropy of the mixed targets in a run's last epoch, nats."""
    recipe, steps = run.recipe, run.meta["train_images"] // run.recipe.batch_size
    if not recipe.mixup_alpha:
        return 0.0
    lam = np.array([drawn.lam for drawn in train.draw_mixing(recipe, run.seed, recipe.epochs - 1, steps, "cpu")])
    different = (1 - 1 / recipe.batch_size) * 0.9  # the partner is another picture, and of another of ten classes
    return different * float(np.mean(entr(lam) + entr(1 - lam)))


# %%
def mean(runs, measure):
    return t_interval([measure(run) for run in runs])[0]


table([
    {"α": alpha, "floor on average": 0.9 * (digamma(2 * alpha + 1) - digamma(alpha + 1)),
     "floor, last epoch": mean(runs, lowest_loss_of),
     "training loss": mean(runs, lambda run: run.rows[-1]["train_loss"]),
     "loss − floor": mean(runs, lambda run: run.rows[-1]["train_loss"] - lowest_loss_of(run)),
     "clean training accuracy, %": mean(runs, lambda run: run.rows[-1]["train_accuracy"]),
     "test accuracy, %": mean(runs, lambda run: run.rows[-1]["test_accuracy"])}
    for alpha, runs in ALPHA.items()
])
print(caption(everything, curve=True))

# %% [markdown]
# Losses are in nats, accuracies in per cent on samples of 2,000 pictures that are neither mixed nor cropped. The
# training losses of two rows cannot be compared, not even after subtracting the floor: a mixture is harder to read
# than a picture. *Clean* training accuracy can be compared. If it falls with α, the network fits its training
# pictures less well, and if it is far from 100 % even at α = 0, there is little overfitting that mixup could cure.
#
# ## Confidence

# %%
three = {f"α = {alpha:g}": ALPHA[alpha] for alpha in (0.0, 0.2, 1.0)}
evidence.reliability(three, caption=caption([run for runs in three.values() for run in runs]))

# %%
table([
    {"α": alpha, "accuracy, %": plus_minus([run.accuracy for run in runs]),
     "confidence − accuracy, points": plus_minus([overconfidence(run) for run in runs], 1),
     "ECE": plus_minus([run.final["ece"] for run in runs], 3),
     "NLL, nats": plus_minus([run.final["nll"] for run in runs], 3)}
    for alpha, runs in ALPHA.items()
])
for metric, unit in (("ece", ""), ("nll", "nats")):
    for alpha in (0.1, 0.2, 0.5, 1.0):
        print(f"{metric.upper()}, α = {alpha} against no mixup: {compare(ALPHA[alpha], ALPHA[0.0], metric, unit)}")

# %% [markdown]
# ECE is the mean of |accuracy − confidence| over bins of confidence, NLL the cross-entropy of the true labels; lower
# is better for both (5.2). Read them together with the column *confidence − accuracy*: above 0 a network claims too
# much, below 0 too little. A method that lowers confidence brings a network that was overconfident closer to honesty,
# and takes one that was honest away from it. So a better or worse ECE says as much about the network without mixup as
# about mixup.
#
# ## Accuracy
#
# First mixup alone, on the recipe of 5.1:

# %%
accuracies = [[run.accuracy for run in runs] for runs in ALPHA.values()]
about = caption(everything)
evidence.response(list(ALPHA), accuracies, "mixup α (0: no mixup)", "test accuracy, %", caption=about)

# %%
for alpha in (0.1, 0.2, 0.5, 1.0):
    print(f"α = {alpha} against no mixup: {compare(ALPHA[alpha], ALPHA[0.0])}")

# %% [markdown]
# ### As in Table 6: on top of label smoothing
#
# The paper's row "+ mixup w/o distill" differs from "+ label smoothing" in two things: α = 0.2, and 200 epochs for
# 120 (§5.5). Its difference cannot be divided between the two. We trained all four combinations: with and without
# mixup, for fewer and for more epochs. Table 6 has two of them: without mixup for fewer epochs, with mixup for more.

# %%
COMBINATIONS = {
    "without mixup": (arm("smoothing-0.1"), arm("long")),
    "α = 0.2": (arm("smooth-mixup"), arm("long-mixup")),
}
(plain, plain_long), (mix, mix_long) = COMBINATIONS.values()
few, many = plain[0].recipe.epochs, plain_long[0].recipe.epochs
four = [*plain, *plain_long, *mix, *mix_long]
by_epochs = {label: [[run.accuracy for run in runs] for runs in pair] for label, pair in COMBINATIONS.items()}
evidence.response([few, many], by_epochs, "epochs", "test accuracy, %", caption=caption(four))

# %% [markdown]
# The paper has one number, which stands in all three rows. Only the first row makes the same comparison, so only it
# has a verdict:

# %%
both, longer = compare(mix_long, plain), replace(theirs, unlike="the paper's has 80 more epochs, too")
results = {
    f"mixup and {many} instead of {few} epochs": (both, theirs),
    f"mixup, {few} epochs": (compare(mix, plain), longer),
    f"mixup, {many} epochs": (compare(mix_long, plain_long), longer),
}
display(evidence.against_paper(results, caption=caption(four)))
print(f"paper, mixup and 200 instead of 120 epochs: ResNet-50-D {theirs} points", end="")
for other in ("Inception-V3", "MobileNet"):
    print(f", {other} {paper.delta('6', '+ mixup w/o distill', '+ label smoothing', f'{other}_top1'):+.2f}", end="")
print("\nours")
for label, (ours, _) in results.items():
    print(f"   {label}: {ours}")
print(f"   no mixup, {many} instead of {few} epochs: {compare(plain_long, plain)}")
print(f"verdict for the first, the comparison of Table 6: {both.against(theirs)}")
guess.reveal(compare(mix, plain))

# %% [markdown]
# Over the seeds that all arms have, the first line of ours is the sum of the last two: what mixup adds at the larger
# budget, and what the longer training adds without it. So it can be positive where mixup itself brings nothing. The
# second and the third line say what mixup is worth at equal length. Where it is a loss, remember the budget: fastai's
# notes on Imagenette, with larger networks, say that mixup tends to help only from 80 epochs on.
#
# ### With the paper's 120 and 200 epochs
#
# So we trained for as many epochs as the paper, most of it on a GPU: label smoothing for 120 and for 200 epochs, and
# mixup on top of it for 200. Look at *clean training accuracy*: the network has now learnt its 10,000 pictures almost
# by heart, with mixup too, and there is a gap to the test pictures that a regulariser could close.

# %%
plain_120, plain_200, mix_200 = arm("full-smooth"), arm("full-smooth-200"), arm("full-mixup")
table([
    {"mixup α": runs[0].recipe.mixup_alpha, "epochs": runs[0].recipe.epochs, "seeds": len(runs),
     "clean training accuracy, %": plus_minus([run.rows[-1]["train_accuracy"] for run in runs], 1),
     "test accuracy, %": plus_minus([run.accuracy for run in runs]),
     "confidence − accuracy, points": plus_minus([overconfidence(run) for run in runs], 1)}
    for runs in (plain_120, plain_200, mix_200)
])
as_in_table_6, equal = compare(mix_200, plain_120), compare(mix_200, plain_200)
lengths = {f"in {few} epochs": compare(mix, plain), "in 200 epochs": equal}
short_and_long = {"mixup and 200 instead of 120 epochs": (as_in_table_6, theirs)}
short_and_long |= {f"mixup, {where.removeprefix('in ')}": (found, longer) for where, found in lengths.items()}
runs = [*plain, *mix, *plain_120, *plain_200, *mix_200]
fig = evidence.against_paper(short_and_long, caption=caption(runs))
takeaway, numbers = headline("Mixup with α = 0.2", lengths, longer)
slide(fig, "05_4_short_and_long", takeaway=takeaway, numbers=numbers, runs=runs)
fig

# %%
print(f"mixup and 200 instead of 120 epochs: {as_in_table_6}")
print(f"no mixup, 200 instead of 120 epochs: {compare(plain_200, plain_120)}")
for length, result in ((few, compare(mix, plain)), (many, compare(mix_long, plain_long)), (200, equal)):
    print(f"mixup at equal length, {length:3d} epochs: {result}")

# %% [markdown]
# Read the last three lines downwards: what mixup costs in a short run, and what the long one can say about that with
# its interval. And the confidence: with smoothing the network claims less than it could, with mixup on top still less.
#
# ## Wrong labels
#
# A label that is wrong is a target that the network should *not* fit. Methods that keep it from being certain are
# said to help against it. We gave a share of the training pictures, drawn at random, another class, each of the nine
# others alike (`noisy_labels`). This noise is made by us, symmetric, and not in the paper; real label errors are more
# often between classes that are alike. The test labels are as they were.

# %%
SHARES = (0.0, 0.2, 0.4)
SUFFIXES = {"one-hot": "", "smoothing, ε = 0.1": "-smoothing", "mixup, α = 0.2": "-mixup"}
CLEAN = dict(zip(SUFFIXES, ("cosine", "smoothing-0.1", "mixup-0.2"), strict=True))
NOISY = {
    label: [arm(f"noise-{share}{suffix}") if share else arm(CLEAN[label]) for share in SHARES]
    for label, suffix in SUFFIXES.items()
}
lines = {label: [[run.accuracy for run in runs] for runs in levels] for label, levels in NOISY.items()}
noisy_runs = [run for levels in NOISY.values() for runs in levels for run in runs]
percent = [round(100 * share) for share in SHARES]
evidence.response(percent, lines, "wrong training labels, %", "test accuracy, %", caption=caption(noisy_runs))

# %%
reference = NOISY["one-hot"]
for label in list(SUFFIXES)[1:]:
    print(f"{label}, against one-hot")
    for share, runs, old in zip(percent, NOISY[label], reference, strict=True):
        print(f"   {share:2d} % wrong labels: {compare(runs, old)}")
table([
    {"wrong labels, %": share, "targets": label,
     "training pictures, true labels, %": plus_minus([run.rows[-1]["train_accuracy"] for run in runs[i]], 1),
     "test accuracy, %": plus_minus([run.accuracy for run in runs[i]], 1)}
    for i, share in enumerate(percent) for label, runs in NOISY.items()
])

# %% [markdown]
# The column *training pictures, true labels* is measured against the labels before we spoilt them. A network that has
# learnt all its labels by heart, wrong ones included, has 100 minus the share of wrong labels there, whatever it has
# on the test set. Where the two columns are close, little was learnt by heart, and there is little for a trick
# against it to do. A larger network trained for longer is where the claim belongs.
#
# ## Live
#
# One short run with α = 0.2, drawn while it trains. It is smaller than the recorded ones and is not mixed with them.

# %%
recipe, parts, rows = live_run(replace(recipe_of("cosine"), mixup_alpha=0.2), dataset)

# %% [markdown]
# Now the accuracy that many programs print under mixup: mixed pictures, counted as right when the answer is y_i. The
# same network on the same training pictures, without mixup and with it. Even a network that always names the heavier
# of the two pictures would be held back by this count; what it would get is exercise 2.

# %%
draws, pairs = np.random.default_rng(0), torch.Generator().manual_seed(0)
against_first, against_heavier = [], []
for x, y in parts.clean_sample:
    for _ in range(8):  # eight λ for each batch
        lam, perm = draws.beta(0.2, 0.2), torch.randperm(len(x), generator=pairs).to(x.device)
        mixed, _ = mixup.mixup(x, one_hot(y, parts.train.num_classes), lam, perm)
        with torch.no_grad():
            answer = parts.model(mixed).argmax(1)
        against_first.append((answer == y).float())
        against_heavier.append((answer == (y if lam >= 0.5 else y[perm])).float())
logits, y = train.evaluate(parts.model, parts.clean_sample)
print(f"clean pictures:                        {metrics.accuracy(logits, y):.1f} %")
print(f"mixed, counted against y_i:            {100 * torch.cat(against_first).mean():.1f} %")
print(f"mixed, counted against the heavier:    {100 * torch.cat(against_heavier).mean():.1f} %")

# %% [markdown]
# ## Misreadings
#
# - *"In the paper, mixup brings the points of its row in Table 6."* That row also has 200 epochs instead of 120.
#   Mixup and training length are confounded there, for all three networks.
# - *"My training accuracy is 50 %, something is broken."* Under mixup it is measured on mixtures, often against one
#   of two labels. Measure it on clean pictures.
# - *"α = 0.2 mixes in 20 %."* α is not a weight. The cell below the slider prints the mean weight at each α.
# - *"Mixup is an ensemble."* One network is trained and one is used, in one forward pass per step, and test pictures
#   are never mixed. An average of pictures goes *in*; an ensemble averages what comes *out*.
# - *"Mixup makes new data from thin air."* A mixture is a weighted average of two pictures that were there. Any
#   number of mixtures of 32 pictures lies in the space that these 32 span:

# %%
some = torch.from_numpy(dataset.train.images[:32]).double().flatten(1)
generator, draws = torch.Generator().manual_seed(0), np.random.default_rng(0)
shuffled = [torch.randperm(32, generator=generator) for _ in range(30)]
mixtures = torch.cat([mixup.mixup(some, some, draws.beta(1, 1), perm)[0] for perm in shuffled])
for name, matrix in (("pictures", some), ("mixtures", mixtures)):
    rank = int(torch.linalg.matrix_rank(matrix, rtol=1e-9))
    print(f"{len(matrix):4d} {name} of {matrix.shape[1]:,} numbers each: rank {rank}")

# %% [markdown]
# What is new is the demand that the network's answer change in proportion along the line between two pictures.
#
# ## Exercises
#
# **1.** Some programs draw a λ for each picture of the batch. Write that mixup: `lam` is (N,), the pictures are
# (N, 3, H, W), the targets (N, K).

# %%
def mixup_each(x, targets, lam, perm):
    # solution
    of_x = lam[:, None, None, None]
    return of_x * x + (1 - of_x) * x[perm], lam[:, None] * targets + (1 - lam[:, None]) * targets[perm]


def one_by_one(x, targets, lam, perm):
    rows = [mixup.mixup(x, targets, float(share), perm) for share in lam]
    return [torch.stack([row[part][i] for i, row in enumerate(rows)]) for part in (0, 1)]


stream = torch.Generator().manual_seed(1)
batch = torch.rand(3, 3, 4, 4, generator=stream), one_hot(torch.tensor([0, 2, 1]), 4), torch.rand(3, generator=stream)
check("a λ for each picture", mixup_each, one_by_one, [(*batch, torch.tensor([1, 2, 0]))])

# %% [markdown]
# **2.** A network always names the heavier of the two pictures, without a mistake. Its partner is of any of the K
# classes with equal probability. Which accuracy, in per cent, does it get when it is counted against y_i?

# %%
def ceiling(K):
    # solution
    return 100 * (0.5 + 0.5 / K)  # half the time y_i is the heavier one; else it must be of the same class


def counted(K):
    """The share of hits over all cases, which are equally likely: who is heavier, and the partner's class; y_i is 0."""
    return 100 * np.mean([y_i_is_heavier or partner == 0 for y_i_is_heavier in (True, False) for partner in range(K)])


check("ceiling of the mixed training accuracy", ceiling, counted, [10, 1000, 2])

# %% [markdown]
# **3.** Mixup and smoothing together, as in Table 6: what is the smallest loss for two pictures of different
# classes, as a function of λ, ε and K?

# %%
def lowest_loss(lam, eps, K):
    # solution
    on, off = 1 - eps, eps / (K - 1)
    first, second = lam * on + (1 - lam) * off, lam * off + (1 - lam) * on
    return -first * math.log(first) - second * math.log(second) - (K - 2) * off * math.log(off)


def measured(lam, eps, K):
    targets = torch.eye(K, dtype=torch.float64)[:2]
    target = label_smoothing.smooth(mixup.mixup(targets, targets, lam, torch.tensor([1, 0]))[1], eps)[:1]
    return float(soft_cross_entropy(target.log(), target))  # logits whose softmax is the target


check("lowest loss", lowest_loss, measured, [(0.3, 0.1, 10), (0.9, 0.1, 1000), (0.5, 0.4, 3)])

# %% [markdown]
# ## Summary
#
# - x̂ = λ x_i + (1 − λ) x_j and the same for the targets; λ once per batch from Beta(α, α), partners by a
#   permutation.
# - At the paper's α = 0.2 most batches are nearly unmixed; how many is printed above. Yet the targets' entropy keeps
#   the training loss up. Only clean training accuracy can be compared between runs.
# - Between the classes the network becomes less sure. Where mixtures land on another class, it learns a wrong target.
# - Table 6's mixup rows have more epochs. The four combinations above tell mixup from longer training, for our
#   networks and our budget.
#
# ## For discussion
#
# 1. Our networks see each picture 12, 20, 120 or 200 times. Which of the numbers above tells you whether mixup has
#    anything to cure? How would you decide, before training, whether to switch it on?
# 2. With mixup the training loss cannot come near 0, however long you train. By which numbers would you notice
#    overfitting?
# 3. Would you mix two pictures of a street for object detection? What is the target of a mixed box?
