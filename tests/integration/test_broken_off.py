"""Work that raises lets its job go: the message that comes again finds it free, and counts up to a dead letter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.settle import handler as settle
from infra.stages import QueueNumbers
from shared.batches import work_through
from shared.domain.errors import DependencyDown
from shared.domain.jobs import Job
from shared.domain.messages import MediaStored, StoredOutput, StoreMedia
from shared.observability import MessagesFailed
from shared.ports import Fetched, Prediction
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.inspect_media import Inspector, Place
from shared.usecases.source_fetches import SourceFetches
from shared.usecases.store_media import store_media
from tests.footage import clip, encoder
from tests.integration.elsewhere import A, Elsewhere, asked, look, maker, requested, states, sweep
from tests.integration.inside import INSPECTIONS, World

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:vsl-dev-work"
MOST_FAILURES = QueueNumbers().max_receive_count
MOVED = {
    "vsl.jobs": ("lease_until", "check_at", "deadline_at", "updated_at"),
    "vsl.source_fetches": ("due_at",),
    "vsl.provider_attempts": ("next_check_at",),
}


@pytest.fixture(autouse=True)
def _nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier tests left unfinished is nothing for this one's sweeps; the inside answers from this database."""
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE completed_at IS NULL")
    world.sql("DELETE FROM vsl.source_fetches")
    fetches = SourceFetches(world.records, world.clock, world.aftermath, hold_seconds=60)
    monkeypatch.setattr(settle, "_settler", lambda: world.settler)
    monkeypatch.setattr(settle, "_fetches", lambda: fetches)


@dataclass
class Message:
    """One message of a queue: work on it, how often it has come, and how long it is hidden after each failure."""

    work: Callable[[], None]
    world: World
    hidden: list[int] = field(default_factory=list)

    def deliver(self) -> bool:
        """Whether it was worked through, and so is gone; else it is hidden."""
        attributes = {"ApproximateReceiveCount": str(len(self.hidden) + 1)}
        record = {
            "messageId": "1",
            "receiptHandle": "r",
            "body": "{}",
            "eventSource": "aws:sqs",
            "eventSourceARN": QUEUE,
            "attributes": attributes,
            "messageAttributes": {},
        }
        try:
            work_through({"Records": [record]}, SimpleNamespace(), lambda _: self.work(), self._hide)
        except MessagesFailed:
            return False
        return True

    def deliver_until_gone_or_dead(self) -> int:
        """How often it failed, while the sweep runs each minute."""
        while len(self.hidden) < MOST_FAILURES and not self.deliver():
            self._let_pass(self.hidden[-1])
        return len(self.hidden)

    def deliver_again(self) -> bool:
        """Once it is hidden no more."""
        later(self.world, self.hidden[-1])
        return self.deliver()

    def _let_pass(self, seconds: int) -> None:
        for start in range(0, seconds, 60):
            later(self.world, min(60, seconds - start))
            sweep(self.world)

    def _hide(self, _queue: str, _receipt: str, seconds: int) -> None:
        self.hidden.append(seconds)


class Once:
    """What is raised the first so many times that it is asked for."""

    def __init__(self, error: Exception, times: int = 1) -> None:
        self._error, self._left = error, times

    def __call__(self) -> None:
        self._left -= 1
        if self._left >= 0:
            raise self._error


def later(world: World, seconds: int) -> None:
    for table, columns in MOVED.items():
        moved = ", ".join(f"{name} = {name} - make_interval(secs => {seconds})" for name in columns)
        world.sql(f"UPDATE {table} SET {moved}")


def sends_a_message(world: World, topic: str, steps: Sequence[int]) -> list[bool]:
    """Whether the sweep after each step of so many seconds does."""
    sent = []
    for seconds in steps:
        before = len(world.queue.of(topic))
        later(world, seconds)
        sweep(world)
        sent.append(len(world.queue.of(topic)) > before)
    return sent


def broken_off(world: World, job_id: UUID) -> list[str]:
    return [details["reason"] for name, details in world.events(job_id) if name == "job.broken_off"]


def a_film(world: World, folder: Path, check: Callable[[], None]) -> tuple[Job, Callable[[], None]]:
    """A compile job and what a worker of its queue does."""
    key = f"uploads/{world.caller.account_id}/user/1/001.mp4"
    world.media.put(key, clip(folder / "clip.mp4").read_bytes(), "video/mp4")
    job = requested(world, CompileRequest("POST /compile-videos", clips=[ClipSource(s3_key=key)]))
    films = replace(maker(world, folder), workplace=workplaces(folder, check))
    return job, lambda: films.compile(job.id)


