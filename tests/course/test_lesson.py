"""What lessons call: source shown as it is, panels that recover, runs that can be stopped."""

import html
import inspect
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from statistics import stdev

import ipywidgets
import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from PIL import Image

from tricks import ROOT
from tricks.course import from_zero, lesson
from tricks.course.lesson import (
    budget,
    compare_steps,
    fine_tune,
    live,
    live_run,
    load_data,
    load_scenes,
    short,
    show,
    show_loop,
    slide,
    sliders,
    table,
    verdicts,
)
from tricks.course.sliders import _nice, _ratios, control
from tricks.data.scene import SceneSet
from tricks.data.scenes import DRAWN, draw
from tricks.data.sets import Dataset, Split
from tricks.plots import schedules
from tricks.plots.export import export_own
from tricks.plots.smoothing import optimal_gap
from tricks.plots.style import Figure, canvas, styled
from tricks.recipe import BASELINE, Transfer
from tricks.records.make import prepare
from tricks.records.paper import Effect
from tricks.records.statistics import Comparison, compare, seeds_for
from tricks.records.store import Run
from tricks.schedules import cosine_lr, lr_at
from tricks.train import epochs
from tricks.transfer import loop


class Screen(list):
    """What was displayed; each display can be updated."""

    def __call__(self, thing, display_id=None, raw=False):
        self.append(thing)
        return self

    def update(self, thing):
        self.append(thing)


