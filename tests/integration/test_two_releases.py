"""Two releases at work during a deploy: columns, fields and keys that one of them does not know.

Migrations run before the functions are replaced, so that the older release meets the newer rows; messages and rows
of the older one are there for the newer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared import bootstrap
from shared.adapters.clock import SystemClock
from shared.domain.jobs import JobStatus
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallUnresolved,
    FetchSource,
    MediaStored,
    PredictionSeen,
    ProviderCall,
    Report,
    SourceFailed,
    SourceFetched,
    StoredOutput,
    StoreFailed,
    StoreMedia,
    WebhookReceived,
)
from shared.usecases.compile_film import FilmMaker
from shared.usecases.compile_request import CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.control import cancel_job
from shared.usecases.generate_media import GenerateRequest
from shared.usecases.inspect_media import Inspector, Place
from shared.usecases.reconcile import Sweep
from shared.usecases.review_clips import approve, create_script
from tests import footage
from tests.integration.inside import COMPILES, INSPECTIONS, TURNS, World, hook, stored
from tests.lambda_context import LambdaContext

JOB, ATTEMPT = str(uuid4()), str(uuid4())
REPORTS: tuple[Report, ...] = (
    CallAccepted(JOB, ATTEMPT, "p", "starting", 5, 60),
    CallRejected(JOB, ATTEMPT, "provider_busy", "429", True, 2),
    CallUnresolved(JOB, ATTEMPT, "No answer.", "answer_lost"),
    WebhookReceived("replicate", "w", "p", "succeeded", JOB, ATTEMPT),
    PredictionSeen(JOB, ATTEMPT, "p", "processing", None, 40, 1.5, False, "logs", 1, 1, 1.0),
    MediaStored(JOB, ATTEMPT, "p", [StoredOutput("incoming/x", 1, "0", "video/mp4")], None, 1.5, 1, 1, 1.0),
    StoreFailed(JOB, ATTEMPT, "output_expired", "Gone.", True, 1.5, 1, 1, 1.0),
    SourceFetched(JOB, 0, "video/mp4", 1),
    SourceFailed(JOB, 0, "too_large", "Large.", True),
)


@pytest.fixture
def newer_schema(database_url: str) -> Iterator[None]:
    """Every table has two columns that a later release has given it; none of them has to be filled in."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('vsl', 'vsl_frontend')"
        ).fetchall()
        tables = [name for (name,) in found]
        assert {"vsl.jobs", "vsl.provider_attempts", "vsl_frontend.section_videos"} <= set(tables)
        for table in tables:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN later text, ADD COLUMN sure text NOT NULL DEFAULT ''")
        yield
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN later, DROP COLUMN sure")


def sweep(world: World) -> None:
    Sweep(world.records, world.clock, world.aftermath, TURNS).run()


