"""Whether a caller may do a thing: root may all, a role what its policies in IAM say."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.policies import Policy, is_allowed
from local.s3.calls import Call
from local.s3.config import ServerConfig
from local.s3.errors import Refused

CACHE_SECONDS = 10.0
PolicySource = Callable[[str], Sequence[Policy]]
"""Policies of a role by its ARN. Raises BotoCoreError, ClientError."""

_log = logging.getLogger(__name__)


class Permits:
    """Policies are read again when they are ten seconds old; while IAM does not answer, the old ones hold."""

    def __init__(self, source: PolicySource) -> None:
        self._source = source
        self._known: dict[str, tuple[float, Sequence[Policy]]] = {}
        self._reading: dict[str, asyncio.Lock] = {}
        # Threads of their own, so that an IAM that stands still holds up no body on its way to the disk.
        self._threads = ThreadPoolExecutor(max_workers=4)

    async def require(self, call: Call, action: str, resource: str, prefix: str | None = None) -> None:
        """`resource` is `bucket` or `bucket/key`; `prefix` what a condition on `s3:prefix` sees, else the query's.

        Raises AccessDenied, ServiceUnavailable.
        """
        if not await self.allows(call, action, resource, prefix):
            role = call.signature.credential.role_arn if call.signature else "anonymous"
            sentence = f'User: {role} is not authorized to perform: {action} on resource: "{_arn(resource)}"'
            raise Refused("AccessDenied", f"{sentence} because no identity-based policy allows the {action} action")

    async def allows(self, call: Call, action: str, resource: str, prefix: str | None = None) -> bool:
        """Raises ServiceUnavailable when the policies cannot be had."""
        if call.signature is None:
            return False
        role = call.signature.credential.role_arn
        if role is None:
            return True
        asked = call.query.get("prefix") if prefix is None else prefix
        context = {} if asked is None else {"s3:prefix": asked}
        return is_allowed(await self._policies(role), action, _arn(resource), context)

    async def _policies(self, role: str) -> Sequence[Policy]:
        async with self._reading.setdefault(role, asyncio.Lock()):
            read_at, policies = self._known.get(role, (0.0, None))
            if policies is not None and time.monotonic() - read_at < CACHE_SECONDS:
                return policies
            try:
                policies = await asyncio.get_running_loop().run_in_executor(self._threads, self._source, role)
            except (BotoCoreError, ClientError) as error:
                _log.warning("the policies of %s cannot be read: %s", role, error)
            if policies is None:
                raise Refused("ServiceUnavailable")
            self._known[role] = time.monotonic(), policies
            return policies


def policies_of_iam(config: ServerConfig) -> PolicySource:
    """Reads a role's inline and attached policies by the API of IAM. Its client is made at the first question."""
    clients: list[Any] = []

    def read(role_arn: str) -> Sequence[Policy]:
        if not clients:
            clients.append(services_client("iam", config))
        try:
            return _read_policies(clients[0], role_arn.rpartition("/")[2])
        except clients[0].exceptions.NoSuchEntityException:
            return []  # a role that is gone

    return read


def services_client(service: str, config: ServerConfig) -> Any:
    """A client of the AWS services beside this server, as their root."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=config.services_url,
        region_name=config.region,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key,
        config=Config(connect_timeout=30, read_timeout=30, retries={"total_max_attempts": 2}),
    )


def _read_policies(iam: Any, role: str) -> list[Policy]:
    inline = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for page in iam.get_paginator("list_role_policies").paginate(RoleName=role)
        for name in page["PolicyNames"]
    ]
    attached = [
        _attached(iam, entry["PolicyArn"])
        for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=role)
        for entry in page["AttachedPolicies"]
    ]
    return [_document(policy) for policy in (*inline, *attached)]


def _attached(iam: Any, arn: str) -> Any:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _document(policy: Any) -> Policy:
    """botocore decodes documents already; some servers answer them as text."""
    decoded: Policy = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    return decoded


def _arn(resource: str) -> str:
    return f"arn:aws:s3:::{resource}"
