"""Access keys the server knows: the account's root, and the sessions of roles it was told of.

MiniStack makes the secret of a session key at random and gives it to nobody but the caller of AssumeRole
(version 1.5.33, services/sts.py). So whoever assumes a role for the functions, the local runner, hands each
session on over the control port (see control.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from local.s3.errors import Refused

_KEPT_AFTER_EXPIRY_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Credential:
    """A key pair. Root has neither token, role nor end; `expires_at` is Unix time in seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    role_arn: str | None = None
    expires_at: float | None = None


class Keyring:
    """Known keys. Sessions live in memory: they end with the stack that issued them."""

    def __init__(self, root: Credential) -> None:
        self._known = {root.access_key_id: root}

    def add(self, credential: Credential) -> None:
        """Learns a session, and forgets those that ended long ago."""
        oldest = time.time() - _KEPT_AFTER_EXPIRY_SECONDS
        self._known = {key: known for key, known in self._known.items() if (known.expires_at or oldest) >= oldest}
        self._known[credential.access_key_id] = credential

    def find(self, access_key_id: str, session_token: str | None, now: float) -> Credential:
        """Raises InvalidAccessKeyId, InvalidToken, ExpiredToken."""
        known = self._known.get(access_key_id)
        if known is None or (known.session_token and not session_token):
            raise Refused("InvalidAccessKeyId", AWSAccessKeyId=access_key_id)
        if known.session_token != session_token:
            raise Refused("InvalidToken")
        if known.expires_at is not None and now > known.expires_at:
            raise Refused("ExpiredToken")
        return known
