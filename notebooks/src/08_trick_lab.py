# %% [markdown]
# # 8 Trick Lab
#
# **Six claims about tricks, each of which your own machine can test in a minute. Which of them do you believe, and what
# would one run of each tell you?**

# %% tags=["hide-input"]
import math
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import stdtrit

from tricks.course import cost, lab_run, missions, steps
from tricks.course.lab import Lab
from tricks.course.lesson import show, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots.steps import one_step
from tricks.recipe import BASELINE, changes
from tricks.records import paper, statistics, store
from tricks.studies.studies import recipe_of

# %%
lab = Lab()
lab

# %% [markdown]
# On the left, everything that a recipe says, by section. On the right, *What it asks for*: the learning rate of every
# step, the target of one picture, a batch as the network gets it, and what the run costs; it moves while you drag.
# Behind it, *What came out*: training loss and test accuracy of your runs after every epoch, on samples of 2,000
# pictures; the diamond is the accuracy on all test pictures after the last epoch, and so is the legend's number. In
# grey, the recorded runs of the nearest recipe that the course has studied. ([What it looks
# like](../docs/images/trick_lab.png), if you read this page without a kernel.)
#
# **Claim.** A recipe of your own against the course's baseline takes a minute or two on two CPU cores. One run of each
# shows a difference of several points and hides one of a few tenths.
#
# After this lesson you can
# 1. put a recipe together from the tricks of sections 3 to 5, train it, and lay it over another one;
# 2. say of a hypothesis what would refute it, before the run;
# 3. turn a find into evidence: more seeds, and a choice that was not made on the test set.
#
# *Time:* 30 minutes with four of the six missions, which train 5 to 8 minutes of them; 10 more for the parts headed
# "Deeper", 25 for questions and exercises. *Paper:* §3–§5; Tables 4, 5 and 6 are what the lab takes apart.
#
# The course's baseline is not the paper's: a `resnet8` on 10,000 pictures of CIFAR-10 for 12 epochs, with the first
# division of the rate after half of the run, and a weight decay of 5 · 10⁻⁴. The paper's is a ResNet-50 on ImageNet for
# 120 epochs, divided first after a quarter.
#
# ## First steps
#
# 1. Press **Train**. This is the baseline.
# 2. Change *one* thing. Guess what it does, then press **Train** again. The legend says what differs from run 1.
# 3. Go on until a recipe beats the baseline by more than luck could: by two points, say. **All tricks** switches on
#    what section 7 stacks, and is not bound to be the best at this budget.
# 4. **Save runs** asks which of them are to be kept in `data/own/`, **Export slide** writes the picture into
#    `figures/own/`, and **Copy as code** copies the Python that makes the recipe.
#
# **Stop** ends a run within a batch. When the kernel is restarted, the lab ends with it: run its cell again, and save
# before what you want to keep. To see the same lab once more, with its runs, write `lab` into a new cell. No other cell
# of this page touches it.
#
# ## Missions
#
# Choose one in the tab *Missions*: the controls go to where it starts, and a line under the buttons turns from *not
# yet* to *reached*. A run takes two cores half a minute. For each:
#
# 1. read the hypothesis, and say what you would have to see to give it up;
# 2. train the two runs, and look at what the mission tells you to look at;
# 3. guess what several seeds of *another* budget gave, which is recorded, and reveal it.
#
# A mission that stays at *not yet* is a finding too: the criterion asks for several points, because two single runs
# cannot tell less from luck.

# %% tags=["hide-input"]
def runs_of(*arms):
    """The records of some arms; none if one of them has none."""
    found = [store.find(recipe_of(name)) for name in arms]
    return found if all(found) else None


def difference(new, old):
    """Ours of two arms, seed by seed; nothing where one is not recorded."""
    found = runs_of(new, old)
    return statistics.compare(*found) if found else None


