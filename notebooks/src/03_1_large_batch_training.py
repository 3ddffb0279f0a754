# %% [markdown]
# # 3.1 Large-batch training
#
# **Eight times as many pictures in each step, and so an eighth of the steps. What is lost, and which of four tricks
# brings it back?**

# %% tags=["hide-input"]
import copy
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from IPython.display import Markdown, display
from torch.nn import functional as F

from tricks import parameters, process, schedules
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import budget, conclusion, load_data, show, show_loop, slide, sliders, table, tabled
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots import diagrams, evidence, large_batch, style
from tricks.plots import schedules as schedule_plots
from tricks.recipe import BASELINE
from tricks.records import make, paper, statistics
from tricks.studies.studies import arm, recipe_of, study

# %% tags=["hide-input"]
small, unscaled = arm("small"), arm("large-unscaled")
STEPS_OF = {b: recipe.epochs * (recipe.train_images // b) for b in (64, 512) for recipe in [recipe_of("small")]}
start = {f"64 a step: {STEPS_OF[64]:,} steps": small, f"512 a step: {STEPS_OF[512]} steps": unscaled}
fig = evidence.curves(start, caption=statistics.caption(small + unscaled, curve=True))
fig.set_size_inches(8, 3.6)
fig

# %% [markdown]
# Both networks saw the same 10,000 pictures eight times, at the same learning rate. A large batch keeps a large machine
# busy (section 3.2 is about that); here it costs accuracy, since an eighth of the steps does not get as far.
#
# **Claim.** k times as many pictures in a step call for k times the learning rate: one step then moves the weights as
# far as k small ones, as long as the gradient stands still. In the first steps it does not: the warm-up is for them.
# Zero γ and no bias decay are two more habits of the paper's setting; what they are worth depends on how long you
# train.
#
# After this lesson you can
# 1. derive linear scaling, say what it takes for granted, and what is different for Adam ("Deeper");
# 2. show what warm-up is for, and state it in steps;
# 3. explain why a block with γ = 0 still learns, by its gradients at the first two steps;
# 4. say which numbers of a network decay, and what that was worth;
# 5. decide which of the four to use, given the number of *steps* that you can afford.
#
# *Time:* 30 minutes, of which the training takes one on two CPU cores; 20 more for the parts headed "Deeper"; 45 for
# questions, bug hunt and exercises. *Paper:* §3.1, Table 4.
#
# ## Before you go on: predict
#
# Linear scaling multiplies the learning rate by 8, like the batch. By how much does that move the end of the lower
# curve, after its 152 steps?

# %%
guess = predict("512 a step: accuracy at 8 times the rate, minus that at the same rate", low=-15, high=15, step=0.5)

# %% [markdown]
# ## Linear scaling: eight steps or one
#
# Take eight batches of 64 pictures, with the gradients g₁ … g₈, and let the gradient stand still: none of them changes
# while the weights move. Eight steps at the learning rate η, without momentum, go
#
# $$-\eta\,(g_1 + \dots + g_8) = -8\eta \cdot \tfrac{1}{8}(g_1 + \dots + g_8).$$
#
# On the right stands *one* step on all 512 pictures, whose gradient is the mean of the eight, at the rate 8η. With the
# rate η the step ends in the same direction, and eight times too short. That is the whole rule:

# %%
show(schedules.scaled_lr)
for batch_size in (256, 512, 1024):
    by_hand = 0.1 * batch_size / 256
    assert schedules.scaled_lr(0.1, batch_size) == by_hand
    print(f"b = {batch_size:5,}: learning rate {by_hand:.1f}")

# %% [markdown]
# Where does the noise come in? The distance on average, the *mean* displacement, gives the rule. By lesson 02, the
# gradient of b pictures has the variance V(1)/b, with V(1) for a single picture. Eight independent steps at η have the
# variance 8 · η² · V(1)/64, one step at 8η has (8η)² · V(1)/512, which is the same number. So 1/b is not the reason for
# the rule; it makes the spread agree as well. Multiply by √8 instead, and neither agrees. (The paper's own words, §3.1,
# start from the noise: a larger batch has less of it, so the step may be longer. That allows a longer step, and does
# not say how long.)
#
# Below, each thin line is one draw of the eight batches, for one weight whose gradient stands still. Move the factor
# and watch both numbers. Then move the noise: does the best factor depend on it?

# %% tags=["hide-input"]
K, DRAWS = 8, 24
NOISE = np.random.default_rng(0).standard_normal((DRAWS, K))


@style.styled
def eight_or_one(factor=1.0, noise=2.0, optimizer="SGD"):
    """Eight small steps beside one on the same pictures: how far one weight gets, in units of η times its gradient."""
    fig, ax = style.canvas(height=3.8, caption=f"computed · {DRAWS} draws, gradient 1 on average, standing still")
    kinds = {f"eight steps of 64 at η, {optimizer}": style.COLOURS[0],
             f"one step of 512 at factor · η, {optimizer}": style.COLOURS[1]}
    thin = {"linewidth": 0.6, "alpha": 0.7, "animated": True}
    lines = [[ax.plot([], [], color=colour, **thin)[0] for _ in range(DRAWS)] for colour in kinds.values()]
    ends = [ax.errorbar([], [], fmt="o", color=colour, label=label) for label, colour in kinds.items()]
    means = [ax.plot([], [], "o-", color=colour, linewidth=3, animated=True)[0] for colour in kinds.values()]
    words = [ax.text(K + 1.1, 0, "", color=colour, va="center", animated=True) for colour in kinds.values()]
    ax.set(xlabel="batches of 64 that are seen", ylabel="how far the weight is moved", xticks=range(K + 1))
    ax.set(xlim=(0, 11.5), ylim=(-12, 36) if optimizer == "SGD" else (-4, 14))
    fig.legend(handles=ends, loc="outside upper left", ncols=2)

    def redraw(factor=factor, noise=noise):
        small, large = (np.hypot(1, s) if optimizer == "Adam" else 1 for s in (noise, noise / K**0.5))
        walks = np.cumsum(1 + noise * NOISE, axis=1) / small
        steps = factor * (1 + noise * NOISE.mean(axis=1)) / large
        for line, walk in zip(lines[0], walks, strict=True):
            line.set_data(range(K + 1), [0, *walk])
        for line, step in zip(lines[1], steps, strict=True):
            line.set_data([0, K], [0, step])
        spreads = noise * K**0.5 / small, factor * noise / K**0.5 / large
        at = K / small, factor / large
        apart = 1.8 if at[0] >= at[1] else -1.8
        shift = apart * (ax.get_ylim()[1] / 36) * (abs(at[0] - at[1]) < 3.5 * ax.get_ylim()[1] / 36)
        for i, (mean, word) in enumerate(zip(means, words, strict=True)):
            mean.set_data([K + 0.4 + 0.4 * i] * 3, [at[i] - spreads[i], at[i], at[i] + spreads[i]])
            word.set_text(f"{at[i]:.1f} ± {spreads[i]:.1f}")
            word.set_y(at[i] + shift * (1 - 2 * i))

    return style.with_redraw(fig, redraw)


idea = eight_or_one(K)
slide(idea, "03_1_idea", takeaway="One step at eight times the rate ends where eight small steps end")
sliders(
    eight_or_one, factor=(1.0, 16.0, 0.5), noise=(0.0, 4.0, 0.5),
    goal="Make the one step end where the eight small ones do, in its mean and in its spread.",
    reached=lambda factor, noise: factor == K, solution={"factor": float(K)},
)

# %% [markdown]
# At the factor 8 every orange line ends at the end of a blue one: they are the same pictures. At √8 ≈ 2.8 it gets a
# third of the way.
#
# ## When the gradient does not stand still
#
# So we ask a real network, resnet8, the small residual network of the course's records: eight steps of 64 pictures at η
# without momentum, then from the same weights one step of all 512 at 8η. The cosine is 1 if both moved it in the same
# direction. Once from the first weights, once after some training (pictures halved to 16 px, to take seconds):

# %% tags=["hide-input"]
dataset = load_data()
data = pictures(dataset)
QUICK = budget() != "smoke"
images, STEPS = (5_000, 200) if QUICK else (500, 20)
x, y = F.avg_pool2d(data[0][0][:images], 2), data[0][1][:images]
x = (x - x.mean(dim=(0, 2, 3), keepdim=True)) / x.std(dim=(0, 2, 3), keepdim=True)
SOURCE = f"n = 1 seed · resnet8 · {len(x):,} images of {dataset.source} at {x.shape[-1]} px"


def first_steps(model, rates, batch_size, seed=0):
    """Train with one step per learning rate; yields each batch's loss once its gradients are there, before the step."""
    groups = parameters.decay_groups(model.train(), BASELINE.weight_decay, no_bias_decay=False)
    optimizer = torch.optim.SGD(groups, lr=rates[0], momentum=0.9, nesterov=True)
    stream = torch.Generator().manual_seed(seed)
    for lr in rates:
        optimizer.param_groups[0]["lr"] = lr
        batch = torch.randint(len(x), (batch_size,), generator=stream)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        yield loss.item()
        optimizer.step()


def displacement(model, lr, batches):
    """Where plain SGD with one step per batch takes the weights, relative to where they were."""
    model = copy.deepcopy(model).train()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return torch.cat([(p.detach() - old).flatten() for p, old in zip(model.parameters(), before, strict=True)])


fresh = make.model_for(BASELINE, len(dataset.classes), seed=0)
trained = copy.deepcopy(fresh)
losses = list(first_steps(trained, [0.05] * (STEPS // 2), batch_size=64))
batch, rows = torch.randint(len(x), (512,), generator=torch.Generator().manual_seed(2)), []
for lr in (0.01, 0.03, 0.1, 0.3):
    row = {"η": lr}
    for name, model in {"first weights": fresh, f"after {STEPS // 2} steps": trained}.items():
        eight = displacement(model, lr, batch.split(64))
        one = displacement(model, schedules.scaled_lr(lr, 512, 64), [batch])
        row[f"cosine, {name}"] = f"{torch.cosine_similarity(eight, one, dim=0):.2f}"
        row[f"length, one ÷ eight, {name}"] = f"{one.norm() / eight.norm():.2f}"
    rows.append(row)
table(rows)

# %% [markdown]
# The larger η, the farther the eight steps go, the more the gradient changes on the way, and the worse the rule. And
# compare the two halves at the same η: from the first weights the rule fails sooner. Goyal et al. (2017), who made
# linear scaling known, say so: early in training the network changes fastest. Hence the warm-up.
#
# ## Warm-up
#
# Over the first m *steps* the learning rate grows linearly: i·η/m at step i = 1 … m. By hand for η = 0.4, m = 5, and
# by the library, which counts steps from 0:

# %%
by_hand = [0.08, 0.16, 0.24, 0.32, 0.40]
show(schedules.warmup)
assert np.allclose(by_hand, [schedules.warmup(step, 5, 0.4) for step in range(5)])

# %% [markdown]
# People state it in epochs ("5 epochs", as the paper's example), but the optimiser feels steps, and the same number of
# epochs is fewer steps at a larger batch. Scaling sets the height, warm-up the ramp, and the divisions by 10 stay at
# their epochs. Our data have 10,000 pictures:

# %% tags=["hide-input"]
def two_schedules(batch_size=512, warmup_epochs=2.0):
    recipe = replace(recipe_of("large"), batch_size=batch_size, warmup_epochs=warmup_epochs)
    return {"linear scaling": replace(recipe, warmup_epochs=0.0), "linear scaling + warm-up": recipe}


def ramp_steps(batch_size, warmup_epochs):
    return round(warmup_epochs * (recipe_of("large").train_images // batch_size))


for who, count, b, epochs in (("paper", 1_281_167, 256, 5), ("paper", 1_281_167, 1024, 5), ("ours", 10_000, 512, 2)):
    print(f"{who:<5} at b = {b:5,}: {epochs} epochs of warm-up are {epochs * (count // b):6,} steps")
batch_sizes = [64, 128, 256, 512, 1024, 2048]
sliders(
    schedule_plots.schedule, two_schedules, batch_size=batch_sizes, warmup_epochs=(0.0, 4.0, 0.5),
    goal="Keep the 2 epochs of warm-up, and find the batch at which they are fewer than 10 steps.",
    reached=lambda batch_size, warmup_epochs: warmup_epochs == 2 and ramp_steps(batch_size, warmup_epochs) < 10,
    solution={"batch_size": 2048},
)

# %% [markdown]
# ## The two in the loop from zero
#
# The loop of lesson 02 has the batch size and the peak, the highest rate of a run, as settings, so linear scaling
# changes nothing in it: its 0.1 was for 128 pictures, and 512 a step take 0.4. Warm-up is a factor in `rate`. Over a
# quarter of the run:

# %%
plain = loop()
warm = loop({"return peak * 0.1 **": "return min(1, done / 0.25) * peak * 0.1 **"})

# %% [markdown]
# (`done` is 0 at the very first step, so that this step is lost. The library's first step has 1/m of the peak. A
# quarter of the run is 2 of its 8 epochs, as in the short records; the long ones have 2 epochs of warm-up, too, of 60.)
#
# The race: 512 a step at 0.4, with and without. What to expect: in the records further down, warm-up gained many points
# in a run this short. This is one seed of a slightly different network, and single runs scatter by a point or two. So a
# gain of many points would show; if the two end within two points, the race has decided nothing, and the records have
# to. Neither run reaches what a small batch does in as many epochs.

# %%
ends = race({"scaled": plain.train, "scaled, warm-up": warm.train}, data, batch_size=512, peak=0.4,
            caption=f"live, seed 0 · the loop from zero, 512 a step · {dataset.source}")

# %% tags=["hide-input"]
gain = ends["scaled, warm-up"][-1]["test_accuracy"] - ends["scaled"][-1]["test_accuracy"]
recorded = statistics.compare(arm("large-warmup"), arm("large"))
print(f"Here, one seed: warm-up brought {gain:+.1f} points. Recorded, with the library's network: {recorded}.")
if gain <= 0:
    print("This one run is against the records. It is one seed, or too small a budget: believe the records.")

# %% [markdown]
# ## Zero γ
#
# A residual block adds two paths: A, its convolutions, and B, the shortcut. The batch norm that ends path A puts out
# γx̂ + β, where x̂ has mean 0 and variance 1 over the batch. With γ = 0 and β = 0 that is 0, and the block puts out its
# shortcut: at the start, the network is as deep as its shortcuts. One channel, four numbers, by hand:

# %%
channel = torch.tensor([1.0, 3.0, 5.0, 7.0])
x_hat = (channel - 4.0) / 5.0**0.5  # mean 4, variance 5
bn = torch.nn.BatchNorm2d(1)
for gamma in (1.0, 0.0):
    torch.nn.init.constant_(bn.weight, gamma)
    by_hand = gamma * x_hat + 0.0
    assert torch.allclose(bn(channel.view(4, 1, 1, 1)).flatten(), by_hand, atol=1e-5)
    print(f"γ = {gamma:.0f}: {[round(v, 3) for v in by_hand.tolist()]}")

# %% [markdown]
# In the loop it is one line where a block is built. `path[-1]` is the path's last convolution with its batch norm,
# `path[-1][-1]` that batch norm:

# %%
SHORTCUT = "self.shortcut = conv(inputs, outputs, 1, stride)"
asleep = loop({SHORTCUT: f"{SHORTCUT}\n        nn.init.zeros_(self.path[-1][-1].weight)  # zero γ"})

# %% [markdown]
# **If γ is 0, is its gradient not 0 too, and does the block ever learn?** With d the gradient at the batch norm's
# output, ∂L/∂γ = Σ d·x̂, summed over pictures and places: γ's own value is not in it. What is multiplied by γ is the
# gradient that goes on *into* path A. Print both at the first two steps:

# %%
torch.manual_seed(0)
net = asleep.network(classes=len(dataset.classes)).to(y.device)
first, _, last = net[1].path  # a convolution with its batch norm, ReLU, and another
optimizer, rows = torch.optim.SGD(net.parameters(), lr=0.1), []
for step in (0, 1):
    optimizer.zero_grad()
    F.cross_entropy(net(data[0][0][:64]), data[0][1][:64]).backward()
    watched = {"∂L/∂γ": last[1], "∂L/∂W, path A": last[0], "∂L/∂W, stem before the block": net[0][0][0]}
    rows.append({"step": step} | {name: float(part.weight.grad.norm()) for name, part in watched.items()})
    optimizer.step()
table(rows)
assert rows[0]["∂L/∂W, path A"] == 0 < min(rows[0]["∂L/∂γ"], rows[1]["∂L/∂W, path A"])

# %% [markdown]
# Path A waits for one step, and for nothing else. After that step γ is not 0 and the gradient passes; the stem had
# its own from the start, through the shortcut. The same in a picture, in the library's network:

# %% tags=["hide-input"]
silent = make.model_for(replace(BASELINE, zero_gamma=True), len(dataset.classes), seed=0)
block, z = silent.stages[0][0], torch.rand(2, 32, 8, 8, device=process.device())  # after a ReLU: z ≥ 0
assert torch.equal(block(z), z)  # path A adds nothing, path B is the identity
ways = [diagrams.gradient_path(block, silent.stem) for _ in first_steps(silent, [0.05, 0.05], batch_size=64)]
legend = "resnet8, first block · arrows: the gradient's way back, dashed where it is 0 · its norms"
sliders(
    partial(diagrams.diagram, caption=legend), lambda step=0: ways[step], step=[0, 1],
    goal="Find the step at which no arrow is dashed.", reached=lambda step: step == 1, solution={"step": 1},
)

# %% [markdown]
# γ then grows by its gradient times the learning rate. So how much a block does at a given time depends on the sum of
# the rates so far; a run that ends early may end before its blocks are awake. Keep that in mind for the records.
#
# ## No bias decay
#
# Weight decay λ adds λw to the gradient of a weight w (lesson 02). No bias decay keeps that for the weights of
# convolutions and linear layers, and leaves out biases, γ and β. By hand: which of these six should decay?

# %%
tiny = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2))
by_hand = {"0.weight": True, "0.bias": False, "1.weight": False, "1.bias": False, "3.weight": True, "3.bias": False}
decaying, spared = parameters.decay_groups(tiny, 5e-4, no_bias_decay=True)
assert by_hand == {name: any(p is q for q in decaying["params"]) for name, p in tiny.named_parameters()}

# %% [markdown]
# Those that decay are the ones with two dimensions or more. In the loop these are two groups in place of one list; each
# parameter has to be in exactly one of them:

# %%
GROUPS = """parameters = [
        {"params": [p for p in net.parameters() if p.ndim > 1]},
        {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
"""
spared = loop({"parameters = net.parameters()\n": GROUPS})

# %% [markdown]
# **Is that a result or a convention?** A convention. The paper recommends it, after Jia et al. (2018), to decay only
# what can overfit. It spares about 1,400 of our network's 309,000 numbers (counted under "Deeper"), and the paper's own
# Table 4 has no gain from it (below).
#
# ## In the library
#
# Linear scaling and warm-up are in the number that `lr_at` returns for each step. No bias decay is in the groups that
# the optimiser gets. Zero γ is done to the model before the first step:

# %% tags=["hide-input"]
show(parameters.decay_groups)
show(parameters.zero_last_gamma_)
show_loop("# no bias decay", context=1)
show_loop("# linear scaling", context=1)

# %% [markdown]
# ## Evidence
#
# Table 4 of the paper adds the four one by one, at 256 and at 1024 pictures a step. Ours is the same ladder at 64 and
# 512, in a **short** regime and a **long** one that differ only in the number of epochs. The rate at 64 was chosen on
# held-out training pictures, in the short regime and without warm-up; at 512 it is 8 times that, and had no search of
# its own. First the step that you predicted, in the short regime. The paper has no such row: it starts from linear
# scaling.

# %% tags=["hide-input", "hide-output"]
SUFFIX = {"no scaling": "-unscaled", "linear scaling": "", "+ warm-up": "-warmup", "+ zero γ": "-zero",
          "+ no bias decay": "-no-bias"}  # fmt: skip
OURS = {regime: {row: arm(f"{name}{suffix}") for row, suffix in SUFFIX.items()}
        for regime, name in {"short": "large", "long": "large-long"}.items()}
SMALL = {"short": small, "long": arm("small-long")}
ADDS = {regime: {new: statistics.compare(arms[new], arms[old])
                 for old, new in zip(SUFFIX, [*SUFFIX][1:], strict=False)} for regime, arms in OURS.items()}
GAP = {regime: {row: statistics.compare(runs, SMALL[regime]) for row, runs in arms.items()}
       for regime, arms in OURS.items()}
EPOCHS = {regime: runs[0].recipe.epochs for regime, runs in SMALL.items()}
LARGE_STEPS = {regime: EPOCHS[regime] * (recipe_of("large").train_images // 512) for regime in EPOCHS}

about = statistics.caption(OURS["short"]["linear scaling"] + unscaled)
guess.reveal(ADDS["short"]["linear scaling"], label="8 times the rate,\n152 steps", caption=about)

# %% [markdown]
# All rows, and both regimes. On the left, how far each row at 512 a step is from one recipe at 64 a step, that with
# linear scaling alone; on the right, what each row adds to the one before. The diamonds are the paper's, 1024 beside
# 256; the lines through them are what two runs of one recipe may be apart there. (Lesson [C](C_when_to_believe.ipynb)
# has where that is known from, and the four verdicts of the table.) The axis is linear between −1 and 1 and logarithmic
# beyond: the paper's effects are tenths of a point, ours are points.

# %% tags=["hide-input", "hide-output"]
ROWS = ["Linear scaling", "+ LR warmup", "+ Zero gamma", "+ No bias decay"]  # in Table 4
rows_4, names = paper.table("4"), [*SUFFIX]
TO_SMALL = {ours: paper.resnet_50(round(rows_4[row]["BS1024_top1"] - rows_4[ROWS[0]]["BS256_top1"], 2))
            for ours, row in zip(names[1:], ROWS, strict=True)}
PAPER_ADDS = {ours: paper.effect("4", row, before, "BS1024_top1")
              for ours, row, before in zip(names[2:], ROWS[1:], ROWS, strict=False)}
everything = [run for regime in OURS for runs in (*OURS[regime].values(), SMALL[regime]) for run in runs]


@style.styled
def both_regimes():
    fig, axes = style.canvas(2, height=4.6, sharey=True, caption=statistics.caption(everything))
    panels = {"Gap to the small batch": (GAP, TO_SMALL), "What each row adds": (ADDS, PAPER_ADDS)}
    look = {"fmt": "o", "markersize": 6, "capsize": 3, "elinewidth": 1.5}
    for ax, (title, (ours, theirs)) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color=style.GREY, linewidth=1)
        for regime, shift, colour in (("short", 0.0, 0), ("long", -0.26, 2)):
            places = [-names.index(row) + shift for row in ours[regime]]
            values = list(ours[regime].values())
            ax.errorbar([c.mean for c in values], places, xerr=[c.half for c in values], color=style.COLOURS[colour],
                        label=f"ours, {EPOCHS[regime]} epochs, {LARGE_STEPS[regime]:,} steps", **look)
        places = [-names.index(row) + 0.26 for row in theirs]
        ax.errorbar([e.delta for e in theirs.values()], places, xerr=[e.noise for e in theirs.values()],
                    color=style.COLOURS[1], label="paper, 150,120 steps", **{**look, "fmt": "D", "fillstyle": "none"})
        ax.set_xscale("symlog", linthresh=1, linscale=1)
        marks = [-20, -5, -1, 0, 1] if ax is axes[0] else [-10, -3, -1, 0, 1, 3, 10]
        ax.set_xticks(marks, [f"{mark:+d}".replace("-", "−") if mark else "0" for mark in marks])
        ax.minorticks_off()
        ax.set(title=title, xlabel="points of top-1 accuracy", xlim=(-30, 2.5) if ax is axes[0] else (-20, 30))
        ax.set(yticks=[-i for i in range(len(names))], yticklabels=names, ylim=(-len(names) + 0.3, 0.6))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return fig


fig = both_regimes()
lengths = {f"in {LARGE_STEPS[regime]:,} steps": ADDS[regime]["+ warm-up"] for regime in OURS}
takeaway, numbers = statistics.headline("Warm-up at 8 times the batch", lengths, PAPER_ADDS["+ warm-up"])
slide(fig, "03_1_short_and_long", takeaway=takeaway, numbers=numbers, runs=everything)
judged = tabled([{"": row, "paper": str(theirs), **{regime: str(ours[regime][row].against(theirs)) for regime in OURS}}
                 for ours, theirs_of in ((GAP, TO_SMALL), (ADDS, PAPER_ADDS)) for row, theirs in theirs_of.items()
                 if ours is ADDS or row == "linear scaling"])
guess.veil(fig, judged)

# %% tags=["hide-input", "hide-output"]
short, long, way = ADDS["short"], ADDS["long"], {}
for regime in OURS:
    recipe = OURS[regime]["+ zero γ"][0].recipe
    per_epoch = recipe.train_images // recipe.batch_size
    way[regime] = sum(schedules.lr_at(recipe, step, per_epoch) for step in range(recipe.epochs * per_epoch))
left = {regime: 100 * np.exp(-recipe.weight_decay * total / (1 - recipe.momentum)) for regime, total in way.items()}
at_64 = statistics.compare(arm("small-zero"), arm("small-warmup"))


def brief(found):
    return f"{found.mean:+z.1f} ± {found.half:.1f}".replace("-", "−")


s_scaling, s_warm, s_zero, s_bias = map(brief, short.values())
l_scaling, l_warm, l_zero, l_bias = map(brief, long.values())
s_gap, l_gap = (brief(GAP[regime]["+ warm-up"]) for regime in GAP)
s_steps, l_steps = (f"{steps:,}" for steps in LARGE_STEPS.values())
unseen = long["+ no bias decay"].differences
needed = statistics.seeds_for(0.34, float(np.std(unseen, ddof=1)))
whole = arm("full-efficient")  # all three tricks at an ordinary batch
left_out = [statistics.compare(whole, arm(f"full-without-{trick}")) for trick in ("warmup", "zero", "no-bias")]
e_warm, e_zero, e_bias = map(brief, left_out)
guess.veil(Markdown(f"""
- **Linear scaling alone hurts in the short regime** ({s_scaling} points against the unscaled rate) and helps in the
  long one ({l_scaling}). Without a warm-up the first steps at 0.4 throw the network off (Deeper, below). In {s_steps}
  steps it does not come back; in {l_steps} it does, and then the longer steps pay.
- **Warm-up repairs that** in both: {s_warm} and {l_warm} points on top of scaling. Scaling *with* warm-up beats the
  unscaled rate in both.
- **The gap to the small batch.** With scaling and warm-up it is {s_gap} points in the short regime. In the long one it
  is {l_gap}, where scaling alone leaves {brief(GAP["long"]["linear scaling"])} and no scaling
  {brief(GAP["long"]["no scaling"])}. So with steps enough, these two close most of it and not all. In the paper all
  four close it, here they do not: with zero γ and no bias decay on top, {brief(GAP["long"]["+ no bias decay"])} points
  are left in the long regime.
- **Zero γ costs** in the short regime ({s_zero}), is not resolved in the long one ({l_zero}), and gains
  {PAPER_ADDS["+ zero γ"].delta:+.2f} in the paper. A block has to wake up within the run, and what moves its γ is the
  sum of the rates: {way["short"]:.0f} in the short regime, {way["long"]:.0f} in the long one. At 64 a step the short
  regime has eight times the steps and, by linear scaling, the same sum; and about the same loss ({brief(at_64)}). So
  the records agree with that reason. That zero γ *gains* in long runs, they do not show.
- **No bias decay: nothing to be seen**, {s_bias} and {l_bias}. Decay alone would leave {left["short"]:.0f} % of a γ
  by the end of a short run and {left["long"]:.0f} % by the end of a long one, so in the long one there is something to
  leave out. To see the paper's 0.34 points at the long runs' spread would take {needed} seeds; here are {len(unseen)}.
- **And at an ordinary batch?** {whole[0].recipe.epochs} epochs with {whole[0].recipe.batch_size} a step and a rate of
  {whole[0].recipe.lr:g}, all three in, each left out once: warm-up is worth {e_warm} points even there, zero γ
  {e_zero}, no bias decay {e_bias}. The last two are not resolved ({len(left_out[-1].seeds)} seeds).
"""))

# %% [markdown]
# ## Conclusion

# %% tags=["hide-input"]
conclusion(
    mechanism="""k times the rate makes one large step as long as k small ones, as long as the gradient stands still.
        Warm-up keeps steps short while it does not. Zero γ starts each residual block as its shortcut. No bias decay
        leaves γ, β and biases out of weight decay.""",
    paper=f"""1024 a step with linear scaling is {TO_SMALL["linear scaling"].delta:+.2f} points from 256 a step.
        Warm-up adds {PAPER_ADDS["+ warm-up"].delta:+.2f}, zero γ {PAPER_ADDS["+ zero γ"].delta:+.2f}, no bias decay
        {PAPER_ADDS["+ no bias decay"].delta:+.2f} (± {PAPER_ADDS["+ warm-up"].noise:.2f}, one run each).""",
    short=f"""{s_steps} steps of 512: scaling alone {s_scaling} points from the unscaled rate, then warm-up {s_warm},
        zero γ {s_zero}, no bias decay {s_bias}. With scaling and warm-up, 512 a step is still {s_gap} points from 64
        a step.""",
    long=f"""{l_steps} steps of 512: scaling alone {l_scaling}, then warm-up {l_warm}, zero γ {l_zero}, no bias decay
        {l_bias}. With scaling and warm-up, 512 a step is {l_gap} points from 64 a step. In
        {whole[0].recipe.epochs} epochs at {whole[0].recipe.batch_size} a step, warm-up is worth {e_warm}.""",
    use="""Whenever the batch grows, scale the rate of SGD with it, together with a warm-up, and count the steps that
        are left. Zero γ: in deep residual networks and long runs, on the paper's word; no run here gained by it. No
        bias decay: as a convention; expect nothing from it.""",
    harms="""Scaling without warm-up harms a short run. Zero γ harms a run that ends before its blocks are awake. At
        equal epochs a larger batch always costs steps: where only a few hundred are left, keep the batch small.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("Why does the learning rate grow like the batch?", {
    "Because the gradient of a large batch is less noisy, and can be trusted farther": (
        False, "The noise falls as the root of b, which would give a rule with a root. It is not the reason."),
    "Because one step has to go as far as the k steps that it replaces": (
        True, "The mean displacement gives the factor k. That the spread agrees too is due to the variance's 1/b."),
    "Because the gradient of a large batch is smaller": (
        False, "The loss is a mean over the batch. Its gradient has the same expectation at every b."),
})
quiz("The last γ of a residual block is 0. What has a gradient in the very first step?", {
    "Nothing in the block or before it: a zero stops back-propagation": (
        False, "The shortcut passes the gradient on to everything before the block, and γ itself has one, Σ d·x̂."),
    "That γ, and everything outside path A": (
        True, "∂L/∂γ = Σ d·x̂ has no γ in it. Only path A below that batch norm has to wait, for one step."),
    "Everything, as it has with γ = 1": (
        False, "What lies before that batch norm in path A gets its gradient times γ, which is 0 in the first step."),
})
quiz("A recipe says: warm-up over 5 epochs. You use it with another batch and another data set. What is kept?", {
    "The number of steps": (
        False, "Five epochs are 25,020 steps in the paper at 256 pictures, and 95 on our 10,000 pictures at 512."),
    "The share of the run, if the number of epochs is the same; not the number of steps": (
        True, "The first weights need steps. Count them before you copy a number of epochs."),
    "The highest learning rate": (
        False, "That is set by linear scaling. Warm-up only says how fast it is reached."),
})
quiz("No bias decay: what does it spare, and what did that do in Table 4?", {
    "Biases, γ and β; it helped at both batch sizes": (
        False, "What it spares is right. But look at the paper's own table: at 1024 the row with it is lower."),
    "Biases, γ and β; next to nothing at 256, and at 1024 the row with it is lower": (
        True, "Each row is one run, so neither difference says much. It is part of the setting, not its reason."),
    "Only biases, as its name says": (
        False, "γ and β of every batch norm are spared too, and in our network they are nearly all of what is spared."),
})
quiz("You get eight machines and keep the number of epochs: 100 steps in all. What do you do?", {
    "Scale the rate by 8 and start: it is a law": (
        False, "It is an argument about a gradient that stands still. Here it lost points in 152 steps."),
    "Scale, warm up, and set γ to 0, as in Table 4": (
        False, "In a run this short zero γ cost many points here: the blocks had no time to wake up."),
    "Scale with a warm-up, and expect a gap: the missing steps are missing": (
        True, "None of the four adds a step. In 152 steps a wide gap was left, in 1,140 a small one."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). All four heuristics in one function. It runs without an error, and every picture gets the
# same answer. Which line is wrong?

# %% tags=["hide-input"]
def blocks_start_as_their_shortcuts(names):
    net = make.model_for(BASELINE, 10, seed=0)
    names["prepare"](net, batch_size=512)
    with torch.no_grad():
        one, other = net.train()(x[:2])
    assert not torch.equal(one, other), "two different pictures get the same logits"


bug_hunt(
    """
def prepare(net, batch_size, decay=5e-4):
    last = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for bn in last:
        torch.nn.init.zeros_(bn.weight)
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.1 * batch_size / 256, momentum=0.9, nesterov=True)
""",
    wrong="last = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]",
    right='last = [module.last_bn for module in net.modules() if hasattr(module, "last_bn")]',
    why="Every batch norm gets γ = 0, that of the stem too, which then puts out the same for every picture. Only the "
        "batch norm that ends a residual block is meant.",
    test=blocks_start_as_their_shortcuts,
    torch=torch,
)

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). 5,000 pictures, 250 a step, 40 epochs. The rate was tuned at 50 a step, 0.02, and
# the warm-up is to last 60 steps. Return the peak rate, the number of steps in all, and the warm-up in epochs.

# %%
def by_hand():
    # solution
    return 0.1, 800, 3  # 0.02 · 250 / 50; 40 · 5000 / 250; 60 / 20


answer = by_hand()
check("by hand", answer if answer in (None, ...) else [*answer], [schedules.scaled_lr(0.02, 250, 50), 40 * 20, 60 / 20],
      hint="How many times larger is the batch? An epoch has as many steps as the batch goes into the pictures.")

# %% [markdown]
# **2.** (10 minutes, medium) Back-propagation through out = γ·x̂ + β, all of shape (N, C) except γ and β of shape (C,).
# Given d = ∂L/∂out, write ∂L/∂γ and ∂L/∂x̂. The check uses γ = 0 too: which of the two vanishes?

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
# **3. Predict, train, explain** (10 minutes, medium). Take the loop of the race with warm-up and add zero γ to it, with
# one more replaced text (`SHORTCUT`, above). Write down first what you expect in 8 epochs at 512 a step. Then train it
# with `race`, as above, and say why it came out as it did. One run is one seed.

# %% [markdown] tags=["solution"]
# `loop({"return peak * 0.1 **": "return min(1, done / 0.25) * peak * 0.1 **", SHORTCUT: ...})`, then `race` with the
# same settings. Expect a lower accuracy. All blocks of the loop's network have a convolution in their shortcut, so a
# sleeping block is still a layer; what is missing is path A, until its γ has grown. With 60 epochs a small part of the
# difference should be left.

# %% [markdown]
# **4.** (10 minutes, hard) V(b) = V(1)/b. A colleague measures ‖g‖², averaged over batches, at two batch sizes: its
# mean is ‖G‖² + V(b), where G is the full gradient. From (b₁, mean₁) and (b₂, mean₂), compute V(1) and ‖G‖².

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
# ## Deeper: does the rule hold for Adam?
#
# Not in general. Adam divides each weight's gradient by the root of a running mean of its square. Take that mean to be
# exact, leave momentum out, and let σ² be the variance of a small batch's gradient whose mean is 1. Then
#
# | | eight small steps | one large step at r times the rate |
# |---|---|---|
# | SGD | mean 8, variance 8σ² | mean r, variance r²σ²/8 |
# | Adam | mean 8/√(1 + σ²), variance 8σ²/(1 + σ²) | mean r/√(1 + σ²/8), variance (r²σ²/8)/(1 + σ²/8) |
#
# For SGD both agree at r = 8, whatever σ. For Adam both agree at r = √(8 · (8 + σ²)/(1 + σ²)). Without noise that is
# 8, since then a step is η in either case. With much noise it is √8: the batch's smaller noise has shortened the
# divisor, so that Adam has taken a part of the factor upon itself. Hence the "square-root rule" for Adam, and hence
# reports of either rule failing: the right one lies between, and moves as the noise does.

# %% tags=["hide-input"]
def agreed(factor, noise):
    return abs(factor - (K * (K + noise**2) / (1 + noise**2)) ** 0.5) < 0.2


sliders(
    partial(eight_or_one, optimizer="Adam"), factor=(1.0, 16.0, 0.1), noise=(0.0, 4.0, 0.5),
    goal="Set the noise to 4, and make both end alike.",
    reached=lambda factor, noise: noise == 4 and agreed(factor, noise), solution={"noise": 4.0, "factor": 3.4},
)

# %% [markdown]
# ## Deeper: batches above 2,000, and LARS
#
# The paper stops at about 2,000 pictures a step and leaves larger batches to others. Goyal et al. (2017) went to
# 8,192 with linear scaling and warm-up. Beyond that, one rate for all layers becomes the trouble: a step is ‖ηg‖
# long, and what it does to a layer depends on ‖w‖. In our network, after some training, on 512 pictures:

# %% tags=["hide-input"]
def shares(model, batch):
    """‖w‖/‖g‖ of each weight with two dimensions or more."""
    model.train().zero_grad()
    F.cross_entropy(model(x[batch]), y[batch]).backward()
    return {name: float(p.detach().norm() / p.grad.norm()) for name, p in model.named_parameters() if p.ndim > 1}


ratios = shares(trained, batch)
table([{"layer": name, "‖w‖ / ‖g‖": f"{ratio:.3g}", "a step of 0.4 · g changes w by": f"{0.4 / ratio:.1%}"}
       for name, ratio in ratios.items()])
print(f"largest ratio ÷ smallest: {max(ratios.values()) / min(ratios.values()):.1f}")

# %% [markdown]
# LARS (You et al., 2017) multiplies the rate of each layer by ‖w‖/(‖g‖ + λ‖w‖) times a constant, so that every layer
# is changed by the same share of itself. They report ResNet-50 at 32,000 pictures a step. The course's library does
# not have it; it is this line before the optimiser's step: `group["lr"] = lr * trust * w.norm() / (g.norm() + decay *
# w.norm())`, with a group for each layer.

# %% [markdown]
# ## Deeper: the noise of a real network's gradient
#
# Let G be the mean of the gradient over batches, and V(b) the mean of ‖g − G‖², summed over all weights. V(b) =
# V(1)/b is a theorem for a mean over pictures. With batch norm, the pictures of a batch see each other, and it is a
# measurement:

# %% tags=["hide-input"]
def gradient(model, batch):
    """The gradient of the mean loss of the pictures with these numbers, all weights in one vector."""
    parts = torch.autograd.grad(F.cross_entropy(model(x[batch]), y[batch]), list(model.parameters()))
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
display(large_batch.gradient_noise(SIZES, variances, caption=f"{SOURCE} · {drawn}"))
for label, (values, signals) in measured.items():
    v_1, signal = float(np.mean(np.multiply(values, SIZES))), float(np.mean(signals))
    scale = f"{v_1 / signal:,.0f} pictures" if signal > 0 else "not resolved by so few batches"
    print(f"{label:<47} V(1) = {v_1:6.1f}   ‖G‖² = {signal:5.2f}   noise scale: {scale}")

# %% [markdown]
# There is an upper end. Where V(b) is below ‖G‖², the gradient is mostly signal, and more pictures a step buy little.
# McCandlish et al. (2018) call the b at which the two are equal, V(1)/‖G‖², the simple noise scale. Early in training
# ours is a few hundred pictures or fewer; it grows as the gradient gets small.

# %% [markdown]
# ## Deeper: the first steps at a rate that is too high
#
# The first steps of training at several peaks, with no warm-up and with one over half of the steps. The batches have
# only 32 pictures, so that this takes seconds: what a step that is too long does, it does at every batch size. Each
# loss is the batch's own, before the step. A run ends when its loss is not finite.

# %% tags=["hide-input"]
PEAKS = [0.1, 0.4, 3.2, 51.2] if QUICK else [0.1, 0.4, 51.2]
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

first_losses = partial(large_batch.loss_traces, steps=STEPS, chance=np.log(len(dataset.classes)), warmup_steps=RAMP,
                       caption=f"{SOURCE} · {STEPS} steps of 32 images, Nesterov momentum 0.9")
sliders(first_losses, lambda lr=0.4: traces[lr], lr=PEAKS)

# %% tags=["hide-input"]
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
# A ramp helps with a peak that the *trained* network can bear and the first weights cannot: the losses climb less,
# and end lower. A peak that is too long for both is only put off; after the ramp the steps have their full length.
# *Not finite* is no figure of speech: a float32 ends at 3.4 · 10³⁸, ∞ − ∞ is NaN, and nothing brings a weight back
# from NaN. The course's loop stops there, names the step, and keeps the last good checkpoint.

# %% [markdown]
# ## Deeper: how the blocks wake up
#
# γ and the size of path A relative to the shortcut, ‖A‖/‖B‖, in all three blocks, measured on the training batches of
# the first steps. The solid lines start at 0:

# %% tags=["hide-input"]
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
display(large_batch.block_growth(gammas, ratios, caption=f"{SOURCE} · batches of 64, learning rate 0.05"))
rows = []
for lr in (0.05, 0.2, 0.4):
    gammas, ratios = (part[-1] for part in (growth["γ = 0 at the start"] if lr == 0.05 else grow(True, STEPS // 2, lr)))
    row = {"learning rate": lr}
    for i, (gamma, ratio) in enumerate(zip(gammas, ratios, strict=True), start=1):
        row |= {f"γ, block {i}": f"{gamma:.2f}", f"‖A‖/‖B‖, block {i}": f"{ratio:.2f}"}
    rows.append(row)
print(f"with zero γ, before step {STEPS // 2 - 1}")
table(rows)

# %% [markdown]
# At a small rate the later blocks are hardly awake after these steps, and with a larger rate they have come farther.
# Over thousands of steps this is a short time. In the short regime's 152, half of them at a tenth of the rate or
# less, it is most of the run.

# %% [markdown]
# ## Deeper: what decay does behind a batch norm
#
# How many numbers decay, how strong is the pull of the decay, ‖λw‖, against the gradient of 512 pictures, ‖g‖, and is
# that gradient along w at all? The last column is the cosine of g and w:

# %% tags=["hide-input"]
KINDS = {
    "weight of a convolution": (torch.nn.Conv2d, "weight"),
    "weight of the linear layer": (torch.nn.Linear, "weight"),
    "its bias": (torch.nn.Linear, "bias"),
    "γ": (torch.nn.BatchNorm2d, "weight"),
    "β": (torch.nn.BatchNorm2d, "bias"),
}
shares(trained, batch)
decaying = {id(p) for p in parameters.decay_groups(trained, BASELINE.weight_decay, no_bias_decay=True)[0]["params"]}
rows = []
for kind, (layer, name) in KINDS.items():
    group = [getattr(module, name) for module in trained.modules() if isinstance(module, layer)]
    w, g = (torch.cat([t.flatten() for t in ts]) for ts in ([p.detach() for p in group], [p.grad for p in group]))
    kept = any(id(p) in decaying for p in group)
    rows.append({"parameter": kind, "numbers": f"{len(w):,}", "decays under no bias decay": "yes" if kept else "no",
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

# %% tags=["hide-input"]
PARTS = {
    "convolutions": lambda model: [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)],
    "γ in the middle of path A": lambda model: [block.bn1 for stage in model.stages for block in stage],
    "last γ of path A": lambda model: [block.last_bn for stage in model.stages for block in stage],
}
with torch.no_grad():
    print(f"{'nothing halved':<31} {F.cross_entropy(trained(x[batch]), y[batch]):.4f}")
    for name, modules in PARTS.items():
        halved = copy.deepcopy(trained)
        for module in modules(halved):
            module.weight *= 0.5
        print(f"{name:<31} {F.cross_entropy(halved(x[batch]), y[batch]):.4f}")

# %% [markdown]
# ## Deeper: all of Table 4, and what the paper says of it
#
# The ladder at both batch sizes; ours with the 95 % interval of the mean. In the long regime, 64 a step was recorded
# with linear scaling alone.

# %% tags=["hide-input"]
CELLS = {"b = 64, short": {row: arm(f"small{suffix}") for row, suffix in [*SUFFIX.items()][1:]},
         "b = 512, short": OURS["short"], "b = 512, long": OURS["long"]}
table([
    {"each row adds to the one above": ours,
     **{f"paper, b = {b}": f"{rows_4[row][f'BS{b}_top1']:.2f}" for b in (256, 1024)},
     **{label: statistics.plus_minus([run.accuracy for run in arms[ours]]) for label, arms in CELLS.items()}}
    for ours, row in zip(names[1:], ROWS, strict=True)
])
print("64 a step in the long regime, linear scaling alone:", statistics.plus_minus([r.accuracy for r in SMALL["long"]]))
print("\nhow the learning rate at b = 64 was chosen, one seed each:")
for name in study("pilot_large_batch").arms:
    print(f"   {recipe_of(name).lr:<5} {arm(name)[0].accuracy:.2f} % of the held-out pictures")

# %% [markdown]
# §3.3 says that linear scaling alone costs 0.9 % of accuracy, that the other three heuristics close the gap, and that
# the whole efficient setting, FP16 included, gains 0.5 %. What Table 4 says, each number one run; the last line has the
# standard deviations that the conference version gives for ResNet-50-D on the same data:

# %% tags=["hide-input"]
def top_1(row, b):
    return rows_4[row][f"BS{b}_top1"]


baseline = top_1("Linear scaling", 256)
highest = max(rows_4, key=lambda row: top_1(row, 1024))
print(f"linear scaling alone: {baseline} → {top_1('Linear scaling', 1024)}, {TO_SMALL['linear scaling'].delta:+.2f}")
print(f"best row at b = 1024: {highest!r}, {top_1(highest, 1024) - baseline:+.2f} from {baseline}")
print(f"no bias decay at b = 1024: {top_1('+ Zero gamma', 1024)} → {top_1('+ No bias decay', 1024)}")
print(f"all with FP16: {top_1('+ FP16', 1024):.2f}, {top_1('+ FP16', 1024) - baseline:+.2f} points")
spread = [sd for row in paper.table("6 (CVPR)").values() if (sd := row.get("ResNet-50-D_top1_std"))]
print(f"standard deviation between runs: {min(spread):.2f} to {max(spread):.2f} points of top-1 accuracy")

# %% [markdown]
# ## For discussion
#
# 1. Our noise scale was measured early in training. In which direction would you expect it to move when the training
#    loss gets small, and what does that say about growing the batch during a run?
# 2. You get eight times the GPUs and keep the number of *epochs*. What do you change in the recipe, and what do you
#    measure first? And if you could keep the number of *steps*?
# 3. Zero γ and γ = 1 with weight decay on γ both shrink the blocks. How do they differ at the start, and at the end?
# 4. The rate at 512 had no search of its own. Which of our conclusions could a search overturn, and which not?
