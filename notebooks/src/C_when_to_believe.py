# %% [markdown]
# # Appendix C: when to believe a number
#
# Five runs. One recipe, the same data, the same code; only the seed differs, which sets the first weights, the order of
# the pictures and the crops. *Somebody shows you two of these dots, calls the right one "with our trick", and writes
# down the gain. What would you have to see before you believed it?*

# %% tags=["hide-input"]
import math
import statistics
from functools import partial

import numpy as np
from pandas import DataFrame
from scipy.special import stdtrit
from seaborn import pointplot, stripplot

from tricks.course.lesson import show, slide, sliders, table
from tricks.course.questions import check, predict, quiz
from tricks.plots import seeds, style
from tricks.records import paper
from tricks.records.statistics import (
    Comparison,
    best_over_last,
    by_arm,
    caption,
    compare,
    comparisons,
    few_seeds,
    plus_minus,
    seeds_for,
    t95,
    t_interval,
)
from tricks.records.store import load_all
from tricks.studies.studies import arm

# %% tags=["hide-input"]
five = sorted(arm("cosine"), key=lambda run: run.accuracy)


@style.styled
def equal_runs():
    fig, ax = style.canvas(height=2.2, caption=caption(five))
    accuracies = [run.accuracy for run in five]
    ax.plot(accuracies, [0] * len(five), "o", markersize=11)
    low, high = accuracies[0], accuracies[-1]
    ax.annotate("", (low, -0.55), (high, -0.55), arrowprops={"arrowstyle": "<->", "color": style.COLOURS[1]})
    ax.text((low + high) / 2, -0.9, f"{high - low:.2f} points, and nothing was changed", ha="center", va="top",
            color=style.COLOURS[1])
    for place, run in zip(style.spread(accuracies, 0.05), five, strict=True):
        ax.text(place, 0.35, f"{run.seed}", ha="center")
    ax.set(xlabel="test accuracy after the last epoch, %", ylabel="seed", yticks=[], ylim=(-1.6, 0.9))
    ax.margins(x=0.1)
    return fig


fig = equal_runs()
gap = five[-1].accuracy - five[0].accuracy
slide(fig, "C_equal_runs", takeaway=f"{len(five)} equal runs are up to {gap:.2f} points apart", runs=five)
fig

# %% [markdown]
# **Claim.** A difference is worth believing when it is larger than what the seeds alone would explain. Five decisions
# settle that, and each is a line of code: how many seeds, the same ones in both arms, the last epoch, an interval with
# Student's t, and a sentence on what the study could not have seen.
#
# After this lesson you can
# 1. compute the interval of a mean and of a paired difference by hand, and say what it covers;
# 2. say how often a single pair of runs has the wrong sign;
# 3. say how many seeds a difference of a given size takes;
# 4. find the line that makes a comparison look better than it is.
#
# *Time:* 30 minutes to read and drag, 15 more for the parts headed "Deeper", 25 for quiz and exercises. Nothing is
# trained. *Paper:* Tables 4, 5 and 6, and Table 6 of the CVPR 2019 version.
#
# ## Before you go on: predict
#
# Many tables report the best epoch of a run, "best" by the test set. Our longest runs have 200 epochs. How far is
# their best epoch above their last one, on average? The answer comes further down.

# %%
guess = predict("Best epoch minus last epoch, in runs of 200 epochs", low=0, high=3, unit="points")

# %% [markdown]
# ## The interval of a mean, by hand
#
# Take only the seeds 0, 1 and 2 of the runs above; three is what many tables have, if they have more than one. The
# *standard deviation* s says how far single runs are from their mean; it is divided by n − 1, because the mean was
# fitted to the same runs. The *standard error* s/√n says how far the mean of n runs is from the true one. The interval
# is mean ± t · s/√n. Were s known, t would be 1.96; it was estimated from the same three runs, so t is Student's, for
# n − 1 degrees of freedom:

# %%
three = [run.accuracy for run in five if run.seed < 3]
n = len(three)
mean = sum(three) / n
s = math.sqrt(sum((a - mean) ** 2 for a in three) / (n - 1))
t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 10: 2.262}[n]  # from any table, 95 %
print(f"n = {n}, mean = {mean:.2f}, s = {s:.3f}, s/√n = {s / math.sqrt(n):.3f}")
print(f"with t = {t}: {mean:.2f} ± {t * s / math.sqrt(n):.2f}    with 1.96: {mean:.2f} ± {1.96 * s / math.sqrt(n):.2f}")
print(f"the library:    {plus_minus(three)}")
assert math.isclose(t * s / math.sqrt(n), t_interval(three)[1], rel_tol=1e-3)

