"""The settings, the home and the database."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from learner.policy import PolicyError, load_policy
from service.config import FILE, OPERATOR_KEY_FILE
from service.doctor.subject import GB, Finding, Subject, existing
from storage.checkup import CheckupError, Pages, find_faults, measure_pages, select_schema
from storage.migrate import newest_schema

LONG_LOG_BYTES = 0.25 * GB
MANY_FREE_BYTES, MANY_FREE = 0.1 * GB, 0.5  # of the file
NOTHING_YET = Finding("ok", "none yet: the first start makes it")
ELSEWHERE = Finding("ok", "PostgreSQL sees to it itself")
RESTORE = "end the service, and `ratchet restore` the newest backup that is whole"


def check_settings(subject: Subject) -> Finding:
    """They can be read, and so can the policy."""
    file = subject.home / FILE
    if subject.config_fault:
        return Finding("problem", subject.config_fault, f"correct {file}; the other checks go by the defaults")
    try:
        load_policy(subject.config.learner.policy)
    except PolicyError as error:
        return Finding("problem", " ".join(str(error).split()), "correct it; `ratchet policy check FILE` explains")
    return Finding("ok", str(file) if file.exists() else f"all as they are by default: no {file}")


def check_home(subject: Subject) -> Finding:
    """It can be written, and nobody else reads the operator's key."""
    home = subject.home
    if not os.access(existing(home), os.W_OK):
        return Finding("problem", f"{home} cannot be written", "give another --home, or set RATCHET_HOME")
    key = home / OPERATOR_KEY_FILE
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        return Finding("warning", f"others on this machine can read {key}", f"run `chmod 600 {key}`")
    return Finding("ok", str(home) if home.is_dir() else f"{home} is not there yet: the first start makes it")


def check_schema(subject: Subject) -> Finding:
    """The database opens, and has the tables of this version."""
    if _is_missing(subject):
        return NOTHING_YET
    try:
        found, newest = select_schema(subject.place), newest_schema()
    except (CheckupError, ValueError) as error:
        todo = RESTORE if isinstance(subject.place, Path) else "start PostgreSQL, or correct storage.url"
        return Finding("problem", f"the database cannot be read: {error}", todo)
    if found == newest:
        return Finding("ok", f"schema {found}")
    if found is not None and found > newest:
        return Finding("problem", f"schema {found}, and this version knows up to {newest}", "run a newer version of Ratchet")
    return Finding(
        "warning", f"schema {found or 'none'}, this version's is {newest}", "`ratchet migrate`, or the next start, sees to it"
    )


def check_integrity(subject: Subject) -> Finding:
    """SQLite finds nothing wrong with its file."""
    file = subject.place
    if not isinstance(file, Path):
        return ELSEWHERE
    if _is_missing(subject):
        return NOTHING_YET
    faults = find_faults(file)
    return Finding("problem", f"{file} is damaged: {'; '.join(faults)}", RESTORE) if faults else Finding("ok", "nothing is damaged")


def check_log(subject: Subject) -> Finding:
    """The write-ahead log is on, and does not grow without end."""
    pages = _pages(subject)
    if isinstance(pages, Finding):
        return pages
    found = f"journal mode {pages.journal}, log of {pages.log_bytes / 1e6:.1f} MB"
    if pages.journal != "wal":
        return Finding("warning", f"{found}, expected wal", "the next start sets it")
    if pages.log_bytes > LONG_LOG_BYTES:
        return Finding("warning", found, "end programs that keep the database open; a start of the service takes the log in")
    return Finding("ok", found)


def check_free_pages(subject: Subject) -> Finding:
    """Not much of the file is empty."""
    pages = _pages(subject)
    if isinstance(pages, Finding):
        return pages
    found = f"{pages.free_bytes / 1e6:.1f} MB of {pages.bytes / 1e6:.1f} MB"
    if pages.free_bytes > max(MANY_FREE_BYTES, MANY_FREE * pages.bytes):
        return Finding("warning", found, "`ratchet backup`, then `ratchet restore --force` makes it small")
    return Finding("ok", found)


def _pages(subject: Subject) -> Pages | Finding:
    file = subject.place
    if not isinstance(file, Path):
        return ELSEWHERE
    if _is_missing(subject):
        return NOTHING_YET
    try:
        return measure_pages(file)
    except CheckupError as error:
        return Finding("warning", f"the database cannot be read: {error}", "see to the database first")


def _is_missing(subject: Subject) -> bool:
    return isinstance(subject.place, Path) and not subject.place.is_file()
