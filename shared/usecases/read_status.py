"""Reading jobs: cache, live view, truth, in this order; URLs are signed on the way out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any
from uuid import UUID

from shared.domain.errors import DependencyDown, NotFound
from shared.domain.jobs import FINISHED, SNAPSHOT_FORMAT, TOLD, Caller, Job, JobFilter, snapshot
from shared.observability import CACHE_HIT_RATE, count
from shared.ports import Clock, LiveView, MediaStore, Records, StatusCache, Waiters
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import erased, refuse_erased

POLL_SECONDS = 0.25


class StatusReader:
    """Finds a job's snapshot where it is quickest to have."""

    def __init__(
        self,
        *,
        records: Records,
        live: LiveView,
        cache: StatusCache,
        aftermath: Aftermath,
        waiters: Waiters,
        clock: Clock,
    ) -> None:
        self._records, self._live, self._cache, self._aftermath = records, live, cache, aftermath
        self._waiters, self._clock = waiters, clock

    def wait(self, job_id: UUID, caller: Caller, seconds: int) -> Mapping[str, Any]:
        """The snapshot once the job has ended, or when the seconds are over; at once where too many wait.

        Raises as `read`.
        """
        found = self._cache.get(job_id)
        # Once a request, however often it looks: each line costs as much as the call.
        count(CACHE_HIT_RATE, 1 if found else 0)
        view = self._view(found, job_id, caller)
        if seconds == 0 or view["status"] in FINISHED:
            return view
        with self._waiters.place(caller.account_id, seconds) as free:
            give_up = self._clock.monotonic_seconds() + (seconds if free else 0)
            while view["status"] not in FINISHED and self._clock.monotonic_seconds() < give_up:
                self._clock.sleep(POLL_SECONDS)
                view = self.read(job_id, caller)
        return view

    def read(self, job_id: UUID, caller: Caller) -> Mapping[str, Any]:
        """The snapshot. Raises NotFound, also for another account's job; OutputGone; DependencyDown."""
        return self._view(self._cache.get(job_id), job_id, caller)

    def _view(self, found: Mapping[str, Any] | None, job_id: UUID, caller: Caller) -> Mapping[str, Any]:
        if found is None:
            found = self._from_live_view(job_id)
        if found is None or found.get("format") != SNAPSHOT_FORMAT:
            return self._from_truth(job_id, caller)
        if found["accountId"] != str(caller.account_id):
            raise _unknown(job_id)
        if found.get("erased"):
            raise erased()
        return found

    def _from_live_view(self, job_id: UUID) -> Mapping[str, Any] | None:
        try:
            found = self._live.get(job_id)
        except DependencyDown:
            return None
        if found is not None:
            self._cache.put(found)
        return found

    def _from_truth(self, job_id: UUID, caller: Caller) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            job = tx.job(caller.account_id, job_id)
        if job is None:
            raise _unknown(job_id)
        refuse_erased(job)
        view = snapshot(job)
        self._cache.put(view)
        if job.status.finished:
            self._aftermath.of(job)
        return view


def list_jobs(caller: Caller, narrow: JobFilter, *, records: Records) -> Sequence[Job]:
    """A page of the account's jobs, newest first. Raises DependencyDown."""
    with records.transaction() as tx:
        return tx.jobs(caller.account_id, narrow)


def job_events(job_id: UUID, caller: Caller, *, records: Records) -> Sequence[Mapping[str, Any]]:
    """A job's history. Raises NotFound, OutputGone (erased), DependencyDown."""
    with records.transaction() as tx:
        job = tx.job(caller.account_id, job_id)
        if job is None:
            raise _unknown(job_id)
        refuse_erased(job)
        return tx.events(caller.account_id, job_id)


def eta_seconds(view: Mapping[str, Any], now: datetime) -> int | None:
    """How many seconds a job still takes: by its progress so far, else by its estimate; None when nothing is known."""
    if view["status"] in FINISHED:
        return None
    taken = (now - datetime.fromisoformat(view["startedAt"] or view["createdAt"])).total_seconds()
    if view["progress"] and view["startedAt"]:
        progress: int = view["progress"]
        return ceil(max(taken, 0) * (100 - progress) / progress)
    left: float = (view["estimatedTime"] or 0) - max(taken, 0)
    return ceil(left) if left > 0 else None


def present(view: Mapping[str, Any], media: MediaStore, now: datetime, *, in_list: bool = False) -> dict[str, Any]:
    """A snapshot as callers see it: signed URLs instead of keys, nothing of the inside.

    A large plan or probe is read from the bucket; in a list there is its URL alone.
    """
    shown = {
        name: view[name]
        for name in (
            "jobId",
            "kind",
            "status",
            "progress",
            "currentStep",
            "mediaType",
            "modelId",
            "userId",
            "scriptId",
            "estimatedTime",
            "estimatedCost",
            "createdAt",
        )
    }
    if view["status"] not in FINISHED:
        shown["etaSeconds"] = eta_seconds(view, now)
    if view["kind"] == "generate":
        shown["metadata"] = view["metadata"]
    for optional in ("actualCost", "startedAt", "completedAt", "retryOf", "error"):
        if view.get(optional) is not None:
            shown[optional] = view[optional]
    if "details" in view["result"] and "error" in shown:
        shown["error"] = {**shown["error"], "details": view["result"]["details"]}
    if view["status"] == "completed":
        shown["result"] = _details(view, media, in_list) if view["kind"] in TOLD else _result(view, media)
        if "breakdown" in view["result"]:
            shown["breakdown"] = view["result"]["breakdown"]
    return shown


def details_of(result: Mapping[str, Any], media: MediaStore) -> dict[str, Any]:
    """The result of a plan or probe, from the job's row or from the bucket. Raises NotFound."""
    if "documentKey" not in result:
        return dict(result)
    found: dict[str, Any] = json.loads(media.read_text(result["documentKey"]))
    return found


def _details(view: Mapping[str, Any], media: MediaStore, in_list: bool) -> dict[str, Any]:
    key = view["result"].get("documentKey")
    return {"url": media.signed_url(key)} if key and in_list else details_of(view["result"], media)


def _result(view: Mapping[str, Any], media: MediaStore) -> dict[str, Any]:
    outputs = [_output(output, media) for output in view["result"].get("outputs", [])]
    result: dict[str, Any] = {
        "originalUrl": media.signed_url(view["key"]),
        "thumbnailUrl": media.signed_url(view["thumbnailKey"]) if view["thumbnailKey"] else None,
        "fileSize": view["fileSize"],
        "contentType": view["contentType"],
        "outputs": outputs,
    }
    for name in ("width", "height", "duration"):
        if view[name] is not None:
            result[name] = view[name]
    for name in ("strategy", "verification", "videoCount", "notes"):
        if name in view["result"]:
            result[name] = view["result"][name]
    return result


def _output(output: Mapping[str, Any], media: MediaStore) -> dict[str, Any]:
    shown = {name: value for name, value in output.items() if name not in ("key", "thumbnailKey", "decoded")}
    shown["url"] = media.signed_url(output["key"])
    if "thumbnailKey" in output:
        shown["thumbnailUrl"] = media.signed_url(output["thumbnailKey"])
    return shown


def _unknown(job_id: UUID) -> NotFound:
    return NotFound(f"There is no job {job_id}: GET /jobs lists yours.")
