"""Forged webhooks against the handler itself: none is accepted, none breaks it, and authentic ones still pass."""

from __future__ import annotations

import base64
import hmac
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from shared import bootstrap
from shared.domain.messages import Report
from shared.domain.webhook_signature import url_mac
from tests.lambda_context import LambdaContext

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of 24 by.").decode()
URL_KEY = "a long random text"
ENVIRONMENT = {
    "STAGE": "campaign",
    "REPORTS_QUEUE_URL": "none",
    "REPLICATE_WEBHOOK_SECRET": SECRET,
    "WEBHOOK_URL_KEY": URL_KEY,
}
CONTROLS = 50


@dataclass
class Trap:
    """Stands where reports leave; a forged webhook that gets here was accepted."""

    sent: list[Report] = field(default_factory=list)

    def send(self, report: Report) -> None:
        self.sent.append(report)


@dataclass
class Delivery:
    """A webhook before it is forged."""

    headers: dict[str, str]
    query: dict[str, str]
    body: str

    def event(self) -> dict[str, Any]:
        return {
            "httpMethod": "POST",
            "path": "/webhook/replicate",
            "resource": "/webhook/replicate",
            "headers": self.headers,
            "multiValueHeaders": {k: [v] for k, v in self.headers.items()},
            "queryStringParameters": self.query or None,
            "multiValueQueryStringParameters": {k: [v] for k, v in self.query.items()} or None,
            "body": self.body,
            "isBase64Encoded": False,
            "requestContext": {"requestId": "campaign", "path": "/local/webhook/replicate", "domainName": "api"},
        }


def run(seed: int, count: int) -> int:
    """Violations among so many forged webhooks."""
    dice, violations = random.Random(seed), 0
    with _trap() as (handle, trap):
        for number in range(count):
            forged = FORGERIES[number % len(FORGERIES)](authentic(dice), dice)
            status = handle(forged.event())
            violations += bool(trap.sent) or not 400 <= status < 500
            trap.sent.clear()
            if number % CONTROLS == 0:
                violations += handle(authentic(dice).event()) != 200 or len(trap.sent) != 1
                trap.sent.clear()
    return violations


def authentic(dice: random.Random) -> Delivery:
    """As Replicate sends it."""
    job, attempt = str(uuid4()), str(uuid4())
    prediction = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=26))
    body = json.dumps({"id": prediction, "status": dice.choice(["succeeded", "failed", "starting"]), "output": None})
    mac = url_mac(URL_KEY.encode(), job, attempt)
    return Delivery(signed(body, SECRET, int(time.time())), {"job": job, "attempt": attempt, "mac": mac}, body)


def signed(body: str, secret: str, timestamp: int) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    message_id = f"msg_{uuid4().hex}"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.{body}".encode(), "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def _other_secret(sent: Delivery, dice: random.Random) -> Delivery:
    return Delivery(signed(sent.body, OTHER_SECRET, int(time.time())), sent.query, sent.body)


def _changed_body(sent: Delivery, dice: random.Random) -> Delivery:
    at = dice.randrange(len(sent.body))
    other = dice.choice([c for c in "0aZ{}[]:, é\x00" if c != sent.body[at]])
    return Delivery(sent.headers, sent.query, sent.body[:at] + other + sent.body[at + 1 :])


def _longer_body(sent: Delivery, dice: random.Random) -> Delivery:
    return Delivery(sent.headers, sent.query, sent.body + " " * dice.randint(1, 9))


def _huge_body(sent: Delivery, dice: random.Random) -> Delivery:
    return Delivery(sent.headers, sent.query, "[" * dice.choice([100_000, 2_000_000]))


def _stale(sent: Delivery, dice: random.Random) -> Delivery:
    offset = dice.choice([-1, 1]) * dice.randint(310, 10**6)
    return Delivery(signed(sent.body, SECRET, int(time.time()) + offset), sent.query, sent.body)


def _missing_header(sent: Delivery, dice: random.Random) -> Delivery:
    gone = dice.choice(list(sent.headers))
    return Delivery({name: value for name, value in sent.headers.items() if name != gone}, sent.query, sent.body)


def _changed_header(sent: Delivery, dice: random.Random) -> Delivery:
    name = dice.choice(list(sent.headers))
    values = [
        "",
        "0",
        "v2," + sent.headers["webhook-signature"][3:],
        "v1,",
        "v1,====",
        "NaN",
        "1e9",
        "é",
        "-1",
        "9" * 400,
    ]
    return Delivery({**sent.headers, name: dice.choice(values)}, sent.query, sent.body)


def _flipped_signature(sent: Delivery, dice: random.Random) -> Delivery:
    raw = bytearray(base64.b64decode(sent.headers["webhook-signature"][3:]))
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return Delivery(
        {**sent.headers, "webhook-signature": f"v1,{base64.b64encode(raw).decode()}"}, sent.query, sent.body
    )


def _another_job(sent: Delivery, dice: random.Random) -> Delivery:
    """An authentic webhook at the URL of somebody else's job."""
    name = dice.choice(["job", "attempt", "mac"])
    value = dice.choice([str(uuid4()), "", "x", sent.query["mac"][:-1] + dice.choice("0g")])
    changed = value if value != sent.query[name] else "y"
    return Delivery(sent.headers, {**sent.query, name: changed}, sent.body)


def _no_prediction(sent: Delivery, dice: random.Random) -> Delivery:
    body = dice.choice(["", "null", "[]", "{}", '{"id": "x"}', "{", '"id"', "NaN", "[" * 5000])
    return Delivery(signed(body, SECRET, int(time.time())), sent.query, body)


FORGERIES: tuple[Callable[[Delivery, random.Random], Delivery], ...] = (
    _other_secret,
    _changed_body,
    _longer_body,
    _stale,
    _missing_header,
    _changed_header,
    _flipped_signature,
    _another_job,
    _no_prediction,
    _huge_body,
)


@contextmanager
def _trap() -> Iterator[tuple[Callable[[Any], int], Trap]]:
    before, reports, trap = dict(os.environ), bootstrap.reports, Trap()
    os.environ.update(ENVIRONMENT)
    bootstrap.reports = lambda: trap
    bootstrap.settings.cache_clear()
    try:
        from functions.webhook.handler import handler

        yield lambda event: int(handler(event, LambdaContext())["statusCode"]), trap
    finally:
        bootstrap.reports = reports
        bootstrap.settings.cache_clear()
        os.environ.clear()
        os.environ.update(before)
