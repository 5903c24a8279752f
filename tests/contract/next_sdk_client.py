"""Run with the SDK `replicate` 2.0.0b4 first on the path: does what its users do, and prints what it saw as JSON."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from typing import Any

import replicate
from replicate import APIStatusError, Replicate

TEXT, IMAGE, SDXL = "meta/meta-llama-3-8b-instruct", "black-forest-labs/flux-schnell", "stability-ai/sdxl"
OWNER, NAME = SDXL.split("/")
HASH = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
SMALL = {"prompt": "a corgi", "width": 64, "height": 64}


def main(base_url: str) -> dict[str, Any]:
    """What every call gave."""
    client = Replicate(bearer_token="r8_test", base_url=f"{base_url}/v1", max_retries=0)
    return _predictions(client) | _models(client) | _files(client) | _refusals(client, base_url)


def _predictions(client: Replicate) -> dict[str, Any]:
    made = client.predictions.create(version=TEXT, input={"prompt": "tea"}, cancel_after="60s")
    waited = client.predictions.create(version=HASH, input=SMALL, prefer="wait=10")
    ended = _wait(client, made.id)
    slow = client.models.predictions.create(
        model_owner="black-forest-labs", model_name="flux-schnell", input={"prompt": "[seconds=60] slow"}
    )
    for number in range(105):
        client.predictions.create(version=TEXT, input={"prompt": f"page {number}"})
    listed = [one.id for one in islice(client.predictions.list(), 200)]
    return {
        "version": replicate.__version__,
        "created": made.status,
        "waited": [waited.status, str(waited.output)[:24]],
        "ended": [ended.status, "tea" in "".join(ended.output), ended.metrics.predict_time > 0],
        "by hash": client.predictions.create(version=f"{SDXL}:{HASH}", input=SMALL).version,
        "cancelled": client.predictions.cancel(prediction_id=slow.id).status,
        "listed beyond a page": [len(listed) > 105, len(listed) == len(set(listed)), made.id in listed],
        "secret": client.webhooks.default.secret.get().key[:6],
        "run": "tea" in "".join(client.run(TEXT, input={"prompt": "tea"})),
        "run by hash": len(client.run(f"{SDXL}:{HASH}", input=SMALL)),
        # The method of the same name on a client fails in this version.
        "used": "tea" in "".join(replicate.use(TEXT)(prompt="tea")),
        "streamed": "tea" in "".join(replicate.use(TEXT, streaming=True)(prompt="tea")),
    }


def _models(client: Replicate) -> dict[str, Any]:
    model = client.models.get(model_owner=OWNER, model_name=NAME)
    versions = client.models.versions.list(model_owner=OWNER, model_name=NAME)
    version = client.models.versions.get(model_owner=OWNER, model_name=NAME, version_id=HASH)
    return {
        "model": [model.owner, model.name, model.latest_version.id in [v.id for v in versions.results]],
        "model's version": [version.id, "Input" in version.openapi_schema["components"]["schemas"]],
        "models beyond a page": SDXL in [f"{one.owner}/{one.name}" for one in client.models.list()],
        "searched": [one.name for one in client.models.search(body="llama").results],
        "collection": client.collections.get(collection_slug="text-to-image").slug,
        "collections": "text-to-image" in [one.slug for one in client.collections.list()],
        "hardware": client.hardware.list()[0].sku,
        "account": client.account.get().type,
    }


def _files(client: Replicate) -> dict[str, Any]:
    kept = client.files.create(content=("hello.txt", b"Hello, world!", "text/plain"))
    listed = kept.id in [one.id for one in client.files.list()]
    client.files.delete(file_id=kept.id)
    return {
        "file": [kept.name, kept.size, kept.content_type, listed],
        "file gone": _refusal(lambda: client.files.get(file_id=kept.id)),
    }


def _refusals(client: Replicate, base_url: str) -> dict[str, Any]:
    stranger = Replicate(bearer_token="invalid", base_url=f"{base_url}/v1", max_retries=0)

    def create(version: str, **given: Any) -> Any:
        return lambda: client.predictions.create(version=version, input=given)

    return {
        "stranger": _refusal(lambda: stranger.models.get(model_owner=OWNER, model_name=NAME)),
        "no credit": _refusal(create(TEXT, prompt="[answer=402] next")),
        "unknown": _refusal(lambda: client.predictions.get(prediction_id="a" * 26)),
        "wrong": _refusal(create(IMAGE, prompt=1)),
        "no such version": _refusal(create("nobody/nothing", prompt="x")),
        "throttled": _refusal(create(TEXT, prompt="[answer=429] next")),
        "broken": _refusal(create(TEXT, prompt="[answer=500] next")),
        "aborted": _wait(client, create(TEXT, prompt="[abort] next")().id).status,
    }


def _wait(client: Any, prediction_id: str) -> Any:
    ends = ("succeeded", "failed", "canceled", "aborted")
    while (found := client.predictions.get(prediction_id=prediction_id)).status not in ends:
        time.sleep(0.05)
    return found


def _refusal(act: Any) -> list[Any]:
    try:
        act()
    except APIStatusError as error:
        told = error.body if isinstance(error.body, dict) else {}
        return [type(error).__name__, error.status_code, str(told.get("detail", "")).strip()]
    return []


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
