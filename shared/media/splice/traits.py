"""What clips must share to lie in one track, and which of them are the odd ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from shared.media.aac.config import AudioConfig
from shared.media.clip import Clip, EqualConfig, Picture, shape
from shared.media.colour import Colour
from shared.media.h264.config import AvcConfig
from shared.media.hevc import HevcConfig
from shared.media.mp4.movie import SOUND

# What has a trait and reads well in a sentence, by the code of its refusal.
NAMES = {
    "video_codec_differs": "another codec",
    "nal_length_differs": "unit lengths of another width",
    "size_differs": "another frame size",
    "pixel_aspect_differs": "another pixel aspect",
    "aperture_differs": "another clean aperture",
    "chroma_differs": "another chroma format",
    "bit_depth_differs": "another bit depth",
    "colour_differs": "other colours",
    "interlacing_differs": "another interlacing",
    "rotation_differs": "another rotation",
    "parameter_sets_differ": "other parameter sets",
}
T = TypeVar("T")
Trait = str | int | bytes | bool | Fraction | Colour | tuple[object, ...]


@dataclass(frozen=True, slots=True)
class PictureTraits:
    """By code, what must be alike."""

    values: tuple[tuple[str, Trait], ...]

    def differing(self, other: PictureTraits) -> tuple[str, ...]:
        """Codes of what is not alike."""
        theirs = dict(other.values)
        return tuple(code for code, value in self.values if theirs.get(code, value) != value)

    def __getitem__(self, code: str) -> Trait:
        return dict(self.values)[code]


def colour(picture: Picture) -> Colour:
    """The container's word, else the codec's; what is not said of the range means the narrow one."""
    config = picture.config
    found = picture.entry.colour or (config.main.usability.colour if isinstance(config, AvcConfig) else Colour())
    return replace(found, full_range=bool(found.full_range))


def picture_traits(picture: Picture) -> PictureTraits:
    """Of a picture whose configuration was read."""
    config, shown = picture.config, shape(picture)
    turned = shown.orientation
    assert config is not None
    values: list[tuple[str, Trait]] = [
        ("video_codec_differs", picture.entry.kind if isinstance(config, EqualConfig) else type(config).__name__),
        ("size_differs", shown.coded),
        ("pixel_aspect_differs", shown.pixel_aspect),
        ("aperture_differs", shown.aperture),
        ("colour_differs", colour(picture)),
        ("rotation_differs", (turned.degrees, turned.mirrored, turned.odd)),
    ]
    if isinstance(config, EqualConfig):
        return PictureTraits((*values, ("parameter_sets_differ", config.told)))
    depths = _depths(config)
    values += [
        ("nal_length_differs", config.length_bytes),
        ("chroma_differs", depths[0]),
        ("bit_depth_differs", depths[1:]),
    ]
    if isinstance(config, AvcConfig):
        values.append(("interlacing_differs", config.main.progressive))
    else:
        # Nothing is known of players that meet HEVC sets both in band and in the head: all clips or none.
        in_band = picture.scan is not None and picture.scan.with_sets > 0
        values.append(("parameter_sets_differ", (*sorted(config.sets), in_band)))
    return PictureTraits(tuple(values))


def audio_config(clip: Clip) -> AudioConfig | None:
    """How the clip's sound is coded; None for a clip that is silent."""
    return clip.sound.entry.aac if has_sound(clip) and clip.sound else None


def pictures_alone(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """The clips as if they had no sound, not even damaged sound."""
    return tuple(replace(clip, sound=None, faults=_without_sounds(clip)) for clip in clips)


def _without_sounds(clip: Clip) -> tuple[str, ...]:
    """The clip's faults but for those that only tracks of sound have."""
    tracks = clip.file.movie.tracks
    heard = {fault for track in tracks if track.handler == SOUND for fault in track.faults}
    others = {*clip.file.faults, *(fault for track in tracks if track.handler != SOUND for fault in track.faults)}
    return tuple(fault for fault in clip.faults if fault not in heard - others)


def has_sound(clip: Clip) -> bool:
    """Whether it holds a single packet of sound."""
    return clip.sound is not None and clip.sound.tables.sizes.count > 0


def layout(config: AudioConfig) -> tuple[int, int, int, int]:
    """What two sounds must share: bytes of a configuration may differ and say the same."""
    return config.object_type, config.sample_rate, config.channel_config, config.frame_samples


def usual_sound(clips: Sequence[Clip]) -> AudioConfig | None:
    """The first configuration of the layout most of the film has; None where no clip has sound."""
    layouts = [(config, layout(config)) for config in map(audio_config, clips) if config is not None]
    usual = most_usual(
        clips,
        lambda clip: layout(config) if (config := audio_config(clip)) else None,
        lambda clip: clip.sound.tables.sizes.count if clip.sound else 0,
    )
    return next((config for config, one in layouts if one == usual), None)


def most_usual(clips: Sequence[Clip], trait: Callable[[Clip], T | None], weight: Callable[[Clip], int]) -> T | None:
    """The trait most of the film has, by `weight`; the earlier one of two as heavy."""
    weights: Counter[T] = Counter()
    for clip in clips:
        found = trait(clip)
        if found is not None:
            weights[found] += weight(clip)
    return max(weights, key=lambda one: weights[one]) if weights else None


def _depths(config: AvcConfig | HevcConfig) -> tuple[int, int, int]:
    main = config.main if isinstance(config, AvcConfig) else config
    return main.chroma_format, main.bit_depth_luma, main.bit_depth_chroma
