"""Who hears of what: alarms, their runbooks, the dashboard, the saved queries and the access log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.constructs.queries import access_log_name
from infra.stacks.api import ACCESS_FIELDS
from infra.stages import STAGES, stage_named, with_settings
from tests.infra.templates import Properties, Templates
from tests.infra.watched import Watched, alarms, of_alarm, of_dashboard, widgets

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = "VSL/MediaGeneration"
# An alarm on an expression takes so many metrics (Amazon CloudWatch User Guide, quotas).
MOST_METRICS = 10
# Nobody is woken when AWS has measured nothing; but when the sweep says nothing, it does not run.
SILENCE = {
    "overdue-jobs": "breaching",
    "budget": "ignore",
    "database-cpu": "missing",
    "database-capacity": "missing",
    "database-connections": "missing",
    "database-memory": "missing",
}


def test_every_alarm_tells_the_stages_topic_when_it_begins_and_when_it_ends(dev: Templates) -> None:
    (topic,) = dev.all("AWS::SNS::Topic")

    told = {name: (alarm["AlarmActions"], alarm["OKActions"]) for name, alarm in alarms(dev).items()}

    assert len(told) > 10
    assert told == {name: ([topic], [topic]) for name in told}
    assert not [name for name, alarm in alarms(dev).items() if alarm.get("ActionsEnabled") is False]


def test_the_topic_is_encrypted_by_a_key_that_cloudwatch_may_use_for_this_stages_alarms(dev: Templates) -> None:
    (topic,) = dev.all("AWS::SNS::Topic").values()
    ((key_id, key),) = dev.all("AWS::KMS::Key").items()

    (allowed,) = [s for s in key["KeyPolicy"]["Statement"] if "Service" in s["Principal"]]

    assert topic["KmsMasterKeyId"] == f"{key_id}.Arn"
    assert key["EnableKeyRotation"] is True
    assert set(allowed["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    _is_for_alarms_alone(allowed)


def test_the_topic_takes_alarms_of_this_stage_by_tls_and_nothing_else(dev: Templates) -> None:
    ((topic, _),) = dev.all("AWS::SNS::Topic").items()
    (policy,) = dev.all("AWS::SNS::TopicPolicy").values()

    denied, allowed = policy["PolicyDocument"]["Statement"]

    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (allowed["Effect"], allowed["Action"], allowed["Resource"]) == ("Allow", "sns:Publish", topic)
    _is_for_alarms_alone(allowed)
    assert policy["Topics"] == [topic]


def test_every_alarm_leads_to_its_runbook_and_every_runbook_is_of_an_alarm(dev: Templates) -> None:
    led = {name: alarm["AlarmDescription"].rpartition(" Runbook: ")[2] for name, alarm in alarms(dev).items()}

    assert led == {name: f"docs/operations.md#{name}" for name in led}
    assert set(led) == _runbooks()


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_runbooks_are_in_these_documents(name: str) -> None:
    assert STAGES[name].runbooks.endswith("docs/operations.md")


def test_what_alarms_and_dashboard_name_is_there(dev: Templates) -> None:
    known = _named(dev)
    watched = of_dashboard(dev) | {metric for alarm in alarms(dev).values() for metric in of_alarm(alarm)}

    unknown = {
        (metric.name, name, value)
        for metric in watched
        for name, value in metric.dimensions
        if metric.namespace != PRODUCT and value not in known[name]
    }

    assert {name for metric in watched if metric.namespace != PRODUCT for name, _ in metric.dimensions} == set(known)
    assert not unknown


def test_the_routes_that_are_timed_exist_and_have_metrics_of_their_own(dev: Templates) -> None:
    (stage,) = dev.all("AWS::ApiGateway::Stage").values()
    timed = {(metric.value("Method"), metric.value("Resource")) for metric in of_alarm(alarms(dev)["api-latency"])}

    # Callers of these wait for a job as long as they ask to.
    assert not timed & {("GET", "/status/{jobId}"), ("POST", "/generate-media"), ("POST", "/compile-videos")}
    # What is set for one method takes the place of what is set for all of them.
    assert len(stage["MethodSettings"]) > 1
    assert [
        one for one in stage["MethodSettings"] if not one.get("MetricsEnabled") or one.get("DataTraceEnabled")
    ] == []


def test_keys_that_nobody_knows_wake_nobody(dev: Templates) -> None:
    """The authorizer has to fail to refuse a key; a failure of its own is a 5XX of the API."""
    authorizer = dev.function_name("authorizer")
    errors = Watched("AWS/Lambda", "Errors", frozenset({("FunctionName", authorizer)}))

    assert not [name for name, alarm in alarms(dev).items() if errors in of_alarm(alarm)]
    assert not [name for name, alarm in alarms(dev).items() for m in of_alarm(alarm) if m.name == "4XXError"]
    assert "5XXError" in {metric.name for metric in of_alarm(alarms(dev)["api-errors"])}


def test_the_age_of_messages_wakes_somebody_only_where_no_job_may_wait(dev: Templates) -> None:
    aged = {m for alarm in alarms(dev).values() for m in of_alarm(alarm) if m.name == "ApproximateAgeOfOldestMessage"}

    assert {metric.value("QueueName") for metric in aged} == {"vsl-dev-reports", "vsl-dev-store"}


def test_all_dead_letters_are_watched(dev: Templates) -> None:
    watched = {metric.value("QueueName") for metric in of_alarm(alarms(dev)["waiting-dead-letters"])}

    assert watched == {name for name in dev.all("AWS::SQS::Queue") if name.endswith("-dlq")}


def test_what_want_of_data_means_is_decided_for_each_alarm(dev: Templates) -> None:
    silence = {name: alarm["TreatMissingData"] for name, alarm in alarms(dev).items()}

    assert silence == {name: SILENCE.get(name, "notBreaching") for name in silence}
    assert set(SILENCE) <= set(silence)


def test_alarms_compute_with_what_alarms_may(dev: Templates) -> None:
    for name, alarm in alarms(dev).items():
        assert len(of_alarm(alarm)) <= MOST_METRICS, name
        assert not [query for query in alarm.get("Metrics", ()) if "SEARCH" in query.get("Expression", "")], name


def test_the_dashboard_shows_times_queues_and_cost(dev: Templates) -> None:
    shown = {(metric.name, statistic) for metrics in widgets(dev).values() for metric, statistic in metrics}
    queues = {metric.value("QueueName") for metric in of_dashboard(dev)} - {None}

    for name in ("Latency", "ProcessingTime", "WebhookLatency"):
        assert {(name, "p50"), (name, "p95")} <= shown
    assert {"ProviderCost", "BudgetUsed", "5XXError", "ThrottledCmds", "ACUUtilization"} <= {name for name, _ in shown}
    assert queues == set(dev.all("AWS::SQS::Queue"))


def test_the_stack_can_be_deployed_and_taken_away_by_itself(dev: Templates) -> None:
    watching = f"vsl-{dev.stage}-observability"

    assert "Fn::ImportValue" not in json.dumps(dev.by_stack[watching])
    others = {name: json.dumps(template) for name, template in dev.by_stack.items() if name != watching}
    assert not [name for name, text in others.items() if watching in text]


def test_saved_queries_run_on_log_groups_that_exist(dev: Templates) -> None:
    groups = {group["LogGroupName"] for group in dev.all("AWS::Logs::LogGroup").values() if "LogGroupName" in group}
    queries = dev.all("AWS::Logs::QueryDefinition").values()

    assert {query["Name"].partition("/")[0] for query in queries} == {"vsl-dev"}
    assert {group for query in queries for group in query["LogGroupNames"]} <= groups
    folders = [handler.parent.name for handler in (ROOT / "functions").glob("*/handler.py")]
    of_functions = {f"/aws/lambda/{dev.function_name(folder)}" for folder in folders}
    searched = {frozenset(query["LogGroupNames"]) for query in queries}
    assert searched == {frozenset(of_functions), frozenset({access_log_name(stage_named("dev"))})}


def test_the_access_log_tells_when_who_from_where_and_what_went_wrong(dev: Templates) -> None:
    (stage,) = dev.all("AWS::ApiGateway::Stage").values()

    logged = json.loads(stage["AccessLogSetting"]["Format"])

    assert logged == ACCESS_FIELDS
    assert logged["time"] == "$context.requestTimeEpoch"
    assert logged["account"] == "$context.authorizer.accountId"
    assert logged["ip"] == "$context.identity.sourceIp"
    assert logged["error"] == "$context.error.responseType"
    # Nothing that a caller writes: it could end a line's JSON and begin another.
    assert not {"$context.identity.userAgent", "$context.path", "$context.error.message"} & set(logged.values())


@pytest.mark.parametrize("name", ["staging", "homolog", "prod"])
def test_a_stage_that_keeps_data_has_somebody_who_hears_of_alarms_or_is_not_deployed(name: str) -> None:
    stage = stage_named(name)

    (told,) = set(stage.obstacles()) - set(with_settings(stage, {"VSL_ALARM_EMAIL": "ops@vsl.tv"}).obstacles())

    assert told.startswith(f"Nobody would hear of an alarm of the stage {name}")
    assert told.endswith("VSL_ALARM_EMAIL=somebody@our.name")


def test_a_stage_that_keeps_nothing_needs_nobody(dev: Templates) -> None:
    assert stage_named("dev").obstacles() == []
    assert not dev.all("AWS::SNS::Subscription")


@pytest.mark.usefixtures("dev")  # which starts Node.js with the right PATH
def test_who_is_named_is_told_by_mail() -> None:
    from aws_cdk import App
    from aws_cdk.assertions import Template

    from infra.stacks.observability import ObservabilityStack

    stack = ObservabilityStack(App(), "alone", with_settings(stage_named("prod"), {"VSL_ALARM_EMAIL": "ops@vsl.tv"}))

    (subscription,) = Template.from_stack(stack).find_resources("AWS::SNS::Subscription").values()
    properties = subscription["Properties"]
    assert (properties["Protocol"], properties["Endpoint"]) == ("email", "ops@vsl.tv")


def _is_for_alarms_alone(statement: Properties) -> None:
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "AWS::AccountId"},
        "ArnLike": {"aws:SourceArn": "arn:AWS::Partition:cloudwatch:AWS::Region:AWS::AccountId:alarm:vsl-dev-*"},
    }


def _runbooks() -> set[str]:
    """Headings of the runbooks. Each is its own anchor, as no other heading of the document has the same words."""
    text = (ROOT / "docs" / "operations.md").read_text()
    headings = [heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)]
    assert len(set(headings)) == len(headings)
    runbooks = text.partition("\n## Runbooks\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^### ([a-z-]+)$", runbooks, flags=re.MULTILINE))


def _named(templates: Templates) -> dict[str, set[str]]:
    """By dimension of AWS's own metrics, the values that a stage's resources have."""
    methods = templates.all("AWS::ApiGateway::Method").values()
    resources = templates.all("AWS::ApiGateway::Resource")

    def path(resource_id: str) -> str:
        one = resources.get(resource_id)
        return f"{path(one['ParentId'])}/{one['PathPart']}" if one else ""

    return {
        "FunctionName": set(templates.all("AWS::Lambda::Function")),
        "QueueName": set(templates.all("AWS::SQS::Queue")),
        "ApiName": {api["Name"] for api in templates.all("AWS::ApiGateway::RestApi").values()},
        "Stage": {stage["StageName"] for stage in templates.all("AWS::ApiGateway::Stage").values()},
        "Method": {method["HttpMethod"] for method in methods},
        "Resource": {path(method["ResourceId"]) for method in methods},
        "DBClusterIdentifier": {
            cluster["DBClusterIdentifier"] for cluster in templates.all("AWS::RDS::DBCluster").values()
        },
        "clusterId": {
            cache["ServerlessCacheName"] for cache in templates.all("AWS::ElastiCache::ServerlessCache").values()
        },
    }
