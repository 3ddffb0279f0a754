# %% [markdown]
# # 8 Trick Lab
#
# **Claim.** A recipe of your own against the paper's baseline takes a minute or two on two CPU cores. One run of each
# shows a difference of several points and hides one of a few tenths.
#
# After this lesson you can
# 1. put a recipe together from the tricks of sections 3 to 5, train it, and lay it over another one;
# 2. turn a find into evidence: more seeds, and a choice that was not made on the test set.
#
# *Time:* 30 minutes. *Paper:* §3–§5; Tables 4, 5 and 6 are what the lab takes apart.

# %% tags=["hide-input"]
import math
from dataclasses import replace

from scipy.special import stdtrit

from tricks.course import cost, lab_run, missions
from tricks.course.lab import Lab
from tricks.course.lesson import short, show, table
from tricks.course.questions import check
from tricks.recipe import BASELINE, changes
from tricks.records.statistics import compare
from tricks.studies.studies import recipe_of

# %% [markdown]
# ## The lab
#
# The buttons, what they say, and below them two columns. On the left, everything that a recipe says, by section. On
# the right, *What it asks for*: the learning rate of every step, the target of one picture, a batch as the network gets
# it, and what the run costs; it moves while you drag. Behind it, *What came out*: training loss and test accuracy of
# your runs after every epoch, on samples of 2,000 pictures; the diamond is the accuracy on all test pictures after the
# last epoch, and the legend's number is that one. In grey, the recorded runs of the nearest recipe that the course has
# studied.
#
# 1. Press **Train**. This is the baseline.
# 2. Change *one* thing. Guess what it does, then press **Train** again. The legend says what differs from run 1.
# 3. Go on until a recipe beats the baseline by more than luck could: by two points, say (see below). **All tricks**
#    switches on what section 7 stacks, and is not bound to be the best at this budget.
# 4. **Save runs** asks which of them are to be kept in `data/own/`, **Export slide** writes the picture into
#    `figures/own/`, and **Copy as code** copies the Python that makes the recipe.
#
# **Stop** ends a run within a batch. When the kernel is restarted, the lab ends with it: run its cell again, and save
# before what you want to keep. To see the same lab once more, with its runs, write `lab` into a new cell; running the
# cell below again makes a new one. [What it looks like](../docs/images/trick_lab.png), if you read this page without a
# kernel.

# %%
lab = Lab()
lab

# %% [markdown]
# ## Missions
#
# The tab *Missions* has hypotheses on the paper's tricks and on what came after, each with a recipe to start from and a
# criterion that looks at your runs: a line under the buttons turns from *not yet* to *reached*. A run takes two cores
# half a minute. Write your guess down first.

# %% tags=["hide-input"]
table([{"mission": m.title, "hypothesis": m.hypothesis, "to train": m.todo} for m in missions.MISSIONS])

# %% [markdown]
# A mission that stays at *not yet* is a finding too: the criterion asks for several points, because two single runs
# cannot tell less from luck.
#
# ## The same clicks as code
#
# What the buttons do, methods do; this is a second lab, so that yours stays as it is. Two live runs, cut down so that
# they end soon: the baseline, and the same with the three changes that belong together in section 5.1, a larger
# learning rate, the warm-up that it needs, and cosine decay. They have one seed, so the first weights, the order of
# the pictures and the crops are the same in both.

# %%
clicks = Lab(lab.start.dataset)
small = short(clicks.start, clicks.start.dataset)
clicks.set(train_images=small.train_images, epochs=small.epochs)
clicks.train()
clicks.wait()
clicks.set(lr=0.4, warmup_epochs=small.epochs / 4, schedule="cosine")
clicks.train()
clicks.wait()
clicks.overlay

# %%
first, second = clicks.runs
print(f"live, one seed: {compare([second], [first])}")
print(f"run 2 changes {changes(second.recipe, first.recipe)}")
name, recorded = lab_run.nearest(second.recipe) or ("nothing", [])
print(f"nearest recorded recipe: {name}")
if recorded:
    print(f"in place of its values, run 2 has {changes(second.recipe, recorded[0].recipe)}")

