# %% [markdown]
# # 3.2 Low-precision training
#
# **Claim.** A number of 16 bits takes half the memory of one of 32, and some hardware calculates with it several times
# as fast. Train in 16 bits alone, and two things go wrong: small gradients become 0, and small updates are rounded
# away. Loss scaling is the remedy for the first, a copy of the weights in 32 bits for the second; together they are
# *mixed precision*. It is a trick for speed. Accuracy is meant to stay where it was, and the records below say how far
# that can be checked.
#
# After this lesson you can
# 1. say from a format's bits which numbers it has, and where it has none;
# 2. count what a cast to 16 bits does to the gradients of a real network, with and without a loss scale;
# 3. run a dynamic loss scaler by hand;
# 4. say why the weights stay in 32 bits, and what happens where they do not;
# 5. read Table 3 without crediting the precision with what the batch size did, with the runs that it leaves out.
#
# *Time:* 30 minutes to read and drag, 1 minute of training on two CPU cores. *Paper:* §3.2, Tables 3 and 4.

# %% tags=["hide-input"]
import copy
import json
import math
import time
from functools import partial
from statistics import median

import torch
from IPython.display import display
from torch.nn import BatchNorm2d, Conv2d, Linear

from tricks import ROOT, precision, process
from tricks.course.lesson import budget, live_run, load_data, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.plots import evidence, style
from tricks.plots.precision import gradient_histogram, lost_updates, number_lines, speeds
from tricks.records import paper, statistics
from tricks.studies.studies import arm, recipe_of
from tricks.targets import one_hot, soft_cross_entropy

# %% [markdown]
# ## The problem: numbers that are not there
#
# fp32 is what PyTorch calculates in unless told otherwise. fp16 and bf16 are its two formats of half the size. Store
# five numbers in each:

# %%
DTYPES = {precision.FP32: torch.float32, precision.FP16: torch.float16, precision.BF16: torch.bfloat16}
numbers = {"0.1": 0.1, "0.00000001": 1e-8, "70,000": 70_000.0, "1 + 0.002": 1.002, "1 + 0.0004": 1.0004}
table([
    {"number": text, **{form.name: f"{float(torch.tensor(x).to(dtype)):.8g}".replace("inf", "∞")
                          for form, dtype in DTYPES.items()}}
    for text, x in numbers.items()
])

# %% [markdown]
# fp16 turns the second into 0 and the third into ∞. bf16 keeps both, roughly, and loses both small steps away from 1.
# A gradient can be as small as the second number, and an update as small as the last step.
#
# ### Before you go on: predict
#
# Table 4 of the paper has a row "+ FP16" at each batch size; what it adds is printed below. Our records have the same
# recipe in fp32 and in mixed precision. By how much does its test accuracy change? The answer comes with an interval.

