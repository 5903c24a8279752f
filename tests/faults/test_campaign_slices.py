"""A short slice of every campaign, each with a seed of its own; the long runs are `make campaign`."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.campaigns import lifecycle_run, stack_faults, tenants, urls, webhooks
from tests.e2e.client import Api
from tests.faults.observing import Observed


def test_forged_webhooks_are_refused() -> None:
    assert webhooks.run(0, 300) == 0


def test_only_an_authentic_webhook_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert webhooks.run(seed=1, count=1) == 0  # a forged one, then an authentic one

    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "WebhookLatency" in line]
    assert 0 <= told["WebhookLatency"][0] < 300


def test_hostile_urls_reach_nothing() -> None:
    assert urls.run(0, 300) == 0


def test_the_state_machine_of_a_jobs_life_breaks_no_promise(stack: dict[str, Any]) -> None:
    database_url = lifecycle_run.new_database(stack["databaseUrl"], f"slice_{uuid4().hex[:8]}")

    steps, violations = lifecycle_run.run(database_url, 0, 400)

    assert steps > 200
    assert violations == 0


def test_two_tenants_see_nothing_of_each_other(stack: dict[str, Any]) -> None:
    both = tenants.prepared(Api(stack["baseUrl"], stack["apiKey"]), Api(stack["baseUrl"], stack["secondApiKey"]))

    assert tenants.run(both, 0, 200) == 0


def test_three_faults_at_once_break_no_promise(observed: Observed) -> None:
    assert stack_faults.run_triples(observed, 2, 1) == 0
