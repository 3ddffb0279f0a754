# %% [markdown]
# # Appendix B: the paper against its code
#
# **"γ starts at 0." Three people read this in the paper and write three lines. All three run without an error. Which of
# the three curves is yours, and which test would have told you?**

# %% tags=["hide-input"]
import math
import warnings
from copy import deepcopy
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from torch import nn
from torch.optim.lr_scheduler import LinearLR, SequentialLR, StepLR
from torchvision.transforms.v2 import functional as TF

from tricks import augment, distillation, label_smoothing, metrics, parameters, schedules, targets, train
from tricks.after.averaging import average_, decay_at
from tricks.course.lesson import live_run, load_data, short, show, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.models import resnet
from tricks.plots import preprocessing, style
from tricks.records import make, paper, statistics
from tricks.studies.studies import recipe_of

# %% tags=["hide-input"]
dataset = load_data()
cut = short(recipe_of("cosine"), dataset.name)
loaders = make.prepare(cut, 1, dataset)
batches = list(islice(loaders.train.epoch(0), 40))
x, y = batches[0]
C = math.sqrt(2 / (1 + 0.25**2))  # what MSRAPrelu multiplies Xavier's spread by: see "Deeper: the first weights"


def fresh(init="Xavier"):
    """The course's net with the paper's first weights, or GluonCV's, or torchvision's."""
    torch.manual_seed(0)
    model = resnet.build("resnet8", 10)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if init != "He":
        parameters.xavier_init_(model)
    for w in [m.weight for m in layers]:
        if init == "MSRAPrelu":
            nn.init.normal_(w, std=C * math.sqrt(2 / (w[0].numel() + len(w) * w[0, 0].numel())))
        elif init == "He" and w.ndim == 4:
            nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    return model.to(x.device)


def with_gammas(reading):
    """Such a net with γ as somebody read the paper."""
    model = fresh()
    last = {m.last_bn for m in model.modules() if hasattr(m, "last_bn")}
    for bn in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        if reading.startswith("every") or (reading.startswith("last") and bn in last):
            nn.init.zeros_(bn.weight)
    return model


def trained(model, steps=40):
    """Its losses, and of how many single numbers the gradient is exactly 0, step by step."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    losses, still = [], []
    for step in range(steps):
        images, labels = (part[:64] for part in batches[step % len(batches)])
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        still.append(sum(int((p.grad == 0).sum()) for p in model.parameters()))
        optimizer.step()
    return losses, still


READINGS = ("γ = 1", "last γ of each block = 0", "every γ = 0")
of_gamma = {reading: trained(with_gammas(reading)) for reading in READINGS}


@style.styled
def three_readings():
    below = f"live · resnet8 · the same first weights, 64 pictures a step, learning rate 0.1 · {dataset.source}"
    fig, ax = style.canvas(height=3.6, caption=below)
    for (reading, (losses, _)), line in zip(of_gamma.items(), ("-", "--", ":"), strict=True):
        ax.plot(losses, line, linewidth=2, label=reading)
    ax.axhline(math.log(10), color=style.GREY, linewidth=1, label="guessing: log 10")
    ax.set(xlabel="step", ylabel="training loss, nats")
    fig.legend(loc="outside right upper")
    return fig


three_readings()

# %% [markdown]
# γ is the factor of a batch norm, its `weight` in PyTorch. The paper sets γ = 0 in the one that *ends* a residual block
# (§3.1). Retellings say "batch norm layers". One word less, and the stem's output is 0 for every picture: no
# convolution ever gets a gradient. (That the paper's own version is slower here than γ = 1 is no bug: forty steps of a
# net with three blocks. Lesson 03_1 has the long run.)
#
# **Claim.** A recipe in words can be read in several ways, and well-known code reads this one in several ways. Some
# departures are another setting of the same trick, some are another trick, and some are bugs, which a test of a few
# lines catches.
#
# After this lesson you can
# 1. check somebody's distillation, mixup, smoothing, learning rate and weight decay against the paper with a few
#    numbers;
# 2. tell a departure that another learning rate makes up for from one that no setting makes up for;
# 3. say in which tables the paper does not agree with its own text, and which ResNet-50 you have in front of you.
#
# *Time:* 30 minutes, one of them training; 35 more for the parts headed "Deeper", 25 for questions and exercises.
# *Paper:* all sections; eq. 1, 3, 4 and 6–8.
#
# ## Before you go on: predict
#
# What came after the paper often evaluates an *average* of the weights over the last steps (lesson 09). Somebody copies
# the network before training and lets the copy's weights follow, w̄ ← d · w̄ + (1 − d) · w, for all its *parameters*. The
# means and variances that batch norm has collected are no parameters, but *buffers*. What does forgetting them cost?

# %%
guess = predict("Test accuracy without the buffers minus accuracy with them", low=-60, high=10, step=1)

# %% [markdown]
# ## By hand: two callbacks, two orders
#
# composer is a library of events: each trick is an object that acts when the trainer announces something. Its
# `LabelSmoothing` smooths the targets before the loss. Its `MixUp` takes the partners' labels before the forward pass,
# and mixes them in before the loss. Both act on "before loss", so the order of the list decides.
#
# Take K = 4 classes, ε = 0.1 with composer's ε/K, a picture of class 0 whose partner is of class 2, and the partner's
# share 0.3. On paper, before you run the cell: what is the target if mixup acts first, and what if smoothing does?

# %%
def pytorch_smooth(p, eps):
    return (1 - eps) * p + eps / p.shape[-1]


own, partner = targets.one_hot(torch.tensor([0, 2]), 4).split(1)
mixup_first = pytorch_smooth(0.7 * own + 0.3 * partner, 0.1)
smoothing_first = 0.7 * pytorch_smooth(own, 0.1) + 0.3 * partner  # the partner's label was taken before
print("mixup first:    ", mixup_first[0].numpy().round(4))
print("smoothing first:", smoothing_first[0].numpy().round(4))
either = label_smoothing.smooth(own, 0.1), label_smoothing.smooth(partner, 0.1)
assert torch.allclose(label_smoothing.smooth(0.7 * own + 0.3 * partner, 0.1), 0.7 * either[0] + 0.3 * either[1])

# %% [markdown]
# In the second, the partner's label comes in as it is. (The last line: this library's functions on dense targets are
# both affine, so they commute, and no order is wrong.) Nothing raises an error, the targets sum to 1, and the loss
# falls. That is what the next five have in common.
#
# ## Five bug hunts
#
# Each is a few lines that run and train. One line departs from what was meant. Read, choose, and read what the test
# said; then comes what the departure costs, measured on two networks: a teacher, trained live below, and a student that
# has seen the pictures twice.

# %%
recipe, parts, rows = live_run(recipe_of("cosine"), dataset)
teacher = parts.model.eval()

# %% tags=["hide-input"]
student = fresh()
average, bare = deepcopy(student), deepcopy(student)  # of its weights: with the buffers, and without, for hunt 5
KEEP = 0.95
optimizer = torch.optim.SGD(student.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
for step, (images, labels) in enumerate([*loaders.train.epoch(0), *loaders.train.epoch(1)]):
    loss = F.cross_entropy(student(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average_(average, student, decay_at(step, KEEP))
    with torch.no_grad():
        for mean, new in zip(bare.parameters(), student.parameters(), strict=True):
            mean.lerp_(new, 1 - decay_at(step, KEEP))
student.eval()
measured = {name: metrics.accuracy(*train.evaluate(net, loaders.test_sample))
            for name, net in (("student", student), ("with", average), ("without", bare))}
with torch.no_grad():
    z, r = student(x).float(), teacher(x).float()
print(f"the student: test accuracy {measured['student']:.1f} %")
sheet = []  # part, what, how much

# %% [markdown]
# ### 1. The soft part of distillation
#
# Eq. 6 is a plain sum: the loss on the labels plus T² times the loss on the teacher's answers, each a mean over the
# pictures. The second differs from a KL divergence by a constant, so many write it with PyTorch's.

# %% tags=["hide-input"]
def soft_gradient_is_that_of_eq_6(names):
    T = 20.0
    student = torch.linspace(-1, 1, 30).reshape(3, 10).cos().mul(3).requires_grad_()
    teacher, labels = torch.linspace(2, 5, 30).reshape(3, 10).sin() * 4, torch.tensor([1, 4, 7])

    def gradient(loss):
        return torch.autograd.grad(loss, student)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, about the mean
        theirs = gradient(names["loss"](student, teacher, labels)) - gradient(F.cross_entropy(student, labels))
    p = (teacher / T).softmax(1)
    meant = gradient(-(T**2) * (p * (student / T).log_softmax(1)).sum(1).mean())
    share = (theirs.norm() / meant.norm()).item()
    assert abs(share - 1) < 1e-3, f"with K = 10 classes, the soft part's gradient is {share:.3f} of eq. 6's"


bug_hunt(
    """
