"""Loops end on the local stack where Lambda ends them: through its queues, and from function to function."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.runtime.lineage import MOST_ROUNDS, with_round
from tests.faults.observing import Observed, wait_for

TRUST = {"Principal": {"Service": "lambda.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
SENDS = {"Effect": "Allow", "Action": ["sqs:*", "sqs:SendMessageBatch"], "Resource": "*"}
SECONDS = 5


@dataclass(frozen=True)
class Loop:
    """A queue whose reader puts every message back into it."""

    function: str
    queue: str
    dead: str


@pytest.fixture
def loop(observed: Observed) -> Iterator[Loop]:
    name = f"loop-{uuid4().hex[:8]}"
    sqs, functions = observed.aws("sqs"), observed.aws("lambda")
    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    redrive = json.dumps({"deadLetterTargetArn": _arn(observed, dead), "maxReceiveCount": 1})
    attributes = {"VisibilityTimeout": str(SECONDS), "RedrivePolicy": redrive}
    queue = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=_role(observed, name),
        Handler="tests.faults.sends_again.handler",
        Code={"ZipFile": _archive()},
        Timeout=SECONDS,
        Environment={"Variables": {"MINISTACK_LAMBDA_PROXY_URL": _invoke_url(observed, name)}},
    )
    mapping = functions.create_event_source_mapping(EventSourceArn=_arn(observed, queue), FunctionName=name)
    yield Loop(name, queue, dead)
    functions.delete_event_source_mapping(UUID=mapping["UUID"])


def test_a_message_that_comes_back_again_and_again_ends_in_the_dead_letters(observed: Observed, loop: Loop) -> None:
    observed.aws("sqs").send_message(QueueUrl=loop.queue, MessageBody="round and round")

    (letter,) = wait_for("a dead letter", lambda: _messages(observed, loop.dead))

    assert letter["Body"] == "round and round"
    assert _log(observed, loop.function).count("START RequestId") == MOST_ROUNDS


def test_a_function_is_not_invoked_by_a_chain_that_came_to_it_too_often(observed: Observed) -> None:
    name = f"vsl-{observed.stack['stage']}-account"
    arn = observed.aws("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]

    assert [_invoked(observed, name, _trace(arn, rounds)) for rounds in (MOST_ROUNDS - 1, MOST_ROUNDS)] == [True, False]


def test_the_functions_of_the_products_own_chains_are(observed: Observed) -> None:
    name = f"vsl-{observed.stack['stage']}-settle"
    arn = observed.aws("lambda").get_function_configuration(FunctionName=name)["FunctionArn"]

    assert _invoked(observed, name, _trace(arn, 10 * MOST_ROUNDS))


def _trace(arn: str, rounds: int) -> str:
    trace = "Root=1-67891233-abcdef012345678912345678"
    for _ in range(rounds):
        trace = with_round(trace, arn)
    return trace


def _invoked(observed: Observed, function: str, trace: str) -> bool:
    """Whether the function was begun, by a call of the Lambda API with this trace header."""
    client = observed.aws("lambda")
    before = _log(observed, function).count("START RequestId")

    def add(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = trace

    client.meta.events.register("before-call.lambda.Invoke", add)
    try:
        client.invoke(FunctionName=function, Payload=b"{}")
    except ClientError as error:
        print(error)
    finally:
        client.meta.events.unregister("before-call.lambda.Invoke", add)
    return _log(observed, function).count("START RequestId") > before


def _messages(observed: Observed, queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = observed.aws("sqs").receive_message(QueueUrl=queue).get("Messages", [])
    return found


def _log(observed: Observed, function: str) -> str:
    path = Path(observed.stack["stateDir"]) / "logs" / "functions" / f"{function}.log"
    return path.read_text() if path.exists() else ""


def _arn(observed: Observed, queue: str) -> str:
    found = observed.aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def _role(observed: Observed, name: str) -> str:
    iam, version = observed.aws("iam"), {"Version": "2012-10-17"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({**version, "Statement": [TRUST]}))
    policy = json.dumps({**version, "Statement": [SENDS]})
    iam.put_role_policy(RoleName=name, PolicyName="sends", PolicyDocument=policy)
    return str(made["Role"]["Arn"])


def _invoke_url(observed: Observed, name: str) -> str:
    return f"{observed.stack['runnerUrl']}/2015-03-31/functions/{name}/invocations"


def _archive() -> bytes:
    """Some code: what runs is the source tree's."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.py", "")
    return content.getvalue()
