# %% [markdown]
# # 7 Conclusion: which tricks would you keep?
#
# **Claim.** The paper ends on two claims: its tricks improve accuracy consistently, and stacked they improve it most,
# from 75.3 to 79.29 % in Table 1. Here the same stack stands on our network, with all of CIFAR-10's training pictures
# and as many epochs at the bottom as at the top. Three things are printed below: which share of the baseline's errors
# it removes, which tricks carry it, and in how many of the paper's own rows a trick lowers the result.
#
# After this lesson you can
# 1. say what a stack of tricks removes, in errors, with a paired interval;
# 2. tell a trick that helped on the way up from one that would be missed at the top, and say why the two differ;
# 3. split "errors removed" into pictures repaired and pictures broken;
# 4. decide what to keep without letting the test set decide.
#
# *Time:* 35 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §7, Tables 1, 4–9. Lesson 01
# has the words *ablation*, *cumulative* and *leave-one-out*.

# %% tags=["hide-input"]
import math
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise, permutations
from statistics import fmean, stdev

from IPython.display import display

from tricks import recipe, train
from tricks.course import cost
from tricks.course.lesson import live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.plots.ladder import explorer, ladder, measures, worth
from tricks.records import make, paper, statistics
from tricks.studies.arms import ARMS, PILOTS, STACK
from tricks.studies.studies import arm

# %% [markdown]
# ## The stack
#
# Ten recipes. The first is the plain procedure of section 2, each other one is the recipe above it with one change.
# Beside the change stands what it costs: parameters, multiply-adds for one picture at test time, and for one picture
# in training, where the backward pass counts as two forward passes and the teacher adds a forward pass of its own.
# Seconds are not in the table; on a shared machine they are noise.

# %% tags=["hide-input"]
LABELS = {  # arm: its rung in the pictures, from below
    "ladder-baseline": "baseline",
    "ladder-amp": "+ mixed precision (ours)",
    "ladder-warmup": "+ larger rate, warm-up",
    "ladder-zero": "+ zero γ",
    "ladder-no-bias": "+ no bias decay",
    "ladder-d": "+ tweak D",
    "ladder-cosine": "+ cosine decay",
    "ladder-smoothing": "+ label smoothing",
    "ladder-mixup": "+ mixup",
    "ladder-all": "+ distillation",
}

# %% tags=["hide-input"]
COSTS = {}  # rung: parameters, multiply-adds to test one picture, multiply-adds to train on it
for name, label in LABELS.items():
    training, forward = cost.per_picture(ARMS[name], classes=10)
    COSTS[label] = cost.size(ARMS[name], classes=10)[0], forward, training

# %%
rows, below = [], recipe.BASELINE
for name, label in LABELS.items():
    change = ", ".join(f"{field} = {value}" for field, value in recipe.changes(ARMS[name], below).items())
    parameters, test, training = COSTS[label]
    rows.append({"rung": label, "changed": change, "parameters": f"{parameters:,}",
                 "multiply-adds, 10⁶: test": f"{test / 1e6:.1f}", "training": f"{training / 1e6:.1f}"})
    below = ARMS[name]
table(rows)
(_, test, training), (_, test_top, training_top) = COSTS["baseline"], COSTS["+ distillation"]
print(f"top ÷ bottom: {test_top / test:.2f} at test time, {training_top / training:.2f} in training; epochs: 1.00")
d, plain = (paper.table("5")[net]["FLOPs"] for net in ("ResNet-50-D", "ResNet-50"))
print(f"paper's top ÷ bottom: {d / plain:.2f} at test time; epochs: {200 / 120:.2f}; and a ResNet-152-D as teacher")

# %% [markdown]
# The order is the paper's, but for two things. Mixed precision comes first, so that all other rungs are trained the
# same way, and mixup comes before the teacher, so that leaving out a trick does not change the teacher too. Tweaks B
# and C are missing: B does not exist for basic blocks (section 4), and C makes a network this small much slower. The
# batch stays the same size; what goes with warm-up here is a larger learning rate alone.
#
# ### Before you go on: predict
#
# How far will the top be above the bottom, in points of test accuracy? The paper's gain from its own baseline has
# B, C and 80 more epochs in it.

