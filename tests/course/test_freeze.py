"""Frozen panels as files: what is in them is what the panel draws and says. tests/browser moves their controls."""

import ast
import base64
import gzip
import itertools
import json
import re
import time
from functools import partial

import ipywidgets as widgets
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tricks.course import freeze as module
from tricks.course.freeze import Drawing, freeze, freeze_shown, grid, picture
from tricks.course.lab_controls import CONTROLS
from tricks.course.lesson import sliders
from tricks.course.sliders import control
from tricks.label_smoothing import theoretical_gap
from tricks.plots.smoothing import optimal_gap
from tricks.plots.style import canvas, styled, with_redraw

K = [2, 10, 100, 1000]
GOAL = {
    "goal": "A gap of <6 at K = 10", "solution": {"eps": 0.02},
    "reached": lambda eps, K: K == 10 and theoretical_gap(eps, K) > 5.9,
}  # fmt: skip


@styled
def line(a=2, kind="plain", thick=False):
    fig, ax = canvas(height=2)
    (drawn,) = ax.plot([0, 1], [0, 0], animated=True)
    ax.set(xlim=(0, 1), ylim=(0, 40), xlabel="x", ylabel="y", title="A line")

    def redraw(a, kind="plain", thick=False):
        drawn.set(data=([0, 1], [a, 2 * a] if kind == "steep" else [a, a]), linewidth=4 if thick else 1)

    return with_redraw(fig, redraw, a, kind, thick)


@styled
def numbered(a=1):
    fig, ax = canvas(height=2)
    ax.set(xlim=(0, 10**a))
    return fig


def read(path):
    """(axes, states) of a file."""
    text = path.read_text(encoding="utf8")
    axes = re.search(r'id="axes">(.*?)</script>', text, re.DOTALL)
    states = re.search(r'id="states">(.*?)</script>', text, re.DOTALL)
    assert axes and states
    return json.loads(axes[1]), json.loads(gzip.decompress(base64.b64decode(states[1])))


def svgs(states):
    return ["\n".join(states["lines"][i] for i in lines) for lines in states["pictures"]]


@pytest.fixture(scope="module")
def gap(tmp_path_factory):
    """A file with a goal, and the values of its states in their order."""
    path = tmp_path_factory.mktemp("panels") / "gap.html"
    panel = sliders(optimal_gap, eps=[0.01, 0.02, 0.1, 0.5], K=K, **GOAL)
    done = freeze(panel, path)
    assert (done.states, done.size, done.drawn) == (16, path.stat().st_size, True)
    return path, [dict(zip(("eps", "K"), state, strict=True)) for state in itertools.product((0.01, 0.02, 0.1, 0.5), K)]


def test_every_state_is_the_picture_that_the_plot_draws_anew_with_text_as_text(gap):
    path, values = gap
    drawn = svgs(read(path)[1])
    assert len(drawn) == len(set(drawn)) == 16
    for state in (0, 6, 15):
        assert drawn[state] == picture(optimal_gap(**values[state])).rstrip("\n")
    for svg, state in zip(drawn, values, strict=True):
        assert svg.startswith("<svg") and svg.endswith("</svg>")
        assert f">ε = {state['eps']:.4g}, K = {state['K']}</" in svg and ">smoothing ε</text>" in svg


def test_a_state_that_is_not_the_plots_is_seen(gap):
    path, values = gap
    assert svgs(read(path)[1])[3] != picture(optimal_gap(**values[4])).rstrip("\n")


def test_every_state_has_words_of_its_own_and_the_goals_verdict(gap):
    path, values = gap
    _, states = read(path)
    assert len(set(states["words"])) == 16
    assert states["words"][6].endswith("Drawn for ε = 0.02, classes K = 100")
    assert states["reached"] == [GOAL["reached"](**state) for state in values]
    assert sum(states["reached"]) == 2
    not_yet, reached = states["verdicts"]
    assert "A gap of &lt;6 at K = 10" in not_yet and "Not yet." in not_yet and "✓ Reached." in reached


def test_a_file_opens_where_the_panel_stands_without_a_script_and_asks_for_nothing(gap):
    text = gap[0].read_text(encoding="utf8")
    start = text.split('id="states"')[0]
    assert ">ε = 0.1, K = 10</" in start and "Drawn for ε = 0.1, classes K = 10" in start and "Not yet." in start
    assert [axis["start"] for axis in read(gap[0])[0]] == [2, 1]
    assert "{{" not in text and "turn on JavaScript" in text
    addresses = re.findall(r"""(?:src|href|url)[=(]["']?([^"')\s>]*)""", "".join([start, *read(gap[0])[1]["lines"]]))
    assert len(addresses) > 10 and {address[:1] for address in addresses} <= {"#", ""}
    assert set(re.findall(r"https?://[\w.]+", text)) == {"http://www.w3.org"}  # names, not addresses
    assert gap[0].stat().st_size < 80_000


