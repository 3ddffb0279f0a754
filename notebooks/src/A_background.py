# %% [markdown]
# # Appendix A: the background
#
# **Left, stacks of convolutions. Right, the same with one `+ x` in every second layer. What does the addition do?**

# %% tags=["hide-input"]
import math

import torch
from IPython.display import display
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from tricks import augment, label_smoothing, mixup, precision, targets
from tricks.course.lesson import budget, load_data, load_scenes, show, slide, sliders, table
from tricks.course.questions import check, quiz
from tricks.data.order import balanced_order
from tricks.plots import background, preprocessing, style
from tricks.plots import detection as detection_plots
from tricks.plots import precision as precision_plots
from tricks.records import paper
from tricks.studies.studies import recipe_of

# %% tags=["hide-input"]
DEPTHS, WIDTH = (8, 20, 44), 8
QUICK = budget() != "smoke"
IMAGES, STEPS = (4_000, 120) if QUICK else (512, 4)
dataset = load_data()
chosen = balanced_order(dataset.train.labels)[:IMAGES]
pictures = torch.from_numpy(dataset.train.images[chosen])
x, y = F.avg_pool2d(augment.normalise(pictures), 2), torch.from_numpy(dataset.train.labels[chosen])


class Stack(nn.Module):
    """Depth − 1 convolutions of 3 x 3 in three stages, and a linear head; residual, each pair adds its input."""

    def __init__(self, depth, residual, batch_norm=True):
        super().__init__()
        self.residual = residual
        widths = [WIDTH] + [WIDTH * 2**stage for stage in range(3) for _ in range((depth - 2) // 3)]
        pairs = list(zip([3, *widths], widths, strict=False))
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, 2 if o == 2 * i else 1, 1, bias=not batch_norm) for i, o in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) if batch_norm else nn.Identity() for o in widths)
        self.head = nn.Linear(widths[-1], len(dataset.classes))
        for conv in self.convs:
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x):
        first, *others = [nn.Sequential(*layer) for layer in zip(self.convs, self.norms, strict=True)]
        x = first(x).relu()
        for one, two in zip(others[::2], others[1::2], strict=True):
            change = two(one(x).relu())
            x = (fitted(x, change) + change if self.residual else change).relu()
        return self.head(x.mean((2, 3)))


def fitted(x, other):
    """x in the shape of `other`: every second pixel and more channels, of zeros, where a stage begins."""
    skip = x.shape[2] // other.shape[2]
    return F.pad(x[..., ::skip, ::skip], (0, 0, 0, 0, 0, other.shape[1] - x.shape[1]))


def fresh(depth, residual, batch_norm=True):
    torch.manual_seed(0)
    return Stack(depth, residual, batch_norm)


def trained_losses(depth, residual):
    model, order = fresh(depth, residual), torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    losses = []
    for _ in range(STEPS):
        batch = torch.randint(len(x), (64,), generator=order)
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


KINDS = {"plain": False, "residual": True}
LOSSES = {(kind, depth): trained_losses(depth, add) for kind, add in KINDS.items() for depth in DEPTHS}


# %% tags=["hide-input"]
@style.styled
def plain_and_residual():
    fig, axes = style.canvas(2, height=3.1, sharey=True, caption=CAPTION)
    window = min(15, STEPS)
    for ax, kind in zip(axes, KINDS, strict=True):
        for depth, colour in zip(DEPTHS, style.COLOURS, strict=False):
            means = LOSSES[kind, depth].unfold(0, window, 1).mean(1)
            ax.plot(range(window, STEPS + 1), means, color=colour, label=f"{depth} layers")
        ax.set(xlabel="step", title=f"{kind}: x ← {'x + F(x)' if KINDS[kind] else 'F(x)'}")
    axes[0].set_ylabel("training loss, nats")
    axes[0].legend(loc="lower left")
    return fig


CAPTION = f"n = 1 seed · {IMAGES:,} images of {dataset.source} at 16 px, 64 a step · mean over 15 steps · live"
opening = plain_and_residual()
plain, residual = (LOSSES[kind, 44][-15:].mean().item() for kind in KINDS)
takeaway = f"44 layers after {STEPS} steps: loss {plain:.2f} nats as a plain stack, {residual:.2f} with additions"
slide(opening, "A_plain_and_residual", takeaway=takeaway)
opening

