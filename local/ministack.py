"""MiniStack, which plays the AWS services; all that is peculiar to it is in this file.

Found in its source, version 1.5.33:
- Under AUTH=true a role's requests and presigned URLs are verified (signature, expiry, policy). The key id in
  the process's AWS_ACCESS_KEY_ID and the key id "test" are the account's root, and of a root key neither
  signature nor expiry is checked: roles show whether a function's policy suffices, they do not confine
  hostile code that is given this port.
- Everything is in memory and is deployed anew at each start. Its S3 holds only templates and assets: the
  media bucket is a name there, its objects are in local/s3 (see local/storage.py).
- `Fn::GetAtt` of a VPC's CidrBlock is refused, so `mended` writes the block itself; and security groups'
  rules as resources of their own are unknown, so it leaves them out. Neither has an effect here: the
  runner keeps inside functions from the network.
- A function's VpcConfig in a template is dropped, though the Lambda API keeps one; `vpc_functions` names what
  the deployment must set by the API. Custom resources call functions, so they are deployed after that.
- It asks for a permission `sqs:SendMessageBatch`, which AWS does not have: there `sqs:SendMessage` is enough
  (Amazon SQS Developer Guide, API permissions). `mended` adds the one to the other.
- Functions named in MINISTACK_LAMBDA_PROXY_<name> are invoked by HTTP instead of being run.
- It passes no trace header on, by which Lambda finds loops: `ministack_server.py` has it do so.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.layout import Layout
from local.supervisor import ANSWER_SECONDS, Part, StackFailed

ACCOUNT_ID = "000000000000"
REGION = "us-east-1"
ACCESS_KEY_ID = "LOCALSTACKOPERATOR"

Template = dict[str, Any]
_SERVER = Path(__file__).with_name("ministack_server.py")
_UNKNOWN_TYPES = ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")


@dataclass(frozen=True)
class Ministack:
    """The emulator's address and its account's root credentials."""

    port: int
    secret_access_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def part(self, layout: Layout, environment: Mapping[str, str], invoke_urls: Mapping[str, str]) -> Part:
        """The server as a part. `invoke_urls`: by function name, where to POST its events."""
        if not layout.ministack_python.exists():
            raise StackFailed("MiniStack is not installed: run `make setup`")
        scratch = layout.state / "ministack"
        scratch.mkdir(parents=True, exist_ok=True)
        settings = {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "PERSIST_STATE": "0",
            "STATE_DIR": str(scratch),
            "TMPDIR": str(scratch),
            "LOG_LEVEL": "WARNING",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        proxies = {f"MINISTACK_LAMBDA_PROXY_{name}": url for name, url in invoke_urls.items()}
        return Part(
            name="ministack",
            # Without `-P` the modules beside the script would be taken for packages of their names.
            command=[str(layout.ministack_python), "-P", str(_SERVER)],
            is_ready=self.answers,
            environment={**environment, **settings, **proxies},
            directory=scratch,
        )

    def answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/_ministack/ready", timeout=ANSWER_SECONDS) as response:
            return bool(response.status == 200)


def function_names(templates: Iterable[Template]) -> list[str]:
    """Names of the Lambda functions the templates declare by name."""
    found = (_named(template, "AWS::Lambda::Function", "FunctionName") for template in templates)
    return [name for names in found for name in names.values()]


def bucket_names(templates: Iterable[Template]) -> list[str]:
    """Names of the buckets the templates declare by name."""
    found = (_named(template, "AWS::S3::Bucket", "BucketName") for template in templates)
    return [name for names in found for name in names.values()]


def mended(template: Template) -> Template:
    """The template in words MiniStack understands."""
    resources = {
        logical: resource
        for logical, resource in template.get("Resources", {}).items()
        if resource["Type"] not in _UNKNOWN_TYPES
    }
    blocks = _named(template, "AWS::EC2::VPC", "CidrBlock")
    return {**template, "Resources": {logical: _rewrite(node, blocks) for logical, node in resources.items()}}


def vpc_functions(template: Template) -> dict[str, dict[str, list[Any]]]:
    """By function name, the template's VpcConfig: lists of references under SubnetIds and SecurityGroupIds."""
    names = _named(template, "AWS::Lambda::Function", "FunctionName")
    configured = {
        name: template["Resources"][logical]["Properties"].get("VpcConfig") for logical, name in names.items()
    }
    return {name: vpc for name, vpc in configured.items() if vpc}


def without_custom_resources(template: Template) -> Template:
    """The template without the resources that functions make, and without anything waiting for them."""
    resources = template["Resources"]
    custom = {logical for logical, resource in resources.items() if _is_custom(resource["Type"])}
    kept = {logical: resource for logical, resource in resources.items() if logical not in custom}
    return {**template, "Resources": {logical: _no_waiting(node, custom) for logical, node in kept.items()}}


def in_this_account(name: str) -> str:
    """An asset bucket's name with the placeholders the CDK leaves in it."""
    known = {"AWS::AccountId": ACCOUNT_ID, "AWS::Region": REGION, "AWS::Partition": "aws"}
    return re.sub(r"\$\{([^}]+)\}", lambda match: known[match.group(1)], name)


def _named(template: Template, resource_type: str, key: str) -> dict[str, str]:
    """By logical id, a property of the template's resources of a type, where it is written out."""
    resources = template.get("Resources", {}).items()
    names = {
        logical: resource.get("Properties", {}).get(key)
        for logical, resource in resources
        if resource["Type"] == resource_type
    }
    return {logical: name for logical, name in names.items() if isinstance(name, str)}


def _is_custom(resource_type: str) -> bool:
    return resource_type == "AWS::CloudFormation::CustomResource" or resource_type.startswith("Custom::")


def _no_waiting(resource: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    waits = resource.get("DependsOn", [])
    kept = [name for name in ([waits] if isinstance(waits, str) else waits) if name not in names]
    rest = {key: value for key, value in resource.items() if key != "DependsOn"}
    return {**rest, "DependsOn": kept} if kept else rest


def _rewrite(node: Any, blocks: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_rewrite(item, blocks) for item in node]
    if not isinstance(node, dict):
        return node
    match node.get("Fn::GetAtt"):
        case [str(logical), "CidrBlock"] if logical in blocks:
            return blocks[logical]
    if "Action" in node and "Effect" in node:
        node = {**node, "Action": _with_batches(node["Action"])}
    return {key: _rewrite(value, blocks) for key, value in node.items()}


def _with_batches(action: Any) -> Any:
    actions = action if isinstance(action, list) else [action]
    return [*actions, "sqs:SendMessageBatch"] if "sqs:SendMessage" in actions else action
