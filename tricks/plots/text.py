"""The reader's words in a figure: drawn as they are, in a font that has them, and no longer than there is room for."""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

FAMILY = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine
LONGEST = 22  # columns of a name
JOINERS = "\u200c\u200d"  # the only invisible characters that change how others are drawn
# the first word of a character's Unicode name: a font that has such characters, and Debian's package of it
FONTS = {
    **dict.fromkeys(("HANGUL", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO"), ("Noto Sans CJK", "fonts-noto-cjk")),
    "emoji": ("Symbola", "fonts-symbola"),  # no coloured ones, which are bitmaps that matplotlib cannot draw
}
MISSING = "Glyph .* missing from "  # how matplotlib's own warning begins
_told: set[str] = set()  # scripts that a warning was about


def plain(text: str) -> str:
    """The text in composed form (NFC), without what cannot be drawn.

    Control characters become spaces, but for line breaks; invisible ones go; what is left of bytes that were no text
    becomes "�".
    """

    def drawn(character: str) -> str:
        kind = unicodedata.category(character)
        if character == "\n" or character in JOINERS or kind not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            return character
        return {"Cf": "", "Cs": "\ufffd"}.get(kind, " ")

    return "".join(map(drawn, unicodedata.normalize("NFC", text)))


def verbatim(text: str) -> str:
    """The text for matplotlib, which draws it as it is: no dollar sign in it begins mathematics."""
    return plain(text).replace("$", r"\$")


def short(name: str, longest: int = LONGEST) -> str:
    """A name for matplotlib, `verbatim` in one line; of a longer one than so many columns, its start and its end."""
    words = " ".join(plain(name).split())
    if _columns(words) > longest:
        start = end = words
        while _columns(start) > longest // 2:
            start = start[:-1]
        while _columns(end) > (longest - 1) // 2:
            end = end[1:]
        words = f"{start}…{end}"
    return verbatim(words)


def _columns(text: str) -> int:
    wide = (2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))
    return sum(wide)


def spoken(text: str) -> str:
    """What matplotlib draws for a text, in letters: without the marks of mathematics and of `verbatim`."""
    parts = re.split(r"(?<!\\)\$", text)
    if len(parts) % 2:  # as for matplotlib, an odd dollar sign begins nothing
        for i, part in enumerate(parts[1::2]):
            part = re.sub(r"\\hat{(\w)}", r"\1 hat", part).replace(r"\lambda", "λ")
            parts[2 * i + 1] = re.sub("[{}]", "", part)
        text = "".join(parts)
    return text.replace(r"\$", "$")


# Fonts --------------------------------------------------------------------------------------------------------------


@contextmanager
def covered(texts: Iterable[Text]) -> Iterator[None]:
    """Draw in here: each text has a font for each of its characters, if one is installed.

    If none is, a warning says once which characters these are and what to install, instead of matplotlib's, which come
    for each of them at every drawing.
    """
    wanting = [(text, lacking) for text in texts if (lacking := _lacking(text.get_text()))]
    families, missing = fallback(frozenset().union(*(lacking for _, lacking in wanting)))
    for text, lacking in wanting:
        family = [*dict.fromkeys([*text.get_fontfamily(), *families])]
        if family != text.get_fontfamily():
            text.set_fontfamily(family)
        if lacking & missing:
            _tell(spoken(text.get_text()), lacking & missing)
    if not missing:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", MISSING)
        yield


def _lacking(text: str) -> frozenset[str]:
    """Characters that the course's font does not have."""
    if text.isascii():
        return frozenset()
    return frozenset(c for c in text if ord(c) not in _own() and unicodedata.category(c) not in ("Cc", "Cf"))


@cache
def _own() -> frozenset[int]:
    return frozenset(FT2Font(fontManager.findfont(FAMILY)).get_charmap())


@cache
def fallback(characters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """Font families that have the characters, as few as will do, and the characters that no installed font has."""
    families: list[str] = []
    has = (
        {family: found for family, file in _families().items() if (found := _has(file, characters))}
        if characters
        else {}
    )
    while characters & frozenset().union(*has.values()):
        best = max(has, key=lambda family: len(has[family] & characters))
        families.append(best)
        characters -= has[best]
    return families, characters


@cache
def _families() -> dict[str, str]:
    """A file of each font family, of its weight nearest to regular; plain families first.

    matplotlib's own list lacks what was installed after that was made.
    """
    known = {str(font.fname) for font in fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(Exception):  # FreeType's and matplotlib's are of many kinds
                fontManager.addfont(path)

    def order(font: FontEntry) -> tuple[int, bool, int]:
        weights: dict[Any, int] = font_manager.weight_dict
        rank = next(i for i, word in enumerate(("Noto Sans", "Sans", "Gothic", "")) if word in font.name)
        return rank, font.style != "normal", abs(int(weights.get(font.weight, font.weight)) - 400)

    entries = [font for font in fontManager.ttflist if "Last Resort" not in font.name]
    files: dict[str, str] = {}
    for font in sorted(entries, key=order):
        files.setdefault(font.name, str(font.fname))
    return files


def _has(file: str, characters: frozenset[str]) -> frozenset[str]:
    """Those of the characters that matplotlib can draw with this font."""
    try:
        font = FT2Font(file)
        found = frozenset(c for c in characters if font.get_char_index(ord(c)))
        if found:
            font.set_size(12, 100)  # a font of bitmaps refuses
            font.load_char(ord(min(found)))
    except (RuntimeError, OSError, ValueError):
        return frozenset()
    return found


def _tell(text: str, missing: frozenset[str]) -> None:
    scripts = {_script(character): character for character in sorted(missing)}
    if _told >= scripts.keys():
        return
    _told.update(scripts)
    fonts = dict.fromkeys(FONTS.get(s, (f"Noto Sans {s.title()}", "fonts-noto-core")) for s in scripts)
    install = ", ".join(f"{font} (Debian, Ubuntu: apt install {package})" for font, package in fonts)
    warnings.warn(
        f"No installed font has {' '.join(sorted(missing)[:10])} ({', '.join(scripts)}) of {text!r}: the figure shows "
        f"boxes in their place. Install one that has them, such as {install}, and start the kernel again",
        stacklevel=1,
    )


def _script(character: str) -> str:
    """HANGUL, ARABIC, ...; or emoji."""
    if unicodedata.category(character) in ("So", "Sk", "Cn", "Co"):
        return "emoji"
    return unicodedata.name(character, "unknown").split()[0]