# %%
own, top = paper.table("2")["ResNet-50"]["baseline_top1"], paper.table("1")["ResNet-50 + tricks (ours)"]["top1"]
print(f"paper: {own:.2f} → {top:.2f}, {top - own:+.2f} points")
guess = predict("Change in test accuracy", low=-5, high=15)

# %% [markdown]
# ## Errors removed, by hand
#
# Points are not a scale that two studies share: four points are a small part of the errors of a network that makes 40
# of them in 100 pictures, and most of the errors of one that makes 5. The share of the old errors that the new recipe
# does not make is the fairer number. By hand, three seeds; each has an old and a new accuracy:

# %%
old, new = (60.0, 62.0, 61.0), (68.0, 68.0, 70.0)
shares = [100 * (b - a) / (100 - a) for a, b in zip(old, new, strict=True)]
mean, s = fmean(shares), stdev(shares)
half = 4.303 * s / math.sqrt(3)  # Student's t for 3 − 1 degrees of freedom
print("seed by seed:", ", ".join(f"({b:.0f} − {a:.0f}) / (100 − {a:.0f}) = {share:.1f} %"
                                 for a, b, share in zip(old, new, shares, strict=True)))
print(f"mean {mean:.1f} %, interval ± {half:.1f} %, so from {mean - half:.1f} to {mean + half:.1f} %")
assert all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip((mean, half), statistics.t_interval(shares), strict=True))

# %% [markdown]
# The share is computed within each seed and averaged afterwards. That keeps the pairing: a seed whose baseline was
# good by luck is compared with its own baseline. The same for records:

# %%
show(statistics.errors_removed)
print(f"the paper's stack: {100 * (top - own) / (100 - own):.1f} % of its own baseline's errors")

# %% [markdown]
# ## Where the stack is in the code
#
# There is no other code for it. A rung is the recipe below it with `replace`; the way down takes one trick back to
# the baseline's value, from the rung under the teacher. In the training loop every trick is a line that has been
# there all the time, off by default:

# %%
rung = ARMS["ladder-baseline"]
for name, change in STACK.items():
    rung = replace(rung, **change)
    assert rung == ARMS[name]
WITHOUT = {LABELS[name.replace("without-", "")]: name for name in ARMS if name.startswith("ladder-without-")}
for name in WITHOUT.values():
    print(f"{name:<24} {recipe.changes(ARMS[name], ARMS['ladder-mixup'])}")
show_loop("# ", context=0)
show(make.model_for, around="recipe.", context=0)

# %% [markdown]
# ## The ladder, the paper's and ours
#
# A bar goes from the accuracy of the rung below to the rung's own. Its line is the 95 % interval of the difference,
# paired over seeds, and a grey bar's interval holds 0. A point is as long on the left as on the right. The paper's
# numbers come from one run each, and its last two rungs have 200 epochs where the others have 120.

# %%
THEIRS = {  # rung: table, row, column
    "baseline": ("2", "ResNet-50", "baseline_top1"),
    "+ larger rate, warm-up": ("4", "+ LR warmup", "BS1024_top1"),  # and a batch four times as large
    "+ zero γ": ("4", "+ Zero gamma", "BS1024_top1"),
    "+ no bias decay": ("4", "+ No bias decay", "BS1024_top1"),
    "+ FP16 (paper)": ("4", "+ FP16", "BS1024_top1"),
    "+ tweaks B, C (paper)": ("5", "ResNet-50-C", "top1"),
    "+ tweak D": ("5", "ResNet-50-D", "top1"),
    "+ cosine decay": ("6", "+ cosine decay", "ResNet-50-D_top1"),
    "+ label smoothing": ("6", "+ label smoothing", "ResNet-50-D_top1"),
    "+ mixup": ("6", "+ mixup w/o distill", "ResNet-50-D_top1"),
    "+ distillation": ("6", "+ distill w/ mixup", "ResNet-50-D_top1"),
}
theirs = {label: paper.table(name)[row][column] for label, (name, row, column) in THEIRS.items()}
order = list(theirs)
order.insert(1, LABELS["ladder-amp"])

