"""Lambda ends a chain of invocations at about its 17th round: the chains that are meant may go on, no others."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra.stacks.service import CHAINED
from tests.infra.chains import looping_functions
from tests.infra.templates import Templates


def test_lambda_lets_the_chains_that_are_meant_go_on_and_no_others(templates: Templates) -> None:
    allowed = {
        name
        for name, function in templates.all("AWS::Lambda::Function").items()
        if function.get("RecursiveLoop") == "Allow"
    }

    assert looping_functions(templates) == allowed == {templates.function_name(name) for name in CHAINED}


@pytest.mark.parametrize(
    ("sender", "topic", "reader"), [("generate_media", "calls", None), ("authorizer", "uploads", "authorizer")]
)
def test_a_loop_that_somebody_adds_is_found(dev: Templates, sender: str, topic: str, reader: str | None) -> None:
    before, changed = looping_functions(dev), copy.deepcopy({**dev.by_stack})
    _service(changed)["X1"] = _may_send(dev, sender, topic)
    _service(changed)["X2"] = _reads(dev, topic, reader or sender)

    found = looping_functions(Templates(dev.stage, changed))

    assert found - before == {dev.function_name(sender)}


def test_a_function_that_writes_where_it_is_told_of_writes_is_found(dev: Templates) -> None:
    changed = copy.deepcopy({**dev.by_stack})
    statement = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "vsl-dev-media.Arn/uploads/*"}
    _service(changed)["X1"] = _policy(dev, "review", statement)
    _service(changed)["X2"] = _reads(dev, "uploads", "review")

    found = looping_functions(Templates(dev.stage, changed))

    assert dev.function_name("review") in found


def _service(stacks: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = stacks["vsl-dev-service"]["Resources"]
    return resources


def _may_send(templates: Templates, sender: str, topic: str) -> dict[str, Any]:
    queue = f"vsl-{templates.stage}-{topic}.Arn"
    return _policy(templates, sender, {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue})


def _policy(templates: Templates, function: str, statement: dict[str, str]) -> dict[str, Any]:
    role = templates.function(function)["Role"].removesuffix(".Arn")
    properties = {"Roles": [role], "PolicyDocument": {"Statement": [statement]}}
    return {"Type": "AWS::IAM::Policy", "Properties": properties}


def _reads(templates: Templates, topic: str, reader: str) -> dict[str, Any]:
    source = f"vsl-{templates.stage}-{topic}.Arn"
    properties = {"EventSourceArn": source, "FunctionName": templates.function_name(reader)}
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}
