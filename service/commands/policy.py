"""`ratchet policy`: rules and restrictions, checked and made into suites without a service, shown and tried with one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from service.client import Client
from service.commands.terminal import Commands, Failure, command, group, show, writing


def add(commands: Commands) -> None:
    policy = group(commands, "policy", "rules and restrictions")
    check = command(policy, "check", _check, "explain what is wrong with a policy, by line; works without a service", json=True)
    check.add_argument("file", metavar="FILE", nargs="?", type=Path, help="a policy.toml; the shipped one where none is given")
    command(policy, "show", _show, "the rules that the running service holds to", json=True)
    attempt = command(policy, "try", _try, "what the rules say of a text", json=True)
    attempt.add_argument("prompt", metavar="TEXT", help="what a person might ask")
    attempt.add_argument("--answer", default="", help="what it might be answered")
    suites = command(policy, "suites", _suites, "make a frozen suite of each rule's examples; works without a service", json=True)
    suites.add_argument("folder", metavar="DIR", type=Path)
    suites.add_argument("--file", type=Path, help="a policy.toml; the shipped one where none is given")
    shown = command(policy, "demonstrations", _demonstrations, "write how to refuse, as a file to import", json=True)
    shown.add_argument("out", metavar="OUT.jsonl", type=Path)
    shown.add_argument("--file", type=Path, help="a policy.toml; the shipped one where none is given")


def _demonstrations(arguments: argparse.Namespace) -> None:
    from learner.policy.refusals import demonstrations

    shown = demonstrations(_load(arguments.file))
    lines = [msgspec.json.encode({"messages": one.content}) + b"\n" for one in shown]
    with writing(arguments.out):
        arguments.out.write_bytes(b"".join(lines))
    hint = f"ratchet data import {arguments.out} --kind demonstration --domain refusals"
    document = {"file": str(arguments.out), "demonstrations": len(shown)}
    show(arguments, document, lambda done: [f"{done['demonstrations']} written; next: {hint}"])


def _check(arguments: argparse.Namespace) -> None:
    policy = _load(arguments.file)
    rules = [{"name": rule.name, "examples": len(rule.examples)} for rule in policy.rules]
    wrong = policy.wrong_examples()
    if wrong:
        raise Failure("\n".join(wrong))
    document = {"sha256": policy.sha256, "rules": rules}
    show(arguments, document, lambda done: [f"{len(done['rules'])} rules, nothing is wrong with them ({done['sha256'][:12]})"])


def _show(arguments: argparse.Namespace) -> None:
    with Client() as client:
        show(arguments, client.get("/api/policy"), _rule_lines)


def _rule_lines(card: dict[str, Any]) -> list[str]:
    return [f"policy {card['sha256'][:12]}", *(_line(rule["applies_to"], rule["name"], rule) for rule in card["rules"])]


def _try(arguments: argparse.Namespace) -> None:
    with Client() as client:
        tried = client.post("/api/policy/try", {"prompt": arguments.prompt, "answer": arguments.answer})
    show(arguments, tried, _tried_lines)


def _tried_lines(tried: dict[str, Any]) -> list[str]:
    lines = [_line(one["where"], one["rule"], one) for one in tried["breaches"]]
    if not lines:
        return ["no rule is broken"]
    return lines if tried["verdict"] else [*lines, "the answer keeps the rules that its prompt would break"]


def _line(where: str, name: str, rule: dict[str, Any]) -> str:
    return f"{where:<7} {name:<22} {rule['severity']:<7} {rule['action']:<8} {rule['reason']}"


def _suites(arguments: argparse.Namespace) -> None:
    from learner.evaluate.suite import SuiteError
    from learner.policy.suites import write_suites

    try:
        manifest = write_suites(_load(arguments.file), arguments.folder)
    except (OSError, SuiteError) as error:
        raise Failure(f"{arguments.folder} cannot take the suites ({error}): expected a folder that can be written") from error
    show(arguments, manifest, lambda made: [f"{name:<30} {sha256}" for name, sha256 in made.items()])


def _load(file: Path | None) -> Any:
    from learner.policy import PolicyError, load_policy

    try:
        return load_policy(file)
    except PolicyError as error:
        raise Failure(str(error)) from error
