"""The stand-in is what Runway's official SDK expects: `runwayml` 5.24.0."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import runwayml.lib.polling
from PIL import Image
from runwayml import AuthenticationError, BadRequestError, NotFoundError, RateLimitError, RunwayML, TaskFailedError
from runwayml.lib.polling import TaskTimeoutError

from tests.patience import PATIENCE_SECONDS
from tests.standin_process import StandIn, streams

RATIOS = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
TOKEN = "key_test"
RUNNING = ("PENDING", "RUNNING", "THROTTLED")


@pytest.fixture(scope="module")
def base_url(standin: StandIn) -> str:
    return f"{str(standin.http.base_url).rstrip('/')}/runway"


@pytest.fixture(scope="module")
def sdk(base_url: str) -> Iterator[RunwayML]:
    with RunwayML(api_key=TOKEN, base_url=base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own wait asks each 6 s."""
    monkeypatch.setattr(runwayml.lib.polling, "POLL_TIME", 0.05)
    monkeypatch.setattr(runwayml.lib.polling, "POLL_JITTER", 0)


def frame(colour: tuple[int, int, int] = (200, 10, 10)) -> str:
    made = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(made, "PNG")
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()


def create(sdk: RunwayML, prompt: str, **changes: Any) -> Any:
    asked: dict[str, Any] = {"prompt_text": prompt, "prompt_image": frame(), "ratio": "960:960", "duration": 2}
    return sdk.image_to_video.create(model="gen4_turbo", **{**asked, **changes})


def ended(sdk: RunwayML, task_id: str) -> Any:
    while (task := sdk.tasks.retrieve(task_id)).status in RUNNING:
        time.sleep(0.05)
    return task


def until(sdk: RunwayML, task_id: str, status: str) -> Any:
    while (task := sdk.tasks.retrieve(task_id)).status != status:
        assert task.status in RUNNING
        time.sleep(0.05)
    return task


def billed(standin: StandIn, task_id: str) -> float:
    return float(standin.made(task_id)["billedUsd"])


def test_a_task_is_waited_for_and_its_clip_is_fetched(
    sdk: RunwayML, standin: StandIn, impatient: None, tmp_path: Path
) -> None:
    created = create(sdk, "a red ball", ratio="1104:832")
    assert (str(UUID(created.id)), created.estimated_cost.credits) == (created.id, 10)

    task = created.wait_for_task_output(timeout=PATIENCE_SECONDS)

    assert (task.status, task.cost.credits, len(task.output)) == ("SUCCEEDED", 10, 1)
    told = streams(httpx.get(task.output[0]).content, tmp_path)
    assert "1104x832" in told
    assert "frame=   48" in told
    assert billed(standin, created.id) == 0.1


def test_words_alone_are_enough_for_a_model_that_needs_no_frame(sdk: RunwayML) -> None:
    created = sdk.text_to_video.create(model="gen4.5", prompt_text="a blue ball", ratio="1280:720", duration=2)

    assert ended(sdk, created.id).cost.credits == 24


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_is_taken(sdk: RunwayML, ratio: str) -> None:
    task_id = create(sdk, "[fail=INTERNAL] ratio", ratio=ratio).id

    assert ended(sdk, task_id).status == "FAILED"


def test_a_throttled_task_runs_later_with_its_progress(sdk: RunwayML) -> None:
    task_id = create(sdk, "[throttle=0.5][seconds=60] queued").id
    assert sdk.tasks.retrieve(task_id).status == "THROTTLED"

    task = until(sdk, task_id, "RUNNING")

    assert 0 <= task.progress < 1
    sdk.tasks.delete(task_id)


@pytest.mark.parametrize(("prompt", "status", "usd"), [("[throttle=60]", "THROTTLED", 0), ("", "RUNNING", 0.1)])
def test_a_cancelled_task_costs_what_ran_and_cannot_be_read(
    sdk: RunwayML, standin: StandIn, prompt: str, status: str, usd: float
) -> None:
    task_id = create(sdk, f"{prompt}[seconds=60] cancelled").id
    until(sdk, task_id, status)

    sdk.tasks.delete(task_id)

    with pytest.raises(NotFoundError, match="Could not find Task"):
        sdk.tasks.retrieve(task_id)
    assert (standin.made(task_id)["status"], billed(standin, task_id)) == ("canceled", usd)


