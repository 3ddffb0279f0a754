"""Words of the reader's in figures: in every script, with every character, in whatever length."""

import io
import unicodedata
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image

from tricks.plots import distillation, lab, mixup, preprocessing, segmentation, text
from tricks.plots.export import export
from tricks.plots.style import Figure, canvas, styled
from tricks.plots.text import plain, short, spoken, verbatim
from tricks.recipe import BASELINE
from tricks.records.store import Run

HANGUL = ("강아지", "고양이")
HARD = ("cost $5-$10", r"a_b^c\d{e}", "$", "<b>&\"'", "tab\tand\x1bescape\x00", "two\nlines", "\udcb0\udcad", "", " ")
SCRIPTS = (
    "강아지",
    "犬",
    "いぬ",
    "كلب",
    "कुत्ता",
    "สุนัข",
    "כלב",
    "собака",
    "e\u0301a\u0308",
    "🐶",
    "👩🏽\u200d🔬",
    "\u202edog",
)


def square(pen):
    pen.moveTo((100, 0))
    for point in ((100, 700), (800, 700), (800, 0)):
        pen.lineTo(point)
    pen.closePath()


def build(path, family, characters, outlines="glyf"):
    """A font in which these characters are filled squares."""
    names = [".notdef", *(f"u{ord(c):04X}" for c in characters)]
    builder = FontBuilder(1000, isTTF=outlines == "glyf")
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): name for c, name in zip(characters, names[1:], strict=True)})
    if outlines == "glyf":
        pen = TTGlyphPen(None)
        square(pen)
        builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    else:
        pen = T2CharStringPen(900, None)
        square(pen)
        builder.setupCFF(family, {}, dict.fromkeys(names, pen.getCharString()), {})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800)
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture(autouse=True)
def fonts(monkeypatch):
    """Only fonts that come with matplotlib, whatever this machine has; `fonts(path)` installs one."""
    installed: list[str] = []
    monkeypatch.setattr(fontManager, "ttflist", [f for f in fontManager.ttflist if "mpl-data" in str(f.fname)])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: installed)
    monkeypatch.setattr(text, "_told", set())

    def forget():
        for cached in (text.fallback, text._families, fontManager._findfont_cached):
            getattr(cached, "cache_clear", lambda: None)()

    def install(path):
        installed.append(str(path))
        forget()

    forget()
    yield install
    forget()


@styled
def titled(*titles):
    fig, axes = canvas(len(titles), squeeze=False, height=2.0)
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set_title(verbatim(title))
    return fig


def ink(fig: Figure) -> int:
    return int((np.asarray(Image.open(io.BytesIO(fig.png(100, small=False))).convert("L")) < 128).sum())


@pytest.mark.parametrize("outlines", ["glyf", "CFF "])
def test_names_are_drawn_in_an_installed_font_that_has_them(tmp_path, fonts, outlines):
    fonts(build(tmp_path / "some.otf", "Some Hangul", "강아지고양이", outlines))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig = preprocessing.images_grid([np.zeros((8, 8, 3), "uint8")] * 2, HANGUL, columns=2)
        fig.png()
        paths = export(fig, "hangul", tmp_path)
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"]
    assert [ax.title.get_text() for ax in fig.axes] == list(HANGUL)
    assert fig.axes[0].title.get_fontfamily() == ["DejaVu Sans", "Some Hangul"]
    assert ink(titled(HANGUL[0])) - ink(titled("")) > 3 * 80  # three squares of some 10 px, not three thin boxes


def test_one_font_per_script_and_the_plain_one_first(tmp_path, fonts):
    fonts(build(tmp_path / "a.ttf", "Aardvark Brush", "강아지"))
    fonts(build(tmp_path / "b.ttf", "Noto Sans Hangul", "강아지고양이"))
    fonts(build(tmp_path / "c.ttf", "Kanji", "犬"))
    assert text.fallback(frozenset("강犬")) == (["Noto Sans Hangul", "Kanji"], frozenset())
    assert text.fallback(frozenset("강고鳥")) == (["Noto Sans Hangul"], frozenset("鳥"))


def test_text_of_the_course_keeps_its_font_beside_other_text(tmp_path, fonts):
    fonts(build(tmp_path / "some.ttf", "Some Hangul", "강abc"))
    fig = titled("강", "ε = 0.1")
    fig.png()
    assert [ax._left_title.get_fontfamily() for ax in fig.axes] == [["DejaVu Sans", "Some Hangul"], ["DejaVu Sans"]]


def test_text_that_a_redraw_brings_has_its_font_too(tmp_path, fonts):
    fonts(build(tmp_path / "some.ttf", "Some Hangul", "강아지"))
    fig = lab_figure(HANGUL[:1] * 2)
    fig.png()
    moving = next(artist for artist in fig.animated_artists() if isinstance(artist, Text))
    moving.set_text("강")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.png()
    assert "Some Hangul" in moving.get_fontfamily()


