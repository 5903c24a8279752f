"""The function `webhook` in this process, with reports that stay here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest

from shared import bootstrap
from shared.domain.messages import WebhookReceived
from shared.domain.webhook_signature import url_mac
from tests.campaigns.webhooks import ENVIRONMENT, SECRET, URL_KEY, Delivery, signed
from tests.lambda_context import LambdaContext
from tests.memory import MemoryClock

Accepted = tuple[UUID, UUID, str]


@dataclass
class Door:
    """The function `webhook` by a clock that stands, and the reports it has let in."""

    clock: MemoryClock
    reports: list[WebhookReceived] = field(default_factory=list)

    def knock(self, delivery: Delivery) -> int:
        """The status of the answer."""
        from functions.webhook.handler import handler

        return int(handler(delivery.event(), LambdaContext())["statusCode"])

    def delivery(self, of: Accepted, body: str | None = None) -> Delivery:
        """As Replicate sends it now; `body` in place of the prediction."""
        job_id, attempt_id, provider_id = of
        sent = json.dumps({"id": provider_id, "status": "succeeded", "output": None}) if body is None else body
        mac = url_mac(URL_KEY.encode(), str(job_id), str(attempt_id))
        query = {"job": str(job_id), "attempt": str(attempt_id), "mac": mac}
        return Delivery(signed(sent, SECRET, int(self.clock.now().timestamp())), query, sent)


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The function as it is set up on a stage."""
    door = Door(MemoryClock(datetime.now(UTC)))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bootstrap, "reports", lambda: SimpleNamespace(send=door.reports.append))
    monkeypatch.setattr(bootstrap, "clock", lambda: door.clock)
    bootstrap.settings.cache_clear()
    yield door
    bootstrap.settings.cache_clear()
