"""Worker of the queues `inspect` and `uploads`."""

from __future__ import annotations

import json
from typing import Any

from shared import bootstrap, config
from shared.batches import work_through
from shared.domain.messages import jobs_to_inspect
from shared.observability import observed
from shared.usecases.inspect_media import Inspector


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.InspectMedia)
    bootstrap.lambda_seconds_left(context)
    bootstrap.clear_leftovers()
    return work_through(event, context, _work, bootstrap.hide_message)


def _work(record: Any) -> None:
    inspector = Inspector(
        records=bootstrap.records(),
        media=bootstrap.media(),
        clock=bootstrap.records().clock,
        aftermath=bootstrap.aftermath(),
        workplace=bootstrap.workplace,
        lease_seconds=bootstrap.LEASE_SECONDS,
        turns=bootstrap.turns("inspect"),
    )
    for job_id in jobs_to_inspect(json.loads(record.body)):
        inspector.inspect(job_id)
