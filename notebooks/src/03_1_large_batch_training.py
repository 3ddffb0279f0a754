# %% [markdown]
# # 3.1 Large-batch training
#
# **Claim.** The variance of a mini-batch gradient falls as one over the batch size, and this is why k times as many
# pictures a step go with k times the learning rate. The argument needs a gradient that changes little from step to
# step. In the first steps it changes most: warm-up and zero γ are for them. No bias decay says which parameters are to
# be pulled towards 0. What each of the four did to accuracy is printed below from records.
#
# After this lesson you can
# 1. measure how gradient noise depends on the batch size, and derive linear scaling from it;
# 2. show what warm-up prevents, and make a loss overflow on purpose;
# 3. explain why a block with γ = 0 still learns, by its gradients at the first two steps;
# 4. say which numbers of a network decay, and what decay can do to a weight that a batch norm follows.
#
# *Time:* 45 minutes to read and drag, 2 minutes of training on two CPU cores. *Paper:* §3.1, Table 4.

# %% tags=["hide-input"]
import copy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from IPython.display import Markdown, display
from torch.nn.functional import avg_pool2d, cross_entropy

from tricks import augment, parameters, process, schedules
from tricks.course.lesson import budget, live_run, load_data, show, show_loop, slide, sliders, table, tabled
from tricks.course.questions import check, predict, quiz
from tricks.data.order import balanced_order
from tricks.plots import diagrams, evidence, large_batch
from tricks.plots import schedules as schedule_plots
from tricks.recipe import BASELINE
from tricks.records import make, paper, statistics
from tricks.studies.studies import arm, recipe_of, study

# %% [markdown]
# ## The problem: fewer steps for the same pictures
#
# A large batch keeps a large machine busy (section 3.2). It also makes fewer steps out of the same pictures. These
# networks saw the same pictures equally often, 64 a step or 512 a step, with the same learning rate:

# %%
small, unscaled = arm("small"), arm("large-unscaled")
for name, runs in {"64": small, "512": unscaled}.items():
    per_epoch = runs[0].meta["train_images"] // int(name)
    print(f"{name:>3} pictures a step: {per_epoch:3} steps an epoch, {per_epoch * runs[0].recipe.epochs:5,} in all")
evidence.curves({"64 a step": small, "512 a step": unscaled}, caption=statistics.caption(small + unscaled, curve=True))

# %% [markdown]
# ### Before you go on: predict
#
# Linear scaling multiplies the learning rate by 8, like the batch. Where does 512 a step end then, relative to the 64 a
# step of the picture? In the paper the batch grows from 256 to 1024. Set the slider. The answer comes when you press
# *Reveal*, near the end.

# %%
rows_4 = paper.table("4")
theirs = round(rows_4["Linear scaling"]["BS1024_top1"] - rows_4["Linear scaling"]["BS256_top1"], 2)
print(f"paper, Table 4, ResNet-50 on ImageNet, 120 epochs: {theirs:+.2f} points of top-1 accuracy")
guess = predict("Test accuracy of 512 a step, scaled, minus that of 64 a step", low=-30, high=5, step=0.5)

# %% [markdown]
# ## 1. Linear scaling
#
# Let G be the mean of the gradient over batches, g the gradient of one batch, and V(b) the mean of ‖g − G‖², summed
# over all weights. Lesson 02 found V(b) = V(1)/b for two weights and 64 cars. Does it hold for a network with
# batch norm, whose gradient is no plain mean over pictures? We measure it on resnet8 after some steps of training.
# The pictures are halved to 16 px, which makes everything in this lesson that is not a record take seconds.

# %%
dataset = load_data()
QUICK = budget() != "smoke"
images, STEPS = (5_000, 200) if QUICK else (512, 20)
chosen = balanced_order(dataset.train.labels)[:images]
x = avg_pool2d(augment.normalise(torch.from_numpy(dataset.train.images[chosen]).to(process.device())), 2)
y = torch.from_numpy(dataset.train.labels[chosen]).to(process.device())
SOURCE = f"n = 1 seed · resnet8 · {len(x):,} images of {dataset.source} at {x.shape[-1]} px"
print(f"{tuple(x.shape)} from {dataset.source}")

# %% [markdown]
# The loop of the course reports once an epoch. `first_steps` is the same optimiser, stopped between backward and step:

# %%
def first_steps(model, rates, batch_size, seed=0):
    """Train with one step per learning rate; yields each batch's loss once its gradients are there, before the step."""
    groups = parameters.decay_groups(model.train(), BASELINE.weight_decay, no_bias_decay=False)
    optimizer = torch.optim.SGD(groups, lr=rates[0], momentum=0.9, nesterov=True)
    stream = torch.Generator().manual_seed(seed)
    for lr in rates:
        optimizer.param_groups[0]["lr"] = lr
        batch = torch.randint(len(x), (batch_size,), generator=stream)
        loss = cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        yield loss.item()
        optimizer.step()


