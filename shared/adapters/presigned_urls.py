"""Presigned URLs for GET that stay the same for a while: signed as of the start of a window, not of now.

The SDK signs as of now, so that two answers a second apart have different URLs. Query string authentication of AWS
Signature Version 4 (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html) is a few hashes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from botocore.credentials import ReadOnlyCredentials

from shared.ports import Clock

# A URL of an hour has at least 45 minutes left when it is given out.
SIGNING_WINDOW_SECONDS = 900
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Signs with the credentials of the moment: a URL changes with them, as it also ends with them."""

    credentials: Callable[[], ReadOnlyCredentials]
    region: str
    clock: Clock

    def sign(self, url: str, seconds: int) -> str:
        """The URL, which has no query, signed for so long from the start of this window."""
        now = int(self.clock.now().timestamp())
        start = datetime.fromtimestamp(now - now % SIGNING_WINDOW_SECONDS, UTC)
        return presigned(url, self.credentials(), self.region, start, seconds)


def presigned(url: str, credentials: ReadOnlyCredentials, region: str, at: datetime, seconds: int) -> str:
    """The URL, which has no query, with which anybody may GET the object for so many seconds after `at`."""
    target, moment = urlsplit(url), at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    parameters = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.token:
        parameters["X-Amz-Security-Token"] = credentials.token
    query = _encoded(parameters)
    request = f"GET\n{target.path}\n{query}\nhost:{target.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return f"{url}?{query}&X-Amz-Signature={_signature(str(credentials.secret_key), scope, text)}"


def _encoded(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='-._~')}" for name, value in sorted(parameters.items()))


def _signature(secret: str, scope: str, text: str) -> str:
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
