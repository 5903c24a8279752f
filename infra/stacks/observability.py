"""Alarms and whom they tell, one dashboard, saved queries. It names what it watches and depends on no other stack."""

from __future__ import annotations

from typing import Any

from aws_cdk import (
    RemovalPolicy,
    Stack,
    aws_cloudwatch,
    aws_cloudwatch_actions,
    aws_iam,
    aws_kms,
    aws_sns,
    aws_sns_subscriptions,
)
from constructs import Construct

from infra.constructs.alarms import Watch, watches
from infra.constructs.bundle import ROOT
from infra.constructs.dashboard import add_dashboard
from infra.constructs.queries import save_queries
from infra.stages import Stage

# By folder, all that are deployed.
FUNCTIONS = tuple(sorted(handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py")))


class ObservabilityStack(Stack):
    """Watches a stage from outside of it."""

    def __init__(self, scope: Construct, construct_id: str, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.stage = stage
        self.topic = self._topic()
        if stage.alarm_email:
            self.topic.add_subscription(aws_sns_subscriptions.EmailSubscription(stage.alarm_email))
        alarms = [self._alarm(watch) for watch in watches(stage)]
        add_dashboard(self, stage, FUNCTIONS, alarms)
        save_queries(self, stage, FUNCTIONS)

    def _topic(self) -> aws_sns.Topic:
        """Encrypted by a key of its own: CloudWatch may not use the one that AWS manages for SNS."""
        key = aws_kms.Key(
            self,
            "alarm-key",
            description=f"Alarms of vsl-{self.stage.name}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        topic = aws_sns.Topic(
            self, "alarms", topic_name=f"vsl-{self.stage.name}-alarms", master_key=key, enforce_ssl=True
        )
        key.add_to_resource_policy(self._for_alarms(["kms:Decrypt", "kms:GenerateDataKey*"], "*"))
        topic.add_to_resource_policy(self._for_alarms(["sns:Publish"], topic.topic_arn))
        return topic

    def _for_alarms(self, actions: list[str], resource: str) -> aws_iam.PolicyStatement:
        """Lets CloudWatch use it for this stage's alarms, and for nobody else's (Amazon SNS, key management)."""
        alarms = f"arn:{self.partition}:cloudwatch:{self.region}:{self.account}:alarm:vsl-{self.stage.name}-*"
        return aws_iam.PolicyStatement(
            principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=actions,
            resources=[resource],
            conditions={"StringEquals": {"aws:SourceAccount": self.account}, "ArnLike": {"aws:SourceArn": alarms}},
        )

    def _alarm(self, watch: Watch) -> aws_cloudwatch.Alarm:
        bad, periods = watch.lasts
        alarm = aws_cloudwatch.Alarm(
            self,
            watch.name,
            alarm_name=f"vsl-{self.stage.name}-{watch.name}",
            metric=watch.metric,
            alarm_description=f"{watch.says} Runbook: {self.stage.runbooks}#{watch.name}",
            threshold=watch.threshold,
            comparison_operator=watch.when,
            evaluation_periods=periods,
            datapoints_to_alarm=bad,
            treat_missing_data=watch.silence,
        )
        told = aws_cloudwatch_actions.SnsAction(self.topic)
        alarm.add_alarm_action(told)
        alarm.add_ok_action(told)
        return alarm