def loss(student, teacher, labels, T=20.0):
    hard = F.cross_entropy(student, labels)
    p = (teacher / T).softmax(1)
    log_q = (student / T).log_softmax(1)
    soft = F.kl_div(log_q, p, reduction="mean")
    return hard + T**2 * soft
""",
    wrong='soft = F.kl_div(log_q, p, reduction="mean")',
    right='soft = F.kl_div(log_q, p, reduction="batchmean")',
    why="The mean goes over N · K numbers instead of N pictures: the teacher's weight is divided by K.",
    test=soft_gradient_is_that_of_eq_6,
    F=F,
)

# %% [markdown]
# "mean" is `KLDivLoss`'s default, and PyTorch warns of it once. On the student and the teacher above:

# %%
def gradient(loss):
    """Gradient with respect to the student's logits."""
    at = z.clone().requires_grad_()
    return torch.autograd.grad(loss(at), at)[0]


hard_6, soft_6 = gradient(lambda z: F.cross_entropy(z, y)), gradient(lambda z: distillation.distill_loss(z, r, 20.0))
divided = soft_6 / z.shape[1]  # what the mean over N · K leaves of it
print(f"soft : hard gradient, eq. 6 {soft_6.norm() / hard_6.norm():.2f}, with the mean over K = {z.shape[1]} "
      f"{divided.norm() / hard_6.norm():.2f}; over K = 1000 {soft_6.norm() / hard_6.norm() / 1000:.4f}")

# %% [markdown]
# No learning rate makes up for it, because the hard part keeps its size: at K = 1000 the teacher is switched off.
#
# ### 2. Smoothing and mixup
#
# The same fault as in the callbacks above, without callbacks. `order` says who is whose partner.

# %% tags=["hide-input"]
def partners_are_smoothed_too(names):
    targets = names["mixed_targets"](torch.tensor([0, 2]), torch.tensor([1, 0]), share=1.0, eps=0.1, K=4)
    smallest = targets.min().item()
    assert abs(smallest - 0.025) < 1e-6, f"a partner with all the share has a class at {smallest:g}, not at ε/K = 0.025"


bug_hunt(
    """
def mixed_targets(labels, order, share, eps, K):
    p = F.one_hot(labels, K).float()
    theirs = p[order]
    p = (1 - eps) * p + eps / K
    return (1 - share) * p + share * theirs
""",
    wrong="theirs = p[order]",
    right="theirs = ((1 - eps) * p + eps / K)[order]",
    why="The partners' labels are taken before they are smoothed.",
    test=partners_are_smoothed_too,
    F=F,
)

# %% tags=["hide-input"]
def targets_apart(share, eps, K):
    """Largest difference between the two orders' targets, for two pictures of different classes."""
    own, partner = targets.one_hot(torch.tensor([0, 1]), K).split(1)
    mixed = pytorch_smooth((1 - share) * own + share * partner, eps)
    return (mixed - (1 - share) * pytorch_smooth(own, eps) - share * partner).abs().max().item()


apart = {K: round(targets_apart(0.3, 0.1, K), 4) for K in (4, 10, 1000)}
p, roll = targets.one_hot(y, 10), torch.arange(len(x)).roll(1)
images = 0.7 * x + 0.3 * x[roll]
both = pytorch_smooth(0.7 * p + 0.3 * p[roll], 0.1), 0.7 * pytorch_smooth(p, 0.1) + 0.3 * p[roll]
with torch.no_grad():
    a, b = (student(images).float().softmax(1) - target for target in both)  # gradients in the logits
print(f"largest difference of the targets at the share 0.3, for K classes: {apart}")
print(f"on a batch, the gradient moves by {100 * (a - b).norm() / a.norm():.1f} %")
sheet.append(("hunt 2", "smoothing before mixup", f"targets {apart[10]:.3f} apart at K = 10, share 0.3"))
sheet.append(("hunt 1", "KLDivLoss with reduction mean", f"soft gradient × {1 / z.shape[1]:.3f} at K = 10"))

# %% [markdown]
# It is the partner's share times ε · (K − 1)/K: what smoothing would have taken from the partner's class. GluonCV, the
# authors' own code, smooths inside its mixup, as our dense targets do. timm's `Mixup` does too, and its smoothing is
# *on* by default, at ε = 0.1: a baseline built with it has the trick already.
#
# ### 3. The cosine after a warm-up
#
# The paper's T in eq. 1 is the number of batches "ignoring warm-up": the cosine starts where the warm-up ends.

# %% tags=["hide-input"]
def the_warm_up_ends_at_the_peak(names):
    first = names["rate"](50, steps=1200, warmup=50, peak=0.4)
    assert abs(first - 0.4) < 1e-9, f"the first step after the warm-up has {first:.4f}, not the peak of 0.4"


bug_hunt(
    """
def rate(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = step / steps
    return peak * (1 + math.cos(math.pi * done)) / 2
""",
    wrong="done = step / steps",
    right="done = (step - warmup) / (steps - warmup)",
    why="The cosine is counted from the first step of the run, so it has fallen already when the warm-up ends.",
    test=the_warm_up_ends_at_the_peak,
    math=math,
)

# %% [markdown]
# timm's `CosineLRScheduler` counts so unless it is told `warmup_prefix=True`. With step decay there is another reading:
# torchvision's script starts its scheduler *after* the warm-up, so that each division comes later by as much. Drag:

# %% tags=["hide-input"]
PAPER = replace(recipe_of("cosine"), epochs=120, batch_size=1024, lr=0.1, lr_batch=256, linear_scaling=True)


