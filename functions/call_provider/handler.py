"""Worker of the queue `calls`: outside, it asks for a claim, calls the provider once and reports."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from shared import bootstrap, config
from shared.batches import work_through
from shared.domain.messages import ProviderCall
from shared.domain.webhook_signature import url_mac
from shared.observability import observed
from shared.usecases.call_provider import call_provider


@observed
def handler(event: dict[str, Any], context: Any) -> Any:
    bootstrap.settings(config.CallProvider)
    return work_through(event, context, _work, bootstrap.hide_message)


def _work(record: Any) -> None:
    message = TypeAdapter(ProviderCall).validate_python(json.loads(record.body))
    call_provider(
        message,
        inside=bootstrap.inside(),
        provider=bootstrap.provider(message.provider),
        reports=bootstrap.reports(),
        media=bootstrap.media(),
        webhook_url=_webhook_url,
    )


def _webhook_url(job_id: str, attempt_id: str) -> str:
    settings = bootstrap.settings(config.CallProvider)
    base = bootstrap.value_of(settings.public_base_url).rstrip("/")
    key = bootstrap.rotated_secret(settings.webhook_url_key).read().signing(bootstrap.clock().now())
    mac = url_mac(key.encode(), job_id, attempt_id)
    return f"{base}/webhook/replicate?job={job_id}&attempt={attempt_id}&mac={mac}"
