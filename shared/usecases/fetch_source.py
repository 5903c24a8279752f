"""Outside: bring one source of a job from where its caller says it lies, write-once, as the inside allows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

from shared.domain.addresses import AddressRefused
from shared.domain.errors import BadMedia, Conflict, DependencyDown, OutputGone, TooLarge
from shared.domain.messages import FetchSource, SourceFailed, SourceFetched, SourceReport
from shared.observability import logger
from shared.ports import Downloader, Inside, MediaStore, Reports, StoredObject
from shared.usecases.giving_up import claim_given_up

Heartbeat = Callable[[Callable[[], bool]], AbstractContextManager[Event]]


def fetch_source(
    message: FetchSource,
    *,
    inside: Inside,
    downloader: Downloader,
    media: MediaStore,
    reports: Reports,
    heartbeat: Heartbeat,
) -> None:
    """One message of queue `fetch`. Raises DependencyDown when the inside cannot be asked or told."""
    owner = f"fetch:{uuid4()}"
    asked = {"jobId": message.jobId, "number": message.number, "owner": owner}
    with claim_given_up(inside, {"action": "release_fetch", **asked}):
        claim = inside.ask({"action": "claim_fetch", **asked})
        if claim["verdict"] != "go":
            return
        with heartbeat(lambda: bool(inside.ask({"action": "renew_fetch", **asked})["verdict"] == "go")) as lost:
            try:
                report = _bring(message, claim, owner, downloader, media, lost)
            except Conflict as error:
                logger.info("fetch_stopped", extra={"jobId": message.jobId, "reason": error.code})
                return
            reports.send(report)


def _bring(
    message: FetchSource, claim: Mapping[str, Any], owner: str, downloader: Downloader, media: MediaStore, lost: Event
) -> SourceReport:
    def failed(code: str, sentence: str, *, final: bool) -> SourceFailed:
        return SourceFailed(message.jobId, message.number, code, sentence, final, owner)

    key = claim["key"]
    try:
        # Left by a worker that was stopped before it could tell; or put meanwhile by one that had lost its claim.
        stored = media.head(key) or _fetched(claim["url"], key, downloader, media, lost)
        return SourceFetched(message.jobId, message.number, stored.content_type, stored.size_bytes)
    except AddressRefused as error:
        return failed("address_refused", error.sentence, final=True)
    except (BadMedia, TooLarge, OutputGone) as error:
        return failed(error.code, error.sentence, final=True)
    except DependencyDown as error:
        return failed(error.code, error.sentence, final=False)


def _fetched(url: str, key: str, downloader: Downloader, media: MediaStore, lost: Event) -> StoredObject:
    """What lies at the key afterwards, which another worker may have put there first."""
    folder = Path(tempfile.mkdtemp(prefix="fetch-"))
    try:
        fetched = downloader.fetch(url, folder, lambda: not lost.is_set())
        if lost.is_set():
            raise Conflict("Nobody waits for this file any more.", code="stopped")
        with fetched.path.open("rb") as body:
            media.write_once(key, body, fetched.content_type, fetched.sha256)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    stored = media.head(key)
    if stored is None:
        raise DependencyDown("The file is not where it was put; it is fetched again.", code="storage_down")
    return stored
