# %% [markdown]
# # 6.1 Object detection
#
# **A classifier says *what* is in a picture. How does it become a detector, which says *where*? And is a better
# classifier then a better detector?**

# %% tags=["hide-input"]
import math
import textwrap
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from scipy.optimize import brentq
from scipy.stats import spearmanr
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from tricks import metrics, recipe
from tricks.course.lesson import (
    compare_steps,
    conclusion,
    fine_tune,
    load_scenes,
    resolved,
    show,
    slide,
    sliders,
    table,
)
from tricks.course.questions import bug_hunt, check, predict, quiz
from tricks.models.resnet import parameter_count
from tricks.plots import detection as detection_plots
from tricks.plots import diagrams, evidence, segmentation, style
from tricks.records import paper, statistics
from tricks.studies.studies import arm, recipe_of, study
from tricks.transfer import backbone, detection, loop

DETECTION = recipe_of("detection-efficient")
scenes = load_scenes(DETECTION)
THING = "person" if scenes.classes == ("person",) else "object"

# %% tags=["hide-input"]
shown = next(scene for scene in scenes.test if ndimage.label(scene.pixels)[1] < len(scene.labels))
half = [part[::2, ::2] for part in (shown.picture, shown.pixels, shown.instances)]
detection_plots.three_tasks(half[0], shown.boxes / 2, *half[1:], THING)

# %% [markdown]
# Three tasks on one picture: the first test picture in which two people touch. *Detection* asks for a box, a class and
# a score for each thing. *Semantic segmentation* (lesson 6.2) asks for the class of each pixel, and what touches
# becomes one region. *Instance segmentation* asks for a mask for each thing; the paper does not report it.
#
# **Claim.** A detector is a classifier with its head off, which is then called the *backbone*, and the heads of a
# detector on, all of it trained a little longer. In the paper, seven classifiers of rising accuracy make seven
# detectors in the same order.
#
# After this lesson you can
# 1. compute IoU and average precision by hand, and say what they punish and what they do not see;
# 2. say what is kept and what is replaced when a classifier becomes a Faster R-CNN;
# 3. read Table 8: what differs between its rows and what does not;
# 4. say what a study on 34 test pictures can tell, and what it would take to tell more.
#
# *Time:* 30 minutes to read and drag, 20 more for the parts headed "Deeper", 30 for questions and exercises; 2 minutes
# of training on two CPU cores. *Paper:* §6.1, Table 8.
#
# ## Before you go on: predict
#
# Our detectors are fine-tuned on 136 street pictures of Penn-Fudan and tested on 34 others. One starts from a small
# ResNet that has learnt ten classes of ImageNet, among them a church, a fish and a petrol pump, and no person. The
# other starts from the same network with random weights. The score is mAP, mean average precision, from 0 to 100 %.
# How far ahead is the pretrained one?

# %%
guess = predict("mAP of the pretrained backbone minus that of the random one", low=-5, high=25, unit="points")

# %% [markdown]
# ## By hand: when is a box right?
#
# No box is exact. What counts is **IoU**, intersection over union: the area that two boxes share, over the area that
# at least one of them covers. Two boxes of 40 × 80 px, the second one 10 px further right:

# %%
first, second = (0, 0, 40, 80), (10, 0, 50, 80)  # left, top, right, bottom
intersection = (40 - 10) * 80
union = 40 * 80 + 40 * 80 - intersection
print(f"IoU = {intersection} / {union} = {intersection / union}")
assert box_iou(torch.tensor([first]), torch.tensor([second])) == intersection / union

# %% [markdown]
# A quarter of the width is gone and two fifths of the IoU. The usual threshold is 0.5. Drag the predicted box:

# %% tags=["hide-input"]
def overlap(across, down, scale):
    """IoU of the panel's two boxes, the second one moved and scaled around its middle."""
    left, top, right, bottom = detection_plots.TRUE_BOX
    x, y = scale * (right - left) / 2, scale * (bottom - top) / 2
    middle = np.array([(left + right) / 2 + across, (top + bottom) / 2 + down] * 2)
    return float(detection_plots.overlaps(middle + (-x, -y, x, y), detection_plots.TRUE_BOX)[0, 0])


def just_lost(across, down, scale):
    """Moved across alone, by the first whole pixel that is too much."""
    nearer = abs(across) - 1
    return down == 0 and scale == 1 and overlap(across, 0, 1) < 0.5 <= overlap(nearer, 0, 1)


sliders(
    detection_plots.two_boxes, across=(-50, 50), down=(-40, 40), scale=(0.5, 1.5, 0.05),
    goal="Moving it across only: which pixel is the first that is too far for a threshold of 0.5?",
    reached=just_lost, solution={"across": 14},
)

# %% [markdown]
# More than a third of its width is too far. The same distance *down* costs less, since a person is twice as high as
# wide. And a box in the right place that is 30 % too large in both directions has an IoU of 1/1.3² = 0.59: it counts as
# right.
#
# ## By hand: average precision of five boxes
#
# Four true boxes, and five predicted ones with their scores. The best score chooses first. A box is right if its IoU
# with a true box that is still free is at least 0.5. A second box on the same thing is a false alarm.