def test_a_task_that_is_deleted_after_its_end_is_gone_with_its_clip_and_stays_billed(
    sdk: RunwayML, standin: StandIn
) -> None:
    task = ended(sdk, create(sdk, "deleted").id)

    sdk.tasks.delete(task.id)

    assert httpx.get(task.output[0]).status_code == 404
    assert billed(standin, task.id) == 0.1
    with pytest.raises(NotFoundError):
        sdk.tasks.delete(task.id)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("SAFETY.INPUT.TEXT: not allowed", "SAFETY.INPUT.TEXT"),
        ("INTERNAL.BAD_OUTPUT.CODE01: poor", "INTERNAL.BAD_OUTPUT.CODE01"),
        ("out of clay", "INTERNAL"),
    ],
)
def test_a_failed_task_says_why_and_costs_nothing(sdk: RunwayML, impatient: None, words: str, code: str) -> None:
    with pytest.raises(TaskFailedError) as raised:
        create(sdk, f"[fail={words}]").wait_for_task_output(timeout=PATIENCE_SECONDS)

    task: Any = raised.value.task_details
    assert (task.failure_code, task.failure, task.cost.credits) == (code, words.rpartition(": ")[2], 0)


def test_the_sdks_own_wait_never_ends_for_a_task_that_was_cancelled(sdk: RunwayML, impatient: None) -> None:
    created = create(sdk, "[abort] cancelled by Runway")
    assert ended(sdk, created.id).status == "CANCELLED"

    with pytest.raises(TaskTimeoutError):
        created.wait_for_task_output(timeout=0.2)


def test_the_sdk_does_not_escape_the_id_it_reads(sdk: RunwayML) -> None:
    task_id = create(sdk, "[seconds=60] escaped").id

    assert sdk.tasks.retrieve(f"nobody/../{task_id}").id == task_id
    sdk.tasks.delete(task_id)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"ratio": "1280:768"}, "ratio"),
        ({"ratio": "768:1280"}, "ratio"),
        ({"duration": 1}, "duration"),
        ({"duration": 11}, "duration"),
        ({"prompt_text": ""}, "promptText"),
        ({"prompt_text": "x" * 1001}, "promptText"),
        ({"prompt_image": "http://example.com/frame.png"}, "promptImage"),
        ({"prompt_image": "data:text/plain;base64,eA=="}, "promptImage"),
        ({"prompt_image": "https://example.com/" + "x" * 2048}, "promptImage"),
        ({"prompt_image": None}, "promptImage"),
        ({"model": "gen3a_turbo"}, "model"),
    ],
)
def test_what_runway_refuses_is_refused_by_field(sdk: RunwayML, changes: dict[str, Any], path: str) -> None:
    asked = {"model": "gen4_turbo", "prompt_image": frame(), "ratio": "960:960", **changes}

    with pytest.raises(BadRequestError) as refused:
        sdk.image_to_video.create(**asked)  # type: ignore[call-overload]

    told: Any = refused.value.body
    assert told["error"] == "Validation of body failed"
    assert path in [issue["path"][0] for issue in told["issues"]]


def test_the_version_header_the_key_and_the_id_are_checked(sdk: RunwayML, base_url: str) -> None:
    headers = {"Authorization": "Bearer key_test"}
    with pytest.raises(NotFoundError):
        sdk.tasks.retrieve("nobody")
    with (
        RunwayML(api_key="key_test", base_url=base_url, max_retries=0, runway_version="2023-01-01") as old,
        pytest.raises(BadRequestError),
    ):
        old.tasks.retrieve("nobody")
    with RunwayML(api_key="key_x", base_url=base_url, max_retries=0) as other, pytest.raises(AuthenticationError):
        other.tasks.retrieve("nobody")
    assert "X-Runway-Version" in httpx.get(f"{base_url}/v1/tasks/nobody", headers=headers).json()["error"]


def test_a_throttled_create_and_missing_credits_make_nothing(sdk: RunwayML, standin: StandIn) -> None:
    before = len(standin.http.get("/_standin/predictions").json())

    with pytest.raises(RateLimitError):
        create(sdk, "[answer=429]")
    with pytest.raises(BadRequestError, match="enough credits"):
        create(sdk, "[answer=402]")

    assert len(standin.http.get("/_standin/predictions").json()) == before
