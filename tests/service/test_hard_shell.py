"""What is closed stays closed: the engine, paths, pickles, headers, and logs."""

from __future__ import annotations

import ast
import http.server
import json
import logging
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from learner import engine as engine_module
from service.config import Config, ServerSettings
from service.headers import SECURITY
from service.listen import listen
from service.settings import EngineSettings
from service.site import CONSOLE
from service.supervisor import engine_command, engine_env
from service.vllm_plugins import PLUGINS
from storage.artifacts import Artifacts
from storage.database import Database
from storage.people import insert_person
from storage.records import Person
from tests.conftest import Service
from tests.databases import Place
from tests.faults.scripted_chat import ScriptedChat, Talk, answers
from tests.faults.streams import hear
from tests.service.scripted import scripted_service
from tests.storage.loop import with_database

CHECKOUT = Path(__file__).parents[2]
SOURCES = sorted(file for top in ("service", "learner", "storage") for file in (CHECKOUT / top).rglob("*.py"))
ASKED = {
    "/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/health",
    "/metrics",
}  # fmt: skip
NOBODYS = (
    "/v1/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters", "/invocations", "/tokenize", "/detokenize",
    "/server_info", "/reset_prefix_cache", "/sleep", "/wake_up", "/collective_rpc", "/pause", "/v1/embeddings", "/ping", "/load",
    "/version", "/scale_elastic_ep", "/inference/v1/generate", "/v1/responses",
)  # fmt: skip
OUTSIDE = ("../../etc", "..", "%2e%2e%2f%2e%2e%2fetc", "/etc/passwd", "base/../base", "..%5c..", "a\x00b", "~root", "C:\\x")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ScriptedChat]]:
    with scripted_service(tmp_path_factory.mktemp("shell")) as (service, engine):
        yield service, engine


@pytest.fixture
def service(pair: tuple[Service, ScriptedChat]) -> Iterator[Service]:
    service, engine = pair
    yield service
    engine.script = answers


def answer(url: str, key: str = "tester", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


# The engine


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_engine_is_told_to_listen_on_loopback_and_to_run_nobodys_code(device: str, tmp_path: Path) -> None:
    settings = EngineSettings(device=device)  # type: ignore[arg-type]
    command = engine_command(settings, tmp_path, 8123)
    assert [command[at + 1] for at, word in enumerate(command) if word == "--host"] == ["127.0.0.1"]
    said = " ".join(command)
    for word in ("trust-remote-code", "api-key", "lora-modules", "enable-log-requests", "tool-parser-plugin", "middleware"):
        assert word not in said
    env = engine_env(settings)
    assert (env["VLLM_SERVER_DEV_MODE"], env["HF_HUB_OFFLINE"]) == ("0", "1")
    assert set(env.get("VLLM_PLUGINS", "").split(",")) <= {"", *PLUGINS}  # none that resolves names


def test_vllm_understands_its_arguments_as_they_are_meant(tmp_path: Path) -> None:
    """What vLLM's own parser makes of the command line, defaults and all."""
    pytest.importorskip("vllm")
    words = engine_command(EngineSettings(device="cpu"), tmp_path, 8123)
    words = words[words.index("service.vllm_forks") + 1 :]
    code = (
        "import json, sys\n"
        "from vllm.entrypoints.launchers.cli_args import make_arg_parser\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "found = vars(make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:]))\n"
        "print(json.dumps(found, default=str))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["host"], found["port"]) == ("127.0.0.1", 8123)
    assert found["trust_remote_code"] is False and not found["allowed_local_media_path"]
    assert found["load_format"] in ("auto", "safetensors")
    assert not found["lora_modules"] and not found["middleware"] and not found.get("enable_log_requests")


