"""Worker of the queues `inspect` and `uploads`."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared import bootstrap, config
from shared.domain.messages import jobs_to_inspect
from shared.observability import observed, observed_record
from shared.usecases.inspect_media import Inspector

_processor = BatchProcessor(event_type=EventType.SQS)


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.InspectMedia)
    bootstrap.lambda_seconds_left(context)
    return process_partial_response(event, observed_record(_work), _processor, context)


def _work(record: Any) -> None:
    inspector = Inspector(
        records=bootstrap.records(), media=bootstrap.media(), clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(), workplace=bootstrap.workplace, lease_seconds=bootstrap.LEASE_SECONDS,
        turns=bootstrap.turns("inspect"),
    )  # fmt: skip
    for job_id in jobs_to_inspect(json.loads(record.body)):
        inspector.inspect(job_id)
