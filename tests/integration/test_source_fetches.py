"""Sources from elsewhere, on a real PostgreSQL: doubled and lost words, killed workers, dead hosts, erasure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from shared.domain.errors import DependencyDown, NotFound, OutputGone, ProductError
from shared.domain.jobs import Caller, Job
from shared.domain.messages import FetchSource, SourceFailed, SourceFetched, SourceReport
from shared.ports import Fetched
from shared.usecases.compile_film import FilmMaker
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import may_run_inline, request_compile
from shared.usecases.control import cancel_job, retry_job
from shared.usecases.erase import Eraser
from shared.usecases.fetch_source import fetch_source
from shared.usecases.inspect_media import Place
from shared.usecases.orphans import Orphans
from shared.usecases.reconcile import Sweep
from shared.usecases.source_fetches import MOST_AT_ONCE, MOST_TRIES, SourceFetches
from tests.footage import clip, encoder
from tests.integration.inside import World
from tests.memory import MemoryClock, MemoryView

A, B = "https://example.com/a.mp4?token=secret", "https://example.org/b.mp4"


@dataclass
class Elsewhere:
    """The outside with its real use case; hosts answer what stands in `files`, or as their error says."""

    world: World
    files: dict[str, bytes | ProductError]
    fetched: list[str] = field(default_factory=list)
    lost: Event = field(default_factory=Event)
    content_type: str = "video/mp4"
    reports_down: bool = False
    meanwhile: Callable[[], Any] = lambda: None

    @property
    def inside(self) -> SourceFetches:
        return SourceFetches(self.world.records, self.world.clock, self.world.aftermath, hold_seconds=60)

    def ask(self, question: dict[str, Any]) -> Any:
        act = self.inside.claim if question["action"] == "claim_fetch" else self.inside.renew
        return act(UUID(question["jobId"]), question["number"], question["owner"])

    def send(self, report: SourceReport) -> None:
        if self.reports_down:
            raise DependencyDown("The queue does not answer.")
        self.inside.take(report)

    def fetch(self, url: str, folder: Path, is_wanted: Callable[[], bool]) -> Fetched:
        self.fetched.append(url)
        self.meanwhile()
        body = self.files[url]
        if isinstance(body, ProductError):
            raise body
        path = folder / "a"
        path.write_bytes(body)
        return Fetched(path, len(body), "0" * 64, self.content_type)

    @contextmanager
    def heartbeat(self, renew: Callable[[], bool]) -> Iterator[Event]:
        yield self.lost
        # The last beat, as a worker's next one would be.
        assert renew() in (True, False)

    def run(self, message: Any) -> None:
        fetch_source(
            FetchSource(**message), inside=self, downloader=self, media=self.world.media, reports=self,
            heartbeat=self.heartbeat,
        )  # fmt: skip

    def run_all(self) -> None:
        """Every message sent so far and by what they bring about, each once."""
        done = 0
        while done < len(self.world.queue.of("fetch")):
            self.run(self.world.queue.of("fetch")[done])
            done += 1


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


def asked(world: World, *urls: str, **more: Any) -> Job:
    request = CompileRequest("POST /compile-videos", clips=[ClipSource(url=url) for url in urls], **more)
    return requested(world, request)


def requested(world: World, request: CompileRequest) -> Job:
    return request_compile(
        request, world.caller, records=world.records, media=world.media, clock=world.clock, aftermath=world.aftermath
    )


def look(world: World, job: Job) -> Job:
    with world.records.transaction() as tx:
        found = tx.job(world.caller.account_id, job.id)
    assert found is not None
    return found


def states(world: World, job: Job) -> list[str]:
    return [s for (s,) in world.sql("SELECT state FROM vsl.source_fetches WHERE job_id = %s ORDER BY number", job.id)]


def sweep(world: World) -> dict[str, int]:
    return Sweep(world.records, world.clock, world.aftermath).run()


def let_time_pass(world: World) -> None:
    world.sql("UPDATE vsl.source_fetches SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")
    world.sql("UPDATE vsl.jobs SET updated_at = now() - interval '2 minutes'")
    world.sql("UPDATE vsl.outbox SET due_at = now() WHERE sent_at IS NULL")


def maker(world: World, folder: Path) -> FilmMaker:
    @contextmanager
    def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
        place = folder / owner.replace(":", "-")
        place.mkdir(mode=0o700)
        yield Place(place, encoder(), lambda: None)

    return FilmMaker(world.records, world.media, world.clock, world.aftermath, workplace, 60, 3008)


def test_sources_are_fetched_and_then_the_film_is_made(elsewhere: Elsewhere, tmp_path: Path) -> None:
    world = elsewhere.world
    job = asked(world, A, B, A)
    assert (world.queue.of("compile"), may_run_inline(job)) == ([], False)
    maker(world, tmp_path).compile(job.id)
    assert look(world, job).status == "pending"

    elsewhere.run_all()

    assert (elsewhere.fetched, states(world, job)) == ([A, B], ["fetched", "fetched"])
    assert world.queue.of("compile") == [{"jobId": str(job.id)}]
    assert (look(world, job).status, look(world, job).progress) == ("processing", 20)
    maker(world, tmp_path).compile(job.id)
    made = look(world, job)
    assert (made.status, made.result["videoCount"], made.user_id) == ("completed", 3, "-")
    assert "secret" not in str([made.result, made.error_message, world.events(job.id)])


def test_a_second_delivery_fetches_and_announces_nothing(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    (message,) = world.queue.of("fetch")
    elsewhere.meanwhile = lambda: elsewhere.run(message) if len(elsewhere.fetched) == 1 else None

    for _ in range(3):
        elsewhere.run(message)
    for _ in range(2):
        elsewhere.send(SourceFetched(str(job.id), 0, "video/mp4", 1))
        elsewhere.send(SourceFailed(str(job.id), 0, "too_large", "Late.", final=True))

    assert elsewhere.fetched == [A]
    assert len(world.queue.of("compile")) == 1
    assert look(world, job).status == "processing"


def test_a_worker_killed_in_mid_fetch_is_followed_by_another(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    (message,) = world.queue.of("fetch")
    assert elsewhere.inside.claim(job.id, 0, "killed")["verdict"] == "go"
    sweep(world)
    elsewhere.run(message)
    assert (elsewhere.fetched, len(world.queue.of("fetch"))) == ([], 1)

    let_time_pass(world)
    sweep(world)
    elsewhere.run(world.queue.of("fetch")[-1])

    assert (elsewhere.fetched, states(world, job)) == ([A], ["fetched"])
    assert ("job.taken_up", {"source": 0}) in world.events(job.id)
    assert elsewhere.inside.renew(job.id, 0, "killed") == {"verdict": "lost"}


def test_a_worker_killed_before_its_report_has_not_fetched_in_vain(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.reports_down = True
    with pytest.raises(DependencyDown):
        elsewhere.run(world.queue.of("fetch")[0])
    elsewhere.reports_down = False

    let_time_pass(world)
    sweep(world)
    elsewhere.run(world.queue.of("fetch")[-1])

    assert (elsewhere.fetched, states(world, job)) == ([A], ["fetched"])


def test_a_lost_message_is_sent_again_and_a_job_that_waits_is_not_compiled(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    world.queue.sent.clear()
    sweep(world)
    assert world.queue.sent == []

    let_time_pass(world)
    sweep(world)

    assert world.queue.sent == [("fetch", {"jobId": str(job.id), "number": 0})]


def test_a_message_for_the_film_that_is_lost_is_sent_again(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.run_all()
    world.queue.sent.clear()

    let_time_pass(world)
    sweep(world)

    assert world.queue.of("compile") == [{"jobId": str(job.id)}]


def test_a_dead_host_is_asked_so_often_and_then_fails_the_job_by_its_clip(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    elsewhere.files[B] = DependencyDown("https://example.org took longer than 480 seconds.")
    job = asked(world, A, B)

    elsewhere.run_all()
    for _ in range(MOST_TRIES + 2):
        let_time_pass(world)
        sweep(world)
        elsewhere.run_all()

    ended = look(world, job)
    assert elsewhere.fetched == [A, *[B] * MOST_TRIES]
    assert (ended.status, ended.error_code) == ("failed", "source_unreachable")
    assert ended.error_message is not None
    assert ended.error_message.startswith("clips.1.url: https://example.org took longer than 480 seconds. ")
    assert "POST /jobs/{jobId}/retry" in ended.error_message
    assert ended.result["details"][0]["path"] == "clips.1.url"


def test_workers_that_all_die_end_the_job_as_well(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    for number in range(MOST_TRIES):
        assert elsewhere.inside.claim(job.id, 0, f"killed-{number}")["verdict"] == "go"
        let_time_pass(world)

    assert elsewhere.inside.claim(job.id, 0, "next") == {"verdict": "done"}
    assert look(world, job).error_code == "source_unreachable"
    assert "clips.0.url: Its fetch was broken off 3 times." in str(look(world, job).error_message)


def test_what_is_no_video_is_refused_by_its_clip_and_a_probe_by_its_field(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    elsewhere.content_type = "audio/mpeg"
    film, probe = asked(world, A), asked(world, A, kind="probe")

    elsewhere.run_all()

    told = [str(look(world, job).error_message) for job in (film, probe)]
    assert [text.partition(":")[0] for text in told] == ["clips.0.url", "url"]
    assert all("The file is audio/mpeg, not a video. To mend it, name the address of a video." in text for text in told)


def test_a_deadline_names_the_clips_that_had_not_come(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A, B)
    elsewhere.run(world.queue.of("fetch")[0])
    world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", job.id)

    sweep(world)
    elsewhere.run(world.queue.of("fetch")[1])
    let_time_pass(world)
    sweep(world)

    ended = look(world, job)
    assert (ended.status, elsewhere.fetched, states(world, job)) == ("timeout", [A], ["fetched", "failed"])
    assert str(ended.error_message).startswith("clips.1.url could not be fetched before the job's deadline: see that")
    assert ended.deadline_at > ended.created_at


def test_a_cancel_reaches_the_worker_and_leaves_nothing(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A, B)

    def cancel() -> None:
        cancel_job(job.id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
        claimed = world.sql("SELECT owner FROM vsl.source_fetches WHERE job_id = %s AND owner IS NOT NULL", job.id)
        assert elsewhere.inside.renew(job.id, 0, claimed[0][0]) == {"verdict": "lost"}
        elsewhere.lost.set()

    elsewhere.meanwhile = cancel
    elsewhere.run_all()

    assert (look(world, job).status, elsewhere.fetched, world.media.objects) == ("cancelled", [A], {})
    assert world.queue.of("compile") == []


def test_what_comes_for_an_ended_job_is_removed_as_nobodys(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job, running = asked(world, A), asked(world, A)
    elsewhere.run_all()
    cancel_job(job.id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
    later = MemoryClock(world.clock.now() + timedelta(hours=3))

    found = Orphans(world.records, world.media, later).remove()

    assert found["fetched"] == 1
    assert list(world.media.objects) == [f"fetched/{world.caller.account_id}/{running.id}/0"]


def again(world: World, job: Job) -> Job:
    return retry_job(
        job.id, world.caller, records=world.records,
        again=lambda old: requested(world, CompileRequest.of_stored(old.request, old, None)),
    )  # fmt: skip


def test_a_retry_takes_what_is_there_and_keeps_it_while_it_runs(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    body, elsewhere.files[B] = elsewhere.files[B], OutputGone("404.")
    job = asked(world, A, B)
    elsewhere.run_all()
    elsewhere.files[B] = body

    second = again(world, job)
    later = MemoryClock(world.clock.now() + timedelta(hours=3))
    kept = Orphans(world.records, world.media, later).remove()
    elsewhere.run_all()

    assert (second.retry_of, kept["fetched"]) == (job.id, 0)
    assert (elsewhere.fetched, states(world, second)) == ([A, B, B], ["fetched", "fetched"])
    assert world.queue.of("compile") == [{"jobId": str(second.id)}]


def test_a_retry_after_what_was_fetched_is_gone_fetches_it_anew(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.run_all()
    cancel_job(job.id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
    world.media.objects.clear()

    second = again(world, job)
    elsewhere.run_all()

    assert (elsewhere.fetched, states(world, second)) == ([A, A], ["fetched"])
    assert list(world.media.objects) == [f"fetched/{world.caller.account_id}/{second.id}/0"]


def erased(world: World, erase: Callable[[Eraser], Any]) -> Any:
    clock = MemoryClock(world.clock.now())
    eraser = Eraser(world.records, world.media, MemoryView(), MemoryView(), world.aftermath, clock)
    begun = erase(eraser)
    clock.moment += timedelta(minutes=91)
    eraser.resume(60)
    with world.records.transaction() as tx:
        return tx.erasure(world.caller.account_id, begun.id)


@pytest.mark.parametrize("kind", ["compile", "plan", "probe"])
def test_an_erased_job_leaves_neither_file_nor_address(elsewhere: Elsewhere, kind: str) -> None:
    world = elsewhere.world
    job = asked(world, A, kind=kind)
    elsewhere.run_all()

    done = erased(world, lambda eraser: eraser.erase_job(job.id, world.caller, 60))

    assert done.completed_at is not None
    assert (world.media.objects, done.erased["fetches"], done.erased["objects"]) == ({}, 1, 1)
    assert world.sql("SELECT url FROM vsl.source_fetches WHERE job_id = %s", job.id) == []
    assert world.sql("SELECT request FROM vsl.jobs WHERE id = %s", job.id) == [({},)]


@pytest.mark.parametrize("kind", ["compile", "plan"])
def test_a_users_data_go_with_what_was_fetched_beside_them(elsewhere: Elsewhere, film: bytes, kind: str) -> None:
    world = elsewhere.world
    keys = [f"uploads/{world.caller.account_id}/{user}/1/001.mp4" for user in ("user", "friend")]
    for key in keys:
        world.media.put(key, film, "video/mp4")
    clips = [ClipSource(url=A), *(ClipSource(s3_key=key) for key in keys)]
    job = requested(world, CompileRequest("POST /compile-videos", clips=clips, kind=kind))
    elsewhere.run_all()
    assert len(world.media.objects) == 3

    done = erased(world, lambda eraser: eraser.erase_user("user", world.caller, 60))

    assert done.completed_at is not None
    assert (list(world.media.objects), look(world, job).erased_at is not None) == ([keys[1]], True)


def test_what_a_worker_puts_there_after_an_erasure_began_is_erased_as_well(elsewhere: Elsewhere) -> None:
    world, clock = elsewhere.world, MemoryClock(elsewhere.world.clock.now())
    job = asked(world, A)
    eraser = Eraser(world.records, world.media, MemoryView(), MemoryView(), world.aftermath, clock)
    elsewhere.meanwhile = lambda: eraser.erase_job(job.id, world.caller, 60)

    elsewhere.run(world.queue.of("fetch")[0])
    late = keys_of(world)
    clock.moment += timedelta(minutes=13)
    eraser.resume(60)

    with world.records.transaction() as tx:
        done = tx.erasure_of_job(world.caller.account_id, job.id)
    assert (len(late), keys_of(world)) == (1, [])
    assert done is not None
    assert done.completed_at is not None


def test_one_job_and_one_account_have_so_many_fetches_at_once(elsewhere: Elsewhere, film: bytes) -> None:
    world = elsewhere.world
    urls = [f"https://example.com/{number}" for number in range(MOST_AT_ONCE + 2)]
    elsewhere.files |= dict.fromkeys(urls, film)
    first, second = asked(world, *urls), asked(world, *urls)
    assert len(world.queue.of("fetch")) == 2 * MOST_AT_ONCE

    verdicts = [elsewhere.inside.claim(first.id, n, f"w{n}")["verdict"] for n in range(MOST_AT_ONCE)]
    late = elsewhere.inside.claim(second.id, 0, "late")["verdict"]
    elsewhere.send(SourceFetched(str(first.id), 0, "video/mp4", 1))

    assert (verdicts, late) == (["go"] * MOST_AT_ONCE, "wait")
    assert elsewhere.inside.claim(second.id, 0, "late")["verdict"] == "go"
    assert world.queue.of("fetch")[-1] == {"jobId": str(first.id), "number": MOST_AT_ONCE}
    waits = world.sql("SELECT due_at IS NULL FROM vsl.source_fetches WHERE job_id = %s AND number > 4", second.id)
    assert waits == [(True,)]


def test_every_url_of_many_is_fetched(elsewhere: Elsewhere, film: bytes) -> None:
    world = elsewhere.world
    urls = [f"https://example.com/{number}" for number in range(3 * MOST_AT_ONCE)]
    elsewhere.files |= dict.fromkeys(urls, film)
    job = asked(world, *urls)

    elsewhere.run_all()

    assert (elsewhere.fetched, set(states(world, job))) == (urls, {"fetched"})
    assert len(world.queue.of("compile")) == 1


def test_a_stranger_can_neither_see_nor_retry_it(elsewhere: Elsewhere, other: Caller) -> None:
    world = elsewhere.world
    job = asked(world, A)
    with pytest.raises(NotFound):
        retry_job(job.id, other, records=world.records, again=lambda old: old)
    with world.records.transaction() as tx:
        assert tx.job(other.account_id, job.id) is None


@pytest.mark.parametrize("kind", ["plan", "probe"])
def test_what_is_told_is_told_once_and_leaves_no_film(elsewhere: Elsewhere, tmp_path: Path, kind: str) -> None:
    world = elsewhere.world
    job = asked(world, A, kind=kind)
    elsewhere.run_all()

    for _ in range(2):
        maker(world, tmp_path).compile(job.id)

    told = look(world, job)
    assert (told.status, told.s3_key, told.actual_cost_usd) == ("completed", None, 0)
    seconds = told.result["totalDuration"] if kind == "plan" else told.result["seconds"]
    assert seconds == pytest.approx(1, abs=0.1)
    assert keys_of(world) == [f"fetched/{world.caller.account_id}/{job.id}/0"]


def keys_of(world: World) -> Sequence[str]:
    return list(world.media.objects)
