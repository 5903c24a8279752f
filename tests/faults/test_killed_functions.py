"""A function killed at any step leaves a job that ends once, with at most one prediction and one payment.

Where a lease, a check or a delay must pass first, its time is moved into the past in PostgreSQL.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.processes import descendants
from tests.faults.observing import Observed, stopped, wait_for

PADDING_BYTES = 1_500_000_000


def test_call_provider_killed_between_claim_and_call_never_calls(observed: Observed) -> None:
    job = observed.generate("[answer=429] killed after the claim")
    observed.wait_attempt(job, "written", number=2)
    # Its message is under way with the provider's delay, and nobody may call before that is over.
    observed.aws("sqs").purge_queue(QueueUrl=observed.queue_url("calls"))
    observed.rows("DELETE FROM vsl.provider_pace")
    again = {"jobId": job, "attemptId": str(observed.attempts(job)[1]["id"])}

    observed.kill_after_commit(
        "call-provider",
        job,
        committed=lambda: observed.attempts(job)[1]["state"] == "claimed",
        start=lambda: observed.send("calls", again),
    )
    observed.let_time_pass(job)
    observed.sweep()
    wait_for("the provider to be asked", lambda: "call.unresolved" in _events(observed, job))
    observed.rows("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %(job)s", job=job)

    assert observed.end(job) == ["timeout"]
    observed.send("calls", again)
    observed.assert_settled(job, predictions=0)


def test_call_provider_killed_before_its_report_is_resolved_not_repeated(observed: Observed) -> None:
    with stopped(observed.part("provider")):
        job = observed.generate("[webhook=lost] killed before the report")
        wait_for("the call to reach the provider", _Inbox(observed.stack["providerUrl"]).settled)
        process = observed.function_process("call-provider")
        os.kill(process, signal.SIGSTOP)
    wait_for("the prediction", lambda: observed.predictions(job))
    observed.kill("call-provider")

    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)


def test_store_media_killed_in_mid_download_fetches_again(observed: Observed) -> None:
    before = _outputs(observed)
    job = observed.generate(
        "[webhook=lost][duration=1][size=320x240] killed in mid-download", "seedance-1-lite", sectionId=1
    )
    wait_for("the clip", lambda: [p for p in observed.predictions(job) if p["status"] == "succeeded"])
    observed.wait_attempt(job, "accepted")
    (clip,) = _outputs(observed) - before

    with _padded(clip):
        observed.let_time_pass(job)
        observed.sweep()
        process = observed.function_process("store-media")
        scratch = Path(_variable(process, "TMPDIR"))
        wait_for("half a clip", lambda: any(f.stat().st_size > 1_000_000 for f in scratch.glob("store-*/*")))
        observed.kill("store-media")
    observed.let_time_pass(job, leases=True)

    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)
    clips = observed.rows("SELECT status, result_url FROM vsl_frontend.section_videos WHERE job_id = %(job)s", job=job)
    assert [clip["status"] for clip in clips] == ["completed"]


def test_settle_killed_after_its_commit_loses_no_announcement(observed: Observed) -> None:
    job = observed.generate("[seconds=2] settle killed after its commit")
    wait_for("the provider's start", lambda: _webhooks(observed, job) == {"processing"})

    observed.kill_after_commit("settle", job, committed=lambda: "succeeded" in _webhooks(observed, job))

    assert observed.end(job) == ["completed"]
    observed.assert_settled(job)


def test_inspect_media_killed_after_its_commit_leaves_nothing_in_incoming(observed: Observed) -> None:
    # Long enough to decode that the row can be held while it is looked into.
    job = observed.generate("[duration=4][size=1280x720] inspection killed after its commit", "seedance-1-lite")

    observed.kill_after_commit(
        "inspect-media",
        job,
        once="status = 'processing' AND lease_owner LIKE 'inspect:%%'",
        committed=lambda: observed.job(job)["status"] == "completed",
    )
    assert observed.incoming(job)
    observed.send("inspect", {"jobId": job})

    observed.assert_settled(job)


def test_compile_videos_killed_in_mid_ffmpeg_makes_the_film_again(observed: Observed) -> None:
    script = observed.call("POST", "/api/scripts", {"sectionId": 1, "scriptContent": "x"})["data"]["scriptId"]
    clip = observed.generate("[duration=4][size=1280x720] a clip", "seedance-1-lite", scriptId=script)
    assert observed.end(clip) == ["completed"]
    (video,) = observed.call("GET", f"/api/section-videos?scriptId={script}")["data"]
    assert observed.call("POST", f"/api/section-videos/{video['videoId']}/approve", {})["httpStatus"] == 200
    compile_ = f"/api/scripts/{script}/compile"
    asked = threading.Thread(target=observed.call, args=("POST", compile_, {"reencode": True}))
    asked.start()

    wait_for("FFmpeg", lambda: _encodes(observed.guard("compile-videos")))
    observed.kill("compile-videos")
    asked.join()
    job = str(observed.rows("SELECT id FROM vsl.jobs WHERE kind = 'compile' AND script_id = %(s)s", s=script)[0]["id"])
    observed.let_time_pass(job, leases=True)

    assert observed.end(job) == ["completed"]
    ends = [name for name in _events(observed, job) if name == "job.completed"]
    assert len(ends) == 1
    assert not observed.aws("s3").list_multipart_uploads(Bucket=observed.stack["bucket"]).get("Uploads")


def _events(observed: Observed, job: str) -> list[str]:
    rows = observed.rows("SELECT name FROM vsl.job_events WHERE job_id = %(job)s ORDER BY id", job=job)
    return [row["name"] for row in rows]


def _webhooks(observed: Observed, job: str) -> set[str]:
    rows = observed.rows("SELECT provider_status FROM vsl.webhook_inbox WHERE job_id = %(job)s", job=job)
    return {row["provider_status"] for row in rows}


class _Inbox:
    """The bytes that wait to be read by the server on a loopback port."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._seen = 0

    def settled(self) -> bool:
        """Whether something waits, and no more has come since the last look."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = sum(int(row[4].split(":")[1], 16) for row in rows if int(row[1].split(":")[1], 16) == self._port)
        same, self._seen = waiting == self._seen, waiting
        return same and waiting > 0


def _outputs(observed: Observed) -> set[Path]:
    return set((Path(observed.stack["stateDir"]) / "provider").rglob("*.mp4"))


@contextmanager
def _padded(clip: Path) -> Iterator[None]:
    """An MP4 with an empty box at its end, large enough for its download to be met in the middle."""
    size_bytes = clip.stat().st_size
    with clip.open("ab") as file:
        file.write((1).to_bytes(4, "big") + b"free" + PADDING_BYTES.to_bytes(8, "big"))
    os.truncate(clip, size_bytes + PADDING_BYTES)
    try:
        yield
    finally:
        os.truncate(clip, size_bytes)


def _variable(process: int, name: str) -> str:
    entries = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next(entry for entry in entries if entry.startswith(name.encode() + b"=")).decode().partition("=")[2]


def _encodes(guard: int | None) -> bool:
    """Whether FFmpeg brings a clip to the film's format below this process."""
    commands = [Path(f"/proc/{process}/cmdline") for process in (descendants(guard) if guard else [])]
    return any(b"libx264" in command.read_bytes() for command in commands if command.exists())
