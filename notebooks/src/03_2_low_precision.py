# %% [markdown]
# # 3.2 Low-precision training
#
# **Three copies of one run. Two of them keep every number in 16 bits, and stop on the way. What are they missing?**

# %% tags=["hide-input"]
import copy
import json
import math
import time
from functools import partial
from statistics import median

import torch
from torch.nn import BatchNorm2d, Conv2d, Linear
from torch.nn import functional as F

from tricks import ROOT, precision, process
from tricks.course.from_zero import loop, pictures, race
from tricks.course.lesson import budget, conclusion, load_data, show, show_loop, slide, sliders, table, tabled
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.plots import evidence, style
from tricks.plots.precision import gradient_histogram, lost_updates, number_lines, speeds
from tricks.records import paper, statistics
from tricks.studies.studies import arm

DTYPES = {precision.FP32: torch.float32, precision.FP16: torch.float16, precision.BF16: torch.bfloat16}


def walk(form, kept, lr=0.01, steps=2000):
    """|w − ⅓| at each step down ½ (w − ⅓)² from w = 1: the gradient in the format, the weight kept in the type."""
    w, path = torch.ones((), dtype=kept), []
    for _ in range(steps):
        gradient = w.to(DTYPES[form]) - 1 / 3
        w = w - lr * gradient.to(kept)
        path.append(abs(float(w) - 1 / 3))
    return path


@style.styled
def stalled(mixed, height):
    fig, ax = style.canvas(height=height, caption="computed · plain descent, learning rate 0.01, 2,000 steps")
    colours = style.GREY, *style.COLOURS
    for form, colour in zip((precision.FP32, precision.FP16, precision.BF16), colours, strict=False):
        for kept in dict.fromkeys((DTYPES[form], torch.float32) if mixed else (DTYPES[form],)):
            path = walk(form, kept)
            copied = kept != DTYPES[form]
            label = f"{form.name}{', mixed' if copied else ''}"
            ax.semilogy(path, ":" if copied else "-", color=colour, label=f"{label}: ends {path[-1]:.1g} away")
    ax.set(xlabel="step", ylabel="distance |w − ⅓|", ylim=(1e-7, 2))
    fig.legend(loc="outside right upper")
    return fig


stalled(mixed=False, height=3.0)

# %% [markdown]
# One weight w rolls down to ⅓, where the loss ½(w − ⅓)² is smallest. fp32 is what PyTorch calculates in unless told
# otherwise; fp16 and bf16 are its two formats of half the size. Nothing else is different. (fp32 stops too, at a
# millionth.)
#
# **Claim.** In 16 bits alone, small gradients become 0 (in fp16) and small updates are rounded away (in fp16 and bf16);
# a scale on the loss mends the first, weights kept in 32 bits mend the second, and together they are *mixed precision*.
# It is a trick for time and memory, and accuracy is meant to stay where it was.
#
# After this lesson you can
# 1. say from a format's bits which numbers it has, and where it has none;
# 2. run a dynamic loss scaler by hand, and say what it means when its scale falls to 0;
# 3. say which tensors of mixed precision have 16 bits and which have 32;
# 4. read Table 3 without crediting the precision with what the batch size did.
#
# *Time:* 30 minutes for the core with its two live runs; 20 more for the parts headed "Deeper"; 30 for questions and
# exercises. *Paper:* §3.2, Tables 3 and 4.
#
# ## Before you go on: predict
#
# Table 4 of the paper has a row "+ FP16" at each batch size; what it adds is printed below, ± what two runs of one
# recipe may be apart there. Our records have one recipe in fp32 and in mixed precision. By how much does its test
# accuracy change? The answer comes with an interval.

