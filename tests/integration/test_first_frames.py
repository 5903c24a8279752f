"""Pictures a clip starts from: named in many ways, kept as keys of the account's own, never as a signed URL."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.errors import Conflict, InvalidRequest, NotFound, ProductError, RateLimited
from shared.domain.jobs import Job
from shared.domain.sources import LARGEST_DATA_URI_BYTES
from shared.usecases.call_provider import _sent
from shared.usecases.generate_media import GenerateRequest
from shared.usecases.orphans import Orphans
from tests.integration.inside import World, stored
from tests.memory import MemoryClock

DATA = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def key(world: World) -> str:
    """A picture of the account's own."""
    key = f"uploads/{world.caller.account_id}/user/1/a b.png"
    world.media.objects[key] = (b"picture", "image/png")
    return key


def request(frame: Any, name: str = "firstFrame", **changes: Any) -> GenerateRequest:
    parameters = {"prompt": "A test", name: frame}
    return replace(GenerateRequest("user", "video", "seedance-1-lite", parameters), **changes)


def sent(world: World, job: Job) -> dict[str, Any]:
    ((kept,),) = world.sql("SELECT request FROM vsl.provider_attempts WHERE job_id = %s", job.id)
    return dict(kept)


@pytest.mark.parametrize("name", ["firstFrame", "image"])
def test_an_address_is_sent_as_it_is(world: World, name: str) -> None:
    frame = "https://example.com/a.png?size=1"
    job, *_ = world.generate(request(frame, name))

    assert (sent(world, job)["input"]["image"], sent(world, job)["stored"]) == (frame, [])


@pytest.mark.parametrize("name", ["firstFrame", "image"])
@pytest.mark.parametrize("size_bytes", [8, LARGEST_DATA_URI_BYTES])
def test_an_image_inside_a_request_lies_in_the_bucket_and_is_sent_on_inside_one(
    world: World, name: str, size_bytes: int
) -> None:
    """Its row had it three times, a megabyte in all."""
    image = bytes(number % 251 for number in range(size_bytes))
    data_uri = f"data:IMAGE/Png;charset=utf-8;base64,{base64.b64encode(image).decode()}"
    job, *_ = world.generate(request(data_uri, name))

    kept = sent(world, job)
    key = kept["input"]["image"]["s3Key"]
    assert (key.startswith(f"uploads/{world.caller.account_id}/user/{job.id}/"), kept["stored"]) == (True, ["image"])
    assert world.media.objects[key] == (image, "image/png")
    assert _sent(kept, world.media)["input"]["image"] == f"data:image/png;base64,{base64.b64encode(image).decode()}"
    ((row_bytes,),) = world.sql("SELECT octet_length(jobs::text) FROM vsl.jobs WHERE id = %s", job.id)
    assert row_bytes < 20_000


def test_an_image_inside_a_refused_request_is_not_kept(world: World) -> None:
    with pytest.raises(InvalidRequest):
        world.generate(replace(request(DATA), parameters={"firstFrame": DATA}))
    assert world.media.objects == {}


def test_the_same_request_with_an_image_inside_is_the_same_job(world: World) -> None:
    jobs = [world.generate(request(DATA, idempotency_key="once"))[0].id for _ in range(2)]
    assert jobs[0] == jobs[1]


def test_what_is_stored_here_is_kept_by_its_key_however_it_was_named(world: World, key: str) -> None:
    for frame in ({"s3Key": key}, world.media.signed_url(key)):
        job, job_id, attempt_id = world.generate(request(frame))

        assert (sent(world, job)["input"]["image"], sent(world, job)["stored"]) == ({"s3Key": key}, ["image"])
        assert world.settler.claim_call(job_id, attempt_id)["request"]["stored"] == ["image"]
        assert "expires" not in str(world.sql("SELECT request FROM vsl.jobs WHERE id = %s", job.id))


def test_the_same_picture_under_another_signature_is_the_same_request(world: World, key: str) -> None:
    urls = [world.media.signed_url(key, seconds) for seconds in (1, 2)]

    jobs = [world.generate(request(url, idempotency_key="once"))[0].id for url in urls]

    assert jobs[0] == jobs[1]