# %%
truth = np.array([(10, 10, 30, 50), (40, 10, 60, 50), (70, 10, 90, 50), (100, 10, 120, 50)])
boxes = np.array([(12, 10, 32, 50), (6, 16, 26, 56), (40, 14, 60, 54), (70, 10, 94, 50), (110, 10, 130, 50)])
scores = np.array([0.95, 0.85, 0.75, 0.60, 0.40])
detection_plots.five_boxes(boxes, scores, truth)

# %% tags=["hide-input"]
ious = box_iou(torch.from_numpy(boxes), torch.from_numpy(truth))
right, rows = [1, 0, 1, 1, 0], []  # read off the picture; the last one has IoU 1/3
for kept in range(1, 6):
    rows.append({"boxes kept": kept, "lowest score": scores[kept - 1], "largest IoU": float(ious[kept - 1].max()),
                 "right": "yes" if right[kept - 1] else "no", "precision": f"{sum(right[:kept])}/{kept}",
                 "recall": f"{sum(right[:kept])}/4"})
table(rows)
assert (detection_plots.matched(boxes, scores, truth) >= 0).tolist() == [bool(one) for one in right]

# %% [markdown]
# **Precision** is the share of the kept boxes that are right, **recall** the share of the true boxes that are found.
# Keep fewer boxes and precision tends to rise; keep more and recall does. Drag the threshold:

# %% tags=["hide-input"]
sliders(
    partial(detection_plots.ranking, scores, right, 4), threshold=(0.0, 1.0, 0.05),
    goal="Keep as many boxes as you can without a single false alarm. How many of the four are found?",
    reached=lambda threshold: (scores >= threshold).sum() == 1, solution={"threshold": 0.9},
)

# %% [markdown]
# One of four. A detector should not be judged at one threshold. **Average precision** (AP) is the area under the blue
# line on the right: at each recall, the highest precision at that recall or more. Mean AP, **mAP**, is its mean over
# the classes. Each data set has its own rule. COCO takes the mean at the recalls 0, 0.01, ..., 1 in place of the area.
# PASCAL VOC, the paper's, took 0, 0.1, ..., 1 in 2007, and the area itself from 2010 on. The line is 1 up to recall
# 1/4, then 3/4 up to recall 3/4, then 0:

# %%
area = 1 / 4 * 1 + (3 / 4 - 1 / 4) * 3 / 4
coco = (26 * 1 + 50 * 3 / 4 + 25 * 0) / 101  # recalls 0 to 0.25, 0.26 to 0.75, 0.76 to 1
voc_2007 = (3 * 1 + 5 * 3 / 4 + 3 * 0) / 11  # recalls 0 to 0.2, 0.3 to 0.7, 0.8 to 1
print(f"area {area:.4f}, COCO's 101 recalls {coco:.4f}, VOC 2007's 11 recalls {voc_2007:.4f}")

# %% tags=["hide-input"]
def as_tensors(boxes, scores=None):
    """What the metric takes for one picture with one class; true boxes have no scores."""
    values = {"boxes": torch.tensor(boxes).float(), "labels": torch.ones(len(boxes), dtype=torch.int64)}
    return values if scores is None else {**values, "scores": torch.tensor(scores)}


found = metrics.average_precision([as_tensors(boxes, scores)], [as_tensors(truth)])
assert abs(found["map_50"] / 100 - coco) < 1e-6 and abs(found["map_voc"] / 100 - voc_2007) < 1e-6
print(f"by torchmetrics: {found['map_50'] / 100:.4f} and {found['map_voc'] / 100:.4f}")

# %% [markdown]
# ## What is kept and what is replaced
#
# A classifier is a stem, four stages, a mean over all positions, and a linear layer. The detector keeps the stem and
# the stages with their trained weights. The mean, which forgets where something was, and the linear layer go. In
# their place come the parts of torchvision's Faster R-CNN:
#
# - a *feature pyramid* (FPN), which gives the maps of all four stages the same number of channels and lets the coarse
#   ones speak to the fine ones (the paper's text does not mention one; `fpn=False` takes ours out);
# - a *region proposal network* (RPN), which looks at many boxes of fixed sizes, the *anchors*, and says of each
#   whether there is something, and how the box should be moved;
# - *RoI align*, which cuts from the pyramid what lies inside a proposed region and brings it to one size;
# - a *box head*, which says which class is inside, or background, and corrects the box once more.
#
# Blue was trained before, orange is new. At each arrow stands the shape of what goes along it, for the picture above:

# %% tags=["hide-input"]
pretrained = replace(DETECTION, dataset=scenes.name)
classified = pretrained.backbone
torch.manual_seed(0)  # the new heads are random
detector = detection.build(pretrained, len(scenes.classes), backbone.backbone_for(pretrained, seed=0)).cpu().eval()
with torch.inference_mode():
    joined = diagrams.detector(detector, torch.from_numpy(shown.picture).permute(2, 0, 1)[None].float())
diagrams.diagram(joined, caption=diagrams.NOTATION)

# %%
show(detection.build)

