"""Diagrams of networks (Fig. 1, Fig. 2, eq. 6, §3.1, §6): boxes and arrows as data, and one function that draws them.

What stands in a box is read from the modules themselves, what stands at an arrow from a forward pass through them. So
the functions that make a `Diagram` take models, in eval mode for the pass to change nothing, and pictures (1, 3, H, W).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise, zip_longest
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

from tricks.plots.style import COLOURS, GREY, INK, SIZE, SMALL, Figure, canvas, styled, with_redraw

HEIGHT = 3.3  # inches, as on a slide
KEPT, NEW = COLOURS[:2]
BLOCK = 5.2  # inches across of `block`, which leaves room for a map
COLUMN = 1.6  # inches across of its boxes
TOP = 2.55  # where the row of stages stands
NOTATION = "3×3 / 2: kernel and stride. Last line of a box: its parameters. At an arrow: channels above height × width"


class Box(NamedTuple):
    """Words in a frame with its centre at (x, y); all in inches from the lower left corner. No colour: no frame."""

    x: float
    y: float
    width: float
    height: float
    words: str
    colour: str = GREY


class Arrow(NamedTuple):
    """From box to box, by their names, with words beside it; dashed for what does not pass."""

    start: str
    end: str
    words: str = ""
    dashed: bool = False


KEY = {
    "One colour": Box(6.28, 0.2, 1.1, 0.3, "blue: kept", KEPT),
    "The other": Box(7.42, 0.2, 1.1, 0.3, "orange: new", NEW),
}


class Diagram(NamedTuple):
    """Boxes by name, and the arrows between them."""

    boxes: dict[str, Box]
    arrows: list[Arrow]

    @property
    def words(self) -> str:
        """All of it, for those who do not see it."""
        said = {name: " ".join(box.words.split("\n")) for name, box in self.boxes.items()}
        joined = {name for arrow in self.arrows for name in (arrow.start, arrow.end)}
        steps = [f"{name}: {words}" for name, words in said.items() if name not in joined]
        for start, end, words, dashed in self.arrows:
            what = ", where nothing passes" if dashed else words and ": " + words.replace("\n", " × ")
            steps.append(f"From [{said[start]}] to [{said[end]}]{what}")
        return ". ".join(steps)


@styled
def diagram(what: Diagram, *, caption: str = "") -> Figure:
    """The boxes and arrows of a `Diagram`. `redraw(what)` takes another one, and remembers those it had."""
    fig, ax = canvas(height=HEIGHT + 0.3 * bool(caption), caption=caption)
    return with_redraw(fig, drawn_in(ax), what)


def drawn_in(ax: Axes, width: float = SIZE[0]) -> Callable[[Diagram], None]:
    """A function that shows one diagram after the other in these axes, and says it in the figure's alt text."""
    ax.set(xlim=(0, width), ylim=(0, HEIGHT))
    ax.axis("off")
    known: list[tuple[Diagram, list[Artist]]] = []

    def redraw(what: Diagram) -> None:
        if all(what != other for other, _ in known):
            known.append((what, artists(ax, what)))
        for other, parts in known:
            for part in parts:
                part.set_visible(what == other)
        fig: Any = ax.get_figure()
        fig.words = what.words

    return redraw


def artists(ax: Axes, what: Diagram) -> list[Artist]:
    """Draw a diagram; returns what it is made of."""
    moving: Any = {"animated": True, "in_layout": False}
    words: Any = {"ha": "center", "va": "center", "fontsize": SMALL, "color": INK, "linespacing": 1.15, **moving}
    parts: list[Artist] = []
    for box in what.boxes.values():
        if box.colour:
            corner = (box.x - box.width / 2, box.y - box.height / 2)
            pale = tuple(0.9 + 0.1 * part for part in to_rgb(box.colour))
            frame: Any = {"facecolor": pale, "edgecolor": box.colour, "linewidth": 1.5, **moving}
            shape = FancyBboxPatch(corner, box.width, box.height, "round,pad=0,rounding_size=0.06", **frame)
            parts.append(ax.add_patch(shape))
        parts.append(ax.text(box.x, box.y, box.words, **words))
    for arrow in what.arrows:
        (x, y), (to_x, to_y) = ends(what.boxes[arrow.start], what.boxes[arrow.end])
        line: Any = {"arrowstyle": "-|>", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}
        line |= {"color": GREY, "linestyle": (0, (2, 2))} if arrow.dashed else {"color": INK}
        parts.append(ax.annotate("", (to_x, to_y), xytext=(x, y), arrowprops=line, **moving))
        if x == to_x:  # beside its beginning, where its neighbours have their words too
            lines = arrow.words.count("\n") + 1
            at, beside = (x + 0.08, y - min((y - to_y) / 2, 0.155 * lines)), {"ha": "left"}
        else:
            at, beside = ((x + to_x) / 2, (y + to_y) / 2 + 0.04), {"va": "bottom"}
        parts.append(ax.text(*at, arrow.words, **{**words, **beside}))
    return parts


