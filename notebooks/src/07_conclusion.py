# %% [markdown]
# # 7 Conclusion
#
# **Which tricks would you keep?**

# %% tags=["hide-input"]
import math
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise, permutations
from statistics import fmean, stdev

from tricks import recipe, train
from tricks.course import card, cost
from tricks.course.lesson import conclusion, live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots import ladder, style
from tricks.records import make, paper, statistics
from tricks.studies.arms import ARMS, PILOTS, STACK
from tricks.studies.studies import arm

# %% tags=["hide-input"]
COST_THERE = {name: card.added_cost(*trick.there, classes=1000).training for name, trick in card.CARD.items()}


@style.styled
def gains_there():
    effects = {name: card.in_paper(trick) for name, trick in card.CARD.items() if trick.rows}
    names = sorted(effects, key=lambda name: effects[name].delta)
    fig, ax = style.canvas(height=3.4, caption=f"{paper.SOURCE}, Tables 4–6; Table 6: means of the CVPR version")
    for y, name in enumerate(names):
        dear = COST_THERE[name] > 0.005
        effect, colour = effects[name], style.COLOURS[1] if dear else style.COLOURS[0]
        ax.barh(y, effect.delta, 0.66, color=colour)
        ax.errorbar(effect.delta, y, xerr=effect.noise, color=style.INK, capsize=3, linewidth=1)
        ax.text(1.1, y, f"+{100 * COST_THERE[name]:.0f} % training" if dear else "free", va="center", color=colour)
    ax.axvline(0, color=style.GREY, linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="gain of ResNet-50 on ImageNet, points; line: what two equal runs may be apart", xlim=(-0.7, 1.45))
    ax.grid(axis="y", visible=False)
    return fig


fig = gains_there()
slide(fig, "07_gain_and_cost", takeaway="Most of the paper's tricks cost nothing; the dear ones do not gain the most")
fig

# %% [markdown]
# **Claim.** Stacked, the paper's tricks take a ResNet-50 from 75.9 to 79.3 %. Hardly a trick is good or bad in itself:
# what it is worth depends on the network, on the length of the run and on the tricks that are there already, and all
# three can be measured.
#
# Each trick above has its lesson: 3.1 warm-up, zero γ and no bias decay, 3.2 mixed precision, 4 the tweaks B, C and D,
# 5.1 to 5.4 cosine decay, label smoothing, distillation and mixup. "Free" is a trick that adds no multiply-adds; mixup
# has 80 more epochs in the paper.
#
# After this lesson you can
# 1. say what a stack of tricks removes, in errors, with a paired interval;
# 2. tell a trick that helped on the way up from one that would be missed at the top;
# 3. say which tricks change their sign or size with the length of the run or with the network, and why;
# 4. decide what to keep without letting the test set decide, from one card.
#
# *Time:* 30 minutes; 45 with the parts headed "Deeper", 100 with questions and exercises. One minute of it is training,
# on two idle CPU cores. *Paper:* §5.5 and §7, Tables 1 and 4–9. Lesson 01 has the words *ablation*, *cumulative* and
# *leave-one-out*; appendix C says when a difference is worth believing, and what ± means here.
#
# ## Your own stack
#
# Start from a ResNet-50 with the training of section 3 and tick what you would keep. Every grey dot is one of the 128
# choices: what the training costs, and what the paper's tables add up to (arXiv version, one run each). For
# distillation and mixup together there is a row in Table 6, and it is less than their sum. For all others the dots
# *assume* that gains add, which the paper never tested.

# %% tags=["hide-input"]
THERE = {name: values["ResNet-50-D_top1"] for name, values in paper.table("6").items()}
FIRST = paper.table("5")["ResNet-50"]["top1"]
ADDS = {
    **{f"tweak_{new[-1]}": paper.delta("5", new, old, "top1") for old, new in pairwise(paper.table("5"))},
    "cosine": THERE["+ cosine decay"] - THERE["Efficient"],
    "smoothing": THERE["+ label smoothing"] - THERE["+ cosine decay"],
    "distillation": THERE["+ distill w/o mixup"] - THERE["+ label smoothing"],
    "mixup": THERE["+ mixup w/o distill"] - THERE["+ label smoothing"],
}
TOGETHER = THERE["+ distill w/ mixup"] - THERE["+ label smoothing"]
ALL = THERE["+ distill w/ mixup"] - FIRST
TWEAKED = dict(zip("BCD", ("paper-tweaks-b", "paper-tweaks-c", "paper-pretrain-efficient"), strict=True))
FORWARD = {name: cost.size(ARMS[name], classes=1000)[1] for name in ("paper-large-amp", *TWEAKED.values())}
ADDED_WORK = {f"tweak_{letter}": new - old
              for letter, (old, new) in zip("BCD", pairwise(FORWARD.values()), strict=True)}
TAUGHT, UNTAUGHT = (
    cost.per_picture(ARMS[f"paper-pretrain-{name}"], classes=1000)[0] for name in ("distill", "smooth")
)
LONGER = ARMS["paper-pretrain-mixup"].epochs / ARMS["paper-pretrain-smooth"].epochs


def planned(**kept):
    """(cost, gain) of a stack: the training in units of the plain ResNet-50's, and the sum of the paper's gains."""
    forward = FORWARD["paper-large-amp"] + sum(work for name, work in ADDED_WORK.items() if kept[name])
    training = 3 * forward + (TAUGHT - UNTAUGHT if kept["distillation"] else 0)
    points = sum(gain for name, gain in ADDS.items() if kept[name])
    if kept["distillation"] and kept["mixup"]:
        points += TOGETHER - ADDS["distillation"] - ADDS["mixup"]
    return training * (LONGER if kept["mixup"] else 1) / (3 * FORWARD["paper-large-amp"]), points


CHOICES = [dict(zip(ADDS, ((number >> bit) & 1 for bit in range(len(ADDS))), strict=True)) for number in range(128)]


