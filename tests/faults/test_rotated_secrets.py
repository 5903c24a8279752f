"""Secrets that are rotated while a prediction is under way: its webhook is accepted, until an operator ends that."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.commands import operator_environment
from local.layout import Layout, find_layout
from local.media_provider import MediaProvider
from local.provider.webhooks import sign
from tests.faults.observing import Observed, wait_for

NEW_SECRET = "whsec_" + base64.b64encode(b"the provider's next secret, 32 b").decode()


@dataclass(frozen=True)
class Prediction:
    """One that has ended at the provider, whose webhook has not been sent."""

    job: str
    url: str
    body: str


@pytest.fixture
def webhook_secret(observed: Observed) -> Iterator[str]:
    """What the provider signs with; the stage has it again after the test."""
    secret = MediaProvider(f"{observed.stack['providerUrl']}/v1", "any", "").webhook_secret()
    yield secret
    operate(observed, "set", "replicate-webhook-secret", given=secret)


@pytest.fixture
def under_way(observed: Observed) -> Prediction:
    return ended_prediction(observed)


def ended_prediction(observed: Observed) -> Prediction:
    job = observed.generate("[webhook=lost] signed before the rotation")
    observed.wait_attempt(job, "accepted")
    # No sweep asks about it meanwhile.
    observed.rows("UPDATE vsl.provider_attempts SET next_check_at = NULL WHERE job_id = %(job)s", job=job)
    wait_for("the prediction's end", lambda: observed.predictions(job)[0]["status"] == "succeeded")
    (made,) = observed.predictions(job)
    return Prediction(job, made["webhook"], json.dumps({"id": made["id"], "status": "succeeded"}))


def operate(observed: Observed, *arguments: str, given: str = "") -> str:
    """Runs the command, after which functions start anew and so know the secrets as they are now."""
    done = subprocess.run(
        [sys.executable, "-m", "operate.secrets", "--stage", "local", *arguments],
        input=given,
        cwd=find_layout().root,
        env={**os.environ, **operator_environment(dict(observed.stack))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    observed.call("POST", "/reload", {}, base="runnerUrl")
    return done.stdout + done.stderr


def deliver(sent: Prediction, secret: str) -> int:
    message_id, now = f"msg_{time.time_ns()}", int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, message_id, now, sent.body),
    }
    return httpx.post(sent.url, content=sent.body, headers=headers, timeout=60).status_code


def test_a_prediction_whose_url_was_signed_before_the_rotation_ends_its_job(
    observed: Observed, webhook_secret: str
) -> None:
    operate(observed, "set", "webhook-url-key")
    sent = ended_prediction(observed)
    operate(observed, "rotate", "webhook-url-key")

    assert deliver(sent, webhook_secret) == 200
    wait_for("the job's end", lambda: observed.job(sent.job)["status"] == "completed")


def test_a_url_that_was_signed_before_a_key_was_set_is_refused(
    observed: Observed, under_way: Prediction, webhook_secret: str
) -> None:
    operate(observed, "set", "webhook-url-key")

    assert deliver(under_way, webhook_secret) == 401


def test_webhooks_are_accepted_by_both_secrets_during_a_rotation_and_by_the_new_one_alone_after_a_set(
    observed: Observed, under_way: Prediction, webhook_secret: str
) -> None:
    said = operate(observed, "rotate", "replicate-webhook-secret", given=NEW_SECRET)
    assert [deliver(under_way, secret) for secret in (webhook_secret, NEW_SECRET)] == [200, 200]
    wait_for("the job's end", lambda: observed.job(under_way.job)["status"] == "completed")

    operate(observed, "set", "replicate-webhook-secret", given=NEW_SECRET)
    assert [deliver(under_way, secret) for secret in (webhook_secret, NEW_SECRET)] == [401, 200]
    assert NEW_SECRET not in said


def test_no_log_of_a_function_holds_a_value(observed: Observed, under_way: Prediction, webhook_secret: str) -> None:
    operate(observed, "rotate", "replicate-webhook-secret", given=NEW_SECRET)
    deliver(under_way, NEW_SECRET)

    logs = Layout(root=find_layout().root, state=Path(observed.stack["stateDir"])).logs.rglob("*.log")
    assert not [log.name for log in logs for value in (NEW_SECRET, webhook_secret) if value in log.read_text()]
