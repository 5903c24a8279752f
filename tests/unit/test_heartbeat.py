"""A worker learns that its lease is lost, also when the thread that renews it can go on no more."""

from __future__ import annotations

from shared.adapters.heartbeat import heartbeat
from shared.domain.errors import DependencyDown


def test_a_lost_lease_is_told() -> None:
    answers = iter([True, True, False])
    with heartbeat(lambda: next(answers), beat_seconds=0.001) as lost:
        assert lost.wait(10)


def test_a_renewal_that_raises_stops_the_work() -> None:
    def renew() -> bool:
        raise KeyError("a fault of ours")

    with heartbeat(renew, beat_seconds=0.001) as lost:
        assert lost.wait(10)


def test_a_database_that_is_down_keeps_the_lease() -> None:
    asked: list[str] = []

    def renew() -> bool:
        asked.append("renew")
        if len(asked) < 4:
            raise DependencyDown("The database does not answer.")
        return False

    with heartbeat(renew, beat_seconds=0.001) as lost:
        assert lost.wait(10)
    assert len(asked) == 4
