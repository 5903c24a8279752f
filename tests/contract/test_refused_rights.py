"""A right that a role lacks reads as an outage to callers; the log says what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import bootstrap
from shared.adapters.aws import DynamoKeyDirectory
from shared.adapters.s3 import S3MediaStore
from shared.domain.errors import DependencyDown, NotFound
from shared.observability import logger
from tests.scripted_server import always, in_turn, json_reply, reply, scripted

DENIED = json_reply(400, {"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized"})
MISSING = json_reply(400, {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    lines: list[tuple[str, Any]] = []
    for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(logger, "error", lambda message, extra: lines.append((message, extra["operation"])))
    bootstrap.aws.cache_clear()
    yield lines
    bootstrap.aws.cache_clear()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(DENIED, [("access_denied", "dynamodb.GetItem")]), (MISSING, [])],
    ids=["denied", "missing"],
)
def test_a_refused_read_of_a_table_is_logged(
    logged: list[Any], monkeypatch: pytest.MonkeyPatch, answer: bytes, expected: list[Any]
) -> None:
    with scripted(always(answer)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.origin)
        with pytest.raises(DependencyDown):
            DynamoKeyDirectory(bootstrap.aws("dynamodb"), "vsl-dev-api-keys").get("hash")

    assert logged == expected


def test_a_refused_look_and_the_list_after_it_are_logged(logged: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(always(reply(403))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.origin)
        with pytest.raises(DependencyDown):
            S3MediaStore(bootstrap.aws("s3"), "media").head("generated/1")

    assert sorted(logged) == [("access_denied", "s3.HeadObject"), ("access_denied", "s3.ListObjectsV2")]


LISTED = (
    b"<Contents><Key>generated/1</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    b"<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
)


@pytest.mark.parametrize("look", ["HeadObject", "GetObject"])
@pytest.mark.parametrize("listed", [b"", LISTED], ids=["absent", "there"])
def test_a_look_for_an_absent_key_that_s3_refuses_is_no_refused_right(
    logged: list[Any], monkeypatch: pytest.MonkeyPatch, look: str, listed: bytes
) -> None:
    """S3 answers 403 for an absent key to a role that may not list it."""
    body = b"<ListBucketResult><Name>media</Name>" + listed + b"</ListBucketResult>"
    with scripted(in_turn(reply(403), reply(200, body))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.origin)
        media = S3MediaStore(bootstrap.aws("s3"), "media")
        with pytest.raises(DependencyDown if listed else NotFound):
            media.read_text("generated/1") if look == "GetObject" else media.download("generated/1", Path("/dev/null"))

    assert logged == ([("access_denied", f"s3.{look}")] if listed else [])
