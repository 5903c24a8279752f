"""How a plan becomes a film in the bucket, and the proof that it is right. Nothing is written to the database here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from shared.domain.errors import BadMedia, NotFound
from shared.domain.jobs import JobStep
from shared.media.clip import Clip
from shared.media.estimate import reckon
from shared.media.heads import SyncScan
from shared.media.plan import COPY, ENCODE_ALL, SMART, SPLICE, CompilePlan, ProbedClip, plan_film, plan_splice
from shared.media.probe import MediaFacts, VideoFacts
from shared.media.sound import sound_of_film
from shared.media.splice.film import payloads_needed
from shared.media.splice.refusals import refusals
from shared.media.verification import verify_film
from shared.ports import Clock, MediaStore, StoredObject
from shared.usecases.film import Film, Planned, Work
from shared.usecases.film_proof import failed, of_decode, of_proof, of_verification
from shared.usecases.inspect_media import Place
from shared.usecases.object_source import ObjectSource, known_object, open_object
from shared.usecases.splicing import Progress, WrittenFilm, read_clips, side_by_side, write_film

# Part of every derived object's name: another way of encoding must not find an earlier one's work.
ENGINE = "1"
T = TypeVar("T")
CONTENT_TYPES = {"mp4": "video/mp4", "webm": "video/webm"}


class FilmWork:
    """Follows plans. `tell(step, percent)` hears how far it has come; the place's `check` stops it."""

    def __init__(
        self, media: MediaStore, clock: Clock, place: Place, tell: Callable[[JobStep, int], None], work: Work
    ) -> None:
        self._media, self._clock, self._place, self._tell, self._work = media, clock, place, tell, work
        self._spent = {"download": 0.0, "ffmpeg": 0.0, "upload": 0.0}
        self._progress = Progress(place.check, lambda share: tell("processing", 20 + int(share * 70)))
        self._paths: dict[int, Path] = {}
        self._derived: list[StoredObject] = []

    def plan(self) -> Planned:
        """What is to be done. Raises NotFound, BadMedia naming the clip, DependencyDown."""
        began = self._clock.monotonic_seconds()
        sources = side_by_side(self._open, self._work.sources)
        probes = [
            ProbedClip(None, None, read.code) if isinstance(read, BadMedia) else ProbedClip(read)
            for read in read_clips(sources, [_heads_of(source) for source in self._work.sources])
        ]
        self._spent["download"] += self._clock.monotonic_seconds() - began
        plan = plan_splice(probes, self._work.wishes)
        if plan is None:
            paths = self._downloaded(sources)
            probes = [replace(probe, facts=self._probed(n, paths[n])) for n, probe in enumerate(probes)]
            plan = plan_film(probes, self._work.wishes)
        return Planned(plan, sources, probes, reckon(plan, probes, [source.size_bytes for source in sources]))

    def look_closely(self) -> ProbedClip:
        """The only source, by its index and by FFmpeg. Raises as `plan` does."""
        (source,) = side_by_side(self._open, self._work.sources)
        (read,) = read_clips([source])
        (path,) = self._downloaded([source])
        facts = self._probed(0, path)
        return ProbedClip(None if isinstance(read, BadMedia) else read, facts)

    def make(self, planned: Planned) -> Film:
        """Makes and proves the film; one that is not right is not left in the bucket."""
        plan, sources, probes = planned.plan, planned.sources, planned.probes
        self._tell("processing", 20)
        try:
            return self._make(plan, sources, probes)
        except BadMedia:
            self._media.delete([f"{self._work.key}.{plan.container}", self._work.thumbnail_key])
            raise

    def _make(self, plan: CompilePlan, sources: Sequence[ObjectSource], probes: Sequence[ProbedClip]) -> Film:
        if plan.strategy == SPLICE:
            return self._spliced(plan, sources, [probe.clip for probe in probes if probe.clip is not None])
        facts = [probe.facts for probe in probes if probe.facts is not None]
        if plan.strategy == COPY:
            return self._copied(plan, sources, facts)
        conformed = self._conformed(plan, sources, facts)
        read = read_clips(conformed)
        clips = [clip for clip in read if not isinstance(clip, BadMedia)]
        if len(clips) == len(read) and not refusals(clips):
            return self._spliced(plan, conformed, clips)
        if plan.strategy == SMART:
            everything = replace(plan, strategy=ENCODE_ALL, encoded=tuple(range(len(facts))))
            return self._make(everything, sources, probes)
        raise BadMedia("The clips could not be brought to one format: compile them in other parts.")

    def _open(self, source: Mapping[str, Any]) -> ObjectSource:
        """A clip that was decoded when it came in is known by its ETag, which every read holds it to."""
        decoded = source.get("decoded") or {}
        if decoded.get("etag") and source.get("sizeBytes"):
            return ObjectSource(self._media, known_object(source["key"], source["sizeBytes"], decoded["etag"]))
        return open_object(self._media, source["key"])

    def _probed(self, number: int, path: Path) -> MediaFacts:
        try:
            return self._timed("ffmpeg", lambda: self._place.encoder.probe(path))
        except BadMedia as error:
            raise BadMedia(f"Clip {number + 1}: {error.sentence}", code=error.code) from error

    def _downloaded(self, sources: Sequence[ObjectSource]) -> list[Path]:
        """The clips as files, each fetched once."""
        missing = [number for number in range(len(sources)) if number not in self._paths]

        def fetch(number: int) -> Path:
            path = self._place.folder / f"clip-{number:04d}.mp4"
            self._media.download(sources[number].stored.key, path)
            return path

        _check_room(sum(sources[number].size_bytes for number in missing), self._place.folder)
        paths = self._timed("download", lambda: side_by_side(fetch, missing))
        self._paths |= dict(zip(missing, paths, strict=True))
        return [self._paths[number] for number in range(len(sources))]

    def _spliced(self, plan: CompilePlan, sources: Sequence[ObjectSource], clips: Sequence[Clip]) -> Film:
        key = f"{self._work.key}.mp4"
        rewritten = {one.clip for one in payloads_needed(clips)}
        written = self._timed("upload", lambda: write_film(self._media, sources, clips, key, self._progress))
        self._tell("storing", 92)
        verification = self._verified(plan, written, sources, rewritten)
        picture = clips[0].picture
        assert picture is not None
        return Film(
            key=key,
            thumbnail_key=self._thumbnail(sources),
            content_type=CONTENT_TYPES["mp4"],
            size_bytes=written.splice.size_bytes,
            width=picture.entry.width,
            height=picture.entry.height,
            seconds=written.splice.duration_seconds,
            plan=plan,
            verification=verification,
            breakdown=self._spent,
            bytes_through=self._through(sources, written),
            derived=tuple(self._derived),
        )

    def _through(self, sources: Sequence[ObjectSource], written: WrittenFilm) -> int:
        read = sum(source.bytes_read for source in sources) + sum(path.stat().st_size for path in self._paths.values())
        return read + written.splice.size_bytes - written.bytes_copied

    def _verified(
        self, plan: CompilePlan, written: WrittenFilm, sources: Sequence[ObjectSource], rewritten: set[int],
    ) -> Mapping[str, Any]:  # fmt: skip
        """What was copied was decoded when it came in; what was made or changed here is decoded now."""
        proof = written.proof
        if proof.problems:
            raise failed(proof.problems)
        known = [source.get("decoded") or {} for source in self._work.sources]
        same = all(one.get("etag") == source.stored.etag for one, source in zip(known, sources, strict=True))
        if plan.strategy == SPLICE and same and not rewritten:
            return of_proof(proof, written, known)
        film = self._place.folder / "film.mp4"
        if written.data is not None:
            film.write_bytes(written.data)
        else:
            self._timed("download", lambda: self._media.download(f"{self._work.key}.mp4", film))
        facts = self._timed("ffmpeg", lambda: self._place.encoder.verify(film))
        decoded = facts.video.frames if facts.video else 0
        if decoded != proof.pictures:
            raise failed((f"{decoded} frames decode where the clips have {proof.pictures}",))
        return of_decode(proof, written, facts)

    def _copied(self, plan: CompilePlan, sources: Sequence[ObjectSource], facts: Sequence[MediaFacts]) -> Film:
        paths = self._downloaded(sources)
        target = self._place.folder / f"film.{plan.container}"
        assert plan.target is not None
        whole = sound_of_film(paths, facts, facts, plan.target) if plan.whole_sound else None
        self._timed("ffmpeg", lambda: self._place.encoder.join(paths, target, whole_audio=whole))
        self._tell("storing", 80)
        film = self._timed("ffmpeg", lambda: self._place.encoder.verify(target))
        verification = verify_film(facts, film, whole_audio=whole is not None)
        if not verification.ok:
            raise failed(verification.problems)
        key, content_type = f"{self._work.key}.{plan.container}", CONTENT_TYPES[plan.container]
        size_bytes = self._timed("upload", lambda: self._media.upload(target, key, content_type))
        video = film.video
        return Film(
            key=key,
            thumbnail_key=self._thumbnail(sources),
            content_type=content_type,
            size_bytes=size_bytes,
            width=video.width if video else None,
            height=video.height if video else None,
            seconds=float(film.duration_seconds),
            plan=plan,
            verification=of_verification(verification),
            breakdown=self._spent,
            bytes_through=sum(source.size_bytes for source in sources) + size_bytes,
        )

    def _conformed(
        self, plan: CompilePlan, sources: Sequence[ObjectSource], facts: Sequence[MediaFacts]
    ) -> list[ObjectSource]:
        """The sources, those to be encoded in their new form; work an earlier run has left is taken up."""
        pictures = [clip.video.frames if clip.video else 1 for clip in facts]
        self._progress.begin(sum(pictures[number] for number in plan.encoded))
        conformed = list(sources)
        before = 0
        for number in plan.encoded:
            conformed[number] = self._derive(plan, number, sources, facts)
            before += pictures[number]
            self._progress.reach(before)
        return conformed

    def _derive(
        self, plan: CompilePlan, number: int, sources: Sequence[ObjectSource], facts: Sequence[MediaFacts]
    ) -> ObjectSource:
        model = facts[plan.model].video if plan.strategy == SMART else None
        key = derived_key(self._work.account_id, sources[number], plan, model)
        source = self._earlier(key)
        if source is None:
            self._encode(plan, number, sources, facts, key, model)
            source = open_object(self._media, key)
        self._derived.append(source.stored)
        return source

    def _earlier(self, key: str) -> ObjectSource | None:
        try:
            return open_object(self._media, key)
        except NotFound:
            return None

    def _encode(
        self, plan: CompilePlan, number: int, sources: Sequence[ObjectSource], facts: Sequence[MediaFacts],
        key: str, model: VideoFacts | None,
    ) -> None:  # fmt: skip
        assert plan.target is not None
        made = self._place.folder / f"like-{number:04d}.mp4"
        before, fps = self._progress.done, model.fps if model else plan.target.fps

        def tell(seconds: float) -> None:
            self._progress.reach(before + int(seconds * fps))

        path, target = self._downloaded(sources)[number], plan.target
        encoder = self._place.encoder
        self._timed("ffmpeg", lambda: encoder.conform(path, facts[number], target, made, model=model, tell=tell))
        checked = self._timed("ffmpeg", lambda: encoder.verify(made))
        if checked.video is None or checked.video.frames == 0:
            raise BadMedia(f"Clip {number + 1} could not be encoded: generate or upload it again.")
        self._timed("upload", lambda: self._media.upload(made, key, CONTENT_TYPES["mp4"]))
        made.unlink()

    def _thumbnail(self, sources: Sequence[ObjectSource]) -> str | None:
        """The first clip's; made where it has none."""
        known = self._work.sources[0].get("thumbnailKey")
        if known:
            return str(known)
        first = self._paths.get(0) or self._place.folder / "first.mp4"
        if 0 not in self._paths:
            self._timed("download", lambda: self._media.download(sources[0].stored.key, first))
        picture = self._place.folder / "thumbnail.jpg"
        self._timed("ffmpeg", lambda: self._place.encoder.thumbnail(first, picture))
        self._media.upload(picture, self._work.thumbnail_key, "image/jpeg")
        return self._work.thumbnail_key

    def _timed(self, what: str, act: Callable[[], T]) -> T:
        began = self._clock.monotonic_seconds()
        try:
            return act()
        finally:
            self._spent[what] += self._clock.monotonic_seconds() - began


def _check_room(size_bytes: int, folder: Path) -> None:
    """Refused before anything is fetched: what FFmpeg makes of the clips takes about as much room again."""
    room = shutil.disk_usage(folder).free
    if 2 * size_bytes > room:
        raise BadMedia(
            f"The clips hold {size_bytes // 10**6} MB, and to encode or rejoin them there is room for "
            f"{room // 2 // 10**6} MB: compile fewer at once, or clips alike enough to be spliced.",
            code="too_large",
        )


def _heads_of(source: Mapping[str, Any]) -> SyncScan | None:
    kept = (source.get("decoded") or {}).get("heads")
    return SyncScan.of(kept) if kept else None


def derived_key(account_id: str, source: ObjectSource, plan: CompilePlan, model: Any) -> str:
    """Where a clip's new form lies: the same for the same bytes brought to the same format by the same engine."""
    told = [ENGINE, source.stored.key, source.stored.etag, repr(plan.target), repr(model)]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return f"derived/{account_id}/{digest}/clip.mp4"
