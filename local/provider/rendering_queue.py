"""The life of a prediction: wait for a place, render, end, tell the webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from local.provider.models import MODELS
from local.provider.predictions import Prediction, Predictions, as_json, now, removed, stamp
from local.provider.rendering import RenderFailed, render
from local.provider.steering import Steering, steering_of
from local.provider.webhooks import deliver

AT_ONCE = 2
LATE_SECONDS = 5


@dataclass
class RenderingQueue:
    """Renders predictions, two at a time. `switches` steer all of them."""

    predictions: Predictions
    folder: Path
    base_url: str
    secret: str
    ffmpeg: str
    switches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()

    def steering(self, prediction: Prediction) -> Steering:
        return steering_of(str(prediction.input.get("prompt", "")), self.switches)

    def resume(self) -> None:
        """Takes up what a stop left unfinished: renderings and webhooks that were due."""
        for prediction in self.predictions:
            if not prediction.ended:
                self.start(prediction)
            elif prediction.pending_webhooks:
                self._send(prediction, self.steering(prediction))

    def start(self, prediction: Prediction) -> asyncio.Task[None]:
        """Renders in the background."""
        task = asyncio.create_task(self._live(prediction))
        self._tasks[prediction.id] = task
        return task

    def cancel(self, prediction: Prediction) -> None:
        """Ends an unfinished prediction; it is billed when it had started."""
        if prediction.ended:
            return
        if task := self._tasks.pop(prediction.id, None):
            task.cancel()
        self._end(prediction, "canceled" if prediction.started_at else "canceled")

    def body(self, prediction: Prediction) -> Mapping[str, object]:
        """The prediction as callers see it."""
        expire = self.steering(prediction).expire
        gone = removed(prediction, float(expire) if expire else None)
        return as_json(prediction, self.base_url, gone=gone)

    async def _live(self, prediction: Prediction) -> None:
        steering = self.steering(prediction)
        if steering.abort or self._too_late(prediction):
            self._end(prediction, "aborted")
            return
        async with self._places:
            prediction.started_at, prediction.status = stamp(now()), "processing"
            self.predictions.keep(prediction)
            if "start" in prediction.events and prediction.webhook:
                self._post(prediction, retried=False)
            started = now()
            try:
                async with asyncio.timeout(self._seconds_left(prediction)):
                    await self._render(prediction, steering)
            except TimeoutError:
                self._end(prediction, "canceled")
                return
            except RenderFailed as error:
                prediction.error = str(error)
            prediction.predict_seconds = round((now() - started).total_seconds(), 6)
        self._end(prediction, "failed" if prediction.error else "succeeded")

    async def _render(self, prediction: Prediction, steering: Steering) -> None:
        if steering.seconds:
            await self._wait(prediction, float(steering.seconds))
        if steering.fail:
            raise RenderFailed("The model failed on purpose." if steering.fail == "yes" else steering.fail)
        model = MODELS[prediction.model]
        names = await render(model, prediction.input, steering, self.folder / prediction.token, self.ffmpeg)
        if model.makes == "text":
            prediction.output = names
            return
        urls = [f"{self.base_url}/delivery/{prediction.token}/{name}" for name in names]
        prediction.output = urls if model.makes == "image" else urls[0]
        if steering.output == "gone":
            for name in names:
                (self.folder / prediction.token / name).unlink()

    async def _wait(self, prediction: Prediction, seconds: float) -> None:
        for tenth in range(1, 11):
            await asyncio.sleep(seconds / 10)
            prediction.logs += f"{tenth * 10:3d}%|{'#' * tenth:<10}| {tenth}/10\n"
            self.predictions.keep(prediction)

    def _too_late(self, prediction: Prediction) -> bool:
        return prediction.deadline is not None and now() > datetime.fromisoformat(prediction.deadline)

    def _seconds_left(self, prediction: Prediction) -> float | None:
        if prediction.deadline is None:
            return None
        return max((datetime.fromisoformat(prediction.deadline) - now()).total_seconds(), 0.01)

    def _end(self, prediction: Prediction, status: str) -> None:
        prediction.status, prediction.completed_at = status, stamp(now())
        model = MODELS[prediction.model]
        if status == "succeeded" or (status == "canceled" and prediction.started_at):
            seconds = float(prediction.input.get("duration", model.defaults.get("duration", 1)))
            prediction.billed_usd = round(model.price_usd * (seconds if model.per_second else 1), 6)
        if prediction.webhook and "completed" in prediction.events:
            prediction.pending_webhooks = ["completed"]
        self.predictions.keep(prediction)
        self._send(prediction, self.steering(prediction))

    def _send(self, prediction: Prediction, steering: Steering) -> None:
        if prediction.pending_webhooks and steering.webhook != "lost":
            for _ in range(2 if steering.webhook == "doubled" else 1):
                self._post(prediction, retried=True, late=LATE_SECONDS if steering.webhook == "late" else 0)

    def _post(self, prediction: Prediction, *, retried: bool, late: float = 0) -> None:
        task = asyncio.create_task(self._deliver(prediction, json.dumps(self.body(prediction)), retried, late))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _deliver(self, prediction: Prediction, body: str, retried: bool, late: float) -> None:
        await asyncio.sleep(late)
        assert prediction.webhook is not None
        if await deliver(prediction.webhook, body.encode(), self.secret, retried=retried):
            prediction.webhook_deliveries += 1
        if retried:
            prediction.pending_webhooks = []
        self.predictions.keep(prediction)

    async def settled(self) -> None:
        """Waits until webhooks that are under way have been sent (for `webhook=early`)."""
        if self._background:
            await asyncio.wait(set(self._background), timeout=5)