def rates(warmup_epochs=5, per_epoch=10):
    """Epochs (n,), and schedule -> (the paper's learning rates (n,), the other reading's)."""
    warm, total = warmup_epochs * per_epoch, 120 * per_epoch
    other = {"cosine": lambda t: schedules.cosine_lr(t, total, 0.4),
             "step": lambda t: schedules.step_lr(t - warm, total, 0.4)}
    pairs = {}
    for name, reading in other.items():
        recipe = replace(PAPER, schedule=name, warmup_epochs=warmup_epochs)
        ours = [schedules.lr_at(recipe, t, per_epoch) for t in range(total)]
        pairs[name] = np.array(ours), np.array([reading(t) if t >= warm else ours[t] for t in range(total)])
    return np.arange(total) / per_epoch, pairs


weights = nn.Linear(1, 1)
optimizer = torch.optim.SGD(weights.parameters(), lr=0.4)
scheduler = SequentialLR(optimizer, [LinearLR(optimizer, 0.01, total_iters=5), StepLR(optimizer, 30)], milestones=[5])
torchvision_lr = []
for _ in range(120):  # torchvision's script steps once per epoch
    torchvision_lr.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    scheduler.step()
assert np.allclose(torchvision_lr[5:], rates(per_epoch=1)[1]["step"][1][5:])  # the reading above is PyTorch's own

@style.styled
def both_readings(warmup_epochs=5):
    """The paper's learning rates and another reading's, and below them what the other adds (§5.1)."""
    caption = "computed · 120 epochs, peak 0.4"
    fig, axes = style.canvas(2, 2, height=5.2, sharex=True, height_ratios=(2, 1), caption=caption)
    others = {"cosine": ("T with the warm-up (timm)", (-0.11, 0.01)),
              "step": ("decays later (torchvision)", (-0.02, 0.38))}
    lines = {}
    for (top, below), (name, (label, range_below)) in zip(axes.T, others.items(), strict=True):
        styles = (top, "-", {"label": "paper"}), (top, "--", {"label": label}), (below, "-", {"color": style.GREY})
        lines[name] = [ax.plot([], [], dash, animated=True, **more)[0] for ax, dash, more in styles]
        top.set(title=name, xlim=(0, 120), ylim=(0, 0.52))
        below.set(xlabel="epoch", ylim=range_below)
        top.legend(loc="upper right")
    axes[0, 0].set_ylabel("learning rate")
    axes[1, 0].set_ylabel("other − paper")

    def redraw(warmup_epochs):
        epoch, pairs = rates(warmup_epochs)
        for name, (ours, other) in pairs.items():
            for line, values in zip(lines[name], (ours, other, other - ours), strict=True):
                line.set_data(epoch, values)

    return style.with_redraw(fig, redraw, warmup_epochs)


sliders(
    both_readings, warmup_epochs=(1, 30),
    goal="How long must the warm-up of a 120-epoch run be until timm's drop at its end is a tenth of the peak?",
    reached=lambda warmup_epochs: schedules.cosine_lr(warmup_epochs, 120, 1.0) <= 0.9
    < schedules.cosine_lr(warmup_epochs - 1, 120, 1.0),
    solution={"warmup_epochs": 25},
)

# %% tags=["hide-input"]
fig = both_readings(5)
epoch, pairs = rates(5, per_epoch=100)
percent = {name: 100 * np.abs(other - ours).max() / 0.4 for name, (ours, other) in pairs.items()}
off = " and ".join(f"{value:.1f} % ({name})" for name, value in percent.items())
takeaway = f"5 epochs of warm-up counted otherwise: the learning rate is off by up to {off} of its peak"
slide(fig, "B_paper_vs_code_learning_rates", takeaway=takeaway)
for name, (ours, other) in pairs.items():
    gap = other - ours
    where = np.abs(gap) >= np.abs(gap).max() - 1e-9
    print(f"{name:<7} largest difference {gap[np.abs(gap).argmax()]:+.4f} at epoch {epoch[where].min():.1f}", end="")
    of_peak, of_mean = 100 * np.abs(gap).max() / 0.4, 100 * gap.mean() / ours.mean()
    print(f", {of_peak:.1f} % of the peak; mean over the run {of_mean:+.2f} %")
    sheet.append(("hunt 3", f"{name}: warm-up counted otherwise", f"lr {gap[np.abs(gap).argmax()]:+.4f} of 0.4 "
                  f"at epoch {epoch[where].min():.0f}"))

# %% [markdown]
# Either cosine ends at 0 and either step schedule at a thousandth of the peak. With the paper's 5 epochs timm's cosine
# is behind by a few per cent, like a slightly smaller peak; torchvision's step schedule is above the paper's by nine
# tenths of the peak, for as many epochs as the warm-up has. GluonCV subtracts the warm-up from its decay epochs, so
# that they stay at 30, 60 and 90 as in Fig. 3a.
#
# ### 4. No bias decay
#
# The paper lets only the weights of convolutions and linear layers decay: no bias, no γ, no β. In PyTorch a batch
# norm's β is called `bias`, and its γ `weight`.

# %% tags=["hide-input"]
def nothing_with_one_dimension_decays(names):
    decayed, _ = names["groups"](resnet.build("resnet8", 10), 5e-4)
    left = [p.numel() for p in decayed["params"] if p.ndim <= 1]
    assert not left, f"of a resnet8, {sum(left):,} numbers with one dimension decay, in {len(left)} batch norms"


bug_hunt(
    """
def groups(model, decay):
    decayed, spared = [], []
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            spared.append(parameter)
        else:
            decayed.append(parameter)
    return {"params": decayed, "weight_decay": decay}, {"params": spared, "weight_decay": 0.0}
""",
    wrong='if name.endswith("bias"):',
    right="if parameter.ndim <= 1:",
    why="A rule by name spares β, and lets γ decay.",
    test=nothing_with_one_dimension_decays,
)

# %% [markdown]
# Others go by the kind of layer: torchvision's `--norm-weight-decay` names normalisation layers, and leaves the head's
# bias decaying. Ours goes by dimension:

# %%
show(parameters.decay_groups)

