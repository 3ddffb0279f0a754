"""The Korean pages: templates of docs/ko/src whose numbers come from the records and from the paper's tables.

A placeholder is `{{name: arguments}}`, with " | " between arguments: `{{ours: cosine − efficient}}`. `FILL` has the
names. What is not recorded yet reads `NOT_RECORDED`. A term of the glossary gets its English at its first use.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tricks import ROOT, schedules
from tricks.course import card
from tricks.data.files import write_atomic
from tricks.label_smoothing import theoretical_gap
from tricks.plots.style import signed
from tricks.records import paper, statistics
from tricks.records.statistics import Comparison, value
from tricks.records.store import Run, load_all, nearest_name
from tricks.studies.studies import recipe_of

PAGES = ROOT / "docs" / "ko"
SOURCES = PAGES / "src"
GLOSSARY = PAGES / "glossary.md"
LESSONS = ROOT / "notebooks" / "src"
FIGURES = ROOT / "figures"
README = "README.ko.md"  # at the root; all other pages are in docs/ko
WARNING = "<!-- {source}에서 만든 문서다. 고칠 때는 그 파일을 고치고 python tools/korean_pages.py를 실행한다. -->\n"

NOT_RECORDED = "아직 기록 없음"
NO_ROW = "단독 행 없음"
UNLIKE = "80에폭 더 길다"  # what the rows of mixup have besides
VERDICTS = {
    "same sign": "같은 부호",
    "opposite sign": "반대 부호",
    "not resolved here": "구별 안 됨",
    "the paper's effect is within its own noise": "논문 값이 잡음 안",
    "no verdict": "비교 불가",
}
TRICKS = {
    "linear scaling": "선형 스케일링",
    "warm-up": "워밍업",
    "zero γ": "제로 감마",
    "no bias decay": "no bias decay",
    "mixed precision": "혼합 정밀도",
    "tweak B": "변형 B",
    "tweak C": "변형 C",
    "tweak D": "변형 D",
    "cosine decay": "코사인 감쇠",
    "label smoothing": "레이블 스무딩",
    "distillation": "지식 증류",
    "mixup": "믹스업",
}
AFTER = {  # arms on top of `after-bag`, one change each: what it is called
    "after-whitening": "백색화",
    "after-bias": "편향의 학습률 64배",
    "after-dirac": "Dirac 초기화",
    "after-muon": "Muon",
    "after-linear": "선형 감쇠",
    "after-average": "가중치의 지수이동평균",
    "after-average-bn": "지수이동평균 뒤에 BN 통계 다시 재기",
    "after-flips": "번갈아 뒤집기",
    "after-cutmix": "컷믹스",
    "after-trivial": "TrivialAugment",
    "after-resizing": "작은 이미지로 시작",
    "after-resizing-11": "작은 이미지로 시작해 11에폭",
}
HALF_A_POINT = 0.5  # what a null is asked to show where the paper has no effect of its own


# Placeholders


def cell(table: str, row: str, column: str, digits: str = "2") -> str:
    """A number of the paper's tables, with the digits that the paper prints there."""
    return f"{paper.table(table)[row][column]:.{digits}f}"


def delta(table: str, row: str, reference: str, column: str) -> str:
    """By how much a row of the paper's tables is above another."""
    return signed(paper.delta(table, row, reference, column))


def ratio(table: str, new: str, old: str) -> str:
    """How many times as large as another a cell of a table is, each of them `row, column`."""
    above, below = (_cell(f"{table}, {each}") for each in (new, old))
    return f"{above / below:.1f}"


def gained_in_paper(new: str, old: str) -> str:
    """The difference of two numbers of any of the paper's tables, each of them `table, row, column`."""
    return signed(_cell(new) - _cell(old))


def spread(table: str, column: str, reference: str) -> str:
    """The smallest and the largest difference of two columns over a table's rows that have both."""
    rows = [cells for cells in paper.table(table).values() if column in cells and reference in cells]
    found = [cells[column] - cells[reference] for cells in rows]
    return f"{signed(min(found))}에서 {signed(max(found))}"


