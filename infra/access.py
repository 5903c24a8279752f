"""The rights of each function besides logging: the actions that its code needs, on what it needs them for.

CDK's `grant_*` ask for more than any call makes (twelve actions of DynamoDB, all objects of a bucket), so none is used.
`tests/infra/test_permissions.py` holds every role against the calls of its function's code, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Stack, aws_dynamodb, aws_lambda, aws_s3, aws_sqs

from infra.constructs.function import ProductFunction
from infra.stages import Stage

# Media that belong to an account, by any of which a caller may name an own object (shared/domain/storage_keys.py).
USERS_MEDIA = ("generated/*", "reference-frames/*", "video-clips/*", "uploads/*")
OWN_MEDIA = (*USERS_MEDIA, "compiled/*", "processed/*", "storyboards/*")
# Where results lie, whose addresses are signed for callers.
RESULTS = ("generated/*", "compiled/*")
# What erasures go through, and what of it the sweep of orphans does.
ALL_MEDIA = (*USERS_MEDIA, "compiled/*", "derived/*", "incoming/*", "fetched/*")
SWEPT_MEDIA = ("uploads/*", "compiled/*", "derived/*", "incoming/*", "fetched/*")
CATALOG = "catalog/models.json"
# The actions Lambda reads a queue with (AWSLambdaSQSQueueExecutionRole), and the one that hides a failed message.
CONSUME = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility")


@dataclass(frozen=True)
class Access:
    """Keys and prefixes of the media bucket, actions on tables, names of secrets and parameters below `/vsl/{stage}/`.

    `finds` are prefixes below which keys are listed, or looked for that may be absent: to a role that may not list, S3
    answers 403 and not 404. `erases`: with all their versions.
    """

    reads: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    puts: tuple[str, ...] = ()
    aborts: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    erases: tuple[str, ...] = ()
    lists_uploads: bool = False
    jobs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    asks_settle: bool = False


ACCESS: Mapping[str, Access] = {
    "authorizer": Access(keys=("GetItem",)),
    "account": Access(keys=("PutItem", "DeleteItem", "Scan")),
    "generate_media": Access(
        reads=(*OWN_MEDIA, "fetched/*", CATALOG),
        finds=(*OWN_MEDIA, "fetched/*", CATALOG),
        puts=("uploads/*",),
        jobs=("GetItem", "PutItem"),
    ),
    "status": Access(reads=RESULTS, finds=("compiled/*",), jobs=("GetItem", "PutItem")),
    "review": Access(
        reads=(*OWN_MEDIA, CATALOG),
        finds=(*OWN_MEDIA, CATALOG),
        puts=("uploads/*", "reference-frames/*"),
        jobs=("PutItem",),
    ),
    "compile_videos": Access(
        reads=(*USERS_MEDIA, "compiled/*", "derived/*", "fetched/*"),
        finds=(*USERS_MEDIA, "compiled/*", "derived/*", "fetched/*"),
        puts=("compiled/*", "derived/*"),
        aborts=("compiled/*", "derived/*"),
        deletes=("compiled/*", "derived/*"),
        lists_uploads=True,
        jobs=("GetItem", "PutItem"),
    ),
    "inspect_media": Access(
        reads=("incoming/*", "uploads/*", "generated/*"),
        finds=("incoming/*", "uploads/*", "generated/*"),
        puts=("generated/*",),
        aborts=("generated/*",),
        deletes=("incoming/*", "uploads/*"),
        jobs=("PutItem",),
    ),
    "retention": Access(
        finds=SWEPT_MEDIA,
        aborts=ALL_MEDIA,
        deletes=SWEPT_MEDIA,
        erases=ALL_MEDIA,
        lists_uploads=True,
        jobs=("PutItem",),
    ),
    "settle": Access(jobs=("PutItem",)),
    "reconcile": Access(jobs=("PutItem", "DeleteItem", "Scan"), keys=("PutItem", "Scan")),
    "migrate": Access(),
    "database_roles": Access(),
    "webhook": Access(secrets=("webhook-url-key", "replicate-webhook-secret")),
    "call_provider": Access(
        reads=OWN_MEDIA,
        finds=("uploads/*",),
        secrets=("webhook-url-key", "replicate-token", "runway-token"),
        parameters=("public-base-url",),
        asks_settle=True,
    ),
    "store_media": Access(
        reads=("incoming/*",),
        finds=("incoming/*",),
        puts=("incoming/*",),
        secrets=("replicate-token", "runway-token"),
        asks_settle=True,
    ),
    "fetch_source": Access(reads=("fetched/*",), finds=("fetched/*",), puts=("fetched/*",), asks_settle=True),
    "provider_catalog": Access(reads=(CATALOG,), finds=(CATALOG,), puts=(CATALOG,), secrets=("replicate-token",)),
}
# These read the registry of models too, wherever MODELS_CONFIG names it.
REGISTRY_READERS = ("generate_media", "review", "provider_catalog")


@dataclass(frozen=True)
class Stores:
    """The resources that access is granted to."""

    stage: Stage
    media: aws_s3.IBucket
    jobs: aws_dynamodb.ITable
    api_keys: aws_dynamodb.ITable


def grant_access(functions: Mapping[str, ProductFunction], stores: Stores) -> None:
    """Gives every function what ACCESS says, and no more."""
    for name, function in functions.items():
        access = ACCESS[name]
        _grant_media(function, access, stores.media)
        _grant_tables(function, access, stores)
        _grant_settings(function, access, stores.stage)
        if access.asks_settle:
            function.allow("lambda:InvokeFunction", on=[functions["settle"].function_arn])
    for name in REGISTRY_READERS:
        _grant_registry(functions[name], stores)


def grant_sends(function: ProductFunction, queues: Sequence[aws_sqs.IQueue]) -> None:
    """The messages of a batch are each a `sqs:SendMessage`."""
    if queues:
        function.allow("sqs:SendMessage", on=[queue.queue_arn for queue in queues])


def _grant_media(function: ProductFunction, access: Access, bucket: aws_s3.IBucket) -> None:
    by_action = {
        "s3:GetObject": access.reads,
        "s3:PutObject": access.puts,
        "s3:AbortMultipartUpload": access.aborts,
        "s3:DeleteObject": access.deletes,
        "s3:DeleteObjectVersion": access.erases,
    }
    for action, prefixes in by_action.items():
        if prefixes:
            function.allow(action, on=[bucket.arn_for_objects(prefix) for prefix in prefixes])
    for action, prefixes in (("s3:ListBucket", access.finds), ("s3:ListBucketVersions", access.erases)):
        below = {"StringLike": {"s3:prefix": list(prefixes)}}
        if prefixes:
            function.allow(action, on=[bucket.bucket_arn], conditions=below)
    if access.lists_uploads:
        # Its condition keys have no prefix (Service Authorization Reference, Amazon S3).
        function.allow("s3:ListBucketMultipartUploads", on=[bucket.bucket_arn])


def _grant_tables(function: ProductFunction, access: Access, stores: Stores) -> None:
    for actions, table in ((access.jobs, stores.jobs), (access.keys, stores.api_keys)):
        if actions:
            function.allow(*(f"dynamodb:{action}" for action in actions), on=[table.table_arn])


def _grant_settings(function: ProductFunction, access: Access, stage: Stage) -> None:
    if access.secrets:
        # Secrets Manager ends its ARNs with six characters of its own.
        secrets = [_arn(function, "secretsmanager", f"secret:/vsl/{stage.name}/{one}-??????") for one in access.secrets]
        function.allow("secretsmanager:GetSecretValue", on=secrets)
    if access.parameters:
        named = [_arn(function, "ssm", f"parameter/vsl/{stage.name}/{one}") for one in access.parameters]
        function.allow("ssm:GetParameter", on=named)


def _grant_registry(function: ProductFunction, stores: Stores) -> None:
    """The one object that an `s3:bucket/key` address names. Locally it lies in the media bucket's `catalog/`."""
    named = stores.stage.models_config
    if stores.stage.is_local:
        function.allow("s3:GetObject", on=[stores.media.arn_for_objects("catalog/*")])
    elif named.startswith("s3:"):
        arn = f"arn:{Stack.of(function).partition}:s3:::{named.removeprefix('s3:').lstrip('/')}"
        function.allow("s3:GetObject", on=[arn])


def _arn(function: aws_lambda.IFunction, service: str, rest: str) -> str:
    stack = Stack.of(function)
    return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{rest}"
