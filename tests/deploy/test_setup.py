"""The set-up scripts, run in a copy of deploy/ whose locks pin one small package, with the machine's faults faked."""

import functools
import hashlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.tiny_wheel import wheel

ROOT = Path(__file__).parents[2]
WORKERS = "--numprocesses 2 --dist loadgroup --no-loadscope-reorder"
BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable))

# A build backend of the checkout's own, so that no test needs setuptools in its .venv.
BACKEND = """
import sys
sys.path.insert(0, {here!r})
from tiny_wheel import wheel

def build_editable(folder, config_settings=None, metadata_directory=None):
    code = "import sys\\ndef main():\\n    print('ratchet', *sys.argv[1:])\\n"
    return wheel(folder, "ratchet", {{"ratchet.py": code}}, "[console_scripts]\\nratchet = ratchet:main\\n").name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Checkout:
    """A checkout with small locks, in which no index can be reached but a folder of two wheels."""

    def __init__(self, folder: Path):
        self.root, self.wheels, self.bin = folder / "a checkout", folder / "wheels", folder / "bin"
        for made in (self.root, self.wheels, self.bin):
            made.mkdir()
        shutil.copytree(ROOT / "deploy", self.root / "deploy")
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "backend.py").write_text(BACKEND.format(here=str(Path(__file__).parent)))
        shutil.copy(pip_wheel(), self.wheels)
        self.lock("pip.lock", pip_wheel())
        self.lock("torch.lock", wheel(self.wheels, "tinytorch", {"tinytorch.py": "weights = 1\n"}))
        self.lock("requirements.lock", wheel(self.wheels, "tinydep", {"tinydep.py": ""}))
        npm = "def main():\n    print('npm of a package', flush=True)\n"
        self.lock("node.lock", wheel(self.wheels, "tinynode", {"tinynode.py": npm}, "[console_scripts]\nnpm = tinynode:main\n"))
        self.web = self.root / "service" / "web"
        self.web.mkdir(parents=True)
        (self.web / "package-lock.json").write_text("{}")
        self.fake("npm", 'echo "npm $*" >> called')
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "RATCHET_", "PYTHON"))}
        self.env |= {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_CACHE_DIR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RATCHET_PYTHON": str(BASE_PYTHON),
            "RATCHET_MIN_FREE_GB": "0.1",
        }

    def lock(self, name: str, package: Path, sha256: str = "") -> None:
        sha256 = sha256 or hashlib.sha256(package.read_bytes()).hexdigest()
        (self.root / "deploy" / name).write_text("{}=={} \\\n    --hash=sha256:{}\n".format(*package.name.split("-")[:2], sha256))

    def fake(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, script: str = "up", *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(self.root / script)] if "/" in script else [str(self.root / "deploy" / script)]
        return subprocess.run(
            [*command, *args],
            check=False,
            env=self.env | env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def error(self, **env: str) -> str:
        done = self.run("up", "--setup-only", **env)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert not (self.root / ".venv/setup.stamp").exists()
        return done.stderr.strip()

    def state(self) -> dict[Path, int]:
        files = (path for path in sorted(self.root.rglob("*")) if path.is_file() and path.suffix != ".pyc")
        return {path: path.stat().st_mtime_ns for path in files}


@functools.cache
def pip_wheel() -> Path:
    """The pip of the real lock, as it is installed here."""
    installed = importlib.metadata.distribution("pip")
    target = Path(tempfile.mkdtemp()) / f"pip-{installed.version}-py3-none-any.whl"
    kept = [file for file in installed.files or () if file.parts[0].startswith("pip") and file.suffix not in (".pyc", ".exe")]
    with zipfile.ZipFile(target, "w") as archive:
        for file in kept:
            if file.name == "RECORD":
                archive.writestr(str(file), "".join(f"{one},,\n" for one in kept))
            elif file.name not in ("INSTALLER", "REQUESTED"):
                archive.write(file.locate(), str(file))
    return target


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("installed"))
    done = checkout.run("up", "--setup-only")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("Installing")] == [
        "Installing torch (1/4) …",
        "Installing 1 packages (2/4) …",
        "Installing ratchet (3/4) …",
        "Installing the pages' libraries (4/4) …",
    ]
    assert (checkout.web / "called").read_text() == "npm ci\n"
    return checkout


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, subprocess.CompletedProcess[str]]:
    """A checkout whose .venv was half made when it was set up, and what that said."""
    checkout = Checkout(tmp_path_factory.mktemp("mended"))
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", checkout.root / ".venv"], check=True)
    return checkout, checkout.run("up", "--setup-only")


@pytest.fixture
def again(mended: tuple[Checkout, object]) -> Iterator[Checkout]:
    """A checkout whose .venv is there, and that has to be set up again: that is quicker than the first time."""
    used, _ = mended
    folders, kept = (used.root / "deploy", used.wheels, used.bin), used.root.with_name("kept")
    for folder in folders:
        shutil.copytree(folder, kept / folder.name)
    (used.root / ".venv/setup.stamp").unlink(missing_ok=True)
    yield used
    for folder in folders:
        shutil.rmtree(folder)
        (kept / folder.name).rename(folder)
    kept.rmdir()


def test_python_too_old(checkout: Checkout) -> None:
    for name in ("python3.13", "python3.12", "python3.11"):  # shims without a Python behind them
        checkout.fake(name, "echo command not found >&2; exit 127")
    checkout.fake("python3", "echo 3.9.2 /usr/bin/python3")
    assert checkout.error(RATCHET_PYTHON="") == (
        "Ratchet needs Python 3.11 to 3.13; found python3 = 3.9.2. Install one, or set RATCHET_PYTHON."
    )


def test_python_too_new_or_absent(checkout: Checkout) -> None:
    assert "found my-python = 3.14.0." in checkout.error(
        RATCHET_PYTHON=checkout.fake("my-python", "echo 3.14.0 /usr/bin/python3").name
    )
    assert "found none that runs." in checkout.error(RATCHET_PYTHON="no-such-python")


def test_python_without_venv(checkout: Checkout) -> None:
    python = checkout.fake("bare", f'[[ $2 == *ensurepip* ]] && exit 1; [[ $1 == -c ]] && echo "3.11.2 {checkout.bin}/bare"')
    assert "apt-get install python3-venv" in checkout.error(RATCHET_PYTHON=str(python))


def test_too_little_disk(checkout: Checkout) -> None:
    checkout.fake("df", "echo Filesystem; echo /dev/vda 9000000 5000000 3125000 50% /")
    message = checkout.error(RATCHET_MIN_FREE_GB="7")
    assert message == f"Ratchet needs 7 GB free in {checkout.root} for its first install; 3.2 GB are. Make room, then run it again."


def test_no_network(again: Checkout) -> None:
    again.lock("pip.lock", wheel(again.wheels, "pip", {}))
    message = again.error(PIP_NO_INDEX="0", PIP_INDEX_URL="http://127.0.0.1:9", PIP_RETRIES="1", PIP_FIND_LINKS="")
    assert message == (
        "pip cannot reach its package index while installing pip: "
        "check the connection, then run it again: what is already installed is kept."
    )


def test_torch_from_its_own_index_only_if_needed(again: Checkout, installed: Checkout) -> None:
    assert "download.pytorch.org" not in (installed.root / ".venv/setup.log").read_text()
    newer = wheel(again.wheels, "newtorch", {})
    again.lock("torch.lock", newer)
    newer.unlink()
    message = again.error()
    assert "No matching distribution found for newtorch==1.0" in message
    assert message.endswith(f"The whole log: {again.root}/.venv/setup.log")
    assert "download.pytorch.org/whl/cpu" in (again.root / ".venv/setup.log").read_text()


def test_damaged_download(again: Checkout) -> None:
    good = wheel(again.wheels, "damaged", {})
    again.lock("requirements.lock", good, "0" * 64)
    assert again.error() == "The download of damaged==1.0 is damaged: its hash is not the one in deploy/. Run it again."
    again.lock("requirements.lock", good)
    assert again.run("up", "--setup-only").returncode == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("npm error code EINTEGRITY", "The download of a library for the pages is damaged"),
        ("npm error code ENOTFOUND", "npm cannot reach its package registry"),
        ("npm error nospc ENOSPC: no space left on device", "The disk is full while installing the pages' libraries"),
        ("npm error Cannot read a lock", "npm cannot install the pages' libraries: Cannot read a lock. The whole log: "),
    ],
)
def test_libraries_of_the_pages_that_do_not_come(installed: Checkout, said: str, expected: str) -> None:
    npm = (installed.bin / "npm").read_text()
    stamp = (installed.root / ".venv/setup.stamp").rename(installed.root / "stamp")
    installed.fake("npm", f"echo '{said}' >&2; exit 1")
    assert installed.error().startswith(expected)
    (installed.bin / "npm").write_text(npm)
    stamp.rename(installed.root / ".venv/setup.stamp")


def test_without_npm_it_comes_with_a_package(again: Checkout, tmp_path: Path) -> None:
    everything = tmp_path / "everything"
    everything.mkdir()
    for folder in reversed(os.environ["PATH"].split(":")):
        for program in Path(folder).glob("*"):
            if program.name not in ("node", "npm"):
                (everything / program.name).unlink(missing_ok=True)
                (everything / program.name).symlink_to(program)
    (again.bin / "npm").unlink()
    done = again.run("up", "--setup-only", PATH=f"{again.bin}:{everything}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "npm of a package" in (again.root / ".venv/setup.log").read_text()


def test_second_run_installs_and_changes_nothing(installed: Checkout) -> None:
    before = installed.state()
    done = installed.run("up", "--setup-only")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ratchet model get\n", "")
    assert installed.state() == before


def test_arguments_reach_ratchet_and_pytest(installed: Checkout) -> None:
    assert installed.run("up", "--port", "0").stdout == "ratchet model get\nratchet up --port 0\n"
    installed.fake("chromium", "")
    installed.fake("cc", "")
    package = installed.root / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages/pytest.py"
    package.write_text("import os, sys\nprint('pytest', *sys.argv[1:], os.environ['HF_HUB_OFFLINE'])\n")
    shutil.copytree(ROOT / ".ci", installed.root / ".ci")
    assert installed.run("test", "-k", "x y").stdout == f"ratchet model get\npytest {WORKERS} -k x y 1\n"
    assert installed.run(".ci/run").stdout == f"ratchet model get\npytest {WORKERS} 1\n"
    package.unlink()
    shutil.rmtree(installed.root / ".ci")


def test_tests_run_without_a_browser_and_a_compiler(installed: Checkout) -> None:
    for tool in ("chromium", "cc"):
        (installed.bin / tool).unlink(missing_ok=True)
    only = installed.bin.with_name("no-browser")
    only.mkdir()
    for tool in ("awk", "bash", "cat", "dirname", "env", "flock", "grep", "mkdir", "rm", "sed", "sha256sum", "timeout"):
        (only / tool).symlink_to(shutil.which(tool) or pytest.fail(tool))
    for tool in ("apt-get", "sudo"):
        (only / tool).write_text("#!/bin/bash\necho no network >&2\nexit 100\n")
        (only / tool).chmod(0o755)
    done = installed.run("test", "--version", PATH=str(only))
    assert done.stdout.splitlines()[-2:] == [
        "No chromium to be had here: browser tests will be skipped.",
        "No C compiler to be had here: tests on a failing disk will be skipped.",
    ]
    assert "No module named pytest" in done.stderr  # it went on


def test_changed_lock_installs_again(installed: Checkout) -> None:
    installed.lock("requirements.lock", wheel(installed.wheels, "tinynew", {"tinynew.py": ""}))
    assert "Installing torch (1/4) …" in installed.run("up", "--setup-only").stdout
    assert list(installed.root.glob(".venv/lib/*/site-packages/tinynew.py"))


def test_interrupted_install_is_repaired(again: Checkout) -> None:
    """Killed while pip was copying a package whose metadata was there already."""
    site = next(again.root.glob(".venv/lib/*/site-packages"))
    (site / "tinytorch.py").write_text("")
    (site / "tinytorch-1.0.dist-info/INSTALLER").unlink()
    (site / "~inydep").mkdir()
    done = again.run("up", "--setup-only")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Making .venv" not in done.stdout
    assert (site / "tinytorch.py").read_text() == "weights = 1\n"
    assert not (site / "~inydep").exists()


def test_half_made_venv_is_made_anew(mended: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    _, done = mended
    assert (done.returncode, done.stderr) == (0, "")
    assert "Making .venv" in done.stdout


def test_interrupt_is_one_line(checkout: Checkout) -> None:
    checkout.fake("slow", f'[[ $1 == -m ]] && {{ : > "{checkout.bin}/started"; exec sleep 30; }}; exec "{BASE_PYTHON}" "$@" ')
    python = checkout.fake("shim", f'[[ $2 == *version_info* ]] && echo "3.{sys.version_info.minor}.0 {checkout.bin}/slow"')
    up = subprocess.Popen(
        ["env", "--default-signal=INT", checkout.root / "deploy/up"],  # or it stays ignored where the tests run in the background
        env=checkout.env | {"RATCHET_PYTHON": str(python)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (checkout.bin / "started").exists():
        time.sleep(0.02)
    os.killpg(up.pid, signal.SIGINT)
    assert up.communicate(timeout=10)[1].strip() == "Interrupted; run it again to go on."
    assert up.returncode == 1


def test_concurrent_runs_wait_for_each_other(again: Checkout) -> None:
    runs = [
        subprocess.Popen([again.root / "deploy/up", "--setup-only"], env=again.env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sum("Installing torch" in output for output in outputs) == 1
    assert sum("Waiting for another set-up" in output for output in outputs) == 1


def test_moved_checkout_gets_a_venv_of_its_own(installed: Checkout, tmp_path: Path) -> None:
    moved = Checkout(tmp_path)
    shutil.copytree(installed.root / ".venv", moved.root / ".venv", symlinks=True)
    assert "Making .venv" in moved.run("up", "--setup-only").stdout
    assert str(installed.root) not in (moved.root / ".venv/bin/ratchet").read_text()


def test_this_checkout_is_installed() -> None:
    plugins = {plugin.name: plugin.value for plugin in importlib.metadata.entry_points(group="vllm.general_plugins")}
    assert plugins["ratchet_cpu_lora"] == "service.vllm_cpu_lora:register"
    assert plugins["ratchet_forks"] == "service.vllm_forks:register"
    assert plugins["ratchet_score_tail"] == "service.vllm_score_tail:register"
    assert plugins["ratchet_blocks"] == "service.vllm_blocks:register"
    assert plugins["ratchet_waiting"] == "service.vllm_waiting:register"
    assert not list(ROOT.glob("*.egg-info"))


@pytest.mark.parametrize("name", ["up", "test", "setup.sh", "../.ci/run"])
def test_scripts_parse(name: str) -> None:
    subprocess.run(["bash", "-n", ROOT / "deploy" / name], check=True)
