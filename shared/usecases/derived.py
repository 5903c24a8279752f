"""What is made of clips on the way to a film: each lies in the bucket under a name that says what it was made of.

A retry, or another film with the same clip, finds it there. Nothing passes through a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

from shared.domain.errors import BadMedia
from shared.media.clip import Clip, lasting_seconds
from shared.media.conform import ClipChanges, Timing, conformed_timings, shown_seconds
from shared.media.plan import SMART
from shared.media.probe import VideoFacts
from shared.media.sound import held_seconds, piece_of
from shared.media.streams import Write
from shared.ports import Encoder, MediaStore, StoredObject
from shared.usecases.film import Planned, Work
from shared.usecases.film_proof import of_clip
from shared.usecases.object_source import ObjectSource, open_object
from shared.usecases.splicing import Progress, read_clips
from shared.usecases.transfers import write_stream

# Part of every derived object's name: another way of making it must not find an earlier one's work.
ENGINE = "5"
Tell = Callable[[float], None]


class Derived:
    """Makes or finds what a plan needs; `made` lists it, `found` says that some of it was there already.

    Progress counts milliseconds of media.
    """

    def __init__(self, media: MediaStore, encoder: Encoder, work: Work, planned: Planned, progress: Progress) -> None:
        self._media, self._encoder, self._work = media, encoder, work
        self._planned, self._progress = planned, progress
        self._plan, self._facts = planned.plan, planned.facts
        self.made: list[StoredObject] = []
        self.found = False

    def clips(self) -> list[ObjectSource]:
        """The clips' objects, of those that cannot stay as they are their new ones."""
        changed = {*self._plan.encoded, *self._plan.rewrapped}
        heard = range(len(self._facts)) if self._plan.whole_sound else ()
        seconds = sum(self._facts[number].duration_seconds for number in (*changed, *heard))
        self._progress.begin(int(seconds * 1000))
        return [self._clip(number) for number in range(len(self._facts))]

    def in_time(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips, of encoded ones with frames of their own times as long as they were: encoders lose the length of
        the last frame.
        """
        own = self._plan.own_times
        return [
            lasting_seconds(clip, shown_seconds(self._facts[number])) if number in own else clip
            for number, clip in enumerate(clips)
        ]

    def are_whole(self, clips: Sequence[Clip]) -> bool:
        """Whether no picture was lost or added: an exit code proves nothing."""
        return all(clip.picture and clip.picture.tables.sizes.count == count for clip, count in self._counted(clips))

    def sound(self, clips: Sequence[Clip]) -> tuple[ObjectSource, Clip]:
        """The sound of all clips as one, cut to their pictures. Raises BadMedia where it cannot be made."""
        target, inputs = self._plan.target, self._planned.inputs
        assert target is not None
        assert target.sample_rate is not None
        rate, channels = target.sample_rate, target.channels
        times = [clip.picture.times for clip in clips if clip.picture and clip.picture.times]
        pieces = [
            piece_of(inputs.of(number), facts, shown.seconds, held=self._held(number, clips[number]))
            for number, (facts, shown) in enumerate(zip(self._facts, times, strict=True))
        ]
        told = [
            [*self._told(number), piece.source is None, str(piece.lead_seconds), str(piece.seconds)]
            for number, piece in enumerate(pieces)
        ]

        def make(write: Write, tell: Tell) -> None:
            self._encoder.whole_sound(pieces, rate, channels, write, tell=tell)

        source = self._found_or_made(["sound", told, rate, channels], make)
        (read,) = read_clips([source])
        if isinstance(read, BadMedia):
            raise read
        return source, read

    def forget(self) -> None:
        """Removes what was made: it is not what it should be, and no later run may find it."""
        self._media.delete([stored.key for stored in self.made])
        self.made.clear()

    def _clip(self, number: int) -> ObjectSource:
        facts, inputs, sound = self._facts[number], self._planned.inputs, not self._plan.whole_sound
        target, model = self._plan.target, self._model
        assert target is not None
        timing = self._timings.get(number)

        def encode(write: Write, tell: Tell, *, changing: bool = False) -> None:
            self._encoder.conform(
                inputs.of(number), facts, target, write, model=model, timing=timing, changing=changing, tell=tell
            )

        def rewrap(write: Write, tell: Tell) -> None:
            self._encoder.rewrap(inputs.of(number), facts, write, sound=sound, tell=tell)

        try:
            if number in self._plan.encoded:
                told = ["encoded", *self._told(number), repr(target), repr(model), repr(timing)]
                return self._encoded(told, encode)
            if number in self._plan.rewrapped:
                return self._found_or_made(["rewrapped", *self._told(number), sound], rewrap)
        except BadMedia as error:
            raise of_clip(number, error) from error
        return self._planned.sources[number]

    def _encoded(self, told: Sequence[Any], encode: Callable[..., None]) -> ObjectSource:
        """`encode` is called once more for a clip that turns out to change on the way."""
        try:
            return self._found_or_made(told, encode)
        except ClipChanges:
            return self._found_or_made(told, partial(encode, changing=True))

    @property
    def _model(self) -> VideoFacts | None:
        """The picture that encoded clips have to lie beside."""
        return self._facts[self._plan.model].video if self._plan.strategy == SMART else None

    @cached_property
    def _timings(self) -> dict[int, Timing]:
        """By clip that is encoded, how many frames it gets and when."""
        target, encoded = self._plan.target, sorted(self._plan.encoded)
        assert target is not None
        clips = ((self._facts[number], number in self._plan.own_times) for number in encoded)
        return dict(zip(encoded, conformed_timings(clips, target), strict=True))

    def _held(self, number: int, clip: Clip) -> Fraction:
        """How long a clip's first frame is shown before its time; of one that is copied its tables decide."""
        is_made = number in self._plan.encoded or number in self._plan.rewrapped
        if is_made or clip.picture is None:
            return held_seconds(self._facts[number])
        return clip.picture.held_seconds

    def _counted(self, clips: Sequence[Clip]) -> list[tuple[Clip, int]]:
        """Clips that were made, each with the number of frames it has to have."""
        own = ((number, self._facts[number].video) for number in self._plan.rewrapped)
        frames = {number: video.frames for number, video in own if video is not None}
        frames |= {number: timing.frames for number, timing in self._timings.items()}
        return [(clips[number], count) for number, count in frames.items()]

    def _told(self, number: int) -> list[str]:
        stored = self._planned.sources[number].stored
        return [stored.key, stored.etag]

    def _found_or_made(self, told: Sequence[Any], make: Callable[[Write, Tell], None]) -> ObjectSource:
        folder, before = derived_folder(self._work.account_id, told), self._progress.done

        def tell(seconds: float) -> None:
            self._progress.reach(before + int(seconds * 1000))

        found = self._media.page(folder, "", 1)
        key = found[0].key if found else f"{folder}{self._work.job_id}.mp4"
        self.found |= bool(found)
        if not found:
            write_stream(self._media, key, lambda write: make(write, tell))
        source = open_object(self._media, key)
        self.made.append(source.stored)
        return source


def derived_folder(account_id: str, told: Sequence[Any]) -> str:
    """Where it lies: the same for the same bytes brought to the same form by the same engine.

    Whoever makes it first gives it a name of its own there: no two jobs write one object.
    """
    digest = hashlib.sha256(json.dumps([ENGINE, *told]).encode()).hexdigest()
    return f"derived/{account_id}/{digest}/"