def debrief(guess, trick, new, old, theirs=None):
    """The guess against the records of a trick, with it and without, if there are such."""
    if found := runs_of(new, old):
        ours = statistics.compare(*found)
        guess.reveal(ours, theirs, label=trick, caption=statistics.caption([*found[0], *found[1]]))
    else:
        guess.veil("Not recorded yet: your two runs are the first.")


def said(comparison):
    """A difference in words; nothing where it is not recorded."""
    return "not recorded yet" if comparison is None else str(comparison)


SAID = {  # mission: what the records say, for its debrief and for the list at the end
    "warm-up": (difference("large-warmup", "large"), difference("large-long-warmup", "large-long")),
    "scaling": (difference("large", "large-unscaled"), difference("large-long", "large-long-unscaled")),
    "zero γ": (difference("small-zero", "small-warmup"), difference("large-long-zero", "large-long-warmup")),
    "whitening": (difference("after-whitening", "after-bag"),),
    "Muon": (difference("after-muon", "after-bag"),),
}

# %% [markdown]
# ### A run that is too fast
#
# *Hypothesis.* A learning rate that is far too large does its harm in the first steps, while the weights are small and
# far from anything. Growing towards it over two epochs avoids that (§3.1).
#
# *Train* it as it is, with the rate 3.0, and with two warm-up epochs.
#
# *Look* at the first epoch of both curves, then at the last. Is the one without warm-up late, or lost?

# %%
warm = predict("Warm-up at 512 pictures a batch and eight times the rate: its gain after 8 epochs", low=-5, high=20)

# %% tags=["hide-output"]
debrief(warm, "warm-up, 512 a batch", "large-warmup", "large",
        paper.effect("4", "+ LR warmup", "Linear scaling", "BS1024_top1"))

# %% tags=["hide-input", "hide-output"]
warm.veil(f"After 60 epochs: {said(SAID['warm-up'][1])}. A longer run repairs most of the damage of its first steps, "
          "and not all. What would refute the hypothesis: two runs that part late.")

# %% [markdown]
# ### Four times the batch
#
# *Hypothesis.* Linear scaling makes up for fewer steps by longer ones (§3.1), as long as there are many. With 36 steps
# in all it does harm. (In the lab the batch and the rate grow by four, from 128 pictures. The recorded runs come from
# 64 pictures, so their factor is eight.)
#
# *Train* it as it is, with 512 pictures a batch, and with linear scaling.
#
# *Look* at the training loss of the first epoch. And ask: would warm-up have saved it?

# %%
scaled = predict("Linear scaling by eight, without warm-up: its gain after 8 epochs", low=-20, high=10)

# %% tags=["hide-output"]
debrief(scaled, "8 times the rate,\n512 a batch", "large", "large-unscaled")

# %% tags=["hide-input", "hide-output"]
scaled.veil(f"After 60 epochs: {said(SAID['scaling'][1])}. The same trick, with another sign where there are steps "
            "enough. The paper has no row without it, and always has thousands of steps.")

# %% [markdown]
# ### Blocks that start as nothing
#
# *Hypothesis.* Zero γ takes the residual blocks out of the first steps (§3.1). Where steps are few, that costs.
#
# *Train* it as it is, and with zero γ.
#
# *Look* at how far apart the two curves are after each epoch. Does the distance grow, or shrink?

# %%
zero = predict("Zero γ after warm-up, 64 pictures a batch: its gain after 8 epochs", low=-15, high=5)

# %% tags=["hide-output"]
debrief(zero, "zero γ, 64 a batch", "small-zero", "small-warmup",
        paper.effect("4", "+ Zero gamma", "+ LR warmup", "BS256_top1"))

# %% tags=["hide-input", "hide-output"]
zero.veil(f"With 512 pictures a batch and 60 epochs: {said(SAID['zero γ'][1])}. Our network has three blocks, and γ "
          "needs hundreds of steps to grow. The paper's has sixteen blocks and 120 epochs; at batch 1024 it gained "
          f"{paper.delta('4', '+ Zero gamma', '+ LR warmup', 'BS1024_top1'):+.2f}.")

