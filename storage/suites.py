"""Suites: which frozen eval sets have judged here. Their items are files of the learner's; the hash says which they were."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.connect import insert_missing
from storage.records import SuiteRecord
from storage.rows import select_all
from storage.tables import suites


async def ensure_suite(connection: AsyncConnection, suite: SuiteRecord) -> None:
    """Note a suite at its first use; one that is known by its hash stays as it was."""
    await insert_missing(connection, suites, suite)


async def select_suites(connection: AsyncConnection) -> list[SuiteRecord]:
    """Every suite that was ever used, by name and version."""
    return await select_all(connection, select(suites).order_by(suites.c.name, suites.c.version), SuiteRecord)
