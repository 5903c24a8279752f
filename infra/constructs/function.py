"""The one definition of a Lambda: its world, its own role, its environment, its log group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import Duration, IgnoreMode, RemovalPolicy, Size, Stack, aws_ec2, aws_iam, aws_lambda, aws_logs
from constructs import Construct

from infra.constructs.bundle import ROOT, code_folder
from infra.stages import Stage

# Creating the network interfaces of a function in a VPC allows no resource to be named (AWS Lambda guide, VPC).
VPC_ACTIONS = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
]


class World(StrEnum):
    """Inside: database and cache, no internet. Outside: the internet, neither database nor cache."""

    INSIDE = "inside"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class Surroundings:
    """What every function of a stage is placed into."""

    stage: Stage
    vpc: aws_ec2.IVpc
    security_group: aws_ec2.ISecurityGroup
    dependencies: aws_lambda.ILayerVersion
    encoder_layers: tuple[aws_lambda.ILayerVersion, ...]


class ProductFunction(aws_lambda.Function):
    """`functions/<name>/handler.py` as `vsl-{stage}-{kebab}`."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        around: Surroundings,
        world: World,
        environment: Mapping[str, str],
        *,
        timeout_seconds: int,
        memory_mb: int,
        encodes: bool = False,
        storage_mb: int | None = None,
        in_chain: bool = False,
    ) -> None:
        stage, kebab = around.stage, name.replace("_", "-")
        full_name = f"vsl-{stage.name}-{kebab}"
        logs = _log_group(scope, name, full_name, stage)
        role = _role(scope, name, full_name, logs, world)
        super().__init__(
            scope,
            name,
            function_name=full_name,
            runtime=aws_lambda.Runtime.PYTHON_3_13,
            architecture=_architecture(stage),
            handler=f"functions.{name}.handler.handler",
            code=_code(scope, stage, name),
            role=role,
            log_group=logs,
            timeout=Duration.seconds(timeout_seconds),
            memory_size=memory_mb,
            ephemeral_storage_size=Size.mebibytes(storage_mb) if storage_mb else None,
            reserved_concurrent_executions=stage.reserved.get(name),
            layers=list(around.encoder_layers) if encodes else [around.dependencies],
            # Otherwise Lambda ends a chain of invocations at its 17th round, and what it carried in the dead letters.
            recursive_loop=aws_lambda.RecursiveLoop.ALLOW if in_chain else None,
            tracing=aws_lambda.Tracing.DISABLED if stage.is_local else aws_lambda.Tracing.ACTIVE,
            environment={
                "STAGE": stage.name,
                "LOG_LEVEL": "INFO",
                "POWERTOOLS_SERVICE_NAME": "vsl",
                **environment,
            },
            **_place(around, world),  # type: ignore[arg-type]
        )

    def allow(self, *actions: str, on: Sequence[str], conditions: Mapping[str, object] | None = None) -> None:
        """Adds to the function's own role. `on`: ARNs."""
        statement = aws_iam.PolicyStatement(actions=list(actions), resources=list(on), conditions=conditions)
        self.add_to_role_policy(statement)


def _log_group(scope: Construct, name: str, full_name: str, stage: Stage) -> aws_logs.LogGroup:
    return aws_logs.LogGroup(
        scope,
        f"{name}-logs",
        log_group_name=f"/aws/lambda/{full_name}",
        retention=log_retention(stage),
        removal_policy=RemovalPolicy.DESTROY,
    )


def _role(scope: Construct, name: str, full_name: str, logs: aws_logs.LogGroup, world: World) -> aws_iam.Role:
    role = aws_iam.Role(scope, f"{name}-role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
    logs.grant_write(role)
    if world is World.INSIDE:
        role.add_to_policy(aws_iam.PolicyStatement(actions=VPC_ACTIONS, resources=["*"]))
        role.add_to_policy(_not_by_code(scope, full_name))
    return role


def _not_by_code(scope: Construct, full_name: str) -> aws_iam.PolicyStatement:
    """Lambda makes the network interfaces itself; calls of the function's own code name it as their source.

    https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
    """
    stack = Stack.of(scope)
    # By its name: a role that refers to its function could not be made before it.
    function = f"arn:{stack.partition}:lambda:{stack.region}:{stack.account}:function:{full_name}"
    return aws_iam.PolicyStatement(
        effect=aws_iam.Effect.DENY,
        actions=VPC_ACTIONS,
        resources=["*"],
        conditions={"ArnEquals": {"lambda:SourceFunctionArn": function}},
    )


def _place(around: Surroundings, world: World) -> dict[str, object]:
    if world is World.OUTSIDE:
        return {}
    subnets = aws_ec2.SubnetSelection(subnet_type=aws_ec2.SubnetType.PRIVATE_ISOLATED)
    return {"vpc": around.vpc, "vpc_subnets": subnets, "security_groups": [around.security_group]}


def _code(scope: Construct, stage: Stage, name: str) -> aws_lambda.Code:
    """Only what this function imports, so that each has a hash of its own."""
    if stage.is_local:
        # The local runner runs the source tree; the template still needs an asset to point at.
        return aws_lambda.Code.from_asset(str(ROOT / "functions" / name))
    folder = code_folder(scope)
    parts = ["*", "!shared", "!config", f"!functions/{name}", "!functions/__init__.py"]
    # In the checkout these are of the Python that happens to run here.
    parts += ["**/__pycache__"] if folder == ROOT else ["!functions/__pycache__/__init__.*"]
    return aws_lambda.Code.from_asset(str(folder), ignore_mode=IgnoreMode.DOCKER, exclude=parts)


def _architecture(stage: Stage) -> aws_lambda.Architecture:
    arm = stage.architecture == "arm64"
    return aws_lambda.Architecture.ARM_64 if arm else aws_lambda.Architecture.X86_64


def log_retention(stage: Stage) -> aws_logs.RetentionDays:
    """How long a stage keeps what is logged."""
    year = stage.log_days >= 365
    return aws_logs.RetentionDays.ONE_YEAR if year else aws_logs.RetentionDays.ONE_MONTH