# %% [markdown]
# All layers are trained, the old ones and the new heads, with one learning rate. The loss is the sum of torchvision's
# four: for anchors and for regions, each a class and a box. The loop is one for both tasks of section 6, and the task
# is one line in it:

# %% tags=["hide-input"]
show(loop.epochs, around="task.loss", context=1)

# %% [markdown]
# ## Live: from a classifier to a detector
#
# The pretrained backbone with new heads, for fewer epochs than the recorded runs have. Epoch 0 is the new heads before
# any training. What may come out? They know nothing yet, so the curve begins near 0 and should climb. Only the backbone
# has a past.

# %%
tuned = {"pretrained": fine_tune(pretrained, scenes)}

# %% tags=["hide-input"]
cut, few = tuned["pretrained"].recipe, tuned["pretrained"].parts.scenes
live_caption = f"live, 1 seed · {classified.net} · {len(few.train)} images × {cut.epochs} epochs · {scenes.source}"
start, *_, end = (row["map_50"] for row in tuned["pretrained"].rows)
print(f"mAP {start:.1f} % before, {end:.1f} % after {cut.epochs} epochs on {len(few.train)} pictures: "
      + ("a detector, from a network that had never seen a box." if end > start + 10
         else "in so short a run hardly anything. The recorded runs are longer."))

# %% [markdown]
# One run says how this seed went, and nothing about the next one. The same heads on a random backbone, and what both
# find in the pictures, are under "Deeper".
#
# ## Evidence
#
# The paper's rows differ in the backbone alone. Row 2 changes the architecture, from ResNet-50-B to D, and the
# training, to that of section 3, at once. Rows 3, 4 and 5 each add one trick to the row above. Row 6 has mixup in place
# of distillation, row 7 has both. What the two studies hold equal, and what they train on:

# %% tags=["hide-input"]
BACKBONES = [name.removeprefix("pretrain-") for name in study("pretrain").arms]
ROWS = dict(zip(BACKBONES, paper.table("8"), strict=True))  # our name of a backbone: the paper's row
table_8 = dict(zip(BACKBONES, paper.table("8").values(), strict=True))
CLASSIFIERS = {name: arm(f"pretrain-{name}") for name in ROWS}
ARMS = {name: arm(f"detection-{name}") for name in ("random", *ROWS)}
one = ARMS["efficient"][0]
PICTURES, EPOCHS, TESTED = one.meta["train_images"], one.recipe.epochs, one.meta["test_images"]
folds = sorted({len(runs) for runs in ARMS.values()})
table([
    {"": "backbones", "paper": "ResNet-50, ImageNet, 1.3 million pictures",
     "ours": f"{classified.net}, Imagenette, 9,469 pictures"},
    {"": "trained on", "paper": "PASCAL VOC 2007 and 2012, trainval: 16,551 pictures",
     "ours": f"Penn-Fudan: {PICTURES} pictures"},
    {"": "tested on", "paper": "VOC 2007, test: 4,952 pictures, 20 classes",
     "ours": f"{TESTED} pictures of the same set, 1 class"},
    {"": "repeated", "paper": "no: one run a row", "ours": f"{' to '.join(map(str, folds))} folds a row, one run each"},
    {"": "schedule", "paper": "linear warm-up and long schedule, as in Detectron",
     "ours": f"{EPOCHS} epochs, warm-up of {one.recipe.warmup_epochs:g}, {one.recipe.schedule}"},
])

# %% [markdown]
# The paper names Detectron and no numbers. In Detectron the warm-up is 500 steps, up from a third of the rate, and its
# longer published schedule ("2x", for COCO) has 180,000 steps of 16 pictures and divides the rate by 10 at 120,000 and
# at 160,000.
#
# Penn-Fudan has no test set of its own, so its 170 pictures are divided into five *folds*: seed k takes the backbone
# that was pretrained with seed k, trains on the other four folds and is tested on fold k. Folds differ in difficulty,
# by more than most tricks are worth. So arms are compared seed by seed, on the same fold.
#
# First your guess:

# %% tags=["hide-input", "hide-output"]
gained = statistics.compare(ARMS["efficient"], ARMS["random"], "map_50")
both_arms = statistics.caption([*ARMS["efficient"], *ARMS["random"]])
guess.reveal(gained, label="pretrained (row 2) − random", caption=both_arms)

# %% [markdown]
# Now the question. To the right: a better classifier. Up: how much better a detector than with row 1's backbone, ours
# as differences seed by seed.

# %% tags=["hide-input"]
LONGER = "the paper's mixup has 80 more epochs"
UNLIKE = {"efficient": "the paper's has a larger batch, too", "mixup": LONGER, "distill-mixup": LONGER}


def in_the_paper(new, old):
    """The paper's difference of two rows in mAP; it has no row with random weights."""
    return paper.effect("8", ROWS[new], ROWS[old], "mAP", unlike=UNLIKE.get(new, "")) if old in ROWS else None


ylabel = "mAP above row 1's, points"
papers = {name: ([table_8[name]["ImageNet_top1"]], [paper.delta("8", row, ROWS["standard"], "mAP")])
          for name, row in ROWS.items()}