# %% [markdown]
# Is that much caution needed? Count it. Let the truth be known: seeds scatter normally around 75 % with a standard
# deviation of 0.5. Repeat a study of n seeds 20,000 times, and count how often its interval misses the truth. A 95 %
# interval may miss in 5 of 100.

# %% tags=["hide-input"]
sliders(
    partial(seeds.repeated_studies, n=3), n=(2, 30),
    goal="Find the fewest seeds with which 1.96 misses in fewer than 10 of 100 studies.",
    reached=lambda n: seeds.simulated(n).missed(1.96) < 0.1 <= seeds.simulated(max(2, n - 1)).missed(1.96),
    solution={"n": 7},
)

# %% [markdown]
# With t, 5 of 100 miss at every n: where there are few seeds it pays with width. With 1.96 and three seeds, nearly four
# times as many miss. And what holds the true mean in 95 of 100 studies is the interval *of the mean*. One more run lies
# within mean ± t · s · √(1 + 1/n), which is √(n + 1) times as wide.
#
# ## The band that the plot draws for you
#
# seaborn draws a "95 %" band around the mean of `lineplot`, `pointplot` and `barplot` unless told otherwise
# (`errorbar=("ci", 95)`). It is a *bootstrap*: draw n runs out of the n with replacement, take the mean, repeat 1,000
# times, keep the middle 95 % of the means. With three runs there are 27 equally likely draws, and one of them is three
# times the worst run: 1/27 = 3.7 %, more than the 2.5 % that are cut off. So, but for a rare plot, the band's lower end
# *is* the worst run, and its upper end the best one.
#
# How often is the truth outside? If all three runs lie on the same side of it. That has the probability 2 · ½³ = 25 %.
# Below are our recipes with five seeds, each with the band of its first three. The line at 0 is the mean of all five.

# %% tags=["hide-input"]
NAMES = ("baseline", "efficient", "efficient-early", "cosine", "cosine-amp", "smoothing-0.05", "smoothing-0.1",
         "smoothing-0.2", "smoothing-0.4", "distill", "smooth-mixup", "distill-mixup", "long", "long-mixup")
arms = {name: sorted(arm(name), key=lambda run: run.seed) for name in NAMES}
away = {name: [run.accuracy - statistics.mean(r.accuracy for r in runs) for run in runs[:3]]
        for name, runs in arms.items()}


@style.styled
def default_band():
    """seaborn's default and the t-interval, of the same three runs."""
    axis = "accuracy − the arm's mean over five seeds, points"
    data = DataFrame([(name, value) for name, values in away.items() for value in values], columns=["arm", axis])
    everything = [run for runs in arms.values() for run in runs]
    fig, axes = style.canvas(2, height=4.8, caption=caption(everything), sharey=True, sharex=True)
    kinds = {'seaborn\'s default: ("ci", 95)': ("ci", 95), "Student's t: errorbar=t95": t95}
    for ax, (title, errorbar), colour in zip(axes, kinds.items(), (1, 0), strict=True):
        look = {"data": data, "x": axis, "y": "arm", "color": style.COLOURS[colour], "ax": ax}
        pointplot(**look, errorbar=errorbar, seed=0, linestyle="none", capsize=0.3, markersize=5, linewidth=1.5)
        stripplot(**look, jitter=False, size=3, alpha=0.6)
        ax.axvline(0, color=style.GREY, linewidth=1)
        ax.set(title=title, xlabel="first three seeds − mean of all five", ylabel="")
    return fig


default_band()

# %%
draws = np.random.default_rng(0).normal(0, 1, (20_000, 3))  # studies of three runs whose true mean is 0
outside = (draws.min(1) > 0) | (draws.max(1) < 0)
print(f"worst to best of three: the truth is outside in {100 * outside.mean():.1f} % of {len(draws):,} studies")
left = statistics.mean(max(values) - min(values) for values in away.values())
right = statistics.mean(2 * t_interval(values)[1] for values in away.values())
print(f"mean width in the picture: {left:.2f} points on the left, {right:.2f} on the right")