# %% [markdown]
# Same pictures, same order, same optimiser, and this is the loss of the pictures that the networks are *trained* on.
# As a plain stack 44 layers learn next to nothing; with the additions they learn. Section 11 says why. On the way
# there are ten other words that the paper uses and does not explain. Each gets a question, an answer of a sentence,
# something that moves or runs, and what people take it for.
#
# After this lesson you can
# 1. say what an ablation, a logit, a nat, a mini-batch, weight decay, annealing and transfer learning are, each with a
#    number that you computed;
# 2. say why adding tricks to one network is not *stacking* in the sense of ensembles;
# 3. say what a residual block changes, with the gradients of 44 layers as evidence.
#
# *Time:* core 30 minutes; the parts named *Deeper* 10 more, quiz and exercises 25. Running everything: about a minute
# on two CPU cores. *Paper:* its words, from §1 to §6.
#
# ## 1. Ablation study
#
# **What is one trick worth?** An ablation study changes one thing at a time and measures each time, so that the
# difference of two rows is the worth of one change, beside all that is in both rows. The paper's Table 4 adds one thing
# a row, to ResNet-50 on ImageNet, once at batch size b = 256 and once at 1024. What the five things are is for lessons
# 03_1 and 03_2; here it only matters that one is added in each row. The changes are ours to compute:

# %% tags=["hide-input"]
rows, before = [], {}
for name, row in paper.table("4").items():
    top1 = {f"b = {b}": row[f"BS{b}_top1"] for b in (256, 1024)}
    change = {f"change, {b}": f"{top1[b] - before[b]:+.2f}".replace("-", "−") if before else "" for b in top1}
    rows.append({"heuristic": name, **{b: f"{value:.2f}" for b, value in top1.items()}, **change})
    before = top1
table(rows)

# %% [markdown]
# **Often misread:** *"Ablation is removal, so a row says what is lost without that trick."* No: this table adds. What a
# trick brings on top of one set of tricks is not what would be lost if it alone were left out of all. *"Each row is
# better than the one above."* No: look for changes below zero, and remember that each row is one run. [Lesson
# 01](01_introduction.ipynb) measures how much the order matters.
#
# ## 2. Detection, semantic segmentation, instance segmentation
#
# **What is the answer to one street picture?** Detection: a box and a class for each thing. Semantic segmentation: a
# class for each pixel. Instance segmentation: a class and a mask of its own for each thing.

# %% tags=["hide-input"]
scenes = load_scenes(recipe_of("detection-efficient"))
THING = "person" if scenes.classes == ("person",) else "object"
shown = next(scene for scene in scenes.test if ndimage.label(scene.pixels)[1] < len(scene.labels))
small = [part[::2, ::2] for part in (shown.picture, shown.pixels, shown.instances)]
detection_plots.three_tasks(small[0], shown.boxes / 2, *small[1:], THING)

# %% [markdown]
# **Often misread:** *"Segmentation tells the people apart."* The semantic kind does not: where two touch, the middle
# picture has one region. *"The paper does all three."* It reports detection (Table 8, [lesson
# 06_1](06_1_object_detection.ipynb)) and semantic segmentation (Table 9, [lesson
# 06_2](06_2_semantic_segmentation.ipynb)). *"Detection is used to raise the accuracy of classification."* The other way
# round: better classifiers become the beginning of detectors and segmenters (section 10).
#
# ## 3. Logits, softmax, nats
#
# **What does a network say, and what does it pay?** It says one number for each class, the logits z; softmax turns them
# into probabilities q; the loss is −log q of the right class, in nats, because the logarithm is the natural one.

# %%
z = torch.tensor([2.0, 1.0, -1.0])  # cat, dog, lorry; the picture shows a cat
q = z.exp() / z.exp().sum()
print("softmax:", ", ".join(f"{value:.3f}" for value in q))
print(f"loss: {-q[0].log():.4f} nats; PyTorch: {F.cross_entropy(z[None], torch.tensor([0])):.4f}")
print(f"all logits + 100: {F.cross_entropy(z[None] + 100, torch.tensor([0])):.4f}")
print(f"knowing nothing, 10 classes: log 10 = {math.log(10):.3f} nats")

# %% tags=["hide-input"]
sliders(
    background.logits_to_nats, cat=(-6.0, 6.0, 0.5), dog=(-6.0, 6.0, 0.5), lorry=(-6.0, 6.0, 0.5),
    goal="Leave the cat's logit at 0 or below, and bring the loss below 0.1 nats.",
    reached=lambda cat, dog, lorry: cat <= 0 and math.log(1 + math.exp(dog - cat) + math.exp(lorry - cat)) < 0.1,
    solution={"cat": 0.0, "dog": -4.0, "lorry": -4.0},
)