@pytest.fixture
def screen(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(lesson, "display", screen)
    monkeypatch.setattr(from_zero, "display", screen)
    return screen


def test_importing_notebook_loads_neither_torch_nor_pyplot():
    modules = "sys, tricks.course.lesson, tricks.course.questions"
    code = f"import {modules}; print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


# Budget


def test_budget_is_quick_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("TRICKS_BUDGET", raising=False)
    assert budget() == "quick"
    monkeypatch.setenv("TRICKS_BUDGET", "smoke")
    assert budget() == "smoke"
    monkeypatch.setenv("TRICKS_BUDGET", "huge")
    with pytest.raises(ValueError, match="TRICKS_BUDGET='huge': must be one of smoke, quick, full"):
        budget()


def test_short_cuts_a_recipe_to_the_budget_and_keeps_the_share_of_warm_up(monkeypatch):
    recipe = replace(BASELINE, train_images=20_000, epochs=12, warmup_epochs=3.0, label_smoothing=0.1)
    sizes = {}
    for name in lesson.BUDGETS:
        monkeypatch.setenv("TRICKS_BUDGET", name)
        cut = short(recipe, "shapes")
        sizes[name] = cut.train_images * cut.epochs
        assert cut.warmup_epochs / cut.epochs == 0.25
        assert short(recipe, "shapes", share=0.5).epochs == max(1, cut.epochs // 2)
        assert replace(cut, train_images=20_000, epochs=12, warmup_epochs=3.0, amp=False) == replace(
            recipe, dataset="shapes"
        )
    assert sizes["smoke"] < sizes["quick"] < sizes["full"] == 240_000


# Tables and source


def test_table_is_markdown_with_numbers_to_the_right(screen):
    table([{"arm": "a|b", "accuracy": 71.23456, "seeds": 5}, {"arm": "c", "accuracy": 0.00012}])
    assert screen[0].data.splitlines() == [
        "| arm | accuracy | seeds |",
        "| --- | ---: | ---: |",
        "| a\\|b | 71.23 | 5 |",
        "| c | 0.00012 |  |",
    ]


@pytest.mark.parametrize(
    "name", ["<b>bold</b>", "R&D &amp;", "a*b*c", "_a_", "`x`", "$5-$10", r"a\|b\*", "~~no~~", "x_y"]
)
def test_a_readers_names_are_shown_in_a_table_as_they_are(screen, name):
    table([{"class": name, name: 1}])
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(screen[0].data)
    cells = [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*)</t[hd]>", rendered)]
    assert cells == ["class", name, name, "1"]
    assert not re.search(r"(?<!\\)\$", screen[0].data)  # Jupyter's mathematics


def test_a_table_keeps_links(screen):
    table([{"lesson": "[05_2](05_2_label_smoothing.ipynb)"}])
    assert screen[0].data.splitlines()[2] == "| [05_2](05_2_label_smoothing.ipynb) |"


def test_show_displays_the_source_as_it_is_with_file_and_name(screen):
    show(cosine_lr)
    heading, code = screen[0].data.split("\n\n", 1)
    source = code.removeprefix("````python\n").removesuffix("\n````")
    assert source.startswith("def cosine_lr(")
    assert source in (ROOT / "tricks" / "schedules.py").read_text(encoding="utf8")
    assert heading == "`tricks/schedules.py`, `cosine_lr`"


def test_show_unwraps_decorated_plots_and_dedents_methods(screen):
    show(optimal_gap)
    assert "@styled\ndef optimal_gap(" in screen[0].data
    show(Figure.png)
    assert screen[1].data.startswith("`tricks/plots/style.py`, `Figure.png`\n\n````python\ndef png(self")


def excerpt(screen):
    """The lines that were shown last."""
    return screen[-1].data.split("````python\n")[1].removesuffix("\n````").split("\n")


def test_show_around_has_only_the_lines_near_each_match(screen):
    show(lr_at, around="warmup_steps", context=0)
    file = (ROOT / "tricks" / "schedules.py").read_text(encoding="utf8").splitlines()
    lines = [line for line in excerpt(screen) if line != "..."]
    assert len(lines) == 5 and all("warmup_steps" in line and f"    {line}" in file for line in lines)
    assert screen[0].data.startswith("`tricks/schedules.py`, `lr_at`, around `warmup_steps`\n\n")


def made_up(x):
    if x:
        first = "here"

    second = "here"
    third = "found"
    return first, second, third


def test_show_around_has_dots_where_lines_are_left_out_and_nowhere_else(screen):
    show(made_up, around="here", context=0)
    assert excerpt(screen) == ["...", '    first = "here"', "...", 'second = "here"', "..."]
    show(made_up, around="here", context=1)
    assert excerpt(screen) == [
        "...",
        "if x:",
        '    first = "here"',
        "",
        'second = "here"',
        'third = "found"',
        "...",
    ]
    show(made_up, around="here", context=9)
    assert excerpt(screen) == inspect.getsource(made_up).splitlines()


def test_what_is_shown_stays_when_lines_above_it_move(screen, tmp_path, monkeypatch):
    """A line inserted anywhere else in a file must not make every built notebook wrong."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, above in (("first_file", ""), ("second_file", "x = 1\n\n\n")):
        (tmp_path / f"{name}.py").write_text(f"{above}def f():\n    a = 1\n    b = 2\n    return a + b\n")
        module = __import__(name)
        show(module.f)
        show(module.f, around="b = 2", context=1)
    assert [each.data.replace("second_file", "first_file") for each in screen[2:]] == [each.data for each in screen[:2]]


def test_show_loop_shows_lines_of_the_training_loop(screen):
    show(epochs, around="# mixup", context=1)
    show_loop("# mixup", context=1)
    assert screen[0].data == screen[1].data
    assert "`tricks/train.py`, `epochs`, around `# mixup`" in screen[0].data


def test_show_around_nothing_is_an_error(screen):
    with pytest.raises(ValueError, match="'mixup' does not occur in cosine_lr"):
        show(cosine_lr, around="mixup")
    assert not screen


# Sliders


@styled
def line(a=2, steep=False):
    """A plot without redraw."""
    if a == 7:
        raise ValueError("seven is <bad>")
    fig, ax = canvas()
    ax.plot([0, a * (5 if steep else 1)])
    ax.set(xlabel="x", ylabel="y")
    return fig


@pytest.mark.parametrize(
    "spec, default, kind, value",
    [
        ((0, 10), 3, ipywidgets.IntSlider, 3),
        ((0, 10), None, ipywidgets.IntSlider, 5),
        ((0, 10), 99, ipywidgets.IntSlider, 5),
        ((0.0, 1.0), 0.25, ipywidgets.FloatSlider, 0.25),
        ((0.0, 1.0), None, ipywidgets.FloatSlider, 0.5),
        ((0.0, 6.0, 0.5), None, ipywidgets.FloatSlider, 3.0),
        ((0.001, 0.9), 0.1, ipywidgets.SelectionSlider, 0.1),
        ((2, 1000), 10, ipywidgets.SelectionSlider, 10),
        ((2, 1000), 37, ipywidgets.SelectionSlider, 37),
        ([32, 64, 128], 64, ipywidgets.SelectionSlider, 64),
        (["step", "cosine"], "cosine", ipywidgets.ToggleButtons, "cosine"),
        (True, None, ipywidgets.Checkbox, True),
    ],
)
def test_a_control_fits_its_range_and_starts_at_the_functions_default(spec, default, kind, value):
    widget = control("eps", spec, default)
    assert type(widget) is kind
    assert widget.value == value
    assert widget.description == "ε"
    assert widget.tooltip.startswith("ε")


@pytest.mark.parametrize("spec", [(1, 1), (2, 1), (1,), (1, 2, 3, 4), [], "text", None, 5])
def test_a_control_that_makes_no_sense_is_refused(spec):
    with pytest.raises(ValueError, match="control lr = .*: give"):
        control("lr", spec, None)


def test_ratios_are_round_numbers_about_evenly_spaced_with_both_ends():
    choices = _ratios(0.001, 0.9, whole=False, extra=0.1)
    assert choices[0] == 0.001 and choices[-1] == 0.9 and 0.1 in choices
    assert max(b / a for a, b in zip(choices, choices[1:], strict=False)) <= 1.34
    whole = _ratios(2, 1000, whole=True, extra=None)
    assert whole[:5] == [2, 3, 4, 5, 6] and whole[-1] == 1000 and all(type(n) is int for n in whole)


@pytest.mark.parametrize("value, step", [(0.009, 0.005), (0.01, 0.01), (0.049, 0.02), (0.05, 0.05), (3, 2)])
def test_steps_are_nice(value, step):
    assert _nice(value) == step


def test_a_panel_draws_what_its_controls_say():
    panel = sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000))
    assert panel.values == {"eps": 0.1, "K": 10}
    first, figure = panel.picture.value, panel.figure
    assert first == optimal_gap(0.1, 10).png(100, small=False)
    panel.controls["eps"].value = 0.4
    panel.controls["K"].value = 5
    assert panel.figure is figure  # redrawn, not built anew
    assert panel.picture.value == optimal_gap(0.4, 5).png(100, small=False) != first
    assert (panel.picture.width, panel.picture.height) == ("800", "450")  # as much as there is room for


def test_a_panel_may_compute_a_plots_data_from_its_controls():
    def recipes(lr=0.1, cosine=True):
        return {"one": replace(BASELINE, lr=lr, schedule="cosine" if cosine else "step")}

    panel = sliders(schedules.schedule, recipes, lr=(0.01, 1.0), cosine=True)
    panel.controls["cosine"].value = False
    panel.controls["lr"].value = 0.5
    assert panel.picture.value == schedules.schedule(recipes(0.5, False)).png(100, small=False)


def test_a_panel_shows_an_error_and_recovers():
    panel = sliders(line, a=(1, 10), steep=False)
    good = panel.picture.value
    panel.controls["a"].value = 7
    assert "ValueError: seven is &lt;bad&gt;" in panel.message.value
    assert "tricks/course/lesson.py" not in panel.message.value  # the reader's frames, not ours
    assert panel.picture.value == good
    panel.controls["a"].value = 8
    assert panel.message.value == ""
    assert panel.picture.value == line(8).png(100, small=False)


def test_an_error_in_a_panels_first_drawing_is_the_cells_own():
    with pytest.raises(ValueError, match="seven"):
        sliders(styled(lambda a=7: line(a)), a=(1, 10))


def test_a_panels_picture_has_words_for_those_who_hear_it_with_the_values_in_them():
    panel = sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000))
    words = f"{optimal_gap().alt}. Drawn for ε = 0.1, classes K = 10"
    assert html.unescape(panel.words.value).endswith(f">{words}</p>")
    assert panel._repr_mimebundle_()[0]["text/plain"] == words
    panel.controls["eps"].value = 0.4
    assert "Drawn for ε = 0.4, classes K = 10<" in panel.words.value
    panel = sliders(styled(lambda at_start=True: line(5, at_start)), at_start=False)
    assert panel.words.value.endswith("Drawn for at start = False</p>")


# Goals


FIND_FIVE = {"goal": "a <b> of 5", "reached": lambda a, steep: a == 5 and steep, "solution": {"a": 5, "steep": True}}


def test_a_goal_says_in_words_whether_it_is_reached():
    panel = sliders(line, a=(1, 10), steep=False, **FIND_FIVE)
    assert panel.values == {"a": 2, "steep": False}
    not_yet = "<p>Goal: a &lt;b&gt; of 5 <b>Not yet.</b></p>"
    assert panel.verdict.value == not_yet
    panel.controls["a"].value = 5
    assert panel.verdict.value == not_yet
    panel.controls["steep"].value = True
    assert panel.verdict.value == '<p class="tricks-reached">Goal: a &lt;b&gt; of 5 <b>✓ Reached.</b></p>'
    panel.controls["a"].value = 4
    assert panel.verdict.value == not_yet


def test_a_panel_without_a_goal_has_an_empty_line():
    assert sliders(line, a=(1, 10)).verdict.value == ""


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"reached": lambda a, steep: a == 2}, "is reached where the controls start: a = 2, steep = False"),
        (
            {"reached": lambda a, steep: False},
            "its solution {'a': 5, 'steep': True} sets a = 5, steep = True: not reached",
        ),
        ({"solution": {"a": 50, "steep": True}}, "its solution {'a': 50, 'steep': True} sets a = 10, "),
        ({"solution": {"b": 5}}, "its solution {'b': 5} cannot be set: 'b'"),
        ({"solution": None}, "solution = None: give all three or none"),
        ({"reached": None}, "reached = None, .*: give all three or none"),
        ({"goal": ""}, "goal = '', .*: give all three or none"),
    ],
)
def test_a_goal_that_cannot_be_reached_or_is_no_goal_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        sliders(line, a=(1, 10), steep=False, **{**FIND_FIVE, **changed})


def test_a_choice_that_a_control_does_not_have_is_no_solution():
    goal = {**FIND_FIVE, "reached": lambda a, steep: a == 4, "solution": {"a": 4}}
    with pytest.raises(ValueError, match="its solution {'a': 4} cannot be set: Invalid selection"):
        sliders(line, a=[1, 2, 3], steep=False, **goal)


def test_an_error_in_a_goal_shows_as_any_other():
    goal = {"goal": "g", "reached": lambda a: 1 / (a - 5) == 1, "solution": {"a": 6}}
    panel = sliders(line, a=(1, 10), **goal)
    panel.controls["a"].value = 5
    assert "ZeroDivisionError" in panel.message.value
    panel.controls["a"].value = 6
    assert panel.message.value == "" and "Reached" in panel.verdict.value


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Where a reader's own slides go."""
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    return tmp_path / "own"


def exported(panel, **values):
    """Move the controls and press the button: the name of the file that it names, without its suffix."""
    for name, value in values.items():
        panel.controls[name].value = value
    panel.button.click()
    found = re.fullmatch(r"Saved ([\w-]+)\.png, \.svg and \.pdf in (.+)", panel.message.value)
    return found and found[1]


def test_a_slide_is_written_where_slides_go_and_says_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path))
    paths = slide(optimal_gap(), "gap", takeaway="Smaller targets, smaller gaps")
    assert [path.name for path in paths] == ["gap.png", "gap.svg", "gap.pdf"] and all(path.exists() for path in paths)
    with Image.open(paths[0]) as picture:
        assert picture.text["Title"] == "Smaller targets, smaller gaps"