def ends(start: Box, end: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves and arrives: upright or level where it can be, at the smaller box's middle."""
    if 2 * abs(start.x - end.x) < max(start.width, end.width):
        x, side = min(start, end, key=lambda box: box.width).x, 1 if end.y > start.y else -1
        return (x, start.y + side * start.height / 2), (x, end.y - side * end.height / 2)
    level, side = 2 * abs(start.y - end.y) < max(start.height, end.height), 1 if end.x > start.x else -1
    y, to_y = [min(start, end, key=lambda box: box.height).y] * 2 if level else (start.y, end.y)
    return (start.x + side * start.width / 2, y), (end.x - side * end.width / 2, to_y)


# What is read from modules


def shapes(model: Any, *inputs: Any) -> dict[str, Any]:
    """Name of each module -> the shape of what it puts out, without the batch; or key -> shape, if that is a dict."""

    def note(name: str) -> Callable[..., None]:
        return lambda module, given, out: found.update({name: shape_of(out)})

    def shape_of(out: Any) -> Any:
        if hasattr(out, "items"):
            return {key: shape_of(part) for key, part in out.items()}
        return tuple(out.shape[1:]) if hasattr(out, "shape") else None

    found: dict[str, Any] = {}
    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def stacked(shape: Sequence[int]) -> str:
    """Channels above height × width, where there is little room."""
    return f"{shape[0]}\n{'×'.join(map(str, shape[1:]))}"


def count(module: Any) -> str:
    """How many numbers it learns."""
    number = sum(parameter.numel() for parameter in module.parameters())
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number:,}"


def layers(module: Any) -> list[Any]:
    """Its convolutions and poolings, in order."""
    return [layer for layer in module.modules() if hasattr(layer, "kernel_size")]


def path_a(block: Any) -> list[Any]:
    """A block's convolutions but for those of its shortcut."""
    return [layer for layer in block.children() if hasattr(layer, "kernel_size")]


def first(value: Any) -> int:
    return value[0] if isinstance(value, tuple) else value


def sized(layer: Any) -> str:
    """Its kernel, and where it is a pooling, of which kind."""
    kind = "" if hasattr(layer, "out_channels") else " max" if "Max" in type(layer).__name__ else " mean"
    return f"{first(layer.kernel_size)}×{first(layer.kernel_size)}{kind}"


def layer_words(layer: Any) -> str:
    """Kernel, channels and stride."""
    channels = f", {layer.out_channels}" if hasattr(layer, "out_channels") else ""
    return f"{sized(layer)}{channels}, stride {first(layer.stride)}"


def brief(module: Any) -> list[str]:
    """Kernel and stride of each layer."""
    return [f"{sized(layer)} / {first(layer.stride)}" for layer in layers(module)]


def trunk(seen: Any, parts: Mapping[str, Any], found: Mapping[str, Any]) -> Diagram:
    """Picture, stem and stages from left to right, with the shape at each arrow: `seen` is the picture's."""
    stem, *stages = parts
    boxes = {"picture": Box(0.34, TOP, 0.6, 0.35, "picture")}
    inside = "\n".join(["stem", *brief(parts[stem]), count(parts[stem])])
    boxes[stem] = Box(1.85, TOP, 1.0, 1.1, inside, KEPT)
    for place, name in enumerate(stages, start=1):
        stage, many = parts[name], f"{len(parts[name])} block{'s' * (len(parts[name]) > 1)}"
        stride = math.prod(first(layer.stride) for layer in path_a(stage[0]))
        dilation = max(first(layer.dilation) for layer in path_a(stage[-1]))
        what = f"stride {stride}" if dilation == 1 else f"dilation {dilation}"
        boxes[name] = Box(1.98 + 1.27 * place, TOP, 0.72, 1.1, f"stage {place}\n{many}\n{what}\n{count(stage)}", KEPT)
    carried = [seen, *(found[name] for name in boxes if name in parts)]
    return Diagram(boxes, linked(boxes, [*map(stacked, carried[:-1])]))


