"""The guarded way to a URL that somebody else named.

No cookies, no credentials, no proxy of the environment; errors name origins only, as paths may be secrets.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from shared.adapters.addresses import Resolver, addresses_of, system_resolver
from shared.adapters.magic_bytes import SNIFF_BYTES, is_plain_text, media_type
from shared.adapters.pinned_connection import Exchange, Watchdog
from shared.domain.addresses import AddressRefused, Target, parse_origin, parse_redirect, parse_url, source_problem
from shared.domain.errors import BadMedia, Conflict, DependencyDown, OutputGone, TooLarge
from shared.domain.room import within_room
from shared.ports import Fetched

MOST_REDIRECTS = 3
# A connection that brings something new is followed by another; a server that only ever cuts is not.
FRUITLESS_TRIES = 3
MOST_TRIES = 24
CHUNK_BYTES = 256 * 1024
TEXT_LIMIT_BYTES = 1024 * 1024
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_GONE = frozenset((401, 403, 404, 410))
_RETRYABLE = frozenset((408, 425, 429))
_HEADERS = {"User-Agent": "vsl-downloader/1", "Accept": "*/*", "Accept-Encoding": "identity"}
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"', re.ASCII)
_DATA_URI = re.compile(r"data:[A-Za-z0-9!#$&^_.+/;=-]*;base64,", re.ASCII | re.IGNORECASE)
_LONGEST_DATA_PREFIX = 200


class _Cut(Exception):
    """This try is over, the next may succeed. `reason` ends a sentence that starts with the origin."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class _Landing:
    """The file that grows, with its hash, and what the server said of the whole."""

    file: BinaryIO
    max_bytes: int
    text_allowed: bool
    is_wanted: Callable[[], bool]
    size_bytes: int = 0
    total_bytes: int | None = None
    entity_tag: str | None = None
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    head: bytes = b""

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size_bytes, self.total_bytes, self.entity_tag = 0, None, None
        self.digest, self.head = hashlib.sha256(), b""

    def add(self, chunk: bytes) -> None:
        if not self.is_wanted():
            raise Conflict("Nobody waits for this file any more.", code="stopped")
        self.size_bytes += len(chunk)
        self.refuse_over_limit(self.size_bytes)
        self.digest.update(chunk)
        with within_room():
            self.file.write(chunk)
        if len(self.head) < SNIFF_BYTES:
            self.head += chunk[: SNIFF_BYTES - len(self.head)]
            if len(self.head) == SNIFF_BYTES and not self.text_allowed:
                self.content_type()

    def refuse_over_limit(self, size_bytes: int) -> None:
        if size_bytes > self.max_bytes:
            raise TooLarge(f"The file is over the limit of {self.max_bytes} bytes.")

    def content_type(self) -> str:
        """By its bytes. Raises BadMedia."""
        found = media_type(self.head)
        if found is None and self.text_allowed and 0 < self.size_bytes <= TEXT_LIMIT_BYTES:
            self.file.seek(0)
            found = "text/plain" if is_plain_text(self.file.read()) else None
        if found is None:
            raise BadMedia("The file is no image, video or sound that is known here.")
        return found


