"""A comparison of versions as a JUnit report, which every CI system shows: a suite is a test case.

Worse is a failure, what cannot be told an error, and an advisory suite that is either is skipped with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

TAGS = {"reject": "failure", "inconclusive": "error"}


def write_junit(file: Path, compared: dict[str, Any]) -> None:
    """Raises `OSError`."""
    cases = [_case(one) for one in compared["suites"]]
    counts = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}
    suite = Xml.Element(
        "testsuite",
        name=f"{compared['before']} -> {compared['after']}",
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
    )
    suite.extend(cases)
    Xml.indent(suite)
    Xml.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def _case(one: dict[str, Any]) -> Xml.Element:
    finding = one["finding"]
    case = Xml.Element("testcase", classname="ratchet.suites", name=finding["name"])
    if (tag := TAGS.get(finding["verdict"])) is not None:
        told = Xml.SubElement(case, "skipped" if one["advisory"] else tag, message=finding["reason"])
        told.text = "\n".join(f"{move['item']}: {move['before']:.4f} -> {move['after']:.4f}" for move in one["moves"])
    return case
