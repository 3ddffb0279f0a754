"""docs/troubleshooting.md: the course's own messages in it exist in the code, and so do its commands and variables."""

import ast
import re
from functools import cache

import pytest

from tricks import ROOT
from tricks.course import cli

DOC = ROOT / "docs" / "troubleshooting.md"
TEXT = DOC.read_text(encoding="utf8")
MESSAGES = re.findall(r"^```text\n(.+?)\n```$", TEXT, flags=re.MULTILINE | re.DOTALL)
CALLS = sorted({" ".join(call.split()) for call in re.findall(r"`(?:[A-Z_]+=\S+ )?\./course ([^`]+)`", TEXT)})
VARIABLES = sorted(set(re.findall(r"\b(?:TRICKS|COURSE)_[A-Z]+", TEXT)))
GAP = "\0"  # a value within a message


@cache
def code() -> str:
    """The sources of the course, without its tests and lessons."""
    paths = [ROOT / "course", *sorted((ROOT / "tricks").rglob("*.py"))]
    return "\n".join(path.read_text(encoding="utf8") for path in paths)


def said(node: ast.AST) -> str | None:
    """The text of an expression of strings, GAP for each value in it; None if it is something else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{[^{}]*\}", GAP, node.value)  # for str.format
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
    return None


@cache
def texts() -> list[str]:
    """Every string of the course's code."""
    found = []
    for path in [ROOT / "course", *sorted((ROOT / "tricks").rglob("*.py"))]:
        found += [text for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))) if (text := said(node))]
    return found


def exists(message: str) -> bool:
    """Whether some text of the code is this message, "…" in it standing for any value, and more may stand around."""
    pattern = re.compile("[^\n]*?".join(map(re.escape, message.split("…"))), flags=re.DOTALL)
    return any(pattern.search(text) for text in texts())


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_one_of_the_code(message):
    assert exists(message), f"{DOC.name} quotes a message that no code says"


def test_a_message_that_was_changed_is_noticed():
    assert len(MESSAGES) >= 12
    assert exists(MESSAGES[0]) and not exists(MESSAGES[0].replace("needs", "requires"))
    assert not exists("another program is making this run")


@pytest.mark.parametrize("call", CALLS)
def test_a_command_exists_with_its_options(call, capsys):
    name, *arguments = call.split()
    if name == "lab":
        assert arguments == []
        return
    assert name in {command.__name__ for command in cli.KEPT}
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    known = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
    assert {part for part in arguments if part.startswith("--")} <= known


def test_variables_exist():
    assert VARIABLES and [name for name in VARIABLES if f'"{name}"' not in code()] == []


def test_every_entry_about_tools_says_whether_it_was_tried():
    tools = TEXT.partition("\n## ")[2].partition("\n## Results")[0]
    entries = re.split(r"\n\n(?=\*\*[A-Z])", tools)[1:]
    assert len(entries) > 14
    assert [entry.splitlines()[0] for entry in entries if not re.search(r"(Tried|Tested|Not tried)\b", entry)] == []


@pytest.mark.parametrize("system", ["VS Code", "Colab", "Windows", "macOS"])
def test_what_was_not_tried_is_said_at_the_top(system):
    assert system in TEXT.partition("\n## ")[0].partition("**")[2].partition("**")[0]


def test_it_can_be_found():
    assert "(docs/troubleshooting.md)" in (ROOT / "README.md").read_text(encoding="utf8")
    assert "(troubleshooting.md)" in (ROOT / "docs" / "session_plan.md").read_text(encoding="utf8")


def test_links_to_threads_have_their_number():
    links = re.findall(r"\[([^\]]*)\]\((https://github\.com/[^)]+/issues/(\d+))\)", TEXT)
    assert len(links) > 10 and [words for words, _, number in links if not re.search(rf"\b{number}\b", words)] == []
