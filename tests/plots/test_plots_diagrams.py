"""Diagrams: what stands in them is what the modules are and do, and every word has its place."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from matplotlib.patches import FancyBboxPatch
from torch import nn

from tricks import parameters
from tricks.models.resnet import build, conv
from tricks.plots import diagrams
from tricks.plots.diagrams import Box, Diagram
from tricks.plots.export import on_a_slide
from tricks.recipe import Transfer
from tricks.transfer import detection, segmentation

TWEAKS = {"plain": {}, "B": {"tweak_b": True}, "C": {"tweak_b": True, "tweak_c": True}, "D alone": {"tweak_d": True}}
ALL = {"tweak_b": True, "tweak_c": True, "tweak_d": True}
TRANSFER = Transfer(pretrained=False)


def picture(side=32, wide=0):
    return torch.rand(1, 3, side, wide or side, generator=torch.Generator().manual_seed(0))


def network(net, side, **tweaks):
    with torch.device("meta"):  # shapes only
        return diagrams.network(build(net, 1000, **tweaks).eval(), torch.empty(1, 3, side, side))


def block(net="bottleneck14-pool", side=64, read=0.25, **tweaks):
    with torch.device("meta"):
        model = build(net, 10, **tweaks).eval()
        return diagrams.block(model, torch.empty(1, 3, side, side), {"path A": read, "path B": 1.0})


def distilled(temperature=20.0, weight=1.0, classes=10):
    nets = {net: build(net, classes).eval() for net in ("resnet8", "resnet14")}
    return diagrams.distillation(nets, picture(), temperature, weight)


def detector(recipe=TRANSFER, net="bottleneck14-pool", classes=1):
    with torch.inference_mode():
        return diagrams.detector(detection.build(recipe, classes, build(net, 10, **ALL)).eval(), picture(160, 213))


def segmenter(classes=1, net="bottleneck14-pool"):
    return diagrams.segmenter(segmentation.build(TRANSFER, classes, build(net, 10, **ALL)).eval(), picture(160))


def trained(zero=True, steps=0):
    """resnet8 after some steps, with the gradients of the next one."""
    torch.manual_seed(0)
    net = build("resnet8", 10)
    if zero:
        parameters.zero_last_gamma_(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.rand(8, 3, 32, 32)
    for step in range(steps + 1):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), torch.arange(8)).backward()
        if step < steps:
            optimizer.step()
    return net


def gradients(**how):
    net = trained(**how)
    return diagrams.gradient_path(net.stages[0][0], net.stem)


MADE = {
    "resnet50": cache(lambda: network("resnet50", 224)),
    "resnet8": cache(lambda: network("resnet8", 32)),
    "resnet50-D": cache(lambda: network("resnet50", 224, **ALL)),
    "distillation": cache(distilled),
    "detector": cache(detector),
    "segmenter": cache(segmenter),
    "segmenter, many classes": cache(lambda: segmenter(150)),
    "zero gamma": cache(gradients),
    "zero gamma, a step later": cache(lambda: gradients(steps=1)),
}


def plot_of(make):
    def plot(*, caption=""):
        return diagrams.diagram(make(), caption=caption)

    return plot


PLOTS = {f"diagram, {name}": plot_of(make) for name, make in MADE.items()}
REDRAWN = {"diagram": (diagrams.diagram, (MADE["resnet50"](),), (MADE["resnet8"](),), (MADE["resnet8"](),))}
WITHOUT_AXES = set(PLOTS)
BLOCKS = {f"block, {name}": cache(lambda tweaks=tweaks: block(**tweaks)) for name, tweaks in TWEAKS.items()}
BLOCKS["of resnet50"] = cache(lambda: block("resnet50", 224, 1.0, **ALL))
BLOCKS["of resnet8"] = cache(lambda: block("resnet8", 32))


@pytest.fixture(params=[*MADE, *BLOCKS])
def made(request) -> Diagram:
    return {**MADE, **BLOCKS}[request.param]()


def test_words_stand_in_their_frames_and_those_at_arrows_in_none(made):
    fig = diagrams.diagram(made)
    for where in ("screen", "slide"):
        if where == "slide":
            with on_a_slide(fig):
                check_places(fig, made)
        else:
            fig.png(100)
            check_places(fig, made)


def check_places(fig, made):
    ax, renderer = fig.axes[0], fig.canvas.get_renderer()
    frames = [patch.get_window_extent(renderer) for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    texts = [text for text in ax.texts if text.get_text()]
    assert len(texts) == len(made.boxes) + sum(bool(arrow.words) for arrow in made.arrows)
    framed = {box.words for box in made.boxes.values() if box.colour}
    for text in texts:
        box = text.get_window_extent(renderer)
        around = [frame for frame in frames if frame.overlaps(box.padded(-1))]
        if text.get_text() in framed:
            assert len(around) == 1 and around[0].x0 < box.x0 and box.x1 < around[0].x1, text
            assert around[0].y0 <= box.y0 and box.y1 <= around[0].y1, text
        else:
            assert not around, text
    for i, frame in enumerate(frames):
        assert not any(frame.overlaps(other) for other in frames[:i])


def test_no_arrow_passes_through_a_box_or_words(made):
    for arrow in made.arrows:
        line = np.linspace(*diagrams.ends(made.boxes[arrow.start], made.boxes[arrow.end]), 100)
        for name, box in made.boxes.items():
            if name not in (arrow.start, arrow.end):
                x, y = np.abs(line - (box.x, box.y)).T
                assert not ((x < box.width / 2) & (y < box.height / 2)).any(), (arrow, name)


def test_an_arrow_is_upright_or_level_where_it_can_be():
    wide, low, high, right = Box(2, 0, 4, 0.2, ""), Box(1, 2, 1, 0.2, ""), Box(3, 4, 1, 2, ""), Box(6, 3.5, 1, 0.2, "")
    assert diagrams.ends(wide, low) == ((1, 0.1), (1, 1.9))
    assert diagrams.ends(low, wide) == ((1, 1.9), (1, 0.1))
    assert diagrams.ends(high, right) == ((3.5, 3.5), (5.5, 3.5))
    assert diagrams.ends(low, right) == ((1.5, 2), (5.5, 3.5))


def test_all_of_it_is_said(made):
    said = diagrams.diagram(made, caption="made up").alt
    assert said.startswith("Diagram. ") and said.endswith("made up") and "\n" not in said
    for box in made.boxes.values():
        assert " ".join(box.words.split("\n")) in said
    for arrow in made.arrows:
        assert arrow.words.replace("\n", " × ") in said
    assert said.count("where nothing passes") == sum(arrow.dashed for arrow in made.arrows)


def at(made, start, end):
    """What stands at an arrow."""
    return next(arrow.words for arrow in made.arrows if (arrow.start, arrow.end) == (start, end))


@pytest.mark.parametrize("net, side", [("resnet8", 32), ("bottleneck14-pool", 64)])
def test_shapes_are_those_of_a_forward_pass(net, side):
    model = build(net, 10).eval()
    made = diagrams.network(model, picture(side))
    x, names = picture(side), ["picture", "stem", *(f"stages.{i}" for i in range(len(model.stages))), "output"]
    for part, (start, end) in zip((None, model.stem, *model.stages), zip(names, names[1:], strict=False), strict=True):
        x = part(x) if part else x
        assert at(made, start, end) == "\n".join((str(x.shape[1]), f"{x.shape[2]}×{x.shape[3]}"))


def test_the_papers_figure_1():
    boxes = MADE["resnet50"]().boxes
    assert boxes["stem"].words.split("\n")[:3] == ["stem", "7×7 / 2", "3×3 max / 2"]
    assert [boxes[f"stages.{i}"].words.split("\n")[1] for i in range(4)] == [f"{n} blocks" for n in (3, 4, 6, 3)]
    assert at(MADE["resnet50"](), "stages.3", "output") == "2048\n7×7"
    assert boxes["output"].words.endswith("\n2.0 M")  # 2048 · 1000 + 1000
    assert boxes["blocks 0"].words == "one block\npath A: 1×1, 3×3, 1×1\nstrides 2, 1, 1\npath B: 1×1 / 2"
    assert boxes["blocks 1"].words.startswith("3 blocks") and boxes["blocks 1"].words.endswith("the input itself")


def test_a_network_that_is_changed_is_drawn_as_it_is():
    model = build("resnet8", 10).eval()
    model.stem[0] = conv(3, 32, 5, 1)
    block = model.stages[1][0]
    block.conv1.stride = block.shortcut.conv.stride = (4, 4)
    made = diagrams.network(model, picture())
    assert made.boxes["stem"].words == f"stem\n5×5 / 1\n{3 * 32 * 25 + 64:,}"
    assert "stride 4" in made.boxes["stages.1"].words
    assert [at(made, *pair) for pair in (("stem", "stages.0"), ("stages.1", "stages.2"))] == ["32\n32×32", "64\n8×8"]
    assert made.boxes["blocks 0"].words.endswith("strides 4, 1\npath B: 1×1 / 4")


def layers_of(made, path):
    """The words of the boxes from a path's first to its last."""
    words, here = [], path
    while here not in ("sum", "stem"):
        words.append(made.boxes[here].words)
        here = next(arrow.end for arrow in made.arrows if arrow.start == here)
    return words[1:]


