"""What each function needs of AWS: the calls that its code makes, what each is for, and what IAM asks for it.

`test_permissions.py` holds the calls against the code (`reach.py`), and the roles against what follows from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.infra.reach import Program, operations_of

Right = tuple[str, str]
"""An action and what it is allowed on, as in `("s3:GetObject", "media/uploads/*")`."""
# Of a call's things: themselves, keys that are listed below them, the bucket they lie in, or what they are copied from.
On = Literal["thing", "below", "bucket", "source"]
_SECRET: tuple[str, On] = ("secretsmanager:GetSecretValue", "source")

# What IAM asks for a client's call (Service Authorization Reference; Amazon S3, required permissions for API
# operations). With SSE-S3, SQS-managed keys and AWS's own keys of DynamoDB, SSM and Secrets Manager none asks for KMS.
OPERATIONS: Mapping[str, tuple[tuple[str, On], ...]] = {
    "s3.get_object": (("s3:GetObject", "thing"),),
    "s3.head_object": (("s3:GetObject", "thing"),),
    # A look and ranges of a GET.
    "s3.download_file": (("s3:GetObject", "thing"),),
    # Whoever holds the URL does what its signer may.
    "s3.presigned_get": (("s3:GetObject", "thing"),),
    "s3.generate_presigned_post": (("s3:PutObject", "thing"),),
    # Only tells where the bucket is.
    "s3.generate_presigned_url": (),
    "s3.put_object": (("s3:PutObject", "thing"),),
    # In parts from 8 MiB on, which it gives up when one fails.
    "s3.upload_file": (("s3:PutObject", "thing"), ("s3:AbortMultipartUpload", "thing")),
    "s3.create_multipart_upload": (("s3:PutObject", "thing"),),
    "s3.upload_part": (("s3:PutObject", "thing"),),
    "s3.upload_part_copy": (("s3:PutObject", "thing"), ("s3:GetObject", "source")),
    "s3.complete_multipart_upload": (("s3:PutObject", "thing"),),
    "s3.abort_multipart_upload": (("s3:AbortMultipartUpload", "thing"),),
    "s3.delete_objects": (("s3:DeleteObject", "thing"),),
    "s3.list_objects_v2": (("s3:ListBucket", "below"),),
    "s3.list_object_versions": (("s3:ListBucketVersions", "below"),),
    "s3.list_multipart_uploads": (("s3:ListBucketMultipartUploads", "bucket"),),
    "dynamodb.get_item": (("dynamodb:GetItem", "thing"),),
    "dynamodb.put_item": (("dynamodb:PutItem", "thing"),),
    "dynamodb.delete_item": (("dynamodb:DeleteItem", "thing"),),
    "dynamodb.scan": (("dynamodb:Scan", "thing"),),
    "sqs.send_message_batch": (("sqs:SendMessage", "thing"),),
    "lambda.invoke": (("lambda:InvokeFunction", "thing"),),
    "sqs.change_message_visibility": (("sqs:ChangeMessageVisibility", "thing"),),
    "rds.generate_db_auth_token": (("rds-db:connect", "thing"),),
    "elasticache.connect": (("elasticache:Connect", "thing"),),
    # The Data API reads the secret as its caller.
    "rds-data.begin_transaction": (("rds-data:BeginTransaction", "thing"), _SECRET),
    "rds-data.execute_statement": (("rds-data:ExecuteStatement", "thing"), _SECRET),
    "rds-data.commit_transaction": (("rds-data:CommitTransaction", "thing"), _SECRET),
    "rds-data.rollback_transaction": (("rds-data:RollbackTransaction", "thing"), _SECRET),
    "parameters.get_secret": (("secretsmanager:GetSecretValue", "thing"),),
    "secretsmanager.get_secret_value": (("secretsmanager:GetSecretValue", "thing"),),
    "parameters.get_parameter": (("ssm:GetParameter", "thing"),),
}

# Of calls whose rights hang on what they are given: each version is named, which is another action's to delete.
VERSIONED: Mapping[str, tuple[tuple[str, On], ...]] = {
    "media.erase": (("s3:ListBucketVersions", "below"), ("s3:DeleteObjectVersion", "thing")),
}


@dataclass(frozen=True)
class Need:
    """A call as the code has it, what it is made on, and why. `source`: what a copy is made of."""

    call: str
    on: tuple[str, ...]
    why: str
    source: tuple[str, ...] = ()


def media(*prefixes: str) -> tuple[str, ...]:
    """Objects of the media bucket by key, or by prefix and `*`."""
    return tuple(f"media/{prefix}" for prefix in prefixes)


def secrets(*names: str) -> tuple[str, ...]:
    return tuple(f"secret {name}" for name in names)


def queues(*topics: str) -> tuple[str, ...]:
    return tuple(f"queue {topic}" for topic in topics)


USERS = media("generated/*", "reference-frames/*", "video-clips/*", "uploads/*")
OWN = (*USERS, *media("compiled/*", "processed/*", "storyboards/*"))
CLIPS = (*USERS, *media("compiled/*", "fetched/*", "derived/*"))
RESULTS = media("generated/*", "compiled/*")
FILMS = media("compiled/*", "derived/*")
ERASED = (*USERS, *media("compiled/*", "derived/*", "incoming/*", "fetched/*"))
SWEPT = media("uploads/*", "compiled/*", "derived/*", "incoming/*", "fetched/*")
CATALOG = media("catalog/models.json")

LOG_IN = Need("rds.generate_db_auth_token", ("database user vsl_app",), "the system of record")
CACHE = Need("elasticache.connect", ("cache", "cache user"), "jobs' statuses, pace and places of waiters")
ASK = Need("inside.ask", ("function settle",), "claims and heartbeats")
REPORT = Need("reports.send", queues("reports"), "what was seen outside")
PUBLISH = Need("live.put", ("table jobs",), "a job's snapshot after each commit")
WAIT = Need("live.get", ("table jobs",), "a job's status where the cache has none")
NO_PARAMETER = Need("parameters.get_parameter", (), "none of its settings is an ssm: address")


def _outbox(*topics: str) -> Need:
    return Need("queue.send", queues(*topics), "announcements that the outbox holds")


def _again(*topics: str) -> Need:
    return Need("sqs.change_message_visibility", queues(*topics), "a message that failed comes again sooner")


def _rotated(*names: str) -> Need:
    return Need("secretsmanager.get_secret_value", secrets(*names), "secrets with two versions while they are rotated")


def _secrets(*names: str) -> Need:
    return Need("parameters.get_secret", secrets(*names), "its settings that are secret: addresses")


# Of a request for media, wherever it is made.
_GENERATE = (
    Need("media.put", media("uploads/*"), "images that come inside a request"),
    Need("media.read", media("uploads/*"), "the image that came inside an earlier request, for its repetition"),
)
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "authorizer": (Need("directory.get", ("table keys",), "whose key it is"),),
    "account": (
        LOG_IN,
        Need("directory.put", ("table keys",), "a key is made or revoked; all are written anew"),
        Need("directory.hashes", ("table keys",), "which keys are in no row"),
        Need("directory.remove", ("table keys",), "keys that are in no row"),
    ),
    "generate_media": (
        LOG_IN,
        CACHE,
        PUBLISH,
        WAIT,
        _outbox("calls", "compile", "fetch"),
        *_GENERATE,
        Need("media.head", (*OWN, *media("fetched/*")), "images and clips named by key; what an earlier job fetched"),
        Need("media.read_text", (*CATALOG, *media("compiled/*")), "the models' schemas; documents of plans and probes"),
        Need("media.signed_url", RESULTS, "links to a job's results"),
    ),
    "status": (
        LOG_IN,
        CACHE,
        PUBLISH,
        WAIT,
        Need("queue.send", (), "it has no queue: what is unsent is left to the sweep"),
        Need("media.read_text", media("compiled/*"), "documents of plans and probes"),
        Need("media.signed_url", RESULTS, "links to jobs' results"),
    ),
    "review": (
        LOG_IN,
        CACHE,
        PUBLISH,
        _outbox("calls"),
        *_GENERATE,
        Need("media.head", OWN, "images of a request that is repeated"),
        Need("media.read_text", CATALOG, "the models' schemas"),
        Need("media.signed_url", RESULTS, "links to clips and films"),
        Need("media.upload_form", media("uploads/*", "reference-frames/*"), "forms for files and frames"),
    ),
    "compile_videos": (
        LOG_IN,
        CACHE,
        PUBLISH,
        WAIT,
        _outbox("compile", "fetch"),
        _again("compile"),
        Need("media.head", CLIPS, "clips, and films and parts that may be there already"),
        Need("media.read", CLIPS, "clips, and parts that were made of them"),
        Need("media.page", media("derived/*"), "whether a part was made before"),
        Need("media.read_text", media("compiled/*"), "documents of plans and probes"),
        Need("media.replace_text", media("compiled/*"), "documents of plans and probes"),
        Need("media.signed_url", media("compiled/*"), "links to films and documents"),
        Need("media.upload", media("compiled/*"), "films that were encoded, thumbnails"),
        Need("media.put", FILMS, "films and parts that fit one request"),
        Need("media.start_upload", FILMS, "films and parts, in parts"),
        Need("media.upload_part", FILMS, "films and parts, in parts"),
        Need("media.copy_part", media("compiled/*"), "a clip's bytes, never read here", source=CLIPS),
        Need("media.complete_upload", FILMS, "films and parts, in parts"),
        Need("media.abort_upload", FILMS, "uploads that failed, or were left by a worker that was killed"),
        Need("media.open_uploads", FILMS, "uploads that were left by a worker that was killed"),
        Need("media.delete", FILMS, "films that are not right, parts that were replaced"),
    ),
    "inspect_media": (
        LOG_IN,
        CACHE,
        PUBLISH,
        _outbox("inspect"),
        _again("inspect", "uploads"),
        Need("media.head", media("uploads/*", "generated/*"), "a file that is waited for; the etag of what was kept"),
        Need("media.download", media("incoming/*", "uploads/*"), "what is to be looked through"),
        Need("media.upload", media("generated/*"), "the result and its thumbnail"),
        Need("media.write_text", media("generated/*"), "a text as result"),
        Need("media.keys", media("incoming/*"), "what came in for a job that has ended"),
        Need("media.delete", media("incoming/*", "uploads/*"), "what came in for a job that has ended"),
    ),
    "settle": (
        LOG_IN,
        CACHE,
        PUBLISH,
        _outbox("calls", "store", "inspect", "compile", "fetch"),
        _again("reports"),
    ),
    "reconcile": (
        LOG_IN,
        CACHE,
        PUBLISH,
        _outbox("calls", "store", "inspect", "compile", "fetch"),
        Need("live.page", ("table jobs",), "the live view made anew"),
        Need("live.replace", ("table jobs",), "the live view made anew"),
        Need("live.remove", ("table jobs",), "the live view made anew"),
        Need("directory.is_empty", ("table keys",), "whether the keys were lost"),
        Need("directory.put", ("table keys",), "keys that were lost"),
    ),
    "retention": (
        LOG_IN,
        CACHE,
        _outbox("calls"),
        Need("live.replace", ("table jobs",), "snapshots of what was erased"),
        Need("media.erase", ERASED, "all versions of what is erased"),
        Need("media.page", SWEPT, "what nobody owns"),
        Need("media.delete", SWEPT, "what nobody owns"),
        Need("media.open_uploads", ERASED, "uploads that were never finished"),
        Need("media.abort_upload", ERASED, "uploads that were never finished"),
    ),
    "migrate": (Need("rds.generate_db_auth_token", ("database user vsl_owner",), "tables are its own"),),
    "database_roles": tuple(
        Need(f"rds-data.{call}", ("database cluster",), "roles are made as the master", source=("database secret",))
        for call in ("begin_transaction", "execute_statement", "commit_transaction", "rollback_transaction")
    ),
    "webhook": (REPORT, _rotated("webhook-url-key", "replicate-webhook-secret")),
    "call_provider": (
        ASK,
        REPORT,
        _again("calls"),
        _secrets("replicate-token", "runway-token"),
        _rotated("webhook-url-key"),
        Need("parameters.get_parameter", ("parameter public-base-url",), "where webhooks are to go"),
        Need("media.signed_url", OWN, "images of a request, for the provider"),
        Need("media.head", media("uploads/*"), "an image that came inside the request"),
        Need("media.read", media("uploads/*"), "an image that came inside the request"),
    ),
    "store_media": (
        ASK,
        REPORT,
        _again("store"),
        _secrets("replicate-token", "runway-token"),
        NO_PARAMETER,
        Need("media.head", media("incoming/*"), "what an earlier delivery brought"),
        Need("media.write_once", media("incoming/*"), "what the provider made"),
    ),
    "fetch_source": (
        ASK,
        REPORT,
        _again("fetch"),
        Need("media.head", media("fetched/*"), "what an earlier delivery brought"),
        Need("media.write_once", media("fetched/*"), "what a caller named by URL"),
    ),
    "provider_catalog": (
        _secrets("replicate-token"),
        NO_PARAMETER,
        Need("media.read_text", CATALOG, "what was known of the models"),
        Need("media.replace_text", CATALOG, "what is known of the models"),
    ),
}
# Which function reads which queues: Lambda does so with the function's role.
CONSUMERS: Mapping[str, tuple[str, ...]] = {
    "call_provider": ("calls",),
    "settle": ("reports",),
    "store_media": ("store",),
    "fetch_source": ("fetch",),
    "inspect_media": ("inspect", "uploads"),
    "compile_videos": ("compile",),
}
# What Lambda itself does with a role (Lambda guide: execution role, VPC, X-Ray, Amazon SQS).
LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")
CONSUMING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
TRACING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
# The local database and cache have passwords, or none.
LOGINS = ("rds-db:connect", "elasticache:Connect")
# Makes the roles that tokens log in as, so the local stack has no need of it.
IN_AWS_ALONE = ("database_roles",)
# On the local stack the registry of models is an object of the media bucket, when it is one at all.
LOCAL_REGISTRY_READERS = ("generate_media", "review", "provider_catalog")


def needed(program: Program, function: str, *, is_inside: bool, is_local: bool) -> frozenset[Right]:
    """The rights that a function's role needs."""
    rights = {right for need in NEEDS[function] for right in _rights(program, need)}
    rights |= {(action, "own log group") for action in LOGGING}
    rights |= {(action, f"queue {topic}") for topic in CONSUMERS.get(function, ()) for action in CONSUMING}
    rights |= {(action, "*") for action in INTERFACES if is_inside}
    rights |= {(action, "*") for action in TRACING if not is_local}
    if is_local and function in LOCAL_REGISTRY_READERS:
        rights.add(("s3:GetObject", "media/catalog/*"))
    return frozenset(right for right in rights if not (is_local and right[0] in LOGINS))


def _rights(program: Program, need: Need) -> Iterator[Right]:
    port, _, method = need.call.partition(".")
    operations = {need.call} if need.call in OPERATIONS else operations_of(program, port, method)
    asked = VERSIONED.get(need.call) or [right for operation in operations for right in OPERATIONS[operation]]
    for action, kind in asked:
        if kind == "bucket":
            yield action, "media"
        else:
            yield from ((action, thing) for thing in (need.source if kind == "source" else need.on))
