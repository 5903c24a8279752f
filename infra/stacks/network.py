"""The private network: no way to the internet, endpoints for S3, DynamoDB and SQS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, Fn, RemovalPolicy, Stack, aws_ec2, aws_iam, aws_logs
from constructs import Construct

from infra.constructs.function import log_retention
from infra.stages import Stage


class NetworkStack(Stack):
    """VPC with isolated subnets; `functions` is the security group of all inside functions."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        # The CDK would ask the account for them while it synthesizes.
        self._zones = list(stage.zones) or [Fn.select(index, Fn.get_azs()) for index in range(stage.zone_count)]
        self.vpc = aws_ec2.Vpc(
            self,
            "vpc",
            max_azs=len(self._zones),
            nat_gateways=0,
            restrict_default_security_group=False,
            ip_addresses=aws_ec2.IpAddresses.cidr(stage.vpc_cidr),
            reserved_azs=stage.reserved_zones,
            subnet_configuration=[
                aws_ec2.SubnetConfiguration(
                    name="inside", subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=stage.subnet_mask
                )
            ],
        )
        self.functions = aws_ec2.SecurityGroup(
            self, "functions", vpc=self.vpc, description="Inside functions", allow_all_outbound=stage.is_local
        )
        self.endpoints = aws_ec2.SecurityGroup(
            self, "endpoints", vpc=self.vpc, description="Interface endpoints", allow_all_outbound=False
        )
        self._s3(stage)
        self._dynamodb(stage)
        self._sqs(stage)
        if not stage.is_local:  # MiniStack keeps no rules of security groups, and knows no flow logs
            self._rules()
            self._flow_log(stage)

    def _s3(self, stage: Stage) -> None:
        """The media bucket, and the one object an `s3:bucket/key` address of the registry names.

        Nothing else comes by this way: Lambda fetches code and layers, and Aurora keeps its volumes, over networks of
        AWS's own.
        """
        endpoint = self.vpc.add_gateway_endpoint("s3", service=aws_ec2.GatewayVpcEndpointAwsService.S3)
        name = stage.bucket_name("media", self.account, self.region)
        bucket = f"arn:{self.partition}:s3:::{name}"
        # A bucket's ARN names no account: one that was deleted and made again by somebody else is not ours.
        endpoint.add_to_policy(self._allow("s3:*", [bucket, f"{bucket}/*"], {"aws:ResourceAccount": self.account}))
        if stage.models_config.startswith("s3:"):
            registry = f"arn:{self.partition}:s3:::{stage.models_config.removeprefix('s3:').lstrip('/')}"
            endpoint.add_to_policy(self._allow("s3:GetObject", [registry]))

    def _dynamodb(self, stage: Stage) -> None:
        endpoint = self.vpc.add_gateway_endpoint("dynamodb", service=aws_ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        names = (stage.jobs_table, stage.api_keys_table)
        tables = [self.format_arn(service="dynamodb", resource="table", resource_name=name) for name in names]
        endpoint.add_to_policy(self._allow("dynamodb:*", tables))

    def _sqs(self, stage: Stage) -> None:
        endpoint = self.vpc.add_interface_endpoint(
            "sqs", service=aws_ec2.InterfaceVpcEndpointAwsService.SQS, security_groups=[self.endpoints], open=False
        )
        queues = [
            self.format_arn(service="sqs", resource=f"vsl-{stage.name}-{topic}", arn_format=ArnFormat.NO_RESOURCE_NAME)
            for topic in stage.queues
        ]
        endpoint.add_to_policy(self._allow("sqs:*", queues))

    def _allow(
        self, actions: str, resources: Sequence[str], conditions: dict[str, str] | None = None
    ) -> aws_iam.PolicyStatement:
        """A statement of an endpoint's policy: this account's roles, which say what each may do, reach its own
        resources. A function that was taken over reaches no bucket of another account, and with no other key."""
        return aws_iam.PolicyStatement(
            # Gateway endpoints take no other principal (VPC guide, "Endpoint policies for gateway endpoints").
            principals=[aws_iam.StarPrincipal()],
            actions=[actions],
            resources=list(resources),
            conditions={"StringEquals": {"aws:PrincipalAccount": self.account, **(conditions or {})}},
        )

    def _rules(self) -> None:
        https = aws_ec2.Port.tcp(443)
        self.endpoints.add_ingress_rule(self.functions, https, "Inside functions reach SQS")
        self.functions.add_egress_rule(self.endpoints, https, "SQS")
        # Gateway endpoints have addresses of the public range; without NAT 443 leads nowhere else.
        self.functions.add_egress_rule(aws_ec2.Peer.any_ipv4(), https, "S3 and DynamoDB by gateway endpoints")

    def _flow_log(self, stage: Stage) -> None:
        """Who spoke to whom, and what was refused, in records of ten minutes."""
        logs = aws_logs.LogGroup(
            self,
            "flows",
            log_group_name=f"/vsl/{stage.name}/flows",
            retention=log_retention(stage),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.vpc.add_flow_log("flow-log", destination=aws_ec2.FlowLogDestination.to_cloud_watch_logs(logs))

    @property
    def availability_zones(self) -> list[str]:
        """Overrides the CDK's own; `aws_ec2.Vpc` takes what this answers."""
        return self._zones
