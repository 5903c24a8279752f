"""The minute sweep; and, for operators by direct invoke, the live view made anew."""

from __future__ import annotations

from typing import Any

from shared import bootstrap, config
from shared.domain.errors import ProductError
from shared.observability import logger, observed
from shared.usecases.manage_accounts import restore_keys
from shared.usecases.rebuild import Rebuilder
from shared.usecases.reconcile import Sweep


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    bootstrap.settings(config.Reconcile)
    if event.get("action") == "rebuild":
        return _rebuild(event.get("after"))
    turns = [bootstrap.turns("compile"), bootstrap.turns("inspect")]
    found = Sweep(bootstrap.records(), bootstrap.records().clock, bootstrap.aftermath(), turns).run()
    found["keys"] = restore_keys(bootstrap.records(), bootstrap.key_directory())
    logger.info("swept", extra={"action": "reconcile", **found})
    return found


def _rebuild(after: str | None) -> dict[str, Any]:
    try:
        return Rebuilder(bootstrap.records(), bootstrap.live_view(), bootstrap.status_cache()).page(after)
    except ProductError as error:
        return {"error": error.sentence, "code": error.code}
