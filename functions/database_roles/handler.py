"""Makes the database's roles: at deploy, as a custom resource behind the CDK's framework, or when invoked."""

from __future__ import annotations

from typing import Any

from shared import bootstrap, config
from shared.observability import logger, observed

RESOURCE_ID = "vsl-database-roles"


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    handed = 0
    if event.get("RequestType") != "Delete":
        handed = bootstrap.make_database_roles(bootstrap.settings(config.DatabaseRoles))
    logger.info("database_roles_made", extra={"action": "database_roles", "handedOver": handed})
    return {"PhysicalResourceId": RESOURCE_ID, "Data": {"handedOver": handed}}
