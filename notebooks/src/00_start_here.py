# %% [markdown]
# # Start here
#
# **Claim.** A recipe and a seed are an experiment, and a trick is one changed field of the recipe. Train one recipe
# several times, change nothing but the seed, and you get several accuracies.
#
# The course follows *Bag of Tricks for Image Classification with Convolutional Neural Networks* (He et al., 2018)
# section by section: each trick built by hand, read in the code that trains with it, moved with a slider, measured over
# several seeds beside the paper's number, and trained live.
#
# After this lesson you can
# 1. find your way through a lesson, and check that your machine is ready for the others;
# 2. change one thing in a recipe, and train it;
# 3. tell a live run from a recorded one.
#
# *Time:* 15 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §2.1 and §5.1, for the example.
#
# In JupyterLab, Shift+Enter runs a cell and goes to the next; *Run → Run All Cells* runs the whole lesson.

# %% tags=["hide-input"]
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tricks import ROOT, metrics, precision, process, schedules, train
from tricks.course.lesson import budget, live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.plots import evidence, preprocessing
from tricks.plots import schedules as schedule_plots
from tricks.recipe import BASELINE, changes
from tricks.records.statistics import caption
from tricks.studies.studies import arm, recipe_of

COSINE = recipe_of("cosine")

# %% [markdown]
# ## Is everything here?
#
# The course runs on whatever it finds. With a GPU, live runs use mixed precision; without one they are small. Without
# CIFAR-10 it draws pictures of its own, and says so here and wherever they are used.

# %% tags=["hide-input"]
device = process.device()
dataset = load_data()  # CIFAR-10 if it is here or can be fetched, else shapes
home = "the course's .venv" if Path(sys.executable).is_relative_to(ROOT / ".venv") else "an environment of your own"
dtype = str(precision.amp_dtype(device)).removeprefix("torch.")
print(f"python   {sys.version_info.major}.{sys.version_info.minor} in {home}; ./course info shows its path")
print(f"device   {device}; mixed precision would use {dtype}")
print(f"images   {len(dataset.train.labels):,} training and {len(dataset.test.labels):,} to test on")
print(f"budget   {budget()}, out of smoke, quick and full; the variable TRICKS_BUDGET sets it")
print(f"records  {len(list((ROOT / 'data' / 'runs').rglob('*.json')))} runs in data/runs")

# %% [markdown]
# One training picture of each class. They are small: 32 × 32 pixels is what the network gets, and all that you get
# here.

# %% tags=["hide-input"]
first = [int(np.flatnonzero(dataset.train.labels == k)[0]) for k in range(len(dataset.classes))]
preprocessing.images_grid(dataset.train.images[first], dataset.classes, columns=5, caption=dataset.source)

# %% [markdown]
# ## How a lesson works
#
# | part | what you do |
# | --- | --- |
# | **Predict** | set a slider to your own guess, before you see the number; it is held against the measurement later |
# | **By hand** | compute the trick on numbers small enough to check |
# | **Show** | read the source that trains with it, then see that it agrees with yours |
# | **Slider** | move the trick's knob; the picture follows. For readers without a kernel, still pictures come next |
# | **Evidence** | recorded runs over several seeds, with an interval, beside the paper's number |
# | **Live** | train a small run yourself; it is labelled and never mixed with the records |
# | **Exercises** | write a line or two; a `check` says *not yet*, *different* or *correct* |
#
# This lesson goes through them once, with a single trick: the learning rate falls along a cosine instead of in steps
# (§5.1).
#
# ## Predict
#
# Our records hold the same recipe trained with several seeds. The seed sets the first weights, the order of the
# pictures and the crops, nothing else. How far apart are the best and the worst of these runs on the test set?

# %%
guess = predict("Best minus worst seed, test accuracy", low=0, high=5, unit="points")

