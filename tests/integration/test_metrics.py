"""Dashboard, alarms and filters ask for exactly the metrics that the code prints: names and dimensions, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from local.layout import find_layout
from local.synth import synthesize
from shared import observability
from shared.adapters.postgres.transaction import PostgresTransaction
from shared.adapters.redis_cache import RedisConnection
from shared.domain.errors import MODEL_UNAVAILABLE, PROVIDER_THROTTLED, AnswerLost, ProviderBusy, ProviderRefused
from shared.domain.jobs import Caller, JobStatus
from shared.domain.messages import CallRejected, PredictionSeen, ProviderCall
from shared.ports import Prediction
from shared.usecases.call_provider import call_provider
from shared.usecases.control import cancel_job
from shared.usecases.ending import end_job
from shared.usecases.read_status import POLL_SECONDS, StatusReader
from shared.usecases.reconcile import Sweep
from shared.usecases.spending import Budget, set_budget
from tests.infra.templates import Templates
from tests.infra.watched import Watched, alarms, of_alarm, of_dashboard, of_filters
from tests.integration.door import Door
from tests.integration.elsewhere import A, B, Elsewhere, asked, maker
from tests.integration.inside import TURNS, World, stored
from tests.memory import MemoryClock, MemoryView, MemoryWaiters
from tests.memory_media import MemoryMedia

STAGE = "dev"
Printed = list[dict[str, Any]]
Lines = Callable[[], Printed]


@pytest.fixture(scope="module")
def dev() -> Templates:
    return Templates.read(STAGE, synthesize(find_layout(), STAGE).directory)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The metric lines printed since the last call."""
    monkeypatch.setenv("STAGE", STAGE)
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)

    def since() -> Printed:
        printed = (json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
        return [line for line in printed if "_aws" in line]

    return since


@pytest.fixture
def everything(
    world: World, elsewhere: Elsewhere, door: Door, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> set[Watched]:
    """All metrics that the code prints: a job's every end, a film, a webhook, a poll, sweeps that go well and ill."""
    _jobs_of_every_end(world)
    _film(elsewhere, tmp_path)
    assert door.knock(door.delivery(world.accepted())) == 200
    _poll(world, 0)
    _no_cache(world)
    _sweep(world)
    with monkeypatch.context() as patch:
        patch.setattr(PostgresTransaction, "lock_overdue", _raises)
        _overdue(world)
        _sweep(world)
    return {metric for line in lines() for metric in _metrics_of(line)}


def test_every_metric_that_is_watched_is_printed(dev: Templates, everything: set[Watched]) -> None:
    watched = _watched(dev)

    assert len(watched) > 15
    printed = {_without_details(metric) for metric in everything}
    assert not {metric for metric in watched if metric not in printed}


def test_every_metric_that_is_printed_is_watched(dev: Templates, everything: set[Watched]) -> None:
    names = {value for name, value in vars(observability).items() if name.isupper() and isinstance(value, str)}
    watched = {metric.name for metric in _watched(dev)}

    assert {metric.name for metric in everything} == watched
    assert watched == names - {observability.NAMESPACE, observability.SERVICE}


def test_every_line_has_the_stage_and_the_service_and_at_most_one_detail(world: World, lines: Lines) -> None:
    _jobs_of_every_end(world)

    for line in lines():
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"][0] == ["stage", "service"]
        assert [len(dimensions) for dimensions in directive["Dimensions"][1:]] in ([], [3])
        assert (line["stage"], line["service"]) == (STAGE, "vsl")


def test_a_cancelled_job_is_none_that_failed(world: World, lines: Lines) -> None:
    _, job_id, _ = world.generate()
    lines()

    cancel_job(job_id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)

    assert [_counted(line) for line in lines()] == [("JobsCancelled", 1)]


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (JobStatus.COMPLETED, {("JobsCompleted", 1), ("JobsFailed", 0)}),
        (JobStatus.FAILED, {("JobsFailed", 1)}),
        (JobStatus.TIMEOUT, {("JobsTimedOut", 1), ("JobsFailed", 1)}),
    ],
)
def test_the_average_of_failures_is_their_rate(
    world: World, lines: Lines, end: JobStatus, counted: set[tuple[str, float]]
) -> None:
    _, job_id, _ = world.generate()
    lines()

    _end(world, job_id, end)

    assert {_counted(line) for line in lines() if "ProcessingTime" not in line} == counted


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (Prediction("p" * 26, "running", "starting"), [0]),
        (ProviderRefused("Such input is refused."), [0]),
        (ProviderRefused("The token is wrong.", code=MODEL_UNAVAILABLE), [1]),
        (ProviderBusy("Too many.", code=PROVIDER_THROTTLED), [0]),
        (ProviderBusy("It cannot be reached."), [1]),
        (AnswerLost("Nothing came back."), [1]),
    ],
    ids=["made", "input refused", "we are refused", "throttled", "unreachable", "lost"],
)
def test_an_answer_is_a_failure_when_it_is_the_providers_own(
    lines: Lines, answer: Prediction | Exception, failures: list[int]
) -> None:
    _call(answer)

    assert [line["ProviderFailures"][0] for line in lines()] == failures


