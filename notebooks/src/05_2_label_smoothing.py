# %% [markdown]
# # 5.2 Label smoothing
#
# **A network says: "I am nine tenths sure." How often is it right?**

# %% tags=["hide-input"]
import math
from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tricks import label_smoothing, metrics, targets
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import conclusion, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots.evidence import against_paper, gap_histogram, reliability, response
from tricks.plots.smoothing import optimal_gap
from tricks.records import paper, statistics
from tricks.studies.studies import arm

# %% tags=["hide-input"]
long, long_smooth = arm("full-cosine"), arm("full-smooth")  # 120 epochs
epochs = long[0].recipe.epochs


def mean_of(runs, number):
    return statistics.t_interval([number(run) for run in runs])[0]


def near_nine_tenths(run):
    """Accuracy, in per cent, where the confidence is between 13/15 and 14/15."""
    return 100 * run.final["reliability"]["accuracy"][13]


reliability({f"one-hot targets, {epochs} epochs": long}, height=3.3, caption=statistics.caption(long))

# %% tags=["hide-input"]
right = mean_of(long, near_nine_tenths)
fitted = mean_of(long, lambda run: run.rows[-1]["train_accuracy"])
too_much = mean_of(long, statistics.overconfidence)
print(f"Where its confidence is 87 to 93 %, it is right on {right:.0f} % of the test pictures. On all of them it is")
print(f"{too_much:.1f} points surer than it is right. Of its training pictures it knows {fitted:.1f} %.")

# %% [markdown]
# *Confidence* is the largest probability that softmax gives out. A dot is a group of test pictures with about the same
# confidence; its height is how many of them the network gets right. On the diagonal confidence is honest, below it the
# network claims too much. This one was trained for as many epochs as the paper's, and knows its training pictures by
# heart.
#
# **Claim.** A one-hot target can only be reached with infinite logits, so a network that fits its training pictures
# becomes surer and surer. Label smoothing gives the other classes a little probability ε, so that the target is reached
# at a finite gap between the logits, which can be computed before training.
#
# After this lesson you can
# 1. write the smoothed target and its loss, in the paper's convention and in PyTorch's, and find out whether a loss
#    that you did not write has smoothing in it;
# 2. say how far apart the logits should end up for a given ε and number of classes K;
# 3. read a reliability diagram, and say when smoothing makes it better and when worse;
# 4. name three things that a calibration error does not tell.
#
# *Time:* 30 minutes; 40 with the parts headed "Deeper", 75 with questions and exercises. One minute of it is training,
# on two idle CPU cores. *Paper:* §5.2, eq. 3–5, Fig. 4, Table 6.
#
# ## Before you go on: predict
#
# The paper trains for 120 epochs, and ε = 0.1 adds to the accuracy of its ResNet-50-D what is printed below. By how
# much will it change the test accuracy of the network above? (The paper's ± is how far apart two single runs may be
# there.)

# %%
theirs = paper.effect("6", "+ label smoothing", "+ cosine decay", "ResNet-50-D_top1")
print(f"paper, Table 6, means of the CVPR version: {theirs} points of top-1 accuracy")
guess = predict("Change in test accuracy, 120 epochs", low=-2, high=2, unit="points")

# %% [markdown]
# ## A target out of reach
#
# Three classes, and the first one is right. The logits are (z, 0, 0). The loss of a one-hot target is −log q, where q
# is the probability that softmax gives to the right class. Raise z:

# %%
for z in (0, 2, 4, 8, 16):
    q = torch.softmax(torch.tensor([z, 0.0, 0.0], dtype=torch.float64), dim=0)[0]
    print(f"z = {z:2d}   q = {q:.7f}   loss = {-q.log():.7f}")

# %% [markdown]
# It falls for ever. There is no z at which the network may rest: a picture that is classified rightly still pulls the
# logits apart.
#
# ## By hand
#
# The smoothed target keeps 1 − ε for the right class and shares ε equally among the K − 1 others (eq. 4). Two
# pictures, K = 4 classes, ε = 0.1; the right classes are 2 and 0:

# %%
eps, K, y = 0.1, 4, torch.tensor([2, 0])
by_hand = torch.full((2, K), eps / (K - 1))
by_hand[torch.arange(2), y] = 1 - eps
by_hand