# %%
theirs = {batch: paper.effect("4", "+ FP16", "+ No bias decay", f"BS{batch}_top1") for batch in (256, 1024)}
for batch, points in theirs.items():
    print(f"paper, Table 4, ResNet-50, batch size {batch}: {points}, points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-2, high=2, unit="points")

# %% [markdown]
# ## By hand: which numbers a format has
#
# A *normal* floating-point number is ± 1.f · 2ᵉ. The m mantissa bits are the binary digits f; the k exponent bits hold
# e. Two of the exponent's codes are reserved: all ones for ∞ and "not a number", all zeros for 0 and the *subnormal*
# numbers, which fill the gap between 0 and the smallest normal number in even steps and have fewer and fewer digits.
# So e runs from 2 − 2ᵏ⁻¹ to 2ᵏ⁻¹ − 1:

# %%
BITS = {torch.float32: (8, 23), torch.float16: (5, 10), torch.bfloat16: (8, 7)}  # exponent k, mantissa m
rows = []
for dtype, (k, m) in BITS.items():
    largest = (2 - 2.0**-m) * 2.0 ** (2 ** (k - 1) - 1)
    normal = 2.0 ** (2 - 2 ** (k - 1))
    info = torch.finfo(dtype)
    assert (largest, normal, 2.0**-m) == (info.max, info.smallest_normal, info.eps)
    powers = {"smallest normal": normal, "smallest subnormal": normal * 2.0**-m, "spacing at 1": 2.0**-m}
    rows.append({"format": str(dtype).removeprefix("torch."), "k": k, "m": m, "largest": f"{largest:,.6g}",
                 **{name: f"2^{math.log2(x):.0f}" for name, x in powers.items()}})
table(rows)

# %% [markdown]
# bf16 is fp32 with the last 16 bits of the mantissa cut off: the same range, few digits. fp16 spends three of those
# exponent bits on digits: eight times as fine as bf16, in a small range. Between two powers of 2 all numbers of a
# format are evenly spaced, and a cast picks the nearest:

# %%
show(precision.Format.spacing)
show(precision.Format.round)
stream = torch.Generator().manual_seed(0)
mixed_sizes = torch.randn(100_000, generator=stream) * 2.0 ** torch.randint(-30, 18, (100_000,), generator=stream)
for form, dtype in DTYPES.items():
    assert (form.round(mixed_sizes.numpy()) == mixed_sizes.to(dtype).float().numpy()).all()
print(f"the same as PyTorch's cast for {len(mixed_sizes):,} random numbers in each format")

# %% [markdown]
# Drag x. Above: each mark is a number of the format, a band means that they are too close to draw, the dot is what x is
# stored as. Below: where x is in the range of each. At which x does fp16 become coarser than bf16? Where does it end?

# %%
sliders(number_lines, value=(1e-8, 1e5))

# %% [markdown]
# Two stills. Near 1000, fp16 has eight numbers for one of bf16. At 0.000003 it is among its subnormal numbers: the
# spacing no longer shrinks with x, and bf16 is the finer one.

# %%
display(number_lines(1000.0), number_lines(3e-6))

# %% [markdown]
# ## Live: a network to look at
#
# The gradients in this lesson are real ones. They come from this network, trained now, at a size that fits the budget.
# It is smaller than the recorded ones and is not mixed with them. On a GPU the run uses mixed precision itself.

# %%
dataset = load_data()
recipe, parts, rows = live_run(recipe_of("cosine"), dataset)

# %% [markdown]
# ## Gradients that become 0
#
# On its way back through the network, the gradient of the loss is computed and stored once for each layer's output, and
# from it the gradient of each layer's weights. In 16-bit training both are 16-bit numbers. `backward` multiplies the
# loss by a scale, casts every one of these gradients to a format, and goes on with what is left of it. In fp32 and with
# a scale of 1 it is plain back-propagation.

# %%
net = copy.deepcopy(parts.model).train()
layers = [module for module in net.modules() if isinstance(module, (Conv2d, BatchNorm2d, Linear))]
x, y = (part[:64] for part in next(iter(parts.train.epoch(recipe.epochs))))  # a batch that comes after the training
targets = one_hot(y, len(dataset.classes))


def backward(scale=1.0, dtype=torch.float32):
    """Gradients of scale · loss, kept in `dtype`: of all layers' outputs, and of all weights, each as one vector."""
    outputs = []

    def watch(module, inputs, output):
        def cast(gradient):
            outputs.append(gradient.to(dtype).flatten())
            return outputs[-1].view_as(gradient).to(gradient.dtype)

        output.register_hook(cast)

    hooks = [layer.register_forward_hook(watch) for layer in layers]
    weights = torch.autograd.grad(scale * soft_cross_entropy(net(x), targets), list(net.parameters()))
    for hook in hooks:
        hook.remove()
    return torch.cat(outputs).cpu(), torch.cat([gradient.to(dtype).flatten() for gradient in weights]).cpu()

# %% [markdown]
# Which of them survive a cast to fp16? Zeros that are zero in fp32 already (behind a ReLU that is off) are left out.

# %%
of_outputs, of_weights = backward()
batch_caption = f"one live network, {dataset.source}, one batch of {len(x)} images"
rows = []
for kind, gradients in {"layer outputs": of_outputs, "weights": of_weights}.items():
    gradients = gradients[gradients != 0]
    for scale in (1, 2**8, 2**16):
        half, brain = (scale * gradients).half(), (scale * gradients).bfloat16()
        subnormal = (half != 0) & (half.abs() < 2.0**-14)
        lost = {"fp16: 0, %": half == 0, "fp16: subnormal, %": subnormal, "fp16: ∞, %": half.isinf(),
                "bf16: 0 or ∞, %": (brain == 0) | brain.isinf()}
        percent = {name: 100 * which.double().mean().item() for name, which in lost.items()}
        assert math.isclose(percent["fp16: 0, %"], precision.shares(gradients.numpy(), scale)["fp16 0"], abs_tol=1e-9)
        rows.append({"gradients of": kind, "how many": f"{len(gradients):,}", "loss scale": f"{scale:,}",
                     **{name: f"{value:.3g}" for name, value in percent.items()}})
table(rows)

# %% [markdown]
# A gradient is a linear function of the loss: multiply the loss by S, and every gradient is S times as large. In a
# histogram over log2 of their size that is a shift to the right, by log2 S. Drag the loss scale. Left of the orange
# border everything becomes 0; right of the other border, ∞.

# %%
layer_outputs = of_outputs[of_outputs != 0][::40].numpy()  # every 40th will do
outputs_caption = f"gradients of layer outputs, every 40th · {batch_caption}"
sliders(partial(gradient_histogram, layer_outputs, caption=outputs_caption), loss_scale=[2**k for k in range(25)])

# %% [markdown]
# Stills: the layers' outputs at loss scale 2¹⁶, where PyTorch's scaler starts, and the weights' gradients without a
# scale. A weight's gradient is a sum over the pictures and over all places where the weight is used, so it tends to be
# much larger than that of a single output.

# %%
display(
    gradient_histogram(layer_outputs, 2**16, caption=outputs_caption),
    gradient_histogram(of_weights[of_weights != 0].numpy(), 1, caption=f"gradients of weights · {batch_caption}"),
)

# %% [markdown]
# ### What the zeros cost
#
# Many small numbers may carry little. What counts is g, the gradient of all weights as one vector, beside g₃₂, the one
# that fp32 gives. Its relative error is ‖g − g₃₂‖ / ‖g₃₂‖. The loss scale is divided out again in fp32, which is exact
# for powers of 2. Scales below 1 stand for a network whose gradients are that much smaller.

# %%
def error(scale, dtype):
    """Relative error of the weights' gradient; NaN where a number has become infinite."""
    gradient = backward(scale, dtype)[1].float() / scale
    value = float((gradient - of_weights).norm() / of_weights.norm())
    return value if math.isfinite(value) else math.nan


@style.styled
def cost_of_rounding(exponents):
    fig, ax = style.canvas(height=4.0, caption=f"gradients of all weights · {batch_caption}")
    for form, colour, marker in (precision.BF16, style.COLOURS[1], "s"), (precision.FP16, style.COLOURS[0], "o"):
        errors = [100 * error(2.0**k, DTYPES[form]) for k in exponents]
        ax.semilogy(exponents, errors, f"{marker}-", color=colour, label=form.name)
        print(f"{form.name}: smallest error {min(filter(math.isfinite, errors)):.2g} %")
    ax.set(xlabel="log2 of the loss scale (no dot: a number became infinite)", xticks=exponents)
    ax.set(ylabel="error of the gradient, %", xlim=(exponents[0] - 1, exponents[-1] + 1))
    ax.legend(loc="upper right")
    return fig


cost_of_rounding(range(-12, 29, 4))

# %% [markdown]
# The curve of fp16 is a valley: on the left numbers become subnormal and then 0, on the right ∞, and in between the
# error is that of rounding to 11 significant bits. The curve of bf16 is flat. With its range it needs no loss scale;
# with 8 significant bits it never gets as exact as fp16 in its valley. Where a scale of 1 lies depends on the network
# and on the batch.
#
# ## A loss scaler by hand
#
# The floor of the valley is wide, so the scale need not be known exactly; but a scale that is too large spoils a whole
# step. The usual rule looks for the largest scale that works: start high, halve the scale and skip the step when a
# gradient is not finite, double it after a number of good steps in a row. Twelve steps of one weight, whose gradient is
# given:

# %%
gradients = [0.4, 1.5, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2]


def by_hand(gradients, scale, interval):
    """(scale, was the step taken) for each step; the scale doubles after `interval` good steps in a row."""
    good, history = 0, []
    for gradient in gradients:
        finite = bool((torch.tensor(gradient) * scale).half().isfinite())
        history.append((scale, finite))
        good = good + 1 if finite else 0
        if not finite:
            scale = scale / 2
        elif good == interval:
            scale, good = 2 * scale, 0
    return history

# %% [markdown]
# PyTorch's scaler on the same gradients, cast to fp16 as back-propagation would leave them:

# %%
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
weight = torch.nn.Parameter(torch.zeros(()))
optimizer = torch.optim.SGD([weight], lr=1.0)
rows, torchs = [], []
for gradient in gradients:
    scaled = scaler.scale(torch.tensor(gradient)).half()
    weight.grad, before, scale = scaled.float(), weight.item(), scaler.get_scale()
    scaler.step(optimizer)  # divides by the scale, and skips the step if that is not finite
    scaler.update()
    torchs.append((scale, weight.item() != before))
    rows.append({"gradient": gradient, "scale": f"{scale:,.0f}", "in fp16": f"{scaled.item():,.0f}".replace("inf", "∞"),
                 "step": "taken" if torchs[-1][1] else "skipped", "weight after it": weight.item()})
table(rows)
assert torchs == by_hand(gradients, 2.0**16, 3)
default = torch.amp.GradScaler("cpu")
interval = default.get_growth_interval()
print(f"default: start at 2^16, times {default.get_growth_factor():g} after {interval:,} good steps")

# %% [markdown]
# The scale does not act as a learning rate: it is divided out before the optimiser sees the gradient. A skipped step
# costs one batch.
#
# ## Updates that get lost
#
# The second problem has nothing to do with small gradients as such. An update is added to a weight, and the sum must be
# a number of the format. Near 1 the spacing of fp16 is 2⁻¹⁰; what is not more than half of that is rounded away, and a
# tie goes to the even neighbour. 1,000 steps of 2⁻¹², each far from 0 itself:

# %%
for form, dtype in DTYPES.items():
    once, often = (torch.ones((), dtype=dtype) for _ in range(2))
    half_spacing = torch.tensor(2.0 ** -(form.mantissa_bits + 1), dtype=dtype)
    for _ in range(1000):
        often = often + torch.tensor(2.0**-12, dtype=dtype)
    print(f"{form.name}: 1 + 2^-{form.mantissa_bits + 1} = {float(once + half_spacing):g}", end=",   ")
    print(f"1 + 1,000 · 2^-12 = {float(often):.4f}, exactly {1 + 1000 * 2.0**-12:.4f}")

# %% [markdown]
# The weights of the live network, and one step of `torch.optim.SGD` without momentum, with weights and gradient kept in
# each format. How many weights are after the step what they were before it?

# %%
weights = torch.cat([parameter.detach().flatten() for parameter in net.parameters()]).cpu()
for lr in (0.4, 0.04, 0.004):
    print(f"lr = {lr:<6} unchanged:", end="")
    for form, dtype in DTYPES.items():
        parameter = torch.nn.Parameter(weights.to(dtype))
        parameter.grad, before = of_weights.to(dtype), parameter.detach().clone()
        torch.optim.SGD([parameter], lr=lr).step()
        unchanged = 100 * (parameter == before).double().mean().item()
        assert abs(unchanged - precision.lost_share(weights.numpy(), parameter.grad.float().numpy(), lr, form)) < 1
        print(f"   {form.name} {unchanged:5.1f} %", end="")
    print()

# %% [markdown]
# Drag the learning rate. On the left is the size of the update in units of its weight; a format's bar is where half of
# its spacing lies. (With momentum 0.9, updates in one direction add up to ten times that size: 3.3 bins.) A cosine
# schedule passes through all of these learning rates on its way to 0.

# %%
some = {"weights": weights[::8].numpy(), "gradients": of_weights[::8].numpy()}
sliders(partial(lost_updates, **some, caption=f"every 8th weight · {batch_caption}"), lr=(1e-4, 1.0))

# %%
display(*(lost_updates(**some, lr=lr, caption=f"every 8th weight · {batch_caption}") for lr in (0.4, 0.004)))

# %% [markdown]
# Lost steps do more than slow a run down: the weight stops short of its goal. Here w goes down ½(w − ⅓)² from 1, with
# learning rate η = 0.01. In 16 bits it stops where η|w − ⅓| is half a spacing, which is 50 spacings away from ⅓.
# *Mixed*: the same 16-bit gradient, taken at a 16-bit copy of w, but the update is added to a w in fp32, the *master
# weight*. It stops when its copy is the number of the format that is nearest to ⅓.

# %%
@style.styled
def stalled(lr=0.01, steps=2000):
    fig, ax = style.canvas(height=4.0)
    colours = style.GREY, *style.COLOURS
    for form, colour in zip((precision.FP32, precision.FP16, precision.BF16), colours, strict=False):
        for kept in dict.fromkeys((DTYPES[form], torch.float32)):
            w, path = torch.ones((), dtype=kept), []
            for _ in range(steps):
                gradient = w.to(DTYPES[form]) - 1 / 3
                w = w - lr * gradient.to(kept)
                path.append(abs(float(w) - 1 / 3))
            mixed = kept != DTYPES[form]
            label = f"{form.name}{', mixed' if mixed else ''}"
            ax.semilogy(path, ":" if mixed else "-", color=colour, label=f"{label}: ends {path[-1]:.1g} away")
    ax.set(xlabel="step", ylabel="distance |w − ⅓|", ylim=(1e-7, 2))
    fig.legend(loc="outside right upper")
    return fig


stalled()

# %% [markdown]
# ## Where it enters the loop
#
# Two lines choose the format and make the scaler; the loop calls the network inside `autocast` and lets the scaler take
# the step. With `amp=False` both do nothing. The course uses bf16 where the hardware has it and on the CPU, fp16
# otherwise, and only fp16 gets a loss scale.

# %%
show(precision.amp_dtype)
show_loop("# mixed precision", context=1)
show_loop("logits = model(", context=1)
show_loop("scaler.scale(loss)", context=2)

# %% [markdown]
# `autocast` casts the inputs and weights of each convolution and matrix product as they are used. The paper stores a
# 16-bit network and keeps an fp32 copy for the update; here the fp32 weights are the network, and the 16-bit copy is
# made on the way. The arithmetic is the same. The optimiser sees fp32 only:

# %%
device = process.device()
dtype = precision.amp_dtype(device)
seen = {}
hooks = [
    layer.register_forward_hook(lambda layer, x, out: seen.update({f"outputs of {type(layer).__name__}": out.dtype}))
    for layer in layers
]
with torch.autocast(device.type, dtype):
    logits = net(x)
loss = soft_cross_entropy(logits.float(), targets)
loss.backward()
for hook in hooks:
    hook.remove()
first = next(net.parameters())
seen = {"weights": first.dtype, **seen, "loss": loss.dtype, "gradients of weights": first.grad.dtype}
table([{"what": what, "format": str(kind).removeprefix("torch.")} for what, kind in seen.items()])

# %% [markdown]
# ## Evidence: accuracy
#
# One recipe, recorded in fp32 and in mixed precision. The seeds are the same, so each pair of runs starts from the same
# weights and sees the same crops in the same order: the two differ by rounding and by what training makes of it.

# %%
full, mixed = arm("cosine"), arm("cosine-amp")
evidence.curves({"fp32": full, "mixed precision": mixed}, caption=statistics.caption(full + mixed, curve=True))

# %%
ours = statistics.compare(mixed, full)
against = {f"paper: batch size {batch}": (ours, points) for batch, points in theirs.items()}
fig = evidence.against_paper(against, caption=statistics.caption(full + mixed))
numbers = " and ".join(f"{points.delta:+.2f}" for points in theirs.values())
takeaway = f"Mixed precision − fp32: {ours}; paper {numbers}"
slide(fig, "03_2_accuracy_in_mixed_precision", takeaway=takeaway, runs=full + mixed)
fig

# %% [markdown]
# The numbers, with two more. *NLL* is the cross-entropy of the test labels and *ECE* the distance between confidence
# and accuracy (lesson 5.2); lower is better for both.

# %%
for name, runs in {"fp32": full, "mixed precision": mixed}.items():
    print(f"{name:<16} {statistics.plus_minus([run.accuracy for run in runs])} %, {len(runs)} seeds")
for batch, points in theirs.items():
    print(f"paper, batch size {batch}: {points}; verdict: {ours.against(points)}")
print(f"ours, accuracy: {ours}")
print(f"ours, NLL:      {statistics.compare(mixed, full, 'nll', 'nats')}")
print(f"ours, ECE:      {statistics.compare(mixed, full, 'ece', '')}")
if math.isfinite(ours.half):
    low, high = ours.mean - ours.half, ours.mean + ours.half
    print(f"compatible with the records: a change of {low:+.2f} to {high:+.2f} points")
guess.reveal(ours)

# %% [markdown]
# "No clear difference" would not prove that precision changes nothing. The interval says how large a change these
# records leave possible. Its width comes from the number of seeds, and from this: a difference in the last digits sends
# two runs apart, even with the same weights and crops. The paper's two numbers are one run each, and
# smaller than what two runs of one recipe may be apart there (lesson 01), so they have no sign that ours could share.
# The caption names our device; on a CPU, our 16-bit runs use bf16. The paper's are fp16 with a loss scale, on GPUs.
#
# ### fp16 with a loss scale, on a GPU
#
# The recipe with the paper's 120 epochs and 5 of warm-up, on a GPU, in both 16-bit formats. The network now fits nearly
# all its training pictures.

# %%
GPU = {"fp32": arm("full-cosine"), "bf16": arm("full-cosine-bfloat16"), "fp16": arm("full-cosine-float16")}
table([
    {"precision": name, "loss scale": "yes" if runs[0].recipe.amp_dtype == "float16" else "no", "seeds": len(runs),
     "test accuracy, %": statistics.plus_minus([run.accuracy for run in runs]),
     "NLL, nats": statistics.plus_minus([run.final["nll"] for run in runs], 3),
     "clean training accuracy, %": statistics.plus_minus([run.rows[-1]["train_accuracy"] for run in runs], 1)}
    for name, runs in GPU.items()
])
for name in ("bf16", "fp16"):
    print(f"{name} − fp32: {statistics.compare(GPU[name], GPU['fp32'])}")
print(statistics.caption([run for runs in GPU.values() for run in runs]))

# %% [markdown]
# Few seeds, so wide intervals: they exclude a loss of two points, and cannot see tenths. And one thing about the row
# "fp32". Its tensors are fp32, but convolutions on this GPU multiply in *TF32*, PyTorch's default there. No tensor is
# stored in TF32: the matrix units read fp32, drop all but 10 of the 23 mantissa bits, and add up the products in fp32.
# So it has the range of fp32 and the digits of fp16.
#
# ## Evidence: time
#
# Table 3 compares two complete settings, for three networks: batch size 256 in fp32, and batch size 1024 in fp16 with
# the heuristics of section 3.1. The speed-up is the quotient of the two times per epoch:

# %% tags=["hide-input"]
@style.styled
def table_3():
    fig, ax = style.canvas(height=4.2, caption=f"{paper.SOURCE}, Table 3: ImageNet, eight V100 GPUs, one run each")
    for (name, row), colour in zip(paper.table("3").items(), style.COLOURS, strict=False):
        (slow, before), (fast, after) = (
            (row[f"{setting}_time_per_epoch"], row[f"{setting}_top1"]) for setting in ("baseline", "efficient")
        )
        ax.plot(slow, before, "o", color=colour, fillstyle="none", markersize=9)
        ax.plot(fast, after, "o", color=colour, markersize=9)
        ax.annotate("", (fast, after), (slow, before), arrowprops={"arrowstyle": "->", "color": colour, "shrinkB": 6})
        ax.text(slow + 0.35, before - 0.15, f"{name}: {slow / fast:.2f} times as fast", va="top", color=colour)
        print(f"{name:<13} {slow:4.1f} → {fast:3.1f} min per epoch, {slow / fast:.2f} times as fast", end=", ")
        print(f"top-1 {after - before:+.2f} points")
    ax.set(xlabel="minutes per epoch", ylabel="top-1 accuracy, %", xlim=(0, 31), ylim=(67.5, 79))
    return fig


table_3()

# %% [markdown]
# The text takes "2 to 3 times" from this table for the change "from FP32 to FP16". MobileNet is outside that span, and
# for all three the batch size changes in the same row. There is no run in fp32 at batch size 1024 or in fp16 at 256
# whose time is given, so the table cannot say which part is the precision's. Nor does the accuracy belong to it: the
# efficient setting also has the warm-up, zero γ, and no bias decay. Table 4 separates those for ResNet-50, and gives no
# times.
#
# ### The runs that Table 3 leaves out
#
# So we timed them: the course's loop on ResNet-50 at 224 pixels, every precision with every batch size, on one GPU.
# The paper had eight, so its batches of 256 and 1024 are 32 and 128 pictures on each; we added 256. One batch
# is trained on again and again: reading pictures and exchanging gradients between GPUs are not in it. "fp32" is
# without TF32 here, as on the paper's V100, which does not have it; "tf32" is what PyTorch does by default. As in all
# our runs, cuDNN is asked for repeatable results and tensors are channels-last; either may cost fp32 some of its speed.

# %%
record = json.loads((ROOT / "data" / "speed" / "nvidia-h200.json").read_text())
large = [row for row in record["rows"] if row["net"] == "resnet50"]
speed = {(row["precision"], row["batch_size"]): median(row["images_per_second"]) for row in large}
timed = f"median and range of {len(large[0]['images_per_second'])} timed epochs · one batch, again and again"
fig = speeds(large, caption=f"ResNet-50, 224 px · one {record['device']}, PyTorch {record['torch']} · {timed}")
whole = speed["fp16", 128] / speed["fp32", 32]
slow, fast = (paper.table("3")["ResNet-50"][f"{setting}_time_per_epoch"] for setting in ("baseline", "efficient"))
takeaway = (f"32 images a GPU in fp32 to 128 in fp16: {whole:.1f} times as fast (step only, one {record['device']}); "
            f"paper {slow / fast:.1f} (whole epoch, eight V100)")
slide(fig, "03_2_speed_in_four_precisions", takeaway=takeaway)
fig

# %%
for batch in (32, 128, 256):
    faster = {name: speed[name, batch] / speed["fp32", batch] for name in ("tf32", "bf16", "fp16")}
    print(f"{batch:3d} images a step, fp32 = 1:", ", ".join(f"{name} {times:.2f}" for name, times in faster.items()),
          f"   fp16 against tf32: {speed['fp16', batch] / speed['tf32', batch]:.2f}")
print(f"\nTable 3's change for ResNet-50: paper {slow / fast:.2f} times as fast, here {whole:.2f}")
for first, a, b in (("batch first", ("fp32", 128), "precision"), ("precision first", ("fp16", 32), "batch")):
    one, other = speed[a] / speed["fp32", 32], speed["fp16", 128] / speed[a]
    print(f"   {first}: {one:.2f}, then the {b}: {other:.2f}")

# %% [markdown]
# The last two lines multiply to the same number and share it out differently: how much the precision did depends on the
# batch at which you ask. At 32 pictures the 16-bit formats are no faster than TF32, rather slower. A likely reason is
# that the GPU is done before Python has told it what comes next, and casts and loss scaling give Python more to say. A
# larger batch gives the GPU enough to do, and half the memory leaves room for one; there 16 bits gain over TF32, which
# you get without asking. This is one machine, newer than the paper's by two generations of GPUs; the ratios are its
# own. For a network as small as the course's `resnet8` at 32 pixels, 16 bits gain nothing over TF32 at either size, and
# at 128 pictures nothing over fp32. Look at the ranges, too:

# %%
table([
    {"images a step": row["batch_size"], "precision": row["precision"],
     "images per second": f"{median(row['images_per_second']):,.0f}",
     "range": f"{min(row['images_per_second']):,.0f} to {max(row['images_per_second']):,.0f}"}
    for row in record["rows"] if row["net"] == "resnet8"
])

# %% [markdown]
# ### On this machine
#
# Our records of runs cannot speak about time: those in fp32 and those in mixed precision were made at different times,
# on machines with different loads. So measure here. Forward and backward of the live network, both precisions in turns,
# the median of each. The result depends on the machine and on what else it does, so what is kept on this page is only
# a verdict; `ratio` has your number.

# %%
def seconds(amp):
    net.zero_grad()
    start = time.perf_counter()
    with torch.autocast(device.type, dtype, enabled=amp):
        logits = net(x)
    soft_cross_entropy(logits.float(), targets).backward()
    float(sum(parameter.grad.sum() for parameter in net.parameters()))  # waits until the device is done
    return time.perf_counter() - start


repeats = {"smoke": 3, "quick": 12, "full": 100}[budget()]
pairs = [(seconds(amp=False), seconds(amp=True)) for _ in range(repeats)][1:]  # the first one warms up
ratio = median(in_fp32 for in_fp32, _ in pairs) / median(in_mixed for _, in_mixed in pairs)
words = "clearly faster" if ratio > 1.15 else "clearly slower" if ratio < 1 / 1.15 else "about as fast"
print(f"mixed precision with {str(dtype).removeprefix('torch.')} on this {device.type}: {words}, for {recipe.net}")

# %% [markdown]
# Memory can be counted exactly: the bytes that the forward pass keeps for the backward pass, mostly layers' outputs. It
# is what decides how large a batch fits.

# %%
def kept_bytes(amp):
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast(device.type, dtype, enabled=amp),
    ):
        logits = net(x)  # noqa: F841  holds the graph, so that no memory is given out twice
    return sum(storages.values())


