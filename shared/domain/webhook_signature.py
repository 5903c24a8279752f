"""Who sent a webhook: Standard Webhooks signatures, and the MAC that ties a webhook URL to one attempt.

The package `standardwebhooks` 1.1.0 reads the clock by itself and decodes the body before it is authentic, so
the few lines of HMAC are here. Rules: https://www.standardwebhooks.com, "Signature scheme".
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from shared.domain.errors import Unauthorized

TOLERANCE_SECONDS = 300
MOST_SIGNATURES = 16
# The delimiter of the signed content is a dot, so an id that held one could be shifted into the timestamp.
_ID = re.compile(r"[A-Za-z0-9_\-]{1,128}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> str:
    """The webhook's id, when one of `secrets` (`whsec_` + base64) signed these bytes within 300 s of `now`.

    Header names in any case; several signatures by spaces; only version `v1` counts. Raises Unauthorized.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    webhook_id, seconds = lower.get("webhook-id") or "", lower.get("webhook-timestamp") or ""
    if not _ID.fullmatch(webhook_id) or not _SECONDS.fullmatch(seconds):
        raise _unauthorized()
    if abs(now.timestamp() - int(seconds)) > TOLERANCE_SECONDS:
        raise Unauthorized("The webhook's timestamp is more than 5 minutes away from now.")
    given = tuple(_signatures(lower.get("webhook-signature") or ""))
    if not given:
        raise _unauthorized()
    expected = [_signature(key, f"{webhook_id}.{seconds}.".encode(), body) for key in _keys(secrets)]
    # Every pair is compared, whichever matches: the time tells nothing.
    matches = sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given)
    if not matches:
        raise _unauthorized()
    return webhook_id


def url_mac(key: bytes, job_id: str, attempt_id: str) -> str:
    """43 characters of base64url that only the holder of `key` can make for this job and attempt.

    Raises ValueError without a key.
    """
    if not key:
        raise ValueError("The key of webhook URLs is empty.")
    # JSON keeps ("ab", "c") apart from ("a", "bc") and has a form for every string.
    content = json.dumps(["webhook-url", job_id, attempt_id]).encode()
    return base64.urlsafe_b64encode(hmac.digest(key, content, "sha256")).rstrip(b"=").decode()


def url_mac_matches(key: bytes, job_id: str, attempt_id: str, mac: str) -> bool:
    """Whether `mac` was made here for this job and attempt; compared in constant time. Raises as `url_mac`."""
    return hmac.compare_digest(url_mac(key, job_id, attempt_id).encode(), mac.encode("utf-8", "replace"))


def _signatures(header: str) -> Iterator[bytes]:
    for part in header.split(" ")[:MOST_SIGNATURES]:
        version, _, text = part.partition(",")
        decoded = _decoded(text) if version == "v1" else b""
        if len(decoded) == sha256().digest_size:
            yield decoded


def _signature(key: bytes, prefix: bytes, body: bytes) -> bytes:
    """The signature of both parts together, without a copy of the body."""
    signed = hmac.new(key, prefix, "sha256")
    signed.update(body)
    return signed.digest()


def _keys(secrets: Sequence[str]) -> Iterator[bytes]:
    # An empty key would let everybody sign; an unreadable one must not stop the others during a rotation.
    for secret in secrets:
        key = _decoded(secret.strip().removeprefix("whsec_"))
        if key:
            yield key


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _unauthorized() -> Unauthorized:
    return Unauthorized("The webhook's signature does not match.")
