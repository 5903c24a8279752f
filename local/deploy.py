"""Deploys the synthesized stacks to the local AWS services, after what a stage needs beforehand."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from local.ministack import (
    ACCESS_KEY_ID,
    REGION,
    Ministack,
    Template,
    in_this_account,
    mended,
    vpc_functions,
    without_custom_resources,
)
from local.processes import wait_until
from local.supervisor import StackFailed
from local.synth import Assembly

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

TEMPLATE_BUCKET = f"vsl-local-templates-{REGION}"
LONGEST_INLINE_TEMPLATE_BYTES = 51_200
# Of one stack; a custom resource in it runs all migrations.
DEPLOY_SECONDS = 300.0


@dataclass(frozen=True)
class Services:
    """Clients of the local AWS services with the account's root credentials."""

    session: boto3.Session
    endpoint_url: str

    def put_parameters(self, values: Mapping[str, str]) -> None:
        """Sets SSM parameters: name -> value."""
        client = self.session.client("ssm", endpoint_url=self.endpoint_url)
        for name, value in values.items():
            client.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def put_secrets(self, values: Mapping[str, str]) -> None:
        """Makes secrets: name -> value. The services keep none over a restart, so they are always new."""
        client = self.session.client("secretsmanager", endpoint_url=self.endpoint_url)
        for name, value in values.items():
            client.create_secret(Name=name, SecretString=value)

    def invoke(self, function: str) -> None:
        """Runs a function that runs by schedule, now. Raises StackFailed with what it said."""
        answer = self.session.client("lambda", endpoint_url=self.endpoint_url).invoke(FunctionName=function)
        if "FunctionError" in answer:
            raise StackFailed(f"{function} failed: {answer['Payload'].read().decode()[:500]}")

    def deploy(self, assembly: Assembly) -> None:
        """Deploys every stack in order. Raises StackFailed with the reasons the services gave."""
        storage = self.session.client("s3", endpoint_url=self.endpoint_url)
        formation = self.session.client("cloudformation", endpoint_url=self.endpoint_url)
        functions = self.session.client("lambda", endpoint_url=self.endpoint_url)
        for stack in assembly.stacks:
            _upload_assets(storage, assembly.zip_assets(stack))
            template = mended(json.loads(assembly.template_file(stack).read_text()))
            _StackDeployment(stack, template, formation, storage, functions, self.endpoint_url).run()


def connect_services(ministack: Ministack) -> Services:
    """Clients for this emulator; nothing of the user's own AWS configuration is read."""
    session = boto3.Session(
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=ministack.secret_access_key,
        region_name=REGION,
    )
    return Services(session=session, endpoint_url=ministack.url)


@dataclass(frozen=True)
class _StackDeployment:
    name: str
    template: Template
    formation: CloudFormationClient
    storage: S3Client
    functions: LambdaClient
    endpoint_url: str

    def run(self) -> None:
        """All but custom resources, then the functions' networks, then the whole."""
        first = without_custom_resources(self.template)
        self._apply(first, self.formation.create_stack)
        self._attach_networks()
        if first["Resources"].keys() != self.template["Resources"].keys():
            self._apply(self.template, self.formation.update_stack)

    def _attach_networks(self) -> None:
        """Each function whose template has a VpcConfig gets it by the Lambda API."""
        wanted = vpc_functions(self.template)
        exported = {
            export["Name"]: export["Value"]
            for page in (self.formation.get_paginator("list_exports").paginate() if wanted else ())
            for export in page["Exports"]
        }
        for name, vpc in wanted.items():
            ids = {kind: [self._resolve(node, exported) for node in nodes] for kind, nodes in vpc.items()}
            self.functions.update_function_configuration(FunctionName=name, VpcConfig=ids)  # type: ignore[arg-type]

    def _resolve(self, reference: Any, exported: Mapping[str, str]) -> str:
        """The id behind a reference to a subnet or security group."""
        match reference:
            case {"Fn::ImportValue": str(name)}:
                return exported[name]
            case {"Ref": str(logical)} | {"Fn::GetAtt": [str(logical), _]}:
                found = self.formation.describe_stack_resource(StackName=self.name, LogicalResourceId=logical)
                return found["StackResourceDetail"]["PhysicalResourceId"]
        return str(reference)

    def _apply(self, template: Template, operation: Any) -> None:
        body = json.dumps(template)
        source = {"TemplateBody": body}
        if len(body.encode()) > LONGEST_INLINE_TEMPLATE_BYTES:
            source = {"TemplateURL": self._upload_template(body)}
        operation(StackName=self.name, Capabilities=["CAPABILITY_NAMED_IAM"], **source)
        self._wait(lambda: self._status() in ("CREATE_COMPLETE", "UPDATE_COMPLETE"))

    def _upload_template(self, body: str) -> str:
        _ensure_bucket(self.storage, TEMPLATE_BUCKET)
        key = f"{self.name}.template.json"
        self.storage.put_object(Bucket=TEMPLATE_BUCKET, Key=key, Body=body.encode())
        return f"{self.endpoint_url}/{TEMPLATE_BUCKET}/{key}"

    def _wait(self, done: Any) -> None:
        if not wait_until(done, DEPLOY_SECONDS, pause_seconds=0.02):
            waiting = "\n".join(self._unfinished())
            raise StackFailed(
                f"stack {self.name} was not deployed within {DEPLOY_SECONDS:g} s "
                f"(a custom resource waits for its function: see the functions' logs)\n{waiting}"
            )

    def _status(self) -> str:
        """The stack's status. Raises StackFailed once it can only be a failure."""
        stack = self.formation.describe_stacks(StackName=self.name)["Stacks"][0]
        status = stack["StackStatus"]
        if status.endswith("FAILED") or "ROLLBACK" in status:
            reasons = [stack.get("StackStatusReason", ""), *self._failures()]
            raise StackFailed(f"stack {self.name}: {status}\n" + "\n".join(filter(None, reasons)))
        return status

    def _unfinished(self) -> list[str]:
        """What the stack still waits for."""
        resources = self.formation.describe_stack_resources(StackName=self.name)["StackResources"]
        return [
            f"  {resource['LogicalResourceId']} ({resource['ResourceType']}): {resource['ResourceStatus']}"
            for resource in resources
            if resource["ResourceStatus"].endswith("IN_PROGRESS")
        ]

    def _failures(self) -> list[str]:
        """One line for each resource that failed, with what the services or the function said."""
        events = self.formation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [
            f"  {event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatusReason']}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("FAILED") and event.get("ResourceStatusReason")
        ]
        return list(dict.fromkeys(failed))


def _upload_assets(storage: S3Client, assets: Iterable[tuple[str, str]]) -> None:
    """An archive of nothing under each asset's key: functions run from the source tree, not from it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("README", "The local stack runs functions from the source tree.\n")
    for bucket, key in assets:
        name = in_this_account(bucket)
        _ensure_bucket(storage, name)
        storage.put_object(Bucket=name, Key=key, Body=archive.getvalue())


def _ensure_bucket(storage: S3Client, name: str) -> None:
    try:
        storage.create_bucket(Bucket=name)
    except ClientError as refused:
        if refused.response["Error"].get("Code") != "BucketAlreadyOwnedByYou":
            raise
