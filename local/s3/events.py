"""Object events to SQS: rows in the transaction of their object, sent afterwards, at least once.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus
from xml.etree.ElementTree import Element

from botocore.exceptions import BotoCoreError, ClientError

from local.s3.calls import Call
from local.s3.config import ServerConfig
from local.s3.documents import parse, text, texts
from local.s3.errors import Refused
from local.s3.index import Bucket, Event, Index, StoredObject
from local.s3.permits import services_client

_BATCH = 100
_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """Sends events of some names, for keys of some prefix and suffix, to a queue."""

    identity: str
    queue_arn: str
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""

    def wants(self, event: str, key: str) -> bool:
        named = any(event == name or (name.endswith("*") and event.startswith(name[:-1])) for name in self.events)
        return named and key.startswith(self.prefix) and key.endswith(self.suffix)


@lru_cache(maxsize=64)
def read_rules(document: str) -> tuple[Rule, ...]:
    """Rules of a NotificationConfiguration. Raises MalformedXML, NotImplemented for all but queues."""
    root = parse(document.encode(), "NotificationConfiguration")
    if any(child.tag != "QueueConfiguration" for child in root):
        raise Refused("NotImplemented", "Only queues can be notified.")
    return tuple(_rule(element) for element in root)


def messages(bucket: Bucket, event: str, stored: StoredObject, call: Call, region: str) -> list[tuple[str, str]]:
    """(queue ARN, body) for each rule of the bucket that wants `s3:ObjectCreated:Put` or the like."""
    rules = read_rules(bucket.notification) if bucket.notification else ()
    wanting = [rule for rule in rules if rule.wants(event, stored.key)]
    return [(rule.queue_arn, json.dumps({"Records": [_record(rule, event, stored, call, region)]})) for rule in wanting]


def configuration_messages(bucket: Bucket, call: Call) -> list[tuple[str, str]]:
    """What S3 sends to each queue when it is configured."""
    rules = read_rules(bucket.notification) if bucket.notification else ()
    body = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": _now(),
        "Bucket": bucket.name,
        "RequestId": call.request_id,
        "HostId": "local",
    }
    return [(rule.queue_arn, json.dumps(body)) for rule in rules]


class Sender:
    """Sends what waits in the index, in order; a queue that cannot be reached is tried again each second."""

    def __init__(self, index: Index, config: ServerConfig) -> None:
        self._index = index
        self._send = _to_queues(config) if config.services_url else None
        self._threads = ThreadPoolExecutor(max_workers=1)
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._send and (waiting := self._index.waiting_events(_BATCH)):
                await self._send_all(self._send, waiting)

    async def _send_all(self, send: Callable[[Event], None], waiting: Sequence[Event]) -> None:
        for event in waiting:
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, send, event)
                self._index.forget_event(event)
            except (BotoCoreError, ClientError) as error:
                _log.warning("an event for %s was not sent: %s", event.queue_arn, error)
                await self._later(event, error)

    async def _later(self, event: Event, error: Exception) -> None:
        """An event for a queue that does not exist is dropped; any other stays and is tried again."""
        if "NonExistentQueue" in str(error):
            self._index.forget_event(event)
        else:
            await asyncio.sleep(_RETRY_SECONDS)


def _to_queues(config: ServerConfig) -> Callable[[Event], None]:
    """Sends one event. Raises BotoCoreError, ClientError."""
    clients: list[Any] = []
    urls: dict[str, str] = {}

    def send(event: Event) -> None:
        if not clients:
            clients.append(services_client("sqs", config))
        name = event.queue_arn.rpartition(":")[2]
        if name not in urls:
            urls[name] = clients[0].get_queue_url(QueueName=name)["QueueUrl"]
        clients[0].send_message(QueueUrl=urls[name], MessageBody=event.body)

    return send


def _rule(element: Element) -> Rule:
    queue, names = text(element, "Queue"), tuple(texts(element, "Event"))
    if not queue or not names:
        raise Refused("MalformedXML")
    filters = {
        (text(rule, "Name") or "").lower(): text(rule, "Value") or "" for rule in element.iterfind(".//FilterRule")
    }
    return Rule(text(element, "Id") or "local", queue, names, filters.get("prefix", ""), filters.get("suffix", ""))


def _record(rule: Rule, event: str, stored: StoredObject, call: Call, region: str) -> dict[str, Any]:
    credential = call.signature.credential if call.signature else None
    created = event.startswith("s3:ObjectCreated:")
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": _now(),
        "eventName": event.removeprefix("s3:"),
        "userIdentity": {"principalId": f"AWS:{credential.access_key_id}" if credential else "AWS:form"},
        "requestParameters": {"sourceIPAddress": call.request.remote or ""},
        "responseElements": {"x-amz-request-id": call.request_id, "x-amz-id-2": "local"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule.identity,
            "bucket": {
                "name": stored.bucket,
                "ownerIdentity": {"principalId": "local"},
                "arn": f"arn:aws:s3:::{stored.bucket}",
            },
            "object": {"key": quote_plus(stored.key, safe="/"), "sequencer": f"{time.time_ns():016X}"}
            | ({"size": stored.size_bytes, "eTag": stored.etag} if created else {}),
        },
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
