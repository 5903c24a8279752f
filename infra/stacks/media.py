"""The private media bucket."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_s3
from constructs import Construct

from infra.stages import Stage

ARCHIVED_FROM_BYTES = 50 * 1024 * 1024


class MediaStack(Stack):
    """`bucket` holds all media; nothing in it is public."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.bucket = aws_s3.Bucket(
            self, "media", bucket_name=stage.bucket,
            block_public_access=aws_s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=aws_s3.BucketEncryption.S3_MANAGED, enforce_ssl=not stage.is_local,
            removal_policy=RemovalPolicy.RETAIN, cors=[_cors(stage)], lifecycle_rules=_lifecycle(),
        )  # fmt: skip


def _cors(stage: Stage) -> aws_s3.CorsRule:
    methods = [aws_s3.HttpMethods.GET, aws_s3.HttpMethods.PUT, aws_s3.HttpMethods.POST]
    return aws_s3.CorsRule(
        allowed_methods=methods, allowed_origins=list(stage.cors_origins), allowed_headers=["*"],
        exposed_headers=["ETag"], max_age=3000,
    )  # fmt: skip


def _lifecycle() -> list[aws_s3.LifecycleRule]:
    archive = aws_s3.Transition(
        storage_class=aws_s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(90)
    )
    return [
        aws_s3.LifecycleRule(id="incoming", prefix="incoming/", expiration=Duration.days(1)),
        aws_s3.LifecycleRule(id="composed", prefix="processed/", expiration=Duration.days(30)),
        aws_s3.LifecycleRule(id="uploads", abort_incomplete_multipart_upload_after=Duration.days(1)),
        aws_s3.LifecycleRule(
            id="archive", tag_filters={"archive": "true"}, object_size_greater_than=ARCHIVED_FROM_BYTES,
            transitions=[archive],
        ),
    ]  # fmt: skip
