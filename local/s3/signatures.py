"""Who sent a request: Signature Version 4 in headers or in the query.

botocore computes the expected signature; here is what it cannot know: what a server must insist on.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local.s3.calls import Call
from local.s3.credentials import Credential, Keyring
from local.s3.errors import Refused

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = (
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
)
MAX_SKEW_SECONDS = 15 * 60
LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_HEADER = re.compile(
    rf"{ALGORITHM} +Credential=(?P<credential>[^, ]+), *SignedHeaders=(?P<headers>[^, ]+), *Signature=(?P<value>[^, ]+)"
)


@dataclass(frozen=True)
class Claim:
    """What a request says of its own signature; `scope` is key id, date, region, service, "aws4_request"."""

    scope: tuple[str, ...]
    signed_headers: tuple[str, ...]
    value: str
    timestamp: str


@dataclass(frozen=True)
class Signature:
    """A signature found right. `payload`: the body's SHA-256 in hex, or one of UNSIGNED and STREAMING."""

    credential: Credential
    payload: str
    value: str
    signer: ReceivedSigner
    timestamp: str


class ReceivedSigner(S3SigV4Auth):
    """botocore's signer for requests that come in: every header it is given is a signed one."""

    def __init__(self, credential: Credential, region: str) -> None:
        super().__init__(Credentials(credential.access_key_id, credential.secret_access_key), "s3", region)

    def payload(self, request: AWSRequest) -> str:
        """What presigned requests sign of their body; others sign a header that says it."""
        return str(request.context.get("payload", UNSIGNED))

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def sign_text(self, text: str, timestamp: str) -> str:
        return str(self.signature(text, _at(timestamp)))

    def scope_at(self, timestamp: str) -> str:
        return str(self.credential_scope(_at(timestamp)))


def verify(call: Call, keyring: Keyring, region: str, now: datetime) -> Signature:
    """Raises AccessDenied without a signature, SignatureDoesNotMatch with a wrong one, and more by name."""
    in_header, in_query = "Authorization" in call.headers, "X-Amz-Algorithm" in call.query
    if in_header and in_query:
        raise Refused(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
        )
    if in_query:
        return _verify_query(call, keyring, region, now)
    if in_header:
        return _verify_header(call, keyring, region, now)
    if "AWSAccessKeyId" in call.query:
        raise _not_version_4()
    raise Refused("AccessDenied")


