"""By schedule, outside: what the providers' models are and take."""

from __future__ import annotations

from typing import Any

from shared import bootstrap, config
from shared.observability import logger, observed
from shared.usecases.refresh_schemas import refresh_schemas


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    bootstrap.settings(config.ProviderCatalog)
    found = refresh_schemas(
        catalog=bootstrap.catalog(), source=bootstrap.model_source(), media=bootstrap.media(), clock=bootstrap.clock()
    )
    logger.info("catalog_refreshed", extra={"action": "provider_catalog", **found})
    return found
