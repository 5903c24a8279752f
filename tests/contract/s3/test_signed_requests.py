"""Who may call: signatures in headers, URLs and forms; their time; what they cover."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.auth
import httpx
import pytest
from botocore.config import Config

from tests.s3_servers import S3Server, error_code, refused

KEY = "generated/a b/é.mp4"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """The bucket, with an object at KEY."""
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"film", ContentType="video/mp4")
    return bucket


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets by how much the signer's clock is wrong."""

    def shift(by: timedelta) -> None:
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: datetime.now(UTC) + by)

    return shift


def presigned(s3: Any, bucket: str, operation: str = "get_object", seconds: int = 60, **more: Any) -> str:
    return str(s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": KEY, **more}, ExpiresIn=seconds))


def test_a_presigned_url_opens_its_object(s3: Any, stored: str) -> None:
    answer = httpx.get(presigned(s3, stored))
    assert (answer.content, answer.headers["Content-Type"]) == (b"film", "video/mp4")


def test_a_presigned_url_says_how_the_object_is_shown(s3: Any, stored: str) -> None:
    shown = {
        "ResponseContentDisposition": 'attachment; filename="film.mp4"',
        "ResponseContentType": "text/plain",
        "ResponseCacheControl": "no-store",
    }
    answer = httpx.get(presigned(s3, stored, **shown))
    told = answer.headers["Content-Disposition"], answer.headers["Content-Type"]
    assert told == ('attachment; filename="film.mp4"', "text/plain")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_presigned_url_serves_ranges(s3: Any, stored: str) -> None:
    answer = httpx.get(presigned(s3, stored), headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (206, b"il")


def test_a_presigned_url_is_for_its_method_and_object(s3: Any, stored: str) -> None:
    url = presigned(s3, stored)
    for method, address in (("PUT", url), ("DELETE", url), ("HEAD", url), ("GET", url.replace("a%20b", "other"))):
        assert httpx.request(method, address).status_code == 403, (method, address)
    assert s3.get_object(Bucket=stored, Key=KEY)["Body"].read() == b"film"


@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Expires", "response-content-type"])
def test_a_changed_url_opens_nothing(s3: Any, stored: str, name: str) -> None:
    url = presigned(s3, stored, ResponseContentType="text/plain")
    head, _, tail = url.partition(f"{name}=")
    changed = f"{head}{name}={'1' if tail[0] != '1' else '2'}{tail[1:]}"
    assert error_code(httpx.get(changed)) == "403 SignatureDoesNotMatch"


def test_a_parameter_added_to_a_url_opens_nothing(s3: Any, stored: str) -> None:
    url = presigned(s3, stored) + "&response-content-type=text%2Fhtml"
    assert error_code(httpx.get(url)) == "403 SignatureDoesNotMatch"


def test_an_expired_url_opens_nothing(s3: Any, stored: str, clock: Any) -> None:
    clock(-2 * MINUTE)
    answer = httpx.get(presigned(s3, stored, seconds=60))
    assert error_code(answer) == "403 AccessDenied"
    assert "Request has expired" in answer.text


def test_a_url_of_the_future_opens_nothing_yet(s3: Any, stored: str, clock: Any) -> None:
    clock(16 * MINUTE)
    assert error_code(httpx.get(presigned(s3, stored))) == "403 AccessDenied"


@pytest.mark.parametrize("seconds", [0, -1, 7 * 24 * 3600 + 1])
def test_a_url_lasts_a_week_at_most(s3: Any, stored: str, seconds: int) -> None:
    url = presigned(s3, stored, seconds=seconds)
    assert error_code(httpx.get(url)) == "400 AuthorizationQueryParametersError"


def test_a_presigned_put_stores_what_it_was_signed_for(s3: Any, bucket: str) -> None:
    url = presigned(s3, bucket, "put_object", ContentType="video/mp4", Metadata={"job": "1"})
    signed = {"Content-Type": "video/mp4", "x-amz-meta-job": "1"}
    assert httpx.put(url, content=b"film", headers={**signed, "Content-Type": "text/html"}).status_code == 403
    assert httpx.put(url, content=b"film", headers=signed).status_code == 200
    assert s3.head_object(Bucket=bucket, Key=KEY)["Metadata"] == {"job": "1"}


def test_an_unsigned_amz_header_is_refused(s3: Any, bucket: str) -> None:
    answer = httpx.put(presigned(s3, bucket, "put_object"), content=b"film", headers={"x-amz-meta-job": "2"})
    assert error_code(answer) == "403 AccessDenied"


def test_without_a_signature_nothing_is_told(server: S3Server, s3: Any, stored: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert httpx.request(method, f"{server.url}/{stored}/{KEY}").status_code == 403
    assert error_code(httpx.get(f"{server.url}/{stored}?list-type=2")) == "403 AccessDenied"


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(server: S3Server, stored: str) -> None:
    with refused("SignatureDoesNotMatch", 403):
        server.client(aws_secret_access_key="wrong").get_object(Bucket=stored, Key=KEY)
    with refused("InvalidAccessKeyId", 403):
        server.client(aws_access_key_id="AKIAUNKNOWN").get_object(Bucket=stored, Key=KEY)


@pytest.mark.parametrize("by", [-16 * MINUTE, 16 * MINUTE])
def test_a_clock_that_is_far_off_is_refused(s3: Any, stored: str, clock: Any, by: timedelta) -> None:
    clock(by)
    with refused("RequestTimeTooSkewed", 403):
        s3.get_object(Bucket=stored, Key=KEY)


def test_a_clock_that_is_a_little_off_is_not(s3: Any, stored: str, clock: Any) -> None:
    clock(14 * MINUTE)
    assert s3.get_object(Bucket=stored, Key=KEY)["Body"].read() == b"film"


def test_a_signature_of_another_region_is_refused(server: S3Server, stored: str) -> None:
    elsewhere = server.client(config=Config(s3={"us_east_1_regional_endpoint": "regional"}))
    elsewhere.meta.events.register(
        "before-sign.s3", lambda request, **_: request.context.update(signing={"region": "eu-west-1"})
    )
    with refused("AuthorizationHeaderMalformed", 400):
        elsewhere.get_object(Bucket=stored, Key=KEY)


def test_a_body_that_was_changed_on_its_way_is_refused(server: S3Server, s3: Any, bucket: str) -> None:
    sent: dict[str, Any] = {}

    def keep(request: Any, **_: Any) -> httpx.Response:
        sent.update(url=request.url, headers=dict(request.headers))
        raise InterruptedError

    s3.meta.events.register("before-send.s3.PutObject", keep)
    with pytest.raises(InterruptedError):
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"film")
    headers = {
        name: value if isinstance(value, str) else value.decode()
        for name, value in sent["headers"].items()
        if name.lower() not in ("expect", "content-length", "x-amz-checksum-crc32")
    }
    answer = httpx.put(sent["url"], content=b"hack", headers=headers)
    assert error_code(answer) in ("400 XAmzContentSHA256Mismatch", "403 SignatureDoesNotMatch")


def form(s3: Any, bucket: str, conditions: list[Any], seconds: int = 60, **fields: str) -> dict[str, Any]:
    made: dict[str, Any] = s3.generate_presigned_post(
        bucket, KEY, Fields=fields or None, Conditions=conditions, ExpiresIn=seconds
    )
    return made


def send(made: dict[str, Any], body: bytes = b"frame", **changed: str) -> httpx.Response:
    return httpx.post(made["url"], data={**made["fields"], **changed}, files={"file": ("frame.png", body)})


SIZE_AND_TYPE = [["content-length-range", 3, 10], {"Content-Type": "image/png"}]


def test_a_form_stores_its_file_under_its_key(s3: Any, bucket: str) -> None:
    answer = send(form(s3, bucket, SIZE_AND_TYPE, **{"Content-Type": "image/png"}))
    assert answer.status_code == 204
    stored = s3.get_object(Bucket=bucket, Key=KEY)
    assert (stored["Body"].read(), stored["ContentType"]) == (b"frame", "image/png")


def test_a_form_is_answered_as_it_asks(s3: Any, bucket: str) -> None:
    made = form(s3, bucket, [{"success_action_status": "201"}], success_action_status="201")
    answer = send(made)
    assert (answer.status_code, f"<Bucket>{bucket}</Bucket>" in answer.text) == (201, True)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": "other"}, "403 AccessDenied"),
        ({"Content-Type": "text/html"}, "403 AccessDenied"),
        ({"x-amz-meta-extra": "1"}, "403 AccessDenied"),
        ({"x-amz-signature": "0" * 64}, "403 SignatureDoesNotMatch"),
    ],
)
def test_a_form_that_was_changed_is_refused(s3: Any, bucket: str, changed: dict[str, str], code: str) -> None:
    made = form(s3, bucket, SIZE_AND_TYPE, **{"Content-Type": "image/png"})
    assert error_code(send(made, **changed)) == code
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(("body", "code"), [(b"12", "EntityTooSmall"), (b"12345678901", "EntityTooLarge")])
def test_a_file_of_the_wrong_size_is_refused(s3: Any, bucket: str, body: bytes, code: str) -> None:
    made = form(s3, bucket, SIZE_AND_TYPE, **{"Content-Type": "image/png"})
    assert error_code(send(made, body)) == f"400 {code}"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_form_takes_what_begins_as_its_policy_says(s3: Any, bucket: str) -> None:
    made = form(s3, bucket, [["starts-with", "$Content-Type", "image/"]])
    assert send(made, **{"Content-Type": "video/mp4"}).status_code == 403
    assert send(made, **{"Content-Type": "image/webp"}).status_code == 204


def test_an_expired_form_is_refused(s3: Any, bucket: str) -> None:
    answer = send(form(s3, bucket, [], seconds=-60))
    assert error_code(answer) == "403 AccessDenied"
    assert "expired" in answer.text


def test_a_form_without_a_policy_is_refused(s3: Any, bucket: str) -> None:
    made = form(s3, bucket, [])
    assert error_code(send({"url": made["url"], "fields": {"key": KEY}})) == "403 AccessDenied"
