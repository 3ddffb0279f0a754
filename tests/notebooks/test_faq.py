"""docs/faq.md: its links lead to lessons and headings that exist, its numbers are those of records and paper."""

import re
from itertools import permutations

import build_notebooks as tool
import pytest

from tricks import ROOT
from tricks.records import paper
from tricks.records.statistics import compare
from tricks.studies.studies import arm

TEXT = " ".join((ROOT / "docs" / "faq.md").read_text(encoding="utf8").split())
LINKS = re.findall(r"\[([^\]]*)\]\(\.\./notebooks/([^)]*)\.ipynb\)", TEXT)
OURS = re.findall(r"([+−]\d+\.\d+ ± \d+\.\d+) \(`(\S+) − (\S+)`\)", TEXT)
QUESTIONS = re.split(r" (?=\*\*[^*]+[?.]\*\* )", TEXT)[1:]


def test_there_are_as_many_questions_as_promised_and_each_says_where_it_is_shown():
    assert len(QUESTIONS) == 19
    assert [question for question in QUESTIONS if "](../notebooks/" not in question] == []


@pytest.mark.parametrize("words, lesson", LINKS, ids=[words for words, _ in LINKS])
def test_a_link_leads_to_a_lesson_and_to_one_of_its_headings(words, lesson):
    notebook = tool.parse((ROOT / "notebooks" / "src" / f"{lesson}.py").read_text(encoding="utf8"), True)
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = [line.lstrip("# ") for line in texts.splitlines() if line.startswith("##")]
    lead, _, heading = words.partition(": ")
    assert lesson.lstrip("0").startswith(lead.removeprefix("lesson ").replace(".", "_"))
    assert not heading or heading in headings


@pytest.mark.parametrize("number, new, old", OURS)
def test_a_number_of_ours_is_that_of_the_records(number, new, old):
    ours = compare(arm(new), arm(old))
    assert number == f"{ours.mean:+.2f} ± {ours.half:.2f}".replace("-", "−")


def test_every_number_with_an_interval_names_its_arms():
    assert len(OURS) == len(re.findall(r"± \d", TEXT)) > 10


def test_a_bold_number_is_of_the_table_that_is_named_after_it():
    found = re.findall(r"\*\*([+−]?\d+\.\d+)\*\*", TEXT)
    assert len(found) > 8
    for number in re.finditer(r"\*\*([+−]?)(\d+\.\d+)\*\*", TEXT):
        named = re.search(r"\(Table (\d)\)", TEXT[number.end() :])
        assert named
        table = paper.table(named[1])
        if number[1]:
            value = float(number[1].replace("−", "-") + number[2])
            deltas = {
                paper.delta(named[1], a, b, column)
                for a, b in permutations(table, 2)
                for column in table[a].keys() & table[b].keys()
            }
            assert value in deltas, number[0]
        else:
            assert float(number[2]) in {cell for row in table.values() for cell in row.values()}, number[0]
