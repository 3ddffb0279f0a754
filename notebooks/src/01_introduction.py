# %% [markdown]
# # 1 Introduction: what a trick is worth
#
# **Two ways from the same recipe to the same recipe. So what is mixup worth, 0.84 points or 0.62?**

# %% tags=["hide-input"]
import math
from functools import partial
from itertools import pairwise, permutations

import torch
from IPython.display import display

from tricks import ROOT, recipe
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import conclusion, load_data, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.models import resnet
from tricks.plots import diagrams, ladder, style
from tricks.records import paper, statistics
from tricks.studies.studies import arm, recipe_of, study

# %% tags=["hide-input"]
SMOOTH, DISTILL = "+ label smoothing", "+ distill w/o mixup"  # rows of Table 6
MIXUP, BOTH = "+ mixup w/o distill", "+ distill w/ mixup"
corner = {row: paper.table("6")[row]["ResNet-50-D_top1"] for row in (SMOOTH, DISTILL, MIXUP, BOTH)}


@style.styled
def two_ways_up():
    source = f"{paper.SOURCE}, Table 6: ResNet-50-D, ImageNet. One run for each row"
    fig, ax = style.canvas(height=2.7, caption=source)
    colours = dict(zip(("distillation", "mixup"), style.COLOURS, strict=False))
    for y, (first, second, middle) in enumerate((("mixup", "distillation", corner[MIXUP]),
                                                 ("distillation", "mixup", corner[DISTILL]))):
        for trick, low, high in ((first, corner[SMOOTH], middle), (second, middle, corner[BOTH])):
            ax.barh(y, high - low, 0.42, left=low, color=colours[trick])
            ax.text((low + high) / 2, y + 0.27, f"{trick} {style.signed(high - low)}", ha="center", va="bottom",
                    color=colours[trick], fontweight="bold")
    ax.set(xlabel="top-1 accuracy, %", yticks=(0, 1), yticklabels=("mixup first", "distillation first"))
    ax.set(xlim=(corner[SMOOTH] - 0.05, corner[BOTH] + 0.12), ylim=(-0.4, 1.7))
    ax.set_xticks([*corner.values()])
    ax.grid(axis="y", visible=False)
    return fig


two_ways_up()

# %% [markdown]
# Both ways begin at the row with label smoothing and end at the row with everything. *Mixup* trains on mixtures of two
# pictures, *distillation* with a larger network as a teacher.
#
# **Claim.** What a trick is worth depends on what it is added to, so a row of a table is no property of the trick. The
# paper's own ladder of tricks rises by 3.42 points, a seventh of the errors of its authors' own baseline. On the way
# the network, the length of training and the source of the targets change too.
#
# After this lesson you can
# 1. say in a sentence what each of the paper's tricks does;
# 2. read an ablation: cumulative or leave-one-out, and why the two disagree;
# 3. redraw the paper's results as one ladder, and say what else changes at each rung;
# 4. give a gain in points and as a share of the errors removed, and say from which baseline.
#
# *Time:* 25 minutes, one of them training on two CPU cores; 15 more for the parts headed "Deeper", 25 for questions
# and exercises. *Paper:* §1, Tables 1–6.
#
# ## Before you go on: predict
#
# Our own version of the ladder has a small network, CIFAR-10 and 12 epochs, with the learning rate chosen on held-out
# pictures. By how much is the recipe with warm-up, zero γ, no bias decay, tweak D and cosine decay above the plain
# procedure? (Each is a sentence further down.) The paper's gain for these (and for a larger batch, FP16, B and C, which
# ours does not have):

# %%
own = paper.table("2")["ResNet-50"]["baseline_top1"]
up_to_cosine = paper.table("6")["+ cosine decay"]["ResNet-50-D_top1"]
print(f"paper, baseline to cosine decay: {up_to_cosine - own:+.2f} points")
guess = predict("Change in test accuracy", low=-5, high=10)

# %% [markdown]
# ## What an ablation is, by hand
#
# An *ablation* takes parts out of a system, or adds them, to learn what each is worth. Tables 4, 5 and 6 of the paper
# are **cumulative**: each row has everything of the rows above it, except Table 6's mixup without distillation. The
# other common form is **leave-one-out**: from the complete recipe, take out one trick at a time.
#
# On paper, with 100 test pictures. The plain network gets 30 of them wrong. Trick A repairs six of these, trick B five,
# and two of the pictures are repaired by A as well as by B:

# %%
A, B = set(range(0, 6)), set(range(4, 9))  # numbers of the pictures that each repairs
none, only_a, only_b, both = (70 + len(repaired) for repaired in (set(), A, B, A | B))
interaction = (both - only_b) - (only_a - none)
print(f"accuracy: none {none}, with A {only_a}, with B {only_b}, with both {both}")
print(f"A first:        A {only_a - none:+d}, then B {both - only_a:+d}")
print(f"B first:        B {only_b - none:+d}, then A {both - only_b:+d}")
print(f"leave-one-out:  A {both - only_b:+d}, B {both - only_a:+d}; the two together are {both - none:+d}")
print(f"interaction:    {interaction:+d}, minus the {len(A & B)} pictures that both repair")
assert interaction == -len(A & B) == (both - none) - (only_a - none) - (only_b - none)

