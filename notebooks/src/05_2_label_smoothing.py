# %% [markdown]
# # 5.2 Label smoothing
#
# **Claim.** A one-hot target can only be reached with infinite logits. Give the other classes a little probability,
# ε, and the target can be reached: the network stops at a finite gap between its logits, and that gap can be computed
# before training. Whether it also answers more pictures correctly is a second question, and the records below answer
# it separately.
#
# After this lesson you can
# 1. write the smoothed target and its loss from memory;
# 2. say how far apart the logits should end up for a given ε and number of classes K, and check it on trained
#    networks;
# 3. read a reliability diagram and say what smoothing did to it;
# 4. convert the paper's ε/(K−1) into the ε/K that PyTorch uses.
#
# *Time:* 30 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §5.2, eq. 3–5, Fig. 4, Table 6.

# %% tags=["hide-input"]
import math

import torch
from IPython.display import display
from torch.nn.functional import cross_entropy

from tricks import label_smoothing, metrics, targets, train
from tricks.course.lesson import live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict, quiz
from tricks.plots.evidence import against_paper, gap_histogram, reliability, response
from tricks.plots.smoothing import optimal_gap
from tricks.records import paper
from tricks.records.statistics import caption, compare, headline, overconfidence, plus_minus, t_interval, value
from tricks.studies.studies import arm, recipe_of

# %% [markdown]
# ## The problem: a target out of reach
#
# Three classes, and the first one is right. The logits are (z, 0, 0). The loss of a one-hot target is −log q, where q
# is the probability that softmax gives to the right class. Raise z and watch the loss:

# %%
for z in (0, 2, 4, 8, 16):
    q = torch.softmax(torch.tensor([z, 0.0, 0.0], dtype=torch.float64), dim=0)[0]
    print(f"z = {z:2d}   q = {q:.7f}   loss = {-q.log():.7f}")

# %% [markdown]
# It falls for ever. There is no z at which the network may rest, so as long as it can fit its training pictures it
# goes on pulling the logits apart. Below are networks that were trained with one-hot targets: for the test pictures
# to which they gave about 90 % confidence, how many did they get right? On the diagonal, confidence is honest; under
# it, it is too high.

# %%
one_hot_runs = arm("cosine")  # 5.1's recipe, the reference in this lesson
reliability({"one-hot": one_hot_runs}, caption=caption(one_hot_runs))

# %% [markdown]
# ### Before you go on: predict
#
# What ε = 0.1 adds to ResNet-50-D on ImageNet is printed below. By how much will it change the test accuracy of our
# small network on CIFAR-10? Set the slider. The answer comes with an interval, further down, when you press *Reveal*.

