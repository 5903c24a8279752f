"""What follows a failed call, and what calls cost, on a real PostgreSQL."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.adapters.clock import SystemClock
from shared.domain.catalog import Catalog, parse_catalog
from shared.domain.errors import InvalidRequest
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallUnresolved,
    MediaStored,
    PredictionSeen,
    StoredOutput,
)
from shared.usecases.generate_media import GenerateRequest, generate_media
from shared.usecases.reconcile import Sweep
from tests.integration.inside import CATALOG, TURNS, World
from tests.memory import MemorySchemas

REGISTRY = json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text())
PROMPT = {"prompt": "A test"}


def catalog_with(media_type: str, model_id: str, **changes: Any) -> Catalog:
    entry = {**REGISTRY[media_type][model_id], **changes}
    return parse_catalog({**REGISTRY, media_type: {**REGISTRY[media_type], model_id: entry}})


FALLING_BACK = catalog_with("image", "flux-schnell", fallback="sdxl")


def ask(world: World, catalog: Catalog, request: GenerateRequest) -> UUID:
    job = generate_media(
        request,
        world.caller,
        records=world.records,
        catalog=catalog,
        schemas=MemorySchemas(),
        media=world.media,
        clock=SystemClock(),
        aftermath=world.aftermath,
    )
    return job.id


def fail(
    world: World,
    job_id: UUID,
    code: str = "provider_busy",
    *,
    retryable: bool = True,
    retry_after_seconds: int = 1,
) -> None:
    """The open attempt of the job is claimed and refused."""
    attempt_id = open_attempt(world, job_id)
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallRejected(str(job_id), str(attempt_id), code, "No.", retryable, retry_after_seconds))


def open_attempt(world: World, job_id: UUID) -> UUID:
    rows = world.sql("SELECT id FROM vsl.provider_attempts WHERE job_id = %s AND state = 'written'", job_id)
    return UUID(str(rows[0][0]))


def versions(world: World, job_id: UUID) -> list[str]:
    rows = world.sql("SELECT request->>'version' FROM vsl.provider_attempts WHERE job_id = %s ORDER BY number", job_id)
    return [row[0].partition(":")[0] for row in rows]


def test_after_its_retries_the_fallback_model_is_called(world: World) -> None:
    request = GenerateRequest("user", "image", "flux-schnell", {**PROMPT, "aspect_ratio": "1:1"}, fallback=True)
    job_id = ask(world, FALLING_BACK, request)

    for _ in range(4):
        fail(world, job_id)

    assert versions(world, job_id) == ["black-forest-labs/flux-schnell"] * 4 + ["stability-ai/sdxl"]
    assert world.sql("SELECT model_id, status FROM vsl.jobs WHERE id = %s", job_id) == [("sdxl", "generating")]
    assert world.sql(
        "SELECT reserved_usd FROM vsl.budgets WHERE account_id = %s AND user_id = '' AND period = 'total'",
        world.caller.account_id,
    ) == [(Decimal("0.01"),)]


def test_a_model_that_is_not_offered_falls_back_at_once(world: World) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT, fallback=True))

    fail(world, job_id, "model_unavailable", retryable=False)

    assert versions(world, job_id) == ["black-forest-labs/flux-schnell", "stability-ai/sdxl"]


@pytest.mark.parametrize(("asked", "code"), [(False, "model_unavailable"), (True, "provider_refused")])
def test_without_being_asked_or_for_a_wrong_input_there_is_no_fallback(world: World, asked: bool, code: str) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT, fallback=asked))

    fail(world, job_id, code, retryable=False)

    assert (len(versions(world, job_id)), world.status(job_id)) == (1, "failed")


def test_a_job_on_its_fallback_has_that_models_time_and_price(world: World) -> None:
    catalog = catalog_with("image", "flux-schnell", deadlineSeconds=5)
    job_id = ask(world, catalog, GenerateRequest("user", "image", "flux-schnell", PROMPT, fallback=True))

    fail(world, job_id, "model_unavailable", retryable=False)

    assert world.sql(
        "SELECT model_id, estimated_seconds::int, estimated_cost_usd::text, "
        "deadline_at > created_at + interval '200 s' FROM vsl.jobs WHERE id = %s",
        job_id,
    ) == [("sdxl", 10, "0.010000", True)]
    assert world.events(job_id)[-1] == (
        "call.fell_back",
        {"code": "model_unavailable", "from": "flux-schnell", "to": "sdxl"},
    )


def test_a_clip_from_a_picture_does_not_fall_back_on_a_model_that_takes_none(world: World) -> None:
    parameters = {**PROMPT, "firstFrame": "https://example.com/a.png"}
    request = GenerateRequest("user", "video", "seedance-1-lite", parameters, fallback=True)

    with pytest.raises(InvalidRequest, match="cannot start from a picture") as refused:
        ask(world, CATALOG, request)

    assert refused.value.details[0].path == "fallback"


def unanswered(world: World, code: str, *, seconds_ago: int) -> tuple[UUID, UUID]:
    """A claimed call without an answer, reported so long ago."""
    job_id = ask(world, CATALOG, GenerateRequest("user", "image", "flux-schnell", PROMPT))
    attempt_id = open_attempt(world, job_id)
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(CallUnresolved(str(job_id), str(attempt_id), "No answer.", code))
    world.sql(
        "UPDATE vsl.provider_attempts SET claimed_at = now() - make_interval(secs => %s) WHERE id = %s",
        seconds_ago,
        attempt_id,
    )
    return job_id, attempt_id


@pytest.mark.parametrize(
    ("code", "seconds_ago", "failed"),
    [("provider_error", 61, True), ("provider_error", 5, False), ("answer_lost", 3000, False)],
)
def test_only_a_5xx_whose_call_is_not_listed_a_minute_later_has_made_nothing(
    world: World, code: str, seconds_ago: int, failed: bool
) -> None:
    job_id, attempt_id = unanswered(world, code, seconds_ago=seconds_ago)
    world.settler.take(CallUnresolved(str(job_id), str(attempt_id), "Not listed."))

    claim = world.settler.claim_call(job_id, attempt_id)

    assert (claim["verdict"], claim["absentMeansFailed"]) == ("resolve", failed)


def test_a_5xx_that_made_nothing_is_tried_again_without_a_cost(world: World) -> None:
    job_id, attempt_id = unanswered(world, "provider_error", seconds_ago=61)

    world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_error", "Not listed.", retryable=True))

    assert (len(versions(world, job_id)), world.ledger(job_id)) == (2, [0.0])


def test_every_call_of_a_job_counts_in_its_cost(world: World) -> None:
    job_id = ask(world, FALLING_BACK, GenerateRequest("user", "image", "flux-schnell", PROMPT))
    attempt_id = open_attempt(world, job_id)
    world.settler.claim_call(job_id, attempt_id)
    world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", job_id)

    Sweep(world.records, SystemClock(), world.aftermath, TURNS).run()

    assert world.sql("SELECT status::text, actual_cost_usd::text FROM vsl.jobs WHERE id = %s", job_id) == [
        ("timeout", "0.003000")
    ]


def test_a_fallback_that_the_registry_lacks_or_that_cannot_take_the_parameters_is_refused(world: World) -> None:
    plain = GenerateRequest("user", "image", "sdxl", PROMPT, fallback=True)
    with pytest.raises(InvalidRequest, match="no fallback model"):
        ask(world, FALLING_BACK, plain)
    needs_picture = catalog_with("video", "seedance-1-lite", fallback="stability-video")
    with pytest.raises(InvalidRequest, match="stability-video"):
        ask(world, needs_picture, GenerateRequest("user", "video", "seedance-1-lite", PROMPT, fallback=True))


def test_an_interrupted_prediction_is_made_again_and_costs_nothing(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()

    world.settler.take(
        PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed", "Interrupted (code: PA)", retryable=True)
    )

    assert (world.status(job_id), world.ledger(job_id)) == ("generating", [0.0])
    assert len(versions(world, job_id)) == 2


def test_the_media_of_a_second_call_do_not_wait_for_the_lease_of_the_first(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    assert world.settler.claim_store(job_id, attempt_id, "first")["verdict"] == "go"
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "aborted", retryable=True))
    again = open_attempt(world, job_id)
    world.settler.claim_call(job_id, again)
    world.settler.take(CallAccepted(str(job_id), str(again), job_id.hex[:26], "starting"))

    assert world.settler.claim_store(job_id, again, "second")["verdict"] == "go"


def test_a_job_past_its_deadline_is_not_tried_again(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", job_id)

    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "aborted", retryable=True))

    assert (world.status(job_id), world.ledger(job_id)) == ("timeout", [0.0])


def test_a_registry_sets_a_models_deadline(world: World) -> None:
    catalog = catalog_with("image", "sdxl", deadlineSeconds=42)
    job_id = ask(world, catalog, GenerateRequest("user", "image", "sdxl", PROMPT))

    assert world.sql(
        "SELECT extract(epoch FROM deadline_at - created_at)::int FROM vsl.jobs WHERE id = %s", job_id
    ) == [(42,)]


def test_what_the_provider_logs_is_in_the_jobs_history(world: World) -> None:
    job_id, attempt_id, provider_id = world.accepted()

    world.settler.take(
        PredictionSeen(str(job_id), str(attempt_id), provider_id, "processing", progress=30, logs="30%|###")
    )

    with world.records.transaction() as tx:
        told = [event for event in tx.events(world.caller.account_id, job_id) if event["name"] == "provider.reported"]
    assert told[0]["details"] == {"status": "processing", "progress": 30, "logs": "30%|###"}


@pytest.mark.parametrize(
    ("media_type", "model_id", "price", "used", "cost_usd"),
    [
        ("image", "flux-schnell", {}, {"outputs": 3}, "0.009000"),
        ("image", "flux-schnell", {}, {"outputs": 3, "images": 2}, "0.006000"),
        ("video", "seedance-1-lite", {}, {"outputs": 1}, "0.180000"),
        ("video", "seedance-1-lite", {}, {"outputs": 1, "mediaSeconds": 4.96}, "0.178560"),
        ("audio", "musicgen", {}, {"outputs": 1}, "0.020000"),
        ("text", "llama-3-8b-instruct", {}, {"tokens": 1000}, "0.000250"),
        ("image", "sdxl", {"pricing": 0.000975, "pricingUnit": "computeSecond"}, {"predictSeconds": 4.0}, "0.003900"),
    ],
)
def test_the_ledger_holds_what_was_used_by_each_pricing_unit(
    world: World, media_type: str, model_id: str, price: dict[str, Any], used: dict[str, Any], cost_usd: str
) -> None:
    job_id = ask(world, catalog_with(media_type, model_id, **price), GenerateRequest("u", media_type, model_id, PROMPT))
    ids = (str(job_id), str(open_attempt(world, job_id)))
    world.settler.claim_call(job_id, UUID(ids[1]))
    world.settler.take(CallAccepted(*ids, job_id.hex[:26], "starting"))
    outputs = tuple(StoredOutput(f"incoming/{job_id}/1/{n}", 1, "0" * 64, "a/b") for n in range(used.get("outputs", 0)))

    told = {name: value for name, value in used.items() if name != "outputs"}
    world.settler.take(MediaStored(*ids, job_id.hex[:26], outputs, **told))

    assert world.sql("SELECT amount_usd::text FROM vsl.cost_ledger WHERE job_id = %s AND entry = 'actual'", job_id) == [
        (cost_usd,)
    ]
