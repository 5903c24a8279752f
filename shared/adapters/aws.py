"""DynamoDB, SQS, Lambda, SSM and Secrets Manager, each behind a port of ours. Clients are made once, late."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import DependencyDown
from shared.domain.messages import Report, body_of
from shared.observability import logger
from shared.ports import Clock

# Refused for an absent key as well: `S3MediaStore` finds out which.
LOOKS = ("s3.HeadObject", "s3.GetObject")

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

KEPT_AFTER_END = timedelta(days=7)
LONGEST_DELAY_SECONDS = 900
# SQS takes ten messages a call (SendMessageBatch).
MOST_IN_A_BATCH = 10
# Items are limited to 400 KB (DynamoDB quotas): of what is larger the version alone is kept, the truth has the rest.
LARGEST_SNAPSHOT_BYTES = 390_000
_NONE = {"S": "null"}
_DOWN = (BotoCoreError, ClientError)


def _down(what: str) -> DependencyDown:
    return DependencyDown(
        f"{what} does not answer; try again in a moment.", code="dependency_down", retry_after_seconds=5
    )


class DynamoLiveView:
    """Implements `LiveView` on `vsl-{stage}-realtime-jobs`."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client, self._table, self._clock = client, table, clock

    def put(self, snapshot: Mapping[str, Any]) -> None:
        item = self._item(snapshot)
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(jobId) OR #v < :v",
                ExpressionAttributeNames={"#v": "version"},
                ExpressionAttributeValues={":v": item["version"]},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise _down("The live view") from error
        except BotoCoreError as error:
            raise _down("The live view") from error

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        try:
            answer = self._client.get_item(
                TableName=self._table, Key={"jobId": {"S": str(job_id)}}, ConsistentRead=True
            )
        except _DOWN as error:
            raise _down("The live view") from error
        item = answer.get("Item")
        if item is None or self._expired(item) or "snapshot" not in item:
            return None
        found: Mapping[str, Any] = json.loads(item["snapshot"]["S"])
        return found

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        try:
            answer = self._client.put_item(TableName=self._table, Item=self._item(snapshot), ReturnValues="ALL_OLD")
        except _DOWN as error:
            raise _down("The live view") from error
        held = answer.get("Attributes")
        return held is not None and bool(json.loads(held.get("snapshot", _NONE)["S"]) != snapshot)

    def page(self, after: str | None, limit: int) -> tuple[Mapping[UUID, int], str | None]:
        start: Any = {"ExclusiveStartKey": {"jobId": {"S": after}}} if after else {}
        try:
            answer = self._client.scan(
                TableName=self._table,
                Limit=limit,
                ProjectionExpression="jobId, #v",
                ExpressionAttributeNames={"#v": "version"},
                ConsistentRead=True,
                **start,
            )
        except _DOWN as error:
            raise _down("The live view") from error
        versions = {UUID(item["jobId"]["S"]): int(item["version"]["N"]) for item in answer["Items"]}
        last = answer.get("LastEvaluatedKey")
        return versions, last["jobId"]["S"] if last else None

    def remove(self, job_id: UUID) -> None:
        try:
            self._client.delete_item(TableName=self._table, Key={"jobId": {"S": str(job_id)}})
        except _DOWN as error:
            raise _down("The live view") from error

    def _item(self, snapshot: Mapping[str, Any]) -> dict[str, Any]:
        item: dict[str, Any] = {
            "jobId": {"S": snapshot["jobId"]},
            "version": {"N": str(snapshot["version"])},
            "accountId": {"S": snapshot["accountId"]},
        }
        text = json.dumps(snapshot)
        if len(text) <= LARGEST_SNAPSHOT_BYTES:
            item["snapshot"] = {"S": text}
        if snapshot["completedAt"]:
            item["expiresAt"] = {"N": str(int((self._clock.now() + KEPT_AFTER_END).timestamp()))}
        return item

    def _expired(self, item: Mapping[str, Any]) -> bool:
        # DynamoDB removes expired items hours late.
        return "expiresAt" in item and int(item["expiresAt"]["N"]) <= self._clock.now().timestamp()


