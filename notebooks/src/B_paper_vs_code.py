# %% [markdown]
# # Appendix B: the paper against its code
#
# **Claim.** A recipe in words can be read in several ways, and well-known code reads this one in several ways. Each
# place that we know of is run below in both versions, and the difference computed. Some differences are lost in
# rounding. One departure divides a loss by the number of classes, and one makes a network that can never learn. The
# sheet at the end puts them side by side.
#
# After this lesson you can
# 1. say in which tables the paper does not agree with its own text;
# 2. check somebody's label smoothing, mixup, distillation and learning rate against the paper's formulas with a few
#    numbers;
# 3. tell a difference that another learning rate makes up for from one that no setting makes up for;
# 4. say which ResNet-50 you have in front of you.
#
# *Time:* 35 minutes to read, 1 minute of training on two CPU cores. *Paper:* all sections; eq. 1, 3, 4 and 6–8.
#
# ## What departs from what
#
# | part | what | the paper | elsewhere | how much |
# |---|---|---|---|---|
# | 1 | the paper | its text | its own tables | printed below |
# | 2 | smoothed target | ε/(K−1) on wrong classes | PyTorch, GluonCV, composer: ε/K on all | ε·K/(K−1) for ε |
# | 2 | smoothing and mixup | order left open | composer: the order changes the target | partner's share · ε·(K−1)/K |
# | 3 | distillation loss | hard + T² · soft | GluonCV: half of it; `KLDivLoss`: soft part / K | ½; 1/K |
# | 4 | end of the cosine | T without warm-up | timm: T with it | printed below |
# | 4 | decay epochs | 30, 60, 90 | torchvision: later by the warm-up | peak − peak/10 |
# | 5 | colour jitter | hue, saturation, brightness | GluonCV: contrast for hue | printed below |
# | 6 | first weights | Xavier, uniform | GluonCV: MSRAPrelu, normal | std · √(2/(1 + 0.25²)) |
# | 7 | zero γ | last batch norm of a block | retellings: every batch norm | no weight learns |
# | 8 | no bias decay | biases, γ and β | by name, or by layer: fewer | printed below |
# | 9 | "ResNet-50" | stride in the 1×1 | torchvision: in the 3×3, which is tweak B | printed below |
#
# Code is quoted as it stood at these commits: GluonCV 56777561 (the authors' own, for MXNet), composer 64051888, timm
# aa4b5850, torchvision's training script 017e9b9, weiaicunzai 7e8602f, SJTU-DL-lab 8e6406b, hoya012 d788d7a, eloqlo
# 78f8e0f, labml e6b3c8a. Later versions may differ. We have read these projects and do not run them: what runs below
# is written for this lesson, or is PyTorch's and torchvision's own.

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

from tricks import augment, distillation, label_smoothing, mixup, parameters, schedules, targets, train
from tricks.course.lesson import live_run, load_data, slide, sliders, table
from tricks.course.questions import check
from tricks.models import resnet
from tricks.plots import preprocessing, style
from tricks.recipe import Recipe
from tricks.records import make, paper
from tricks.studies.studies import recipe_of

sheet = []  # part, what, how much: printed at the end

# %% [markdown]
# ## 1. The paper against itself
#
# On the left what the text says, on the right what its tables say (arXiv v2):

# %%
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

# %%
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
for name, p in {"one-hot": torch.tensor([1.0, 0.0, 0.0]), "smoothed": torch.tensor([0.9, 0.05, 0.05])}.items():
    for z in (1.0, torch.tensor([0.9, 0.05, 0.05]).log().diff().abs().max().item(), 8.0):
        q = torch.tensor([z, 0.0, 0.0]).softmax(0)
        print(f"{name:<8}  gap {z:.2f}   as printed {-(q * p.log()).sum():7.4f}   as meant {-(p * q.log()).sum():7.4f}")

# %% [markdown]
# The middle gap is the optimum of eq. 5. Only the loss that is meant is smallest there.
#
# ## Two networks to try things on
#
# Losses and gradients are best compared on real logits. This is a live run, small, and not mixed with the recorded
# ones: its network will serve as the teacher. The student has seen the pictures once.

# %%
dataset = load_data()
recipe, parts, rows = live_run(recipe_of("cosine"), dataset)
teacher = parts.model.eval()
once = replace(recipe, epochs=1, warmup_epochs=0.3)
young = make.prepare(once, 1, dataset)
for row in train.epochs(once, young, seed=1):
    print(f"the student, after one epoch: test accuracy {row['test_accuracy']:.1f} %")
