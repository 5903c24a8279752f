"""Queues, who reads them, and what runs by the clock or by a deploy."""

from __future__ import annotations

import pytest

from infra.stages import STAGES
from shared.batches import hidden_seconds
from tests.infra.templates import Properties, Templates

READERS = {
    "calls": "call_provider",
    "reports": "settle",
    "store": "store_media",
    "fetch": "fetch_source",
    "inspect": "inspect_media",
    "compile": "compile_videos",
    "uploads": "inspect_media",
}
every_topic = pytest.mark.parametrize("topic", READERS)


def test_there_are_these_queues_each_with_its_dead_letters(templates: Templates) -> None:
    names = {f"vsl-{templates.stage}-{topic}" for topic in READERS}

    assert set(templates.all("AWS::SQS::Queue")) == names | {f"{name}-dlq" for name in names}


@every_topic
def test_a_message_that_keeps_failing_ends_in_the_queue_of_dead_letters(templates: Templates, topic: str) -> None:
    redrive = _queue(templates, topic)["RedrivePolicy"]

    assert redrive == {"deadLetterTargetArn": f"vsl-{templates.stage}-{topic}-dlq.Arn", "maxReceiveCount": 7}


@every_topic
def test_dead_letters_outlive_the_message(templates: Templates, topic: str) -> None:
    dead = templates.all("AWS::SQS::Queue")[f"vsl-{templates.stage}-{topic}-dlq"]

    assert dead["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_a_message_that_keeps_failing_outlasts_an_outage_of_half_an_hour(dev: Templates) -> None:
    for topic in READERS:
        received = _queue(dev, topic)["RedrivePolicy"]["maxReceiveCount"]

        assert sum(hidden_seconds(number) for number in range(1, received)) > 1800


@every_topic
def test_a_message_stays_hidden_while_its_reader_may_still_run(templates: Templates, topic: str) -> None:
    timeout_seconds = templates.function(READERS[topic])["Timeout"]

    assert _queue(templates, topic)["VisibilityTimeout"] == 6 * timeout_seconds


@every_topic
def test_one_function_reads_a_queue_and_reports_failures_by_message(templates: Templates, topic: str) -> None:
    numbers = STAGES[templates.stage].queues[topic]

    mapping = _mapping(templates, topic)

    assert mapping["FunctionName"] == templates.function_name(READERS[topic])
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": numbers.max_concurrency}
    assert mapping["BatchSize"] == numbers.batch_size


def test_media_queues_hand_out_one_message_at_a_time(templates: Templates) -> None:
    assert [_mapping(templates, topic)["BatchSize"] for topic in READERS if topic != "reports"] == [1] * 6


def test_the_bucket_tells_of_uploads_and_only_it_may(templates: Templates) -> None:
    bucket = templates.all("AWS::S3::Bucket")[f"vsl-{templates.stage}-media"]
    (rule,) = bucket["NotificationConfiguration"]["QueueConfigurations"]

    (allowed,) = (s for p in templates.all("AWS::SQS::QueuePolicy").values() for s in _from_s3(p))

    assert rule == {
        "Event": "s3:ObjectCreated:*",
        "Queue": f"vsl-{templates.stage}-uploads.Arn",
        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "uploads/"}]}},
    }
    assert (allowed["Action"], allowed["Resource"]) == ("sqs:SendMessage", rule["Queue"])
    source = allowed["Condition"]["ArnEquals"]["aws:SourceArn"].removesuffix("-AWS::AccountId-AWS::Region")
    assert source.endswith(f":s3:::vsl-{templates.stage}-media")
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": "AWS::AccountId"}


def test_in_aws_queues_take_messages_by_tls_only(dev: Templates) -> None:
    policies = dev.all("AWS::SQS::QueuePolicy").values()
    closed = {queue for policy in policies if _denies_plain_http(policy) for queue in policy["Queues"]}

    assert closed == set(dev.all("AWS::SQS::Queue"))


def test_the_sweep_runs_each_minute_and_models_are_read_each_hour(templates: Templates) -> None:
    rules = templates.all("AWS::Events::Rule").values()

    ran = {(rule["ScheduleExpression"], rule["State"], target["Arn"]) for rule in rules for target in rule["Targets"]}

    expected = {
        "reconcile": "rate(1 minute)",
        "retention": "rate(1 minute)",
        "provider_catalog": "rate(1 hour)",
    }
    assert ran == {(rate, "ENABLED", f"{templates.function_name(name)}.Arn") for name, rate in expected.items()}
    assert _invocable_by(templates, "events.amazonaws.com") >= {arn for _, _, arn in ran}


def test_what_runs_by_the_clock_piles_nothing_up(templates: Templates) -> None:
    configs = {c["FunctionName"]: c for c in templates.all("AWS::Lambda::EventInvokeConfig").values()}
    targets = {t["Arn"]: t for rule in templates.all("AWS::Events::Rule").values() for t in rule["Targets"]}

    told = {name: (c["MaximumRetryAttempts"], c["MaximumEventAgeInSeconds"]) for name, c in configs.items()}

    expected = {"reconcile": (0, 60), "retention": (0, 60), "provider_catalog": (2, 3600)}
    assert told == {templates.function_name(name): numbers for name, numbers in expected.items()}
    for name, (_, seconds) in expected.items():
        policy = targets[f"{templates.function_name(name)}.Arn"]["RetryPolicy"]
        assert policy == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": seconds}


def _queue(templates: Templates, topic: str) -> Properties:
    return templates.all("AWS::SQS::Queue")[f"vsl-{templates.stage}-{topic}"]


def _mapping(templates: Templates, topic: str) -> Properties:
    source = f"vsl-{templates.stage}-{topic}.Arn"
    (found,) = (m for m in templates.all("AWS::Lambda::EventSourceMapping").values() if m["EventSourceArn"] == source)
    return found


def _denies_plain_http(policy: Properties) -> bool:
    wanted = {"Bool": {"aws:SecureTransport": "false"}}
    statements = policy["PolicyDocument"]["Statement"]
    return any(s["Effect"] == "Deny" and s.get("Condition") == wanted for s in statements)


def _from_s3(policy: Properties) -> list[Properties]:
    statements = policy["PolicyDocument"]["Statement"]
    return [s for s in statements if s.get("Principal") == {"Service": "s3.amazonaws.com"}]


def _invocable_by(templates: Templates, service: str) -> set[str]:
    permissions = templates.all("AWS::Lambda::Permission").values()
    return {permission["FunctionName"] for permission in permissions if permission["Principal"] == service}