def check_scope(claim: Claim, region: str, code: str) -> None:
    """Raises the named error unless key id, date, region and service fit together."""
    if len(claim.scope) != 5:
        raise Refused(
            code, 'The Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    _, date, named, service, end = claim.scope
    if named != region:
        raise Refused(code, f"The region '{named}' is wrong; expecting '{region}'", Region=region)
    if (service, end) != ("s3", "aws4_request") or date != claim.timestamp[:8]:
        raise Refused(code, "The Credential's date, service or terminator does not fit the request.")


def time_of(timestamp: str) -> datetime:
    """Raises AccessDenied for anything but a time as 20261121T054125Z."""
    try:
        return datetime.strptime(timestamp, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error


def check_value(expected: str, claimed: str, **details: str) -> None:
    """Raises SignatureDoesNotMatch."""
    if not hmac.compare_digest(expected.encode(), claimed.encode()):
        raise Refused("SignatureDoesNotMatch", **details)


def _verify_header(call: Call, keyring: Keyring, region: str, now: datetime) -> Signature:
    text = call.headers["Authorization"]
    if text.startswith("AWS "):
        raise _not_version_4()
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        raise Refused("AuthorizationHeaderMalformed")
    claim = Claim(
        tuple(match["credential"].rsplit("/", 4)),
        tuple(match["headers"].split(";")),
        match["value"],
        _header_time(call),
    )
    check_scope(claim, region, "AuthorizationHeaderMalformed")
    credential = keyring.find(claim.scope[0], call.headers.get("X-Amz-Security-Token"), now.timestamp())
    if abs((time_of(claim.timestamp) - now).total_seconds()) > MAX_SKEW_SECONDS:
        raise Refused(
            "RequestTimeTooSkewed",
            RequestTime=claim.timestamp,
            ServerTime=_iso(now),
            MaxAllowedSkewMilliseconds=MAX_SKEW_SECONDS * 1000,
        )
    payload = call.headers.get("X-Amz-Content-SHA256")
    if payload is None:
        raise Refused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    return _checked(call, claim, credential, region, _known_payload(payload))


def _verify_query(call: Call, keyring: Keyring, region: str, now: datetime) -> Signature:
    query = call.query
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise Refused("AuthorizationQueryParametersError", 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    missing = [n for n in ("Credential", "Date", "Expires", "SignedHeaders", "Signature") if f"X-Amz-{n}" not in query]
    if missing:
        raise Refused(
            "AuthorizationQueryParametersError",
            "Query-string authentication version 4 requires the "
            "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters.",
        )
    claim = Claim(
        tuple(query["X-Amz-Credential"].rsplit("/", 4)),
        tuple(query["X-Amz-SignedHeaders"].split(";")),
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
    )
    check_scope(claim, region, "AuthorizationQueryParametersError")
    credential = keyring.find(claim.scope[0], query.get("X-Amz-Security-Token"), now.timestamp())
    _check_period(claim.timestamp, query["X-Amz-Expires"], now)
    payload = call.headers.get("X-Amz-Content-SHA256", query.get("X-Amz-Content-SHA256", UNSIGNED))
    return _checked(call, claim, credential, region, _known_payload(payload))


def _checked(call: Call, claim: Claim, credential: Credential, region: str, payload: str) -> Signature:
    _check_signed_headers(call, claim.signed_headers)
    signer = ReceivedSigner(credential, region)
    request = _at(claim.timestamp)
    request.method, request.url = call.method, "http://received" + quote(call.path, safe="/~")
    request.context["payload"] = payload
    # Pairs, where botocore's stubs want a dictionary: a name may come twice.
    request.params = [pair for pair in call.pairs if pair[0] != "X-Amz-Signature"]  # type: ignore[assignment]
    for name in claim.signed_headers:
        request.headers[name] = ",".join(call.request.headers.getall(name, []))
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    check_value(
        signer.signature(text, request),
        claim.value,
        AWSAccessKeyId=credential.access_key_id,
        StringToSign=text,
        SignatureProvided=claim.value,
        CanonicalRequest=canonical,
    )
    return Signature(credential, payload, claim.value, signer, claim.timestamp)


def _check_signed_headers(call: Call, signed: Collection[str]) -> None:
    """An unsigned `x-amz-` header could have been added by anyone on the way."""
    unsigned = [name for name in map(str.lower, call.headers) if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed or unsigned:
        names = ", ".join(unsigned or ["host"])
        raise Refused(
            "AccessDenied", "There were headers present in the request which were not signed", HeadersNotSigned=names
        )


def _check_period(timestamp: str, expires: str, now: datetime) -> None:
    if not re.fullmatch(r"\d{1,6}", expires, re.ASCII) or not 0 < int(expires) <= LONGEST_EXPIRY_SECONDS:
        raise Refused(
            "AuthorizationQueryParametersError", "X-Amz-Expires must be a positive number of seconds, less than a week"
        )
    age_seconds = (now - time_of(timestamp)).total_seconds()
    if age_seconds < -MAX_SKEW_SECONDS:
        raise Refused("AccessDenied", "Request is not yet valid")
    if age_seconds > int(expires):
        raise Refused("AccessDenied", "Request has expired", Expires=expires, ServerTime=_iso(now))


def _header_time(call: Call) -> str:
    if "X-Amz-Date" in call.headers:
        return call.headers["X-Amz-Date"]
    try:
        return parsedate_to_datetime(call.headers.get("Date", "")).astimezone(UTC).strftime(_TIME_FORMAT)
    except ValueError as error:
        raise Refused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error


def _known_payload(payload: str) -> str:
    if payload == UNSIGNED or payload in STREAMING or re.fullmatch("[0-9a-f]{64}", payload):
        return payload
    raise Refused(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING constant, or a valid sha256 value.",
    )


def _at(timestamp: str) -> AWSRequest:
    request = AWSRequest()
    request.context["timestamp"] = timestamp
    return request


def _not_version_4() -> Refused:
    return Refused(
        "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
