"""One request as S3 reads it, and the answers it can be given."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from aiohttp import web

from local.s3.documents import Content, document
from local.s3.errors import Refused

if TYPE_CHECKING:
    from local.s3.signatures import Signature

MAX_KEY_BYTES = 1024
XML = {"Content-Type": "application/xml"}


@dataclass(frozen=True)
class Call:
    """`path` is percent-decoded; `bucket` and `key` are empty where the path names none.

    `common_headers` go into every answer. `signature` is None only before the caller is known and for forms.
    """

    request: web.BaseRequest
    path: str
    bucket: str
    key: str
    pairs: tuple[tuple[str, str], ...]
    signature: Signature | None = None
    request_id: str = field(default_factory=lambda: secrets.token_hex(8).upper())
    common_headers: dict[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def query(self) -> dict[str, str]:
        """By name, the first value."""
        return dict(reversed(self.pairs))

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def waits_to_continue(self) -> bool:
        """The client sends its body only when told to (RFC 9110, 10.1.1)."""
        return self.headers.get("Expect", "").lower() == "100-continue"

    def number(self, name: str, usual: int, most: int) -> int:
        """A count from the query. Raises InvalidArgument unless it is between 0 and 2^31 - 1."""
        text = self.query.get(name, str(usual))
        if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
            raise Refused(
                "InvalidArgument",
                f"Provided {name} not an integer or within integer range",
                ArgumentName=name,
                ArgumentValue=text,
            )
        return min(int(text), most)

    def response(
        self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> web.Response:
        return web.Response(status=status, headers={**self.common_headers, **(headers or {})}, body=body)

    def xml(self, name: str, content: Mapping[str, Content], headers: Mapping[str, str] | None = None) -> web.Response:
        """200 and a document."""
        return self.response(200, {**XML, **(headers or {})}, document(name, content))

    def refusal(self, refused: Refused) -> web.Response:
        """The error as S3 words it; HEAD and 304 have no body to word it in."""
        if self.method == "HEAD" or refused.status == 304:
            return self.response(refused.status)
        content = {
            "Code": refused.code,
            "Message": refused.message,
            **refused.details,
            "Resource": self.path,
            "RequestId": self.request_id,
            "HostId": "local",
        }
        return self.response(refused.status, XML, document("Error", content, namespace=None))


def read_call(request: web.BaseRequest) -> Call:
    """Raises InvalidURI when path or query are not UTF-8, KeyTooLongError."""
    target = urlsplit(request.raw_path) if request.raw_path.startswith("http") else None
    raw_path, _, raw_query = (target.path, "?", target.query) if target else request.raw_path.partition("?")
    try:
        path = unquote_to_bytes(raw_path).decode()
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise Refused("InvalidURI") from error
    bucket, _, key = path.removeprefix("/").partition("/")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise Refused("KeyTooLongError", Size=len(key.encode()), MaxSizeAllowed=MAX_KEY_BYTES)
    return Call(request, path, bucket, key, tuple(pairs))