def test_controls_are_native_and_have_names(tmp_path):
    panel = sliders(line, a=(1, 10), kind=["plain", "steep"], thick=False)
    panel.controls["kind"].value = "steep"
    path = tmp_path / "line.html"
    assert freeze(panel, path, title="Lines & more").states == 40
    text = path.read_text(encoding="utf8")
    assert '<input type="range" id="control-0" min="0" max="9" step="1" value="1" aria-valuetext="2">' in text
    assert '<option value="1" selected>steep</option>' in text and '<input type="checkbox" id="control-2">' in text
    for number, name in enumerate(("a", "kind", "thick")):
        assert f'<label for="control-{number}">{name}</label>' in text
    assert "<title>Lines &amp; more</title>" in text and "positions of" not in text
    axes, states = read(path)
    assert [axis["texts"] for axis in axes[1:]] == [["plain", "steep"], ["False", "True"]]
    assert states["reached"] == states["verdicts"] == []


def test_links_say_every_number_of_the_labs_controls_as_python_reads_it():
    checked = 0
    for name, spec in {name: spec for section in CONTROLS.values() for name, spec in section.items()}.items():
        made = control(name, spec, None)
        for value in module.positions(name, made):
            said = module.text(value, getattr(made, "readout_format", ""))
            assert said == value if isinstance(value, str) else ast.literal_eval(said) == value, (name, value, said)
            checked += 1
    assert checked > 300


def test_freezing_leaves_the_panel_as_it_is(tmp_path):
    panel = sliders(optimal_gap, eps=[0.1, 0.2], K=[2, 10])
    before = panel.values, panel.picture.value, panel.figure
    freeze(panel, tmp_path / "gap.html")
    assert (panel.values, panel.picture.value, panel.figure) == before


def test_a_plot_that_moves_its_axes_is_laid_out_again_and_ticks_are_not_rounded():
    drawing = Drawing(sliders(numbered, a=(-2, 2)))
    for a in (1, -2, 2):
        svg, _ = drawing((a,))
        assert svg == picture(numbered(a))
    assert ">0.0075</text>" in drawing((-2,))[0] or ">0.008</text>" in drawing((-2,))[0]
    places = re.findall(r' x="([\d.]+)"', svg)
    assert places and all(len(place.partition(".")[2]) <= 1 for place in places)


def test_a_redraw_that_leaves_something_behind_is_refused(tmp_path):
    @styled
    def growing(a=1):
        fig, ax = canvas(height=2)
        return with_redraw(fig, lambda a: ax.plot([0, 1], [0, a]), a)

    with pytest.raises(ValueError, match=r"growing: redrawn for a = \d, it is not what it draws anew"):
        freeze(sliders(growing, a=(1, 5)), tmp_path / "growing.html")
    assert list(tmp_path.iterdir()) == []


def values_of(panel, most=300):
    return {axis.name: axis.values for axis in grid(panel, most)}


def test_many_positions_are_thinned_to_round_ones_with_ends_start_and_solution():
    goal = {"goal": "7", "reached": lambda lam: lam == 0.37, "solution": {"lam": 0.37}}
    kept = values_of(sliders(lambda lam=0.02: line(lam), lam=(0.0, 1.0), **goal))["lam"]
    assert kept == sorted({round(0.1 * i, 10) for i in range(11)} | {0.02, 0.37})
    assert values_of(sliders(lambda lam=0.5: line(lam), lam=(0.0, 1.0)))["lam"] == [
        round(0.05 * i, 10) for i in range(21)
    ]
    ratios = values_of(sliders(optimal_gap, eps=(0.001, 0.9), K=(2, 1000)))
    assert {0.001, 0.01, 0.1, 0.9} <= set(ratios["eps"]) and {2, 10, 1000} <= set(ratios["K"])
    assert all(len(values) <= module.POSITIONS for values in ratios.values())
    assert values_of(sliders(lambda a=1.5: line(a), a=(1.0, 2.0, 0.25)))["a"] == [1.0, 1.25, 1.5, 1.75, 2.0]
    assert values_of(sliders(lambda kind="0": line(), kind=[str(i) for i in range(30)]))["kind"][-1] == "29"


@pytest.mark.parametrize("most", [300, 100, 60])
def test_states_together_are_bounded(most):
    def four(a=1, b=2, c=3, d=4):
        return line(a + b + c + d)

    found = values_of(sliders(four, a=(0, 200), b=(0, 20), c=(0.0, 1.0), d=[4, 8]), most)
    assert most / 8 < np.prod([len(values) for values in found.values()]) <= most
    assert {0, 1, 200} <= set(found["a"]) and {0, 2, 20} <= set(found["b"])


