"""Erasing on a real PostgreSQL: in rounds, by batches, after kills and outages, beside work that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.adapters.postgres import erasures
from shared.domain.erasure import STORES, Erasure, receipt
from shared.domain.errors import Conflict, DependencyDown, NotFound
from shared.domain.jobs import Caller
from shared.domain.messages import CallAccepted, PredictionSeen
from shared.domain.storage_keys import generated_folder
from shared.usecases import erase
from shared.usecases.aftermath import Aftermath
from shared.usecases.erase import Eraser
from tests.integration.inside import REQUEST, World, hook
from tests.memory import MemoryClock, MemoryView
from tests.memory_media import MemoryMedia

WORDS = "words of a person"
NOTHING_LEFT = dict.fromkeys(STORES, 0)


class DownCache(MemoryView):
    """Does not answer while `down`."""

    down = True

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        if self.down:
            raise DependencyDown("The cache does not answer.")
        return super().replace(snapshot)


@dataclass
class Erasing:
    """An eraser on the world's truth and stores in memory, whose clock the test moves."""

    world: World
    clock: MemoryClock = field(default_factory=lambda: MemoryClock(datetime.now(UTC)))
    media: MemoryMedia = field(default_factory=MemoryMedia)
    live: MemoryView = field(default_factory=MemoryView)
    cache: MemoryView = field(default_factory=MemoryView)

    @property
    def eraser(self) -> Eraser:
        aftermath = Aftermath(records=self.world.records, queue=self.world.queue, live=self.live, cache=self.cache)
        return Eraser(self.world.records, self.media, self.live, self.cache, aftermath, self.clock)

    def generate(self, user: str) -> tuple[UUID, UUID]:
        parameters = {"prompt": WORDS, "duration": 3}
        _, job_id, attempt_id = self.world.generate(
            replace(REQUEST, user_id=user, parameters=parameters, metadata={"who": WORDS})
        )
        return job_id, attempt_id

    def completed(self, user: str) -> UUID:
        """A finished job with a media file, its call settled long ago."""
        job_id, _ = self.generate(user)
        (created_at,) = self.world.sql("SELECT created_at FROM vsl.jobs WHERE id = %s", job_id)[0]
        key = f"{generated_folder(self.world.caller.account_id, user, created_at, job_id)}/original.mp4"
        self.media.objects[key] = (b"x", "video/mp4")
        self.world.sql("UPDATE vsl.provider_attempts SET state = 'finished' WHERE job_id = %s", job_id)
        self.world.sql(
            "UPDATE vsl.jobs SET status = 'completed', completed_at = now() - interval '1 hour', s3_key = %s "
            "WHERE id = %s",
            key,
            job_id,
        )
        return job_id

    def user(self, user: str, seconds: float = 60) -> Erasure:
        return self.eraser.erase_user(user, self.world.caller, seconds)

    def again(self, erasure: Erasure) -> Erasure:
        with self.world.records.transaction() as tx:
            found = tx.erasure(erasure.account_id, erasure.id)
        assert found is not None
        return found

    def sweep(self, later: timedelta) -> None:
        self.clock.moment += later
        self.eraser.resume(60)

    def tables_with(self, words: str) -> list[str]:
        tables = self.world.sql(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('vsl', 'vsl_frontend')"
        )
        pattern = f"%{words}%"
        return [t for (t,) in tables if self.world.sql(f"SELECT 1 FROM {t} t WHERE t::text LIKE %s LIMIT 1", pattern)]


@pytest.fixture
def erasing(world: World) -> Erasing:
    return Erasing(world)


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex}"


def test_a_user_with_more_jobs_than_a_step_takes_is_erased_whole(
    erasing: Erasing, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "BATCH", 3)
    monkeypatch.setattr(erase, "PAGE", 2)
    jobs = [erasing.completed(user) for _ in range(8)]

    shown = receipt(erasing.user(user))

    assert (shown["status"], shown["left"]) == ("completed", NOTHING_LEFT)
    assert (shown["erased"]["jobs"], shown["erased"]["objects"]) == (8, 8)
    assert erasing.tables_with(user) == []
    assert all(erasing.live.snapshots[str(job)]["erased"] for job in jobs)


def test_what_there_is_no_time_for_is_left_to_the_sweep(erasing: Erasing, user: str) -> None:
    erasing.completed(user)

    begun = erasing.user(user, seconds=0)
    assert begun.completed_at is None
    erasing.sweep(timedelta(seconds=1))

    assert receipt(erasing.again(begun))["left"] == NOTHING_LEFT
    assert erasing.tables_with(user) == []


def test_an_erasure_is_in_the_hands_of_one_worker_until_its_lease_lapses(erasing: Erasing, user: str) -> None:
    begun = erasing.user(user, seconds=0)
    now = erasing.clock.now()
    with erasing.world.records.transaction() as tx:
        held = tx.take_erasure(now, now + erase.HELD_FOR, begun.id)
        assert held is not None
    assert erasing.user(user).completed_at is None

    erasing.sweep(erase.HELD_FOR)

    assert erasing.again(begun).completed_at is not None
    with erasing.world.records.transaction() as tx, pytest.raises(Conflict):
        tx.save_erasure(held, now)


def test_a_cache_that_does_not_answer_keeps_an_erasure_open(world: World, user: str) -> None:
    cache = DownCache()
    erasing = Erasing(world, cache=cache)
    job_id = erasing.completed(user)
    cache.snapshots[str(job_id)] = {"version": 1, "userId": user}

    begun = erasing.user(user)
    assert begun.completed_at is None
    cache.down = False
    erasing.sweep(erase.HELD_FOR)

    assert erasing.again(begun).erased["cache"] == 1
    assert user not in str(cache.snapshots)