# %% [markdown]
# **Often misread:** *"Logits are probabilities that are not normalised yet."* No: exp z is; a logit may be negative,
# and 100 more on all of them changes nothing. Only differences count. *"A loss of 2.3 is a bad network."* With ten
# classes it is one that has learnt nothing yet: log 10. Most curves of the first picture begin near it. Used in [lesson
# 05_2](05_2_label_smoothing.ipynb).
#
# ## 4. Mini-batch SGD
#
# **How good is a gradient of a few pictures?** The mean gradient of b random pictures is the full one on average, and
# scatters around it with a variance of 1/b of a single picture's. Here are real gradients: of a linear classifier,
# before its first step, one for each of our pictures.

# %% tags=["hide-input"]
some, right = x[:2_000].flatten(1), F.one_hot(y[:2_000], len(dataset.classes))
g = ((1 / len(dataset.classes) - right)[:, :, None] * some[:, None]).flatten(1)  # softmax − target, times the input
along = F.normalize(g.mean(0), dim=0)
rest = g - g.mean(0)
rest = rest - (rest @ along)[:, None] * along
torch.manual_seed(0)
across = torch.svd_lowrank(rest, q=1, niter=4)[2][:, 0]
gradients = torch.stack([g @ along, rest @ across], dim=1).numpy()
SIZES = [2**k for k in range(11)]


def batches(b=16):
    return background.minibatch(gradients, b, caption=f"{len(g):,} images of {dataset.source}, in the two directions")


sliders(
    batches, b=SIZES,
    goal="Find a batch whose gradient scatters at most a tenth as far as that of one picture (spread, not variance).",
    reached=lambda b: b >= 100, solution={"b": 128},
)

# %% [markdown]
# **Often misread:** *"SGD takes one picture a step; mini-batch SGD is another method."* Today, and in the paper, "SGD"
# means mini-batches, of 256 or 1024 pictures. *"Ten times the batch, a tenth of the noise."* A tenth of the variance;
# the spread falls as 1/√b. *"So a larger batch trains better."* It makes fewer steps out of the same pictures; what to
# do then is [lesson 03_1](03_1_large_batch_training.ipynb).
#
# ## 5. Weight and bias
#
# **Why does no convolution in a ResNet have a bias?** A weight multiplies an input and a bias is added, and batch norm,
# which comes next, subtracts the mean over the batch, so whatever was added is gone. Measure it:

# %%
torch.manual_seed(0)
layer, norm = nn.Linear(5, 3).double(), nn.BatchNorm1d(3).double()
inputs, wanted, rows = torch.randn(64, 5).double(), torch.randn(64, 3).double(), []
for bias in (0.0, 1.0, 100.0):
    layer.bias.data.fill_(bias)
    output = norm(layer(inputs))
    of_weight, of_bias = torch.autograd.grad((output - wanted).square().mean(), [layer.weight, layer.bias])
    rows.append({"bias": bias, "first output": f"{output[0, 0]:.10f}", "largest gradient in a bias":
                 f"{of_bias.abs().max():.0e}", "in a weight": f"{of_weight.abs().max():.3f}"})
table(rows)

# %% [markdown]
# **Often misread:** *"Without a bias, a network overfits."* No: a bias is one more number to fit with. Without it, the
# layer's output at the input 0 is always 0, so it can fit less. Batch norm has a bias of its own, β, which comes
# *after* the mean is subtracted and does count. *"A weight says how important an input is."* Only for inputs of one
# scale: measure a car's way in kilometres instead of miles, and the weight shrinks by 1.6 while no prediction changes.
# Used in [lesson 04](04_model_tweaks.ipynb), whose convolutions have none.
#
# ## 6. Weight decay
#
# **What does weight decay do to a weight?** Before each step of SGD it multiplies it by 1 − ηλ, with η the learning
# rate and λ the decay; what the loss does not hold in place shrinks to 0. For plain SGD that is the same as ½λw² added
# to the loss:

# %%
w, loss_gradient, eta, lam = 2.0, 0.3, 0.1, 5e-4
print(f"shrunk, then stepped:     {(1 - eta * lam) * w - eta * loss_gradient:.6f}")
print(f"½λw² added to the loss:   {w - eta * (loss_gradient + lam * w):.6f}")

# %% [markdown]
# Three weights start at 1, where the loss ½ a (w − 1)² of each is lowest. Who gives way?