# %% [markdown]
# The loss is the cross-entropy −Σ p log q of the target p and the softmax q. (The paper prints eq. 3 with the two
# exchanged; its next line uses it as written here.) Its gradient with respect to the logits is q − p, so the network
# may rest where the softmax *equals* the target. There the right logit stands above each other one by
#
# $$z^*_y - z^*_i = \log\frac{(K-1)(1-\varepsilon)}{\varepsilon},$$
#
# the optimal gap (eq. 5). It is infinite at ε = 0, and zero at ε = (K−1)/K, where the target is the same for all
# classes. Ten free logits, pulled by gradient descent, with no network behind them:

# %% tags=["hide-input"]
rows = []
for eps in (0.0, 0.1):
    z, p = torch.zeros(1, 10), label_smoothing.smooth(targets.one_hot(torch.tensor([3]), 10), eps)
    row = {"ε": eps}
    for step in range(1, 2_001):
        z = z - 0.5 * (z.softmax(1) - p)
        if step in (10, 100, 500, 2_000):
            row[f"gap after {step:,} steps"] = f"{metrics.logit_gap(z)[0]:.3f}"
    rows.append(row | {"eq. 5": f"{label_smoothing.theoretical_gap(eps, 10):.3f}" if eps else "∞"})
table(rows)

# %% [markdown]
# ## What the network is asked for
#
# Drag ε and K. On the left, target and softmax of the optimal logits; on the right, the gap against ε, as in the
# paper's Fig. 4a. The paper's own case is K = 1000, ε = 0.1: a gap of about 9.1. A larger ε asks for a smaller gap.
# More classes ask for a larger one: each wrong class then gets less of ε.

# %% tags=["hide-input"]
idea = optimal_gap(0.1, 10)
slide(idea, "05_2_idea", takeaway="A smoothed target can be reached, at a finite gap between the logits")
sliders(
    optimal_gap, eps=(0.001, 0.9), K=(2, 1000),
    goal="Take half of the probability or more from the true class, and still ask for a gap of at least 5.",
    reached=lambda eps, K: eps >= 0.5 and label_smoothing.theoretical_gap(eps, K) >= 5, solution={"eps": 0.5, "K": 200},
)

# %% [markdown]
# ## The trick's own file
#
# It takes targets that are dense already, (N, K) probabilities in place of N class numbers, so that it works in the
# same way on targets that mixup has mixed:

# %%
show(label_smoothing.smooth)
assert torch.allclose(label_smoothing.smooth(targets.one_hot(y, K), 0.1), by_hand)

# %% [markdown]
# ### Two conventions, and: is it on?
#
# PyTorch's `label_smoothing` gives *every* class ε/K, the right one too, which then has 1 − ε + ε/K: at K = 10 and ε =
# 0.1 that is 0.91 where the paper has 0.90. Multiplying the paper's ε by K/(K−1) gives PyTorch's:

# %%
logits, y10 = torch.randn(8, 10, generator=torch.Generator().manual_seed(0)), torch.arange(8)
ours = targets.soft_cross_entropy(logits, label_smoothing.smooth(targets.one_hot(y10, 10), 0.1))
print(f"paper, ε = 0.1:                 {ours:.6f}")
print(f"PyTorch, label_smoothing = 0.1: {cross_entropy(logits, y10, label_smoothing=0.1):.6f}")
print(f"PyTorch, label_smoothing = 1/9: {cross_entropy(logits, y10, label_smoothing=1 / 9):.6f}")

# %% [markdown]
# Is it on in a loss that you did not write? In PyTorch it is off by default. In timm it is on: 0.1 in its training
# script, in `LabelSmoothingCrossEntropy` and inside `Mixup`. Do not read the code, ask the loss. Logits that are right
# by 20 have a one-hot loss of practically 0. With smoothing each wrong class has −log q = 20, so the loss is 20 ε:

# %%
sure_and_right = torch.tensor([[20.0, *[0.0] * 9]])
for loss in (cross_entropy, partial(cross_entropy, label_smoothing=0.1), partial(cross_entropy, label_smoothing=1 / 9)):
    print(f"the paper's ε in this loss: {loss(sure_and_right, torch.tensor([0])) / 20:.3f}")