def in_paper(trick: str) -> str:
    """What the paper's tables say of a trick of the card, with its noise where that is known."""
    effect = card.in_paper(_trick(trick))
    if effect is None:
        return NO_ROW
    noise = f" ± {effect.noise:.2f}" if effect.sd else ""
    return f"{signed(effect.delta)}{noise}" + (f" ({UNLIKE})" if effect.unlike else "")


def short(trick: str) -> str:
    """Our difference for a trick of the card in 8 to 12 epochs."""
    return _where(_trick(trick).short)


def long(trick: str) -> str:
    """Our difference for a trick of the card in 60 to 200 epochs."""
    return _where(_trick(trick).long)


def verdict(trick: str) -> str:
    """What our differences say beside the paper's, short runs and long ones."""
    row = _trick(trick)
    effect = card.in_paper(row)
    if effect is None:
        return "–"
    said = (_against(card.gain(*pair) if pair else None, effect) for pair in (row.short, row.long))
    return " / ".join(said)


def ours(pair: str) -> str:
    """The difference of two arms, `new − old`, with its interval and n; of what the arms are compared by."""
    return words(_gain(pair))


def judged(pair: str) -> str:
    """What the difference of two arms is: a gain, a loss, not resolved, or not recorded."""
    found = _gain(pair)
    return NOT_RECORDED if found is None else _judged(found)


def told(pair: str, *effect: str) -> str:
    """`ours`; where the interval holds 0, it says so, and how many seeds would show an effect.

    `effect`: points, or two cells of the paper's tables, whose difference it is; half a point if it is not given.
    """
    return _told(_gain(pair), abs(_effect(effect)))


def result(trick: str, length: str) -> str:
    """`told` of a trick of the card in "short" or "long" runs, for an effect as large as the paper's."""
    row = _trick(trick)
    pair, effect = {"short": row.short, "long": row.long}[length], card.in_paper(row)
    size = abs(effect.delta) if effect and not effect.unlike else HALF_A_POINT
    return _told(card.gain(*pair) if pair else None, size)


def excluded(pair: str) -> str:
    """The ends of the interval of a difference, "−1.2점에서 +1.1점": what is beyond them is excluded."""
    found = _gain(pair)
    if found is None:
        return NOT_RECORDED
    return "에서 ".join(f"{signed(end, 1)}점" for end in (found.mean - found.half, found.mean + found.half))


def interaction(none: str, a: str, b: str, both: str) -> str:
    """What two changes gain together beyond the sum of both alone, of four arms, as `told` has it."""
    arms = [card.runs(name) for name in (none, a, b, both)]
    shared = set.intersection(*({run.seed for run in runs} for runs in arms))
    return _told(statistics.interaction(*arms) if shared else None, HALF_A_POINT)


def division(name: str) -> str:
    """The change of accuracy in the epoch after the first division of the rate, of an arm or of the paper's Fig. 3b."""
    if name == "paper":
        curve = paper.curve("3b", "step")[1]  # per epoch, a fraction
        return signed(100 * (curve[30] - curve[29]), 1)
    runs = card.runs(name)
    return words(statistics.after_division(runs)) if runs else NOT_RECORDED


def behind(pair: str) -> str:
    """In how many epochs the first arm is below the second, on average; or the cosine in the paper's Fig. 3b."""
    if pair == "paper":
        cosine, step = (paper.curve("3b", kind)[1] for kind in ("cosine", "step"))
        difference = [new - old for new, old in zip(cosine, step, strict=True)]
    elif (found := _gain(pair)) is None:
        return NOT_RECORDED
    else:
        runs = ([run for run in card.runs(name) if run.seed in found.seeds] for name in _pair(pair))
        difference = statistics.lead(*runs).mean(axis=0)
    return f"{len(difference)}에폭 가운데 {sum(each < 0 for each in difference)}에폭"


def mean(name: str) -> str:
    """Mean, interval and n of an arm."""
    return _summary([value(run, run.recipe.metric) for run in card.runs(name)], 2)


def overconfidence(name: str) -> str:
    """Confidence minus accuracy of an arm, in points."""
    return _mean_of(name, statistics.overconfidence, sign=True)


def ece(name: str) -> str:
    """Expected calibration error of an arm, in per cent."""
    return _mean_of(name, lambda run: 100 * value(run, "ece"))


