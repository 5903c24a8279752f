"""The S3 server's rules without a server: role policies, ranges over pieces, checksums, notifications."""

from __future__ import annotations

import random
from typing import Any

import pytest

from local.policies import is_allowed
from local.s3.checksums import ALGORITHMS, Digests, kind_for, of_parts
from local.s3.documents import document, parse, texts
from local.s3.errors import Refused
from local.s3.events import read_rules
from local.s3.index import Piece
from local.s3.reading import Span, asked_span, cut

BUCKET = "arn:aws:s3:::vsl-local-media"
NOT_DELETE = {"Statement": [{"Effect": "Allow", "NotAction": "s3:Delete*", "Resource": "*"}]}


def allow(action: Any, resource: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


@pytest.mark.parametrize(
    ("policy", "action", "resource", "allowed"),
    [
        (allow("s3:GetObject*", f"{BUCKET}/incoming/*"), "s3:GetObject", f"{BUCKET}/incoming/1/2/3", True),
        (allow("s3:GetObject*", f"{BUCKET}/incoming/*"), "s3:GetObjectTagging", f"{BUCKET}/incoming/1", True),
        (allow("s3:GetObject*", f"{BUCKET}/incoming/*"), "s3:GetObject", f"{BUCKET}/generated/1", False),
        (allow("s3:GetObject*", f"{BUCKET}/incoming/*"), "s3:PutObject", f"{BUCKET}/incoming/1", False),
        (allow("s3:GetObject", f"{BUCKET}/incoming/*"), "s3:GetObject", f"{BUCKET}-other/incoming/1", False),
        (allow("S3:getobject", f"{BUCKET}/*"), "s3:GetObject", f"{BUCKET}/a", True),
        (allow("s3:GetObject", f"{BUCKET}/A*"), "s3:GetObject", f"{BUCKET}/a", False),
        (allow("s3:GetObject", f"{BUCKET}/a?c"), "s3:GetObject", f"{BUCKET}/abc", True),
        (allow("s3:GetObject", f"{BUCKET}/a?c"), "s3:GetObject", f"{BUCKET}/ac", False),
        (allow("s3:GetObject", f"{BUCKET}/[ab]"), "s3:GetObject", f"{BUCKET}/a", False),
        (allow("s3:GetObject", f"{BUCKET}/a.c"), "s3:GetObject", f"{BUCKET}/abc", False),
        (allow("*", "*"), "s3:DeleteObject", f"{BUCKET}/a\nb", True),
        (allow(["s3:List*", "s3:GetBucket*"], [BUCKET]), "s3:ListBucket", BUCKET, True),
        ({"Statement": allow("s3:*", "*")["Statement"][0]}, "s3:PutObject", f"{BUCKET}/a", True),
        (NOT_DELETE, "s3:PutObject", BUCKET, True),
        (NOT_DELETE, "s3:DeleteObject", BUCKET, False),
        (
            {"Statement": [{"Effect": "Allow", "Action": "s3:*", "NotResource": f"{BUCKET}/a*"}]},
            "s3:GetObject",
            f"{BUCKET}/ab",
            False,
        ),
        (allow("s3:*", "*", Condition={"Bool": {"aws:SecureTransport": "true"}}), "s3:ListBucket", BUCKET, False),
    ],
)
def test_a_policy_allows_what_it_names(policy: Any, action: str, resource: str, allowed: bool) -> None:
    assert is_allowed([policy], action, resource) is allowed


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringLike": {"s3:prefix": ["b/*", "a/*"]}}, {"s3:prefix": "a/1"}, True),
        ({"StringLike": {"s3:prefix": "a/*"}}, {"s3:prefix": "a/"}, True),
        ({"StringLike": {"s3:prefix": "a/*"}}, {"s3:prefix": ""}, False),
        ({"StringLike": {"s3:prefix": "*"}}, {}, False),
        ({"StringEquals": {"s3:prefix": "a/*"}}, {"s3:prefix": "a/1"}, False),
        ({"StringLike": {"s3:prefix": "a/*"}, "Bool": {"aws:SecureTransport": "true"}}, {"s3:prefix": "a/1"}, False),
    ],
)
def test_a_condition_on_the_prefix_is_met_by_the_prefix_alone(condition: Any, context: Any, allowed: bool) -> None:
    assert (
        is_allowed([allow("s3:ListBucket", BUCKET, Condition=condition)], "s3:ListBucket", BUCKET, context) is allowed
    )


@pytest.mark.parametrize(
    "deny",
    [
        allow("s3:Put*", f"{BUCKET}/locked/*", "Deny"),
        allow("s3:Put*", f"{BUCKET}/locked/*", "Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    ],
)
def test_a_denial_wins_wherever_it_stands(deny: Any) -> None:
    for policies in ([deny, allow("*", "*")], [allow("*", "*"), deny]):
        assert not is_allowed(policies, "s3:PutObject", f"{BUCKET}/locked/a")
        assert is_allowed(policies, "s3:PutObject", f"{BUCKET}/open/a")


@pytest.mark.parametrize("policies", [[], [{}], [{"Statement": {"Effect": "Allow"}}]])
def test_a_policy_that_says_nothing_allows_nothing(policies: list[Any]) -> None:
    assert not is_allowed(policies, "s3:GetObject", f"{BUCKET}/a")


def test_spans_of_pieces_are_the_bytes_of_their_whole() -> None:
    chance = random.Random(1)
    for _ in range(500):
        pieces = [Piece(str(n), chance.randrange(9), chance.randrange(1, 9)) for n in range(chance.randrange(1, 6))]
        whole = [(piece.segment, piece.start + offset) for piece in pieces for offset in range(piece.length)]
        start = chance.randrange(len(whole))
        span = Span(start, chance.randrange(1, len(whole) - start + 1))
        found = [(piece.segment, piece.start + n) for piece in cut(pieces, span) for n in range(piece.length)]
        assert found == whole[span.start : span.start + span.length]


def test_an_empty_object_has_no_range() -> None:
    for asked in ("bytes=0-0", "bytes=-1", "bytes=0-"):
        with pytest.raises(Refused, match="InvalidRange"):
            asked_span(asked, 0)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_a_whole_s_checksum_comes_from_its_parts_without_their_bytes(algorithm: str) -> None:
    chance = random.Random(2)
    bodies = [chance.randbytes(size) for size in (1, 70_000, 0, 333)]
    whole = Digests([algorithm])
    whole.update(b"".join(bodies))
    assert of_parts(algorithm, "FULL_OBJECT", [(sum_of(algorithm, body), len(body)) for body in bodies]).value == (
        whole.base64(algorithm)
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_composite_checksum_says_of_how_many_parts(algorithm: str) -> None:
    parts = [(sum_of(algorithm, body), len(body)) for body in (b"one", b"two")]
    assert of_parts(algorithm, "COMPOSITE", parts).value.endswith("-2")


@pytest.mark.parametrize(
    ("algorithm", "asked"), [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "OTHER")]
)
def test_a_kind_of_checksum_that_s3_has_not_is_refused(algorithm: str, asked: str) -> None:
    with pytest.raises(Refused, match="InvalidRequest"):
        kind_for(algorithm, asked)


def test_documents_are_read_with_and_without_their_namespace() -> None:
    for namespace in ("http://s3.amazonaws.com/doc/2006-03-01/", None):
        body = document("Delete", {"Object": [{"Key": "a & b"}, {"Key": "<c>"}], "Quiet": True}, namespace=namespace)
        root = parse(body, "Delete")
        assert [texts(entry, "Key") for entry in root.findall("Object")] == [["a & b"], ["<c>"]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b'<!DOCTYPE d [<!ENTITY e "x">]><Delete>&e;</Delete>',
        b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
    ],
)
def test_what_is_no_plain_document_is_malformed(body: bytes) -> None:
    with pytest.raises(Refused, match="MalformedXML"):
        parse(body, "Delete")


def test_a_notification_names_events_and_keys() -> None:
    rules = read_rules(
        "<NotificationConfiguration><QueueConfiguration><Id>frames</Id><Queue>arn:aws:sqs:us-east-1:0:q</Queue>"
        "<Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>uploads/</Value>"
        "</FilterRule><FilterRule><Name>Suffix</Name><Value>.png</Value></FilterRule></S3Key></Filter>"
        "</QueueConfiguration></NotificationConfiguration>"
    )
    wanted = [
        rules[0].wants(event, key)
        for event, key in (
            ("s3:ObjectCreated:Post", "uploads/a.png"),
            ("s3:ObjectCreated:Put", "uploads/a.mp4"),
            ("s3:ObjectCreated:Put", "other/a.png"),
            ("s3:ObjectRemoved:Delete", "uploads/a.png"),
        )
    ]
    assert wanted == [True, False, False, False]


def sum_of(algorithm: str, body: bytes) -> str:
    digests = Digests([algorithm])
    digests.update(body)
    return digests.base64(algorithm)
