"""The running stack as a client sees it, what it wrote, and clips that many tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest

from operate.accounts import Accounts, connect
from tests.e2e.client import Api

Rows = Callable[..., list[tuple[Any, ...]]]
Predictions = Callable[[str], list[Any]]
COUNTED = ("vsl.jobs", "vsl.provider_attempts", "vsl_frontend.section_videos", "vsl_frontend.section_detailed_scripts")


@dataclass(frozen=True)
class Clips:
    """A script of three clips of one format, not reviewed yet, their ids in order."""

    script_id: int
    job_ids: tuple[str, ...]
    video_ids: tuple[str, ...]


@pytest.fixture(scope="session")
def api(stack: dict[str, Any]) -> Api:
    return Api(stack["baseUrl"], stack["apiKey"])


@pytest.fixture(scope="session")
def stranger(stack: dict[str, Any]) -> Api:
    """Another account."""
    return Api(stack["baseUrl"], stack["secondApiKey"])


@pytest.fixture(scope="session")
def accounts(stack: dict[str, Any]) -> Accounts:
    session = boto3.Session(stack["awsAccessKeyId"], stack["awsSecretAccessKey"], region_name=stack["region"])
    return connect(stack["stage"], session, stack["awsEndpoint"])


@pytest.fixture(scope="session")
def account_id(accounts: Accounts) -> str:
    """The account of `api`."""
    return str(next(account["accountId"] for account in accounts.list() if account["name"] == "demo"))


@pytest.fixture(scope="session")
def rows(stack: dict[str, Any]) -> Iterator[Rows]:
    """Asks the database."""
    with psycopg.connect(stack["databaseUrl"], autocommit=True) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchall()


@pytest.fixture(scope="session")
def predictions(stack: dict[str, Any]) -> Predictions:
    """What the provider has made of prompts with these words in them."""

    def made(words: str) -> list[Any]:
        everything = Api(stack["providerUrl"], None).get("/_standin/predictions").data()
        return [one for one in everything if words in str(one["input"].get("prompt"))]

    return made


@pytest.fixture
def words() -> str:
    """Words for a prompt that no other test uses."""
    return f"scene-{uuid4().hex}"


@pytest.fixture
def nothing_made(rows: Rows, predictions: Predictions, words: str) -> Callable[[], AbstractContextManager[None]]:
    """`with nothing_made():` fails when a row was written or a prediction of `words` was made meanwhile."""

    def counts() -> list[int]:
        return [rows(f"SELECT count(*) FROM {table}")[0][0] for table in COUNTED]

    @contextmanager
    def watch() -> Iterator[None]:
        before = counts()
        yield
        assert counts() == before, f"rows were left behind in one of {COUNTED}"
        assert predictions(words) == []

    return watch


@pytest.fixture(scope="session")
def clips(api: Api) -> Clips:
    return make_clips(api, ("a lighthouse", "a wave", "a lamp"))


def make_clips(api: Api, prompts: tuple[str, ...]) -> Clips:
    """A script with one clip a prompt, all made at once."""
    script_id = api.script()
    job_ids = tuple(api.generate(prompt, scriptId=script_id) for prompt in prompts)
    for job_id in job_ids:
        api.completed(job_id)
    by_job = {video["jobId"]: video["videoId"] for video in api.videos(script_id)}
    return Clips(script_id, job_ids, tuple(by_job[job_id] for job_id in job_ids))
