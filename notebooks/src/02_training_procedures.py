# %% [markdown]
# # 2 Training procedures
#
# **Two teams train the same network on the same pictures. How far apart do they end?**

# %% tags=["hide-input"]
import math
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from tricks import augment, parameters, schedules
from tricks.course.from_zero import pictures, race
from tricks.course.lesson import conclusion, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.data import archive, folders, sets
from tricks.plots import evidence, preprocessing, style
from tricks.records import paper, statistics
from tricks.studies.studies import arm

# %% tags=["hide-input"]
REFINEMENTS = {  # row of Table 6: the row that it adds to
    "+ cosine decay": "Efficient",
    "+ label smoothing": "+ cosine decay",
    "+ distill w/o mixup": "+ label smoothing",
    "+ mixup w/o distill": "+ label smoothing",
}


@style.styled
def two_teams(networks):
    fig, ax = style.canvas(height=3.0, caption=f"{paper.SOURCE}, Tables 2 and 6: top-1 on ImageNet, one run each")
    for place, (name, column) in enumerate(networks.items()):
        ours, published = (paper.table("2")[name][f"{who}_top1"] for who in ("baseline", "reference"))
        changes = [paper.delta("6", row, before, column) for row, before in REFINEMENTS.items()]
        first = place == 0  # one entry in the legend
        label = "two teams, one network" if first else ""
        ax.barh(place, abs(ours - published), 0.5, color=style.COLOURS[0], label=label)
        ax.plot(np.abs(changes), [place] * 4, "o", color=style.COLOURS[1], label="one refinement" if first else "")
        print(f"{name:<13} paper − published {ours - published:+.2f} points", end=", ")
        print(f"largest refinement {max(changes, key=abs):+.2f}")
    ax.set(xlabel="difference, points of accuracy", yticks=range(len(networks)), yticklabels=networks, ylim=(2.6, -0.6))
    ax.legend(loc="upper right")
    return fig


two_teams({"ResNet-50": "ResNet-50-D_top1", "Inception-V3": "Inception-V3_top1", "MobileNet": "MobileNet_top1"})

# %% [markdown]
# A bar is the distance between the paper's baseline and the accuracy that others had published for the same network
# (Table 2). A dot is the size of what one refinement of section 5 changes (Table 6; its ResNet-50 is a ResNet-50-D,
# lesson 04). For two of the three networks the teams are further apart than any refinement moves them. The paper's
# ResNet-50 is better than the published one, its Inception-V3 and MobileNet are worse, and it does not say which part
# of the procedure makes the difference.
#
# **Claim.** A trick can be measured only inside a procedure that is known down to its last constant. This lesson writes
# the procedure from zero, and then takes the paper's apart.
#
# After this lesson you can
# 1. write a training loop in sixty lines of plain PyTorch, and say what each line is for;
# 2. say what a mini-batch changes about the gradient, and what it does not;
# 3. write Nesterov's rule, and say why a learning rate means little without its momentum;
# 4. say what weight decay does to a weight that has a gradient and to one that has none;
# 5. name the six preprocessing steps of the paper in order.
#
# *Time:* 30 minutes, half a minute of it training on two CPU cores; 15 more for the parts headed "Deeper"; 30 for
# questions and exercises. *Paper:* §2, Algorithm 1, Table 2.
#
# ## Before you go on: predict
#
# The paper divides its learning rate by 10 at epochs 30, 60 and 90 of 120. Our small network does so at epochs 6, 8 and
# 10 of 12. By how much does its test accuracy change in the first epoch after the *first* division?

# %%
guess = predict("Change in test accuracy in that epoch", low=-5, high=30)

# %% [markdown]
# ## The loop, from zero
#
# Nothing below is hidden in a library but PyTorch itself (`torch`, `nn` for layers, `F` for functions). First the
# network: a *residual* network, whose blocks add what they compute to what they were given (appendix A says why). Each
# convolution is followed by batch norm, which brings its outputs to mean 0 and variance 1 over the batch, and then
# scales them by γ and shifts them by β.

# %% tags=["loop"]
def conv(inputs, outputs, kernel, stride=1):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.path = nn.Sequential(conv(inputs, outputs, 3, stride), nn.ReLU(), conv(outputs, outputs, 3))
        self.shortcut = conv(inputs, outputs, 1, stride)

    def forward(self, x):
        return F.relu(self.path(x) + self.shortcut(x))


def network(classes):
    stem = nn.Sequential(conv(3, 32, 3, stride=2), nn.ReLU())
    blocks = Block(32, 32, stride=1), Block(32, 64, stride=2), Block(64, 128, stride=2)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))

# %% [markdown]
# A picture is a little different each time the network sees it: mirrored or not, and moved by up to 4 pixels. The
# learning rate is a function of the share of the run that is done; the paper's is divided by 10 three times. (Its first
# division comes after a quarter of 120 epochs. We have 8, and wait until half.)

# %% tags=["loop"]
def augmented(x):
    """Toss a coin to mirror each picture of (B, 3, side, side); move it by up to 4 pixels over a grey ground."""
    side, device = x.shape[3], x.device
    x = torch.where(torch.rand(len(x), 1, 1, 1, device=device) < 0.5, x.flip(3), x)
    places = F.pad(x, (4, 4, 4, 4)).unfold(2, side, 1).unfold(3, side, 1)  # (B, 3, 9, 9, side, side), nothing is copied
    down, right = torch.randint(9, (2, len(x)), device=device)
    return places[torch.arange(len(x), device=device), :, down, right].contiguous(memory_format=torch.channels_last)


