"""A clip's way from its form into a script, on a real PostgreSQL: doubled words, lost words, hostile files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import imageio_ffmpeg
import pytest

from shared.adapters.clock import SystemClock
from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import Conflict, InvalidRequest, NotFound, OutputGone, RateLimited
from shared.domain.jobs import Caller
from shared.domain.messages import jobs_to_inspect
from shared.domain.scripts import SectionVideo
from shared.domain.uploads import Upload, UploadFile
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import request_compile
from shared.usecases.control import cancel_job
from shared.usecases.erase import Eraser
from shared.usecases.inspect_media import Inspector, Place
from shared.usecases.manage_accounts import act
from shared.usecases.reconcile import Sweep
from shared.usecases.upload_files import UploadRequest, Uploads, present_upload
from tests.integration.inside import INSPECTIONS, TURNS, World
from tests.memory import MemoryClock, MemoryKeys, MemoryView
from tests.memory_media import MemoryMedia

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(tmp_path_factory.mktemp("clip") / "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=160x120:d=1")


def made(target: Path, *given: str) -> bytes:
    subprocess.run([FFMPEG, "-v", "error", *given, str(target)], check=True)
    return target.read_bytes()


class Bench:
    """A world, a bucket, and the functions that work on an upload."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.media, self.folder = world, MemoryMedia(), folder
        self.clock = MemoryClock(SystemClock().now())

    def begin(self, body: bytes, content_type: str = "video/mp4", **more: Any) -> tuple[Upload, int | None]:
        """Forms for one file, of a script when `script_id` is given; and its section video."""
        files = [UploadFile("my clip.mp4", content_type, len(body))]
        request = UploadRequest("user", more.pop("kind", "clip"), files, **more)
        upload, videos = Uploads(self.world.records, self.clock).begin(request, self.world.caller)
        return upload, next(iter(videos.values()), None)

    def script(self) -> int:
        with self.world.records.transaction() as tx:
            return tx.insert_script(self.world.caller.account_id, 7, None).id

    def video(self, video_id: int | None) -> SectionVideo:
        with self.world.records.transaction() as tx:
            found = tx.video(self.world.caller.account_id, video_id or 0)
        assert found is not None
        return found

    def sent(self, upload: Upload, body: bytes) -> Mapping[str, Any]:
        """The file at its place, and what S3 says of it."""
        key = upload.files[0].key
        self.media.put(key, body, upload.files[0].content_type)
        return {"Records": [{"s3": {"object": {"key": key.replace("@", "%40")}}}]}

    def inspect(self, told: Mapping[str, Any]) -> None:
        inspector = Inspector(
            self.world.records,
            self.media,
            SystemClock(),
            self.world.aftermath,
            self.workplace,
            lease_seconds=60,
            turns=INSPECTIONS,
        )
        for job_id in jobs_to_inspect(told):
            inspector.inspect(job_id)

    @contextmanager
    def workplace(self, job_id: UUID, owner: str) -> Iterator[Place]:
        folder = self.folder / uuid4().hex
        folder.mkdir(mode=0o700)
        yield Place(folder, FfmpegEncoder(FFMPEG, seconds_left=lambda: 60.0, should_stop=lambda: False), lambda: None)


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    return Bench(world, tmp_path)


