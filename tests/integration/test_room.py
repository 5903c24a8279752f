"""Workers need room for one file at a time, and a disk that is full fails the job, not the worker."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import UUID

import pytest

from shared import bootstrap
from shared.adapters.clock import SystemClock
from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import NoRoom
from shared.domain.messages import MediaStored, StoredOutput, jobs_to_inspect
from shared.domain.uploads import UploadFile
from shared.ports import Encoder
from shared.usecases.inspect_media import Inspector
from shared.usecases.upload_files import UploadRequest, Uploads
from tests.footage import clip, encoder
from tests.integration.inside import INSPECTIONS, World
from tests.memory_media import MemoryMedia


class Counting(MemoryMedia):
    """Notes how much lies in the workplace, with its subfolders, before each file that is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.held_bytes: list[int] = []

    def download(self, key: str, path: Path) -> int:
        workplace = next(folder for folder in path.parents if folder.name.startswith("work-"))
        self.held_bytes.append(sum(one.stat().st_size for one in workplace.rglob("*") if one.is_file()))
        return super().download(key, path)


class Full(MemoryMedia):
    """Whose files are fetched to where there is no room."""

    def download(self, key: str, path: Path) -> int:
        path.symlink_to("/dev/full")
        return super().download(key, path)


@pytest.fixture
def real_places(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workplaces of the deployed functions, on the test's database."""

    def our_encoder(_: object) -> Encoder:
        return encoder()

    monkeypatch.setenv("DATABASE_URL", world.url)
    monkeypatch.setattr(bootstrap, "_encoder", our_encoder)


@pytest.mark.usefixtures("real_places")
def test_of_many_outputs_one_lies_in_the_workplace_at_a_time(world: World, tmp_path: Path) -> None:
    media = Counting()
    job_id = _stored(world, media, clip(tmp_path / "clip.mp4").read_bytes(), outputs=3)

    _inspect(world, media, job_id)

    assert (world.status(job_id), media.held_bytes) == ("completed", [0, 0, 0])


@pytest.mark.usefixtures("real_places")
def test_media_that_were_paid_for_wait_for_room(world: World, tmp_path: Path) -> None:
    media = Full()
    job_id = _stored(world, media, clip(tmp_path / "clip.mp4").read_bytes(), outputs=1)

    with pytest.raises(NoRoom):
        _inspect(world, media, job_id)

    ((status, waits),) = world.sql(
        "SELECT status, deadline_at > now() + interval '19 hours' FROM vsl.jobs WHERE id = %s", job_id
    )
    assert (status, waits, media.keys("incoming/")) == ("processing", True, [f"incoming/{job_id}/1/0"])
    roomy = MemoryMedia()
    roomy.objects |= media.objects
    _inspect(world, roomy, job_id)
    assert (world.status(job_id), roomy.keys("incoming/")) == ("completed", [])


@pytest.mark.usefixtures("real_places")
def test_an_upload_that_finds_no_room_fails_with_a_code_of_its_own(world: World, tmp_path: Path) -> None:
    media, body = Full(), clip(tmp_path / "clip.mp4").read_bytes()
    request = UploadRequest("user", "clip", [UploadFile("a.mp4", "video/mp4", len(body))], script_id=_script(world))
    upload, _ = Uploads(world.records, SystemClock()).begin(request, world.caller)
    key = upload.files[0].key
    media.put(key, body, "video/mp4")

    (job_id,) = jobs_to_inspect({"Records": [{"s3": {"object": {"key": key}}}]})
    _inspect(world, media, job_id)

    ((status, code, message),) = world.sql(
        "SELECT status, error_code, error_message FROM vsl.jobs WHERE id = %s", job_id
    )
    assert (status, code) == ("failed", "no_room")
    assert "temporary storage" in message


def test_ffmpeg_that_meets_a_full_disk_blames_no_clip(tmp_path: Path) -> None:
    # As FFmpeg 9.0 ends on a file system that is full, where its log finds no room either.
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 228\n")
    program.chmod(0o755)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    with pytest.raises(NoRoom):
        FfmpegEncoder(str(program), seconds_left=lambda: 60, should_stop=lambda: False).thumbnail(
            clip(private / "clip.mp4"), private / "thumbnail.jpg"
        )


def _script(world: World) -> int:
    with world.records.transaction() as tx:
        return tx.insert_script(world.caller.account_id, 7, None).id


def _stored(world: World, media: MemoryMedia, body: bytes, outputs: int) -> UUID:
    """A job whose outputs lie in `incoming/`."""
    job_id, attempt_id, provider_id = world.accepted()
    keys = [f"incoming/{job_id}/1/{number}" for number in range(outputs)]
    for key in keys:
        media.put(key, body, "video/mp4")
    found = tuple(StoredOutput(key, len(body), hashlib.sha256(body).hexdigest(), "video/mp4") for key in keys)
    world.settler.take(MediaStored(str(job_id), str(attempt_id), provider_id, found, None, 3.0))
    return job_id


def _inspect(world: World, media: MemoryMedia, job_id: UUID) -> None:
    inspector = Inspector(
        world.records, media, SystemClock(), world.aftermath, bootstrap.workplace, lease_seconds=60, turns=INSPECTIONS
    )
    inspector.inspect(job_id)