# %% tags=["hide-input"]
def exempt(model):
    """rule -> the parameters that it keeps from decaying."""
    norms = {p for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    named = list(model.named_parameters())
    biases = [p for name, p in named if name.endswith("bias")]
    return {
        "one dimension (the paper's biases, γ, β)": [p for _, p in named if p.ndim <= 1],
        "normalisation layers (γ, β)": [p for _, p in named if p in norms],
        "names that end in “bias” (biases, β)": biases,
        "biases of convolutions and linear layers": [p for p in biases if p not in norms],
    }

with torch.device("meta"):
    nets = {"ResNet-50-D": resnet.build("resnet50", 1000, tweak_b=True, tweak_c=True, tweak_d=True),
            "the course's net": resnet.build("resnet8", 10, tweak_d=True)}
rules = {name: exempt(net) for name, net in nets.items()}
for name, net in nets.items():
    ours = next(iter(rules[name].values()))
    assert all(a is b for a, b in zip(ours, parameters.decay_groups(net, 1e-4, True)[1]["params"], strict=True))
rows = [{"rule": rule, **{name: sum(p.numel() for p in rules[name][rule]) for name in nets}} for rule in rules[name]]
everything = {name: resnet.parameter_count(net) for name, net in nets.items()}
table([{"rule": row["rule"], **{n: f"{row[n]:,} of {everything[n]:,}" for n in nets}} for row in rows])
skipped = rows[0]["ResNet-50-D"] - rows[2]["ResNet-50-D"]
sheet.append(("hunt 4", "biases by name", f"{skipped:,} numbers of ResNet-50-D, its γ, decay after all"))

# %% [markdown]
# A test that counts is enough: after grouping, nothing with one dimension may be in the group that decays, and every
# parameter must be in one group. Whether it *matters* is another question. In the paper's Table 4 no bias decay changed
# ResNet-50 by −0.03 points at batch 256 and by −0.34 at 1024.
#
# ### 5. Averaged weights
#
# Your guess was about this one. `keep` is d, the share of the old average that stays.

# %% tags=["hide-input"]
def without_memory_it_is_the_network_itself(names):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    copy, x = deepcopy(net), 5 + 2 * torch.linspace(-1, 1, 60).reshape(20, 3)
    net(x)  # in training, batch norm's means and variances move
    names["average_"](copy, net, keep=0.0)
    apart = (copy.eval()(x) - net.eval()(x)).abs().max().item()
    assert apart < 1e-6, f"with keep = 0 the average must be the network itself; its outputs are off by {apart:.2f}"


torch.manual_seed(0)
bug_hunt(
    """
@torch.no_grad()
def average_(average, net, keep):
    theirs = dict(net.named_parameters())
    for name, ours in average.state_dict().items():
        if name in theirs:
            ours.lerp_(theirs[name], 1 - keep)
""",
    wrong="theirs = dict(net.named_parameters())",
    right="theirs = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}",
    why="The means and variances of batch norm are buffers, and stay where they were before training.",
    test=without_memory_it_is_the_network_itself,
    torch=torch,
)

# %% [markdown]
# The student's weights were averaged both ways while it trained, with d = 0.95 (less in the first steps, so that the
# random start is forgotten). Both copies have the *same* weights:

# %% tags=["hide-output"]
lost = measured["without"] - measured["with"]
guess.reveal(statistics.Comparison((0,), (lost,), "points"), label="without − with the buffers",
             caption=f"live, one run · resnet8 · two epochs, 2,000 test pictures · {dataset.source}")

# %% tags=["hide-input", "hide-output"]
guess.veil(f"The student itself {measured['student']:.1f} %, its average {measured['with']:.1f} %, "
           f"the average without buffers {measured['without']:.1f} %. "
           + ("The same weights, and no better than a guess." if measured["without"] < 15 else
              "The same weights, far apart." if lost < -5 else
              "Close together this time: the run was too short for the buffers to move far."))

# %% [markdown]
# The buffers started at mean 0 and variance 1, and what a convolution puts out has neither. PyTorch's `AveragedModel`
# copies the buffers or, with `use_buffers=True`, averages them; `tricks/after/averaging.py` copies them. A test of one
# line finds the fault: with d = 0 the average is the network.
#
# ## What departs from what
#
# | part | what | the paper | elsewhere | how much |
# |---|---|---|---|---|
# | above | zero γ | last batch norm of a block | retellings: every batch norm | no convolution learns |
# | hunt 1 | distillation loss | hard + T² · soft | `KLDivLoss`'s default: soft part / K | 1/K |
# | hunt 2 | smoothing and mixup | order left open | composer: the order matters | partner's share · ε·(K−1)/K |
# | hunt 3 | end of the cosine | T without warm-up | timm: T with it | up to 4 % of the peak |
# | hunt 3 | decay epochs | 30, 60, 90 | torchvision: later by the warm-up | peak − peak/10 |
# | hunt 4 | no bias decay | biases, γ and β | by name, or by layer: fewer | all γ |
# | hunt 5 | averaged weights | not in it | a copy that forgets the buffers | a bug: measured above |
# | deeper | distillation loss | hard + T² · soft | GluonCV: half of it | ½ |
# | deeper | smoothed target | ε/(K−1) on wrong classes | PyTorch, GluonCV, composer: ε/K on all | ε·K/(K−1) for ε |
# | deeper | colour jitter | hue, saturation, brightness | GluonCV: contrast for hue | another trick |
# | deeper | first weights | Xavier, uniform | GluonCV: MSRAPrelu, normal | std · √(2/(1 + 0.25²)) |
# | deeper | "ResNet-50" | stride in the 1×1 | torchvision: in the 3×3, which is tweak B | 6 % of multiply-adds |
# | deeper | the paper | its text: +3.99 | its own tables: +3.42 from its own baseline | 0.57 points |
#
# Code is quoted as it stood at these commits: GluonCV 56777561 (the authors' own, for MXNet), composer 64051888, timm
# aa4b5850, torchvision's training script 017e9b9, weiaicunzai 7e8602f, SJTU-DL-lab 8e6406b, hoya012 d788d7a, eloqlo
# 78f8e0f, labml e6b3c8a. Later versions may differ. We have read these projects and do not run them: what runs here is
# written for this lesson, or is PyTorch's and torchvision's own.
#
# ## Conclusion
#
# - **Another setting of the same trick:** ε/K, GluonCV's halved loss, MSRAPrelu. A factor on ε, on learning rate and
#   decay, or on the first steps turns one into the other. Say which you use, and do not worry.
# - **Another trick:** a soft loss divided by K, labels of which one of two is smoothed, a decay that reaches γ,
#   contrast for hue. Results cannot be compared with the paper's, whatever you tune.
# - **A bug:** every γ = 0, averages without buffers. Nothing raises an error.
# - **Do:** write the paper's formula as a test with numbers, *before* the training run. Each of the five hunts above
#   was found by one assertion. If a paper leaves the choice open, write down yours.
#
# ## Questions

# %% tags=["hide-input"]
quiz("Somebody sets γ = 0 in all batch norms. Why does the network not wake up, as the paper's does?", {
    "The gradient of γ is 0 wherever γ is 0": (
        False, "It is a sum of gradient times x̂, and x̂ is not 0. In the paper's version γ moves at once."),
    "No signal reaches the head, so no gradient comes back to any γ or weight": (
        True, "The stem's output is 0, so every x̂ after it is 0, and so is each gradient on the way back."),
    "The learning rate is too small for it": (
        False, "The gradients are exactly 0. Any rate times 0 is 0."),
})
quiz("A script has 0.5 · hard + 0.5 · T² · soft, at learning rate 0.1 and weight decay 5·10⁻⁴. It makes the steps of", {
    "eq. 6 at half the learning rate and twice the weight decay": (
        True, "lr · (½g + d·w) = lr/2 · (g + 2d·w): weight decay does not pass through the loss."),
    "eq. 6 at half the learning rate": (
        False, "Then the weights would decay at half the speed, too: lr/2 · d."),
    "a loss with a weaker teacher": (
        False, "Both parts are halved, so their ratio is that of eq. 6."),
})
quiz("Label smoothing 0.1: the paper gives ε/(K−1) to the wrong classes, PyTorch ε/K to all. On ImageNet that is", {
    "a bug in PyTorch": (
        False, "It is the definition of Inception-v3's paper. The paper of this course departs from it."),
    "the same targets, written differently": (
        False, "At K = 1000 they differ in the fourth digit, and at K = 2 by a factor of two in ε."),
    "the same trick with ε larger by K/(K−1), a thousandth": (
        True, "So it can be ignored at K = 1000; at K = 10 it is a ninth, and worth a line in the text."),
})
quiz("The paper's headline is 75.3 → 79.29. What did the training tricks alone bring to the authors' own ResNet-50?", {
    "3.99 points": (
        False, "75.3 is the number that others had published. The authors' own baseline has 75.87 (Table 2)."),
    "3.42 points": (
        False, "That is from their own baseline, but ResNet-D is another network, and 200 epochs are not 120."),
    "Less than 3.42 points; how much less, the paper does not say": (
        True, "79.29 − 75.87 = 3.42 has a new architecture, 80 more epochs and a larger teacher in it."),
})

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). Smoothing first, mixup second, as two callbacks with ε/K. By how much do the targets
# differ, at most, from those of the other order? `share` is the partner's.