def test_a_panel_exports_what_it_shows(own):
    panel = sliders(optimal_gap, eps=(0.001, 0.9))
    name = exported(panel)
    assert sorted(os.listdir(own)) == [f"{name}.pdf", f"{name}.png", f"{name}.svg"]
    with Image.open(own / f"{name}.png") as image:
        assert image.text["Title"] == f"optimal gap: ε = {panel.values['eps']:.4g}"


def test_a_panel_that_cannot_export_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRICKS_FIGURES", str(tmp_path / "file"))
    panel = sliders(optimal_gap, eps=(0.001, 0.9))
    assert exported(panel) is None and ".png was not written" in panel.message.value


def test_an_exported_slide_has_its_settings_in_its_name_and_overwrites_no_other(own):
    panel = sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000))
    first, second = exported(panel, eps=0.1, K=10), exported(panel, eps=0.4)
    assert re.fullmatch(r"optimal_gap-eps_0p1-K_10-[0-9a-f]{6}", first)
    assert second.startswith("optimal_gap-eps_0p4-K_10-")
    assert len(os.listdir(own)) == 6
    kept = {path.name: path.read_bytes() for path in own.iterdir()}
    assert exported(panel, eps=0.1) == first  # the same settings, the same file
    assert exported(sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000)), eps=0.4, K=10) == second
    assert {path.name: path.read_bytes() for path in own.iterdir()} == kept