in_fp32, in_mixed = kept_bytes(amp=False), kept_bytes(amp=True)
print(f"kept for the backward pass, batch of {len(x)}: fp32 {in_fp32 / 2**20:.1f} MiB", end=", ")
print(f"mixed {in_mixed / 2**20:.1f} MiB, {in_mixed / in_fp32:.0%} of it")

# %% [markdown]
# ## Misreadings
#
# - *"FP16 trains two to three times as fast: Table 3."* Table 3 changes batch size and precision at once, and its third
#   network gains less than two. The runs that tell the two apart are above, and a step on your own machine.
# - *"fp32 on my GPU is fp32."* Convolutions use TF32 by default where the GPU has it, so the baseline of a speed-up may
#   have 10 bits of mantissa already. `torch.backends.cudnn.allow_tf32 = False` asks for all 23.
# - *"FP16 raises ResNet-50 from 75.87 to 76.21."* Those are Table 3's two settings, a batch size and four
#   heuristics apart. What FP16 alone adds in Table 4 is printed at the top of this lesson, for both batch sizes.
# - *"The network is trained in 16 bits."* Weights, momentum and update are fp32. In 16 bits are the copies that the
#   layers calculate with, their outputs, and their gradients.
# - *"bf16 is the more exact format."* It is the coarser one by a factor of 8. What it has is fp32's range, which spares
#   it the loss scale.
# - *"The loss scale is one more learning rate."* It is divided out before the update. It decides only what is rounded
#   to 0 and what becomes ∞ on the way.
#
# ## Exercises
#
# **1.** How far is it from w to the next number above it, in a format with m mantissa bits? Take w > 0 and normal; the
# exponent range does not matter.