# %% tags=["hide-input"]
sliders(
    background.decayed, lr=(0.01, 1.0), weight_decay=(1e-5, 0.9),
    goal="With a learning rate of 0.1 or less: the weight with a = 0 below 0.01, the one with a = 1 above 0.95.",
    reached=lambda lr, weight_decay: (
        lr <= 0.1001 and (1 - lr * weight_decay) ** 10_000 < 0.01 and 1 / (1 + weight_decay) > 0.95),
    solution={"lr": 0.1, "weight_decay": 0.01},
)

# %% [markdown]
# **Often misread:** *"Decay makes a network smaller."* No: all weights stay, and are closer to 0. Nor has it to do with
# the number of hyper-parameters; it is one more. *"It goes for all parameters."* In the paper's efficient setting only
# for weights of convolutions and linear layers: not for biases, nor batch norm's γ and β. *"And that exemption is what
# prevents overfitting."* Look at its row in section 1. With momentum the two lines above are two methods:
# `torch.optim.SGD` is the second, it adds λw to the gradient before the momentum. In Adam they differ most, and the
# first is called AdamW. A weight *before a batch norm* can shrink without changing the output at all; what decay does
# there is in [lesson 03_1](03_1_large_batch_training.ipynb).
#
# ## 7. Reduced precision
#
# **Which numbers exist in 16 bits?** Fewer: a format with m mantissa bits has 2ᵐ numbers between 1 and 2, as many
# between 2 and 4, and so on, so the distance from a number to the next grows with the number. Of the two 16-bit
# formats, fp16 has m = 10 and bf16 has m = 7.

# %% tags=["hide-input"]
sliders(
    precision_plots.number_lines, value=(0.01, 60_000.0),
    goal="From where on can fp16 no longer count? Find an x where it skips every second whole number.",
    reached=lambda value: precision.FP16.spacing(value) >= 2, solution={"value": 3000.0},
)

# %% [markdown]
# **Often misread:** *"Half the bits, half the accuracy, which is then won back by training again."* That is another
# method, for networks that are trained already. In the paper the training itself multiplies in fp16, keeps the weights
# in fp32, and the accuracy stays about where it was (last row of section 1): *mixed* precision. *"bf16 is the more
# exact of the two."* It is the coarser one: 7 mantissa bits against 10. What it has is range. Used in [lesson
# 03_2](03_2_low_precision.ipynb).
#
# ## 8. Annealing
#
# **Why does a learning rate fall?** A large one gets near quickly and then shakes, a small one is calm and gets
# nowhere; annealing goes from the one to the other, as a smith lets hot metal cool slowly. Below is SGD in a noisy
# bowl, one direction 50 times as steep as the other, computed exactly.

# %% tags=["hide-input"]
def cooled(start=0.4, end_over_start=0.5):
    return background.annealed(start, end_over_start)


def end(rates):
    return background.bowl_loss(rates)[-1]


best = min((end([rate / 100] * background.STEPS), rate / 100) for rate in range(1, 101))
print("The best constant rate, {1}, ends at a loss of {0:.4f}.".format(*best))
sliders(
    cooled, start=(0.02, 1.0, 0.02), end_over_start=(0.0, 1.0, 0.02),
    goal="End at a loss below 0.005.",
    reached=lambda start, end_over_start: end(background.annealed_rates(start, end_over_start)) < 0.005,
    solution={"start": 0.4, "end_over_start": 0.02},
)

# %% [markdown]
# **Often misread:** *"Annealing is warm-up."* The opposite end of the run: warm-up raises the rate in the first epochs,
# annealing lowers it afterwards. *"It is simulated annealing."* That method accepts worse states by chance; here only
# the picture is borrowed, and the noise comes from the batches. *"Smaller is safer, so start small."* Drag *start* down
# and see. Steps or cosine: [lesson 05_1](05_1_cosine_decay.ipynb).
#
# ## 9. Stacking
#
# **What does the paper stack?** Tricks: it trains *one* network with all of them, and gets one network. Averaging the
# answers of several is an ensemble; training another model on their answers is *stacked generalisation*.

# %% tags=["hide-input"]
table([
    {"words": "stacking tricks (the paper)", "trained": "1 network, with all tricks", "asked at test time": "1 network",
     "multiply-adds a picture": "1 ×"},
    {"words": "ensemble of M", "trained": "M networks", "asked at test time": "M, their answers averaged",
     "multiply-adds a picture": "M ×"},
    {"words": "stacked generalisation", "trained": "M networks, and one more on their answers",
     "asked at test time": "M + 1", "multiply-adds a picture": "more than M ×"},
])