ours = {name: ([run.accuracy for run in CLASSIFIERS[name]],
               statistics.compare(ARMS[name], ARMS["standard"], "map_50").differences) for name in ROWS}
panels = {"paper: ImageNet, PASCAL VOC": (ylabel, papers), "ours: Imagenette, Penn-Fudan": (ylabel, ours)}
runs = [run for name in ROWS for run in ARMS[name]]
fig = segmentation.classifier_and_task(panels, "top-1 accuracy of the classifier, %", caption=statistics.caption(runs))
bag = statistics.compare(ARMS["distill-mixup"], ARMS["standard"], "map_50")
bag_paper = in_the_paper("distill-mixup", "standard")
takeaway, numbers = statistics.headline(
    "For detection, the whole bag in pretraining", {f"on {len(bag.differences)} folds": bag}, bag_paper)
slide(fig, "06_1_classifier_and_detector", takeaway=takeaway, numbers=numbers, runs=runs)
fig

# %% [markdown]
# Left: each step to the right goes up. Right: look at the length of the intervals before you look at the dots. What
# they tell apart and what they do not:

# %% tags=["hide-input"]
STEPS = {  # what is compared with what; the first has no counterpart in the paper
    "pretrained (row 2) − random": ("efficient", "random"),
    "whole bag (row 7) − row 1": ("distill-mixup", "standard"),
    "D-efficient − B-standard": ("efficient", "standard"),
    "cosine − D-efficient": ("cosine", "efficient"),
    "smoothing − cosine": ("smooth", "cosine"),
    "distillation − smoothing": ("distill", "smooth"),
    "mixup − smoothing": ("mixup", "smooth"),
    "all four (row 7) − D-efficient": ("distill-mixup", "efficient"),
}
results = compare_steps(ARMS, STEPS, in_the_paper, "map_50")
print(textwrap.fill(resolved(results), 110))
halves = [found.half for found, effect in results.values() if effect]
print(f"Half-widths of the rows below the first: {min(halves):.1f} to {max(halves):.1f} points of mAP. "
      f"From the first to the last row of the paper's table it is {bag_paper.delta:.2f}.")
other = {"eleven recalls (VOC 2007)": "map_voc", "mean of IoU 0.5 to 0.95 (COCO)": "map"}
print("The whole bag by other definitions of mAP:")
for name, metric in other.items():
    print(f"    {name}: {statistics.compare(ARMS['distill-mixup'], ARMS['standard'], metric)}")

# %% [markdown]
# A null is not a zero: an interval as wide as the paper's whole table says nothing about its rows. Where 0 and the
# paper's number are both inside, the question is open. The last column says what it would take: so many pairs of runs
# with test folds like ours, for an effect of the paper's size to be seen in 80 of 100 studies (lesson
# [C](C_when_to_believe.ipynb)). It is rough, since a spread that is taken from so few folds may be off by a factor of
# two or more. And two of five folds share three quarters of their training pictures, so that our intervals are a little
# too narrow. Larger test sets help where the test pictures are the noise; a part of "Deeper" says how much. The paper's
# own rows are one run each, and nobody knows their noise.
#
# So, is a better classifier a better detector? In Table 8 it is, row by row. Here a pretrained backbone is better than
# a random one, and the whole bag's better than plain pretraining, on each of five folds, by about as much as in the
# paper. Do not lean on that too hard: its interval just clears 0, by VOC's eleven recalls it holds 0, and it is one of
# eight comparisons. No single step is resolved: do not choose between two neighbours of the table by these runs.
#
# ## Conclusion