def test_a_blocks_paths_are_those_of_figure_2():
    plain, b, c, d = (BLOCKS[f"block, {name}"]() for name in TWEAKS)
    assert layers_of(plain, "path A") == ["1×1, 32, stride 2", "3×3, 32, stride 1", "1×1, 128, stride 1"]
    assert layers_of(b, "path A") == ["1×1, 32, stride 1", "3×3, 32, stride 2", "1×1, 128, stride 1"]
    assert layers_of(plain, "path B") == layers_of(b, "path B") == ["1×1, 128, stride 2"]
    assert layers_of(d, "path B") == ["2×2 mean, stride 2", "1×1, 128, stride 1"]
    assert layers_of(plain, "picture") == ["7×7, 16, stride 2", "3×3 max, stride 2"]
    threes = ["3×3, 8, stride 2", "3×3, 8, stride 1", "3×3, 16, stride 1"]
    assert layers_of(c, "picture") == [*threes, "3×3 max, stride 2"]
    assert plain.boxes["path A"].words == "path A reads 25 %" and plain.boxes["path B"].words == "path B reads 100 %"
    assert [plain.boxes[f"path {path}"].colour for path in "AB"] == [diagrams.NEW, diagrams.KEPT]


def test_a_block_that_is_changed_is_drawn_as_it_is():
    model = build("bottleneck14-pool", 10).eval()
    block = model.stages[1][0]
    block.conv2, block.bn2, block.conv3 = conv(32, 48, 5, 1), nn.BatchNorm2d(48), conv(48, 128, 1)
    made = diagrams.block(model, picture(96), {"path A": 0.5, "path B": 0.5})
    assert layers_of(made, "path A")[1:] == ["5×5, 48, stride 1", "1×1, 128, stride 1"]
    x = model.stages[0](model.stem(picture(96)))
    x = block.conv2(block.conv1(x))
    assert at(made, "stages.1.0.conv2", "stages.1.0.conv3") == " × ".join(map(str, x.shape[1:])) == "48 × 12 × 12"


