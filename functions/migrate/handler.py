"""Brings the schema up to date: as a CloudFormation custom resource at deploy, or when invoked."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from shared import bootstrap, config
from shared.observability import logger, observed


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if event.get("RequestType") == "Delete":
        return _respond(event, "SUCCESS", "nothing to undo")
    try:
        applied = bootstrap.apply_migrations(bootstrap.settings(config.Migrate).database_url)
    except Exception as error:
        # A custom resource without an answer keeps its stack waiting for an hour.
        if "ResponseURL" not in event:
            raise
        logger.exception("migration_failed")
        return _respond(event, "FAILED", f"{type(error).__name__}: see the log of this function")
    return _respond(event, "SUCCESS", f"applied {len(applied)}") | {"applied": applied}


def _respond(event: dict[str, Any], status: str, reason: str) -> dict[str, Any]:
    """Tells CloudFormation; its URL is a presigned S3 one, within reach of the S3 endpoint."""
    body: dict[str, Any] = {
        "Status": status, "Reason": reason, "PhysicalResourceId": "vsl-schema",
        "StackId": event.get("StackId"), "RequestId": event.get("RequestId"),
        "LogicalResourceId": event.get("LogicalResourceId"), "Data": {},
    }  # fmt: skip
    if "ResponseURL" in event:
        request = urllib.request.Request(
            event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
        )
        with urllib.request.urlopen(request, timeout=30):
            pass
    return {"status": status, "reason": reason}