# %% tags=["hide-input"]
conclusion(
    mechanism="""Stem and stages keep their trained weights; pyramid, region proposals and box head are new. All is
        trained on. AP is the area under precision against recall, over all thresholds at once.""",
    paper=f"""Each better classifier is a better detector: {bag_paper.delta:+.2f} points of mAP from row 1 to row 7. No
        trick is added to the detector. One run a row.""",
    short=f"""{' to '.join(map(str, folds))} folds, {TESTED} test pictures each, mAP. {resolved(results)}""",
    long=f"""Not recorded. All arms are fine-tuned for {EPOCHS} epochs on {PICTURES} pictures.""",
    use="""Annotated pictures are few: start from pretrained weights, and try those of the better recipe first. To
        choose among backbones, compare them on your own task, seed by seed on the same folds.""",
    harms=f"""You take ImageNet accuracy for the answer: in Table 9 the same seven networks stand in another order. You
        compare two mAPs of different definitions. You believe one fold of {TESTED} pictures.""",
)

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
quiz("Where in the detectors of Table 8 are label smoothing, distillation and mixup?", {
    "In the loss of the detector's box head": (
        False, "All seven detectors are trained in one way, with a detector's usual losses."),
    "In the pretraining of the backbone, and nowhere else": (
        True, "From row to row only the backbone and its past change. A part of Deeper lists all that differs."),
    "On top of the VGG-19 that Faster R-CNN comes with": (
        False, "VGG-19 is taken out. Each pretrained ResNet is put in its place."),
})
quiz("A detector has an mAP of 81 %. What does that say?", {
    "81 % of its boxes are right": (
        False, "That is precision at one threshold. mAP looks at all thresholds at once."),
    "It finds 81 % of the things": (False, "That is recall at one threshold, which rises as more boxes are kept."),
    "81 % of all decisions are right": (
        False, "There is no count of rightly rejected boxes, so mAP cannot be an accuracy."),
    "81 % of the area under precision against recall, on average over the classes": (
        True, "It is a property of the ranking. Which threshold to use, it does not say."),
})
quiz("Detector A has 45 mAP by COCO's definition, B has 75 mAP by VOC's, on the same pictures. Which is better?", {
    "B, by 30 points": (False, "VOC's counts boxes from IoU 0.5 on, COCO's is a mean over thresholds up to 0.95."),
    "A, since COCO's is harder": (False, "It is harder, but by how much depends on how tight the boxes are."),
    "It cannot be said": (
        True, "One and the same detector has very different values by the two. Deeper prints four of one run."),
})
quiz("A box with a score of 0.85 has an IoU of 0.6 with a person whom a box with 0.95 has found. What is it?", {
    "Right: its IoU is above 0.5": (False, "Each true box can be found once. The better score was first."),
    "A false alarm": (True, "A second box on one thing costs precision like a box on nothing."),
    "Not counted": (False, "Only things marked difficult in VOC are left out. Doubles count against the detector."),
})
quiz("A study compares two arms on few folds: +5 ± 8 points of mAP. What may you write?", {
    "The trick does nothing for detection": (
        False, "The interval holds 0 and also +13. A null is no proof that there is nothing."),
    "The trick brings 5 points": (False, "The same interval holds −3. Its middle is no result by itself."),
    "Not resolved. Between −3 and +13, and what it would take to know": (
        True, "Say the interval and the number of folds or pictures that would see the effect you care about."),
})
quiz("From row 1 to row 7 the mAP rises from 77.54 to 81.33. How much of it is smoothing, distillation and mixup?", {
    "3.79 points, all of it": (
        False, "Row 2 changes architecture and training at once (+0.76), and row 3 adds cosine decay (+0.93)."),
    "2.10 points, if one run a row is believed, and more epochs of mixup are part of it": (
        True, "81.33 − 79.23 = 2.10 from row 3 on. The rows with mixup had 200 epochs, the others 120."),
    "4 points, as the paper's text says": (False, "The text rounds 3.79 up, and that is the whole bag with network D."),
})

# %% [markdown]
# **Bug hunt** (5 minutes). This decides which boxes are right. It flatters every detector. Which line is wrong?

# %% tags=["hide-input"]
def each_is_found_once(names):
    twice = np.array([(0, 0, 10, 20), (1, 0, 11, 20)])
    found = names["matched"](twice, np.array([0.9, 0.8]), np.array([(0, 0, 10, 20), (50, 0, 60, 20)]))
    assert (found >= 0).sum() == 1, "two boxes on one thing, and both count as right"


bug_hunt(
    """
def matched(boxes, scores, truth, least=0.5):
    iou = overlaps(boxes, truth)  # (predicted, true)
    found = np.full(len(boxes), -1)
    for box in np.argsort(-scores):
        best = iou[box].argmax()
        if iou[box, best] >= least:
            found[box] = best
            iou[box, :] = -1  # taken
    return found
""",
    wrong="iou[box, :] = -1  # taken",
    right="iou[:, best] = -1  # taken",
    why="What is taken is the true box, a column. The line strikes out the predicted box, which is done anyway.",
    test=each_is_found_once,
    np=np,
    overlaps=detection_plots.overlaps,
)

# %% [markdown]
# ## Exercises
#
# **1.** (5 minutes, easy) How far may a box of this width be moved sideways before its IoU with where it was falls to
# t?

# %%
def may_be_moved(width, t):
    # solution
    return width * (1 - t) / (1 + t)

# %% tags=["hide-input"]
def measured_move(width, t):
    def iou(move):
        box = torch.tensor([[0.0, 0.0, width, 80.0]], dtype=torch.float64)
        return float(box_iou(box, box + torch.tensor([move, 0, move, 0])))

    return brentq(lambda move: iou(move) - t, 0, width)


check("largest move", may_be_moved, measured_move, [(40, 0.5), (40, 0.75), (10, 0.5)],
      hint="Moved by m, they share width − m and cover width + m. The height cancels.")

# %% [markdown]
# **2.** (10 minutes, medium) Write VOC 2007's AP, in percent. `right` says of each box, the best score first, whether
# it found something; `total` is the number of true boxes. The eleven recalls are 0, 0.1, ..., 1.

# %%
def eleven_recalls(right, total):
    # solution
    hits = np.cumsum(right)
    recall, precision = hits / total, hits / np.arange(1, len(hits) + 1)
    return 100 * sum(max(precision[recall >= step / 10], default=0) for step in range(11)) / 11

# %% tags=["hide-input"]
def measured_ap(right, total):
    there = np.array([(20 * number, 0, 20 * number + 10, 10) for number in range(total)])
    hits = np.cumsum(right) - 1  # the next true box, or a place with nothing in it
    said = np.array([there[hit] if one else (0, 100 + 20 * number, 10, 110 + 20 * number)
                     for number, (one, hit) in enumerate(zip(right, hits, strict=True))])
    ordered = np.linspace(0.9, 0.1, len(right))
    return metrics.average_precision([as_tensors(said, ordered)], [as_tensors(there)])["map_voc"]


