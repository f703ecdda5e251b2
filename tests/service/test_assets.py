"""Of the files that pages load: compressed where the browser takes that, told unchanged, and nothing beside them."""

from __future__ import annotations

import gzip

from litestar import Litestar
from litestar.di import Provide
from litestar.testing import TestClient

from service.assets import MODULES, VENDOR, WEB, load_assets
from service.errors import respond
from service.site import show_asset


def client() -> TestClient[Litestar]:
    assets = load_assets()
    provided = {"assets": Provide(lambda: assets, sync_to_thread=False)}
    return TestClient(Litestar([show_asset], dependencies=provided, exception_handlers={Exception: respond}))


def test_a_file_comes_whole_with_its_type_and_compressed_where_that_is_taken() -> None:
    with client() as web:
        plain = web.get("/web/shared/dom.js", headers={"accept-encoding": "identity"})
        assert plain.content == (WEB / "shared" / "dom.js").read_bytes()
        assert plain.headers["content-type"].startswith("text/javascript")
        packed = web.get("/web/shared/dom.js", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content  # the client unpacks
        assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, mtime=0)) < len(plain.content)


def test_a_browser_that_has_the_file_is_told_so_and_one_that_has_another_gets_it() -> None:
    with client() as web:
        etag = web.get("/web/icon.svg").headers["etag"]
        assert web.get("/web/icon.svg", headers={"if-none-match": etag}).status_code == 304
        assert web.get("/web/icon.svg", headers={"if-none-match": '"other"'}).status_code == 200


def test_libraries_are_served_by_name_and_nothing_else_of_their_folder_or_of_ours() -> None:
    with client() as web:
        for name, path in VENDOR.items():
            assert web.get(f"/web/vendor/{name}").content == (MODULES / path).read_bytes()
        for path in (
            "node_modules/marked/package.json",
            "package.json",
            "pages/base.html",
            "messages/base.en.json",
            "../assets.py",
        ):
            assert web.get(f"/web/{path}").status_code == 404, path
