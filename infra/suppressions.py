"""What cdk-nag's packs find and we accept, each with its reason, on the narrowest construct that has it."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import Acknowledgment, CfnElement, Stack, Validations, aws_apigateway
from constructs import IConstruct

from infra.access import ACCESS
from infra.constructs.function import ProductFunction
from infra.stacks.api import PUBLIC_ROUTES
from infra.stacks.data import DataStack
from infra.stacks.media import MediaStack
from infra.stacks.service import ServiceStack

DATABASE = {
    "AwsSolutions::AwsSolutions-RDS10": "Deletion protection follows keeps_data: a dev stage can be taken down.",
}
DATABASE_SECRET = {
    "AwsSolutions::AwsSolutions-SMG4": "One function uses the master's password, at deploys; all others log in by IAM.",
}
FUNCTION = {
    "AwsSolutions::AwsSolutions-L1": "Wheels of the layers are built for this Python; it changes with them.",
    "Serverless::Serverless-LambdaDLQ": "Invoked synchronously, from a queue with a DLQ, or each minute anew.",
    "Serverless::Serverless-LambdaLatestVersion": "Queue readers must run what was deployed last, with its schema.",
}
ROLE = {
    "AwsSolutions::AwsSolutions-IAM5[Resource::*]": "X-Ray and network interfaces allow no resource to be named.",
}
DEAD_LETTERS = {
    "Serverless::Serverless-SQSRedrivePolicy": "It is the dead-letter queue, watched by an alarm.",
}
FRAMEWORK = {
    "Serverless::Serverless-LambdaDLQ": "CloudFormation is told what failed; a deploy is tried again.",
    "Serverless::Serverless-LambdaDefaultMemorySize": "The CDK's own; it asks one function, once a deploy.",
    "Serverless::Serverless-LambdaTracing": "The CDK's own; it asks one function, once a deploy.",
}
MAPPING = {
    "Serverless::Serverless-LambdaEventSourceMappingDestination": "The queue it reads has a DLQ of its own.",
}
SCHEDULE = {
    "Serverless::Serverless-EventBusDLQ": "A sweep that is missed is made up for by the next minute's.",
}
CLOCK = {
    "Serverless::Serverless-LambdaAsyncFailureDestination": "A clock's event holds nothing; the next does its work.",
}
API = {
    "AwsSolutions::AwsSolutions-APIG2": "Functions validate every field and answer in our error shape.",
}
API_ROLE = {
    "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
    "AmazonAPIGatewayPushToCloudWatchLogs]": "The policy AWS documents for an account's API Gateway logs.",
}
API_STAGE = {
    "AwsSolutions::AwsSolutions-APIG3": "No route serves pages or takes cookies; keys are throttled by the usage plan.",
    "AwsSolutions::AwsSolutions-APIG6": "Access logs are on; execution logs would hold prompts.",
}
METHOD = {
    "AwsSolutions::AwsSolutions-COG4": "Callers are accounts with keys of our own, not users of a pool.",
}
PUBLIC_METHOD = {
    "AwsSolutions::AwsSolutions-APIG4": "Webhooks are proven by signature and URL key; health tells nothing.",
}
# A role is allowed objects by the prefix of their keys: what lies below it has names of its own.
PREFIXES = {
    "generated/*": "Results of jobs, at keys with the job's id.",
    "reference-frames/*": "Frames that users uploaded, at keys with the upload's id.",
    "video-clips/*": "Clips of users, at keys with the account's id.",
    "uploads/*": "Files that users uploaded, at keys with the upload's id.",
    "compiled/*": "Films and documents, at keys with the job's id.",
    "processed/*": "Composed videos, at keys with the account's id.",
    "storyboards/*": "Storyboards, at keys with the account's id.",
    "derived/*": "Parts of films, at keys with a hash of what they were made of.",
    "incoming/*": "What providers made, at keys with the job's id.",
    "fetched/*": "What callers named by URL, at keys with the job's id.",
}


def acknowledge_findings(data: DataStack, media: MediaStack, service: ServiceStack) -> None:
    """Marks the accepted findings; a new one fails tests/infra/test_nag.py."""
    if data.cluster is not None:
        if not service.stage.keeps_data:
            _accept(data.cluster.node.find_child("Resource"), DATABASE)
        _accept(data.cluster.node.find_child("Secret"), DATABASE_SECRET)
    for name, function in service.functions.items():
        _accept(function.node.find_child("Resource"), FUNCTION)
        _accept_role(name, function, media, service)
    for queue in service.queues.values():
        assert queue.dead_letter_queue is not None
        _accept(queue.dead_letter_queue.queue, DEAD_LETTERS)
    for mapping in _all_of(service, "AWS::Lambda::EventSourceMapping"):
        _accept(mapping, MAPPING)
    for config in _all_of(service, "AWS::Lambda::EventInvokeConfig"):
        _accept(config, CLOCK)
    for schedule in ("each-minute", "each-hour"):
        _accept(service.node.find_child(schedule), SCHEDULE)
    _accept_schema(service)
    _accept_api(service)


def _accept_schema(service: ServiceStack) -> None:
    """The parts of the CDK's framework that answer CloudFormation."""
    for name, provider in service.schema.providers.items():
        _accept(provider.node.find_child("framework-onEvent").node.find_child("Resource"), FRAMEWORK)
        asked = _logical_id(service, service.functions[name])
        wildcard = f"AwsSolutions::AwsSolutions-IAM5[Resource::<{asked}.Arn>:*]"
        _accept(service.schema.askers[name], {wildcard: "Any version of this one function."})


def _accept_role(name: str, function: ProductFunction, media: MediaStack, service: ServiceStack) -> None:
    role = function.role
    assert role is not None
    _accept(role, ROLE)
    bucket = service.resolve(media.export_value(media.bucket.bucket_arn))["Fn::ImportValue"]
    access = ACCESS[name]
    used = {*access.reads, *access.puts, *access.aborts, *access.deletes, *access.erases} & PREFIXES.keys()
    below = {f"AwsSolutions::AwsSolutions-IAM5[Resource::{bucket}/{prefix}]": PREFIXES[prefix] for prefix in used}
    if below:
        _accept(role, below)


def _accept_api(service: ServiceStack) -> None:
    api = service.api.api
    _accept(api.node.find_child("Resource"), API)
    _accept(api.node.find_child("CloudWatchRole"), API_ROLE)
    _accept(api.deployment_stage, API_STAGE)
    public = {(method, path) for method, path, _ in PUBLIC_ROUTES}
    for method in api.methods:
        resource: aws_apigateway.IResource = method.resource
        if method.http_method == "OPTIONS":
            continue
        _accept(method, METHOD)
        # HEAD of a route is its GET without a body.
        if (method.http_method.replace("HEAD", "GET"), resource.path) in public:
            _accept(method, PUBLIC_METHOD)


def _accept(construct: IConstruct, findings: dict[str, str]) -> None:
    rules = [Acknowledgment(id=name, reason=reason) for name, reason in findings.items()]
    Validations.of(construct).acknowledge(*rules)


def _all_of(stack: Stack, resource_type: str) -> Iterable[IConstruct]:
    return [c for c in stack.node.find_all() if getattr(c, "cfn_resource_type", None) == resource_type]


def _logical_id(stack: Stack, construct: IConstruct) -> str:
    element = construct.node.default_child
    assert isinstance(element, CfnElement)
    return str(stack.resolve(element.logical_id))