# %% [markdown]
# ## In the loop from zero
#
# One argument of one call. Ten classes, so the paper's ε = 0.1 is 1/9 in PyTorch's convention. Accuracy alone will not
# show what the trick does. So both loops also report, for the test pictures, the mean confidence and the mean *gap*,
# the largest logit minus the mean of the others.
#
# What may come out? The confidence falls, and so does the gap. It may end *below* the optimum: in eight epochs the
# network does not know its pictures, and a hard one has a small gap with either target. The training loss ends
# *higher*, because it cannot go below the target's own entropy. The accuracy may go either way: one seed, and eight
# epochs.

# %% tags=["hide-input"]
networks = {}


@torch.inference_mode()
def beliefs_of(name, net, x):
    """Mean confidence, in per cent, and mean gap of a network in eval mode; the network is kept under its name."""
    networks[name] = net
    logits = torch.cat([net(part) for part in x.split(500)])
    sure = 100 * logits.softmax(1).max(1).values.mean().item()
    return {"confidence": sure, "gap": metrics.logit_gap(logits.cpu()).mean().item()}


# %%
dataset = load_data()
data = pictures(dataset)
last = '"test_accuracy": accuracy(net, *test_set)}'
report = {last: last[:-1] + ",\n               **beliefs(net, test_set[0])}"}
plain = loop(report, beliefs=partial(beliefs_of, "one-hot"))

# %%
smooth = loop(
    report | {"F.cross_entropy(net(x), y)": "F.cross_entropy(net(x), y, label_smoothing=1 / 9)"},
    beliefs=partial(beliefs_of, "smoothed"),
)

# %%
live = race(
    {"one-hot": plain.train, "smoothed": smooth.train}, data, caption=f"live, seed 0 · from zero · {dataset.source}"
)

# %% tags=["hide-input"]
ends = {name: rows[-1] for name, rows in live.items()}
for name, end in ends.items():
    print(f"{name}: confidence − accuracy {end['confidence'] - end['test_accuracy']:+.1f} points, gap {end['gap']:.2f}")
tested, share = len(data[1][1]), ends["one-hot"]["test_accuracy"] / 100
apart = ends["smoothed"]["test_accuracy"] - ends["one-hot"]["test_accuracy"]
luck = 196 * (2 * share * (1 - share) / tested) ** 0.5
print(f"The gap that ε = 0.1 asks for is {label_smoothing.theoretical_gap(0.1, 10):.2f}.")
verdict = "says nothing of accuracy" if abs(apart) < luck else "is more than that; but it is one seed"
print(f"Accuracy, smoothed − one-hot: {apart:+.1f} points. On {tested:,} test pictures two equally good networks may")
print(f"be {luck:.1f} apart, so this {verdict}. The records below have more seeds and more pictures.")

# %% [markdown]
# In the library it is the same line, on dense targets:

# %% tags=["hide-input"]
show_loop("# label smoothing", context=2)

# %% [markdown]
# ## Do trained networks stop there?
#
# The paper's Fig. 4b beside our networks of 120 epochs: for each test picture, its gap. The dashed line is eq. 5 at
# ten classes. It is a goal and no bound. Pictures that the network finds hard stay below it, and others go beyond: all
# pictures share the weights, which cannot be at the optimum of each.

# %% tags=["hide-input"]
goal = label_smoothing.theoretical_gap(0.1, 10)
theirs_4b = {f"{name}, K = 1000": paper.curve("4b", name) for name in ("one-hot", "smoothed")}
trained = {"one-hot": long, "ε = 0.1": long_smooth}
gap_histogram(trained, theory={"ε = 0.1": goal}, paper=theirs_4b, caption=statistics.caption(long + long_smooth))

# %% tags=["hide-input"]
for name, (gap, density) in theirs_4b.items():
    mean = sum(g * d for g, d in zip(gap, density, strict=True)) / sum(density)
    print(f"paper, {name}: mean gap {mean:.1f}")
print(f"paper, optimum at ε = 0.1: {label_smoothing.theoretical_gap(0.1, 1000):.1f}")
for name, runs in trained.items():
    mean, spread = (mean_of(runs, lambda run, part=part: run.final["gap"][part]) for part in ("mean", "sd"))
    print(f"ours, {name}, K = 10: mean gap {mean:.1f}, standard deviation over the pictures {spread:.1f}")
print(f"ours, optimum at ε = 0.1: {goal:.1f}")