# %% [markdown]
# (In the picture few bands miss the line, because the mean of five has the same three runs in it.) The wide intervals
# on the right do not look as good. They are what three runs can say. In this course every interval of a mean is `t95`.
#
# ## The same seeds in both arms
#
# A trick's gain is a difference of two *arms*, the recipe with it and the recipe without. Subtract seed by seed, and
# treat the n differences as the runs above. Two arms on the same seed have the same first weights, order of pictures
# and crops; whatever luck they share cancels. By hand, for label smoothing with ε = 0.05 on top of cosine decay, and
# the same recipe without it:

# %%
new, old = arms["smoothing-0.05"], arms["cosine"]
differences = [a.accuracy - b.accuracy for a, b in zip(new, old, strict=True)]  # both sorted by seed
n, mean, s = len(differences), statistics.mean(differences), statistics.stdev(differences)
print("seed by seed:", *(f"{d:+.2f}" for d in differences))
print(f"by hand:      {mean:+.2f} ± {2.776 * s / math.sqrt(n):.2f}")
print(f"the library:  {compare(new, old)}")
assert math.isclose(compare(new, old).half, 2.776 * s / math.sqrt(n), rel_tol=1e-3)

# %% [markdown]
# How much does pairing help? Five changes, each with and without it: label smoothing (ε = 0.1), cosine decay, a teacher
# (distillation), mixup, and five tricks at once (*§3 and D*: warm-up with a larger rate, zero γ, no bias decay and
# tweak D). On the left a line is a seed: level lines are luck that cancels, crossed ones luck that does not. On the
# right are the two intervals, paired, and as if the runs had nothing in common. The means are taken out.

# %% tags=["hide-input"]
COMPARED = {  # trick: the arm with it, and the same arm without
    "ε = 0.1": ("smoothing-0.1", "cosine"), "cosine": ("cosine", "efficient"), "teacher": ("distill", "smoothing-0.1"),
    "mixup": ("long-mixup", "long"), "§3 and D": ("efficient", "baseline"),
}
STEPS = {trick: (arms[new], arms[old]) for trick, (new, old) in COMPARED.items()}
widths = {trick: seeds.half_widths(*both) for trick, both in STEPS.items()}
names = {name for both in COMPARED.values() for name in both}
drawn = caption([run for name in arms if name in names for run in arms[name]])
sliders(
    partial(seeds.pairing, STEPS, step="ε = 0.1", caption=drawn), step=[*STEPS],
    goal="Find a trick for which pairing makes the interval wider.",
    reached=lambda step: widths[step][0] > widths[step][1], solution={"step": "§3 and D"},
)

# %% [markdown]
# The closer the two recipes, the more they share; after many steps even a small change has made them nearly as
# different as two seeds. Over all our pairs of arms of one length, the long ones among them, pairing removes little of
# the variance:

# %% tags=["hide-input"]
def pooled(several):
    """The standard deviation of one run, in points, from the seeds of several arms."""
    return math.sqrt(statistics.mean(statistics.variance([run.accuracy for run in runs]) for runs in several))


classified = [run for run in load_all() if run.recipe.metric == "accuracy"]
often = [runs for runs in by_arm(classified) if len(runs) >= 5]
repeated = [run for runs in often for run in runs]
everything = comparisons(repeated)  # of every two arms that are as long, tested alike, and share five seeds
typical = math.sqrt(statistics.mean(statistics.variance(each.differences) for each in everything))
spread_of_one, single = pooled(often), pooled(arms.values())
print(f"sd of one run: {spread_of_one:.2f} points")
print(f"sd of a difference without common luck: √2 · {spread_of_one:.2f} = {math.sqrt(2) * spread_of_one:.2f} points")
print(f"sd of a paired difference, measured: {typical:.2f} points ({len(everything)} comparisons)")
print("paired ÷ not paired, in the panel:", ", ".join(f"{paired / other:.2f}" for paired, other in widths.values()))

# %% [markdown]
# So pair, and do not expect it to replace seeds. It costs a little, as t has n − 1 degrees of freedom and not up to
# 2n − 2. Decide before you look: whoever takes the narrower of the two intervals chooses the answer. And never pair by
# the order in which runs happen to lie in a list.
#
# ## What a single pair of runs is worth
#
# Most tables, and most of the paper's, have one run in each cell. Our records can say what that would have told. Take
# every two arms of one length that share five seeds, and call the sign of their mean difference the right one. How
# often does a single pair have the other sign? It depends on how large the difference is:

# %% tags=["hide-input"]
EDGES = (0, 0.25, 0.5, 1, 2, 4, 100)
groups = {}
for low, high in zip(EDGES, EDGES[1:], strict=False):
    label = f"{low:g} to {high:g}" if high < 100 else f"above {low:g}"
    if chosen := [each for each in everything if low <= abs(each.mean) < high]:
        groups[label] = few_seeds(chosen, 1)


@style.styled
def wrong_signs():
    about = f"{len(everything)} comparisons of arms with 5 seeds: {caption(repeated)}"
    fig, ax = style.canvas(height=3.8, caption=about)
    shares = [100 * (found.tries - found.same) / found.tries for found in groups.values()]
    ax.axhline(50, color=style.GREY, linestyle="--", linewidth=1)
    bars = ax.bar(list(groups), shares, color=style.COLOURS[1])
    words = [f"{found.tries - found.same} of {found.tries}" for found in groups.values()]
    ax.bar_label(bars, words, padding=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    ax.text(len(groups) - 0.5, 51, "a coin", ha="right", color=style.GREY)
    ax.set(xlabel="size of the mean difference over all seeds, points", ylabel="single pairs with the wrong sign, %")
    ax.set(ylim=(0, 60))
    ax.grid(axis="x", visible=False)
    return fig


fig = wrong_signs()
small = next(iter(groups.values()))
takeaway = f"Under a quarter of a point, {small.tries - small.same} of {small.tries} single pairs have the wrong sign"
slide(fig, "C_single_pairs", takeaway=takeaway, runs=repeated)
fig

# %%
for n in (1, 2, 3):
    print(few_seeds(everything, n))

# %% [markdown]
# A single pair tells differences of several points. With our scatter it says little more than a coin below a quarter of
# a point, and is wrong about one time in five between a quarter and half a point, the size of most of the paper's steps
# (whose runs scatter less, see below). And it has no interval to say which of the two it was. (The comparisons share
# arms, so they are fewer than they look, and "all seeds" have the chosen ones among them: the truth is a little worse.)
#
# ## Best epoch against last
#
# A curve of test accuracy wobbles. Its highest point is the network's quality plus the luckiest wobble, and whoever
# picks it has used the test set to choose. How far is the best epoch above the last one, in all our records? Your guess
# was about those with 200 epochs:

# %% tags=["hide-output"]
longest = max(run.recipe.epochs for run in classified)
flattered = best_over_last(run for run in classified if run.recipe.epochs == longest)
of_longest = [run for run in classified if run.recipe.epochs == longest]
guess.reveal(Comparison(tuple(range(len(flattered))), tuple(flattered), "points"),
             label=f"best − last, {longest} epochs", caption=caption(of_longest, curve=True))

# %% tags=["hide-input", "hide-output"]
lengths = sorted({run.recipe.epochs for run in classified})
rows = [(run.recipe.epochs, best_over_last([run])[0]) for run in classified]


@style.styled
def best_and_last():
    data = DataFrame(rows, columns=["epochs", "gain"]).astype({"epochs": str})
    where = f"{len(rows)} runs; curves are measured on 2,000 test pictures after every epoch"
    fig, ax = style.canvas(height=3.8, caption=where)
    look = {"data": data, "x": "epochs", "y": "gain", "order": [str(e) for e in lengths], "ax": ax}
    stripplot(**look, color=style.LIGHT, size=3, jitter=0.2, alpha=0.7)
    pointplot(**look, color=style.COLOURS[1], errorbar=t95, linestyle="none", capsize=0.2, markersize=6, linewidth=1.5)
    ax.set(xlabel="epochs of the run", ylabel="best epoch − last epoch, points")
    return fig


guess.veil(best_and_last())

# %% tags=["hide-output"]
lines = [f"{e:>3} epochs, {len(found):>3} runs: mean {statistics.mean(found):.2f} points, at most {max(found):.2f}"
         for e in lengths for found in [[gain for epochs, gain in rows if epochs == e]]]
guess.veil("\n".join(lines))

# %% [markdown]
# It is never below 0, and on the whole it grows with the number of epochs to choose from, up to the size of a whole
# step in the paper's Table 6. Where both arms do it, part of it cancels; what is left favours the arm whose curve
# wobbles more, and a schedule that ends at a small learning rate wobbles less. Against a number from somebody else's
# last epoch, nothing cancels. The result of this course is the last epoch's. Need to choose an epoch? Choose it on
# held-out training pictures.
#
# ## How many seeds?
#
# Let the true difference be d points, and s the standard deviation of one paired difference. The share of studies whose
# interval excludes 0 is called *power*. Each of two things makes it rise: d/s, and n.

# %% tags=["hide-input"]
S = round(typical / 0.05) * 0.05
sliders(
    partial(seeds.seeds_needed, sd=S, effect=1.0, n=3), sd=(0.05, 2.0, 0.05), effect=(0.0, 2.0, 0.05), n=(2, 40),
    goal=f"Leave s at {S:.2f}, as in our records. The fewest seeds that see half a point in 80 of 100 studies?",
    reached=lambda sd, effect, n: math.isclose(sd, S) and math.isclose(effect, 0.5) and n == seeds_for(0.5, S),
    solution={"effect": 0.5, "n": seeds_for(0.5, S)},
)

# %%
theirs = paper.resnet_50(0.5).sd  # of the difference of two single runs of ResNet-50 on ImageNet
for effect in (0.25, 0.5, 1.0, 2.0):
    print(f"d = {effect:4} points: {seeds_for(effect, S):>3} seeds here, {seeds_for(effect, theirs):>2} there")
print(f"s: {S:.2f} points here; {theirs:.2f} in the paper, our estimate from the CVPR version")

# %% [markdown]
# The paper's runs scatter less: they are far longer, and tested on five times as many pictures (ImageNet's 50,000 for
# validation). Three seeds would have seen there what takes more than ten here.
#
# ### What a null says
#
# "No clear difference" means that the interval holds 0. It holds other numbers as well, and these are what was *not*
# excluded. The pair from above:

# %%
null = compare(arms["smoothing-0.05"], arms["cosine"])
low, high = null.mean - null.half, null.mean + null.half
spread = statistics.stdev(null.differences)
print(f"not excluded: from a loss of {-low:.2f} to a gain of {high:.2f} points")
for effect in (1.0, 0.5, 0.25):
    print(f"to see {effect:4} points in 80 of 100 studies at s = {spread:.2f}: {seeds_for(effect, spread)} seeds")

# %% [markdown]
# So write: "no clear difference at this budget; a gain of so much is not excluded; to see half a point would take so
# many seeds". To say that a trick makes no difference *that matters*, name the range of differences that do not matter
# before you look; the whole interval has to lie inside it.
#
# And mind how many questions were asked: of twelve tricks that do nothing, at least one gets a "clear" 95 % interval
# with probability 1 − 0.95¹² = 46 %, so run the winner again, with new seeds.
#
# ## The paper's number has noise, too
#
# The arXiv version of the paper has one run in each cell. The version printed at CVPR 2019 repeats one column, Table
# 6's ResNet-50-D, as mean ± standard deviation: 0.04 to 0.13 points a run. Only there is the noise known; we lend it to
# the ResNet-50s of Tables 4 and 5. It is small, and so are the effects. Hence four verdicts in this course. Five
# made-up studies, as the library judges them (its code is under "Deeper: repeating the paper's column"); the paper's
# column has what two single runs may be apart:

# %% tags=["hide-input"]
TWO_RUNS = 0.15  # sd of the paper's difference of two runs, made up
MADE_UP = [  # our differences, seed by seed; what the paper says
    ((0.9, 1.1, 1.3), paper.Effect(0.6, TWO_RUNS)),
    ((-0.9, -1.1, -1.3), paper.Effect(0.6, TWO_RUNS)),
    ((-0.4, 1.9, 0.2), paper.Effect(0.6, TWO_RUNS)),
    ((0.9, 1.1, 1.3), paper.Effect(0.1, TWO_RUNS)),
    ((0.9, 1.1, 1.3), paper.Effect(0.6, TWO_RUNS, unlike="80 more epochs there")),
]
table([
    {"ours, by seed": ", ".join(f"{d:+.1f}" for d in ours), "mean ± half-width": plus_minus(ours), "paper": str(effect),
     "verdict": str(Comparison((0, 1, 2), ours, "points").against(effect))}
    for ours, effect in MADE_UP
])

# %% [markdown]
# The third row's mean is half the first one's, and says nothing. The fourth has no sign to compare with.
# "Times the paper's" stands beside a verdict and is none: our networks, pictures and epochs are not the paper's.
#
# ## Conclusion
#
# - **Run** five seeds or more, the same ones in both arms, and report the last epoch.
# - **Write** the mean of the paired differences ± t · s/√n, with n, budget and data; never seaborn's default band, and
#   never 1.96, with a handful of seeds.
# - **Say** what was not excluded and how many seeds would have seen it; a single pair of runs is a reason to run more.

# %% tags=["hide-input"]
print(f"Here s is about {S:.2f} points: half a point takes {seeds_for(0.5, S)} seeds, a point {seeds_for(1.0, S)}.")
small_ones = [each for each in everything if abs(each.mean) < 0.5]
found = few_seeds(small_ones, 1)
wrong = found.tries - found.same
print(f"Of differences below half a point, {wrong} of {found.tries} single pairs have the wrong sign.")
print(f"The best of {longest} epochs is {statistics.mean(flattered):.2f} points above the last, on average.")

# %% [markdown]
# ## Quiz

# %% tags=["hide-input"]
quiz("Three seeds give 70.9 ± 0.5 %, Student's 95 % interval. What does it promise?", {
    "95 % of further runs of this recipe end between 70.4 and 71.4": (
        False, "The interval is about the mean. For one more run it is √(n + 1) times as wide, twice here."),
    "Of many such studies, 95 % have an interval that holds the true mean": (
        True, "It is a promise about the method. You counted it above, among 20,000 studies."),
    "On other test pictures the mean would be between 70.4 and 71.4": (
        False, "It covers the seeds. All runs are tested on the same pictures; the luck of these is another sum."),
})
quiz("A paper's plot shows a narrow seaborn band over three seeds. What do you know of its width?", {
    "It reaches from the worst to the best seed, and misses the truth in about 25 of 100 cases": (
        True, "Three times the worst run has a chance of 1/27 in the bootstrap, more than the 2.5 % that are cut off."),
    "It is a 95 % interval, so it misses in 5 of 100 cases": (
        False, "It says 95 %. A bootstrap of three values cannot reach beyond these three values."),
    "It is the standard deviation of the runs": (
        False, "That is errorbar=\"sd\". The default is a bootstrap of the mean."),
})
quiz("Both arms have the seeds 0 to 4. Why compare them seed by seed?", {
    "The same seed makes the difference exact: it is due to the trick alone": (
        False, "The runs start alike and soon part. The differences above scatter by half a point and more."),
    "Luck that both runs of a seed share cancels": (
        True, "Level lines in the panel. Where nothing is shared, the interval is a little wider than unpaired."),
    "Without it, the mean difference would be another number": (
        False, "The mean is the same. Only the spread, and with it the interval, can change."),
})
quiz("Trick A: +0.3 ± 0.9 points, five seeds. What may you write?", {
    "A has no effect": (
        False, "The interval holds 0, and it holds +1.2 as well. Nothing between −0.6 and +1.2 was excluded."),
    "A brings 0.3 points": (
        False, "That is the mean of five differences. Their interval holds losses too."),
    "No clear difference; a gain of 1.2 points and a loss of 0.6 are not excluded": (
        True, "And then: how many seeds would see the effect that you care about."),
    "A helps, because most seeds had a gain": (
        False, "Four or five of five seeds with a gain: a trick that does nothing has that in 6 of 32 cases."),
})
quiz("You train five seeds, and report the best epoch of the best seed. By how much is that too good?", {
    "Not at all: the network exists, and it has this accuracy": (
        False, "It has it on these test pictures, which chose it. On new ones expect the mean again."),
    "By the luck of the best of five runs, and by that of its best epoch": (
        True, "The best of five normal draws is 1.16 standard deviations above the mean; add the epoch's luck."),
    "By half the width of the interval": (
        False, "The interval is about the mean of five. The best run is a maximum, and more seeds make it larger."),
})

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). Three seeds, with the trick and without: 71.0, 71.9, 71.1 and 70.8, 71.0, 70.4. No
# code, only a pocket calculator: the mean of the paired differences and its half-width. Is the difference clear?

