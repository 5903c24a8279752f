"""Images that a request names: those stored here, or sent inside it, become keys of the account's own media; URLs
stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.errors import Conflict, InvalidRequest, Mistake, NotFound
from shared.domain.jobs import Caller
from shared.domain.sources import FIRST_FRAME, image_of, image_problem, plain_data_uri
from shared.domain.storage_keys import inline_image_key, is_inline_image, is_of_account, upload_folder
from shared.ports import MediaStore, Records
from shared.usecases.ending import refuse_erased

LARGEST_IMAGE_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Located:
    """The parameters with `{s3Key}` for each image. By key, the `data:` URIs that are still to be stored, and the keys
    of an earlier job's images that are to be copied: each job has its own, which an erasure of the other leaves.
    """

    parameters: Mapping[str, Any]
    inline: Mapping[str, str]
    copies: Mapping[str, str]

    def keep(self, media: MediaStore) -> None:
        """Stores what came inside the request: a job's row has no room for it. Raises DependencyDown."""
        for key, data_uri in self.inline.items():
            content_type, image = image_of(data_uri)
            media.put(key, image, content_type)
        for key, earlier in self.copies.items():
            stored = media.head(earlier)
            if stored is not None:
                media.put(key, media.read(earlier, 0, stored.size_bytes, stored.etag), stored.content_type)


def locate_images(
    given: Mapping[str, Any],
    fields: Set[str],
    job_id: UUID,
    user_id: str,
    caller: Caller,
    *,
    records: Records,
    media: MediaStore,
) -> Located:
    """The images in `fields` that are stored here or came inside the request; never a signed URL of our own.

    Ill-formed ones are left to the registry's check. Raises NotFound, Conflict (a job without a picture),
    OutputGone (erased), InvalidRequest, DependencyDown.
    """
    named = {name: given[name] for name in {FIRST_FRAME, *fields} & given.keys() if image_problem(given[name]) is None}
    inline = {name: plain_data_uri(value) for name, value in named.items() if _is_data(value)}
    located = {
        name: _located(name, value, caller, records, media) for name, value in named.items() if name not in inline
    }
    copied = {name: one["s3Key"] for name, one in located.items() if _is_inline(one)}
    folder = upload_folder(caller.account_id, user_id, job_id)
    own = {name: f"{folder}/{key.rpartition('/')[2]}" for name, key in copied.items()}
    own |= {name: _inline_key(data_uri, job_id, user_id, caller) for name, data_uri in inline.items()}
    return Located(
        {**given, **located, **{name: {"s3Key": key} for name, key in own.items()}},
        {own[name]: data_uri for name, data_uri in inline.items()},
        {own[name]: key for name, key in copied.items()},
    )


def _is_inline(located: Any) -> bool:
    return isinstance(located, Mapping) and is_inline_image(located["s3Key"])


def _is_data(value: Any) -> bool:
    return isinstance(value, str) and value[:5].lower() == "data:"


def _inline_key(data_uri: str, job_id: UUID, user_id: str, caller: Caller) -> str:
    return inline_image_key(caller.account_id, user_id, job_id, hashlib.sha256(data_uri.encode()).hexdigest())


def _located(name: str, value: Any, caller: Caller, records: Records, media: MediaStore) -> Any:
    key = _key(value, caller, records, media)
    if key is not None:
        _check_object(name, key, caller, media)
        return {"s3Key": key}
    if value[:5].lower() == "http:":
        problem = "must be an https URL"
        raise InvalidRequest(f"{name} {problem}.", details=[Mistake(f"parameters.{name}", problem)])
    return value


def _key(value: Any, caller: Caller, records: Records, media: MediaStore) -> str | None:
    if isinstance(value, str):
        return media.key_of(value)
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
