"""Signatures that AWS prints in its own documentation are found right; those a hair off are not.

Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)": the examples of headers, of query
parameters, of chunks and of trailers, all with the same key at the same time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from local.s3.calls import Call, read_call
from local.s3.chunked import decoded
from local.s3.credentials import Credential, Keyring
from local.s3.errors import Refused
from local.s3.signatures import Signature, verify

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
THEN = datetime(2013, 5, 24, tzinfo=UTC)
EMPTY = hashlib.sha256(b"").hexdigest()
SCOPE = f"{KEY_ID}/20130524/us-east-1/s3/aws4_request"
HOST = {"Host": "examplebucket.s3.amazonaws.com"}
PUT_HEADERS = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
PUT_BODY = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
EXAMPLES = [
    (
        "GET",
        "/test.txt",
        {"Range": "bytes=0-9"},
        EMPTY,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        "/test$file.text",
        PUT_HEADERS,
        PUT_BODY,
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    ("GET", "/?lifecycle", {}, EMPTY, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("GET", "/?max-keys=2&prefix=J", {}, EMPTY, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]
PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
    "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def keyring() -> Keyring:
    return Keyring(Credential(KEY_ID, SECRET))


def signed(method: str, path: str, headers: Mapping[str, str], payload: str, value: str) -> Call:
    """A request with its signature in the header, over all its headers."""
    sent = {**headers, "x-amz-content-sha256": payload, "x-amz-date": "20130524T000000Z"}
    sent = sent if "Host" in sent else {**HOST, **sent}
    names = ";".join(sorted(name.lower() for name in sent))
    authorization = f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={names},Signature={value}"
    return read_call(make_mocked_request(method, path, {**sent, "Authorization": authorization}))


def code_of(call: Call, now: datetime = THEN) -> str:
    with pytest.raises(Refused) as refused:
        verify(call, keyring(), "us-east-1", now)
    return refused.value.code


@pytest.mark.parametrize(("method", "path", "headers", "payload", "value"), EXAMPLES)
def test_the_documented_headers_are_right(
    method: str, path: str, headers: Mapping[str, str], payload: str, value: str
) -> None:
    call = signed(method, path, headers, payload, value)
    assert verify(call, keyring(), "us-east-1", THEN).payload == payload


@pytest.mark.parametrize(("method", "path", "headers", "payload", "value"), EXAMPLES)
def test_a_documented_signature_fits_nothing_else(
    method: str, path: str, headers: Mapping[str, str], payload: str, value: str
) -> None:
    other_path = path.replace("t", "T", 1) if "?" not in path else path + "0"
    assert code_of(signed("DELETE", path, headers, payload, value)) == "SignatureDoesNotMatch"
    assert code_of(signed(method, other_path, headers, payload, value)) == "SignatureDoesNotMatch"
    assert code_of(signed(method, path, {**headers, "Host": "other"}, payload, value)) == "SignatureDoesNotMatch"
    assert code_of(signed(method, path, headers, "0" * 64, value)) == "SignatureDoesNotMatch"
    assert code_of(signed(method, path, headers, payload, value[:-1] + "é")) == "SignatureDoesNotMatch"


def test_the_documented_url_is_right_for_a_day() -> None:
    call = read_call(make_mocked_request("GET", PRESIGNED, HOST))
    day = timedelta(days=1)
    assert verify(call, keyring(), "us-east-1", THEN + day).credential.role_arn is None
    assert code_of(call, THEN + day + timedelta(seconds=1)) == "AccessDenied"
    assert code_of(read_call(make_mocked_request("PUT", PRESIGNED, HOST)), THEN) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_the_documented_headers_are_right_for_a_quarter_of_an_hour(minutes: int) -> None:
    assert code_of(signed(*EXAMPLES[0]), THEN + timedelta(minutes=minutes)) == "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Basic abc", "AuthorizationHeaderMalformed"),
        ("AWS key:signature", "InvalidRequest"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c", "AuthorizationHeaderMalformed"),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('us-east-1', 'eu-west-1')}, SignedHeaders=host, Signature=c",
            "AuthorizationHeaderMalformed",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('20130524', '20130523')}, SignedHeaders=host, Signature=c",
            "AuthorizationHeaderMalformed",
        ),
    ],
)
def test_a_malformed_header_is_said_to_be(authorization: str, code: str) -> None:
    sent = {**HOST, "x-amz-date": "20130524T000000Z", "x-amz-content-sha256": EMPTY, "Authorization": authorization}
    assert code_of(read_call(make_mocked_request("GET", "/b/k", sent))) == code


def test_a_session_needs_its_own_token_and_its_time() -> None:
    keys = keyring()
    keys.add(Credential("ASIASESSION", "secret", "token", "arn:aws:iam::0:role/r", THEN.timestamp()))
    assert keys.find("ASIASESSION", "token", THEN.timestamp()).role_arn == "arn:aws:iam::0:role/r"
    for token, seconds, code in (
        (None, 0, "InvalidAccessKeyId"),
        ("x", 0, "InvalidToken"),
        ("token", 1, "ExpiredToken"),
    ):
        with pytest.raises(Refused, match=code):
            keys.find("ASIASESSION", token, THEN.timestamp() + seconds)


SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]
CHUNKED_HEADERS = {
    "Host": "s3.amazonaws.com",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "Content-Encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "Content-Length": "66824",
}


def chunked_signature() -> Signature:
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    call = signed("PUT", "/examplebucket/chunkObject.txt", CHUNKED_HEADERS, payload, SEED)
    return verify(call, keyring(), "us-east-1", THEN)


def chunks(sizes: Iterable[tuple[int, str]], byte: bytes = b"a") -> bytes:
    return b"".join(f"{size:x};chunk-signature={value}\r\n".encode() + byte * size + b"\r\n" for size, value in sizes)


def decode(sent: bytes, signature: Signature) -> tuple[bytes, dict[str, str]]:
    async def read() -> tuple[bytes, dict[str, str]]:
        stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), limit=2**16)
        stream.feed_data(sent)
        stream.feed_eof()
        trailers: dict[str, str] = {}
        return b"".join([data async for data in decoded(stream, signature, trailers)]), trailers

    return asyncio.run(read())


def test_the_documented_chunks_are_right() -> None:
    assert decode(chunks(CHUNKS), chunked_signature()) == (b"a" * 66560, {})


@pytest.mark.parametrize(
    "sent",
    [
        chunks(CHUNKS, b"b"),
        chunks([CHUNKS[1], CHUNKS[0], CHUNKS[2]]),
        chunks([CHUNKS[0], CHUNKS[2]]),
    ],
)
def test_changed_swapped_and_dropped_chunks_are_refused(sent: bytes) -> None:
    with pytest.raises(Refused, match="SignatureDoesNotMatch"):
        decode(sent, chunked_signature())


@pytest.mark.parametrize("sent", [chunks(CHUNKS)[:-9], chunks(CHUNKS[:1]), b"", b"zz\r\n", b"-5;chunk-signature=0\r\n"])
def test_a_stream_that_ends_early_is_incomplete(sent: bytes) -> None:
    with pytest.raises(Refused, match="IncompleteBody"):
        decode(sent, chunked_signature())


def test_the_documented_trailer_is_right() -> None:
    signature = replace(
        chunked_signature(),
        payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        value="106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )
    sent = chunks(
        [
            (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ]
    ).removesuffix(b"\r\n")
    trailer = b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    value = b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    assert decode(sent + trailer + value, signature) == (b"a" * 66560, {"x-amz-checksum-crc32c": "sOO8/Q=="})
    with pytest.raises(Refused, match="SignatureDoesNotMatch"):
        decode(sent + trailer.replace(b"sOO8", b"tOO8") + value, signature)