check("VOC 2007's AP", eleven_recalls, measured_ap, [(right, 4), ([1, 1, 0, 1, 0, 0, 1], 5), ([0, 0, 1], 2)],
      hint="np.cumsum(right) over 1, 2, 3, ... is precision, over total recall. Then the largest precision from each "
           "recall on, and 0 where no box gets there.")

# %% [markdown]
# **3.** (8 minutes, predict–measure–explain; nothing is trained) The five boxes from above, changed in three ways: (a)
# all scores cubed; (b) one more false alarm, with score 0.01; (c) one more false alarm, with score 0.99. Write down for
# each whether the AP rises, falls or stays. Then return the three APs by COCO's 101 recalls, in percent, worked out by
# hand.

# %%
def three_changes():
    # solution
    unchanged = (26 + 50 * 3 / 4) / 101  # the order is the same, or what comes after the last hit
    first_is_wrong = 76 * 3 / 5 / 101  # precision 1/2, 2/4, 3/5 at the three hits: 3/5 is the highest up to 0.75
    return [100 * unchanged, 100 * unchanged, 100 * first_is_wrong]

# %% tags=["hide-input"]
def measured_changes():
    nowhere = np.array([(130, 60, 150, 100)])
    cases = [(boxes, scores**3)]
    cases += [(np.vstack([boxes, nowhere]), np.append(scores, score)) for score in (0.01, 0.99)]
    return [metrics.average_precision([as_tensors(*one)], [as_tensors(truth)])["map_50"] for one in cases]


check("AP after three changes", three_changes, measured_changes, [()],
      hint="AP sees the order of the scores and not their values. Where in the order is the new box?")

# %% [markdown] tags=["solution"]
# (a) stays: AP is a property of the ranking. (b) stays: below the last hit, a false alarm costs nothing, so a detector
# may put out as many boxes as it likes at the low end. (c) falls by 28 %: the same false alarm, at the top.

# %% [markdown]
# **4.** (5 minutes, medium) How many anchors does our detector look at in a picture of this height and width, both
# divisible by 32? The pyramid's maps have strides of 4, 8, 16, 32 and 64, the last one rounded up. Each place has three
# anchors.

# %%
def count_anchors(height, width):
    # solution
    return 3 * sum(math.ceil(height / stride) * math.ceil(width / stride) for stride in (4, 8, 16, 32, 64))

# %% tags=["hide-input"]
@torch.inference_mode()
def measured_anchors(height, width):
    x = torch.zeros(1, 3, height, width)
    maps = list(detector.backbone(x).values())
    return len(detector.rpn.anchor_generator(ImageList(x, [(height, width)]), maps)[0])


check("anchors", count_anchors, measured_anchors, [(160, 256), (192, 192), (320, 480)],
      hint="A map of stride s has height/s times width/s places. Add up the five maps.")

# %% [markdown]
# ## Deeper: the same heads on a random backbone
#
# Same first weights of the heads, same pictures, same order, same mirroring; only the backbone is at its random
# initialisation. One seed, and fewer epochs than the recorded runs have. What may come out? The study says ahead for
# the pretrained one; one short run on 34 pictures may say anything.

# %%
tuned["random"] = fine_tune(replace(pretrained, pretrained=False), scenes)

# %% tags=["hide-input"]
ahead = tuned["pretrained"].rows[-1]["map_50"] - tuned["random"].rows[-1]["map_50"]
print(f"pretrained − random, live, one seed: {ahead:+.1f} points. "
      + (f"Recorded, longer runs: {gained}." if ahead > 0 else
         f"That is not what the recorded, longer runs say ({gained}); on {len(few.test)} pictures one short run can."))

# %% [markdown]
# What does each find, and what does it see that is not there? Drag the threshold. With a low one, boxes pile up: of
# several boxes that fit one thing, the one with the best score has found it, and the others are false alarms. The
# pictures are the first six of the test fold in the archive's order; none was chosen. Some persons in Penn-Fudan have
# no mask: finding them counts as a false alarm, for all arms alike.

# %% tags=["hide-input"]
tuned = {name: tuned[name] for name in ("random", "pretrained")}
predictions = {name: [detection.predict(run.parts.model, scene) for scene in few.test] for name, run in tuned.items()}
predictions = {name: [(one["boxes"].cpu().numpy(), one["scores"].cpu().numpy()) for one in found]
               for name, found in predictions.items()}
if len(scenes.classes) > 1:
    print("The drawn scenes have three classes. This part and the next look at boxes and not at their classes.")
both = partial(
    detection_plots.boxes_side_by_side,
    [scene.picture[::2, ::2] for scene in few.test[:6]],
    [scene.boxes / 2 for scene in few.test[:6]],
    {name: [(boxes / 2, scores) for boxes, scores in found[:6]] for name, found in predictions.items()},
    caption=live_caption,
)
sliders(both, picture=(0, len(few.test[:6]) - 1), threshold=(0.05, 0.95, 0.05))