# %%
def largest_difference(share, eps, K):
    # solution
    return share * eps * (K - 1) / K


check("order of the callbacks", largest_difference, targets_apart, [(0.3, 0.1, 10), (0.5, 0.1, 1000), (0.2, 0.4, 4)],
      hint="Look at the partner's class: share · 1 if its label is not smoothed. What is it if it is?")

# %% [markdown]
# **2.** (10 minutes, medium) Somebody trained with w · hard + (1 − w) · T² · soft, learning rate `lr` and weight decay
# `decay`. Our loop has hard + `distill_weight` · T² · soft. Which (distill_weight, lr, decay) make the same steps?

# %%
def as_ours(w, lr, decay):
    # solution
    return (1 - w) / w, w * lr, decay / w


# %% tags=["hide-input"]
def step_as(answer):
    if answer is None:
        return None
    weight, lr, decay = answer
    return lr * (hard_6 + weight * soft_6 + decay * z)  # z stands for any weights


def their_step(w, lr, decay):
    return lr * (w * hard_6 + (1 - w) * soft_6 + decay * z)


check("settings", lambda *given: step_as(as_ours(*given)), their_step, [(0.5, 0.1, 1e-4), (0.1, 0.4, 5e-4)],
      hint="Take w out of the loss. It multiplies the learning rate, and that multiplies the decay too.")

# %% [markdown]
# **3.** (10 minutes, medium) All convolutions of a net with batch norm start c times as large. Which factor on their
# learning rate makes the first relative step, lr · ‖∇‖ / ‖weights‖, what it was?

# %%
def lr_factor(c):
    # solution
    return c**2


# %% tags=["hide-input"]
def measured_factor(c):
    w, a = torch.arange(1.0, 7.0, dtype=torch.float64), torch.tensor([1.0, -1, 2, 0, 1, 3], dtype=torch.float64)

    def relative_step(w):
        w = w.clone().requires_grad_()
        (g,) = torch.autograd.grad((w / w.norm()) @ a, w)  # a loss that does not see the scale of w
        return (g.norm() / w.norm()).item()

    return relative_step(w) / relative_step(c * w)


check("learning rate", lr_factor, measured_factor, [C, 0.5, 3.0],
      hint="Batch norm takes the scale out: the output stays the same. What size has the gradient of f(c · w)?")

# %% [markdown]
# **4. Predict, then count** (5 minutes, easy). You add a test "every parameter is in exactly one group" to somebody's
# code for no bias decay. Which of the five hunts does it catch? Write a set of numbers, {1, 4} for the first and the
# fourth.

# %%
def caught():
    # solution
    return set()


check("what the test catches", ... if caught() in (None, ...) else sorted(caught()), [],
      hint="Look at hunt 4 again: is a parameter missing there, or in both groups?")

# %% [markdown]
# ## Deeper: the paper against itself
#
# On the left what the text says, on the right what its tables say (arXiv v2):

# %% tags=["hide-input"]
t1, t3, t4, t6, t8 = (paper.table(name) for name in "13468")
ours, own = t1["ResNet-50 + tricks (ours)"]["top1"], t3["ResNet-50"]["baseline_top1"]
best, last = max(t4, key=lambda row: t4[row]["BS1024_top1"]), list(t4)[-1]
speed = [row["baseline_time_per_epoch"] / row["efficient_time_per_epoch"] for row in t3.values()]
drops = [(f"{row[2:]} on {net}", paper.delta("6", row, "+ label smoothing", f"{net}_top1"))
         for net in ("Inception-V3", "MobileNet") for row in ("+ distill w/o mixup", "+ distill w/ mixup")]
drops += [(f"{row[2:]} on ADE20K", paper.delta("9", row, "+ cosine", "mIoU")) for row in list(paper.table("9"))[3:]]
lost = t4["Linear scaling"]["BS1024_top1"] - t4["Linear scaling"]["BS256_top1"]
table([{"the text": text, "the tables": numbers} for text, numbers in (
    ("efficient training adds 0.5 % (§3.3)", f"{t3['ResNet-50']['efficient_top1'] - own:+.2f} (Table 3)"),
    ("linear scaling alone loses 0.9 % (§3.3)", f"{lost:+.2f} (Table 4)"),
    ("the other heuristics bridge the gap (§3.3)", f"{t4[last]['BS1024_top1']:.2f} in the last row, but "
     f"{t4[best]['BS1024_top1']:.2f} after “{best}” (Table 4)"),
    ("FP16 is 2 to 3 times faster (§3.2)", ", ".join(f"{net} {x:.2f}×" for net, x in zip(t3, speed, strict=True))),
    ("detection gains 4 % mAP (§6)", f"{paper.delta('8', '+ distill w/ mixup', 'B-standard', 'mAP'):+.2f} (Table 8)"),
    ("accuracy improves consistently (§7)", "; ".join(f"{what} {change:+.2f}" for what, change in drops if change < 0)),
    ("from 75.3 % to 79.29 % (Table 1)", f"{ours - t1['ResNet-50']['top1']:+.2f}; {ours - own:+.2f} from the authors' "
     "own baseline (Table 2), with ResNet-D, 200 epochs and a teacher"))])

# %% [markdown]
# Table 3 behind the fourth line changes the batch size together with the precision. In the sixth, distillation is
# measured from "+ label smoothing" and ADE20K from "+ cosine".
#
# ### Numbers that are given twice
#
# Several numbers are printed in two tables, and the CVPR version of 2019 gives Table 6 again as means and standard
# deviations. The rows of v2 are single runs. How far two versions of the *same step* are apart says how much one such
# row is worth.

# %% tags=["hide-input"]
with torch.device("meta"):  # shapes without memory
    plain = resnet.build("resnet50", 1000)
