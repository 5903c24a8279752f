"""Accounts and keys, for operators by direct invoke: never a route."""

from __future__ import annotations

from typing import Any

from shared import bootstrap, config
from shared.domain.errors import ProductError
from shared.usecases import manage_accounts


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    bootstrap.settings(config.Account)
    try:
        return manage_accounts.act(event, records=bootstrap.records(), directory=bootstrap.key_directory())
    except ProductError as error:
        return {"error": error.sentence, "code": error.code}
