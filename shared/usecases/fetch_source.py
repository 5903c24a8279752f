"""Outside: bring one source of a job from where its caller says it lies, write-once, as the inside allows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from uuid import uuid4

from shared.domain.addresses import AddressRefused
from shared.domain.errors import BadMedia, Conflict, DependencyDown, OutputGone, TooLarge
from shared.domain.messages import FetchSource, SourceFailed, SourceFetched, SourceReport
from shared.observability import logger
from shared.ports import Downloader, Inside, MediaStore, Reports

Heartbeat = Callable[[Callable[[], bool]], AbstractContextManager[Event]]


def fetch_source(
    message: FetchSource, *, inside: Inside, downloader: Downloader, media: MediaStore, reports: Reports,
    heartbeat: Heartbeat,
) -> None:  # fmt: skip
    """One message of queue `fetch`. Raises DependencyDown when the inside cannot be asked or told."""
    asked = {"jobId": message.jobId, "number": message.number, "owner": f"fetch:{uuid4()}"}
    claim = inside.ask({"action": "claim_fetch", **asked})
    if claim["verdict"] != "go":
        return
    with heartbeat(lambda: bool(inside.ask({"action": "renew_fetch", **asked})["verdict"] == "go")) as lost:
        try:
            report = _bring(message, claim["url"], claim["key"], downloader, media, lost)
        except Conflict as error:
            logger.info("fetch_stopped", extra={"jobId": message.jobId, "reason": error.code})
            return
        reports.send(report)


def _bring(
    message: FetchSource, url: str, key: str, downloader: Downloader, media: MediaStore, lost: Event
) -> SourceReport:
    try:
        # Left by a worker that was stopped before it could tell.
        stored = media.head(key)
        if stored is not None:
            return SourceFetched(message.jobId, message.number, stored.content_type, stored.size_bytes)
        return _fetch(message, url, key, downloader, media, lost)
    except AddressRefused as error:
        return SourceFailed(message.jobId, message.number, "address_refused", error.sentence, final=True)
    except (BadMedia, TooLarge, OutputGone) as error:
        return SourceFailed(message.jobId, message.number, error.code, error.sentence, final=True)
    except DependencyDown as error:
        return SourceFailed(message.jobId, message.number, error.code, error.sentence, final=False)


def _fetch(
    message: FetchSource, url: str, key: str, downloader: Downloader, media: MediaStore, lost: Event
) -> SourceFetched:
    folder = Path(tempfile.mkdtemp(prefix="fetch-"))
    try:
        fetched = downloader.fetch(url, folder, lambda: not lost.is_set())
        if lost.is_set():
            raise Conflict("Nobody waits for this file any more.", code="stopped")
        with fetched.path.open("rb") as body:
            media.write_once(key, body, fetched.content_type)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return SourceFetched(message.jobId, message.number, fetched.content_type, fetched.size_bytes)