# %%
climb = statistics.same_seeds({label: arm(name) for name, label in LABELS.items()})
(_, bottom), *_, (peak, stack) = climb.items()
everything = [run for runs in climb.values() for run in runs]
fig = ladder({"paper": theirs, "ours": climb}, order=order, caption=statistics.caption(everything))
removed, theirs_removed = statistics.errors_removed(stack, bottom), 100 * (top - own) / (100 - own)
takeaway = (f"From the baseline to \"{peak}\": {statistics.plus_minus(removed, 1)} % of the errors removed; "
            f"paper {theirs_removed:.1f} %")
slide(fig, "07_ladder_paper_and_ours", takeaway=takeaway, runs=everything)
fig

# %%
print(f"{peak} against the baseline: {statistics.compare(stack, bottom)}")
others = paper.resnet_50(top - own, unlike="the paper's has B, C, a batch four times as large and 80 more epochs")
print(f"beside the paper's {others}: {statistics.compare(stack, bottom).against(others)}")
guess.reveal(statistics.compare(stack, bottom))

# %% [markdown]
# ### How many errors are gone
#
# Before the runs were made, the course set itself a goal: at least a quarter of the baseline's errors, with an
# interval that lies above 0. The goal does not say "more than the paper": our networks have seen few pictures few
# times and are far from their best, which leaves more to gain, and the paper's top has more epochs.

# %%
STACKS = {  # arms that are held against the baseline as a whole
    "all tricks": "ladder-all",
    "all but the teacher": "ladder-mixup",
    "what held-out pictures kept": "ladder-kept",
}
print(f"paper, ResNet-50 on ImageNet: {theirs_removed:.1f} % of the errors removed")
for label, name in STACKS.items():
    removed = statistics.errors_removed(arm(name), arm("ladder-baseline"))
    (mean, half), n = statistics.t_interval(removed), len(removed)
    print(f"ours, {label}: {statistics.plus_minus(removed, 1)} %, {n} seed{'s' if n > 1 else ''}. "
          f"A quarter or more: {'yes' if mean >= 25 else 'no'}. "
          f"Interval above 0: {'no interval from one seed' if n == 1 else 'yes' if mean > half else 'no'}")

# %%
table([
    {"rung": label, "accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "errors removed so far, %": statistics.plus_minus(statistics.errors_removed(runs, bottom), 1),
     "paper, %": f"{100 * (theirs[label] - own) / (100 - own):.1f}" if label in theirs else ""}
    for label, runs in climb.items()
])

# %% [markdown]
# ## Which tricks carry it?
#
# The ladder answers: what did this trick add to those *below* it? Leave-one-out answers another question: what would
# the complete recipe lose *without* it? A trick's two answers differ by its interaction with everything above it
# (lesson 01 has this for two tricks). A trick that repairs what another one would have repaired as well looks good
# on the way up and is not missed at the top. A trick that only pays once others are there does the opposite.
#
# A dot is a mean over seeds with its paired interval. Right of 0, the trick is a gain.

# %%
full = arm("ladder-mixup")  # the complete recipe here has no teacher: each arm would need one of its own
added = {label: statistics.compare(b, a) for (_, a), (label, b) in pairwise(climb.items())}
left_out = {label: statistics.compare(full, arm(name)) for label, name in WITHOUT.items()}
TABLE_6 = pairwise(("Efficient", "+ cosine decay", "+ label smoothing", "+ mixup w/o distill", "+ distill w/ mixup"))
gains = {label: paper.resnet_50(b - a) for (_, a), (label, b) in pairwise(theirs.items())}
gains |= {label: paper.effect("6", row, below, "ResNet-50-D_top1")
          for label, (below, row) in zip(list(gains)[-4:], TABLE_6, strict=True)}