# %% [markdown]
# One threshold is not equally strict for two detectors, since their scores have no common scale; and a handful of
# pictures says less than 34. So do not judge the two by what you see here. All thresholds and all test pictures at once
# are one ranking, as with the five boxes. Here is the pretrained detector's:

# %% tags=["hide-input"]
TOTAL = sum(len(scene.boxes) for scene in few.test)
hits = {name: [detection_plots.matched(*one, scene.boxes) >= 0 for one, scene in zip(found, few.test, strict=True)]
        for name, found in predictions.items()}
ranked = np.concatenate([scores for _, scores in predictions["pretrained"]]), np.concatenate(hits["pretrained"])
sliders(partial(detection_plots.ranking, *ranked, TOTAL, caption=live_caption), threshold=(0.05, 0.95, 0.05))

# %% [markdown]
# What a threshold is worth depends on what a false alarm and a miss cost you. The area does not know that.
#
# "mAP" is four numbers, too. The live runs, by four definitions. The paper's column says mAP on VOC, and not at which
# recalls.

# %% tags=["hide-input"]
kinds = {"map_voc": "IoU 0.5, 11 recalls (VOC 2007)", "map_50": "IoU 0.5, 101 recalls",
         "map_75": "IoU 0.75, 101 recalls", "map": "mean of IoU 0.5 to 0.95 (COCO)"}
table([{"backbone": name, **{label: f"{run.rows[-1][key]:.1f} %" for key, label in kinds.items()}}
       for name, run in tuned.items()])

# %% [markdown]
# ## Deeper: all arms, step by step
#
# Intervals in this table hold the differences between folds as well; those of the paired comparisons below do not.

# %% tags=["hide-input"]
rows = []
for name, group in ARMS.items():
    rows.append({
        "backbone": ROWS.get(name, "random initialisation"),
        "paper: top-1": table_8.get(name, {}).get("ImageNet_top1", ""),
        "paper: mAP": table_8.get(name, {}).get("mAP", ""),
        "n": len(group),
        "ours: top-1": statistics.plus_minus([run.accuracy for run in CLASSIFIERS[name]], 1) if name in ROWS else "",
        "our mAP, IoU 0.5": statistics.plus_minus([run.final["map_50"] for run in group], 1),
        "11 recalls": statistics.plus_minus([run.final["map_voc"] for run in group], 1),
        "IoU 0.5 to 0.95": statistics.plus_minus([run.final["map"] for run in group], 1),
    })
table(rows)
everything = statistics.caption([run for group in ARMS.values() for run in group])
evidence.against_paper(results, unit="points of mAP", caption=everything)

# %% [markdown]
# Eight intervals at 95 %: if there were no effect at all, about one such table in three would still have an interval
# that excludes 0.
#
# Where on the curve do the arms differ, at the confident end or at the other? The precision at each recall, mean and
# range over the folds:

# %% tags=["hide-input"]
chosen = {"random": "random", "efficient": "D-efficient", "distill-mixup": "whole bag"}
drawn = {label: [run.final["precision"] for run in ARMS[name]] for name, label in chosen.items()}
of_chosen = statistics.caption([run for name in chosen for run in ARMS[name]])
detection_plots.precision_recall(drawn, caption=of_chosen)

# %% [markdown]
# This is all in which an arm of our study differs from the nearest one above it. Each key begins with `backbone`:
# nothing of the detector or of its training changes.

# %% tags=["hide-input"]
names = [f"detection-{name}" for name in ROWS]
for i, name in enumerate(names[1:], start=1):
    nearest = min(names[:i], key=lambda other: len(recipe.changes(recipe_of(name), recipe_of(other))))
    different = recipe.changes(recipe_of(name), recipe_of(nearest))
    print(f"{name} against {nearest}:\n    {', '.join(f'{key} = {value}' for key, value in different.items())}")
    assert all(key.startswith("backbone.") for key in different)

# %% [markdown]
# Is the order of classifiers that of detectors? In Table 8 it is. The same seven networks in the same paper stand in
# another order when they are asked for pixels. Agreement on one task is no law for the next:

# %% tags=["hide-input"]
for number, metric in (("8", "mAP"), ("9", "mIoU")):
    columns = [[row[key] for row in paper.table(number).values()] for key in ("ImageNet_top1", metric)]
    print(f"paper, Table {number}: rank correlation of top-1 and {metric} {spearmanr(*columns).statistic:+.2f}")

# %% [markdown]
# ## Deeper: what a number of test pictures can tell
#
# A fold has 34 pictures. How much of the noise is theirs? Take the two live detectors as they are, and draw the test
# pictures anew, with replacement, 400 times. Nothing is retrained, so what scatters is the choice of pictures alone,
# and it shrinks with the square root of their number.

# %% tags=["hide-input"]
def ap_of(name, pictures):
    """AP in percent over the test pictures with these numbers, each as often as it is there."""
    scores = np.concatenate([predictions[name][picture][1] for picture in pictures])
    total = sum(len(few.test[picture].boxes) for picture in pictures)
    path = detection_plots.path(scores, np.concatenate([hits[name][picture] for picture in pictures]), total)
    return 100 * float(detection_plots.envelope(*path[1:]).mean())


