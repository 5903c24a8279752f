"""Health is asked of the stores at most every ten seconds, however often it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.domain.errors import DependencyDown
from shared.usecases.read_health import HealthReader
from tests.memory import MemoryClock


class Stores:
    """A database and a cache that are up or down, and count how often they are asked."""

    def __init__(self) -> None:
        self.database, self.cache = True, True
        self.asked = 0

    def ping(self) -> bool:
        self.asked += 1
        if not self.database:
            raise DependencyDown("The database does not answer.")
        return True


class Cache:
    def __init__(self, stores: Stores) -> None:
        self.stores = stores

    def ping(self) -> bool:
        return self.stores.cache


def test_a_flood_of_calls_asks_the_stores_once() -> None:
    stores, clock = Stores(), MemoryClock(datetime(2026, 1, 1, tzinfo=UTC))
    reader = HealthReader(records=stores, cache=Cache(stores), clock=clock)  # type: ignore[arg-type]

    assert {reader.read() for _ in range(1000)} == {"ok"}
    assert stores.asked == 1


def test_after_ten_seconds_a_change_is_seen() -> None:
    stores, clock = Stores(), MemoryClock(datetime(2026, 1, 1, tzinfo=UTC))
    reader = HealthReader(records=stores, cache=Cache(stores), clock=clock)  # type: ignore[arg-type]
    seen = []
    for database, cache in ((True, True), (True, False), (False, False), (True, True)):
        stores.database, stores.cache = database, cache
        seen.append((reader.read(), clock.sleep(9.9), reader.read()))
        clock.sleep(0.2)

    assert [(first, later) for first, _, later in seen] == [
        ("ok", "ok"),
        ("degraded", "degraded"),
        ("down", "down"),
        ("ok", "ok"),
    ]


def test_an_answer_of_before_an_environment_was_frozen_is_old() -> None:
    stores, clock = Stores(), MemoryClock(datetime(2026, 1, 1, tzinfo=UTC))
    reader = HealthReader(records=stores, cache=Cache(stores), clock=clock)  # type: ignore[arg-type]
    before = reader.read()
    stores.database = False
    clock.freeze(600)

    assert (before, reader.read()) == ("ok", "down")
