"""What the Trick Lab is made of in the browser: its controls by section, their words, its style, its copy button."""

import html
import re
from typing import Any

import ipywidgets as widgets

from tricks.course.sliders import control
from tricks.recipe import SPLITS, Recipe
from tricks.values import choices

TEACHER = "resnet14"  # of the recorded runs
CONTROLS: dict[str, dict[str, Any]] = {  # section: field of Recipe, or seed: what `sliders.control` makes of it
    "Data": {
        "dataset": ["cifar10", "imagenette", "shapes"],
        "train_images": [512, 1_000, 2_000, 5_000, 10_000, 20_000, 0],
        "epochs": (1, 40),
        "seed": (0, 9),
        "split": list(SPLITS),
    },
    "Network": {
        "net": ["resnet8", "resnet14", "resnet20", "bottleneck14", "bottleneck14-pool"]
        + ["inception-small", "mobilenet-small"],
        **dict.fromkeys(("tweak_b", "tweak_c", "tweak_d", "zero_gamma"), False),
    },
    "Training": {
        "lr": (0.01, 3.0),
        "batch_size": [16, 32, 64, 128, 256, 512, 1024],
        "warmup_epochs": (0.0, 5.0, 0.25),
        "schedule": list(choices(Recipe, "schedule")),
        "first_decay": (0.1, 0.9, 0.05),
        "weight_decay": [0.0, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2],
        **dict.fromkeys(("linear_scaling", "no_bias_decay", "amp"), False),
    },
    "Targets": {
        "label_smoothing": (0.0, 0.5, 0.01),
        "mixup_alpha": (0.0, 2.0, 0.05),
        "teacher": False,
        "temperature": (1.0, 40.0, 1.0),
        "distill_weight": (0.0, 2.0, 0.1),
    },
    "After": {  # what came after the bag
        "optimizer": list(choices(Recipe, "optimizer")),
        "muon_lr": [0.005, 0.01, 0.02, 0.05, 0.1, 0.2],
        "bias_lr": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
        "ema_decay": [0.0, 0.9, 0.95, 0.98, 0.99, 0.995],
        "cutmix_alpha": (0.0, 2.0, 0.05),
        "start_size": [0, 8, 16, 24],
        **dict.fromkeys(("whitening", "dirac", "alternating_flip", "trivial_augment"), False),
    },
}
LABELS = {
    "train_images": "training images",
    "split": "measured on",
    "tweak_b": "tweak B",
    "tweak_c": "tweak C",
    "tweak_d": "tweak D",
    "zero_gamma": "zero γ",
    "lr": "learning rate",
    "warmup_epochs": "warm-up epochs",
    "amp": "mixed precision",
    "mixup_alpha": "mixup α",
    "teacher": f"teacher ({TEACHER})",
    "temperature": "temperature T",
    "muon_lr": "Muon rate",
    "bias_lr": "bias rate ×",
    "ema_decay": "averaging",
    "cutmix_alpha": "CutMix α",
    "start_size": "first size, px",
    "dirac": "Dirac start",
    "trivial_augment": "TrivialAugment",
}
NONE = {"train_images": "all", "start_size": "full"}  # what 0 is called
FIELDS = [name for specs in CONTROLS.values() for name in specs]
# A bar that stays in sight while the notebook scrolls, and below it two columns, or one where the panel is narrow.
# A widget without a kernel gets the class jupyter-widgets-disconnected.
STYLE = """<style>
.tricks-lab, .tricks-lab * { box-sizing: border-box; }
.tricks-lab, .tricks-lab .widget-box { overflow: visible; }
.tricks-lab { max-width: 1180px; }
.jp-OutputArea:has(.tricks-lab), .jp-OutputArea-child:has(.tricks-lab), .jp-OutputArea-output:has(.tricks-lab),
.jp-Cell-outputWrapper:has(.tricks-lab) { overflow: visible !important; }
.tricks-lab .tricks-bar { position: sticky; top: 0; z-index: 5;
  background: var(--jp-layout-color0, white); border-bottom: 1px solid var(--jp-border-color2, #e0e0e0); }
.tricks-lab .tricks-line { min-height: 22px; height: auto; margin: 0 2px; }
.tricks-lab .tricks-line .widget-html-content, .tricks-lab .tricks-note .widget-html-content { line-height: 20px; }
.tricks-lab .tricks-error { white-space: pre-wrap; }
.tricks-lab .tricks-error, .tricks-lab .tricks-lost { word-break: normal; overflow-wrap: break-word; line-height: 20px;
  padding: 2px 8px; border-left: 4px solid #b3261e; background: #fdecea; color: #8b1a10; }
.tricks-lab .tricks-reached { padding: 0 8px; border-left: 4px solid #1b6e3c; background: #e6f4ea; color: #14532d; }
.tricks-lab .tricks-gone { display: none; }
.tricks-lab .tricks-gone.jupyter-widgets-disconnected { display: block; height: auto; }
.tricks-lab .tricks-line.jupyter-widgets-disconnected { display: none; }
.tricks-lab .jupyter-widgets-disconnected::before, .tricks-lab.jupyter-widgets-disconnected::before { content: none; }
.tricks-lab.jupyter-widgets-disconnected button { opacity: 0.6; pointer-events: none; }
.tricks-lab .tricks-columns { isolation: isolate; display: flex; flex-flow: row wrap; gap: 4px 8px; overflow: visible; }
.tricks-lab .tricks-columns > * { min-width: 0; overflow: visible; }
.tricks-lab .tricks-controls { flex: 1 1 352px; }
.tricks-lab .tricks-pictures { flex: 100 1 545px; }
.tricks-lab .widget-tab { overflow: visible; }
.tricks-lab .widget-tab > .widget-tab-contents { padding: 6px 4px; overflow: visible; }
.tricks-lab .widget-tab > .lm-TabBar { overflow: visible; }
.tricks-lab .widget-tab > .lm-TabBar .lm-TabBar-content { flex-wrap: wrap; }
.tricks-lab .widget-tab > .lm-TabBar .lm-TabBar-tab { flex: 0 0 auto; min-width: 0; padding: 0 6px; }
.tricks-lab .widget-tab > .lm-TabBar .lm-TabBar-tab:focus-visible {
  outline: 2px solid var(--jp-ui-font-color1); outline-offset: -2px;
}
.tricks-lab .tricks-section { display: flex; flex-flow: row wrap; gap: 0 16px; overflow: visible; }
.tricks-lab .tricks-wide { flex: 1 1 290px; width: auto; max-width: 420px; margin: 2px 0; }
.tricks-lab .tricks-switches .widget-html-content { line-height: normal; }
.tricks-lab .tricks-switches { flex: 1 1 100%; display: flex; flex-flow: row wrap; overflow: visible; }
.tricks-lab .mod-active { outline: 2px solid var(--jp-ui-font-color1); outline-offset: -2px; }
.tricks-lab img { width: 100%; max-width: 800px; margin: 0; height: auto; flex: 0 0 auto; }
.tricks-lab img.tricks-before { aspect-ratio: 80 / 29; }
.tricks-lab img.tricks-after { aspect-ratio: 80 / 42; }
.tricks-lab img.tricks-steps { margin: 4px 0; }
.tricks-lab .tricks-code { width: 100%; }
.tricks-lab .tricks-code textarea { height: 150px; font-family: var(--jp-code-font-family, monospace); }
.tricks-lab .tricks-ask.widget-box { border: 1px solid var(--jp-border-color1, #bdbdbd); padding: 4px 8px;
  overflow: auto; max-height: 40vh; }
.tricks-lab .tricks-ask .widget-label-basic { white-space: normal; overflow: visible; }
</style>"""
COPIED = """
const lab = this.closest('.tricks-lab'), box = lab.querySelector('.tricks-code'), area = box.querySelector('textarea');
const said = this.parentElement.querySelector('[role=status]');
const byHand = () => {
  box.style.display = 'block'; area.focus(); area.select();
  area.onblur = () => { box.style.display = 'none'; said.textContent = ''; };
  said.textContent = 'Press Ctrl-C (on a Mac Cmd-C) to copy the selected text.';
};
said.textContent = '';
(navigator.clipboard ? navigator.clipboard.writeText(area.value) : Promise.reject()).then(
  () => { said.textContent = 'Copied: paste it into a cell.'; }, byHand);
setTimeout(() => { said.textContent = ''; }, 10000);
"""
# Only the browser can reach the clipboard, so this button is its own
COPY = f"""<button class="jupyter-button widget-button" style="width: auto; margin: 0" onclick="{html.escape(COPIED)}"
title="Copy the Python that makes this recipe">Copy as code</button> <span role="status"></span>"""
GONE = """<div class="tricks-lost" role="alert">The kernel was restarted or has ended, and this lab with it. Run its
cell again for a new one. Runs that were not saved are gone; saved ones are in data/own. Steps are kept.</div>"""


