"""The ETag of a status is strong and true: the same one means the same bytes, whatever changes in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from functions.status.handler import handler as status
from local.runtime.api import Route
from local.runtime.events import Call, Deployment, proxy_event
from shared import bootstrap
from shared.adapters.s3 import S3MediaStore
from shared.domain.jobs import Job, JobStatus, snapshot
from tests.lambda_context import LambdaContext
from tests.memory import MemoryClock

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ACCOUNT, JOB = uuid4(), uuid4()
KEYS = [f"generated/a/u/{number}.png" for number in range(3)]
COMPLETED = snapshot(
    Job(
        JOB,
        ACCOUNT,
        "user",
        "generate",
        "POST /generate-media",
        {},
        "",
        START,
        START,
        status=JobStatus.COMPLETED,
        s3_key=KEYS[0],
        thumbnail_key=KEYS[1],
        result={"outputs": [{"key": key} for key in KEYS]},
        completed_at=START,
    )
)
RUNNING = snapshot(
    Job(
        JOB,
        ACCOUNT,
        "user",
        "generate",
        "POST /generate-media",
        {},
        "",
        START,
        START,
        status=JobStatus.GENERATING,
        progress=10,
        started_at=START,
    )
)


class Asked:
    """GET /status of one job: at a time, with credentials, of a snapshot."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock, self.view = MemoryClock(START), COMPLETED
        patch.setattr(bootstrap, "settings", lambda _: SimpleNamespace(cors_origins=""))
        patch.setattr(bootstrap, "clock", lambda: self.clock)
        patch.setattr(bootstrap, "status_reader", lambda: SimpleNamespace(wait=lambda *_: self.view))
        patch.setattr(bootstrap, "media", lambda: self.media)
        self.credentials("first")

    def credentials(self, token: str) -> None:
        client = boto3.client(
            "s3",
            "eu-west-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            aws_session_token=token,
            config=Config(signature_version="s3v4"),
        )
        self.media = S3MediaStore(client, "media", self.clock)

    def get(self, **headers: str) -> tuple[int, str, str]:
        """Status, ETag and body."""
        sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        route = Route("GET", "/status/{jobId}", "r", "status", None, None, True, 29.0)
        call = Call("GET", f"/local/status/{JOB}", f"/status/{JOB}", "1.1", "h", sent, (), "::1", "i", "x", "t", 0.0)
        event = proxy_event(
            call,
            route,
            Deployment("1", "a", "eu-west-1", "local"),
            path_parameters={"jobId": str(JOB)},
            authorizer={"accountId": str(ACCOUNT), "scopes": "read"},
            api_key={},
            body=None,
            is_base64=False,
        )
        answer: dict[str, Any] = status(event, LambdaContext())
        return answer["statusCode"], _header(answer, "ETag"), answer.get("body") or ""


def _header(answer: dict[str, Any], name: str) -> str:
    return str((answer.get("headers") or {}).get(name) or answer["multiValueHeaders"][name][0])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def test_within_a_window_the_body_is_the_same_byte_for_byte_under_one_etag(asked: Asked) -> None:
    first = asked.get()
    for seconds in (1, 600, 298):
        asked.clock.sleep(seconds)

        assert asked.get() == first
        assert asked.get(If_None_Match=first[1]) == (304, first[1], "")
    assert len(json.loads(first[2])["result"]["outputs"]) == len(KEYS)


def test_the_next_window_has_other_urls_and_another_etag(asked: Asked) -> None:
    before = asked.get()
    asked.clock.moment += timedelta(seconds=900)

    after = asked.get(If_None_Match=before[1])

    assert (after[0], after[1] != before[1], after[2] != before[2]) == (200, True, True)


def test_rotated_credentials_have_other_urls_and_another_etag(asked: Asked) -> None:
    before = asked.get()
    asked.credentials("rotated")

    after = asked.get(If_None_Match=before[1])

    assert (after[0], after[1] != before[1], after[2] != before[2]) == (200, True, True)


def test_what_a_running_job_still_takes_changes_its_etag(asked: Asked) -> None:
    asked.view = RUNNING
    asked.clock.sleep(10)
    before = asked.get()
    asked.clock.sleep(10)

    after = asked.get(If_None_Match=before[1])

    assert (after[0], after[1] != before[1]) == (200, True)
    assert [json.loads(answer[2])["etaSeconds"] for answer in (before, after)] == [90, 180]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', 'W/"other",W/{}', "*"])
def test_an_etag_is_found_in_a_list_weakened_or_not(asked: Asked, form: str) -> None:
    tag = asked.get()[1]

    assert tag.startswith('"')
    assert asked.get(If_None_Match=form.format(tag))[0] == 304


@pytest.mark.parametrize("form", ['"other"', "{}x", "", '"', 'W/"other"'])
def test_another_etag_is_answered_whole(asked: Asked, form: str) -> None:
    assert asked.get(If_None_Match=form.format(asked.get()[1][1:-1]))[0] == 200
