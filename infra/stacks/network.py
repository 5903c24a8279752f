"""The private network: no way to the internet, endpoints for S3, DynamoDB and SQS."""

from __future__ import annotations

from typing import Any

from aws_cdk import Fn, Stack, aws_ec2
from constructs import Construct

from infra.stages import Stage


class NetworkStack(Stack):
    """VPC with isolated subnets; `functions` is the security group of all inside functions."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        # The CDK would ask the account for them while it synthesizes.
        self._zones = list(stage.zones) or [Fn.select(index, Fn.get_azs()) for index in range(stage.zone_count)]
        self.vpc = aws_ec2.Vpc(
            self, "vpc", max_azs=len(self._zones), nat_gateways=0, restrict_default_security_group=False,
            subnet_configuration=[
                aws_ec2.SubnetConfiguration(name="inside", subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED)
            ],
        )  # fmt: skip
        self.vpc.add_gateway_endpoint("s3", service=aws_ec2.GatewayVpcEndpointAwsService.S3)
        self.vpc.add_gateway_endpoint("dynamodb", service=aws_ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        self.functions = aws_ec2.SecurityGroup(
            self, "functions", vpc=self.vpc, description="Inside functions", allow_all_outbound=stage.is_local
        )
        self.endpoints = aws_ec2.SecurityGroup(
            self, "endpoints", vpc=self.vpc, description="Interface endpoints", allow_all_outbound=False
        )
        self.vpc.add_interface_endpoint(
            "sqs", service=aws_ec2.InterfaceVpcEndpointAwsService.SQS, security_groups=[self.endpoints], open=False
        )
        https = aws_ec2.Port.tcp(443)
        if not stage.is_local:  # MiniStack keeps no rules of security groups
            self.endpoints.add_ingress_rule(self.functions, https, "Inside functions reach SQS")
            self.functions.add_egress_rule(self.endpoints, https, "SQS")
            # Gateway endpoints have addresses of the public range; without NAT 443 leads nowhere else.
            self.functions.add_egress_rule(aws_ec2.Peer.any_ipv4(), https, "S3 and DynamoDB by gateway endpoints")

    @property
    def availability_zones(self) -> list[str]:
        """Overrides the CDK's own; `aws_ec2.Vpc` takes what this answers."""
        return self._zones