# %%
def by_hand():
    """Mean, half-width, and whether the difference is clear."""
    # solution
    return 0.6, 0.896, False  # differences 0.2, 0.9, 0.7; s = 0.361; 4.303 · 0.361 / √3


# %% tags=["hide-input"]
exact, answer = Comparison((0, 1, 2), (71.0 - 70.8, 71.9 - 71.0, 71.1 - 70.4), "points"), by_hand()
check("by hand", ... if answer in (None, ...) else [*(round(number, 1) for number in answer[:2]), answer[2]],
      [round(exact.mean, 1), round(exact.half, 1), exact.clear],
      hint="Subtract seed by seed: 0.2, 0.9, 0.7. The squares of their distances from the mean sum to 0.26; divide by "
           "n − 1 and take the root for s. The half-width is 4.303 · s / √3; clear means that the mean is larger.")

# %% [markdown]
# **2. Bug hunt** (10 minutes, medium). A colleague's comparison, in use for years. Four things are wrong with it, two
# of them in one line. `new` and `old` map a seed to the test accuracies of one run, epoch by epoch.


# %%
def colleagues(new, old):
    ours = [max(curve) for curve in new.values()]
    theirs = [max(curve) for curve in old.values()]
    differences = np.array(ours) - np.array(theirs)
    half = 1.96 * differences.std() / math.sqrt(len(differences))
    return differences.mean(), half


