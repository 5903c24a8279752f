"""The stand-in is what the other official SDKs expect: `replicate` 2.0.0b4 and `runwayml`."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from runwayml import AuthenticationError, BadRequestError, NotFoundError, RunwayML

from shared.adapters.runway_provider import RunwayProvider, to_prediction
from shared.domain.errors import AnswerLost, NotFound, ProductError, ProviderBusy, ProviderRefused
from tests.standin_process import StandIn, running

ROOT = Path(__file__).resolve().parents[2]
NEXT_SDK = Path(sys.prefix) / "replicate-2"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with running(tmp_path_factory.mktemp("provider")) as server:
        yield server


@pytest.fixture(scope="module")
def seen(standin: StandIn) -> dict[str, Any]:
    """What the next SDK saw."""
    path = os.pathsep.join((str(NEXT_SDK), str(ROOT)))
    run = subprocess.run(
        [sys.executable, "-m", "tests.contract.next_sdk_client", str(standin.http.base_url).rstrip("/")],
        env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("version", "2.0.0-beta.4"), ("created", "starting"), ("waited", ["processing", True]),
        ("cancelled", "canceled"), ("listed", True), ("model", ["stability-ai", "sdxl", True]),
        ("secret", "whsec_"), ("run", True), ("unknown", 404), ("wrong", 422),
    ],
)  # fmt: skip
def test_the_next_sdk_of_replicate_takes_it_for_replicate(seen: dict[str, Any], what: str, right: Any) -> None:
    assert seen[what] == right


def test_the_next_sdk_reads_an_ended_prediction(seen: dict[str, Any]) -> None:
    status, text, has_time = seen["ended"]

    assert (status, has_time) == ("succeeded", True)
    assert "tea" in text


@pytest.fixture(scope="module")
def base_url(standin: StandIn) -> str:
    return f"{str(standin.http.base_url).rstrip('/')}/runway"


@pytest.fixture(scope="module")
def sdk(base_url: str) -> RunwayML:
    return RunwayML(api_key="key_test", base_url=base_url, max_retries=0)


@pytest.fixture(scope="module")
def ours(base_url: str) -> RunwayProvider:
    return RunwayProvider(lambda: "key_test", base_url)


def frame() -> str:
    made = io.BytesIO()
    Image.new("RGB", (64, 36), (200, 10, 10)).save(made, "PNG")
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()


def make(sdk: RunwayML, prompt: str, **changes: Any) -> str:
    asked: dict[str, Any] = {"prompt_text": prompt, "prompt_image": frame(), "ratio": "960:960", "duration": 2}
    return sdk.image_to_video.create(model="gen4_turbo", **{**asked, **changes}).id


def ended(sdk: RunwayML, task_id: str) -> Any:
    while (task := sdk.tasks.retrieve(task_id)).status in ("PENDING", "RUNNING", "THROTTLED"):
        time.sleep(0.05)
    return task


def test_runways_sdk_makes_a_task_and_fetches_its_clip(sdk: RunwayML) -> None:
    task = ended(sdk, make(sdk, "a red ball"))

    assert (task.status, task.cost.credits) == ("SUCCEEDED", 10)
    assert httpx.get(task.output[0]).content[4:8] == b"ftyp"


def test_runways_sdk_sees_progress_and_cancels(sdk: RunwayML) -> None:
    task_id = make(sdk, "[seconds=60] slow")
    while (task := sdk.tasks.retrieve(task_id)).status != "RUNNING":
        time.sleep(0.05)
    assert 0 <= task.progress < 1

    sdk.tasks.delete(task_id)

    assert sdk.tasks.retrieve(task_id).status == "CANCELLED"


def test_runways_sdk_reads_why_a_task_failed(sdk: RunwayML) -> None:
    task = ended(sdk, make(sdk, "[fail=Safety: no]"))

    assert (task.status, task.failure_code) == ("FAILED", "SAFETY.INPUT.TEXT")


def test_runways_sdk_is_refused_as_runway_refuses(sdk: RunwayML, base_url: str) -> None:
    with pytest.raises(BadRequestError):
        sdk.image_to_video.create(model="gen4_turbo", prompt_image=frame(), ratio="1:1")  # type: ignore[call-overload]
    with pytest.raises(NotFoundError):
        sdk.tasks.retrieve("nobody")
    with pytest.raises(BadRequestError):
        RunwayML(api_key="x", base_url=base_url, max_retries=0, runway_version="2023-01-01").tasks.retrieve("nobody")
    with pytest.raises(AuthenticationError):
        sdk.with_options(default_headers={"Authorization": "Basic x"}).tasks.retrieve("nobody")


def request(prompt: str, **changes: Any) -> dict[str, Any]:
    given = {"prompt": prompt, "image": frame(), "ratio": "960:960", "duration": 2, **changes}
    return {"version": "gen4_turbo", "input": given}


def test_our_adapter_makes_reads_and_cancels(ours: RunwayProvider) -> None:
    made = ours.create(request("[seconds=60] ours"), "none", 60)
    ours.cancel(made.id)
    ours.cancel(made.id)

    assert (ours.get(made.id).status, ours.find(request("ours"), "none", None)) == ("canceled", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "error", "code"),
    [
        ("[answer=429]", ProviderBusy, "provider_throttled"),
        ("[answer=500]", AnswerLost, None),
        ("[answer=lost]", AnswerLost, None),
    ],
)
def test_our_adapter_says_whether_anything_was_made(
    ours: RunwayProvider, prompt: str, error: type[ProductError], code: str | None
) -> None:
    with pytest.raises(error) as raised:
        ours.create(request(f"{prompt} {code}"), "none", 60)

    assert code in (None, raised.value.code)


def test_our_adapter_reaches_nobody_as_busy_and_refuses_odd_ids(ours: RunwayProvider) -> None:
    with pytest.raises(ProviderBusy):
        RunwayProvider(lambda: "key", "http://127.0.0.1:1").create(request("x"), "none", 60)
    with pytest.raises(NotFound):
        ours.get("../uploads")
    with pytest.raises(ProviderRefused):
        ours.create(request("x", ratio="1:1"), "none", 60)


@pytest.mark.parametrize(
    ("task", "status", "retryable"),
    [
        ({"status": "FAILED", "failureCode": "INTERNAL.BAD_OUTPUT.CODE01"}, "failed", True),
        ({"status": "FAILED", "failureCode": "SAFETY.OUTPUT.VIDEO"}, "failed", False),
        ({"status": "FAILED", "failureCode": "INPUT_PREPROCESSING.SAFETY.TEXT"}, "failed", False),
        ({"status": "CANCELLED"}, "canceled", False),
        ({"status": "THROTTLED"}, "running", False),
        ({"status": "SOMETHING_NEW", "output": 7, "progress": "x", "cost": []}, "running", False),
    ],
)
def test_every_status_is_read(task: dict[str, Any], status: str, retryable: bool) -> None:
    found = to_prediction("id", task)

    assert (found.status, found.retryable) == (status, retryable)
