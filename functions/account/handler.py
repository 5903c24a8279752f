"""Usage and budgets by the API; accounts, keys and what operators ask of the database by direct invoke alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from pydantic import AfterValidator, Field

from shared import bootstrap, config, http, wire
from shared.domain.errors import ProductError
from shared.observability import observed
from shared.usecases import manage_accounts, spending, tend_database

router = Router()  # type: ignore[no-untyped-call]
MOST_USD = 1_000_000


class UsageQuery(wire.Query):
    start: wire.Moment | None = Field(default=None, alias="from")
    end: wire.Moment | None = Field(default=None, alias="to")
    group_by: Literal["day", "model", "user", "kind"] = "day"


class BudgetBody(wire.Wire):
    user_id: Annotated[str, AfterValidator(wire.user_id)] | None = None
    period: Literal["total", "month"] = "month"
    limit_usd: float | None = Field(ge=0, le=MOST_USD, allow_inf_nan=False)


@router.get("/api/usage")
def get_usage() -> Response[str]:
    caller = http.caller_of(router, "read")
    asked = http.query_of(router, UsageQuery)
    usage = spending.read_usage(
        caller, asked.start, asked.end, asked.group_by, records=bootstrap.records(), clock=bootstrap.records().clock
    )
    return http.answer(200, usage)


@router.get("/api/budgets")
def get_budgets() -> Response[str]:
    caller = http.caller_of(router, "read")
    return http.answer(
        200, {"budgets": spending.read_budgets(caller, records=bootstrap.records(), clock=bootstrap.records().clock)}
    )


@router.put("/api/budgets")
def put_budget() -> Response[str]:
    caller = http.caller_of(router, "admin")
    body = http.body_of(router, BudgetBody)
    limit_usd = None if body.limit_usd is None else Decimal(str(body.limit_usd))
    budgets = spending.set_budget(
        caller,
        spending.Budget(body.user_id, body.period, limit_usd),
        records=bootstrap.records(),
        clock=bootstrap.records().clock,
    )
    return http.answer(200, {"budgets": budgets})


_api = http.api_handler(router, lambda: bootstrap.settings(config.Account).cors_origins)


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if "requestContext" in event:
        return _api(event, context)
    bootstrap.settings(config.Account)
    try:
        if event.get("action") in tend_database.ORDERS:
            return tend_database.tend(event, records=bootstrap.records())
        return manage_accounts.act(event, records=bootstrap.records(), directory=bootstrap.key_directory())
    except ProductError as error:
        return {"error": error.sentence, "code": error.code}