def test_a_missing_font_is_named_once_and_in_our_words(tmp_path):
    with pytest.warns(UserWarning) as caught:
        for _ in range(2):
            fig = titled(*HANGUL)
            fig.png()
            export(fig, "hangul", tmp_path)
    (only,) = caught
    message = str(only.message)
    assert "강" in message and "(HANGUL)" in message and "'강아지'" in message
    assert "Noto Sans CJK" in message and "apt install fonts-noto-cjk" in message


@pytest.mark.parametrize("name, font", [("कुत्ता", "Noto Sans Devanagari"), ("🐶", "Symbola"), ("หมา", "Noto Sans Thai")])
def test_the_font_to_install_is_that_of_the_script(name, font):
    with pytest.warns(UserWarning, match=font):
        titled(name).png()


def test_a_font_of_bitmaps_or_a_broken_one_is_passed_over(tmp_path, fonts):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fonts(tmp_path / "broken.ttf")
    fonts(build(tmp_path / "some.ttf", "Some Hangul", "강"))
    assert text.fallback(frozenset("강")) == (["Some Hangul"], frozenset())
    (tmp_path / "some.ttf").write_bytes(b"")
    text.fallback.cache_clear()
    assert text.fallback(frozenset("강")) == ([], frozenset("강"))


def before(classes):
    return lab.Before(BASELINE, 78, classes, np.zeros((12, 8, 8, 3)), np.eye(len(classes))[0], 1.0)


def lab_figure(classes):
    return lab.before_training(before(classes))


def run(name):
    rows = [{"epoch": 1, "train_loss": 1.0, "test_accuracy": 50.0}]
    return Run(name, BASELINE, 0, rows, {"accuracy": 50.0})


@pytest.mark.filterwarnings("ignore:No installed font")
@pytest.mark.parametrize("names", [HARD, SCRIPTS, ("x" * 300, "word " * 60)], ids=["hard", "scripts", "long"])
def test_every_plot_that_takes_names_draws_all_of_them(names, tmp_path):
    k = len(names)
    pictures, one = np.zeros((2, 8, 8, 3)), np.eye(k)[0]
    figures = {
        "grid": preprocessing.images_grid([pictures[0]] * k, names, columns=6, caption=names[0]),
        "lab": lab_figure(names),
        "pair": mixup.mixed_pair(pictures, names, (pictures[0], one)),
        "soft": distillation.soft_targets(pictures, np.zeros((2, k)), [0, 1], names),
        "gradient": distillation.soft_gradient([1, 2], np.ones((2, 2, k)), np.ones((2, k)), names),
        "counted": segmentation.counted(np.zeros((4, 4)), np.zeros((4, 4)), names),
        "overlay": lab.overlay({name: run("a") for name in names[:6]}, {names[-1]: [run("b")]}),
    }
    for name, fig in figures.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fig.png(60, small=False)
            assert fig.alt.encode("utf8")
            if name == "grid":
                export(fig, name, tmp_path, takeaway=names[0])
        assert not {str(w.message) for w in caught if not str(w.message).startswith("No installed font")}, name


def drawn(words: str) -> str:
    """What matplotlib draws for these words: its own reading of dollar signs."""
    string, math = Text(text=words)._preprocess_math(words)
    assert not math
    return string


@pytest.mark.parametrize("name", ["cost $5-$10", r"\$5 \alpha $", "$", "$$", r"a\$b$c\\", "a_b^c{d}", r"\frac{1}{2}"])
def test_marks_of_mathematics_are_drawn_as_they_are(name):
    assert drawn(verbatim(name)) == drawn(short(name)) == spoken(verbatim(name)) == name


def test_mathematics_of_the_course_stays_mathematics():
    assert spoken(r"$\hat{x} = \lambda x_i$ {a}") == "x hat = λ x_i {a}"
    assert spoken("cost $5") == "cost $5"
    mixed = verbatim("5$ or {6}") + " $x^{2}$"
    assert spoken(mixed) == "5$ or {6} x^2"


def test_what_cannot_be_drawn_is_replaced():
    assert plain("a\tb\x00c\u202ed\udcffe\nf") == "a b cd\ufffde\nf"
    assert plain(unicodedata.normalize("NFD", "강아지")) == "강아지"
    assert plain("👩\u200d🔬") == "👩\u200d🔬"


def test_long_names_keep_their_start_and_end():
    assert short("English springer") == "English springer"
    assert short("x" * 22) == "x" * 22
    assert short("a" * 20 + "b" * 20) == "a" * 11 + "…" + "b" * 10
    assert short("강" * 30) == "강" * 5 + "…" + "강" * 5  # two columns each
    assert short("two\nlines  and spaces", 40) == "two lines and spaces"
    assert short("$" * 40).count("$") == 21  # shortened first, then marked


def test_the_figures_of_lessons_are_as_they_were():
    """A figure whose text DejaVu has is drawn with nothing else, however many fonts are there."""
    fig = titled("ε, λ and ½ × 3 − 1", "plain")
    fig.png()
    assert {tuple(t.get_fontfamily()) for t in fig.findobj(Text)} == {("DejaVu Sans",)}
