"""Scripts and their section videos, in the system of record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.jobs import Job
from shared.domain.scripts import Placed, Script, SectionVideo


class Scripts(Protocol):
    """Part of `Transaction`."""

    def insert_script(self, account_id: UUID, section_id: int, content: str | None) -> Script:
        """Makes a script."""

    def script(self, account_id: UUID, script_id: int) -> Script | None:
        """The account's script."""

    def lock_script(self, account_id: UUID, script_id: int) -> Script | None:
        """The account's script, locked until the end: no clip is added to it or moved in it meanwhile."""

    def lock_script_to_delete(self, account_id: UUID, script_id: int) -> bool:
        """Locks the account's script against clips that are added too; False when there is none."""

    def delete_script(self, account_id: UUID, script_id: int) -> None:
        """Deletes a script that has no clips."""

    def scripts(self, account_id: UUID, before: int | None, limit: int) -> Sequence[Script]:
        """A page of scripts without their contents, newest first."""

    def set_compiled(self, account_id: UUID, script_id: int, key: str, job_id: UUID) -> None:
        """Notes the script's film."""

    def insert_video(
        self, job: Job, *, section_id: int, script_id: int | None, take_of: SectionVideo | None = None
    ) -> SectionVideo:
        """Makes the section video of a job: another take of a clip, in its place, or the last of the locked script."""

    def video(self, account_id: UUID, video_id: int) -> SectionVideo | None:
        """The account's section video."""

    def lock_video(self, account_id: UUID, video_id: int) -> SectionVideo | None:
        """The account's section video, locked until the end, as it is then."""

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
        """Section videos; of a script by position then id, else newest first. All of them where `limit` is None."""

    def count_videos(self, account_id: UUID, script_id: int, status: str | None = None) -> int:
        """The number of a script's section videos, or of those in this state."""

    def judge_video(
        self, video: SectionVideo, to: str, *, key_id: UUID | None, reason: str | None = None
    ) -> SectionVideo:
        """The verdict of a key on a locked video, which gets a new version."""

    def lock_places(self, account_id: UUID, script_id: int) -> Sequence[Placed]:
        """Where the script's videos stand, all of them locked until the end, in the order of their ids."""

    def set_positions(self, account_id: UUID, positions: Mapping[int, int]) -> None:
        """Sets the positions of locked videos by their ids; their versions stay."""

    def step_video(self, account_id: UUID, video_id: int) -> SectionVideo:
        """A locked video with a new version."""

    def lock_videos_to_delete(
        self, account_id: UUID, *, script_id: int | None = None, video_id: int | None = None
    ) -> Sequence[SectionVideo]:
        """The script's videos, or this one, locked also against films that are being asked for."""

    def hold_videos(self, account_id: UUID, video_ids: Sequence[int]) -> int:
        """How many of the videos there are, none of which is deleted before the end of the transaction."""

    def delete_videos(self, account_id: UUID, video_ids: Sequence[int]) -> None:
        """Deletes locked videos."""

    def jobs_made_of(self, account_id: UUID, keys: Sequence[str], script_id: int | None = None) -> Sequence[UUID]:
        """Unfinished films, plans and probes that read one of these objects, or are of this script."""

    def follow_job(self, job: Job) -> None:
        """Brings the section video of a generated clip to its job's state."""

    def videos_of_jobs(self, account_id: UUID, job_ids: Sequence[UUID]) -> Sequence[SectionVideo]:
        """The account's videos which these jobs make, in no order."""
