"""The status cache of a deployed stage: serverless Valkey, its one user, and who may reach it."""

from __future__ import annotations

from aws_cdk import ArnFormat, Stack, aws_ec2, aws_elasticache, aws_iam
from constructs import Construct

from infra.cache_user import access_string
from infra.stages import Stage

# Writes go to the first, reads that may be a little old to the second; ElastiCache wants both open
# (https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/set-up.html).
FIRST_PORT, LAST_PORT = 6379, 6380


class StatusCache(Construct):
    """With a limit on what it may cost. `url` names the user; its password is an IAM token."""

    def __init__(self, scope: Construct, stage: Stage, vpc: aws_ec2.IVpc, clients: aws_ec2.ISecurityGroup) -> None:
        super().__init__(scope, "cache")
        group = aws_ec2.SecurityGroup(self, "group", vpc=vpc, description="Cache", allow_all_outbound=False)
        # Both directions: the functions' group lets out only what is named.
        group.connections.allow_from(clients, aws_ec2.Port.tcp_range(FIRST_PORT, LAST_PORT), "Inside functions")
        self._user = self._only_user(stage)
        users = aws_elasticache.CfnUserGroup(
            self, "users", engine="valkey", user_group_id=f"vsl-{stage.name}", user_ids=[self._user.ref]
        )
        self._name = stage.cache_name
        self._cache = aws_elasticache.CfnServerlessCache(
            self,
            "serverless",
            engine="valkey",
            major_engine_version="8",
            serverless_cache_name=self._name,
            user_group_id=users.ref,
            cache_usage_limits=_limits(stage),
            subnet_ids=[subnet.subnet_id for subnet in vpc.isolated_subnets],
            security_group_ids=[group.security_group_id],
        )
        self.url = (
            f"rediss://{self._user.user_name}@{self._cache.attr_endpoint_address}:{FIRST_PORT}?cache={self._name}"
        )

    def _only_user(self, stage: Stage) -> aws_elasticache.CfnUser:
        """Its name is its id, which IAM authentication asks for. A group of Valkey's needs no `default` user."""
        name = f"vsl-{stage.name}-functions"
        return aws_elasticache.CfnUser(
            self,
            "user",
            engine="valkey",
            user_id=name,
            user_name=name,
            access_string=access_string(),
            # As CloudFormation writes it: the CDK passes this property on as it is.
            authentication_mode={"Type": "iam"},
        )

    def grant_connect(self, function: aws_iam.IGrantable) -> None:
        """Lets the function log in; both the cache and the user must be named."""
        # By its name: one that other stacks import could not be replaced while they do.
        cache = Stack.of(self).format_arn(
            service="elasticache",
            resource="serverlesscache",
            resource_name=self._name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        aws_iam.Grant.add_to_principal(
            grantee=function,
            actions=["elasticache:Connect"],
            resource_arns=[cache, self._user.attr_arn],
        )


def _limits(stage: Stage) -> aws_elasticache.CfnServerlessCache.CacheUsageLimitsProperty:
    """Beyond them ElastiCache evicts and throttles, which the functions take for a miss."""
    kind = aws_elasticache.CfnServerlessCache
    return kind.CacheUsageLimitsProperty(
        data_storage=kind.DataStorageProperty(maximum=stage.cache_max_gb, unit="GB"),
        ecpu_per_second=kind.ECPUPerSecondProperty(maximum=stage.cache_max_ecpu_per_second),
    )