# %%
theirs = paper.effect("6", "+ label smoothing", "+ cosine decay", "ResNet-50-D_top1")
print(f"paper, Table 6, means of the CVPR version: {theirs} points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-2, high=2, unit="points")

# %% [markdown]
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
# This is the library's version. It takes targets that are dense already, (N, K) probabilities instead of N class
# numbers, so it works in the same way on targets that mixup has mixed:

# %%
show(label_smoothing.smooth)
assert torch.allclose(label_smoothing.smooth(targets.one_hot(y, K), eps), by_hand)

# %% [markdown]
# The loss is the cross-entropy −Σ p log q of the target p and the softmax q. (The paper prints eq. 3 with the two
# exchanged; its next line uses it as written here.) In the training loop, smoothing is one line:

# %%
show(targets.soft_cross_entropy)
show_loop("# label smoothing")

# %% [markdown]
# ### Two conventions, one trick
#
# PyTorch's `label_smoothing` gives *every* class ε/K, the right one too, which then has 1 − ε + ε/K. At K = 10 and ε
# = 0.1 that is 0.91 where the paper has 0.90. Multiplying ε by K/(K−1) turns one into the other:

# %%
logits, y10 = torch.randn(8, 10, generator=torch.Generator().manual_seed(0)), torch.arange(8)
ours = targets.soft_cross_entropy(logits, label_smoothing.smooth(targets.one_hot(y10, 10), 0.1))
print(f"paper, ε = 0.1:                   {ours:.6f}")
print(f"PyTorch, label_smoothing = 0.1:   {cross_entropy(logits, y10, label_smoothing=0.1):.6f}")
converted = label_smoothing.pytorch_eps(0.1, 10)
print(f"PyTorch, label_smoothing = {converted:.3f}: {cross_entropy(logits, y10, label_smoothing=converted):.6f}")

# %% [markdown]
# ## What the network is asked for
#
# The gradient of the loss with respect to the logits is softmax(z) − target. It vanishes where the softmax *equals*
# the target. Then the right logit stands above each other one by
#
# $$z^*_y - z^*_i = \log\frac{(K-1)(1-\varepsilon)}{\varepsilon},$$
#
# the optimal gap (eq. 5). It is infinite at ε = 0 and zero at ε = (K−1)/K. No network is needed to see it. Ten free
# logits and gradient descent on the smoothed loss get there; on the one-hot loss they never arrive:

# %%
for eps in (0.0, 0.1):
    z = torch.zeros(1, 10, requires_grad=True)
    print(f"ε = {eps}, optimal gap {label_smoothing.theoretical_gap(eps, 10):.3f}. Gap after", end="")
    for step in range(1, 2_001):
        p = label_smoothing.smooth(targets.one_hot(torch.tensor([3]), 10), eps)
        (gradient,) = torch.autograd.grad(targets.soft_cross_entropy(z, p), z)
        z = (z - 0.5 * gradient).detach().requires_grad_()
        if step in (10, 100, 500, 2_000):
            print(f"   {step:,} steps: {metrics.logit_gap(z.detach())[0]:.3f}", end="")
    print()

# %% [markdown]
# Drag ε and K. On the left, target and softmax of the optimal logits; on the right, the gap against ε, as in the
# paper's Fig. 4a. The paper's own case is K = 1000, ε = 0.1: a gap of about 9.1. The line under the picture asks for a
# setting: say what it must be before you look for it.

# %%
sliders(
    optimal_gap, eps=(0.001, 0.9), K=(2, 1000),
    goal="Take half of the probability or more from the true class, and still ask for a gap of at least 5.",
    reached=lambda eps, K: eps >= 0.5 and label_smoothing.theoretical_gap(eps, K) >= 5, solution={"eps": 0.5, "K": 200},
)

# %% [markdown]
# Two more settings, for those who read this without a kernel. A larger ε asks for a smaller gap. More classes ask for
# a larger one, because each of the K − 1 wrong classes adds to the softmax's denominator:

# %%
idea = optimal_gap(0.1, 10)
slide(idea, "05_2_idea", takeaway="A smoothed target can be reached, at a finite gap between the logits")
display(optimal_gap(0.4, 10), optimal_gap(0.1, 1000))

# %% [markdown]
# ## Do trained networks stop there?
#
# The paper's Fig. 4b, redrawn from our records: for each test picture, the largest logit minus the mean of the
# others. The dashed lines are the optimal gaps of eq. 5 at K = 10. They are goals and no bounds. Pictures that
# the network finds hard stay below them, and others go beyond: all pictures share the weights, which cannot be at the
# optimum of each.

# %%
ARMS = {0.0: one_hot_runs, **{eps: arm(f"smoothing-{eps}") for eps in (0.05, 0.1, 0.2, 0.4)}}
everything = [run for runs in ARMS.values() for run in runs]
three = {f"ε = {eps}": ARMS[eps] for eps in (0.0, 0.1, 0.4)}
goals = {f"ε = {eps}": label_smoothing.theoretical_gap(eps, 10) for eps in (0.1, 0.4)}
theirs_4b = {f"{name}, K = 1000": paper.curve("4b", name) for name in ("one-hot", "smoothed")}
gap_histogram(three, theory=goals, paper=theirs_4b, caption=caption(ARMS[0.0] + ARMS[0.1] + ARMS[0.4]))

# %% [markdown]
# The same in numbers. The spread is the standard deviation over the test pictures of one network:

# %%
print(f"paper, ImageNet, K = 1000. Optimum at ε = 0.1: {label_smoothing.theoretical_gap(0.1, 1000):.2f}")
for name, (gap, density) in theirs_4b.items():
    mean = sum(g * d for g, d in zip(gap, density, strict=True)) / sum(density)
    print(f"   {name:<18} mean gap {mean:5.2f}")
print("ours, CIFAR-10, K = 10")
for eps, runs in ARMS.items():
    mean, spread = (t_interval([value(run, f"gap.{part}") for run in runs])[0] for part in ("mean", "sd"))
    optimum = label_smoothing.theoretical_gap(eps, 10)
    print(f"   ε = {eps:<5} mean gap {mean:5.2f}, spread over pictures {spread:.2f}, optimum {optimum:.2f}")

# %% [markdown]
# ## Confidence
#
# A network with smaller gaps is less sure. Is it more honest? The *expected calibration error* (ECE) sorts the test
# pictures by confidence into 15 bins and averages |accuracy − confidence| over them. The *negative log-likelihood*
# (NLL) is the plain cross-entropy of the test labels; lower is better for both. The legend has the ECE in points, the
# table as a share: 1 point is 0.01.

# %%
reliability(three, caption=caption(ARMS[0.0] + ARMS[0.1] + ARMS[0.4]))

# %%
show(overconfidence)
table([
    {"ε": eps, "confidence − accuracy, points": plus_minus([overconfidence(run) for run in runs], 1),
     "ECE": plus_minus([run.final["ece"] for run in runs], 3),
     "NLL, nats": plus_minus([run.final["nll"] for run in runs], 3)}
    for eps, runs in ARMS.items()
])
for metric, unit in (("ece", ""), ("nll", "nats")):
    for eps in (0.05, 0.1, 0.2, 0.4):
        print(f"{metric.upper()}, ε = {eps:<5} against one-hot: {compare(ARMS[eps], ARMS[0.0], metric, unit)}")

# %% [markdown]
# The column *confidence − accuracy* says on which side of the diagonal a network is: above 0 it claims too much,
# below 0 too little. Smoothing lowers it, the more the larger ε. Whether that is a step towards honesty depends on
# where the network was without it. A network that was overconfident by little is soon made *under*confident, and then
# ECE and NLL can grow. With ε = 0.4 the target itself says 0.6 for pictures that leave no doubt.
#
# ## Accuracy
#
# How far off is your guess? The difference of ε = 0.1 to one-hot targets, ours beside the paper's:

# %% tags=["hide-output"]
ours = compare(ARMS[0.1], ARMS[0.0])
guess.reveal(ours, theirs, label="label smoothing, ε = 0.1", caption=caption(ARMS[0.0] + ARMS[0.1]))

# %% [markdown]
# The other ε, and the paper's other networks:

# %% tags=["hide-output"]
accuracies = [[run.accuracy for run in runs] for runs in ARMS.values()]
fig = response(list(ARMS), accuracies, "smoothing ε", "test accuracy, %", caption=caption(everything))
lines = [f"paper, ResNet-50-D on ImageNet, 120 epochs, means of the CVPR version: {theirs} points"]
for other in ("Inception-V3", "MobileNet"):
    delta = paper.delta("6", "+ label smoothing", "+ cosine decay", f"{other}_top1")
    lines.append(f"paper, {other}: {delta:+.2f} points")
lines += [f"ours, ε = {eps}: {compare(ARMS[eps], ARMS[0.0])}" for eps in (0.05, 0.1, 0.2, 0.4)]
guess.veil(fig, "\n".join(lines))

# %% [markdown]
# Does ε = 0 leave anything to cure? A network that has learnt its training pictures by heart is overconfident on new
# ones; one that has not is about as right as it thinks:

# %% tags=["hide-output"]
lines = ["last epoch, on samples of 2,000 pictures"]
for eps, runs in ARMS.items():
    fitted, new = (t_interval([run.rows[-1][f"{part}_accuracy"] for run in runs])[0] for part in ("train", "test"))
    lines.append(f"ε = {eps:<5} training {fitted:.1f} %, test {new:.1f} %, gap {fitted - new:.1f} points")
guess.veil("\n".join(lines))

# %% [markdown]
# When the paper's column and ours disagree, think of this first: our networks have seen few pictures few times (the
# caption says how few), the paper's were trained for 120 epochs on 1.3 million. ImageNet's thousand classes also hold
# many that are alike, and more wrong labels. And for two of the paper's three networks each row of Table 6 is one run.
#
# ### Where there is something to cure
#
# The same two tricks on a GPU, with the paper's 120 epochs and 5 of warm-up, after which the network is right on nearly
# all of its 10,000 training pictures:

# %%
full = {"one-hot, 120 epochs": arm("full-cosine"), "ε = 0.1, 120 epochs": arm("full-smooth")}
for label, runs in full.items():
    training = plus_minus([run.rows[-1]["train_accuracy"] for run in runs], 1)
    sure = plus_minus([overconfidence(run) for run in runs], 1)
    print(f"{label}: clean training accuracy {training} %, confidence − accuracy {sure} points")
without, with_it = full.values()
for metric, unit in (("accuracy", "points"), ("ece", ""), ("nll", "nats")):
    print(f"   {metric:<8} of ε = 0.1 against one-hot: {compare(with_it, without, metric, unit)}")
reliability(full, caption=caption(without + with_it))

# %% [markdown]
# The network without smoothing now claims far too much; with ε = 0.1 it claims too little, as in the short runs. Which
# of the two ends nearer to the diagonal? Compare the distances above, and the lines of ECE and NLL. Accuracy has a line
# of its own: a trick can be worth its place for the one and not for the other. Here it is, with few epochs and with
# many, beside the paper's:

# %%
lengths = {f"in {runs[0].recipe.epochs} epochs": found
           for runs, found in ((one_hot_runs, ours), (with_it, compare(with_it, without)))}
short_and_long = [*ARMS[0.0], *ARMS[0.1], *without, *with_it]
fig = against_paper({where: (found, theirs) for where, found in lengths.items()}, caption=caption(short_and_long))
takeaway, numbers = headline("Label smoothing with ε = 0.1", lengths, theirs)
slide(fig, "05_2_short_and_long", takeaway=takeaway, numbers=numbers, runs=short_and_long)
fig

# %% [markdown]
# ## Live
#
# One short run with ε = 0.1, drawn while it trains. It is smaller than the recorded ones and is not mixed with them.

# %%
dataset = load_data()
recipe, parts, rows = live_run(recipe_of("smoothing-0.1"), dataset)
logits, labels = train.evaluate(parts.model, parts.test)
gap = metrics.logit_gap(logits).mean()
print(f"mean gap of the live network: {gap:.2f}, optimum at ε = 0.1: {label_smoothing.theoretical_gap(0.1, 10):.2f}")

# %% [markdown]
# ## Smoothing is not class similarity
#
# The smoothed target of a cat gives a dog and a lorry the *same* ε/(K−1). Nothing in it says that cats look like
# dogs. That a trained network gives its cats more dog than lorry comes from the pictures, with one-hot targets as
# well. A target that does know about similarity needs a source for it: section 5.3 takes it from a larger network.
# The live network, averaged over the test pictures of one class:

# %%
chosen = 3  # cat, in CIFAR-10
probabilities = logits.softmax(1)[labels == chosen].mean(0)
target = label_smoothing.smooth(targets.one_hot(torch.tensor([chosen]), 10), 0.1)[0]
table([{"class": dataset.classes[k], "smoothed target": f"{target[k]:.3f}", "mean softmax": f"{probabilities[k]:.3f}"}
       for k in probabilities.argsort(descending=True)])

# %% [markdown]
# ## Misreadings
#
# - *"Smoothing replaces 1 and 0 by 0.9 and 0.1."* The wrong classes share ε: each gets ε/(K−1), 0.011 at K = 10, so
#   that the row still sums to 1.
# - *"ε is ε."* The paper's 0.1 is 0.111 in PyTorch at K = 10, and 0.1001 at K = 1000. State the convention with the
#   number.
# - *"Smoothing makes a network calibrated."* It lowers confidence, the more the larger ε, and knows nothing of how
#   overconfident the network was. Where it lowers too much, calibration gets worse: look at ε = 0.4 above.
# - *"A lower training loss means a better fit."* The smoothed loss cannot go below the target's own entropy. Training
#   losses of different ε are not comparable; test NLL is.
#
# ## Quiz

# %% tags=["hide-input"]
quiz("K = 10 and ε = 0.1, as in eq. 4. What is in the target of one picture?", {
    "0.9 for the right class, 0.1 for each other one": (
        False, "Then the row sums to 1.8. A target is a distribution: the nine wrong classes share ε."),
    "0.91 for the right class, 0.01 for each other one": (
        False, "That is PyTorch's convention, ε/K for every class, the right one too. The paper's 0.1 is 0.111 there."),
    "0.9 for the right class, 0.011 for each other one": (
        True, "1 − ε, and ε/(K−1) for each of the nine others, so that the row sums to 1."),
    "0.9 for the right class, most of the rest for the classes that look like it": (
        False, "Smoothing knows nothing of similarity: to the target of a cat, dog and lorry are the same."),
})
quiz("At the end of training the loss with ε = 0.1 is higher than the loss with one-hot targets. What does that say?", {
    "Nothing yet: the two losses have different lowest values": (
        True, "At ε = 0 the lowest loss is 0, else it is the target's entropy. Compare the NLL of test pictures."),
    "The network with ε = 0.1 fits its training pictures worse": (
        False, "It may have reached its lowest loss, which is the target's entropy and not 0. Exercise 3 computes it."),
    "The network with ε = 0.1 is less sure": (
        False, "It is, but the loss does not say so: another target moves the loss of the very same softmax."),
})
quiz("Does label smoothing make a network calibrated?", {
    "Yes, that is what it is for": (
        False, "It lowers confidence, whether that was honest or not: look at ε = 0.4 in the diagram above."),
    "No, it raises confidence, because its targets can be reached": (
        False, "The other way round: the gap that can be reached is finite, and a smaller gap is less confidence."),
    "It lowers confidence, and that helps a network that was too sure": (
        True, "It does not know how sure the network was. One that was honest is made underconfident."),
})

# %% [markdown]
# ## Exercises
#
# **1.** Which `label_smoothing` of PyTorch's is the paper's ε for K classes? Write the conversion.

# %%
def to_pytorch(eps, K):
    # solution
    return eps * K / (K - 1)


check("PyTorch's ε", to_pytorch, label_smoothing.pytorch_eps, [(0.1, 10), (0.1, 1000), (0.4, 3)],
      hint="With e in PyTorch the right class has 1 − e + e/K. In the paper it has 1 − ε. Solve for e.")

# %% [markdown]
# **2.** A colleague wants the logits of a 10-class network to settle 6 apart. Which ε is that? Solve eq. 5 for ε.

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
# **3.** The smallest loss that a smoothed target allows is its entropy. Write it as a function of ε and K.

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
# ## Summary
#
# - The smoothed target has 1 − ε for the right class and ε/(K−1) for each other. It is one line, on dense targets.
# - It turns an infinite goal into a finite one: a logit gap of log((K−1)(1−ε)/ε), which trained networks approach.
# - It moves confidence down, the more the larger ε. That can repair overconfidence or overshoot it. What it does to
#   accuracy here is printed above, beside the paper's number.
#
# ## For discussion
#
# 1. Fig. 4b's one-hot histogram has a long tail to the right. What would happen to it with twice as many epochs? And
#    to the smoothed one?
# 2. You deploy a classifier whose probabilities are compared with a threshold. Would you rather train with ε = 0.1 or
#    train with one-hot targets and divide the logits by a temperature afterwards? What does each one need?
# 3. The teacher in section 5.3 is trained with smoothing. What does smoothing take away from its soft targets?