# %% [markdown]
# Every number is right, and "what is A worth?" has two answers, +6 and +4. The **interaction** is the difference
# between what the two gain together and the sum of what each gains alone. Two tricks against the same errors have a
# negative one. Two tricks that need each other, such as a larger learning rate and warm-up, have a positive one. A
# ladder gives the overlap to whoever comes first. Leave-one-out gives it to nobody, so its numbers need not add up.
#
# ## Drag the interaction
#
# The two tricks of the first picture, with the paper's gains alone. The mean over both orders depends on no order, and
# adds up to the whole.

# %% tags=["hide-input"]
alone = {"distillation": corner[DISTILL] - corner[SMOOTH], "mixup": corner[MIXUP] - corner[SMOOTH]}
theirs_together = corner[BOTH] - corner[DISTILL] - corner[MIXUP] + corner[SMOOTH]  # their interaction
orders = partial(ladder.two_orders, *(round(gain, 2) for gain in alone.values()), names=tuple(alone))
sliders(
    partial(orders, interaction=round(theirs_together, 2)), interaction=(-1.0, 1.0),
    goal="Let leave-one-out say that distillation does harm, and mixup does not.",
    reached=lambda interaction: -alone["mixup"] < interaction < -alone["distillation"], solution={"interaction": -0.5},
)

# %% [markdown]
# The panel starts at the paper's own interaction. Before you explain it, ask whether a second run would give the same:
# below, under "Evidence".
#
# ## The tricks, a sentence each
#
# | trick | what changes | § |
# |---|---|---|
# | large batch, linear scaling | four times as many pictures in a step, and a learning rate four times as large | 3.1 |
# | warm-up | the learning rate grows from near 0 to its peak over the first epochs | 3.1 |
# | zero γ | each residual block's last batch norm starts at 0: at first the block passes its input on | 3.1 |
# | no bias decay | weight decay pulls at the weights alone, not at biases nor at batch norm's γ and β | 3.1 |
# | FP16 | most is computed in numbers of 16 bits: faster, and accuracy should stay | 3.2 |
# | tweak B | the main path of a block that halves the picture no longer skips pixels | 4 |
# | tweak C | three 3×3 convolutions take the place of the first 7×7 | 4 |
# | tweak D | the shortcut of a block that halves the picture skips none either: it averages, then convolves | 4 |
# | cosine decay | the learning rate falls along half a cosine instead of in three steps | 5.1 |
# | label smoothing | the target of the right class is 0.9 and not 1; the other classes share the rest | 5.2 |
# | distillation | what a larger trained network, the teacher, says of each class is a target, too | 5.3 |
# | mixup | the network is trained on weighted means of two pictures, and of their targets | 5.4 |
#
# Each section has a lesson of the same number.
#
# ## The ladder
#
# The paper spreads its results for ResNet-50 over four tables. Each table starts where the one before ends, so they
# join into one ladder. Read it from below: a bar goes from the accuracy of the rung under it to its own.

# %% tags=["hide-input"]
RUNGS = {  # label: table, row, column
    "baseline, batch 256": ("2", "ResNet-50", "baseline_top1"),
    "batch 1024, linear scaling": ("4", "Linear scaling", "BS1024_top1"),
    "+ warm-up": ("4", "+ LR warmup", "BS1024_top1"),
    "+ zero γ": ("4", "+ Zero gamma", "BS1024_top1"),
    "+ no bias decay": ("4", "+ No bias decay", "BS1024_top1"),
    "+ FP16": ("4", "+ FP16", "BS1024_top1"),
    "+ tweak B": ("5", "ResNet-50-B", "top1"),
    "+ tweak C": ("5", "ResNet-50-C", "top1"),
    "+ tweak D": ("5", "ResNet-50-D", "top1"),
    "+ cosine decay": ("6", "+ cosine decay", "ResNet-50-D_top1"),
    "+ label smoothing": ("6", SMOOTH, "ResNet-50-D_top1"),
    "+ distillation": ("6", DISTILL, "ResNet-50-D_top1"),
    "+ mixup": ("6", BOTH, "ResNet-50-D_top1"),
}
theirs = {label: paper.table(name)[row][column] for label, (name, row, column) in RUNGS.items()}
assert theirs["+ FP16"] == paper.table("5")["ResNet-50"]["top1"]  # Table 5 starts where Table 4 ends,
assert theirs["+ tweak D"] == paper.table("6")["Efficient"]["ResNet-50-D_top1"]  # and Table 6 where Table 5 ends
tables = f"{paper.SOURCE}, Tables 2, 4, 5 and 6, ResNet-50. One run for each rung"
top = theirs["+ mixup"]
fig = ladder.ladder({"paper, ImageNet": theirs}, caption=tables)
takeaway = f"Trick by trick, the paper climbs {top - own:.2f} points above its authors' own baseline"
slide(fig, "01_ladder", takeaway=takeaway)
fig

