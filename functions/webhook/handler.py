"""Replicate's callback: signature and MAC are checked without any store, ids are queued, 200 within a second."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import BaseModel, ConfigDict, Field

from shared import bootstrap, config, http, wire
from shared.domain import webhook_signature
from shared.domain.errors import InvalidRequest, TooLarge, Unauthorized
from shared.domain.json_members import top_level_texts
from shared.domain.messages import WebhookReceived
from shared.observability import WEBHOOK_LATENCY, observed, seconds

router = Router()  # type: ignore[no-untyped-call]
# The largest event Lambda takes (Lambda quotas, invocation payload), and so the largest body that can come here: API
# Gateway takes 10 MB, hands the body over as a string of JSON, in which quotes and newlines take two bytes, and answers
# 413 by itself when that does not fit. The sweep asks the provider about such a call within 90 seconds.
BODY_LIMIT_BYTES = 6 * 1024 * 1024
NO_ID = "00000000-0000-0000-0000-000000000000"


class UrlQuery(wire.Query):
    job: str = ""
    attempt: str = ""
    mac: str = ""


class Prediction(BaseModel):
    """What is read of a webhook's body; the prediction itself is asked for later."""

    model_config = ConfigDict(strict=True)
    id: str = Field(pattern=r"\A[A-Za-z0-9_-]{1,64}\z")
    status: str = Field(pattern=r"\A[A-Za-z0-9_-]{1,32}\z")


@router.post("/webhook")
@router.post("/webhook/replicate")
def post_webhook() -> Response[str]:
    settings = bootstrap.settings(config.Webhook)
    # The URL's MAC first: it costs the same however large the body is.
    job_id, attempt_id = _named(_accepted(settings.webhook_url_key))
    raw = _raw_body()
    secrets = _accepted(settings.replicate_webhook_secret)
    webhook_id = webhook_signature.verify(router.current_event.headers or {}, raw, secrets, bootstrap.clock().now())
    bootstrap.reports().send(_report(webhook_id, raw, job_id, attempt_id))
    seconds(WEBHOOK_LATENCY, _seconds_since_sent())
    return http.answer(200, {"received": True})


def _raw_body() -> bytes:
    """The bytes that were signed. Raises TooLarge, Unauthorized for what cannot be bytes of a webhook."""
    event = router.current_event
    text = event.body or ""
    if len(text) > BODY_LIMIT_BYTES:
        raise TooLarge("A webhook's body is at most 6 MB.")
    try:
        return base64.b64decode(text, validate=True) if event.is_base64_encoded else text.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise Unauthorized("The webhook's signature does not match.") from None


def _seconds_since_sent() -> float:
    """By the sender's clock, of whole seconds, which may be ahead of ours."""
    sent_at = int(http.header(router, "webhook-timestamp") or 0)
    return max(bootstrap.clock().now().timestamp() - sent_at, 0.0)


def _accepted(address: str) -> tuple[str, ...]:
    """The secret's values by which a webhook may be signed: two while it is rotated."""
    return bootstrap.rotated_secret(address).read().accepted(bootstrap.clock().now())


def _named(keys: Sequence[str]) -> tuple[str, str]:
    """Job and attempt of the URL. Raises Unauthorized when the MAC is not ours; none named is parked."""
    named = http.query_of(router, UrlQuery)
    if named == UrlQuery():
        return NO_ID, NO_ID
    # Each key is tried, whichever matches: the time tells nothing.
    made_by = [webhook_signature.url_mac_matches(key.encode(), named.job, named.attempt, named.mac) for key in keys]
    if not any(made_by):
        raise Unauthorized("This webhook's URL was not made here.")
    return named.job, named.attempt


def _report(webhook_id: str, raw: bytes, job_id: str, attempt_id: str) -> WebhookReceived:
    try:
        said = Prediction.model_validate(top_level_texts(raw.decode(), Prediction.model_fields))
    except ValueError as error:
        raise InvalidRequest("A webhook's body is the prediction as a JSON object.") from error
    return WebhookReceived("replicate", webhook_id, said.id, said.status, job_id, attempt_id)


handler = observed(http.api_handler(router, lambda: ""))
