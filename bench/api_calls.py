"""The calls that are measured, as HTTP requests and as the events API Gateway makes of them; and the caches' states."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import boto3
import psycopg
from redis.cluster import RedisCluster

from bench.load import Call
from local.layout import read_json
from local.provider.webhooks import sign
from shared.domain.webhook_signature import url_mac

FLUSH_SECONDS = 0.1
JOBS = 20
IDLE_SECONDS = 300


class Api:
    """The stack's API as the benchmark calls it. Makes the jobs it reads at the start."""

    def __init__(self, stack: Mapping[str, Any], state: Path) -> None:
        self.stack, self._state = stack, state
        self._headers = {"X-API-Key": str(stack["apiKey"]), "Content-Type": "application/json"}
        secret = _client(stack, "secretsmanager").get_secret_value(
            SecretId=f"/vsl/{stack['stage']}/replicate-webhook-secret"
        )
        self._secret = str(secret["SecretString"])
        self._sqs = _client(stack, "sqs")
        jobs = [self._job() for _ in range(JOBS)]
        self._next = itertools.cycle(jobs)
        self._hook = self._hook_of(jobs[0], read_json(state / "secrets.json")["webhookUrlKey"].encode())
        with psycopg.connect(stack["databaseUrl"]) as connection:
            found = connection.execute("SELECT account_id FROM vsl.jobs WHERE id = %s", [jobs[0]]).fetchone()
        assert found is not None
        self._account_id = str(found[0])

    @property
    def makers(self) -> Mapping[str, Callable[[], Call]]:
        """The calls that are measured, by name."""
        return {"status": self.status, "webhook": self.webhook, "generate": self.generate}

    def status(self) -> Call:
        return Call("GET", f"{self.stack['baseUrl']}/status/{next(self._next)}", self._headers)

    def generate(self) -> Call:
        body = {
            "userId": "bench",
            "mediaType": "text",
            "modelId": "llama-3-8b-instruct",
            "parameters": {"prompt": "[seconds=0] one line"},
        }
        return Call("POST", f"{self.stack['baseUrl']}/generate-media", self._headers, json.dumps(body).encode(), 202)

    def webhook(self) -> Call:
        path, body = self._hook
        message_id, now = f"msg_{uuid4().hex}", int(time.time())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self._secret, message_id, now, body),
        }
        return Call("POST", f"{self.stack['baseUrl']}{path}", headers, body.encode())

    def event_of(self, call: Call) -> dict[str, Any]:
        """The event of a REST API with Lambda proxy integration, as far as handlers look at it."""
        url = urlsplit(call.url)
        path = url.path.removeprefix(urlsplit(self.stack["baseUrl"]).path)
        query = dict(parse_qsl(url.query))
        return {
            "httpMethod": call.method,
            "path": path,
            "resource": path,
            "headers": dict(call.headers),
            "multiValueHeaders": {name: [value] for name, value in call.headers.items()},
            "queryStringParameters": query or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
            "body": call.body.decode() if call.body else None,
            "isBase64Encoded": False,
            "requestContext": {
                "requestId": str(uuid4()),
                "path": url.path,
                "domainName": url.netloc,
                "stage": self.stack["stage"],
                "identity": {"sourceIp": "127.0.0.1", "userAgent": "bench"},
                "authorizer": {"accountId": self._account_id, "scopes": "generate review compile read"},
            },
        }

    @contextmanager
    def cold_cache(self) -> Iterator[None]:
        """Redis is emptied again and again."""
        over = threading.Event()

        def flush() -> None:
            redis = RedisCluster.from_url(self.stack["redisUrl"])
            while not over.wait(FLUSH_SECONDS):
                redis.flushall()

        thread = threading.Thread(target=flush)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def dead_cache(self) -> Iterator[None]:
        """Redis takes connections and answers nothing."""
        process = int(read_json(self._state / "status.json")["parts"]["redis"])
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def wait_until_idle(self) -> None:
        """Until every job has ended and every report is taken: work left over would share the cores."""
        end = time.monotonic() + IDLE_SECONDS
        while self._left():
            assert time.monotonic() < end, f"the stack still works: {self._left()}"
            time.sleep(0.5)

    def _left(self) -> int:
        counted = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        queue = self._sqs.get_queue_url(QueueName=f"vsl-{self.stack['stage']}-reports")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(counted))["Attributes"]
        with psycopg.connect(self.stack["databaseUrl"]) as connection:
            found = connection.execute(
                "SELECT count(*) FROM vsl.jobs WHERE status IN ('pending', 'generating', 'processing')"
            ).fetchone()
        assert found is not None
        return int(found[0]) + sum(int(attributes[name]) for name in counted)

    def _job(self) -> str:
        call = self.generate()
        request = urllib.request.Request(
            call.url, method=call.method, data=call.body, headers={**call.headers, "Prefer": "wait=25"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["jobId"])

    def _hook_of(self, job_id: str, key: bytes) -> tuple[str, str]:
        with psycopg.connect(self.stack["databaseUrl"]) as connection:
            found = connection.execute(
                "SELECT id, provider_id FROM vsl.provider_attempts WHERE job_id = %s", [job_id]
            ).fetchone()
        assert found is not None
        attempt_id, provider_id = str(found[0]), found[1]
        mac = url_mac(key, job_id, attempt_id)
        body = {"id": provider_id, "status": "processing", "output": None, "logs": "", "input": {"prompt": "one line"}}
        return f"/webhook/replicate?job={job_id}&attempt={attempt_id}&mac={mac}", json.dumps(body)


def _client(stack: Mapping[str, Any], service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=stack["awsEndpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["awsAccessKeyId"],
        aws_secret_access_key=stack["awsSecretAccessKey"],
    )