# %% [markdown]
# ### A first layer that is not learnt
#
# *Hypothesis.* Filters that are computed from the pictures, so that their outputs are uncorrelated, are worth several
# epochs of learning. The paper does not have it; [09](09_after_the_bag.ipynb) does.
#
# *Train* it as it is, and with whitening.
#
# *Look* at the accuracy after *one* epoch, and in how many epochs the other run gets there.

# %%
white = predict("Whitening on top of the bag, 50,000 pictures × 8 epochs: its gain", low=-3, high=8)

# %% tags=["hide-output"]
debrief(white, "whitening", "after-whitening", "after-bag")

# %% tags=["hide-input", "hide-output"]
if ahead := SAID["whitening"][0]:
    white.veil("There " + ("the lead lasts to the end." if ahead.clear and ahead.mean > 0 else
               "no lead is to be seen: in 3,120 steps a first layer is learnt as well. Your runs have a few hundred.")
               + " What would refute the hypothesis: no lead after the first epoch.")

# %% [markdown]
# ### Another optimiser
#
# *Hypothesis.* Muon, which makes the directions of a step equally long, gets further in a few steps than SGD.
#
# *Train* it as it is, and with the optimizer muon at a rate of 0.05.
#
# *Look* at the training loss after the first epoch. Two things to keep in mind: a step of Muon costs more time, and its
# rate was chosen for it, while SGD's stayed where it was.

# %%
muon = predict("Muon on top of the bag, 50,000 pictures × 8 epochs: its gain", low=-3, high=8)

# %% tags=["hide-output"]
debrief(muon, "Muon", "after-muon", "after-bag")

# %% [markdown]
# ### What is luck?
#
# *Hypothesis.* One pair of runs cannot tell a few tenths of a point from nothing. Three seeds give an interval.
#
# *Train* the recipe and one small change of yours with the seeds 0, 1 and 2: six runs of a quarter of a minute.
#
# *Look* at the three differences, seed by seed. Do all have the sign of their mean? Is the half-width of the interval
# smaller than the effect that you wanted to see?
#
# *Debrief.* The recorded runs of the baseline, 10,000 pictures × 12 epochs, and what that spread means for two:

# %% tags=["hide-input"]
five = [run.accuracy for run in store.find(recipe_of("baseline"))]
s = float(np.std(five, ddof=1))
print("test accuracy:", ", ".join(f"{a:.2f}" for a in sorted(five)), f"%; standard deviation {s:.2f} points")
print(f"two runs of one recipe are {1.96 * math.sqrt(2) * s:.2f} points apart, or less, in 95 of 100 cases")
print(f"seeds to see half a point in 80 of 100 studies, if a paired difference spreads by √2 · {s:.2f}: "
      f"{statistics.seeds_for(0.5, math.sqrt(2) * s)}")

# %% [markdown]
# [C When to believe](C_when_to_believe.ipynb) counts in all our records how often a single pair has the wrong sign.
#
# ## What each mission taught

# %% tags=["hide-input", "hide-output"]
LESSONS = {
    "A run that is too fast": ("warm-up", "take it whenever the rate is large"),
    "Four times the batch": ("scaling", "scale the rate with the batch only with warm-up and some thousand steps"),
    "Blocks that start as nothing": ("zero γ", "leave it out of short runs and of shallow networks"),
    "A first layer that is not learnt": ("whitening", "ask after how many steps: an early lead may be gone at the end"),
    "Another optimiser": ("Muon", "compare at a tuned rate each, and at equal time as well as at equal epochs"),
}
rows = [
    {"mission": mission, "recorded, short": said(SAID[name][0]), "long": said(SAID[name][1]) if SAID[name][1:] else "",
     "take with you": lesson}
    for mission, (name, lesson) in LESSONS.items()
]
rows.append({"mission": "What is luck?", "recorded, short": f"s = {s:.2f} points over {len(five)} seeds", "long": "",
             "take with you": "seeds first, then differences below a point"})
