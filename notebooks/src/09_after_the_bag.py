# %% [markdown]
# # 9 After the bag
#
# **Each dot is a trick from after the paper, alone on top of the bag. One is another optimiser, one averages weights.
# Which dot would you bet on, and which trick is it?**

# %% tags=["hide-input"]
import math
from functools import cache, partial
from statistics import fmean, stdev

import numpy as np
import torch
from IPython.display import display
from IPython.utils.capture import capture_output

from tricks.after import (
    alternating_flip,
    averaging,
    bias_rate,
    cutmix,
    dirac,
    muon,
    progressive_resizing,
    test_time,
    trivial_augment,
    whitening,
)
from tricks.course import cost
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import conclusion, load_data, show, show_loop, slide, sliders, table, tabled
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots import after, mixup, preprocessing, style
from tricks.records import make, statistics, store
from tricks.studies import arms, studies

# %% tags=["hide-input"]
WORDS = {  # arm of the study `after`: what its recipe adds to the bag's
    "after-whitening": "whitening",
    "after-bias": "biases' rate × 64",
    "after-whitening-bias": "whitening, biases' rate × 64",
    "after-dirac": "Dirac initialisation",
    "after-muon": "Muon",
    "after-linear": "linear decay",
    "after-average": "averaged weights",
    "after-average-bn": "averaged weights, BN anew",
    "after-flips": "alternating flips",
    "after-cutmix": "CutMix",
    "after-trivial": "TrivialAugment",
    "after-resizing": "growing pictures",
    "after-resizing-11": "growing pictures, 11 epochs",
    "after-stack": "the stack",
    "after-stack-taught": "the stack and the bag's teacher",
}
ADDED = {name: WORDS.get(name, name) for name in arms.AFTER_ARMS if name not in ("after-baseline", "after-bag")}
SEVERAL = ("after-whitening-bias", "after-stack", "after-stack-taught")  # more than one trick
RUNS = {name: store.find(recipe) for name, recipe in (arms.AFTER_ARMS | arms.FULL_AFTER).items()}
BAG, LONG_BAG = RUNS["after-bag"], store.find(studies.recipe_of("full-smooth"))


def difference(name, old=BAG, metric="accuracy"):
    """An arm against another one, paired by seed."""
    return statistics.compare(RUNS[name], old, metric)


def removed(name):
    """Share of the bag's errors that an arm does not make, in per cent, by seed."""
    seeds = difference(name).seeds
    return statistics.Comparison(seeds, tuple(statistics.errors_removed(RUNS[name], BAG)), "%")


RANKED = sorted(ADDED, key=lambda name: -removed(name).mean)
ALONE = [name for name in RANKED if name not in SEVERAL]
LETTER = dict(zip(ALONE, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=False))
SHARE = "share of the bag's errors that the trick removes, %"
drawn = statistics.caption([*BAG, *(run for name in ALONE for run in RUNS[name])])
after.gains({LETTER[name]: removed(name) for name in ALONE}, SHARE, row=0.16, caption=drawn)

# %% [markdown]
# The *bag* is what lesson 07 kept of the paper's tricks, without the teacher. The letters stand, in no order, for: a
# first layer of *whitened* patches · 64 times the learning rate for the *biases* of batch norm · *Dirac* initialisation
# · *Muon* in place of SGD · *linear* decay in place of the cosine · *averaged* weights, in two forms · *alternating*
# flips · *CutMix* · *TrivialAugment* · pictures that *grow*, for eight epochs, as the bag has, and for eleven.
#
# **Claim.** What came after the bag looks for slack in other places: what is drawn at random could be computed, a step
# could be as long in all directions, the last weights could be an average, a picture could be looked at twice. What
# each of them is worth still depends on the tricks beside it and on the budget, and a constant copied without its
# recipe can harm.
#
# After this lesson you can
# 1. whiten two numbers by hand, and a first layer in one line;
# 2. read a 2 × 2 of two tricks, and say whether their gains add;
# 3. say what Muon does to a gradient, and why it needs a learning rate of its own;
# 4. say what has to happen to batch norm when weights are averaged, and why test-time views belong to the baseline too;
# 5. say which augmentations you would not try in a short run.
#
# *Time:* 30 minutes, 20 more for the parts headed "Deeper", 40 for questions and exercises; one minute of training on
# two idle CPU cores. *Paper:* later than it; above all airbench, arXiv 2404.00498. All sources stand at the end.
#
# ## Before you go on: predict
#
# Airbench (Jordan 2024) is a small network and a recipe tuned for one aim: 94 % on CIFAR-10 in the fewest seconds. Its
# author measured every trick alone and in company, with 25 to 700 runs each. One trick gives the *biases* of batch norm
# 64 times the learning rate of the weights. Together with a whitened first layer it saved a fifth of the epochs, 21 →
# 16.5. Without it, it harmed: 34 epochs no longer reached 94 %. What does it do to our bag, *without* whitening?

# %%
guess = predict("Change in test accuracy by 64 times the biases' rate, on top of the bag", low=-5, high=5)

# %% [markdown]
# ## By hand: whitening two pixels
#
# A pixel and its right neighbour are nearly the same number. So of all pairs almost all variance lies in one direction,
# their sum, and hardly any in their difference, which is where edges are. *Whitening* measures both directions
# (eigenvectors of the covariance) and divides each by its own standard deviation. Then neither stands out:

# %%
dataset = load_data()
data = pictures(dataset)
x = data[0][0][:2_000, 0].cpu()  # the red channel, normalised
pixels = torch.stack([x[:, :, :-1].flatten(), x[:, :, 1:].flatten()], dim=1)  # each pixel beside its right neighbour
variances, directions = torch.linalg.eigh(pixels.T.cov())
filters = directions.T / variances.sqrt()[:, None]
values = {"covariance": pixels.T.cov(), "directions": directions.T, "variances": variances}
for name, value in {**values, "covariance of the responses": (pixels @ filters.T).T.cov()}.items():
    print(f"{name}: {np.round(value.double(), 3).tolist()}")

# %% tags=["hide-input"]
theirs = whitening.whitening_filters(pixels, 4, eps=0.0)  # largest variance first, and then both once more, negated
assert torch.allclose(theirs[:2].abs(), filters.flip(0).abs(), rtol=1e-3)
print(f"The sum has {float(variances[1] / variances[0]):.0f} times the variance of the difference.")

