"""Who calls: the key's SHA-256 is looked up; the answer covers the whole stage and is cached by the gateway."""

from __future__ import annotations

import hashlib
from typing import Any

from shared import bootstrap, config
from shared.domain.api_keys import keys_sent
from shared.observability import Refused, observed


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    bootstrap.settings(config.Authorizer)
    sent = keys_sent(event)
    # Of several values the gateway caches the answer under one of its own choice: none of them is an identity.
    found = bootstrap.key_directory().get(_hash(sent[0])) if len(sent) == 1 else None
    if found is None or "revokedAt" in found:
        # API Gateway turns exactly this message into its 401 response.
        raise Refused("Unauthorized")
    return {
        "principalId": found["accountId"],
        "usageIdentifierKey": found["usagePlanKey"],
        "context": {
            "accountId": found["accountId"],
            "scopes": " ".join(found["scopes"]),
            "keyId": found.get("keyId", ""),
        },
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": _stage_of(event["methodArn"])}
            ],
        },
    }


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _stage_of(method_arn: str) -> str:
    return "/".join(method_arn.split("/")[:2]) + "/*"