# %% [markdown]
# ## A recipe
#
# A recipe and a seed are the whole experiment. `BASELINE` has every trick switched off, and a trick is one changed
# field. A recipe cannot be modified, only replaced, and it refuses a value that makes no sense:

# %%
cosine = replace(BASELINE, schedule="cosine")
print("one trick:", changes(cosine, BASELINE))
try:
    replace(BASELINE, label_smoothing=1.5)
except ValueError as error:
    print("refused:", error)

# %% [markdown]
# Section 5 of the paper adds its tricks to a recipe that has those of sections 3 and 4 already. Ours, cut down to what
# two CPU cores can repeat over seeds, is called `COSINE`. Its network, *resnet8*, is a first convolution, three
# residual blocks of two 3×3 convolutions each, and a linear layer. `COSINE` differs from `BASELINE` in these fields;
# 0 training images means all:

# %%
new = changes(COSINE, BASELINE)
table([{"field": field, "BASELINE": getattr(BASELINE, field), "COSINE": new[field]} for field in new])

# %% [markdown]
# ## By hand
#
# The cosine schedule is ½ (1 + cos(π t / T)) η (eq. 1): step t of T, peak η. For T = 1200 steps and η = 0.1:

# %%
for step in (0, 300, 600, 900, 1200):
    by_hand = 0.5 * (1 + math.cos(math.pi * step / 1200)) * 0.1
    assert by_hand == schedules.cosine_lr(step, total=1200, peak=0.1)
    print(f"step {step:4d}   lr = {by_hand:.4f}")

# %% [markdown]
# `assert` stops the lesson if the two ever differ. Here is the library's version, and the function that puts it behind
# a warm-up. The training loop calls it at every step.

# %%
show(schedules.cosine_lr)
show(schedules.lr_at)
show_loop("lr_at(recipe, step", context=3)

# %% [markdown]
# ## Slider
#
# Both schedules over the recipe's epochs. Move the peak and the length of the warm-up. What does the cosine do with a
# longer warm-up, and what do the steps do?


# %%
def both(lr=0.1, warmup_epochs=1.0):
    step = replace(BASELINE, lr=lr, warmup_epochs=warmup_epochs)
    return {"step decay (§2.1)": step, "cosine decay (§5.1)": replace(step, schedule="cosine")}


sliders(schedule_plots.schedule, both, lr=(0.01, 0.5), warmup_epochs=(0.0, 6.0, 0.5))

# %% [markdown]
# The cosine starts where the warm-up ends and is squeezed into what is left. The steps stay at their epochs. Warm-ups
# of 0, 1 and 4 epochs, as a still picture:

# %%
schedule_plots.schedule({f"cosine, warm-up {m} epochs": replace(cosine, warmup_epochs=m) for m in (0, 1, 4)})

# %% [markdown]
# ## Live
#
# `COSINE` from pictures to result, on your machine: `live_run` cuts the recipe to a size that fits the budget, calls
# `epochs`, which yields a row of numbers per epoch, and draws them. The ■ button stops the run and keeps the rows so
# far.

# %%
recipe, parts, rows = live_run(COSINE, dataset, share=1.5)  # of the epochs that a live run usually has

# %% [markdown]
# What the last row says, and the result of the run. Rows are measured on samples, to keep an epoch short; the result
# comes after the last epoch, from the whole test set. It is the last epoch and not the best one: to pick the best you
# would need the test set, and then it would no longer be one.

# %%
sampled, tested = len(parts.clean_sample.labels), len(parts.test_sample.labels)
meaning = {
    "epoch": "passes over the training images so far",
    "lr": "learning rate of the epoch's last step; the cosine ends near 0",
    "train_loss": "nats, mean over the epoch's augmented batches",
    "train_accuracy": f"%, {sampled:,} training images, not augmented",
    "test_accuracy": f"%, {tested:,} test images",
    "test_nll": "nats per test image; guessing among ten classes gives 2.303",
}
table([{"number": key, "value": rows[-1][key], "meaning": text} for key, text in meaning.items()])
live_accuracy = metrics.accuracy(*train.evaluate(parts.model, parts.test))
print(f"Result: {live_accuracy:.2f} % of all {len(dataset.test.labels):,} test images of {dataset.source}")