table(rows)

# %% [markdown]
# ## From a find to evidence
#
# - **Choose on pictures that are not the test set.** Set *measured on* to *validation*: 5,000 training pictures are
#   held out, and the test set stays unseen until you have chosen.
# - **Then run it with more seeds.** **Save runs** keeps what the lab has trained as a record like any other: same
#   code, same metrics, on all test pictures. What `./course train` records with other seeds goes with it, because a
#   record is found by its recipe: `find(recipe, OWN_RUNS)` from `tricks.records.store` gives them all. They are yours,
#   in `data/own/`; a study never counts them, not even runs of an arm's very recipe.
# - **State budget and data.** At a few passes over 10,000 pictures a network underfits, and tricks against overfitting
#   have little to do. The same recipe at 50,000 pictures and 100 epochs is another question.
#
# ## Questions

# %% tags=["hide-input"]
quiz("Two runs have the same seed and differ in smoothing alone; one is 0.6 points better. Why?", {
    "The seed is the same, so the difference is smoothing's": (
        False, "They start alike and see the same crops. After a few steps the smallest change has parted them."),
    "Smoothing, or luck; one pair does not tell them apart": (
        True, "The spread of a paired difference is about as large as that. Three seeds or more give an interval."),
    "It is luck, because smoothing does nothing at this budget": (
        False, "That cannot be said either: a null needs seeds enough to see the effect if it were there."),
})
quiz("With mixup the training loss stays far above the baseline's, over the whole run. What does it say?", {
    "The network learns less well": (
        False, "Its targets are mixed, so its loss has another floor. Compare accuracies, or losses on equal targets."),
    "The learning rate is too small": (
        False, "The loss cannot fall below what the mixed targets leave open, at any rate."),
    "Nothing by itself: it is measured on other targets": (
        True, "The same holds for smoothing and for a teacher. Compare losses of equal targets only."),
})
quiz("Your run reached 68.1 % after epoch 9 and 67.4 % after epoch 12, the last. What is its result?", {
    "68.1 %, because that network existed": (
        False, "It was found by looking at the test set, and a curve's point is measured on 2,000 pictures."),
    "67.4 %, on all test pictures": (
        True, "The diamond. To stop earlier, choose the epoch on held-out pictures."),
    "The mean of both": (
        False, "No network has that accuracy, and the better half of it was chosen on the test set."),
})
quiz("Zero γ loses ten points in a run of 8 epochs on a small network. What follows for a ResNet-50 on ImageNet?", {
    "It harms there, too, but less": (
        False, "The paper reports a gain of 0.16 (Table 4, batch 256). Another depth and length have another sign."),
    "That the paper is wrong": (
        False, "Both can be right: γ has 120 epochs to grow there, and sixteen blocks rather than three."),
    "Nothing about its size or sign; only the mechanism carries over": (
        True, "Blocks start as nothing in both. What that costs depends on depth and on the number of steps."),
})

# %% [markdown]
# ## Bug hunt
#
# Somebody screens recipes with one seed each, and reports the gain of the best. One line makes tricks that do nothing
# look good.

# %% tags=["hide-input"]
def a_screening_of_nothing_gains_nothing(names):
    luck, gains = np.random.default_rng(0).normal(70, 0.6, (300, 11, 2)), []
    for drawn in luck:  # eleven recipes that are equally good, two seeds each
        _, gain = names["screen"](lambda recipe, seed, drawn=drawn: drawn[recipe, seed], range(1, 11), 0)
        gains.append(gain)
    assert abs(np.mean(gains)) < 0.2, f"the best of ten recipes that do nothing gains {np.mean(gains):+.2f} points"