def test_slides_of_other_data_are_other_files_even_at_the_same_settings(own):
    def shape(data):
        def plot(threshold=0.5):
            fig, ax = canvas()
            ax.plot([threshold, *data])
            return fig

        return styled(plot)

    names = {exported(sliders(shape(data), threshold=(0.0, 1.0))) for data in ([0, 1], [0, 2])}
    assert len(names) == 2 and all(name.startswith("plot-threshold_0p5-") for name in names)


@pytest.mark.parametrize(
    "value, text",
    [
        (0.30000000000000004, "x_0p3"),
        (1e-05, "x_1e-05"),
        (-2, "x_-2"),
        (True, "x_True"),
        ("two moons / β", "x_two_moons_"),
        ("../../up", "x_pp_pp_up"),
        ("a" * 300, "x_" + "a" * 60),
    ],
)
def test_a_file_name_has_nothing_but_letters_digits_underscores_and_hyphens(value, text, own):
    name = export_own(line(1), "_line", {"x": value})[0].stem
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name) and name.startswith(f"line-{text}")


def test_a_saved_panel_has_its_picture_beside_the_widget():
    panel = sliders(optimal_gap, eps=(0.001, 0.9))
    data, metadata = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert data["image/png"] == optimal_gap()._repr_mimebundle_()[0]["image/png"]
    assert data["text/plain"].startswith("Plot. Target")
    assert metadata == {"image/png": {"width": 800, "height": 450}}
    metadata = sliders(line, a=(1, 10), steep=False, **FIND_FIVE)._repr_mimebundle_()[1]
    assert metadata["goal"] == "Goal: a <b> of 5"


