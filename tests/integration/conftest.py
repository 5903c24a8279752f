"""A database of its own for the tests of a job's life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.adapters.postgres.connection import PostgresRecords
from shared.domain.jobs import Caller
from shared.usecases.manage_accounts import SCOPES, act
from tests.databases import as_app, empty_database, migrate
from tests.footage import clip
from tests.integration.door import Door, opened
from tests.integration.elsewhere import A, B, Elsewhere
from tests.integration.inside import World
from tests.memory import MemoryKeys, MemoryQueue


@pytest.fixture(scope="module")
def database_url(stack: dict[str, Any]) -> str:
    """A database of its own on the stack's server, so that no deployed function works on it. It goes with the stack.

    The URL is that of its master, who may look and change; the product's code goes by `as_app` of it.
    """
    url = empty_database(stack["databaseUrl"], f"lifecycle_{uuid4().hex[:8]}")
    assert "0001_initial.sql" in migrate(url)
    return url


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    records = PostgresRecords(as_app(database_url))
    order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    account = act(order, records=records, directory=MemoryKeys())
    world = World(database_url, records, MemoryQueue(), Caller(UUID(account["accountId"]), frozenset(SCOPES)))
    # What earlier tests asked for must not make this one's calls wait for their turn.
    world.sql("DELETE FROM vsl.provider_pace")
    world.sql("UPDATE vsl.provider_attempts SET state = 'finished' WHERE state NOT IN ('rejected', 'finished')")
    yield world
    records.close()


@pytest.fixture
def other(world: World) -> Caller:
    """Another account."""
    order = {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    account = act(order, records=world.records, directory=MemoryKeys())
    return Caller(UUID(account["accountId"]), frozenset(SCOPES))


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    with opened(monkeypatch) as door:
        yield door


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return clip(tmp_path_factory.mktemp("film") / "a.mp4").read_bytes()


@pytest.fixture
def elsewhere(world: World, film: bytes) -> Elsewhere:
    # What earlier tests left unfinished is nothing for this one's sweeps.
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE completed_at IS NULL")
    world.sql("DELETE FROM vsl.source_fetches")
    world.sql("DELETE FROM vsl.outbox")
    return Elsewhere(world, {A: film, B: film})