def test_a_long_poll_prints_one_line_however_often_it_looks(world: World, lines: Lines) -> None:
    looks = _poll(world, 25)

    assert looks == 25 / POLL_SECONDS + 1
    assert [list(_names(line)) for line in lines() if "CacheHitRate" in line] == [["CacheHitRate"]]


def test_the_sweep_tells_of_the_oldest_overdue_job_that_it_cannot_end(
    world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nothing_is_due(world)
    _sweep(world)
    assert [line["OldestOverdueJob"] for line in lines() if "OldestOverdueJob" in line] == [[0.0]]
    _overdue(world)
    monkeypatch.setattr(PostgresTransaction, "lock_overdue", _raises)

    _sweep(world)

    ((seconds,),) = [line["OldestOverdueJob"] for line in lines() if "OldestOverdueJob" in line]
    assert 600 <= seconds < 700


def test_the_sweep_tells_of_the_fullest_budget_of_an_account(
    world: World, other: Caller, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    world.sql("UPDATE vsl.budgets SET limit_usd = NULL")
    for caller, user, spent in ((world.caller, None, 8.5), (other, None, 4), (other, "user", 99)):
        set_budget(caller, Budget(user, "month", 10), records=world.records, clock=world.clock)
        world.sql(
            "UPDATE vsl.budgets SET spent_usd = %s WHERE account_id = %s AND user_id = %s AND period <> 'month'",
            spent,
            caller.account_id,
            user or "",
        )
    lines()

    _sweep(world)

    assert [line["BudgetUsed"] for line in lines() if "BudgetUsed" in line] == [[85.0]]
    (told,) = [record for record in caplog.records if record.getMessage() == "budget_nearly_used"]
    assert (vars(told)["accountId"], vars(told)["usedPercent"]) == (str(world.caller.account_id), 85.0)


def _jobs_of_every_end(world: World) -> None:
    for end in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.TIMEOUT):
        _end(world, world.generate()[1], end)
    cancelled = world.generate()[1]
    cancel_job(cancelled, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(stored(job_id, attempt_id, provider_id))
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(PredictionSeen(str(job_id), str(attempt_id), provider_id, "failed"))
    job_id, attempt_id, provider_id = world.accepted()
    world.settler.take(CallRejected(str(job_id), str(attempt_id), "provider_refused", "No.", retryable=False))


def _end(world: World, job_id: UUID, end: JobStatus) -> None:
    with world.records.transaction() as tx:
        job = tx.lock_job(job_id)
        assert job is not None
        moved = tx.move_job(job, JobStatus.PROCESSING)
        assert moved is not None
        why = {} if end is JobStatus.COMPLETED else {"error_code": end.value, "error_message": "It came to nothing."}
        assert end_job(tx, moved, end, clock=world.clock, **why) is not None


def _film(elsewhere: Elsewhere, folder: Path) -> None:
    job = asked(elsewhere.world, A, B)
    elsewhere.run_all()
    maker(elsewhere.world, folder).compile(job.id)


def _call(answer: Prediction | Exception) -> None:
    class Provider:
        def create(self, *_: object) -> Prediction:
            if isinstance(answer, Exception):
                raise answer
            return answer

    class Settle:
        def ask(self, _question: object) -> dict[str, Any]:
            return {"verdict": "go", "request": {"input": {}}, "cancelAfterSeconds": 60}

        def send(self, _report: object) -> None:
            return None

    call_provider(
        ProviderCall(str(uuid4()), str(uuid4())),
        inside=Settle(),
        provider=Provider(),
        reports=Settle(),  # type: ignore[arg-type]
        media=MemoryMedia(),
        webhook_url=lambda *_: "https://example.com/",
    )


def _poll(world: World, seconds: int) -> int:
    """How often it looked."""
    _, job_id, _ = world.generate()
    cache = _Counting()
    reader = StatusReader(
        records=world.records,
        live=world.live,
        cache=cache,
        aftermath=world.aftermath,
        waiters=MemoryWaiters(most_of_account=1, most_of_stage=1),
        clock=MemoryClock(world.clock.now()),
    )
    reader.wait(job_id, world.caller, seconds)
    return cache.looks


class _Counting(MemoryView):
    looks = 0

    def get(self, job_id: UUID) -> Any:
        self.looks += 1
        return super().get(job_id)


def _no_cache(world: World) -> None:
    def connect() -> Any:
        raise OSError

    RedisConnection(connect, world.clock).attempt(lambda client: client.ping())


def _nothing_is_due(world: World) -> None:
    world.sql("UPDATE vsl.jobs SET status = 'cancelled', completed_at = now() WHERE completed_at IS NULL")
    world.sql("UPDATE vsl.jobs SET published_version = version")
    world.sql("DELETE FROM vsl.set_back_rows")


def _overdue(world: World) -> None:
    _, job_id, _ = world.generate()
    world.sql("UPDATE vsl.jobs SET deadline_at = now() - interval '10 minutes' WHERE id = %s", job_id)


def _sweep(world: World) -> None:
    Sweep(world.records, world.clock, world.aftermath, TURNS).run()


def _raises(*_: object) -> None:
    raise MemoryError


def _watched(templates: Templates) -> set[Watched]:
    """The product's own metrics that something asks for."""
    of_alarms = {metric for alarm in alarms(templates).values() for metric in of_alarm(alarm)}
    watched = of_alarms | of_dashboard(templates) | of_filters(templates)
    return {metric for metric in watched if metric.namespace == observability.NAMESPACE}


def _metrics_of(line: dict[str, Any]) -> Iterator[Watched]:
    """As CloudWatch reads a line: a metric for each name and each set of dimensions."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            values = frozenset((name, line[name]) for name in dimensions)
            yield from (Watched(directive["Namespace"], metric["Name"], values) for metric in directive["Metrics"])


def _without_details(metric: Watched) -> Watched:
    """A dashboard searches for all values of a detail, and for any service."""
    details = len(metric.dimensions) > len(("stage", "service"))
    values = {(name, value if name == "stage" or not details else None) for name, value in metric.dimensions}
    return Watched(metric.namespace, metric.name, frozenset(values))


def _names(line: dict[str, Any]) -> Iterator[str]:
    return (metric["Name"] for directive in line["_aws"]["CloudWatchMetrics"] for metric in directive["Metrics"])


def _counted(line: dict[str, Any]) -> tuple[str, float]:
    (name,) = _names(line)
    return name, line[name][0]