def test_more_states_than_can_be_are_refused_with_what_to_do():
    panel = sliders(lambda **switches: line(sum(switches.values())), **dict.fromkeys("abcdefghi", False))
    with pytest.raises(
        ValueError, match="512 states of a, b, .* at most 300: leave a control out, or .* fewer choices"
    ):
        grid(panel, 300)


def test_what_cannot_be_frozen_is_refused(tmp_path, monkeypatch):
    panel = sliders(lambda a="": line(3), a=widgets.Text())
    with pytest.raises(ValueError, match="control a, a Text, cannot be frozen: give it a range"):
        freeze(panel, tmp_path / "text.html")

    def trained(a=1):
        if a != 1:
            while time.thread_time() < until:
                pass
        return a

    until = time.thread_time() + 0.3
    monkeypatch.setattr(module, "SLOWEST", 0.1)
    with pytest.raises(ValueError, match="to draw a = .*: training is not frozen. Compute the results in the lesson"):
        freeze(sliders(line, trained, a=[1, 2]), tmp_path / "slow.html")
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_state_says_in_which():
    drawing = Drawing(sliders(lambda a=1: line(1 / (a - 3)), a=(1, 5)))
    with pytest.raises(ZeroDivisionError) as caught:
        drawing((3,))
    assert caught.value.__notes__ == ["drawn to be frozen, for a = 3"]


def test_a_file_too_large_gets_fewer_states_or_is_refused(tmp_path, monkeypatch):
    panel = sliders(line, a=(1, 20), thick=False)
    whole = freeze(panel, tmp_path / "line.html")
    monkeypatch.setattr(module, "STATES", 40)
    monkeypatch.setattr(module, "LARGEST", whole.size - 1)
    fewer = freeze(panel, tmp_path / "fewer.html")
    assert fewer.states < whole.states == 40 and fewer.size < whole.size
    assert "positions of a; the lesson" in fewer.path.read_text(encoding="utf8")
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"none.html: \d+ kB with 10 states, at most 1: draw fewer marks"):
        freeze(panel, tmp_path / "none.html")


def test_photographs_may_take_more_and_are_stored_once(tmp_path, monkeypatch):
    @styled
    def photo(pixels, a=1):
        fig, ax = canvas(height=3)
        ax.imshow(pixels)
        (dot,) = ax.plot([], [], "o", animated=True)
        return with_redraw(fig, lambda a: dot.set_data([a], [a]), a)

    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(module, "LARGEST", 1000)
    done = freeze(sliders(partial(photo, pixels), a=(1, 8)), tmp_path / "photo.html")
    assert done.states == 8 and sum("<image" in part for part in read(done.path)[1]["lines"]) == 1


def test_a_file_is_drawn_again_when_what_draws_it_changes(tmp_path):
    factor, path = [1], tmp_path / "line.html"

    def panel(**more):
        return sliders(line, lambda a=2: factor[0] * a, a=(1, 12), **more)

    assert freeze(panel(), path).drawn
    first = path.read_bytes()
    again = freeze(panel(), path)
    assert (again.drawn, again.states, again.size) == (False, 12, len(first)) and path.read_bytes() == first
    factor[0] = 3  # code that no source of the panel's functions shows
    assert freeze(panel(), path).drawn
    assert freeze(panel(goal="3", reached=lambda a: a == 3, solution={"a": 3}), path).drawn
    assert freeze(panel(goal="3", reached=lambda a: a >= 3, solution={"a": 3}), path).drawn
    path.unlink()
    factor[0] = 1
    assert freeze(panel(), path).drawn and path.read_bytes() == first  # the same bytes


def test_a_lesson_that_is_executed_freezes_its_panels(tmp_path, monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    freeze_shown(tmp_path / "panels", "05_2", "../panels")
    data, _ = shell.display_formatter.format(sliders(line, a=(1, 3)))
    assert 'src="../panels/05_2-1.html" title="line: a panel with controls"' in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in data and "Drawn for a = 2" in data["text/plain"]
    assert read(tmp_path / "panels" / "05_2-1.html")[0][0]["name"] == "a"
    data, about = shell.display_formatter.format(sliders(lambda a="": line(3), a=widgets.Text()))
    assert list(data) == ["text/plain"] and "cannot be frozen" in about["not frozen"]
    shell.display_formatter.format(sliders(line, a=(1, 3)))
    assert sorted(path.name for path in (tmp_path / "panels").iterdir()) == ["05_2-1.html", "05_2-3.html"]