# %% [markdown]
# **Often misread:** *"The tricks are stacked: each model's predictions become training data of the next."* No: the
# table's last row is not in the paper. The nearest to it is distillation, where a teacher's answers are part of the
# targets (*Deeper*, below); at test time the student is alone. Adding up tricks: [lesson 07](07_conclusion.ipynb).
#
# ## 10. Transfer learning
#
# **How does a better classifier help a detector?** Its trained weights, without the last layer, become the beginning of
# the detector, which is then trained further on its own task. The paper's seven backbones, and what became of them (mAP
# and mIoU, in %, say how well boxes and pixels are found; lessons 06_1 and 06_2 compute them):

# %% tags=["hide-input"]
table([
    {"backbone": name, "ImageNet, top-1": voc["ImageNet_top1"], "detection, mAP": voc["mAP"],
     "segmentation, mIoU": ade["mIoU"]}
    for (name, voc), ade in zip(paper.table("8").items(), paper.table("9").values(), strict=True)
])

# %% [markdown]
# **Often misread:** *"The better the classifier, the better everything."* Detection rises from row to row, and
# segmentation is highest in the third row, with cosine decay alone. *"The detector keeps its VGG-19."* VGG-19 is what
# was replaced. *"Smoothing and mixup are used in training the detector."* Only in pretraining its backbone. Used in
# [lessons 06_1](06_1_object_detection.ipynb) and [06_2](06_2_semantic_segmentation.ipynb).
#
# ## 11. Why residual
#
# **What does the addition do?** VGG (2014) was a stack of 3 × 3 convolutions, 11 to 19 layers with weights, and depth
# paid. Stack more, and even the *training* loss gets worse: that is the first picture, and so it is no overfitting.
# ResNet (2015) lets each pair of layers compute a change F(x) and adds what came in:
#
# ```python
# x = relu(F(x))       # plain: to hand x on, F must learn to copy
# x = relu(x + F(x))   # residual: to hand x on, F must be 0
# ```
#
# That depth then *pays* takes longer than 120 steps: in the first picture 44 layers with the addition learn, and are
# not ahead of 8.
#
# *Residual* is what F has to learn: the difference of what is wanted and x. In the backward pass, the derivative of
# x + F(x) is 1 + F′(x): by way of the 1, the gradient reaches x whatever F is. Here is how much of it arrives at each
# layer of our networks before the first step. Switch batch norm, too:

# %% tags=["hide-input"]
def gradient_norms(kind, depth, batch_norm):
    model = fresh(depth, KINDS[kind], batch_norm)
    F.cross_entropy(model(x[:256]), y[:256]).backward()
    return [conv.weight.grad.norm().item() for conv in model.convs]


NORMS = {key: gradient_norms(*key) for key in ((k, d, b) for k in KINDS for d in DEPTHS for b in (True, False))}


def first_over_last(*key):
    return NORMS[key][0] / NORMS[key][-1]


def arriving(depth=44, batch_norm=True):
    about = f"before training · 256 images of {dataset.source} at 16 px · Xavier initialisation, one seed"
    return background.gradient_by_depth(NORMS, depth, batch_norm, caption=about)


sliders(
    arriving, depth=list(DEPTHS), batch_norm=True,
    goal="Find where the plain network's first layer gets less than a ten-thousandth of its last one's gradient.",
    reached=lambda depth, batch_norm: first_over_last("plain", depth, batch_norm) < 1e-4,
    solution={"depth": 44, "batch_norm": False},
)

# %% tags=["hide-input"]
print("gradient of the first layer over that of the last")
table([
    {"network": f"{kind}, {'with' if batch_norm else 'without'} batch norm",
     **{f"{depth} layers": f"{float(f'{first_over_last(kind, depth, batch_norm):.2g}'):g}" for depth in DEPTHS}}
    for batch_norm in (True, False) for kind in KINDS
])

# %% [markdown]
# **Often misread:** *"Residual connections are there because gradients vanish."* Without batch norm they do vanish in a
# deep plain network. With it, as in the first picture and in every ResNet, they do the opposite: the first layer's is
# the *largest*, by far. ResNet's authors also thought vanishing unlikely (He et al., arXiv:1512.03385, §4.1). What both
# plain cases share is that the sizes drift apart by a factor for each layer; with the addition they drift much less.
# *"A block learns the remaining error."* It learns the remaining *change of x*. *"With zero γ there is no
# back-propagation."* A block whose last γ is 0 hands x on, and the gradient passes by the 1; γ itself has a gradient in
# the first step already ([lesson 03_1](03_1_large_batch_training.ipynb) measures both). The block's own drawing, plain
# and with tweaks: [lesson 04](04_model_tweaks.ipynb).
#
# ## Quiz