def test_a_clip_waits_comes_and_is_completed_once(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    assert bench.video(video_id).status == "pending"
    told = bench.sent(upload, clip)
    for _ in range(3):
        bench.inspect(told)
    video = bench.video(video_id)
    assert (video.status, video.thumbnail_key is not None, video.version) == ("completed", True, 3)
    assert video.key is not None
    assert bench.media.objects[video.key] == (clip, "video/mp4")
    assert bench.media.keys("uploads/") == []


def test_what_is_sent_again_later_changes_nothing_and_is_removed(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    bench.inspect(bench.sent(upload, clip))
    bench.inspect(bench.sent(upload, b"another film of the same form"))
    assert bench.media.objects[str(bench.video(video_id).key)][0] == clip
    assert bench.media.keys("uploads/") == []


def test_a_word_of_s3_that_is_lost_is_made_up_for_by_the_sweep(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    sweep = Sweep(bench.world.records, SystemClock(), bench.world.aftermath, TURNS)
    sweep.run()
    assert bench.world.queue.of("inspect") == []
    bench.sent(upload, clip)
    bench.world.sql("UPDATE vsl.jobs SET updated_at = now() - interval '11 minutes', check_at = now()")
    sweep.run()
    bench.inspect(bench.world.queue.of("inspect")[0])
    assert bench.video(video_id).status == "completed"


def test_a_message_before_the_file_leaves_the_job_waiting(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    bench.inspect({"jobId": str(upload.files[0].job_id)})
    assert bench.video(video_id).status == "pending"
    bench.inspect(bench.sent(upload, clip))
    assert bench.video(video_id).status == "completed"


def test_a_file_that_never_comes_fails_its_clip_with_a_remedy(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    bench.world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", upload.files[0].job_id)
    Sweep(bench.world.records, SystemClock(), bench.world.aftermath, TURNS).run()
    video = bench.video(video_id)
    assert (video.status, "new form" in str(video.error_message)) == ("failed", True)
    bench.inspect(bench.sent(upload, clip))
    assert (bench.video(video_id).status, bench.media.keys("uploads/")) == ("failed", [])


def test_a_cancelled_upload_takes_nothing_in(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    job_id = upload.files[0].job_id
    assert job_id is not None
    world = bench.world
    cancel_job(job_id, world.caller, records=world.records, clock=SystemClock(), aftermath=world.aftermath)
    bench.inspect(bench.sent(upload, clip))
    assert (bench.video(video_id).status, bench.media.objects) == ("cancelled", {})


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data/\n"


@pytest.mark.parametrize(
    ("given", "ending", "content_type", "code"),
    [
        (["-f", "lavfi", "-i", "sine=d=1"], "m4a", "video/mp4", "no_picture"),
        (["-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1"], "png", "video/mp4", "wrong_type"),
        (["-f", "lavfi", "-i", "testsrc=s=64x64:d=1"], "webm", "video/mp4", "wrong_type"),
        (["-f", "lavfi", "-i", "testsrc=s=64x64:d=1"], "mp4", "video/webm", "wrong_type"),
        (PLAYLIST, "", "video/mp4", "bad_media"),
        (b"<html><script>alert(1)</script></html>", "", "video/mp4", "bad_media"),
        (b"\0\0\0\x18ftypmp42" + bytes(400), "", "video/mp4", "bad_media"),
    ],
)
def test_a_wrong_or_hostile_file_is_refused_with_a_reason(
    bench: Bench, tmp_path: Path, given: Any, ending: str, content_type: str, code: str
) -> None:
    body = given if isinstance(given, bytes) else made(tmp_path / f"made.{ending}", *given)
    upload, video_id = bench.begin(body, content_type, script_id=bench.script())
    bench.inspect(bench.sent(upload, body))
    video = bench.video(video_id)
    assert (video.status, bool(video.error_message), video.key) == ("failed", True, None)
    assert bench.world.sql("SELECT error_code FROM vsl.jobs WHERE id = %s", upload.files[0].job_id) == [(code,)]
    assert bench.media.objects == {}


def test_the_same_key_gives_the_same_forms_until_they_expire(bench: Bench, clip: bytes) -> None:
    script_id = bench.script()
    first = bench.begin(clip, script_id=script_id, idempotency_key="once")
    assert bench.begin(clip, script_id=script_id, idempotency_key="once") == first
    assert bench.world.sql("SELECT count(*) FROM vsl.jobs WHERE script_id = %s", script_id) == [(1,)]
    with pytest.raises(Conflict):
        bench.begin(clip + b"!", script_id=script_id, idempotency_key="once")
    bench.clock.moment += timedelta(minutes=61)
    with pytest.raises(OutputGone):
        bench.begin(clip, script_id=script_id, idempotency_key="once")


def test_a_script_of_another_account_is_unknown_and_nothing_is_left(bench: Bench, clip: bytes) -> None:
    script_id, order = bench.script(), {"action": "create_account", "name": uuid4().hex, "usagePlanKey": uuid4().hex}
    stranger = act(order, records=bench.world.records, directory=MemoryKeys())
    bench.world.caller = Caller(UUID(stranger["accountId"]), frozenset())
    with pytest.raises(NotFound):
        bench.begin(clip, script_id=script_id)
    assert bench.world.sql("SELECT id FROM vsl.uploads WHERE account_id = %s", stranger["accountId"]) == []


def test_what_comes_by_the_forms_of_an_erased_user_is_erased_too(bench: Bench, clip: bytes) -> None:
    world = bench.world
    upload, _ = bench.begin(clip, script_id=bench.script())
    loose, _ = bench.begin(clip)
    views = (MemoryView(), MemoryView())
    eraser = Eraser(world.records, bench.media, *views, world.aftermath, bench.clock)
    erasure = eraser.erase_user("user", world.caller, 60)
    assert erasure.completed_at is None
    for late in (upload, loose):
        bench.inspect(bench.sent(late, clip))
    bench.clock.moment += timedelta(minutes=91)
    eraser.resume(60)
    with world.records.transaction() as tx:
        done = tx.erasure(world.caller.account_id, erasure.id)
    assert done is not None
    assert done.completed_at is not None
    assert (bench.media.objects, done.erased["forms"]) == ({}, 2)


def test_only_a_clip_has_a_script(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bench.begin(b"x", "image/png", kind="frame", script_id=bench.script())
    assert [mistake.path for mistake in refused.value.details] == ["scriptId"]


def test_frames_stand_in_order_in_a_set_that_sorts_behind_the_last(bench: Bench) -> None:
    older, _ = bench.begin(b"x", "image/png", kind="frame")
    bench.clock.moment += timedelta(seconds=1)
    newer, _ = bench.begin(b"x", "image/png", kind="frame")
    root = f"reference-frames/{bench.world.caller.account_id}/user/"
    assert all(upload.files[0].key.startswith(root) for upload in (older, newer))
    assert older.files[0].key < newer.files[0].key
    assert newer.files[0].key.rpartition("/")[2] == f"frame_01_{int(newer.created_at.timestamp())}.png"


def test_an_upload_of_a_script_is_a_source_by_its_job_and_others_by_their_key(bench: Bench, clip: bytes) -> None:
    upload, _ = bench.begin(clip, script_id=bench.script())
    bench.inspect(bench.sent(upload, clip))
    loose, _ = bench.begin(clip)
    bench.sent(loose, clip)
    sources = [ClipSource(job_id=upload.files[0].job_id), ClipSource(s3_key=loose.files[0].key)]
    job = compiled(bench, sources)
    assert [source["userId"] for source in job.request["sources"]] == ["user", "user"]
    assert job.request["sources"][1]["key"] == loose.files[0].key
    again = CompileRequest.of_stored(job, {}, None)
    assert list(again.clips) == sources


@pytest.mark.parametrize("where", ["own", "absent", "stranger", "climbing", "compiled", "root"])
def test_a_key_is_a_source_only_when_a_file_of_the_account_is_there(bench: Bench, clip: bytes, where: str) -> None:
    account = str(bench.world.caller.account_id)
    keys = {
        "own": f"uploads/{account}/user/1/001.mp4",
        "absent": f"uploads/{account}/user/1/002.mp4",
        "stranger": f"uploads/{uuid4()}/user/1/001.mp4",
        "climbing": f"uploads/{account}/../{uuid4()}/001.mp4",
        "compiled": f"compiled/{account}/1/1/final.mp4",
        "root": f"incoming/{account}/1/0",
    }
    if where != "absent":
        bench.media.put(keys[where], clip, "video/mp4")
    if where == "own":
        assert compiled(bench, [ClipSource(s3_key=keys[where])]).request["sources"][0]["key"] == keys[where]
        return
    with pytest.raises(NotFound):
        compiled(bench, [ClipSource(s3_key=keys[where])])


def compiled(bench: Bench, clips: list[ClipSource]) -> Any:
    world = bench.world
    return request_compile(
        CompileRequest("POST /compile-videos", clips=clips),
        world.caller,
        records=world.records,
        media=bench.media,
        clock=SystemClock(),
        aftermath=world.aftermath,
    )


def test_a_form_is_shown_with_what_it_is_for(bench: Bench, clip: bytes) -> None:
    upload, video_id = bench.begin(clip, script_id=bench.script())
    shown = present_upload(upload, {upload.files[0].job_id or uuid4(): video_id or 0}, bench.media, bench.clock.now())
    (file,) = shown["files"]
    assert (file["name"], file["videoId"], file["key"]) == ("my clip.mp4", str(video_id), upload.files[0].key)
    assert "my clip" not in file["key"]


def test_an_account_with_too_much_unfinished_is_told_to_wait_and_nothing_is_left(bench: Bench, clip: bytes) -> None:
    account, script_id = bench.world.caller.account_id, bench.script()
    bench.world.sql(
        "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxUnfinishedJobs\": 1}')", account
    )
    bench.begin(clip, script_id=script_id)
    with pytest.raises(RateLimited):
        bench.begin(clip, script_id=script_id)
    assert bench.world.sql("SELECT count(*) FROM vsl.uploads WHERE account_id = %s", account) == [(1,)]


def test_open_forms_have_a_limit(bench: Bench) -> None:
    """Forms without a script made no job, and were given out without end."""
    settings = "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, %s)"
    bench.world.sql(settings, bench.world.caller.account_id, '{"maxOpenUploads": 3}')
    wanted = UploadRequest("user", "image", [UploadFile("a.png", "image/png", 10)])
    uploads = Uploads(bench.world.records, bench.world.clock)

    for _ in range(3):
        uploads.begin(wanted, bench.world.caller)
    with pytest.raises(RateLimited) as refused:
        uploads.begin(wanted, bench.world.caller)
    assert 0 < (refused.value.retry_after_seconds or 0) <= 3601

    bench.world.sql("UPDATE vsl.uploads SET expires_at = now() WHERE account_id = %s", bench.world.caller.account_id)
    assert uploads.begin(wanted, bench.world.caller)


def test_open_forms_may_bring_so_many_bytes(bench: Bench) -> None:
    clip = UploadFile("a.mp4", "video/mp4", 1024**3)
    uploads = Uploads(bench.world.records, bench.world.clock)
    for _ in range(2):
        uploads.begin(UploadRequest("user", "clip", [clip] * 100), bench.world.caller)
    with pytest.raises(RateLimited):
        uploads.begin(UploadRequest("user", "clip", [clip]), bench.world.caller)
