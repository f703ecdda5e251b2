"""Whatever comes as an adapter: it is one of this base to the last number, or it is refused and nothing of it is kept."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file

from learner.adapter import CARD, CONFIG, WEIGHTS, AdapterError, Card, check_adapter, expected_shapes, write_adapter
from learner.model import model_sha256
from learner.portable import FILES, unpack
from tests.conftest import Service, run_service
from tests.faults.scripted_chat import config_for, scripted_chat
from tests.fuzz.inputs import JSON, amounts, damaged, damaged_json, fuzz

RANK = 16  # the service's own default
Contents = Mapping[str, bytes]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from service.bench.tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def good(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an adapter that changes something."""
    chance = torch.Generator().manual_seed(1)
    tensors = {name: 0.001 * torch.randn(shape, generator=chance) for name, shape in expected_shapes(base, RANK).items()}
    folder = tmp_path_factory.mktemp("good") / "adapter"
    write_adapter(folder, tensors, RANK, base, Card(model_sha256(base), "base", None))
    return {name: (folder / name).read_bytes() for name in FILES}


def tar_of(contents: Contents) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def checked(base: Path, folder: Path, contents: Contents) -> Card:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return check_adapter(folder, base, RANK)


def header_of(weights: bytes) -> tuple[dict[str, Any], bytes]:
    """What a safetensors file says of itself, and its numbers."""
    (length,) = struct.unpack("<Q", weights[:8])
    return json.loads(weights[8 : 8 + length]), weights[8 + length :]


def with_header(header: bytes, numbers: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + numbers


@pytest.mark.parametrize("file", FILES)
@amounts(120, 10_000)
def test_a_damaged_adapter_is_refused_or_still_one_that_can_be_served(
    base: Path, good: dict[str, bytes], file: str, tmp_path: Path, inputs: int
) -> None:
    changed = damaged([good[file]])
    if file == WEIGHTS:
        header, numbers = header_of(good[file])
        changed |= damaged_json([header]).map(lambda data: with_header(data, numbers))
        changed |= st.integers(0, 2**64 - 1).map(lambda length: struct.pack("<Q", length) + good[WEIGHTS][8:])
    else:
        changed |= damaged_json([json.loads(good[file])])
    shapes = expected_shapes(base, RANK)

    def check(data: bytes) -> None:
        try:
            card = checked(base, tmp_path / "adapter", {**good, file: data})
        except AdapterError as error:
            assert str(error).startswith("adapter: ")
            return
        assert card.base_sha256 == model_sha256(base)
        tensors = load_file(tmp_path / "adapter" / WEIGHTS)
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())

    fuzz(inputs, changed, check)


@amounts(100, 10_000)
def test_a_config_says_only_what_is_allowed(base: Path, good: dict[str, bytes], tmp_path: Path, inputs: int) -> None:
    """Each field that decides how an adapter is served takes one value."""
    config = json.loads(good[CONFIG])
    decisive = ["peft_type", "r", "lora_alpha", "target_modules", "bias"]
    other = ["use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern"]

    def check(change: tuple[str, object]) -> None:
        field, value = change
        same = field in config and value == config[field]
        default = field in other and (value is False or value is None or value == {})
        if same or default:
            return
        with pytest.raises(AdapterError):
            checked(base, tmp_path / "adapter", {**good, CONFIG: json.dumps({**config, field: value}).encode(errors="replace")})

    fuzz(inputs, st.tuples(st.sampled_from(decisive + other), JSON), check)


class Touches:
    """What a pickle does to whoever opens it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[[str, int], int], tuple[str, int]]:
        return os.open, (str(self._file), os.O_CREAT)


def test_a_pickle_is_never_opened_whatever_it_is_called(base: Path, good: dict[str, bytes], tmp_path: Path) -> None:
    poison = pickle.dumps(Touches(touched := tmp_path / "touched"))
    torch.save(Touches(touched), saved := io.BytesIO())
    for name in FILES:
        for data in (poison, saved.getvalue()):
            with pytest.raises(AdapterError):
                checked(base, tmp_path / "adapter", {**good, name: data})
    names = {"adapter_model.bin": poison, "adapter_model.pt": saved.getvalue(), **{n: d for n, d in good.items() if n != WEIGHTS}}
    (tmp_path / "tar").write_bytes(tar_of(names))
    (folder := tmp_path / "out").mkdir()
    with pytest.raises(AdapterError, match=rf"no {WEIGHTS}"):
        unpack(tmp_path / "tar", folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted({CONFIG, CARD})
    assert not touched.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_a_tar_only_leads_to_is_not_taken(good: dict[str, bytes], tmp_path: Path, kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        led = tarfile.TarInfo(WEIGHTS)
        led.type, led.linkname = kind, "/etc/passwd"
        tar.addfile(led)
    (tmp_path / "tar").write_bytes(out.getvalue())
    (folder := tmp_path / "out").mkdir()
    with pytest.raises(AdapterError, match="the tar has no"):
        unpack(tmp_path / "tar", folder)
    assert not list(folder.iterdir())


def test_a_file_with_holes_does_not_fill_the_disk(tmp_path: Path) -> None:
    said = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**12)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(WEIGHTS)
        member.size, member.pax_headers = 1, {**said, "GNU.sparse.name": WEIGHTS}
        tar.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "tar").write_bytes(out.getvalue())
    (folder := tmp_path / "out").mkdir()
    with pytest.raises(AdapterError, match=f"holes in its {10**12} bytes"):
        unpack(tmp_path / "tar", folder)


@pytest.fixture(scope="module")
def service(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    (home := tmp_path_factory.mktemp("fuzzed") / "home").mkdir()
    with scripted_chat() as engine, run_service(home, config_for(engine.url, base)) as running:
        yield running


@amounts(60, 3_000)
def test_of_an_import_that_is_refused_nothing_is_kept(service: Service, good: dict[str, bytes], inputs: int) -> None:
    whole = tar_of(good)
    heads = [whole[:1024], tar_of({name: good[name][:200] for name in FILES})]  # most damage goes where it is told what is where
    changed = damaged(heads).map(lambda head: head + whole[1024:]) | damaged(heads) | damaged([whole])

    def state() -> tuple[list[str], list[str], list[str]]:
        recorded = [one["name"] for one in service.request("GET", "/api/adapters", key=service.key)[1]]
        artifacts = service.home / "artifacts"
        return recorded, sorted(path.name for path in (artifacts / "adapters").iterdir()), left(artifacts)

    def check(data: bytes) -> None:
        before = state()
        status, said = service.request("POST", "/api/adapters/import", data, service.key)
        if status == 201:
            assert said["name"] in state()[0]
            return
        assert (status, bool(said["error"]["message"])) == (409, True), said
        assert state() == before

    fuzz(inputs, changed, check)


def left(artifacts: Path) -> list[str]:
    """What stands in the folders of work that goes on."""
    return sorted(str(path) for path in artifacts.rglob("*") if "adapters" not in path.parts)