def rate(done, peak):
    return peak * 0.1 ** sum(done >= share for share in (1 / 2, 2 / 3, 5 / 6))

# %% [markdown]
# And the loop. Shuffle; for each batch set the rate, forward, loss, backward, step; after each epoch count how many
# test pictures are right. `yield` hands out a row per epoch, so that it can be drawn while it trains.

# %% tags=["loop"]
@torch.inference_mode()
def accuracy(net, pictures, labels):
    net.eval()  # batch norm takes its running means, not the batch's
    right = [net(x).argmax(1) == y for x, y in zip(pictures.split(500), labels.split(500), strict=True)]
    return 100 * torch.cat(right).float().mean().item()


def train(train_set, test_set, epochs=8, batch_size=128, peak=0.1, weight_decay=5e-4, seed=0):
    torch.manual_seed(seed)
    pictures, labels = train_set
    net = network(classes=len(labels.unique())).to(labels.device, memory_format=torch.channels_last)
    parameters = net.parameters()
    optimizer = torch.optim.SGD(parameters, lr=peak, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    batches = math.ceil(len(labels) / batch_size)
    for epoch in range(epochs):
        net.train()
        losses = []
        for batch, rows in enumerate(torch.randperm(len(labels), device=labels.device).split(batch_size)):
            for group in optimizer.param_groups:
                group["lr"] = rate((epoch + batch / batches) / epochs, peak)
            x, y = augmented(pictures[rows]), labels[rows]
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        loss = torch.stack(losses).mean().item()
        yield {"epoch": epoch + 1, "train_loss": loss, "test_accuracy": accuracy(net, *test_set)}

# %% [markdown]
# Ten classes, a fifth of CIFAR-10's training pictures, eight times over. Pictures come normalised: each colour minus
# its mean, divided by its standard deviation (step 6 of the paper's six, below).

# %%
dataset = load_data()
data = pictures(dataset)
zero = race({"from zero": train}, data, caption=f"live, seed 0 · the loop from zero · {dataset.source}")

# %% [markdown]
# Guessing gives 10 %, and a loss of log 10 = 2.30 *nats*, the unit of a cross-entropy with the natural logarithm. This
# is the loop that the next lessons change, each by the few lines that its trick is:
#
# | line of the loop | what is in the paper | lesson |
# |---|---|---|
# | `network(...)`: its first weights | zero γ | 3.1 |
# | `network(...)`: its blocks | tweaks B, C, D | 4 |
# | `SGD(parameters, ..., weight_decay=...)` | no bias decay | 3.1 |
# | `rate(...)` | warm-up; cosine decay | 3.1; 5.1 |
# | `x, y = augmented(...), labels[rows]` | mixup | 5.4 |
# | `loss = F.cross_entropy(net(x), y)` | label smoothing; distillation | 5.2; 5.3 |
# | forward, backward, step | mixed precision | 3.2 |
#
# The library's loop does the same steps in the same order. It also has switches for the tricks, a stream of random
# numbers of its own for each kind of draw, and augmentation on the device in one pass. Its optimiser, its rate and its
# batch, and its update (`scaler` does nothing until lesson 3.2):

# %% tags=["hide-input"]
show_loop("torch.optim.SGD", context=1)
show_loop("enumerate(train.epoch", context=3)
show_loop("scaler.scale(loss)", context=2)

# %% [markdown]
# ## What a mini-batch does to the gradient
#
# The loop takes b = 128 pictures in place of all 10,000. The smallest case in which the consequence can be seen has two
# weights. Here are 64 used cars (made up): price = w₁ · age + w₂ · kilometres, all three standardised, squared loss.
# Old cars have more kilometres, so the loss is a narrow valley.

# %%
n, stream = 64, torch.Generator().manual_seed(8)
age, other, noise = torch.randn(3, n, generator=stream)
cars = torch.stack([age, 0.8 * age + 0.6 * other], dim=1)  # (64, 2)
price = cars @ torch.tensor([-1.0, -0.5]) + 0.5 * noise


def gradient(w, batch):
    """Gradient (..., 2) of the mean of ½ (w · car − price)² over the cars with the numbers in `batch` (..., b)."""
    error = cars[batch] @ w - price[batch]
    return (error[..., None] * cars[batch]).mean(dim=-2)


START = torch.tensor([2.0, -1.5])
full = gradient(START, torch.arange(n))
pairs = gradient(START, torch.combinations(torch.arange(n), 2))
mean_of_pairs = pairs.mean(dim=0)
print("the first three pairs  ", *(f"({a:+.3f}, {b:+.3f})" for a, b in pairs[:3].tolist()))
print(f"mean of all {len(pairs):,} pairs ({mean_of_pairs[0]:+.3f}, {mean_of_pairs[1]:+.3f})")
print(f"all {n} cars at once     ({full[0]:+.3f}, {full[1]:+.3f})")
assert torch.allclose(mean_of_pairs, full, rtol=1e-4)

# %% [markdown]
# A pair's gradient is wrong, and the mean over all pairs is right: every car is in equally many pairs. The same holds
# for every b. A mini-batch does not change the *expected* gradient. It changes the variance, the mean squared distance
# to the full gradient. Measured on 20,000 random batches of each size:

# %% tags=["hide-input"]
rows = []
for b in (1, 2, 4, 8, 16, 32, 64):
    g = gradient(START, torch.randint(n, (20_000, b), generator=stream))  # (20,000, 2)
    variance = float((g - full).square().sum(dim=1).mean())
    means = f"({g.mean(dim=0)[0]:+.3f}, {g.mean(dim=0)[1]:+.3f})"
    rows.append({"b": b, "mean gradient": means, "variance": variance, "variance × b": variance * b})
table(rows)

# %% [markdown]
# The last column is constant up to sampling error: the variance is proportional to 1/b. So its square root, the noise
# that moves the weights, falls only as 1/√b: four times the pictures for half the noise. Section 3.1 builds on this.
#
# (Drawn with replacement. Our loop shuffles the training set and cuts it into batches, so that an epoch sees each
# picture once; with many more pictures than b that makes hardly any difference.)
#
# ## Nesterov's rule
#
# η is the learning rate, μ the momentum. The velocity v remembers past gradients, and the step looks one velocity
# ahead:
#
# $$v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta\,(g + \mu v).$$

# %%
def descend(lr, momentum=0.0, batch_size=8, steps=40, seed=0):
    """Algorithm 1 on the cars from START: the weights before and after each step, (steps + 1, 2)."""
    stream, w, v = torch.Generator().manual_seed(seed), START, torch.zeros(2)
    path = [w]
    for _ in range(steps):
        g = gradient(w, torch.randint(n, (batch_size,), generator=stream))
        v = momentum * v + g
        w = w - lr * (g + momentum * v)
        path.append(w)
    return torch.stack(path)

# %% [markdown]
# If all gradients were equal, v would grow to g (1 + μ + μ² + …) = g/(1 − μ): at μ = 0.9 the steps get ten times as
# long. So a learning rate means little without its momentum. The paper states the first and not the second.
#
# Forty steps from one start, three ways: 8 cars a step at the rate η; the same with momentum μ; and without momentum at
# the rate η/(1 − μ), which gives steps of the same length in the long run. Beyond the rate that is printed, plain
# descent climbs out of the valley.

# %% tags=["hide-input"]
def loss_at(w1, w2):
    """Mean of ½ (w · car − price)² for arrays of weights of one shape."""
    with np.errstate(over="ignore", invalid="ignore"):  # a path may leave the valley for good
        error = w1[..., None] * cars[:, 0].numpy() + w2[..., None] * cars[:, 1].numpy() - price.numpy()
        return (error**2).mean(axis=-1) / 2


def three_paths(lr=0.1, momentum=0.6):
    return {
        "plain, η": descend(lr),
        "plain, η / (1 − μ)": descend(lr / (1 - momentum)),
        "Nesterov, η and μ": descend(lr, momentum),
    }


axes = {"xlim": (-3, 3), "ylim": (-3, 2), "xlabel": "$w_1$, of age", "ylabel": "$w_2$, of kilometres"}
curvature = torch.linalg.eigvalsh(cars.T @ cars / n)
bottom = loss_at(*torch.linalg.lstsq(cars, price[:, None]).solution[:, 0].numpy())


def above(path):
    """How far the last point of a path is above the bottom of the valley."""
    return float(loss_at(*path[-1].numpy()) - bottom)


def momentum_wins(lr, momentum):
    plain, longer, nesterov = map(above, three_paths(lr, momentum).values())
    return nesterov < 0.01 and plain > 10 * nesterov and longer > 10 * nesterov


print(f"With all cars a step, plain descent climbs out above η = 2 / {curvature[1]:.2f} = {2 / curvature[1]:.2f}.")
sliders(
    partial(preprocessing.contour_paths, loss_at, **axes), three_paths, lr=(0.01, 1.3), momentum=(0.0, 0.99),
    goal="Bring Nesterov within 0.01 of the bottom, and keep both plain paths ten times as far above it.",
    reached=momentum_wins, solution={"momentum": 0.9},
)

# %% [markdown]
# As drawn at first, longer steps without momentum get as far as Nesterov's: for the most part, momentum *is* a longer
# step. At μ = 0.9 the long steps without momentum bounce off the walls of the valley; momentum averages the bounces
# away.
#
# ## What weight decay does to a weight
#
# Weight decay λ adds λw to each weight's gradient. With no gradient from the data, a step of plain SGD is w ← w − ηλw:
# a multiplication by 1 − ηλ. With a gradient the two pull against each other. Let the data want w = 1, with the loss
# ½h(w − 1)². The sum of both gradients is 0 at w = h/(h + λ): a weight that the data hold firmly (large h) hardly
# moves, one that they hardly need goes to 0.

# %%
def decayed(h, decay, steps=5000, lr=0.1):
    """A weight that starts at 1, under plain SGD on the loss ½ h (w − 1)² with weight decay: (steps + 1,)."""
    path = [1.0]
    for _ in range(steps):
        w = path[-1]
        path.append(w - lr * (h * (w - 1) + decay * w))
    return np.array(path)


w = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.01)
for _ in range(1000):
    w.grad = torch.zeros_like(w)
    optimizer.step()
