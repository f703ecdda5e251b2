"""The bill of materials names everything that is installed, with what its download was checked against."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pytest

from learner.model import BUILTIN
from service.cli import main
from service.sbom import Hash, locked_hashes

TYPES = {"application", "library", "machine-learning-model"}
LENGTHS = {"SHA-256": 64, "SHA-512": 128}


@pytest.fixture
def bill(capsys: pytest.CaptureFixture[str]) -> Any:
    main(["sbom", "--json"])
    return json.loads(capsys.readouterr().out)


def test_it_is_of_the_form_that_cyclonedx_has(bill: Any) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", bill["metadata"]["timestamp"])
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["type"]) == ("ratchet", "application")
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(set(refs)) == len(refs)
    for one in bill["components"]:
        assert one["type"] in TYPES and one["name"] and one["version"]
        assert re.fullmatch(r"pkg:(pypi|npm)/[\w%.@/-]+@[\w.%-]+", one["purl"]), one["purl"]
        for choice in one.get("licenses", []):
            assert len(choice) == 1 and set(choice) <= {"license", "expression"}
            assert "license" not in choice or len(choice["license"]) == 1
        for found in one.get("hashes", []):
            assert re.fullmatch(r"[0-9a-f]+", found["content"]) and len(found["content"]) == LENGTHS[found["alg"]]


def test_it_names_all_that_is_installed(bill: Any) -> None:
    named = {one["name"]: one for one in bill["components"]}
    for package in ("litestar", "msgspec", "torch", "trl", "peft", "apscheduler", "aiosqlite"):
        assert named[package]["version"] == importlib.metadata.version(package)
        assert named[package]["licenses"]
    for library in ("dompurify", "marked", "uplot", "@highlightjs/cdn-assets"):
        assert named[library]["hashes"][0]["alg"] == "SHA-512" and named[library]["purl"].startswith("pkg:npm/")
    assert "axe-core" not in named  # only tests need it
    assert named[BUILTIN]["type"] == "machine-learning-model"


def test_what_is_locked_has_the_hashes_of_its_lock(bill: Any) -> None:
    locked = locked_hashes()
    known = [one for one in bill["components"] if (one["name"], one["version"]) in locked]
    assert len(known) > 50
    for one in known:
        assert [Hash(**found) for found in one["hashes"]] == list(locked[one["name"], one["version"]]) != []


def test_a_lock_is_read_with_all_its_hashes(tmp_path: Path) -> None:
    lock = "# made\nA_b.c==1.0 \\\n    --hash=sha256:" + "a" * 64 + " \\\n    --hash=sha256:" + "b" * 64 + "\nd==2+cpu \\\n"
    (tmp_path / "requirements.lock").write_text(lock + "    --hash=sha256:" + "c" * 64 + "\n")
    assert locked_hashes(tmp_path) == {
        ("a-b-c", "1.0"): (Hash("SHA-256", "a" * 64), Hash("SHA-256", "b" * 64)),
        ("d", "2+cpu"): (Hash("SHA-256", "c" * 64),),
    }


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sbom"])
    said = capsys.readouterr().out
    assert "litestar" in said and "components;" in said
