"""A function killed while it answers: before its commit nothing is recorded, after it the same key finds what is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.e2e.client import Answer, Api, a_text
from tests.faults.observing import Observed, stopped, wait_for

FILE = {"name": "take.mp4", "contentType": "video/mp4", "size": 4}
TABLES = ("vsl.jobs", "vsl.uploads", "vsl.budgets", "vsl.provider_attempts", "vsl_frontend.section_detailed_scripts")


@pytest.fixture
def api(observed: Observed) -> Api:
    """Known to the authorizer, so that it is asked nothing while things stand still."""
    known = Api(observed.stack["baseUrl"], observed.stack["adminApiKey"])
    known.get("/models").data()
    return known


@contextmanager
def locked(observed: Observed, table: str) -> Iterator[Callable[[], bool]]:
    """Nobody writes to the table meanwhile. Gives a way to see whether somebody wants to."""
    with psycopg.connect(observed.stack["databaseUrl"]) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        me = connection.info.backend_pid
        waiting = "SELECT 1 FROM pg_stat_activity WHERE %(me)s = ANY(pg_blocking_pids(pid))"
        yield lambda: bool(observed.rows(waiting, me=me))


def counts(observed: Observed, user: str) -> list[int]:
    """Rows that name the user, which no other test does."""
    asked = "SELECT count(*) AS n FROM {table} t WHERE t::text LIKE %(user)s"
    return [observed.rows(asked.format(table=table), user=f"%{user}%")[0]["n"] for table in TABLES]


def answered(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A call that is under way, and where its answer will be."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


ROUTES: dict[str, tuple[str, str, str, Callable[[str], Any]]] = {
    "generate-media": ("POST", "/generate-media", "vsl.jobs", lambda user: a_text(user, userId=user)),
    "review": ("POST", "/api/uploads", "vsl.uploads", lambda user: {"userId": user, "kind": "clip", "files": [FILE]}),
    "account": ("PUT", "/api/budgets", "vsl.budgets", lambda user: {"userId": user, "limitUsd": 1}),
}


@pytest.mark.parametrize("function", ROUTES)
def test_killed_before_its_commit_it_has_recorded_nothing_and_may_be_asked_again(
    observed: Observed, api: Api, function: str
) -> None:
    method, path, table, body = ROUTES[function]
    user = f"user-{uuid4().hex[:12]}"
    ask: Callable[[], Answer] = lambda: api.call(method, path, body(user), {"Idempotency-Key": user})  # noqa: E731

    with locked(observed, table) as wanted:
        thread, answers = answered(ask)
        wait_for(f"{function} to write to {table}", wanted)
        observed.kill(function)
    thread.join()

    answers[0].refuses(502, "internal")
    assert int(answers[0].headers["retry-after"]) > 0
    assert counts(observed, user) == [0] * len(TABLES)
    assert ask().status < 300
    assert sum(counts(observed, user)) > 0


def test_generate_media_killed_after_its_commit_has_one_job_under_its_key(observed: Observed, api: Api) -> None:
    user = f"user-{uuid4().hex[:12]}"
    ask: Callable[[], Answer] = lambda: api.call(  # noqa: E731
        "POST", "/generate-media", a_text(user, userId=user), {"Idempotency-Key": user}
    )

    with stopped(observed.part("ministack")):
        thread, answers = answered(ask)
        found = wait_for("the commit", lambda: observed.rows("SELECT id FROM vsl.jobs WHERE user_id = %(u)s", u=user))
        observed.kill("generate-media")
    thread.join()

    answers[0].refuses(502, "internal")
    job = str(found[0]["id"])
    assert ask().data(202)["jobId"] == job
    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)


def test_a_webhook_killed_before_it_is_queued_is_sent_again_by_the_provider(observed: Observed) -> None:
    job = observed.generate("[seconds=3] the webhook is killed")
    observed.wait_attempt(job, "accepted")
    events = "SELECT 1 FROM vsl.webhook_inbox WHERE job_id = %(job)s AND provider_status = 'succeeded'"

    with stopped(observed.part("ministack")):
        wait_for("the prediction", lambda: observed.prediction(job)["status"] == "succeeded")
        observed.kill("webhook")

    wait_for("the webhook", lambda: observed.rows(events, job=job))
    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)


@pytest.mark.usefixtures("unscheduled")
def test_a_sweep_killed_while_it_sends_is_made_up_for_by_the_next(observed: Observed) -> None:
    job = observed.generate("[webhook=lost] the sweep is killed")
    wait_for("the prediction", lambda: [p for p in observed.predictions(job) if p["status"] == "succeeded"])
    observed.wait_attempt(job, "accepted")
    observed.sweep()  # its environment is warm now, and sent is what was due
    observed.let_time_pass(job)

    with stopped(observed.part("ministack")):
        thread, _ = answered(lambda: observed.invoke("reconcile"))
        wait_for("the sweep", lambda: observed.guard("reconcile"))
        asked = "SELECT 1 FROM vsl.outbox WHERE job_id = %(job)s AND sent_at IS NULL AND topic = 'store'"
        wait_for("its announcement", lambda: observed.rows(asked, job=job))
        observed.kill("reconcile")
    thread.join()

    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)


@pytest.mark.parametrize(("function", "held"), [("migrate", "vsl.schema_migration"), ("provider-catalog", None)])
def test_whatever_a_deploy_or_the_clock_runs_may_be_killed(observed: Observed, function: str, held: str | None) -> None:
    if held is None:
        with stopped(observed.part("provider")):
            thread, _ = answered(lambda: observed.invoke(function))
            wait_for("the provider to be asked", lambda: observed.guard(function))
            observed.kill(function)
    else:
        with psycopg.connect(observed.stack["databaseUrl"]) as connection:
            connection.execute(f"LOCK TABLE {held} IN ACCESS EXCLUSIVE MODE")
            thread, _ = answered(lambda: observed.invoke(function))
            wait_for("the lock to be waited for", lambda: observed.guard(function))
            observed.kill(function)
    thread.join()

    assert "errorType" not in observed.invoke(function)
