"""The inside's ear: answers claims of outside functions and takes their reports."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from shared import bootstrap, config
from shared.batches import work_through
from shared.domain.messages import Report, SourceFailed, SourceFetched
from shared.observability import observed
from shared.usecases.settle import Settler
from shared.usecases.source_fetches import SourceFetches


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.Settle)
    if "Records" in event:
        return work_through(event, context, _take, bootstrap.hide_message)
    return _answer(event)


def _answer(question: dict[str, Any]) -> Any:
    job_id = UUID(question["jobId"])
    match question["action"]:
        case "claim_call":
            return _settler().claim_call(job_id, UUID(question["attemptId"]))
        case "claim_store":
            return _settler().claim_store(job_id, UUID(question["attemptId"]), question["owner"])
        case "renew":
            return _settler().renew(job_id, question["owner"])
        case "release":
            return _settler().release(job_id, question["owner"], question["reason"])
        case "claim_fetch":
            return _fetches().claim(job_id, question["number"], question["owner"])
        case "renew_fetch":
            return _fetches().renew(job_id, question["number"], question["owner"])
        case "release_fetch":
            return _fetches().release(job_id, question["number"], question["owner"], question["reason"])
    raise ValueError(f"no such action: {question['action']!r}")


def _take(record: Any) -> None:
    report: Report = TypeAdapter(Report).validate_python(json.loads(record.body))
    if isinstance(report, SourceFetched | SourceFailed):
        _fetches().take(report)
    else:
        _settler().take(report)


def _settler() -> Settler:
    return Settler(
        bootstrap.records(), bootstrap.records().clock, bootstrap.aftermath(), lease_seconds=bootstrap.LEASE_SECONDS
    )


def _fetches() -> SourceFetches:
    return SourceFetches(
        bootstrap.records(), bootstrap.records().clock, bootstrap.aftermath(), hold_seconds=bootstrap.LEASE_SECONDS
    )