# %% [markdown]
# ## Is the network more honest?
#
# The picture of the beginning once more, and the same network with ε = 0.1:

# %% tags=["hide-input"]
fig = reliability({f"{name}, {epochs} epochs": runs for name, runs in trained.items()},
                  caption=statistics.caption(long + long_smooth))
before, after = (mean_of(runs, statistics.overconfidence) for runs in trained.values())
takeaway = f"Confidence minus accuracy: {before:+.1f} points with one-hot targets, {after:+.1f} with ε = 0.1"
slide(fig, "05_2_reliability", takeaway=takeaway, runs=long + long_smooth)
fig

# %% [markdown]
# Smoothing did not put the network on the diagonal. It pushed it *across*, to the side of too little confidence, and it
# ends nearer than it was. And a network that was near the diagonal from the start? Below, *confidence − accuracy* says
# where each was: above 0 it claims too much. The *expected calibration error* (ECE) sorts the pictures by confidence
# into 15 bins and averages |accuracy − confidence| over the pictures. The *negative log-likelihood* (NLL) is the plain
# cross-entropy of the test labels. Both are better when lower.

# %% tags=["hide-input"]
short, short_smooth = arm("cosine"), arm("smoothing-0.1")
table([
    {"run": f"{runs[0].recipe.epochs} epochs, {'ε = 0.1' if runs[0].recipe.label_smoothing else 'one-hot'}",
     "training accuracy, %": f"{mean_of(runs, lambda run: run.rows[-1]['train_accuracy']):.1f}",
     "confidence − accuracy, points": statistics.plus_minus([statistics.overconfidence(run) for run in runs], 1),
     "ECE, points": statistics.plus_minus([100 * run.final["ece"] for run in runs], 1),
     "NLL, nats": statistics.plus_minus([run.final["nll"] for run in runs], 3)}
    for runs in (short, short_smooth, long, long_smooth)
])

# %% [markdown]
# The sign turns round. After 12 epochs the network does not know all its training pictures, and is about as right as it
# thinks: nothing was there to cure, and ε = 0.1 makes it *under*confident. After 120 epochs there was. Smoothing knows
# nothing of either: it lowers confidence, wherever that stood.
#
# ## Accuracy
#
# That is a question of its own. How far off is your guess?

# %% tags=["hide-output"]
in_long = statistics.compare(long_smooth, long)
guess.reveal(in_long, theirs, label="ε = 0.1, 120 epochs", caption=statistics.caption(long + long_smooth))

# %% tags=["hide-input", "hide-output"]
lengths = {f"in {runs[0].recipe.epochs} epochs": statistics.compare(runs, before)
           for runs, before in ((short_smooth, short), (long_smooth, long))}
in_short = next(iter(lengths.values()))
everything = [*short, *short_smooth, *long, *long_smooth]
drawn = {where: (found, theirs) for where, found in lengths.items()}
fig = against_paper(drawn, caption=statistics.caption(everything))
takeaway, numbers = statistics.headline("Label smoothing with ε = 0.1", lengths, theirs)
slide(fig, "05_2_short_and_long", takeaway=takeaway, numbers=numbers, runs=everything)
guess.veil(fig)

# %% tags=["hide-input", "hide-output"]
def needed(found):
    """How many seeds it would take to see the paper's effect in 80 of 100 studies, with our spread."""
    return statistics.seeds_for(theirs.delta, float(np.std(found.differences, ddof=1)))


others = {net: paper.delta("6", "+ label smoothing", "+ cosine decay", f"{net}_top1")
          for net in ("Inception-V3", "MobileNet")}
guess.veil("\n".join([
    *(f"paper, {net}: {delta:+.2f} points, one run each" for net, delta in others.items()),
    *(f"{where}: {found}.\n    To see the paper's {theirs.delta:+.2f} in 80 of 100 studies: {needed(found)} seeds; "
      f"here are {len(found.seeds)}"
      for where, found in lengths.items()),
]))

# %% tags=["hide-input", "hide-output"]
nulls = [where for where, found in lengths.items() if not found.clear]
open_ = [where for where in nulls if abs(theirs.delta - lengths[where].mean) < lengths[where].half]
excluded = [where for where in nulls if where not in open_]
guess.veil(f"Intervals that hold 0: {', '.join(nulls) or 'none'}. The paper's gain too: {', '.join(open_) or 'none'}; "
           f"0 and not the paper's gain: {', '.join(excluded) or 'none'}.")

