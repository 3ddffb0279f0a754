"""Korean pages: numbers come from records and tables, words from the glossary, and each session has its lessons."""

import ast
import json
import re
import unicodedata
from functools import cache

import pytest
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from pptx import Presentation

from tricks import ROOT
from tricks.course import card, deck, korean, lesson
from tricks.plots.text import FAMILY
from tricks.records import paper, statistics
from tricks.studies.arms import AFTER_ARMS
from tricks.studies.studies import arm

TERMS = korean.glossary()
TEMPLATES = sorted(korean.SOURCES.glob("*.md"))
COMMITTED = [ROOT / korean.README, *sorted(korean.PAGES.glob("*.md"))]
PAGES = [path for path in COMMITTED if path != korean.GLOSSARY]
SESSIONS = [path for path in PAGES if re.match(r"\d\d_", path.name)]
SHAPE = ["문제", "방법", "논문 수치 옆 우리 수치", "오해하기 쉬운 점", "결론", "토론 질문", "더 읽을거리"]
PLANNED = korean.PAGES / "05_cosine_and_smoothing.md"  # the session that is planned to the minute
CONCLUSION = ["원리", "논문", "우리, 짧게", "우리, 길게", "쓸 때", "해로울 때"]  # `lesson.CONCLUSION`, in Korean
SAYS = re.compile(r"([+−]?\d+(?:\.\d+)?)\s±\s(\d+(?:\.\d+)?)")
LESSON = re.compile(r"notebooks/(\w+)\.ipynb")


def read(path):
    return path.read_text(encoding="utf8")


@cache
def built():
    return korean.pages()


def prose(text):
    """Without what is not translated: headings, comments, code, formulas, and where links lead."""
    text = re.sub(r"^(#|<!--|    ).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\$\$[^$]*\$\$|\$[^$\n]*\$|`[^`\n]*`|!\[[^\]]*|\]\([^)]*\)", "", text)


def page_of(name):
    """The page of the first session that has a lesson."""
    heads = {path: read(path).partition("**한 줄 요약.**")[0] for path in SESSIONS}
    return next(read(path) for path, head in heads.items() if f"/{name}.ipynb" in head)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_committed_page_says_what_its_template_and_the_records_say(template):
    path = (ROOT if template.name == korean.README else korean.PAGES) / template.name
    assert read(path) == built()[path], "run python tools/korean_pages.py and commit what it wrote"


def test_every_page_has_a_template():
    assert {path.name for path in PAGES} == {path.name for path in TEMPLATES}


def test_a_number_is_that_of_the_records_and_of_the_paper():
    found = statistics.compare(arm("cosine"), arm("efficient"))
    expected = f"{found.mean:+.2f} ± {found.half:.2f} (n = {len(found.seeds)})"
    assert korean.fill("{{ours: cosine − efficient}}").replace(card.NBSP, " ").removeprefix("↑ ") == expected
    assert expected in built()[korean.PAGES / "05_cosine_and_smoothing.md"].replace(card.NBSP, " ")
    assert korean.fill("{{cell: 2 | ResNet-50 | baseline_top1}}") == "75.87"
    assert korean.fill(
        "{{gained_in_paper: 6, + distill w/ mixup, ResNet-50-D_top1 | 2, ResNet-50, baseline_top1}}"
    ) == ("+3.42")


def test_a_template_has_no_result_typed_by_hand():
    tables = [*"123456789", "6 (CVPR)"]
    cells = {f"{v:g}" for t in tables for row in paper.table(t).values() for v in row.values() if v > 30 and v % 1}
    assert {"75.3", "79.29"} <= cells
    for template in TEMPLATES:
        typed = re.sub(r"\{\{.+?\}\}", "", read(template))
        assert not re.search(r"± ?\d|[+−]\d+\.\d", typed), template.name
        assert not cells.intersection(re.findall(r"\d+\.\d+", typed)), template.name


def test_without_records_every_number_of_ours_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(card, "runs", lambda name: [])
    monkeypatch.setattr(korean, "load_all", lambda: [])
    for path, text in korean.pages().items():
        assert "n\N{NO-BREAK SPACE}=" not in text, path.name
        ours = re.findall(
            r"\{\{(?:ours|mean|short|long|over|ece|best|removed|told|result|clean): ", read(korean.SOURCES / path.name)
        )
        assert text.count(korean.NOT_RECORDED) >= len(ours), path.name


