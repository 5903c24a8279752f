"""Outside: read a prediction again and bring what it made to `incoming/`, write-once and once each."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from shared.domain.errors import BadMedia, DependencyDown, NotFound, OutputGone, TooLarge
from shared.domain.messages import (
    MediaStored,
    PredictionSeen,
    Report,
    StoredOutput,
    StoreFailed,
    StoreMedia,
)
from shared.domain.row_limits import MOST_OUTPUTS, RESULT_BYTES, json_bytes
from shared.domain.storage_keys import incoming_key
from shared.observability import logger
from shared.ports import Downloader, Inside, MediaStore, Prediction, Provider, Reports
from shared.usecases.giving_up import claim_given_up

TEXT = "text/plain"
Heartbeat = Callable[[Callable[[], bool]], AbstractContextManager[object]]


def store_media(
    message: StoreMedia,
    *,
    inside: Inside,
    provider: Provider,
    downloader: Downloader,
    media: MediaStore,
    reports: Reports,
    heartbeat: Heartbeat,
) -> None:
    """One message of queue `store`. Raises DependencyDown when nothing could be reported: the queue repeats."""
    ours = {"jobId": message.jobId, "owner": f"store:{uuid4()}"}

    def renew() -> bool:
        return bool(inside.ask({"action": "renew", **ours})["verdict"] == "go")

    with claim_given_up(inside, {"action": "release", **ours}):
        claim = _claim(inside, message, ours["owner"])
        if claim["verdict"] in ("done", "wait"):
            return
        with heartbeat(renew):
            reports.send(_look(message, claim, provider, downloader, media))


def _claim(inside: Inside, message: StoreMedia, owner: str) -> Mapping[str, Any]:
    question = {"action": "claim_store", "jobId": message.jobId, "attemptId": message.attemptId, "owner": owner}
    try:
        return inside.ask(question)
    except DependencyDown:
        # The output lives an hour and the key is write-once: save it now, settle when the inside is back.
        logger.warning("store_without_lease", extra={"jobId": message.jobId})
        return {"verdict": "go"}


def _look(
    message: StoreMedia, claim: Mapping[str, Any], provider: Provider, downloader: Downloader, media: MediaStore
) -> Report:
    try:
        prediction = provider.get(message.providerId)
    except NotFound:
        sentence = "The provider no longer knows the prediction; POST /jobs/{jobId}/retry."
        return StoreFailed(message.jobId, message.attemptId, "output_expired", sentence, final=True)
    if prediction.status != "succeeded" or claim["verdict"] == "read":
        return _seen(message, prediction)
    if claim.get("mediaType") == "text":
        prediction = _as_text(prediction)
    elif prediction.outputs:
        prediction = replace(prediction, text=prediction.caption)
    if prediction.removed or not (prediction.outputs or prediction.text):
        sentence = "The provider has deleted the output before it could be fetched; POST /jobs/{jobId}/retry."
        return _failed(message, prediction, "output_expired", sentence, final=True)
    return _fetch_all(message, prediction, downloader, media)


def _as_text(prediction: Prediction) -> Prediction:
    """An answer that is nothing but an address is still the answer: it is not followed."""
    return replace(prediction, outputs=(), text=prediction.text or "".join(prediction.outputs))


def _seen(message: StoreMedia, prediction: Prediction) -> PredictionSeen:
    return PredictionSeen(
        message.jobId,
        message.attemptId,
        prediction.id,
        prediction.provider_status,
        prediction.error,
        prediction.progress,
        prediction.predict_seconds,
        prediction.retryable,
        prediction.logs,
        prediction.tokens,
        prediction.images,
        prediction.media_seconds,
    )


def _fetch_all(message: StoreMedia, prediction: Prediction, downloader: Downloader, media: MediaStore) -> Report:
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    try:
        urls = prediction.outputs[:MOST_OUTPUTS]
        outputs = [_fetch(message, number, url, folder, downloader, media) for number, url in enumerate(urls)]
        text = prediction.text
        # A job's row and a message are small: a longer text goes to `incoming/` like media.
        if text is not None and json_bytes(text) > RESULT_BYTES:
            outputs.append(_put_text(message, len(outputs), text, media))
            text = None
    except (BadMedia, TooLarge, OutputGone) as error:
        return _failed(message, prediction, error.code, error.sentence, final=True)
    except DependencyDown as error:
        return _failed(message, prediction, error.code, error.sentence, final=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return MediaStored(
        message.jobId,
        message.attemptId,
        prediction.id,
        tuple(outputs),
        text,
        prediction.predict_seconds,
        prediction.tokens,
        prediction.images,
        prediction.media_seconds,
    )


def _failed(message: StoreMedia, prediction: Prediction, code: str, sentence: str, *, final: bool) -> StoreFailed:
    return StoreFailed(
        message.jobId,
        message.attemptId,
        code,
        sentence,
        final,
        prediction.predict_seconds,
        prediction.tokens,
        prediction.images,
        prediction.media_seconds,
    )


def _fetch(
    message: StoreMedia, number: int, url: str, folder: Path, downloader: Downloader, media: MediaStore
) -> StoredOutput:
    """The output as it lies at its key, fetched unless an earlier delivery of the message has brought it."""
    key = incoming_key(UUID(message.jobId), message.attemptNumber, number)
    stored = _stored(key, media)
    if stored is not None:
        logger.info("output_already_stored", extra={"jobId": message.jobId, "key": key})
        return stored
    fetched = downloader.fetch(url, folder)
    with fetched.path.open("rb") as body:
        media.write_once(key, body, fetched.content_type, fetched.sha256)
    fetched.path.unlink()
    # Another worker may have put it first, and what a host sends may differ from call to call.
    return _stored(key, media) or StoredOutput(key, fetched.size_bytes, fetched.sha256, fetched.content_type)


def _stored(key: str, media: MediaStore) -> StoredOutput | None:
    """The object at the key; None unless the store has checked all of it against a hash."""
    found = media.head(key)
    return StoredOutput(key, found.size_bytes, found.sha256, found.content_type) if found and found.sha256 else None


def _put_text(message: StoreMedia, number: int, text: str, media: MediaStore) -> StoredOutput:
    key, content = incoming_key(UUID(message.jobId), message.attemptNumber, number), text.encode()
    made = StoredOutput(key, len(content), hashlib.sha256(content).hexdigest(), TEXT)
    media.write_once(key, io.BytesIO(content), TEXT, made.sha256)
    return _stored(key, media) or made