class DynamoKeyDirectory:
    """Implements `KeyDirectory` on `vsl-{stage}-api-keys`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def put(self, key: Mapping[str, Any]) -> bool:
        named = ("keyHash", "keyId", "accountId", "usagePlanKey")
        item: dict[str, Any] = {name: {"S": str(key[name])} for name in named if key.get(name)}
        item["scopes"] = {"S": " ".join(key["scopes"])}
        try:
            if key.get("revokedAt"):
                item["revokedAt"] = {"S": str(key["revokedAt"])}
                self._client.put_item(TableName=self._table, Item=item)
            else:
                condition = "attribute_not_exists(revokedAt)"
                self._client.put_item(TableName=self._table, Item=item, ConditionExpression=condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except _DOWN as error:
            raise _down("The key directory") from error
        return True

    def get(self, key_hash: str) -> Mapping[str, Any] | None:
        try:
            answer = self._client.get_item(TableName=self._table, Key={"keyHash": {"S": key_hash}})
        except _DOWN as error:
            raise _down("The key directory") from error
        item = answer.get("Item")
        if item is None:
            return None
        plain = {name: next(iter(value.values())) for name, value in item.items()}
        return {**plain, "scopes": str(plain["scopes"]).split()}

    def is_empty(self) -> bool:
        try:
            return not self._client.scan(TableName=self._table, Limit=1, ConsistentRead=True)["Items"]
        except _DOWN as error:
            raise _down("The key directory") from error

    def hashes(self) -> Set[str]:
        try:
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table, ProjectionExpression="keyHash", ConsistentRead=True
            )
            return {str(item["keyHash"]["S"]) for page in pages for item in page["Items"]}
        except _DOWN as error:
            raise _down("The key directory") from error

    def remove(self, key_hash: str) -> None:
        try:
            self._client.delete_item(TableName=self._table, Key={"keyHash": {"S": key_hash}})
        except _DOWN as error:
            raise _down("The key directory") from error


class SqsQueue:
    """Implements `Queue`; `urls` maps topic to queue URL."""

    def __init__(self, client: SQSClient, urls: Mapping[str, str]) -> None:
        self._client, self._urls = client, dict(urls)

    def send(self, topic: str, messages: Sequence[tuple[Mapping[str, Any], int]]) -> Sequence[int]:
        entries = [_entry(number, *message) for number, message in enumerate(messages)]
        batches = [entries[start : start + MOST_IN_A_BATCH] for start in range(0, len(entries), MOST_IN_A_BATCH)]
        taken = [number for batch in batches for number in self._taken(topic, batch)]
        if messages and not taken:
            raise _down("The queue")
        return taken

    def _taken(self, topic: str, batch: Sequence[SendMessageBatchRequestEntryTypeDef]) -> list[int]:
        try:
            answer = self._client.send_message_batch(QueueUrl=self._urls[topic], Entries=batch)
        except _DOWN as error:
            logger.warning("queue_unavailable", extra={"topic": topic, "reason": type(error).__name__})
            return []
        return [int(one["Id"]) for one in answer.get("Successful", ())]

    def carries(self, topic: str) -> bool:
        return topic in self._urls


def _entry(number: int, body: Mapping[str, Any], delay_seconds: int) -> SendMessageBatchRequestEntryTypeDef:
    return {
        "Id": str(number),
        "MessageBody": json.dumps(body, default=_plain),
        "DelaySeconds": min(max(delay_seconds, 0), LONGEST_DELAY_SECONDS),
    }


def hide_message(client: SQSClient, queue_arn: str, receipt_handle: str, seconds: int) -> None:
    """Lets a message that was received come again so much later; where that fails, after the queue's own time."""
    *_, account_id, name = queue_arn.split(":")
    url = f"{client.meta.endpoint_url}/{account_id}/{name}"
    try:
        client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds)
    except _DOWN as error:
        logger.warning("message_not_returned", extra={"queue": name, "reason": type(error).__name__})


class SqsReports:
    """Implements `Reports` on the queue `reports`."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._queue = SqsQueue(client, {"reports": url})

    def send(self, report: Report) -> None:
        self._queue.send("reports", [(body_of(report), 0)])


class SettleFunction:
    """Implements `Inside`: the synchronous invoke of `settle`."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client, self._function = client, function

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer = self._client.invoke(
                FunctionName=self._function, Payload=json.dumps(question, default=_plain).encode()
            )
            body = json.loads(answer["Payload"].read() or b"null")
        except (*_DOWN, ValueError) as error:
            raise _down("The inside") from error
        if answer.get("FunctionError") or not isinstance(body, dict) or "verdict" not in body:
            raise _down("The inside")
        return body


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (UUID, datetime)):
        return str(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def log_refusal(parsed: Any, model: Any, **_: Any) -> None:
    """A right that the role lacks looks like an outage to callers, who are told to try again: the log tells which."""
    operation = f"{model.service_model.service_name}.{model.name}"
    if is_refusal(parsed) and operation not in LOOKS:
        tell_refusal(operation)


def is_refusal(answer: Mapping[str, Any]) -> bool:
    """Whether AWS has refused a call for want of a right."""
    code = answer.get("Error", {}).get("Code", "")
    # The answer to HEAD has no body to name the error in.
    return "AccessDenied" in code or code == "403"


def tell_refusal(operation: str) -> None:
    """An ERROR of the log with the call, as `s3.PutObject`."""
    logger.error("access_denied", extra={"operation": operation})
