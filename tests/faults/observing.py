"""A running stack seen from outside: its rows, its processes, the provider's own count; and how to hurt it."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import psycopg
from psycopg.rows import dict_row

from local.layout import read_json
from local.processes import descendants
from tests.kept_connection import KeptConnection
from tests.patience import PATIENCE_SECONDS

ENDED = ("completed", "failed", "cancelled", "timeout")
TOPICS = ("calls", "reports", "store", "inspect", "compile", "uploads", "fetch")


def wait_for(what: str, look: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What `look` answers once that is true; fails naming `what` when the time is over."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.01)
    return found


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """The process stands still (SIGSTOP): who asks it waits."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextmanager
def fault(observed: Observed, route: str, **what: Any) -> Iterator[Callable[[], int]]:
    """What `local.faults.Fault` names, between the functions of a stack with the proxy and one thing they use.

    Gives how many requests and answers have felt it so far.
    """
    observed.call("PUT", f"/{route}", what, base="faultsUrl")
    try:
        yield lambda: int(observed.call("GET", "/", base="faultsUrl")[route]["felt"])
    finally:
        observed.call("DELETE", f"/{route}", base="faultsUrl")


@dataclass(frozen=True)
class Observed:
    """The stack of a test; `stack` is what its fixture gives."""

    stack: Mapping[str, Any]
    _clients: dict[str, Any] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, base: str = "baseUrl", **headers: str) -> Any:
        """The JSON answer, also of an error, with its `httpStatus` when it is an object."""
        request = urllib.request.Request(
            self.stack[base] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self.stack["apiKey"], "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, answer = response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            status, answer = error.code, json.loads(error.read() or b"null")
        return {**answer, "httpStatus": status} if isinstance(answer, dict) else answer

    def generate(self, prompt: str, model: str = "flux-schnell", **fields: Any) -> str:
        """The id of a new job of a user of its own, so that its budget can be looked at."""
        kind = "image" if model == "flux-schnell" else "video"
        parameters = {"prompt": prompt}
        user = f"user-{uuid4().hex[:12]}"
        body = {"userId": user, "mediaType": kind, "modelId": model, "parameters": parameters, **fields}
        made = self.call("POST", "/generate-media", body)
        assert made["httpStatus"] == 202, made
        return str(made["jobId"])

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the truth; the statement is committed."""
        cursor = self._database.living().cursor(row_factory=dict_row).execute(statement, values)
        return cursor.fetchall() if cursor.description is not None else []

    def job(self, job_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM vsl.jobs WHERE id = %(job)s", job=job_id)[0]

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM vsl.provider_attempts WHERE job_id = %(job)s ORDER BY number", job=job_id)

    def wait_attempt(self, job_id: str, state: str, number: int = 1) -> None:
        def reached() -> bool:
            return any(a["number"] == number and a["state"] == state for a in self.attempts(job_id))

        wait_for(f"attempt {number} of {job_id} to be {state}", reached)

    def predictions(self, job_id: str) -> list[dict[str, Any]]:
        """The provider's own account of what it made for a job."""
        made = self.call("GET", "/_standin/predictions", base="providerUrl")
        # Runway is asked, not called back: its tasks name no job.
        return [prediction for prediction in made if f"job={job_id}" in (prediction["webhook"] or "")]

    def prediction(self, job_id: str) -> dict[str, Any]:
        """The job's only prediction as the provider shows it to callers."""
        (made,) = self.predictions(job_id)
        request = urllib.request.Request(
            f"{self.stack['providerUrl']}/v1/predictions/{made['id']}", headers={"Authorization": "Bearer any"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            shown: dict[str, Any] = json.loads(response.read())
        return shown

    def part(self, name: str) -> int:
        """The process of a part of the stack."""
        return int(read_json(Path(self.stack["stateDir"]) / "status.json")["parts"][name])

    def guard(self, function: str) -> int | None:
        """The guard of the only busy environment of a function."""
        name = f"vsl-{self.stack['stage']}-{function}"
        found = self.call("GET", "/environments", base="runnerUrl")
        busy = [e["guardPid"] for e in found if e["function"] == name and e["requestId"]]
        assert len(busy) <= 1, f"{function} works on {len(busy)} events at once"
        return busy[0] if busy else None

    def function_process(self, function: str) -> int:
        """The process that runs a function's code, once it is busy."""
        guard: int = wait_for(f"{function} to be busy", lambda: self.guard(function))
        return descendants(guard)[0]

    def kill(self, function: str) -> None:
        """SIGKILL to the busy process of a function; its environment is gone when this returns."""
        process = self.function_process(function)
        os.kill(process, signal.SIGKILL)
        wait_for(f"the end of {function}", lambda: not Path(f"/proc/{process}").exists())

    @contextmanager
    def held(self, job_id: str, once: str = "true") -> Iterator[Callable[[], bool]]:
        """A lock on a job's row, taken as soon as the SQL condition `once` is true of it.

        Gives a way to see whether a transaction waits for it with FOR UPDATE.
        """
        statement = f"SELECT 1 FROM vsl.jobs WHERE id = %(job)s AND {once} FOR UPDATE"
        with psycopg.connect(self.stack["databaseUrl"]) as connection:

            def taken() -> bool:
                connection.rollback()  # a row that is not taken yet may change
                return connection.execute(statement, {"job": job_id}).fetchone() is not None

            wait_for(f"{once} of {job_id}", taken)

            def waited_for() -> bool:
                # Not only for us: a heartbeat may stand in the queue between.
                statement = (
                    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND query LIKE '%%vsl.jobs WHERE id%%FOR UPDATE%%'"
                )
                return bool(self.rows(statement))

            yield waited_for

    def kill_after_commit(
        self,
        function: str,
        job_id: str,
        *,
        committed: Callable[[], bool],
        start: Callable[[], Any] = lambda: None,
        once: str = "true",
    ) -> None:
        """Kills a function between a commit and whatever it does next.

        The row is held until the transaction waits for it; then the AWS services stand still and the row is
        let go: the commit goes through, the next call to AWS does not.
        """
        services = self.part("ministack")
        with self.held(job_id, once) as waited_for:
            start()
            wait_for(f"a transaction on {job_id}", waited_for)
            os.kill(services, signal.SIGSTOP)
        try:
            wait_for(f"the commit for {job_id}", committed)
            self.kill(function)
        finally:
            os.kill(services, signal.SIGCONT)

    def invoke(self, function: str, event: Any = None) -> dict[str, Any]:
        """What a function answers, or its error with `errorType`."""
        name = f"vsl-{self.stack['stage']}-{function}"
        path = f"/2015-03-31/functions/{name}/invocations"
        found: dict[str, Any] = self.call("POST", path, event or {}, base="runnerUrl")
        return found

    def sweep(self) -> dict[str, int]:
        """What the minute schedule does, now."""
        found = self.invoke("reconcile")
        assert "sent" in found, found
        return found

    def let_time_pass(self, job_id: str, *, leases: bool = False) -> None:
        """Moves what waits for the clock into the past: checks, delayed announcements, and leases if told to."""
        self.rows(
            "UPDATE vsl.provider_attempts SET next_check_at = now() WHERE job_id = %(job)s "
            "AND next_check_at IS NOT NULL",
            job=job_id,
        )
        self.rows(
            "UPDATE vsl.outbox SET due_at = now(), claimed_until = NULL WHERE job_id = %(job)s AND sent_at IS NULL",
            job=job_id,
        )
        if leases:
            self.rows(
                "UPDATE vsl.jobs SET lease_until = now() - interval '1 second' WHERE id = %(job)s "
                "AND lease_until IS NOT NULL",
                job=job_id,
            )
        self.rows(
            "UPDATE vsl.jobs SET updated_at = now() - interval '2 minutes', check_at = now() WHERE id = %(job)s",
            job=job_id,
        )

    def end(self, *job_ids: str) -> list[str]:
        """The jobs' last states; sweeps about every second, with time moved, until all have ended."""
        end = time.monotonic() + PATIENCE_SECONDS
        while open_ := [job for job in job_ids if self.job(job)["status"] not in ENDED]:
            assert time.monotonic() < end, f"not ended: {[self.job(job) for job in open_]}"
            for job in open_:
                self.let_time_pass(job)
            self.sweep()
            time.sleep(1)
        ended = [self.job(job) for job in job_ids]
        print(*ended, sep="\n")  # which a test that expected otherwise shows
        return [job["status"] for job in ended]

    @cached_property
    def _database(self) -> KeptConnection:
        return KeptConnection(self.stack["databaseUrl"])

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(
            self.stack["awsAccessKeyId"], self.stack["awsSecretAccessKey"], region_name=self.stack["region"]
        )

    def aws(self, service: str) -> Any:
        """A client of the stack's operator."""
        if service not in self._clients:
            endpoint = self.stack["s3Endpoint" if service == "s3" else "awsEndpoint"]
            self._clients[service] = self._session.client(service, endpoint_url=endpoint)
        return self._clients[service]

    def queue_url(self, topic: str) -> str:
        return str(self.aws("sqs").get_queue_url(QueueName=f"vsl-{self.stack['stage']}-{topic}")["QueueUrl"])

    def send(self, topic: str, body: Mapping[str, Any]) -> None:
        """A message as SQS delivers it: for the first time, or again."""
        self.aws("sqs").send_message(QueueUrl=self.queue_url(topic), MessageBody=json.dumps(body))

    def incoming(self, job_id: str) -> list[str]:
        listed = self.aws("s3").list_objects_v2(Bucket=self.stack["bucket"], Prefix=f"incoming/{job_id}/")
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def paid_usd(self, job_id: str) -> float:
        """What the ledger says a job has cost."""
        (sum_,) = self.rows(
            "SELECT coalesce(sum(amount_usd), 0) AS usd FROM vsl.cost_ledger WHERE job_id = %(job)s "
            "AND entry = 'actual'",
            job=job_id,
        )
        return float(sum_["usd"])

    def assert_settled(self, job_id: str, predictions: int = 1) -> None:
        """The invariants of a job that has ended: it ended once, was paid once, and left nothing behind."""
        names = [row["name"] for row in self.rows("SELECT name FROM vsl.job_events WHERE job_id = %(job)s", job=job_id)]
        assert sum(name in ("job.completed", "job.failed", "job.cancelled") for name in names) == 1, names
        assert len(self.predictions(job_id)) == predictions
        attempts = self.attempts(job_id)
        assert {attempt["state"] for attempt in attempts} <= {"finished", "rejected"}, attempts
        paid = self.rows("SELECT * FROM vsl.cost_ledger WHERE job_id = %(job)s AND entry = 'actual'", job=job_id)
        assert sorted(str(row["attempt_id"]) for row in paid) == sorted(str(attempt["id"]) for attempt in attempts)
        budgets = self.rows("SELECT * FROM vsl.budgets WHERE user_id = %(user)s", user=self.job(job_id)["user_id"])
        assert [budget["reserved_usd"] for budget in budgets] == [0, 0], budgets
        assert {budget["spent_usd"] for budget in budgets} == {sum(row["amount_usd"] for row in paid)}
        wait_for(f"incoming/{job_id}/ to be empty", lambda: not self.incoming(job_id))
        assert not self.aws("s3").list_multipart_uploads(Bucket=self.stack["bucket"]).get("Uploads")


def emptied(observed: Observed, topic: str) -> None:
    """A queue without what other tests left: messages of a worker that was killed are invisible for minutes."""
    observed.aws("sqs").purge_queue(QueueUrl=observed.queue_url(topic))


def waiting(observed: Observed, topic: str) -> int:
    """Messages of a queue that are not done with."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = observed.aws("sqs").get_queue_attributes(QueueUrl=observed.queue_url(topic), AttributeNames=names)
    return sum(int(number) for number in found["Attributes"].values())