# %% [markdown]
# Where an interval holds both 0 and the paper's gain, neither "it helps" nor "it does nothing" is a result of ours. The
# number of seeds is what sees the paper's gain in 80 of 100 studies: with 5 of 5 the short runs may still be one of the
# other 20. Where it holds 0 and not the paper's gain, there is a result: this network does not gain so much on these
# pictures. ImageNet's thousand classes hold many that are alike, and more wrong labels than CIFAR-10's ten, so
# smoothing may have more to do there; no run here tests that. Even there the other two networks, one run each, gain
# less. So for accuracy alone, try it over several seeds on your own task.
#
# ## Conclusion

# %% tags=["hide-input"]
def points(runs, number=statistics.overconfidence):
    return f"{mean_of(runs, number):+.1f}"


def ece(runs):
    return f"{100 * mean_of(runs, lambda run: run.final['ece']):.1f}"


strongest = statistics.compare(arm("smoothing-0.4"), short)
conclusion(
    mechanism=f"""The target 1 − ε is reached at a logit gap of log((K−1)(1−ε)/ε), {goal:.1f} at K = 10 and ε = 0.1, so
        training stops pulling the logits apart. Confidence falls, the more the larger ε, whatever it was before.""",
    paper=f"""ResNet-50-D {theirs} points of top-1, Inception-V3 {others["Inception-V3"]:+.2f}, MobileNet
        {others["MobileNet"]:+.2f}. Calibration is not measured there.""",
    short=f"""{short[0].recipe.epochs} epochs. Confidence − accuracy goes from {points(short)} to {points(short_smooth)}
        points and the ECE from {ece(short)} to {ece(short_smooth)}: worse. Accuracy: {in_short}; to see the paper's
        gain takes {needed(in_short)} seeds, here are {len(in_short.seeds)}.""",
    long=f"""{epochs} epochs. Confidence − accuracy goes from {points(long)} to {points(long_smooth)} points and the ECE
        from {ece(long)} to {ece(long_smooth)}: better. Accuracy: {in_long}; more than
        {in_long.mean + in_long.half:+.2f} is not to be expected, where the paper has {theirs.delta:+.2f}.""",
    use="""The network fits nearly all its training pictures, and somebody uses its probabilities. Measure confidence −
        accuracy first; choose ε by the NLL of held-out pictures. It costs no time, and with many classes and long
        training it may gain some accuracy.""",
    harms=f"""The network is honest already, as after few epochs: it is made underconfident. ε is large: 0.4 costs
        {-strongest.mean:.1f} ± {strongest.half:.1f} points of accuracy here. The network is to be a teacher: others
        found its students worse (lesson 5.3). Or a library has it on and you do not know: yours comes on top.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("K = 10 and ε = 0.1, as in eq. 4. What is in the target of one picture?", {
    "0.9 for the right class, 0.1 for each other one": (
        False, "Then the row sums to 1.8. A target is a distribution: the nine wrong classes share ε."),
    "0.91 for the right class, 0.01 for each other one": (
        False, "That is PyTorch's convention, ε/K for every class, the right one too. The paper's 0.1 is 1/9 there."),
    "0.9 for the right class, 0.011 for each other one": (
        True, "1 − ε, and ε/(K−1) for each of the nine others, so that the row sums to 1."),
    "0.9 for the right class, most of the rest for the classes that look like it": (
        False, "Smoothing knows nothing of similarity: to the target of a cat, dog and lorry are the same."),
})
quiz("At the end of training the loss with ε = 0.1 is higher than the loss with one-hot targets. What does that say?", {
    "Nothing yet: the two losses have different lowest values": (
        True, "At ε = 0 the lowest loss is 0, else it is the target's entropy. Compare the NLL of test pictures."),
    "The network with ε = 0.1 fits its training pictures worse": (
        False, "It may have reached its lowest loss, which is the target's entropy and not 0. Exercise 2 computes it."),
    "The network with ε = 0.1 is less sure": (
        False, "It is, but the loss does not say so: another target moves the loss of the very same softmax."),
})
quiz("Does label smoothing make a network calibrated?", {
    "Yes, that is what it is for": (
        False, "It lowers confidence, whether that was honest or not. After 12 epochs it made the ECE worse."),
    "No, it raises confidence, because its targets can be reached": (
        False, "The other way round: the gap that can be reached is finite, and a smaller gap is less confidence."),
    "It lowers confidence, and that helps a network that was too sure": (
        True, "It does not know how sure the network was. One that was honest is made underconfident."),
})
quiz("You train with timm's script and its defaults, and want the row of Table 6 without smoothing. What do you do?", {
    "Nothing: smoothing is off unless asked for": (
        False, "In PyTorch's loss it is. In that script, and inside its Mixup, the default is 0.1."),
    "Set smoothing to 0, and ask the loss whether it is off": (
        True, "Logits that are right by 20 must cost practically nothing. If they cost 20 ε, it is on."),
    "Leave it on in both arms: then it cancels": (
        False, "Then the arm with the paper's ε adds it to a smoothed target, and you measure the second helping."),
})
quiz("A network with ε = 0.1 at K = 10 has test pictures with a gap of 7, beyond the optimum of 4.4. Why?", {
    "Eq. 5 is wrong for real networks": (
        False, "It says where one picture's loss is smallest, if its logits could be set alone."),
    "The pictures share their weights, which cannot be at each one's optimum": (
        True, "What pulls the hard pictures up carries the easy ones beyond. The mean is near the optimum."),
    "Training has not gone on for long enough": (
        False, "A gap beyond the optimum is pulled back by the gradient: q is above the target there."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). This should be the loss of eq. 4. It trains, and nobody notices. Which line is wrong?

# %% tags=["hide-input"]
def targets_are_distributions(names):
    found = names["smoothed_targets"](torch.tensor([2, 0]), 4, 0.1)
    sums = found.sum(1)
    assert torch.allclose(sums, torch.ones(2)), f"the rows sum to {sums[0]:.3f} and {sums[1]:.3f}"
    assert torch.allclose(found.max(1).values, torch.tensor(0.9)), "the right class should have 1 − ε"


bug_hunt(
    """
def smoothed_targets(labels, K, eps):
    rows = torch.full((len(labels), K), eps / K)
    rows[torch.arange(len(labels)), labels] = 1 - eps
    return rows

def smoothed_loss(logits, labels, eps):
    log_q = logits.log_softmax(1)
    return -(smoothed_targets(labels, logits.shape[1], eps) * log_q).sum(1).mean()
""",
    wrong="rows = torch.full((len(labels), K), eps / K)",
    right="rows = torch.full((len(labels), K), eps / (K - 1))",
    why="It mixes the two conventions: PyTorch's ε/K beside the paper's 1 − ε, and the rows no longer sum to 1.",
    test=targets_are_distributions,
    torch=torch,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy, by hand) A colleague wants the logits of a 10-class network to settle 6 apart. Which ε is
# that? Solve eq. 5 for ε.

# %%
def eps_for(gap, K):
    # solution
    return (K - 1) / (K - 1 + math.exp(gap))


def reached(gap, K):
    eps = eps_for(gap, K)
    return None if eps is None else label_smoothing.theoretical_gap(eps, K)


check("ε for a gap", reached, lambda gap, K: gap, [(6.0, 10), (9.1, 1000), (1.0, 2)],
      hint="Take exp of both sides and multiply by ε: exp(gap) · ε = (K − 1)(1 − ε). Then collect the ε.")

# %% [markdown]
# **2.** (5 minutes, medium, by hand) The smallest loss that a smoothed target allows is its entropy. Write it as a
# function of ε and K. How far above it did the live run end?

# %%
def lowest_loss(eps, K):
    # solution
    return -(1 - eps) * math.log(1 - eps) - eps * math.log(eps / (K - 1))


def measured(eps, K):
    target = label_smoothing.smooth(targets.one_hot(torch.tensor([0]), K), eps)
    return float(targets.soft_cross_entropy(target.log(), target))  # logits whose softmax is the target


check("lowest loss", lowest_loss, measured, [(0.1, 10), (0.1, 1000), (0.4, 10)],
      hint="The entropy is −Σ p log p: one class has p = 1 − ε, and K − 1 classes have p = ε/(K − 1).")

# %% [markdown]
# **3.** (5 minutes, easy) Which `label_smoothing` of PyTorch's is the paper's ε for K classes? Write the conversion.

# %%
def to_pytorch(eps, K):
    # solution
    return eps * K / (K - 1)


check("PyTorch's ε", to_pytorch, label_smoothing.pytorch_eps, [(0.1, 10), (0.1, 1000), (0.4, 3)],
      hint="With e in PyTorch the right class has 1 − e + e/K. In the paper it has 1 − ε. Solve for e.")

# %% [markdown]
# **4.** (10 minutes, predict–train–explain) Four times as much: the paper's ε = 0.4. Write down first: will the mean
# confidence end above or below the accuracy, by about how much, and which gap does eq. 5 ask for? Then change the loop,
# call `race` as above, and say why. (Half a minute on two CPU cores.)

# %%
def with_much_smoothing():
    # solution
    much = loop(
        report | {"F.cross_entropy(net(x), y)": "F.cross_entropy(net(x), y, label_smoothing=4 / 9)"},
        beliefs=partial(beliefs_of, "ε = 0.4"),
    )
    return race({"ε = 0.4": much.train}, data, caption="live, seed 0 · ε = 0.4")


much = with_much_smoothing()

# %% tags=["solution"]
end = much["ε = 0.4"][-1]
print(f"confidence {end['confidence']:.1f} %, accuracy {end['test_accuracy']:.1f} %, gap {end['gap']:.2f}, "
      f"eq. 5: {label_smoothing.theoretical_gap(0.4, 10):.2f}")

# %% [markdown] tags=["solution"]
# The target itself says 0.6 for a picture that leaves no doubt, so the confidence cannot be far above 60 %, however
# often the network is right. The label that it prints is the same; what it says about itself is worthless.

# %% [markdown]
# ## Deeper: how much ε
#
# Five values of ε in 12 epochs. The last column says which differences in accuracy are resolved. Confidence falls all
# the way, and the mean gap stays below what eq. 5 asks for, as not all training pictures are known.

# %% tags=["hide-input"]
ARMS = {0.0: short, **{eps: arm(f"smoothing-{eps}") for eps in (0.05, 0.1, 0.2, 0.4)}}
fig = response(list(ARMS), [[run.accuracy for run in runs] for runs in ARMS.values()], "smoothing ε",
               "test accuracy, %", caption=statistics.caption([run for runs in ARMS.values() for run in runs]))
table([
    {"ε": eps, "confidence − accuracy, points": statistics.plus_minus([statistics.overconfidence(r) for r in runs], 1),
     "ECE, points": statistics.plus_minus([100 * run.final["ece"] for run in runs], 1),
     "NLL, nats": statistics.plus_minus([run.final["nll"] for run in runs], 3),
     "mean gap": f"{mean_of(runs, lambda run: run.final['gap']['mean']):.2f}",
     "eq. 5": f"{label_smoothing.theoretical_gap(eps, 10):.2f}" if eps else "∞",
     "accuracy against ε = 0, points": str(statistics.compare(runs, short)) if eps else ""}
    for eps, runs in ARMS.items()
])
fig

# %% tags=["hide-input"]
three = {f"ε = {eps}": ARMS[eps] for eps in (0.0, 0.1, 0.4)}
reliability(three, caption=statistics.caption([run for runs in three.values() for run in runs]))

# %% [markdown]
# With ε = 0.4 the target itself says 0.6 for pictures that leave no doubt, and the whole curve leaves the diagonal.

# %% [markdown]
# ## Deeper: what the calibration error does not tell
#
# **It depends on the bins.** The same networks, with the 15 bins put together into 5, 3 and 1. In a wide bin too much
# and too little confidence cancel, so putting bins together never gives a larger error. Where a network errs to one
# side, as ours do, that changes little; where it does not, a lot can hide. Compare only what was binned alike.

# %% tags=["hide-input"]
def with_bins(run, bins):
    """The ECE, in points, with neighbouring ones of the 15 bins put together."""
    diagram = run.final["reliability"]
    rows = list(zip(*(diagram[key] for key in ("confidence", "accuracy", "count")), strict=True))
    size = len(rows) // bins
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    return 100 * sum(abs(sum((a - c) * n for c, a, n in group)) for group in groups) / sum(diagram["count"])


table([
    {"run": name, **{f"{bins} bin{'s' * (bins > 1)}": f"{mean_of(runs, partial(with_bins, bins=bins)):.2f}"
                     for bins in (1, 3, 5, 15)}}
    for name, runs in {"12 epochs, one-hot": short, "12 epochs, ε = 0.1": short_smooth,
                       "120 epochs, one-hot": long, "120 epochs, ε = 0.1": long_smooth}.items()
])

# %% [markdown]
# **It is not a proper score.** A *proper* score is best, on average, for whoever says the true probabilities. The ECE
# of a network that gives one tenth to each of ten equally frequent classes is 0, and the network is useless. NLL, and
# the Brier score (the mean square of probabilities minus the one-hot label), notice that.
#
# **It is not 0 for an honest network.** In a bin with few pictures the share that is right differs from the confidence
# by luck. Below, labels are drawn from the probabilities themselves, so nobody could be more honest:

# %% tags=["hide-input"]
stream = torch.Generator().manual_seed(0)
one_tenth, labels = torch.full((10_000, 10), 0.1, dtype=torch.float64), torch.arange(10).repeat(1_000)
rows = [{"network": "one tenth each, whatever it sees", "pictures": "10,000", "ECE, points":
         f"{100 * metrics.ece(one_tenth, labels):.2f}", "NLL, nats": metrics.nll(one_tenth.log(), labels),
         "Brier": metrics.brier(one_tenth, labels)}]
for n in (100, 1_000, 10_000):
    q = (3 * torch.randn(n, 10, generator=stream)).double().softmax(1)
    drawn = torch.multinomial(q, 1, generator=stream)[:, 0]
    rows.append({"network": "honest by construction", "pictures": f"{n:,}",
                 "ECE, points": f"{100 * metrics.ece(q, drawn):.2f}", "NLL, nats": metrics.nll(q.log(), drawn),
                 "Brier": metrics.brier(q, drawn)})
table(rows)
for where, runs, before in (("12 epochs", short_smooth, short), ("120 epochs", long_smooth, long)):
    for metric, unit in (("ece", ""), ("nll", "nats"), ("brier", "")):
        print(f"{where}, {metric:<5} of ε = 0.1 against one-hot: {statistics.compare(runs, before, metric, unit)}")

# %% [markdown]
# So report a proper score beside the ECE, with the number of pictures and of bins, and see whether they agree on the
# direction. In the lines above they do, though none of the Brier score's differences is resolved. And the ECE looks at
# the largest probability alone: what is said of the other nine classes does not count.

# %% [markdown]
# ## Deeper: smoothing is not class similarity
#
# The smoothed target of a cat gives a dog and a lorry the *same* ε/(K−1). Nothing in it says that cats look like dogs.
# That a trained network gives its cats more dog than lorry comes from the pictures, with one-hot targets as well. The
# two networks of the race, averaged over the test pictures of one class:

# %% tags=["hide-input"]
chosen = 3  # cat, in CIFAR-10
x, y = data[1]
with torch.inference_mode():
    mean = {name: net(x[y == chosen]).softmax(1).mean(0).cpu() for name, net in networks.items()}
K = len(mean["one-hot"])
target = label_smoothing.smooth(targets.one_hot(torch.tensor([chosen]), K), 0.1)[0]
table([
    {"class": dataset.classes[k], "smoothed target": f"{target[k]:.3f}",
     **{f"trained on {name}": f"{probabilities[k]:.3f}" for name, probabilities in mean.items()}}
    for k in mean["one-hot"].argsort(descending=True)
])

# %% [markdown]
# A target that does know about similarity needs a source for it: section 5.3 takes it from a larger network. That
# teacher should not be smoothed too much itself: smoothing pulls the logits of the wrong classes together, and their
# differences are what a teacher has to tell (exercise 3 there).

# %% [markdown]
# ## For discussion
#
# 1. Fig. 4b's one-hot histogram has a long tail to the right. What would happen to it with twice as many epochs? And
#    to the smoothed one?
# 2. You deploy a classifier whose probabilities are compared with a threshold. Would you rather train with ε = 0.1 or
#    train with one-hot targets and divide the logits by a temperature afterwards? What does each one need?
# 3. An interval of accuracy holds 0. Which of your own decisions would change if the gain were +0.6, and which if it
#    were −0.6? Is it worth the seeds?