def test_teacher_and_student_have_their_own_sizes_and_t_squared_is_that_of_the_recipe():
    boxes = distilled(temperature=4.0, weight=0.5, classes=7).boxes
    assert boxes["× T²"].words == "weight 0.5 · T²\n= 8" and boxes["× 1"].words == "weight 1"
    assert "T = 4" in boxes["soft z"].words and "T = 4" in boxes["soft r"].words and "T" not in boxes["hard z"].words
    assert boxes["z"].words == "z: 7\nlogits"
    for kind, net in (("student", "resnet8"), ("teacher", "resnet14")):
        numbers = sum(parameter.numel() for parameter in build(net, 7).parameters())
        assert f"{net}\n{numbers:,} numbers" in boxes[kind].words


def test_a_detectors_maps_and_heads_are_its_own():
    recipe = replace(TRANSFER, head_width=24)
    made = detector(recipe, classes=5)
    with torch.inference_mode():
        model = detection.build(recipe, 5, build("bottleneck14-pool", 10, **ALL)).eval()
        seen = model.transform([picture(160, 213)[0]])[0].tensors
        maps = list(model.backbone(seen).values())
    assert at(made, "picture", "backbone.body.stem") == f"3\n{seen.shape[2]}×{seen.shape[3]}" != "3\n160×213"
    drawn = [made.boxes[str(i)].words for i in range(4)]
    assert drawn == [f"FPN: 24\n{m.shape[2]}×{m.shape[3]}" for m in maps[:4]]
    assert made.boxes["proposals"].words == "RPN: 3 anchors a place, also on a map of {}×{}".format(*maps[4].shape[2:])
    assert at(made, "pool", "head") == "24 × 7 × 7" and at(made, "head", "out") == "96"
    assert made.boxes["out"].words == "6 classes, 24 numbers for boxes"
    assert {box.colour for name, box in made.boxes.items() if name.startswith("backbone")} == {diagrams.KEPT}
    assert made.boxes["proposals"].colour == made.boxes["0"].colour == diagrams.NEW


