"""Roles of the AWS services on our S3 server: sessions by AssumeRole, policies by IAM, events to SQS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.runtime.deployed import hand_over
from local.runtime.functions import RoleCredentials
from tests.s3_servers import OwnServer, S3Server, free_port, ministack_server, own_server, refused, wait_for

BUCKET = "media"
ARN = f"arn:aws:s3:::{BUCKET}"
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


@dataclass(frozen=True)
class Account:
    """The AWS services, and our server beside them."""

    services: S3Server
    own: OwnServer

    def role(self, *statements: dict[str, Any]) -> str:
        """The ARN of a new role, with an inline policy when there are statements."""
        iam, name = self.services.client("iam"), f"role-{uuid4().hex[:12]}"
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
        return str(arn)

    def session(self, role_arn: str) -> RoleCredentials:
        sts = self.services.client("sts")
        made = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return RoleCredentials(
            made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], made["Expiration"].timestamp()
        )

    def client(self, session: RoleCredentials, **changed: str) -> Any:
        keys = {
            "aws_access_key_id": session.access_key_id,
            "aws_secret_access_key": session.secret_access_key,
            "aws_session_token": session.session_token,
        }
        return self.own.server.client(**{**keys, **changed})

    def acting_as(self, *statements: dict[str, Any]) -> Any:
        """A client of a new role's session, which the runner has handed over."""
        role = self.role(*statements)
        session = self.session(role)
        hand_over(session, role, self.own.control_url)
        return self.client(session)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    with ministack_server(folder / "services") as services, own_server(folder / "s3", services.url) as own:
        root = own.server.client()
        root.create_bucket(Bucket=BUCKET)
        for key in ("incoming/1/0", "generated/1/film.mp4"):
            root.put_object(Bucket=BUCKET, Key=key, Body=b"film")
        yield Account(services, own)