# %% tags=["hide-input"]
quiz("Table 4 has a row “+ No bias decay”. What does its change tell?", {
    "What is lost when no bias decay alone is taken out of all tricks": (
        False, "That is leave-one-out. The row stands on three tricks and under one, and says what it added there."),
    "What no bias decay added to the three rows above it, in one run": (
        True, "It is a cumulative table. In another order the same trick may bring another number."),
    "That no bias decay raises accuracy, since each row is a trick that works": (
        False, "Its change is below zero at both batch sizes. A row is in the table because it was tried."),
})
quiz("Two people walk arm in arm. Which answer can say that they are two?", {
    "Semantic segmentation: it knows the class of every pixel": (
        False, "All pixels of both have the class person. Where they touch it is one region."),
    "Detection and instance segmentation": (
        True, "Both answer thing by thing, with a box or with a mask for each."),
    "Only instance segmentation, since boxes may overlap": (
        False, "Two boxes may overlap and are still two boxes."),
})
quiz("The batch grows from 256 to 1024. What happens to the mini-batch gradient?", {
    "Its mean and its variance both become a quarter": (
        False, "The mean over b pictures estimates the same full gradient for every b. Only the scatter shrinks."),
    "Its mean stays, its spread becomes a quarter": (
        False, "The variance becomes a quarter, and the spread is its square root: a half."),
    "Its mean stays, its spread becomes a half": (
        True, "The variance is V(1)/b, so a quarter of it, and half the spread."),
})
quiz("A convolution is followed by a batch norm. You give the convolution a bias. What changes in training?", {
    "Nothing: the mean that batch norm subtracts holds the bias as well": (
        True, "The output does not depend on it, so its gradient is 0 too, and section 5 measures both."),
    "The network overfits less": (
        False, "It has more parameters, and these ones do nothing. Bias and overfitting are no pair of opposites."),
    "The activation is shifted, so the ReLU lets more through": (
        False, "That is what batch norm's β does, which comes after the subtraction."),
})
quiz("“We show that stacking the tricks gives a higher accuracy.” What is stacked?", {
    "Models: the predictions of one are the training data of the next": (
        False, "That is stacked generalisation. In the paper there is one network to the end."),
    "Models: their answers are averaged": (
        False, "That is an ensemble, which costs M networks for every picture. The paper's has one."),
    "Changes to the training of one network, one added to the other": (
        True, "The result is one ResNet-50-D of 4.3 G multiply-adds, trained with everything."),
})
quiz("The paper trains in FP16. In which precision are the weights that the optimiser updates?", {
    "FP16: that is the point, it halves the memory": (
        False, "An update smaller than half the distance to the next FP16 number would be lost, and most soon are."),
    "FP32: a master copy, from which the FP16 weights are made for each step": (
        True, "Products, activations and gradients are FP16, the update is FP32, and so it is called mixed."),
    "FP32, and after training they are rounded to FP16 and trained again": (
        False, "That is compression of a trained network. Mixed precision is there in every step of one training."),
})
quiz("Zero γ sets γ = 0 in the last batch norm of each residual block. What happens in the first backward pass?", {
    "Nothing goes back, which is why training is stable": (
        False, "The addition lets the gradient by, with the factor 1, to all blocks and to the stem."),
    "The gradient goes by the addition; in the block, γ gets one and the weights before it get 0": (
        True, "After one step γ is no longer 0, and then the block's weights get a gradient as well."),
    "γ gets no gradient either, so the block stays switched off": (
        False, "The gradient in γ is a sum over the gradient times the normalised input, and neither of them is 0."),
})

# %% [markdown]
# ## Exercises
#
# **1. By hand** (5 minutes, easy). The loss in nats of a list of logits, for the right class `y`, with `math` alone. It
# must survive logits of 1000.

# %%
def nats(z, y):
    # solution
    top = max(z)
    return top + math.log(sum(math.exp(value - top) for value in z)) - z[y]


def by_torch(z, y):
    return F.cross_entropy(torch.tensor([z], dtype=torch.float64), torch.tensor([y])).item()


check("nats", nats, by_torch, [([2.0, 1.0, -1.0], 0), ([0.0] * 10, 3), ([1000.0, 990.0], 1)],
      hint="−log q of y is log Σ exp z − z[y]. exp(1000) is too large for a float: subtract the largest logit from all "
           "first, which changes no difference, and add it again after the logarithm.")

# %% [markdown]
# **2. By hand** (5 minutes, medium). A weight has no gradient. After how many steps of SGD with learning rate η and
# decay λ has it lost half of its size? A fraction is fine. With η = 0.1 and λ = 0.0001, as in the authors' scripts, how
# many epochs of 5,000 steps is that?