print(f"after 1,000 steps without a gradient: {decayed(0, 0.01)[1000]:.6f}")
print(f"(1 − ηλ) to the power of 1,000:       {(1 - 0.1 * 0.01) ** 1000:.6f}")
assert math.isclose(w.item(), decayed(0, 0.01)[1000])

# %% tags=["hide-input"]
@style.styled
def decay_picture():
    fig, (left, right) = style.canvas(2, height=3.6, sharey=True)
    for decay in (0.0001, 0.001, 0.01):
        left.plot(decayed(0, decay), label=f"λ = {decay:g}")
    for h in (0.1, 0.01, 0.001):
        right.plot(decayed(h, 0.01), label=f"h = {h}")
        label = "" if h > 0.001 else "h/(h + λ)"
        right.axhline(h / (h + 0.01), color=style.GREY, linestyle=":", linewidth=1.5, label=label)
    left.set(title="No gradient: w shrinks for ever", xlabel="step, at η = 0.1", ylabel="weight w", ylim=(-0.03, 1.03))
    right.set(title="Data want w = 1, λ = 0.01", xlabel="step, at η = 0.1")
    left.legend(loc="lower right", bbox_to_anchor=(1, 0.1))
    right.legend(loc="upper right", bbox_to_anchor=(1, 0.9))
    return fig


