"""An adapter goes out as one file, the same each time, loads in plain PEFT, and comes back in as the same adapter."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from learner import adopt
from learner.adapter import AdapterError, Card, expected_shapes, write_adapter
from learner.context import Context, StageError
from learner.model import model_sha256
from learner.portable import FILES, README, pack, unpack
from learner.report.model_card import write_card
from learner.train.proving import run as run_proving
from learner.train.spec import JOB, Proving
from storage import adapters
from storage.records import AdapterState
from tests.adapters import published
from tests.learner.tiny import RANK
from tests.learner.world import Body


@pytest.fixture(scope="module")
def taught(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes something."""
    chance = torch.Generator().manual_seed(1)
    tensors = {name: 0.02 * torch.randn(shape, generator=chance) for name, shape in expected_shapes(model_dir, RANK).items()}
    folder = tmp_path_factory.mktemp("taught") / "adapter"
    write_adapter(folder, tensors, RANK, model_dir, Card(model_sha256(model_dir), "base", "d" * 64))
    return folder


def packed(folder: Path, readme: str = "# a card") -> bytes:
    pack(folder, readme, 12.5, into := io.BytesIO())
    return into.getvalue()


def taken_out(data: bytes, folder: Path) -> Path:
    folder.mkdir()
    (tar := folder.with_suffix(".tar")).write_bytes(data)
    unpack(tar, folder)
    return folder


def test_the_same_adapter_is_the_same_tar_and_plain_peft_loads_it(taught: Path, model_dir: Path, tmp_path: Path) -> None:
    data = packed(taught)
    assert data == packed(taught)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [README, *FILES]
        tar.extractall(tmp_path / "plain", filter="data")
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        before = base(tokens).logits
        after = PeftModel.from_pretrained(base, tmp_path / "plain")(tokens).logits
    assert not torch.allclose(before, after)


def test_what_is_no_adapters_tar_is_refused_by_name(taught: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no whole tar"):
        taken_out(b"nothing of the kind", tmp_path / "noise")
    with pytest.raises(AdapterError, match=r"no whole tar|no adapter_config"):
        taken_out(packed(taught)[:5000], tmp_path / "cut")
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    with pytest.raises(AdapterError, match=r"the tar has no adapter_config\.json"):
        taken_out(empty.getvalue(), tmp_path / "empty")


def test_only_an_adapters_files_come_out_of_a_tar_wherever_it_has_them(taught: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in FILES:
            tar.add(taught / name, f"../../deep/{name}")
        tar.add(taught / FILES[0], "../evil.py")
    folder = taken_out(out.getvalue(), tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert not (tmp_path / "evil.py").exists()


def test_it_is_taken_in_as_a_candidate_and_only_once(taught: Path, tmp_path: Path, run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        made = await adopt.take_in(context, taken_out(packed(taught), tmp_path / "first"), "operator")
        assert made.name.startswith("imported-") and made.state is AdapterState.CANDIDATE
        assert (made.parent, made.cycle_id, made.dataset_id) == ("base", None, None)
        assert context.artifacts.sha256_of(context.artifacts.adapter_dir(made.name)) == made.sha256
        again = taken_out(packed(taught), tmp_path / "second")
        with pytest.raises(StageError, match=f"is here already: {made.name}, candidate"):
            await adopt.take_in(context, again, "operator")
        with pytest.raises(StageError, match="no held-out votes yet"):
            await adopt.prepare(context, made.name)
        with pytest.raises(StageError, match="base is live, expected a candidate that was imported"):
            await adopt.prepare(context, "base")

    run(body)


def test_one_of_another_base_leaves_nothing(taught: Path, tmp_path: Path, run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        folder = taken_out(packed(taught), tmp_path / "other")
        card = msgspec.json.decode((folder / "ratchet.json").read_bytes(), type=Card)
        (folder / "ratchet.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(card, base_sha256="0" * 64)))
        with pytest.raises(AdapterError, match="base_sha256 is '0000"):
            await adopt.take_in(context, folder, "operator")
        assert [one.name for one in await context.database.read(adapters.select_adapters)] == ["base"]
        assert [path.name for path in (context.home / "artifacts" / "adapters").iterdir()] == ["base"]

    run(body)


def test_its_scale_may_not_differ_from_layer_to_layer(taught: Path, tmp_path: Path, run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        folder = taken_out(packed(taught), tmp_path / "uneven")
        config = msgspec.json.decode((folder / "adapter_config.json").read_bytes())
        (folder / "adapter_config.json").write_bytes(msgspec.json.encode(config | {"alpha_pattern": {"q_proj": 64}}))
        with pytest.raises(AdapterError, match="alpha_pattern is"):
            await adopt.take_in(context, folder, "operator")

    run(body)


def test_a_served_one_can_be_told_from_the_live_version(taught: Path, model_dir: Path, zero_dir: Path, tmp_path: Path) -> None:
    texts = [[1, 2, 3, 4], [5, 6, 7]]
    job = Proving(str(model_dir), str(zero_dir), str(taught), texts, "auto", 1)
    (tmp_path / JOB).write_bytes(msgspec.json.encode(job))
    probes = run_proving(tmp_path).probes
    assert [probe.token_ids for probe in probes] == texts
    assert [len(probe.candidate_logprobs) for probe in probes] == [3, 2]
    assert all(probe.candidate_logprobs != probe.parent_logprobs for probe in probes)


def test_the_card_says_where_it_comes_from_and_how_to_load_it(taught: Path, run: Callable[[Body], None]) -> None:
    async def body(context: Context) -> None:
        name = await published(context, taught)
        card = await write_card(context, name)
        assert card == await write_card(context, name)
        made = await context.database.read(lambda connection: adapters.select_adapter(connection, name))
        assert made is not None
        for said in (made.sha256, made.base_sha256, "`base`", f"--max-lora-rank {RANK}", "PeftModel.from_pretrained", "license: "):
            assert said in card
        with pytest.raises(LookupError, match="no adapter 'r7'"):
            await write_card(context, "r7")

    run(body)
