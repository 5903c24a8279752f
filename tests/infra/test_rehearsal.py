"""Whole templates in MiniStack: what exists after each step, and that the page names what could not be taken.

The emulator's CloudFormation deploys, updates, rolls back and deletes as far as it goes; functions do not run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
