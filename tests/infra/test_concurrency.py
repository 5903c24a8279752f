"""What may run at once: nobody starves whom others wait for, and a flood leaves the database its connections."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stacks.service import READERS
from infra.stages import LEAST_UNRESERVED, STAGES, Stage
from local.synth import node_path
from shared.config import SETTINGS, Inside
from tests.infra.templates import Templates

ROOT = Path(__file__).resolve().parents[2]
# By the capacity a database may grow to, what Aurora PostgreSQL has for `max_connections`; 2,000 at most where it may
# shrink below 1 (Aurora User Guide, "Maximum connections for Aurora Serverless v2").
MAX_CONNECTIONS = {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000}
SMALL_MINIMUM_CONNECTIONS = 2000
# For the superuser, Aurora's own processes and an operator.
KEPT_BACK = 20
# A worker's heartbeat has a connection of its own (`bootstrap.workplace`).
CONNECTIONS = {"compile_videos": 2, "inspect_media": 2}
# Runs at a deploy alone.
AT_DEPLOYS = {"migrate": 2}
INSIDE = [name for name, settings in SETTINGS.items() if issubclass(settings, Inside)]
deployed = [stage for stage in STAGES.values() if not stage.is_local]
every_stage = pytest.mark.parametrize("stage", deployed, ids=lambda stage: stage.name)


def test_the_template_reserves_what_the_stage_says(templates: Templates) -> None:
    functions = templates.all("AWS::Lambda::Function")
    reserved = {
        name: f["ReservedConcurrentExecutions"] for name, f in functions.items() if "ReservedConcurrentExecutions" in f
    }

    expected = STAGES[templates.stage].reserved
    assert reserved == {templates.function_name(name): number for name, number in expected.items()}
    assert len(expected) == 10


@every_stage
def test_what_is_reserved_leaves_lambda_what_it_insists_on(stage: Stage) -> None:
    assert 0 < sum(stage.reserved.values()) <= stage.account_concurrency - LEAST_UNRESERVED


def test_a_new_account_takes_the_template_without_reservations_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", node_path(os.environ))
    monkeypatch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
    warnings = _synthesized(replace(STAGES["local"], account_concurrency=10), tmp_path)

    functions = Templates.read("local", tmp_path).all("AWS::Lambda::Function").values()
    assert not [function for function in functions if "ReservedConcurrentExecutions" in function]
    assert [text for text in warnings if "account_concurrency" in text]


@every_stage
def test_settle_has_an_environment_for_each_report_and_claim_at_once(stage: Stage) -> None:
    askers = ("call_provider", "store_media", "fetch_source")
    claiming = [topic for topic, reader in READERS.items() if reader in askers]
    at_once = sum(stage.queues[topic].max_concurrency for topic in ("reports", *claiming))

    assert stage.reserved["settle"] == at_once


@every_stage
def test_callers_who_wait_leave_room_for_those_who_do_not(stage: Stage) -> None:
    for name in ("generate_media", "status", "compile_videos"):
        assert stage.reserved[name] >= stage.waiters_of_stage + stage.calls_at_once


@every_stage
def test_a_queues_worker_is_never_throttled_by_its_own_functions_limit(stage: Stage) -> None:
    for reader in set(READERS.values()) & set(stage.reserved):
        topics = [topic for topic, name in READERS.items() if name == reader]

        assert stage.reserved[reader] >= sum(stage.queues[topic].max_concurrency for topic in topics)


@every_stage
def test_webhooks_at_their_throttle_find_an_environment_each(stage: Stage) -> None:
    """Of both routes. One takes less than a tenth of a second (docs/benchmarks.md, p99)."""
    assert stage.reserved["webhook"] >= 2 * stage.webhook_per_second * 0.1


@every_stage
def test_twice_all_connections_at_once_are_fewer_than_the_database_takes(stage: Stage) -> None:
    """Twice: during a deploy environments of the release before stay for a while, each with its connection."""
    most = MAX_CONNECTIONS[int(stage.database_max_capacity)]
    limit = most if stage.database_min_capacity >= 1 else min(most, SMALL_MINIMUM_CONNECTIONS)

    assert 2 * sum(_connections(stage, name) for name in INSIDE) <= limit - KEPT_BACK


def test_the_template_has_the_functions_event_sources_and_capacity_that_were_counted(dev: Templates) -> None:
    stage = STAGES["dev"]
    functions = dev.all("AWS::Lambda::Function").items()
    inside = {name for name, function in functions if function.get("VpcConfig", {}).get("SubnetIds")}
    mappings = dev.all("AWS::Lambda::EventSourceMapping").values()
    read = {m["EventSourceArn"]: (m["FunctionName"], m["ScalingConfig"]["MaximumConcurrency"]) for m in mappings}
    (cluster,) = dev.all("AWS::RDS::DBCluster").values()

    assert inside == {dev.function_name(name) for name in INSIDE}
    assert read == {
        f"vsl-dev-{topic}.Arn": (dev.function_name(reader), stage.queues[topic].max_concurrency)
        for topic, reader in READERS.items()
    }
    assert cluster["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": stage.database_min_capacity,
        "MaxCapacity": stage.database_max_capacity,
    }


def _synthesized(stage: Stage, folder: Path) -> list[str]:
    """The warnings of a synthesis into the folder."""
    # Importing the CDK starts Node.js, which must be on PATH by then.
    from aws_cdk import App

    from infra.application import build_stage

    app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"], outdir=str(folder))
    build_stage(app, stage)
    return [str(message.entry.data) for stack in app.synth().stacks for message in stack.messages]


def _connections(stage: Stage, name: str) -> int:
    """Of a function's environments that may run at once. Raises KeyError for one without any limit."""
    of_queues = sum(stage.queues[topic].max_concurrency for topic, reader in READERS.items() if reader == name)
    at_once = stage.reserved.get(name) or of_queues or AT_DEPLOYS[name]
    return at_once * CONNECTIONS.get(name, 1)
