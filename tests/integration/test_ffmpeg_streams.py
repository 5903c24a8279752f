"""FFmpeg fed through a pipe and emptied through one: the same facts as of files, no file made, nobody left waiting."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import pytest

from shared.adapters.ffmpeg import FfmpegEncoder
from shared.domain.errors import BadMedia, Conflict, DependencyDown
from shared.media.streams import MediaInput, Write
from shared.usecases.film_inputs import FilmInputs
from shared.usecases.inspect_media import Place
from shared.usecases.object_source import ObjectSource, open_object
from shared.usecases.splicing import read_clips
from shared.usecases.transfers import ObjectStream, write_stream
from tests.footage import FFMPEG, bare, clip, encoder, made, picture, tone
from tests.memory_media import MemoryMedia


class Stored:
    """One file in a bucket, and how FFmpeg would read it from there."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.media = MemoryMedia()
        self.media.put("clip", path.read_bytes(), "video/mp4")
        self.source = open_object(self.media, "clip")
        self._folder = folder

    def input(self) -> MediaInput:
        return FilmInputs(Place(self._folder, encoder(), lambda: None), [self.source], read_clips([self.source])).of(0)


KINDS: dict[str, tuple[str | Path, ...]] = {
    "index last": ("-c", "copy", "odd.mp4"),
    "index first": ("-c", "copy", "-movflags", "+faststart", "odd.mp4"),
    "matroska": ("-c", "copy", "odd.mkv"),
    "avi": ("-c:v", "copy", "-c:a", "libmp3lame", "odd.avi"),
    "gif": ("-an", "-r", "10", "odd.gif"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_through_a_pipe_is_seen_as_the_file_is(tmp_path: Path, kind: str) -> None:
    one = clip(tmp_path / "clip.mp4", seconds=2, coded=("-bf", "2"))
    odd = made("-i", one, *KINDS[kind][:-1], tmp_path / str(KINDS[kind][-1]))
    stream = Stored(odd, tmp_path).input()

    seen, whole = encoder().verify(stream), encoder().verify(odd)

    assert not isinstance(stream, Path)
    assert (seen.video, seen.decoded, seen.duration_seconds) == (whole.video, whole.decoded, whole.duration_seconds)
    assert (seen.audio is None, seen.size_bytes) == (whole.audio is None, odd.stat().st_size)


@pytest.mark.parametrize(
    "flags", ["frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "frag_keyframe+delay_moov"]
)
def test_fragments_are_seen_as_the_clip_in_one_piece(tmp_path: Path, flags: str) -> None:
    """Of fragments FFmpeg shows frames late, or not at all, where it reads their own index."""
    one = clip(tmp_path / "clip.mp4", seconds=2, coded=("-bf", "2"))
    odd = made("-i", one, "-c", "copy", "-movflags", flags, tmp_path / "odd.mp4")

    seen, whole = encoder().verify(Stored(odd, tmp_path).input()), encoder().verify(one)

    assert picture(seen).frames == picture(whole).frames == 48
    assert seen.decoded is not None
    assert whole.decoded is not None
    begin = seen.decoded.pictures[0]
    assert [at - begin for at in seen.decoded.pictures] == pytest.approx(whole.decoded.pictures, abs=0.001)


def test_frames_of_fragments_that_no_edit_list_brings_forward_stay_late(tmp_path: Path) -> None:
    one = clip(tmp_path / "clip.mp4", seconds=2, coded=("-bf", "2"))
    plain = made("-i", one, "-c", "copy", "-use_editlist", "0", tmp_path / "plain.mp4")
    odd = made(
        "-i", one, "-c", "copy", "-use_editlist", "0", "-movflags", "frag_keyframe+empty_moov", tmp_path / "odd.mp4"
    )

    seen, whole = encoder().probe(Stored(odd, tmp_path).input()), encoder().probe(plain)

    late = picture(whole).start_seconds - max(tone(whole).start_seconds, 0)
    assert late >= Fraction(1, 24)
    assert picture(seen).start_seconds - max(tone(seen).start_seconds, 0) == pytest.approx(late, abs=0.001)


def test_sound_far_from_its_picture_is_read_as_a_file(tmp_path: Path) -> None:
    """Through a pipe ten seconds of pictures would have to be kept until their sound comes."""
    one = clip(tmp_path / "clip.mp4", seconds=12, size="64x64")
    apart = made(
        "-i",
        one,
        "-c",
        "copy",
        "-max_interleave_delta",
        "60000000",
        "-movflags",
        "+faststart",
        "-metadata",
        "title=x",
        tmp_path / "near.mp4",
    )
    far = made(
        "-i",
        one,
        "-c",
        "copy",
        "-min_frag_duration",
        "30000000",
        "-movflags",
        "empty_moov+default_base_moof",
        tmp_path / "far.mp4",
    )

    assert not isinstance(Stored(apart, tmp_path).input(), Path)
    assert isinstance(Stored(far, tmp_path).input(), Path)


def test_a_file_whose_index_is_damaged_is_read_as_a_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip(tmp_path / "clip.mp4").read_bytes()[:-300])

    assert isinstance(Stored(broken, tmp_path).input(), Path)


def test_a_thumbnail_needs_no_more_than_the_beginning(tmp_path: Path) -> None:
    noise = ("-vf", "noise=alls=90:allf=t", "-b:v", "60M", "-movflags", "+faststart")
    stored = Stored(clip(tmp_path / "clip.mp4", size="1280x720", seconds=10, coded=noise), tmp_path)
    assert stored.source.size_bytes > 64 * 1024**2

    encoder().thumbnail(stored.input(), tmp_path / "thumbnail.jpg")

    assert picture(encoder().probe(tmp_path / "thumbnail.jpg")).width == 640
    assert stored.source.bytes_read < stored.source.size_bytes


class Failing(ObjectSource):
    """A store that stops answering in mid-file."""

    def read(self, offset: int, length: int) -> bytes:
        if offset > 10_000:
            raise DependencyDown("The media store does not answer; try again in a moment.", code="storage_down")
        return super().read(offset, min(length, 20_000))


def test_a_store_that_fails_on_the_way_is_no_damaged_clip(tmp_path: Path) -> None:
    stored = Stored(clip(tmp_path / "clip.mp4", seconds=3, coded=("-movflags", "+faststart")), tmp_path)
    stream = stored.input()
    assert isinstance(stream, ObjectStream)
    # Fetched in pieces, as if the file were large.
    pieces = [type(stream.pieces[0])(0, at, 20_000) for at in range(0, stored.source.size_bytes, 20_000)]
    failing = ObjectStream(Failing(stored.media, stored.source.stored), pieces)

    with pytest.raises(DependencyDown):
        encoder().probe(failing)


def test_a_result_that_cannot_be_stored_leaves_nothing(tmp_path: Path) -> None:
    class Full(MemoryMedia):
        def put(self, key: str, data: bytes, content_type: str) -> None:
            raise DependencyDown("The media store does not answer; try again in a moment.", code="storage_down")

    path, full = clip(tmp_path / "clip.mp4"), Full()
    facts = encoder().probe(path)

    with pytest.raises(DependencyDown):
        write_stream(full, "made", lambda write: encoder().rewrap(path, facts, write, sound=False))

    assert (full.objects, full.uploads) == ({}, {})


def test_a_large_result_is_sent_in_parts_and_given_up_when_stopped(tmp_path: Path) -> None:
    noise = ("-vf", "noise=alls=90:allf=t", "-b:v", "60M")
    path = clip(tmp_path / "clip.mp4", size="1280x720", seconds=4, coded=noise)
    facts, media, stop = encoder().probe(path), MemoryMedia(), threading.Event()
    stopping = FfmpegEncoder(FFMPEG, seconds_left=lambda: 600, should_stop=stop.is_set)

    def until_a_part_is_there(write: Write) -> None:
        def passed_on(data: bytes | memoryview) -> None:
            write(data)
            if media.uploads:
                stop.set()

        stopping.rewrap(path, facts, passed_on, sound=True)

    with pytest.raises(Conflict):
        write_stream(media, "made", until_a_part_is_there)
    assert (media.objects, media.uploads) == ({}, {})

    write_stream(media, "made", lambda write: encoder().rewrap(path, facts, write, sound=True))
    (tmp_path / "made.mp4").write_bytes(media.objects["made"][0])
    assert picture(encoder().verify(tmp_path / "made.mp4")).frames == picture(facts).frames
    assert media.uploads == {}


@pytest.mark.parametrize(
    "words",
    [
        "ffconcat version 1.0\nfile secret.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
    ],
    ids=["concat", "hls"],
)
def test_what_comes_through_a_pipe_opens_no_file(tmp_path: Path, words: str) -> None:
    clip(tmp_path / "secret.mp4", sound=None)
    clip(tmp_path / "secret.ts", sound=None)
    script = tmp_path / "clip.m3u8"
    script.write_text(words)
    open_door = ("-safe", "0") if "concat" in words else ("-allowed_extensions", "ALL")
    kind = "concat" if "concat" in words else "hls"
    assert bare("-f", kind, *open_door, "-i", script, "-f", "null", "-").returncode == 0

    with pytest.raises(BadMedia):
        encoder().probe(Stored(script, tmp_path).input())
