"""Frozen panels as files in a real browser without a network: by keyboard, by mouse, by link, in both themes."""

import ast
import itertools
import statistics
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from test_sliders import CONTRASTS

from tricks.course.freeze import frame, freeze, picture
from tricks.course.lab import Lab
from tricks.course.lab_controls import CONTROLS
from tricks.course.lesson import sliders
from tricks.plots.smoothing import optimal_gap

SLOWEST = 150  # ms from key to picture, the median of a panel's
EPS, K = [0.01, 0.02, 0.1, 0.5], [2, 10, 100, 1000]
GOAL = {
    "goal": "ε = 0.02 with ten classes",
    "solution": {"eps": 0.02},
    "reached": lambda eps, K: (eps, K) == (0.02, 10),
}
SAME = """svg => {
    const wanted = document.createElement('div');
    wanted.innerHTML = svg;
    return wanted.innerHTML.trim() === document.getElementById('picture').innerHTML.trim();
}"""
# From the key to the first frame that has the new picture
MEASURE = """() => {
    let pressed;
    window.milliseconds = [];
    window.addEventListener('keydown', event => pressed = event.timeStamp, true);
    const seen = () => window.milliseconds.push(performance.now() - pressed);
    new MutationObserver(() => requestAnimationFrame(seen))
        .observe(document.getElementById('picture'), {attributeFilter: ['data-state']});
}"""


def built_anew(eps=0.1, way="plain", dark=False):
    figure = optimal_gap(eps, 100 if way == "many" else 10 if dark else 5)
    figure.redraw = None  # it takes other arguments
    return figure


def of_a_recipe(weight_decay=1e-4, linear_scaling=False):
    return built_anew(10 * weight_decay, dark=linear_scaling)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    panel = sliders(optimal_gap, eps=EPS, K=K, **GOAL)
    freeze(panel, folder / "gap.html")
    freeze(sliders(built_anew, eps=[0.1, 0.2], way=["plain", "many"], dark=False), folder / "kinds.html")
    as_in_the_lab = {name: CONTROLS["Training"][name] for name in ("weight_decay", "linear_scaling")}
    freeze(sliders(of_a_recipe, **as_in_the_lab), folder / "recipe.html")
    page = f"<!doctype html><p>A page</p>{frame(panel, 'gap.html')}"
    (folder / "page.html").write_text(page, encoding="utf8")
    return folder


def at(page, state):
    """Wait until the page shows a state."""
    expect(page.locator("#picture")).to_have_attribute("data-state", str(state))


def shows(page, **values):
    return page.evaluate(SAME, picture(optimal_gap(**values)))


def test_keys_move_the_picture_its_words_the_goal_and_the_link(opened):
    page = opened("gap.html")
    at(page, 9)
    eps, classes = page.get_by_role("slider", name="ε"), page.get_by_role("slider", name="classes K")
    assert shows(page, eps=0.1, K=10)
    expect(page.get_by_role("status")).to_contain_text("Not yet.")
    page.keyboard.press("Tab")
    expect(eps).to_be_focused()
    page.keyboard.press("ArrowLeft")
    at(page, 5)
    assert shows(page, eps=0.02, K=10) and not shows(page, eps=0.1, K=10)  # the second: a wrong picture would be seen
    expect(eps).to_have_attribute("aria-valuetext", "0.02")
    expect(page.locator(".control span").first).to_have_text("0.02")
    expect(page.get_by_role("status")).to_contain_text("✓ Reached.")
    assert page.url.endswith("#eps=0.02&K=10")
    expect(page.get_by_role("img", name="Drawn for ε = 0.02, classes K = 10")).to_be_visible()
    page.keyboard.press("Tab")
    expect(classes).to_be_focused()
    page.keyboard.press("End")
    at(page, 7)
    assert shows(page, eps=0.02, K=1000)
    expect(page.get_by_role("status")).to_contain_text("Not yet.")
    assert page.locator("#picture").get_attribute("aria-label").endswith("Drawn for ε = 0.02, classes K = 1000")
    page.reload()
    at(page, 7)


def test_a_broken_state_is_seen(opened, files):
    text = (files / "gap.html").read_text(encoding="utf8")
    broken = text.replace("lines[line]", "lines[line].replace('K = 1000', 'K = 1001')")
    (files / "broken.html").write_text(broken, encoding="utf8")
    page = opened("broken.html", "#eps=0.02&K=1000")
    at(page, 7)
    assert broken != text and not shows(page, eps=0.02, K=1000)