def allow(actions: Any, *resources: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": actions, "Resource": list(resources)}


def test_a_role_reads_where_its_policy_says(account: Account) -> None:
    role = account.acting_as(allow(["s3:GetObject*"], f"{ARN}/incoming/*"))
    assert role.get_object(Bucket=BUCKET, Key="incoming/1/0")["Body"].read() == b"film"
    for call in (
        lambda: role.get_object(Bucket=BUCKET, Key="generated/1/film.mp4"),
        lambda: role.put_object(Bucket=BUCKET, Key="incoming/1/1", Body=b"film"),
        lambda: role.delete_object(Bucket=BUCKET, Key="incoming/1/0"),
        lambda: role.list_objects_v2(Bucket=BUCKET),
        lambda: role.list_buckets(),
        lambda: role.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": []}),
    ):
        with refused("AccessDenied", 403):
            call()


def test_a_denial_wins(account: Account) -> None:
    role = account.acting_as(allow("s3:*", "*"), allow("s3:PutObject", f"{ARN}/generated/*", effect="Deny"))
    role.put_object(Bucket=BUCKET, Key="incoming/2/0", Body=b"film")
    with refused("AccessDenied", 403):
        role.put_object(Bucket=BUCKET, Key="generated/2/0", Body=b"film")


def test_an_attached_policy_counts_as_an_inline_one(account: Account) -> None:
    role = account.role()
    iam = account.services.client("iam")
    document = {"Version": "2012-10-17", "Statement": [allow("s3:GetObject", f"{ARN}/*")]}
    policy = iam.create_policy(PolicyName=f"p-{uuid4().hex[:8]}", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role.rpartition("/")[2], PolicyArn=policy)
    session = account.session(role)
    hand_over(session, role, account.own.control_url)
    assert account.client(session).get_object(Bucket=BUCKET, Key="incoming/1/0")["Body"].read() == b"film"


def test_who_may_not_list_is_not_told_what_is_missing(account: Account) -> None:
    blind = account.acting_as(allow("s3:GetObject", f"{ARN}/*"))
    seeing = account.acting_as(allow("s3:GetObject", f"{ARN}/*"), allow("s3:ListBucket", ARN))
    with refused("AccessDenied", 403):
        blind.get_object(Bucket=BUCKET, Key="missing")
    with refused("NoSuchKey", 404):
        seeing.get_object(Bucket=BUCKET, Key="missing")


def test_a_condition_on_the_prefix_holds_for_lists_and_for_what_is_missing(account: Account) -> None:
    below = {"StringLike": {"s3:prefix": "incoming/*"}}
    role = account.acting_as(allow("s3:GetObject", f"{ARN}/*"), {**allow("s3:ListBucket", ARN), "Condition": below})
    assert role.list_objects_v2(Bucket=BUCKET, Prefix="incoming/1/")["KeyCount"] == 1
    with refused("NoSuchKey", 404):
        role.get_object(Bucket=BUCKET, Key="incoming/missing")
    with refused("AccessDenied", 403):
        role.get_object(Bucket=BUCKET, Key="generated/missing")
    for query in ({}, {"Prefix": "generated/"}):
        with refused("AccessDenied", 403):
            role.list_objects_v2(Bucket=BUCKET, **query)


def test_a_copy_needs_both_ends(account: Account) -> None:
    writer = account.acting_as(allow("s3:PutObject", f"{ARN}/derived/*"), allow("s3:GetObject", f"{ARN}/incoming/*"))
    source = {"Bucket": BUCKET, "Key": "incoming/1/0"}
    writer.copy_object(Bucket=BUCKET, Key="derived/1", CopySource=source)
    for key, copied in (("generated/2", source), ("derived/2", {**source, "Key": "generated/1/film.mp4"})):
        with refused("AccessDenied", 403):
            writer.copy_object(Bucket=BUCKET, Key=key, CopySource=copied)
    upload = writer.create_multipart_upload(Bucket=BUCKET, Key="derived/3")["UploadId"]
    part = {"Bucket": BUCKET, "Key": "derived/3", "UploadId": upload, "PartNumber": 1}
    with refused("AccessDenied", 403):
        writer.upload_part_copy(**part, CopySource={**source, "Key": "generated/1/film.mp4"})
    with refused("AccessDenied", 403):
        writer.abort_multipart_upload(Bucket=BUCKET, Key="derived/3", UploadId=upload)


def test_many_deletions_are_judged_one_by_one(account: Account) -> None:
    root, role = account.own.server.client(), account.acting_as(allow("s3:DeleteObject", f"{ARN}/tmp/*"))
    for key in ("tmp/a", "kept/a"):
        root.put_object(Bucket=BUCKET, Key=key)
    answer = role.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "tmp/a"}, {"Key": "kept/a"}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["tmp/a"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("kept/a", "AccessDenied")]


def test_to_delete_a_version_needs_a_permission_of_its_own(account: Account) -> None:
    account.own.server.client().put_object(Bucket=BUCKET, Key="tmp/b")
    named = {"Objects": [{"Key": "tmp/b", "VersionId": "null"}]}
    marker = account.acting_as(allow("s3:DeleteObject", f"{ARN}/*"))
    eraser = account.acting_as(allow("s3:DeleteObjectVersion", f"{ARN}/*"), allow("s3:ListBucketVersions", ARN))
    with refused("AccessDenied", 403):
        marker.list_object_versions(Bucket=BUCKET)
    assert [one["Code"] for one in marker.delete_objects(Bucket=BUCKET, Delete=named)["Errors"]] == ["AccessDenied"]
    assert "Errors" not in eraser.delete_objects(Bucket=BUCKET, Delete=named)
    assert "Versions" not in eraser.list_object_versions(Bucket=BUCKET, Prefix="tmp/b")


