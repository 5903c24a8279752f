"""Scripts and section videos, in the schema their first documents named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.adapters.postgres.rows import Rows, to_script, to_video
from shared.domain.jobs import Job
from shared.domain.scripts import Placed, Script, SectionVideo

_SCRIPTS = "vsl_frontend.section_detailed_scripts"
_VIDEOS = "vsl_frontend.section_videos"
_LISTED = "id, account_id, section_id, NULL AS script_content, compiled_video_url, compiled_at, created_at, updated_at"
_VIDEO_STATUS_OF_JOB = {
    "pending": "pending",
    "generating": "generating",
    "processing": "generating",
    "completed": "completed",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "cancelled",
}


# A prompt may be as long as its model takes; lists show so much of it.
_PROMPT_SHOWN = 5000
_SHOWN = (
    f"SELECT v.*, j.model_id, j.duration_seconds, left(j.request->'parameters'->>'prompt', {_PROMPT_SHOWN}) AS prompt, "
    f"(SELECT max(n.id) FROM {_VIDEOS} n WHERE n.account_id = v.account_id "
    "AND n.first_take_id = coalesce(v.first_take_id, v.id) AND n.id > v.id) AS superseded_by "
    f"FROM {_VIDEOS} v LEFT JOIN vsl.jobs j ON j.id = v.job_id AND j.account_id = v.account_id "
    "WHERE v.account_id = %(account)s"
)


class ScriptRows(Rows):
    """Statements on `vsl_frontend`.

    Locks are taken in one order: a script, jobs, budgets, then section videos by their ids.
    """

    def insert_script(self, account_id: UUID, section_id: int, content: str | None) -> Script:
        row = self.one(
            f"INSERT INTO {_SCRIPTS} (account_id, section_id, script_content) "
            "VALUES (%(account)s, %(section)s, %(content)s) RETURNING *",
            {"account": account_id, "section": section_id, "content": content},
        )
        assert row is not None
        return to_script(row)

    def script(self, account_id: UUID, script_id: int) -> Script | None:
        row = self.one(
            f"SELECT * FROM {_SCRIPTS} WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": script_id},
        )
        return to_script(row) if row else None

    def lock_script(self, account_id: UUID, script_id: int) -> Script | None:
        row = self.one(
            f"SELECT * FROM {_SCRIPTS} WHERE account_id = %(account)s AND id = %(id)s FOR NO KEY UPDATE",
            {"account": account_id, "id": script_id},
        )
        return to_script(row) if row else None

    def lock_script_to_delete(self, account_id: UUID, script_id: int) -> bool:
        # FOR UPDATE waits for clips that are being added: their rows refer to the script.
        values = {"account": account_id, "id": script_id}
        locked = f"SELECT 1 FROM {_SCRIPTS} WHERE account_id = %(account)s AND id = %(id)s FOR UPDATE"
        return self.one(locked, values) is not None

    def delete_script(self, account_id: UUID, script_id: int) -> None:
        values = {"account": account_id, "id": script_id}
        self.run(
            "UPDATE vsl.uploads SET script_id = NULL WHERE account_id = %(account)s AND script_id = %(id)s", values
        )
        self.run(f"DELETE FROM {_SCRIPTS} WHERE account_id = %(account)s AND id = %(id)s", values)

    def scripts(self, account_id: UUID, before: int | None, limit: int) -> Sequence[Script]:
        # Without their contents, which may be megabytes each.
        rows = self.all(
            f"SELECT {_LISTED} FROM {_SCRIPTS} WHERE account_id = %(account)s "
            "AND (%(before)s::integer IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
            {"account": account_id, "before": before, "limit": limit},
        )
        return [to_script(row) for row in rows]

    def set_compiled(self, account_id: UUID, script_id: int, key: str, job_id: UUID) -> None:
        self.run(
            f"UPDATE {_SCRIPTS} SET compiled_video_url = %(key)s, compiled_at = now(), "
            "compiled_job_id = %(job)s, updated_at = now() WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": script_id, "key": key, "job": job_id},
        )

    def insert_video(
        self, job: Job, *, section_id: int, script_id: int | None, take_of: SectionVideo | None = None
    ) -> SectionVideo:
        row = self.one(
            f"INSERT INTO {_VIDEOS} "
            "(account_id, section_id, script_id, user_id, job_id, first_take_id, status, position) "
            "SELECT %(account)s, %(section)s, %(script)s::integer, %(user)s, %(job)s, %(take)s::integer, 'pending', "
            f"coalesce(%(position)s::integer, (SELECT max(position) + 1 FROM {_VIDEOS} "
            "WHERE account_id = %(account)s AND script_id = %(script)s), 1) RETURNING id",
            {
                "account": job.account_id,
                "section": section_id,
                "script": script_id,
                "user": job.user_id,
                "job": job.id,
                "position": take_of.position if take_of else None,
                "take": (take_of.first_take_id or take_of.id) if take_of else None,
            },
        )
        assert row is not None
        return self._shown(job.account_id, row["id"])

    def video(self, account_id: UUID, video_id: int) -> SectionVideo | None:
        row = self.one(f"{_SHOWN} AND v.id = %(id)s", {"account": account_id, "id": video_id})
        return to_video(row) if row else None

    def lock_video(self, account_id: UUID, video_id: int) -> SectionVideo | None:
        self.run(
            f"SELECT 1 FROM {_VIDEOS} WHERE account_id = %(account)s AND id = %(id)s FOR NO KEY UPDATE",
            {"account": account_id, "id": video_id},
        )
        # Another statement: what it reads was committed before the lock was had, takes of the clip included.
        return self.video(account_id, video_id)

    def videos(
        self,
        account_id: UUID,
        *,
        script_id: int | None = None,
        section_id: int | None = None,
        user_id: str | None = None,
        status: str | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Sequence[SectionVideo]:
        order = "v.position, v.id" if script_id is not None else "v.id DESC"
        rows = self.all(
            f"{_SHOWN} AND (%(script)s::integer IS NULL OR v.script_id = %(script)s)"
            " AND (%(section)s::integer IS NULL OR v.section_id = %(section)s)"
            " AND (%(user)s::text IS NULL OR v.user_id = %(user)s)"
            " AND (%(status)s::text IS NULL OR v.status = %(status)s)"
            f" ORDER BY {order} LIMIT %(limit)s OFFSET %(after)s",
            {
                "account": account_id,
                "script": script_id,
                "section": section_id,
                "user": user_id,
                "status": status,
                "after": after or 0,
                "limit": limit,
            },
        )
        return [to_video(row) for row in rows]

    def count_videos(self, account_id: UUID, script_id: int, status: str | None = None) -> int:
        row = self.one(
            f"SELECT count(*) AS number FROM {_VIDEOS} WHERE account_id = %(account)s AND script_id = %(script)s"
            " AND (%(status)s::text IS NULL OR status = %(status)s)",
            {"account": account_id, "script": script_id, "status": status},
        )
        assert row is not None
        return int(row["number"])

    def videos_of_jobs(self, account_id: UUID, job_ids: Sequence[UUID]) -> Sequence[SectionVideo]:
        rows = self.all(f"{_SHOWN} AND v.job_id = ANY(%(jobs)s)", {"account": account_id, "jobs": list(job_ids)})
        return [to_video(row) for row in rows]

    def judge_video(
        self, video: SectionVideo, to: str, *, key_id: UUID | None, reason: str | None = None
    ) -> SectionVideo:
        self.run(
            f"UPDATE {_VIDEOS} SET status = %(to)s, reject_reason = %(reason)s, reviewed_by = %(key)s, "
            "reviewed_at = clock_timestamp(), reviewed_from = status, version = version + 1, updated_at = now() "
            "WHERE account_id = %(account)s AND id = %(id)s",
            {"account": video.account_id, "id": video.id, "to": to, "reason": reason, "key": key_id},
        )
        return self._shown(video.account_id, video.id)

    def lock_places(self, account_id: UUID, script_id: int) -> Sequence[Placed]:
        rows = self.all(
            f"SELECT id, coalesce(first_take_id, id) AS take, position FROM {_VIDEOS} "
            "WHERE account_id = %(account)s AND script_id = %(script)s ORDER BY id FOR NO KEY UPDATE",
            {"account": account_id, "script": script_id},
        )
        return [Placed(**row) for row in rows]

    def set_positions(self, account_id: UUID, positions: Mapping[int, int]) -> None:
        self.run(
            f"UPDATE {_VIDEOS} v SET position = n.position, updated_at = now() "
            "FROM unnest(%(ids)s::integer[], %(positions)s::integer[]) AS n (id, position) "
            "WHERE v.account_id = %(account)s AND v.id = n.id",
            {"account": account_id, "ids": list(positions), "positions": list(positions.values())},
        )

    def lock_videos_to_delete(
        self, account_id: UUID, *, script_id: int | None = None, video_id: int | None = None
    ) -> Sequence[SectionVideo]:
        which = "v.script_id = %(script)s" if video_id is None else "v.id = %(id)s"
        values = {"account": account_id, "script": script_id, "id": video_id}
        self.run(f"SELECT 1 FROM {_VIDEOS} v WHERE account_id = %(account)s AND {which} ORDER BY id FOR UPDATE", values)
        return [to_video(row) for row in self.all(f"{_SHOWN} AND {which} ORDER BY v.id", values)]

    def hold_videos(self, account_id: UUID, video_ids: Sequence[int]) -> int:
        return self.run(
            f"SELECT 1 FROM {_VIDEOS} WHERE account_id = %(account)s AND id = ANY(%(ids)s) ORDER BY id FOR KEY SHARE",
            {"account": account_id, "ids": list(video_ids)},
        )

    def delete_videos(self, account_id: UUID, video_ids: Sequence[int]) -> None:
        self.run(
            f"DELETE FROM {_VIDEOS} WHERE account_id = %(account)s AND id = ANY(%(ids)s)",
            {"account": account_id, "ids": list(video_ids)},
        )

    def jobs_made_of(self, account_id: UUID, keys: Sequence[str], script_id: int | None = None) -> Sequence[UUID]:
        rows = self.all(
            "SELECT id FROM vsl.jobs WHERE account_id = %(account)s AND kind IN ('compile', 'plan', 'probe') "
            "AND status IN ('pending', 'generating', 'processing') "
            "AND (script_id = %(script)s::integer OR request @> ANY(%(sources)s::jsonb[])) ORDER BY created_at, id",
            {
                "account": account_id,
                "script": script_id,
                "sources": [Jsonb({"sources": [{"key": key}]}) for key in keys],
            },
        )
        return [row["id"] for row in rows]

    def step_video(self, account_id: UUID, video_id: int) -> SectionVideo:
        self.run(
            f"UPDATE {_VIDEOS} SET version = version + 1, updated_at = now() "
            "WHERE account_id = %(account)s AND id = %(id)s",
            {"account": account_id, "id": video_id},
        )
        return self._shown(account_id, video_id)

    def _shown(self, account_id: UUID, video_id: int) -> SectionVideo:
        video = self.video(account_id, video_id)
        assert video is not None
        return video

    def follow_job(self, job: Job) -> None:
        self.run(
            f"UPDATE {_VIDEOS} SET status = %(status)s, result_url = %(key)s, thumbnail_url = %(thumbnail)s, "
            "error_message = %(error)s, actual_cost = %(cost)s, processing_time = %(seconds)s, "
            "version = version + 1, updated_at = now() WHERE account_id = %(account)s AND job_id = %(job)s "
            "AND status IN ('pending', 'generating')",
            {
                "account": job.account_id,
                "job": job.id,
                "status": _VIDEO_STATUS_OF_JOB[job.status.value],
                "key": job.s3_key,
                "thumbnail": job.thumbnail_key,
                "error": job.error_message,
                "cost": job.actual_cost_usd,
                "seconds": int(job.actual_seconds or 0),
            },
        )
