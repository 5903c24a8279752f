"""Runway over its official SDK, version 5.24.0. Contract: https://docs.dev.runwayml.com/api (2024-11-06).

The SDK would repeat a create by itself, without a key that makes it safe: retries are off. It does not escape ids,
and its types know today's statuses only: tasks are read as plain JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from shared.ports import Prediction

if TYPE_CHECKING:
    from runwayml import RunwayML

THROTTLED_SECONDS = 10
LONGEST_WAIT_SECONDS = 900
LONGEST_ERROR = 500
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# Tasks' statuses in the words all providers share here; a new one is a task that runs.
_ENDS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELLED": "canceled"}
# https://docs.dev.runwayml.com/errors/task-failures: what the input is to blame for is never tried again.
_INPUT_FAULTS = ("SAFETY", "INPUT", "ASSET")
_UNAVAILABLE = (402, 403, 404)


class RunwayProvider:
    """Implements `Provider`. `token` is asked before every call, as it may be rotated."""

    def __init__(self, token: Callable[[], str], base_url: str, *, timeout_seconds: float = 30.0) -> None:
        self._token, self._base_url, self._timeout_seconds = token, base_url, timeout_seconds

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:  # noqa: ARG002
        """`request` is `{"version": model, "input": {prompt?, image, ratio, duration?, seed?}}`."""
        given = request["input"]
        body = {
            "model": request["version"], "promptImage": given.get("image"), "promptText": given.get("prompt"),
            "ratio": given.get("ratio"), "duration": given.get("duration"), "seed": given.get("seed"),
        }  # fmt: skip
        sent = {name: value for name, value in body.items() if value is not None}
        answer = self._call(
            lambda client: client.post("/v1/image_to_video", cast_to=object, body=sent), ProviderRefused
        )
        if not isinstance(answer, dict) or not _ID.fullmatch(str(answer.get("id"))):
            raise AnswerLost("The provider's answer to a create cannot be read.")
        return Prediction(id=answer["id"], status="running", provider_status="pending")

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:  # noqa: ARG002
        """Runway lists no tasks: what became of a call without an answer cannot be found out."""
        return None

    def get(self, provider_id: str) -> Prediction:
        """Raises NotFound, ProviderRefused, ProviderBusy."""
        path = f"/v1/tasks/{_checked(provider_id)}"
        try:
            answer = self._call(lambda client: client.get(path, cast_to=object), NotFound)
        except AnswerLost as error:
            raise ProviderBusy(error.sentence) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
            raise ProviderBusy("The provider does not answer as it should; ask again.")
        return to_prediction(provider_id, answer)

    def cancel(self, provider_id: str) -> None:
        """Raises NotFound, ProviderRefused, ProviderBusy."""
        path = f"/v1/tasks/{_checked(provider_id)}"
        try:
            self._call(lambda client: client.delete(path, cast_to=object), NotFound)
        except AnswerLost as error:
            raise ProviderBusy(error.sentence) from None

    def _call(self, act: Callable[[RunwayML], Any], absent: type[ProductError]) -> Any:
        import httpx
        from runwayml import APIConnectionError, APIStatusError, RunwayML

        timeout = httpx.Timeout(self._timeout_seconds, connect=5.0)
        token = self._token()
        try:
            with RunwayML(api_key=token, base_url=self._base_url, max_retries=0, timeout=timeout) as client:
                return act(client)
        except APIStatusError as error:
            raise _refusal(error.status_code, error.response.headers, _reason(error.body, token), absent) from None
        except APIConnectionError as error:
            if isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout)):
                raise ProviderBusy("The provider cannot be reached.") from None
            raise AnswerLost("The provider's answer did not arrive.") from None


def to_prediction(provider_id: str, task: Mapping[str, Any]) -> Prediction:
    """A task as all providers' answers are read here."""
    status = _ENDS.get(task["status"], "running")
    code = str(task.get("failureCode") or "")
    outputs = task.get("output")
    return Prediction(
        id=provider_id,
        status=status,
        provider_status=status if status != "running" else task["status"].lower()[:32],
        outputs=tuple(url for url in outputs if isinstance(url, str)) if isinstance(outputs, list) else (),
        error=_failure(task, code) if status == "failed" else None,
        progress=_percent(task.get("progress")),
        predict_seconds=_charged(task.get("cost")),
        retryable=status == "failed" and not code.startswith(_INPUT_FAULTS),
    )


def _failure(task: Mapping[str, Any], code: str) -> str:
    return f"{task.get('failure') or 'The task failed.'} ({code or 'no code'})"[:LONGEST_ERROR]


def _percent(progress: Any) -> int | None:
    if isinstance(progress, bool) or not isinstance(progress, (int, float)):
        return None
    return int(min(max(progress, 0), 1) * 100)


def _charged(cost: Any) -> float | None:
    """Above 0 when credits were charged; Runway tells no seconds."""
    credits_ = cost.get("credits") if isinstance(cost, dict) else None
    return float(credits_) if isinstance(credits_, (int, float)) and credits_ > 0 else None


def _refusal(status: int, headers: Mapping[str, str], reason: str, absent: type[ProductError]) -> ProductError:
    if status == 429:
        told = headers.get("retry-after", "")
        seconds = min(int(told), LONGEST_WAIT_SECONDS) if told.isdigit() else THROTTLED_SECONDS
        return ProviderBusy("The provider throttles our calls.", code="provider_throttled", retry_after_seconds=seconds)
    if status >= 500 or status == 408:
        return AnswerLost(f"The provider answered {status}.")
    if status == 404 and absent is NotFound:
        return NotFound("The provider knows no such task.")
    code = "model_unavailable" if status in _UNAVAILABLE else None
    return ProviderRefused(f"The provider refused this ({status}): {reason}", code=code)


def _reason(body: Any, token: str) -> str:
    told = body.get("error") or body.get("detail") or body.get("message") if isinstance(body, dict) else body
    return " ".join(str(told or "no reason given").split()).replace(token, "***")[:LONGEST_ERROR]


def _checked(provider_id: str) -> str:
    if not _ID.fullmatch(provider_id):
        raise NotFound("The provider knows no such task.")
    return provider_id