def test_the_mouse_moves_a_slider(opened):
    page = opened("gap.html")
    at(page, 9)
    box = page.get_by_role("slider", name="ε").bounding_box()
    page.mouse.move(box["x"] + 0.66 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    at(page, 13)


def test_lists_and_boxes_move_by_keyboard_too(opened):
    page = opened("kinds.html")
    at(page, 0)
    page.get_by_role("combobox", name="way").focus()
    page.keyboard.press("ArrowDown")
    at(page, 2)
    page.get_by_role("checkbox", name="dark").focus()
    page.keyboard.press("Space")
    at(page, 3)
    assert page.url.endswith("#eps=0.1&way=many&dark=True")


LINKS = {
    "#eps=0.5&K=2": 12,
    "#K=100": 10,
    "#eps=0.49&K=900": 15,  # the nearest
    "#eps=&K=none": 9,  # no numbers: the start
    "#other=1": 9,
}


@pytest.mark.parametrize("link, state", LINKS.items())
def test_a_link_opens_its_setting(opened, link, state):
    page = opened("gap.html", link)
    at(page, state)
    values = list(itertools.product(EPS, K))[state]
    assert shows(page, **dict(zip(("eps", "K"), values, strict=True)))
    page.evaluate("() => { location.hash = '#eps=0.01&K=2' }")
    at(page, 0)
    assert page.locator("#link").get_attribute("href") == "#eps=0.01&K=2"


@pytest.mark.parametrize("weight_decay, linear_scaling", [(2e-5, True), (0.005, False), (0.0, True)])
def test_a_link_and_the_labs_copied_code_say_the_same_values(weight_decay, linear_scaling, opened):
    lab = Lab("shapes")
    lab.set(weight_decay=weight_decay, linear_scaling=linear_scaling)
    calls = [node for node in ast.walk(ast.parse(lab.code.value)) if isinstance(node, ast.Call)]
    copied = {keyword.arg: ast.literal_eval(keyword.value) for keyword in calls[0].keywords}
    wanted = {"weight_decay": copied["weight_decay"], "linear_scaling": copied.get("linear_scaling", False)}
    assert wanted == {"weight_decay": weight_decay, "linear_scaling": linear_scaling}
    page = opened("recipe.html", "#" + "&".join(f"{name}={value!r}" for name, value in wanted.items()))
    said = parse_qs(urlsplit(page.locator("#link").get_attribute("href")).fragment)
    assert {name: ast.literal_eval(text) for name, (text,) in said.items()} == wanted


def test_a_link_hides_controls_and_the_goal(opened):
    page = opened("gap.html", "?hide=K,goal#eps=0.5&K=1000")
    at(page, 15)
    expect(page.get_by_role("slider")).to_have_count(1)
    expect(page.get_by_role("slider", name="ε")).to_be_visible()
    expect(page.get_by_role("status")).to_have_count(0)
    page.get_by_role("slider").press("Home")
    at(page, 3)
    assert page.url.endswith("?hide=K,goal#eps=0.01&K=1000")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_in_both_themes_on_a_phone_and_on_a_projector(opened, theme):
    for width, height in ((390, 844), (1920, 1080)):
        page = opened("gap.html", color_scheme=theme, viewport={"width": width, "height": height})
        at(page, 9)
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (theme == "light")
        contrasts = page.locator("main").evaluate_all(CONTRASTS)
        contrasts = [(contrast, text) for contrast, text in contrasts if text in page.locator("main").inner_text()]
        assert "Not yet." in [text for _, text in contrasts]
        assert [text for contrast, text in contrasts if contrast < 4.5] == []
        fits = "() => document.documentElement.scrollWidth <= innerWidth && document.body.scrollHeight <= innerHeight"
        assert page.evaluate(fits)
    forced = opened("gap.html", f"?theme={theme}", color_scheme={"light": "dark", "dark": "light"}[theme])
    assert forced.evaluate("() => getComputedStyle(document.body).backgroundColor") == ground


def test_without_javascript_there_is_the_first_picture_and_what_to_do(opened):
    page = opened("gap.html", java_script_enabled=False)
    expect(page.get_by_text("To move the controls, turn on JavaScript")).to_be_visible()
    expect(page.locator("#picture svg").get_by_text("ε = 0.1, K = 10")).to_be_visible()
    expect(page.get_by_role("slider").first).to_be_disabled()


def test_in_another_page_it_has_the_height_that_it_needs(opened):
    page = opened("page.html", viewport={"width": 390, "height": 844})
    inside = page.frame_locator("iframe")
    expect(inside.locator("#picture")).to_have_attribute("data-state", "9")
    inside.get_by_role("slider").first.press("End")
    expect(inside.locator("#picture")).to_have_attribute("data-state", "13")
    height = page.locator("iframe").evaluate("frame => frame.getBoundingClientRect().height")
    needed = page.frames[1].evaluate("() => document.body.getBoundingClientRect().height")
    assert needed <= height <= needed + 1


def test_a_key_is_followed_at_once(opened):
    page = opened("gap.html")
    at(page, 9)
    page.evaluate(MEASURE)
    page.get_by_role("slider", name="ε").focus()
    for key, state in [("ArrowRight", 13), ("ArrowLeft", 9)] * 5:
        page.keyboard.press(key)
        at(page, state)
    page.wait_for_function("() => window.milliseconds.length === 10")
    assert statistics.median(page.evaluate("() => window.milliseconds")) <= SLOWEST
