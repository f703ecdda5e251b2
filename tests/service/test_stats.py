"""Operators see what the data is made of, and take datasets to other programs, over HTTP and by the command line."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from learner.curate.dataset import manifest, publish_rows
from learner.curate.example import Drop
from learner.rows import Split
from service.cli import main
from storage.audit import select_audit
from storage.cycles import insert_cycle
from storage.datasets import insert_dataset
from storage.documents import insert_documents
from storage.people import insert_person
from storage.records import Dataset, Document, DocumentKind, Person
from tests.conftest import Service
from tests.learner.tiny import corrections, thumbs
from tests.storage.loop import furnish

pytestmark = pytest.mark.engine
FILES = ["README.md", "data/heldout-00000-of-00001.parquet", "data/train-00000-of-00001.parquet", "manifest.json"]


def ask(service: Service, path: str, key: str | None = None) -> tuple[int, str, bytes]:
    """(status, content type, body)"""
    request = urllib.request.Request(service.url + path, headers={"Authorization": f"Bearer {key or service.key}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers["content-type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


def refused(service: Service, path: str, key: str | None = None) -> tuple[int, str]:
    status, _, body = ask(service, path, key)
    return status, json.loads(body)["error"]["message"]


def furnish_texts(service: Service) -> None:
    async def fill(connection: AsyncConnection) -> None:
        await furnish(connection)
        texts = ["A tale of two towns.", "A tale of two towns!", "Another tale, and a longer one."]
        tales = [
            Document(f"d{n}", DocumentKind.CORPUS, "tales", "en", "us", "CC0-1.0", None, text, 1.0) for n, text in enumerate(texts)
        ]
        talk = [{"role": "user", "content": "Hallo"}, {"role": "assistant", "content": "Guten Tag und willkommen."}]
        await insert_documents(
            connection, [*tales, Document("d9", DocumentKind.CHAT, "[talk]", "de", "us", "CC0-1.0", None, talk, 1.0)]
        )

    service.call(service.parts.database.write(fill))


def furnish_dataset(service: Service) -> Dataset:
    """Rows of ten people, the last of whom no longer lets others learn, and one that was dropped."""
    judged = [msgspec.structs.replace(row, id=f"held {row.id}", split=Split.HELDOUT) for row in thumbs(3, seed=5)]
    rows = [*thumbs(6), *corrections(4), *judged]
    artifacts = service.parts.context.artifacts
    sha256 = publish_rows(artifacts, rows)
    path = str(artifacts.dataset_file(sha256).relative_to(service.home))
    dropped = [Drop("m-1", rows[0].person_id, "duplicate")]
    suites, recipe = {"facts": "5" * 64}, {"curate": {"heldout_share": 0.25}}

    async def fill(connection: AsyncConnection) -> Dataset:
        for id in {row.person_id for row in rows}:
            await insert_person(connection, Person(id, id, 1.0, learn=id != rows[9].person_id))
        cycle = await insert_cycle(connection, "operator", "mixed", 1.0)
        dataset = Dataset(sha256, cycle.id, path, len(rows), 2.0, {"duplicate": 1}, sha256, suites, recipe)
        await insert_dataset(connection, dataset, manifest(sha256, rows, dropped, {}))
        return dataset

    return service.call(service.parts.database.write(fill))


@pytest.fixture
def operator(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("RATCHET_URL", service.url)
    monkeypatch.setenv("RATCHET_KEY", service.key)
    return service


def test_figures_are_of_documents_and_answers(service: Service) -> None:
    assert json.loads(ask(service, "/api/data/stats")[2])["groups"] == []
    furnish_texts(service)
    status, _, body = ask(service, "/api/data/stats")
    found = json.loads(body)
    assert status == 200, body
    assert {(one["kind"], one["domain"], one["language"]): one["texts"] for one in found["groups"]} == {
        ("corpus", "tales", "en"): 3,
        ("chat", "[talk]", "de"): 1,
        ("answer", "conversations", "und"): 3,
    }
    [tales] = [one for one in found["groups"] if one["domain"] == "tales"]
    assert tales["exact_duplicates"] == pytest.approx(1 / 3) and 15 <= tales["tokens"] <= 40
    assert {one["domain"] for one in found["domains"]} == {"tales", "[talk]"}
    assert sum(one["weight"] for one in found["domains"]) == pytest.approx(1)
    [chosen] = json.loads(ask(service, "/api/data/stats?kind=corpus&domain=tales")[2])["groups"]
    assert chosen == tales


def test_the_picture_comes_in_both_formats(service: Service) -> None:
    furnish_texts(service)
    for format, kind, begins in (("svg", "image/svg+xml", b"<?xml"), ("png", "image/png", b"\x89PNG")):
        status, content_type, picture = ask(service, f"/api/data/stats/picture?format={format}")
        assert (status, content_type.partition(";")[0]) == (200, kind) and picture.startswith(begins)


def test_what_cannot_be_asked_is_refused_with_one_clear_line(service: Service) -> None:
    for path in ("/api/data/stats", "/api/data/stats/picture", "/api/datasets", f"/api/datasets/{'d' * 64}/export"):
        assert refused(service, path, key="a-person")[0] == 403
    assert refused(service, "/api/data/stats?kind=novel")[0] == 400
    assert refused(service, "/api/data/stats/picture?format=gif")[0] == 400
    for path in (
        f"/api/datasets/{'0' * 64}",
        f"/api/datasets/{'0' * 64}/export",
        "/api/datasets/%25%25%25%25%25%25",
        "/api/datasets/0",
    ):
        status, words = refused(service, path)
        assert status == 404 and "there is no dataset" in words and "\n" not in words


def test_a_dataset_is_found_by_the_beginning_of_its_id(service: Service) -> None:
    dataset = furnish_dataset(service)
    [listed] = json.loads(ask(service, "/api/datasets")[2])
    assert listed == msgspec.to_builtins(dataset)
    for name in (dataset.id, dataset.id[:12], dataset.id[:6]):
        contents = json.loads(ask(service, f"/api/datasets/{name}")[2])
        assert contents["dataset"] == listed
    assert contents["counts"] == {
        "train": {"correction": 4, "thumb": 6},
        "heldout": {"thumb": 3},
        "dropped": {"evidence": 1},
    }


def test_an_export_is_the_same_each_time_and_leaves_nothing_behind(service: Service) -> None:
    dataset = furnish_dataset(service)
    status, content_type, first = ask(service, f"/api/datasets/{dataset.id[:12]}/export")
    assert (status, content_type.partition(";")[0]) == (200, "application/x-tar")
    assert ask(service, f"/api/datasets/{dataset.id}/export")[2] == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert sorted(tar.getnames()) == FILES
        content = tar.extractfile("manifest.json")
        assert content is not None
        document = json.load(content)
    assert (document["withheld"], document["counts"]["train"]) == (1, {"correction": 3, "thumb": 6})
    assert b"person of" not in first and b"person of" in ask(service, f"/api/datasets/{dataset.id}/export?people=true")[2]
    entries = service.call(service.parts.database.read(lambda connection: select_audit(connection, 10)))
    noted = [(entry.subject, entry.detail) for entry in entries if entry.action == "dataset.export"]
    assert noted == [(dataset.id, "with people's ids"), *[(dataset.id, "people under other names")] * 2]
    assert list((service.home / "artifacts" / "tmp").iterdir()) == []


def test_tokens_are_exported_as_the_text_they_were_served_as(service: Service) -> None:
    tokens = service.parts.context.tokens
    said = "Is  it 3 o'clock , or not?\n\tÇa va 😀"
    assert tokens.decode(tokens.text(said)) == said
    prompt = tokens.decode(tokens.prompt([("user", said)]))
    assert said in prompt and prompt.startswith("<|im_start|>") and prompt.endswith("assistant\n")


def test_an_export_whose_file_is_gone_says_so(service: Service) -> None:
    dataset = furnish_dataset(service)
    (service.home / dataset.path).unlink()
    status, words = refused(service, f"/api/datasets/{dataset.id}/export")
    assert status == 409 and "\n" not in words
    assert list((service.home / "artifacts" / "tmp").iterdir()) == []


def test_the_command_prints_tables_and_draws(operator: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "stats"])
    assert "no documents and no answers yet" in capsys.readouterr().out
    furnish_texts(operator)
    main(["data", "stats", "--json", "--kind", "corpus"])
    assert [one["domain"] for one in json.loads(capsys.readouterr().out)["groups"]] == ["tales"]
    main(["data", "stats", "--picture", str(tmp_path / "data.png")])
    said = capsys.readouterr().out
    assert "[talk]" in said and "33.3%" in said and "~near dup." in said and "is estimated on at most" in said
    assert (tmp_path / "data.png").read_bytes().startswith(b"\x89PNG")
    main(["data", "stats", "--json", "--picture", str(tmp_path / "data.svg")])
    assert (tmp_path / "data.svg").read_bytes().startswith(b"<?xml")
    for file, reason in (("data.gif", "expected .svg or .png"), ("none/data.svg", "cannot be written")):
        with pytest.raises(SystemExit, match="1"):
            main(["data", "stats", "--picture", str(tmp_path / file)])
        assert reason in capsys.readouterr().err


def test_the_command_exports_a_folder_that_is_whole(operator: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "dataset", "list"])
    assert "no datasets yet" in capsys.readouterr().out
    dataset = furnish_dataset(operator)
    main(["data", "dataset", "list"])
    assert f"{dataset.id[:12]} cycle    1     13 rows, 1 dropped" in capsys.readouterr().out
    main(["data", "dataset", "show", dataset.id[:12]])
    said = capsys.readouterr().out
    for words in (
        "train     4 correction, 6 thumb",
        "left out  1 duplicate",
        "no overlap with facts 555555555555",
        '{"heldout_share":0.25}',
    ):
        assert words in said, said
    folder = tmp_path / "new" / "out"
    main(["data", "dataset", "export", dataset.id[:12], str(folder), "--json"])
    assert json.loads(capsys.readouterr().out) == {"folder": str(folder), "files": FILES}
    assert rows_of(folder, "train") == 9 and rows_of(folder, "heldout") == 3
    (tmp_path / "empty").mkdir()
    main(["data", "dataset", "export", dataset.id, str(tmp_path / "empty"), "--with-people"])
    assert "person of" in (tmp_path / "empty" / "manifest.json").read_text()
    for name, reason in ((dataset.id, "is there already"), ("0" * 64, "there is no dataset")):
        target = folder if name == dataset.id else tmp_path / "never"
        with pytest.raises(SystemExit, match="1"):
            main(["data", "dataset", "export", name, str(target)])
        assert reason in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("home", "db")) == ["empty", "new"]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def rows_of(folder: Path, split: str) -> Any:
    import pyarrow.parquet as pq

    return pq.read_metadata(folder / "data" / f"{split}-00000-of-00001.parquet").num_rows