student = young.model.eval()
batches = list(islice(parts.train.epoch(0), 4))
x, y = batches[0]
with torch.no_grad():
    z, r = student(x).float(), teacher(x).float()

# %% [markdown]
# ## 2. Targets
#
# ### ε/(K−1) or ε/K
#
# Eq. 4 gives ε/(K−1) to each wrong class. PyTorch, GluonCV's script (lines 363 and 373) and composer give ε/K to
# *every* class, the right one too. The loss is on random logits; the gap is that between the logits of the optimum,
# log(right class / each wrong one). The losses in PyTorch's rows are checked against `F.cross_entropy`.

# %%
def pytorch_smooth(p, eps):
    return (1 - eps) * p + eps / p.shape[1]


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
sheet.append(("2", "ε/K for ε/(K−1)", "optimal gap " + ", ".join(more)))

# %% [markdown]
# The same trick with another ε, and close to nothing at K = 1000. It is worth a line in a paper, and matters only where
# classes are few.
#
# ### Smoothing and mixup: two callbacks, two orders
#
# composer is a library of events: each trick is an object that acts when the trainer announces something. Its
# `LabelSmoothing` changes the targets before the loss. Its `MixUp` keeps the partners' labels before the forward pass,
# and mixes them in before the loss (`label_smoothing.py`, `mixup.py`). Both act on "before loss", so the list's order
# decides. Here is that arrangement in our own words, with composer's ε/K and its λ, which is the partner's share:

# %%
class Smoothing:
    def __init__(self, eps):
        self.eps = eps

    def before_loss(self, state):
        state["targets"] = pytorch_smooth(state["targets"], self.eps)


class Mixup:
    def __init__(self, share, perm):
        self.share, self.perm = share, perm

    def before_forward(self, state):
        self.partner = state["targets"][self.perm]  # as they are now: not smoothed
        state["x"] = (1 - self.share) * state["x"] + self.share * state["x"][self.perm]

    def before_loss(self, state):
        state["targets"] = (1 - self.share) * state["targets"] + self.share * self.partner


def run_events(callbacks, x, p):
    state = {"x": x, "targets": p}
    for event in ("before_forward", "before_loss"):
        for callback in callbacks:
            getattr(callback, event, lambda state: None)(state)
    return state["x"], state["targets"]

# %% [markdown]
# Two pictures of K = 4 classes, class 0 and class 2, ε = 0.1, the partner's share 0.3. In one order the partner's label
# comes in as it is. The library's functions on dense targets are both affine maps of the target, so they commute. Then
# the same on a batch of real pictures, as the gradient that the student gets:

# %%
def orders(share, perm, eps=0.1):
    """The two lists of callbacks."""
    return {"mixup, smoothing": [Mixup(share, perm), Smoothing(eps)],
            "smoothing, mixup": [Smoothing(eps), Mixup(share, perm)]}


def targets_apart(share, eps, K):
    """Largest difference between the two orders' targets, for two pictures of different classes."""
    two = targets.one_hot(torch.tensor([0, 1]), K)
    a, b = (run_events(order, two, two)[1] for order in orders(share, torch.tensor([1, 0]), eps).values())
    return (a - b).abs().max().item()


two, swap = targets.one_hot(torch.tensor([0, 2]), 4), torch.tensor([1, 0])
for name, order in orders(0.3, swap).items():
    print(f"events, {name}: {run_events(order, two, two)[1][0].numpy().round(4)}")
mixed, smoothed = mixup.mixup(two, two, 0.7, swap)[1], label_smoothing.smooth(two, 0.1)
assert torch.allclose(label_smoothing.smooth(mixed, 0.1), mixup.mixup(two, smoothed, 0.7, swap)[1])
print(f"dense targets, any order: {label_smoothing.smooth(mixed, 0.1)[0].numpy().round(4)}")
apart = {K: round(targets_apart(0.3, 0.1, K), 4) for K in (4, 10, 1000)}
both_orders = orders(0.3, torch.arange(len(x)).roll(1)).values()
on_batch = [run_events(order, x, targets.one_hot(y, 10)) for order in both_orders]
a, b = (student(mixed).detach().float().softmax(1) - p for mixed, p in on_batch)  # gradients in the logits
print(f"largest difference for K classes: {apart}; on the batch, the gradient moves by {(a - b).norm() / a.norm():.1%}")
sheet.append(("2", "smoothing before mixup", f"targets {apart[10]:.3f} apart at K = 10, share 0.3"))