gains[LABELS["ladder-amp"]] = gains["+ FP16 (paper)"]  # at another place in the order
for label, why in {"+ larger rate, warm-up": "two changes, and the paper's batch grows, too",
                   "+ mixup": "the paper's has 80 more epochs, too"}.items():
    gains[label] = replace(gains[label], unlike=why)
left_out["+ mixup"] = added["+ mixup"]  # the last trick of that recipe: both answers are one number
answers = {"ours, added on the way up": added, "ours, left out at the top": left_out,
           "paper, added on the way up": {label: gains[label].delta for label in added}}
worth(answers, caption=statistics.caption(everything + [run for name in WITHOUT.values() for run in arm(name)]))

# %%
def interval(differences):
    mean, half = statistics.t_interval(differences)
    return f"{mean:+.2f}" + (f" ± {half:.2f}" if math.isfinite(half) else "")


rows = []
for below, (label, up) in zip(climb, added.items(), strict=False):
    row = {"trick": label[2:], "training cost": f"{COSTS[label][2] / COSTS[below][2] - 1:+.0%}",
           "paper": f"{gains[label]}", "added": interval(up.differences), "verdict": up.against(gains[label])}
    if down := left_out.get(label):
        first, last = (dict(zip(c.seeds, c.differences, strict=True)) for c in (up, down))
        row |= {"left out": interval(down.differences),
                "left out − added": interval([last[seed] - first[seed] for seed in first.keys() & last.keys()])}
    rows.append(row)
table(rows)

# %%
both = [label for label in added if label in left_out]
print(f"tricks with both answers: {len(both)}. Sum when added {sum(added[label].mean for label in both):+.2f} points, "
      f"when left out {sum(left_out[label].mean for label in both):+.2f}")
for name, answer in (("added", added), ("left out", left_out)):
    falling = sorted(answer, key=lambda label: answer[label].mean, reverse=True)
    print(f"{name}, from the largest:", ", ".join(f"{label[2:]} {answer[label].mean:+.2f}" for label in falling))
    print("   clear:", ", ".join(label[2:] for label in falling if answer[label].clear) or "none")
best = max(climb, key=lambda label: fmean(run.accuracy for run in climb[label]))
print(f"highest rung: {best}" if best == peak else f"highest rung: {best}; {peak} against it: "
      f"{statistics.compare(climb[peak], climb[best])}")

# %% [markdown]
# A verdict holds what we added against what the paper added. *Left out* has none: the paper leaves nothing out. Nor has
# a rung that changes more there than here. The paper's ± is what two runs of one recipe may be apart (lesson 01).
#
# On the way up the gains add to the whole, because each starts where the one before ended. Left out, they need not
# add to anything. Where their sum is larger, the tricks need each other on the whole; where it is smaller, they
# repair the same errors. Both sums carry the noise of all their runs.
#
# Two rows to look at first. *Zero γ*: lesson 3.1 followed γ through a short run. How far it gets from 0 sets how much
# the three blocks of this network add to their shortcuts in the end; the paper's has sixteen blocks, and 120 epochs
# for that. *Larger rate, warm-up*: this row is two fields, and the rate alone may be most of it. And the table holds
# more than a dozen intervals: of as many tricks that do nothing, one in twenty would come out clear.
#
# ## Which would you keep?
#
# The table above must not decide. It is made of test pictures, and the best of so many recipes on the test set is
# partly the luckiest. What may decide are pictures held out of the training set. Each line is one run:

# %% tags=["hide-input"]
QUESTIONS = {  # study of held-out runs: what it asks, on top of which recipe
    "pilot_ladder_baseline": "baseline, which rate?",
    "pilot_ladder": "up to cosine decay: which rate, and zero γ?",
    "pilot_ladder_kept": "0.4, without zero γ: add smoothing, mixup, tweak C?",
}
rows = []
for study, question in QUESTIONS.items():
    tried = [arm(name)[0] for name in PILOTS[study]]
    for run in sorted(tried, key=lambda run: run.accuracy, reverse=True):
        n, accuracy = run.meta["test_images"], run.accuracy
        rows.append({"question": question, "rate": run.recipe.lr, "zero γ": run.recipe.zero_gamma,
                     "tweak C": run.recipe.tweak_c, "ε": run.recipe.label_smoothing, "α": run.recipe.mixup_alpha,
                     "held-out accuracy, %": f"{accuracy:.2f}",
                     "standard error": f"{math.sqrt(accuracy * (100 - accuracy) / n):.2f}"})
