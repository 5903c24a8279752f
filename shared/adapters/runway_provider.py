"""Runway over its official SDK, version 5.24.0. Contract: https://docs.dev.runwayml.com/api (2024-11-06).

The SDK would repeat a create by itself, without a key that makes it safe: retries are off. It does not escape ids,
its types know today's statuses only, and its wait never ends for a cancelled task: tasks are read as plain JSON.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.secrets import check_base_url, checked_token
from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from shared.ports import Prediction

if TYPE_CHECKING:
    import httpx
    from runwayml import RunwayML

    Act = Callable[[RunwayML, type[httpx.Response]], httpx.Response]

READ_TRIES = 3
THROTTLED_SECONDS = 10
LONGEST_WAIT_SECONDS = 900
LONGEST_ERROR = 500
# Runway tells no seconds of its work: any above 0 say that it charged for it.
CHARGED_SECONDS = 1.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
# Tasks' statuses in the words all providers share here; a new one is a task that runs.
_ENDS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELLED": "canceled"}
# https://docs.dev.runwayml.com/errors/task-failures: what the input is to blame for is never tried again.
_INPUT_FAULTS = frozenset(("SAFETY", "ASSET"))
# No credit, no right, no such model.
_UNAVAILABLE = (402, 403, 404)
_INPUTS = {"image": "promptImage", "prompt": "promptText", "ratio": "ratio", "duration": "duration", "seed": "seed"}


class RunwayProvider:
    """Implements `Provider`. `token` is asked before every call, as it may be rotated.

    `base_url` is https, or http on loopback. No connection outlives its call, as for Replicate.
    """

    def __init__(
        self,
        token: Callable[[], str],
        base_url: str,
        *,
        timeout_seconds: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        check_base_url(base_url)
        self._token, self._base_url, self._timeout_seconds, self._sleep = token, base_url, timeout_seconds, sleep

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:  # noqa: ARG002
        """`request` is `{"version": model, "input": {prompt?, image?, ratio, duration?, seed?}}`."""
        given = request["input"]
        sent = {theirs: given[ours] for ours, theirs in _INPUTS.items() if given.get(ours) not in (None, "")}
        body = {"model": request["version"], **sent}
        path = "/v1/image_to_video" if "promptImage" in sent else "/v1/text_to_video"
        answer = self._call(lambda sdk, kind: sdk.post(path, cast_to=kind, body=body), ProviderRefused)
        task_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
            raise AnswerLost("The provider's answer to a create cannot be read.")
        return Prediction(id=task_id, status="running", provider_status="pending")

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:  # noqa: ARG002
        """Raises AnswerLost, always."""
        raise AnswerLost("Runway lists no tasks: what became of this call cannot be found out.")

    def get(self, provider_id: str) -> Prediction:
        """Raises NotFound, ProviderRefused (our token), ProviderBusy (ask again)."""
        path = f"/v1/tasks/{_checked(provider_id)}"
        answer = self._ask(lambda sdk, kind: sdk.get(path, cast_to=kind))
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
            raise ProviderBusy("The provider does not answer as it should; ask again.")
        return to_prediction(provider_id, answer)

    def cancel(self, provider_id: str) -> Prediction | None:
        """What the task had come to, for once stopped it cannot be read; None when it had ended.

        Runway refunds what had not begun to run. Raises NotFound, ProviderRefused, ProviderBusy.
        """
        seen = self.get(provider_id)
        if seen.status != "running":
            return None
        # Not there any more: an earlier DELETE did it, whose answer was lost.
        with suppress(NotFound):
            self._ask(lambda sdk, kind: sdk.delete(f"/v1/tasks/{provider_id}", cast_to=kind))
        charged = None if seen.provider_status in ("pending", "throttled") else CHARGED_SECONDS
        return replace(seen, status="canceled", provider_status="canceled", predict_seconds=charged)

    def _ask(self, act: Act) -> Any:
        """Of a task: harmless to repeat."""
        for number in range(READ_TRIES):
            if number:
                self._sleep(0.2 * 2**number)
            try:
                return self._call(act, NotFound)
            except AnswerLost:
                continue
        raise ProviderBusy("The provider does not answer as it should; ask again.")

    def _call(self, act: Act, absent: type[ProductError]) -> Any:
        """One request, once: JSON, or None. Raises ProviderBusy when it did not leave, AnswerLost when it may have."""
        import httpx
        from runwayml import APIConnectionError, APIStatusError, RunwayML

        token, url, timeout = checked_token(self._token()), self._base_url, self._timeout
        try:
            with self._bare() as bare:
                sdk = RunwayML(api_key=token, base_url=url, max_retries=0, timeout=timeout, http_client=bare)
                return _json_of(act(sdk, httpx.Response))
        except APIStatusError as error:
            raise _refusal(error.status_code, error.response.headers, _reason(error.body, token), absent) from None
        except APIConnectionError as error:
            if isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout)):
                raise ProviderBusy("The provider cannot be reached.") from None
            raise AnswerLost("The provider's answer did not arrive.") from None

    def _bare(self) -> httpx.Client:
        import httpx

        # Else a .netrc file would replace the token, and proxies of the environment would see it.
        return httpx.Client(timeout=self._timeout, trust_env=False, follow_redirects=False)

    @property
    def _timeout(self) -> httpx.Timeout:
        import httpx

        return httpx.Timeout(self._timeout_seconds, connect=min(5.0, self._timeout_seconds))


def to_prediction(provider_id: str, task: Mapping[str, Any]) -> Prediction:
    """A task as all providers' answers are read here. Fields that are missing, new or odd are never an error."""
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
        predict_seconds=CHARGED_SECONDS if _credits(task.get("cost")) > 0 else None,
        retryable=status == "failed" and not _INPUT_FAULTS & set(code.split(".")),
    )


