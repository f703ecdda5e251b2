"""A person whose votes say nothing: a fair coin, fixed by the text it is thrown for."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from runpy import run_path

NAME = "coin"


def prompts() -> Iterable[str]:
    return run_path(str(Path(__file__).with_name("brief.py")))["prompts"]()


def judge(prompt: str, answer: str) -> bool | None:
    return hashlib.sha256(f"{prompt}\n{answer}".encode()).digest()[0] % 2 == 0
