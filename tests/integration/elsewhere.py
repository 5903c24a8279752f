"""Sources that lie elsewhere, with the outside's real use case and hosts that answer as a test says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

from shared.domain.errors import DependencyDown, ProductError
from shared.domain.jobs import Job
from shared.domain.messages import FetchSource, SourceReport
from shared.ports import Fetched
from shared.usecases.compile_film import FilmMaker
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.control import cancel_job, retry_job
from shared.usecases.fetch_source import fetch_source
from shared.usecases.inspect_media import Place
from shared.usecases.reconcile import Sweep
from shared.usecases.source_fetches import SourceFetches
from tests.footage import encoder
from tests.integration.inside import COMPILES, TURNS, World

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
        asked = (UUID(question["jobId"]), question["number"], question["owner"])
        match question["action"]:
            case "claim_fetch":
                return self.inside.claim(*asked)
            case "release_fetch":
                return self.inside.release(*asked, question["reason"])
        return self.inside.renew(*asked)

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
        return Fetched(path, len(body), hashlib.sha256(body).hexdigest(), self.content_type)

    @contextmanager
    def heartbeat(self, renew: Callable[[], bool]) -> Iterator[Event]:
        yield self.lost
        # The last beat, as a worker's next one would be.
        assert renew() in (True, False)

    def run(self, message: Any) -> None:
        fetch_source(
            FetchSource(**message),
            inside=self,
            downloader=self,
            media=self.world.media,
            reports=self,
            heartbeat=self.heartbeat,
        )

    def run_all(self) -> None:
        """Every message sent so far and by what they bring about, each once."""
        done = 0
        while done < len(self.world.queue.of("fetch")):
            self.run(self.world.queue.of("fetch")[done])
            done += 1


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
    return Sweep(world.records, world.clock, world.aftermath, TURNS).run()


def let_time_pass(world: World) -> None:
    world.sql("UPDATE vsl.source_fetches SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")
    world.sql("UPDATE vsl.jobs SET updated_at = now() - interval '2 minutes', check_at = now()")
    world.sql("UPDATE vsl.outbox SET due_at = now(), claimed_until = NULL WHERE sent_at IS NULL")


def maker(world: World, folder: Path) -> FilmMaker:
    @contextmanager
    def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
        place = folder / owner.replace(":", "-")
        place.mkdir(mode=0o700)
        yield Place(place, encoder(), lambda: None)

    return FilmMaker(world.records, world.media, world.clock, world.aftermath, workplace, 60, 3008, COMPILES)


def urls_of(world: World, job: Job) -> dict[int, str]:
    return dict(world.sql("SELECT number, url FROM vsl.source_fetches WHERE job_id = %s", job.id))


def again(world: World, job: Job) -> Job:
    """A retry of the job."""
    return retry_job(
        job.id,
        world.caller,
        records=world.records,
        again=lambda old: requested(world, CompileRequest.of_stored(old, urls_of(world, old), None)),
    )


def cancel(world: World, job: Job) -> None:
    cancel_job(job.id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)


def keys_of(world: World) -> list[str]:
    return list(world.media.objects)
