"""Runway's jobs end like all others: asked instead of called back, at most one task each, a playable clip."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.e2e.client import Api, pictures
from tests.e2e.conftest import Predictions, Rows


def picture() -> bytes:
    """A small PNG."""
    made = io.BytesIO()
    Image.new("RGB", (64, 36), (20, 60, 120)).save(made, "PNG")
    return made.getvalue()


FRAME = "data:image/png;base64," + base64.b64encode(picture()).decode()


def ask(api: Api, prompt: str, **parameters: Any) -> str:
    given = {"prompt": prompt, "image": FRAME, "duration": 2, "ratio": "1280:720", **parameters}
    body = {"userId": "runner", "mediaType": "video", "modelId": "runway-gen4-turbo", "parameters": given}
    return str(api.post("/generate-media", body).data(202)["jobId"])


def test_a_task_becomes_a_clip_with_its_price(api: Api, tmp_path: Path, rows: Rows, words: str) -> None:
    job_id = ask(api, f"{words} [seconds=1]")

    job = api.completed(job_id)

    assert len(pictures(job["result"]["originalUrl"], tmp_path)) == 48
    assert (job["result"]["width"], job["result"]["height"]) == (1280, 720)
    assert job["actualCost"] == 0.1
    assert rows("SELECT provider FROM vsl.provider_attempts WHERE job_id = %s", job_id) == [("runway",)]


def test_progress_of_a_task_is_the_jobs(api: Api, words: str) -> None:
    job_id = ask(api, f"{words} [seconds=14]")

    seen = {api.get(f"/status/{job_id}?wait=1").data()["progress"] for _ in range(14)}

    assert any(percent is not None and 0 < percent < 100 for percent in seen), seen
    api.completed(job_id)


def test_a_refused_prompt_fails_once_and_costs_nothing(api: Api, predictions: Predictions, words: str) -> None:
    job_id = ask(api, f"{words} [fail=SAFETY.INPUT.TEXT: not allowed]")

    job = api.ended(job_id)

    assert (job["status"], job["error"]["code"]) == ("failed", "provider_failed")
    assert "SAFETY" in job["error"]["message"]
    assert len(predictions(words)) == 1


def test_a_cancelled_job_stops_its_task(api: Api, predictions: Predictions, words: str) -> None:
    job_id = ask(api, f"{words} [seconds=60]")
    while not [one for one in predictions(words) if one["status"] == "processing"]:
        assert api.get(f"/status/{job_id}?wait=1").data()["status"] in ("pending", "generating")

    api.post(f"/jobs/{job_id}/cancel").data()

    while [one for one in predictions(words) if one["status"] != "canceled"]:
        api.get(f"/jobs/{job_id}/events").data()
    assert api.get(f"/status/{job_id}").data()["status"] == "cancelled"


def test_a_lost_answer_is_never_called_again(api: Api, predictions: Predictions, rows: Rows, words: str) -> None:
    job_id = ask(api, f"{words} [answer=lost]")

    while not rows("SELECT 1 FROM vsl.job_events WHERE job_id = %s AND name = 'call.unresolved'", job_id):
        api.get(f"/status/{job_id}?wait=1")

    assert len(predictions(words)) == 1
    assert rows("SELECT state::text FROM vsl.provider_attempts WHERE job_id = %s", job_id) == [("claimed",)]
    api.post(f"/jobs/{job_id}/cancel").data()


@pytest.mark.parametrize(
    ("parameters", "path"),
    [({"ratio": "1280:768"}, "ratio"), ({"duration": 11}, "duration"), ({"image": None}, "image")],
)
def test_what_the_model_does_not_take_is_refused(api: Api, parameters: dict[str, Any], path: str) -> None:
    given = {"prompt": "x", "image": FRAME, **parameters}
    body = {"userId": "runner", "mediaType": "video", "modelId": "runway-gen4-turbo", "parameters": given}

    assert f"parameters.{path}: " in api.post("/generate-media", body).refuses(422, "invalid_request")
