"""Films by seed: which clips, with which oddnesses, joined with which options, and what each has to show."""

from __future__ import annotations

import random
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.odd_films.bases import AUDIOS, FFMPEG, VARIANTS, VIDEOS, Pool, clip_number
from tests.odd_films.drafts import Draft, plain_draft
from tests.odd_films.fragments import written_in_fragments
from tests.odd_films.movie import AUDIO, VIDEO
from tests.odd_films.odd_edits import audio_later, video_later
from tests.odd_films.oddness import Oddness, apply, changed
from tests.odd_films.truth import Truth, truth_of
from tests.odd_films.writing import written

CONTENT_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "ts": "video/mp2t",
    "avi": "video/x-msvideo",
}
MAIN_VIDEOS = (
    "plain",
    "plain",
    "b-frames",
    "b-frames",
    "b-pyramid",
    "baseline",
    "main",
    "other-sets",
    "slices",
    "25",
    "29.97",
    "open-gop",
    "pixel-aspect",
    "hevc",
    "hevc-open",
    "vp9",
    "mpeg4",
)
MAIN_AUDIOS = ("aac-48", "aac-48", "aac-48", "aac-44", "aac-44", "aac-48-mono", "aac-22", "mp3", "opus", "pcm")
SAME_FAMILY = ("plain", "b-frames", "b-pyramid", "baseline", "main", "other-sets", "slices", "25", "29.97", "30", "60")
OPTIONS: tuple[dict[str, Any], ...] = (
    {"reencode": True},
    {"reencode": True},
    {"size": [320, 180]},
    {"size": [128, 128]},
    {"size": [96, 160]},
    {"fps": "30"},
    {"fps": "24"},
    {"fps": "25", "reencode": True},
    {"fps": "12"},
    {"quality": "low"},
)
# What a container keeps of a clip: its codecs, and whether times of B-frames and late tracks survive.
CONTAINERS = {
    "mkv": (("h264", "hevc", "vp9", "mpeg4"), ("aac-48", "aac-44", "mp3", "opus", "pcm")),
    "webm": (("vp9",), ("opus",)),
    "ts": (("h264", "hevc"), ("aac-48", "aac-44", "mp3")),
    "avi": (("mpeg4",), ("mp3",)),
}
ROUNDED = {"mkv": Fraction(1, 1000), "webm": Fraction(1, 1000), "ts": Fraction(1, 10_000), "avi": Fraction(1, 24)}
LATE = (Oddness("video later", "edits", video_later), Oddness("audio later", "edits", audio_later))


@dataclass(frozen=True)
class OddClip:
    """A clip's bytes, what it has to show, how it was made, and the codes it may be refused with.

    `streams`: which of its video tracks is shown and which of its audio tracks is heard, from 0 on.
    """

    name: str
    data: bytes
    truth: Truth
    told: Mapping[str, Any]
    refusals: frozenset[str]
    streams: tuple[int, int | None] = (0, 0)

    @property
    def content_type(self) -> str:
        """By its suffix."""
        return CONTENT_TYPES[self.name.rpartition(".")[2]]