computed = f"{resnet.multiply_adds(plain, 224) / 1e9:.3f} computed"
twice = (
    ("+ smoothing, top-1 (6, 8)", t6["+ label smoothing"]["ResNet-50-D_top1"], t8["+ smooth"]["ImageNet_top1"], ""),
    ("+ mixup, top-1 (6, 8)", t6["+ mixup w/o distill"]["ResNet-50-D_top1"],
     t8["+ mixup w/o distill"]["ImageNet_top1"], ""),
    ("MobileNet, top-5 (3, 6)", t3["MobileNet"]["efficient_top5"], t6["Efficient"]["MobileNet_top5"], ""),
    ("ResNet-50, G (1, 5)", t1["ResNet-50"]["FLOPs"], paper.table("5")["ResNet-50"]["FLOPs"], computed))
table([{"what (tables)": what, "first": f"{a:g}", "second": f"{b:g}", "": note} for what, a, b, note in twice])
cvpr, rows = paper.table("6 (CVPR)"), list(t6)
for before, row in ((0, 1), (1, 2), (2, 3), (2, 4), (4, 5)):
    a, b = rows[row], rows[before]
    v2, mean = paper.delta("6", a, b, "ResNet-50-D_top1"), paper.delta("6 (CVPR)", a, b, "ResNet-50-D_top1_mean")
    sd = math.hypot(cvpr[a]["ResNet-50-D_top1_std"], cvpr[b]["ResNet-50-D_top1_std"])
    print(f"ResNet-50-D, {a:<20} from {b:<20} v2 {v2:+.2f}, CVPR {mean:+.2f} (sd of a difference {sd:.2f})")

# %% [markdown]
# 3.8 and 3.9 G are the same network: the one number is cut off, the other rounded. Two slips have no number in them:
# Table 9 calls "+ mixup w/ distill" what Table 8 calls "+ distill w/ mixup", and Inception-V3 is cited as [1], which
# is DeepLabv3.
#
# ### Formulas
#
# Eq. 3 is printed as ℓ(p, q) = −Σ qᵢ log pᵢ, with p the truth and q the softmax. One line later it is used as
# −Σ pᵢ log qᵢ. Taken as printed, it cannot be used on labels: log 0 is infinite. With a smoothed truth it is finite,
# but linear in q, so that its optimum is all the mass on one class, with infinite logits: what smoothing is there to
# prevent.

# %%
for name, truth in {"one-hot": torch.tensor([1.0, 0.0, 0.0]), "smoothed": torch.tensor([0.9, 0.05, 0.05])}.items():
    for gap in (1.0, torch.tensor([0.9, 0.05, 0.05]).log().diff().abs().max().item(), 8.0):
        q = torch.tensor([gap, 0.0, 0.0]).softmax(0)
        printed, meant = -(q * truth.log()).sum(), -(truth * q.log()).sum()
        print(f"{name:<8}  gap {gap:.2f}   as printed {printed:7.4f}   as meant {meant:7.4f}")

# %% [markdown]
# The middle gap is the optimum of eq. 5. Only the loss that is meant is smallest there.

# %% [markdown]
# ## Deeper: ε/(K−1) or ε/K
#
# Eq. 4 gives ε/(K−1) to each wrong class. PyTorch, GluonCV's script (lines 363 and 373) and composer give ε/K to
# *every* class, the right one too. The loss is on random logits; the gap is that between the logits of the optimum,
# log(right class / each wrong one). The losses in PyTorch's rows are checked against `F.cross_entropy`.

# %% tags=["hide-input"]
rows = []
for K in (10, 1000):
    converted = label_smoothing.pytorch_eps(0.1, K)
    logits, labels = torch.randn(64, K, generator=torch.Generator().manual_seed(0)), torch.arange(64) % K
    for name, eps, target in (
        ("paper", 0.1, label_smoothing.smooth(targets.one_hot(labels, K), 0.1)),
        ("PyTorch", 0.1, pytorch_smooth(targets.one_hot(labels, K), 0.1)),
        ("PyTorch", converted, pytorch_smooth(targets.one_hot(labels, K), converted)),
    ):
        right, wrong = target[0, 0].item(), target[0, 1].item()
        loss = targets.soft_cross_entropy(logits, target)
        if name == "PyTorch":
            assert torch.allclose(loss, F.cross_entropy(logits, labels, label_smoothing=eps))
        rows.append({"K": K, "whose": name, "ε": f"{eps:.5f}", "right class": f"{right:.5f}",
                     "each wrong one": f"{wrong:.6f}", "loss": f"{loss:.5f}", "gap": f"{math.log(right / wrong):.4f}"})
table(rows)
gaps = [float(row["gap"]) for row in rows]
more = [f"{gaps[i + 1] - gaps[i]:+.4f} at K = {rows[i]['K']}" for i in (0, 3)]
sheet.append(("deeper", "ε/K for ε/(K−1)", "optimal gap " + ", ".join(more)))

# %% [markdown]
# The same trick with another ε, and close to nothing at K = 1000. It is worth a line in a paper, and matters only where
# classes are few.

# %% [markdown]
# ## Deeper: six distillation losses
#
# Eq. 6 is a plain sum: the loss on the labels (hard) plus T² times the loss on the teacher's answers (soft). Five other
# versions, all at T = 20 except labml's:
# - GluonCV (`loss.py`, lines 500 to 532): (1 − w) · T² · soft + w · hard, with w = ½ by default. It was added in March
#   2019, after the paper.
# - `KLDivLoss` with reduction "mean", PyTorch's default: the mean goes over N · K numbers instead of N rows.
#   SJTU-DL-lab uses it for label smoothing.
# - labml (`distillation/__init__.py`): 0.5 · hard + 100 · that mean, at T = 5.
# - eq. 6 with T² left out.
# - eloqlo (`knowledge_distillation_loss.py`): the softmax of the *teacher* goes in as logits, that of the *student* as
#   the target. It is shown without a factor T².

# %%
def mean_kl(z, r, T):
    """nn.KLDivLoss() of student and teacher: divided by N · K."""
    return F.kl_div((z / T).log_softmax(1), (r / T).softmax(1), reduction="mean")


def versions(z, r, y, T=20.0):
    """name -> (hard part, soft part) of the loss."""
    hard, soft = F.cross_entropy(z, y), distillation.distill_loss(z, r, T)
    return {
        "paper, eq. 6": (hard, soft),
        "GluonCV, w = ½": (0.5 * hard, 0.5 * soft),
        "T² · KLDivLoss mean": (hard, T**2 * mean_kl(z, r, T)),
        "labml": (0.5 * hard, 100 * mean_kl(z, r, 5.0)),
        "T² left out": (hard, soft / T**2),
        "eloqlo": (hard, F.cross_entropy((r / T).softmax(1), (z / T).softmax(1))),
    }


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    names = list(versions(z, r, y))
print(f"PyTorch warns: {said[0].message}" if said else "PyTorch does not warn")

# %% [markdown]
# For each, the loss and the size of its gradient in the student's logits; the soft part's direction, as its cosine with
# eq. 6's; and what is left of the soft gradient for a student that has *become* the teacher, where it should vanish.

# %%
def gradients(z, r, y):
    """name -> (loss, gradient of the hard part, gradient of the soft part), with respect to the logits z."""
    z = z.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = versions(z, r, y)
    return {name: (float((hard + soft).detach()), *(torch.autograd.grad(part, z, retain_graph=True)[0]
                                                    for part in (hard, soft)))
            for name, (hard, soft) in both.items()}