decay_picture()

# %% [markdown]
# ## Six steps from a file to an input
#
# For each picture, and anew in each epoch, the paper
# 1. decodes it to floats in 0–255;
# 2. cuts out a random box, 8 % to 100 % of the area, width over height in [3/4, 4/3], and resizes it to 224 × 224;
# 3. mirrors it with probability ½;
# 4. scales hue, saturation and brightness by coefficients from [0.6, 1.4];
# 5. adds PCA noise with coefficients from N(0, 0.1), where we take 0.1 for the standard deviation;
# 6. subtracts (123.68, 116.779, 103.939) from red, green and blue and divides by (58.393, 57.12, 57.375).
#
# In validation the shorter edge is resized to 256 and the middle 224 × 224 is cut out; then step 6. We look at one
# photo at three eighths of that size: 96 for 256, 84 for 224.

# %% tags=["hide-input"]
NAME = "n03028079/ILSVRC2012_val_00006268.JPEG"  # a church


def photo(side):
    """The church, uint8 (side, side, 3); the data set's first picture, enlarged, where Imagenette is not at hand."""
    path, data = sets.find("imagenette"), None
    if path and path.is_dir():
        data = path / "train" / NAME if (path / "train" / NAME).exists() else None
    elif path:
        _, data = next(archive.members(path, lambda name: name.endswith(NAME)), (None, None))
    if data is None:
        print(f"That photo is not at hand, so this is the first picture of {dataset.source}, enlarged.")
        return np.array(Image.fromarray(dataset.train.images[0]).resize((side, side)))
    print("A photo out of Imagenette.")
    return np.array(folders.decode(folders.Picture(NAME, data), side))


image, index = torch.from_numpy(photo(96))[None], torch.tensor([0])  # uint8 (1, 96, 96, 3), and which of it

# %% [markdown]
# The functions below are those that training calls, here one after another. Training folds steps 4 to 6 into one affine
# map per picture; the assertion says that the result is the same.

# %% tags=["hide-input"]
def draw(key):
    """Random numbers of steps 2 to 5: box (1, 4), mirrored or not (1,), coefficients (1, 3), α (1, 3)."""
    stream = torch.Generator().manual_seed(key)
    box, mirrored = augment.draw_boxes(1, 96, stream), torch.tensor([True])  # in training, every second on average
    return box, mirrored, augment.draw_coefficients(1, stream), augment.draw_alphas(1, stream)


box, mirrored, coefficients, alpha = draw(9)
mean, sd = (torch.tensor(values)[:, None, None] for values in (augment.MEAN, augment.STD))
matrix, offset = augment.colour_map(coefficients, alpha)

one = image.permute(0, 3, 1, 2).float()
two = augment.resized_crop(one, box, ~mirrored, 84)
three = augment.resized_crop(one, box, mirrored, 84)
four = augment.recolour(three, matrix, torch.zeros(1, 3))
five = augment.recolour(three, matrix, offset)
six = (five - mean) / sd
assert torch.allclose(six, augment.paper(image, index, box, mirrored, coefficients, alpha, 84), atol=1e-5)
print("step 6 subtracts", *augment.MEAN, "and divides by", *augment.STD)

# %% tags=["hide-input"]
_, _, height, width = box[0].tolist()
hue, saturation, brightness = coefficients[0].tolist()
steps = {
    "1 decode\n96 × 96": one,
    f"2 crop and resize\n{width} × {height} → 84 × 84": two,
    "3 mirror": three,
    f"4 hue {hue:.2f}, saturation\n{saturation:.2f}, brightness {brightness:.2f}": four,
    "5 PCA noise\nα = {:.2f}, {:.2f}, {:.2f}".format(*alpha[0].tolist()): five,
    f"6 normalise: {six.min():.1f} to {six.max():.1f}\n(drawn with 0 as grey)": 128 + 40 * six,
    "all six steps\nin the next epoch": augment.paper(image, index, *draw(0), 84) * sd + mean,
    "validation:\nthe middle": augment.normalise(augment.centre_crop(image, index, 84)) * sd + mean,
}
drawn = [x[0].permute(1, 2, 0).clamp(0, 255).byte().numpy() for x in steps.values()]
preprocessing.images_grid(drawn, list(steps), columns=4)

