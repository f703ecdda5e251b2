"""Ends the engine when the service ends, however that happens: `python -m service.warden PID_FILE GRACE_S -- COMMAND…`.

The command runs as the leader of its own process group, in the service's session. Linux shares processors out by session first:
an engine with a session of its own computes on all of them while the service waits, for seconds now and then, and training,
however nice, takes as much as the engine. When the command ends, when standard input does (the service holds its other end,
and nobody else), or on SIGTERM, the whole group gets SIGTERM and after GRACE_S seconds SIGKILL. PID_FILE names the group for
as long as it exists; the command's working directory is PID_FILE's folder, which is how `kill_group` knows the group's
processes. Standard library only, and Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # from <sys/prctl.h>
POLL_S = 0.05


def main(arguments: list[str]) -> int:
    pid_file, grace_s, separator, *command = arguments
    assert separator == "--" and command, "usage: PID_FILE GRACE_S -- COMMAND…"
    _adopt_orphans()
    wakeup = _signals_as_bytes()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, cwd=Path(pid_file).parent)
    try:
        _write(Path(pid_file), child.pid)
        _wait(child, wakeup)
    finally:
        _end_group(child, float(grace_s))
        _forget(Path(pid_file), child.pid)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _adopt_orphans() -> None:
    """Has orphans in the group reparented here, so that they are reaped even where pid 1 does not reap."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _signals_as_bytes() -> int:
    """A file descriptor which becomes readable when a child ends or this process is asked to; a byte is a signal."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return readable


def _wait(child: subprocess.Popen[bytes], wakeup: int) -> None:
    """Returns when the child has ended, when standard input has, or when this process is asked to end."""
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), wakeup], [], [])
        if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 1024):
            return
        if wakeup in readable and set(os.read(wakeup, 1024)) - {signal.SIGCHLD}:
            return


def _end_group(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM, a wait for the group to be gone, SIGKILL, and a last short wait."""
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + patience_s
        while not _is_gone(child):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        else:
            return


def _is_gone(child: subprocess.Popen[bytes]) -> bool:
    if child.poll() is None:
        return False
    with contextlib.suppress(ChildProcessError):  # the child is reaped; what is left are adopted orphans
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def kill_group(pid_file: Path) -> bool:
    """Sends SIGKILL to the group which `pid_file` names; False, and no such file any more, where none of it lives.

    Its processes are those that also run in the file's folder, so a pid that is somebody else's by now is left alone.
    """
    group = read_pid(pid_file)
    if group is None:
        return False
    if not any(_is_member(int(folder.name), group, pid_file.parent) for folder in Path("/proc").glob("[0-9]*")):
        _forget(pid_file, group)
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return True


def _is_member(pid: int, group: int, folder: Path) -> bool:
    try:
        return os.getpgid(pid) == group and os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:  # gone, a zombie, or another user's
        return False


def read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def _write(pid_file: Path, pid: int) -> None:
    temporary = pid_file.with_name(f"{pid_file.name}.{pid}")
    temporary.write_text(f"{pid}\n")
    temporary.replace(pid_file)


def _forget(pid_file: Path, pid: int) -> None:
    """Removes the file, unless it is another warden's by now."""
    with contextlib.suppress(OSError):
        if read_pid(pid_file) == pid:
            pid_file.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