def test_a_run_that_arrives_takes_the_place_of_what_was_missing(monkeypatch):
    pair = "{{ours: paper-large-warmup − paper-large}} {{judged: paper-large-warmup − paper-large}}"
    assert korean.fill(pair) == f"{korean.NOT_RECORDED} {korean.NOT_RECORDED}"
    lent = {"paper-large-warmup": arm("cosine"), "paper-large": arm("efficient")}
    monkeypatch.setattr(card, "runs", lent.__getitem__)
    assert re.fullmatch(r"↑ \+\d\.\d\d ± \d\.\d\d \(n = 5\) 뚜렷한 이득", korean.fill(pair).replace(card.NBSP, " "))


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("{{our: cosine − efficient}}", "Nearest: 'ours'"),
        ("{{ours: cosine - efficient}}", "new − old"),
        ("{{ours: cosinus − efficient}}", "Nearest: 'cosine'"),
        ("{{short: warmup}}", "Nearest: 'warm-up'"),
        ("{{cell: 2 | ResNet-50}}", "docs/ko/src"),
        ("{{cell: 2 | ResNet-51 | baseline_top1}}", "ResNet-51"),
        ("{{at: 05_1_cosine_decay | Balls in a bow}}", "Nearest: 'Balls in a bowl'"),
        ("{{at: 05_1_cosine | By hand}}", "Nearest: '05_1_cosine_decay'"),
        ("{{figure: 05_1_step_and_cosin}}", "Nearest: '05_1_step_and_cosine'"),
        ("{{solution: 05_1_cosine_decay | bowls}}", "no panel of bowls"),
        ("{{guess: A_background}}", "no prediction"),
    ],
)
def test_a_wrong_placeholder_is_named(wrong, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        korean.fill(wrong)


def test_no_placeholder_is_left():
    assert [path.name for path in COMMITTED if re.search(r"\{\{\w", read(path))] == []


def test_a_null_is_said_as_one_with_what_it_would_take(monkeypatch):
    monkeypatch.setattr(
        card, "gain", lambda new, old, metric="accuracy": statistics.Comparison((0, 1, 2), given, "points")
    )
    given = (0.5, -0.2, 0.3)
    seeds = statistics.Comparison((0, 1, 2), given, "points").seeds_for(0.25)
    said = korean.fill("{{told: cosine − efficient | 0.25}}").replace(card.NBSP, " ")
    assert said == f"+0.20 ± 0.90 (n = 3; 뚜렷한 차이 없음, 0.25점을 보려면 시드 {seeds}개)"
    given = (0.5, 0.6, 0.7)
    assert korean.fill("{{told: cosine − efficient}}").replace(card.NBSP, " ") == "↑ +0.60 ± 0.25 (n = 3)"
    given = (0.5,)
    assert "구간이 없다" in korean.fill("{{told: cosine − efficient}}")


# Conclusions


LESSONS = sorted(deck.LESSONS.glob("*.py"))
BOXED = [path for path in LESSONS if "\nconclusion(\n" in read(path)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_its_conclusion_in_korean(path):
    box = korean.box(page_of(path.stem), path.stem)
    parts = re.findall(r"^- (?:\*\*(.*?)\.\*\*|\*)", box, flags=re.MULTILINE)
    if path in BOXED:
        assert parts == CONCLUSION and len(CONCLUSION) == len(lesson.CONCLUSION)
    else:
        assert len(parts) > 2


@pytest.mark.parametrize("path", BOXED, ids=lambda path: path.stem)
def test_the_numbers_of_a_box_are_those_that_the_lesson_prints(path):
    shown = printed(ROOT / "notebooks" / "solutions" / f"{path.stem}.ipynb")
    box = shown[-1]
    both, alone = SAYS.findall("\n".join(shown)), re.findall(r"[+−]?\d+\.\d+", box)
    ours = SAYS.findall(korean.box(page_of(path.stem), path.stem))
    assert ours
    for mean, half in ours:
        near = [pair for pair in both if same(mean, pair[0]) and same(half, pair[1])]
        assert near or any(same(mean, number) for number in alone), f"{mean} ± {half} is not in the lesson"


def printed(path):
    """What a built lesson prints, down to its conclusion, which is the last."""
    outputs = [output for cell in json.loads(read(path))["cells"] for output in cell.get("outputs", [])]
    data = [output.get("data", {"text/plain": output.get("text", "")}) for output in outputs]
    texts = ["".join(each.get("text/markdown", each.get("text/plain", ""))) for each in data]
    heads = [text.startswith(f"{lesson.CONCLUSION['mechanism']}: ") for text in texts]
    return texts[: heads.index(True) + 1]


def same(ours, theirs):
    """Whether two printed numbers are one, to the digits of the shorter; a lesson may say "costs 1.1" for −1.08."""
    value, rounded = (float(text.replace("−", "-")) for text in (ours, theirs))
    value = value if theirs[0] in "+−" else abs(value)
    digits = min(len(text.partition(".")[2]) for text in (ours, theirs))
    return abs(value - rounded) <= 0.51 * 10**-digits


# Words


def test_the_glossary_contradicts_itself_nowhere():
    forms, english = [term.korean for term in TERMS], [term.english for term in TERMS]
    assert len(TERMS) > 70 and len({*forms}) == len(forms) and len({*english}) == len(english)
    assert all(term.meaning for term in TERMS)
    rejected = [form for term in TERMS for form in term.rejected]
    assert len({*rejected} | {*forms}) > len(forms) + 100
    assert [(form, kept) for form in rejected for kept in forms if form in kept] == []


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_page_has_no_rejected_form(path):
    text = read(path)
    if path == korean.GLOSSARY:  # whose last column they are
        text = re.sub(r"[^|\n]*\|$", "", text, flags=re.MULTILINE)
    assert korean.rejected_forms(text, TERMS) == []


def test_korean_in_the_code_has_no_rejected_form():
    found = {}
    for path in (*(ROOT / "tricks").rglob("*.py"), *(ROOT / "notebooks" / "src").glob("*.py")):
        strings = [node.value for node in ast.walk(ast.parse(read(path))) if isinstance(node, ast.Constant)]
        text = "\n".join(each for each in strings if isinstance(each, str) and each != korean.AMBIGUOUS)
        if wrong := korean.rejected_forms(text, TERMS):
            found[path.name] = wrong
    assert found == {}


@pytest.mark.parametrize(
    "text, form",
    [
        ("학습율을 낮춘다", "학습율"),
        ("기법을 스태킹한다", "스태킹"),
        ("L2 정규화로 과적합을 막는다", "정규화"),
        ("라벨 스무딩", "라벨"),
        ("과적응", "과적응"),
    ],
)
def test_a_rejected_form_is_found(text, form):
    assert form in [found.form for found in korean.rejected_forms(text, TERMS)]


def test_normalisation_of_batches_and_inputs_is_no_rejected_form():
    assert korean.rejected_forms("배치 정규화(batch normalization)와 입력 정규화, 정규화(normalization)", TERMS) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_term_has_its_english_at_its_first_use_and_only_there(path):
    text = prose(read(path))
    for term in filter(lambda term: term.glossed, TERMS):
        both = f"{term.korean}({term.english})"
        longer = "|".join(re.escape(t.korean) for t in TERMS if t.korean != term.korean and term.korean in t.korean)
        alone = re.sub(longer, "", text) if longer else text
        uses = [match.end() for match in re.finditer(rf"(?<![가-힣]){re.escape(term.korean)}", alone)]
        if uses:
            assert alone[uses[0] :].startswith(f"({term.english})"), both
            assert alone.count(both) == 1, both


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_english_stands_behind_the_korean_form_of_the_glossary(path):
    forms = {term.english: term.korean for term in TERMS}
    for before, english in re.findall(r"([가-힣][가-힣 -]*)\(([A-Za-z][A-Za-z ,-]*γ?)\)", prose(read(path))):
        if english in forms:
            assert before.endswith(forms[english]), f"{before}({english})"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_parenthesis_is_within_another(path):
    assert re.findall(r"\([^()\n]*\([^)\n]*\)[^)\n]*\)", prose(read(path))) == []


def test_every_term_is_used_somewhere():
    text = "\n".join(map(read, PAGES))
    assert [term.korean for term in TERMS if term.korean not in text] == []


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_page_is_written_in_one_style_and_in_letters_that_fonts_have(path):
    text = read(path)
    assert re.findall(r"\w*(?:습니다|합니다|입니다|하세요|해요|어요)\b", text) == []
    assert unicodedata.normalize("NFC", text) == text  # decomposed Hangul is shown in pieces
    assert not re.search("[\u3130-\u318f\ufffd]", text)  # single letters, and what could not be read


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_every_glyph_is_in_a_common_font(path):
    known = {chr(code) for code in FT2Font(findfont(FAMILY)).get_charmap()}
    for letter in {*read(path)} - known - {"\n"}:
        assert letter.encode("euc-kr"), letter  # UnicodeEncodeError for a syllable that Korean fonts may lack


# Speaker notes


def test_the_notes_of_a_deck_are_korean_and_say_what_the_page_says(tmp_path):
    one = deck.read_lesson(deck.LESSONS / "05_2_label_smoothing.py")
    picture = ROOT / "figures" / f"{one.exports[0]}.png"
    deck.deck([(one, picture), (one, None)], "ko").save(tmp_path / "deck.pptx")
    _, figure, questions, _ = Presentation(str(tmp_path / "deck.pptx")).slides
    page = read(korean.PAGES / "05_cosine_and_smoothing.md")
    for slide in (figure, questions):
        said = slide.notes_slide.notes_text_frame.text
        assert "5회 · 코사인 감쇠와 레이블 스무딩" in said and "notebooks/05_2_label_smoothing.ipynb" in said
        for question in re.findall(
            r"^\d\. .*", page.partition("## 토론 질문")[2].partition("\n## ")[0], flags=re.MULTILINE
        ):
            assert question.replace("*", "") in said
        assert "\n결론\n05_2 레이블 스무딩" in said and "05_1 코사인 감쇠" not in said
        assert not re.search(r"\*\*|\]\(|\$|^[|>]", said, flags=re.MULTILINE)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_korean_notes(path):
    said = korean.notes(path.stem)
    assert all(f"\n{part}\n" in said for part in ("한 줄 요약", "결론", "토론 질문"))
    assert not re.search(r"\*\*|\]\(|\{\{|^\|", said, flags=re.MULTILINE)
    assert korean.rejected_forms(said, TERMS) == []


def test_a_lesson_that_no_page_has_is_named():
    with pytest.raises(LookupError, match="05_5_nothing"):
        korean.notes("05_5_nothing")


# Shape and links


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_a_link_leads_to_a_file(path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", read(path))
    assert links
    for link in links:
        target = path.parent / link
        if found := LESSON.search(link):  # a lesson may not be built yet
            target = ROOT / "notebooks" / "src" / f"{found[1]}.py"
        assert target.exists(), link


def plan():
    """Session -> its lessons, as the English plan has them."""
    rows = re.findall(r"^\| (\d+) \| ([^|]*) \|", read(ROOT / "docs" / "session_plan.md"), flags=re.MULTILINE)
    return {int(number): {*LESSON.findall(lessons)} for number, lessons in rows if LESSON.search(lessons)}


def test_there_is_a_page_for_each_session_with_its_lessons():
    sessions = plan()
    assert [*sessions] == [*range(1, 11)]
    assert {int(path.name[:2]) for path in SESSIONS} == {0, *sessions}
    korean_plan = read(korean.PAGES / "README.md")
    for path in SESSIONS:
        lessons = sessions.get(int(path.name[:2]), {"A_background"})
        assert lessons <= {*LESSON.findall(read(path))}, path.name
        row = next(line for line in korean_plan.splitlines() if f"({path.name})" in line)
        assert lessons <= {*LESSON.findall(row)}, path.name


@pytest.mark.parametrize("path", SESSIONS[1:], ids=lambda path: path.name)
def test_a_session_has_the_shape_that_was_agreed(path):
    text = read(path)
    planned = ["진행", "발제자 체크리스트"] if path == PLANNED else []
    assert re.findall(r"^## (.*)", text, flags=re.MULTILINE) == [*SHAPE[:-1], *planned, SHAPE[-1]]
    assert text.index("**한 줄 요약.**") < text.index("## 문제")
    questions = text.partition("## 토론 질문")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", questions, flags=re.MULTILINE)) == 3
    misread = text.partition("## 오해하기 쉬운 점")[2].partition("\n## ")[0]
    assert len(re.findall(r'^- \*\*".*?\."\*\* ', misread, flags=re.MULTILINE)) >= 4


def test_the_plan_of_a_session_fills_its_90_minutes():
    parts = re.findall(r"^\d+\. \*\*(\d+)–(\d+)분 · ", read(PLANNED), flags=re.MULTILINE)
    begins, ends = zip(*(map(int, part) for part in parts), strict=True)
    assert begins == (0, *ends[:-1]) and ends[-1] == 90 and all(a < b for a, b in zip(begins, ends, strict=True))


def test_a_button_that_a_page_names_is_there():
    named = {word for path in PAGES for word in re.findall(r"\*([A-Z][\w ]+)\*(?:을|를)", read(path))}
    assert {"Guess as a group", "Reveal"} <= named
    buttons = re.findall(r'description="([^"]+)"', read(ROOT / "tricks" / "course" / "questions.py"))
    assert named <= {*buttons}


def test_what_came_after_has_arms():
    assert {*korean.AFTER} <= {*AFTER_ARMS}


def test_the_readme_names_the_lessons_and_minutes_of_the_english_one():
    rows = [re.findall(r"^\| \[([^\]]*)\]\(([^)]*)\) \| (\d+) \|", read(ROOT / name), flags=re.MULTILINE)
            for name in ("README.md", korean.README)]  # fmt: skip
    assert rows[0] == rows[1] and len(rows[0]) == 18


def test_the_card_has_a_korean_name_for_each_trick():
    assert [*korean.TRICKS] == [*card.CARD]
    assert {*korean.VERDICTS} == {*statistics.WORDS, "no verdict"}
