"""Faults on the running stack: alone, three at once, kills at random moments, and a part taken away for a while."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local import commands
from local.keeper import running_keeper
from local.layout import MARK_VARIABLE, Layout, find_layout
from local.processes import descendants, marked, wait_until
from tests.faults.observing import Observed, wait_for

WEBHOOKS = ("lost", "doubled", "early", "late")
ANSWERS = ("lost", "429", "500")
OUTPUTS = ("gone", "truncated", "html")
ENDS = ("[abort]", "[fail]")
PARTS = ("postgres", "redis", "ministack", "provider")
BATCH = 5
JOBS_OF_AN_OUTAGE = 100
OUTAGE_SECONDS = 20
# A claim this young belongs to a call that may be on its way to the provider.
CALL_UNDER_WAY = timedelta(seconds=20)
WORKERS = ("call-provider", "store-media", "settle", "inspect-media", "webhook")
# Directives that end a job otherwise than completed, or may.
MAY_FAIL = ("[abort]", "[fail]", "[output=")


def directives() -> list[str]:
    """Every fault that a prompt can ask of the provider."""
    return [
        *(f"[webhook={name}]" for name in WEBHOOKS), *(f"[answer={name}]" for name in ANSWERS),
        *(f"[output={name}]" for name in OUTPUTS), *ENDS,
    ]  # fmt: skip


def worlds() -> dict[str, Callable[[Observed, random.Random], None]]:
    """Every fault of the surroundings, each over within seconds."""
    return {
        **{f"{part} stands still": _stand_still(part) for part in PARTS},
        "redis is emptied": _empty_redis, "the database crashes": _crash_database, "a function is killed": _kill_any,
        "the live view is lost": _lose_view, "a poison message comes": _poison,
    }  # fmt: skip


def run_rows(observed: Observed, seed: int, count: int) -> int:
    """Each fault alone, in turn: violations among so many jobs."""
    dice, violations = random.Random(seed), 0
    names: list[str] = [*directives(), *worlds()]
    for start in range(0, count, BATCH):
        batch = [names[(seed * count + n) % len(names)] for n in range(start, min(start + BATCH, count))]
        prompts = [name if name.startswith("[") else "" for name in batch]
        violations += _scenario(observed, dice, prompts, [name for name in batch if name in worlds()])
    return violations


def run_triples(observed: Observed, seed: int, count: int) -> int:
    """Three faults at once: a webhook's, an answer's, and one of the surroundings."""
    dice, violations = random.Random(seed), 0
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        prompts = [f"[webhook={dice.choice(WEBHOOKS)}][answer={dice.choice(ANSWERS)}]" for _ in range(size)]
        violations += _scenario(observed, dice, prompts, [dice.choice(list(worlds()))])
    return violations


def run_kills(observed: Observed, seed: int, count: int) -> int:
    """SIGKILL to whatever function is busy, at random moments of a job's life."""
    dice, violations = random.Random(seed), 0
    for _ in range(count):
        job = observed.generate("killed somewhere", webhookUrl=None)
        time.sleep(dice.uniform(0, 0.8))
        _kill_any(observed, dice)
        violations += settle_all(observed, [job])
    return violations


def run_outage(observed: Observed, seed: int, count: int) -> int:
    """A hundred jobs run; one part is taken away for 20 s and given back."""
    violations = 0
    for number in range(count):
        part = (*PARTS, "settle")[(seed + number) % (len(PARTS) + 1)]
        jobs = [observed.generate(f"[seconds={n % 15}] during an outage") for n in range(JOBS_OF_AN_OUTAGE)]
        with _frozen(_processes(observed, part)):
            time.sleep(OUTAGE_SECONDS)
        violations += settle_all(observed, jobs)
    return violations


