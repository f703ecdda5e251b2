"""Frozen suites of a few items, for tests of the loop where judging is not the claim."""

from __future__ import annotations

from pathlib import Path

import msgspec

from learner.evaluate.suite import freeze


def make_suites(root: Path, texts_count: int = 4) -> Path:
    """A folder with two small frozen suites."""
    facts = [
        {"id": f"f{n}", "family": f"f{n}", "source": "test", "prompt": [{"role": "user", "content": f"What is {n} plus {n}?"}],
         "choices": [str(2 * n), str(2 * n + 1)], "answer": 0}
        for n in range(1, 5)
    ]  # fmt: skip
    texts = [
        {"id": f"t{n}", "family": f"t{n}", "source": "test", "text": f"There are {n} boats in the harbour."}
        for n in range(texts_count)
    ]
    for name, kind, items in (("facts", "choice", facts), ("texts", "text", texts)):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "suite.toml").write_text(f'about = "test"\nkind = "{kind}"\nversion = 1\nmargin = 9.0\nveto = false\n')
        (folder / "items.jsonl").write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in items))
    freeze(root)
    return root