# %% [markdown]
# Write it again without the faults (`stdtrit(n - 1, 0.975)` is Student's t). The check runs four studies, each made to
# catch one kind of fault, and says at which input you part.


# %%
def mended(new, old):
    # solution
    shared = sorted(set(new) & set(old))
    differences = np.array([new[seed][-1] - old[seed][-1] for seed in shared])
    n = len(differences)
    return differences.mean(), stdtrit(n - 1, 0.975) * differences.std(ddof=1) / math.sqrt(n)


# %% tags=["hide-input"]
def theirs_2(new, old):
    return t_interval([new[seed][-1] - old[seed][-1] for seed in new if seed in old])


TRAPS = [
    ({0: [60, 71], 1: [60, 73]}, {0: [60, 70], 1: [60, 70]}),  # the factor, and n in place of n − 1
    ({0: [60, 73, 70], 1: [60, 71, 70]}, {0: [60, 70, 70], 1: [60, 69, 69]}),  # the best epoch
    ({0: [70], 1: [72], 2: [75]}, {2: [74], 1: [71.5], 0: [69]}),  # the seeds in another order
    ({0: [70], 1: [72], 2: [75]}, {1: [71], 2: [74.5], 3: [80]}),  # a seed that only one arm has
]
check("bug hunt", mended, theirs_2, TRAPS,
      hint="Ask of each line: which epoch is this? Which seed is subtracted from which? What is divided by n, and "
           "which factor belongs to n − 1 degrees of freedom? NumPy's std divides by n unless it gets ddof=1.")