# %% [markdown]
# The grey curves have more pictures and epochs than these two short runs, so the distance to them says nothing about
# the recipe. In the lab itself the sliders start at the recorded budget, and a baseline that you train there should
# land among the grey ones.
#
# ## What a run costs
#
# The line under *What it asks for* is arithmetic. A training picture costs three passes through the network, one
# forward and two backward; with a teacher, one more through that. Measured are 4,000 pictures after every epoch and
# all test pictures at the end. Seconds are these multiply-adds divided by what this machine does in a second, which
# is measured once, on a few steps of the baseline, and again by each run.

# %%
show(cost.work)
rows = []
for name in ("baseline", "cosine", "distill", "long"):
    recipe = recipe_of(name)
    parameters, forward = cost.size(recipe, 10)
    total = cost.work(recipe, 10, recipe.train_images, 10_000)
    rows.append({"arm": name, "parameters": f"{parameters:,}", "multiply-adds a picture, M": f"{forward / 1e6:.2f}",
                 "multiply-adds of the run, T": f"{total / 1e12:.2f}"})
table(rows)

# %% [markdown]
# ## What the difference of two single runs is worth
#
# Two runs of one recipe are easily a point apart, and a single pair has no interval. Of differences below half a point
# it often has the wrong sign: [C When to believe](C_when_to_believe.ipynb) counts how often, in all our records.
#
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
# ## Misreadings
#
# - *"Same seed, so the difference is due to the change."* The runs start alike and see the same crops. After a few
#   steps the smallest change has made them nearly as different as two seeds.
# - *"The curve that is lower on the left is better."* With smoothing, mixup or a teacher the training loss has another
#   target and another floor. Compare losses of equal targets only.
# - *"The curve says more than the diamond."* Each point of the curve is measured on 2,000 pictures, whose sampling
#   error is about a point. The diamond has all of them.
# - *"The best epoch is the result."* Choosing it would use the test set. The result is the last epoch.
#
# ## Exercises
#
# **1.** Write the recipe that differs from the baseline in nothing but ε = 0.1 and α = 0.2, as *Copy as code* would.

# %%
def recipe_of_two():
    # solution
    return replace(BASELINE, label_smoothing=0.1, mixup_alpha=0.2)


theirs = changes(replace(BASELINE, label_smoothing=0.1, mixup_alpha=0.2), BASELINE)
yours = recipe_of_two()
check("recipe", ... if yours in (None, ...) else changes(yours, BASELINE), theirs)

# %% [markdown]
# **2.** Multiply-adds of *training* alone, without the measuring: from those of one forward pass, the number of
# pictures and of epochs.

# %%
def training_work(forward, images, epochs):
    # solution
    return 3 * forward * images * epochs


def theirs_2(forward, images, epochs):
    recipe = replace(BASELINE, epochs=epochs)
    per_forward = cost.size(recipe, 10)[1]
    measuring = epochs * (min(images, 2_000) + 2_000) + 10_000
    return (cost.work(recipe, 10, images, 10_000) / per_forward - measuring) * forward


check("training work", training_work, theirs_2, [(12_281_088, 10_000, 12), (1_000, 5_000, 4)])

# %% [markdown]
# **3.** The standard deviation of one pair's difference is s. How many seeds does an interval need whose half-width,
# t · s/√n with n − 1 degrees of freedom, is at most d? `stdtrit(n - 1, 0.975)` is t.

# %%
def seeds(s, d):
    # solution
    return next(n for n in range(2, 10_000) if stdtrit(n - 1, 0.975) * s / math.sqrt(n) <= d)


check("seeds", seeds, lambda s, d: min(n for n in range(2, 2_000) if stdtrit(n - 1, 0.975) * s <= d * math.sqrt(n)),
      [(0.6, 1.0), (0.6, 0.5), (0.6, 0.2)])

# %% [markdown]
# ## Summary
#
# - The lab trains any recipe of this course and lays runs over each other; the legend says in what they differ, and by
#   how much at the end, on all test pictures.
# - A difference of two single runs has no interval: under a point or so it may be noise, and the best of many is partly
#   luck.
# - Saved runs are records. With more seeds, chosen on held-out pictures, a find becomes an arm of a study.
#
# ## For discussion
#
# 1. Which of your recipes beat the baseline by more than luck? Would it still at ten times the budget, and why?
# 2. You may train thirty minutes in all. Many recipes once, or few recipes with several seeds?
# 3. The paper's Table 6 has one run in each cell. Which of its differences would you bet on?