# %% [markdown]
# The largest difference is the partner's share times ε · (K−1)/K: what smoothing would have taken from the partner's
# class.
#
# GluonCV smooths inside its mixup (lines 430 to 433), as our dense targets do. timm's `Mixup` has smoothing inside too,
# and it is *on* by default, at ε = 0.1: a baseline built with it has the trick already.
#
# ## 3. The distillation loss
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
_, hard_6, soft_6 = found["paper, eq. 6"]
table([{
    "version": name, "loss": f"{loss:.3f}", "‖∇ hard‖": f"{hard.norm():.2g}", "‖∇ soft‖": f"{soft.norm():.2g}",
    "hard : eq. 6": f"{hard.norm() / hard_6.norm():.3f}", "soft : eq. 6": f"{soft.norm() / soft_6.norm():.4f}",
    "cosine": f"{F.cosine_similarity(soft.flatten(), soft_6.flatten(), dim=0):.3f}",
    "‖∇ soft‖ at the teacher": f"{perfect[name][2].norm():.1e}",
} for name, (loss, hard, soft) in found.items()])
ratio = {name: (soft.norm() / soft_6.norm()).item() for name, (_, _, soft) in found.items()}
sheet.append(("3", "GluonCV's distillation loss", f"both gradients × {ratio['GluonCV, w = ½']:.2f}"))
sheet.append(("3", "KLDivLoss with reduction mean", f"soft gradient × {ratio['T² · KLDivLoss mean']:.3f} at K = 10"))

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
    for x, y in batches:
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
#
# ## 4. Warm-up and the rest of the schedule
#
# The paper's T "ignores warm-up": the cosine starts where the warm-up ends. So do GluonCV and torchvision. timm's
# `CosineLRScheduler` counts from step 0 unless `warmup_prefix=True`, and the learning rate falls by a jump when the
# warm-up ends. For the step schedule, GluonCV subtracts the warm-up from its decay epochs (line 191), so that they stay
# at 30, 60 and 90 as in Fig. 3a. torchvision's script starts `StepLR` *after* the warm-up. The paper's setting: 120
# epochs, 5 of warm-up, peak 0.4.

# %%
PAPER = Recipe(epochs=120, batch_size=1024, lr=0.1, lr_batch=256, linear_scaling=True)  # peak 0.4


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

# %%
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


sliders(both_readings, warmup_epochs=(1, 30))

# %%
fig = both_readings(5)
epoch, pairs = rates(5, per_epoch=100)
percent = {name: 100 * np.abs(other - ours).max() / 0.4 for name, (ours, other) in pairs.items()}
apart = " and ".join(f"{value:.1f} % ({name})" for name, value in percent.items())
takeaway = f"5 epochs of warm-up counted otherwise: the learning rate is off by up to {apart} of its peak"
slide(fig, "B_paper_vs_code_learning_rates", takeaway=takeaway)
for name, (ours, other) in pairs.items():
    gap = other - ours
    where = np.abs(gap) >= np.abs(gap).max() - 1e-9
    print(f"{name:<7} largest difference {gap[np.abs(gap).argmax()]:+.4f} at epoch {epoch[where].min():.1f}", end="")
    print(f", {np.abs(gap).max() / 0.4:.1%} of the peak; mean over the run {gap.mean() / ours.mean():+.2%}")
    sheet.append(("4", f"{name}: warm-up counted otherwise", f"lr {gap[np.abs(gap).argmax()]:+.4f} of 0.4 "
                  f"at epoch {epoch[where].min():.0f}"))
for warm, total in ((5, 120), (5, 30)):
    jump = schedules.cosine_lr(warm, total, 1.0) - 1
    print(f"timm's jump at the end of {warm} epochs of warm-up out of {total}: {jump:+.1%}")

# %% [markdown]
# Either cosine ends at 0 and either step schedule at a thousandth of the peak. The cosine differs by little at any
# time, and by less the shorter the warm-up is beside the run. The step schedules differ for as many epochs as the
# warm-up has at each of the three drops: by nine tenths of the peak at the first one, and by a tenth of the drop before
# at the second and the third.
#
# ## 5. Colour jitter
#
# The paper scales hue, saturation and brightness by coefficients from [0.6, 1.4]. GluonCV's script jitters brightness,
# saturation and *contrast* by 0.4 (lines 242 and 269), and had no hue in October 2018 either. What scaling a hue means
# the paper does not say. Three readings:
# - turn all colours around the grey axis by (c − 1) · 180°, against the direction of HSV's angle: MXNet's hue jitter,
#   and ours (`augment.hue`);
# - multiply HSV's angle by c: weiaicunzai (`transforms.py`). Red has angle 0 and stays red;
# - add (c − 1) · 360° to it: torchvision's `ColorJitter(hue=0.4)`.