@style.styled
def your_stack(kept):
    fig, ax = style.canvas(height=3.6)
    ax.plot(*zip(*(planned(**choice) for choice in CHOICES), strict=True), "o", color=style.LIGHT, markersize=4)
    ax.plot(*planned(**CHOICES[-1]), "D", color=style.COLOURS[1], markersize=9, label="the paper's stack")
    ax.axhline(LEAST * ALL, color=style.GREY, linewidth=1)
    ax.axvline(MOST, color=style.GREY, linewidth=1)
    (mine,) = ax.plot([], [], "o", color=style.COLOURS[0], markersize=12, animated=True, label="yours")
    ax.set(xlabel="training, plain ResNet-50 = 1", ylabel="gain, points")
    ax.legend(loc="lower right")
    said = style.heading(ax, fontsize=12)

    def redraw(kept):
        training, points = planned(**kept)
        mine.set_data([training], [points])
        share = f"{100 * points / ALL:.0f} % of the paper's {style.signed(ALL)}"
        said.set_text(f"{style.signed(points)} points, {share}, for {training:.2f} times the training")

    return style.with_redraw(fig, redraw, kept)


def ticked(**kept):
    return kept


def frugal(**kept):
    training, points = planned(**kept)
    return training <= MOST and points >= LEAST * ALL


LEAST, MOST = 0.6, 1.1  # of the paper's gain, and of the baseline's training
sliders(
    your_stack, ticked, **dict.fromkeys(ADDS, False),
    goal="60 % of the paper's gain, for at most 1.1 times the training.", reached=frugal,
    solution=dict.fromkeys(("tweak_B", "tweak_D", "cosine", "smoothing"), True),
)

# %% [markdown]
# Three fifths of the gain cost next to nothing. Mixup's 80 more epochs buy most of the rest; the teacher, who looks at
# every picture, then doubles the bill for the last twentieth. That is the paper's answer, for one network and one
# length of training. From here on it is held against records of our own: a ladder of ten recipes, three networks, short
# runs and long ones.
#
# ### Before you go on: predict
#
# Our stack is the paper's, from the plain procedure of section 2 to distillation, on a small ResNet and all of
# CIFAR-10, 8 epochs for every rung. B and C are left out (the first part headed "Deeper" says why). How far will its
# top be above its bottom? The paper's gain from its own baseline has B, C and 80 more epochs in it.

# %% tags=["hide-input"]
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
# There is no code for it. A rung is the recipe below it with `replace`, and the way down takes one trick back to the
# baseline's value:

# %%
rung = ARMS["ladder-baseline"]
for name, change in STACK.items():
    rung = replace(rung, **change)
    assert rung == ARMS[name]
print("without cosine decay:", recipe.changes(ARMS["ladder-without-cosine"], ARMS["ladder-mixup"]))

# %% [markdown]
# In the training loop every trick is a line that has been there all the time, off by default, beside some that came
# after the paper:

# %% tags=["hide-input"]
show_loop("# ", context=0)