# %% [markdown]
# Why should that help? For a linear layer that factor is also the ratio of the curvatures of its loss (lesson 02). The
# sum sets how large the rate may be, and with that rate the difference is learned as many times more slowly. A first
# layer drawn at random has to learn the division in small steps. It can be computed from a few thousand pictures
# before the first step.
#
# ## A whitened first layer
#
# The same for patches: 3×3 pixels of three colours are 27 numbers, 2×2 are 12. Each square below is a direction, shown
# as a patch, grey being 0; the largest variance comes first. First comes brightness, then slopes and colour, then finer
# and finer patterns. On the right is how much variance lies along each, and what whitening makes of it.

# %% tags=["hide-input"]
@cache
def of_patches():
    """Directions of 3×3 patches (27, 3, 3, 3) and their variances, the largest first, from the training pictures."""
    squares = whitening.patches(data[0][0][:2_000].cpu(), 3)
    variances, directions = torch.linalg.eigh(squares.T.cov().double())
    return directions.flip(1).T.reshape(-1, 3, 3, 3).numpy(), variances.flip(0).numpy()


def share(kept):
    return of_patches()[1][:kept].sum() / of_patches()[1].sum()


def whitened(kept=16):
    return after.Directions(*of_patches(), kept)


fewest = next(kept for kept in range(1, 28) if share(kept) >= 0.95)
takeaway = "Nearly all variance of patches is brightness; whitening gives every direction the same variance"
idea = after.directions(whitened())
slide(idea, "09_idea", takeaway=takeaway)
sliders(
    after.directions, whitened, kept=(1, 27),
    goal="Find the fewest directions that hold 95 % of the variance of 3×3 patches.",
    reached=lambda kept: kept == fewest, solution={"kept": fewest},
)

# %% [markdown]
# Few directions hold nearly everything, and the fine patterns are in the others. Each kept direction is used
# twice, as v/√λ and as −v/√λ, because a ReLU lets only one sign through: a first layer of 32 filters keeps 16. It is
# *frozen*: no gradient, no decay. (Airbench has 2×2 patches and all 12 directions; here they are as large as the first
# convolution of the network.)

# %%
show(whitening.whitening_filters)
show(whitening.whiten_)

# %% [markdown]
# ## In the loop from zero
#
# One line. The first convolution gets filters computed from 2,000 training pictures, and no gradient from then on, so
# SGD passes it by. What may come out? If it saves the learning of a first layer, the whitened run is ahead from the
# first epoch on, and the lead shrinks as the other one catches up. One seed and 2,000 test pictures: a point or two can
# be chance.

# %%
NET = "    net = network(classes=len(labels.unique())).to(labels.device, memory_format=torch.channels_last)\n"
WHITE = NET + "    whiten_(first_conv(net), patches(pictures[:2_000]))\n"
white = loop({NET: WHITE}, whiten_=whitening.whiten_, first_conv=whitening.first_conv, patches=whitening.patches)
with capture_output():  # the loop as it was
    plain = loop()
live = race({"plain": plain.train, "whitened": white.train}, data,
            caption=f"live, seed 0 · the loop from zero · {dataset.source}")

# %% tags=["hide-input"]
first, last = (live["whitened"][at]["test_accuracy"] - live["plain"][at]["test_accuracy"] for at in (0, -1))
chance = 100 * math.sqrt(0.5 / len(data[1][1]))  # sd of a difference of two shares near one half
print(f"Whitened − plain: {first:+.1f} points after one epoch, {last:+.1f} after the last.")
if last > 2 * chance:
    print("The whitened run is ahead, for one line of code and no line in the loop of steps.")
elif last < -2 * chance:
    print("It lost, against what was expected. One seed can do that; the records below have more.")
else:
    print(f"At the end a tie: chance alone moves it by {chance:.1f} points (standard deviation).")

# %% [markdown]
# The library's lines stand where the network is prepared, before the loop:

# %% tags=["hide-input"]
show(make.prepare, around="whiten_(", context=2)

# %% [markdown]
# ## A rate for the biases, and a 2 × 2
#
# Behind a batch norm stands y = γ x̂ + β, and then a ReLU: β decides how often a channel is on. Nothing normalises a
# step of β, as batch norm does for the weights before it, so there is no reason why one rate should suit both.

# %%
show(bias_rate.own_rate)

# %% tags=["hide-input"]
show_loop("# bias learning rate", context=1)

# %% [markdown]
# On the left, what airbench's author published: fewer epochs are better, and the lines *cross over*: the same factor
# harms in one row and helps in the other. (34 epochs no longer reach 94 %, 40 do; the figure shows 40.) On the right,
# ours. Before its runs, [docs/evidence.md](../docs/evidence.md) wrote down what we expected:

# %% tags=["hide-input", "hide-output"]
FOUR = {"drawn at random": ("after-bag", "after-bias"), "whitened": ("after-whitening", "after-whitening-bias")}
measured = difference("after-bias")
expected = {
    "whitening alone": ("gains", difference("after-whitening")),
    "the biases' rate alone": ("loses", measured),
    "both, against whitening alone": ("loses", difference("after-whitening-bias", RUNS["after-whitening"])),
}


