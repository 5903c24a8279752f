"""Faults of what surrounds the functions: parts that stand still or crash, stores that are lost, webhooks, poison."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from uuid import uuid4

from local.processes import descendants
from local.provider.webhooks import sign
from tests.faults.observing import Observed, wait_for

PARTS = ("postgres", "redis", "ministack", "provider")
WORKERS = ("call-provider", "store-media", "settle", "inspect-media", "webhook")
COPIES, AT_ONCE = 50, 20
STATUSES = ("starting", "processing", "succeeded", "failed", "canceled", "aborted", "a new one")
# Makes a fault happen, which is over when it returns; gives the jobs that it made meanwhile.
Fault = Callable[[Observed, random.Random], Sequence[str]]


def surroundings() -> dict[str, Fault]:
    """Every fault of the surroundings, each over within seconds."""
    return {
        **{f"{part} stands still": _stand_still(part) for part in PARTS},
        "redis is emptied": _empty_redis,
        "redis holds other things": _spoil_redis,
        "the database crashes": _crash_database,
        "a function is killed": kill_any,
        "the live view is lost": _lose_view,
        "a poison message comes": _poison,
        "half of the webhooks are lost": _lose_webhooks,
        "webhooks come 50 times in any order": _repeat_webhooks,
    }


def _stand_still(part: str) -> Fault:
    def fault(observed: Observed, dice: random.Random) -> Sequence[str]:
        with frozen(processes_of(observed, part)):
            time.sleep(dice.uniform(0.5, 3))
        return ()

    return fault


def processes_of(observed: Observed, part: str) -> list[int]:
    """A part's processes, or those of a function's environments."""
    if part in PARTS:
        process = observed.part(part)
        return [process, *descendants(process)]
    name = f"vsl-{observed.stack['stage']}-{part}"
    found: list[dict[str, Any]] = observed.call("GET", "/environments", base="runnerUrl")
    return [child for e in found if e["function"] == name for child in descendants(e["guardPid"])]


@contextmanager
def frozen(processes: Sequence[int]) -> Iterator[None]:
    """They stand still (SIGSTOP)."""
    with ExitStack() as thaw:
        for process in processes:
            thaw.callback(send_signal, process, signal.SIGCONT)
            send_signal(process, signal.SIGSTOP)
        yield


def send_signal(process: int, number: int) -> None:
    """Unless the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def kill_any(observed: Observed, dice: random.Random) -> Sequence[str]:
    """SIGKILL to a worker that is busy, if one is within two seconds."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        found: list[dict[str, Any]] = observed.call("GET", "/environments", base="runnerUrl")
        busy = [e["guardPid"] for e in found if e["requestId"] and e["function"].endswith(WORKERS)]
        children = descendants(dice.choice(busy)) if busy else []
        if children:
            send_signal(children[0], signal.SIGKILL)
            break
    return ()


def _crash_database(observed: Observed, dice: random.Random) -> Sequence[str]:
    backends = observed.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'vsl'")
    if backends:
        send_signal(dice.choice(backends)["pid"], signal.SIGKILL)
    time.sleep(0.3)
    wait_for("the database", lambda: _answers(observed))
    return ()


def _answers(observed: Observed) -> bool:
    try:
        return bool(observed.rows("SELECT 1"))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it does not answer
        return False


def _empty_redis(observed: Observed, dice: random.Random) -> Sequence[str]:
    from redis.cluster import RedisCluster

    RedisCluster.from_url(observed.stack["redisUrl"]).flushall()
    return ()


def _lose_view(observed: Observed, dice: random.Random) -> Sequence[str]:
    table, client = f"vsl-{observed.stack['stage']}-realtime-jobs", observed.aws("dynamodb")
    for item in client.scan(TableName=table, ProjectionExpression="jobId")["Items"]:
        client.delete_item(TableName=table, Key=item)
    return ()


def _poison(observed: Observed, dice: random.Random) -> Sequence[str]:
    observed.send(dice.choice(["calls", "store", "reports", "inspect"]), {"poison": True})
    return ()


def _spoil_redis(observed: Observed, dice: random.Random) -> Sequence[str]:
    """What is cached of a job is of the wrong type, or no snapshot; the answer is right all the same."""
    from redis.cluster import RedisCluster

    job = observed.generate("[seconds=1] of which the cache holds other things")
    cache = RedisCluster.from_url(observed.stack["redisUrl"])
    # The list comes last, as it counts as an outage, after which the cache is left alone for some seconds.
    for write in ("'SET', KEYS[1], 'no JSON'", "'SET', KEYS[1], '[]'", "'RPUSH', KEYS[1], 'a list'"):
        cache.eval(f"redis.call('DEL', KEYS[1]) redis.call({write})", 1, f"status:{{{job}}}")
        answer = observed.call("GET", f"/status/{job}")
        assert (answer["httpStatus"], answer.get("jobId")) == (200, job), answer
    return [job]


def _lose_webhooks(observed: Observed, dice: random.Random) -> Sequence[str]:
    """Of eight jobs half the webhooks are lost and a quarter comes twice."""
    prompts = ["[webhook=lost]"] * 4 + ["[webhook=doubled]"] * 2 + [""] * 2
    dice.shuffle(prompts)
    return [observed.generate(f"{prompt} among eight") for prompt in prompts]


def _repeat_webhooks(observed: Observed, dice: random.Random) -> Sequence[str]:
    """Authentic webhooks of a prediction, of any status, in any order, many at once."""
    job = observed.generate("[seconds=2] of many webhooks")
    wait_for("the prediction", lambda: observed.predictions(job))
    (made,) = observed.predictions(job)
    with ThreadPoolExecutor(AT_ONCE) as senders:
        statuses = dice.choices(STATUSES, k=COPIES)
        answers = list(senders.map(lambda status: _deliver(observed, made, status), statuses))
    assert set(answers) == {200}, answers
    return [job]


def _deliver(observed: Observed, made: Any, status: str) -> int:
    body, message_id, now = json.dumps({"id": made["id"], "status": status}), f"msg_{uuid4().hex}", int(time.time())
    secret = observed.call("GET", "/v1/webhooks/default/secret", base="providerUrl", Authorization="Bearer any")["key"]
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, message_id, now, body),
    }
    request = urllib.request.Request(made["webhook"], body.encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)
