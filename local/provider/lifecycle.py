"""Runs predictions from starting to their end, a few at a time, and goes on after a restart."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from local.provider.models import HARDWARE_USD_PER_SECOND, Model, by_key
from local.provider.plans import Plan, TextPlan, VideoPlan, billed_units, plan_for, usage_of
from local.provider.predictions import (
    RETENTION_SECONDS,
    TERMINAL,
    Outcome,
    Prediction,
    Predictions,
    as_json,
    seconds_between,
)
from local.provider.rendering import Renderer, RenderError, text_pieces
from local.provider.schemas import with_defaults
from local.provider.sources import Sources, data_uri
from local.provider.webhooks import LATE_SECONDS, Message, Webhooks

RENDERS_AT_ONCE = 2
_HTML_PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What a run needs; `media` holds one folder per finished render."""

    predictions: Predictions
    webhooks: Webhooks
    renderer: Renderer
    sources: Sources
    media: Path
    base_url: str


class Runner:
    """One task per unfinished prediction; only RENDERS_AT_ONCE of them render."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop
        self._slots = asyncio.Semaphore(RENDERS_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Takes up what a former process left and removes the files of renders that never ended."""
        known = self._shop.predictions.folders()
        self._shop.media.mkdir(parents=True, exist_ok=True)
        for folder in self._shop.media.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for prediction in self._shop.predictions.unfinished():
            self.submit(prediction)

    def submit(self, prediction: Prediction) -> None:
        task = asyncio.create_task(self._run(prediction))
        self._tasks[prediction.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(prediction.id, None))

    async def wait(self, prediction_id: str, timeout_seconds: float | None) -> None:
        """Returns when the prediction has ended or the time is over."""
        if task := self._tasks.get(prediction_id):
            await asyncio.wait({task}, timeout=timeout_seconds)

    def cancel(self, prediction_id: str) -> None:
        """Ends a prediction that has not ended; what it used so far is billed."""
        prediction = self._shop.predictions.get(prediction_id)
        if prediction.status in TERMINAL:
            return
        self._stop(prediction_id)
        self._finish(prediction, Outcome("canceled", logs=prediction.logs))

    async def close(self) -> None:
        """Stops all work without ending the predictions."""
        tasks = [task for prediction_id in list(self._tasks) if (task := self._stop(prediction_id))]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, prediction_id: str) -> asyncio.Task[None] | None:
        task = self._tasks.pop(prediction_id, None)
        if task:
            task.cancel()
        return task

    async def _run(self, prediction: Prediction) -> None:
        try:
            async with asyncio.timeout(_seconds_left(prediction)):
                outcome = await self._outcome(prediction)
        except TimeoutError:
            outcome = self._after_deadline(prediction.id)
        except RenderError as error:
            outcome = Outcome("failed", error=str(error), logs=f"Traceback: {error}\n")
        except Exception:  # noqa: BLE001 - the edge of the model's process: a crash there is a failed prediction
            _log.exception("prediction %s crashed", prediction.id)
            outcome = Outcome("failed", error="Prediction interrupted; please retry (code: PA)")
        first_attempts = self._finish(prediction, outcome)
        if prediction.steering.webhook == "early":
            await asyncio.gather(*first_attempts)

    async def _outcome(self, prediction: Prediction) -> Outcome:
        steering, began = prediction.steering, time.monotonic()
        await asyncio.sleep(steering.throttle_seconds or 0)
        if steering.abort:
            await asyncio.sleep(steering.seconds or 0)
            return Outcome("aborted", error="The deadline passed before the prediction could start")
        if steering.failure is not None:
            self._start(prediction)
            await asyncio.sleep(steering.seconds or 0)
            return Outcome("failed", error=steering.failure, logs=f"Error: {steering.failure}\n")
        model = by_key(prediction.model)
        plan = plan_for(model, with_defaults(model, prediction.input), steering)
        folder = secrets.token_urlsafe(30)
        async with self._slots:
            self._start(prediction)
            names = await self._rendered(plan, folder)
        await asyncio.sleep(max(0.0, (steering.seconds or 0) - (time.monotonic() - began)))
        return self._succeeded(prediction, plan, folder, names)

    def _start(self, prediction: Prediction) -> None:
        self._shop.predictions.start(prediction.id, time.time())
        self._announce(prediction.id, "start")

    async def _rendered(self, plan: Plan, folder: str) -> list[str]:
        link = plan.image if isinstance(plan, VideoPlan) else None
        image = await self._shop.sources.read(link) if link else None
        return await self._shop.renderer.render(plan, self._shop.media / folder, image)

    def _succeeded(self, prediction: Prediction, plan: Plan, folder: str, names: list[str]) -> Outcome:
        model = by_key(prediction.model)
        self._spoil(prediction.steering.output, [self._shop.media / folder / name for name in names])
        pieces = text_pieces(plan) if isinstance(plan, TextPlan) else self._links(prediction, folder, names)
        output = _shaped(model, pieces, prediction.steering.output)
        logs = _logs(plan)
        self._shop.predictions.show_output(prediction.id, output, logs)
        self._announce(prediction.id, "logs")
        self._announce(prediction.id, "output")
        usage = usage_of(plan, len(pieces))
        usd = billed_units(model, usage) * model.price.usd_per_unit(str(_resolution(model, prediction)))
        return Outcome("succeeded", output, logs, None, folder if names else None, _micro(usd), usage)

    def _links(self, prediction: Prediction, folder: str, names: list[str]) -> list[str]:
        if prediction.steering.output == "data":
            return [data_uri(self._shop.media / folder / name) for name in names]
        return [f"{self._shop.base_url}/delivery/{folder}/{name}" for name in names]

    def _spoil(self, fault: str | None, files: list[Path]) -> None:
        for file in files:
            if fault == "html":
                file.write_text(_HTML_PAGE)
            elif fault == "truncated":
                file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])

    def _after_deadline(self, prediction_id: str) -> Outcome:
        prediction = self._shop.predictions.get(prediction_id)
        if prediction.started_at is None:
            return Outcome("aborted", error="The deadline passed before the prediction could start")
        return Outcome("canceled", logs=prediction.logs)

    def _finish(self, prediction: Prediction, outcome: Outcome) -> list[asyncio.Future[None]]:
        keep, now = prediction.steering.expire_seconds, time.time()
        keep_seconds = RETENTION_SECONDS if keep is None else keep
        started_at = self._shop.predictions.get(prediction.id).started_at
        if outcome.status == "canceled" and started_at is not None:
            seconds = Decimal(str(seconds_between(started_at, now)))
            outcome = replace(outcome, billed_usd=_micro(seconds * HARDWARE_USD_PER_SECOND))
        if not self._shop.predictions.finish(prediction.id, outcome, now, keep_seconds):
            return []
        return self._announce(prediction.id, "completed")

    def _announce(self, prediction_id: str, event: str) -> list[asyncio.Future[None]]:
        prediction = self._shop.predictions.get(prediction_id)
        fault = prediction.steering.webhook
        if not prediction.webhook or event not in prediction.webhook_events or fault == "lost":
            return []
        late = LATE_SECONDS if fault == "late" else 0.0
        copies = 2 if fault == "doubled" else 1
        body = json.dumps(as_json(prediction, self._shop.base_url))
        return self._shop.webhooks.send(
            Message(prediction_id, event, prediction.webhook, body, time.time() + late, copies)
        )


def _seconds_left(prediction: Prediction) -> float | None:
    return None if prediction.deadline is None else max(0.0, prediction.deadline - time.time())


def _resolution(model: Model, prediction: Prediction) -> Any:
    return with_defaults(model, prediction.input).get("resolution") or ""


def _micro(usd: Decimal) -> float:
    return float(usd.quantize(Decimal("0.000001"), ROUND_CEILING))


def _shaped(model: Model, pieces: list[str], steered: str | None) -> Any:
    """The output as the model's schema has it; steered to be an object, the files by name."""
    if steered == "object":
        return {"result": pieces[0], "others": pieces[1:], "note": "made in one go"}
    return pieces if model.many_outputs else pieces[0]


def _logs(plan: Plan) -> str:
    steps = plan.frames if isinstance(plan, VideoPlan) else 4
    return f"Using seed: {abs(hash(plan)) % 100_000}\n100%|██████████| {steps}/{steps} [00:01<00:00]\n"