def test_the_first_move_after_a_panel_was_shown_draws_only_what_moves():
    panel = sliders(optimal_gap, eps=(0.001, 0.9))
    panel._repr_mimebundle_()
    background = panel.figure._background
    panel.controls["eps"].value = 0.4
    assert panel.figure._background is background
    assert panel.picture.value == optimal_gap(0.4).png(100, small=False)


# Live runs


def run(n, error=None):
    for epoch in range(1, n + 1):
        yield {"epoch": epoch, "train_loss": 2 / epoch, "test_accuracy": 80 - 50 / epoch}
    if error:
        raise error


def title(figure):
    return next(text.get_text() for text in figure.axes[0].texts)


@pytest.fixture
def titles(monkeypatch):
    """The heading of the figure at each display and update, and whether it is a draft."""
    seen = []

    def display(figure, display_id=None):
        seen.append((title(figure), figure.draft))
        return type("Handle", (), {"update": staticmethod(lambda figure: seen.append((title(figure), figure.draft)))})

    monkeypatch.setattr(lesson, "display", display)
    return seen


@pytest.fixture
def clock(monkeypatch):
    """The time, which tests move on."""
    now = [100.0]
    monkeypatch.setattr(lesson.time, "monotonic", lambda: now[0])
    return now


def taking(seconds, rows, clock):
    for row in rows:
        clock[0] += seconds
        yield row


def test_live_passes_rows_on_and_ends_without_times(titles, clock):
    assert list(live(taking(10, run(3), clock), 3)) == list(run(3))
    assert titles == [
        ("0 of 3 epochs done", True),
        ("1 of 3 epochs done, test accuracy 30.0 %, 20 s left", True),
        ("2 of 3 epochs done, test accuracy 55.0 %, 10 s left", True),
        ("3 of 3 epochs done, test accuracy 63.3 %", True),
        ("3 of 3 epochs done, test accuracy 63.3 %", False),
    ]


def test_live_of_another_task_says_its_metric(titles):
    assert len(list(live(({"epoch": i, "train_loss": 1.0, "miou": 10.0 * i} for i in (1, 2)), 2, metric="miou"))) == 2
    assert titles[-1] == ("2 of 2 epochs done, mIoU 20.0 %", False)


def test_live_updates_at_most_four_times_a_second(titles, clock):
    assert len(list(live(taking(0.01, run(100), clock), 100))) == 100
    assert len(titles) <= 2 + 4  # the first, the last, and a second's worth
    assert titles[-1] == ("100 of 100 epochs done, test accuracy 79.5 %", False)


def test_slow_pictures_come_so_seldom_that_they_cost_less_than_three_percent(monkeypatch, clock):
    drawn = []

    def display(figure, display_id=None):
        return type("Handle", (), {"update": staticmethod(draw)})

    def draw(figure):
        clock[0] += 0.2  # a picture
        drawn.append(clock[0])

    monkeypatch.setattr(lesson, "display", display)
    start = clock[0]
    assert len(list(live(taking(0.5, run(200), clock), 200))) == 200
    later = [at for at in drawn if at - start > lesson.AT_ONCE + 1]
    assert len(later) > 5 and 0.2 * len(later) < 0.03 * (clock[0] - start)


@pytest.mark.parametrize(
    "error, message",
    [
        (KeyboardInterrupt(), "interrupted. What was done is kept: 2 of 5 epochs done, test accuracy 55.0 %.\n"),
        (
            FloatingPointError("the loss is not finite"),
            "stopped: the loss is not finite. What was done is kept: 2 of 5 epochs done, test accuracy 55.0 %.\n",
        ),
    ],
)
def test_a_live_run_that_ends_early_keeps_its_rows_and_says_so(error, message, titles, capsys):
    assert list(live(run(2, error), 5)) == list(run(2))
    assert capsys.readouterr().out == message
    assert titles[-1] == ("2 of 5 epochs done, test accuracy 55.0 %", False)


def test_live_does_not_swallow_other_errors(titles):
    with pytest.raises(RuntimeError, match="out of memory"):
        list(live(run(2, RuntimeError("out of memory")), 5))


def test_leaving_the_loop_leaves_the_final_picture(titles):
    rows = live(run(5), 5)
    for row in rows:
        if row["epoch"] == 2:
            break
    rows.close()
    assert titles[-1] == ("2 of 5 epochs done, test accuracy 55.0 %", False)


def step_losses(figure):
    """The losses of the steps that a figure of a run shows, and at which epochs."""
    (line,) = (line for line in figure.axes[0].lines if line.get_marker() == "None")
    return line.get_data()


