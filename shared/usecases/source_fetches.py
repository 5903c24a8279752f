"""Inside: which sources are brought from elsewhere, by whom and how often, and how their job goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.fetches import REMEDY, SourceFetch
from shared.domain.jobs import Job, JobStatus
from shared.domain.messages import FetchSource, JobMessage, SourceFailed, SourceFetched, SourceReport, body_of
from shared.ports import Clock, Records, Transaction
from shared.usecases.aftermath import Aftermath
from shared.usecases.ending import end_job
from shared.usecases.giving_up import LEFT_TO_ITS_MESSAGE_SECONDS, note_broken_off

# Of a job and of an account: others get their turn between.
MOST_AT_ONCE = 4
MOST_TRIES = 3
BUSY_SECONDS = 5
# Without a word for so long, a message or a worker was lost.
CHECK_SECONDS = 60
# The share of a job's progress that is bringing its sources, in percent.
FETCHED_PERCENT = 20
REMEDIES = {
    "too_large": "name a smaller file",
    "no_room": "name a smaller file",
    "bad_media": "name the address of a video",
    "address_refused": "name a public https address",
    "output_expired": f"check the address, {REMEDY}",
}
TRY_AGAIN = f"see that its host answers and POST /jobs/{{jobId}}/retry, {REMEDY}"


@dataclass(frozen=True, slots=True)
class SourceFetches:
    """Claims, holds and reports of fetches. Each method is one transaction and may be repeated."""

    records: Records
    clock: Clock
    aftermath: Aftermath
    hold_seconds: int

    def claim(self, job_id: UUID, number: int, owner: str) -> Mapping[str, Any]:
        """`go` with `url` and `key`; `wait` while another is at it or the account has enough under way; `done`."""
        with self.records.transaction() as tx:
            job, fetch = tx.lock_job(job_id), tx.lock_fetch(job_id, number)
            if job is None or fetch is None or job.status.finished or fetch.state != "waiting":
                return {"verdict": "done"}
            if fetch.held:
                return {"verdict": "wait"}
            changed, verdict = self._let_go(tx, job, fetch, owner)
        self.aftermath.of(changed)
        return verdict

    def _let_go(self, tx: Transaction, job: Job, fetch: SourceFetch, owner: str) -> tuple[Job, Mapping[str, Any]]:
        if fetch.tries >= MOST_TRIES:
            sentence = f"Its fetch was broken off {fetch.tries} times."
            return self._give_up(tx, job, fetch, "source_unreachable", sentence), {"verdict": "done"}
        if tx.held_fetches(job.account_id) >= MOST_AT_ONCE:
            ask_for(tx, job, fetch, BUSY_SECONDS)
            return job, {"verdict": "wait"}
        if fetch.tries:
            # Whoever was at it may still write: an erasure waits for that.
            tx.add_event(job, "job.taken_up", {"source": fetch.number})
        tx.hold_fetch(fetch, owner, self.hold_seconds)
        verdict = {"verdict": "go", "url": fetch.url, "key": fetch.key}
        if job.status is not JobStatus.PENDING:
            return job, verdict
        return tx.move_job(job, JobStatus.PROCESSING, current_step="downloading") or job, verdict

    def renew(self, job_id: UUID, number: int, owner: str) -> Mapping[str, Any]:
        """`go` while the owner's hold lives, else `lost`."""
        with self.records.transaction() as tx:
            return {"verdict": "go" if tx.renew_fetch(job_id, number, owner, self.hold_seconds) else "lost"}

    def release(self, job_id: UUID, number: int, owner: str, reason: str) -> Mapping[str, Any]:
        """The owner's work was broken off: the fetch is the next one's who asks. `done`, also where it was lost."""
        with self.records.transaction() as tx:
            job, fetch = tx.lock_job(job_id), tx.lock_fetch(job_id, number)
            if job is not None and fetch is not None and fetch.state == "waiting" and fetch.owner == owner:
                tx.free_fetch(fetch, LEFT_TO_ITS_MESSAGE_SECONDS)
                note_broken_off(tx, job, reason)
        return {"verdict": "done"}

    def take(self, report: SourceReport) -> None:
        """Acts on one report. One that comes again, or from a worker who has lost the fetch, changes nothing."""
        with self.records.transaction() as tx:
            job, fetch = tx.lock_job(UUID(report.jobId)), tx.lock_fetch(UUID(report.jobId), report.number)
            if job is None or fetch is None or job.status.finished or fetch.state != "waiting":
                return
            if isinstance(report, SourceFailed) and _is_late(report, fetch):
                return
            changed = self._apply(tx, job, fetch, report)
        self.aftermath.of(changed)

    def _apply(self, tx: Transaction, job: Job, fetch: SourceFetch, report: SourceReport) -> Job:
        if isinstance(report, SourceFailed):
            if report.final or fetch.tries >= MOST_TRIES:
                return self._give_up(tx, job, fetch, report.code, report.message)
            ask_for(tx, job, fetch, 10 * 4 ** max(fetch.tries - 1, 0))
            tx.add_event(job, "source.failed", {"source": fetch.number, "message": report.message})
            return job
        if not report.contentType.startswith("video/"):
            return self._give_up(tx, job, fetch, "bad_media", f"The file is {report.contentType}, not a video.")
        return _fetched(tx, job, fetch, report)

    def _give_up(self, tx: Transaction, job: Job, fetch: SourceFetch, code: str, sentence: str) -> Job:
        tx.end_fetch(fetch, "failed")
        path = path_of(job, fetch)
        told = f"{sentence} To mend it, {REMEDIES.get(code, TRY_AGAIN)}."
        ended = end_job(
            tx,
            job,
            JobStatus.FAILED,
            clock=self.clock,
            error_code=code if code in REMEDIES else "source_unreachable",
            error_message=f"{path}: {told}",
            result={"details": [{"path": path, "message": told}]},
        )
        assert ended is not None
        return ended


