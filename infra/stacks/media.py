"""The private media bucket, and the queue that hears of what was uploaded into it."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_iam, aws_s3
from constructs import Construct

from infra.constructs.queue import TopicQueue
from infra.stages import Stage

ARCHIVED_FROM_BYTES = 50 * 1024 * 1024
_PRIVATE: dict[str, Any] = {
    "block_public_access": aws_s3.BlockPublicAccess.BLOCK_ALL,
    "object_ownership": aws_s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    "encryption": aws_s3.BucketEncryption.S3_MANAGED,
}
_BY_DAY = aws_s3.TargetObjectKeyFormat.partitioned_prefix(aws_s3.PartitionDateSource.EVENT_TIME)


class MediaStack(Stack):
    """`bucket` holds all media; nothing in it is public. `uploads` gets S3's word of each file that was uploaded."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._name = stage.bucket_name("media", self.account, self.region)
        # Without it the CDK lets S3 write its log by an ACL, and the bucket has none.
        self.node.set_context("@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy", True)
        self.access_log = None if stage.is_local else self._access_log(stage)
        self.bucket = aws_s3.Bucket(
            self,
            "media",
            bucket_name=self._name,
            **_PRIVATE,
            enforce_ssl=not stage.is_local,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            cors=_cors(stage),
            lifecycle_rules=_lifecycle(stage),
            # None where it was never asked for: a bucket that once had versions can only be told to keep no more.
            versioned=stage.media_versions_kept_days > 0 or None,
            server_access_logs_bucket=self.access_log,
            server_access_logs_prefix="media/" if self.access_log else None,
            target_object_key_format=_BY_DAY if self.access_log else None,
        )
        self.uploads = TopicQueue(self, stage, "uploads", stage.encoder_timeout_seconds)
        self._notify()

    def _access_log(self, stage: Stage) -> aws_s3.Bucket:
        """Who asked for which object, from which address; also of what presigned URLs and forms are used for."""
        return aws_s3.Bucket(
            self,
            "access-log",
            **_PRIVATE,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            lifecycle_rules=[aws_s3.LifecycleRule(id="forget", expiration=Duration.days(stage.media_access_log_days))],
        )

    def _notify(self) -> None:
        """By the bucket's own property: the construct's way is a Lambda which sets it after the deploy."""
        by_this_bucket = {
            "ArnEquals": {"aws:SourceArn": f"arn:{self.partition}:s3:::{self._name}"},
            "StringEquals": {"aws:SourceAccount": self.account},
        }
        statement = aws_iam.PolicyStatement(
            principals=[aws_iam.ServicePrincipal("s3.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[self.uploads.queue_arn],
            conditions=by_this_bucket,
        )
        allowed = self.uploads.add_to_resource_policy(statement).policy_dependable
        bucket = self.bucket.node.default_child
        assert isinstance(bucket, aws_s3.CfnBucket)
        assert allowed is not None
        bucket.notification_configuration = _on_uploads(self.uploads.queue_arn)
        # S3 tries the queue when it is told of it.
        bucket.node.add_dependency(allowed)


def _on_uploads(queue_arn: str) -> aws_s3.CfnBucket.NotificationConfigurationProperty:
    prefix = aws_s3.CfnBucket.FilterRuleProperty(name="prefix", value="uploads/")
    keys = aws_s3.CfnBucket.S3KeyFilterProperty(rules=[prefix])
    to_queue = aws_s3.CfnBucket.QueueConfigurationProperty(
        event="s3:ObjectCreated:*",
        queue=queue_arn,
        filter=aws_s3.CfnBucket.NotificationFilterProperty(s3_key=keys),
    )
    return aws_s3.CfnBucket.NotificationConfigurationProperty(queue_configurations=[to_queue])


def _cors(stage: Stage) -> list[aws_s3.CorsRule]:
    """Browsers post the forms of /api/uploads and read signed URLs; nothing else."""
    to_methods = {
        "Content-Type": [aws_s3.HttpMethods.POST],
        "Range": [aws_s3.HttpMethods.GET, aws_s3.HttpMethods.HEAD],
    }
    return [
        aws_s3.CorsRule(
            allowed_methods=methods,
            allowed_origins=list(stage.cors_origins),
            allowed_headers=[header],
            exposed_headers=["ETag"],
            max_age=3000,
        )
        for header, methods in to_methods.items()
    ]


def _lifecycle(stage: Stage) -> list[aws_s3.LifecycleRule]:
    """Versions that were deleted or written over go after their days, those of what only passes through after one.

    The rule stays where versions are no longer kept, for those that are left.
    """
    day, kept = Duration.days(1), Duration.days(max(stage.media_versions_kept_days, 1))
    archive = aws_s3.Transition(
        storage_class=aws_s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(90)
    )
    return [
        *(
            aws_s3.LifecycleRule(id=folder, prefix=f"{folder}/", expiration=day, noncurrent_version_expiration=day)
            for folder in ("incoming", "fetched")
        ),
        aws_s3.LifecycleRule(id="composed", prefix="processed/", expiration=Duration.days(30)),
        aws_s3.LifecycleRule(id="uploads", abort_incomplete_multipart_upload_after=day),
        aws_s3.LifecycleRule(id="versions", noncurrent_version_expiration=kept, expired_object_delete_marker=True),
        aws_s3.LifecycleRule(
            id="archive",
            tag_filters={"archive": "true"},
            object_size_greater_than=ARCHIVED_FROM_BYTES,
            transitions=[archive],
        ),
    ]
