"""The runbook says what there is: its commands can be typed, its settings exist, and each section is played by tests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec
import pytest

from service.cli import parser
from service.config import Config

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
TYPED = re.findall(r"^ {4}(.+?)(?: +#.*)?$", RUNBOOK, re.MULTILINE)
OURS = [line for line in TYPED if line.startswith("ratchet ")] + re.findall(r"`(ratchet [^`]+)`", RUNBOOK)
OTHERS = {"docker", "kubectl", "systemctl", "journalctl", "git", "df", "du", "rm", "tail"}
ASKED_FOR = {
    "Roll back", "Stuck cycle", "Engine that will not start", "Disk full", "Restore", "Rotate keys", "Forget a person",
    "Poisoned feedback", "Upgrade with a migration",
}  # fmt: skip


def test_all_that_can_go_wrong_has_a_section() -> None:
    assert set(SECTIONS) >= ASKED_FOR


@pytest.mark.parametrize("line", OURS)
def test_every_command_can_be_typed(line: str) -> None:
    arguments = shlex.split(line)[1:]
    if line in re.findall(r"`(ratchet [^`]+)`", RUNBOOK):  # named in a sentence, perhaps without what it is told
        known = {one.path for one in parser().commands()}
        assert any(" ".join(arguments[:length]) in known for length in (3, 2, 1)), line
    else:
        parser().parse_args(arguments)


def test_every_other_command_is_a_common_one() -> None:
    assert {line.split()[0] for line in TYPED if not line.startswith("ratchet ")} == OTHERS


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_says_what_one_sees_what_to_do_and_how_to_know(section: str) -> None:
    text = SECTIONS[section]
    assert "**One sees**" in text and "**It worked** when" in text and re.search(r"^ {4}\S", text, re.MULTILINE)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_is_tried_by_tests_that_exist(section: str) -> None:
    told = SECTIONS[section].partition("\nTried by ")[2]
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", told)
    assert named
    for path, name in named:
        assert f"def {name}" in (ROOT / path).read_text(), f"{path}::{name}"


def test_every_setting_that_is_named_exists() -> None:
    for path in re.findall(r"`((?:engine|learner|storage|server)\.[\w.]+)`", RUNBOOK):
        value: object = Config()
        for name in path.split("."):
            assert name in msgspec.structs.asdict(value), path  # type: ignore[arg-type]
            value = getattr(value, name)


def test_what_is_deployed_by_name_is_there() -> None:
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    for name in re.findall(r"docker compose (?:exec|logs(?: --tail \d+)?) ([\w-]+)", RUNBOOK):
        assert f"\n  {name}:\n" in compose
    for name in re.findall(r"(?:journalctl -u|systemctl \w+) ([\w-]+)", RUNBOOK):
        assert (ROOT / "deploy" / "systemd" / f"{name}.service").is_file()
    manifests = "".join(file.read_text() for file in (ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    for kind, name in re.findall(r"\b(job|statefulset)[ /]([\w-]+)", RUNBOOK):
        assert re.search(rf"(?i)kind: {kind}\nmetadata:\n  name: {name}\n", manifests)