found, perfect = gradients(z, r, y), gradients(r, r, y)
table([{
    "version": name, "loss": f"{loss:.3f}", "‖∇ hard‖": f"{hard.norm():.2g}", "‖∇ soft‖": f"{soft.norm():.2g}",
    "hard : eq. 6": f"{hard.norm() / hard_6.norm():.3f}", "soft : eq. 6": f"{soft.norm() / soft_6.norm():.4f}",
    "cosine": f"{F.cosine_similarity(soft.flatten(), soft_6.flatten(), dim=0):.3f}",
    "‖∇ soft‖ at the teacher": f"{perfect[name][2].norm():.1e}",
} for name, (loss, hard, soft) in found.items()])
ratio = {name: (soft.norm() / soft_6.norm()).item() for name, (_, _, soft) in found.items()}
sheet.append(("deeper", "GluonCV's distillation loss", f"both gradients × {ratio['GluonCV, w = ½']:.2f}"))

# %% [markdown]
# labml's factor puts back by hand what the mean takes away: 100/K against 0.5 is 20 to 1 at K = 10, where eq. 6 has
# T² = 25 to 1 at T = 5. At another K it would not. eloqlo's version does not vanish at the teacher: it goes on pulling
# the student towards the teacher's largest logit.
#
# ### What makes up for a factor
#
# Half the loss is not half the learning rate: weight decay does not pass through the loss. With SGD and momentum,
# ½ loss at (lr, decay) makes the same steps as the full loss at (lr/2, 2 · decay), because lr · (½g + d·w) =
# lr/2 · (g + 2d·w). A few steps of the real student from the same weights, and how far they end from ½ loss at lr 0.1
# and decay 5 · 10⁻⁴:

