"""Turns what a proxy function returned into an HTTP answer, as API Gateway reads it."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from local.runtime.events import Call
from local.runtime.refusals import Refusal

# Headers a function may not set itself: they come back under this prefix.
_REMAPPED_PREFIX = "x-amzn-Remapped-"
_REMAPPED = frozenset({"connection", "content-length", "date", "server", "www-authenticate"})


def proxy_answer(payload: bytes, call: Call, binary_media_types: frozenset[str]) -> web.Response:
    """Raises Refusal INTEGRATION_FAILURE for what is no proxy response."""
    answer = _parsed(payload)
    headers = CIMultiDict(_headers(answer))
    headers.setdefault("Content-Type", "application/json")
    body = _body(answer, call, binary_media_types)
    return web.Response(status=_status(answer), headers=headers, body=body)


def is_binary(media_type: str | None, binary_media_types: frozenset[str]) -> bool:
    """Whether the first of the media types in a header value is one the API treats as binary."""
    first = (media_type or "").split(",")[0].split(";")[0].strip().lower()
    family = first.split("/")[0] + "/*"
    return bool(first and binary_media_types & {first, family}) or "*/*" in binary_media_types


def _parsed(payload: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(payload)
    except ValueError as error:
        raise Refusal("INTEGRATION_FAILURE") from error
    if not isinstance(answer, dict):
        raise Refusal("INTEGRATION_FAILURE")
    return answer


def _status(answer: Mapping[str, Any]) -> int:
    try:
        status = int(answer["statusCode"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal("INTEGRATION_FAILURE") from error
    if not 100 <= status <= 599:
        raise Refusal("INTEGRATION_FAILURE")
    return status


def _headers(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Both maps together; a value given in both comes once."""
    single, multiple = answer.get("headers") or {}, answer.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise Refusal("INTEGRATION_FAILURE")
    listed = [*((name, [value]) for name, value in single.items()), *multiple.items()]
    if not all(isinstance(values, list) for _, values in listed):
        raise Refusal("INTEGRATION_FAILURE")
    pairs = [(name, _header_text(value)) for name, values in listed for value in values]
    distinct = {(name.lower(), value): (_outward(name), value) for name, value in pairs}
    return list(distinct.values())


def _header_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise Refusal("INTEGRATION_FAILURE")


def _outward(name: str) -> str:
    return f"{_REMAPPED_PREFIX}{name}" if name.lower() in _REMAPPED else name


def _body(answer: Mapping[str, Any], call: Call, binary_media_types: frozenset[str]) -> bytes:
    """Base64 is decoded only for a caller whose Accept names a binary media type of the API."""
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise Refusal("INTEGRATION_FAILURE")
    if not answer.get("isBase64Encoded") or not is_binary(call.header("Accept"), binary_media_types):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise Refusal("INTEGRATION_FAILURE") from error