def generated(world: World, folder: Path, check: Callable[[], None]) -> tuple[Job, Callable[[], None]]:
    """A job whose media are there and what a worker of queue `inspect` does."""
    job_id, attempt_id, provider_id = world.accepted()
    body, key = clip(folder / "clip.mp4").read_bytes(), f"incoming/{job_id}/1/0"
    world.media.put(key, body, "video/mp4")
    output = StoredOutput(key, len(body), hashlib.sha256(body).hexdigest(), "video/mp4")
    world.settler.take(MediaStored(str(job_id), str(attempt_id), provider_id, (output,), None, 3.0))
    inspector = Inspector(
        world.records, world.media, world.clock, world.aftermath, workplaces(folder, check), 60, INSPECTIONS
    )
    with world.records.transaction() as tx:
        job = tx.lock_job(job_id)
    assert job is not None
    return job, lambda: inspector.inspect(job_id)


def workplaces(folder: Path, check: Callable[[], None]) -> Callable[[UUID, str], Any]:
    @contextmanager
    def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
        check()
        place = folder / owner.replace(":", "-")
        place.mkdir(mode=0o700)
        yield Place(place, encoder(), lambda: None)

    return workplace


KINDS = pytest.mark.parametrize("made", [a_film, generated], ids=["compile", "inspect"])
ERRORS = pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("a bug"), "internal"), (DependencyDown("Down."), "dependency_down")],
    ids=["a bug", "a store that is down"],
)


@KINDS
@ERRORS
def test_a_message_that_comes_again_finds_its_job_free(
    world: World, tmp_path: Path, made: Any, error: Exception, reason: str
) -> None:
    job, work = made(world, tmp_path, Once(error))
    message = Message(work, world)

    assert not message.deliver()
    assert message.deliver_again()

    assert (world.status(job.id), message.hidden, broken_off(world, job.id)) == ("completed", [10], [reason])


@KINDS
def test_the_sweep_sends_no_second_message_beside_the_one_that_comes_again(
    world: World, tmp_path: Path, made: Any
) -> None:
    job, work = made(world, tmp_path, Once(ValueError(), times=5))
    before = len(world.queue.of("compile")) + len(world.queue.of("inspect"))

    assert Message(work, world).deliver_until_gone_or_dead() == 5

    assert (world.status(job.id), len(world.queue.of("compile")) + len(world.queue.of("inspect"))) == (
        "completed",
        before,
    )


def test_media_whose_inspector_always_raises_end_as_a_dead_letter_that_can_be_replayed(
    world: World, tmp_path: Path
) -> None:
    job, work = generated(world, tmp_path, Once(ValueError(), times=MOST_FAILURES))
    message = Message(work, world)

    assert message.deliver_until_gone_or_dead() == MOST_FAILURES
    assert (world.status(job.id), sum(message.hidden[:-1])) == ("processing", 2650)

    assert Message(work, world).deliver()
    assert world.status(job.id) == "completed"


def test_a_film_whose_worker_always_raises_ends_at_its_deadline_with_the_reason(world: World, tmp_path: Path) -> None:
    job, work = a_film(world, tmp_path, Once(ValueError(), times=99))

    assert Message(work, world).deliver_until_gone_or_dead() == 6

    ended = look(world, job)
    assert (ended.status.value, ended.error_code) == ("timeout", "timeout")
    assert "broken off before its end 6 times, at last by internal" in str(ended.error_message)


def test_a_film_that_broke_off_while_its_caller_waited_is_the_next_sweeps(world: World, tmp_path: Path) -> None:
    job, _ = a_film(world, tmp_path, lambda: None)
    before = len(world.queue.of("compile"))
    films = replace(maker(world, tmp_path), workplace=workplaces(tmp_path, Once(ZeroDivisionError())))

    with pytest.raises(ZeroDivisionError):
        films.compile(job.id, limit_seconds=20)
    sweep(world)

    assert len(world.queue.of("compile")) == before + 1
    films.compile(job.id)
    assert world.status(job.id) == "completed"


