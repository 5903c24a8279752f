"""What must or may survive: PostgreSQL and Redis (managed, or external addresses), the DynamoDB tables."""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration, RemovalPolicy, Stack, aws_dynamodb, aws_ec2, aws_rds, aws_secretsmanager, aws_ssm
from constructs import Construct

from infra.constructs.cache import StatusCache
from infra.stacks.network import NetworkStack
from infra.stages import Stage

DATABASE, MASTER = "vsl", "vsl"
# The roles of shared/adapters/postgres/roles.py: migrations log in as the first, all others as the second.
OWNER, APP = "vsl_owner", "vsl_app"
OF_CLUSTER = (aws_rds.CfnDBInstance, aws_rds.CfnDBSubnetGroup, aws_ec2.CfnSecurityGroup, aws_secretsmanager.CfnSecret)
# In the layers of every function that has a database.
CERTIFICATES = "/opt/rds-ca.pem"


class DataStack(Stack):
    """Tables `jobs` and `api_keys`; in AWS also the cluster and the cache with their SSM addresses."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, network: NetworkStack, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        # A creation that is rolled back leaves nothing that the next try would find in its way.
        self.removal = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if stage.keeps_data else RemovalPolicy.DESTROY
        self.jobs = self._table(stage.jobs_table, "jobId", stage, ttl="expiresAt")
        self.api_keys = self._table(stage.api_keys_table, "keyHash", stage)
        self.cluster: aws_rds.DatabaseCluster | None = None
        self.cache: StatusCache | None = None
        if not stage.is_local:
            self.cache = StatusCache(self, stage, network.vpc, network.functions)
            self.cluster = self._database(stage, network)
            # A cluster that is protected cannot be deleted by the rollback of a creation: what may be refused is made
            # before it (docs/deploying.md, "If it fails").
            self.cluster.node.add_dependency(self.jobs, self.api_keys, self.cache)
            self._address("redis-url", stage, self.cache.url)

    def _table(self, name: str, key: str, stage: Stage, ttl: str | None = None) -> aws_dynamodb.Table:
        recovery = aws_dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
        return aws_dynamodb.Table(
            self,
            name.removeprefix(f"vsl-{stage.name}-"),
            table_name=name,
            partition_key=aws_dynamodb.Attribute(name=key, type=aws_dynamodb.AttributeType.STRING),
            billing_mode=aws_dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=ttl,
            point_in_time_recovery_specification=None if stage.is_local else recovery,
            removal_policy=self.removal,
        )

    def _database(self, stage: Stage, network: NetworkStack) -> aws_rds.DatabaseCluster:
        readers = [
            aws_rds.ClusterInstance.serverless_v2(f"reader-{number + 1}", scale_with_writer=True)
            for number in range(stage.database_readers)
        ]
        group = aws_ec2.SecurityGroup(
            self, "database-group", vpc=network.vpc, description="Database", allow_all_outbound=False
        )
        cluster = aws_rds.DatabaseCluster(
            self,
            "database",
            engine=aws_rds.DatabaseClusterEngine.aurora_postgres(version=aws_rds.AuroraPostgresEngineVersion.VER_17_9),
            writer=aws_rds.ClusterInstance.serverless_v2("writer"),
            readers=readers,
            serverless_v2_min_capacity=stage.database_min_capacity,
            serverless_v2_max_capacity=stage.database_max_capacity,
            # It holds what must survive, so it is never replaced by one of another name.
            cluster_identifier=stage.cluster_name,
            vpc=network.vpc,
            vpc_subnets=aws_ec2.SubnetSelection(subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED),
            security_groups=[group],
            default_database_name=DATABASE,
            credentials=aws_rds.Credentials.from_generated_secret(MASTER),
            iam_authentication=True,
            enable_data_api=True,
            storage_encrypted=True,
            backup=aws_rds.BackupProps(retention=Duration.days(stage.database_backup_days)),
            deletion_protection=stage.keeps_data,
            removal_policy=self.removal,
        )
        # With the cluster lives what it stands on, and the password, the only way into one that outlives its stack.
        for part in (*cluster.node.find_all(), *group.node.find_all()):
            if isinstance(part, OF_CLUSTER):
                part.apply_removal_policy(self.removal)
        cluster.connections.allow_from(network.functions, aws_ec2.Port.tcp(5432), "Inside functions")
        place = f"{cluster.cluster_endpoint.hostname}:5432/{DATABASE}?sslmode=verify-full&sslrootcert={CERTIFICATES}"
        # Names of their own: functions read an address only when its name in their environment changes.
        self._address("database-app-url", stage, f"postgresql://{APP}@{place}")
        self._address("database-owner-url", stage, f"postgresql://{OWNER}@{place}")
        return cluster

    def _address(self, name: str, stage: Stage, value: str) -> None:
        aws_ssm.StringParameter(self, name, parameter_name=f"/vsl/{stage.name}/{name}", string_value=value)