def test_what_a_role_signs_is_judged_by_its_policy(account: Account) -> None:
    role = account.acting_as(allow(["s3:GetObject", "s3:PutObject"], f"{ARN}/incoming/*"))
    read = role.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "incoming/1/0"})
    other = role.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "generated/1/film.mp4"})
    assert (httpx.get(read).status_code, httpx.get(other).status_code) == (200, 403)
    for key, status in (("incoming/9/0", 204), ("generated/9", 403)):
        form = role.generate_presigned_post(BUCKET, key)
        assert httpx.post(form["url"], data=form["fields"], files={"file": b"film"}).status_code == status


def test_a_tag_needs_a_permission_of_its_own(account: Account) -> None:
    role = account.acting_as(allow("s3:PutObject", f"{ARN}/*"))
    role.put_object(Bucket=BUCKET, Key="derived/4", Body=b"film")
    with refused("AccessDenied", 403):
        role.put_object(Bucket=BUCKET, Key="derived/4", Body=b"film", Tagging="archive=true")


def test_a_session_that_was_not_handed_over_is_unknown(account: Account) -> None:
    session = account.session(account.role(allow("s3:*", "*")))
    with refused("InvalidAccessKeyId", 403):
        account.client(session).get_object(Bucket=BUCKET, Key="incoming/1/0")


def test_a_session_needs_its_secret_its_token_and_time(account: Account) -> None:
    role = account.role(allow("s3:*", "*"))
    session = account.session(role)
    hand_over(session, role, account.own.control_url)
    for changed, code, status in (
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch", 403),
        ({"aws_session_token": "wrong"}, "InvalidToken", 400),
    ):
        with refused(code, status):
            account.client(session, **changed).get_object(Bucket=BUCKET, Key="incoming/1/0")
    ended = RoleCredentials(session.access_key_id, session.secret_access_key, session.session_token, time.time() - 1)
    hand_over(ended, role, account.own.control_url)
    with refused("ExpiredToken", 400):
        account.client(session).get_object(Bucket=BUCKET, Key="incoming/1/0")


def test_a_role_that_is_gone_may_do_nothing(account: Account) -> None:
    role = account.role(allow("s3:*", "*"))
    session = account.session(role)
    hand_over(session, "arn:aws:iam::000000000000:role/never-made", account.own.control_url)
    with refused("AccessDenied", 403):
        account.client(session).get_object(Bucket=BUCKET, Key="incoming/1/0")


def test_a_role_whose_policies_cannot_be_read_has_to_wait(account: Account, tmp_path: Path) -> None:
    role = account.role(allow("s3:*", "*"))
    session = account.session(role)
    with own_server(tmp_path, f"http://127.0.0.1:{free_port()}") as alone:
        hand_over(session, role, alone.control_url)
        with refused("ServiceUnavailable", 503):
            replace(account, own=alone).client(session).list_buckets()


def test_events_reach_their_queue(account: Account) -> None:
    sqs, s3 = account.services.client("sqs"), account.own.server.client()
    url = sqs.create_queue(QueueName=f"frames-{uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.create_bucket(Bucket="watched")
    rules = [
        {
            "Id": "frames",
            "QueueArn": arn,
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "uploads/"}]}},
        }
    ]
    s3.put_bucket_notification_configuration(Bucket="watched", NotificationConfiguration={"QueueConfigurations": rules})
    form = s3.generate_presigned_post("watched", "uploads/a b.png")
    httpx.post(form["url"], data=form["fields"], files={"file": b"frame"})
    s3.put_object(Bucket="watched", Key="other/c.png", Body=b"frame")
    s3.delete_object(Bucket="watched", Key="uploads/a b.png")

    test, made = wait_for_messages(sqs, url, 2)

    assert test["Event"] == "s3:TestEvent"
    (record,) = made["Records"]
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectCreated:Post", "uploads/a+b.png")
    assert (record["s3"]["bucket"]["name"], record["s3"]["object"]["size"]) == ("watched", 5)


def wait_for_messages(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def receive() -> bool:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        found.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
        return len(found) >= count

    wait_for(receive)
    return found