bug_hunt(
    """
def screen(train, recipes, baseline):
    tried = {recipe: train(recipe, seed=0) for recipe in recipes}
    best = max(tried, key=tried.get)
    gain = tried[best] - train(baseline, seed=1)
    return best, gain
""",
    wrong="gain = tried[best] - train(baseline, seed=1)",
    right="gain = train(best, seed=1) - train(baseline, seed=1)",
    why="The run that was chosen because it came out well is counted. Choose with one seed, report with others.",
    test=a_screening_of_nothing_gains_nothing,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy) Write the recipe that differs from the baseline in nothing but ε = 0.1 and α = 0.2, as *Copy
# as code* would.

# %%
def recipe_of_two():
    # solution
    return replace(BASELINE, label_smoothing=0.1, mixup_alpha=0.2)


# %% tags=["hide-input"]
theirs = changes(replace(BASELINE, label_smoothing=0.1, mixup_alpha=0.2), BASELINE)
yours = recipe_of_two()
check("recipe", ... if yours in (None, ...) else changes(yours, BASELINE), theirs,
      hint="dataclasses.replace(BASELINE, field=value, ...): the two fields are in the lab's section Targets.")

# %% [markdown]
# **2. By hand** (5 minutes, easy). A run of 5,000 pictures × 4 epochs; one picture's forward pass takes 12 million
# multiply-adds. A training picture costs three passes, one forward and two backward. How many multiply-adds does the
# *training* take? Then write it as a function.

# %%
def training_work(forward, images, epochs):
    # solution
    return 3 * forward * images * epochs


# %% tags=["hide-input"]
def theirs_2(forward, images, epochs):
    recipe = replace(BASELINE, epochs=epochs)
    per_forward = cost.size(recipe, 10)[1]
    measuring = epochs * (min(images, 2_000) + 2_000) + 10_000
    return (cost.work(recipe, 10, images, 10_000) / per_forward - measuring) * forward


check("training work", training_work, theirs_2, [(12_281_088, 10_000, 12), (1_000, 5_000, 4)],
      hint="3 · 12 million · 5,000 · 4 = 0.72 · 10¹².")

# %% [markdown]
# **3.** (10 minutes, medium) The standard deviation of one pair's difference is s. How many seeds does an interval need
# whose half-width, t · s/√n with n − 1 degrees of freedom, is at most d? `stdtrit(n - 1, 0.975)` is t.

# %%
def seeds(s, d):
    # solution
    return next(n for n in range(2, 10_000) if stdtrit(n - 1, 0.975) * s / math.sqrt(n) <= d)


# %% tags=["hide-input"]
check("seeds", seeds, lambda s, d: min(n for n in range(2, 2_000) if stdtrit(n - 1, 0.975) * s <= d * math.sqrt(n)),
      [(0.6, 1.0), (0.6, 0.5), (0.6, 0.2)],
      hint="Try n = 2, 3, 4, ... until the half-width is small enough: t itself depends on n.")

# %% [markdown]
# **4. Predict, train, explain** (10 minutes, medium). Set the rate to 0.4 with a warm-up of a quarter of the run, and
# cosine decay. Then take only one of the three changes away, whichever you think the least important. Which was it, and
# was it? The part below does the first of the two as code.

# %% [markdown]
# ## Deeper: one step at a time
#
# **Without momentum, a step lowers the loss of its batch if the rate is small enough. Does it lower the loss of each
# picture in it?**
#
# Guess, then open the tab *Step by step* in the lab above and press **One step**: the loop takes one step of your
# recipe, and waits. You see a picture as it went in, its target, what the network said before the step and says after
# it, and by how much each layer's weights have moved. The steps are kept in `data/cache`, so they are still there when
# the kernel has ended. Below are the first twenty steps of a recipe with warm-up, mixup and smoothing, taken just now.

