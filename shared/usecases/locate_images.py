"""Pictures that a request names: those stored here become keys of the account's own media, URLs stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict, InvalidRequest, Mistake, NotFound
from shared.domain.jobs import Caller
from shared.domain.sources import FIRST_FRAME, image_problem, plain_data_uri
from shared.domain.storage_keys import is_of_account
from shared.ports import MediaStore, Records
from shared.usecases.ending import refuse_erased

LARGEST_IMAGE_BYTES = 20 * 1024 * 1024


def locate_images(
    given: Mapping[str, Any], fields: Set[str], caller: Caller, *, records: Records, media: MediaStore
) -> dict[str, Any]:
    """The parameters with `{s3Key}` for every picture in `fields` that is stored here; never a signed URL of our own.

    Ill-formed ones are left to the registry's check. Raises NotFound, Conflict (a job without a picture),
    OutputGone (erased), InvalidRequest, DependencyDown.
    """
    named = {name: given[name] for name in {FIRST_FRAME, *fields} & given.keys() if image_problem(given[name]) is None}
    return {**given, **{name: _located(name, value, caller, records, media) for name, value in named.items()}}


def _located(name: str, value: Any, caller: Caller, records: Records, media: MediaStore) -> Any:
    key = _key(value, caller, records, media)
    if key is not None:
        _check_object(name, key, caller, media)
        return {"s3Key": key}
    if value[:5].lower() == "http:":
        problem = "must be an https URL"
        raise InvalidRequest(f"{name} {problem}.", details=[Mistake(f"parameters.{name}", problem)])
    return plain_data_uri(value) if value[:5].lower() == "data:" else value


def _key(value: Any, caller: Caller, records: Records, media: MediaStore) -> str | None:
    if isinstance(value, str):
        return None if value[:5].lower() == "data:" else media.key_of(value)
    return str(value["s3Key"]) if "s3Key" in value else _key_of_job(UUID(value["jobId"]), caller, records)


def _key_of_job(job_id: UUID, caller: Caller, records: Records) -> str:
    with records.transaction() as tx:
        job = tx.job(caller.account_id, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
    refuse_erased(job)
    if job.s3_key is None:
        raise Conflict(f"Job {job_id} is {job.status.value} and has made no picture.", code="not_completed")
    return job.s3_key


def _check_object(name: str, key: str, caller: Caller, media: MediaStore) -> None:
    found = media.head(key) if is_of_account(key, caller.account_id) else None
    if found is None:
        raise NotFound(f"There is no media {key!r} of this account: name a key as an upload or a job gave it.")
    if not found.content_type.startswith("image/") or found.size_bytes > LARGEST_IMAGE_BYTES:
        problem = f"must be an image of at most {LARGEST_IMAGE_BYTES} bytes"
        raise InvalidRequest(f"{name} {problem}.", details=[Mistake(f"parameters.{name}", problem)])
