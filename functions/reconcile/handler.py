"""The minute sweep."""

from __future__ import annotations

from typing import Any

from shared import bootstrap, config
from shared.observability import logger
from shared.usecases.reconcile import Sweep


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    bootstrap.settings(config.Reconcile)
    found = Sweep(bootstrap.records(), bootstrap.clock(), bootstrap.aftermath()).run()
    logger.info("swept", extra={"action": "reconcile", **found})
    return found