# %% [markdown]
# ## The ladder, the paper's and ours
#
# A bar goes from the accuracy of the rung below to the rung's own. Its line is the 95 % interval of the difference,
# paired over seeds, and a grey bar's interval holds 0. A point is as long on the left as on the right. The paper's
# numbers come from one run each; its last two rungs have 200 epochs where the others have 120, and its "larger rate"
# goes with a batch four times as large, where ours is the rate alone.

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
RUNGS = {  # rung: table, row, column
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
theirs = {label: paper.table(name)[row][column] for label, (name, row, column) in RUNGS.items()}
order = list(theirs)
order.insert(1, LABELS["ladder-amp"])
climb = statistics.same_seeds({label: arm(name) for name, label in LABELS.items()})
(_, bottom), *_, (peak, stack) = climb.items()
everything = [run for runs in climb.values() for run in runs]
whole, theirs_removed = statistics.compare(stack, bottom), 100 * (top - own) / (100 - own)


def share_removed(new, old):
    """How many of the old arm's errors the new arm does not make, in words."""
    if not card.gain(new, old):
        return card.NOT_RECORDED
    return f"{statistics.plus_minus(statistics.errors_removed(arm(new), arm(old)), 1)} %"


# %% tags=["hide-input", "hide-output"]
guess.reveal(whole)

# %% tags=["hide-input", "hide-output"]
fig = ladder.ladder({"paper": theirs, "ours": climb}, order=order, caption=statistics.caption(everything))
takeaway = (f"From the baseline to \"{peak}\": {share_removed('ladder-all', 'ladder-baseline')} of the errors removed; "
            f"paper {theirs_removed:.1f} %")
slide(fig, "07_ladder_paper_and_ours", takeaway=takeaway, runs=everything)
guess.veil(fig)

# %% tags=["hide-input", "hide-output"]
STACKS = {"all tricks": "ladder-all", "all but the teacher": "ladder-mixup",
          "what held-out pictures kept (below)": "ladder-kept"}
others = paper.resnet_50(top - own, unlike="the paper's has B, C, a batch four times as large and 80 more epochs")
guess.veil("\n".join([
    f"{peak} against the baseline: {whole}; paper {others.delta:+.2f} (no verdict: {others.unlike})",
    f"errors removed: paper's stack {theirs_removed:.1f} %",
    *(f"errors removed, ours, {label}: {share_removed(name, 'ladder-baseline')}" for label, name in STACKS.items()),
]))

# %% [markdown]
# Both stacks gain, though not on every rung, and their shares of the errors can be held side by side. Larger would not
# mean better: our baseline is further from its best than the paper's, which leaves more to gain, and the paper's top
# has more epochs. Before the runs were made, the course set itself a quarter of the errors as its goal: the shares
# above say which recipe comes near it.
#
# ## Which tricks carry it?
#
# The ladder answers: what did this trick add to those *below* it? Leave-one-out answers another question: what would
# the complete recipe lose *without* it? A trick that repairs what another one would have repaired as well looks good
# on the way up and is not missed at the top. A trick that only pays once others are there does the opposite. (The
# complete recipe here is the rung under the teacher; each arm would need a teacher of its own.)
#
# A dot is a mean over seeds with its paired interval. Right of 0, the trick is a gain.

# %% tags=["hide-input"]
WITHOUT = {LABELS[name.replace("without-", "")]: name for name in ARMS if name.startswith("ladder-without-")}
full = arm("ladder-mixup")
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
ladder.worth(answers, caption=statistics.caption(everything + [run for name in WITHOUT.values() for run in arm(name)]))

# %% tags=["hide-input"]
both = [label for label in added if label in left_out]
print(f"tricks with both answers: {len(both)}. Sum when added {sum(added[label].mean for label in both):+.2f} points, "
      f"when left out {sum(left_out[label].mean for label in both):+.2f}")
for name, answer in (("added", added), ("left out", left_out)):
    falling = sorted(answer, key=lambda label: answer[label].mean, reverse=True)
    clear = [f"{label[2:]} {answer[label].mean:+.2f}" for label in falling if answer[label].clear]
    print(f"{name}, clear, from the largest: {', '.join(clear) or 'none'}")

# %% [markdown]
# On the way up the gains add to the whole, because each starts where the one before ended. Left out, they need not
# add to anything: where their sum is larger, the tricks need each other on the whole; where it is smaller, they
# repair the same errors. Both sums carry the noise of all their runs.
#
# *Zero γ* is the row to look at. Each block starts as its shortcut and has to wake up (lesson 3.1); 8 epochs are short
# for that, and this network has three blocks where the paper's has sixteen. And of more than a dozen intervals, one in
# twenty comes out clear where nothing is.
#
# ## What to keep: held-out pictures decide
#
# The figures above must not decide. They were measured on test pictures, and the best of so many recipes on the test
# set is partly the luckiest. What may decide are pictures held out of the training set. Each line is one run (ε is the
# strength of label smoothing, α that of mixup):

# %% tags=["hide-input"]
QUESTIONS = {  # study of held-out runs: what it asks, on top of which recipe
    "pilot_ladder_baseline": "baseline, which rate?",
    "pilot_ladder": "up to cosine decay: which rate, and zero γ?",
    "pilot_ladder_kept": "0.4, without zero γ: add smoothing, mixup, tweak C?",
}
lines = []
for study, question in QUESTIONS.items():
    tried = [arm(name)[0] for name in PILOTS[study]]
    for run in sorted(tried, key=lambda run: run.accuracy, reverse=True):
        n, accuracy = run.meta["test_images"], run.accuracy
        lines.append({"question": question, "rate": run.recipe.lr, "zero γ": run.recipe.zero_gamma,
                     "tweak C": run.recipe.tweak_c, "ε": run.recipe.label_smoothing, "α": run.recipe.mixup_alpha,
                     "held-out accuracy, %": f"{accuracy:.2f}",
                     "standard error": f"{math.sqrt(accuracy * (100 - accuracy) / n):.2f}"})
table(lines)

# %% [markdown]
# The arm `ladder-kept` follows the higher number in each question, and its teacher too is trained without what was
# dropped. No difference that decided on a trick is as large as two standard errors, so the choice is a guess, which the
# test set then checks. It may be a little flattered: that zero γ and mixup are the tricks to doubt was known from
# lessons 3.1 and 5.4, whose runs were tested on the same pictures.

# %% tags=["hide-input"]
print("ladder-kept is ladder-all with", recipe.changes(ARMS["ladder-kept"], ARMS["ladder-all"]))
for name in ("ladder-baseline", "ladder-mixup", "ladder-all"):
    print(f"ladder-kept against {name}: {statistics.compare(arm('ladder-kept'), arm(name))}")

# %% [markdown]
# So two of the paper's tricks are out. Runs of 8 epochs chose that; longer ones may choose otherwise.
#
# ## Three networks
#
# Table 6 has three networks, with one teacher, a ResNet-152-D, for all of them. Beside each stands our small one of the
# same family: 10,000 pictures, 12 epochs, a resnet14 as the teacher. Two of the three have no residual blocks, in the
# paper and here.

# %% tags=["hide-input"]
STEPS = {  # row of ours with the trick and without it; the paper's
    "cosine decay": ("cosine", "efficient", "+ cosine decay", "Efficient"),
    "label smoothing": ("smooth", "cosine", "+ label smoothing", "+ cosine decay"),
    "distillation": ("distill", "smooth", "+ distill w/o mixup", "+ label smoothing"),
    "mixup": ("mixup", "smooth", "+ mixup w/o distill", "+ label smoothing"),
    "distillation on mixup": ("distill-mixup", "mixup", "+ distill w/ mixup", "+ mixup w/o distill"),
}
OF_RESNET = {"smooth": "smoothing-0.1", "mixup": "smooth-mixup"}  # arms that are not called after their row
NETWORKS = {  # the paper's: ours, and what the arm of a row is called
    "ResNet-50-D": ("resnet8", lambda row: OF_RESNET.get(row, row)),
    "Inception-V3": ("inception-small", "inception-{}".format),
    "MobileNet": ("mobilenet-small", "mobilenet-{}".format),
}
UNLIKE = {"mixup": "the paper's has 80 more epochs, too"}
in_table_6 = {
    net: {step: paper.effect("6", new, old, f"{net}_top1", unlike=UNLIKE.get(step, ""))
          for step, (_, _, new, old) in STEPS.items()}
    for net in NETWORKS
}
ours_in = {
    net: {step: card.gain(called(new), called(old)) for step, (new, old, _, _) in STEPS.items()}
    for net, (_, called) in NETWORKS.items()
}


def dots(ax, rows, **series):
    """Differences with their intervals, rows from above: series -> row -> ours, the paper's, or None."""
    ax.axvline(0, color=style.GREY, linewidth=1)
    looks = {"ours": ("o", 0), "short": ("o", 0), "long": ("s", 2), "paper": ("D", 1)}
    for place, (label, values) in enumerate(series.items()):
        marker, colour = looks[label]
        found = {y: values[row] for y, row in enumerate(rows) if values[row]}
        ends = [(c.delta, c.noise) if label == "paper" else (c.mean, c.half if math.isfinite(c.half) else 0)
                for c in found.values()]
        means, halves = zip(*ends, strict=True) if ends else ((), ())
        face = "white" if label == "paper" else style.COLOURS[colour]
        look = {"color": style.COLOURS[colour], "mfc": face, "capsize": 3, "markersize": 6, "linewidth": 1.3}
        places = [y + 0.24 * (place - (len(series) - 1) / 2) for y in found]
        ax.errorbar(means, places, xerr=halves, fmt=marker, label=label, **look)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.4, -0.6))
    ax.grid(axis="y", visible=False)