def run_whole_kills(observed: Observed, seed: int, count: int) -> int:
    """A hundred jobs run; the whole stack is killed at a random moment and started again on its kept state."""
    dice, violations = random.Random(seed), 0
    for _ in range(count):
        jobs = [observed.generate(f"[seconds={n % 15}] killed with everything") for n in range(JOBS_OF_AN_OUTAGE)]
        time.sleep(dice.uniform(0, 10))
        kill_and_start_again(observed)
        violations += settle_all(observed, jobs)
    return violations


def kill_and_start_again(observed: Observed) -> None:
    """SIGKILL to the keeper and to every process of the stack, then `make up` on what they left."""
    layout = Layout(root=find_layout().root, state=Path(observed.stack["stateDir"]))
    keeper = running_keeper(layout)
    assert keeper
    for process in (keeper, *marked(MARK_VARIABLE, str(layout.state))):
        _signal(process, signal.SIGKILL)
    assert wait_until(lambda: not marked(MARK_VARIABLE, str(layout.state)), 10)
    assert wait_until(lambda: running_keeper(layout) is None, 10)  # a killed process lets go of its files last
    assert commands.up(layout, with_parent=True) == 0


def settle_all(observed: Observed, jobs: Sequence[str]) -> int:
    """How many of the jobs, which are to complete, break a promise."""
    return _settles(observed, jobs, [""] * len(jobs))


def _scenario(observed: Observed, dice: random.Random, prompts: Sequence[str], faults: Sequence[str]) -> int:
    jobs = [observed.generate(f"{prompt}[seconds={dice.choice([0, 0, 1, 2])}] a fault") for prompt in prompts]
    for fault in faults:
        time.sleep(dice.uniform(0, 0.6))
        worlds()[fault](observed, dice)
    return _settles(observed, jobs, prompts)


def _settles(observed: Observed, jobs: Sequence[str], prompts: Sequence[str]) -> int:
    """How many of the jobs broke a promise, once all have come to their end."""
    try:
        doubtful = _end_all(observed, jobs)
    except AssertionError as error:
        print(f"violation: {str(error)[:2000]}", flush=True)
        return len(jobs)
    return sum(_broken(observed, job, prompt, job in doubtful) for job, prompt in zip(jobs, prompts, strict=True))


def _end_all(observed: Observed, jobs: Sequence[str]) -> set[str]:
    """Brings all to their end; those whose call the provider never took, which nobody could find out.

    Leases and checks that must pass first are moved into the past, as the tests of faults do; of calls in doubt the
    deadline too: until then a late webhook might tell, and then they count as spent (ADR 1).
    """
    began, doubtful = time.monotonic(), set[str]()
    while left := _left(observed, jobs):
        waited_seconds = time.monotonic() - began
        assert waited_seconds < 180, f"not ended: {left}"
        for job in left:
            observed.let_time_pass(job, leases=waited_seconds > 30)
        if waited_seconds > 40:
            doubtful |= {job for job in left if _is_in_doubt(observed, job)}
            observed.rows("UPDATE vsl.jobs SET deadline_at = now() WHERE id = ANY(%(j)s::uuid[])", j=list(doubtful))
        with suppress(AssertionError, OSError):
            observed.sweep()
        time.sleep(1)
    return doubtful


def _is_in_doubt(observed: Observed, job: str) -> bool:
    """Whether a call was claimed a while ago of which the provider knows nothing."""
    attempts = observed.attempts(job)
    known = {attempt["provider_id"] for attempt in attempts} - {None}
    before = datetime.now(UTC) - CALL_UNDER_WAY
    claimed = any(attempt["state"] == "claimed" and attempt["claimed_at"] < before for attempt in attempts)
    return claimed and {prediction["id"] for prediction in observed.predictions(job)} == known


def _left(observed: Observed, jobs: Sequence[str]) -> list[str]:
    """Jobs that have not ended, or whose calls are not settled."""
    rows = observed.rows(
        "SELECT id::text FROM vsl.jobs j WHERE id = ANY(%(jobs)s::uuid[]) AND (status IN ('pending', 'generating', "
        "'processing') OR EXISTS (SELECT 1 FROM vsl.provider_attempts a WHERE a.job_id = j.id "
        "AND a.state NOT IN ('rejected', 'finished')))",
        jobs=list(jobs),
    )
    return [row["id"] for row in rows]