# %% [markdown]
# Colours as wrong as in step 4 are no bug. The paper scales "hue" by 0.6 to 1.4 without saying what that means; we turn
# the colours around the grey axis by (c − 1) · 180°, up to 72° either way, as the framework that the authors used does.
# The authors' published script jitters contrast in place of hue.

# %% [markdown]
# ## Evidence
#
# First the change that you guessed, after the first division of our short runs:

# %% tags=["hide-input", "hide-output"]
runs = arm("baseline")
theirs = paper.curve("3b", "step")[1]  # per epoch, a fraction
jumps = {}
for k, epoch in enumerate((30, 60, 90)):
    effect = paper.Effect(100 * (theirs[epoch] - theirs[epoch - 1]))
    jumps[f"division {k + 1}"] = statistics.after_division(runs, k), effect
guess.reveal(*jumps["division 1"])

# %% [markdown]
# Now what the paper states, beside what we recorded. Momentum and weight decay are not in the paper; its authors'
# published commands used 0.9 and 0.0001. At 32 pixels the smallest of the paper's boxes would be a few pixels wide, so
# our runs crop mildly and leave colours alone. The first division waits until half of the run, because the paper's
# quarter would leave our short run 3 epochs at the high η; the choice was made on held-out training pictures, one run
# each. To save time, the curve is measured after each epoch on a fixed sample of the test pictures.

# %% tags=["hide-input", "hide-output"]
ours = runs[0].recipe
table([
    {"setting": "network", "paper": "ResNet-50, Inception-V3, MobileNet", "ours": ours.net},
    {"setting": "training pictures", "paper": "1.3 million", "ours": f"{runs[0].meta['train_images']:,}"},
    {"setting": "preprocessing", "paper": "the six steps", "ours": "pad by 4, crop, mirror, normalise"},
    {"setting": "batch size b", "paper": "256", "ours": str(ours.batch_size)},
    {"setting": "epochs", "paper": "120", "ours": str(ours.epochs)},
    {"setting": "learning rate η", "paper": "0.1", "ours": str(ours.lr)},
    {"setting": "first division of η", "paper": "epoch 30", "ours": f"epoch {ours.first_decay * ours.epochs:g}"},
    {"setting": "momentum μ, Nesterov", "paper": "not stated", "ours": str(ours.momentum)},
    {"setting": "weight decay λ", "paper": "not stated", "ours": str(ours.weight_decay)},
])
for share in (0.25, 0.5):
    (pilot,) = arm(f"pilot-baseline-{ours.lr}-{share}")
    print(f"first division after {100 * share:.0f} % of the run: {pilot.accuracy:.2f} % of the held-out pictures")
per_epoch = statistics.caption(runs, curve=True)
guess.veil(evidence.curves({"baseline": runs}, caption=per_epoch))

# %% [markdown]
# Look for stairs where the learning rate falls. The paper's Fig. 3b has them, for a network that it does not name
# (batch 1024, with warm-up). The change in the one epoch after each of the three divisions, beside the paper's, which
# is read off its figure:

# %% tags=["hide-input", "hide-output"]
fig = evidence.against_paper(jumps, unit="points of accuracy in one epoch", caption=per_epoch)
measured, theirs = jumps["division 1"]
takeaway = f"The epoch after the first division of η: {measured}; paper {theirs}"
slide(fig, "02_what_a_division_brings", takeaway=takeaway, runs=runs)
guess.veil(fig)

# %% [markdown]
# Two reservations. A run this short has not levelled off before the first division, as the paper's has, so that a part
# of the change may have come anyway. And at the high η single runs swing from one epoch to the next (the thin lines).
#
# ## Conclusion

# %% tags=["hide-input"]
long = arm("full-standard")
first, first_long = jumps["division 1"][0], statistics.after_division(long)
apart = [paper.table("2")[net]["baseline_top1"] - paper.table("2")[net]["reference_top1"] for net in paper.table("2")]
conclusion(
    mechanism="""The gradient of a batch is right on average and noisy, with a variance proportional to 1/b. Momentum
        makes steps 1/(1 − μ) times as long and averages out what points in changing directions. Weight decay shrinks
        what the data do not hold. A division of the rate lets the weights settle where the noise kept them out.""",
    paper=f"""The baseline is {min(apart):+.2f} to {max(apart):+.2f} points from what others published for the same
        networks. In Fig. 3b the first division brings {jumps["division 1"][1].delta:+.1f} points within an epoch.""",
    short=f"""{ours.epochs} epochs: {statistics.plus_minus([run.accuracy for run in runs])} % ({len(runs)} seeds); the
        first division brings {first}.""",
    long=f"""{long[0].recipe.epochs} epochs: {statistics.plus_minus([run.accuracy for run in long])} %
        ({len(long)} seeds); the first division, after a quarter as in the paper, brings {first_long}.""",
    use="""Always, and first: before you try a trick, get a published number with a procedure that is written down to
        its last constant. Then change one thing at a time.""",
    harms="""A constant is left out. The paper's rate of 0.1 means one thing at a momentum of 0.9 and another at 0; its
        weight decay is not stated at all. Two procedures that differ there are two experiments.""",
)

