"""Webhooks from the function's door to a real PostgreSQL: copies, replays, ids of others, bodies that are none."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.domain.jobs import Caller
from shared.domain.messages import WebhookReceived
from tests.integration.door import Door
from tests.integration.inside import World


def asked_for_media(world: World, job_id: UUID) -> int:
    """How often the outside was sent to fetch what the job's prediction made."""
    return int(world.sql("SELECT count(*) FROM vsl.outbox WHERE topic = 'store' AND job_id = %s", job_id)[0][0])


def take_elsewhere(world: World, reports: Sequence[WebhookReceived]) -> None:
    with world.elsewhere() as other:
        for report in reports:
            other.settler.take(report)


def test_fifty_copies_twenty_at_once_are_all_answered_and_have_one_effect(world: World, door: Door) -> None:
    accepted = world.accepted()
    copy = door.delivery(accepted)

    assert [door.knock(copy) for _ in range(50)] == [200] * 50
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda report: take_elsewhere(world, [report]), door.reports))

    assert len(door.reports) == 50
    assert world.sql("SELECT parked FROM vsl.webhook_inbox WHERE job_id = %s", accepted[0]) == [(False,)]
    assert asked_for_media(world, accepted[0]) == 1


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (299, 200), (301, 401), (86_400, 401)])
def test_a_replayed_webhook_has_no_second_effect_in_another_process_either(
    world: World, door: Door, seconds: int, status: int
) -> None:
    accepted = world.accepted()
    recorded = door.delivery(accepted)
    assert door.knock(recorded) == 200
    take_elsewhere(world, door.reports)
    door.reports.clear()

    door.clock.sleep(seconds)
    assert door.knock(recorded) == status
    take_elsewhere(world, door.reports)

    assert len(door.reports) == (status == 200)
    assert asked_for_media(world, accepted[0]) == 1


def test_no_webhook_crosses_from_one_account_to_another(world: World, other: Caller, door: Door) -> None:
    mine, theirs = world.accepted(), replace(world, caller=other).accepted()
    url = door.delivery(theirs).query
    for name in ("job", "attempt", "mac"):
        mixed = {**door.delivery(mine).query, name: url[name]}
        assert door.knock(replace(door.delivery(mine), query=mixed)) == 401
    assert door.reports == []

    # Their URL, whole, with my prediction; and what only somebody inside could write.
    assert door.knock(door.delivery((theirs[0], theirs[1], mine[2]))) == 200
    forged = replace(door.reports[0], webhookId="forged", jobId=str(mine[0]), providerId=theirs[2])
    take_elsewhere(world, [*door.reports, forged])

    assert [asked_for_media(world, of[0]) for of in (mine, theirs)] == [0, 0]
    assert world.sql("SELECT parked FROM vsl.webhook_inbox WHERE job_id = ANY(%s)", [mine[0], theirs[0]]) == [
        (True,),
        (True,),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (" " * 1_000_001, 422),
        ("[" * 100_000_000, 413),
        ('{"id": "x", "status": "succeeded"} {}', 422),
        ('{"id": "x", "status": "succeeded"', 422),
        ('{"id": "x", "status": "succeeded", "output": [', 422),
        ("[" * 100_000, 422),
        ('{"id": "x", "status": "succeeded", "input": ' + "[" * 100_000 + "]" * 100_000 + "}", 422),
        ('{"id": NaN, "status": "succeeded"}', 422),
        ('{"id": "x", "status": Infinity}', 422),
        ('{"id": 5, "status": "succeeded"}', 422),
        ('{"id": "a\\u0000b", "status": "succeeded"}', 422),
        ('{"id": "\\ud800", "status": "succeeded"}', 422),
        ('{"id": "' + "x" * 65 + '", "status": "succeeded"}', 422),
        ('{"id": "../x", "status": "succeeded"}', 422),
        ('"id"', 422),
        ("", 422),
    ],
    ids=[
        "1 MB",
        "100 MB",
        "two",
        "cut",
        "cut inside",
        "deep",
        "deep inside",
        "NaN",
        "Infinity",
        "number",
        "NUL",
        "surrogate",
        "long",
        "path",
        "text",
        "empty",
    ],
)
def test_an_authentic_body_that_is_no_prediction_is_refused(world: World, door: Door, body: str, status: int) -> None:
    assert door.knock(door.delivery(world.accepted(), body)) == status
    assert door.reports == []


def test_of_a_name_given_twice_the_last_counts_and_is_no_more_than_a_hint(world: World, door: Door) -> None:
    job_id, attempt_id, provider_id = world.accepted()
    body = f'{{"id": "{provider_id}", "status": "succeeded", "id": "another", "logs": NaN}}'

    assert door.knock(door.delivery((job_id, attempt_id, provider_id), body)) == 200
    take_elsewhere(world, door.reports)

    assert [report.providerId for report in door.reports] == ["another"]
    assert asked_for_media(world, job_id) == 0


LARGE = {
    "logs": {"logs": "step 1/100\n" * 110_000},
    "a data URI": {"output": "data:video/mp4;base64," + "A" * 5_000_000},
    "empty objects": {"output": [{}] * 1_900_000},
    "quotes": {"logs": '"' * 2_000_000},
}


@pytest.mark.parametrize("more", LARGE.values(), ids=LARGE)
def test_an_authentic_webhook_of_megabytes_is_taken_and_not_built_in_memory(
    world: World, door: Door, more: dict[str, Any]
) -> None:
    accepted = world.accepted()
    body = json.dumps({"id": accepted[2], **more, "status": "succeeded"}, separators=(",", ":"))
    delivery = door.delivery(accepted, body)
    door.knock(door.delivery(accepted, "{}"))  # what is loaded once is not counted

    tracemalloc.start()
    assert door.knock(delivery) == 200
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (door.reports[-1].providerId, door.reports[-1].providerStatus) == (accepted[2], "succeeded")
    assert peak_bytes < 5 * len(body)


def test_a_large_webhook_that_nobody_signed_is_refused(world: World, door: Door) -> None:
    delivery = door.delivery(world.accepted(), "[" * 6_000_000)

    assert door.knock(replace(delivery, headers={**delivery.headers, "webhook-signature": "v1,"})) == 401
    assert door.knock(replace(delivery, body=delivery.body + " ")) == 401
    assert door.reports == []