# %% [markdown]
# Two rungs go down. A larger batch costs accuracy, which warm-up and zero γ win back; no bias decay costs some again.
# Section 3 is about speed first of all: its gain is that an epoch takes a third of the time (Table 3).
#
# ### 75.3 or 75.87?
#
# Table 1 sets the best row beside the ResNet-50 of the ResNet paper, 75.3 %. The same network trained by the authors
# *before any trick* has 75.87 % (Table 2). That difference belongs to the procedure of section 2. Points are one scale,
# the share of the errors that are gone is another:

# %%
for start, whose in ((paper.table("1")["ResNet-50"]["top1"], "another paper's"), (own, "the authors' own")):
    gain, share = top - start, 100 * (top - start) / (100 - start)
    print(f"{start:.2f} → {top:.2f}, from {whose} baseline: {gain:+.2f} points, {share:.1f} % of its errors")

# %% tags=["hide-input"]
ENDS = {"§3": "+ FP16", "§4": "+ tweak D", "§5.1": "+ cosine decay", "§5.2": "+ label smoothing", "§5.3–5.4": "+ mixup"}
gains = [b - a for a, b in pairwise([own, *(theirs[label] for label in ENDS.values())])]
print("own gain, by section:", ", ".join(f"{part} {gain:+.2f}" for part, gain in zip(ENDS, gains, strict=True)))

# %% [markdown]
# ### What else changes on the way up
#
# "ResNet-50" is at the bottom and at the top, and the run is another one. The column of multiply-adds is Table 5's, in
# 10⁹ for one picture (Table 1 prints 3.9 for the first row's network; lesson 04 counts 3.86); the rest is from §2.1, §3
# and §5.5.

# %% tags=["hide-input"]
flops = {net: row["FLOPs"] for net, row in paper.table("5").items()}
plain, d = flops["ResNet-50"], flops["ResNet-50-D"]
NOTES = {  # rungs: multiply-adds, batch size, precision, epochs, teacher
    ("baseline, batch 256",): (plain, 256, "FP32", 120, ""),
    ("batch 1024, linear scaling", "+ warm-up", "+ zero γ", "+ no bias decay"): (plain, 1024, "FP32", 120, ""),
    ("+ FP16",): (plain, 1024, "FP16", 120, ""),
    ("+ tweak B",): (flops["ResNet-50-B"], 1024, "FP16", 120, ""),
    ("+ tweak C",): (flops["ResNet-50-C"], 1024, "FP16", 120, ""),
    ("+ tweak D", "+ cosine decay", "+ label smoothing"): (d, 1024, "FP16", 120, ""),
    ("+ distillation",): (d, 1024, "FP16", 120, "ResNet-152-D"),
    ("+ mixup",): (d, 1024, "FP16", 200, "ResNet-152-D, with mixup"),
}
assert [label for labels in NOTES for label in labels] == list(theirs)
columns = ("multiply-adds, 10⁹", "batch size", "precision", "epochs", "teacher")
table([
    {"rung": ", ".join(labels), "top-1, %": ", ".join(f"{theirs[label]:.2f}" for label in labels),
     **dict(zip(columns, values, strict=True))}
    for labels, values in NOTES.items()
])
print(f"multiply-adds of all training, top ÷ bottom: {d * 200 / (plain * 120):.2f}, and the teacher's on top of that")

# %% [markdown]
# So two rungs are not one change. *Distillation* brings a second, larger network that looks at every training
# picture. *Mixup* brings 80 more epochs, which no row without mixup has: neither 0.84 nor 0.62 is the worth of mixup
# alone, and the table cannot say how much of it is time.
#
# ## In the loop: a trick that changes nothing
#
# The plainest ablation there is holds a recipe against itself. Lesson [02](02_training_procedures.ipynb) writes a
# training loop from zero; here it runs twice, and only the *seed* differs, from which the first weights, the order of
# the pictures and the crops are drawn. Expect the curves to part at once, and to end a point or so apart.

# %%
plain_loop = loop()
data = pictures(load_data())
twice = {"once": plain_loop.train, "again": partial(plain_loop.train, seed=1)}
live = race(twice, data, caption=f"live · one recipe, two seeds · {len(data[0][1]):,} pictures")

# %% tags=["hide-input"]
ends = [rows[-1]["test_accuracy"] for rows in live.values()]
words = "As much as many a row of the paper's tables" if abs(ends[1] - ends[0]) > 0.3 else "Close, by luck"
print(f"seed 1 − seed 0: {ends[1] - ends[0]:+.2f} points on {len(data[1][1]):,} test pictures, with nothing changed.")
print(f"{words}; the next pair of seeds would be another distance apart.")