@style.styled
def three_networks():
    names = dict.fromkeys(called(row) for _, called in NETWORKS.values() for new, old, *_ in STEPS.values()
                          for row in (new, old))
    caption = statistics.caption([run for name in names for run in card.runs(name)])
    fig, axes = style.canvas(3, height=3.8, caption=caption, sharey=True, sharex=True)
    for ax, (net, (ours, _)) in zip(axes, NETWORKS.items(), strict=True):
        dots(ax, list(STEPS), ours=ours_in[net], paper=in_table_6[net])
        missing = "" if any(ours_in[net].values()) else f":\n{card.NOT_RECORDED}"
        ax.set_title(f"{net},\n{ours}{missing}", fontsize=10)
    axes[1].set(xlabel="difference, points of top-1 accuracy")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return fig


three_networks()

# %% tags=["hide-input"]
table([
    {"trick": step, **{
        column: text for net, (ours, _) in NETWORKS.items()
        for column, text in ((f"paper, {net}", style.signed(in_table_6[net][step].delta)),
                             (ours, card.words(ours_in[net][step])))
    }}
    for step in STEPS
])
for net, (ours, _) in NETWORKS.items():
    known = {step: found for step, found in ours_in[net].items() if found}
    falls = [step for step, effect in in_table_6[net].items() if effect.delta < 0]
    clear = [f"{step} {style.signed(found.mean)}" for step, found in known.items() if found.clear]
    print(f"{net} in the paper, down: {', '.join(falls) or 'none'}")
    print(f"{ours} here, clear: {', '.join(clear) or 'none'}" if known else f"{ours} here: {card.NOT_RECORDED}")

# %% [markdown]
# ↑ and ↓ mark an interval that does not hold 0. Read along a row. In the paper, cosine decay and smoothing help all
# three, mixup (with its 80 epochs) too, and distillation helps the one network whose teacher is of its own family. So
# distillation is what tells the networks apart, though for two of them on one run each. Here it does not: on top of
# mixup the ResNet's answers help students of the other families, too, and without it the intervals hold the paper's
# loss and a gain. Our students are far from knowing their training pictures after 12 epochs, and a better answer than
# the label still helps them. Whether a teacher of another family harms a network that fits its pictures, only long runs
# can tell; so ask one before you carry an arrow over.
#
# ## Short runs and long runs
#
# The paper's networks had 120 and 200 epochs; ours had 8 to 12 in all that stands above. Here are the same differences
# once more, with the short and the long runs that we have of each. On the left, a batch of 512: 8 epochs, about 150
# steps, and 60 epochs. On the right, 12 epochs, and 120 or 200: there the network learns its 10,000 pictures almost by
# heart. (D's short runs are 8 epochs of Imagenette.) Mind the two scales.

# %% tags=["hide-input"]
THEIRS = {name: card.in_paper(trick) for name, trick in card.CARD.items()}
SHORT = {name: card.gain(*trick.short) for name, trick in card.CARD.items()}
LONG = {name: card.gain(*trick.long) if trick.long else None for name, trick in card.CARD.items()}
STEPWISE = ["linear scaling", "warm-up", "zero γ", "no bias decay"]
TO_THE_END = [name for name, trick in card.CARD.items() if trick.long and name not in STEPWISE]
COMPARED = dict.fromkeys(name for row in STEPWISE + TO_THE_END for name in card.CARD[row].short + card.CARD[row].long)


@style.styled
def both_regimes():
    caption = statistics.caption([run for name in COMPARED for run in card.runs(name)])
    fig, axes = style.canvas(2, height=3.9, caption=caption)
    for ax, rows, title in ((axes[0], STEPWISE, "few steps, and many"), (axes[1], TO_THE_END, "underfit, and fitted")):
        dots(ax, rows, short=SHORT, long=LONG, paper=THEIRS)
        ax.set(title=title, xlabel="difference, points")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return fig


fig = both_regimes()
takeaway = "What a trick is worth changes with the length of the run: some signs turn, most gains shrink"
slide(fig, "07_short_and_long", takeaway=takeaway, runs=[run for name in COMPARED for run in card.runs(name)])
fig

# %% tags=["hide-input"]
def change(first, last):
    """What became of a difference, if the two intervals say that anything did."""
    if not (first and last):
        return card.NOT_RECORDED
    if abs(first.mean - last.mean) <= math.hypot(first.half, last.half):
        return "no clear change"
    if first.clear and last.clear and first.mean * last.mean < 0:
        return "the sign turns"
    return "nearer to 0" if abs(last.mean) < abs(first.mean) else "further from 0"


def hold_the_papers(found):
    like = [name for name in STEPWISE + TO_THE_END if THEIRS[name] and not THEIRS[name].unlike]
    return ", ".join(name for name in like if abs(found[name].mean - THEIRS[name].delta) <= found[name].half) or "none"


became = {name: change(SHORT[name], LONG[name]) for name in STEPWISE + TO_THE_END}
for what in dict.fromkeys(became.values()):
    print(f"from short to long, {what}: {', '.join(name for name, said in became.items() if said == what)}")
for regime, found in (("short", SHORT), ("long", LONG)):
    print(f"intervals of the {regime} runs that hold the paper's number: {hold_the_papers(found)}")
print("120 epochs of efficient training, with a trick − without it:")
for label, name in {"warm-up": "warmup", "zero γ": "zero", "no bias decay": "no-bias", "tweak D": "d"}.items():
    print(f"    {label}: {card.words(card.gain('full-efficient', f'full-without-{name}'))}")
FULL_STACK = {"full-smooth": "efficient training, cosine decay, smoothing", "full-mixup": "the same and mixup",
              "full-distill-mixup": "the same, mixup and a teacher"}
