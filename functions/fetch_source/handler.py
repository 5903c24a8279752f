"""Worker of the queue `fetch`: outside and without a provider's token, it brings what callers name by URL."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from shared import bootstrap, config
from shared.batches import work_through
from shared.domain.messages import FetchSource
from shared.observability import observed
from shared.usecases.fetch_source import fetch_source

# As much as may be uploaded; what was brought must be put away within the function's ten minutes too.
MAX_SOURCE_BYTES = 1024**3
SOURCE_SECONDS = 480


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.FetchSource)
    bootstrap.clear_leftovers()
    return work_through(event, context, _work, bootstrap.hide_message)


def _work(record: Any) -> None:
    message = TypeAdapter(FetchSource).validate_python(json.loads(record.body))
    downloader = bootstrap.downloader(
        bootstrap.settings(config.FetchSource).source_origins,
        max_bytes=MAX_SOURCE_BYTES,
        wall_seconds=SOURCE_SECONDS,
        any_https=True,
    )
    fetch_source(
        message,
        inside=bootstrap.inside(),
        downloader=downloader,
        media=bootstrap.media(),
        reports=bootstrap.reports(),
        heartbeat=bootstrap.heartbeat,
    )