def steps_of(recipe, images=50_000):
    return recipe.epochs * (images // recipe.batch_size)


def outcome(found):
    return ("gains" if found.mean > 0 else "loses") if found.clear else "not resolved"


guess.reveal(measured, label="biases' rate × 64", caption=statistics.caption([*BAG, *RUNS["after-bias"]]))

# %% tags=["hide-input", "hide-output"]
square = statistics.same_seeds({name: RUNS[name] for pair in FOUR.values() for name in pair})
RATES = ("× 1", "× 64")
PUBLISHED = {"drawn at random": {"× 1": [34], "× 64": [40]}, "whitened": {"× 1": [21], "× 64": [16.5]}}
ours = {
    first: {rate: [run.accuracy for run in square[name]] for rate, name in zip(RATES, pair, strict=True)}
    for first, pair in FOUR.items()
}
panels = {
    "airbench: fewer is better": ("epochs to 94 %", PUBLISHED), "ours: more is better": ("test accuracy, %", ours)
}
guess.veil(after.two_by_two(panels, caption=statistics.caption([run for runs in square.values() for run in runs])))
guess.veil(tabled([
    {"": what, "written down before": before, "came out": outcome(found), "points": str(found)}
    for what, (before, found) in expected.items()
]))

# %% [markdown]
# How far are the two lines from parallel? That is the *interaction*: what the second trick does beside the first, minus
# what it does without it. Where it is 0, gains add, and an ablation of each trick alone would tell everything.

# %% tags=["hide-input", "hide-output"]
interaction = statistics.interaction(*(square[name] for pair in FOUR.values() for name in pair))
verdict = {
    "gains": "The biases' rate does better beside whitening, as in airbench's table.",
    "loses": "The biases' rate does worse beside whitening: the opposite of airbench's table.",
    "not resolved": "These seeds do not tell it from 0, that is from gains that add.",
}[outcome(interaction)]
found = expected["both, against whitening alone"][1]
if interaction.clear and interaction.mean > 0 and found.mean <= found.half:
    verdict += " But it does not gain even there: the lines come nearer to each other, and do not cross over."
guess.veil(f"interaction: {interaction}. {verdict}")
alone = difference("after-whitening")
steps_live, steps_recorded = len(live["plain"]) * math.ceil(len(data[0][1]) / 128), steps_of(arms.AFTER)
guess.veil(f"Whitening, live, after {steps_live:,} steps of the plain loop: {last:+.1f} points. Recorded, after "
           f"{steps_recorded:,} steps of the bag: {alone}.")

# %% [markdown]
# In as many steps as the recorded runs have, a first layer is learnt as well; to compute it saves time at first, where
# epochs are few. And whatever the interaction is here, the lesson of the left panel holds: the factor 64 was found
# inside one recipe, and outside of it the same author measured a loss. A constant comes with its recipe. Taking it
# along means tuning it again.
#
# ## Muon: a step as long in every direction
#
# The filters of a convolution are a matrix G of out × (in · k · k) numbers, and so is its momentum. G = U S Vᵀ:
# directions, and how much of the step each gets. A few get most of it. Muon steps along U Vᵀ instead: the same
# directions, all of them equally long. A singular value decomposition in each step would take too long on a GPU.
# Newton and Schulz do with products of matrices: each step takes all singular values s to a s + b s³ + c s⁵ and
# leaves U and V alone.
#
# Below, the gradient of a convolution of the loop from zero, at its first step, and what some steps make of its
# singular values. The band is 0.68 to 1.14. *Cubic* is the classical 1.5 s − 0.5 s³, which tends to exactly 1.

# %% tags=["hide-input"]
POLYNOMIALS = {"Muon's quintic": muon.QUINTIC, "cubic": (1.5, -0.5, 0.0)}


@cache
def of_a_gradient():
    """A gradient (64, 576) of the loop's network before its first step, and its singular values over its norm."""
    torch.manual_seed(0)
    net = plain.network(len(dataset.classes))
    torch.nn.functional.cross_entropy(net(data[0][0][:128].cpu()), data[0][1][:128].cpu()).backward()
    gradient = muon.hidden(net)[4].grad.flatten(1)
    return gradient, torch.linalg.svdvals(gradient / gradient.norm()).numpy()


def after_steps(values, steps, polynomial):
    a, b, c = POLYNOMIALS[polynomial]
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return values


def spectrum(polynomial="Muon's quintic", steps=1):
    values = of_a_gradient()[1]
    new, curve = (after_steps(each, steps, polynomial) for each in (values, after.starts()))
    words = f"{steps} step{'' if steps == 1 else 's'}: from {new.min():.3f} to {new.max():.3f}"
    return after.Spectrum(words, values, new, curve)


gradient, values = of_a_gradient()
by_library = torch.linalg.svdvals(muon.orthogonalise(gradient)).sort().values.numpy()
assert np.allclose(by_library, np.sort(after_steps(values, 5, "Muon's quintic")), atol=1e-3)
slowest = next(n for n in range(16) if after_steps(0.01, n, "cubic") >= 0.68)
sliders(
    after.singular_values, spectrum, polynomial=list(POLYNOMIALS), steps=(0, 15),
    goal="With the cubic: how many steps take 0.01 to 0.68, where Muon's polynomial needs five?",
    reached=lambda polynomial, steps: polynomial == "cubic" and steps == slowest,
    solution={"polynomial": "cubic", "steps": slowest},
)

# %% [markdown]
# Muon's polynomial gives up exactness for speed: after five steps nothing is at 1, and everything is near it. The
# length of its steps no longer depends on the gradient, so its learning rate means something else than SGD's and has
# to be searched for: here 0.2, chosen on held-out pictures (see "Deeper: the choices"). First and last layer, β and γ
# stay with SGD.

# %%
show(muon.orthogonalise)
show(muon.direction)

# %% [markdown]
# It costs products of matrices in every step, which the table further down counts. PyTorch has it, as
# `torch.optim.Muon`, for matrices: filters have to be viewed as such.
#
# ## Averages: what the last step leaves behind
#
# The last weights are one draw from where SGD wanders. Keep a second copy beside them, θ̄ ← d θ̄ + (1 − d) θ after
# every step, and judge that. With d = 0.99 it remembers about 1/(1 − d) = 100 steps. (*Lookahead* and *stochastic
# weight averaging* are relatives.)

# %%
show(averaging.average_)

# %% [markdown]
# Batch norm is the trap. Its running means and variances were measured under the weights of the last steps, and the
# averaged weights put out other numbers. One can copy them, average them, or run training pictures through the averaged
# network and *measure them anew*. People disagree: the author of timm averages them and found that measuring anew "made
# things worse", the authors of schedule-free training demand it. Both are recorded, for a run whose rate falls to 0:

# %% tags=["hide-input"]
table([
    {"what is judged": what, "test accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "against the last weights": "" if runs is BAG else str(statistics.compare(runs, BAG))}
    for what, runs in (("the last weights", BAG), ("the average, statistics copied", RUNS["after-average"]),
                       ("the average, statistics measured anew", RUNS["after-average-bn"]))
])

# %% [markdown]
# There is a reason to expect little. An average helps where the weights still wander at the end, that is at a large
# learning rate. A cosine that ends at 0 has quieted them already: "Deeper: averages on a noisy quadratic" shows both,
# and so does airbench, whose author finds that it helps only together with a faster memory of batch norm, and the
# other way round.
#
# ## Both sides of every picture
#
# The flip of lesson 02 throws a coin for every picture in every epoch. So after two epochs half of the pictures have
# been seen twice from the same side, and after four one in eight still has. *Alternating* flips throw the coin once,
# and turn it over in every epoch. Below, three pictures in four epochs, with coins and in turn.

# %%
show(alternating_flip.alternate)

# %% tags=["hide-input"]
def pick(*which):
    """Training pictures (n, H, W, 3) and their labels: the n-th of a class, each."""
    rows = [int(np.flatnonzero(dataset.train.labels == label)[n]) for label, n in which]
    return dataset.train.images[rows], torch.from_numpy(dataset.train.labels[rows]).long()


three, _ = pick((7, 3), (1, 2), (9, 4))
stream = torch.Generator().manual_seed(11)
anew = torch.rand(4, 3, generator=stream) < 0.5  # a coin in each epoch
coins = torch.rand(3, generator=stream) < 0.5
turned = torch.stack([alternating_flip.alternate(coins, epoch) for epoch in range(4)])
seen = [image[:, ::-1] if flip else image for i, image in enumerate(three) for flip in (*anew[:, i], *turned[:, i])]
heads = [f"{kind} {epoch}" for kind in ("coins", "in turn") for epoch in range(1, 5)]
display(preprocessing.images_grid(seen, heads + [""] * 16, columns=8))
one_side = [int((flips.all(0) | ~flips.any(0)).sum()) for flips in (anew, turned)]
print(f"Seen from one side only, after four epochs: {one_side[0]} of 3 with coins, {one_side[1]} of 3 in turn.")
print("Alternating flips on top of the bag:", difference("after-flips"))

# %% [markdown]
# ## Harder pictures: CutMix and TrivialAugment
#
# Mixup blends two pictures (lesson 05_4). *CutMix* pastes a box of one into the other, and mixes the targets by area.
# *TrivialAugment* changes every picture by one of fourteen operations, of any strength, and has nothing to tune. Both
# are pictured under "Deeper: a box, and fourteen changes".
#
# Both make every picture harder, and hardly any comes twice in the same form. They are brakes on learning by heart, and
# a brake costs time. torchvision's authors, whose recipe for ResNet-50 has TrivialAugment (+0.31, before they made the
# run longer) and CutMix (+0.28, at 600 epochs), write that such noise-like techniques "require longer training cycles".
# CutMix's own 21.4 % error against 23.7 % are of 300 epochs. So the question before you switch one on is whether there
# is anything to brake. Here are eight epochs of 50,000 pictures, on top of the bag, beside 120 of 10,000, on top of
# lesson 5.2's recipe, for both, and for Muon, which is no brake:

# %% tags=["hide-input"]
def fit(runs):
    """Accuracy on clean training pictures."""
    return fmean(run.rows[-1]["train_accuracy"] for run in runs)


BUDGETS = {
    "8 epochs": {"without": BAG, "CutMix": RUNS["after-cutmix"], "TrivialAugment": RUNS["after-trivial"],
                 "Muon": RUNS["after-muon"]},
    "120 epochs": {"without": LONG_BAG, "CutMix": RUNS["full-cutmix"], "TrivialAugment": RUNS["full-trivial"],
                   "Muon": RUNS["full-muon"]},
}
TWICE = {f"{word}, {budget}": statistics.compare(runs[word], runs["without"])
         for word in ("CutMix", "TrivialAugment", "Muon") for budget, runs in BUDGETS.items()}
compared = [run for budget in BUDGETS.values() for runs in budget.values() for run in runs]
fig = after.gains(TWICE, "difference, points of test accuracy", caption=statistics.caption(compared))
takeaway = "TrivialAugment costs points in 8 epochs and gains some in 120; Muon the other way round"
slide(fig, "09_short_and_long", takeaway=takeaway, runs=compared)
fig

# %% tags=["hide-input"]
table([
    {"budget": budget, "": word, "clean training pictures, %": f"{fit(runs):.1f}",
     "test pictures, %": f"{fmean(run.accuracy for run in runs):.1f}"}
    for budget, arms_of in BUDGETS.items() for word, runs in arms_of.items()
])

# %% [markdown]
# **The sign turns with the budget.** After eight epochs the network is wrong on one training picture in seven and still
# learns. A brake costs points; Muon, which gets further with each step, gains. After 120 it knows its pictures by
# heart, and is wrong on one test picture in five: what is missing is no longer fit. TrivialAugment gains, CutMix no
# longer loses clearly, and Muon, which fits the same pictures sooner, loses some. So look at clean training accuracy
# first: it says which half of the picture is yours.
#
# What these runs leave open: with a brake the network still misses one training picture in 13 (CutMix) or 15, so more
# epochs could add to it. And Muon's rate was chosen for eight: another one might lose nothing.

# %% [markdown]
# ## Looking twice, and who may
#
# At test time the network may see a picture, its mirror image, and both again shifted by a pixel: six views, whose
# logits are averaged. That repairs errors without a step of training, for six times the work of each answer:

# %%
show(test_time.mean_logits)

# %% tags=["hide-input"]
VIEWED = {"the baseline": RUNS["after-baseline"], "the bag": BAG, ADDED[RANKED[0]]: RUNS[RANKED[0]]}
METRICS = {"one view": "accuracy", "+ mirror image": "flip.accuracy", "+ shifts": "crops.accuracy"}
table([
    {"test accuracy, %": name,
     **{view: statistics.plus_minus([statistics.value(run, key) for run in runs]) for view, key in METRICS.items()},
     "six views − one": f"{fmean(statistics.value(run, 'crops.accuracy') - run.accuracy for run in runs):+.2f}"}
    for name, runs in VIEWED.items()
])
lead, fair = (difference("after-bag", RUNS["after-baseline"], metric) for metric in ("accuracy", "crops.accuracy"))
pairs = statistics.paired(BAG, RUNS["after-baseline"])
unfair = fmean(statistics.value(bag, "crops.accuracy") - base.accuracy for bag, base in pairs)
print(f"The bag − the baseline, one view each: {lead.mean:+.2f} points; six views each: {fair.mean:+.2f}; "
      f"six views against one: {unfair:+.2f}.")

# %% [markdown]
# The last number is the one to look out for in other people's tables: it gives the new recipe what the old one was
# never asked to try. Every arm of this lesson, the baseline too, was judged both ways.
#
# ## Evidence
#
# Each trick alone on top of the bag (the ladder's tricks that were kept in lesson 07, without its teacher), all 50,000
# pictures, eight epochs, the same seeds. The letters are those of the first picture. *Work* is the training's
# multiply-adds beyond the bag's, Muon's products included; CutMix, TrivialAugment and flips take time that is not
# counted in multiply-adds. Read *not resolved* with its interval: where all of it lies between −0.5 and +0.5, half a
# point is excluded, and the trick may be left out for that budget.

# %% tags=["hide-input", "hide-output"]
def newton_schulz(recipe):
    """Multiply-adds of one of Muon's steps: five times X X^T, its square, and the product with X, for each matrix."""
    shapes = (sorted(weight.flatten(1).shape) for weight in muon.hidden(make.model_for(recipe, 10, seed=0)))
    return sum(5 * (2 * m**2 * n + m**3) for m, n in shapes)


def work(recipe, images=50_000):
    """Multiply-adds of a training run."""
    products = steps_of(recipe, images) * newton_schulz(recipe) if recipe.optimizer == "muon" else 0
    return cost.training_work(recipe, 10, images, 10_000) + products


VERDICTS = {"gains": "a clear gain", "loses": "a clear loss"}


def plus_minus(found, digits=2):
    return f"{style.signed(found.mean, digits)} ± {found.half:.{digits}f}"


def verdict_of(found):
    return VERDICTS.get(outcome(found), f"not resolved; half a point takes {found.seeds_for(0.5)} pairs")


WON, LOST, OPEN = ([name for name in RANKED if outcome(difference(name)) == word]
                   for word in ("gains", "loses", "not resolved"))
everything = [*BAG, *(run for name in RANKED for run in RUNS[name])]
fig = after.gains({f"{LETTER.get(name, '+')} · {ADDED[name]}": removed(name) for name in RANKED}, SHARE,
                  caption=statistics.caption(everything))
takeaway = f"Of {len(RANKED)} recipes from after the paper, {len(WON)} clearly gain and {len(LOST)} clearly lose"
slide(fig, "09_after", takeaway=takeaway, runs=everything)
guess.veil(fig)
guess.veil(tabled([
    {"on top of the bag": name, "points": plus_minus(difference(arm)),
     "errors removed, %": plus_minus(removed(arm), 1),
     "work": f"{style.signed(100 * (work(arms.AFTER_ARMS[arm]) / work(arms.AFTER) - 1), 1)} %",
     "verdict": verdict_of(difference(arm))}
    for arm, name in ADDED.items()
]))

# %% [markdown]
# And the stack: whitening, Dirac initialisation, Muon and linear decay at once, as held-out pictures chose them, held
# against the *baseline* at the same number of epochs. Before these runs the course set itself a goal: 40 % of the
# baseline's errors removed, with an interval that stays above 35. The last column has six views on both sides, where
# they were measured; the bag with its teacher is an arm of lesson 07 and has one view.

# %% tags=["hide-input", "hide-output"]
BASE = RUNS["after-baseline"]
STEPS = {"the bag": BAG, "the bag and its teacher": store.find(studies.recipe_of("ladder-kept")),
         "the stack": RUNS["after-stack"], "the stack and the bag's teacher": RUNS["after-stack-taught"]}


def shares(runs, metric="accuracy"):
    """Share of the baseline's errors that is removed, in per cent, by seed; nothing where it was not measured."""
    measured = all("crops" in run.final for run in runs) or metric == "accuracy"
    return statistics.errors_removed(runs, BASE, metric) if measured else []


def in_words(values):
    return statistics.plus_minus(values, 1) if values else ""


guess.veil(tabled([
    {"against the baseline": name, "test accuracy, %": in_words([run.accuracy for run in runs]),
     "errors removed, %": in_words(shares(runs)),
     "six views each, errors removed, %": in_words(shares(runs, "crops.accuracy"))}
    for name, runs in STEPS.items()
]))
highest = max(STEPS, key=lambda name: fmean(shares(STEPS[name])))
mean, half = statistics.t_interval(shares(STEPS[highest]))
guess.veil(f"The goal of 40 % is {'' if mean >= 40 and mean - half >= 35 else 'not '}reached: {highest} removes "
           f"{mean:.1f} ± {half:.1f} %.")

# %% [markdown]
# **Published beside ours.** Nobody else measured our network, so there are no verdicts, only signs to compare.
# "Alone" is on a plain baseline, "after whitening" on top of that one trick; fewer epochs to 94 % are better.

# %% tags=["hide-input", "hide-output"]
AIRBENCH = "airbench, epochs to 94 %, n = 25 to 700"
TORCHVISION = "torchvision, ResNet-50, best of 3 runs"
SOURCES = (
    ("after-whitening", "34 → 21", AIRBENCH),
    ("after-bias", "alone 34 → 34 to 40; after whitening 21 → 16.5", AIRBENCH),
    ("after-dirac", "alone 34 → 30; after whitening 21 → 18", AIRBENCH),
    ("after-muon", "94 % in 8 epochs at batch 2,000, where SGD took 9.9", "airbench, n = 200"),
    ("after-average", "alone 34 → 33; after whitening 21 → 20.2", f"{AIRBENCH}; lookahead"),
    ("after-average", "+0.25 points", f"{TORCHVISION}; last step but one of eleven"),
    ("after-flips", "alone 34 → 33; in the full stack 10.8 → 9.9", AIRBENCH),
    ("after-cutmix", "error 23.68 → 21.40 %; +0.28 points after mixup", f"its authors, 300 epochs; {TORCHVISION}, 600"),
    ("after-trivial", "+0.31 points", TORCHVISION),
    ("after-resizing", "“limited effects on accuracy”, less time", "Composer"),
    ("after-linear", "80 tokens a parameter beat 200 with a cosine to a tenth", "language model, 610 M (2502.15938)"),
)
guess.veil(tabled([
    {"trick": ADDED[name], "published": claim, "where": where, "ours": str(difference(name))}
    for name, claim, where in SOURCES
]))

# %% [markdown]
# ## Conclusion

# %% tags=["hide-input"]
def listed(names):
    single = [name for name in names if name not in SEVERAL]
    return ", ".join(f"{ADDED[name]} ({style.signed(difference(name).mean)} points)" for name in single) or "none"


gained = listed(WON)
first_tries = "what is computed and costs nothing" if gained == "none" else f"what clearly gained here ({gained})"
together = [f"{ADDED[name]}: {difference(name)}" for name in SEVERAL]
conclusion(
    mechanism="""Five kinds of slack: a start that is computed (whitening, Dirac), a step as long in all directions
        (Muon), an average instead of the last weights, pictures made harder or more even (CutMix, TrivialAugment,
        flips), more than one look at test time.""",
    paper="""None of it is in the paper. In airbench, a recipe for speed, whitening alone saves 13 of 34 epochs to 94 %,
        and the biases' rate harms without whitening and helps with it. In torchvision's recipe the largest step is
        600 epochs; the augmentations come with them.""",
    short=f"""Alone on top of the bag, 8 epochs. Clear gains: {gained}. Clear losses: {listed(LOST)}. Not resolved:
        {listed(OPEN)}. Together: {"; ".join(together)}.""",
    long=f"""{"; ".join(f"{word}: {found}" for word, found in TWICE.items() if "120" in word)}.""",
    use=f"""You train from scratch and briefly: first {first_tries}, each tried on held-out pictures, an optimiser at
        a rate of its own. Test-time views where six times the work of an answer is affordable, for both sides of every
        comparison. TrivialAugment when clean training accuracy comes near 100 %: in our long runs it is
        {fit(LONG_BAG):.1f} %.""",
    harms=f"""A constant is copied without its recipe: 64 times the biases' rate, here {measured}. Noise is added
        to a run that is too short to learn its pictures: CutMix here {difference("after-cutmix")};
        TrivialAugment {difference("after-trivial")}. Muon is taken into a long run with the rate of a short one: here
        {TWICE["Muon, 120 epochs"]}. And averaged weights may be judged with batch norm's statistics of other weights;
        what measuring anew changed here: {difference("after-average-bn", RUNS["after-average"])}.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("64 times the rate for biases saved a fifth of somebody's epochs. Your recipe has no whitening. What now?", {
    "Take it: biases are few, it cannot do much harm": (
        False, "The same study measured the harm: without whitening, 34 epochs no longer reached 94 %."),
    "Try it on held-out pictures, with several factors, and be ready to leave it out": (
        True, "What a trick is worth depends on what stands beside it, and a constant was tuned inside its recipe."),
    "Take whitening too: then the gain is guaranteed": (
        False, "Guaranteed in their recipe. In another one the four corners of the square have to be measured again."),
})
quiz("Why can an average of the weights bring little to a run whose learning rate falls to zero?", {
    "Because the average forgets the early steps": (
        False, "That is what it should do. It would harm not to forget a random start."),
    "Because the weights hardly wander any more in the last steps": (
        True, "The schedule has done the averaging's work. At a constant rate the average gains a lot: see “Deeper”."),
    "Because batch norm has running means of its own": (
        False, "That is another matter: whose statistics the averaged network uses."),
})
quiz("“With test-time augmentation our network beats the baseline by 1.5 points.” What is missing?", {
    "The baseline with the same views": (
        True, "Training knows nothing of the views, so any network may have them. Compare at equal views."),
    "Nothing: it is part of the method": (
        False, "Then it can be part of every method. A reader cannot tell the network's gain from that of the views."),
    "The number of views": (False, "That should be said as well, but it does not mend an unequal comparison."),
})
quiz("Growing pictures save 30 % of the work. After eight epochs the run is half a point behind. A bad trick?", {
    "Yes: it is behind at equal epochs": (
        False, "It also paid less. At equal epochs two things differ, the recipe and what was spent."),
    "It cannot be said before both spend the same: eleven epochs against eight": (
        True, "Equal epochs and equal multiply-adds are two questions. Give both, and say which one you ask."),
    "No: fewer multiply-adds are always a gain": (
        False, "A smaller network or fewer epochs would have saved them too, at another price."),
})
quiz("What does Muon do to the singular values of a convolution's momentum?", {
    "It sets the small ones to zero, like a filter": (
        False, "The opposite: the small ones grow most. Directions that SGD hardly moves in get as long a step."),
    "It brings them all near 1, between about 0.7 and 1.1, and keeps the directions": (
        True, "Five steps of a polynomial, with products of matrices only. It is not exact, and need not be."),
    "It divides each weight's step by the size of its own gradients": (
        False, "That is Adam, weight by weight. Muon acts on directions of the whole matrix."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). A whitened first layer. It trains, with a network that ends worse than with random filters.
# Which line is wrong?

# %% tags=["hide-input"]
def keeps_the_largest(names):
    cloud = torch.randn(5_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 3.0])
    kept = int(names["whitening_filters"](cloud, 2)[0].abs().argmax())
    assert kept == 1, f"of three numbers with standard deviations 1, 10 and 3, the filter reads number {kept + 1}"


bug_hunt(
    """
def whitening_filters(patches, channels):
    half = channels // 2
    variances, directions = torch.linalg.eigh(patches.T.cov())
    kept = torch.arange(len(variances))[:half]
    filters = directions[:, kept] / variances[kept].sqrt()
    return torch.cat([filters, -filters], dim=1).T
""",
    wrong="kept = torch.arange(len(variances))[:half]",
    right="kept = torch.arange(len(variances))[-half:]",
    why="eigh sorts upwards, so these are the directions of hardly any variance: noise, divided by next to nothing.",
    test=keeps_the_largest,
    torch=torch,
)

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). How many steps back does an average with decay d reach? After how many steps is the
# share of what it held before down to a half?

# %%
def half_life(d):
    # solution
    return math.log(0.5) / math.log(d)


def counted(d):
    """From the average itself: 1 before, 0 ever after, and where between two steps it passes a half."""
    held, steps = 1.0, 0
    while held * d > 0.5:
        held, steps = held * d, steps + 1
    return steps + math.log(held / 0.5) / math.log(1 / d)


check("half-life", half_life, counted, [0.9, 0.99, 0.999],
      hint="After k steps it holds dᵏ of what it held before. Solve dᵏ = ½.")

# %% [markdown]
# **2. By hand** (5 minutes, easy). Which share of the pictures has been seen from one side only after n epochs, with a
# coin in each epoch? And with alternating flips, n being 2 or more?

# %%
def one_sided(n, alternating):
    # solution
    return 0.0 if alternating else 2 * 0.5**n


def enumerated(n, alternating):
    ways = [[start ^ bool(epoch % 2) for epoch in range(n)] for start in (False, True)] if alternating else [
        [bool(way >> epoch & 1) for epoch in range(n)] for way in range(2**n)]
    return fmean(float(all(way) or not any(way)) for way in ways)


check("seen from one side only", one_sided, enumerated, [(2, False), (4, False), (8, False), (2, True), (5, True)],
      hint="All n coins are heads, or all are tails.")

# %% [markdown]
# **3.** (10 minutes, medium) The weight of the first picture in CutMix's target, for a picture of side × side pixels
# and a box whose middle is at (down, across) pixels: what is left of the box inside, in whole pixels, counts.

# %%
def weight_of_first(lam, side, down, across):
    # solution
    half = int(math.sqrt(1 - lam) / 2 * side)
    height, width = (min(at + half, side) - max(at - half, 0) for at in (down, across))
    return 1 - height * width / side**2


def by_cutmix(lam, side, down, across):
    x, two = torch.zeros(2, 1, side, side), torch.eye(2)
    return float(cutmix.cutmix(x, two, lam, torch.tensor([1, 0]), (down / side, across / side))[1][0, 0])


check("weight of the first picture", weight_of_first, by_cutmix, [(0.5, 32, 16, 16), (0.5, 32, 0, 8), (0.0, 64, 0, 0)],
      hint="Half the box's side is √(1 − λ)/2 of the picture's, rounded down. Cut both ends off at 0 and at the side.")

# %% [markdown]
# **4.** (10 minutes, predict–train–explain) Put Muon into the loop: two lines. `hidden(net)` are the weights that it
# takes. `Muon(groups, hidden(net), factor=0.5, momentum=0.9)` stands in SGD's place; `groups` is a list of one
# dictionary with "params", "lr" and "weight_decay". It gives Muon's group a "factor", by which the loop's rate has to
# be multiplied: `group.get("factor", 1.0)`. Hand both edits to `loop` as above, with `Muon=muon.Muon` and
# `hidden=muon.hidden`. Write down first: ahead of the plain run or behind, by how many points, and after the first
# epoch or at the end? Then train (half a minute on two idle cores).

# %%
SGD = "    optimizer = torch.optim.SGD(parameters, lr=peak, momentum=0.9, nesterov=True, weight_decay=weight_decay)\n"
RATE = "rate((epoch + batch / batches) / epochs, peak)"


def with_muon():
    # solution
    groups = '[{"params": list(parameters), "lr": peak, "weight_decay": weight_decay}]'
    edits = {SGD: f"    groups = {groups}\n    optimizer = Muon(groups, hidden(net), factor=0.5, momentum=0.9)\n",
             RATE: f'{RATE} * group.get("factor", 1.0)'}
    return race({"Muon": loop(edits, Muon=muon.Muon, hidden=muon.hidden).train}, data, caption="live, seed 0 · Muon")


orthogonal = with_muon()

# %% tags=["solution"]
for epoch in (0, -1):
    ahead = orthogonal["Muon"][epoch]["test_accuracy"] - live["plain"][epoch]["test_accuracy"]
    print(f"Muon − plain after epoch {orthogonal['Muon'][epoch]['epoch']}: {ahead:+.1f} points")

# %% [markdown] tags=["solution"]
# Few steps are where equally long directions count most: those that SGD hardly moves in would need many. But two things
# were changed, the direction and the length of a step, and the plain rate of 0.1 was not searched for here. A fair
# comparison tunes both, as the study's pilots did.

# %% [markdown]
# ## What to read next
#
# - *94 % on CIFAR-10 in 3.29 seconds* (Jordan 2024, [2404.00498](https://arxiv.org/abs/2404.00498)), and its code,
#   `KellerJordan/cifar10-airbench`: whitening, Dirac, biases' rate, flips, views; each alone and left out, n = 25 to
#   700.
# - *Muon* (Jordan et al. 2024, [kellerjordan.github.io/posts/muon](https://kellerjordan.github.io/posts/muon/)).
# - torchvision's new recipe (November 2021, on PyTorch's blog): ResNet-50 from 76.1 to 80.7 %, a row for each step, 600
#   epochs; its authors call the gain of long training "overstated and somehow misleading".
# - *ResNet strikes back* ([2110.00476](https://arxiv.org/abs/2110.00476)): three recipes for 100, 300 and 600 epochs;
#   and *ResNet-RS* ([2103.07579](https://arxiv.org/abs/2103.07579)): with more regularisers, less weight decay.
# - CutMix ([1905.04899](https://arxiv.org/abs/1905.04899)), TrivialAugment
#   ([2103.10158](https://arxiv.org/abs/2103.10158)), stochastic depth
#   ([1603.09382](https://arxiv.org/abs/1603.09382)), SAM ([2010.01412](https://arxiv.org/abs/2010.01412)): brakes,
#   for long runs.
# - Averages and ends of schedules: schedule-free training ([2405.15682](https://arxiv.org/abs/2405.15682)), linear
#   decay to zero ([2502.15938](https://arxiv.org/abs/2502.15938)).
# - What this paper began: smoothing and distillation ([1906.02629](https://arxiv.org/abs/1906.02629), contested by
#   [2104.00676](https://arxiv.org/abs/2104.00676)), patient teachers ([2106.05237](https://arxiv.org/abs/2106.05237)),
#   what losses do to transfer ([2010.16402](https://arxiv.org/abs/2010.16402)), BlurPool, the next step after tweak D
#   ([1904.11486](https://arxiv.org/abs/1904.11486)), and testing at a larger size than in training
#   ([1906.06423](https://arxiv.org/abs/1906.06423)).

# %% [markdown]
# ## Deeper: averages on a noisy quadratic
#
# 400 runs of SGD on ½w², each with noise of its own, 1,500 steps, from w = 3: the mean squared distance to the
# minimum, of the last weights and of their average. The average starts with a short memory, so that it forgets the
# start. Where does it gain, and where does it have nothing to gain?

# %% tags=["hide-input"]
KINDS = {"constant": lambda done: 0.1, "cosine to zero": lambda done: 0.05 * (1 + math.cos(math.pi * done))}


@cache
def walk(rate="cosine to zero", decay=0.97):
    rng, w, mean, steps = np.random.default_rng(0), np.full(400, 3.0), np.full(400, 3.0), 1_500
    squares = []
    for step in range(steps):
        w = w - KINDS[rate](step / steps) * (w + rng.normal(size=400))
        d = averaging.decay_at(step, decay)
        mean = d * mean + (1 - d) * w
        squares.append(((w**2).mean(), (mean**2).mean()))
    last, average = zip(*squares, strict=True)
    words = f"rate {rate}, d = {decay:g}: at the end {last[-1]:.4f}, averaged {average[-1]:.4f}"
    return after.Walk(words, last, average)


def gain(rate, decay):
    return walk(rate, decay).last[-1] / walk(rate, decay).average[-1]


sliders(
    after.averaged, walk, rate=list(KINDS), decay=[0.9, 0.97, 0.99, 0.995],
    goal="Let the average end at a fifth of the squared distance of the last weights, or less.",
    reached=lambda rate, decay: gain(rate, decay) >= 5, solution={"rate": "constant", "decay": 0.99},
)

# %% tags=["hide-input"]
table([
    {"rate": rate, **{f"d = {decay}": f"{gain(rate, decay):.2f}" for decay in (0.9, 0.97, 0.99, 0.995)}}
    for rate in KINDS
])
print("Squared distance of the last weights over that of their average: above 1, the average is nearer.")

# %% [markdown]
# At a constant rate, the longer the memory the better, up to the point where it remembers the way and not only the end.
# With a rate that falls to zero, averaging brings nothing: the last weights are as near as their average. That is why
# schedule-free training can leave out the schedule: its average replaces it.

# %% [markdown]
# ## Deeper: Dirac initialisation
#
# Zero γ lets a residual block start as its shortcut (lesson 03_1). Dirac initialisation is another way of starting near
# the identity: the 3×3 convolutions *inside* the block hand their input on.

# %% tags=["hide-input"]
show(dirac.dirac_init_)
some = data[0][0][:256].cpu()
for label, arm_name in (("drawn at random", "after-bag"), ("Dirac", "after-dirac")):
    model = make.model_for(arms.AFTER_ARMS[arm_name], len(dataset.classes), seed=0).cpu()
    with torch.no_grad():
        into = model.stem(some)
        passed = torch.stack([into.flatten(), model.stages[0][0].conv1(into).flatten()])
    print(f"{label}: correlation of a convolution's output with its input, {torch.corrcoef(passed)[0, 1]:+.2f}")
print("Dirac on top of the bag:", difference("after-dirac"))

# %% [markdown]
# So what the first layer brings out passes the block's own path from the first step on, as it does the shortcut, but
# for batch norm, ReLU and the stride. Filters beyond the number of channels that come in stay random.

# %% [markdown]
# ## Deeper: pictures that grow, at equal epochs and at equal work
#
# A picture of half the side costs a quarter. *Progressive resizing* starts small, here with 16 px, and grows to 32 px
# over the first 80 % of the run. Where the network sees small pictures it learns coarse things, which come first
# anyway.

# %% tags=["hide-input"]
show(progressive_resizing.side_at)
sides = progressive_resizing.sides(16, 32)
table([{"side, px": side, "share of the run, %": f"{100 * part:.0f}", "work of a picture": f"{(side / 32) ** 2:.2f}"}
       for side, part in sides.items()])
for name, question in (("after-resizing", "equal epochs"), ("after-resizing-11", "about equal work")):
    spent = work(arms.AFTER_ARMS[name]) / work(arms.AFTER)
    print(f"{question}: {arms.AFTER_ARMS[name].epochs} epochs, {100 * spent:.0f} % of the bag's multiply-adds: "
          f"{difference(name)}")

# %% [markdown]
# Equal epochs ask what the smaller pictures cost, equal work asks what the saving buys. Speed runs use it for the
# second. On ImageNet-like pictures others report mostly time: Composer "limited effects on accuracy", fast.ai's book
# 82.5 → 86.3 % on Imagenette in 5 epochs.

# %% [markdown]
# ## Deeper: a line instead of a cosine
#
# Both end at zero. The line spends less time at large rates at first and less at tiny ones at the end.

# %% tags=["hide-input"]
print("linear − cosine, on top of the bag:", difference("after-linear"))

# %% [markdown]
# That a schedule ends at zero matters more than its shape: in the source of the table above, language models with a
# linear decay to zero beat those whose cosine ends at a tenth of the peak. The cosine of this course ends at zero
# already.

# %% [markdown]
# ## Deeper: a box, and fourteen changes
#
# CutMix draws λ from Beta(1, 1), evenly. The box has √(1 − λ) of each side, and its middle lies anywhere. So it may
# stick out:

# %% tags=["hide-input"]
two, two_labels = pick((3, 22), (8, 1))
two, targets = two.transpose(0, 3, 1, 2), torch.nn.functional.one_hot(two_labels, len(dataset.classes)).float()
PLACES = {"middle": (0.5, 0.5), "edge": (0.5, 0.0), "corner": (0.0, 0.0)}


def pasted(lam=0.7, place="middle"):
    picture, target = cutmix.cutmix(torch.from_numpy(two), targets, lam, torch.tensor([1, 0]), PLACES[place])
    return picture[0].permute(1, 2, 0).numpy(), target[0].numpy()


sliders(
    partial(mixup.mixed_pair, two.transpose(0, 2, 3, 1), dataset.classes, how="a box of $x_j$ in $x_i$"), pasted,
    lam=(0.0, 1.0, 0.05), place=list(PLACES),
    goal="Draw λ below 0.1, and leave the first picture three quarters of the target all the same.",
    reached=lambda lam, place: lam < 0.1 and pasted(lam, place)[1][two_labels[0]] >= 0.75,
    solution={"lam": 0.0, "place": "corner"},
)

# %%
show(cutmix.box)

# %% [markdown]
# The target follows what is *seen*, not what was drawn. Now TrivialAugment: one picture, each change at seven tenths of
# its full strength. In training every picture gets one of them, of a strength drawn evenly from none to full, so
# *Identity* and weak ones are among them.

# %% tags=["hide-input"]
horse = torch.from_numpy(three[:1].transpose(0, 3, 1, 2))
strength = torch.tensor([0.7])
changed = {name: change(horse, strength)[0].permute(1, 2, 0).numpy() for name, change in trivial_augment.OPS.items()}
display(preprocessing.images_grid(list(changed.values()), list(changed), columns=7))

# %% [markdown]
# Made for photographs of many sizes, some of them are hard on 32 px: a shift by up to 32 px leaves nothing of the
# picture.

# %% [markdown]
# ## Deeper: alone, in company, left out
#
# Airbench's author measured each trick three ways. Epochs to 94 %, n = 25 to 700; the last column is what happens to
# the full stack (9.9 epochs) without the trick:

# %% tags=["hide-input"]
table([
    {"trick": name, "alone (34)": alone, "after whitening (21)": second, "left out of the stack (9.9)": out}
    for name, alone, second, out in (
        ("whitening", "21", "", "22"), ("Dirac", "30", "18", "12.7"), ("biases' rate × 64", "34 to 40", "16.5", "14.2"),
        ("lookahead", "33", "20.2", "10.7"), ("views at test time", "29.5", "18 to 18.5", "11.2"),
        ("alternating flips", "33", "20 to 21", "10.8"))
])

# %% [markdown]
# Left out, the biases' rate is the second most important trick of the stack. Alone, it is the only one that harms. No
# single column would have told. Lesson 07 has the same three answers for the paper's tricks.

# %% [markdown]
# ## Deeper: the choices
#
# Everything that was chosen for these arms was chosen on 5,000 held-out training pictures, one seed each. All of it
# is in [docs/evidence.md](../docs/evidence.md).

# %% tags=["hide-input"]
CHOICES = {name: store.find(studies.recipe_of(name)) for name in studies.study("pilot_after").arms}
table([
    {"tried on held-out pictures": name.removeprefix("pilot-").removesuffix("-True"),
     "accuracy, %": f"{runs[0].accuracy:.2f}"}
    for name, runs in CHOICES.items()
])
spread = fmean(stdev(difference(name).differences) for name in ALONE)
print(f"A paired difference of these arms has a standard deviation of {spread:.2f} points, on average: "
      f"{statistics.seeds_for(0.5, spread)} seeds would see half a point.")

# %% [markdown]
# ## For discussion
#
# 1. Half of these tricks come from people who race for seconds, not from papers that propose a method. What does a race
#    make its authors measure that a paper does not, and what does it make them overlook?
# 2. Whitening is a fixed first layer, computed without labels. At which size of data or network would you expect it to
#    stop helping?
# 3. You have 30 runs. Would you spend them on ten tricks alone, on five pairs as 2 × 2, or on the rate of one
#    optimiser?
