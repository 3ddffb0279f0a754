"""`python -m tricks` as a process: consoles that lack signs, readers that leave, packages that are missing."""

import codecs
import os
import subprocess
import sys

import pytest

from tricks import ROOT
from tricks.__main__ import plain


def tricks(*arguments, options=(), **variables):
    command = [sys.executable, *options, "-m", "tricks", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True)


@pytest.mark.parametrize("encoding", ["cp1252", "cp949", "ascii"])
@pytest.mark.parametrize("command", ["train --help", "study --list"])
def test_a_console_that_lacks_signs_shows_something_like_them(command, encoding):
    done = tricks(*command.split(), PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text, sign = done.stdout.decode(encoding), {"train --help": "γ"}.get(command, "ε")
    shown = sign if encoding == "cp949" else {"γ": "gamma", "ε": "epsilon"}[sign]
    assert shown in text and "?" not in text.replace("? (", "")


def test_an_error_that_names_what_the_console_lacks():
    done = tricks("train", "--dataset", "고양이ε", PYTHONIOENCODING="cp1252")
    assert done.returncode == 1 and done.stderr.decode("cp1252").startswith("error: No data set '???epsilon'")


@pytest.mark.parametrize(
    ("text", "shown"), [("γ − ½ ± σ²", "gamma - 1/2 +/- sigma2"), ("é\udcff한", "e??"), ("a·b", "a*b")]
)
def test_signs_in_ascii(text, shown):
    codecs.register_error("plain for a test", plain)
    assert text.encode("ascii", "plain for a test").decode() == shown


@pytest.mark.skipif(os.name == "nt", reason="a pipe there closes with another error")
@pytest.mark.parametrize("command", ["train --help", "study --list", "train --nonsense"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(command):
    reading, writing = os.pipe()
    os.close(reading)
    both = "nonsense" in command
    process = subprocess.Popen(
        [sys.executable, "-m", "tricks", *command.split()],
        cwd=ROOT,
        stdout=writing,
        stderr=writing if both else subprocess.PIPE,
    )
    os.close(writing)
    _, said = process.communicate()
    assert (process.returncode, said) == (141, None if both else b"")


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    done = tricks("info", options=["-S"])  # no site-packages
    assert done.returncode == 1
    said = done.stderr.decode()
    assert said.startswith(f"error: {sys.executable} has no package ")
    assert f'"{sys.executable}" -m pip install -e "{ROOT}[dev]"' in said
