"""Outside: read a prediction again and bring what it made to `incoming/`, write-once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
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
from shared.domain.storage_keys import incoming_key
from shared.observability import logger
from shared.ports import Downloader, Inside, MediaStore, Prediction, Provider, Reports

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
    owner = f"store:{uuid4()}"
    verdict = _claim(inside, message, owner)
    if verdict in ("done", "wait"):
        return

    def renew() -> bool:
        question = {"action": "renew", "jobId": message.jobId, "owner": owner}
        return bool(inside.ask(question)["verdict"] == "go")

    with heartbeat(renew):
        reports.send(_look(message, verdict, provider, downloader, media))


def _claim(inside: Inside, message: StoreMedia, owner: str) -> str:
    question = {
        "action": "claim_store", "jobId": message.jobId, "attemptId": message.attemptId, "owner": owner
    }  # fmt: skip
    try:
        return str(inside.ask(question)["verdict"])
    except DependencyDown:
        # The output lives an hour and the key is write-once: save it now, settle when the inside is back.
        logger.warning("store_without_lease", extra={"jobId": message.jobId})
        return "go"


def _look(message: StoreMedia, verdict: str, provider: Provider, downloader: Downloader, media: MediaStore) -> Report:
    ids = (message.jobId, message.attemptId)
    try:
        prediction = provider.get(message.providerId)
    except NotFound:
        return StoreFailed(*ids, "output_expired", "The provider no longer knows the prediction.", final=True)
    if prediction.status != "succeeded" or verdict == "read":
        return _seen(message, prediction)
    if prediction.removed or not (prediction.outputs or prediction.text):
        return StoreFailed(
            *ids, "output_expired", "The provider has deleted the output before it could be fetched; retry.",
            final=True, predictSeconds=prediction.predict_seconds,
        )  # fmt: skip
    return _fetch_all(message, prediction, downloader, media)


def _seen(message: StoreMedia, prediction: Prediction) -> PredictionSeen:
    return PredictionSeen(
        message.jobId, message.attemptId, prediction.id, prediction.provider_status, prediction.error,
        prediction.progress, prediction.predict_seconds, prediction.retryable, prediction.logs,
    )  # fmt: skip


def _fetch_all(message: StoreMedia, prediction: Prediction, downloader: Downloader, media: MediaStore) -> Report:
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    try:
        outputs = tuple(
            _fetch(message, number, url, folder, downloader, media) for number, url in enumerate(prediction.outputs)
        )
    except (BadMedia, TooLarge, OutputGone) as error:
        return _failed(message, prediction, error.code, error.sentence, final=True)
    except DependencyDown as error:
        return _failed(message, prediction, error.code, error.sentence, final=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return MediaStored(
        message.jobId, message.attemptId, prediction.id, outputs, prediction.text,
        prediction.predict_seconds, prediction.tokens,
    )  # fmt: skip


def _failed(message: StoreMedia, prediction: Prediction, code: str, sentence: str, *, final: bool) -> StoreFailed:
    return StoreFailed(
        message.jobId,
        message.attemptId,
        code,
        sentence,
        final=final,
        predictSeconds=prediction.predict_seconds,
    )


def _fetch(
    message: StoreMedia, number: int, url: str, folder: Path, downloader: Downloader, media: MediaStore
) -> StoredOutput:
    fetched = downloader.fetch(url, folder)
    key = incoming_key(UUID(message.jobId), message.attemptNumber, number)
    with fetched.path.open("rb") as body:
        media.write_once(key, body, fetched.content_type)
    fetched.path.unlink()
    return StoredOutput(key, fetched.size_bytes, fetched.sha256, fetched.content_type)