table([{"stack in long runs": label, "epochs": ARMS[name].epochs,
        "errors of 120 plain epochs removed": share_removed(name, "full-standard")}
       for name, label in FULL_STACK.items()])

# %% [markdown]
# Two reasons, one for each picture. *Steps*: a rate eight times as large without warm-up wrecks the beginning of a run,
# and blocks that start as nothing need time to wake up. 150 steps are too few to make up for either; in the 60 epochs
# most of it is made up, though warm-up is still missed (see the card below). *Fit*: mixup makes the training task
# harder, which a network that has not learnt its pictures yet cannot use, and a network that knows them by heart can.
# And much of what cosine decay gains over steps is gained in short runs, where a step schedule throws most of its time
# away.
#
# On the right the long runs lie much nearer to the paper's numbers than the short ones do, though network and data are
# others; smoothing is the exception. The long intervals have a width, too. Where it is more than the paper's whole
# gain, "no clear change" is not "no change".
#
# ## Calibration, rung by rung
#
# A trick may be wanted for its probabilities. Confidence − accuracy is above 0 where a network claims too much, below 0
# where it claims too little. The *expected calibration error* (ECE) averages the distance over 15 bins of confidence;
# the *negative log-likelihood* (NLL) is the cross-entropy of the test labels. Lower is better for both. The dashed line
# is the baseline.

# %% tags=["hide-input"]
METRICS = {
    "accuracy, %": lambda run: run.accuracy,
    "confidence −\naccuracy, points": statistics.overconfidence,
    "ECE, points": lambda run: 100 * run.final["ece"],
    "NLL, nats": lambda run: run.final["nll"],
}
ladder.measures(climb, METRICS, caption=statistics.caption(everything))

# %% tags=["hide-input"]
HONEST = {"8 epochs, the ladder's baseline": bottom, "8 epochs, its top": stack,
          "120 epochs, cosine decay": arm("full-cosine"), "120 epochs, and smoothing": arm("full-smooth"),
          "200 epochs, and mixup": arm("full-mixup")}
for label, runs in HONEST.items():
    claimed = statistics.plus_minus([statistics.overconfidence(run) for run in runs], 1)
    print(f"confidence − accuracy, {label}: {claimed} points")

# %% [markdown]
# Smoothing, mixup and a soft teacher all ask the network for less than certainty, and each of the three asks anew. In
# short runs, where the baseline is nearly honest, together they make a network that is far less sure than it is right.
# In long runs the network without them claims too much, so there is something to cure; but smoothing carries it across
# to the other side, and mixup on top goes further (lessons 5.2 and 5.4). Take one of the three for calibration, not
# all. A low confidence alone is no reason to drop a trick: one number that divides all logits can be fitted on held-out
# pictures, and changes no answer. How much of the error that would mend here was not measured.
#
# ## The decision card
#
# One line a trick. Gains are points of accuracy: of ResNet-50 on ImageNet in the paper (± what two equal runs may be
# apart; of Table 6 the means of the CVPR version), and of our small networks with a 95 % interval, where ↑ and ↓ mark
# those that do not hold 0. Costs are multiply-adds of the whole training, and parameters of the network, for the
# paper's ResNet-50 and then for ours. B, C and D have their short runs on Imagenette, all else is CIFAR-10. Each gain
# is of a trick that was added to others, but for D's long one: there it was left out.

# %% tags=["hide-input"]
table(card.card())

# %% [markdown]
# How to read a line. *No arrow, no cost* (label smoothing): keep it where its need is met; we could not see it lose.
# *Arrow up, and a cost* (distillation): ask what else the money buys, more epochs for instance. *Arrow down in short
# runs* (zero γ, mixup): ask how long yours are, in steps. The 8 epochs of the first four rows are about 150 large
# steps; the 8 epochs of the ladder are some twenty times as many, and there zero γ cost less than a point. The last
# column is what to look at before you train at all.
#
# ## Conclusion

# %% tags=["hide-input"]
def clear_in(found, sign):
    return [name for name, c in found.items() if c and c.clear and c.mean * sign > 0]


