"""Operators' questions to the database, and the few settings they change: nobody has to reach it with SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from shared.domain.errors import InvalidRequest, Mistake, NotFound
from shared.domain.jobs import iso
from shared.ports import Records, Transaction

# An account's own limits in place of the product's.
LIMITS = ("maxRunningCalls", "maxUnfinishedJobs", "maxOpenUploads")
MOST = 1_000_000
Order = Mapping[str, Any]


def tend(order: Order, *, records: Records) -> dict[str, Any]:
    """Carries out one of ORDERS. Raises InvalidRequest, NotFound, DependencyDown."""
    with records.transaction() as tx:
        return ORDERS[order["action"]](order, tx)


def _list_paces(_: Order, tx: Transaction) -> dict[str, Any]:
    return {
        "paces": [
            {
                "provider": row["provider"],
                "ratePerSecond": float(row["rate_per_second"]),
                "blockedUntil": iso(row["blocked_until"]),
                "failures": row["failures"],
            }
            for row in tx.paces()
        ]
    }


def _reset_pace(order: Order, tx: Transaction) -> dict[str, Any]:
    provider = str(order.get("provider"))
    if not tx.forget_pace(provider):
        raise NotFound(f"No pace of {provider!r} has been learnt: list them first.", code="unknown_provider")
    return {"provider": provider, "reset": True}


def _list_turns(_: Order, tx: Transaction) -> dict[str, Any]:
    return {
        "turns": [
            {
                "lane": row["waits_for"],
                "accountId": str(row["account_id"]),
                "jobs": row["jobs"],
                "oldest": iso(row["oldest"]),
            }
            for row in tx.waiting_for_turns()
        ]
    }


def _list_set_back(_: Order, tx: Transaction) -> dict[str, Any]:
    return {"rows": [{"row": row["row_id"], "until": iso(row["until"])} for row in tx.rows_set_back()]}


def _take_back(order: Order, tx: Transaction) -> dict[str, Any]:
    row_id = str(order.get("row"))
    if not tx.take_back(row_id):
        raise NotFound(f"The sweep does not leave {row_id!r} alone: list the rows first.", code="unknown_row")
    return {"row": row_id, "takenBack": True}


def _read_limits(order: Order, tx: Transaction) -> dict[str, Any]:
    account_id = _account(order)
    found = tx.account_settings(account_id)
    if found is None:
        raise NotFound("There is no such account: list them first.", code="unknown_account")
    return {"accountId": str(account_id), "limits": {name: found.get(name) for name in LIMITS}}


def _set_limit(order: Order, tx: Transaction) -> dict[str, Any]:
    name, value = order.get("name"), order.get("value")
    if name not in LIMITS:
        raise _wrong("name", f"must be one of {', '.join(LIMITS)}")
    if value is not None and (type(value) is not int or not 1 <= value <= MOST):  # `true` is an int as well
        raise _wrong("value", f"must be a whole number from 1 to {MOST}, or null for the product's own")
    # That there is such an account, before a row of it is written.
    _read_limits(order, tx)
    tx.set_account(_account(order), name, value)
    return _read_limits(order, tx)


def _account(order: Order) -> UUID:
    try:
        return UUID(str(order.get("accountId")))
    except ValueError:
        raise _wrong("accountId", "must be an account's id") from None


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {problem}.", details=[Mistake(field, problem)])


ORDERS: Mapping[str, Callable[[Order, Transaction], dict[str, Any]]] = {
    "list_paces": _list_paces,
    "reset_pace": _reset_pace,
    "list_turns": _list_turns,
    "list_set_back": _list_set_back,
    "take_back": _take_back,
    "read_limits": _read_limits,
    "set_limit": _set_limit,
}