@style.styled
def by_pictures(here, half, effects):
    fig, ax = style.canvas(height=3.8, caption=f"{live_caption}; resampled pictures, scaled by 1/√n")
    sizes = np.geomspace(10, 20_000, 50)
    ax.loglog(sizes, half * np.sqrt(here / sizes), label="half-width of 95 %, from the choice of test pictures")
    named = {here: "one fold", 5 * here: "all our pictures", 4952: "VOC 2007 test"}
    for number, name in named.items():
        ax.plot(number, half * (here / number) ** 0.5, "o", color=style.COLOURS[0])
        ax.annotate(f"{name}: {number:,}", (number, half * (here / number) ** 0.5), (6, 6), textcoords="offset points")
    for place, (label, size) in enumerate(effects.items()):
        ax.axhline(size, color=style.COLOURS[1 + place], linestyle="--", linewidth=1.2, label=f"{label}: {size:.2f}")
    ax.set(xlabel="test pictures", ylabel="points of mAP")
    fig.legend(loc="outside upper left", ncols=2)
    return fig


stream = np.random.default_rng(0)
draws = [stream.integers(len(few.test), size=len(few.test)) for _ in range(400)]
apart = np.array([ap_of("pretrained", pictures) - ap_of("random", pictures) for pictures in draws])
low, high = np.quantile(apart, [0.025, 0.975])
print(f"pretrained − random on these {len(few.test)} pictures: {ahead:+.1f} points; "
      f"95 % of the draws lie between {low:+.1f} and {high:+.1f}")
effects = {"the paper's whole bag": bag_paper.delta, "its smallest step": min(
    abs(theirs.delta) for _, theirs in results.values() if theirs)}
by_pictures(len(few.test), (high - low) / 2, effects)

# %% [markdown]
# Where the blue line is above a dashed one, so many test pictures cannot see that effect, however many seeds are run on
# them. The training of a new seed adds noise of its own, which more test pictures do not remove. A study of the paper's
# size needs both: thousands of test pictures, and more than one run a row.

# %% [markdown]
# ## Deeper: how many boxes does it look at?
#
# One picture on its way through the new parts, before any of them has learnt anything:

# %% tags=["hide-input"]
classifier = backbone.backbone_for(pretrained, seed=0).cpu()
heads = detector.roi_heads
kept = dict(backbone.trunk(classifier).named_children())
new = {"feature pyramid": detector.backbone.fpn, "region proposals": detector.rpn.head, "box head": heads.box_head,
       "class and box of a region": heads.box_predictor}
table([{"part": name, "parameters": f"{parameter_count(part):,}", "": "kept"} for name, part in kept.items()]
      + [{"part": "linear head", "parameters": f"{parameter_count(classifier.head):,}", "": "dropped"}]
      + [{"part": name, "parameters": f"{parameter_count(part):,}", "": "new, random"} for name, part in new.items()])
with torch.inference_mode():
    picture = torch.from_numpy(shown.picture).permute(2, 0, 1).float()
    images, _ = detector.transform([picture])
    maps = list(detector.backbone(images.tensors).values())
    anchors = detector.rpn.anchor_generator(images, maps)[0]
    proposals = detector.rpn(images, dict(enumerate(maps)))[0][0]
height, width = images.tensors.shape[2:]
print(f"picture {picture.shape[2]} × {picture.shape[1]} px; the network sees {width} × {height} px")
for level, (side,) in zip(maps, detector.rpn.anchor_generator.sizes, strict=True):
    places = level.shape[2] * level.shape[3]
    print(f"   map of {level.shape[2]:2d} × {level.shape[3]:2d} places: {3 * places:5,} anchors, about {side} px")
print(f"{len(anchors):,} anchors, of which {len(proposals):,} go on to the box head, for {len(shown.boxes)} {THING}s")

# %% [markdown]
# The loss of one step, and the metric. It leaves the counting to torchmetrics; a perfect prediction scores 100 %, here
# the true boxes of all test pictures:

# %% tags=["hide-input"]
show(detection.loss)
show(metrics.average_precision)
everything = [as_tensors(scene.boxes) for scene in scenes.test]
perfect = [{**target, "scores": torch.ones(len(target["boxes"]))} for target in everything]
scored = metrics.average_precision(perfect, everything)
print(", ".join(f"{name} {scored[name]:.4f} %" for name in ("map", "map_50", "map_75", "map_voc")))
assert all(abs(scored[name] - 100) < 1e-4 for name in ("map", "map_50", "map_75", "map_voc"))

# %% [markdown]
# ## For discussion
#
# 1. VOC's mAP is at IoU 0.5. Which of the paper's tricks could find the same things with tighter boxes, and in which
#    number would one see it? What would you record besides `map_50`?
# 2. Two detectors have the same AP. One is to count visitors, the other is to stop a car. Which part of the curve
#    does each need, and what would you report in place of AP?
# 3. You have a week of one GPU and Table 8 in mind. More test pictures, more folds, more seeds or longer fine-tuning:
#    what do you buy first, and which comparison do you give up?