def _failure(task: Mapping[str, Any], code: str) -> str:
    return f"{task.get('failure') or 'The task failed.'} ({code or 'no code'})"[:LONGEST_ERROR]


def _percent(progress: Any) -> int | None:
    if isinstance(progress, bool) or not isinstance(progress, (int, float)):
        return None
    return round(min(max(progress, 0), 1) * 100)


def _credits(cost: Any) -> float:
    """What was charged; 0 where it is not told."""
    told = cost.get("credits") if isinstance(cost, dict) else None
    return float(told) if isinstance(told, (int, float)) else 0.0


def _json_of(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, headers: Mapping[str, str], reason: str, absent: type[ProductError]) -> ProductError:
    if status == 429:
        told = headers.get("retry-after", "")
        seconds = min(int(told), LONGEST_WAIT_SECONDS) if _SECONDS.fullmatch(told) else THROTTLED_SECONDS
        return ProviderBusy("The provider throttles our calls.", code="provider_throttled", retry_after_seconds=seconds)
    # Runway calls 502 to 504 safe to send again (https://docs.dev.runwayml.com/api-details/errors), but a proxy on the
    # way gives them too, when the connection behind it broke after the request was passed on.
    if status < 400 or status >= 500 or status == 408:
        return AnswerLost(f"The provider answered {status}.")
    if status == 404 and absent is NotFound:
        return NotFound("The provider knows no such task.")
    code = "model_unavailable" if status in _UNAVAILABLE else None
    return ProviderRefused(f"The provider refused this ({status}): {reason}", code=code)


def _reason(body: Any, token: str) -> str:
    """The `error` of Runway's body, and where it names them the fields that are wrong."""
    told = body.get("error") if isinstance(body, dict) else body
    issues = body.get("issues") if isinstance(body, dict) else None
    named = [_issue(issue) for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    text = "; ".join([str(told or "no reason given"), *named])
    return " ".join(text.split()).replace(token, "***")[:LONGEST_ERROR]


def _issue(issue: Mapping[str, Any]) -> str:
    path = issue.get("path")
    return f"{'.'.join(map(str, path)) if isinstance(path, list) else 'body'}: {issue.get('message')}"


def _checked(provider_id: str) -> str:
    if not _ID.fullmatch(provider_id):
        raise NotFound("The provider knows no such task.")
    return provider_id
