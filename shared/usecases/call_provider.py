"""Outside: make, resolve or cancel one provider call, as the inside allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shared.domain.errors import (
    IMAGE_MISSING,
    IMAGE_UNREADABLE,
    MODEL_UNAVAILABLE,
    PROVIDER_ERROR,
    PROVIDER_THROTTLED,
    AnswerLost,
    BadMedia,
    DependencyDown,
    NotFound,
    ProductError,
    ProviderBusy,
    ProviderRefused,
)
from shared.domain.messages import CallAccepted, CallRejected, CallUnresolved, PredictionSeen, ProviderCall, Report
from shared.domain.sources import data_uri_of
from shared.domain.storage_keys import is_inline_image
from shared.observability import PROVIDER_FAILURES, count, logger
from shared.ports import Inside, MediaStore, Prediction, Provider, Reports

IMAGE_AGAIN_SECONDS = 30


def call_provider(
    message: ProviderCall,
    *,
    inside: Inside,
    provider: Provider,
    reports: Reports,
    media: MediaStore,
    webhook_url: Callable[[str, str], str],
) -> None:
    """One message of queue `calls`. Raises DependencyDown when the inside or the queue does not answer."""
    if message.action == "cancel":
        stopped = _cancel(provider, message.providerId) if message.providerId is not None else None
        if stopped is not None:
            reports.send(_end_of(message, stopped))
        return
    claim = inside.ask({"action": "claim_call", "jobId": message.jobId, "attemptId": message.attemptId})
    if claim["verdict"] not in ("go", "resolve"):
        return
    url = webhook_url(message.jobId, message.attemptId)
    try:
        request = _sent(claim["request"], media)
    except (DependencyDown, NotFound, BadMedia) as error:
        reports.send(_without_image(message, claim, provider, url, error))
        return
    act = _create if claim["verdict"] == "go" else _resolve
    reports.send(act(message, {**claim, "request": request}, provider, url))


def _without_image(
    message: ProviderCall, claim: Mapping[str, Any], provider: Provider, url: str, error: ProductError
) -> Report:
    """A call that was made is looked for by its address alone. One that was not costs nothing, and the inside is told
    so: a claimed call without an answer would count as spent.
    """
    if claim["verdict"] == "resolve":
        return _resolve(message, claim, provider, url)
    ids = (message.jobId, message.attemptId)
    if isinstance(error, DependencyDown):
        return CallRejected(*ids, IMAGE_UNREADABLE, error.sentence, True, IMAGE_AGAIN_SECONDS)
    return CallRejected(*ids, IMAGE_MISSING, error.sentence, retryable=False)


def _sent(request: Mapping[str, Any], media: MediaStore) -> Mapping[str, Any]:
    """The request with the images stored here, as the provider takes them: kept nowhere else.

    Raises DependencyDown, NotFound, BadMedia.
    """
    given = request["input"]
    images = {name: _image(given[name]["s3Key"], media) for name in request.get("stored", ())}
    return {**request, "input": {**given, **images}}


def _image(key: str, media: MediaStore) -> str:
    """An address signed for this call alone; what came inside a request is sent on inside one."""
    if not is_inline_image(key):
        return media.signed_url(key)
    stored = media.head(key)
    if stored is None:
        raise NotFound("The image that came inside the request is gone: send it again with a new request.")
    return data_uri_of(stored.content_type, media.read(key, 0, stored.size_bytes, stored.etag))


def _create(message: ProviderCall, claim: Mapping[str, Any], provider: Provider, url: str) -> Report:
    ids = (message.jobId, message.attemptId)
    try:
        prediction = provider.create(claim["request"], url, claim["cancelAfterSeconds"])
    except ProviderRefused as error:
        _observe_answer(message, failed=error.code == MODEL_UNAVAILABLE)
        return CallRejected(*ids, error.code, error.sentence, retryable=False)
    except ProviderBusy as error:
        _observe_answer(message, failed=error.code != PROVIDER_THROTTLED)
        return CallRejected(*ids, error.code, error.sentence, True, error.retry_after_seconds or 0)
    except AnswerLost as error:
        _observe_answer(message, failed=True)
        logger.warning("call_answer_lost", extra={"jobId": message.jobId})
        return CallUnresolved(*ids, error.sentence, error.code)
    _observe_answer(message, failed=False)
    return _accepted(message, prediction)


def _observe_answer(message: ProviderCall, *, failed: bool) -> None:
    count(PROVIDER_FAILURES, int(failed), provider=message.provider)


def _resolve(message: ProviderCall, claim: Mapping[str, Any], provider: Provider, url: str) -> Report:
    ids = (message.jobId, message.attemptId)
    since = datetime.fromisoformat(claim["claimedAt"])
    try:
        found = provider.find(claim["request"], url, since)
    except (ProviderBusy, ProviderRefused, AnswerLost) as error:
        return CallUnresolved(*ids, error.sentence)
    if found is not None:
        return _accepted(message, found)
    if claim.get("absentMeansFailed"):
        return CallRejected(*ids, PROVIDER_ERROR, "The provider failed and has made nothing; retry.", retryable=True)
    return CallUnresolved(*ids, "The provider lists no such prediction (yet).")


def _accepted(message: ProviderCall, prediction: Prediction) -> Report:
    return CallAccepted(
        message.jobId,
        message.attemptId,
        prediction.id,
        prediction.provider_status,
        prediction.rate_remaining,
        prediction.rate_reset_seconds,
    )


def _cancel(provider: Provider, provider_id: str) -> Prediction | None:
    try:
        return provider.cancel(provider_id)
    except NotFound:
        logger.info("cancel_of_unknown_prediction")
        return None


def _end_of(message: ProviderCall, stopped: Prediction) -> Report:
    ids = (message.jobId, message.attemptId)
    return PredictionSeen(*ids, stopped.id, stopped.provider_status, predictSeconds=stopped.predict_seconds)