# %%
def half_life(eta, lam):
    # solution
    return math.log(0.5) / math.log(1 - eta * lam)


def left_after(eta, lam):
    steps = half_life(eta, lam)
    return None if steps is None else (1 - eta * lam) ** steps


check("half-life", left_after, lambda eta, lam: 0.5, [(0.1, 1e-4), (0.4, 1e-4), (0.1, 0.05)],
      hint="After n steps the weight is (1 − ηλ)ⁿ of what it was. Set that to ½ and take the logarithm of both sides.")

# %% [markdown]
# **3. Bug hunt** (10 minutes, medium). One step of SGD with weight decay for a linear classifier. It runs, the loss
# falls, and one line is wrong. Return its number and the line as it should be, as text: `return 1, "def ..."`. The
# check runs the step and compares it with `torch.optim.SGD`, which decays W and not b.

# %%
STEP = """\
def step(W, b, x, y, lr, decay):
    logits = x @ W + b
    q = logits.softmax(dim=1)
    loss = cross_entropy(q, y)
    in_W, in_b = grad(loss, [W, b])
    W = W - lr * (in_W + decay * W)
    b = b - lr * in_b
    return W, b
"""
print("\n".join(f"{number}  {line}" for number, line in enumerate(STEP.splitlines(), 1)))

# %%
def wrong_line():
    # solution
    return 4, "loss = cross_entropy(logits, y)"


# %% tags=["hide-input"]
def start(seed):
    stream = torch.Generator().manual_seed(seed)
    W, b = (torch.randn(*size, generator=stream).requires_grad_() for size in ((5, 3), (3,)))
    return W, b, torch.randn(16, 5, generator=stream), torch.randint(3, (16,), generator=stream)


def repaired(seed):
    answer = wrong_line()
    if answer is None:
        return None
    (number, line), lines = answer, STEP.splitlines()
    lines[number - 1] = ("    " if number > 1 else "") + line.strip()
    names = {"cross_entropy": F.cross_entropy, "grad": torch.autograd.grad, "torch": torch}
    exec("\n".join(lines), names)
    return [part.detach() for part in names["step"](*start(seed), 0.1, 0.01)]


def by_optimizer(seed):
    W, b, inputs, labels = start(seed)
    optimizer = torch.optim.SGD([{"params": [W], "weight_decay": 0.01}, {"params": [b]}], lr=0.1)
    F.cross_entropy(inputs @ W + b, labels).backward()
    optimizer.step()
    return [W.detach(), b.detach()]


check("bug hunt", repaired, by_optimizer, [0, 1],
      hint="Section 3: what does F.cross_entropy take, and what does it do with it first? Lines 6 and 7 are as in "
           "section 6.")

# %% [markdown]
# ## Deeper: where 44 layers begin
#
# **Why does the residual network of 44 layers begin above log 10?** Each addition adds a variance, so what reaches the
# head grows with the number of blocks. Zero γ, a trick of the paper, starts each block at x + 0. The loss of the first
# 256 pictures before any step:

# %% tags=["hide-input"]
def first_loss(depth, gamma):
    model = fresh(depth, residual=True)
    for last in model.norms[2::2]:
        nn.init.constant_(last.weight, gamma)
    return F.cross_entropy(model(x[:256]), y[:256]).item()


table([{"last γ of each block": gamma, **{f"{depth} layers": f"{first_loss(depth, gamma):.3f}" for depth in DEPTHS}}
       for gamma in (1.0, 0.0)])

# %% [markdown]
# **Often misread:** *"Zero γ is for all batch norms."* Only for the last one of each block; with zeros in all, no
# weight would ever learn ([appendix B](B_paper_vs_code.ipynb)). *"It must help, since the beginning is calmer."* What
# it does to accuracy is another question: [lesson 03_1](03_1_large_batch_training.ipynb).

# %% [markdown]
# ## Deeper: data augmentation
#
# **Where do more pictures come from?** From the same ones: each time a picture is used, it is cropped, mirrored and
# recoloured anew, in a way that leaves its label right. One picture, eight times, by the paper's six steps (§2.1):

# %% tags=["hide-input"]
stream, side = torch.Generator().manual_seed(1), pictures.shape[1]
index = torch.full((8,), int((y == y[0]).nonzero()[0]))
drawn = (augment.draw_boxes(8, side, stream), augment.draw_flips(8, stream), augment.draw_coefficients(8, stream),
         augment.draw_alphas(8, stream))