# %% [markdown]
# **3.** (5 minutes, easy) One paired difference has the standard deviation s. How large must the mean of n of them be,
# at least, to be clear? `stdtrit(n - 1, 0.975)` is t.


# %%
def smallest_clear(n, s):
    # solution
    return stdtrit(n - 1, 0.975) * s / math.sqrt(n)


def half_of(n, s):
    """The half-width that the library gives to n values with standard deviation s."""
    values = range(n)
    return t_interval([s / statistics.stdev(values) * value for value in values])[1]


check("smallest clear difference", smallest_clear, half_of, [(2, 0.5), (3, 0.5), (5, 0.5), (10, 0.5)],
      hint="Clear means that the interval excludes 0: the mean is larger than the half-width.")

# %% [markdown]
# **4.** (10 minutes, medium) A *region of practical equivalence* is a range ±r of differences that do not matter to
# you. From the interval mean ± half, answer `"matters"` if all of it lies outside the range, `"does not matter"` if all
# of it lies inside, and `"open"` otherwise.


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
check("practical equivalence", practical, lambda *given: ANSWERS[given], ANSWERS,
      hint="Which end of the interval is nearest to 0, and which is farthest? Compare each with r.")

# %% [markdown]
# ## Deeper: the luck of the test pictures
#
# All runs are tested on the same pictures. Draw others, and each accuracy would be another. A network that is right
# with probability p on a picture has, on N of them, a standard error of √(p (1 − p)/N):