@KINDS
def test_a_second_delivery_while_the_first_works_is_done_with_and_disturbs_nobody(
    world: World, tmp_path: Path, made: Any
) -> None:
    seen: list[bool] = []

    def deliver_meanwhile() -> None:
        if not seen:
            seen.append(Message(work, world).deliver())

    job, work = made(world, tmp_path, deliver_meanwhile)

    assert Message(work, world).deliver()

    assert (seen, world.status(job.id), broken_off(world, job.id)) == ([True], "completed", [])


def test_a_worker_that_lost_its_lease_gives_up_nobody_elses(world: World, tmp_path: Path) -> None:
    job, _ = a_film(world, tmp_path, lambda: None)
    with world.records.transaction() as tx:
        tx.take_lease(job.id, "compile:late", 60)
    later(world, 61)
    with world.records.transaction() as tx:
        assert tx.take_lease(job.id, "compile:next", 60)

    world.settler.release(job.id, "compile:late", "internal")

    assert (look(world, job).lease_owner, broken_off(world, job.id)) == ("compile:next", [])


@dataclass
class Outside:
    """The outside of a job whose output lies at its provider, and what goes wrong there."""

    world: World
    looking: Callable[[], None] = lambda: None
    reporting: Callable[[], None] = lambda: None
    fetched: list[str] = field(default_factory=list)

    def ask(self, question: Mapping[str, Any]) -> Any:
        return settle._answer(dict(question))

    def get(self, provider_id: str) -> Prediction:
        self.looking()
        return Prediction(provider_id, "succeeded", "succeeded", ("https://replicate.delivery/a.mp4",))

    def fetch(self, url: str, folder: Path) -> Fetched:
        self.fetched.append(url)
        path = folder / uuid4().hex
        path.write_bytes(b"film")
        return Fetched(path, 4, hashlib.sha256(b"film").hexdigest(), "video/mp4")

    def send(self, report: Any) -> None:
        self.reporting()
        self.world.settler.take(report)

    @contextmanager
    def heartbeat(self, renew: Callable[[], bool]) -> Iterator[None]:
        assert renew()
        yield


@pytest.mark.parametrize("broken", ["looking", "reporting"])
@ERRORS
def test_outputs_are_stored_by_the_message_that_comes_again_and_fetched_once(
    world: World, broken: str, error: Exception, reason: str
) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    outside: Any = Outside(world, **{broken: Once(error)})
    stored = StoreMedia(str(job_id), str(attempt_id), 1, provider_id)
    message = Message(
        lambda: store_media(
            stored,
            inside=outside,
            provider=outside,
            downloader=outside,
            media=world.media,
            reports=outside,
            heartbeat=outside.heartbeat,
        ),
        world,
    )

    assert not message.deliver()
    assert message.deliver_again()

    assert (world.status(job_id), len(outside.fetched), len(world.ledger(job_id))) == ("processing", 1, 1)
    assert broken_off(world, job_id) == [reason]


def test_the_sweep_asks_about_an_output_whose_worker_broke_off_after_five_minutes(world: World) -> None:
    job_id, _, _ = world.accepted()
    with world.records.transaction() as tx:
        tx.take_lease(job_id, "store:1", 60)

    world.settler.release(job_id, "store:1", "internal")

    assert sends_a_message(world, "store", (100, 190, 11)) == [False, False, True]


def test_a_source_is_brought_by_the_message_that_comes_again(world: World, elsewhere: Elsewhere) -> None:
    job = asked(world, A)
    elsewhere.meanwhile = Once(ValueError())
    message = Message(lambda: elsewhere.run(world.queue.of("fetch")[-1]), world)
    before = len(world.queue.of("fetch"))

    assert not message.deliver()
    later(world, 9)
    assert sweep(world)["fetches"] == 0
    assert message.deliver_again()

    assert (states(world, job), len(world.queue.of("fetch"))) == (["fetched"], before)
    assert broken_off(world, job.id) == ["internal"]


def test_a_source_whose_worker_always_raises_fails_its_job_at_the_fourth_delivery(
    world: World, elsewhere: Elsewhere
) -> None:
    job = asked(world, A)
    elsewhere.meanwhile = Once(ValueError(), times=99)
    message = Message(lambda: elsewhere.run(world.queue.of("fetch")[-1]), world)

    assert message.deliver_until_gone_or_dead() == 3

    ended = look(world, job)
    assert (ended.status.value, ended.error_code) == ("failed", "source_unreachable")
    assert "broken off 3 times" in str(ended.error_message)