# %% [markdown]
# ## Misreadings
#
# - *"A mini-batch gives a biased gradient."* Its expectation is the full gradient, for every b. Only the variance
#   depends on b.
# - *"Fewer hyper-parameters make a simpler model."* What a model can express depends on its parameters, not on how many
#   numbers you chose before training. Weight decay keeps all parameters, makes them smaller, and adds one number.
# - *"Momentum 0.9 and weight decay 0.0001, as in the paper."* The paper names neither number. They are in the commands
#   that its authors published.
# - *"Weights start at a = √(6/(d_in − d_out))."* A typing error in circulation; for equal sizes it divides by zero. It
#   is a sum.
#
# ## Questions

# %% tags=["hide-input"]
quiz("A batch of 128 in place of 32. What happens to the gradient?", {
    "Its expectation is the same, the noise around it is half as large": (
        True, "The variance is a quarter, and noise is its square root. Lesson 3.1 asks what η then has to do."),
    "Its expectation is the same, the noise around it is a quarter as large": (
        False, "The variance is a quarter. What kicks the weights is its square root."),
    "It is four times as large": (
        False, "The loop takes the mean over the batch, not the sum. A sum would be four times as large."),
    "It is less biased": (False, "No batch is biased if its pictures are drawn at random. There is nothing to reduce."),
})
quiz("You set the momentum from 0.9 to 0.99 and leave η as it is. What else have you changed?", {
    "Nothing: the two are separate settings": (
        False, "In the long run a step is η/(1 − μ) times the gradient. Both decide how long it is."),
    "Steps become ten times as long in the long run": (
        True, "1/(1 − 0.9) = 10 and 1/(1 − 0.99) = 100. To compare momenta, change η along with them."),
    "Steps become a tenth as long": (False, "More of the past is added up, so they become longer."),
})
quiz("Weight decay λ = 0.01, η = 0.1, and a weight that gets no gradient from the data. After 1,000 steps it is …", {
    "unchanged: no gradient, no step": (
        False, "Decay is a gradient of its own, λw. It acts on every weight at every step."),
    "exactly 0": (False, "A multiplication by 0.999 a step never arrives at 0."),
    "a bit more than a third of what it was": (True, "0.999 to the power of 1,000 is 0.368."),
    "0.01 of what it was": (False, "λ is no target. Each step multiplies by 1 − ηλ = 0.999."),
})
quiz("Two runs with two procedures differ by 1 point. One of them has label smoothing. What did smoothing bring?", {
    "1 point": (False, "Two things differ. The procedure alone may be worth more than a trick: the first picture."),
    "Nothing that can be told from these two": (True, "First make the procedures equal, then change one thing."),
    "Something between 0 and 1 point": (False, "The procedure may have cost points, and smoothing brought more."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). This loop trains, and badly. Which line is wrong?

# %% tags=["hide-input"]
def every_picture_keeps_its_label(names):
    numbers = torch.arange(12.0)
    for x, y in names["batches"](numbers, numbers, 4):
        assert torch.equal(x, y), f"pictures {x.long().tolist()} came with labels {y.long().tolist()}"


torch.manual_seed(0)
bug_hunt(
    """
def batches(pictures, labels, batch_size):
    order = torch.randperm(len(labels))
    pictures = pictures[order]
    labels = labels[torch.randperm(len(labels))]
    for start in range(0, len(labels), batch_size):
        yield pictures[start : start + batch_size], labels[start : start + batch_size]
""",
    wrong="labels = labels[torch.randperm(len(labels))]",
    right="labels = labels[order]",
    why="Pictures and labels are shuffled, each in an order of its own.",
    test=every_picture_keeps_its_label,
    torch=torch,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy) One step of Nesterov's rule in PyTorch's form, with weight decay λ, which comes first: it is
# part of the gradient. Return the new w and v.

# %%
def nesterov(w, v, g, lr, momentum, decay):
    # solution
    g = g + decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v), v


def by_torch(w, v, g, lr, momentum, decay):
    parameter = torch.nn.Parameter(w.clone())
    parameter.grad = g
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum, weight_decay=decay, nesterov=True)
    optimizer.state[parameter]["momentum_buffer"] = v.clone()
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter]["momentum_buffer"]


w, v, g = torch.tensor([[4.0, -2.0], [1.0, 0.0], [3.0, 2.0]])
check(
    "Nesterov's step", nesterov, by_torch, [(w, v, g, 0.25, 0.5, 0.0), (w, v, g, 0.25, 0.5, 0.125)],
    hint="First g + λw takes the place of g. Then the two lines of `descend`, which use the new v.",
)

# %% [markdown]
# **2.** (3 minutes, easy) The paper's schedule: 0.1, divided by 10 at epochs 30, 60 and 90, counted from 0.

# %%
def paper_lr(epoch):
    # solution
    return 0.1 * 0.1 ** sum(epoch >= division for division in (30, 60, 90))


check("the paper's schedule", paper_lr, lambda epoch: schedules.step_lr(epoch, 120, 0.1), range(120),
      hint="Count how many of the three divisions the epoch has reached. Is epoch 30 itself one of them?")

