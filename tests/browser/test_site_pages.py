"""The whole site in a real browser: every page and every panel, from a file without a network and from a server.

The panels are frozen for it where they are not yet: a quarter of an hour on two cores, seconds once they are.
"""

import functools
import http.server
import os
import random
import re
import statistics
import threading

import build_notebooks as tool
import pytest
from playwright.sync_api import expect
from test_frozen import MEASURE, SLOWEST

from tricks import ROOT

if os.environ.get("CI") != "true":  # there, a package that is missing is an error
    for package in ("sphinx", "myst_nb", "furo", "latex2mathml"):
        pytest.importorskip(package, reason="./course site needs the packages of the group `site` in pyproject.toml")

from tricks.course import site

BUILD_SECONDS = 1800
# Panels of what a live run has left behind, by the start of their lesson's name: they stay pictures
LIVE = {"03_1": 2, "05_3": 1, "06_1": 2, "06_2": 1, "A": 1}
# The states of the page's panel: how many there are, and whether the picture is that of the one it says it shows
STATES = """async () => {
    const packed = Uint8Array.from(atob(document.getElementById('states').textContent), letter => letter.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    window.states = await new Response(unpacked).json();
    return window.states.pictures.length;
}"""
AS_FROZEN = """() => {
    const picture = document.getElementById('picture'), wanted = document.createElement('div');
    wanted.innerHTML = states.pictures[picture.dataset.state].map(line => states.lines[line]).join('\\n');
    return wanted.innerHTML.trim() === picture.innerHTML.trim()
        && states.words[picture.dataset.state] === picture.getAttribute('aria-label');
}"""


@pytest.fixture(scope="module")
def files():
    """The folder of the site, made as `./course site` makes it."""
    site.freeze()
    print(site.write())
    return site.FOLDER / "html"


@pytest.fixture(scope="module")
def server(files):
    """The address of a server of the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def names(files):
    return sorted(path.relative_to(files).as_posix() for path in files.rglob("*.html") if "_static" not in path.parts)


@pytest.mark.timeout(BUILD_SECONDS)
def test_all_panels_of_the_lessons_are_frozen_in_their_place(files):
    calls = 0
    for source in tool.sources([]):
        page = (files / "notebooks" / f"{source.stem}.html").read_text(encoding="utf8")
        here = re.findall(r'<iframe src="\.\./(_static/panels/[^"]+)"', page)
        assert all((files / name).is_file() for name in here)
        wanted = len(re.findall(r"^ *sliders\(", source.read_text(encoding="utf8"), re.MULTILINE))
        live = next((count for name, count in LIVE.items() if source.stem.startswith(f"{name}_")), 0)
        assert len(here) == wanted - live, source.stem
        calls += wanted
    assert calls > 45


@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize(
    ("served", "width", "scheme"), [(False, 390, "dark"), (True, 390, "light"), (False, 1920, "light")]
)
def test_every_page_opens_without_an_error_or_an_outside_request_and_fits(files, server, opened, served, width, scheme):
    """At the width of a phone and of a projector no page is wider than the window."""
    start = server if served else files.as_uri()
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page = opened("index.html", start=start, **look)
    shown = names(files)
    assert len(shown) > 35
    wide = []
    for name in shown:
        page.goto(f"{start}/{name}")
        if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
            wide.append(name)
    assert wide == []
    page.goto(f"{start}/search.html?q=calibration")
    expect(page.locator("#search-results a[href*='05_2_label_smoothing']").first).to_be_visible(timeout=20_000)


def test_a_deeper_part_is_closed_until_a_link_leads_into_it(files, opened):
    page = opened("notebooks/05_2_label_smoothing.html")
    parts = page.locator("details.deeper")
    text = (ROOT / "notebooks" / "src" / "05_2_label_smoothing.py").read_text(encoding="utf8")
    assert parts.count() == len(re.findall(r"^# ## Deeper", text, re.MULTILINE)) > 2
    assert page.locator("details.deeper[open]").count() == 0
    link = page.locator(".toc-tree a", has_text="Deeper").first
    link.evaluate("link => link.click()")
    expect(page.locator("details.deeper[open]")).to_have_count(1)
    expect(page.locator("details.deeper[open] > summary h2")).to_be_in_viewport()


@pytest.mark.timeout(BUILD_SECONDS)
def test_every_panel_moves_by_keyboard_and_mouse_and_shows_what_was_frozen(files, opened):
    panels = sorted((files / "_static" / "panels").glob("*.html"))
    assert len(panels) > 40
    at_random, times = random.Random(0), []
    for path in panels:
        page = opened(f"_static/panels/{path.name}")
        picture = page.locator("#picture")
        expect(picture).to_have_attribute("data-state", re.compile(r"\d+"))
        states = page.evaluate(STATES)
        assert states > 1 and page.evaluate(AS_FROZEN), path.name
        page.evaluate(MEASURE)
        controls = page.locator("#controls :is(input, select)")
        for i in range(controls.count()):
            control, before = controls.nth(i), picture.get_attribute("data-state")
            control.focus()
            kind = control.evaluate("control => control.type")
            keys = ["Space"] if kind == "checkbox" else ["ArrowRight", "ArrowLeft"]
            moved = False
            for key in keys:  # one of the two moves it from wherever it stands
                page.keyboard.press(key if kind != "select-one" else key.replace("Right", "Down").replace("Left", "Up"))
                moved = moved or picture.get_attribute("data-state") != before
            assert moved and page.evaluate(AS_FROZEN), (path.name, i)
            if kind == "range":
                before, box = picture.get_attribute("data-state"), control.bounding_box()
                end = control.evaluate("control => control.value === control.max")
                across = 2 if end else box["width"] - 2
                page.mouse.click(box["x"] + across, box["y"] + box["height"] / 2)
                assert picture.get_attribute("data-state") != before and page.evaluate(AS_FROZEN), (path.name, i)
        axes = page.evaluate("() => JSON.parse(document.getElementById('axes').textContent)")
        for _ in range(3):
            places = [at_random.randrange(len(axis["texts"])) for axis in axes]
            state = functools.reduce(
                lambda sum, both: sum * len(both[0]["texts"]) + both[1], zip(axes, places, strict=True), 0
            )
            said = {axis["name"]: axis["texts"][place] for axis, place in zip(axes, places, strict=True)}
            page.evaluate("said => { location.hash = new URLSearchParams(said) }", said)
            expect(picture).to_have_attribute("data-state", str(state))
            assert page.evaluate(AS_FROZEN), (path.name, said)
        times.append(statistics.median(page.evaluate("() => window.milliseconds")))
        page.context.close()
    print(f"{len(panels)} panels, from key to picture {statistics.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert statistics.median(times) <= SLOWEST
