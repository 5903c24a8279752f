"""From a request to its operation: who calls, whether they may, what the bucket lets other origins see."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiohttp import web

from local.s3 import buckets, cors, listing, objects, posts, reading, uploads
from local.s3.calls import Call, read_call
from local.s3.errors import Refused
from local.s3.pace import RequestClass
from local.s3.service import Service
from local.s3.signatures import verify

_log = logging.getLogger(__name__)
Handler = Callable[[Service, Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Operation:
    """`action` is the permission it needs on its bucket or object; None where it asks for each key itself."""

    handler: Handler
    action: str | None
    pace: RequestClass = "other"


# By method, by what the path names, and by the part of the query or the header that makes another operation of it.
OPERATIONS: dict[tuple[str, str, str], Operation] = {
    ("GET", "service", ""): Operation(buckets.list_buckets, "s3:ListAllMyBuckets"),
    ("PUT", "bucket", ""): Operation(buckets.create_bucket, "s3:CreateBucket"),
    ("DELETE", "bucket", ""): Operation(buckets.delete_bucket, "s3:DeleteBucket"),
    ("HEAD", "bucket", ""): Operation(buckets.head_bucket, "s3:ListBucket"),
    ("GET", "bucket", "location"): Operation(buckets.get_location, "s3:GetBucketLocation"),
    ("GET", "bucket", "cors"): Operation(buckets.get_cors, "s3:GetBucketCORS"),
    ("PUT", "bucket", "cors"): Operation(buckets.put_cors, "s3:PutBucketCORS"),
    ("DELETE", "bucket", "cors"): Operation(buckets.delete_cors, "s3:PutBucketCORS"),
    ("GET", "bucket", "notification"): Operation(buckets.get_notification, "s3:GetBucketNotification"),
    ("PUT", "bucket", "notification"): Operation(buckets.put_notification, "s3:PutBucketNotification"),
    ("GET", "bucket", ""): Operation(listing.list_objects, "s3:ListBucket"),
    ("GET", "bucket", "list-type"): Operation(listing.list_objects_v2, "s3:ListBucket"),
    ("GET", "bucket", "versions"): Operation(listing.list_object_versions, "s3:ListBucketVersions"),
    ("GET", "bucket", "uploads"): Operation(listing.list_uploads, "s3:ListBucketMultipartUploads"),
    ("POST", "bucket", "delete"): Operation(objects.delete_objects, None),
    ("GET", "object", ""): Operation(reading.get_object, "s3:GetObject", "get"),
    ("HEAD", "object", ""): Operation(reading.head_object, "s3:GetObject"),
    ("PUT", "object", ""): Operation(objects.put_object, "s3:PutObject", "put"),
    ("PUT", "object", "copy"): Operation(objects.copy_object, "s3:PutObject", "copy"),
    ("DELETE", "object", ""): Operation(objects.delete_object, "s3:DeleteObject"),
    ("GET", "object", "tagging"): Operation(objects.get_object_tagging, "s3:GetObjectTagging"),
    ("PUT", "object", "tagging"): Operation(objects.put_object_tagging, "s3:PutObjectTagging"),
    ("DELETE", "object", "tagging"): Operation(objects.delete_object_tagging, "s3:DeleteObjectTagging"),
    ("POST", "object", "uploads"): Operation(uploads.create_upload, "s3:PutObject"),
    ("PUT", "object", "uploadId"): Operation(uploads.upload_part, "s3:PutObject", "put"),
    ("PUT", "object", "uploadId copy"): Operation(uploads.copy_part, "s3:PutObject", "copy"),
    ("POST", "object", "uploadId"): Operation(uploads.complete_upload, "s3:PutObject", "complete"),
    ("DELETE", "object", "uploadId"): Operation(uploads.abort_upload, "s3:AbortMultipartUpload"),
    ("GET", "object", "uploadId"): Operation(listing.list_parts, "s3:ListMultipartUploadParts"),
}
# Parts of a query that name another operation; those that OPERATIONS does not know are not implemented.
_NAMING = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "logging",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
    }
)
# Parts of a query that change what an operation means, in ways it does not know.
_UNKNOWN = ("versionId", "partNumber")


class Server:
    """Answers requests; an instance is aiohttp's low-level handler, so that no path is changed on the way."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Always an answer."""
        try:
            call = read_call(request)
        except Refused as refused:
            return Call(request, "", "", "", ()).refusal(refused)
        call.common_headers.update({"x-amz-request-id": call.request_id, "Server": "local-s3"})
        try:
            return await self._answer(call)
        except Refused as refused:
            return self._refusal(call, refused)
        except ConnectionError:
            return self._refusal(call, Refused("IncompleteBody"))  # to nobody: the client has gone
        except Exception:  # noqa: BLE001 - the edge of a request
            _log.exception("%s of bucket %r failed", call.method, call.bucket)
            return self._refusal(call, Refused("InternalError"))

    async def _answer(self, call: Call) -> web.StreamResponse:
        document = self._cors_document(call)
        if call.method == "OPTIONS":
            return call.response(200, cors.preflight(document, call.headers))
        call.common_headers.update(cors.answer_headers(document, call.headers, call.method))
        if _is_form(call):
            self._service.index.bucket(call.bucket)
            await self._service.pace.first_byte("put")
            return await posts.post_object(self._service, call)
        signature = verify(call, self._service.keyring, self._service.config.region, datetime.now(UTC))
        call = replace(call, signature=signature)
        operation = find_operation(call)
        if operation.action:
            resource = f"{call.bucket}/{call.key}" if call.key else call.bucket or "*"
            await self._service.permits.require(call, operation.action, resource)
        if call.bucket and operation.handler is not buckets.create_bucket:
            self._service.index.bucket(call.bucket)
        await self._service.pace.first_byte(operation.pace)
        return await operation.handler(self._service, call)

    def _cors_document(self, call: Call) -> str | None:
        try:
            return self._service.index.bucket(call.bucket).cors
        except Refused:
            return None

    def _refusal(self, call: Call, refused: Refused) -> web.Response:
        response = call.refusal(refused)
        if call.waits_to_continue and not call.request.content.is_eof():
            # Nobody knows whether the body comes after all, so the connection cannot be used again.
            response.force_close()
        return response


def find_operation(call: Call) -> Operation:
    """Raises NotImplemented for an operation of S3 that this server has not, MethodNotAllowed for none of S3's."""
    kind = "object" if call.key else "bucket" if call.bucket else "service"
    named = next((name for name in call.query if name in _NAMING), "")
    copies = " copy" if call.method == "PUT" and "x-amz-copy-source" in call.headers else ""
    operation = OPERATIONS.get((call.method, kind, (named + copies).strip()))
    unknown = [name for name in _UNKNOWN if name in call.query and not (name == "partNumber" and named == "uploadId")]
    if operation is None and not named:
        raise Refused("MethodNotAllowed", Method=call.method)
    if operation is None or unknown:
        raise Refused("NotImplemented", Header=(unknown or [named])[0])
    return operation


def _is_form(call: Call) -> bool:
    content_type = call.headers.get("Content-Type", "")
    return call.method == "POST" and not call.key and not call.pairs and content_type.startswith("multipart/form-data")