table(rows)

# %% [markdown]
# The arm `ladder-kept` follows the higher number in each question, and its teacher too is trained without what was
# dropped. No difference that decided on a trick is as large as two standard errors, so the choice is a guess, which the
# test set then checks. It may be a little flattered: that zero γ and mixup are the tricks to doubt was known from
# lessons 3.1 and 5.4, whose runs were tested on the same pictures.

# %%
print("ladder-kept is ladder-all with", recipe.changes(ARMS["ladder-kept"], ARMS["ladder-all"]))
for name in ("ladder-baseline", "ladder-mixup", "ladder-all"):
    print(f"ladder-kept against {name}: {statistics.compare(arm('ladder-kept'), arm(name))}")

# %% [markdown]
# Accuracy is not the only reason to keep a trick or to drop it. Mixed precision is for speed on a GPU, so its row
# only has to hold no loss that matters. Cosine decay has one choice less than a step schedule: nobody has to say when
# to divide. A teacher is a second network to train, and to run for every training picture. And a trick may be wanted
# for its probabilities.
#
# ## Calibration, rung by rung
#
# Confidence − accuracy is above 0 where a network claims too much, below 0 where it claims too little. The *expected
# calibration error* (ECE) averages the distance over 15 bins of confidence; the *negative log-likelihood* (NLL) is
# the cross-entropy of the test labels. For both, lower is better. The dashed line is the baseline.

# %%
METRICS = {
    "accuracy, %": lambda run: run.accuracy,
    "confidence −\naccuracy, points": statistics.overconfidence,
    "ECE, points": lambda run: 100 * run.final["ece"],
    "NLL, nats": lambda run: run.final["nll"],
}
measures(climb, METRICS, caption=statistics.caption(everything))

# %%
for label in ("+ cosine decay", "+ mixup", "+ distillation"):
    print(label)
    for metric, unit in (("accuracy", "points"), ("ece", ""), ("nll", "nats")):
        print(f"   {metric:<9} against the baseline: {statistics.compare(climb[label], bottom, metric, unit)}")
    new, old = (statistics.plus_minus([statistics.overconfidence(run) for run in runs], 1)
                for runs in (climb[label], bottom))
    print(f"   confidence − accuracy: {new} points, baseline {old}")

# %% [markdown]
# Smoothing, mixup and a soft teacher all ask the network for less than certainty, and each of the three asks anew:
# with ε = 0.1 no target is above 0.9 (lesson 5.2), mixup's are below that for every mixed picture (5.4), and the
# teacher was trained on the same targets (5.3). Together they can ask for far less confidence than the network's
# accuracy would allow. Dividing the logits by one number, fitted on held-out pictures, repairs much of that and
# leaves the accuracy as it is, so a low confidence alone is no reason to drop a trick.
#
# ## "Improve accuracy consistently"?
#
# So says §7. Table 6 has three networks. The teacher, a ResNet-152-D, is the same for all:

# %%
FORK = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 4)]  # rows of Table 6: mixup stands on smoothing, not on distillation
NAMES = ("cosine decay", "label smoothing", "distillation", "mixup", "distillation, after mixup")
rows6 = list(paper.table("6"))
table([
    {"trick": name, **{net: f"{paper.delta('6', rows6[new], rows6[old], f'{net}_top1'):+.2f}"
                       for net in ("ResNet-50-D", "Inception-V3", "MobileNet")}}
    for name, (new, old) in zip(NAMES, FORK, strict=True)
])

# %% [markdown]
# And all of the paper's tables that add tricks one at a time: how many rows are above the row they stand on?

