"""The model and the adapter that answers on it: whole on disk, unchanged, and made for each other."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from learner.adapter import AdapterError, check_adapter
from learner.model import BUILTIN, model_sha256
from service.doctor.subject import Finding, Subject
from storage.artifacts import ADAPTERS, Artifacts
from storage.checkup import CheckupError, select_live

MEMO = "ratchet-sha256.json"  # beside the weights: their hash when they were first used
HEADER_BYTES = 8  # of a safetensors file, that hold the length of its header
SHOWN_SHA256 = 12
NEEDED = ("config.json", "tokenizer_config.json")


class _Memo(msgspec.Struct):
    sha256: str


class _Tensor(msgspec.Struct):
    """An entry of a safetensors header; the one of the metadata has none of it."""

    data_offsets: tuple[int, int] = (0, 0)


def check_model(subject: Subject) -> Finding:
    """Its files are there and whole."""
    folder = subject.model_dir
    if not folder.is_dir() and subject.config.model == BUILTIN:
        return Finding("warning", f"{BUILTIN} is not there yet: the first start fetches it", "run `ratchet model get`")
    weights = sorted(folder.glob("*.safetensors"))
    missing = [name for name in NEEDED if not (folder / name).is_file()] + ([] if weights else ["*.safetensors"])
    if missing:
        return Finding("problem", f"{folder} has no {', '.join(missing)}", _again(subject))
    for file in weights:
        if fault := _fault(file):
            return Finding("problem", f"{file}: {fault}", _again(subject))
    size = sum(file.stat().st_size for file in weights)
    return Finding("ok", f"{folder}: {len(weights)} files of weights, {size / 1e6:.0f} MB")


def check_model_hash(subject: Subject) -> Finding:
    """Its weights are those that adapters were made for: every byte is read."""
    folder = subject.model_dir
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return Finding("ok", "no weights yet")
    found = _sha256(weights)
    memo = folder / MEMO
    if memo.is_file() and (known := msgspec.json.decode(memo.read_bytes(), type=_Memo).sha256) != found:
        told = f"sha256 is {found[:SHOWN_SHA256]}, and was {known[:SHOWN_SHA256]} when it was first used"
        return Finding("problem", told, _again(subject))
    return Finding("ok", f"sha256 {found[:SHOWN_SHA256]}")


def check_live_adapter(subject: Subject) -> Finding:
    """The version that answers people is on disk as it was recorded, and fits the model."""
    if isinstance(subject.place, Path) and not subject.place.is_file():
        return Finding("ok", "none yet")
    try:
        live = select_live(subject.place)
    except CheckupError as error:
        return Finding("warning", f"the database does not say which: {error}", "see to the database first")
    if live is None:
        return Finding("ok", "none yet")
    name, sha256 = live
    folder = subject.home / ADAPTERS / name
    if not folder.is_dir():
        return _missing(subject, name, folder)
    if Artifacts(subject.home).sha256_of(folder) != sha256:
        return Finding("problem", f"{folder} has changed since it was made", "end the service, and `ratchet restore` a backup")
    try:
        check_adapter(folder, subject.model_dir, subject.config.learner.train.rank)
    except AdapterError as error:
        return Finding("problem", str(error), "set `model` and `learner.train.rank` to those that the home began with")
    return Finding("ok", f"{name} is whole and fits the model")


def _missing(subject: Subject, name: str, folder: Path) -> Finding:
    if subject.config.storage.artifacts:
        return Finding("ok", f"{name} is in the store; the start fetches it")
    return Finding("problem", f"{name} is live, and {folder} is not there", "`ratchet restore` a backup")


def _fault(file: Path) -> str:
    """Why a safetensors file is not whole; "" where it is. Only its header is read."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(HEADER_BYTES), "little")
        if header > size - HEADER_BYTES:
            return f"{size} bytes do not hold its header"
        tensors = msgspec.json.decode(stream.read(header), type=dict[str, _Tensor])
    whole = HEADER_BYTES + header + max((one.data_offsets[1] for one in tensors.values()), default=0)
    return "" if size == whole else f"it is {size} bytes long, expected {whole}"


def _sha256(weights: list[Path]) -> str:
    """As `model_sha256` has it, without what it remembers."""
    with tempfile.TemporaryDirectory() as folder:
        for file in weights:
            (Path(folder) / file.name).symlink_to(file.resolve())
        return model_sha256(Path(folder))


def _again(subject: Subject) -> str:
    if subject.config.model == BUILTIN:
        return f"remove {subject.model_dir}, then run `ratchet model get`"
    return "bring the model's folder again, or set `model` to one that is whole"