def test_a_segmenters_strides_dilation_and_head_are_its_own():
    made = segmenter(classes=4)
    apart = [box.words for name, box in made.boxes.items() if name.startswith("Map of")]
    assert apart == [f"{n} px apart" for n in (4, 4, 8, 8, 8)]
    assert "dilation 2" in made.boxes["backbone.stage4"].words
    assert at(made, "backbone.stage4", "classifier.0") == "512\n20×20"
    assert at(made, "classifier.4", "wider") == "5\n20×20" and at(made, "wider", "out") == "5\n160×160"
    assert (
        made.boxes["wider"].words == "interpolation\n× 8" and made.boxes["classifier.4"].words == f"1×1 / 1\n{5 * 129}"
    )
    dense = segmentation.build(TRANSFER, 4, build("bottleneck14-pool", 10, **ALL)).eval()
    dense.backbone.stem[-1] = nn.Identity()  # no max pooling: all maps are twice as large
    made = diagrams.segmenter(dense, picture(160))
    assert made.boxes["wider"].words == "interpolation\n× 4" and made.boxes["Map of stage 4"].words == "4 px apart"


def test_a_gradient_is_drawn_where_the_parameters_have_one():
    made = gradients()
    dashed = {(arrow.start, arrow.end) for arrow in made.arrows if arrow.dashed}
    assert dashed == {("bn2", "conv2"), ("conv2", "bn1"), ("bn1", "conv1"), ("conv1", "below")}
    assert "bn2\nγ = 0\n" in made.boxes["bn2"].words and "the block its path B" in made.boxes["The other way"].words
    block = trained().stages[0][0]
    assert made.boxes["bn2"].words.endswith(f"{torch.cat([block.bn2.weight.grad, block.bn2.bias.grad]).norm():.2g}")
    assert torch.equal(block.conv2.weight.grad, torch.zeros_like(block.conv2.weight))
    for made in (gradients(steps=1), gradients(zero=False)):
        assert not any(arrow.dashed for arrow in made.arrows)
        assert made.boxes["The other way"].words == "Forward: path A counts"


def test_a_forward_pass_for_shapes_leaves_the_model_as_it_was():
    model = build("resnet8", 10).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    diagrams.network(model, picture())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
