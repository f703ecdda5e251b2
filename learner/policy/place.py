"""On which line of a TOML file a key stands: the parser tells it of broken syntax only."""

from __future__ import annotations

import re

HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")
STRINGS = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*')


class Places:
    """Lines are counted from 1. What is not found stands where it would: on the line of what holds it."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._top: dict[str, int] = {}
        self._rules: list[dict[str, int]] = []  # key → line; "" is the header
        self._read()

    def key(self, name: str) -> int:
        """Of a key or table outside the rules."""
        return self._top.get(name, 1)

    def of(self, rule: int, key: str, value: str = "") -> int:
        """Of a rule's key, or of the line in it which holds `value` as it is written."""
        keys = self._rules[rule]
        start = keys.get(key, keys[""])
        later = [line for line in (*keys.values(), *(other[""] for other in self._rules[rule + 1 :])) if line > start]
        end = min(later, default=len(self._lines) + 1)
        written = {value, value.replace("\\", "\\\\")} - {""}
        holds = (line for line in range(start, end) if any(text in self._lines[line - 1] for text in written))
        return next(holds, start)

    def _read(self) -> None:
        current, depth, quote = self._top, 0, ""
        for number, line in enumerate(self._lines, 1):
            if not quote and depth == 0:
                if header := HEADER.match(line):
                    current = self._enter(header[1], number)
                    continue
                if key := KEY.match(line):
                    current.setdefault(key[1], number)
            depth, quote = _state(line, depth, quote)

    def _enter(self, name: str, number: int) -> dict[str, int]:
        if name == "rule":
            self._rules.append({"": number})
            return self._rules[-1]
        self._top.setdefault(name, number)
        return {}


def _state(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets are open after a line, and which long quote."""
    while True:
        if quote:
            _, found, line = line.partition(quote)
            if not found:
                return depth, quote
            quote = ""
        match = next((one for one in STRINGS.finditer(line) if one[0] in ('"""', "'''")), None)
        plain = STRINGS.sub("", line[: match.start()] if match else line)
        depth += plain.count("[") + plain.count("{") - plain.count("]") - plain.count("}")
        if match is None:
            return depth, ""
        quote, line = match[0], line[match.end() :]