# %% [markdown]
# So a difference of ours is the mean over several seeds, the same ones in both recipes, ± its 95 % interval. An
# interval that holds 0 is "no clear difference". Lesson [C](C_when_to_believe.ipynb) computes such an interval by hand,
# says how many seeds an effect takes, and has the four verdicts that stand beside the paper's numbers in all lessons.
#
# ## Evidence
#
# Our baseline is the plain procedure of section 2. Its learning rate and the time of its first division were chosen on
# held-out training pictures, and so was the other recipe's learning rate ("Deeper" has both searches; the long runs had
# none). Your guess against what was measured:

# %% tags=["hide-output"]
baseline, cosine = statistics.same_seeds({name: arm(name) for name in ("baseline", "cosine")}).values()
theirs_too = paper.resnet_50(up_to_cosine - own, unlike="the paper's has B, C, FP16 and a larger batch, too")
ours = statistics.compare(cosine, baseline)
guess.reveal(ours, theirs_too, label="cosine − baseline", caption=statistics.caption(baseline + cosine))

# %% tags=["hide-input", "hide-output"]
EPOCHS = {"short": cosine[0].recipe.epochs, "long": recipe_of("full-cosine").epochs}
PAIRS = {"short": (cosine, baseline), "long": (arm("full-cosine"), arm("full-standard"))}
found = {regime: statistics.compare(*pair) for regime, pair in PAIRS.items()}
shares = {regime: statistics.plus_minus(statistics.errors_removed(*pair), 1) for regime, pair in PAIRS.items()}
guess.veil("\n".join(
    f"{EPOCHS[regime]:>3} epochs: {found[regime]}\n            {shares[regime]} % of the baseline's errors removed"
    for regime in PAIRS
) + f"\npaper:      {theirs_too.delta:+.2f} points, {100 * theirs_too.delta / (100 - own):.1f} % of the errors")

# %% tags=["hide-input", "hide-output"]
short, long = found["short"], found["long"]
why = f"""In {EPOCHS["short"]} epochs the baseline is still on its way,
and whatever gets there sooner is worth points. In {EPOCHS["long"]} it fits nearly all
of its training pictures, and only how well it ends on new ones counts."""
if not long.clear:
    low, high, paper_delta = long.mean - long.half, long.mean + long.half, theirs_too.delta
    guess.veil(f"""The long gain is not resolved: nothing from {low:+.1f} to {high:+.1f} points is excluded.
To see the paper's {paper_delta:+.2f} takes about {long.seeds_for(paper_delta)} seeds like these.
There is reason to expect less than in the short runs. {why}""")
elif long.mean < short.mean:
    guess.veil(f"The long gain is smaller. {why}")
else:
    guess.veil("The long gain is not smaller: these tricks do more than to get there sooner.")

# %% [markdown]
# There are several changes in this difference, the learning rate among them, so no single one may be credited with it,
# and the paper's has others. Points are not a common scale either: our baseline makes more errors than the paper's, so
# there is more to remove. The share of the errors removed is the fairer number, and still not the same question: ours
# are errors of a small network that has seen few pictures. What each trick is worth here is for its own lesson to say,
# after your guess; [07](07_conclusion.ipynb) has the whole ladder.
#
# ### The interaction: would a second run give the same?
#
# The arXiv version of the paper has one run for each row. The version printed at CVPR 2019 repeats the ResNet-50-D
# column, as mean ± standard deviation. And we have the four recipes of the first picture, in short runs with equal
# epochs:

# %% tags=["hide-input"]
cvpr = paper.table("6 (CVPR)")
repeated = {row: cvpr[row]["ResNet-50-D_top1_mean"] for row in corner}
spread = math.hypot(*(cvpr[row]["ResNet-50-D_top1_std"] for row in corner))
again = repeated[BOTH] - repeated[DISTILL] - repeated[MIXUP] + repeated[SMOOTH]

four = [arm(name) for name in ("smoothing-0.1", "distill", "smooth-mixup", "distill-mixup")]
ours_together = statistics.interaction(*four)
print(f"interaction of distillation and mixup\npaper, arXiv, one run each {theirs_together:+.2f}; CVPR {again:+.2f};",
      f"standard deviation of such a sum of four single runs {spread:.2f} points")
print(f"ours, {recipe_of('distill').epochs} epochs: {ours_together}")

# %% tags=["hide-input"]
words = "have opposite signs" if theirs_together * again < 0 else "have the same sign"
need = ours_together.seeds_for(theirs_together)
print(f"The paper's two versions {words}: how much the order of these two tricks matters, its runs are too few to say.")
print(f"To see an interaction of {abs(theirs_together):.2f} points, it takes about {need} seeds of ours, of all four "
      "recipes.")

# %% [markdown]
# ## Conclusion