def linked(names: Iterable[str], words: Sequence[str] = ()) -> list[Arrow]:
    """Arrows from each to the next."""
    return [Arrow(a, b, at) for (a, b), at in zip_longest(pairwise(names), words, fillvalue="")]


# The diagrams


def network(net: Any, x: Any) -> Diagram:
    """A ResNet as in Fig. 1: stem, stages and output with the shapes between them, and the blocks inside stage 2."""
    found = shapes(net, x)
    parts = {"stem": net.stem, **{f"stages.{i}": stage for i, stage in enumerate(net.stages)}}
    boxes, arrows = trunk(x.shape[1:], parts, found)
    last = list(parts)[-1]
    boxes["output"] = Box(boxes[last].x, 0.6, 1.2, 0.65, f"output\nmean, linear\n{count(net.head)}", KEPT)
    arrows.append(Arrow(last, "output", stacked(found[last])))
    boxes["The row below"] = Box(0.5, 0.7, 0.8, 0.5, "inside\nstage 2", "")
    blocks = {}
    for _, (first_one, *others) in groupby(net.stages[1], key=lambda block: bool(layers(block.shortcut))):
        path_b = ", ".join(brief(first_one.shortcut)) or "the input itself"
        paths = f"path A: {', '.join(map(sized, path_a(first_one)))}\n"
        paths += f"strides {', '.join(str(first(layer.stride)) for layer in path_a(first_one))}\npath B: {path_b}"
        words = f"{f'{1 + len(others)} blocks' if others else 'one block'}\n{paths}"
        blocks[f"blocks {len(blocks)}"] = Box(2.15 + 2.7 * len(blocks), 0.7, 2.34, 0.85, words, KEPT)
    return Diagram(boxes | blocks, arrows + linked(blocks))


def block(net: Any, x: Any, read: Mapping[str, float]) -> Diagram:
    """The stem and the first block of stage 2, as in Fig. 2, `BLOCK` inches wide.

    `read` is the share of the block's input that path A and path B read, 0 to 1. In a box: kernel, channels, stride.
    """
    found, inside = shapes(net, x), net.stages[1][0]
    boxes = {
        "picture": Box(0.82, 3.12, COLUMN, 0.27, f"picture {'×'.join(map(str, x.shape[1:]))}"),
        "stem": Box(0.82, 0.16, COLUMN, 0.27, "stage 1", ""),
        "into": Box(3.46, 3.12, 3.3, 0.27, f"into stage 2: {times(found['stages.0'])}"),
        "sum": Box(3.46, 0.16, 3.3, 0.27, f"A + B, then ReLU: {times(found['stages.1.0'])}"),
    }
    arrows: list[Arrow] = []
    for path, start, end, x_at, y_at, part, prefix in (
        ("", "picture", "stem", 0.82, 2.5, net.stem, "stem."),
        ("path A", "into", "sum", 2.61, 1.92, inside, "stages.1.0."),
        ("path B", "into", "sum", 4.31, 1.92, inside.shortcut, "stages.1.0.shortcut."),
    ):
        chain = {prefix + name: layer for name, layer in part.named_children() if hasattr(layer, "kernel_size")}
        if path:
            colour = NEW if read[path] < 1 else KEPT
            boxes[path] = Box(x_at, 2.5, COLUMN, 0.27, f"{path} reads {100 * read[path]:.0f} %", colour)
        for place, (name, layer) in enumerate(chain.items()):
            boxes[name] = Box(x_at, y_at - 0.58 * place, COLUMN, 0.27, layer_words(layer))
        way = [start, *filter(None, [path]), *chain, end]
        arrows += linked(way, [times(found[name]) if name in chain else "" for name in way[:-1]])
    return Diagram(boxes, arrows)


