"""Completion in the languages of three shells: a table of what may follow each command, and a few lines that read it.

Files are completed where nothing else is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TypeAlias

from msgspec import Struct

from service.commands.parser import PROGRAM, Parser


class Word(Struct, frozen=True):
    """A word that may follow; `values` are what an option may be followed by."""

    text: str
    about: str = ""
    values: tuple[str, ...] = ()


Words: TypeAlias = dict[str, list[Word]]  # by the path of a command, like "cycle run"; "" for the whole


def words(whole: Parser) -> Words:
    """What may follow each command."""
    return {one.path: [*_following(one)] for one in whole.commands()}


def _following(parser: Parser) -> Iterator[Word]:
    for name, below in parser.subcommands.items():
        yield Word(name, below.description or "")
    for action in parser.arguments:
        values = tuple(str(choice) for choice in action.choices or ())
        for option in action.option_strings:
            about = (action.help or "").replace("%(default)s", str(action.default))
            yield Word(option, about, values)
        if not action.option_strings:
            yield from map(Word, values)


def bash(table: Words) -> str:
    """For `complete`."""
    return f"""\
_{PROGRAM}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} at='' words='' word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "${{at:+$at }}$word" in
            {_paths(table)}) at="${{at:+$at }}$word" ;;
        esac
    done
    case "$at ${{COMP_WORDS[COMP_CWORD-1]}}" in
{_cases(((f"{path} {word.text}", " ".join(word.values)) for path, word in _options(table)), 8)}
        *) case "$at" in
{_cases(((path, " ".join(word.text for word in follow)) for path, follow in table.items()), 12)}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _{PROGRAM} {PROGRAM}
"""


def zsh(table: Words) -> str:
    """For a file `_ratchet` on the `fpath`, or to be sourced."""
    described = ((path, "\n".join(f"{word.text}:{word.about}" for word in follow)) for path, follow in table.items())
    return f"""\
#compdef {PROGRAM}
_{PROGRAM}() {{
    local at='' values='' follow='' word
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "${{at:+$at }}$word" in
            {_paths(table)}) at="${{at:+$at }}$word" ;;
        esac
    done
    case "$at $words[CURRENT-1]" in
{_cases(((f"{path} {word.text}", " ".join(word.values)) for path, word in _options(table)), 8, "values")}
    esac
    if [[ -n $values ]]; then compadd -- ${{=values}}; return; fi
    case "$at" in
{_cases(described, 8, "follow")}
    esac
    local -a described=("${{(@f)follow}}")
    _describe {PROGRAM} described || _files
}}
if [[ $funcstack[1] == _{PROGRAM} ]]; then _{PROGRAM} "$@"; else compdef _{PROGRAM} {PROGRAM}; fi
"""


def fish(table: Words) -> str:
    """For a file in `completions`."""
    paths = " ".join(map(_fish_quote, filter(None, table)))
    lines = [
        f"set -g __{PROGRAM}_paths {paths}",
        f"function __{PROGRAM}_at",
        "    set -l at ''",
        "    for word in (commandline -opc)[2..-1]",
        '        set -l longer (string trim -- "$at $word")',
        f"        contains -- $longer $__{PROGRAM}_paths; and set at $longer",
        "    end",
        '    test "$at" = "$argv[1]"',
        "end",
    ]
    return "\n".join([*lines, *(_fish_line(path, word) for path, follow in table.items() for word in follow), ""])


def _fish_line(path: str, word: Word) -> str:
    line = f"complete -c {PROGRAM} -n {_fish_quote(f'__{PROGRAM}_at {_fish_quote(path)}')}"
    if not word.text.startswith("-"):
        line += f" -f -a {_fish_quote(word.text)}"
    else:
        dashes, name = ("-l", word.text[2:]) if word.text.startswith("--") else ("-s", word.text[1:])
        line += f" {dashes} {_fish_quote(name)}"
    if word.values:
        line += f" -x -a {_fish_quote(' '.join(word.values))}"
    return line + (f" -d {_fish_quote(word.about)}" if word.about else "")


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _paths(table: Words) -> str:
    """All commands as a pattern of `case`."""
    return " | ".join(quote(path) for path in table if path)


def _options(table: Words) -> Iterator[tuple[str, Word]]:
    return ((path, word) for path, follow in table.items() for word in follow if word.values)


def _cases(cases: Iterator[tuple[str, str]], indent: int, variable: str = "words") -> str:
    return "\n".join(f"{'':{indent}}{quote(pattern)}) {variable}={quote(value)} ;;" for pattern, value in cases)