def test_a_jobs_picture_is_where_a_clip_starts(world: World, key: str) -> None:
    earlier, *_ = world.generate(GenerateRequest("user", "image", "flux-schnell", {"prompt": "A test"}))
    with pytest.raises(Conflict, match="has made no picture"):
        world.generate(request({"jobId": str(earlier.id)}))
    world.sql("UPDATE vsl.jobs SET s3_key = %s WHERE id = %s", key, earlier.id)

    job, *_ = world.generate(request({"jobId": str(earlier.id)}))

    assert sent(world, job)["input"]["image"] == {"s3Key": key}


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"s3Key": "uploads/{own}/user/none.png"}, NotFound),
        ({"s3Key": "uploads/{other}/user/a.png"}, NotFound),
        ({"s3Key": "uploads/{own}/../{other}/user/a.png"}, NotFound),
        ({"s3Key": "incoming/{own}/1/0"}, NotFound),
        ({"s3Key": "catalog/models.json"}, NotFound),
        ("https://memory/uploads/{other}/user/a.png?expires=1", NotFound),
        ({"s3Key": "uploads/{own}/user/clip.mp4"}, InvalidRequest),
        ({"jobId": "{other}"}, NotFound),
        ("http://example.com/a.png", InvalidRequest),
    ],
)
def test_nothing_else_is_read_and_nothing_is_written(world: World, frame: Any, error: type[ProductError]) -> None:
    ids = {"own": str(world.caller.account_id), "other": str(uuid4())}
    for name in ("uploads/{other}/user/a.png", "uploads/{own}/../{other}/user/a.png", "incoming/{own}/1/0"):
        world.media.objects[name.format(**ids)] = (b"picture", "image/png")
    world.media.objects["uploads/{own}/user/clip.mp4".format(**ids)] = (b"clip", "video/mp4")
    named = frame.format(**ids) if isinstance(frame, str) else {k: v.format(**ids) for k, v in frame.items()}

    with pytest.raises(error):
        world.generate(request(named))

    assert world.sql("SELECT count(*) FROM vsl.jobs WHERE account_id = %s", world.caller.account_id) == [(0,)]


def test_a_retry_starts_from_the_same_picture(world: World, key: str) -> None:
    job, job_id, attempt_id = world.generate(request({"s3Key": key}))
    world.settler.claim_call(job_id, attempt_id)
    world.settler.take(stored(job_id, attempt_id, uuid4().hex[:26]))

    again, *_ = world.generate(request(job.request["parameters"]["firstFrame"], retry_of=job.id))

    assert sent(world, again)["input"] == sent(world, job)["input"]


def test_a_retry_has_an_image_of_its_own_which_outlives_the_first_job(world: World) -> None:
    job, *_ = world.generate(request(DATA))
    again, *_ = world.generate(request(job.request["parameters"]["firstFrame"], retry_of=job.id))
    first, second = (sent(world, one)["input"]["image"]["s3Key"] for one in (job, again))
    world.media.delete([first])

    assert str(again.id) in second
    assert _sent(sent(world, again), world.media)["input"]["image"] == DATA


def test_an_image_that_is_gone_is_not_sent_as_an_address_of_nothing(world: World) -> None:
    job, *_ = world.generate(request(DATA))
    world.media.objects.clear()
    with pytest.raises(NotFound):
        _sent(sent(world, job), world.media)


def test_images_of_refused_requests_are_removed_as_nobodys(world: World) -> None:
    kept, *_ = world.generate(request(DATA))
    world.sql(
        "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxUnfinishedJobs\": 1}')",
        world.caller.account_id,
    )
    with pytest.raises(RateLimited):
        world.generate(request(DATA))
    assert len(world.media.objects) == 2

    later = MemoryClock(world.clock.now() + timedelta(hours=3))
    Orphans(world.records, world.media, later).remove()

    assert list(world.media.objects) == [sent(world, kept)["input"]["image"]["s3Key"]]