def distillation(nets: Mapping[str, Any], x: Any, temperature: float, weight: float) -> Diagram:
    """Student and teacher, `nets` by their names, from a picture to the terms of eq. 6; `weight` is the second's."""
    (student, learner), (teacher, larger) = nets.items()
    boxes = {"picture": Box(0.53, 1.35, 1.0, 0.5, f"picture\n{times(x.shape[1:])}")}
    arrows = []
    for kind, net, name, does, z, y, colour in (
        ("student", learner, student, "learns", "z", 2.05, KEPT),
        ("teacher", larger, teacher, "stays as it is", "r", 0.5, NEW),
    ):
        logits = f"{z}: {times(shapes(net, x)[''])}\nlogits"
        boxes[kind] = Box(2.03, y, 1.48, 0.7, f"{kind}: {name}\n{count(net)} numbers\n{does}", colour)
        boxes[z] = Box(3.26, y, 0.64, 0.5, logits, colour)
        boxes[f"soft {z}"] = Box(4.45, min(y, 1.45), 1.2, 0.5, f"softmax({z} / T)\nT = {temperature:g}", colour)
        arrows += [Arrow("picture", kind), Arrow(kind, z), Arrow(z, f"soft {z}")]
    boxes["hard z"] = Box(4.45, 2.35, 1.2, 0.3, "softmax(z)", KEPT)
    boxes["label"] = Box(4.45, 3.0, 1.2, 0.3, "label p")
    boxes["hard"] = Box(6.0, 2.67, 1.36, 0.5, "cross-entropy\nwith the label", KEPT)
    boxes["soft"] = Box(6.0, 0.98, 1.36, 0.5, "cross-entropy\nwith the teacher", NEW)
    boxes["× 1"] = Box(7.4, 2.67, 1.06, 0.5, "weight 1", KEPT)
    boxes["× T²"] = Box(7.4, 0.98, 1.06, 0.5, f"weight {weight:g} · T²\n= {weight * temperature**2:g}", NEW)
    boxes["loss"] = Box(7.4, 1.82, 1.06, 0.3, "loss: sum")
    pairs = [("z", "hard z"), ("label", "hard"), ("soft z", "soft"), ("soft r", "soft")]
    arrows += [Arrow(a, b) for a, b in pairs] + linked(("hard z", "hard", "× 1", "loss"))
    return Diagram(boxes, arrows + linked(("soft", "× T²", "loss")))


def detector(model: Any, x: Any) -> Diagram:
    """A Faster R-CNN with a pyramid (§6.1): what is kept from the classifier, and what is new.

    The picture's shape is that after `model.transform`, padding included.
    """
    found, heads, anchors = shapes(model, [x[0]]), model.roi_heads, model.rpn.anchor_generator
    parts = {f"backbone.body.{name}": part for name, part in model.backbone.body.named_children()}
    boxes, arrows = trunk(model.transform([x[0]])[0].tensors.shape[1:], parts, found)
    maps, stages = found["backbone.fpn"], list(parts)[1:]
    pyramid, more = list(maps)[: len(stages)], list(maps.values())[len(stages) :]
    for name, stage in zip(pyramid, stages, strict=True):
        boxes[name] = Box(boxes[stage].x, 1.45, 0.72, 0.48, f"FPN: {stacked(maps[name])}", NEW)
        arrows += [Arrow(stage, name), Arrow(name, "proposals")]
    what = f"RPN: {anchors.num_anchors_per_location()[0]} anchors a place"
    what += "".join(f", also on a map of {height}×{width}" for _, height, width in more)
    boxes["proposals"] = Box(5.15, 0.85, 4.54, 0.3, what, NEW)
    what = f"RoI align\n{times(heads.box_roi_pool.output_size)} places\na region"
    boxes["pool"] = Box(1.1, 1.15, 1.6, 1.06, what, NEW)
    boxes["head"] = Box(1.1, 0.2, 1.6, 0.3, f"box head: {count(heads.box_head)}", NEW)
    classes, numbers = (layer.out_features for layer in (heads.box_predictor.cls_score, heads.box_predictor.bbox_pred))
    boxes["out"] = Box(4.0, 0.2, 2.6, 0.3, f"{classes} classes, {numbers} numbers for boxes", NEW)
    arrows += [*linked(reversed(pyramid)), Arrow(pyramid[0], "pool", "all maps"), Arrow("proposals", "pool")]
    arrows += linked(
        ("pool", "head", "out"), [times(found[f"roi_heads.{name}"]) for name in ("box_roi_pool", "box_head")]
    )
    return Diagram(boxes | KEY, arrows)


