"""Brings the schema up to date: as a CloudFormation custom resource at deploy, or when invoked."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from shared import bootstrap, config
from shared.observability import logger, observed

RESOURCE_ID = "vsl-schema"


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if not str(event.get("ResponseURL", "")).startswith("http"):
        # The CDK's framework keeps the address, and answers there, whatever becomes of this function.
        return _applied(event, context)
    try:
        answer = _applied(event, context)
    except Exception as error:
        # A custom resource without an answer keeps its stack waiting.
        logger.exception("migration_failed")
        _tell(event, "FAILED", f"{type(error).__name__}: see the log of this function")
        return {"PhysicalResourceId": RESOURCE_ID}
    _tell(event, "SUCCESS", "up to date")
    return answer


def _applied(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The migrations that were applied: none for a stage that is taken down, which loses or keeps its database."""
    applied: list[str] = []
    if event.get("RequestType") != "Delete":
        bootstrap.lambda_seconds_left(context)
        applied = bootstrap.apply_migrations(bootstrap.settings(config.Migrate).database_url)
    return {"PhysicalResourceId": RESOURCE_ID, "Data": {"applied": len(applied)}, "applied": applied}


def _tell(event: dict[str, Any], status: str, reason: str) -> None:
    """CloudFormation, which called by itself: on the local stack, and for what an earlier release has deployed."""
    body: dict[str, Any] = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": RESOURCE_ID,
        "StackId": event.get("StackId"),
        "RequestId": event.get("RequestId"),
        "LogicalResourceId": event.get("LogicalResourceId"),
        "Data": {},
    }
    request = urllib.request.Request(
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=30):
        pass