# %%
FORK_8 = [(1, 0), *((new + 1, old + 1) for new, old in FORK)]  # the same below a row with the plain ResNet-50
CHAIN = [(i + 1, i) for i in range(4)]
TABLES = {"4": (CHAIN, ("BS256_top1", "BS1024_top1")), "5": (CHAIN[:3], ("top1",)), "8": (FORK_8, ("mAP",)),
          "6": (FORK, ("ResNet-50-D_top1", "Inception-V3_top1", "MobileNet_top1")), "9": (FORK_8, ("PixAcc", "mIoU"))}
rows = []
for name, (steps, columns) in sorted(TABLES.items()):
    cells = list(paper.table(name))
    for column in columns:
        changed = {cells[new]: paper.delta(name, cells[new], cells[old], column) for new, old in steps}
        lower = [f"{trick} {change:+.2f}" for trick, change in changed.items() if change < 0]
        rows.append({"from": f"Table {name}", "column": column, "tricks": len(changed),
                     "higher": len(changed) - len(lower), "lower": "; ".join(lower)})
for label, answer in (("ours, added", added), ("ours, left out", left_out)):
    down = [f"{trick} {interval(c.differences)}" for trick, c in answer.items() if c.clear and c.mean < 0]
    rows.append({"from": label, "column": "clear ones only", "tricks": len(answer), "lower": "; ".join(down),
                 "higher": sum(c.clear and c.mean > 0 for c in answer.values())})
table(rows)
print(f"paper: {sum(row['higher'] for row in rows[:-2])} of {sum(row['tricks'] for row in rows[:-2])} changes go up")

# %% [markdown]
# The paper's rows are single runs without an interval, so a small change of either sign says little. What stands out
# is a pattern. Distillation lowers the two networks that are no ResNets. And in Table 9, smoothing and mixup lower
# segmentation with the very backbones whose ImageNet accuracy they have raised. A trick is worth something *to a
# network on a task*.
#
# ## The same trick in a longer run
#
# And on a *budget*. The paper's networks had 120 and 200 epochs, ours 8 to 20. For four of the differences we have
# both: the short runs of section 5, and the same with the paper's numbers of epochs, most of them made on a GPU. In the
# long runs the network learns its 10,000 training pictures almost by heart; smoothing and mixup may then have something
# to cure.

# %%
LONGER = {  # what is compared: rows of Table 6, short runs, long runs; the new one and the old one of each
    "cosine instead of step, first drop at 1/4": (
        (1, 0), ("cosine", "efficient-early"), ("full-cosine", "full-efficient"),
    ),
    "label smoothing": ((2, 1), ("smoothing-0.1", "cosine"), ("full-smooth", "full-cosine")),
    "mixup and more epochs": ((4, 2), ("long-mixup", "smoothing-0.1"), ("full-mixup", "full-smooth")),
    "mixup, equal epochs": (None, ("long-mixup", "long"), ("full-mixup", "full-smooth-200")),
}


def lengths(*arms):
    return " against ".join(dict.fromkeys(str(ARMS[name].epochs) for name in arms))


rows = []
for trick, (in_table_6, short_arms, long_arms) in LONGER.items():
    row = {"trick": trick, "paper": ""}
    if in_table_6:
        new, old = in_table_6
        row["paper"] = f"{paper.effect('6', rows6[new], rows6[old], 'ResNet-50-D_top1')}"
    for kind, arms in (("short", short_arms), ("long", long_arms)):
        points = interval(statistics.compare(*map(arm, arms)).differences)
        row |= {f"{kind}: epochs": lengths(*arms), f"{kind}: points": points}
    rows.append(row)
table(rows)
trained_long = dict.fromkeys(name for *_, arms in LONGER.values() for name in arms)
print("long:", statistics.caption([run for name in trained_long for run in arm(name)]))

