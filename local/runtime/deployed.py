"""Functions, role credentials and API keys as they stand deployed in the AWS emulator.

The emulator's CloudFormation drops VpcConfig, on which the function's world hangs, ReservedConcurrentExecutions and
RecursiveLoop of a function, so these are read from the templates that were deployed.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.runtime.config import RuntimeConfig
from local.runtime.functions import (
    LEAST_STORAGE_MB,
    ApiKey,
    FunctionConfig,
    RoleCredentials,
    SourceUnavailable,
    UnknownFunction,
)
from local.runtime.template import Templates

_Result = TypeVar("_Result")
_ANSWER_SECONDS = 30.0  # the services share the machine with everything else
_SESSION_SECONDS = 3600  # what a role allows unless its MaxSessionDuration says more


class DeployedSource:
    """`functions.FunctionSource` over the emulator's Lambda, STS and API Gateway APIs and the templates."""

    def __init__(self, config: RuntimeConfig, templates: Templates) -> None:
        self._declared = {
            resource.properties.get("FunctionName"): resource.properties
            for resource in templates.of_kind("AWS::Lambda::Function")
        }
        self._s3_control_url = config.s3_control_url
        connection = _connection(config)
        self._lambda = boto3.client("lambda", **connection)
        self._sts = boto3.client("sts", **connection)
        self._gateway = boto3.client("apigateway", **connection)

    async def function(self, name: str) -> FunctionConfig:
        return await _in_thread(lambda: self._function(name))

    async def credentials(self, function: FunctionConfig) -> RoleCredentials:
        return await _in_thread(lambda: self._assume(function))

    async def api_keys(self, usage_plan: str) -> list[ApiKey]:
        return await _in_thread(lambda: self._api_keys(usage_plan))

    def _function(self, name: str) -> FunctionConfig:
        try:
            answer = self._lambda.get_function_configuration(FunctionName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                raise UnknownFunction(name) from error
            raise
        return function_config(answer, self._declared.get(name, answer))

    def _assume(self, function: FunctionConfig) -> RoleCredentials:
        answer = self._sts.assume_role(
            RoleArn=function.role_arn,
            RoleSessionName=function.name[:64],
            DurationSeconds=_SESSION_SECONDS,
        )["Credentials"]
        made = RoleCredentials(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["SessionToken"],
            answer["Expiration"].timestamp(),
        )
        if self._s3_control_url:
            hand_over(made, function.role_arn, self._s3_control_url)
        return made

    def _api_keys(self, usage_plan: str) -> list[ApiKey]:
        plans = self._gateway.get_paginator("get_usage_plans").paginate()
        plan_id = next((plan["id"] for page in plans for plan in page["items"] if plan["name"] == usage_plan), "")
        if not plan_id:
            return []
        members = self._gateway.get_paginator("get_usage_plan_keys").paginate(usagePlanId=plan_id)
        member_ids = {key["id"] for page in members for key in page["items"]}
        keys = self._gateway.get_paginator("get_api_keys").paginate(includeValues=True)
        return [
            ApiKey(key["id"], key["value"], key["enabled"])
            for page in keys
            for key in page["items"]
            if key["id"] in member_ids
        ]


def hand_over(session: RoleCredentials, role_arn: str, control_url: str) -> None:
    """Tells the S3 server of a session, whose secret only the caller of AssumeRole knows. Raises OSError."""
    body = {
        "secretAccessKey": session.secret_access_key,
        "sessionToken": session.session_token,
        "roleArn": role_arn,
        "expiresAt": session.expires_at,
    }
    address = f"{control_url}/sessions/{session.access_key_id}"
    request = urllib.request.Request(address, data=json.dumps(body).encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
        return


def function_config(answer: Mapping[str, Any], declared: Mapping[str, Any]) -> FunctionConfig:
    """From GetFunctionConfiguration's answer and the properties of AWS::Lambda::Function."""
    return FunctionConfig(
        name=answer["FunctionName"],
        arn=answer["FunctionArn"],
        handler=answer["Handler"],
        timeout_seconds=answer.get("Timeout", 3),
        memory_mb=answer.get("MemorySize", 128),
        role_arn=answer["Role"],
        inside=bool(declared.get("VpcConfig", {}).get("SubnetIds")),
        variables=answer.get("Environment", {}).get("Variables", {}),
        reserved_concurrency=declared.get("ReservedConcurrentExecutions"),
        storage_mb=declared.get("EphemeralStorage", {}).get("Size", LEAST_STORAGE_MB),
        may_loop=declared.get("RecursiveLoop") == "Allow",
    )


def _connection(config: RuntimeConfig) -> dict[str, Any]:
    return {
        "region_name": config.region,
        "endpoint_url": config.ministack_url,
        "aws_access_key_id": config.admin_credentials.access_key_id,
        "aws_secret_access_key": config.admin_credentials.secret_access_key,
        "config": Config(
            connect_timeout=_ANSWER_SECONDS, read_timeout=_ANSWER_SECONDS, retries={"total_max_attempts": 3}
        ),
    }


async def _in_thread(call: Callable[[], _Result]) -> _Result:
    try:
        return await asyncio.to_thread(call)
    except (BotoCoreError, ClientError, OSError) as error:
        raise SourceUnavailable(str(error)) from error