# %% [markdown]
# **3.** (10 minutes, predict–train–explain) A tenth of the rate, `peak=0.01`. Write down first: will the training loss
# end higher or lower than above, and the accuracy? Then call `race` with it, as above, and say why. (Half a minute on
# two CPU cores.)

# %%
def with_a_tenth_of_the_rate():
    # solution
    return race({"a tenth of the rate": train}, data, caption="live, seed 0 · peak 0.01", peak=0.01)


slow = with_a_tenth_of_the_rate()

# %% tags=["solution"]
ends = {"0.1": zero["from zero"][-1], "0.01": slow["a tenth of the rate"][-1]}
table([
    {"peak": peak, "training loss": end["train_loss"], "test accuracy, %": end["test_accuracy"]}
    for peak, end in ends.items()
])

# %% [markdown] tags=["solution"]
# Steps a tenth as long do not get as far in as many steps, on training pictures and on test pictures alike. The network
# is not overfitted, it is not there yet; with many more epochs the order may turn round.

# %% [markdown]
# ## Deeper: steps 4 and 5 of the preprocessing, on one pixel
#
# Saturation c blends a pixel with its grey: c · rgb + (1 − c) · grey. Brightness c multiplies it. PCA noise adds the
# sum of α₁s₁p₁, α₂s₂p₂ and α₃s₃p₃: the p are the principal components of ImageNet's colours (the eigenvectors of their
# covariance), the s their sizes (the square roots of its eigenvalues), and the α three random numbers per picture. The
# paper prints neither p nor s; these are the ones in common use, with s₁ = 55.46.

# %%
rgb = torch.tensor([200.0, 100.0, 50.0])
grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
saturated = 0.6 * rgb + (1 - 0.6) * grey
brighter = 1.2 * saturated
noisy = brighter + 0.1 * 55.46 * torch.tensor([-0.5675, -0.5808, -0.5836])
for name, pixel in {"pixel": rgb, "saturation 0.6": saturated, "brightness 1.2": brighter, "α₁ = 0.1": noisy}.items():
    print(f"{name:<15}", *(f"{value:7.2f}" for value in pixel.tolist()))

show(augment.colour_map)
matrix, offset = augment.colour_map(torch.tensor([[1.0, 0.6, 1.2]]), torch.tensor([[0.1, 0.0, 0.0]]))
assert torch.allclose(matrix[0] @ rgb + offset[0], noisy)

# %% [markdown]
# ## Deeper: three settings of momentum, side by side
#
# At a small η the plain path creeps. In the middle the longer steps keep up with Nesterov's; on the right they bounce.
# The numbers are how far each path's last point is above the bottom:

# %% tags=["hide-input"]
@style.styled
def three_ways_down(settings):
    caption = f"computed · linear regression on {n} cars, 40 steps from one start, seed 0"
    fig, panels = style.canvas(len(settings), height=3.6, sharey=True, caption=caption)
    w1, w2 = np.meshgrid(np.linspace(-3, 3, 80), np.linspace(-3, 2, 80))
    levels = np.quantile(loss_at(w1, w2), np.linspace(0, 1, 12) ** 1.5)
    for ax, (lr, momentum) in zip(panels, settings, strict=True):
        ax.contour(w1, w2, loss_at(w1, w2), levels=levels, colors=style.LIGHT, linewidths=0.6)
        for label, path in three_paths(lr, momentum).items():
            ax.plot(*path.T, "o-", markersize=2.5, linewidth=1.2, label=f"{label}: {above(path):.3f}")
        ax.set(title=f"η = {lr}, μ = {momentum}", **axes)
        ax.legend(loc="upper right", frameon=True, edgecolor="white")
        ax.label_outer()
    return fig


settings = [(0.02, 0.9), (0.1, 0.6), (0.1, 0.9)]
fig = three_ways_down(settings)
ends = [{label: above(path) for label, path in three_paths(*setting).items()} for setting in settings]
near = sum(abs(end["plain, η / (1 − μ)"] - end["Nesterov, η and μ"]) < 0.02 for end in ends)
takeaway = f"Momentum is mostly a longer step: plain SGD at η/(1 − μ) keeps up in {near} of {len(ends)} settings"
slide(fig, "02_three_ways_down", takeaway=takeaway)
fig

# %% [markdown]
# ## Deeper: why the rate is divided
#
# The cars again, 8 a step and 8 steps an epoch, without momentum, from η = 0.3, under the paper's schedule and under a
# constant rate; the mean over 200 runs:

# %% tags=["hide-input"]
@style.styled
def stairs(peak, total=8 * 120, runs=200):
    fig, (left, right) = style.canvas(2, height=3.6)
    plans = {"constant": [peak] * total, "paper's": [schedules.step_lr(step, total, peak) for step in range(total)]}
    for label, rates in plans.items():
        stream, w, heights = torch.Generator().manual_seed(0), START.expand(runs, 2), []
        for lr in rates:
            batch = torch.randint(n, (runs, 8), generator=stream)
            error = (cars[batch] * w[:, None]).sum(dim=2) - price[batch]
            w = w - lr * (error[..., None] * cars[batch]).mean(dim=1)
            heights.append(float(loss_at(*w.T.numpy()).mean() - bottom))
        left.semilogy(np.arange(total) / 8, rates, label=label)
        right.semilogy(np.arange(1, total + 1) / 8, heights, linewidth=1.2)
    left.set(xlabel="epoch", ylabel="learning rate η", xticks=range(0, 121, 30))
    right.set(xlabel="epoch", ylabel="loss above the bottom", xticks=range(0, 121, 30))
    left.legend(loc="lower left")
    return fig