# %% tags=["hide-input"]
budget = {"train_images": 5_000, "epochs": 12, "batch_size": 128}
stepped = replace(lab.start, **budget, lr=0.4, warmup_epochs=0.4, label_smoothing=0.1, mixup_alpha=0.4)
twenty = steps.record(stepped, 20)
most = min(range(1, 21), key=lambda step: abs(twenty.steps[step - 1].lam - 0.5))
sliders(
    partial(one_step, classes=twenty.classes, caption=twenty.caption), twenty.at, step=(1, 20),
    goal="Find the step that mixes most: λ nearest to ½.", reached=lambda step: step == most, solution={"step": most},
)

# %% tags=["hide-input", "hide-output"]
rose = [step.number for step in twenty.steps if step.picture_loss[1] > step.picture_loss[0]]
print(f"The loss of the picture that is shown rose in {len(rose)} of {len(twenty.steps)} steps: {rose}")

# %% [markdown]
# The step follows the momentum, in which the mean gradient of these 128 pictures is only the latest part. One picture's
# own gradient may point elsewhere, and a rate that fits the others may overshoot for it. So do not take a single
# picture whose loss rises for a bug: judge a step by the batch, and a run by test accuracy.

# %% [markdown]
# ## Deeper: the same clicks as code
#
# What the buttons do, methods do; this is a second lab, so that yours stays as it is. Two live runs, cut down so that
# they end soon: the baseline, and the same with the three changes that belong together in section 5.1, a larger
# learning rate, the warm-up that it needs, and cosine decay. They have one seed, so the first weights, the order of
# the pictures and the crops are the same in both.

# %%
clicks = Lab(lab.start.dataset)
clicks.set(**{name: min(value, getattr(clicks.start, name)) for name, value in missions.SOON.items()})
clicks.train()
clicks.wait()
clicks.set(lr=0.4, warmup_epochs=clicks.values["epochs"] / 4, schedule="cosine")
clicks.train()
clicks.wait()
clicks.overlay

# %% tags=["hide-input"]
first, second = clicks.runs
live = statistics.compare([second], [first])
print(f"live, one seed: {live}")
print(f"run 2 changes {changes(second.recipe, first.recipe)}")
if live.mean < 0:
    print("Run 2 is behind: the three changes need more steps than these two runs have, as the recorded arms had.")
print(f"the three changes, recorded, longer runs: {said(difference('cosine', 'baseline'))}")
name, recorded = lab_run.nearest(second.recipe) or ("nothing", [])
print(f"nearest recorded recipe: {name}")

# %% [markdown]
# The grey curves have more pictures and epochs than these two short runs, so the distance to them says nothing about
# the recipe. In the lab itself the sliders start at the recorded budget, and a baseline that you train there should
# land among the grey ones.

# %% [markdown]
# ## Deeper: what a run costs
#
# The line under *What it asks for* is arithmetic. A training picture costs three passes through the network, one
# forward and two backward; with a teacher, one more through that. Measured are 4,000 pictures after every epoch and
# all test pictures at the end. Seconds are these multiply-adds divided by what this machine does in a second, which
# is measured once, on a few steps of the baseline, and again by each run.

# %%
show(cost.work)

# %% tags=["hide-input"]
rows = []
for name in ("baseline", "cosine", "distill", "long"):
    recipe = recipe_of(name)
    parameters, forward = cost.size(recipe, 10)
    total = cost.work(recipe, 10, recipe.train_images, 10_000)
    rows.append({"arm": name, "parameters": f"{parameters:,}", "multiply-adds a picture, M": f"{forward / 1e6:.2f}",
                 "multiply-adds of the run, T": f"{total / 1e12:.2f}"})
table(rows)

# %% [markdown]
# ## For discussion
#
# 1. Which of your recipes beat the baseline by more than luck? Would it still at ten times the budget, and why?
# 2. You may train thirty minutes in all. Many recipes once, or few recipes with several seeds?
# 3. The paper's Table 6 has one run in each cell. Which of its differences would you bet on?