# %% tags=["hide-input"]
conclusion(
    mechanism="""Added one after another, a trick gets the gain on top of those before it; left out, what the others
        cannot make up for. The two part by the interaction: what two tricks gain together beyond the sum of both
        alone.""",
    paper=f"""From the authors' own {own} to {top} %: {top - own:+.2f} points, {100 * (top - own) / (100 - own):.0f} %
        of the errors; 75.3 is another paper's. On the way come {d / plain:.2f} times the multiply-adds, a teacher, and
        80 more epochs. One run for each rung.""",
    short=f"""{EPOCHS["short"]} epochs, plain procedure to cosine decay: {ours}; {shares["short"]} % of the errors
        removed. Distillation and mixup, interaction: {ours_together}.""",
    long=f"""{EPOCHS["long"]} epochs, plain procedure to cosine decay: {found["long"]}; {shares["long"]} % of the errors
        removed.""",
    use="""You read or write a table of tricks. Ask of each row: added to what, from whose baseline, what else changed,
        how many seeds? Give points and the share of the errors.""",
    harms="""You add up rows that do not join, or copy a row's gain into another recipe: it was measured on top of
        the rows before it, with that network and that length of training.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("75.3 → 79.29: the tricks gain four points. What is wrong with that?", {
    "Nothing, Table 1 says so": (
        False, "Table 1 holds two papers side by side. Before any trick the authors' own ResNet-50 had 75.87 %."),
    "It starts from another paper's baseline: from the authors' own it is 3.42, and the network is another one": (
        True, "And the top row has 200 epochs and a teacher. A gain without its baseline is half a number."),
    "It should be 4 %": (False, "Then it would be worse: four per cent of what? Points and per cent are two scales."),
})
quiz("“The tricks, stacked together, …” What is stacked?", {
    "Several networks, whose predictions are combined, as in stacking ensembles": (
        False, "The best row costs as many multiply-adds as one ResNet-50-D. Two networks would cost twice as many."),
    "The tricks: each is added to the recipe that has all those before it": (
        True, "A cumulative ablation. There is one network at test time."),
    "Layers: the network gets deeper": (
        False, "Only tweak C adds layers, two convolutions in the stem. ResNet-152-D is the teacher."),
})
quiz("Table 4, batch 1024: zero γ, +0.44. What does this number say?", {
    "Zero γ is worth 0.44 points": (
        False, "Worth it on top of linear scaling and warm-up, at that batch. At batch 256 the same row has +0.16."),
    "On top of linear scaling and warm-up, in one run each, zero γ was 0.44 points ahead": (
        True, "Base, batch and number of runs belong to it."),
    "Without zero γ, the complete recipe would lose 0.44 points": (
        False, "That is leave-one-out, which the paper does not have. The tricks that come later may make up for it."),
})
quiz("75.87 → 79.29: which sentence is right?", {
    "14 % better": (
        False, "Of the errors 14 % are gone, and the accuracy is 4.5 % above what it was. “Better” is neither."),
    "3.42 % better": (False, "Say points. Per cent of what it was, it would be 4.5."),
    "3.42 points, or 14 % of the errors": (True, "Two scales, both with their name, and the baseline in the sentence."),
})
quiz("Table 6's row with mixup has 200 epochs, the row before it 120. What is mixup worth?", {
    "The difference of the two rows": (
        False, "That is mixup and 80 epochs. Other recipes gain by longer training, too."),
    "Nothing: it is all due to the epochs": (
        False, "The table does not say that either. The run in between is missing."),
    "The table cannot say; a run without mixup and with 200 epochs would": (
        True, "Change one thing at a time. Lesson 5.4 has such a run, at our scale."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). Leave-one-out, as somebody has it in a notebook. `accuracy` trains with a list of tricks.
# The first trick of the list always comes out as the best. Which line is wrong?

# %% tags=["hide-input"]
def tricks_that_do_not_meet(names):
    worth = {"A": 1.0, "B": 2.0, "C": 3.0}  # they simply add
    gains = names["leave_one_out"](lambda tricks: 70 + sum(worth[trick] for trick in tricks), ["A", "B", "C"])
    assert gains == worth, f"tricks that add 1, 2 and 3 points are said to add {[*gains.values()]}"


bug_hunt(
    """
def leave_one_out(accuracy, tricks):
    full = accuracy(tricks)
    gains = {}
    for i, trick in enumerate(tricks):
        others = tricks[:i]
        gains[trick] = full - accuracy(others)
    return gains
""",
    wrong="others = tricks[:i]",
    right="others = tricks[:i] + tricks[i + 1:]",
    why="It leaves out the trick and all that come after it, so the first one gets the credit for the whole list.",
    test=tricks_that_do_not_meet,
)

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). What is trick A worth, averaged over both orders? `none`, `a`, `b` and `both` are
# accuracies without tricks, with A alone, with B alone, with both.

# %%
def mean_gain_of_a(none, a, b, both):
    # solution
    return ((a - none) + (both - b)) / 2


# %% tags=["hide-input"]
def over_all_orders(none, a, b, both):
    """The same from a list of all orders, as it would be written for more than two tricks."""
    accuracy = {"": none, "A": a, "B": b, "AB": both}
    gains = []
    for order in permutations("AB"):
        before = "".join(sorted(order[: order.index("A")]))
        gains.append(accuracy["".join(sorted(before + "A"))] - accuracy[before])
    return sum(gains) / len(gains)


check("worth of A", mean_gain_of_a, over_all_orders, [(70, 76, 75, 79), (78.31, 78.67, 79.15, 79.29)],
      hint="There are two orders. In one A starts from none, in the other from b. Take the mean of its two gains.")

# %% [markdown]
# **2. By hand** (5 minutes, easy). Which share of the errors, in per cent, does a gain from accuracy `before` to
# accuracy `after` remove, both in per cent?

# %%
def removed(before, after):
    # solution
    return 100 * (after - before) / (100 - before)


# %% tags=["hide-input"]
check("errors removed", removed, lambda a, b: 100 * (1 - (100 - b) / (100 - a)), [(50, 75), (75.87, 79.29), (90, 89)],
      hint="How many of 100 pictures are wrong before, and how many fewer after?")

# %% [markdown]
# **3.** (5 minutes, medium) Single runs of one recipe scatter with standard deviation `s`, whatever the recipe. What is
# the standard deviation of an interaction that is computed from one run of each of the four recipes? And of a plain
# difference of two runs? Return both.

# %%
def two_spreads(s):
    # solution
    return 2 * s, math.sqrt(2) * s


# %% tags=["hide-input"]
check("two spreads", two_spreads, lambda s: [math.hypot(s, s, s, s), math.hypot(s, s)], [0.1, 0.5, 1.0],
      hint="The interaction is both − a − b + none. Variances of independent numbers add, whatever their signs.")

# %% [markdown]
# **4.** (8 minutes, medium) Three tricks, and the mean gain of each over all six orders. `accuracy` maps a frozenset of
# tricks to an accuracy. The check makes up eight accuracies. What do the three means add up to, and why?

# %%
def worths(accuracy, tricks):
    """{trick: its mean gain over all orders}"""
    # solution
    gains = {trick: [] for trick in tricks}
    for order in permutations(tricks):
        for i, trick in enumerate(order):
            gains[trick].append(accuracy[frozenset(order[: i + 1])] - accuracy[frozenset(order[:i])])
    return {trick: sum(values) / len(values) for trick, values in gains.items()}


# %% tags=["hide-input"]
def by_subsets(accuracy, tricks):
    """The same as a sum over the sets that a trick may be added to, each with its share of the orders."""
    n, answer = len(tricks), dict.fromkeys(tricks, 0.0)
    for subset in accuracy:
        share = math.factorial(len(subset)) * math.factorial(n - len(subset) - 1) / math.factorial(n) \
            if len(subset) < n else 0
        for trick in set(tricks) - subset:
            answer[trick] += share * (accuracy[subset | {trick}] - accuracy[subset])
    return answer


eight = (70, 76, 75, 72, 79, 77, 78, 80)
sets = [frozenset(names) for names in ("", "A", "B", "C", "AB", "AC", "BC", "ABC")]
check("all orders", worths, by_subsets, [(dict(zip(sets, eight, strict=True)), "ABC")],
      hint="itertools.permutations(tricks) gives the orders. In each, a trick's gain is the accuracy with it and those "
           "before it, minus that with those before it. In every order the gains add up to the whole.")

# %% [markdown]
# ## Deeper: the network on the ladder
#
# The paper's Fig. 1. A ResNet-50 is a stem, four stages of residual blocks, and an output: the mean over all positions,
# then a linear layer. From left to right the map gets smaller and its channels more. A residual block has two paths
# whose results are added; path B is the input itself where nothing has to be halved. Most of our own runs have a
# smaller one, resnet8: choose it, and look where its parameters are.

# %% tags=["hide-input"]
def network_of(net="resnet50"):
    side, classes = (224, 1000) if net == "resnet50" else (32, 10)
    with torch.device("meta"):  # shapes without numbers
        return diagrams.network(resnet.build(net, classes).eval(), torch.empty(1, 3, side, side))


sliders(partial(diagrams.diagram, caption=diagrams.NOTATION), network_of, net=["resnet50", "resnet8"])

# %% [markdown]
# ## Deeper: two more interactions, and three networks
#
# The panel above as still pictures: a large overlap, and two tricks that need each other.

# %% tags=["hide-input"]
display(*(orders(interaction=interaction) for interaction in (-0.6, 0.6)))

# %% [markdown]
# The names and gains in the picture are ResNet-50-D's. Table 6 has smoothing, smoothing with distillation, smoothing
# with mixup, and all three, so both orders, for each of three networks:

# %% tags=["hide-input"]
rows = []
for net in ("ResNet-50-D", "Inception-V3", "MobileNet"):
    gain = partial(paper.delta, "6", column=f"{net}_top1")
    first = {"distillation": gain(DISTILL, SMOOTH), "mixup": gain(MIXUP, SMOOTH)}
    last = {"distillation": gain(BOTH, MIXUP), "mixup": gain(BOTH, DISTILL)}
    rows.append({"network": net, **{f"{trick} first": f"{value:+.2f}" for trick, value in first.items()},
                 **{f"{trick} last": f"{value:+.2f}" for trick, value in last.items()},
                 "interaction": f"{last['mixup'] - first['mixup']:+.2f}"})
table(rows)

# %% [markdown]
# ## Deeper: "the tricks improve accuracy consistently" (§7)
#
# The refinements of Table 6 that lower it, network by network. And the check on *stacked*: what the best row costs.

# %% tags=["hide-input"]
LOWERED = {  # refinement: row of Table 6, the row that it is added to
    "cosine decay": ("+ cosine decay", "Efficient"),
    "label smoothing": (SMOOTH, "+ cosine decay"),
    "distillation": (DISTILL, SMOOTH),
    "mixup": (MIXUP, SMOOTH),
    "distillation after mixup": (BOTH, MIXUP),
}
best = paper.table("1")["ResNet-50 + tricks (ours)"]["FLOPs"]
print(f"multiply-adds, 10⁹: Table 1's best row {best}, one ResNet-50-D {d}, two of them {2 * d}")
for net in ("ResNet-50-D", "Inception-V3", "MobileNet"):
    changes = {name: paper.delta("6", new, old, f"{net}_top1") for name, (new, old) in LOWERED.items()}
    lower = [f"{name} ({change:+.2f})" for name, change in changes.items() if change < 0]
    print(f"{net}: lowered by", ", ".join(lower) or "none")

# %% [markdown]
# ## Deeper: "0.5 %" of what?
#
# In its text the paper names some changes that its tables do not seem to have. Three claims, and three ways to read
# "per cent": points of the measure, relative to the value before, or share of the errors removed.

# %% tags=["hide-input"]
three, six, eight_rows = (paper.table(name) for name in ("3", "6", "8"))
CLAIMS = {  # claim: before, after
    "§3.3 efficient training: +0.5 %": [three["ResNet-50"][f"{when}_top1"] for when in ("baseline", "efficient")],
    "§3.3 linear scaling alone: −0.9 %": (own, theirs["batch 1024, linear scaling"]),
    "§6.1 detection, best against standard: +4 %": (eight_rows["B-standard"]["mAP"], eight_rows[BOTH]["mAP"]),
}
table([
    {"claim": claim, "tables": f"{before} → {after}", "points": f"{after - before:+.2f}",
     "relative, %": f"{100 * (after / before - 1):+.3f}",
     "errors removed, %": f"{100 * (after - before) / (100 - before):+.1f}"}
    for claim, (before, after) in CLAIMS.items()
])
print(f"baseline to zero γ, Table 4: {theirs['+ zero γ'] - own:+.2f} points")
factors = {net: row["baseline_time_per_epoch"] / row["efficient_time_per_epoch"] for net, row in three.items()}
print("§3.2 “2 to 3 times faster”:", ", ".join(f"{net} {factor:.2f}×" for net, factor in factors.items()))
for name, new in ((SMOOTH, "+ smooth"), (MIXUP, MIXUP)):
    print(f"{name}: Table 6 {six[name]['ResNet-50-D_top1']}, Table 8 {eight_rows[new]['ImageNet_top1']}")

# %% [markdown]
# The 0.9 % fits as a relative change, the 4 % in points. The 0.5 % fits no reading of its two rows: the relative
# change rounds to 0.4. In points, 0.50 is the distance from the baseline to the row with zero γ. So say *points* when
# you mean points, and give both numbers. The speed-up of 2 to 3 comes from a larger batch and FP16 together, and
# MobileNet's is below it. Two accuracies in Table 6 are not quite those of Table 8, for what should be the same
# networks.

# %% [markdown]
# ## Deeper: our own first comparison
#
# What we have to compare with. Each number is from a recipe, a record, the paper, or counted on the network:

# %% tags=["hide-input"]
trained, meta = recipe_of("cosine"), cosine[0].meta
seen = meta["train_images"] * trained.epochs
tweaks = {key: value for key, value in trained.to_dict().items() if key.startswith("tweak_")}
ours_flops = resnet.multiply_adds(resnet.build(trained.net, 10, **tweaks), trained.image_size)
table([
    {"what": "network", "paper": "ResNet-50-D", "ours": f"{trained.net}, tweak D"},
    {"what": "parameters, 10⁶", "paper": f"{paper.table('5')['ResNet-50-D']['params']:.0f}",
     "ours": f"{meta['parameters'] / 1e6:.2f}"},
    {"what": "multiply-adds a picture, 10⁶", "paper": f"{1000 * d:,.0f}", "ours": f"{ours_flops / 1e6:.1f}"},
    {"what": "data, classes", "paper": "ImageNet, 1000", "ours": f"{meta['source']}, 10"},
    {"what": "picture's side, px", "paper": "224", "ours": f"{trained.image_size}"},
    {"what": "training pictures", "paper": "1,300,000", "ours": f"{meta['train_images']:,}"},
    {"what": "epochs", "paper": "120, with mixup 200", "ours": f"{trained.epochs}"},
    {"what": "pictures seen, paper ÷ ours", "paper": f"{1.3e6 * 120 / seen:,.0f}", "ours": "1"},
    {"what": "batch size", "paper": "1024", "ours": f"{trained.batch_size}"},
    {"what": "device", "paper": "8 V100 GPUs", "ours": f"{meta['device']}, threads: {meta['threads']}"},
    {"what": "runs for each number", "paper": "1", "ours": f"{len(cosine)}"},
])

# %% [markdown]
# A comparison is only as good as its baseline. Both recipes were chosen on 5,000 held-out training pictures. `cosine`
# has the changes of sections 3 and 4 that this network can have, and the cosine:

# %% tags=["hide-input"]
for name, pilot in (("baseline", "pilot_baseline"), ("cosine", "pilot")):
    tried = [arm(trial)[0] for trial in study(pilot).arms]
    chosen = max(tried, key=lambda run: run.accuracy).recipe
    assert (chosen.lr, chosen.first_decay) == (recipe_of(name).lr, recipe_of(name).first_decay)
    steps = f", first division after {100 * chosen.first_decay:.0f} % of the run" if chosen.schedule == "step" else ""
    print(f"{name}: best of {len(tried)} settings has lr {chosen.lr}{steps}")
for new, old in (("cosine", "baseline"), ("full-cosine", "full-standard")):
    print(f"{new} − {old}: {recipe.changes(recipe_of(new), recipe_of(old))}")

# %% [markdown]
# (`first_decay` belongs to step decay; a cosine does not read it. The long pair has the paper's two rates, 0.1 and 0.4,
# at our batch of 128 and with no search.)

# %% [markdown]
# ## Deeper: the course, lesson by lesson
#
# The lessons follow the paper's sections, and after [02](02_training_procedures.ipynb) each stands on its own.
# `docs/session_plan.md` is a plan for a study group.

# %% tags=["hide-input"]
LESSONS = {
    "00_start_here": ("all", "The paper in ten pictures: how far does the bag of tricks take a ResNet-50?"),
    "02_training_procedures": ("§2", "What are tricks added to, down to the last constant?"),
    "03_1_large_batch_training": ("§3.1", "What does a large batch cost, and what wins it back?"),
    "03_2_low_precision": ("§3.2", "What does half the bits change, besides the time?"),
    "04_model_tweaks": ("§4", "Which pixels does a ResNet never look at, and what does it cost to look?"),
    "05_1_cosine_decay": ("§5.1", "Who is ahead when, steps or cosine?"),
    "05_2_label_smoothing": ("§5.2", "What does a target that can be reached do to logits and confidence?"),
    "05_3_knowledge_distillation": ("§5.3", "What does a teacher tell that a label does not?"),
    "05_4_mixup": ("§5.4", "What does a network learn from pictures that do not exist?"),
    "06_1_object_detection": ("§6.1", "Do better networks find more objects?"),
    "06_2_semantic_segmentation": ("§6.2", "And do they outline them better?"),
    "07_conclusion": ("§7", "All tricks together: which would you keep?"),
    "08_trick_lab": ("—", "Your own recipe against the recorded ones"),
    "09_after_the_bag": ("—", "What came after the paper, and what is it worth on top of it?"),
    "A_background": ("—", "The words that the paper does not explain, each as a picture"),
    "B_paper_vs_code": ("—", "Where well-known code departs from the paper, and the paper from itself"),
    "C_when_to_believe": ("—", "How many seeds, which interval, which epoch: when is a difference to be believed?"),
}
table([
    {"lesson": f"[{name}]({name}.ipynb)", "paper": section, "question": question}
    for name, (section, question) in LESSONS.items()
    if (ROOT / "notebooks" / f"{name}.ipynb").exists()
])

# %% [markdown]
# ## For discussion
#
# 1. You have 24 runs for four tricks. A cumulative ladder, leave-one-out, or all sixteen combinations: how many seeds
#    does each leave you, and which questions can each answer?
# 2. The paper tuned nothing again after adding a trick, as far as it says. Which of its tricks would you expect to
#    want another learning rate? What does that do to a ladder?
# 3. In the first picture, which of the two ways up would you print, if you had invented mixup? And distillation?