class GuardedDownloader:
    """Implements `Downloader`.

    `allowed_origins` are exact (`https://host[:port]`; http only with a literal loopback address).
    `wall_seconds` bounds a whole fetch with its tries and redirects. A connection that brings less than
    `min_bytes_per_second` over `rate_window_seconds` is cut and tried again. `text_allowed` lets plain UTF-8
    text of up to 1 MiB pass as well. `any_https` opens every other https URL that leads to public addresses.
    """

    def __init__(
        self,
        *,
        allowed_origins: frozenset[str],
        max_bytes: int,
        wall_seconds: float,
        min_bytes_per_second: int,
        resolver: Resolver = system_resolver,
        text_allowed: bool = False,
        any_https: bool = False,
        rate_window_seconds: float = 10.0,
        backoff_seconds: float = 0.3,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._origins = frozenset(parse_origin(text).origin for text in allowed_origins)
        self._max_bytes, self._wall_seconds = max_bytes, wall_seconds
        self._window_seconds = rate_window_seconds
        self._window_bytes = min_bytes_per_second * rate_window_seconds
        self._resolver, self._text_allowed, self._any_https = resolver, text_allowed, any_https
        self._backoff_seconds, self._tls = backoff_seconds, tls

    def fetch(self, url: str, folder: Path, is_wanted: Callable[[], bool] = lambda: True) -> Fetched:
        """Brings `url` (http, https or base64 `data:`) into a new file of mode 0600 in `folder`."""
        path = folder / secrets.token_hex(16)
        with within_room(), _private_file(path) as file:
            landing = _Landing(file, self._max_bytes, self._text_allowed, is_wanted)
            if url[:5].lower() == "data:":
                _decode(url, landing)
            else:
                self._follow(self._allowed(parse_url(url)), landing)
            content_type = landing.content_type()
        return Fetched(path, landing.size_bytes, landing.digest.hexdigest(), content_type)

    def _allowed(self, target: Target) -> Target:
        if target.origin in self._origins:
            return target
        if not self._any_https:
            raise AddressRefused(f"{target.origin} is not where this provider keeps outputs.")
        if problem := source_problem(target, self._origins):
            raise AddressRefused(f"{target.origin} {problem}.")
        return target

    def _follow(self, target: Target, landing: _Landing) -> None:
        with Watchdog(self._wall_seconds) as watchdog:
            for _ in range(MOST_REDIRECTS + 1):
                location = self._bring(target, landing, watchdog)
                if location is None:
                    return
                target = self._allowed(parse_redirect(target, location))
        raise BadMedia(f"{target.origin} redirects more than {MOST_REDIRECTS} times.")

    def _bring(self, target: Target, landing: _Landing, watchdog: Watchdog) -> str | None:
        """Brings the body, over as many connections as it takes; or the Location of a redirect."""
        # Resolved once: every try connects to these, whatever the name says by then.
        addresses = addresses_of(target, self._resolver)
        landing.restart()
        tls = self._tls() if target.scheme == "https" else None
        fruitless, best = 0, 0
        for number in range(MOST_TRIES):
            address = addresses[number % len(addresses)]
            try:
                with Exchange(target, address, self._window_seconds, watchdog, tls) as exchange:
                    return self._try(exchange, target, landing, watchdog)
            except _Cut as cut:
                reason = cut.reason
            except (HTTPError, HTTPException, OSError) as error:
                reason = f"cut the connection ({type(error).__name__})"
            fruitless = 0 if landing.size_bytes > best else fruitless + 1
            best = max(best, landing.size_bytes)
            if watchdog.expired or fruitless >= max(FRUITLESS_TRIES, len(addresses)):
                break
            time.sleep(self._backoff_seconds * 2**fruitless)
        if watchdog.expired:
            reason = f"took longer than {self._wall_seconds:g} seconds"
        raise DependencyDown(f"{target.origin} {reason}.", retry_after_seconds=10)

    def _try(self, exchange: Exchange, target: Target, landing: _Landing, watchdog: Watchdog) -> str | None:
        headers = dict(_HEADERS)
        if landing.size_bytes and landing.entity_tag:
            headers |= {"Range": f"bytes={landing.size_bytes}-", "If-Range": landing.entity_tag}
        else:
            landing.restart()
        response = exchange.get(headers)
        if response.status in _REDIRECTS:
            return _location(response, target)
        _refuse_status(response.status, target)
        _expect(response, landing)
        self._receive(response, landing)
        # A cut by our own watchdog looks like an ordinary end where no length was announced.
        if watchdog.expired or landing.total_bytes not in (None, landing.size_bytes):
            raise _Cut("sent less than it announced")
        return None

    def _receive(self, response: BaseHTTPResponse, landing: _Landing) -> None:
        since, at_since = time.monotonic(), landing.size_bytes
        while chunk := response.read1(CHUNK_BYTES, decode_content=False):
            landing.add(chunk)
            if time.monotonic() - since < self._window_seconds:
                continue
            if landing.size_bytes - at_since < self._window_bytes:
                raise _Cut("sends too slowly")
            since, at_since = time.monotonic(), landing.size_bytes


def _location(response: BaseHTTPResponse, target: Target) -> str:
    """The one Location of a redirect; two would be joined into an address that nobody sent."""
    sent = set(response.headers.getlist("Location"))
    if len(sent) != 1:
        raise BadMedia(f"{target.origin} redirects ({response.status}) without one Location.")
    return sent.pop()


def _refuse_status(status: int, target: Target) -> None:
    if status in _GONE:
        raise OutputGone(f"{target.origin} does not have the file ({status}).")
    if status >= 500 or status in _RETRYABLE or status == 416:
        raise _Cut(f"answers {status}")
    if status not in (200, 206):
        raise BadMedia(f"{target.origin} answers {status} instead of the file.")


def _expect(response: BaseHTTPResponse, landing: _Landing) -> None:
    """Notes the announced size. Anything but the continuation that was asked for starts the file again."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise BadMedia("The file comes in a content coding that was not asked for.")
    if response.status == 206:
        _expect_rest(headers.get("Content-Range", ""), headers.get("ETag"), landing)
    else:
        landing.restart()
        landing.total_bytes = _announced(headers.get("Content-Length"), headers.get("Transfer-Encoding"))
        tag = headers.get("ETag", "")
        landing.entity_tag = tag if _STRONG_TAG.fullmatch(tag) else None
    if landing.total_bytes is not None:
        landing.refuse_over_limit(landing.total_bytes)


def _expect_rest(content_range: str, tag: str | None, landing: _Landing) -> None:
    match = _CONTENT_RANGE.fullmatch(content_range)
    same = landing.entity_tag is not None and tag in (None, landing.entity_tag)
    if match is None or not same or int(match[1]) != landing.size_bytes or match[3] == "*":
        landing.restart()
        raise _Cut("continues with another range than was asked for")
    landing.total_bytes = int(match[3])


def _announced(length: str | None, transfer_encoding: str | None) -> int | None:
    if length is None or transfer_encoding is not None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", length, re.ASCII):
        raise BadMedia("The file's announced length is no number.")
    return int(length)


def _decode(url: str, landing: _Landing) -> None:
    match = _DATA_URI.match(url[:_LONGEST_DATA_PREFIX])
    if match is None:
        raise BadMedia("The file is a data URI without base64 content.")
    landing.refuse_over_limit((len(url) - match.end()) // 4 * 3 - 2)
    try:
        landing.add(base64.b64decode(url[match.end() :], validate=True))
    except ValueError:
        raise BadMedia("The file is a data URI with broken base64.") from None


@contextmanager
def _private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only this user can read; removed again when the block fails."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