# %%
for name, accuracy, images in (("ours", five[0].accuracy, five[0].meta["test_images"]),
                               ("paper", paper.table("6")["Efficient"]["ResNet-50-D_top1"], 50_000)):
    error = math.sqrt(accuracy * (100 - accuracy) / images)
    print(f"{name:<5} {accuracy:.1f} % of {images:,} pictures: standard error {error:.2f} points")
print(f"ours, sd over seeds: {single:.2f} points")

# %% [markdown]
# No number of seeds makes this one smaller. In a difference of two arms much of it cancels, because most pictures are
# easy, or hard, for both. If b pictures are right in the first run alone and c in the second alone, the standard error
# of their difference from the pictures is about √(b + c)/N. So an interval over seeds is about *this* test set, and
# a claim about new pictures is a wider one.

# %% [markdown]
# ## Deeper: repeating the paper's column
#
# A dot is the change of the means in the CVPR version; the bar is where about 95 of 100 *single pairs* of runs would
# put it, ± 1.96 √(s₁² + s₂²). The diamond is the arXiv version's single pair.

# %% tags=["hide-input"]
PAIRS = {
    "cosine decay": ("+ cosine decay", "Efficient"),
    "label smoothing": ("+ label smoothing", "+ cosine decay"),
    "distillation": ("+ distill w/o mixup", "+ label smoothing"),
    "mixup": ("+ mixup w/o distill", "+ label smoothing"),
    "distillation after mixup": ("+ distill w/ mixup", "+ mixup w/o distill"),
}


@style.styled
def one_pair_of_runs():
    source = f"{paper.SOURCE}, and Table 6 of the CVPR 2019 version: ResNet-50-D, ImageNet"
    fig, ax = style.canvas(height=3.4, caption=source)
    effects = [paper.effect("6", *rows, "ResNet-50-D_top1") for rows in PAIRS.values()]
    singles = [paper.delta("6", *rows, "ResNet-50-D_top1") for rows in PAIRS.values()]
    places = range(len(PAIRS))
    ax.errorbar([effect.delta for effect in effects], places, xerr=[effect.noise for effect in effects], fmt="o",
                capsize=4, label="CVPR, means; bar: single pairs")
    ax.plot(singles, places, "D", fillstyle="none", markersize=9, color=style.COLOURS[1], label="arXiv, a single pair")
    ax.axvline(0, color=style.GREY, linewidth=1)
    ax.set(xlabel="difference, points of top-1 accuracy", yticks=places, yticklabels=PAIRS, ylim=(4.5, -0.5))
    fig.legend(loc="outside upper left", ncols=2)
    for label, effect, alone in zip(PAIRS, effects, singles, strict=True):
        print(f"{label:<25} arXiv {alone:+.2f}, CVPR {effect}")
    return fig


one_pair_of_runs()

# %% [markdown]
# We have that table but not the number of runs behind it, so we take its ± for the spread of single runs. With a single
# pair, the cosine's gain came out more than half as large again as with means. How a verdict is reached, and where each
# noise comes from:

# %%
show(paper.effect)
show(Comparison.against)

# %% [markdown]
# ## Deeper: the spread of the spread
#
# An s from five runs is itself a guess: its own 95 % interval reaches from 0.6 to 2.9 times its value. That is why s
# above was pooled over many arms. How far apart are the arms' own?

# %%
each = sorted(statistics.stdev([run.accuracy for run in runs]) for runs in arms.values())
print(f"s of {len(each)} arms, five seeds each: from {each[0]:.2f} to {each[-1]:.2f}, pooled {single:.2f} points")

# %% [markdown]
# ## For discussion
#
# 1. You may spend ten runs. One trick with five seeds in each arm, or five tricks with one? What could each table say?
# 2. A table shows eight tricks, one run each, and all eight have a gain. What would you ask the authors for first?
# 3. In the paper's Table 6, label smoothing adds 0.40 points to ResNet-50-D and 0.10 to MobileNet, one run each. Which
#    would you believe, if seeds scattered there as they do here?
# 4. Why not report the best seed? It is the network that you would deploy.
