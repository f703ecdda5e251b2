"""The files that pages load: our own under `/web/`, and those of the browser libraries under `/web/vendor/`.

They are read once, when the service starts, and are answered from memory, compressed where the browser takes that. A
browser asks again each time and is mostly told that nothing changed: an update reaches everybody with the next load.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

WEB = Path(__file__).parent / "web"
OURS = (".css", ".js", ".svg", ".webmanifest")
MODULES = WEB / "node_modules"  # brought by the set-up scripts
VENDOR = {
    "marked.js": "marked/lib/marked.esm.js",
    "purify.js": "dompurify/dist/purify.es.mjs",
    "uplot.js": "uplot/dist/uPlot.esm.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "highlight.js": "@highlightjs/cdn-assets/es/highlight.min.js",
}
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
LEAST_GAIN = 0.9  # of its size, that a file must be compressed to


class Asset(Struct, frozen=True):
    """`etag` names the content."""

    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


class AssetsError(Exception):
    """Something that pages cannot do without is not there; the message says how to get it."""


def load_assets() -> dict[str, Asset]:
    """All files by their path under `/web/`. Raises `AssetsError` where a library is missing."""
    return {name: _load(file) for name, file in _files()}


def missing_libraries() -> list[str]:
    """Of the browser libraries, those whose file is not there."""
    return [path for path in VENDOR.values() if not (MODULES / path).is_file()]


def _files() -> Iterator[tuple[str, Path]]:
    for file in sorted(WEB.rglob("*")):
        if file.suffix in OURS and MODULES not in file.parents:
            yield file.relative_to(WEB).as_posix(), file
    if missing := missing_libraries():
        raise AssetsError(f"{MODULES} lacks {', '.join(missing)}: run `./deploy/up`, which installs the browser libraries")
    for name, path in VENDOR.items():
        yield f"vendor/{name}", MODULES / path


def _load(file: Path) -> Asset:
    content = file.read_bytes()
    compressed = gzip.compress(content, mtime=0)
    media_type = TYPES.get(file.suffix) or mimetypes.guess_type(f"file{file.suffix}")[0] or "application/octet-stream"
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return Asset(content, compressed if len(compressed) < LEAST_GAIN * len(content) else None, media_type, etag)