@dataclass(frozen=True)
class OddFilm:
    """`options` as a request names them. `inspected`: its clips were decoded when they came in."""

    seed: str
    clips: tuple[OddClip, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    inspected: bool = False

    def told(self) -> dict[str, Any]:
        """How it was generated, for a JSON file."""
        return {
            "seed": self.seed,
            "options": dict(self.options),
            "inspected": self.inspected,
            "clips": [{"name": clip.name, **clip.told} for clip in self.clips],
        }


def odd_film(pool: Pool, seed: str) -> OddFilm:
    """The film of a seed."""
    chance = random.Random(seed)
    count = chance.choices((1, 2, 3, 4, 5), (2, 4, 4, 2, 1))[0]
    main = (chance.choice(MAIN_VIDEOS), chance.choice(MAIN_AUDIOS))
    first = chance.randrange(VARIANTS)
    if chance.random() < 0.04:
        clips = [_webm(pool, (first + number) % VARIANTS, number, chance) for number in range(count)]
    else:
        clips = [_clip(pool, main, (first + number) % VARIANTS, number, chance) for number in range(count)]
    options = chance.choice(OPTIONS) if chance.random() < 0.28 else {}
    return OddFilm(seed, tuple(clips), options, chance.random() < 0.5)


def _clip(pool: Pool, main: tuple[str, str], variant: int, number: int, chance: random.Random) -> OddClip:
    video, audio = main
    if chance.random() < 0.3:
        video = chance.choice(SAME_FAMILY if video in SAME_FAMILY and chance.random() < 0.6 else list(VIDEOS))
    if chance.random() < 0.18:
        audio = chance.choice(list(AUDIOS))
    audio_kind = AUDIOS[audio] if chance.random() < 0.88 else None
    draft = plain_draft(pool, VIDEOS[video], audio_kind, variant, chance)
    container = _container(draft, chance) if chance.random() < 0.12 else None
    if container is not None:
        if chance.random() < 0.4 and container != "avi":
            apply(draft, chance.choice(LATE), chance)
        return remuxed(draft, container, number)
    changed(draft, chance, chance.choices((0, 1, 2, 3), (2, 5, 3, 1))[0])
    return finished(draft, number)


def _webm(pool: Pool, variant: int, number: int, chance: random.Random) -> OddClip:
    """Films of WebM alone are joined in a way of their own."""
    audio = AUDIOS["opus"] if chance.random() < 0.8 else None
    draft = plain_draft(pool, VIDEOS["vp9"], audio, variant, chance)
    if chance.random() < 0.3:
        apply(draft, chance.choice(LATE), chance)
    return remuxed(draft, "webm", number)


def _container(draft: Draft, chance: random.Random) -> str | None:
    """One that can hold the clip."""
    audio = draft.audio_kind.name if draft.audio_kind else None
    fitting = [
        name
        for name, (families, audios) in CONTAINERS.items()
        if draft.kind.family in families and (audio is None or audio in audios)
    ]
    return chance.choice(fitting) if fitting else None


def finished(draft: Draft, number: int) -> OddClip:
    """The clip as a file of the MP4 family."""
    is_fragmented = bool(draft.layout.fragments)
    data = (written_in_fragments if is_fragmented else written)(draft.movie, draft.layout)
    if draft.cut_at is not None:
        data = data[: int(len(data) * draft.cut_at)]
    truth = truth_of(draft.movie, draft.video, draft.audio, draft.shapes)
    if not draft.listened:
        truth = replace(truth, heard=(), hidden=(), deaf=True)
    return OddClip(
        f"clip-{number + 1}.{draft.suffix}", data, truth, told(draft), frozenset(draft.refusals), _streams(draft)
    )


def _streams(draft: Draft) -> tuple[int, int | None]:
    of_kind = [[track for track in draft.movie.tracks if track.handler == kind] for kind in (VIDEO, AUDIO)]
    audio = next((n for n, track in enumerate(of_kind[1]) if track is draft.audio), None)
    return next(n for n, track in enumerate(of_kind[0]) if track is draft.video), audio


def told(draft: Draft) -> dict[str, Any]:
    """How a clip was made."""
    return {
        "video": draft.kind.name,
        "audio": draft.audio_kind.name if draft.audio_kind else None,
        "variant": draft.variant,
        "clip": clip_number(draft.kind, draft.variant),
        "movie_timescale": draft.timescale,
        "index_first": draft.layout.index_first,
        "oddnesses": [[name, values] for name, values in draft.told],
    }


def remuxed(draft: Draft, container: str, number: int) -> OddClip:
    """The clip in another container, by FFmpeg."""
    clip = finished(draft, number)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / clip.name, Path(folder) / f"clip.{container}"
        source.write_bytes(clip.data)
        argv = f"{FFMPEG} -v error -nostats -i {source} -map 0 -c copy {target}"
        done = subprocess.run(shlex.split(argv), capture_output=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')}"
        data = target.read_bytes()
    truth = _in_container(clip.truth, draft, container)
    name = f"clip-{number + 1}.{container}"
    return replace(clip, name=name, data=data, truth=truth, told={**clip.told, "container": container})


def _in_container(truth: Truth, draft: Draft, container: str) -> Truth:
    """Times are rounded, priming is audible, and the last frame's length is told by none."""
    longest = max(frame.end - frame.begin for frame in truth.frames[1:])
    begins = list(truth.begins)
    if draft.audio is not None and truth.heard:
        primed = truth.heard[0].begin - Fraction(draft.audio.zero, draft.audio.timescale)
        begins += [min(primed, begins[0]), *([truth.frames[0].begin] if truth.frames[0].begin - primed < 0.05 else [])]
    return replace(truth, begins=tuple(begins), slack=ROUNDED[container], end_slack=longest)
