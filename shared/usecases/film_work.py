"""How a plan becomes a film in the bucket, and the proof that it is right. Nothing is written to the database here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from shared.domain.errors import BadMedia
from shared.domain.jobs import JobStep
from shared.media.clip import Clip
from shared.media.compare import ProbedClip
from shared.media.estimate import reckon
from shared.media.heads import SyncScan
from shared.media.plan import SPLICE, CompilePlan, dearer_plan, plan_film, plan_splice
from shared.media.presentation import Streams
from shared.media.probe import MediaFacts
from shared.media.second_reading import Shown, shown_by_ffmpeg, with_length
from shared.media.splice.film import payloads_needed
from shared.media.splice.refusals import refusals
from shared.media.splice.traits import pictures_alone
from shared.media.verification import verify_film
from shared.ports import Clock, MediaStore
from shared.usecases.derived import Derived
from shared.usecases.film import Film, Planned, Together, Work
from shared.usecases.film_inputs import FilmInputs
from shared.usecases.film_proof import failed, of_clip, of_decode, of_proof, of_verification
from shared.usecases.inspect_media import Place, decoded_of, encrypted
from shared.usecases.object_source import ObjectSource, known_object, open_object
from shared.usecases.splicing import Progress, WrittenFilm, read_clips, write_film
from shared.usecases.transfers import side_by_side

T = TypeVar("T")
CONTENT_TYPES = {"mp4": "video/mp4", "webm": "video/webm"}
Reads = Sequence[Clip | BadMedia]


class FilmWork:
    """Follows plans. `tell(step, percent)` hears how far it has come; the place's `check` stops it."""

    def __init__(
        self, media: MediaStore, clock: Clock, place: Place, tell: Callable[[JobStep, int], None], work: Work
    ) -> None:
        self._media, self._clock, self._place, self._tell, self._work = media, clock, place, tell, work
        self._spent = {"download": 0.0, "ffmpeg": 0.0, "upload": 0.0}
        self._says_how_long = True
        # By object, what FFmpeg reads of it.
        self._facts: dict[str, MediaFacts] = {}
        # By clip, what decoding it found: `black` and `silent` stretches.
        self._decoded: dict[int, Mapping[str, Any]] = {}
        self._progress = Progress(place.check, lambda share: tell("processing", 20 + int(share * 70)))

    def plan(self) -> Planned:
        """What is to be done. Raises NotFound, BadMedia naming the clip, DependencyDown."""
        sources, reads = self._timed("download", self._looked_at)
        inputs = FilmInputs(self._place, sources, reads)
        probes = [_known(*one) for one in zip(reads, self._work.sources, sources, strict=True)]
        plan = plan_splice(probes, self._work.wishes)
        if plan is None:
            probes = [replace(probe, facts=self._probed(n, inputs)) for n, probe in enumerate(probes)]
            plan = plan_film(probes, self._work.wishes)
        sizes, proved = [source.size_bytes for source in sources], self._were_decoded(sources)
        return Planned(plan, sources, probes, inputs, reckon(plan, probes, sizes, proved=proved))

    def look_closely(self) -> ProbedClip:
        """The only source, by its index and by FFmpeg. Raises as `plan` does."""
        sources, reads = self._looked_at()
        facts = self._probed(0, FilmInputs(self._place, sources, reads))
        return ProbedClip(None if isinstance(reads[0], BadMedia) else reads[0], facts)

    def make(self, planned: Planned) -> Film:
        """Makes and proves the film; one that is not right is not left in the bucket."""
        self._tell("processing", 20)
        try:
            return self._make(planned)
        except BadMedia:
            self._media.delete([f"{self._work.key}.{planned.plan.container}", self._work.thumbnail_key])
            raise

    def _looked_at(self) -> tuple[list[ObjectSource], Reads]:
        """A clip that is named several times is opened and read once."""
        named = {source["key"]: source for source in self._work.sources}
        opened = dict(zip(named, side_by_side(self._open, named.values()), strict=True))
        read_once = read_clips([*opened.values()], [_heads_of(source) for source in named.values()])
        read = dict(zip(named, read_once, strict=True))
        keys = [source["key"] for source in self._work.sources]
        sources, reads = [opened[key] for key in keys], [read[key] for key in keys]
        for number, read in enumerate(reads):
            if isinstance(read, Clip) and read.encrypted:
                raise of_clip(number, encrypted())
        return sources, reads

    def _open(self, source: Mapping[str, Any]) -> ObjectSource:
        """A clip that was decoded when it came in is known by its ETag, which every read holds it to."""
        decoded = source.get("decoded") or {}
        if decoded.get("etag") and source.get("sizeBytes"):
            return ObjectSource(self._media, known_object(source["key"], source["sizeBytes"], decoded["etag"]))
        return open_object(self._media, source["key"])

    def _probed(self, number: int, inputs: FilmInputs) -> MediaFacts:
        """Raises BadMedia naming the clip; also where FFmpeg reads fewer pictures than its index has."""
        key = self._work.sources[number]["key"]
        if key not in self._facts:
            self._facts[key] = self._probed_once(number, inputs)
        return self._facts[key]

    def _probed_once(self, number: int, inputs: FilmInputs) -> MediaFacts:
        facts, read = self._read_as(self._place.encoder.probe, number, inputs), inputs.read(number)
        times = read.picture.times if isinstance(read, Clip) and read.picture else None
        # Of an edit list of several parts FFmpeg leaves frames out: that is told of the list, not of the file.
        stored = times.shown if times is not None and not times.odd_edits else 0
        if facts.video is not None and facts.video.frames + facts.video.hidden < stored:
            raise BadMedia(f"Clip {number + 1}: The file is cut off: upload or generate it again.")
        return facts if times is None else with_length(facts, times)

    def _make(self, planned: Planned) -> Film:
        if planned.plan.strategy == SPLICE:
            planned = self._read_by_ffmpeg(planned)
        if planned.plan.strategy == SPLICE:
            clips = [probe.clip for probe in planned.probes if probe.clip is not None]
            return self._spliced(planned, Together(planned.sources, clips))
        if planned.plan.container == "webm":
            return self._joined(planned)
        together = self._brought_together(planned)
        if together is not None:
            return self._spliced(planned, together)
        plan = dearer_plan(planned.plan, planned.probes, self._work.wishes)
        if plan is None:
            raise BadMedia("The clips could not be brought to one format: compile them in other parts.")
        self._says_how_long = False
        return self._make(replace(planned, plan=plan))

    def _read_by_ffmpeg(self, planned: Planned) -> Planned:
        """The plan once FFmpeg has read every clip too: another one where it shows a clip otherwise than its index.

        Clips that were decoded when they came in are known; others are decoded now, unless the film will be.
        """
        clips = [probe.clip for probe in planned.probes if probe.clip is not None]
        encoder, inputs = self._place.encoder, planned.inputs
        read = encoder.probe if payloads_needed(clips) else encoder.verify
        probes, found = list(planned.probes), dict[str, MediaFacts]()
        for number, probe in enumerate(probes):
            if self._was_decoded(number, planned.sources[number]):
                continue
            key = planned.sources[number].stored.key
            found[key] = facts = found.get(key) or self._read_as(read, number, inputs)
            self._decoded[number] = decoded_of(facts)
            probes[number] = replace(probe, shown=shown_by_ffmpeg(facts))
        if not any(probe.disagreement for probe in probes):
            return replace(planned, probes=probes)
        probes = [replace(probe, facts=self._probed(number, inputs)) for number, probe in enumerate(probes)]
        self._says_how_long = False
        return replace(planned, probes=probes, plan=plan_film(probes, self._work.wishes))

    def _read_as(self, read: Callable[..., MediaFacts], number: int, inputs: FilmInputs) -> MediaFacts:
        """Facts that FFmpeg finds in a clip. Raises BadMedia naming it."""
        try:
            return self._timed("ffmpeg", partial(read, inputs.of(number), inputs.streams(number)))
        except BadMedia as error:
            raise of_clip(number, error) from error

    def _brought_together(self, planned: Planned) -> Together | None:
        """The clips as they can be spliced; None where what was made of them does not fit together."""
        derived = Derived(self._media, self._place.encoder, self._work, planned, self._progress)
        sources = self._timed("ffmpeg", derived.clips)
        reads = read_clips(sources)
        clips: Sequence[Clip] = [read for read in reads if not isinstance(read, BadMedia)]
        if planned.plan.target is not None and planned.plan.target.sample_rate is None:
            # What sound they may hold cannot be heard.
            clips = pictures_alone(clips)
        if len(clips) < len(reads) or not derived.are_whole(clips):
            derived.forget()
            return None
        self._says_how_long &= not derived.found
        clips = derived.in_time(clips)
        whole_sound = planned.plan.whole_sound or bool(refusals(clips))
        if refusals(clips, whole_sound=whole_sound):
            return None
        sound = self._timed("ffmpeg", lambda: derived.sound(clips)) if whole_sound else None
        return Together(sources, clips, sound, tuple(derived.made))

    def _spliced(self, planned: Planned, together: Together) -> Film:
        key, clips, thumbnail = f"{self._work.key}.mp4", together.clips, self._thumbnail(planned)
        rewritten = {one.clip for one in payloads_needed(clips, whole_sound=together.sound is not None)}
        written = self._timed(
            "upload",
            lambda: write_film(self._media, together.sources, clips, key, self._progress, sound=together.sound),
        )
        self._tell("storing", 92)
        verification = self._verified(planned.plan, written, together, rewritten)
        picture = clips[0].picture
        assert picture is not None
        return Film(
            key=key,
            thumbnail_key=thumbnail,
            content_type=CONTENT_TYPES["mp4"],
            size_bytes=written.splice.size_bytes,
            width=picture.entry.width,
            height=picture.entry.height,
            seconds=written.splice.duration_seconds,
            plan=planned.plan,
            verification=verification,
            breakdown=self._spent,
            bytes_through=_through(planned, together) + written.splice.size_bytes - written.bytes_copied,
            derived=together.derived,
            reckoning=planned.reckoning if self._says_how_long else None,
        )

    def _verified(
        self,
        plan: CompilePlan,
        written: WrittenFilm,
        together: Together,
        rewritten: set[int],
    ) -> Mapping[str, Any]:
        """What was copied has been decoded as a clip; what was made or changed here is decoded now."""
        proof = written.proof
        if proof.problems:
            raise failed(proof.problems)
        if plan.strategy == SPLICE and not rewritten:
            return of_proof(proof, written, [self._decoded[number] for number in range(len(together.sources))])
        film = open_object(self._media, f"{self._work.key}.mp4")
        if written.data is not None:
            film.hold(written.data)
        inputs = FilmInputs(self._place, [film], read_clips([film]), name="film")
        facts = self._timed("ffmpeg", lambda: self._place.encoder.verify(inputs.of(0)))
        decoded = facts.video.frames if facts.video else 0
        if decoded != proof.pictures:
            raise failed((f"{decoded} frames decode where the clips have {proof.pictures}",))
        return of_decode(proof, written, facts)

    def _were_decoded(self, sources: Sequence[ObjectSource]) -> bool:
        return all(self._was_decoded(number, source) for number, source in enumerate(sources))

    def _was_decoded(self, number: int, source: ObjectSource) -> bool:
        """Whether the very bytes were decoded when they came in, and what was shown of them is on record."""
        known = self._work.sources[number].get("decoded") or {}
        if known.get("etag") != source.stored.etag or "shown" not in known:
            return False
        self._decoded[number] = known
        return True

    def _joined(self, planned: Planned) -> Film:
        """A WebM, whose index FFmpeg writes last and in front: clips and film are files of the workplace."""
        facts = [probe.facts for probe in planned.probes if probe.facts is not None]
        paths = self._timed("download", lambda: planned.inputs.files(range(len(facts))))
        target = self._place.folder / "film.webm"
        lengths = [clip.duration_seconds for clip in facts]
        self._timed("ffmpeg", lambda: self._place.encoder.join(paths, target, lengths))
        self._tell("storing", 80)
        film = self._timed("ffmpeg", lambda: self._place.encoder.verify(target))
        verification = verify_film(facts, film)
        if not verification.ok:
            raise failed(verification.problems)
        key, content_type = f"{self._work.key}.webm", CONTENT_TYPES["webm"]
        size_bytes = self._timed("upload", lambda: self._media.upload(target, key, content_type))
        video = film.video
        return Film(
            key=key,
            thumbnail_key=self._thumbnail(planned),
            content_type=content_type,
            size_bytes=size_bytes,
            width=video.width if video else None,
            height=video.height if video else None,
            seconds=float(film.duration_seconds),
            plan=planned.plan,
            verification=of_verification(verification),
            breakdown=self._spent,
            bytes_through=planned.inputs.bytes_fetched() + size_bytes,
            reckoning=planned.reckoning,
        )

    def _thumbnail(self, planned: Planned) -> str | None:
        """The first clip's; made where it has none."""
        known = self._work.sources[0].get("thumbnailKey")
        if known:
            return str(known)
        picture = self._place.folder / "thumbnail.jpg"
        streams = planned.inputs.streams(0)
        facts = planned.probes[0].facts
        if streams is None and facts is not None and facts.video is not None:
            streams = Streams(facts.video.stream)
        self._timed("ffmpeg", lambda: self._place.encoder.thumbnail(planned.inputs.of(0), picture, streams))
        self._media.upload(picture, self._work.thumbnail_key, "image/jpeg")
        return self._work.thumbnail_key

    def _timed(self, what: str, act: Callable[[], T]) -> T:
        began = self._clock.monotonic_seconds()
        try:
            return act()
        finally:
            self._spent[what] += self._clock.monotonic_seconds() - began


def _through(planned: Planned, together: Together) -> int:
    """Bytes read: of the clips, of what was made of them, of files."""
    sources = {id(source): source for source in (*planned.sources, *together.sources)}
    read = sum(source.bytes_read for source in sources.values())
    return read + (together.sound[0].bytes_read if together.sound else 0) + planned.inputs.bytes_fetched()


def _known(read: Clip | BadMedia, kept: Mapping[str, Any], source: ObjectSource) -> ProbedClip:
    """What is known of a clip before FFmpeg is asked."""
    if isinstance(read, BadMedia):
        return ProbedClip(None, None, read.code)
    decoded = kept.get("decoded") or {}
    shown = decoded.get("shown") if decoded.get("etag") == source.stored.etag else None
    return ProbedClip(read, shown=Shown.from_json(shown) if shown else None)


def _heads_of(source: Mapping[str, Any]) -> SyncScan | None:
    kept = (source.get("decoded") or {}).get("heads")
    return SyncScan.of(kept) if kept and "keys" in kept else None