# %% tags=["hide-input"]
theirs = {batch: paper.effect("4", "+ FP16", "+ No bias decay", f"BS{batch}_top1") for batch in (256, 1024)}
for batch, points in theirs.items():
    print(f"paper, Table 4, ResNet-50, batch size {batch}: {points}, points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-2, high=2, unit="points")

# %% [markdown]
# ## By hand: which numbers a format has
#
# A *normal* floating-point number is ± 1.f · 2ᵉ. The m mantissa bits are the binary digits f; the k exponent bits hold
# e, which runs from 2 − 2ᵏ⁻¹ to 2ᵏ⁻¹ − 1. (The two codes left over are for ∞ and "not a number", NaN; and for 0 and the
# *subnormal* numbers, which fill the gap above 0 in even steps and have fewer and fewer digits.)

# %%
BITS = {torch.float32: (8, 23), torch.float16: (5, 10), torch.bfloat16: (8, 7)}  # exponent k, mantissa m
rows = []
for dtype, (k, m) in BITS.items():
    largest = (2 - 2.0**-m) * 2.0 ** (2 ** (k - 1) - 1)
    normal = 2.0 ** (2 - 2 ** (k - 1))
    assert (largest, normal, 2.0**-m) == (torch.finfo(dtype).max, torch.finfo(dtype).tiny, torch.finfo(dtype).eps)
    powers = {"smallest normal": normal, "smallest subnormal": normal * 2.0**-m, "spacing at 1": 2.0**-m}
    rows.append({"format": str(dtype).removeprefix("torch."), "k": k, "m": m, "largest": f"{largest:,.6g}",
                 **{name: f"2^{math.log2(x):.0f}" for name, x in powers.items()}})
table(rows)

# %% [markdown]
# bf16 is fp32 with the last 16 bits of the mantissa cut off: the same range, few digits. fp16 spends three of those
# exponent bits on digits: eight times as fine as bf16, in a small range. What becomes of five numbers:

# %% tags=["hide-input"]
numbers = {"0.1": 0.1, "0.00000001": 1e-8, "70,000": 70_000.0, "1 + 0.002": 1.002, "1 + 0.0004": 1.0004}
table([
    {"number": text, **{form.name: f"{float(torch.tensor(x).to(dtype)):.8g}".replace("inf", "∞")
                        for form, dtype in DTYPES.items()}}
    for text, x in numbers.items()
])

# %% [markdown]
# A gradient can be as small as the second number: fp16 makes it 0. Beside its weight an update can be as small as the
# 0.0004 in the last row: both 16-bit formats lose it. Drag x. Above: each mark is a number of the format, a band means
# that they are too close to draw, the dot is what x is stored as. Below: where x is in the range of each.

# %% tags=["hide-input"]
sliders(
    number_lines, value=(1e-8, 1e5),
    goal="Find an x at which bf16 is the finer of the two 16-bit formats.",
    reached=lambda value: bool(precision.BF16.spacing(value) < precision.FP16.spacing(value)),
    solution={"value": 1e-6},
)

# %% [markdown]
# ## Gradients that become 0
#
# On its way back through the network, the gradient of the loss is computed and stored for each layer's output, and from
# it the gradient of each layer's weights. In 16-bit training both pass through 16 bits. A network to look at, one epoch
# of lesson 02's loop; then the gradients of one batch.

# %% tags=["hide-input"]
dataset = load_data()
data = pictures(dataset)
plain = loop()
device = process.device()
torch.manual_seed(0)
(images, labels), _ = data
net = plain.network(classes=len(dataset.classes)).to(device, memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
for rows in torch.randperm(len(labels), device=device).split(128):
    loss = F.cross_entropy(net(plain.augmented(images[rows])), labels[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def backward(net, x, y, scale=1.0, dtype=torch.float32):
    """Gradients of scale · loss, each cast to `dtype` on its way: of all layers' outputs, and of all weights."""
    outputs = []

    def watch(module, inputs, output):
        def cast(gradient):
            outputs.append(gradient.to(dtype))
            return outputs[-1].to(gradient.dtype)

        output.register_hook(cast)

    layers = [module for module in net.modules() if isinstance(module, (Conv2d, BatchNorm2d, Linear))]
    hooks = [layer.register_forward_hook(watch) for layer in layers]
    weights = torch.autograd.grad(scale * F.cross_entropy(net(x), y), list(net.parameters()))
    for hook in hooks:
        hook.remove()
    return outputs, [gradient.to(dtype) for gradient in weights]


def flat(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).cpu()


net.train()
x, y = images[:64], labels[:64]
of_outputs, of_weights = map(flat, backward(net, x, y))
batch_caption = f"one live network after an epoch, {dataset.source}, one batch of {len(x)} images"
layer_outputs = of_outputs[of_outputs != 0][::40].numpy()  # every 40th will do
outputs_caption = f"gradients of layer outputs, every 40th · {batch_caption}"

# %% [markdown]
# A gradient is a linear function of the loss: multiply the loss by a scale S, and every gradient is S times as large.
# In a histogram over log2 of their size that is a shift to the right, by log2 S. Left of the orange border everything
# becomes 0; right of the other border, ∞.

# %% tags=["hide-input"]
sliders(
    partial(gradient_histogram, layer_outputs, caption=outputs_caption), loss_scale=[2**k for k in range(25)],
    goal="Move every gradient ten factors of 2 to the right, and see what that saves.",
    reached=lambda loss_scale: loss_scale == 2**10, solution={"loss_scale": 2**10},
)

# %% [markdown]
# Zeros that are zero in fp32 already (behind a ReLU that is off) are left out. The scale is divided out again in fp32,
# before the optimiser sees the gradient: it decides only what is rounded to 0 on the way, and what becomes ∞. bf16,
# with the range of fp32, needs no scale.
#
# ## A loss scaler by hand
#
# Which scale? The usual rule looks for the largest one that works: start high; halve the scale and skip the step when a
# gradient is not finite; double it after a number of good steps in a row. Twelve steps of one weight, whose gradient is
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

# %% tags=["hide-input"]
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)  # PyTorch's, on the same gradients
weight = torch.nn.Parameter(torch.zeros(()))
optimizer = torch.optim.SGD([weight], lr=1.0)
rows, torchs = [], []
for gradient in gradients:
    scaled = scaler.scale(torch.tensor(gradient)).half()  # as back-propagation would leave it
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
print(f"PyTorch's default: start at 2^16, times {default.get_growth_factor():g} after {interval:,} good steps")

# %% [markdown]
# The same rule in a run: the live network, its gradients cast to fp16 on their way, from a start far too high, doubling
# after 10 good steps so that something can be seen. Crosses are skipped steps. The second line is what people ask about
# most: from step 50 on, something in the *forward* pass is no longer finite.

# %% tags=["hide-input"]
def scaler_trace(steps=80, broken=50, start=2.0**24):
    """Scales and which steps were taken, for a run, and for one whose forward pass is not finite from `broken` on."""
    student = copy.deepcopy(net)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.02, momentum=0.9)
    scaler = torch.amp.GradScaler(device.type, init_scale=start, growth_interval=10)
    scaler.scale(torch.zeros((), device=device))
    healthy, order = [], torch.randperm(len(labels), device=device)
    for step in range(steps):
        chosen = order[torch.arange(64 * step, 64 * step + 64, device=device) % len(order)]
        scale = scaler.get_scale()
        _, found = backward(student, images[chosen], labels[chosen], scale, torch.float16)
        for parameter, gradient in zip(student.parameters(), found, strict=True):
            parameter.grad = gradient.float()
        scaler.step(optimizer)
        scaler.update()
        healthy.append((scale, all(bool(gradient.isfinite().all()) for gradient in found)))
    return healthy, healthy[:broken] + by_hand([math.inf] * (steps - broken), healthy[broken][0], 10)


@style.styled
def draw_traces(traces):
    fig, ax = style.canvas(height=3.6, caption=f"{batch_caption.split(',')[0]}, batches of 64 · growth after 10 steps")
    for (name, history), colour in zip(traces.items(), style.COLOURS, strict=False):
        skipped = [step for step, (_, taken) in enumerate(history) if not taken]
        ax.step(range(len(history)), [math.log2(scale) for scale, _ in history], where="post", color=colour,
                label=f"{name}: {len(skipped)} of {len(history)} steps skipped")
        ax.plot(skipped, [math.log2(history[step][0]) for step in skipped], "x", color=colour, markersize=6)
    ax.set(xlabel="step", ylabel="log2 of the loss scale")
    fig.legend(loc="outside upper left", ncols=2)
    return fig


healthy, sick = scaler_trace()
draw_traces({"forward not finite from step 50": sick, "healthy": healthy})

# %% [markdown]
# Healthy: a few steps are lost at the start, and now and then one where the scale was doubled once too often. Sick:
# halving cannot help, because the scale touches the loss only. Every step is skipped, the scale goes to 0, and nothing
# is learned. So a scale that keeps falling says: look at the forward pass. What is often found there:

# %% tags=["hide-input"]
CULPRITS = {
    "300² (a norm, a variance)": lambda t: t(300.0) ** 2,
    "0 / (0 + 0.00000001) (an ε that is too small)": lambda t: t(0.0) / (t(0.0) + t(1e-8)),
    "log 0.00000001 (of a probability)": lambda t: t(1e-8).log(),
    "exp 12": lambda t: t(12.0).exp(),
}
table([
    {"computed in": what, **{form.name: f"{float(compute(partial(torch.tensor, dtype=dtype))):.4g}".replace("inf", "∞")
                             for form, dtype in DTYPES.items()}}
    for what, compute in CULPRITS.items()
])

# %% [markdown]
# That is why bf16 has taken over where the hardware has it: with fp32's range none of these happens, and there is no
# scale to go wrong. In fp16, compute such things in fp32; `autocast` does so for the operations that it knows.
#
# ## Updates that get lost
#
# The second problem has nothing to do with small gradients as such: it is the picture on top. An update is added to a
# weight, and the sum must be a number of the format. What is not more than half of the spacing is rounded away. In 16
# bits alone w stops where η|w − ⅓| is half a spacing. *Mixed*: the same 16-bit gradient, at a 16-bit copy of w, but the
# update is added to a w in fp32, the *master weight*.

# %%
table([
    {"gradient in": form.name, "weight kept in": str(kept).removeprefix("torch."), "ends at ⅓ ±": walk(form, kept)[-1]}
    for form in (precision.FP16, precision.BF16) for kept in (DTYPES[form], torch.float32)
])

# %% [markdown]
# With the master weight the run stops when its 16-bit copy is the format's number nearest to ⅓: as near as the format
# can see. The smaller the learning rate, the more updates are lost without it, and every schedule ends at a small one.
#
# ## The trick's own file
#
# The formats, what underflows, and which 16-bit type a device is fast in:

# %%
show(precision.amp_dtype)

# %% [markdown]
# ## Its line in the loop, run
#
# In PyTorch, mixed precision with bf16 is one line. `autocast` casts the inputs and weights of each convolution and
# matrix product to 16 bits as they are used. (With fp16 the scaler's lines come on top.)

# %%
mixed = loop({
    "loss = F.cross_entropy(net(x), y)": """with torch.autocast(x.device.type, torch.bfloat16):
                loss = F.cross_entropy(net(x), y)""",
})

# %% [markdown]
# Before you run it: one seed each, so two runs that differ in the last digits drift apart, and may end a point or two
# apart either way. What should *not* be seen is a run that breaks down.

# %%
rows = race({"float32": plain.train, "bfloat16": mixed.train}, data, caption=f"live, seed 0 · {dataset.source}")

# %% tags=["hide-input"]
ends = {name: ended[-1]["test_accuracy"] for name, ended in rows.items()}
gap = ends["bfloat16"] - ends["float32"]
print(f"bfloat16 − float32 at the end: {style.signed(gap, 1)} points, one run of each. ", end="")
print("That is within what two seeds of one recipe may be apart." if abs(gap) < 3 else
      "That is more than the records below have between the two on average: one seed can do that.")

# %% [markdown]
# Which tensors have 16 bits? The paper stores a 16-bit network and keeps an fp32 copy for the update. Here the fp32
# weights *are* the network, and the 16-bit copy is made on the way; the arithmetic is the same. So weights, momentum
# and update never leave fp32, and the gradients of the weights come back as fp32, because autograd sends them back
# through the cast. In 16 bits are the layers' outputs and the gradients of these:

# %% tags=["hide-input"]
seen = {}


def note(layer, inputs, output):
    name = f"outputs of {type(layer).__name__}"
    seen[name] = output.dtype
    output.register_hook(lambda gradient: seen.update({f"gradients of the {name}": gradient.dtype}))


dtype = torch.bfloat16
layers = [layer for layer in net.modules() if isinstance(layer, (Conv2d, BatchNorm2d, Linear))]
hooks = [layer.register_forward_hook(note) for layer in layers]
with torch.autocast(device.type, dtype):
    loss = F.cross_entropy(net(x), y)
loss.backward()
for hook in hooks:
    hook.remove()
first = next(net.parameters())
seen = {"weights": first.dtype, **seen, "loss": loss.dtype, "gradients of the weights": first.grad.dtype}
table([{"what": what, "format": str(kind).removeprefix("torch.")} for what, kind in seen.items()])

# %% [markdown]
# In the library, two lines choose the format and make the scaler; with `amp=False` both do nothing. The course uses
# bf16 where the hardware has it and on the CPU, fp16 otherwise, and only fp16 gets a loss scale.

# %% tags=["hide-input"]
show_loop("# mixed precision", context=1)
show_loop("logits = model(", context=1)
show_loop("scaler.scale(loss)", context=2)

# %% [markdown]
# ## Evidence: accuracy
#
# One recipe, in fp32 and in mixed precision, on the same seeds: each pair of runs starts from the same weights and sees
# the same crops in the same order.

# %% tags=["hide-input", "hide-output"]
full, mixed_runs = arm("cosine"), arm("cosine-amp")
ours = statistics.compare(mixed_runs, full)
guess.reveal(ours, theirs[1024], label="mixed − fp32, 12 epochs", caption=statistics.caption(full + mixed_runs))

# %% tags=["hide-input", "hide-output"]
PAIRS = {  # arms with and without
    "bf16, 10,000 pictures × 12 epochs": ("cosine-amp", "cosine"),
    "bf16, 50,000 pictures × 8 epochs": ("ladder-amp", "ladder-baseline"),
    "bf16, 10,000 pictures × 120 epochs, GPU": ("full-cosine-bfloat16", "full-cosine"),
    "fp16 with a loss scale, 120 epochs, GPU": ("full-cosine-float16", "full-cosine"),
}
found = {where: statistics.compare(arm(new), arm(old)) for where, (new, old) in PAIRS.items()}
clean = statistics.t_interval([run.rows[-1]["train_accuracy"] for run in arm("full-cosine")])[0]
measured = [{"runs": where, "mixed − fp32, points": f"{style.signed(each.mean)} ± {each.half:.2f}",
             "seeds": str(len(each.seeds))} for where, each in found.items()]
published = [{"runs": f"paper, fp16, batch size {batch}", "mixed − fp32, points":
              f"{style.signed(points.delta)} ± {points.noise:.2f}", "seeds": "1"} for batch, points in theirs.items()]
guess.veil(tabled(measured + published), "\n".join([
    f"first line, NLL: {statistics.compare(mixed_runs, full, 'nll', 'nats')}",
    f"first line, ECE: {statistics.compare(mixed_runs, full, 'ece', '')}",
]))

# %% tags=["hide-input", "hide-output"]
nulls = [where for where, each in found.items() if not each.clear]
wide = max(found, key=lambda where: found[where].half)
_, _, bf16, _ = found.values()
guess.veil(f"No clear difference in {len(nulls)} of {len(found)} comparisons. Not excluded in the long runs in bf16: "
           f"from {bf16.mean - bf16.half:+.1f} to {bf16.mean + bf16.half:+.1f} points.\nThe widest interval, "
           f"{len(found[wide].seeds)} seeds: {wide}.")

# %% [markdown]
# A null does not prove that precision changes nothing. The intervals say what is not excluded, in the long runs of a
# network that fits nearly all its training pictures. Their width comes from the number of seeds and from this: a
# difference in the last digits sends two runs apart, and after some hundred steps they are as different as two seeds.
# The paper's two numbers are one run each and smaller than what two of its runs may be apart (lesson
# [C](C_when_to_believe.ipynb)). (*NLL* is the cross-entropy of the test labels, *ECE* the distance between confidence
# and accuracy, lesson 5.2.)
#
# One thing about "fp32" on that GPU: its convolutions multiply in *TF32*, PyTorch's default there. The matrix units
# read fp32 and drop all but 10 of the 23 mantissa bits: the range of fp32, the digits of fp16.
#
# ## Evidence: time
#
# This is what the trick is for. Table 3 compares two complete settings: batch size 256 in fp32 against batch size 1024
# in fp16, with the heuristics of section 3.1. The text credits "2 to 3 times" to the change "from FP32 to FP16". But
# the batch size changes in the same row. So we timed the runs that the table leaves out: ResNet-50 at 224 pixels, every
# precision with every batch size, on one GPU. Of the paper's 256 and 1024 pictures, each of its eight GPUs had 32 and
# 128. "fp32" is without TF32 here, as on the paper's V100; "tf32" is PyTorch's default.

# %% tags=["hide-input"]
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

# %% tags=["hide-input"]
for batch in (32, 128, 256):
    faster = {name: speed[name, batch] / speed["fp32", batch] for name in ("tf32", "bf16", "fp16")}
    print(f"{batch:3d} images a step, fp32 = 1:", ", ".join(f"{name} {times:.2f}" for name, times in faster.items()),
          f"   fp16 against tf32: {speed['fp16', batch] / speed['tf32', batch]:.2f}")
print(f"\nTable 3's change for ResNet-50: paper {slow / fast:.2f} times as fast, here {whole:.2f}")
for begin, a, b in (("batch first", ("fp32", 128), "precision"), ("precision first", ("fp16", 32), "batch")):
    one, other = speed[a] / speed["fp32", 32], speed["fp16", 128] / speed[a]
    print(f"   {begin}: {one:.2f}, then the {b}: {other:.2f}")

# %% [markdown]
# The last two lines multiply to the same number and share it out differently: how much the precision did depends on the
# batch at which you ask. At 32 pictures the 16-bit formats are no faster than TF32, which you get without asking: a
# likely reason is that the GPU is done before Python has told it what comes next. A larger batch keeps it busy, and
# half the memory leaves room for one. One machine, and the step alone, without reading
# pictures: the ratios are its own.
#
# And on *this* machine? Forward and backward of the live network, both precisions in turns, the median of each. What is
# kept on this page is only a verdict; `ratio` has your number.

# %% tags=["hide-input"]
def seconds(amp):
    net.zero_grad()
    start = time.perf_counter()
    with torch.autocast(device.type, dtype, enabled=amp):
        loss = F.cross_entropy(net(x), y)
    loss.backward()
    float(sum(parameter.grad.sum() for parameter in net.parameters()))  # waits until the device is done
    return time.perf_counter() - start


repeats = {"smoke": 3, "quick": 12, "full": 100}[budget()]
pairs = [(seconds(amp=False), seconds(amp=True)) for _ in range(repeats)][1:]  # the first one warms up
ratio = median(in_fp32 for in_fp32, _ in pairs) / median(in_mixed for _, in_mixed in pairs)
words = "clearly faster" if ratio > 1.15 else "clearly slower" if ratio < 1 / 1.15 else "about as fast"
print(f"mixed precision with bfloat16 on this {device.type}: {words}, for this small network")

# %% [markdown]
# A CPU gains time only if it has instructions for bf16, and only where the arithmetic is most of the work: in a network
# this small the casts eat much of it. If your verdict is "about as fast" or "slower", that is the result: leave it off.
#
# ## Conclusion

# %% tags=["hide-input"]
spread = statistics.t_interval([(d - ours.mean) ** 2 for d in ours.differences])[0] * len(ours.seeds)
sd = math.sqrt(spread / (len(ours.seeds) - 1))
bf16, fp16 = (found[where] for where in list(PAIRS)[2:])
tenths = " and ".join(f"{points.delta:+.2f}" for points in theirs.values())
conclusion(
    mechanism="""Layers calculate in 16 bits, so their outputs take half the memory and their arithmetic is faster
        where the hardware has it. Weights, momentum and update stay in fp32, or small updates would be rounded away;
        with fp16 the loss is scaled, or small gradients would become 0.""",
    paper=f"""{tenths} points at batch sizes 256 and 1024 (Table 4), within the noise of single runs. Time:
        {slow / fast:.1f} times as fast for ResNet-50 (Table 3), together with a batch four times as large.""",
    short=f"""{full[0].recipe.epochs} epochs, bf16 on a CPU: {ours}. To see a fifth of a point in 80 of 100 studies
        would take about {statistics.seeds_for(0.2, sd)} seeds.""",
    long=f"""{arm("full-cosine")[0].recipe.epochs} epochs, {clean:.1f} % of the training pictures right. On a GPU, bf16
        {bf16.mean:+.2f} ± {bf16.half:.2f}, fp16 with a loss scale {fp16.mean:+.2f} ± {fp16.half:.2f} with
        {len(fp16.seeds)} seeds. {"No clear difference" if not (bf16.clear or fp16.clear) else "A difference is seen"};
        in bf16, nothing from {bf16.mean - bf16.half:+.1f} to {bf16.mean + bf16.half:+.1f} points is excluded.""",
    use="""Always on a GPU that a batch keeps busy: bf16 where the hardware has it, else fp16 with a loss scale. Spend
        the memory on a larger batch, and check the time: accuracy does not gain.""",
    harms="""Weights or sums are kept in 16 bits too; fp16 runs without a scale, or with squares and a small ε of your
        own in it; or the network is so small, or the CPU so old, that the casts cost more than they save.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("Table 3: ResNet-50 takes 13.3 minutes an epoch, then 4.4. How much of that is due to FP16?", {
    "All of it: the text says 2 to 3 times, from FP32 to FP16": (
        False, "The batch size changes in the same row, from 256 to 1024, and a larger batch keeps the GPUs busier."),
    "That cannot be read off: the batch size changed as well": (
        True, "The table has no run in fp32 at 1024, nor in fp16 at 256. Ours has both: it depends on the batch."),
    "None: it is the batch size": (
        False, "At equal batch sizes our GPU is faster in fp16 than in fp32, from 128 pictures on also than in TF32."),
})
quiz("With torch.autocast in bfloat16, in which format is weight.grad after backward()?", {
    "bfloat16: the network is trained in 16 bits": (
        False, "Only the copies that layers calculate with, their outputs and the gradients of these are in 16 bits."),
    "float32: autograd sends it back through the cast to the fp32 weight": (
        True, "A gradient has the type of what it belongs to, and the weight stayed in fp32."),
    "float32, but only if a GradScaler is used": (
        False, "The scaler multiplies the loss and divides the gradients. It changes no types."),
})
quiz("Which of the two 16-bit formats is the more exact one, near 1?", {
    "bf16, because it is newer": (False, "It has 7 mantissa bits. Its spacing near 1 is 2^-7."),
    "fp16: its spacing is an eighth of bf16's": (
        True, "10 mantissa bits against 7. What bf16 has is the range of fp32, which spares it the loss scale."),
    "Both are alike: 16 bits are 16 bits": (
        False, "They share the bits out differently between exponent and mantissa: 5 and 10 against 8 and 7."),
})
quiz("You double the loss scale and nothing becomes infinite or 0. What happens to the size of the update?", {
    "It doubles: the scale is one more learning rate": (
        False, "The gradients are divided by the scale in fp32 before the optimiser sees them."),
    "Nothing": (True, "The scale is divided out again. It decides only what is lost on the way back."),
    "It is halved": (False, "Multiplied on the way in and divided on the way out: nothing is left of it."),
})
quiz("Your fp16 run logs a loss scale of 0.000001 and falling. What do you look at first?", {
    "The scaler: start it lower": (
        False, "It has already gone far below every sensible scale, and each step was skipped on the way."),
    "The forward pass: something there is not finite": (
        True, "No scale on the loss can make it finite. Look for squares, logarithms and a small ε in fp16."),
    "The learning rate: lower it": (
        False, "It may have caused the explosion, but no step has been taken since: the weights no longer change."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). One step with a loss scale. It takes all its steps, and small gradients are lost as if there
# were no scale at all. Which line is wrong?

# %% tags=["hide-input"]
def small_gradients_count(names):
    w, _ = names["scaled_step"](torch.zeros(()), torch.tensor(1e-8), 2.0**16, 1.0)
    assert w != 0, f"a gradient of 1e-08 at scale 65,536 and a learning rate of 1 moved the weight by {abs(float(w)):g}"


bug_hunt(
    """
def scaled_step(w, gradient, scale, lr):
    scaled = (scale * gradient).half()
    if not scaled.isfinite():
        return w, scale / 2
    gradient = (scaled / scale).float()
    return w - lr * gradient, scale
""",
    wrong="gradient = (scaled / scale).float()",
    right="gradient = scaled.float() / scale",
    why="The scale is divided out while the number is still in fp16, so it becomes 0 there. First fp32, then divide.",
    test=small_gradients_count,
    torch=torch,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, by hand, easy) How far is it from w to the next number above it, in a format with m mantissa bits?
# Take w > 0 and normal; the exponent range does not matter.

# %%
def spacing(w, mantissa_bits):
    # solution
    return 2.0 ** (math.floor(math.log2(w)) - mantissa_bits)


def by_library(w, mantissa_bits):
    return {form.mantissa_bits: form for form in DTYPES}[mantissa_bits].spacing(w)


check("spacing", spacing, by_library, [(1.0, 10), (1.5, 7), (0.1, 10), (0.1, 7), (1000.0, 23)],
      hint="Between two powers of 2 there are 2 to the power of m numbers, evenly spaced. Which power is below w?")

# %% [markdown]
# **2.** (5 minutes, medium) What is the largest loss scale, a power of 2, at which none of these gradients becomes
# infinite in fp16? The answer key tries them one after another; do it without trying. `g` is a tensor.

# %%
def largest_scale(g):
    # solution
    return 2.0 ** math.floor(math.log2(65504 / float(g.abs().max())))


def by_trying(g):
    scale = 1.0
    while (2 * scale * g).half().isfinite().all():
        scale = 2 * scale
    return scale


check("loss scale", largest_scale, by_trying, [torch.tensor([0.3, -1.5]), of_weights, of_outputs],
      hint="Only the largest gradient matters. fp16 ends at 65,504.")

# %% [markdown]
# **3.** (10 minutes, by hand, hard) The paper says that a V100 does 14 TFLOPS in fp32 and over 100 in fp16, about 7
# times as many. A whole epoch gets faster by less, because only a share p of its time is such arithmetic. Suppose that
# the precision alone had made the epoch s times as fast, with everything outside p unchanged: which p?

# %%
def share_sped_up(s, factor):
    # solution
    return (1 - 1 / s) / (1 - 1 / factor)


def speed_up(s, factor):
    p = share_sped_up(s, factor)
    return None if p is None else 1 / (1 - p + p / factor)


speed_ups = [row["baseline_time_per_epoch"] / row["efficient_time_per_epoch"] for row in paper.table("3").values()]
check("share of the epoch", speed_up, lambda s, factor: s, [(s, 7.0) for s in speed_ups],
      hint="The new time is (1 − p) + p/factor of the old one, and also 1/s of it.")

# %% [markdown]
# **4.** (10 minutes, predict–train–explain) Keep the weights in bf16 too: round them after every step. Write down first
# what that does to the training loss, early and late in the run. Then change the line `optimizer.step()`, train, and
# explain. (Half a minute on two CPU cores.)

# %%
def without_master_weights():
    # solution
    rounded = loop({"optimizer.step()": """optimizer.step()
            for w in net.parameters():
                w.data = w.data.bfloat16().float()"""})
    return race({"weights in bfloat16": rounded.train}, data, caption="live, seed 0 · no master weights")


rounded_rows = without_master_weights()

# %% tags=["solution"]
early_and_late = {"float32": rows["float32"], "weights in bfloat16": rounded_rows["weights in bfloat16"]}
table([
    {"weights": name, "training loss, epoch 1": ended[0]["train_loss"], "at the end": ended[-1]["train_loss"],
     "test accuracy, %": ended[-1]["test_accuracy"]}
    for name, ended in early_and_late.items()
])

# %% [markdown] tags=["solution"]
# At the large rate many updates are still larger than half a spacing, so the first epoch is much the same. After the
# drops they are a tenth, a hundredth and a thousandth as large, and most are rounded away: the network stands still
# just when it should settle. ("Deeper" counts them.)

# %% [markdown]
# ## Deeper: what the zeros cost
#
# Which gradients survive a cast to fp16, and what is lost with those that do not? Many small numbers may carry little.
# What counts is g, the gradient of all weights as one vector, beside g₃₂, the one that fp32 gives; its relative error
# is ‖g − g₃₂‖ / ‖g₃₂‖. Scales below 1 stand for a network whose gradients are that much smaller.

# %% tags=["hide-input"]
lost_rows = []
for kind, values in {"layer outputs": of_outputs, "weights": of_weights}.items():
    values = values[values != 0]
    for scale in (1, 2**8, 2**16):
        percent = precision.shares(values.numpy(), scale)
        lost_rows.append({"gradients of": kind, "how many": f"{len(values):,}", "loss scale": f"{scale:,}",
                          **{f"{name}, %": f"{value:.3g}" for name, value in percent.items()}})
table(lost_rows)


def error(scale, dtype):
    """Relative error of the weights' gradient; NaN where a number has become infinite."""
    gradient = flat(backward(net, x, y, scale, dtype)[1]).float() / scale
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
# error is that of rounding to 11 significant bits. Its floor is wide, so the scale need not be known exactly. The curve
# of bf16 is flat: it needs no loss scale, and with 8 significant bits it never gets as exact as fp16 in its valley.
# Where a scale of 1 lies depends on the network and on the batch. (A weight's gradient is a sum over the pictures and
# over all places where the weight is used, so it tends to be much larger than that of a single output.)

# %% [markdown]
# ## Deeper: updates that get lost, counted
#
# The weights of the live network, and one step of plain SGD with weights and gradient kept in each format. How many
# weights are after the step what they were before it?

# %% tags=["hide-input"]
weights = torch.cat([parameter.detach().flatten() for parameter in net.parameters()]).cpu()
for lr in (0.4, 0.04, 0.004):
    print(f"lr = {lr:<6} unchanged:", end="")
    for form, kind in DTYPES.items():
        parameter = torch.nn.Parameter(weights.to(kind))
        parameter.grad, before = of_weights.to(kind), parameter.detach().clone()
        torch.optim.SGD([parameter], lr=lr).step()
        unchanged = 100 * (parameter == before).double().mean().item()
        assert abs(unchanged - precision.lost_share(weights.numpy(), parameter.grad.float().numpy(), lr, form)) < 1
        print(f"   {form.name} {unchanged:5.1f} %", end="")
    print()

# %% [markdown]
# Drag the learning rate. On the left is the size of the update in units of its weight; a format's bar is where half of
# its spacing lies. (With momentum 0.9, updates in one direction add up to ten times that size: 3.3 bins.) A cosine
# schedule passes through all of these learning rates on its way to 0.

# %% tags=["hide-input"]
some = {"weights": weights[::8].numpy(), "gradients": of_weights[::8].numpy()}
sliders(partial(lost_updates, **some, caption=f"every 8th weight · {batch_caption}"), lr=(1e-4, 1.0))

# %% [markdown]
# The picture on top again, with the two mixed runs, dotted. They stop when the copy is the format's nearest number to
# ⅓:

# %% tags=["hide-input"]
fig = stalled(mixed=True, height=4.0)
slide(fig, "03_2_updates_that_get_lost",
      takeaway="In 16 bits alone a run stops short of its goal; with weights kept in 32 it goes on")
fig

# %% [markdown]
# ## Deeper: the four comparisons side by side

# %% tags=["hide-input"]
blind = [where for where, each in found.items() if not each.clear and abs(theirs[1024].delta - each.mean) < each.half]
print(f"Intervals that hold both 0 and the paper's difference, so that the study could not have seen it: {len(blind)} "
      f"of {len(found)}")
used = [run for name in dict.fromkeys(name for pair in PAIRS.values() for name in pair) for run in arm(name)]
fig = evidence.against_paper({where: (each, theirs[1024]) for where, each in found.items()},
                             caption=statistics.caption(used))
shorter, _, longer, _ = found.values()
takeaway, numbers = statistics.headline("Mixed precision", {"in 12 epochs": shorter, "in 120": longer}, theirs[1024])
slide(fig, "03_2_accuracy_in_mixed_precision", takeaway=takeaway, numbers=numbers, runs=used)
fig

# %% [markdown]
# ## Deeper: Table 3, and a small network
#
# The paper's table as a picture. The accuracies are not those of the precision alone: the efficient setting also has
# the warm-up, zero γ, and no bias decay. Table 4 separates those for ResNet-50, and gives no times.

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
# MobileNet is outside the text's "2 to 3 times". In our timing one batch is trained on again and again: reading
# pictures and exchanging gradients between GPUs are not in it. cuDNN is asked for repeatable results and tensors are
# channels-last; either may cost fp32 some of its speed. For a network as small as the course's `resnet8` at 32 pixels,
# 16 bits gain nothing over TF32 at either size, and at 128 pictures nothing over fp32. Look at the ranges, too:

# %% tags=["hide-input"]
table([
    {"images a step": row["batch_size"], "precision": row["precision"],
     "images per second": f"{median(row['images_per_second']):,.0f}",
     "range": f"{min(row['images_per_second']):,.0f} to {max(row['images_per_second']):,.0f}"}
    for row in record["rows"] if row["net"] == "resnet8"
])

# %% [markdown]
# `torch.backends.cudnn.allow_tf32 = False` asks for all 23 bits of the mantissa in convolutions.

# %% [markdown]
# ## Deeper: memory, counted
#
# The bytes that the forward pass keeps for the backward pass, mostly layers' outputs. They decide how large a batch
# fits.

# %% tags=["hide-input"]
batch = x.clone()  # x is a slice of all pictures, and their memory is one storage


def kept_bytes(amp):
    storages = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(device.type, dtype, enabled=amp),
    ):
        logits = net(batch)  # noqa: F841  holds the graph, so that no memory is given out twice
    return sum(storages.values())


in_fp32, in_mixed = kept_bytes(amp=False), kept_bytes(amp=True)
print(f"kept for the backward pass, batch of {len(x)}: fp32 {in_fp32 / 2**20:.1f} MiB", end=", ")
print(f"mixed {in_mixed / 2**20:.1f} MiB, {100 * in_mixed / in_fp32:.0f} % of it")

# %% [markdown]
# Half, but for the few kilobytes of batch norm, whose means, deviations and scales stay in 32 bits.

# %% [markdown]
# ## Deeper: rounding, exactly
#
# Between two powers of 2 all numbers of a format are evenly spaced, and a cast picks the nearest, the even one of two.

# %%
show(precision.Format.spacing)
show(precision.Format.round)
stream = torch.Generator().manual_seed(0)
mixed_sizes = torch.randn(100_000, generator=stream) * 2.0 ** torch.randint(-30, 18, (100_000,), generator=stream)
for form, kind in DTYPES.items():
    assert (form.round(mixed_sizes.numpy()) == mixed_sizes.to(kind).float().numpy()).all()
print(f"the same as PyTorch's cast for {len(mixed_sizes):,} random numbers in each format")

# %% [markdown]
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
