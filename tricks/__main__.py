"""`python -m tricks COMMAND`, which is what `./course` and `torchrun` call."""

import codecs
import os
import signal
import sys
import unicodedata

from tricks import ROOT

CLOSED = 128 + 13  # the exit status of what SIGPIPE ends


def plain(error):
    """What an encoding has no sign for, in ASCII: gamma for γ, ? for what has no name."""
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(sign):
    name = unicodedata.name(sign, "")
    if name.startswith("GREEK"):
        return name.split()[-1].lower()
    like = {"·": "*", "±": "+/-", "−": "-", "–": "-", "§": "section ", "×": "x", "→": "->", "’": "'"}
    letters = unicodedata.normalize("NFKD", sign).replace("⁄", "/")  # é, ², ¼
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return like.get(sign) or (letters if letters.isascii() else "?")


def run():
    """One command's exit status. Its output may be cut short by a reader who has seen enough, as in `| head`."""
    try:
        try:
            from tricks.course.cli import main  # here, because packages may be missing

            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):  # what they still hold
            os.dup2(nowhere, stream.fileno())
        return CLOSED
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "tricks":
            raise
        return (
            f"error: {sys.executable} has no package {error.name!r}. Install what the course needs:\n"
            f'  "{sys.executable}" -m pip install -e "{ROOT}[dev]"\nor start with ./course, which can do it'
        )


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  that is what it asks
        sys.exit(f"error: the course needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="plain")  # pyright: ignore[reportAttributeAccessIssue]  both are TextIOWrappers
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is an interruption like any other
    sys.exit(run())
