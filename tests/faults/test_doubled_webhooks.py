"""One webhook in fifty copies at the gateway of the stack: each is answered 200, one has an effect."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from local.media_provider import MediaProvider
from local.provider.webhooks import sign
from tests.faults.observing import Observed, wait_for

COPIES, AT_ONCE = 50, 20


def test_fifty_copies_twenty_at_once_are_answered_and_have_one_effect(observed: Observed) -> None:
    job = observed.generate("[webhook=lost] told of fifty times")
    observed.wait_attempt(job, "accepted")
    # No sweep asks about it meanwhile.
    observed.rows("UPDATE vsl.provider_attempts SET next_check_at = NULL WHERE job_id = %(job)s", job=job)
    made = wait_for("the prediction's end", lambda: _ended(observed, job))
    left_by_others = _waiting(observed)
    body = json.dumps({"id": made["id"], "status": "succeeded"})
    headers = _signed(observed, "msg_told-fifty-times-" + job, body)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda _: _post(made["webhook"], body, headers), range(COPIES)))

    assert statuses == [200] * COPIES
    wait_for("the job's end", lambda: observed.job(job)["status"] == "completed")
    wait_for("all copies to be taken", lambda: _waiting(observed) <= left_by_others, 120)
    observed.assert_settled(job)
    asked = "SELECT 1 FROM vsl.outbox WHERE job_id = %(job)s AND topic = 'store'"
    assert len(observed.rows(asked, job=job)) == 1


def _ended(observed: Observed, job: str) -> Mapping[str, str] | None:
    (made,) = observed.predictions(job)
    return made if made["status"] == "succeeded" else None


def _signed(observed: Observed, message_id: str, body: str) -> dict[str, str]:
    """As the provider signs, with the secret it gives its account."""
    secret = MediaProvider(f"{observed.stack['providerUrl']}/v1", "any", "").webhook_secret()
    now = int(time.time())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, message_id, now, body),
    }


def _post(url: str, body: str, headers: Mapping[str, str]) -> int:
    request = urllib.request.Request(url, method="POST", data=body.encode(), headers=dict(headers))
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(response.status)


def _waiting(observed: Observed) -> int:
    """Reports the inside has not taken yet."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = observed.aws("sqs").get_queue_attributes(QueueUrl=observed.queue_url("reports"), AttributeNames=names)
    return sum(int(told["Attributes"][name]) for name in names)
