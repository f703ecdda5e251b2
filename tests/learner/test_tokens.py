"""Which tokenizer a model folder has: always the one that the engine finds there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from learner.model import BUILTIN, ensure_model
from learner.tokens import Tokens, load_tokenizer
from service.config import models_dir

TURNS = [("system", "Be brief."), ("user", "What  is\n2+2? — größte 🐋 <|im_end|>")]
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@pytest.fixture(scope="module")
def model_dir() -> Path:
    """That of the built-in model."""
    return ensure_model(BUILTIN, models_dir(), print)


@pytest.mark.parametrize("kind", [None, "GPT2Tokenizer", "PreTrainedTokenizerFast"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_it_is_the_one_that_the_engine_finds(kind: str | None, family: str, model_dir: Path, tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(model_dir / name, tmp_path)
    alter(tmp_path / "config.json", model_type=family)
    alter(tmp_path / "tokenizer_config.json", **({"tokenizer_class": kind} if kind else {}))
    found, expected = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert type(found) is type(expected)
    messages = [{"role": role, "content": content} for role, content in TURNS]
    assert Tokens(tmp_path).prompt(TURNS) == expected.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert Tokens(tmp_path).answer(TURNS[1][1])[-1] == expected.eos_token_id


def test_that_of_the_built_in_model_needs_no_pytorch(model_dir: Path) -> None:
    loads = "import sys; from pathlib import Path; from learner.tokens import load_tokenizer; load_tokenizer(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", f"{loads}; assert 'torch' not in sys.modules", str(model_dir)], check=True)


def alter(file: Path, **values: str) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
