"""Operations on buckets and their configuration."""

from __future__ import annotations

import re
from dataclasses import replace

from aiohttp import web

from local.s3 import cors, events
from local.s3.calls import XML, Call
from local.s3.documents import NAMESPACE, Content, document
from local.s3.errors import Refused
from local.s3.intake import read_document
from local.s3.objects import iso_time
from local.s3.service import Service
from local.s3.upload_rows import UploadRows

_DOCUMENT_BYTES = 64 * 1024
_NAME = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


async def list_buckets(service: Service, call: Call) -> web.StreamResponse:
    found: list[Content] = [
        {"Name": bucket.name, "CreationDate": iso_time(bucket.created_at)} for bucket in service.index.buckets()
    ]
    return call.xml("ListAllMyBucketsResult", {"Owner": {"ID": "local"}, "Buckets": {"Bucket": found}})


async def create_bucket(service: Service, call: Call) -> web.StreamResponse:
    if not _NAME.fullmatch(call.bucket):
        raise Refused("InvalidBucketName", BucketName=call.bucket)
    service.index.make_bucket(call.bucket)
    return call.response(200, {"Location": f"/{call.bucket}"})


async def delete_bucket(service: Service, call: Call) -> web.StreamResponse:
    """Uploads that were never completed do not keep a bucket; they go with it."""
    service.index.delete_bucket(call.bucket)
    rows = UploadRows(service.index)
    while open_uploads := rows.listed(call.bucket, "", ("", ""), 1000):
        for upload in open_uploads:
            service.segments.remove(rows.abort(upload.id))
    return call.response(204)


async def head_bucket(service: Service, call: Call) -> web.StreamResponse:
    return call.response(200, {"x-amz-bucket-region": service.config.region, "Content-Type": "application/xml"})


async def get_location(service: Service, call: Call) -> web.StreamResponse:
    """us-east-1 is told as nothing."""
    region = service.config.region
    element = f">{region}</" if region != "us-east-1" else "></"
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{NAMESPACE}"{element}LocationConstraint>'
    )
    return call.response(200, XML, text.encode())


async def get_cors(service: Service, call: Call) -> web.StreamResponse:
    kept = service.index.bucket(call.bucket).cors
    if kept is None:
        raise Refused("NoSuchCORSConfiguration", BucketName=call.bucket)
    return call.response(200, XML, kept.encode())


async def put_cors(service: Service, call: Call) -> web.StreamResponse:
    body = (await read_document(call, _DOCUMENT_BYTES)).decode(errors="replace")
    cors.read_rules(body)
    service.index.configure_bucket(replace(service.index.bucket(call.bucket), cors=body))
    return call.response(200)


async def delete_cors(service: Service, call: Call) -> web.StreamResponse:
    service.index.configure_bucket(replace(service.index.bucket(call.bucket), cors=None))
    return call.response(204)


async def get_notification(service: Service, call: Call) -> web.StreamResponse:
    kept = service.index.bucket(call.bucket).notification
    return call.response(200, XML, kept.encode() if kept else document("NotificationConfiguration", {}))


async def put_notification(service: Service, call: Call) -> web.StreamResponse:
    body = (await read_document(call, _DOCUMENT_BYTES)).decode(errors="replace")
    rules = events.read_rules(body)
    bucket = replace(service.index.bucket(call.bucket), notification=body if rules else None)
    with service.index.transaction():
        service.index.configure_bucket(bucket)
        service.index.add_events(events.configuration_messages(bucket, call))
    service.sender.wake()
    return call.response(200)
