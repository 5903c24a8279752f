"""Uploads by a browser's form: the policy in it is signed, and says what may be sent.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import BodyPartReader, MultipartReader, web

from local.s3.calls import Call
from local.s3.checksums import Checksum, Digests, given_checksum
from local.s3.descriptions import describe
from local.s3.errors import Refused
from local.s3.index import Piece, StoredObject
from local.s3.intake import LARGEST_PUT_BYTES, say_continue, write_segment
from local.s3.service import Service
from local.s3.signatures import ALGORITHM, UNSIGNED, Claim, ReceivedSigner, Signature, check_scope, check_value

_FIELDS_BYTES = 20 * 1024
_CHUNK_BYTES = 256 * 1024
_UNCONDITIONAL = ("x-amz-signature", "file", "policy", "awsaccesskeyid", "signature")


@dataclass(frozen=True)
class Form:
    """Fields by name in lower case, and the file, which comes last."""

    fields: Mapping[str, str]
    file: BodyPartReader

    def field(self, name: str) -> str:
        """Raises InvalidArgument."""
        if name not in self.fields:
            raise Refused("InvalidArgument", f"Bucket POST must contain a field named '{name}'.", ArgumentName=name)
        return self.fields[name]


async def post_object(service: Service, call: Call) -> web.StreamResponse:
    form = await _read_form(call)
    signature = _verify(service, form)
    call = replace(call, key=form.field("key"), signature=signature)
    await service.permits.require(call, "s3:PutObject", f"{call.bucket}/{call.key}")
    lowest, highest = _check_policy(form, call.bucket)
    sent = given_checksum(form.fields)
    digests = Digests([sent.algorithm] if sent else [])
    body = _limited(form.file, highest)
    segment, size_bytes = await write_segment(
        body, service.segments, digests, service.pace.throttle("put"), fsync=service.config.fsync
    )
    try:
        _check_sent(sent, digests, size_bytes, lowest)
        description = replace(describe(_as_headers(form.fields)), checksum=sent)
    except Refused:
        service.segments.remove([segment])
        raise
    stored = StoredObject(call.bucket, call.key, size_bytes, digests.hex("MD5"), description)
    service.commit(call, stored, [Piece(segment, 0, size_bytes)], "Post", {})
    return _answer(call, form, stored)


async def _read_form(call: Call) -> Form:
    await say_continue(call)
    try:
        return await _fields_and_file(await call.request.multipart())
    except ValueError as error:
        raise Refused("MalformedPOSTRequest") from error


async def _fields_and_file(reader: MultipartReader) -> Form:
    fields: dict[str, str] = {}
    left_bytes = _FIELDS_BYTES
    while isinstance(part := await reader.next(), BodyPartReader):
        name = (part.name or "").lower()
        if name == "file":
            fields["key"] = fields.get("key", "").replace("${filename}", part.filename or "")
            return Form(fields, part)
        value = await _field(part, left_bytes)
        left_bytes -= len(value)
        fields[name] = value.decode()
    raise Refused("InvalidArgument", "POST requires exactly one file upload per request.", ArgumentName="file")


async def _field(part: BodyPartReader, limit_bytes: int) -> bytes:
    return b"".join([data async for data in _limited(part, limit_bytes, "MaxMessageLengthExceeded")])


async def _limited(part: BodyPartReader, limit_bytes: int, code: str = "EntityTooLarge") -> AsyncIterator[bytes]:
    size_bytes = 0
    while data := await part.read_chunk(_CHUNK_BYTES):
        size_bytes += len(data)
        if size_bytes > limit_bytes:
            raise Refused(code, ProposedSize=size_bytes, MaxSizeAllowed=limit_bytes)
        yield bytes(data)


def _verify(service: Service, form: Form) -> Signature:
    """Raises AccessDenied for a form without policy, SignatureDoesNotMatch, and what the keyring refuses."""
    if "policy" not in form.fields:
        raise Refused("AccessDenied")
    if form.field("x-amz-algorithm") != ALGORITHM:
        raise Refused("InvalidArgument", f"X-Amz-Algorithm only supports {ALGORITHM}", ArgumentName="x-amz-algorithm")
    now, region = datetime.now(UTC), service.config.region
    claim = Claim(
        tuple(form.field("x-amz-credential").rsplit("/", 4)),
        (),
        form.field("x-amz-signature"),
        form.field("x-amz-date"),
    )
    check_scope(claim, region, "AuthorizationQueryParametersError")
    credential = service.keyring.find(claim.scope[0], form.fields.get("x-amz-security-token"), now.timestamp())
    signer = ReceivedSigner(credential, region)
    check_value(signer.sign_text(form.fields["policy"], claim.timestamp), claim.value)
    return Signature(credential, UNSIGNED, claim.value, signer, claim.timestamp)


def _check_policy(form: Form, bucket: str) -> tuple[int, int]:
    """The least and most bytes allowed. Raises AccessDenied, InvalidPolicyDocument."""
    try:
        policy = json.loads(base64.b64decode(form.fields["policy"]))
        ends = datetime.fromisoformat(policy["expiration"])
        conditions = [_condition(entry) for entry in policy["conditions"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("InvalidPolicyDocument", "Invalid Policy: Invalid JSON or missing parts.") from error
    if ends.replace(tzinfo=ends.tzinfo or UTC) < datetime.now(UTC):
        raise Refused("AccessDenied", "Invalid according to Policy: Policy expired.")
    values = {**form.fields, "bucket": bucket}
    spans = [(0, LARGEST_PUT_BYTES)]
    for operator, name, value in conditions:
        if operator == "content-length-range":
            spans.append((int(name), int(value)))
        elif not _holds(operator, values.get(name), value):
            raise Refused(
                "AccessDenied",
                f'Invalid according to Policy: Policy Condition failed: ["{operator}", "${name}", "{value}"]',
            )
    _check_extra(form.fields, {name for _, name, _ in conditions})
    return max(low for low, _ in spans), min(high for _, high in spans)


def _condition(entry: Any) -> tuple[str, str, Any]:
    """(operator, field or least, value or most). Raises ValueError."""
    if isinstance(entry, Mapping):
        ((name, value),) = entry.items()
        return "eq", name.lower(), value
    operator, name, value = entry
    if operator == "content-length-range":
        return operator, str(int(name)), int(value)
    if operator not in ("eq", "starts-with") or not name.startswith("$"):
        raise ValueError(f"unknown condition {operator}")
    return operator, name[1:].lower(), value


def _holds(operator: str, given: str | None, value: str) -> bool:
    if given is None:
        return False
    if operator == "eq":
        return given == value
    # A list of content types is held against the prefix one by one.
    return all(one.strip().startswith(value) for one in (given.split(",") if given else [""]))


def _check_extra(fields: Mapping[str, str], named: set[str]) -> None:
    """Every field that could change what is stored must have been foreseen."""
    extra = [
        name for name in fields if name not in named and name not in _UNCONDITIONAL and not name.startswith("x-ignore-")
    ]
    if extra:
        raise Refused("AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _check_sent(sent: Checksum | None, digests: Digests, size_bytes: int, lowest: int) -> None:
    if size_bytes < lowest:
        raise Refused("EntityTooSmall", ProposedSize=size_bytes, MinSizeAllowed=lowest)
    if sent and digests.base64(sent.algorithm) != sent.value:
        raise Refused("BadDigest", f"The {sent.algorithm} you specified did not match the calculated checksum.")


def _as_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """Form fields under the names that the same things have as headers."""
    if "tagging" in fields:
        raise Refused("NotImplemented", Header="tagging")
    return {name if name.startswith("x-amz-") else name.title(): value for name, value in fields.items()}


def _answer(call: Call, form: Form, stored: StoredObject) -> web.Response:
    location = f"http://{call.headers.get('Host', '')}/{quote(f'{stored.bucket}/{stored.key}', safe='/~')}"
    etag, fields = f'"{stored.etag}"', form.fields
    redirect = fields.get("success_action_redirect", "")
    if redirect.startswith(("http://", "https://")):
        query = urlencode({"bucket": stored.bucket, "key": stored.key, "etag": etag})
        return call.response(303, {"Location": f"{redirect}{'&' if '?' in redirect else '?'}{query}"})
    headers = {"ETag": etag, "Location": location}
    if fields.get("success_action_status") == "201":
        content: dict[str, Any] = {"Location": location, "Bucket": stored.bucket, "Key": stored.key, "ETag": etag}
        made = call.xml("PostResponse", content, headers)
        made.set_status(201)
        return made
    return call.response(200 if fields.get("success_action_status") == "200" else 204, headers)