# %%
def spacing(w, mantissa_bits):
    # solution
    return 2.0 ** (math.floor(math.log2(w)) - mantissa_bits)


def by_library(w, mantissa_bits):
    return {form.mantissa_bits: form for form in DTYPES}[mantissa_bits].spacing(w)


check("spacing", spacing, by_library, [(1.0, 10), (1.5, 7), (0.1, 10), (0.1, 7), (1000.0, 23)])

# %% [markdown]
# **2.** What is the largest loss scale, a power of 2, at which none of these gradients becomes infinite in fp16? The
# answer key tries them one after another; do it without trying. `g` is a tensor.

# %%
def largest_scale(g):
    # solution
    return 2.0 ** math.floor(math.log2(65504 / float(g.abs().max())))


def by_trying(g):
    scale = 1.0
    while (2 * scale * g).half().isfinite().all():
        scale = 2 * scale
    return scale


check("loss scale", largest_scale, by_trying, [torch.tensor([0.3, -1.5]), of_weights, of_outputs])

# %% [markdown]
# **3.** The paper says that a V100 does 14 TFLOPS in fp32 and over 100 in fp16, about 7 times as many. A whole epoch
# gets faster by less, because only a share p of its time is such arithmetic. Suppose that the precision alone had made
# the epoch s times as fast, with everything outside p unchanged: which p?