# %% [markdown]
# Compare the two columns of points before you compare either with the paper. A difference that shrinks came, at least
# in part, from the short schedule: a first drop at 1/4 leaves 3 of 12 epochs at the peak. Where the interval of the
# long runs holds the short runs' number, they do not say whether anything has changed. The length of the warm-up and
# the device differ between the columns as well.
#
# ## One more knob: how strong?
#
# The stack has the paper's ε = 0.1 and α = 0.2, and a learning rate chosen on held-out pictures. What would other
# values have done? Recorded runs can say, as far as they go: drag the three sliders through them. These are the short
# runs of section 5, with 10,000 pictures and 12 epochs. Nothing is trained while you drag and nothing is
# interpolated: a setting that no run has goes to the record that is the fewest slider steps away, and the picture
# says so. Hollow dots were measured on held-out training pictures, one seed each; compare them with each other only.

# %%
STRENGTHS = (
    "cosine", *(f"smoothing-{eps}" for eps in (0.05, 0.1, 0.2, 0.4)), *(f"mixup-{a}" for a in (0.1, 0.2, 0.5, 1.0)),
    "smooth-mixup", *PILOTS["pilot"],
)
runs = {name: arm(name) for name in STRENGTHS}
explore = partial(explorer, runs, caption=statistics.caption([run for group in runs.values() for run in group]))
values = {field: sorted({getattr(ARMS[name], field) for name in runs})
          for field in ("label_smoothing", "mixup_alpha", "lr")}
sliders(explore, **values)

# %% [markdown]
# Two more settings as still pictures: the strongest smoothing, and a setting that nobody has recorded.

# %%
display(explore(0.4, 0.0, 0.4), explore(0.2, 0.5, 0.4))

# %% [markdown]
# ## Live: repaired and broken
#
# *Errors removed* is a net number. A new recipe gets pictures right that the old one got wrong, and the other way
# round. Our records do not keep single pictures, so this takes live runs. They are short, too short to say which
# recipe is the better one, and not mixed with the records. First the baseline:

# %%
dataset = load_data()


def answers_right(name, seed):
    """Train a short version of an arm; which test pictures it gets right."""
    print(name, end=". ")
    parts = live_run(ARMS[name], dataset, seed, share=0.5).parts
    logits, labels = train.evaluate(parts.model, parts.test)
    return logits.argmax(1) == labels


base = answers_right("ladder-baseline", seed=0)

# %% [markdown]
# The stack without its teacher, with the same seed; and the baseline once more, with another seed:

# %%
stacked = answers_right("ladder-mixup", seed=0)

# %%
again = answers_right("ladder-baseline", seed=1)

# %%
rows, errors = [], int((~base).sum())
for label, now in {"stack": stacked, "baseline, seed 1": again}.items():
    repaired, broken = int((now & ~base).sum()), int((~now & base).sum())
    rows.append({"new": label, "accuracy, %": f"{100 * float(now.float().mean()):.1f}", "repaired": repaired,
                 "broken": broken, "errors removed, %": f"{100 * (repaired - broken) / errors:+.1f}"})
    assert repaired - broken == errors - int((~now).sum())
print(f"live baseline: {errors:,} of {len(base):,} test pictures wrong")
table(rows)

# %% [markdown]
# In the second row the recipe did not change at all. Its repaired and broken pictures are what two runs of one recipe
# disagree about, and the first row has such pictures in it as well. So "the stack fixes these pictures" is a
# statement about two runs. The recipes can only be told apart by the *difference* of the two columns, and only over
# seeds.
#
# ## Misreadings
#
# - *"Stacking."* Adding tricks to one recipe. Stacking in the sense of ensembles has a second model learn from the
#   predictions of several. At test time, the top of the ladder is one network.
# - *"The tricks improve accuracy consistently."* The table above counts, in the paper and here.
# - *"The tricks remove a share of the errors."* Of whose? From another paper's 75.3 % or the authors' own 75.87 %
#   (lesson 01)? And of a baseline that was tuned, or one that was not? A weak baseline makes any stack look good.
# - *"Not resolved here: drop it."* The interval says which gains it could not have seen. A free trick with an
#   interval from −0.3 to +0.5 is a different case from a teacher with the same interval.
# - *"Leave-one-out is the right answer, the ladder is the wrong one."* Each answers its question. If you want to know
#   what to take out of a recipe that you have, it is leave-one-out. If you want to know what to try first, it is the
#   lowest rung.
# - *"Take the best rung."* Of the test set? Then its accuracy is no longer a measurement.
#
# ## Exercises
#
# **1.** One recipe removes a share of the errors, the next removes a share of what is left, and so on. What do they
# remove together? Shares are per cent; two times 50 is not 100.

