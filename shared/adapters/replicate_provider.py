"""Replicate over its official SDK, version 1.0.7. Contract: https://replicate.com/docs/reference/http.

We go under the SDK's models and errors: they raise on the status `aborted` and drop the headers of a 429. Its
transport sleeps through an integer Retry-After without a cap, so ours is mounted in its place.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.replicate_answers import (
    THROTTLED_SECONDS,
    cursor_of,
    detail_of,
    object_of,
    rate_of,
    wait_seconds,
)
from shared.adapters.replicate_models import ReplicateModels
from shared.adapters.replicate_prediction import created_at, is_answer_to, is_prediction, to_prediction
from shared.adapters.secrets import check_base_url, checked_token, is_loopback
from shared.domain.errors import (
    PROVIDER_ERROR,
    AnswerLost,
    NotFound,
    ProductError,
    ProviderBusy,
    ProviderRefused,
)
from shared.ports import Prediction

if TYPE_CHECKING:
    import httpx

READ_TRIES = 3
MOST_PAGES = 40
# A call is claimed just before it is made: what it made appears within its timeouts and the clocks' skew.
EARLIEST = timedelta(seconds=60)
LATEST = timedelta(seconds=180)
CANCEL_AFTER_SECONDS = (5, 24 * 3600)
_FINISHED_ALREADY = (409, 422)
# No credit, no right, no such model or version.
_UNAVAILABLE = (402, 403, 404, 410)
_PERHAPS_NO_VERSION = (404, 422)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class ReplicateProvider:
    """Implements `Provider`. `token` is asked before every call, as it may be rotated.

    `base_url` is https, or http on loopback; a trailing `/v1` is optional. No connection outlives its call:
    one that an idle function kept may be dead, and then nobody would know what became of a create.
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
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._token, self._timeout_seconds, self._sleep = token, timeout_seconds, sleep
        self._kept: tuple[str, httpx.Client] | None = None

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:
        """`request` is `{"version": "owner/name" | "owner/name:hash" | hash, "input": {...}}`."""
        response = self._ask(request["version"], request, webhook_url, cancel_after_seconds)
        if response.status_code in _PERHAPS_NO_VERSION and (found := self._version_found(request["version"])):
            # A refused call has made nothing, so this one is its first.
            response = self._ask(found, request, webhook_url, cancel_after_seconds)
        self._refuse_client_error(response, absent=ProviderRefused)
        try:
            made = to_prediction(object_of(response))
        except ValueError:
            raise AnswerLost(f"The provider's answer to a create cannot be read ({response.status_code}).") from None
        remaining, reset_seconds = rate_of(response)
        return replace(made, rate_remaining=remaining, rate_reset_seconds=reset_seconds)

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:
        """By the `webhook` it shows; else the only one of this input and model made around `since`."""
        alike = []
        for entry in self._listed(since - EARLIEST):
            if entry.get("webhook") == webhook_url:
                return to_prediction(entry)
            if not entry.get("webhook") and is_answer_to(entry, request) and _before(entry, since + LATEST):
                alike.append(entry)
        if len(alike) > 1:
            raise AnswerLost(f"{len(alike)} predictions of this input were made at that time.")
        return to_prediction(alike[0]) if alike else None

    def get(self, provider_id: str) -> Prediction:
        """Raises NotFound, ProviderRefused (our token), ProviderBusy (ask again)."""
        try:
            return to_prediction(self.read(f"/v1/predictions/{_checked(provider_id)}"))
        except ValueError:
            raise _unreadable() from None

    def cancel(self, provider_id: str) -> None:
        """Raises NotFound, ProviderRefused (our token), ProviderBusy (ask again: twice is harmless)."""
        try:
            response = self._send("POST", f"/v1/predictions/{_checked(provider_id)}/cancel")
        except AnswerLost as error:
            raise ProviderBusy(error.sentence) from None
        if response.is_success or response.status_code in _FINISHED_ALREADY:
            return
        self._refuse_client_error(response)
        raise _unreadable()

    def _ask(
        self, version: str, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int
    ) -> httpx.Response:
        """One create. Raises as `_send`."""
        least, most = CANCEL_AFTER_SECONDS
        content = _json_bytes(
            {"version": version, "input": request["input"], **webhook_fields(webhook_url, self._base_url)}
        )
        headers = {
            "Content-Type": "application/json",
            "Cancel-After": f"{min(max(cancel_after_seconds, least), most)}s",
        }
        return self._send("POST", "/v1/predictions", content=content, headers=headers)

    def _version_found(self, version: str) -> str | None:
        """The latest version of a model that is not called by its name; None when the version is not what is wrong.

        Raises ProviderRefused when there is no such model or version.
        """
        if "/" not in version:
            return None
        try:
            called_as = ReplicateModels(self.read).describe(version).called_as
        except NotFound:
            raise ProviderRefused(
                f"The provider has no model or version {version}: correct `version` in the registry "
                "(owner/name takes the latest), then POST /jobs/{jobId}/retry.",
                code="model_unavailable",
            ) from None
        except (ProviderBusy, ProviderRefused):
            return None
        return called_as if called_as != version else None

    def _listed(self, until: datetime) -> Iterator[Mapping[str, Any]]:
        """Predictions, newest first, until one was made before `until`. Raises ProviderBusy if too far."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = self.read("/v1/predictions", {"cursor": cursor} if cursor else {})
            entries = page.get("results")
            if not isinstance(entries, list):
                raise _unreadable()
            recent = list(takewhile(lambda entry: not _made_before(entry, until), filter(is_prediction, entries)))
            yield from recent
            if len(recent) < sum(map(is_prediction, entries)):
                return
            cursor = cursor_of(page.get("next"))
            if cursor is None:
                return
        raise ProviderBusy("The provider lists too many predictions to find this one.")

    def read(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """A GET's JSON object. Raises NotFound, ProviderRefused, ProviderBusy."""
        for number in range(READ_TRIES):
            if number:
                self._sleep(0.2 * 2**number)
            try:
                response = self._send("GET", path, params=params or {})
                self._refuse_client_error(response)
                return object_of(response)
            except (AnswerLost, ValueError):
                continue
        raise _unreadable()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, once. Raises ProviderBusy when it did not leave, AnswerLost when it may have."""
        import httpx

        token = checked_token(self._token())
        try:
            response = self._client(token).request(method, path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ProviderBusy(f"The provider cannot be reached ({type(error).__name__}).") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise AnswerLost(f"The provider's answer did not arrive ({type(error).__name__}).") from None
        if response.status_code >= 500 or response.status_code == 408:
            raise AnswerLost(f"The provider answered {response.status_code}.", code=PROVIDER_ERROR)
        return response

    def _client(self, token: str) -> httpx.Client:
        import httpx
        from replicate.client import Client

        if self._kept is None or self._kept[0] != token:
            bare = httpx.HTTPTransport(retries=0, limits=httpx.Limits(max_keepalive_connections=0))
            sdk = Client(
                token,
                base_url=self._base_url,
                timeout=httpx.Timeout(self._timeout_seconds, connect=min(5.0, self._timeout_seconds)),
                transport=bare,
                mounts={"all://": bare},
                # Else a .netrc file would replace the token, and proxies of the environment would see it.
                trust_env=False,
            )
            self._kept = (token, sdk._client)
        return self._kept[1]

    def _refuse_client_error(self, response: httpx.Response, absent: type[ProductError] = NotFound) -> None:
        if response.status_code < 400:
            return
        detail = detail_of(response, checked_token(self._token()))
        if response.status_code == 429:
            raise ProviderBusy(
                "The provider throttles our calls.",
                code="provider_throttled",
                retry_after_seconds=wait_seconds(response, detail),
            )
        if response.status_code in _UNAVAILABLE and absent is ProviderRefused:
            sentence = f"The provider does not offer this model to us ({response.status_code}): {detail}"
            raise ProviderRefused(sentence, code="model_unavailable")
        kind = absent if response.status_code in (404, 410) else ProviderRefused
        raise kind(f"The provider refused this ({response.status_code}): {detail}")


def _json_bytes(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ProviderRefused(f"The request has no JSON form: {error}.") from None


def webhook_fields(webhook_url: str, base_url: str) -> dict[str, Any]:
    """What a create says of its webhook: nothing where the provider could not call the URL.

    Replicate refuses the whole create over a URL that is not https ("Invalid webhook URL"); one on loopback, a local
    stand-in, calls http there. Without a webhook the sweep asks what became of the call, and `find` goes by its input.
    """
    is_reachable = urlsplit(webhook_url).scheme == "https" or is_loopback(base_url)
    return {"webhook": webhook_url, "webhook_events_filter": ["start", "completed"]} if is_reachable else {}


def _before(entry: Mapping[str, Any], moment: datetime) -> bool:
    made = created_at(entry)
    return made is not None and made <= moment


def _made_before(entry: Mapping[str, Any], until: datetime) -> bool:
    made = created_at(entry)
    return made is not None and made < until


def _checked(provider_id: str) -> str:
    if not _ID.fullmatch(provider_id):
        raise NotFound("The provider knows no such prediction.")
    return provider_id


def _unreadable() -> ProviderBusy:
    return ProviderBusy("The provider does not answer as it should; ask again.", retry_after_seconds=THROTTLED_SECONDS)