def test_a_watched_run_draws_each_step_from_its_start_and_how_long_it_will_take(screen, clock):
    watch = lesson.Watch(2, caption="made-up data")
    assert screen[-1].caption == "made-up data"
    watch.say("training the teacher " * 20)
    assert title(screen[-1]).endswith("[...]") and len(title(screen[-1])) <= 100
    losses = torch.zeros(4)
    clock[0] += 60  # of which nothing belongs to the run
    watch.begin(losses)

    def rows():
        for epoch in (1, 2):
            for batch in range(4):
                watch.report((epoch - 1) / 2 + batch / 8, batch)
                losses[batch] = 10 * epoch + batch
                clock[0] += 5
            watch.report(epoch / 2 - 0.01, 4)
            yield {"epoch": epoch, "train_loss": 1.0, "test_accuracy": 50.0}

    followed = watch.follow(rows())
    assert next(followed)["epoch"] == 1
    assert title(screen[-1]) == "0 of 2 epochs done, 21 s left"  # 20 s for 49 % of the work
    assert [list(part) for part in step_losses(screen[-1])] == [[0.25, 0.5, 0.75, 1.0], [10, 11, 12, 13]]
    assert len(list(followed)) == 1
    x, y = step_losses(screen[-1])
    assert list(y) == [10, 11, 12, 13, 20, 21, 22, 23] and x[-1] == 2.0
    assert title(screen[-1]) == "2 of 2 epochs done, test accuracy 50.0 %"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FloatingPointError("the loss is not finite")])
def test_the_steps_before_the_end_stay_in_the_picture(error, screen, capsys):
    watch, losses = lesson.Watch(2), torch.tensor([2.0, 1.5, math.nan])
    watch.begin(losses)

    def rows():
        yield {"epoch": 1, "train_loss": 1.0, "test_accuracy": 50.0}
        watch.report(0.7, 2)
        raise error

    assert len(list(watch.follow(rows()))) == 1
    assert list(step_losses(screen[-1])[1][-2:]) == [2.0, 1.5]
    assert "kept: 1 of 2 epochs done, test accuracy 50.0 %" in capsys.readouterr().out


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (59.6, "60 s"), (150, "2 min"), (3600, "60 min")])
def test_durations_read_well(seconds, text):
    assert lesson.duration(seconds) == text


# What lessons do with live runs and with comparisons


def pictures(n):
    rng = np.random.default_rng(n)
    return Split(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 10)


NOISE = Dataset("cifar10", "made up", tuple("abcdefghij"), pictures(520), pictures(30))


def test_a_live_run_is_the_recipe_cut_to_the_budget_and_trained(screen, monkeypatch, capsys):
    monkeypatch.setenv("TRICKS_BUDGET", "smoke")
    recipe = replace(BASELINE, train_images=10_000, epochs=12, warmup_epochs=1.0)
    cut, parts, rows = live_run(recipe, NOISE, seed=1)
    assert cut == short(recipe, "cifar10")
    changed = "{'train_images': 512, 'epochs': 1, 'warmup_epochs': 0.08}"
    assert capsys.readouterr().out == f"Live run on made up, seed 1. Changed from its recipe: {changed}\n"
    assert rows == list(epochs(cut, prepare(cut, 1, NOISE), seed=1)) and len(parts.train.labels) == 512
    assert title(screen[-1]).startswith("1 of 1 epochs done") and not screen[-1].draft
    assert screen[-1].caption == "live, seed 1 · resnet8 · 512 images × 1 epochs · made up · thin: each step"
    steps = step_losses(screen[-1])[1]
    assert len(steps) == 512 // cut.batch_size and np.mean(steps) == pytest.approx(rows[0]["train_loss"])


def test_a_live_run_that_is_watched_is_the_run_that_is_not(screen, monkeypatch):
    monkeypatch.setattr(lesson, "SECONDS_BETWEEN_UPDATES", 0.0)
    monkeypatch.setattr(lesson, "PAUSE", 0)
    monkeypatch.setitem(lesson.BUDGETS, "smoke", ((256, 4), (12, 1)))
    monkeypatch.setenv("TRICKS_BUDGET", "smoke")
    recipe = replace(BASELINE, epochs=4, mixup_alpha=0.2, ema_decay=0.9, ema_bn=True, batch_size=64)
    torch.manual_seed(0)
    cut, parts, rows = live_run(recipe, NOISE, stop=2)
    drawn_next = torch.rand(4)
    torch.manual_seed(0)
    alone = prepare(cut, 0, NOISE)
    assert cut.epochs == 4 and rows == list(islice(epochs(cut, alone, seed=0), 2))
    assert torch.equal(torch.rand(4), drawn_next)
    trained, expected = parts.judged.state_dict(), alone.judged.state_dict()
    assert all(torch.equal(trained[name], expected[name]) for name in expected)
    shown = {title(figure) for figure in screen}
    assert f"2 of 4 epochs done, test accuracy {rows[-1]['test_accuracy']:.1f} %" in shown
    drawn = len(screen)
    list(parts.test)
    assert len(screen) == drawn  # what is left behind reports no more