lost = [name for name in card.CARD if name in clear_in(SHORT, -1) + clear_in(LONG, -1)]
kept = [name for name in card.CARD if name in clear_in(SHORT, 1) + clear_in(LONG, 1) and name not in lost]
down = [(net, step) for net, effects in in_table_6.items() for step, effect in effects.items() if effect.delta < 0]
seeds = statistics.seeds_for(0.5, stdev(LONG["mixup"].differences))
conclusion(
    mechanism="""Each trick removes one obstacle: inputs that nobody reads (B, D), a rate that is too large too early
        (warm-up), rates that are small too soon (cosine), targets that ask for certainty or know no likeness
        (smoothing, mixup, a teacher). It is worth as much as its obstacle is in your way.""",
    paper=f"""{own:.2f} → {top:.2f} %: {theirs_removed:.1f} % of the errors of its own baseline, with B, C, 80 more
        epochs and a teacher in it. Of the {sum(map(len, in_table_6.values()))} steps of Table 6 above, {len(down)} go
        down: distillation, in networks that are no ResNets.""",
    short=f"""8 epochs: all tricks together remove {share_removed("ladder-all", "ladder-baseline")} of the errors, and
        {share_removed("ladder-kept", "ladder-baseline")} without zero γ and mixup, as held-out pictures chose. Clear
        gains on the card: {", ".join(clear_in(SHORT, 1))}. Clear losses: {", ".join(clear_in(SHORT, -1))}.""",
    long=f"""120 epochs: efficient training, cosine decay and smoothing together remove
        {share_removed("full-smooth", "full-standard")} of the errors; with mixup, a teacher and 200 epochs
        {share_removed("full-distill-mixup", "full-standard")}. Clear gains on the card, at 60 epochs and more:
        {", ".join(clear_in(LONG, 1)) or "none"}. Clear losses: {", ".join(clear_in(LONG, -1)) or "none"}. Mixup at
        equal length: {card.words(LONG["mixup"])}; to see half a point takes {seeds} seeds.""",
    use=f"""Keep what gained and never clearly lost here: {", ".join(kept)}. The teacher only where it is of the
        student's family and the small network is what you need: it costs. Smoothing where confidence is too high,
        mixup where the network fits its pictures and epochs are cheap, mixed precision for time. Then let held-out
        pictures decide.""",
    harms=f"""The run is short: {", ".join(clear_in(SHORT, -1))} lost clearly there. The teacher is of another family,
        as for two of the paper's networks. The baseline was never tuned: then every stack looks good. Or the test set
        chose the stack.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("A trick has a gain of +0.1 points here, with an interval from −0.3 to +0.5. What do you do?", {
    "Drop it: it does not work": (
        False, "The interval does not say that. It says that a loss beyond 0.3 and a gain beyond 0.5 are unlikely."),
    "Keep it: the mean is above 0": (
        False, "The mean of a trick that does nothing is above 0 every second time."),
    "Ask what it costs, and what others saw of it": (
        True, "Not resolved is not useless. With a teacher's price the same interval would be a reason to drop it."),
})
quiz("You have a recipe with nine tricks and want to make it simpler. Which experiment do you need?", {
    "A ladder: add the tricks one after another": (
        False, "It says what a trick adds to those below it. At the top another one may do the same work."),
    "Leave-one-out: the recipe without each trick": (
        True, "It asks what the recipe that you have would lose. Then leave out two candidates together, too."),
    "Each trick alone on the baseline": (
        False, "It finds what to try first. What a trick does beside eight others is a different number."),
})
quiz("Your ladder's best rung on the test set is the seventh of ten. What do you report?", {
    "The seventh rung, with its test accuracy": (
        False, "Chosen by the test set, that is no measurement any more: the best of ten is partly the luckiest."),
    "The rung that held-out pictures chose, and its test accuracy": (
        True, "The choice has used other pictures than the measurement. So was ladder-kept made."),
    "The tenth rung, because the paper stacks everything": (
        False, "That is honest, but you may ask which tricks fit your run, if you ask held-out pictures."),
})
quiz("Our stack removes 19 % of the errors, another lab's 14 %. Whose tricks are better?", {
    "Ours: 19 is more than 14": (
        False, "Of whose errors? Another baseline, network, data set and number of epochs stand below each share."),
    "It cannot be said: a weak baseline leaves more to remove": (
        True, "Tune the baseline first. One with a bad learning rate makes any stack look good."),
    "Nobody can say: shares of errors are never comparable": (
        False, "Within one study, on one baseline, the share is the fairest number that there is."),
})
quiz("\"We stacked all the tricks.\" How many networks look at a test picture?", {
    "One": (
        True, "All tricks are in one recipe. Ensembles are stacked in another sense: a model learns from several."),
    "As many as there are tricks": (
        False, "That would be an ensemble. The tricks change one network, and how it is trained."),
    "Two, because of distillation": (
        False, "The teacher looks at training pictures only. At test time it is gone, and so is its cost."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). How many points does the complete recipe lose without each trick? The arms "without ..."
# have no teacher. This finds a gain for each of them, even for a trick that does nothing. Which line is wrong?

# %% tags=["hide-input"]
def nothing_is_missed(names):
    arms = {"all": [72.0, 73.0], "all and teacher": [74.0, 75.0], "without x": [72.0, 73.0]}
    found = names["left_out"](arms)
    assert found == {"x": 0}, f"x does nothing, and is said to be worth {found['x']:+.1f} points"


bug_hunt(
    """
def left_out(arms):
    complete = arms["all and teacher"]
    worth = {}
    for name, accuracies in arms.items():
        if name.startswith("without "):
            differences = [a - b for a, b in zip(complete, accuracies)]
            worth[name.removeprefix("without ")] = fmean(differences)
    return worth
""",
    wrong='complete = arms["all and teacher"]',
    right='complete = arms["all"]',
    why="Two things change: the trick and the teacher. What the teacher brings is then found in every trick.",
    test=nothing_is_missed,
    fmean=fmean,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy, by hand) One recipe removes a share of the errors, the next removes a share of what is left,
# and so on. What do they remove together? Shares are per cent; two times 50 is not 100.

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


check("removed together", removed_together, counted, [[50, 50], [10, 20, 5], [30, -10]],
      hint="Multiply what is left: after 50 % and 50 % that is a half of a half.")

# %% [markdown]
# **2.** (10 minutes, medium, by hand) How many recipes have to be trained for n tricks? Answer for a ladder, for
# leave-one-out, for both (some recipes are in both), and for the mean over all orders. Return a dictionary with the
# keys "ladder", "leave-one-out", "both" and "all orders".

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


check("recipes to train", recipes, listed, [2, 3, 8],
      hint="A ladder has one recipe more than tricks. Two of its recipes are in leave-one-out as well: which?")

# %% [markdown]
# **3.** (10 minutes, medium) Write a rule as code. A trick is kept if it is clearly a gain; or if it is free, which
# shall mean less than 1 % more training, and not clearly a loss. `gain` and `half` are its mean and the half-width of
# its interval, `training` is the share that it adds. What does the rule keep in short runs, and what in long ones?

# %%
def keep(gain, half, training):
    # solution
    return gain > half or (training < 0.01 and gain >= -half)


def by_ends(gain, half, training):
    low, high = gain - half, gain + half
    return low > 0 or (training < 0.01 and not high < 0)


CASES = [(0.5, 0.2, 0.9), (0.1, 0.2, 0.9), (0.1, 0.2, 0.0), (-0.1, 0.2, 0.0), (-0.5, 0.2, 0.0), (-0.5, 0.2, 0.9)]
check("the rule", keep, by_ends, CASES,
      hint="An interval lies above 0 if gain > half, and below 0 if gain < −half.")

# %% tags=["hide-input"]
for length, found in {"short": SHORT, "long": LONG}.items():
    by_rule = [name for name, c in found.items() if c and keep(c.mean, c.half, COST_THERE[name])]
    print(f"{length}: {', '.join(by_rule) or 'nothing yet'}")

# %% [markdown]
# ## Deeper: ten recipes and what they cost
#
# The first is the plain procedure of section 2, each other one is the recipe above it with one change. Beside the
# change stands what it costs: parameters, multiply-adds for one picture at test time, and for one picture in training,
# where the backward pass counts as two forward passes and the teacher adds a forward pass of its own. Seconds are not
# in the table; on a shared machine they are noise.

# %% tags=["hide-input"]
COSTS = {}  # rung: parameters, multiply-adds to test one picture, multiply-adds to train on it
for name, label in LABELS.items():
    training, forward = cost.per_picture(ARMS[name], classes=10)
    COSTS[label] = cost.size(ARMS[name], classes=10)[0], forward, training
lines, below = [], recipe.BASELINE
for name, label in LABELS.items():
    changed = ", ".join(f"{field} = {value}" for field, value in recipe.changes(ARMS[name], below).items())
    parameters, test, training = COSTS[label]
    lines.append({"rung": label, "changed": changed, "parameters": f"{parameters:,}",
                  "multiply-adds, 10⁶: test": f"{test / 1e6:.1f}", "training": f"{training / 1e6:.1f}"})
    below = ARMS[name]
table(lines)
(_, test, training), (_, test_top, training_top) = COSTS["baseline"], COSTS["+ distillation"]
print(f"top ÷ bottom: {test_top / test:.2f} at test time, {training_top / training:.2f} in training; epochs: 1.00")
d, plain = (paper.table("5")[net]["FLOPs"] for net in ("ResNet-50-D", "ResNet-50"))
print(f"paper's top ÷ bottom: {d / plain:.2f} at test time; epochs: {200 / 120:.2f}; and a ResNet-152-D as teacher")

# %% [markdown]
# The order is the paper's, but for two things. Mixed precision comes first, so that all other rungs are trained the
# same way, and mixup comes before the teacher, so that leaving out a trick does not change the teacher too. Tweaks B
# and C are missing: B does not exist for basic blocks (section 4), and C puts three convolutions where this network has
# one. The batch stays the same size; what goes with warm-up here is a larger learning rate alone. What is no line of
# the loop is in the function that makes the model:

# %% tags=["hide-input"]
show(make.model_for, around="recipe.", context=0)

# %% [markdown]
# ## Deeper: every rung with its verdict
#
# *Verdict* holds what we added against what the paper added. *Left out* has none: the paper leaves nothing out. Nor has
# a rung that changes more there than here. The paper's ± is what two runs of one recipe may be apart.

# %% tags=["hide-input"]
def interval(differences):
    mean, half = statistics.t_interval(differences)
    return f"{mean:+.2f}" + (f" ± {half:.2f}" if math.isfinite(half) else "")


lines = []
for below, (label, up) in zip(climb, added.items(), strict=False):
    line = {"trick": label[2:], "training cost": f"{COSTS[label][2] / COSTS[below][2] - 1:+.0%}",
            "paper": f"{gains[label]}", "added": interval(up.differences), "verdict": up.against(gains[label])}
    if missed := left_out.get(label):
        first, last = (dict(zip(c.seeds, c.differences, strict=True)) for c in (up, missed))
        line |= {"left out": interval(missed.differences),
                 "left out − added": interval([last[seed] - first[seed] for seed in first.keys() & last.keys()])}
    lines.append(line)
table(lines)
table([
    {"rung": label, "accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "errors removed so far, %": statistics.plus_minus(statistics.errors_removed(runs, bottom), 1),
     "paper, %": f"{100 * (theirs[label] - own) / (100 - own):.1f}" if label in theirs else ""}
    for label, runs in climb.items()
])
best = max(climb, key=lambda label: fmean(run.accuracy for run in climb[label]))
print(f"highest rung: {best}" if best == peak else f"highest rung: {best}; {peak} against it: "
      f"{statistics.compare(climb[peak], climb[best])}")

# %% [markdown]
# Accuracy is not the only reason to keep a trick or to drop it. Mixed precision is for speed on a GPU, so its row
# only has to hold no loss that matters. Cosine decay has one choice less than a step schedule: nobody has to say when
# to divide. A teacher is a second network to train, and to run for every training picture. *Larger rate, warm-up* is
# two fields, and the rate alone may be most of it.

# %% [markdown]
# ## Deeper: "improve accuracy consistently"?
#
# So §7 says of the tricks. Take all of the paper's tables that add tricks one at a time: how many rows are above the
# row they stand on?

# %% tags=["hide-input"]
FORK = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 4)]  # rows of Table 6: mixup stands on smoothing, not on distillation
FORK_8 = [(1, 0), *((new + 1, old + 1) for new, old in FORK)]  # the same below a row with the plain ResNet-50
CHAIN = [(i + 1, i) for i in range(4)]
TABLES = {"4": (CHAIN, ("BS256_top1", "BS1024_top1")), "5": (CHAIN[:3], ("top1",)), "8": (FORK_8, ("mAP",)),
          "6": (FORK, ("ResNet-50-D_top1", "Inception-V3_top1", "MobileNet_top1")), "9": (FORK_8, ("PixAcc", "mIoU"))}
lines = []
for name, (steps, columns) in sorted(TABLES.items()):
    cells = list(paper.table(name))
    for column in columns:
        changed = {cells[new]: paper.delta(name, cells[new], cells[old], column) for new, old in steps}
        lower = [f"{trick} {change:+.2f}" for trick, change in changed.items() if change < 0]
        lines.append({"from": f"Table {name}", "column": column, "tricks": len(changed),
                     "higher": len(changed) - len(lower), "lower": "; ".join(lower)})
for label, answer in (("ours, added", added), ("ours, left out", left_out)):
    falling = [f"{trick} {interval(c.differences)}" for trick, c in answer.items() if c.clear and c.mean < 0]
    lines.append({"from": label, "column": "clear ones only", "tricks": len(answer), "lower": "; ".join(falling),
                 "higher": sum(c.clear and c.mean > 0 for c in answer.values())})
table(lines)
print(f"paper: {sum(row['higher'] for row in lines[:-2])} of {sum(row['tricks'] for row in lines[:-2])} changes go up")

# %% [markdown]
# The paper's rows are single runs without an interval, so a small change of either sign says little. What stands out
# is a pattern. Distillation lowers the two networks that are no ResNets. And in Table 9, smoothing and mixup lower
# segmentation with the very backbones whose ImageNet accuracy they have raised. A trick is worth something *to a
# network on a task*.

# %% [markdown]
# ## Deeper: how strong?
#
# The stack has the paper's ε = 0.1 and α = 0.2, and a learning rate chosen on held-out pictures. What would other
# values have done? Recorded runs can say, as far as they go: drag the three sliders through them. These are the short
# runs of section 5, with 10,000 pictures and 12 epochs. Nothing is trained while you drag and nothing is
# interpolated: a setting that no run has goes to the record that is the fewest slider steps away, and the picture
# says so. Hollow dots were measured on held-out training pictures, one seed each; compare them with each other only.

# %% tags=["hide-input"]
STRENGTHS = (
    "cosine", *(f"smoothing-{eps}" for eps in (0.05, 0.1, 0.2, 0.4)), *(f"mixup-{a}" for a in (0.1, 0.2, 0.5, 1.0)),
    "smooth-mixup", *PILOTS["pilot"],
)
STRONG = {name: arm(name) for name in STRENGTHS}
FIELDS = ("label_smoothing", "mixup_alpha", "lr")
explore = partial(
    ladder.explorer, STRONG, caption=statistics.caption([run for group in STRONG.values() for run in group])
)


def both_recorded(**wanted):
    nearest = ARMS[ladder.nearest_arm(STRONG, **wanted)]
    recorded = all(getattr(nearest, field) == value for field, value in wanted.items())
    return recorded and wanted["label_smoothing"] > 0 and wanted["mixup_alpha"] > 0


sliders(
    explore, **{field: sorted({getattr(ARMS[name], field) for name in STRONG}) for field in FIELDS},
    goal="Smoothing and mixup together, in a setting that has a record. There is one.", reached=both_recorded,
    solution={"label_smoothing": 0.1, "mixup_alpha": 0.2, "lr": 0.4},
)

# %% [markdown]
# The strongest smoothing, and a setting that nobody has recorded, as still pictures:

# %% tags=["hide-input"]
explore(0.4, 0.0, 0.4)

# %% tags=["hide-input"]
explore(0.2, 0.5, 0.4)

# %% [markdown]
# ## Deeper: repaired and broken
#
# *Errors removed* is a net number. A new recipe gets pictures right that the old one got wrong, and the other way
# round. Our records do not keep single pictures, so this takes live runs, short ones. Here is the baseline, and then
# the baseline with another seed. Before you run the second: of the pictures that the first one gets wrong, how many
# will it get right?

# %% tags=["hide-input"]
dataset = load_data()


def answers_right(name, seed):
    """Train a short version of an arm; which test pictures it gets right."""
    print(name, end=". ")
    parts = live_run(ARMS[name], dataset, seed, share=0.5).parts
    logits, labels = train.evaluate(parts.model, parts.test)
    return logits.argmax(1) == labels


def held_against(old, new, label):
    """Count the pictures that were repaired and broken, and say what they amount to."""
    repaired, broken, errors = int((new & ~old).sum()), int((~new & old).sum()), int((~old).sum())
    assert repaired - broken == errors - int((~new).sum())
    luck = 1.96 * math.sqrt(repaired + broken)  # so many coins, heads for a repaired picture and tails for a broken one
    size = "More" if abs(repaired - broken) > luck else "No more"
    print(f"{label}: of {errors:,} wrong pictures {repaired:,} repaired; {broken:,} broken: {repaired - broken:+,}.")
    print(f"{size} than the {luck:.0f} that other test pictures would explain; other seeds come on top of that.")


# %%
base = answers_right("ladder-baseline", seed=0)

# %%
again = answers_right("ladder-baseline", seed=1)
held_against(base, again, "another seed, and no other change")

# %% [markdown]
# The recipe did not change at all, and yet there are many of both kinds. All of that is luck. A list of pictures that
# "the stack repairs" has such pictures in it as well: it is a statement about two runs. Recipes can only be told apart
# by the *difference* of the two counts, and only over seeds.
#
# **4.** (10 minutes, medium, predict–train–explain) Now the stack without its teacher, seed 0. Write down three numbers
# first: repaired, broken, and the difference. Then train it (some 20 seconds on two CPU cores). In so short a run zero
# γ stands in its way (lesson 3.1), so it may well lose. Which of the three numbers would you report?

# %%
def with_the_stack():
    # solution
    held_against(base, answers_right("ladder-mixup", seed=0), "the stack without its teacher")


with_the_stack()

# %% [markdown] tags=["solution"]
# Repaired and broken are large whatever is compared, because two networks disagree about the hard pictures. Only the
# difference is worth a report, and only with more seeds. If the stack has lost: its blocks were still asleep when the
# run ended. In eight epochs of all pictures it wins, as the ladder shows.

# %% [markdown]
# ## Deeper: a trick's worth over all orders
#
# Added on the way up, a trick is worth one thing, left out at the top another. A fair answer takes neither order for
# the right one.
#
# **5.** (10 minutes, hard, by hand) Three tricks, and all eight combinations have been trained: `accuracy["AC"]` is
# that of A and C together, `accuracy[""]` that of the baseline. What is A worth, averaged over the six orders of adding
# them? (In game theory this mean is the Shapley value.)

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
check("worth of A", mean_over_orders, by_orders, [EIGHT, {key: 70 + len(key) for key in EIGHT}],
      hint="A comes first in two orders, last in two, and second in two: once after B, once after C.")

# %% [markdown]
# ## For discussion
#
# 1. Which tricks would you keep in your next project, in which order would you try them, and which number of this
#    course made you think so? Name one that you would drop although the paper has a gain for it.
# 2. You may run 30 trainings. Would you spend them on a ladder, on leave-one-out, on more seeds, or on tuning the
#    baseline's learning rate? What would a reader want you to have done?
# 3. Take out your guesses of all lessons. Where were you wrong most often: in the sign, in the size, or in how sure
#    you were?
