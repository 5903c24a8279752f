"""Worker of the queue `store`: outside, it reads a prediction again and fetches what it made."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from shared import bootstrap, config
from shared.batches import work_through
from shared.domain.messages import StoreMedia
from shared.observability import observed
from shared.usecases.store_media import store_media

MAX_OUTPUT_BYTES = 2 * 1024**3
# Four outputs of one prediction must fit into the function's ten minutes.
OUTPUT_SECONDS = 140


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.StoreMedia)
    bootstrap.clear_leftovers()
    return work_through(event, context, _work, bootstrap.hide_message)


def _work(record: Any) -> None:
    message = TypeAdapter(StoreMedia).validate_python(json.loads(record.body))
    downloader = bootstrap.downloader(
        bootstrap.settings(config.StoreMedia).provider_output_origins,
        max_bytes=MAX_OUTPUT_BYTES,
        wall_seconds=OUTPUT_SECONDS,
    )
    store_media(
        message,
        inside=bootstrap.inside(),
        provider=bootstrap.provider(message.provider),
        downloader=downloader,
        media=bootstrap.media(),
        reports=bootstrap.reports(),
        heartbeat=bootstrap.heartbeat,
    )