@pytest.mark.parametrize("task, score", [("detection", "mAP at IoU 0.5"), ("segmentation", "pixel accuracy")])
def test_fine_tuning_in_a_lesson_starts_with_a_row_before_any_training(task, score, screen, monkeypatch, capsys):
    monkeypatch.setenv("TRICKS_BUDGET", "smoke")
    scenes = SceneSet("shapes", "made up", DRAWN, draw(13, seed=0), draw(13, seed=1))
    recipe = Transfer(task=task, pretrained=False, dataset="shapes", image_size=48, head_width=16, regions=8)
    cut, parts, rows = fine_tune(recipe, scenes)
    assert (cut.epochs, cut.warmup_epochs) == (1, 0.08)
    assert len(parts.scenes.train) == len(parts.scenes.test) == 12
    fresh = loop.prepare(cut, 0, parts.scenes)
    assert rows[0] == {"epoch": 0, **loop.evaluate(cut, fresh)}
    assert rows[1:] == list(loop.epochs(cut, fresh, seed=0))
    assert not parts.model.training
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "Live run on made up, seed 0. Changed from its recipe: {'epochs': 1, 'warmup_epochs': 0.08}"
    assert (
        title(screen[-1]).startswith("1 of 1 epochs done") and len(step_losses(screen[-1])[1]) == 12 // cut.batch_size
    )
    assert parts.model._forward_pre_hooks == {}
    value = rows[1][{"detection": "map_50", "segmentation": "pixel_accuracy"}[task]]
    assert len(lines) == 2 and lines[1].startswith(f"random backbone, epoch 1: {score} {value:.1f} %")


def test_a_lesson_says_which_data_it_has_in_a_line(monkeypatch, screen, capsys):
    monkeypatch.setattr(lesson, "load", {"auto": NOISE}.get)
    assert load_data() is NOISE
    assert capsys.readouterr().out == "Data: made up\n" and not screen


def test_without_its_data_a_lesson_shows_a_box_that_says_what_to_do(monkeypatch, screen, capsys):
    note = "It is not here: `./course data cifar10 --fetch` gets it.\nno <route>"
    monkeypatch.setattr(lesson, "load", {"auto": replace(NOISE, note=note)}.get)
    load_data()
    (box,) = screen
    assert set(box) == {"text/html", "text/plain"} and box["text/plain"] == note
    assert 'role="note"' in box["text/html"] and "no &lt;route&gt;</small>" in box["text/html"]
    assert re.search("<code[^>]*>./course data cifar10 --fetch</code> gets it.<br>", box["text/html"])
    assert capsys.readouterr().out == ""


def arm_of(*accuracies, eps=0.0):
    recipe = replace(BASELINE, label_smoothing=eps)
    meta = {"train_images": 1, "test_images": 1, "source": "made up", "device": "cpu", "train_version": 1}
    return [Run("arm", recipe, seed, [], {"accuracy": a}, meta) for seed, a in enumerate(accuracies)]


def test_verdicts_put_the_papers_difference_beside_ours(capsys):
    ours = Comparison((0, 1, 2), (1.0, 1.1, 1.2), "points")
    verdicts({"smoothing": (ours, Effect(0.3, 0.1, single=False)), "mixup": (ours, Effect(-0.2, unlike="longer, too"))})
    assert capsys.readouterr().out.splitlines() == [
        f"smoothing: paper +0.30 ± 0.20, ours {ours}: same sign (3.7 times the paper's)",
        f"mixup: paper -0.20, one run each, ours {ours}: no verdict (longer, too)",
    ]


def test_lessons_of_section_6_say_on_what_scenes_they_work(monkeypatch, screen, capsys):
    found = SceneSet("shapes", "made up", DRAWN, draw(3, seed=0), draw(2, seed=1))
    asked = []
    monkeypatch.setattr("tricks.data.scenes.load", lambda recipe, seed: asked.append((recipe, seed)) or found)
    recipe = Transfer(task="detection")
    assert load_scenes(recipe) is found
    assert asked == [(replace(recipe, dataset="auto"), 0)]
    assert capsys.readouterr().out == "Data: made up, 3 pictures to train on, 2 to test on\n"
    found = replace(found, note="Drawn, because Penn-Fudan is not here")
    load_scenes(recipe)
    assert capsys.readouterr().out == "" and screen[-1]["text/plain"] == "Drawn, because Penn-Fudan is not here"