def segmenter(model: Any, x: Any) -> Diagram:
    """An FCN (§6.2): the dilated stages that are kept, the new head and the interpolation, with shapes and strides."""
    found = shapes(model, x)
    parts = {f"backbone.{name}": part for name, part in model.backbone.named_children()}
    boxes, arrows = trunk(x.shape[1:], parts, found)
    for place, name in enumerate(parts):
        apart = round(x.shape[2] / found[name][1])
        boxes[f"Map of stage {place}" if place else "Map of the stem"] = Box(
            boxes[name].x, 3.22, 0.9, 0.14, f"{apart} px apart", ""
        )
    head = {f"classifier.{name}": layer for name, layer in model.classifier.named_children() if layers(layer)}
    for place, (name, layer) in enumerate(head.items()):
        what = f"{', '.join(brief(layer))}\n{count(layer)}"
        boxes[name] = Box(7.06 - 1.68 * place, 1.1, 1.1, 0.5, what, NEW)
    last, scores, final = list(parts)[-1], found[list(head)[-1]], found[""]["out"]
    boxes["wider"] = Box(3.65, 1.1, 1.2, 0.5, f"interpolation\n× {final[1] // scores[1]}", NEW)
    boxes["out"] = Box(1.6, 1.1, 1.3, 0.5, f"{final[0]} numbers\nat each pixel", NEW)
    carried = [*(found[name] for name in (last, *head)), final]
    return Diagram(boxes | KEY, arrows + linked((last, *head, "wider", "out"), [*map(stacked, carried)]))


def gradient_path(block: Any, below: Any) -> Diagram:
    """The way of a gradient back through a block to what lies below it, after `loss.backward()` (§3.1).

    The gradients of the parameters say where it arrives: an arrow into layers that have none is dashed.
    """
    gamma, beta = (float(part.detach().abs().max()) for part in (block.last_bn.weight, block.last_bn.bias))
    chain = {name: layer for name, layer in block.named_children() if name != "shortcut" and norm(layer) is not None}
    pitch = 4.75 / len(chain)
    boxes = {"below": Box(0.6, 1.95, 1.0, 2.4, f"what lies\nbelow\n\ngradient\n{norm(below):.2g}", KEPT)}
    for place, (name, layer) in enumerate(chain.items()):
        kind = sized(layer) if layers(layer) else f"γ = {gamma:.2g}" if layer is block.last_bn else "γ, β"
        there = norm(layer)
        words = f"{name}\n{kind}\ngradient\n{there:.2g}"
        boxes[name] = Box(1.45 + pitch * (place + 0.5), 1.25, pitch - 0.25, 0.8, words, KEPT if there else GREY)
    path_b = ", ".join(map(layer_words, layers(block.shortcut))) or "the input itself"
    boxes["path B"] = Box(3.8, 2.8, 4.5, 0.4, f"path B: {path_b}", KEPT)
    boxes["sum"] = Box(6.75, 1.95, 0.8, 2.4, "A + B,\nReLU", KEPT)
    boxes["loss"] = Box(7.65, 1.95, 0.55, 0.4, "loss", KEPT)
    silent = "γ = 0 and β = 0: path A puts out 0, the block its path B" if gamma == beta == 0 else "path A counts"
    boxes["The other way"] = Box(3.8, 0.3, 5.0, 0.3, f"Forward: {silent}", "")
    arrows = [Arrow("loss", "sum"), Arrow("sum", "path B"), Arrow("path B", "below", dashed=not norm(below))]
    for start, end in pairwise(["sum", *reversed(chain), "below"]):
        arrows.append(Arrow(start, end, dashed=not norm(chain[end if end in chain else start])))
    return Diagram(boxes, arrows)


def norm(module: Any) -> float | None:
    """Of its parameters' gradients; None where it has no parameters."""
    squares = [float(p.grad.square().sum()) for p in module.parameters() if p.grad is not None]
    return math.sqrt(sum(squares)) if squares else None
