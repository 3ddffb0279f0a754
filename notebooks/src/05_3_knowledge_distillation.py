# %% [markdown]
# # 5.3 Knowledge distillation
#
# **Claim.** A label names one class. A trained network, the *teacher*, gives every class a number, and its numbers say
# which of the wrong classes are near. Distillation adds a second term to the loss that pulls the student's answers,
# softened by a temperature T, to the teacher's. With the factor T² that term pulls about as hard at T = 20 as at
# T = 4, and for large T it asks for nothing but the teacher's own logits. Both are computed below. Whether the student
# gets better is a question for the records.
#
# After this lesson you can
# 1. write the paper's loss with a teacher (eq. 6) from memory, and compute it for three classes by hand;
# 2. say what T does to the teacher's answer, what T² does to the gradient, and what is left of both for large T;
# 3. recognise a distillation loss that lost its T² or was divided by the number of classes;
# 4. say for which networks a teacher helped in the paper, for which it did harm, and what it costs.
#
# *Time:* 30 minutes to read and drag, 2 minutes of training on two CPU cores. *Paper:* §5.3, eq. 6, §5.5, Table 6.

# %% tags=["hide-input"]
import math

import torch
import torch.nn.functional as F
from IPython.display import clear_output, display

from tricks import distillation, label_smoothing, metrics, recipe, targets, train
from tricks.course.lesson import live_run, load_data, short, show, show_loop, slide, sliders, table
from tricks.course.questions import check, predict
from tricks.models import resnet
from tricks.plots import diagrams, evidence, style
from tricks.plots import distillation as distillation_plots
from tricks.records import make, paper
from tricks.records.statistics import caption, compare, plus_minus, t_interval, value
from tricks.studies.studies import arm, recipe_of

SMOOTH, DISTILL = recipe_of("smoothing-0.1"), recipe_of("distill")
dataset = load_data()
K = len(dataset.classes)

# %% [markdown]
# ## The problem: a label says little
#
# All pictures of a class have the same label, the clear ones and the doubtful ones. Smoothing (5.2) changes the numbers
# in it, but again in the same way for all of them. We want targets that depend on the picture, and take them from a
# larger network. This one is trained here: resnet14, twice the blocks of the course's resnet8, on the small budget of
# live runs. The first time this takes up to a minute; then it is read from `data/cache`.

# %%
distilled = short(DISTILL, dataset.name)
teacher = make.teacher_for(distilled, dataset)
clear_output(wait=True)  # its epochs, which are printed only the first time

parts = make.prepare(short(SMOOTH, dataset.name), 0, dataset)  # a student without a teacher, not trained yet
r, labels = (part.cpu() for part in train.evaluate(teacher, parts.test_sample))
r = r.double()  # (2000, 10): the teacher's logits on a sample of the test pictures
print(f"{distilled.teacher}, {distilled.train_images:,} pictures × {distilled.epochs} epochs:", end=" ")
print(f"{metrics.accuracy(r, labels):.1f} % of {len(labels):,} test pictures right")

# %% [markdown]
# Sort those pictures by the teacher's confidence, and take the ones after 5 %, in the middle, and after 95 %. The
# orange bar is the right class, the dashed line is 1/K.