views = augment.paper(pictures, index, *drawn, side) * torch.tensor(augment.STD)[:, None, None]
views = (views + torch.tensor(augment.MEAN)[:, None, None]).clamp(0, 255).permute(0, 2, 3, 1) / 255
shown_views = [pictures[index[0]].numpy() / 255, *views[:7].numpy()]
preprocessing.images_grid(shown_views, ["original", *["drawn"] * 7], columns=8)

# %% [markdown]
# **Often misread:** *"It makes the data set larger."* An epoch has as many pictures and steps as before; what changes
# is which view of a picture is seen. Nor are there new labels. *"The test pictures are augmented too."* They get a
# fixed view: shorter side to 256 px, the middle 224 × 224. Used in [lesson 02](02_training_procedures.ipynb).

# %% [markdown]
# ## Deeper: distillation and smoothing, as targets
#
# **What is the student asked to say?** Not only the label but the teacher's probabilities, made softer by a
# temperature T: softmax(r/T) of its logits r. A picture of a cat, three classes, four targets:

# %%
r, cat = torch.tensor([[5.0, 3.0, -2.0]]), targets.one_hot(torch.tensor([0]), 3)
TARGETS = {"one-hot": cat, "smoothed, ε = 0.1": label_smoothing.smooth(cat, 0.1)}
TARGETS |= {f"teacher, T = {T}": (r / T).softmax(1) for T in (1, 4)}
table([{"target": name, **{c: f"{p:.3f}" for c, p in zip(background.CLASSES, row[0], strict=True)}}
       for name, row in TARGETS.items()])

# %% [markdown]
# **Often misread:** *"A smoothed target says that a cat is rather like a dog."* No: dog and lorry get the same. Only
# the teacher tells them apart. *"Distillation makes every student better."* In Table 6 it helps the ResNet and harms
# Inception-V3 and MobileNet. Used in [lessons 05_2](05_2_label_smoothing.ipynb) and
# [05_3](05_3_knowledge_distillation.ipynb).

# %% [markdown]
# ## Deeper: mixup
#
# **What is in a mixed picture?** Two training pictures, averaged with weights λ and 1 − λ, and their two targets,
# averaged with the same weights. This λ is not weight decay's.

# %%
pair = torch.stack([pictures[0], pictures[int((y != y[0]).nonzero()[0])]]).float() / 255
both, perm = targets.one_hot(torch.stack([y[0], y[y != y[0]][0]]), len(dataset.classes)), torch.tensor([1, 0])
mixes = {lam: mixup.mixup(pair, both, lam, perm) for lam in (1.0, 0.7, 0.5, 0.0)}
titles = [
    "\n".join(f"{share:.1f} {dataset.classes[k]}" for k, share in enumerate(target[0].tolist()) if share)
    for _, target in mixes.values()
]
show(mixup.mixup)
display(preprocessing.images_grid([image[0].numpy() for image, _ in mixes.values()], titles, columns=4))

# %% [markdown]
# **Often misread:** *"Mixed pictures are added to the training set."* They replace it: the network trains on nothing
# else. *"Like morphing, the result should look real."* Nothing is aligned, and it looks like a double exposure.
# *"Table 6 shows what mixup is worth."* Its mixup rows have 200 epochs, the others 120. Used in
# [lesson 05_4](05_4_mixup.ipynb).
#
# ## Conclusion
#
# - **Ablation:** one change a row. Ask to what it was added, and how many runs there are.
# - **Logits to nats:** only differences of logits count; a loss of log K means that nothing is learnt yet.
# - **Mini-batch:** the right gradient on average, with variance 1/b and spread 1/√b. A larger batch buys less noise
#   with fewer steps: count both before you change it.
# - **Bias, decay:** a bias before batch norm does nothing, leave it out. Decay is a factor 1 − ηλ a step; say for which
#   parameters it is meant.
# - **Precision, annealing:** multiply in 16 bits, update in 32. Let the rate fall towards the end, whatever the curve.
# - **Stacking, transfer:** the paper has one network. Better on ImageNet is better at detection there, and not always
#   at segmentation.
# - **Residual:** use the addition in anything deeper than a few layers. It keeps a block's default at "change nothing"
#   and the gradients of first and last layers within reach of each other; at 8 layers it hardly matters.
#
# ## For discussion
#
# 1. Would a learning rate of its own for each layer save the plain network of 44 layers? What would you have to measure
#    before you believe it?
# 2. Which of the misreadings above did you hold this morning, and what did you read that made you think so?
# 3. A colleague reports "+0.3 from trick X in our ablation". Which three questions do you ask?
