"""What nobody owns is removed from the real bucket, once it is old enough; what somebody owns stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from shared.adapters.s3 import S3MediaStore
from shared.usecases import orphans
from shared.usecases.orphans import Orphans
from tests.integration.inside import World
from tests.memory import MemoryClock


@pytest.fixture
def s3(stack: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=stack["s3Endpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of the test's own, so that nothing of the stack is an orphan of it."""
    name = f"orphans-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return name


def sweep(world: World, s3: Any, bucket: str, age: timedelta) -> dict[str, int]:
    return Orphans(world.records, S3MediaStore(s3, bucket), MemoryClock(datetime.now(UTC) + age)).remove()


def test_old_files_of_no_row_and_of_ended_jobs_go_and_others_stay(world: World, s3: Any, bucket: str) -> None:
    _, running, _ = world.generate()
    named, orphan = f"derived/a/{uuid4().hex}", f"derived/a/{uuid4().hex}"
    world.sql(
        "INSERT INTO vsl.storage_operations (account_id, job_id, operation, bucket, key, success) "
        "VALUES (%s, %s, 'upload', %s, %s, true)",
        world.caller.account_id,
        running,
        bucket,
        named,
    )
    owned, waited_for = f"uploads/a/user/{uuid4()}/001.mp4", f"uploads/a/user/{uuid4()}/{running}.mp4"
    kept = {named, f"incoming/{running}/1/0", owned, waited_for}
    for key in (*kept, orphan, f"incoming/{uuid4()}/1/0", f"uploads/a/user/{uuid4()}/{uuid4()}.mp4"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    young = sweep(world, s3, bucket, timedelta(hours=1))
    found = sweep(world, s3, bucket, timedelta(hours=3))

    assert young == {"uploads": 0, "derived": 0, "incoming": 0, "fetched": 0, "compiled": 0, "uploaded": 0}
    assert found == {"uploads": 0, "derived": 1, "incoming": 1, "fetched": 0, "compiled": 0, "uploaded": 1}
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]} == kept


def test_a_film_of_a_job_that_came_to_nothing_is_removed(world: World, s3: Any, bucket: str) -> None:
    _, stopped, _ = world.generate()
    _, running, _ = world.generate()
    _, done, _ = world.generate()
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE id = %s", stopped)
    world.sql("UPDATE vsl.jobs SET status = 'completed', completed_at = now() WHERE id = %s", done)
    folder = f"compiled/{world.caller.account_id}/1"
    for job_id in (stopped, running, done):
        s3.put_object(Bucket=bucket, Key=f"{folder}/{job_id}/final-1.mp4", Body=b"x")

    assert sweep(world, s3, bucket, timedelta(hours=1))["compiled"] == 0
    assert sweep(world, s3, bucket, timedelta(hours=3))["compiled"] == 1

    left = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert left == {f"{folder}/{job_id}/final-1.mp4" for job_id in (running, done)}


def test_an_upload_that_was_never_finished_is_aborted_after_hours(world: World, s3: Any, bucket: str) -> None:
    s3.create_multipart_upload(Bucket=bucket, Key="compiled/half")

    assert sweep(world, s3, bucket, timedelta(hours=1))["uploads"] == 0
    assert sweep(world, s3, bucket, timedelta(hours=3))["uploads"] == 1
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_removal_is_a_row_with_the_account_and_the_job_it_was_of(world: World, s3: Any, bucket: str) -> None:
    account = world.caller.account_id
    _, job_id, _ = world.generate()
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE id = %s", job_id)
    owned, strange = f"incoming/{job_id}/1/0", f"incoming/{uuid4()}/1/0"
    derived, upload = f"derived/{account}/{uuid4().hex}/film.webm", f"compiled/{account}/1/{job_id}/film.mp4"
    for key in (owned, strange, derived):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key=upload)

    sweep(world, s3, bucket, timedelta(hours=25))

    rows = world.sql(
        "SELECT key, account_id, job_id, operation::text FROM vsl.storage_operations WHERE bucket = %s", bucket
    )
    assert set(rows) == {
        (owned, account, job_id, "delete"),
        (upload, account, job_id, "delete"),
        (derived, account, None, "delete"),
        (strange, None, None, "delete"),
    }


def test_a_minute_takes_one_page_and_the_next_goes_on_behind_it(
    world: World, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "PAGE", 2)
    _, running, _ = world.generate()
    kept = [f"incoming/{running}/1/{number}" for number in range(3)]
    for key in (*kept, f"incoming/{'f' * 8}-{str(uuid4())[9:]}/1/0"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for number in range(3):
        s3.create_multipart_upload(Bucket=bucket, Key=f"compiled/half-{number}")

    found = [sweep(world, s3, bucket, timedelta(hours=25)) for _ in range(3)]

    assert [minute["uploads"] for minute in found] == [2, 1, 0]
    assert sum(minute["incoming"] for minute in found) == 1
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]} == set(kept)