@pytest.mark.usefixtures("newer_schema")
def test_columns_of_a_later_release_are_in_nobodys_way(world: World) -> None:
    script_id = create_script(1, "A script", world.caller, records=world.records).id
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(hook(job_id, attempt_id, provider_id))
    world.settler.take(stored(job_id, attempt_id, provider_id))
    request = GenerateRequest("user", "video", "seedance-1-lite", {"prompt": "x"}, script_id, idempotency_key="once")
    _, cancelled, _ = world.generate(request)
    cancel_job(cancelled, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
    sweep(world)

    with world.records.transaction() as tx:
        (video,) = tx.videos(world.caller.account_id, script_id=script_id)
        written = tx.job_by_key(world.caller.account_id, "POST /generate-media", "once")
        (attempt,) = tx.attempts(job_id)
    assert written is not None
    assert (world.status(job_id), video.status, written.id) == ("processing", "cancelled", cancelled)
    assert (attempt.provider_id, world.ledger(job_id)) == (provider_id, [0.108])


def without_optional(message: Any) -> dict[str, Any]:
    """The message as a release wrote it that knew none of its optional fields."""
    needed = {f.name for f in fields(message) if f.default is MISSING and f.default_factory is MISSING}
    return {name: value for name, value in asdict(message).items() if name in needed | {"type"}}


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.type)
def test_reports_of_an_older_and_of_a_newer_release_are_taken(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.settle import handler as settle

    taken: list[Report] = []
    monkeypatch.setattr(bootstrap, "settings", lambda _: None)
    for desk in ("_settler", "_fetches"):
        monkeypatch.setattr(settle, desk, lambda: SimpleNamespace(take=taken.append))
    newer = {**asdict(report), "rateWindow": {"seconds": 1}, "note": None}

    answer = settle.handler(queued(asdict(report), newer, without_optional(report)), LambdaContext())

    assert answer == {"batchItemFailures": []}
    assert [type(one) for one in taken] == [type(report)] * 3
    assert taken[:2] == [report, report]


def test_messages_of_an_older_and_of_a_newer_release_are_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.call_provider import handler as call_provider
    from functions.fetch_source import handler as fetch_source
    from functions.store_media import handler as store_media

    asked: list[Mapping[str, Any]] = []

    def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(question)
        return {"verdict": "done", "sinceRelease": 2}

    origins = SimpleNamespace(provider_output_origins="", source_origins="")
    monkeypatch.setattr(bootstrap, "settings", lambda _: origins)
    monkeypatch.setattr(bootstrap, "inside", lambda: SimpleNamespace(ask=ask))
    for name in ("provider", "reports", "media", "downloader"):
        monkeypatch.setattr(bootstrap, name, lambda *_, **__: None)
    for function, message in (
        (call_provider, ProviderCall(JOB, ATTEMPT)),
        (store_media, StoreMedia(JOB, ATTEMPT, 1, "p")),
        (fetch_source, FetchSource(JOB, 0)),
    ):
        event = queued({**asdict(message), "priority": 1}, without_optional(message))
        assert function.handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert [question.get("attemptId") for question in asked] == [ATTEMPT] * 4 + [None] * 2
    assert [question["action"] for question in asked[4:]] == ["claim_fetch"] * 2


def queued(*bodies: Mapping[str, Any]) -> dict[str, Any]:
    """An event of SQS."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "r",
                "body": json.dumps(body),
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn",
                "awsRegion": "r",
            }
            for number, body in enumerate(bodies)
        ]
    }


def test_a_job_without_the_keys_of_later_releases_is_tried_again_and_ends(world: World) -> None:
    _, job_id, attempt_id = world.generate()
    world.sql("UPDATE vsl.jobs SET request = request - 'fallbackPlan' - 'fallback' WHERE id = %s", job_id)
    world.sql("UPDATE vsl.provider_attempts SET request = request - 'stored' WHERE id = %s", attempt_id)

    claim = world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_busy", "503", True))

    assert claim["verdict"] == "go"
    with world.records.transaction() as tx:
        again = tx.attempts(job_id)[-1]
    assert (again.number, world.settler.claim_call(job_id, again.id)["verdict"]) == (2, "go")
    world.settler.take(CallRejected(str(job_id), str(again.id), "provider_refused", "No.", False))
    assert world.status(job_id) == "failed"


def test_a_clip_and_a_film_without_the_keys_of_later_releases_are_made(world: World, tmp_path: Path) -> None:
    script_id = create_script(1, "A script", world.caller, records=world.records).id
    for number in range(2):
        _clip_of(world, script_id, tmp_path / f"{number}.mp4")
    # As rows were when nothing was kept of what decoding had shown.
    world.sql(
        "UPDATE vsl.jobs SET result = result #- '{outputs,0,decoded}' #- '{outputs,0,thumbnailKey}' "
        "WHERE account_id = %s",
        world.caller.account_id,
    )
    request = CompileRequest("POST /compile-videos", script_id=script_id)
    film = request_compile(
        request, world.caller, records=world.records, media=world.media, clock=world.clock, aftermath=world.aftermath
    )
    world.sql(
        "UPDATE vsl.jobs SET request = request - 'size' - 'fps' - 'quality' - 'reencode' - 'outputFormat' "
        "#- '{sources,0,thumbnailKey}' #- '{sources,0,sizeBytes}' #- '{sources,0,decoded}' "
        "#- '{sources,1,thumbnailKey}' #- '{sources,1,sizeBytes}' #- '{sources,1,decoded}' "
        "WHERE id = %s",
        film.id,
    )

    FilmMaker(
        world.records,
        world.media,
        world.clock,
        world.aftermath,
        workplaces(tmp_path),
        lease_seconds=60,
        memory_mb=3008,
        turns=COMPILES,
    ).compile(film.id)

    found = world.sql("SELECT status, error_message, duration_seconds FROM vsl.jobs WHERE id = %s", film.id)
    assert [(status, error) for status, error, _ in found] == [("completed", None)]
    assert float(found[0][2]) == pytest.approx(2, abs=0.2)


def _clip_of(world: World, script_id: int, path: Path) -> None:
    """An approved clip of the script that was generated, stored and looked into."""
    request = GenerateRequest("user", "video", "seedance-1-lite", {"prompt": "x"}, script_id)
    _, job_id, attempt_id = world.generate(request)
    world.settler.claim_call(job_id, attempt_id)
    body = footage.clip(path).read_bytes()
    report = stored(job_id, attempt_id, job_id.hex[:26])
    world.media.put(report.outputs[0].key, body, "video/mp4")
    world.settler.take(CallAccepted(str(job_id), str(attempt_id), report.providerId, "starting"))
    world.settler.take(report)
    world.sql("UPDATE vsl.jobs SET result = result #- '{incoming,outputs,0,sha256}' WHERE id = %s", job_id)
    Inspector(
        world.records,
        world.media,
        SystemClock(),
        world.aftermath,
        workplaces(path.parent),
        lease_seconds=60,
        turns=INSPECTIONS,
    ).inspect(job_id)
    assert world.status(job_id) == JobStatus.COMPLETED
    ((video_id,),) = world.sql("SELECT id FROM vsl_frontend.section_videos WHERE job_id = %s", job_id)
    approve(video_id, world.caller, records=world.records, clock=world.clock)


def workplaces(folder: Path) -> Any:
    @contextmanager
    def workplace(job_id: UUID, owner: str) -> Iterator[Place]:
        place = folder / uuid4().hex
        place.mkdir(mode=0o700)
        yield Place(place, footage.encoder(), lambda: None)

    return workplace