def test_steps_between_arms_stand_beside_the_papers_with_what_an_effect_of_its_size_takes(screen):
    arms = {"unused": arm_of(1.0), "old": arm_of(70.0, 71.0), "new": arm_of(72.0, 73.1, eps=0.1)}
    paper = {("new", "old"): Effect(0.05), ("old", "new"): None}
    steps = {"up": ("new", "old"), "down": ("old", "new")}
    results = compare_steps(arms, steps, lambda new, old: paper[new, old], "accuracy")
    assert results == {label: (compare(arms[new], arms[old]), paper[new, old]) for label, (new, old) in steps.items()}
    (shown,) = screen
    up, down = shown.data.splitlines()[2:]
    many = seeds_for(0.05, 0.1 / 2**0.5)  # the differences are 2 and 2.1
    assert up == f"| up | +0.05 | +2.05 ± 0.64 | 2 | yes | {many} |" and 2 < many < 100
    assert down == "| down |  | −2.05 ± 0.64 | 2 | yes |  |"


def test_what_is_resolved_is_said_of_the_intervals_and_what_is_open_with_what_it_takes():
    clear, null = Comparison((0, 1), (2.0, 2.1), "points"), Comparison((0, 1, 2), (-1.0, 0.0, 1.3), "points")
    theirs = {"b": Effect(1.0), "c": Effect(-0.01), "d": Effect(9.0)}  # the null is 0.1 ± 2.9
    said = lesson.resolved({"a": (clear, None), **{label: (null, effect) for label, effect in theirs.items()}})
    n = null.seeds_for(-1.0)
    assert n == seeds_for(1.0, stdev(null.differences)) and Comparison((0,), (1.0,), "points").seeds_for(1) is None
    assert said == (
        "Resolved: a (+2.05 ± 0.64). Not resolved, but not as large as the paper's: d. Open: b; c. "
        f"To see the paper's effects in what is open would take {n} to 1,000 or more pairs of runs each."
    )
    assert lesson.resolved({"a": (clear, Effect(1.0))}) == "Resolved: a (+2.05 ± 0.64)."
    assert lesson.resolved({"b": (null, None)}) == "Open: b."


# Conclusions and the loop from zero

SAID = dict.fromkeys(lesson.CONCLUSION, "It <helps>.")


def test_a_conclusion_says_all_its_parts_in_order(screen):
    lesson.conclusion(**SAID)
    (shown,) = screen
    assert shown["text/plain"].splitlines() == [f"{name}: It <helps>." for name in lesson.CONCLUSION.values()]
    assert shown["text/html"].count("It &lt;helps&gt;.") == len(SAID) >= 6


def test_a_conclusion_writes_each_minus_in_one_way_and_leaves_hyphens(screen):
    lesson.conclusion(**SAID | {"short": f"{-0.5:+.2f} ± 0.20, (−1.00), ResNet-50-D, 12-14, 5e-4"})
    (shown,) = screen
    assert "−0.50 ± 0.20, (−1.00), ResNet-50-D, 12-14, 5e-4" in shown["text/html"]


@pytest.mark.parametrize("wrong", [{"use": " "}, {"advice": "x"}])
def test_a_conclusion_that_lacks_a_part_or_has_another_is_refused(wrong):
    with pytest.raises(ValueError, match="conclusion of mechanism"):
        lesson.conclusion(**{**SAID, **wrong})


def test_the_loop_from_zero_is_short_and_needs_nothing_but_torch():
    lines = [line for line in from_zero.source().splitlines() if line.strip()]
    assert 40 < len(lines) <= 65
    assert vars(from_zero.loop()).keys() >= {"network", "augmented", "rate", "accuracy", "train"}
    assert "tricks" not in from_zero.source()


def test_a_changed_loop_trains_as_its_lines_say_and_shows_them(screen):
    """Against PyTorch's own label smoothing of a single batch, and against the loop as it is."""
    torch.manual_seed(1)
    data = (torch.randn(64, 3, 32, 32), torch.arange(64) % 4), (torch.randn(16, 3, 32, 32), torch.arange(16) % 4)
    plain = from_zero.loop()
    assert screen == []
    old, new = "F.cross_entropy(net(x), y)", "F.cross_entropy(net(x), y, label_smoothing=eps)"
    smooth = from_zero.loop({old: new}, eps=0.2)
    (shown,) = screen
    assert f"-            loss = {old}" in shown.data and f"+            loss = {new}" in shown.data
    assert len(shown.data.splitlines()) < 15
    (first,), (again,), (smoothed,) = (
        list(each.train(*data, epochs=1, batch_size=64)) for each in (plain, plain, smooth)
    )
    assert first == again and 0 <= first["test_accuracy"] <= 100
    torch.manual_seed(0)
    net = plain.network(4).train()
    order = torch.randperm(64)
    x, y = plain.augmented(data[0][0][order]), data[0][1][order]
    losses = [torch.nn.functional.cross_entropy(net(x), y, label_smoothing=eps).item() for eps in (0, 0.2)]
    assert [first["train_loss"], smoothed["train_loss"]] == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("text", ["no such line", "for "])
def test_a_change_of_a_text_that_is_not_there_once_is_refused(text):
    with pytest.raises(ValueError, match="must occur once"):
        from_zero.changed({text: ""})
