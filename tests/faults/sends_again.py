"""A function that puts each message it is given back into the queue it came from: a loop."""

from __future__ import annotations

from typing import Any

import boto3


def handler(event: dict[str, Any], _context: Any) -> None:
    sqs = boto3.client("sqs")
    for record in event["Records"]:
        queue = sqs.get_queue_url(QueueName=record["eventSourceARN"].rsplit(":", 1)[1])["QueueUrl"]
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "0", "MessageBody": record["body"]}])
