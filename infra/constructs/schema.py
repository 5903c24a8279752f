"""The database as the functions find it: roles, then migrations, before any of them is replaced."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import CustomResource, Duration, RemovalPolicy, aws_iam, aws_logs
from aws_cdk.custom_resources import Provider
from constructs import Construct

from infra.constructs.bundle import ROOT
from infra.constructs.function import ProductFunction
from infra.migrations import migrations_digest, roles_digest
from infra.stages import Stage

# Of what a deploy runs itself, each after those before it.
MAKERS = ("database_roles", "migrate")


class DatabaseSchema(Construct):
    """Custom resources whose functions run when what they apply has changed.

    The CDK's framework answers CloudFormation, whatever becomes of a function: it may fail to start, run out of time or
    have no way to S3. The local stack runs no Node.js; there `migrate` is asked directly, and answers itself.
    """

    def __init__(self, scope: Construct, stage: Stage, functions: Mapping[str, ProductFunction]) -> None:
        super().__init__(scope, "schema")
        shared = ROOT / "shared"
        digests = {
            "database_roles": roles_digest(shared / "adapters" / "postgres" / "roles.py"),
            "migrate": migrations_digest(shared / "migrations"),
        }
        self.providers: dict[str, Provider] = {}
        self.askers: dict[str, aws_iam.Role] = {}
        before: list[CustomResource] = []
        for name in (name for name in MAKERS if name in functions):
            made = self._resource(name, functions[name], stage, digests[name])
            made.node.add_dependency(*before)
            before.append(made)
        for name in functions.keys() - set(MAKERS):
            functions[name].node.add_dependency(*before)

    def _resource(self, name: str, function: ProductFunction, stage: Stage, digest: str) -> CustomResource:
        return CustomResource(
            self,
            f"run-{name}",
            service_token=self._token(name, function, stage),
            properties={"digest": digest},
            service_timeout=Duration.seconds(stage.custom_resource_seconds),
            # To take the stage down changes nothing here, and waits for no function.
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _token(self, name: str, function: ProductFunction, stage: Stage) -> str:
        if stage.is_local:
            principal = aws_iam.ServicePrincipal("cloudformation.amazonaws.com")
            function.add_permission("cloudformation", principal=principal)
            return function.function_arn
        logs = aws_logs.LogGroup(
            self,
            f"{name}-answers",
            log_group_name=f"/aws/lambda/{function.function_name}-answers",
            retention=aws_logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = aws_iam.Role(self, f"{name}-asker", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"))
        logs.grant_write(role)
        self.providers[name] = Provider(
            self, f"{name}-provider", on_event_handler=function, log_group=logs, framework_on_event_role=role
        )
        self.askers[name] = role
        return self.providers[name].service_token
