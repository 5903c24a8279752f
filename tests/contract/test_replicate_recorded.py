"""The stand-in's replies hold what Replicate's recorded ones hold, and the SDK `replicate` 1.0.7 lives with them.

The fields are those of the replies recorded for the SDK's own tests (replicate/replicate-python, tests/cassettes).
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic.v1 import ValidationError
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput
from replicate.pagination import paginate
from replicate.stream import ServerSentEvent
from replicate.webhook import InvalidTimestampError, Webhooks, WebhookSigningSecret

from local.provider.webhooks import sign
from tests.patience import PATIENCE_SECONDS
from tests.standin_process import IMAGE, TEXT, VIDEO, StandIn, wait_for

SDXL = "stability-ai/sdxl"
HASH = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
SMALL = {"prompt": "a corgi", "width": 64, "height": 64, "seed": 42069}
STARTED = {"id", "model", "version", "input", "logs", "error", "status", "created_at", "urls"}
WAITED = STARTED | {"output", "data_removed"}
ENDED = WAITED - {"data_removed"} | {"started_at", "completed_at", "metrics"}
MODEL = {
    "cover_image_url",
    "created_at",
    "default_example",
    "description",
    "github_url",
    "latest_version",
    "license_url",
    "name",
    "owner",
    "paper_url",
    "run_count",
    "url",
    "visibility",
}
VERSION = {"id", "created_at", "cog_version", "openapi_schema"}
FILE = {
    "id",
    "name",
    "content_type",
    "size",
    "etag",
    "checksums",
    "metadata",
    "created_at",
    "expires_at",
    "urls",
}
PAGE = {"next", "previous", "results"}
TOKEN = "r8_test"
SECRET = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@contextmanager
def an_sdk(standin: StandIn, token: str) -> Iterator[Client]:
    sdk = Client(api_token=token, base_url=str(standin.http.base_url))
    try:
        yield sdk
    finally:
        sdk._client.close()


def body(standin: StandIn, method: str, path: str, **given: Any) -> Any:
    return standin.http.request(method, path, timeout=PATIENCE_SECONDS, **given).json()


def posted(standin: StandIn, path: str = "/v1/predictions", *, headers: Any = None, **given: Any) -> httpx.Response:
    return standin.http.post(path, json=given, headers=headers, timeout=PATIENCE_SECONDS)


def an_end(standin: StandIn) -> Any:
    return standin.ended(posted(standin, version=f"{SDXL}:{HASH}", input=SMALL))


def an_upload(standin: StandIn) -> Any:
    return body(standin, "POST", "/v1/files", files={"content": ("hello.txt", b"Hello, world!", "text/plain")})


@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        (lambda s: posted(s, version=HASH, input=SMALL).json(), STARTED),
        (lambda s: posted(s, f"/v1/models/{TEXT}/predictions", input={"prompt": "a haiku"}).json(), STARTED),
        (lambda s: posted(s, version=HASH, input=SMALL, headers={"Prefer": "wait=10"}).json(), WAITED),
        (an_end, ENDED),
        (lambda s: body(s, "GET", f"/v1/models/{SDXL}"), MODEL),
        (lambda s: body(s, "GET", f"/v1/models/{SDXL}/versions/{HASH}"), VERSION),
        (lambda s: body(s, "GET", "/v1/models"), PAGE),
        (lambda s: body(s, "GET", "/v1/models")["results"][0], MODEL),
        (lambda s: body(s, "QUERY", "/v1/models", content="llama")["results"][0], MODEL),
        (lambda s: body(s, "GET", "/v1/predictions"), PAGE),
        (lambda s: body(s, "GET", "/v1/collections")["results"][0], {"name", "slug", "description"}),
        (lambda s: body(s, "GET", "/v1/collections/text-to-image"), {"name", "slug", "description", "models"}),
        (lambda s: body(s, "GET", "/v1/hardware")[0], {"sku", "name"}),
        (lambda s: body(s, "GET", "/v1/account"), {"type", "username", "name", "github_url"}),
        (an_upload, FILE),
        (lambda s: body(s, "GET", "/v1/webhooks/default/secret"), {"key"}),
    ],
)
def test_no_recorded_field_is_missing(standin: StandIn, ask: Callable[[StandIn], Any], fields: set[str]) -> None:
    assert ask(standin).keys() >= fields


def test_a_create_and_a_read_tell_the_rate_limit(standin: StandIn) -> None:
    created = posted(standin, version=TEXT, input={"prompt": "x"}, headers={"Prefer": "wait=10"})

    assert (created.status_code, created.headers["preference-applied"]) == (201, "wait=10")
    assert int(created.headers["ratelimit-remaining"]) < 600 > int(created.headers["ratelimit-reset"])
    assert int(standin.http.get("/v1/models").headers["ratelimit-remaining"]) > 600


@pytest.mark.parametrize("reference", [HASH, f"{SDXL}:{HASH}"])
def test_a_version_is_called_by_its_hash_alone_or_after_its_models_name(standin: StandIn, reference: str) -> None:
    prediction = standin.sdk.predictions.create(version=reference, input={**SMALL, "prompt": "[seconds=60] a corgi"})

    assert (prediction.status, prediction.version, len(prediction.id)) == ("starting", HASH, 26)
    prediction.cancel()
    assert prediction.status == "canceled"


@pytest.mark.parametrize("wait", [True, 10])
def test_a_waited_create_is_processing_with_its_files_inside(standin: StandIn, wait: bool | int) -> None:
    model = standin.sdk.models.get(SDXL)

    prediction = standin.sdk.predictions.create(version=model.versions.get(HASH), input=SMALL, wait=wait)

    assert (prediction.status, prediction.version) == ("processing", HASH)
    assert prediction.output[0].startswith("data:image/png;base64,")
    assert prediction.completed_at is None


def test_a_model_runs_by_name_and_hash(standin: StandIn) -> None:
    (waited,) = standin.sdk.run(f"{SDXL}:{HASH}", input=SMALL)
    (link,) = standin.sdk.run(f"{SDXL}:{HASH}", input=SMALL, wait=False)

    assert isinstance(waited, FileOutput)
    assert waited.read() == httpx.get(link).content


def test_models_run_at_the_same_time(standin: StandIn) -> None:
    async def all_of_them() -> list[Any]:
        with an_sdk(standin, "r8_test") as sdk:
            async with sdk._async_client:
                return await asyncio.gather(*(sdk.async_run(f"{SDXL}:{HASH}", input=SMALL) for _ in range(4)))

    assert [len(files) for files in asyncio.run(all_of_them())] == [1, 1, 1, 1]


def test_cursors_lead_on_and_back(standin: StandIn) -> None:
    first = standin.sdk.models.list()
    assert first.next is not None

    second = standin.sdk.models.list(cursor=first.next)
    assert second.previous is not None
    back = standin.sdk.models.list(cursor=second.previous)

    assert [model.id for model in back] == [model.id for model in first]
    assert not {model.id for model in first} & {model.id for model in second}
    assert SDXL in [model.id for page in paginate(standin.sdk.models.list) for model in page.results]


def test_files_are_kept_listed_and_deleted(standin: StandIn, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("Hello, world!")

    kept = standin.sdk.files.create(tmp_path / "hello.txt", metadata={"foo": "bar"})

    assert (kept.name, kept.size, kept.metadata, kept.etag) == ("hello.txt", 13, {"foo": "bar"}, kept.checksums["md5"])
    assert kept.id in [file.id for file in standin.sdk.files.list()]
    assert standin.sdk.files.get(kept.id).urls == kept.urls
    standin.sdk.files.delete(kept.id)
    with pytest.raises(ReplicateError, match="404"):
        standin.sdk.files.get(kept.id)


def test_a_language_model_streams_and_a_video_model_does_not(standin: StandIn) -> None:
    events = list(standin.sdk.stream(TEXT, input={"prompt": "llamas"}))

    assert "llamas" in "".join(event.data for event in events if event.event is ServerSentEvent.EventType.OUTPUT)
    assert events[-1].event is ServerSentEvent.EventType.DONE
    with pytest.raises(ReplicateError, match="does not support streaming"):
        list(standin.sdk.stream(VIDEO, input={"prompt": "[fail]"}))
    with pytest.raises(RuntimeError, match="out of words"):
        list(standin.sdk.stream(TEXT, input={"prompt": "[fail=out of words]"}))


@pytest.mark.parametrize(
    ("token", "model", "prompt", "status", "detail"),
    [
        ("invalid", TEXT, "x", 401, "You did not pass a valid authentication token"),
        ("r8_test", TEXT, "[answer=402] x", 402, "insufficient credit"),
        ("r8_test", "nobody/nothing", "x", 404, "could not be found"),
        ("r8_test", IMAGE, None, 422, "prompt is required"),
        ("r8_test", TEXT, "[answer=429] x", 429, "Request was throttled. Your rate limit resets in ~2s."),
    ],
)
def test_refusals_say_what_replicate_says(
    standin: StandIn, token: str, model: str, prompt: str | None, status: int, detail: str
) -> None:
    before = len(standin.http.get("/_standin/predictions").json())

    with an_sdk(standin, token) as sdk, pytest.raises(ReplicateError, match=detail) as refused:
        sdk.models.predictions.create(model, {"prompt": prompt} if prompt else {})

    assert refused.value.status == status
    # Which also says that the SDK has not sent a refused create again.
    assert len(standin.http.get("/_standin/predictions").json()) == before


def test_data_is_removed_after_its_time(standin: StandIn) -> None:
    ended = standin.ended(posted(standin, version=HASH, input={**SMALL, "prompt": "[expire=0.3] x"}))
    link = ended["urls"]["get"]
    wait_for(lambda: standin.http.get(link).json()["data_removed"])

    removed = standin.http.get(link).json()

    assert (removed["status"], removed["input"], removed["output"], removed["logs"]) == ("succeeded", {}, None, "")
    assert removed["metrics"] == ended["metrics"]
    assert httpx.get(ended["output"][0]).status_code == 404


def test_runways_tasks_are_not_replicates(standin: StandIn) -> None:
    headers = {"X-Runway-Version": "2024-11-06"}
    task = {"model": "gen4.5", "promptText": "[seconds=60] x", "ratio": "1280:720", "duration": 2}
    task_id = posted(standin, "/runway/v1/text_to_video", headers=headers, **task).json()["id"]

    assert standin.http.get(f"/v1/predictions/{task_id}").status_code == 404
    assert task_id not in str(body(standin, "GET", "/v1/predictions"))
    assert standin.http.get("/v1/models/runway/gen4.5").status_code == 404
    standin.http.delete(f"/runway/v1/tasks/{task_id}", headers=headers)


class TestWhatTheSdkDoes:
    """Why the product goes under its models, its transport and its webhook check."""

    def test_it_cannot_read_an_aborted_prediction(self, standin: StandIn) -> None:
        made = standin.ended(standin.create(VIDEO, "[abort] x"))

        assert made["status"] == "aborted"
        with pytest.raises(ValidationError):
            standin.sdk.predictions.get(made["id"])

    def test_it_answers_none_for_a_canceled_run(self, standin: StandIn) -> None:
        words = f"[seconds=60] {uuid4()}"
        with ThreadPoolExecutor() as aside:
            run = aside.submit(standin.sdk.run, IMAGE, input={"prompt": words}, wait=False)
            wait_for(lambda: _made_of(standin, words))
            standin.sdk.predictions.cancel(_made_of(standin, words)[0])

            assert run.result() is None

    def test_it_sends_the_token_to_whatever_host_an_output_names(self, standin: StandIn) -> None:
        link = standin.ended(standin.create(IMAGE, "trap"))["output"][0]

        FileOutput(link, standin.sdk).read()

        assert httpx.URL(link).path in [row["path"] for row in standin.http.get("/_standin/trap").json()]

    def test_its_webhook_check_takes_old_ones_and_leaks_a_foreign_error(self) -> None:
        text, old = '{"test": 2432232314}', 1614265330
        signed = sign(SECRET.key, "msg_p5jXN8AQM9LWM0D4loKWxJek", old, text)
        headers = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": str(old)}

        Webhooks.validate(headers={**headers, "webhook-signature": signed}, body=text, secret=SECRET)
        other = signed.replace("v1,", "v9,")
        Webhooks.validate(headers={**headers, "webhook-signature": other}, body=text, secret=SECRET)
        with pytest.raises(InvalidTimestampError):
            Webhooks.validate(headers={**headers, "webhook-signature": signed}, body=text, secret=SECRET, tolerance=300)
        with pytest.raises(binascii.Error):
            Webhooks.validate(headers={**headers, "webhook-signature": "v1,x"}, body=text, secret=SECRET)


def _made_of(standin: StandIn, words: str) -> list[str]:
    made = standin.http.get("/_standin/predictions").json()
    return [row["id"] for row in made if row["input"].get("prompt") == words]
