"""Whole templates in MiniStack: what exists after each step, and that the page names what could not be taken.

The emulator's CloudFormation deploys, updates, rolls back and deletes as far as it goes; functions do not run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.stages import stage_named
from local.processes import wait_until
from operate.failed_creation import FailedCreation
from tests.infra.emulator import REFUSING_FUNCTION, emulator
from tests.infra.rehearsal import MORE_MEMORY_MB, PAGE, STAGES, Rehearsal, rehearsal, rows


@pytest.fixture(scope="module", params=STAGES)
def created(request: pytest.FixtureRequest) -> Iterator[Rehearsal]:
    """The stage, deployed. Tests take it further in the order of this file."""
    with rehearsal(request.param) as one:
        one.create()
        yield one


def test_every_function_queue_and_table_of_the_templates_exists(created: Rehearsal) -> None:
    declared = [
        resource["Properties"].get(name)
        for template in created.templates.values()
        for resource in template["Resources"].values()
        for name in ("FunctionName", "QueueName", "TableName")
        if name in resource.get("Properties", {})
    ]

    assert {name for name in declared if isinstance(name, str)} <= created.resources()
    assert len(declared) > 30


def test_the_page_names_what_the_emulator_could_not_take(created: Rehearsal) -> None:
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {created.stage} | `")]

    assert shown == rows(created.not_taken), "run `make rehearsal`, which writes the list anew"


def test_an_update_changes_what_is_there(created: Rehearsal) -> None:
    before = created.memory()

    created.update()

    assert created.memory() == {name: size + MORE_MEMORY_MB for name, size in before.items()}
    assert created.parameters() == {f"/rehearsal/{stack}/updated" for stack in created.templates}


def test_an_update_that_fails_at_its_last_resource_leaves_everything_as_it_was(created: Rehearsal) -> None:
    memory, resources, parameters = created.memory(), created.resources(), created.parameters()

    rolled_back = created.fail_to_update()

    assert rolled_back == list(created.templates)
    assert (created.memory(), created.resources(), created.parameters()) == (memory, resources, parameters)


def test_deleting_leaves_what_is_to_be_kept_alone(created: Rehearsal) -> None:
    assert created.destroy() == created.stacks_of_what_is_kept()

    assert created.resources() == created.retained()
    assert created.parameters() == set()


def test_a_protected_stage_whose_first_deployment_failed_is_deployed_by_a_second(tmp_path: Path) -> None:
    with emulator(tmp_path, frozenset()) as running:
        formation, name = running.client("cloudformation"), "vsl-prod-media"
        running.make_refusing_function()
        token = {"Fn::Sub": f"arn:aws:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{REFUSING_FUNCTION}"}
        refused = {"Type": "Custom::Refused", "Properties": {"ServiceToken": token}}
        protected = {"StackName": name, "EnableTerminationProtection": True}
        formation.create_stack(**protected, TemplateBody=json.dumps({"Resources": {"Refused": refused}}))
        assert wait_until(lambda: _status(formation, name) == "ROLLBACK_COMPLETE", 60, pause_seconds=0.1)
        with pytest.raises(ClientError, match="TerminationProtection"):
            formation.delete_stack(StackName=name)

        FailedCreation(stage_named("prod"), formation, running.client("rds")).clear()

        formation.delete_stack(StackName=name)
        topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
        formation.create_stack(**protected, TemplateBody=json.dumps(topic))
        assert wait_until(lambda: _status(formation, name) == "CREATE_COMPLETE", 60, pause_seconds=0.1)


def _status(formation: Any, name: str) -> str:
    (found,) = formation.describe_stacks(StackName=name)["Stacks"]
    return str(found["StackStatus"])
