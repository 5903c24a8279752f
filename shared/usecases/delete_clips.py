"""Deleting a clip, and a script with its clips: rows go at once, media by the erasure of the job that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.domain.erasure import Erasure
from shared.domain.errors import Conflict, Mistake
from shared.domain.jobs import Caller
from shared.domain.scripts import SectionVideo
from shared.ports import Records, Transaction
from shared.usecases.clips import ANY_VERSION, Seen, close_up, refuse_stale, unknown_script, unknown_video
from shared.usecases.erase import Eraser
from shared.usecases.idempotency import Once, hash_of, is_repeated, set_made

RUNNING = ("pending", "generating")


@dataclass(frozen=True, slots=True)
class Deleted:
    """The ids of the clips that were deleted, and the erasures of their media."""

    video_ids: Sequence[int]
    erasures: Sequence[Erasure]

    def present(self) -> dict[str, object]:
        """As callers see it."""
        return {
            "deleted": True,
            "videoIds": [str(video_id) for video_id in self.video_ids],
            "erasures": [_begun(erasure) for erasure in self.erasures],
        }


@dataclass(frozen=True, slots=True)
class Deleter:
    """Deletes what a review is about. A clip that is being made, or that a running job is made of, stays.

    To delete needs the scope `review`; where media are erased with it, `admin` too, as every erasure does. Raises
    NotFound, Forbidden, and Conflict: `not_finished`, `in_use`, `stale_version`, `idempotency_conflict`.
    """

    records: Records
    eraser: Eraser

    def delete_clip(
        self, video_id: int, caller: Caller, seconds: float, *, seen: Seen = ANY_VERSION, key: str | None = None
    ) -> Deleted:
        """One clip; the others of its script close up. Again under the same idempotency key is the same answer.

        Raises NotFound, Forbidden, Conflict.
        """
        once = Once("DELETE /api/section-videos/{videoId}", key, hash_of({"videoId": video_id}))
        with self.records.transaction() as tx:
            repeated, made = is_repeated(tx, caller, once)
            if repeated:
                erasure = tx.erasure(caller.account_id, UUID(made)) if made else None
                erasures = [erasure] if erasure else []
            else:
                clip = _locked_to_delete(tx, caller, video_id)
                refuse_stale(clip, seen)
                erasures = self._delete(tx, caller, [clip])
                set_made(tx, caller, once, erasures[0].id if erasures else "")
        return Deleted([video_id], self._erased(erasures, seconds))

    def delete_script(self, script_id: int, caller: Caller, seconds: float, *, key: str | None = None) -> Deleted:
        """A script with its text and clips; its film stays with its job. Again under the same key is the same answer,
        without the ids of the clips.

        Raises NotFound, Forbidden, Conflict.
        """
        once = Once("DELETE /api/scripts/{scriptId}", key, hash_of({"scriptId": script_id}))
        with self.records.transaction() as tx:
            repeated, _ = is_repeated(tx, caller, once)
            if repeated:
                clips: Sequence[SectionVideo] = ()
                erasures = list(tx.erasures_of_script(caller.account_id, script_id))
            else:
                if not tx.lock_script_to_delete(caller.account_id, script_id):
                    raise unknown_script(script_id)
                clips = tx.lock_videos_to_delete(caller.account_id, script_id=script_id)
                erasures = self._delete(tx, caller, clips, script_id)
                tx.delete_script(caller.account_id, script_id)
        return Deleted([clip.id for clip in clips], self._erased(erasures, seconds))

    def _delete(
        self, tx: Transaction, caller: Caller, clips: Sequence[SectionVideo], script_id: int | None = None
    ) -> list[Erasure]:
        """The erasures that were begun for the clips, whose rows are gone."""
        if any(clip.key for clip in clips):
            caller.require("admin")
        _refuse_running(clips)
        _refuse_in_use(tx, caller, clips, script_id)
        erasures = [self.eraser.begin(tx, caller, clip.job_id) for clip in clips if clip.key and clip.job_id]
        tx.delete_videos(caller.account_id, [clip.id for clip in clips])
        for script_id in {clip.script_id for clip in clips if clip.script_id is not None}:
            close_up(tx, caller.account_id, script_id)
        return erasures

    def _erased(self, erasures: Sequence[Erasure], seconds: float) -> list[Erasure]:
        """As far as the seconds reach; the minute sweep goes on with the rest."""
        end = self.eraser.clock.monotonic_seconds() + seconds
        return [
            self.eraser.go_on(erasure, left) if (left := end - self.eraser.clock.monotonic_seconds()) > 0 else erasure
            for erasure in erasures
        ]


def _begun(erasure: Erasure) -> dict[str, object]:
    """An erasure by its id, under which its receipt is found."""
    status = "completed" if erasure.completed_at else "processing"
    return {"erasureId": str(erasure.id), "jobId": str(erasure.job_id), "status": status}


def _locked_to_delete(tx: Transaction, caller: Caller, video_id: int) -> SectionVideo:
    """The clip, locked after its script and the clips beside it."""
    found = tx.video(caller.account_id, video_id)
    if found is not None and found.script_id is not None:
        tx.lock_script(caller.account_id, found.script_id)
        tx.lock_places(caller.account_id, found.script_id)
    locked = tx.lock_videos_to_delete(caller.account_id, video_id=video_id) if found else ()
    if not locked:
        raise unknown_video(video_id)
    return locked[0]


def _refuse_running(clips: Sequence[SectionVideo]) -> None:
    running = [clip for clip in clips if clip.status in RUNNING]
    if not running:
        return
    first = running[0]
    raise Conflict(
        f"Section video {first.id} is still being made: POST /jobs/{first.job_id}/cancel first, then delete it.",
        code="not_finished",
        details=[
            Mistake("videoId", f"{clip.id} is {clip.status}", {"videoId": str(clip.id), "jobId": str(clip.job_id)})
            for clip in running
        ],
    )


def _refuse_in_use(tx: Transaction, caller: Caller, clips: Sequence[SectionVideo], script_id: int | None) -> None:
    used_by = tx.jobs_made_of(caller.account_id, [clip.key for clip in clips if clip.key], script_id)
    if not used_by:
        return
    raise Conflict(
        f"Job {used_by[0]} is made of it just now: wait for its end, or POST /jobs/{used_by[0]}/cancel, then delete.",
        code="in_use",
        details=[Mistake("jobId", f"{job_id} is not finished", {"jobId": str(job_id)}) for job_id in used_by],
    )