def test_who_listens_as_the_engine_is_told_is_not_to_be_had_from_another_address(tmp_path: Path) -> None:
    command = engine_command(EngineSettings(), tmp_path, 0)
    host = command[command.index("--host") + 1]
    with http.server.ThreadingHTTPServer((host, 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
        for other in {"127.0.0.2", *addresses()} - {"127.0.0.1"}:
            with pytest.raises(OSError), socket.create_connection((other, port), 3):
                pass
        server.shutdown()


def addresses() -> set[str]:
    """This machine's own, beside loopback."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except socket.gaierror:  # nobody knows this machine by name
        return set()
    return {one for one in found if not one.startswith("127.")}


def test_the_service_listens_on_loopback_unless_it_is_told_otherwise() -> None:
    listening = listen(ServerSettings(port=0))
    with listening:
        assert listening.getsockname()[0] == "127.0.0.1" == Config().server.host


def test_the_engine_is_asked_for_nothing_but_what_is_listed() -> None:
    """One file knows the engine's addresses, and these are all of them."""
    paths = {
        node.value
        for node in ast.walk(ast.parse(Path(engine_module.__file__).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"/[a-z0-9_/]+", node.value)
    }
    assert paths == ASKED


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_of_the_engine_shows_through_the_service(pair: tuple[Service, ScriptedChat], method: str) -> None:
    service, engine = pair
    before = len(engine.talks), dict(engine.loaded)
    for path in NOBODYS:
        assert answer(service.url + path, service.key, method)[0] == 404, path
    assert (len(engine.talks), engine.loaded) == before


# Paths


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_in_place_of_a_versions_name_leads_nowhere(pair: tuple[Service, ScriptedChat], name: str) -> None:
    service, engine = pair
    before = dict(engine.loaded)
    body = {"model": f"ratchet@{name}", "messages": [{"role": "user", "content": "hi"}]}
    status, said = service.request("POST", "/v1/chat/completions", body)
    assert (status, said["error"]["code"]) in ((404, "model_not_found"), (400, "invalid_request")), said
    quoted = urllib.request.quote(name, safe="%")  # type: ignore[attr-defined]
    for path, method in ((f"/api/adapters/{quoted}/load", "POST"), (f"/api/adapters/{quoted}/export", "GET")):
        assert answer(service.url + path, service.key, method)[0] in (400, 404, 405, 409), path
    assert engine.loaded == before


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", "", ".", "a\\b", "a\x00b", ".hidden"])
def test_no_name_leads_out_of_the_home(name: str, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    for place in (artifacts.adapter_dir, artifacts.dataset_file, artifacts.report_file, artifacts.reward_dir):
        with pytest.raises(ValueError):
            place(name)


# Code of others

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_no_source_opens_pickles_or_runs_what_it_is_given(file: Path) -> None:
    tree = ast.parse(file.read_text())
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & UNSAFE_MODULES
    for name, call in calls(tree):
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert name not in UNSAFE_CALLS and not name.endswith("os.system"), name
        assert name != "torch.load" or keywords.get("weights_only") == "True"
        assert name != "yaml.load" or ast.unparse(call.args[1]) == "_Loader", "expected a loader that builds plain values"
        assert keywords.get("trust_remote_code", "False") == "False"
        assert keywords.get("shell", "False") == "False"
        assert keywords.get("allow_pickle", "False") == "False"


# Headers


PAGES = ["/", "/nothing/here", *(page.path.replace("{id:int}", "1").replace("{id:str}", "base") for page in CONSOLE)]
DATA = [
    "/v1/models", "/v1/nothing", "/health/live", "/schema", "/schema/openapi.json", "/api/status", "/api/nothing", "/web/none.js",
    "/web/chat/chat.js", "/api/cycles/99999999999999999999",
]  # fmt: skip


@pytest.mark.parametrize("path", [*PAGES, *DATA])
def test_every_answer_says_what_a_browser_may_do_with_it(service: Service, path: str) -> None:
    _, headers, _ = answer(service.url + path, service.key)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'" and policy["base-uri"] == "'none'"
    assert policy.get("script-src", "'self'") == policy.get("connect-src", "'self'") == "'self'"
    assert set(policy.get("img-src", "").split()) <= {"'self'", "data:"}, "a picture elsewhere would tell others who reads what"


def test_a_stream_has_the_same_headers(service: Service) -> None:
    heard = hear(service.url)
    assert heard.status == 200 and SECURITY.items() <= heard.headers.items()


def test_no_page_loads_anything_from_elsewhere(service: Service) -> None:
    for path in ("/schema", *PAGES):
        _, _, body = answer(service.url + path, service.key)
        assert not re.search(rb"""(?:src|href)=["']?(?:https?:)?//""", body), path


# Logs

WORDS_SAID = "xylophone zebra quark"
KEY_SENT = "a-key-that-nobody-may-read"


class Everything(logging.Handler):
    """All that the service's settings would let into its log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))  # with the traceback


@pytest.fixture
def log() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


async def breaks(talk: Talk) -> None:
    await talk.say(WORDS_SAID)
    talk.break_off()


async def refuses(talk: Talk) -> None:
    talk.refuse(500, f"cannot answer {WORDS_SAID}")


async def answers_so(talk: Talk) -> None:
    await talk.answer(WORDS_SAID)


def test_logs_have_neither_words_nor_keys(pair: tuple[Service, ScriptedChat], service: Service, log: Everything) -> None:
    _, engine = pair
    for script in (answers_so, breaks, refuses):
        engine.script = script
        for stream in (True, False):
            hear(service.url, KEY_SENT, stream, messages=[{"role": "user", "content": WORDS_SAID}])
    service.request("POST", "/v1/feedback", {"completion_id": WORDS_SAID, "comment": WORDS_SAID}, KEY_SENT)
    service.request("GET", f"/api/messages?text={WORDS_SAID.replace(' ', '%20')}", key=service.key)
    service.request("POST", "/v1/chat/completions", f'{{"messages": "{WORDS_SAID}'.encode(), KEY_SENT)
    service.request("GET", "/api/status", key=KEY_SENT)
    assert_silent(log, WORDS_SAID, KEY_SENT, service.key)


def test_an_error_of_the_database_does_not_quote_what_was_to_be_kept(place: Place, log: Everything) -> None:
    async def twice(database: Database) -> Any:
        for _ in range(2):
            await database.write(lambda connection: insert_person(connection, Person("one", WORDS_SAID, 1.0)))

    with pytest.raises(Exception) as raised:
        with_database(place, twice)
    logging.getLogger("service").error("something broke", exc_info=raised.value)
    assert any("something broke" in line for line in log.lines)
    assert_silent(log, WORDS_SAID)


def assert_silent(log: Everything, *secrets: str) -> None:
    told = [line for line in log.lines if any(secret in line for secret in secrets)]
    assert told == []


def test_settings_hold_no_secret() -> None:
    """They come from the environment, or from a file that only their owner reads."""
    settings = (CHECKOUT / "deploy" / "ratchet.toml").read_text()
    assert not re.search(r"(?im)^\s*#?\s*(\w*_)?(password|secret|token|api_?key)\s*=", settings)


def test_the_operators_key_is_its_owners_alone(service: Service) -> None:
    file = service.home / "operator.key"
    assert file.stat().st_mode & 0o077 == 0 and len(service.key) >= 32


def test_exports_are_of_no_kind_that_a_spreadsheet_runs() -> None:
    """Whoever adds one of comma-separated values has to keep formulas out of it."""
    writers = re.compile(r"csv\.(writer|DictWriter)|text/csv|to_csv|openpyxl|xlsxwriter|application/vnd\.")
    scripts = [file for file in (CHECKOUT / "service" / "web").rglob("*.js") if "node_modules" not in file.parts]
    assert [file for file in (*SOURCES, *scripts) if writers.search(file.read_text())] == []