def clean(name: str) -> str:
    """Accuracy of an arm on its own training pictures at the end, in per cent."""
    return _mean_of(name, lambda run: run.rows[-1]["train_accuracy"])


def images(name: str, part: str) -> str:
    """How many images an arm has of a part, "train" or "test"."""
    found = {run.meta[f"{part}_images"] for run in card.runs(name)}
    return "–".join(f"{n:,}" for n in sorted(found)) if found else NOT_RECORDED


def removed(pair: str) -> str:
    """Which share of the old arm's errors the new one does not make, with its interval and n."""
    new, old = map(card.runs, _pair(pair))
    if not {run.seed for run in new} & {run.seed for run in old}:
        return NOT_RECORDED
    return _summary(statistics.errors_removed(new, old), 1, " %")


def removed_in_paper(new: str, old: str) -> str:
    """The same share of two accuracies of the paper's tables, each of them `table, row, column`."""
    above, below = _cell(new), _cell(old)
    return f"{100 * (above - below) / (100 - below):.1f}"


def epochs(name: str) -> str:
    """The epochs of an arm."""
    return str(recipe_of(name).epochs)


def steps(name: str) -> str:
    """The optimiser steps of an arm."""
    found = [run.recipe.epochs * (run.meta["train_images"] // run.recipe.batch_size) for run in card.runs(name)]
    return f"{found[0]:,}" if found else NOT_RECORDED


def training_cost(pair: str) -> str:
    """How many times the multiply-adds of the old arm's training the new one takes."""
    return f"{1 + card.added_cost(*_pair(pair)).training:.2f}"


def seeds(trick: str, length: str) -> str:
    """How many seeds would show the paper's gain of a trick in 80 of 100 studies, if they scatter as ours do."""
    row = _trick(trick)
    pair, effect = {"short": row.short, "long": row.long}[length], card.in_paper(row)
    found = card.gain(*pair) if pair else None
    needed = found.seeds_for(effect.delta) if found and effect else None
    return NOT_RECORDED if needed is None else _count(needed)


def gap(eps: str, classes: str) -> str:
    """The optimal gap between the logits, eq. 5 of the paper."""
    return f"{theoretical_gap(float(eps), int(classes)):.1f}"


def rate(done: str, peak: str) -> str:
    """The cosine's learning rate when this share of the run is done."""
    return f"{schedules.cosine_lr(round(1_000 * float(done)), 1_000, float(peak)):.3g}"


def smoothed(eps: str, classes: str) -> str:
    """What label smoothing gives to each wrong class, ε/(K − 1)."""
    return f"{float(eps) / (int(classes) - 1):.3f}".rstrip("0")


def listed(where: str) -> str:
    """The card's tricks with a clear gain or loss: "short gain", "short loss", "long gain" or "long loss"."""
    length, _, kind = where.partition(" ")
    return ", ".join(TRICKS[name] for name in _clear(length, {"gain": 1, "loss": -1}[kind])) or "없음"


def kept(where: str) -> str:
    """The card's tricks with a clear gain in runs of some of these lengths, "short, long", and a clear loss in none."""
    lengths = where.split(", ")
    gained, lost = ({name for each in lengths for name in _clear(each, sign)} for sign in (1, -1))
    return ", ".join(text for name, text in TRICKS.items() if name in gained - lost) or "없음"


def after_the_bag(kind: str) -> str:
    """What came after the bag with a clear "gain" or "loss", or "open", each with its points."""
    sign = {"gain": 1, "loss": -1, "open": 0}[kind]
    compared = ((text, card.gain(name, "after-bag")) for name, text in AFTER.items())
    found = [(text, each) for text, each in compared if each and each.clear * (1 if each.mean > 0 else -1) == sign]
    return ", ".join(f"{text} {signed(each.mean)}점" for text, each in found) or "없음"


def best_over_last(name: str) -> str:
    """By how many points the best epoch of an arm's runs is above their last."""
    found = statistics.best_over_last(card.runs(name))
    return _summary(found, 2, signs=True)


def single_pairs(below: str) -> str:
    """How often a single pair of seeds has the wrong sign, of the comparisons with five whose difference is small."""
    classified = [run for run in load_all() if run.recipe.metric == "accuracy"]
    small = [each for each in statistics.comparisons(classified) if abs(each.mean) < float(below)]
    found = statistics.few_seeds(small, 1)
    return f"{found.tries}쌍 가운데 {found.tries - found.same}쌍" if found.tries else NOT_RECORDED


# What a page says of a lesson: a heading, figure, panel or guess that is gone is an error when the pages are made


def heading(lesson: str, text: str) -> str:
    """A heading of a lesson."""
    found = re.findall(r"^# #+ (.+)$", _source(lesson), flags=re.MULTILINE)
    if text not in found:
        raise ValueError(f"{lesson} has no heading {text!r}. Nearest: {nearest_name(text, found)!r}")
    return f"*{text}*"


def figure(name: str) -> str:
    """A link to a slide's picture."""
    if not (FIGURES / f"{name}.png").exists():
        have = sorted(path.stem for path in FIGURES.glob("*.png"))
        raise ValueError(f"no figure {name!r}. Nearest: {nearest_name(name, have)!r}")
    return f"[{name}](../../figures/{name}.png)"


def solution(lesson: str, plot: str) -> str:
    """A setting that reaches the goal of a lesson's panel."""
    for call in _calls(lesson, "sliders"):
        stated = {each.arg: each.value for each in call.keywords}
        if ast.unparse(call.args[0]) == plot and "solution" in stated:
            return ", ".join(f"{name} = {value}" for name, value in ast.literal_eval(stated["solution"]).items())
    raise ValueError(f"{lesson} has no panel of {plot} with a solution")


def guess(lesson: str) -> str:
    """What a lesson asks to be predicted, as it stands above the slider, and where the slider ends."""
    for call in _calls(lesson, "predict"):
        stated = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
        return f"*{ast.literal_eval(call.args[0])}*, {signed(stated['low'], 0)}에서 {signed(stated['high'], 0)}까지"
    raise ValueError(f"{lesson} asks for no prediction")


def _source(lesson: str) -> str:
    path = LESSONS / f"{lesson}.py"
    if not path.exists():
        have = sorted(each.stem for each in LESSONS.glob("*.py"))
        raise ValueError(f"no lesson {lesson!r}. Nearest: {nearest_name(lesson, have)!r}")
    return path.read_text(encoding="utf8")


def _calls(lesson: str, name: str) -> Iterator[ast.Call]:
    nodes = (node for node in ast.walk(ast.parse(_source(lesson))) if isinstance(node, ast.Call))
    return (node for node in nodes if isinstance(node.func, ast.Name) and node.func.id == name)


FILL: dict[str, Callable[..., str]] = {
    "cell": cell, "delta": delta, "ratio": ratio, "spread": spread, "removed_in_paper": removed_in_paper,
    "gained_in_paper": gained_in_paper,
    "paper": in_paper, "short": short, "long": long, "verdict": verdict,
    "ours": ours, "judged": judged, "mean": mean, "removed": removed, "epochs": epochs, "seeds": seeds,
    "over": overconfidence, "ece": ece, "gap": gap, "listed": listed, "best": best_over_last, "single": single_pairs,
    "told": told, "result": result, "excluded": excluded, "interaction": interaction, "division": division,
    "behind": behind, "clean": clean, "images": images, "steps": steps, "cost": training_cost,
    "rate": rate, "smoothed": smoothed, "kept": kept, "after": after_the_bag,
    "at": heading, "figure": figure, "solution": solution, "guess": guess,
}  # fmt: skip


def words(found: Comparison | None) -> str:
    """Our difference in a cell, "↑ +3.25 ± 0.52 (n = 5)"; an arrow says that its interval does not hold 0."""
    return NOT_RECORDED if found is None else card.words(found)


def _told(found: Comparison | None, effect: float) -> str:
    if found is None or found.clear:
        return words(found)
    needed = found.seeds_for(effect)
    more = f"{round(effect, 2):g}점을 보려면 시드 {_count(needed)}" if needed else "시드 하나로는 구간이 없다"
    return f"{words(found).removesuffix(')')}; {_judged(found)}, {more})"


def _judged(found: Comparison) -> str:
    if not found.clear:
        return "뚜렷한 차이 없음"
    return "뚜렷한 이득" if found.mean > 0 else "뚜렷한 손해"


def _count(needed: int) -> str:
    return f"{needed}개" if needed < 1_000 else "1,000개로도 모자란다"


def _effect(given: tuple[str, ...]) -> float:
    """Points, or the difference of two cells; see `told`."""
    if len(given) == 2:
        return _cell(given[0]) - _cell(given[1])
    return float(*given) if given else HALF_A_POINT


def _clear(length: str, sign: int) -> list[str]:
    pairs = {name: {"short": trick.short, "long": trick.long}[length] for name, trick in card.CARD.items()}
    found = {name: card.gain(*pair) for name, pair in pairs.items() if pair}
    return [name for name, each in found.items() if each and each.clear and each.mean * sign > 0]


def _where(pair: card.Pair | None) -> str:
    found = card.gain(*pair) if pair else None
    return f"{words(found)}, {epochs(pair[0])}에폭" if pair and found else NOT_RECORDED


def _against(found: Comparison | None, effect: paper.Effect) -> str:
    if found is None:
        return NOT_RECORDED
    word, detail = found.against(effect)
    return VERDICTS[word] + (f" (논문의 {detail.split()[0]}배)" if word == "same sign" else "")


def _mean_of(name: str, number: Callable[[Run], float], sign: bool = False) -> str:
    found = [number(run) for run in card.runs(name)]
    if not found:
        return NOT_RECORDED
    middle = statistics.t_interval(found)[0]
    return signed(middle, 1) if sign else f"{middle:.1f}"


def _summary(found: list[float], digits: int, unit: str = "", signs: bool = False) -> str:
    if not found:
        return NOT_RECORDED
    text = f"{'+' if signs and found[0] > 0 else ''}{statistics.plus_minus(found, digits)}".replace("-", "−")
    return f"{text}{unit} (n{card.NBSP}={card.NBSP}{len(found)})"


def _cell(place: str) -> float:
    table, row, column = place.split(", ")
    return paper.table(table)[row][column]


def _gain(pair: str) -> Comparison | None:
    new, old = _pair(pair)
    return card.gain(new, old, recipe_of(new).metric)


def _trick(name: str) -> card.Trick:
    if name not in card.CARD:
        raise ValueError(f"no trick {name!r}. Nearest: {nearest_name(name, card.CARD)!r}. Have {', '.join(card.CARD)}")
    return card.CARD[name]


def _pair(text: str) -> tuple[str, str]:
    new, minus, old = text.partition(" − ")
    if not minus:
        raise ValueError(f'{text!r} is no pair of arms: write "new − old", with a minus between spaces')
    return new, old


# Speaker notes

NOTES = ("한 줄 요약", "결론", "오해하기 쉬운 점", "토론 질문")  # parts of a session's page


def box(page: str, lesson: str) -> str:
    """The box of a lesson in the conclusions of a session's page, without the marks of a quotation; "" if none."""
    part = page.partition("\n## 결론\n")[2].partition("\n## ")[0]
    for quoted in part.strip().split("\n\n"):
        if f"/{lesson}.ipynb" in quoted.partition("\n")[0]:
            return re.sub(r"^> ?\n?", "", quoted, flags=re.MULTILINE)
    return ""


def notes(lesson: str) -> str:
    """What the page of a lesson's session says, without its marks: its line, the lesson's box, misreadings, questions.

    The first session's, of several that have the lesson. LookupError on a lesson that no page has.
    """
    for path in sorted(PAGES.glob("[0-9]*.md")):
        head, _, text = path.read_text(encoding="utf8").partition("**한 줄 요약.**")
        if f"/{lesson}.ipynb" in head:
            break
    else:
        raise LookupError(f"no page of {PAGES} links to the lesson {lesson}: add it to the first lines of its session")
    _, *parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    said = {NOTES[0]: text.partition("\n\n")[0], **dict(zip(parts[::2], parts[1::2], strict=True))}
    said["결론"] = box(path.read_text(encoding="utf8"), lesson)
    title = head.partition("# ")[2].partition("\n")[0]
    return "\n\n".join([title, *(f"{name}\n{_plain(said[name])}" for name in NOTES if name in said)])


def _plain(text: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|\*\*?|[`$]", r"\1", text).strip()
    return re.sub(r"\n(?!- |\d\. )\s*", " ", text)


# Terms


AMBIGUOUS = "정규화"  # regularisation to some, normalisation to others


@dataclass(frozen=True)
class Term:
    """A row of the glossary: the one Korean form of a term, and those that are not used."""

    korean: str
    english: str
    meaning: str
    rejected: tuple[str, ...]
    glossed: bool  # whether a page writes the English at the first use


class Found(NamedTuple):
    """A rejected form in a text, and what to write."""

    line: int
    form: str
    instead: str


def glossary(path: Path = GLOSSARY) -> list[Term]:
    """The terms, row by row. ValueError on a row without its four cells."""
    terms: list[Term] = []
    glossed = False
    for line in path.read_text(encoding="utf8").splitlines():
        if line.startswith("## "):
            glossed = "병기하는" in line
        if not line.startswith("|") or line.startswith(("|---", "| 한국어")):
            continue
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) != 4:
            raise ValueError(f"{path.name}: {line!r} has {len(cells)} cells. Give 한국어, English, 뜻, 쓰지 않는 말")
        korean, english, meaning, rejected = cells
        terms.append(Term(korean, english, meaning, tuple(filter(None, re.split(", ", rejected))), glossed))
    return terms


def rejected_forms(text: str, terms: Iterable[Term]) -> list[Found]:
    """Forms that the glossary rejects, line by line; and normalisation where it is not that of batches or inputs."""
    instead = {form: term.korean for term in terms for form in term.rejected}
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        found += [Found(number, form, right) for form, right in instead.items() if form in line]
        if re.search(rf"(?<!배치 )(?<!입력 ){AMBIGUOUS}(?!\(normalization\))", line):
            found.append(Found(number, AMBIGUOUS, "규제, 배치 정규화 또는 입력 정규화"))
    return found


UNTOUCHED = re.compile(
    r"(^(?:#|<!--|    )[^\n]*$|\$\$[^$]*\$\$|\$[^$\n]*\$|`[^`\n]*`|!\[[^\]]*|\]\([^)]*\))", re.MULTILINE
)


def gloss(text: str, terms: Iterable[Term]) -> str:
    """The text with the English after each glossed term's first use outside headings, code, formulas and links."""
    parts = UNTOUCHED.split(text)
    wanted = sorted((term for term in terms if term.glossed), key=lambda term: -len(term.korean))
    english = {term.korean: term.english for term in wanted}
    pattern = re.compile("|".join(rf"(?<![가-힣]){re.escape(term)}(?!\()" for term in english))
    written: set[str] = {term for term in english if f"{term}({english[term]})" in text}

    def once(match: re.Match) -> str:
        term = match[0]
        if term in written:
            return term
        written.add(term)
        return f"{term}({english[term]})"

    return "".join(part if i % 2 else pattern.sub(once, part) for i, part in enumerate(parts))


# Pages


def fill(text: str) -> str:
    """The text with its placeholders filled in. ValueError names one that is unknown or that cannot be computed."""

    def number(match: re.Match) -> str:
        name, arguments = match[1], match[2].split(" | ")
        if name not in FILL:
            raise ValueError(f"no placeholder {name!r}. Nearest: {nearest_name(name, FILL)!r}. Have {', '.join(FILL)}")
        try:
            return FILL[name](*arguments)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{match[0]}: {type(error).__name__} {error}. Correct it in docs/ko/src") from error

    return re.sub(r"\{\{(\w+): (.+?)\}\}", number, text)


def pages() -> Mapping[Path, str]:
    """Every page and what it should say, from its template."""
    terms = glossary()
    found = {}
    for source in sorted(SOURCES.glob("*.md")):
        path = (ROOT if source.name == README else PAGES) / source.name
        head = WARNING.format(source=source.relative_to(ROOT).as_posix())
        found[path] = head + gloss(fill(source.read_text(encoding="utf8")), terms)
    return found


def write() -> list[Path]:
    """Write the pages that differ from their templates, and say which."""
    changed = [
        (path, text) for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf8") != text
    ]
    for path, text in changed:
        write_atomic(path, text.encode())
    return [path for path, _ in changed]
