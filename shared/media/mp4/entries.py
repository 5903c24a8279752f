"""Sample entries: how a track's samples are coded (ISO 14496-12, 8.5.2 and 12; 14496-14, 5.6; 14496-15, 5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from shared.media.aac.config import AudioConfig, parse_audio_config
from shared.media.colour import Colour
from shared.media.mp4.boxes import Box, boxes_of
from shared.media.mp4.fields import BadMp4, Fields

CONFIG_BOXES = ("avcC", "hvcC", "vvcC", "av1C", "vpcC", "esds", "dOps", "dac3", "dec3")
_APERTURE_BYTES = 32
_VISUAL_HEADER_BYTES, _AUDIO_HEADER_BYTES = 78, 28
_ESDS_DESCRIPTOR, _DECODER_CONFIG, _DECODER_INFO = 3, 4, 5
AAC_TYPES = {0x40, 0x66, 0x67, 0x68}
MP3_TYPES = {0x69, 0x6B}
IMAGE_KINDS, IMAGE_TYPES = {"jpeg", "png "}, {0x6C, 0x6D}


@dataclass(frozen=True, slots=True)
class VisualEntry:
    """A picture track's samples. Size in pixels; `config` is the payload of the codec's own box.

    `aperture` is the payload of a clean aperture (`clap`) that crops; empty where all of the frame is shown.
    """

    kind: str
    width: int
    height: int
    config: bytes
    pixel_aspect: Fraction | None
    colour: Colour | None
    aperture: bytes = b""
    object_type: int | None = None

    @property
    def is_image(self) -> bool:
        """Whether its samples are single images, as of a thumbnail or a cover."""
        return self.kind in IMAGE_KINDS or self.object_type in IMAGE_TYPES


@dataclass(frozen=True, slots=True)
class AudioEntry:
    """A sound track's samples. `channels` and `sample_rate` are the header's and may lie; `aac` does not."""

    kind: str
    channels: int
    sample_rate: int
    config: bytes
    object_type: int | None = None
    aac: AudioConfig | None = None


def parse_visual(box: Box) -> VisualEntry:
    """Raises BadMp4 where the entry is shorter than its fixed part or a box leaves it."""
    fields = box.fields()
    header = Fields(fields.take(_VISUAL_HEADER_BYTES), box.kind)
    header.take(24)
    width, height = header.unsigned(2), header.unsigned(2)
    inner = list(boxes_of(fields.take_rest(), box.kind))
    boxes = {one.kind: one for one in inner}
    aspect = boxes.get("pasp")
    return VisualEntry(
        box.kind,
        width,
        height,
        config=_config(boxes),
        pixel_aspect=_aspect(aspect.fields()) if aspect else None,
        colour=next(filter(None, (_colour(one.fields()) for one in inner if one.kind == "colr")), None),
        aperture=_aperture(boxes["clap"], (width, height)) if "clap" in boxes else b"",
        object_type=_object_type(boxes["esds"]) if "esds" in boxes else None,
    )


def _object_type(esds: Box) -> int | None:
    try:
        return _decoder_info(esds.fields())[0]
    except BadMp4:
        return None


def _aperture(clap: Box, size: tuple[int, int]) -> bytes:
    """Empty where it shows the whole frame or says nothing that can be (ISO 14496-12, 12.1.4)."""
    fields = clap.fields()
    if fields.left < _APERTURE_BYTES:
        return b""
    width, width_by, height, height_by = (fields.unsigned(4) for _ in range(4))
    if not (width and width_by and height and height_by):
        return b""
    whole = Fraction(width, width_by) >= size[0] and Fraction(height, height_by) >= size[1]
    return b"" if whole else bytes(clap.payload[:_APERTURE_BYTES])


def equal_part(entry: VisualEntry) -> bytes:
    """What two configurations must share: an ES descriptor also holds bit rates, which differ clip by clip."""
    if entry.kind != "mp4v":
        return entry.config
    object_type, info = _decoder_info(Fields(memoryview(entry.config), "esds"))
    return bytes([object_type]) + info


def parse_audio(box: Box) -> AudioEntry:
    """An ISO or QuickTime entry; QuickTime hides the codec's box in `wave`. Raises BadMp4, BadBits."""
    fields = box.fields()
    header = Fields(fields.take(_AUDIO_HEADER_BYTES), box.kind)
    header.take(8)
    version = header.unsigned(2)
    header.take(6)
    channels = header.unsigned(2)
    header.take(6)
    sample_rate = header.unsigned(4) >> 16
    fields.take({1: 16, 2: 36}.get(version, 0))
    boxes = {inner.kind: inner for inner in _through_wave(boxes_of(fields.take_rest(), box.kind))}
    if "esds" not in boxes:
        return AudioEntry(box.kind, channels, sample_rate, _config(boxes))
    object_type, info = _decoder_info(boxes["esds"].fields())
    aac = parse_audio_config(info) if object_type in AAC_TYPES and info else None
    return AudioEntry(box.kind, channels, sample_rate, _config(boxes), object_type, aac)


def _through_wave(boxes: Iterator[Box]) -> Iterator[Box]:
    for box in boxes:
        if box.kind == "wave":
            yield from box.children()
        yield box


def _config(boxes: dict[str, Box]) -> bytes:
    return next((bytes(boxes[kind].payload) for kind in CONFIG_BOXES if kind in boxes), b"")


def _aspect(fields: Fields) -> Fraction | None:
    across, down = fields.unsigned(4), fields.unsigned(4)
    return Fraction(across, down) if across and down else None


def _colour(fields: Fields) -> Colour | None:
    kind = bytes(fields.take(4))
    if kind not in (b"nclx", b"nclc"):
        return None
    primaries, transfer, matrix = (fields.unsigned(2) for _ in range(3))
    full = bool(fields.unsigned(1) & 0x80) if kind == b"nclx" else None
    return Colour(primaries, transfer, matrix, full)


def _decoder_info(fields: Fields) -> tuple[int, bytes]:
    """Object type indication and DecoderSpecificInfo of an ES descriptor (ISO 14496-1, 7.2.6)."""
    fields.version()
    outer = _descriptor(fields, _ESDS_DESCRIPTOR)
    outer.take(2)
    flags = outer.unsigned(1)
    outer.take(2 if flags & 0x80 else 0)
    outer.take(outer.unsigned(1) if flags & 0x40 else 0)
    outer.take(2 if flags & 0x20 else 0)
    config = _descriptor(outer, _DECODER_CONFIG)
    object_type = config.unsigned(1)
    config.take(12)
    if not config.left:
        return object_type, b""
    return object_type, bytes(_descriptor(config, _DECODER_INFO).take_rest())


def _descriptor(fields: Fields, tag: int) -> Fields:
    if fields.unsigned(1) != tag:
        raise BadMp4("mp4_bad_descriptor", "its sound has no decoder configuration")
    length = 0
    for _ in range(4):
        byte = fields.unsigned(1)
        length = length << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return Fields(fields.take(length), "esds")