# %%
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

# %%
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
sheet.append(("5", "yellow at hue c = 1.4", ", ".join(f"{k[:-9]} {v}" for k, v in rows[1].items() if "1.4" in k)))
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
#
# ## 6. The first weights
#
# Xavier draws weights evenly from [−a, a]. With a = √(6/(d_in + d_out)), where d_in and d_out are a layer's fan-in and
# fan-out, their variance is a²/3 = 2/(d_in + d_out). GluonCV's script (line 397) uses MXNet's `MSRAPrelu()`, a normal
# distribution whose variance is that, times 2/(1 + 0.25²): the defaults take the mean of d_in and d_out, and a leaky
# slope of 0.25 although the nets have plain ReLUs. torchvision's ResNet uses He's normal distribution with the variance
# 2/d_out for convolutions, and PyTorch's default for the head. Below is one convolution of the course's net, without
# zero γ, on one batch; *step* is lr · ‖∇‖ / ‖weights‖ at lr 0.1, the mean over the convolutions.

# %%
C = math.sqrt(2 / (1 + 0.25**2))


def fresh(init="Xavier"):
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


def first_step(model):
    """Loss, logits, and the convolutions' gradients and weights on the batch, as in training."""
    logits, weights = model(x), [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    loss = F.cross_entropy(logits, y)
    return loss.item(), logits.detach(), torch.autograd.grad(loss, weights), weights

# %%
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
sheet.append(("6", "MSRAPrelu for Xavier", f"std × {C:.3f}, first relative step / {C * C:.2f}"))

# %% [markdown]
# The departure acts like a smaller learning rate for the convolutions at the start, until weight decay has brought the
# norms to where it wants them. Only the head, which has no batch norm after it, starts with larger outputs.
#
# ## 7. Zero γ: the last one, or all
#
# The paper sets γ = 0 in the batch norm that *ends* a residual block. Retellings say "batch norm layers". Three nets,
# the same first weights and batches, ten steps each. Counted are single numbers whose gradient is exactly 0.

# %%
rows = []
for name in ("γ = 1", "last γ of each block = 0 (paper)", "every γ = 0"):
    model = fresh()
    last = {m.last_bn for m in model.modules() if hasattr(m, "last_bn")}
    for bn in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        if name.startswith("every") or name.startswith("last") and bn in last:
            nn.init.zeros_(bn.weight)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    losses, still = [], []
    for step in range(11):
        images, labels = batches[step % len(batches)]
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        still.append(sum(int((p.grad == 0).sum()) for p in model.parameters()))
        losses.append(loss.item())
        optimizer.step()
    count = resnet.parameter_count(model)
    rows.append({"net": name, "zero gradients at step 0": f"{still[0]:,} of {count:,}", "at step 1": f"{still[1]:,}",
                 "at step 10": f"{still[10]:,}", "loss at step 0": f"{losses[0]:.3f}", "at 10": f"{losses[10]:.3f}"})
table(rows)
sheet.append(("7", "every γ = 0", f"{still[10]:,} of {count:,} parameters have no gradient, at step 0 and at step 10"))

# %% [markdown]
# With the paper's zero γ, everything in path A before its last batch norm is still for one step. The γ that was set to
# 0 is not, and from the next step on everything moves. With every γ = 0 the stem's output is 0 for every picture. Only
# the head's bias ever learns: the best it can do is to guess the frequencies of the classes, at a loss near log 10 =
# 2.303. Another variant is hoya012's (`network/resnet.py`, line 194): its default run sets γ = 0 in a *pretrained*
# ResNet-50, which throws away the scales that it had learnt.
#
# ## 8. No bias decay: which parameters
#
# The paper exempts biases, γ and β. Code finds them by dimension (ours, SJTU-DL-lab), by the kind of layer
# (weiaicunzai), or by a name. In PyTorch a batch norm's β is called `bias` and its γ `weight`, so a rule by name lets γ
# decay. torchvision's `--norm-weight-decay` names normalisation layers, which leaves the head's bias decaying.

# %%
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

# %%
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
sheet.append(("8", "biases by name", f"{skipped:,} numbers of ResNet-50-D, its γ, decay after all"))
change = {b: paper.delta("4", "+ No bias decay", "+ Zero gamma", f"BS{b}_top1") for b in (256, 1024)}
print(f"no bias decay in the paper's Table 4: {change[256]:+.2f} points at batch 256, {change[1024]:+.2f} at 1024")

# %% [markdown]
# ## 9. Which ResNet-50
#
# Table 5's plain ResNet-50 has the stride in the first 1×1 convolution of path A. torchvision's has it in the 3×3: that
# is tweak B. For tweak C, §4.2 can be read as giving the *first and second* convolutions of the stem a stride of 2.
# Fig. 2b and GluonCV (`resnetv1b.py`, lines 163 to 171) give it to the first only. Built without memory,
# counted at 224 px:

# %%
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
sheet.append(("9", "torchvision's ResNet-50 for the plain one", f"multiply-adds {more:+.1%}, parameters the same"))

# %% [markdown]
# A table that compares "ResNet-50" with "ResNet-50-D" therefore depends on whose ResNet-50 it is: against
# torchvision's, tweak B's share is already in.
#
# ## The sheet

# %%
table([{"part": part, "departure": what, "how much": how} for part, what, how in sheet])

# %% [markdown]
# ## Exercises
#
# **1.** Smoothing first, mixup second, as two callbacks with ε/K. By how much do the targets differ, at most, from
# those of the other order? `share` is the partner's.

# %%
def largest_difference(share, eps, K):
    # solution
    return share * eps * (K - 1) / K


check("order of the callbacks", largest_difference, targets_apart, [(0.3, 0.1, 10), (0.5, 0.1, 1000), (0.2, 0.4, 4)])

# %% [markdown]
# **2.** Somebody trained with w · hard + (1 − w) · T² · soft, learning rate `lr` and weight decay `decay`. Our loop has
# hard + `distill_weight` · T² · soft. Return (distill_weight, lr, decay) that make the same steps.

# %%
def as_ours(w, lr, decay):
    # solution
    return (1 - w) / w, w * lr, decay / w


def step_as(answer):
    if answer is None:
        return None
    weight, lr, decay = answer
    return lr * (hard_6 + weight * soft_6 + decay * z)  # z stands for any weights


def their_step(w, lr, decay):
    return lr * (w * hard_6 + (1 - w) * soft_6 + decay * z)


check("settings", lambda *given: step_as(as_ours(*given)), their_step, [(0.5, 0.1, 1e-4), (0.1, 0.4, 5e-4)])

# %% [markdown]
# **3.** All convolutions of a net with batch norm start c times as large. Which factor on their learning rate makes the
# first relative step, lr · ‖∇‖ / ‖weights‖, what it was?

# %%
def lr_factor(c):
    # solution
    return c**2


def measured_factor(c):
    w, a = torch.arange(1.0, 7.0, dtype=torch.float64), torch.tensor([1.0, -1, 2, 0, 1, 3], dtype=torch.float64)

    def relative_step(w):
        w = w.clone().requires_grad_()
        (g,) = torch.autograd.grad((w / w.norm()) @ a, w)  # a loss that does not see the scale of w
        return (g.norm() / w.norm()).item()

    return relative_step(w) / relative_step(c * w)


check("learning rate", lr_factor, measured_factor, [C, 0.5, 3.0])

# %% [markdown]
# ## Summary
#
# - Some departures are another setting of the same trick: ε/K, GluonCV's halved loss, MSRAPrelu. A factor on ε, on the
#   learning rate and the decay, or on the first learning rates turns one into the other.
# - Some are another trick: contrast for hue, a soft loss divided by K, labels that only one of two partners has
#   smoothed, a decay that skips γ.
# - One is a bug that no setting mends: every γ = 0.
# - The paper's text claims more than its tables give, and the rows of v2 are single runs. CVPR's standard deviations
#   show how much such a row moves.
#
# ## For discussion
#
# 1. You read "label smoothing 0.1, mixup 0.2, lr 0.4" in a paper. Which five facts do you still need in order to repeat
#    it?
# 2. The authors' script differs from their text in four of the nine parts. Which of the two would you call the method?
# 3. Two callbacks gave two targets. Name another pair of steps in a training loop whose order matters, and a test that
#    would have shown it.
