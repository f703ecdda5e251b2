"""The command line as a whole: every command says what it does, by example, and talks to programs; misuse is one line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from service.cli import parser
from service.commands.completion import SHELLS
from service.commands.examples import EXAMPLES
from service.commands.shells import words
from tests.service.command_line import run

CHECKOUT = Path(__file__).parents[2]
ALL = {one.path: one for one in parser().commands()}
LEAVES = [path for path, one in ALL.items() if not one.subcommands]
NO_JSON = {
    "up": "it runs until it is ended, and says its address and its times as they come",
    "engine": "it becomes the engine, whose words are its own",
    "completion": "its output is a script",
}
DESIGNED = """
up engine doctor status completion forget backup restore migrate simulate pretrain
cycle: run list show cancel resume
adapters: list show compare promote rollback canary quarantine export import
data: import stats review export
eval: run suites freeze compare
gate: selftest
policy: check
people: list add
keys: list create rotate revoke
bench: gateway swap engine learner loop
model: get
"""


def designed() -> list[str]:
    paths = []
    for line in DESIGNED.strip().splitlines():
        head, colon, names = line.partition(":")
        paths += [f"{head} {name}" for name in names.split()] if colon else line.split()
    return paths


def test_every_command_that_was_designed_is_there() -> None:
    assert [path for path in designed() if path not in LEAVES] == []


@pytest.mark.parametrize("path", [*ALL])
def test_every_command_says_what_it_does(path: str) -> None:
    one = ALL[path]
    assert one.description and len(one.description) > 10
    told = one.format_help()
    assert one.description.split(":")[0].split(";")[0] in " ".join(told.split())
    for action in one.arguments:
        assert action.help or action.metavar or action.choices or path, f"{path}: {action.dest} says nothing"


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_json_or_a_reason(path: str) -> None:
    has = any("--json" in action.option_strings for action in ALL[path].arguments)
    assert has != (path in NO_JSON)


def test_every_command_has_an_example_and_no_other_has() -> None:
    assert sorted(EXAMPLES) == sorted(LEAVES)


@pytest.mark.parametrize("example", [example for examples in EXAMPLES.values() for example in examples])
def test_every_example_can_be_typed(example: str) -> None:
    program, *arguments = shlex.split(re.split(r" [|>] ", example)[0])
    parsed = parser().parse_args(arguments)
    [path] = [path for path, examples in EXAMPLES.items() if example in examples]
    assert program == "ratchet" and " ".join(arguments).startswith(path)
    assert parsed.run is ALL[path].get_default("run") or parsed.run.__name__ == ALL[path].get_default("run").__name__


def test_help_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cycle", "run", "--help") == 0
    assert capsys.readouterr().out.endswith("\nexamples:\n" + "".join(f"  {one}\n" for one in EXAMPLES["cycle run"]))


def test_alone_it_shows_all_commands_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    alone = capsys.readouterr().out
    assert run("--help") == 0
    assert capsys.readouterr().out == alone
    shown = re.findall(r"^  ([a-z]+) ", alone, re.M)
    assert sorted(shown) == sorted(parser().subcommands)
    assert "\nLearn and judge\n" in alone and max(map(len, alone.splitlines())) <= 132


def test_a_group_alone_shows_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cycle") == 2
    out, err = capsys.readouterr()
    assert out == "" and "cancel" in err and "begin a cycle now" in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"ratchet {version('ratchet')}\n"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("adaptors list", "ratchet: there is no command 'adaptors'; did you mean 'adapters'?"),
        ("cycle runn", "ratchet cycle: there is no command 'runn'; did you mean 'run'?"),
        ("cycle run --dryrun", "ratchet cycle run: '--dryrun' is not expected here; did you mean '--dry-run'?"),
        ("data review --state pendin", "argument --state: there is no choice 'pendin'; did you mean 'pending'?"),
        ("data review --state ?", "there is no choice '?': expected pending, accepted, rejected"),
        ("cycle show seven", "argument id: invalid int value: 'seven'"),
        ("cycle list 7", "ratchet cycle list: '7' is not expected here; `ratchet cycle list --help`"),
    ],
)
def test_what_is_misspelt_is_one_line_with_the_nearest(typed: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*typed.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and told in err and err.count("\n") == 1


def test_every_command_can_be_completed_in_every_shell() -> None:
    table = words(parser())
    for shell in SHELLS.values():
        script = shell(table)
        for path, follow in table.items():
            assert path in script
            assert all(word.text.lstrip("-") in script for word in follow)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["ratchet", "ad"], ["adapters"]),
        (["ratchet", "data", "dataset", ""], ["list", "show", "export", "-h", "--help"]),
        (["ratchet", "adapters", "show", "list", "--j"], ["--json"]),
        (["ratchet", "data", "review", "--state", "p"], ["pending"]),
        (["ratchet", "completion", "f"], ["fish"]),
        (["ratchet", "backup", "/tmp/x"], []),
    ],
)
def test_bash_completes(line: list[str], expected: list[str]) -> None:
    typed = " ".join(map(shlex.quote, line))
    program = f"COMP_WORDS=({typed}); COMP_CWORD={len(line) - 1}; _ratchet; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    script = SHELLS["bash"](words(parser()))
    done = subprocess.run(["bash", "-uc", f"{script}\n{program}"], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.stdout.split() == expected


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m service.cli completion bash | head -c 1"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("_", "")


def test_there_are_no_colours_in_a_file(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert run("eval", "suites") == 0
    assert "\x1b" not in capsys.readouterr().out
