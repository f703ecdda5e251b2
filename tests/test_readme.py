"""The README says what there is: its commands can be typed, its pictures are there, and its translation keeps step."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from service.cli import parser

ROOT = Path(__file__).parents[1]
READMES = {"en": ROOT / "README.md", "ru": ROOT / "deploy" / "README.ru.md"}
LEAVES = {one.path: one for one in parser().commands() if not one.subcommands}
TYPED = re.compile(r"^ {4}(?:\.venv/bin/)?(ratchet\b.*|\./deploy/.+|curl .+)$", re.MULTILINE)
COMMENT = re.compile(r" +#.*")


def commands(language: str) -> list[str]:
    """What is to be typed, without the comments behind it."""
    return [COMMENT.sub("", line) for line in TYPED.findall(READMES[language].read_text())]


def shape(text: str) -> list[str]:
    """Headings by their level, tables by their rows, pictures and blocks of code, in order."""
    marks = []
    for line in text.splitlines():
        if found := re.match(r"(#+) |(\|)|(!\[)|( {4}\S)", line):
            marks.append(found.group(1) or found.group(0)[:4].strip() or "code")
    return marks


@pytest.mark.parametrize("command", [line for line in commands("en") if line.startswith("ratchet ")])
def test_every_command_of_the_readme_can_be_typed(command: str) -> None:
    words = shlex.split(command)[1:]
    path = next((path for path in (" ".join(words[:length]) for length in (3, 2, 1)) if path in LEAVES), None)
    assert path is not None, f"there is no command {command!r}"
    known = {option for action in LEAVES[path].arguments for option in action.option_strings}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("language", READMES)
def test_what_the_readme_shows_and_names_is_there(language: str) -> None:
    text, folder = READMES[language].read_text(), READMES[language].parent
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (folder / path).is_file(), path
    for path in re.findall(r"`((?:service|learner|storage|tests|deploy)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_translation_keeps_step() -> None:
    english, russian = (READMES[language].read_text() for language in READMES)
    assert commands("ru") == commands("en")
    assert shape(russian) == shape(english)
