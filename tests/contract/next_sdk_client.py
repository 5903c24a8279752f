"""Run with the SDK `replicate` 2.0.0b4 first on the path: does what its users do, and prints what it saw as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import replicate
from replicate import NotFoundError, Replicate, UnprocessableEntityError

TEXT, IMAGE = "meta/meta-llama-3-8b-instruct", "black-forest-labs/flux-schnell"


def main(base_url: str) -> dict[str, Any]:
    """What every call gave."""
    client = Replicate(bearer_token="r8_test", base_url=f"{base_url}/v1", max_retries=0)
    made = client.predictions.create(version=TEXT, input={"prompt": "tea"}, cancel_after="60s")
    waited = client.predictions.create(version=TEXT, input={"prompt": "waited for"}, prefer="wait=10")
    ended = _wait(client, made.id)
    slow = client.models.predictions.create(
        model_owner="black-forest-labs", model_name="flux-schnell", input={"prompt": "[seconds=60] slow"}
    )
    cancelled = client.predictions.cancel(prediction_id=slow.id)
    model = client.models.get(model_owner="stability-ai", model_name="sdxl")
    versions = client.models.versions.list(model_owner="stability-ai", model_name="sdxl")
    return {
        "version": replicate.__version__,
        "created": made.status,
        "waited": [waited.status, bool(waited.output)],
        "ended": [ended.status, "".join(ended.output), ended.metrics.predict_time > 0],
        "cancelled": cancelled.status,
        "listed": made.id in [one.id for one in client.predictions.list()],
        "model": [model.owner, model.name, model.latest_version.id in [v.id for v in versions.results]],
        "secret": client.webhooks.default.secret.get().key[:6],
        "run": "".join(client.run(TEXT, input={"prompt": "run"})) != "",
        "unknown": _refusal(lambda: client.predictions.get(prediction_id="a" * 26), NotFoundError),
        "wrong": _refusal(
            lambda: client.predictions.create(version=IMAGE, input={"prompt": 1}), UnprocessableEntityError
        ),
    }


def _wait(client: Any, prediction_id: str) -> Any:
    while (found := client.predictions.get(prediction_id=prediction_id)).status not in ("succeeded", "failed"):
        time.sleep(0.05)
    return found


def _refusal(act: Any, kind: type[Exception]) -> int:
    try:
        act()
    except kind as error:
        return int(error.status_code)
    return 0


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