# %%
def removed_together(shares):
    # solution
    return 100 * (1 - math.prod(1 - share / 100 for share in shares))


def counted(shares):
    """The same by going through the errors of a network that starts with 1,000 of them."""
    errors = 1_000.0
    for share in shares:
        errors -= errors * share / 100
    return 100 * (1_000 - errors) / 1_000


check("removed together", removed_together, counted, [[50, 50], [10, 20, 5], [30, -10]])

# %% [markdown]
# **2.** Three tricks, and all eight combinations have been trained: `accuracy["AC"]` is that of A and C together,
# `accuracy[""]` that of the baseline. What is A worth, averaged over the six orders of adding them? (In game theory
# this mean is the Shapley value.)

# %%
def mean_over_orders(accuracy):
    # solution
    first = accuracy["A"] - accuracy[""]
    second = [accuracy["AB"] - accuracy["B"], accuracy["AC"] - accuracy["C"]]
    last = accuracy["ABC"] - accuracy["BC"]
    return (2 * first + sum(second) + 2 * last) / 6


def by_orders(accuracy):
    gains = []
    for way in permutations("ABC"):
        before = way[: way.index("A")]
        gains.append(accuracy["".join(sorted((*before, "A")))] - accuracy["".join(sorted(before))])
    return fmean(gains)


EIGHT = dict(zip(("", "A", "B", "C", "AB", "AC", "BC", "ABC"), (70, 74, 71, 70, 74, 75, 72, 75), strict=True))
check("worth of A", mean_over_orders, by_orders, [EIGHT, {key: 70 + len(key) for key in EIGHT}])

# %% [markdown]
# **3.** How many recipes have to be trained for n tricks? Answer for a ladder, for leave-one-out, for both (some
# recipes are in both), and for the mean over all orders. Return a dictionary with the keys "ladder", "leave-one-out",
# "both" and "all orders".

# %%
def recipes(n):
    # solution
    return {"ladder": n + 1, "leave-one-out": n + 1, "both": 2 * n, "all orders": 2**n}


def listed(n):
    tricks = range(n)
    climb = {frozenset(range(k)) for k in range(n + 1)}
    without = {frozenset(tricks), *(frozenset(tricks) - {trick} for trick in tricks)}
    subsets = {frozenset(chosen) for k in range(n + 1) for chosen in combinations(tricks, k)}
    return {"ladder": len(climb), "leave-one-out": len(without), "both": len(climb | without),
            "all orders": len(subsets)}


check("recipes to train", recipes, listed, [2, 3, 8])

# %% [markdown]
# ## Summary
#
# - The stack is nine changes to one recipe. What it removes of the baseline's errors is printed with a paired
#   interval, beside the paper's share, which has more epochs and more multiply-adds in it.
# - *Added on the way up* and *left out at the top* are two questions. They differ by what a trick shares with those
#   above it.
# - The paper's own tables have rows that go down. What a trick is worth depends on the network, the task, the budget
#   and the other tricks.
# - Errors removed are pictures repaired minus pictures broken, and two runs of one recipe break and repair many.
# - What to keep is decided on held-out pictures, with the cost beside the gain.
#
# ## For discussion
#
# 1. Which tricks would you keep in your next project, in which order would you try them, and which number of this
#    course made you think so? Name one that you would drop although the paper has a gain for it.
# 2. You may run 30 trainings. Would you spend them on a ladder, on leave-one-out, on more seeds, or on tuning the
#    baseline's learning rate? What would a reader want you to have done?
# 3. Take out your guesses of all lessons. Where were you wrong most often: in the sign, in the size, or in how sure
#    you were?