# %% [markdown]
# ## Evidence
#
# `COSINE` at its full size, recorded. These runs were not made just now: each is a file in `data/runs` with its recipe,
# its seed and a row per epoch, and it is found by the *value* of the recipe. Change a field, and these runs are no
# longer found. Every picture made from records carries the small line: seeds, network, budget, data, device. As in your
# live run, the curve is measured on samples; the band is a 95 % interval of the mean.

# %%
runs = arm("cosine")
fig = evidence.curves({"recorded, one thin line per seed": runs}, caption=caption(runs, curve=True))
fig

# %% [markdown]
# And the results, after the last epoch, on all test images:

# %%
accuracies = [run.accuracy for run in runs]
table([{"seed": run.seed, "test accuracy, %": f"{run.accuracy:.2f}"} for run in runs])
print(f"recorded, seed to seed: best minus worst = {max(accuracies) - min(accuracies):.2f} points")
print(f"your guess: {guess.value:.1f} points" if guess.touched else "You have not guessed: the slider is where it was.")
print(f"live run above: {live_accuracy:.2f} %, one seed at its own budget; it is none of these")

# %% [markdown]
# These runs show how `COSINE` goes. They do not show what the cosine in it adds: that takes the same recipe with step
# decay, seed by seed, and the paper's difference beside it (section 5.1). How many seeds that takes, and how an
# interval like the band is computed, is in [C When to believe](C_when_to_believe.ipynb).
#
# ## Misreadings
#
# - *"My live run is at odds with the records."* It has other pictures, epochs or devices. Only the records carry a
#   claim.
#
# ## Exercise
#
# **1.** Warm-up raises the learning rate linearly over the first m steps: step i of m has i · η / m, with i counted
# from 1 (§3.1). Ours counts `step` from 0. Put your answer in place of the dots, and run the cell. The library is the
# answer key, and `check` never stops a lesson: it says *not yet*, *different* and where, or *correct*.


# %%
def my_warmup(step, warmup_steps, peak):
    # solution
    return peak * (step + 1) / warmup_steps


check("warm-up", my_warmup, schedules.warmup, [(0, 100, 0.4), (49, 100, 0.4), (99, 100, 0.4)])

# %% [markdown]
# Every exercise has its solution in the notebook of the same name in `notebooks/solutions/`.
#
# ## A slide
#
# `slide` writes a picture for slides, 16:9, as PNG, SVG and PDF, into `figures/`. A panel with sliders has a button
# that does so for what you set, into `figures/own/`. `./course deck` makes slides of all of them, with the takeaway as
# title and the discussion questions as notes.

# %%
takeaway = f"One recipe, {len(runs)} seeds: {min(accuracies):.2f} to {max(accuracies):.2f} % of the test images right"
print("written:", *(path.name for path in slide(fig, "00_recorded_runs", takeaway=takeaway, runs=runs)))

# %% [markdown]
# ## Summary
#
# - A recipe and a seed are an experiment; a trick is one changed field.
# - Records carry the claims: several seeds, last epoch, whole test set. A live run shows you how it goes, and is one
#   run.
# - One run is not enough to believe a difference: [C When to believe](C_when_to_believe.ipynb).
#
# ## For discussion
#
# 1. A recipe, a seed, a number: what else would you need to train somebody else's run again?
# 2. How far apart may two runs of one recipe be before you would look for a fault?
# 3. Why not report the best epoch? And the best seed?
#
# ## Where to go on
#
# [01 Introduction](01_introduction.ipynb) shows what all the tricks are worth together, and
# where each lesson is. After it, each lesson stands on its own; their numbers are the paper's sections.
