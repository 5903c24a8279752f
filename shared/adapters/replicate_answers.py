"""What an HTTP answer of Replicate says, whatever it holds. https://replicate.com/docs/reference/http"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from shared.adapters.replicate_prediction import LONGEST_ERROR
from shared.domain.json_text import parse_json

if TYPE_CHECKING:
    import httpx

# With low credit there are 6 calls a minute.
THROTTLED_SECONDS = 10
LONGEST_WAIT_SECONDS = 900
_RESETS_IN = re.compile(r"resets? in ~?\s*([0-9]{1,6})\s*s", re.ASCII | re.IGNORECASE)


def object_of(response: httpx.Response) -> Mapping[str, Any]:
    """Raises ValueError when a success holds no JSON object."""
    try:
        body = parse_json(response.content) if 200 <= response.status_code < 300 else None
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        raise ValueError("no JSON object")
    return body


def detail_of(response: httpx.Response, token: str) -> str:
    """The reason of a refusal, without our token."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return "no reason given"
    if isinstance(body, dict):
        body = body.get("detail") or body.get("title") or body
    text = body if isinstance(body, str) else json.dumps(body)
    return " ".join(text.split()).replace(token, "***")[:LONGEST_ERROR]


def wait_seconds(response: httpx.Response, detail: str) -> int:
    """Of a 429: from Retry-After (seconds or date), ratelimit-reset, or the sentence; between 1 and 900."""
    headers = response.headers
    told = (
        _seconds(headers.get("retry-after"), headers.get("date"))
        or _seconds(headers.get("ratelimit-reset"), None)
        or next((int(text) for text in _RESETS_IN.findall(detail)), None)
        or THROTTLED_SECONDS
    )
    return min(max(told, 1), LONGEST_WAIT_SECONDS)


def rate_of(response: httpx.Response) -> tuple[int | None, int | None]:
    """Calls left until the limit is filled up again, and in how many seconds that is; None where it is not said."""
    told = [_seconds(response.headers.get(f"ratelimit-{name}"), None) for name in ("remaining", "reset")]
    if None in told:
        return None, None
    return told[0], min(told[1] or 0, LONGEST_WAIT_SECONDS)


def cursor_of(following: Any) -> str | None:
    """Of a page's `next` only the cursor: the token goes to our base URL and nowhere else."""
    if not isinstance(following, str):
        return None
    return next(iter(parse_qs(urlsplit(following).query).get("cursor", [])), None)


def _seconds(value: str | None, sent_at: str | None) -> int | None:
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip(), re.ASCII):
        return int(value)
    try:
        # Both by the provider's clock, so ours does not matter.
        return round((parsedate_to_datetime(value) - parsedate_to_datetime(sent_at or "")).total_seconds())
    except (TypeError, ValueError):
        return None