def label_of(name: str) -> str:
    """What the control of a field is called."""
    return LABELS.get(name, name.replace("_", " "))


def in_words(text: str) -> str:
    """An error about a recipe in the words of the labels: "learning rate" for "Recipe.lr"."""
    text = re.sub(r"\bRecipe\.(?=\w+ = )", "", text)
    for name in FIELDS:  # those that are also words of English only where their value follows
        text = re.sub(rf"\b{name}\b" if "_" in name else rf"\b{name}\b(?= = )", label_of(name), text)
    return text


def problem(text: str) -> str:
    """What went wrong, as HTML: in colour and in words."""
    return f'<div class="tricks-error" role="alert">{html.escape(text)}</div>'


def switch(name: str, spec: Any) -> bool:
    """Whether a field is one of the small check boxes at the end of its section."""
    return spec is False and name != "teacher"


def field_control(name: str, spec: Any, value: Any) -> Any:
    """The control of a field of Recipe, or of the seed, where `value` is."""
    if name == "dataset" and value not in spec:
        spec = [*spec, value]
    widget: Any = control(name, bool(value) if spec is False else spec, value)
    widget.description = label_of(name)
    buttons = {"button_width": "auto"} if hasattr(widget.style, "button_width") else {}
    widget.style = {"description_width": "initial" if spec is False else "112px", **buttons}
    widget.layout = {"width": "auto", "margin": "0px 12px 0px 2px"} if spec is False else {}
    if spec is False:
        widget.indent = False
    else:
        widget.add_class("tricks-wide")
    if name in NONE:
        widget.options = [(f"{choice:,}" if choice else NONE[name], choice) for choice in widget.options]
        widget.value = value
    return widget


def sections(controls: dict[str, Any]) -> list[Any]:
    """The controls of each section of `CONTROLS` as a box, its small check boxes last."""
    boxes = []
    for specs in CONTROLS.values():
        small = [controls[name] for name, spec in specs.items() if switch(name, spec)]
        others = [controls[name] for name, spec in specs.items() if not switch(name, spec)]
        boxes.append(box(*others, *([box(*small, kind="tricks-switches")] if small else []), kind="tricks-section"))
    return boxes


def box(*children: Any, kind: str) -> Any:
    """A box whose place the style decides, by its class."""
    made = widgets.Box(children)
    made.add_class(kind)
    return made


def line(kind: str = "tricks-line") -> Any:
    """An empty line of words."""
    made = widgets.HTML()
    made.add_class(kind)
    return made
