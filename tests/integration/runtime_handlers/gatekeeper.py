"""A REQUEST authorizer: the key itself says what is to be answered. Counts its runs in a file."""

import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    key = event["headers"]["X-API-Key"]
    with Path(os.environ["RUNS_FILE"]).open("a") as runs:
        runs.write(f"{key}\n")
    if key == "unknown":
        raise Exception("Unauthorized")
    if key == "broken":
        raise ValueError("no database")
    effect = "Deny" if key == "denied" else "Allow"
    stage = "/".join(event["methodArn"].split("/")[:2])
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{stage}/*"}
    return {
        "principalId": f"user-{key}",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"scopes": "read", "limit": 3, "isAdmin": False},
        "usageIdentifierKey": f"plan-{key}",
    }