# %%
def share_sped_up(s, factor):
    # solution
    return (1 - 1 / s) / (1 - 1 / factor)


def speed_up(s, factor):
    p = share_sped_up(s, factor)
    return None if p is None else 1 / (1 - p + p / factor)


speed_ups = [row["baseline_time_per_epoch"] / row["efficient_time_per_epoch"] for row in paper.table("3").values()]
check("share of the epoch", speed_up, lambda s, factor: s, [(s, 7.0) for s in speed_ups])

# %% [markdown]
# ## Summary
#
# - A format is a range and a spacing. fp16: up to 65,504, down to 2⁻²⁴, 11 significant bits. bf16: the range of fp32,
#   8 significant bits.
# - Gradients that fp16 would turn into 0 are saved by a scale on the loss, found by halving and doubling. bf16 does
#   without.
# - Updates below half a spacing of their weight are lost, the more the smaller the learning rate; so the weights and
#   the update stay in fp32.
# - Its gain is time and memory, where the batch keeps the hardware busy. What it does to accuracy here is the sentence
#   that the cells above print, beside the paper's.
#
# ## For discussion
#
# 1. The loss is a mean over the batch. What does a batch eight times as large do to the gradient of one layer's output
#    for one picture? Where does the histogram go, and what does that mean for training with fp16 and large batches at
#    once, as the paper does?
# 2. Our timing of Table 3's settings leaves out reading pictures and the exchange of gradients between eight GPUs.
#    Which way would each of them move the ratio of the two settings?
# 3. MobileNet has far fewer multiplications for each number that it reads and writes than ResNet-50. How would you
#    find out whether that is why it gains least in Table 3?
# 4. Your training in fp16 skips every tenth step. What do you look at first?