# %%
order = r.softmax(1).amax(1).argsort(descending=True)  # by the teacher's confidence
middle = len(order) // 2
three = order[[len(order) * 5 // 100, middle, len(order) * 95 // 100]]
pictures = parts.test_sample.images[three].cpu().numpy()


def at_temperature(temperature=4.0):
    return distillation_plots.soft_targets(pictures, r[three], labels[three].tolist(), dataset.classes, temperature)


at_temperature(1)

# %% [markdown]
# ### Before you go on: predict
#
# What a teacher (ResNet-152-D) added to the paper's ResNet-50-D on ImageNet is printed below. By how much will resnet14
# change the test accuracy of our resnet8 on CIFAR-10, also at T = 20? Set the slider and leave it there.

# %%
PLAIN, TAUGHT = "+ label smoothing", "+ distill w/o mixup"  # rows of Table 6
theirs = paper.effect("6", TAUGHT, PLAIN, "ResNet-50-D_top1")
print(f"paper, Table 6, means of the CVPR version: {theirs} points of top-1 accuracy")
guess = predict("Change in test accuracy", low=-5, high=5, unit="points")

# %% [markdown]
# ## By hand
#
# Let z be the student's logits, r the teacher's, p the target from the label, and ℓ(p, q) = −Σ p log q. The paper's
# loss is
#
# $$\ell\big(p, \mathrm{softmax}(z)\big) \;+\; T^2\, \ell\big(\mathrm{softmax}(r/T), \mathrm{softmax}(z/T)\big)
# \qquad\text{(eq. 6).}$$
#
# It is a plain sum: no mixing weight, no α. From a picture to the two terms, for the recorded runs of this lesson:

# %% tags=["hide-input"]
with torch.device("meta"):  # shapes only
    nets = {net: resnet.build(net, K, tweak_d=DISTILL.tweak_d).eval() for net in (DISTILL.net, DISTILL.teacher)}
    x = torch.empty(1, 3, DISTILL.image_size, DISTILL.image_size)
diagrams.diagram(diagrams.distillation(nets, x, DISTILL.temperature, DISTILL.distill_weight))

# %% [markdown]
# By hand: three classes, the first is right, T = 2:

# %%
T = 2.0
z, teachers, p = [2.0, 0.0, 1.0], [3.0, 2.0, -1.0], [1.0, 0.0, 0.0]


def softmax(logits):
    total = sum(math.exp(x) for x in logits)
    return [math.exp(x) / total for x in logits]


def cross_entropy(p, q):
    return -sum(a * math.log(b) for a, b in zip(p, q, strict=True) if a)


student_soft, teacher_soft = softmax([x / T for x in z]), softmax([x / T for x in teachers])
hard, soft = cross_entropy(p, softmax(z)), cross_entropy(teacher_soft, student_soft)
entropy = cross_entropy(teacher_soft, teacher_soft)
print("teacher, softened:", *(f"{x:.3f}" for x in teacher_soft), "  student:", *(f"{x:.3f}" for x in student_soft))
print(f"eq. 6: {hard:.4f} + {T:g}² · {soft:.4f} = {hard + T**2 * soft:.4f}")
print(f"of the soft term, T² · {entropy:.4f} = {T**2 * entropy:.4f} is the teacher's own entropy")

# %% [markdown]
# The teacher's entropy does not depend on z, so it has no gradient. The library leaves it out: cross-entropy minus
# entropy is the KL divergence, which is 0 when the student agrees with the teacher. Value differs, gradient does not:

# %%
show(distillation.distill_loss)
Z, R = torch.tensor([z], requires_grad=True), torch.tensor([teachers])
ours = distillation.distill_loss(Z, R, T)
papers = T**2 * targets.soft_cross_entropy(Z / T, (R / T).softmax(1))
print(f"library {ours.item():.4f}, paper {papers.item():.4f}, difference {papers.item() - ours.item():.4f}")
assert math.isclose(ours.item(), T**2 * (soft - entropy), rel_tol=1e-5)
assert math.isclose(papers.item() - ours.item(), T**2 * entropy, rel_tol=1e-5)
assert torch.allclose(*(torch.autograd.grad(loss, Z)[0] for loss in (ours, papers)))

# %% [markdown]
# PyTorch has the KL divergence as `kl_div`, with three traps. It wants the student's *log*-probabilities first and the
# teacher's probabilities second. T² is left to the caller. And the default, `reduction="mean"`, averages over the N · K
# entries instead of the N pictures, which makes the term K times too small; "batchmean" is the one that is meant.
# Here with real logits: the teacher's for eight pictures, against its own for eight others.

# %%
T, student, teachers = 4.0, r[8:16], r[:8]
pair = (student / T).log_softmax(1), (teachers / T).softmax(1)
batchmean = T**2 * F.kl_div(*pair, reduction="batchmean")
mean = T**2 * F.kl_div(*pair, reduction="none").mean()  # what the default gives, without its warning
ours = distillation.distill_loss(student, teachers, T)
print(f"T² · kl_div: batchmean {batchmean:.4f}, mean {mean:.4f}; distill_loss {ours:.4f}, ratio {ours / mean:.2f}")
assert torch.isclose(ours, batchmean) and torch.isclose(ours, K * mean)

# %% [markdown]
# ## In the training loop
#
# The teacher sees exactly what the student sees: the same crops and, with mixup, the same mixtures. It is asked without
# gradients. `distill_weight` is 1 in every run of this lesson, as in the paper.

# %%
show_loop("# distillation", context=7)

# %% [markdown]
# The paper's teacher is trained with the same refinements as its student, and one teacher serves all students (§5.5).
# Here too: the teacher's recipe is the student's on a larger net. `teacher_for` trains it once, with seed 0, and keeps
# its weights.

# %%
show(recipe.teacher_of)

# %% [markdown]
# ## Temperature
#
# Dividing all logits by T > 1 flattens the softmax: each ratio of two probabilities becomes its T-th root, and their
# order stays. Drag T. At which T do the three pictures begin to look alike?

# %%
sliders(at_temperature, temperature=(1, 50))

# %% [markdown]
# For those who read this without a kernel: T = 1 is at the top of the lesson, T = 4 above, and here is the paper's
# T = 20. Hardly anything is left of the difference between "certain" and "in doubt":

# %%
at_temperature(20)

# %% [markdown]
# The entropy of the teacher's answer, over the whole sample: the mean, and the range of the middle 90 % of the
# pictures. A label has entropy 0; a smoothed label has one number for all pictures; log K is the entropy of knowing
# nothing.

# %%
@style.styled
def entropies(temperatures):
    each = torch.stack([torch.special.entr((r / T).softmax(1)).sum(1) for T in temperatures])  # (temperatures, N)
    low, high = each.quantile(torch.tensor([0.05, 0.95], dtype=each.dtype), dim=1)
    smoothed = torch.special.entr(label_smoothing.smooth(targets.one_hot(labels[:1], K), 0.1)).sum()
    fig, ax = style.canvas()
    ax.fill_between(temperatures, low, high, color=style.COLOURS[0], alpha=0.2, label="90 % of the pictures")
    ax.semilogx(temperatures, each.mean(1), label="teacher, mean")
    ax.axhline(math.log(K), color=style.GREY, linestyle="--", label=f"log K = {math.log(K):.2f}")
    ax.axhline(smoothed, color=style.COLOURS[1], linestyle="--", label=f"smoothed label, ε = 0.1: {smoothed:.2f}")
    ax.set(xlabel="temperature T", ylabel="entropy, nats", xlim=(1, 50), ylim=(0, None), xticks=(1, 2, 4, 10, 20, 50))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.legend(loc="center right")
    return fig


entropies(torch.logspace(0, math.log10(50), 60, dtype=torch.float64))

# %% [markdown]
# ## Why T²
#
# The gradient of the softened cross-entropy in z is (softmax(z/T) − softmax(r/T)) / T, so with the factor
#
# $$\frac{\partial}{\partial z}\, T^2\, \ell\big(\mathrm{softmax}(r/T), \mathrm{softmax}(z/T)\big)
# = T\, \big(\mathrm{softmax}(z/T) - \mathrm{softmax}(r/T)\big).$$
#
# For large T, softmax(z/T) is (1 + (z − z̄)/T) / K up to terms in 1/T², where z̄ is the mean of the K logits. The ones
# cancel, the T cancels, and what remains is
#
# $$\frac{(z - \bar z) - (r - \bar r)}{K},$$
#
# the gradient of a squared error between the logits. Without T² the same thing is divided by T². To see how large that
# is on real logits we need a student: resnet8 after its first epoch, trained on labels only.

# %%
next(train.epochs(short(SMOOTH, dataset.name), parts))
z = train.evaluate(parts.model, parts.test_sample)[0].cpu().double()
print(f"student after one epoch: {metrics.accuracy(z, labels):.1f} %, teacher: {metrics.accuracy(r, labels):.1f} %")


def gradient(loss, z):
    """Gradient of a loss that is a mean over pictures, for each picture: (N, K)."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(len(z) * loss(z), z)[0]


TEMPERATURES = range(1, 101)
gradients = [gradient(lambda z, T=T: distillation.distill_loss(z, r, T), z) for T in TEMPERATURES]
gradients = torch.stack(gradients)  # (100, N, K)
for T, exact in zip(TEMPERATURES, gradients, strict=True):
    assert torch.allclose(exact, T * ((z / T).softmax(1) - (r / T).softmax(1)))
difference = z - r
limit = (difference - difference.mean(1, keepdim=True)) / K
off = [(gradients[T - 1] - limit).norm(dim=1).mean() / limit.norm(dim=1).mean() for T in (1, 4, 20, 100)]
print("distance from the limit at T = 1, 4, 20, 100:", *(f"{x:.0%}" for x in off))

# %% [markdown]
# On the left the picture from the middle. A positive gradient lowers the logit, a negative one raises it; diamonds mark
# the limit. On the right the mean size over all pictures, on logarithmic axes; the dashed line is the gradient of the
# labels' term, (softmax(z) − p), which T does not touch.

# %%
smoothed = label_smoothing.smooth(targets.one_hot(labels, K), SMOOTH.label_smoothing).double()
hard_gradient = gradient(lambda z: targets.soft_cross_entropy(z, smoothed), z)
shown = order.roll(-middle)  # all pictures, the one from the middle first
hard_norm = float(hard_gradient.norm(dim=1).mean())


def pull(temperature=4):
    first = (TEMPERATURES, gradients[:, shown], limit[shown], dataset.classes, temperature)
    return distillation_plots.soft_gradient(*first, hard=hard_norm)


sliders(pull, temperature=(1, 100))

# %% [markdown]
# At T = 1 and at T = 20:

# %%
display(pull(1), pull(20))

# %% [markdown]
# So T² does not make the term large; it keeps it from vanishing. And once T is well above the spread of the logits, a
# larger T changes nothing more: T = 20 and T = 100 are nearly the same loss, half the squared distance between the
# centred logits, divided by K.

# %%
squared_error = K * limit.square().sum(1).mean() / 2
for T in (4, 20, 100, 1_000):
    soft_term = distillation.distill_loss(z, r, T)
    print(f"T = {T:>5,}: soft term {soft_term:.4f}, squared error of the logits {squared_error:.4f}")
assert torch.isclose(distillation.distill_loss(z, r, 1_000), squared_error, rtol=0.02)

# %% [markdown]
# ## How much of the pull is the teacher's?
#
# Eq. 6 adds the two terms as they are, so the logits decide who is heard. Below, the mean size of both gradients for
# a student that knows nothing (all logits 0) and for the one above. The cosine says how far the two pull in one
# direction: 1 is the same direction.

# %%
rows = []
for name, logits in {"all logits 0": torch.zeros_like(z), "after one epoch": z}.items():
    from_labels = gradient(lambda z: targets.soft_cross_entropy(z, smoothed), logits)
    for T in (1, 4, 20):
        from_teacher = gradient(lambda z, T=T: distillation.distill_loss(z, r, T), logits)
        sizes = [float(part.norm(dim=1).mean()) for part in (from_labels, from_teacher)]
        rows.append({"student": name, "T": T, "labels' term": sizes[0], "soft term with T²": sizes[1],
                     "without T²": sizes[1] / T**2, "teacher : labels": f"{sizes[1] / sizes[0]:.2f} : 1",
                     "cosine": float(F.cosine_similarity(from_labels, from_teacher).mean())})
table(rows)

# %% [markdown]
# At T = 1 both gradients are differences of probabilities, which bounds them. At large T there is no such bound: a
# teacher whose logits are spread twice as far pulls twice as hard on a student whose logits are 0. How far they are
# spread depends on how the teacher was trained, with smoothing or without.
#
# ## What it costs
#
# A training step is one forward and one backward pass; a backward pass costs about two forward ones. The teacher adds
# one forward pass of its own. In multiply-adds per picture:

# %%
rows = []
with torch.device("meta"):  # shapes only
    ours = [resnet.build(net, 10, tweak_d=True) for net in (DISTILL.net, DISTILL.teacher)]
    papers = [resnet.build(net, 1000, tweak_b=True, tweak_c=True, tweak_d=True) for net in ("resnet50", "resnet152")]
for name, nets, side in (("ours: resnet8, resnet14", ours, 32), ("paper: ResNet-50-D, ResNet-152-D", papers, 224)):
    student, larger = (resnet.multiply_adds(net, side) for net in nets)
    rows.append({"student, teacher": name, "student forward, M": f"{student / 1e6:,.0f}",
                 "teacher forward, M": f"{larger / 1e6:,.0f}",
                 "step with a teacher": f"{(3 * student + larger) / (3 * student):.2f} × a step without"})
table(rows)

# %% [markdown]
# This is without the training of the teacher, which is paid once. At inference the student costs what it did.
#
# ## Does it help? The teacher first
#
# The recorded students were taught by a resnet14 that was trained on the same 10,000 images with the same recipe. How
# much better is a larger net? These runs were made to choose the teacher, with seed 0 and on 5,000 *held-out training
# images*, so their numbers do not belong beside test accuracies. The resnet8 in the first line had no smoothing.

# %%
held_out = {"resnet8": "pilot-lr-0.4", "resnet14": "pilot-teacher-resnet14", "resnet20": "pilot-teacher-resnet20"}
for net, name in held_out.items():
    run = arm(name)[0]
    print(f"{net:<9} {run.accuracy:.2f} % held out, mean logit gap {value(run, 'gap.mean'):.2f}, "
          f"ε = {run.recipe.label_smoothing}")
print(caption([arm(name)[0] for name in held_out.values()]))

# %% [markdown]
# ## Accuracy against temperature
#
# Every dot is a student; the dashed line is the mean of the same seeds without a teacher. All of them were taught by
# one teacher, so the intervals hold the luck of the students but not the luck of that teacher.

# %%
TEMPERATURE_ARMS = {1: "distill-1", 2: "distill-2", 4: "distill-4", 10: "distill-10", 20: "distill"}
alone = arm("smoothing-0.1")
taught = {T: arm(name) for T, name in TEMPERATURE_ARMS.items()}
common = set.intersection(*({run.seed for run in runs} for runs in (alone, *taught.values())))  # seeds
same = {T: [run for run in runs if run.seed in common] for T, runs in taught.items()}
same_alone = [run for run in alone if run.seed in common]
everything = [run for runs in same.values() for run in runs]
level = t_interval([run.accuracy for run in same_alone])[0]
accuracies = [[run.accuracy for run in runs] for runs in same.values()]
fig = evidence.response(list(same), accuracies, "temperature T", "test accuracy, %",
               reference={"no teacher": level}, caption=caption(same_alone + everything))
takeaway = f"Distillation, T = 20: {compare(same[20], same_alone)}; paper {theirs}"
slide(fig, "05_3_accuracy_against_temperature", takeaway=takeaway, runs=same_alone + everything)
fig

# %%
for T, runs in same.items():
    print(f"T = {T:>2} against no teacher: {compare(runs, same_alone)}")

# %% [markdown]
# Two terms make a longer gradient than one. Could a larger learning rate do the same without a teacher? The learning
# rate of all these runs was chosen on held-out training images, without a teacher, without smoothing and with seed 0.
# Compare the one in use with the next larger:

# %%
for lr in (0.1, 0.2, 0.4, 0.8):
    run = arm(f"pilot-lr-{lr}")[0]
    print(f"learning rate {lr}: {run.accuracy:.2f} % held out" + (", the one in use" if lr == SMOOTH.lr else ""))

# %% [markdown]
# ## Confidence
#
# The soft term has no interest in the labels. It passes on the teacher's confidence, right or wrong. NLL and ECE are as
# in 5.2 (lower is better for both); the gap is the largest logit minus the mean of the others. In the diagram, a curve
# above the diagonal claims too little, one below it too much.

# %%
DIGITS = {"accuracy, %": ("accuracy", 2), "NLL, nats": ("nll", 3), "ECE": ("ece", 3), "logit gap": ("gap.mean", 2)}
table([
    {"": name, **{column: plus_minus([value(run, metric) for run in runs], digits)
                  for column, (metric, digits) in DIGITS.items()}}
    for name, runs in {"no teacher": same_alone, **{f"T = {T}": runs for T, runs in same.items()}}.items()
])
for metric, unit in (("nll", "nats"), ("ece", "")):
    for T, runs in same.items():
        print(f"{metric.upper()}, T = {T:>2} against no teacher: {compare(runs, same_alone, metric, unit)}")

# %%
three_arms = {"no teacher": same_alone, "T = 1": same[1], "T = 20": same[20]}
evidence.reliability(three_arms, caption=caption([run for runs in three_arms.values() for run in runs]))

# %% [markdown]
# ## Beside the paper
#
# The paper's T is 20, so it is our T = 20 that stands beside it, here with all of its recorded seeds.

# %%
ours = compare(taught[20], alone)
display(evidence.against_paper({"distillation, T = 20": (ours, theirs)}, caption=caption(alone + taught[20])))
table([
    {"paper, Table 6, points": net,
     "teacher, no mixup": f"{paper.delta('6', TAUGHT, PLAIN, f'{net}_top1'):+.2f}",
     "teacher, both with mixup": f"{paper.delta('6', '+ distill w/ mixup', '+ mixup w/o distill', f'{net}_top1'):+.2f}"}
    for net in ("ResNet-50-D", "Inception-V3", "MobileNet")
])
print(f"paper, ResNet-50-D, means of several runs in the CVPR version: {theirs} points")
print(f"ours, resnet8 taught by resnet14, T = 20: {ours}")
print(f"verdict against ResNet-50-D: {ours.against(theirs)}")
guess.reveal(ours)

# %% [markdown]
# The teacher is a ResNet for all three of the paper's students, and only the ResNet gains from it. The authors suspect
# that a teacher of another family answers in a way that does not suit the student. They did not try a teacher from the
# student's own family for the other two, so the table cannot tell family from size: MobileNet is also the smallest
# student. Ours are of one family.
#
# When the size of our difference is not the paper's, think of two things. Their student has 120 epochs on 1.3 million
# pictures to learn from labels; ours has 12 epochs on 10,000, so more may be left for a teacher to say. And their
# teacher had a long training too; ours has seen as few pictures as its student, as few times.
#
# ## Live
#
# One short run with the teacher from the top of this lesson, T = 20. It is smaller than the recorded ones and is not
# mixed with them. The loss drawn includes the soft term, so it compares with no loss of 5.2.

# %%
cut, parts, rows = live_run(DISTILL, dataset)
z = train.evaluate(parts.model, parts.test_sample)[0].cpu().double()
agree = 100 * (z.argmax(1) == r.argmax(1)).double().mean()
print(f"teacher {metrics.accuracy(r, labels):.1f} % right, student {metrics.accuracy(z, labels):.1f} %,", end=" ")
print(f"they answer alike on {agree:.1f} % of {len(z):,} test pictures")
print(f"soft term at T = 20: {distillation.distill_loss(z, r, 20):.3f} nats", end=", ")
print(f"for a student with all logits 0: {distillation.distill_loss(torch.zeros_like(z), r, 20):.3f}")

# %% [markdown]
# ## Soft targets are not label smoothing
#
# Both flatten the target. A smoothed label gives all wrong classes the same probability; the teacher does not. Each row
# below is the mean target over the test pictures of a class; the right class is left white.

# %%
@style.styled
def mean_targets(panels):
    fig, axes = style.canvas(len(panels), height=4.2, sharey=True)
    masked = {name: rows.masked_fill(torch.eye(K, dtype=torch.bool), math.nan) for name, rows in panels.items()}
    top = max(float(rows.nan_to_num().max()) for rows in masked.values())
    for ax, (name, rows) in zip(axes, masked.items(), strict=True):
        picture = ax.imshow(rows, cmap="Blues", vmin=0, vmax=top)
        ax.set(title=name, xlabel="class in the target", xticks=range(K), yticks=range(K))
        ax.set_xticklabels(dataset.classes, rotation=90)
        ax.grid(visible=False)
    axes[0].set(ylabel="class of the picture", yticklabels=dataset.classes)
    fig.colorbar(picture, ax=axes, label="mean probability", shrink=0.7)
    return fig


def by_class(rows):
    return torch.stack([rows[labels == k].mean(0) for k in range(K)])


KINDS = {"label smoothing, ε = 0.1": smoothed, "teacher, T = 4": (r / 4).softmax(1)}
mean_targets({name: by_class(kind) for name, kind in KINDS.items()})

# %%
for name, kind in {**KINDS, "teacher, T = 20": (r / 20).softmax(1)}.items():
    wrong = kind[targets.one_hot(labels, K) == 0].view(-1, K - 1)
    ratio = (wrong.amax(1) / wrong.amin(1)).median()
    entropy = torch.special.entr(kind).sum(1)
    print(f"{name:<25} largest : smallest wrong class {ratio:5.2f} (median picture);", end=" ")
    print(f"entropy {entropy.mean():.2f} ± {entropy.std(correction=0):.2f} nats over pictures")

# %% [markdown]
# ## Misreadings
#
# - *"Distillation helps."* In the paper a ResNet-152-D helped ResNet-50-D and did harm to Inception-V3 and MobileNet:
#   the table above has the numbers. Places365's best model in the paper (Table 7) was trained without it.
# - *"The loss mixes the two terms with an α."* Eq. 6 has none. The authors' published code has ½ before *both* terms,
#   so its gradient is half the paper's and weight decay counts for twice as much beside it (exercise 3).
# - *"A high temperature makes the teacher count for less."* Without T², yes. With it, its pull tends to a limit that
#   depends on the logits alone.
# - *"Soft targets are smoothed labels."* A smoothed label has one entropy for all pictures and no order among the wrong
#   classes. The teacher's answer has an entropy of its own for each picture and puts the wrong classes in an order; and
#   it can be wrong.
# - *"The teacher is a ResNet-152."* §5.3 takes it as an example; the one behind Table 6 is a ResNet-152-D (§5.5).
#
# ## Exercises
#
# **1.** Write the gradient of eq. 6, both terms, in the student's logits z (N, K), one row per picture. `p` (N, K) is
# the target from the labels.

# %%
def total_gradient(z, r, p, T):
    # solution
    return z.softmax(1) - p + T * ((z / T).softmax(1) - (r / T).softmax(1))


def by_autograd(z, r, p, T):
    return gradient(lambda z: targets.soft_cross_entropy(z, p) + distillation.distill_loss(z, r, T), z)


check("gradient of eq. 6", total_gradient, by_autograd, [(z[:5], r[:5], smoothed[:5], T) for T in (1.0, 4.0, 20.0)])

# %% [markdown]
# **2.** A colleague's soft term is `kl_div(log_softmax(z / T), softmax(r / T))`, with PyTorch's default reduction and
# nothing before it. By which number must it be multiplied to be that of eq. 6, for K classes?

# %%
def missing_factor(T, K):
    # solution
    return K * T**2


def measured_factor(T, K):
    a, b = torch.randn(2, 16, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = F.kl_div((a / T).log_softmax(1), (b / T).softmax(1), reduction="none").mean()
    return distillation.distill_loss(a, b, T) / mean


check("missing factor", missing_factor, measured_factor, [(1.0, 10), (20.0, 10), (20.0, 1000)])

# %% [markdown]
# **3.** The authors' code has w · hard + (1 − w) · T² · soft, with w = ½ by default. Ours has hard + `distill_weight` ·
# T² · soft. Which `distill_weight`, and which factor on the learning rate, give the same SGD step without weight decay?
# Return both.

# %%
def same_step(w):
    # solution
    return (1 - w) / w, w


def step(w):
    """The step that your answer takes, where theirs is w · hard + (1 − w) · soft."""
    answer = same_step(w)
    if answer is None:
        return None
    distill_weight, factor = answer
    return factor * (hard_gradient + distill_weight * gradients[19])


check("same step", step, lambda w: w * hard_gradient + (1 - w) * gradients[19], [0.5, 0.1, 0.9])

# %% [markdown]
# ## Summary
#
# - Eq. 6 is the loss on the labels plus T² times the cross-entropy of the softened answers, as a plain sum. The library
#   writes the second as a KL divergence: the same gradient, and 0 when both agree.
# - T² cancels the 1/T² by which softening shrinks the gradient. For large T the term is a squared error between centred
#   logits, and T no longer matters.
# - Soft targets differ from picture to picture and among the wrong classes; smoothed labels do not.
# - The teacher costs one forward pass a step. What it changed for our students, at five temperatures, is printed above;
#   in the paper the accuracy rose for one network of three.
#
# ## For discussion
#
# 1. Our teacher was trained with smoothing, as the paper's was. Smoothing pulls all wrong logits to one value. What
#    does that take from the teacher's answer, and would you train the teacher without it?
# 2. The paper's MobileNet loses from a ResNet-152-D. Which two runs would tell whether the family or the size is to
#    blame?
# 3. Would the student learn from a teacher of its own size, or from an earlier copy of itself? What could it get from
#    there that is not in the labels? (`teacher="resnet8"` in the recipe is all that it takes to try.)
# 4. At large T, a teacher with twice the logits pulls twice as hard on a student that knows nothing. Should the loss
#    correct for that?