# %%
def steps(factor, lr, weight_decay):
    """The student's weights after a step on each of a few batches with factor · eq. 6."""
    model = deepcopy(student).train()
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=weight_decay, nesterov=True)
    for x, y in batches[:4]:
        with torch.no_grad():
            r = teacher(x).float()
        z = model(x).float()
        loss = factor * (F.cross_entropy(z, y) + distillation.distill_loss(z, r, 20.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


half, start = steps(0.5, 0.1, 5e-4), torch.cat([p.detach().flatten() for p in student.parameters()])
for lr, weight_decay in ((0.05, 1e-3), (0.05, 5e-4), (0.1, 5e-4)):
    distance = (steps(1.0, lr, weight_decay) - half).norm() / (half - start).norm()
    print(f"full loss, lr {lr:<4}, decay {weight_decay:.0e}: off by {distance:.2g} of the distance travelled")

# %% [markdown]
# So GluonCV's loss is eq. 6 with half the learning rate and twice the weight decay: another setting of the same trick.
# The mean over K is another matter. It changes the soft part alone, as a weight of 1/K before it would
# (`distill_weight` in our recipes), and no learning rate makes up for that.

# %% [markdown]
# ## Deeper: colour jitter
#
# The paper scales hue, saturation and brightness by coefficients from [0.6, 1.4]. GluonCV's script jitters brightness,
# saturation and *contrast* by 0.4 (lines 242 and 269), and had no hue in October 2018 either. What scaling a hue means
# the paper does not say. Three readings:
# - turn all colours around the grey axis by (c − 1) · 180°, against the direction of HSV's angle: MXNet's hue jitter,
#   and ours (`augment.hue`);
# - multiply HSV's angle by c: weiaicunzai (`transforms.py`). Red has angle 0 and stays red;
# - add (c − 1) · 360° to it: torchvision's `ColorJitter(hue=0.4)`.

# %% tags=["hide-input"]
def linear(matrix):
    return lambda p, c: torch.einsum("ij,jhw->ihw", matrix(torch.tensor([c]))[0], p).clamp(0, 1)


def multiply(p, c):
    hsv = rgb_to_hsv(p.permute(1, 2, 0).numpy())
    hsv[..., 0] = (c * hsv[..., 0]).clip(0, 358 / 360)  # OpenCV's largest hue, where that project cuts it off
    return torch.from_numpy(hsv_to_rgb(hsv)).float().permute(2, 0, 1)


JITTER = {"hue turned": linear(augment.hue), "hue multiplied": multiply,
          "hue added to": lambda p, c: TF.adjust_hue(p, c - 1), "saturation": linear(augment.saturation),
          "brightness": linear(augment.brightness), "contrast": TF.adjust_contrast}
candidates = dataset.test.images[:200].astype(np.float32) / 255
colours = np.diff(candidates, axis=3)  # green − red and blue − green
picture = torch.from_numpy(candidates[colours.std((1, 2)).sum(1).argmax()]).permute(2, 0, 1)  # of many colours
grid = {f"{name}\nc = {c:g}": change(picture, c) for c in (0.6, 1.0, 1.4) for name, change in JITTER.items()}
preprocessing.images_grid([p.permute(1, 2, 0).numpy() for p in grid.values()], list(grid))

# %% [markdown]
# The middle row is the picture as it is. How far the three readings turn pale pure colours at the ends of the range, in
# degrees of HSV's angle; and what each coefficient changes in the picture: its mean grey, the spread of its greys, and
# its chroma (mean of largest minus smallest channel), on the scale 0 to 255.

# %% tags=["hide-input"]
def angle(p):
    return 360 * rgb_to_hsv(p.permute(1, 2, 0).numpy())[0, 0, 0]


rows = []
for name, rgb in {"red": (1, -1, -1), "yellow": (1, 1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1)}.items():
    p, row = 0.5 + 0.1 * torch.tensor(rgb).float()[:, None, None], {"colour": name}
    for label, change in list(JITTER.items())[:3]:
        for c in (0.6, 1.4):
            how = f"{label.split()[1]}, c = {c}"
            row[how] = f"{(angle(change(p, c)) - angle(p) + 180) % 360 - 180:+.0f}°"
    rows.append({"colour": name, "angle": f"{angle(p):.0f}°", **row})
table(rows)
sheet.append(("deeper", "yellow at hue c = 1.4", ", ".join(f"{k[:-9]} {v}" for k, v in rows[1].items() if "1.4" in k)))
rows = []
for name, p in {"as it is": picture, **{name: change(picture, 0.6) for name, change in JITTER.items()}}.items():
    grey = 255 * torch.einsum("c,chw->hw", torch.tensor(augment.RGB_TO_YIQ[0]), p)
    rows.append({"c = 0.6": name, "mean grey": f"{grey.mean():.0f}", "spread of grey": f"{grey.std():.0f}",
                 "chroma": f"{255 * (p.amax(0) - p.amin(0)).mean():.0f}"})
table(rows)

# %% [markdown]
# Contrast keeps the mean grey and shrinks the spread around it. Brightness shrinks both. But for clipping at the ends
# of the scale neither changes the angle of a colour, so GluonCV's jitter leaves out what the paper's first coefficient
# does.

# %% [markdown]
# ## Deeper: the first weights
#
# Xavier draws weights evenly from [−a, a]. With a = √(6/(d_in + d_out)), where d_in and d_out are a layer's fan-in and
# fan-out, their variance is a²/3 = 2/(d_in + d_out). GluonCV's script (line 397) uses MXNet's `MSRAPrelu()`, a normal
# distribution whose variance is that, times 2/(1 + 0.25²): the defaults take the mean of d_in and d_out, and a leaky
# slope of 0.25 although the nets have plain ReLUs. torchvision's ResNet uses He's normal distribution with the variance
# 2/d_out for convolutions, and PyTorch's default for the head. Below is one convolution of the course's net, without
# zero γ, on one batch; *step* is lr · ‖∇‖ / ‖weights‖ at lr 0.1, the mean over the convolutions.

# %%
def first_step(model):
    """Loss, logits, and the convolutions' gradients and weights on the batch, as in training."""
    logits, weights = model(x), [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    loss = F.cross_entropy(logits, y)
    return loss.item(), logits.detach(), torch.autograd.grad(loss, weights), weights

# %% tags=["hide-input"]
rows = []
for init, whose in (("Xavier", "paper"), ("MSRAPrelu", "GluonCV"), ("He", "torchvision")):
    model = fresh(init)
    block, inside = model.stages[1][0], model.stages[0](model.stem(x))
    loss, logits, grads, weights = first_step(model)
    step = np.mean([(0.1 * g.norm() / w.norm()).item() for g, w in zip(grads, weights, strict=True)])
    rows.append({"first weights": f"{init} ({whose})", "std of weights": f"{block.conv1.weight.std():.4f}",
                 "std after convolution": f"{block.conv1(inside).std():.2f}",
                 "after batch norm": f"{block.bn1(block.conv1(inside)).std():.3f}",
                 "std of logits": f"{logits.std():.2f}", "loss": f"{loss:.2f}", "step": f"{step:.4f}"})
table(rows)

# %% [markdown]
# Batch norm takes the scale out again. So a factor c on a convolution's weights leaves the network's outputs as they
# are (but for the small ε in batch norm's denominator), divides its gradient by c, and divides the *relative* step by
# c². Here with the same draw, once as it is and once with all convolutions times c = √(2/(1 + 0.25²)):

# %%
one, scaled = fresh(), fresh()
with torch.no_grad():
    for module in scaled.modules():
        if isinstance(module, nn.Conv2d):
            module.weight *= C
(loss_1, logits_1, grads_1, _), (loss_c, logits_c, grads_c, _) = first_step(one), first_step(scaled)
ratio = torch.tensor([a.norm() / b.norm() for a, b in zip(grads_1, grads_c, strict=True)])
print(f"c = {C:.4f}: logits move by up to {(logits_1 - logits_c).abs().max():.1g}, loss {loss_1:.5f} and {loss_c:.5f}")
print(f"gradients are divided by {ratio.min():.4f} to {ratio.max():.4f}, the relative step by c² = {C * C:.4f}")
sheet.append(("deeper", "MSRAPrelu for Xavier", f"std × {C:.3f}, first relative step / {C * C:.2f}"))

# %% [markdown]
# The departure acts like a smaller learning rate for the convolutions at the start, until weight decay has brought the
# norms to where it wants them. Only the head, which has no batch norm after it, starts with larger outputs.

# %% [markdown]
# ## Deeper: zero γ, the last one or all
#
# The three nets of the first picture. Counted are single numbers whose gradient is exactly 0.

# %% tags=["hide-input"]
count = resnet.parameter_count(fresh())
table([
    {"net": reading, "zero gradients at step 0": f"{still[0]:,} of {count:,}", "at step 1": f"{still[1]:,}",
     "at the last": f"{still[-1]:,}", "loss at step 0": f"{losses[0]:.3f}", "loss at the last": f"{losses[-1]:.3f}"}
    for reading, (losses, still) in of_gamma.items()
])
still = of_gamma["every γ = 0"][1]
sheet.append(("above", "every γ = 0", f"{still[-1]:,} of {count:,} numbers have no gradient, from first to last"))

# %% [markdown]
# With the paper's zero γ, everything in path A before its last batch norm is still for one step. The γ that was set to
# 0 is not, and from the next step on everything moves. With every γ = 0 the stem's output is 0 for every picture. Only
# the head's bias ever learns: the best it can do is to guess the frequencies of the classes, at a loss near log 10 =
# 2.303. Another variant is hoya012's (`network/resnet.py`, line 194): its default run sets γ = 0 in a *pretrained*
# ResNet-50, which throws away the scales that it had learnt.

# %% [markdown]
# ## Deeper: which ResNet-50
#
# Table 5's plain ResNet-50 has the stride in the first 1×1 convolution of path A. torchvision's has it in the 3×3: that
# is tweak B. For tweak C, §4.2 can be read as giving the *first and second* convolutions of the stem a stride of 2.
# Fig. 2b and GluonCV (`resnetv1b.py`, lines 163 to 171) give it to the first only. Built without memory,
# counted at 224 px:

# %% tags=["hide-input"]
def row(name, model, block, theirs=""):
    return {"network": name, "stride of 1×1, 3×3": f"{block.conv1.stride[0]}, {block.conv2.stride[0]}",
            "parameters, M": f"{resnet.parameter_count(model) / 1e6:.3f}",
            "multiply-adds, G": f"{resnet.multiply_adds(model, 224) / 1e9:.3f}", "Table 5, G": theirs}


flops = {name: f"{cells['FLOPs']:.1f}" for name, cells in paper.table("5").items()}
rows, tweaks = [], {}
with torch.device("meta"):
    for name, letter in zip(flops, ("", "b", "c", "d"), strict=True):
        tweaks |= {f"tweak_{letter}": True} if letter else {}
        model = resnet.build("resnet50", 1000, **tweaks)
        rows.append(row(name, model, model.stages[1][0], flops[name]))
    theirs, twice = torchvision.models.resnet50(), resnet.build("resnet50", 1000, tweak_b=True, tweak_c=True)
rows.append(row("torchvision's resnet50", theirs, theirs.layer2[0]))
twice.stem[3].stride = (2, 2)
rows.append(row("C, stride 2 twice (§4.2)", twice, twice.stages[1][0]))
twice.stem[9] = nn.Identity()  # without the max pooling, so that the stages see 56 px again
rows.append(row("the same without max pooling", twice, twice.stages[1][0]))
table(rows)
more = resnet.multiply_adds(theirs, 224) / resnet.multiply_adds(plain, 224) - 1
sheet.append(("deeper", "torchvision's ResNet-50 for the plain one", f"multiply-adds {more:+.1%}, parameters the same"))

# %% [markdown]
# A table that compares "ResNet-50" with "ResNet-50-D" therefore depends on whose ResNet-50 it is: against
# torchvision's, tweak B's share is already in.

# %% [markdown]
# ## Deeper: the sheet in numbers

# %% tags=["hide-input"]
table([{"part": part, "departure": what, "how much": how} for part, what, how in sheet])

# %% [markdown]
# ## For discussion
#
# 1. You read "label smoothing 0.1, mixup 0.2, lr 0.4" in a paper. Which five facts do you still need in order to repeat
#    it?
# 2. The authors' script differs from their text in four rows of the table above. Which of the two would you call the
#    method?
# 3. Two callbacks gave two targets. Name another pair of steps in a training loop whose order matters, and a test that
#    would have shown it.