def _broken(observed: Observed, job: str, prompt: str, in_doubt: bool) -> bool:
    end = observed.job(job)["status"]
    try:
        made = observed.predictions(job)
        billed = [prediction for prediction in made if prediction["billedUsd"]]
        called = [attempt for attempt in observed.attempts(job) if attempt["provider_id"]]
        assert len(billed) <= 1, f"billed {len(billed)} times"
        assert len(made) == len(called), f"{len(made)} predictions, {len(called)} known calls"
        expected = end == "timeout" if in_doubt else end == "completed" or any(word in prompt for word in MAY_FAIL)
        assert expected, f"ended as {end}"
        if observed.incoming(job):
            # Left by an inspector killed after its commit; its queue delivers again after the visibility timeout.
            observed.send("inspect", {"jobId": job})
        observed.assert_settled(job, predictions=len(made))
        if not in_doubt:
            assert observed.paid_usd(job) == round(sum(prediction["billedUsd"] for prediction in made), 6)
    except AssertionError as error:
        print(f"violation: {job} {prompt!r} {end}: {str(error)[:1500]}", flush=True)
        return True
    return False


def _stand_still(part: str) -> Callable[[Observed, random.Random], None]:
    def fault(observed: Observed, dice: random.Random) -> None:
        with _frozen(_processes(observed, part)):
            time.sleep(dice.uniform(0.5, 3))

    return fault


def _processes(observed: Observed, part: str) -> list[int]:
    """A part's processes, or those of a function's environments."""
    if part in PARTS:
        process = observed.part(part)
        return [process, *descendants(process)]
    name = f"vsl-{observed.stack['stage']}-{part}"
    found: list[dict[str, Any]] = observed.call("GET", "/environments", base="runnerUrl")
    return [child for e in found if e["function"] == name for child in descendants(e["guardPid"])]


@contextmanager
def _frozen(processes: Sequence[int]) -> Iterator[None]:
    with ExitStack() as thaw:
        for process in processes:
            thaw.callback(_signal, process, signal.SIGCONT)
            _signal(process, signal.SIGSTOP)
        yield


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _kill_any(observed: Observed, dice: random.Random) -> None:
    end = time.monotonic() + 2
    while time.monotonic() < end:
        found: list[dict[str, Any]] = observed.call("GET", "/environments", base="runnerUrl")
        busy = [e["guardPid"] for e in found if e["requestId"] and e["function"].endswith(WORKERS)]
        children = descendants(dice.choice(busy)) if busy else []
        if children:
            _signal(children[0], signal.SIGKILL)
            return


def _crash_database(observed: Observed, dice: random.Random) -> None:
    backends = observed.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'vsl'")
    if backends:
        _signal(dice.choice(backends)["pid"], signal.SIGKILL)
    time.sleep(0.3)
    wait_for("the database", lambda: _answers(observed))


def _answers(observed: Observed) -> bool:
    try:
        return bool(observed.rows("SELECT 1"))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it does not answer
        return False


def _empty_redis(observed: Observed, dice: random.Random) -> None:
    from redis.cluster import RedisCluster

    RedisCluster.from_url(observed.stack["redisUrl"]).flushall()


def _lose_view(observed: Observed, dice: random.Random) -> None:
    table, client = f"vsl-{observed.stack['stage']}-realtime-jobs", observed.aws("dynamodb")
    for item in client.scan(TableName=table, ProjectionExpression="jobId")["Items"]:
        client.delete_item(TableName=table, Key=item)


def _poison(observed: Observed, dice: random.Random) -> None:
    observed.send(dice.choice(["calls", "store", "reports", "inspect"]), {"poison": True})