fresh = make.model_for(BASELINE, len(dataset.classes), seed=0)
trained = copy.deepcopy(fresh)
losses = list(first_steps(trained, [0.05] * (STEPS // 2), batch_size=64))
print(f"loss {losses[0]:.2f} at the first step, {np.mean(losses[-10:]):.2f} over the last ten of {len(losses)}")

# %%
def gradient(model, batch):
    """The gradient of the mean loss of the pictures with these numbers, all weights in one vector."""
    parts = torch.autograd.grad(cross_entropy(model(x[batch]), y[batch]), list(model.parameters()))
    return torch.cat([part.flatten() for part in parts])


SIZES, REPEATS = ([8, 16, 32, 64, 128, 256], 12) if QUICK else ([8, 16, 32, 64], 4)


def noise(model):
    """For each batch size: V(b), and an unbiased estimate of ‖G‖², from random batches drawn with replacement."""
    stream, variances, signals = torch.Generator().manual_seed(1), [], []
    for b in SIZES:
        g = torch.stack([gradient(model, torch.randint(len(x), (b,), generator=stream)) for _ in range(REPEATS)])
        variances.append(float(g.var(dim=0).sum()))
        signals.append(float(g.mean(dim=0).square().sum()) - variances[-1] / REPEATS)
    return variances, signals


measured = {"statistics of the batch, as in training": noise(trained.train())}
measured["running statistics: a plain mean over pictures"] = noise(trained.eval())
variances = {f"batch norm with {label}": values for label, (values, _) in measured.items()}
drawn = f"{REPEATS} batches of each size, after {STEPS // 2} steps"
large_batch.gradient_noise(SIZES, variances, caption=f"{SOURCE} · {drawn}")

# %% [markdown]
# With running statistics, V(b) = V(1)/b is a theorem, and what is left is sampling error. With the statistics of the
# batch it is a measurement; its slope is in the legend.
#
# Now compare k steps of batch b at learning rate η with *one* step of batch kb at learning rate kη, as long as the
# gradient stays what it is. The k steps move the weights by −η(g₁ + … + gₖ): mean −kηG, variance kη²V(1)/b. The one
# step moves them by −kηg: mean −kηG, variance k²η²V(1)/(kb), which is the same number. So a batch k times as large
# wants a learning rate k times as large. Without the factor, the mean is k times too short. By hand and by the library:

# %%
show(schedules.scaled_lr)
for batch_size in (256, 512, 1024):
    by_hand = 0.1 * batch_size / 256
    assert schedules.scaled_lr(0.1, batch_size) == by_hand
    print(f"b = {batch_size:5,}: learning rate {by_hand:.1f}")

# %% [markdown]
# ### Does one large step do the work of eight small ones?
#
# "As long as the gradient stays what it is" is where the argument can break. On the real network, without momentum:
# eight steps of 64 pictures at η, then from the same weights one step of all 512 at 8η. The cosine is 1 if both moved
# in the same direction; the length ratio is 1 if they moved equally far. Once from the first weights, once after
# training:

# %%
def displacement(model, lr, batches):
    """Where plain SGD with one step per batch takes the weights, relative to where they were."""
    model = copy.deepcopy(model).train()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for batch in batches:
        optimizer.zero_grad()
        cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return torch.cat([(p.detach() - old).flatten() for p, old in zip(model.parameters(), before, strict=True)])


batch, rows = torch.randint(len(x), (512,), generator=torch.Generator().manual_seed(2)), []
for lr in (0.01, 0.03, 0.1, 0.3):
    row = {"η": lr}
    for name, model in {"first weights": fresh, f"after {STEPS // 2} steps": trained}.items():
        eight = displacement(model, lr, batch.split(64))
        one = displacement(model, schedules.scaled_lr(lr, 512, 64), [batch])
        row[f"{name}: cosine"] = f"{torch.cosine_similarity(eight, one, dim=0):.2f}"
        row[f"{name}: length ratio"] = f"{one.norm() / eight.norm():.2f}"
    rows.append(row)
table(rows)

# %% [markdown]
# Where the cosine is near 1, linear scaling does what it promises. It falls as η grows, because the eight steps go
# farther and meet another gradient at each. Compare the two halves of the table at the same η: Goyal et al. (2017), who
# made linear scaling known, expect the rule to fail in the first steps, where the network changes fastest. That is
# their reason for a warm-up.
#
# There is also an upper end. When V(b) is below ‖G‖², the gradient is mostly signal, and more pictures a step buy
# little. McCandlish et al. (2018) call the b at which the two are equal, V(1)/‖G‖², the simple noise scale:

# %%
for label, (values, signals) in measured.items():
    v_1, signal = float(np.mean(np.multiply(values, SIZES))), float(np.mean(signals))
    scale = f"{v_1 / signal:,.0f} pictures" if signal > 0 else "not resolved by so few batches"
    print(f"{label:<47} V(1) = {v_1:6.1f}   ‖G‖² = {signal:5.2f}   noise scale: {scale}")

# %% [markdown]
# ## 2. Warm-up
#
# Over the first m *steps* the learning rate grows linearly, i·η/m at step i = 1 … m. By hand for η = 0.4, m = 5, and
# by the library, which counts steps from 0:

# %%
by_hand = [0.08, 0.16, 0.24, 0.32, 0.40]
show(schedules.warmup)
assert np.allclose(by_hand, [schedules.warmup(step, 5, 0.4) for step in range(5)])
rows = []
for name, pictures, batch_size, total, warm in (
    ("paper, b = 256", 1_281_167, 256, 120, 5.0),  # ImageNet's training set; "e.g. 5 data epochs"
    ("paper, b = 1024", 1_281_167, 1024, 120, 5.0),
    *((f"ours, b = {r.batch_size}", r.train_images, r.batch_size, r.epochs, r.warmup_epochs)
      for r in map(recipe_of, ("small-warmup", "large-warmup"))),
):
    per_epoch = pictures // batch_size
    rows.append({"run": name, "steps an epoch": f"{per_epoch:,}", "steps in all": f"{per_epoch * total:,}",
                 "warm-up, epochs": f"{warm:g} of {total}", "warm-up, steps": f"{round(warm * per_epoch):,}"})
table(rows)

# %% [markdown]
# The paper states its warm-up in epochs. Steps are what the optimiser feels: the same number of epochs is fewer steps
# at a larger batch. Drag the batch size and the warm-up. Linear scaling sets the height, warm-up the ramp, and the
# decays stay at their epochs:

# %%
def two_schedules(batch_size=512, warmup_epochs=2.0):
    recipe = replace(recipe_of("large"), batch_size=batch_size, warmup_epochs=warmup_epochs)
    return {"linear scaling": replace(recipe, warmup_epochs=0.0), "linear scaling + warm-up": recipe}


batch_sizes = [64, 128, 256, 512, 1024, 2048]
sliders(schedule_plots.schedule, two_schedules, batch_size=batch_sizes, warmup_epochs=(0.0, 4.0, 0.5))

# %%
settings = {"b = 64": recipe_of("small"), "b = 64, warm-up 2 epochs": recipe_of("small-warmup"),
            "b = 512": recipe_of("large"), "b = 512, warm-up 2 epochs": recipe_of("large-warmup")}
schedule_plots.schedule(settings)

# %% [markdown]
# ### The first steps, with and without
#
# Now the first steps of training at several peak learning rates, with no warm-up and with one over half of the steps.
# The batches have only 32 pictures, so that this takes seconds: what a step that is too long does, it does at every
# batch size. Each loss is the batch's own, before the step. A run ends when its loss is not finite.

# %%
PEAKS = [0.1, 0.2, 0.8, 3.2, 12.8, 51.2] if QUICK else [0.1, 0.8, 51.2]
RAMP = STEPS // 2
PLANS = {"no warm-up": 0, f"warm-up over {RAMP} steps": RAMP}
traces = {peak: {} for peak in PEAKS}
line = display(Markdown("starting"), display_id=True)
for done, (peak, plan) in enumerate([(peak, plan) for peak in PEAKS for plan in PLANS], start=1):
    ramp = PLANS[plan]
    rates = [schedules.warmup(step, ramp, peak) if step < ramp else peak for step in range(STEPS)]
    traces[peak][plan] = trace = []
    for loss in first_steps(make.model_for(BASELINE, len(dataset.classes), seed=0), rates, batch_size=32):
        trace.append(loss)
        if not np.isfinite(loss):
            break
    line.update(Markdown(f"{done} of {len(PEAKS) * len(PLANS)} runs done"))

# %% [markdown]
# Drag the peak learning rate until one of the curves ends in a cross:

# %%
first_losses = partial(large_batch.loss_traces, steps=STEPS, chance=np.log(len(dataset.classes)), warmup_steps=RAMP,
                       caption=f"{SOURCE} · {STEPS} steps of 32 images, Nesterov momentum 0.9")
sliders(first_losses, lambda lr=0.8: traces[lr], lr=PEAKS)

# %% [markdown]
# Two more settings and the whole table. *Not finite* is no figure of speech: a float32 ends at 3.4 · 10³⁸, and
# ∞ − ∞ is NaN. Nothing brings a weight back from NaN. The course's loop stops there, names the step, and keeps the
# last good checkpoint.

# %%
display(first_losses(traces[PEAKS[0]]), first_losses(traces[PEAKS[-1]]))
rows = []
for peak, plans in traces.items():
    row = {"peak learning rate": peak}
    for plan, trace in plans.items():
        finite = np.array(trace)[np.isfinite(trace)]
        end = f"{finite[-20:].mean():.3g}" if len(finite) == len(trace) else f"not finite at step {len(finite)}"
        row |= {f"{plan}: largest loss": f"{finite.max():.3g}", f"{plan}: mean of the last 20": end}
    rows.append(row)
table(rows)

# %% [markdown]
# Read the rows from the top: how high the losses climb, which of the two plans is still near the loss of equal
# probabilities at the end, and which overflows. A ramp helps with a peak that the *trained* network can bear and the
# first weights cannot. A peak that is too long for both is only put off: after the ramp, the steps have their full
# length.
#
# ## 3. Zero γ
#
# A residual block adds two paths: A, its convolutions, and B, the shortcut. The batch norm that ends path A puts out
# γx̂ + β, where x̂ has mean 0 and variance 1 over the batch. With γ = 0 and β = 0 that is 0, and the block puts out its
# shortcut. One channel, four numbers, by hand:

# %%
channel = torch.tensor([1.0, 3.0, 5.0, 7.0])
x_hat = (channel - 4.0) / 5.0**0.5  # mean 4, variance 5
bn = torch.nn.BatchNorm2d(1)
for gamma in (1.0, 0.0):
    torch.nn.init.constant_(bn.weight, gamma)
    by_hand = gamma * x_hat + 0.0
    assert torch.allclose(bn(channel.view(4, 1, 1, 1)).flatten(), by_hand, atol=1e-5)
    print(f"γ = {gamma:.0f}: {[round(v, 3) for v in by_hand.tolist()]}")
show(parameters.zero_last_gamma_)
silent = make.model_for(replace(BASELINE, zero_gamma=True), len(dataset.classes), seed=0)
block, z = silent.stages[0][0], torch.rand(2, 32, 8, 8, device=process.device())  # after a ReLU: z ≥ 0
assert torch.equal(block(z), z)  # path A adds nothing, path B is the identity

# %% [markdown]
# At the start, the network is as deep as its shortcuts. That does *not* stop back-propagation. With d the gradient at
# the output of the batch norm, ∂L/∂γ = Σ d·x̂, summed over pictures and positions: γ's own value is not in it. What is
# multiplied by γ is the gradient that goes on *into* path A. The first block at step 0, with the norms measured:

# %% tags=["hide-input"]
next(first_steps(silent, [0.05], batch_size=64))  # the gradients are there, no step is made
way = diagrams.gradient_path(block, silent.stem)
diagrams.diagram(way, caption="resnet8, step 0 · arrows: the gradient's way back, dashed where it is 0 · its norms")

# %% [markdown]
# The same norms at steps 0 and 1, with zero γ and without:

# %%
def watched(model):
    """Gradient norms around the first block."""
    block = model.stages[0][0]
    groups = {"last γ": [block.last_bn.weight], "last β": [block.last_bn.bias],
              "path A before it: conv1, bn1, conv2": [*block.conv1.parameters(), *block.bn1.parameters(),
                                                     *block.conv2.parameters()],
              "stem, below the block": list(model.stem.parameters())}
    return {name: float(sum(p.grad.square().sum() for p in group).sqrt()) for name, group in groups.items()}


norms = {}
for start, zero in (("γ = 0", True), ("γ = 1", False)):
    model = make.model_for(replace(BASELINE, zero_gamma=zero), len(dataset.classes), seed=0)
    for step, _ in enumerate(first_steps(model, [0.05, 0.05], batch_size=64)):
        norms[f"{start}: step {step}"] = watched(model)
behind = norms["γ = 0: step 0"]
assert behind["path A before it: conv1, bn1, conv2"] == 0 < min(behind["last γ"], behind["stem, below the block"])
table([{"gradient norm of": name, **{when: f"{values[name]:.2g}" for when, values in norms.items()}}
       for name in behind])

# %% [markdown]
# Only path A before its last batch norm has no gradient, and only at step 0. After that step γ is not 0, and the
# gradient passes. The stem has its gradient from the start, through the shortcut.
#
# How do the blocks wake up? Below, γ and the size of path A relative to the shortcut, ‖A‖/‖B‖, in all three blocks,
# measured on the training batches of the first steps:

# %%
def grow(zero, steps, lr=0.05):
    """The root mean square of each block's last γ, and ‖path A‖/‖path B‖, before each step: (steps, blocks) each."""
    model = make.model_for(replace(BASELINE, zero_gamma=zero), len(dataset.classes), seed=0)
    blocks = [module for module in model.modules() if hasattr(module, "last_bn")]
    norms, gammas, ratios = {}, [], []
    for block in blocks:
        for part in (block.last_bn, block.shortcut):
            part.register_forward_hook(lambda part, _, out: norms.update({part: float(out.detach().norm())}))
    for _ in first_steps(model, [lr] * steps, batch_size=64):
        gammas.append([float(block.last_bn.weight.detach().square().mean().sqrt()) for block in blocks])
        ratios.append([norms[block.last_bn] / norms[block.shortcut] for block in blocks])
    return gammas, ratios


growth = {"γ = 0 at the start": grow(True, STEPS // 2), "γ = 1 at the start": grow(False, STEPS // 2)}
gammas, ratios = ({start: values[i] for start, values in growth.items()} for i in (0, 1))
large_batch.block_growth(gammas, ratios, caption=f"{SOURCE} · batches of 64, learning rate 0.05")

# %% [markdown]
# The solid lines start at 0. γ moves by its gradient times the learning rate, so what a block has become depends on the
# learning rate and on the number of steps. With zero γ, after the same number of steps:

# %%
rows = []
for lr in (0.05, 0.2, 0.4):
    gammas, ratios = (part[-1] for part in grow(True, STEPS // 2, lr))
    row = {"learning rate": lr}
    for i, (gamma, ratio) in enumerate(zip(gammas, ratios, strict=True), start=1):
        row |= {f"γ, block {i}": f"{gamma:.2f}", f"‖A‖/‖B‖, block {i}": f"{ratio:.2f}"}
    rows.append(row)
print(f"before step {STEPS // 2 - 1}")
table(rows)

# %% [markdown]
# A run of many steps has time for this. A short one may end before its blocks are awake; keep it in mind for the
# records below.
#
# ## 4. No bias decay
#
# Weight decay λ adds λw to the gradient of a weight w (lesson 02). No bias decay keeps it for the weights of
# convolutions and linear layers and leaves out biases, γ and β. By hand: which of these six should decay?

# %%
tiny = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2))
by_hand = {"0.weight": True, "0.bias": False, "1.weight": False, "1.bias": False, "3.weight": True, "3.bias": False}
show(parameters.decay_groups)
decaying, spared = parameters.decay_groups(tiny, 5e-4, no_bias_decay=True)
assert decaying["weight_decay"] == 5e-4 and spared["weight_decay"] == 0
library = {name: any(p is q for q in decaying["params"]) for name, p in tiny.named_parameters()}
assert library == by_hand
library

# %% [markdown]
# In the network trained above, which is that of the records: how many numbers are these, how strong is the pull of the
# decay, ‖λw‖, against the gradient of 512 pictures, ‖g‖, and is that gradient along w at all? The last column is the
# cosine of g and w.

# %%
KINDS = {
    "weight of a convolution": (torch.nn.Conv2d, "weight"),
    "weight of the linear layer": (torch.nn.Linear, "weight"),
    "its bias": (torch.nn.Linear, "bias"),
    "γ": (torch.nn.BatchNorm2d, "weight"),
    "β": (torch.nn.BatchNorm2d, "bias"),
}
trained.train().zero_grad()
cross_entropy(trained(x[batch]), y[batch]).backward()
decaying = {id(p) for p in parameters.decay_groups(trained, BASELINE.weight_decay, no_bias_decay=True)[0]["params"]}
rows = []
for kind, (layer, name) in KINDS.items():
    group = [getattr(module, name) for module in trained.modules() if isinstance(module, layer)]
    w, g = (torch.cat([t.flatten() for t in ts]) for ts in ([p.detach() for p in group], [p.grad for p in group]))
    spared = not any(id(p) in decaying for p in group)
    rows.append({"parameter": kind, "numbers": f"{len(w):,}", "decays under no bias decay": "no" if spared else "yes",
                 "‖λw‖ / ‖g‖": f"{BASELINE.weight_decay * w.norm() / g.norm():.1e}",
                 "cosine of g and w": f"{torch.cosine_similarity(g, w, dim=0):+.3f}"})
table(rows)

# %% [markdown]
# All our convolutions are followed by a batch norm, which divides by the size of what it gets. So the loss does not
# change when such a weight is doubled, and its gradient is orthogonal to it: the cosine is 0 up to the ε in the batch
# norm's root. Decay cannot make what these layers compute any smaller. It shrinks the weights, and a step of the same
# length then turns them further: it acts on the learning rate (van Laarhoven, 2017). A γ in the middle of path A has a
# convolution and a batch norm after it too, so that only its size relative to β matters. Nothing undoes the decay of
# the last γ: half of it is half of what path A adds to the shortcut. The loss, with each of them halved:

# %%
PARTS = {
    "convolutions": lambda model: [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)],
    "γ in the middle of path A": lambda model: [block.bn1 for stage in model.stages for block in stage],
    "last γ of path A": lambda model: [block.last_bn for stage in model.stages for block in stage],
}
with torch.no_grad():
    print(f"{'nothing halved':<31} {cross_entropy(trained(x[batch]), y[batch]):.4f}")
    for name, modules in PARTS.items():
        halved = copy.deepcopy(trained)
        for module in modules(halved):
            module.weight *= 0.5
        print(f"{name:<31} {cross_entropy(halved(x[batch]), y[batch]):.4f}")

# %% [markdown]
# ## Where they enter the loop
#
# Linear scaling and warm-up are in the number that `lr_at` returns for each step. No bias decay is in the groups that
# the optimiser gets. Zero γ is done to the model before the first step.

# %%
show(schedules.lr_at)
show_loop("# no bias decay", context=2)
show_loop("# linear scaling", context=3)
show(make.model_for, around="# zero γ", context=2)

# %% [markdown]
# ## What they did to accuracy
#
# Table 4 of the paper adds the heuristics one by one, at 256 pictures a step and at 1024. Ours is the same ladder at
# 64 and at 512. The learning rate at 64 was chosen on held-out training pictures; at 512 it is 8 times that, without a
# search of its own. All runs have the same number of epochs, so those at 512 have an eighth of the steps.
#
# First the step that you predicted:

# %% tags=["hide-output"]
large = arm("large")
scaled = statistics.compare(large, small)
about = statistics.caption(small + large)
guess.reveal(scaled, paper.resnet_50(theirs), label="64 → 512,\nlinear scaling", caption=about)

# %% [markdown]
# All rows of the table:

# %% tags=["hide-output"]
LADDER = {"Linear scaling": "", "+ LR warmup": "-warmup", "+ Zero gamma": "-zero", "+ No bias decay": "-no-bias"}
OURS = {b: {row: arm(f"{name}{suffix}") for row, suffix in LADDER.items()}
        for b, name in ((64, "small"), (512, "large"))}
everything = [run for arms in OURS.values() for runs in arms.values() for run in runs]

guess.veil(tabled([
    {"each row adds to the one above": row,
     **{f"paper, b = {b}": f"{rows_4[row][f'BS{b}_top1']:.2f}" for b in (256, 1024)},
     **{f"ours, b = {b}": statistics.plus_minus([run.accuracy for run in arms[row]]) for b, arms in OURS.items()}}
    for row in LADDER]))
print("test accuracy, %; ours with the 95 % interval of the mean over seeds")
print("\nhow the learning rate at b = 64 was chosen, one seed each:")
for name in study("pilot_large_batch").arms:
    print(f"   {recipe_of(name).lr:<5} {arm(name)[0].accuracy:.2f} % of the held-out pictures")

# %% tags=["hide-output"]
shown = {"b = 64": small, "b = 512, learning rate unscaled": unscaled,
         "b = 512, scaled": large, "b = 512, scaled, warm-up": OURS[512]["+ LR warmup"]}
of_shown = statistics.caption([run for runs in shown.values() for run in runs], curve=True)
guess.veil(evidence.curves(shown, caption=of_shown))

# %% [markdown]
# Each step of the ladder as a paired difference, in points of top-1 accuracy. Where we have 64 → 512, the paper has
# 256 → 1024, so the first verdict compares a sign, not a size. The paper's ± is what two runs of one recipe may be
# apart there (lesson 01): a step that is smaller has no sign that ours could share.

# %% tags=["hide-output"]
pairs = {"64 → 512, linear scaling": (scaled, paper.resnet_50(theirs))}
names = list(LADDER)
for b, paper_b in ((512, 1024), (64, 256)):
    for before, row in zip(names, names[1:], strict=False):
        step = paper.effect("4", row, before, f"BS{paper_b}_top1")
        pairs[f"{row}, b = {b}"] = (statistics.compare(OURS[b][row], OURS[b][before]), step)
judged = tabled([{"": name, "paper": f"{step}", "ours": f"{ours}", "verdict": ours.against(step)}
                 for name, (ours, step) in pairs.items()])
fig = evidence.against_paper(pairs, caption=statistics.caption(everything))
words = [ours.against(step).word for ours, step in pairs.values()]
takeaway = (f"Large batch and its heuristics, {len(words)} steps. Ours against the paper's: "
            + ", ".join(f"{words.count(each)} {each}" for each in statistics.WORDS if each in words))
slide(fig, "03_1_heuristics_against_paper", takeaway=takeaway, runs=everything)
guess.veil(judged, fig)

# %% tags=["hide-output"]
guess.veil(f"""at b = 512, against the learning rate of b = 64:
   scaled:               {statistics.compare(large, unscaled)}
   scaled, with warm-up: {statistics.compare(OURS[512]['+ LR warmup'], unscaled)}
at b = 512 with all four, against linear scaling alone at b = 64:
   {statistics.compare(OURS[512]['+ No bias decay'], small)}""")
print("what decay alone would leave of a weight by the end of a run:")
for b, recipe in {64: recipe_of("small"), 512: recipe_of("large")}.items():
    per_epoch = recipe.train_images // b
    rates = [schedules.lr_at(recipe, step, per_epoch) for step in range(recipe.epochs * per_epoch)]
    way = sum(rates) / (1 - recipe.momentum)
    print(f"   b = {b}: {np.exp(-recipe.weight_decay * way):.0%}")

# %% [markdown]
# Where the paper's column and ours disagree, look first at the number of steps in the table of part 2. The paper's runs
# have hundreds of times as many as ours.
#
# - *The gap between the batch sizes.* At the same number of epochs, b = 512 has an eighth of the steps, and none of
#   the four heuristics adds one. The gap to b = 64 need not close here, even if each does what the paper says of it.
# - *Zero γ.* Our blocks have to wake up within the run, and the learning rate that moves their γ is divided by 10 after
#   half of it. A block that stays near γ = 0 adds little, and with all three asleep the network is a stem, two 1×1
#   convolutions and the head. The paper's network has 16 blocks and more than a hundred thousand steps to wake them.
# - *No bias decay.* With momentum μ, a weight without a gradient shrinks by about the factor 1 − ηλ/(1 − μ) at each
#   step. The product over the run is printed above: that much decay, and no more, is there to be left out.
#
# ### The paper against its own table
#
# §3.3 says that linear scaling alone costs 0.9 % of accuracy, that the other three heuristics close the gap, and that
# the whole efficient setting, FP16 included, gains 0.5 %. Table 4 says what follows. Each of its numbers is one run,
# without an interval; the last line has the standard deviations that the conference version of the paper gives for
# ResNet-50-D on the same data.

# %%
def top_1(row, b):
    return rows_4[row][f"BS{b}_top1"]


start = top_1("Linear scaling", 256)
print(f"linear scaling alone: {start:.2f} → {top_1('Linear scaling', 1024):.2f}, {theirs:+.2f} points")
best = max(rows_4, key=lambda row: top_1(row, 1024))
highest = top_1(best, 1024)
print(f"best row at b = 1024: {best!r}, {highest:.2f}, already {highest - start:+.2f} above {start:.2f}")
drop = paper.delta("4", "+ No bias decay", "+ Zero gamma", "BS1024_top1")
print(f"no bias decay at b = 1024: {top_1('+ Zero gamma', 1024)} → {top_1('+ No bias decay', 1024)}, {drop:+.2f}")
print(f"all with FP16: {top_1('+ FP16', 1024):.2f}, {top_1('+ FP16', 1024) - start:+.2f} points")
spread = [sd for row in paper.table("6 (CVPR)").values() if (sd := row.get("ResNet-50-D_top1_std"))]
print(f"standard deviation between runs: {min(spread):.2f} to {max(spread):.2f} points of top-1 accuracy")

# %% [markdown]
# ## Live
#
# One short run with all four heuristics at 512 pictures a step, drawn while it trains. It is smaller than the recorded
# ones and is not mixed with them. Set `batch_size` to 64 and run the cell again: the same pictures, eight times the
# steps.

# %%
batch_size = 512
recipe, parts, rows = live_run(replace(recipe_of("large-no-bias"), batch_size=batch_size), dataset)
steps, ramp = recipe.epochs * len(parts.train), round(recipe.warmup_epochs * len(parts.train))
print(f"{steps} steps in all, {ramp} of them warm-up")
awake = [module.last_bn.weight for module in parts.model.modules() if hasattr(module, "last_bn")]
gammas = ", ".join(f"{float(gamma.detach().square().mean().sqrt()):.2f}" for gamma in awake)
print(f"root mean square of the last γ of each block at the end: {gammas}")

# %% [markdown]
# ## Misreadings
#
# - *"Zero γ stops back-propagation."* γ has a gradient at step 0, everything outside path A too, and path A has one
#   from step 1 on. The table in part 3 is measured.
# - *"Zero γ sets γ to 0."* Only in the batch norm that ends a residual block. A network without residual blocks, such
#   as MobileNet, has no such γ, and `zero_last_gamma_` refuses it.
# - *"No bias decay is about biases."* In our network the only biases are the head's; almost all numbers that it spares
#   are γ and β.
# - *"A larger batch is better because its gradient is better."* The noise, √V(b), falls as 1/√b, and the cost grows as
#   b. With a fixed number of epochs, a larger batch is paid for in steps.
# - *"Warm-up lasts 5 epochs."* It lasts m steps, and 5 epochs are a different m at every batch size and data set.
# - *"Linear scaling is a law."* It is an argument about a gradient that stands still. The cosines of part 1 say when.
#
# ## Quiz

# %% tags=["hide-input"]
quiz("The last γ of a residual block is 0. What has a gradient in the very first step?", {
    "Nothing in the block or before it: a zero stops back-propagation": (
        False, "The shortcut passes the gradient on to everything before the block, and γ itself has one, Σ d·x̂."),
    "That γ, and everything outside path A": (
        True, "∂L/∂γ = Σ d·x̂ has no γ in it. Only path A below that batch norm has to wait, for one step."),
    "Everything, as it has with γ = 1": (
        False, "What lies before that batch norm in path A gets its gradient times γ, which is 0 in the first step."),
})
quiz("Which γ does the trick set to 0?", {
    "That of every batch norm": (
        False, "Then the stem would put out the same for every picture, and no block could tell two pictures apart."),
    "That of the batch norm in the shortcut": (
        False, "Then path A would be alone. The block is to start as its shortcut: path A is switched off."),
    "That of the batch norm that ends each residual block": (
        True, "The block starts as its shortcut. Without residual blocks, as in MobileNet, there is no such γ."),
})
quiz("No bias decay: what does it spare, and what did that do in Table 4?", {
    "Biases, γ and β; it helped at both batch sizes": (
        False, "What it spares is right. But look at the paper's own table: at 1024 the row with it is lower."),
    "Biases, γ and β; next to nothing at 256, and at 1024 the row with it is lower": (
        True, "Each row is one run, so neither difference says much. It is part of the setting, not its reason."),
    "Only biases, as its name says": (
        False, "γ and β of every batch norm are spared too, and in our network they are nearly all of what is spared."),
})

# %% [markdown]
# ## Exercises
#
# **1.** Linear scaling and warm-up in one function: the learning rate of step `step`, counted from 0, for 0.1 at 256
# pictures, a warm-up over m steps, then constant.

# %%
def rate(step, batch_size, m):
    # solution
    peak = 0.1 * batch_size / 256
    return peak * min(1, (step + 1) / m)


def library_rate(step, batch_size, m):
    peak = schedules.scaled_lr(0.1, batch_size)
    return schedules.warmup(step, m, peak) if step < m else peak


check("learning rate", rate, library_rate, [(0, 256, 5), (4, 1024, 5), (5, 1024, 5), (312, 64, 100)],
      hint="Step 0 has one part in m of the peak already, step m − 1 all of it, and no step more than that.")

# %% [markdown]
# **2.** Back-propagation through out = γ·x̂ + β, all of shape (N, C) except γ and β of shape (C,). Given d = ∂L/∂out,
# write ∂L/∂γ and ∂L/∂x̂. The check uses γ = 0 too: which of the two vanishes?

# %%
def through_gamma(d, x_hat, gamma):
    # solution
    return (d * x_hat).sum(dim=0), d * gamma


def autograd(d, x_hat, gamma):
    x_hat, gamma = x_hat.clone().requires_grad_(), gamma.clone().requires_grad_()
    return torch.autograd.grad(gamma * x_hat, (gamma, x_hat), grad_outputs=d)


d, x_hat = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(3))
check("gradients", through_gamma, autograd, [(d, x_hat, torch.zeros(3)), (d, x_hat, torch.tensor([1.0, 0.0, -2.0]))],
      hint="γ is shared by all N rows, so its gradient is a sum over them. x̂ has a row of its own for each.")

# %% [markdown]
# **3.** V(b) = V(1)/b. A colleague measures ‖g‖², averaged over batches, at two batch sizes: its mean is ‖G‖² + V(b).
# From (b₁, mean₁) and (b₂, mean₂), compute V(1) and ‖G‖².

# %%
def separate(b_1, mean_1, b_2, mean_2):
    # solution
    v_1 = (mean_1 - mean_2) / (1 / b_1 - 1 / b_2)
    return v_1, mean_1 - v_1 / b_1


def solved(b_1, mean_1, b_2, mean_2):
    signal, v_1 = np.linalg.solve([[1, 1 / b_1], [1, 1 / b_2]], [mean_1, mean_2])
    return v_1, signal


check("noise and signal", separate, solved, [(8, 35.0, 256, 1.9), (64, 5.0, 512, 1.5), (1, 300.0, 2, 151.0)],
      hint="Subtract the two means: ‖G‖² goes, and V(1) · (1/b₁ − 1/b₂) is left.")

# %% [markdown]
# ## Summary
#
# - The variance of a mini-batch gradient is proportional to 1/b. Then k small steps and one step with k times the batch
#   and k times the learning rate agree in mean and variance, while the gradient stands still.
# - At the start it does not. Warm-up takes m short steps first; the table of part 2 shows at which peaks that decides
#   whether the network learns.
# - Zero γ starts each residual block as its shortcut. γ has a gradient at once, path A one step later.
# - No bias decay spares γ, β and biases. Decay of a weight that a batch norm follows acts on the learning rate; decay
#   of the last γ of a block acts on the function.
# - What each did to accuracy at our budget is the list printed above, beside Table 4.
#
# ## For discussion
#
# 1. Our noise scale was measured early in training. In which direction would you expect it to move when the training
#    loss gets small, and what does that say about growing the batch during a run?
# 2. You get eight times the GPUs and keep the number of *epochs*. What do you change in the recipe, and what do you
#    measure first? And if you could keep the number of *steps*?
# 3. Zero γ and γ = 1 with weight decay on γ both shrink the blocks. How do they differ at the start, and at the end?