def _is_late(report: SourceFailed, fetch: SourceFetch) -> bool:
    """Whether its worker has lost the fetch. What a host has said for good still counts while nobody is at it."""
    if report.final and fetch.owner is None:
        return False
    return report.owner not in (None, fetch.owner)


def path_of(job: Job, fetch: SourceFetch) -> str:
    """Where the caller's body has the URL."""
    return "url" if job.kind == "probe" else f"clips.{fetch.number}.url"


def begin_fetches(tx: Transaction, job: Job, fetches: Sequence[SourceFetch]) -> None:
    """Writes a job's fetches and asks for the first of them."""
    tx.insert_fetches(fetches)
    for fetch in tx.open_fetches(job.id)[:MOST_AT_ONCE]:
        ask_for(tx, job, fetch)


def ask_for(tx: Transaction, job: Job, fetch: SourceFetch, delay_seconds: int = 0) -> None:
    """The outside is to bring it; the sweep looks a little later whether it was heard."""
    tx.free_fetch(fetch, delay_seconds + CHECK_SECONDS)
    tx.announce(job, "fetch", body_of(FetchSource(str(job.id), fetch.number)), delay_seconds)


def _fetched(tx: Transaction, job: Job, fetch: SourceFetch, report: SourceFetched) -> Job:
    tx.end_fetch(fetch, "fetched")
    tx.add_event(job, "source.fetched", {"source": fetch.number, "sizeBytes": report.sizeBytes})
    left = tx.open_fetches(job.id)
    if not left:
        tx.announce(job, "compile", body_of(JobMessage(str(job.id))))
    for following in [fetch for fetch in left if not fetch.asked][:1]:
        ask_for(tx, job, following)
    # Sources may share a URL: those that came at once with one that was fetched are not counted apart.
    share = FETCHED_PERCENT * (len(job.request["sources"]) - len(left)) // len(job.request["sources"])
    told = tx.touch_job(job, progress=max(share, job.progress or 0))
    assert told is not None
    return told