stairs(0.3)

# %% [markdown]
# At a constant η the loss reaches a floor. The weights are at the bottom of the valley and each noisy gradient kicks
# them out again. A tenth of η makes a tenth of the kick and lowers the floor. Why not start low? The steps are a tenth
# as long, too: after the second division 30 epochs are not enough to get down to the new floor.

# %% [markdown]
# ## Deeper: Nesterov's own form
#
# *First* jump by μu, take the gradient there, then correct the jump:
#
# $$u \leftarrow \mu u - \eta\, g(\theta + \mu u), \qquad \theta \leftarrow \theta + u.$$
#
# The two forms are one rule. PyTorch keeps the point after the jump, w = θ + μu, and its v is −u/η. They part only
# where η changes between steps.

# %%
w, theta, u = torch.nn.Parameter(START.clone()), START, torch.zeros(2)
optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9, nesterov=True)
stream, same = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)  # the same batches for both
for _ in range(40):
    w.grad = gradient(w.detach(), torch.randint(n, (8,), generator=stream))
    optimizer.step()
    u = 0.9 * u - 0.1 * gradient(theta + 0.9 * u, torch.randint(n, (8,), generator=same))
    theta = theta + u

ours = descend(0.1, 0.9)[-1]
for name, point in {"by hand": ours, "torch.optim.SGD": w, "Nesterov's form, θ + μu": theta + 0.9 * u}.items():
    print(f"{name:<24} ({point[0]:.5f}, {point[1]:.5f})")
assert torch.allclose(w, ours, atol=1e-5) and torch.allclose(theta + 0.9 * u, ours, atol=1e-5)

# %% [markdown]
# ## Deeper: where the first weights come from
#
# The paper draws the weights of convolutions and linear layers from U[−a, a] with $a = \sqrt{6/(d_{in} + d_{out})}$
# (Xavier initialisation), and sets biases and β to 0 and γ to 1. It calls $d_{in}$ and $d_{out}$ the input and output
# *channel* sizes. For a k × k kernel that cannot be meant: one output reads k² times its input channels. Libraries
# count k².

# %%
layer = torch.nn.Conv2d(32, 64, kernel_size=3)
d_in, d_out = 9 * 32, 9 * 64
a = math.sqrt(6 / (d_in + d_out))
by_hand = torch.empty(64, 32, 3, 3).uniform_(-a, a, generator=torch.Generator().manual_seed(0))

show(parameters.xavier_init_)
parameters.xavier_init_(layer, torch.Generator().manual_seed(0))
assert torch.equal(layer.weight, by_hand)
channels_only = math.sqrt(6 / (32 + 64))
print(f"a = {a:.4f}. With channels alone {channels_only:.4f}: {channels_only**2 / a**2:.0f} times the variance")

# %% [markdown]
# Why this a? A layer multiplies the mean square of its input by $d_{in}$ · Var(w), and Var(w) = a²/3. When the two
# sizes are equal, Xavier's a makes the product exactly 1. Twenty layers show what other choices do:

# %% tags=["hide-input"]
@style.styled
def through_depth(settings, layers=20, width=256):
    fig, ax = style.canvas()
    for label, (scale, relu) in settings.items():
        stream = torch.Generator().manual_seed(0)
        x = torch.randn(512, width, generator=stream)
        a = scale * math.sqrt(6 / (width + width))
        sizes = [1.0]
        for _ in range(layers):
            x = x @ torch.empty(width, width).uniform_(-a, a, generator=stream)
            sizes.append(float(x.square().mean()))
            x = x.relu() if relu else x
        ax.semilogy(sizes, "--" if relu else "-", label=f"{label}: {sizes[-1]:.1g}")
    ax.set(xlabel="layer", ylabel="mean square of its output", xticks=range(0, layers + 1, 5))
    fig.legend(loc="outside right upper", title="after the last layer")
    return fig


linear = {"2 × Xavier": (2, False), "Xavier": (1, False), "½ × Xavier": (0.5, False)}
through_depth({**linear, "√2 × Xavier, ReLU": (2**0.5, True), "Xavier, ReLU": (1, True)})

# %% [markdown]
# ReLU sets half of a symmetric signal to 0, so with Xavier the mean square halves at every ReLU. √2 · Xavier repairs
# that: it is the idea of He's initialisation, a variant of which is in the authors' published code. In a ResNet less
# depends on it than here, because each batch norm sets the scale of its output anew.

# %% [markdown]
# ## For discussion
#
# 1. Step 2 may keep 8 % of a photo. How often is the object still in it? What does the network learn from the other
#    boxes?
# 2. Validation uses the middle 224 of 256 pixels. Which pictures does that treat unfairly, and does it matter for
#    comparing tricks?
# 3. In PyTorch's form the velocity does not contain η. What happens in the first step after η is divided by 10? And in
#    Nesterov's own form?
# 4. Your group repeats Table 2 and gets 1 point less. In which order do you check the parts of the procedure?