def test_an_older_snapshot_does_not_come_back(erasing: Erasing, user: str) -> None:
    job_id = erasing.completed(user)
    older = {"jobId": str(job_id), "version": 1, "userId": user}

    erasing.user(user)
    for view in (erasing.live, erasing.cache):
        view.put(older)

    assert user not in str(erasing.live.snapshots) + str(erasing.cache.snapshots)


def test_a_job_that_runs_is_cancelled_and_its_late_words_are_erased_too(erasing: Erasing, user: str) -> None:
    world = erasing.world
    job_id, attempt_id = erasing.generate(user)
    world.settler.claim_call(job_id, attempt_id)
    provider_id = uuid4().hex
    world.settler.take(CallAccepted(str(job_id), str(attempt_id), provider_id, "starting"))

    begun = erasing.user(user)
    assert (begun.completed_at, world.status(job_id)) == (None, "cancelled")
    assert world.queue.of("calls")[-1]["action"] == "cancel"
    erasing.sweep(timedelta(minutes=13))
    assert erasing.again(begun).completed_at is None, "its call is still open"
    world.settler.take(
        PredictionSeen(str(job_id), str(attempt_id), provider_id, "canceled", None, 10, 2.0, False, WORDS)
    )
    world.settler.take(hook(job_id, attempt_id, provider_id, "canceled"))
    erasing.sweep(timedelta(minutes=2))

    assert receipt(erasing.again(begun))["left"] == NOTHING_LEFT
    assert erasing.tables_with(user) == [] == erasing.tables_with(WORDS)
    assert world.ledger(job_id) != []


def test_media_that_a_worker_writes_after_the_first_round_is_found_by_the_last(erasing: Erasing, user: str) -> None:
    job_id, _ = erasing.generate(user)
    begun = erasing.user(user)

    erasing.media.objects[f"incoming/{job_id}/1/0"] = (b"late", "video/mp4")
    for label in (user, begun.nobody):
        erasing.media.objects[f"generated/{erasing.world.caller.account_id}/{label}/late"] = (b"late", "video/mp4")
    erasing.sweep(timedelta(minutes=13))

    assert erasing.again(begun).erased["objects"] == 3
    assert (erasing.again(begun).completed_at is not None, erasing.media.objects) == (True, {})


def test_a_job_that_another_worker_had_taken_up_may_still_be_written(erasing: Erasing, user: str) -> None:
    job_id = erasing.completed(user)
    erasing.world.sql("UPDATE vsl.jobs SET completed_at = now() WHERE id = %s", job_id)
    erasing.world.sql(
        "INSERT INTO vsl.job_events (account_id, job_id, name, status) VALUES (%s, %s, 'job.taken_up', 'processing')",
        erasing.world.caller.account_id,
        job_id,
    )

    assert erasing.user(user).completed_at is None


def test_what_is_asked_in_the_users_name_before_it_is_done_is_erased_with_it(erasing: Erasing, user: str) -> None:
    erasing.generate(user)
    begun = erasing.user(user)
    later = erasing.completed(user)

    assert erasing.user(user).id == begun.id
    erasing.world.sql("UPDATE vsl.provider_attempts SET state = 'rejected' WHERE state <> 'finished'")
    erasing.sweep(timedelta(minutes=13))

    assert erasing.again(begun).completed_at is not None
    assert erasing.live.snapshots[str(later)]["erased"]
    assert erasing.tables_with(user) == []


def test_a_user_is_erased_whose_job_was_erased_before(erasing: Erasing, user: str) -> None:
    erasing.eraser.erase_job(erasing.completed(user), erasing.world.caller, 60)
    assert "vsl.cost_ledger" in erasing.tables_with(user)

    assert erasing.user(user).completed_at is not None
    assert erasing.tables_with(user) == []


def test_sums_stay_and_a_second_erasure_finds_nothing(erasing: Erasing, user: str) -> None:
    erasing.completed(user)
    account = erasing.world.caller.account_id
    sums = (
        "SELECT sum(amount_usd) FROM vsl.cost_ledger WHERE account_id = %s UNION ALL SELECT sum(reserved_usd) "
        "FROM vsl.budgets WHERE account_id = %s"
    )
    before = erasing.world.sql(sums, account, account)

    first, second = erasing.user(user), erasing.user(user)

    assert erasing.world.sql(sums, account, account) == before
    assert receipt(second)["erased"] == NOTHING_LEFT
    assert first.id != second.id


def test_the_same_user_of_another_account_is_left_alone(erasing: Erasing, user: str, other: Caller) -> None:
    theirs = Erasing(replace(erasing.world, caller=other))
    job_id = theirs.completed(user)

    assert erasing.user(user).completed_at is not None
    with pytest.raises(NotFound):
        erasing.eraser.erase_job(job_id, erasing.world.caller, 60)

    assert erasing.world.sql("SELECT user_id, erased_at FROM vsl.jobs WHERE id = %s", job_id) == [(user, None)]
    assert theirs.user(user).erased["objects"] == 1


def test_no_table_that_names_a_user_or_a_job_is_forgotten(erasing: Erasing, user: str) -> None:
    named = erasing.world.sql(
        "SELECT DISTINCT table_schema || '.' || table_name FROM information_schema.columns "
        "WHERE table_schema IN ('vsl', 'vsl_frontend') AND column_name IN ('user_id', 'job_id', 'outbox_id')"
    )
    statements = " ".join([*erasures._SCRUBS.values(), *erasures._RENAMES.values()])

    # An erasure forgets its user itself, when it is done.
    assert [table for (table,) in named if table not in statements] == ["vsl.erasures"]
