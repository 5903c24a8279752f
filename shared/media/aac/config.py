"""AudioSpecificConfig (ISO 14496-3, 1.6.2.1) in fields: two that differ in bytes may say the same."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media.bits import BadBits, Bits

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
AAC_LC = 2
HIGHEST_CORE_OF_HE_AAC = 24000
_SBR, _PS, _ESCAPE, _EXPLICIT_RATE = 5, 29, 31, 15
_SBR_SYNC, _PS_SYNC = 0x2B7, 0x548
_GENERAL_AUDIO = {1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23}
_WHAT = "sound configuration"


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """`sbr` is None where nothing is said of it: then a low core rate may hide HE-AAC.

    `channels` is 0 where a program config element in the stream itself tells them.
    """

    object_type: int
    sample_rate: int
    channel_config: int
    frame_samples: int
    sbr: bool | None
    ps: bool

    @property
    def channels(self) -> int:
        """How many a decoder gives without parametric stereo."""
        return CHANNELS.get(self.channel_config, 0)

    @property
    def is_plain_lc(self) -> bool:
        """AAC-LC with 1024 samples a frame and surely no HE-AAC on top."""
        hidden = self.sbr is None and self.sample_rate <= HIGHEST_CORE_OF_HE_AAC
        return self.object_type == AAC_LC and self.frame_samples == 1024 and not (self.sbr or self.ps or hidden)


def parse_audio_config(data: bytes) -> AudioConfig:
    """Raises BadBits for what is no configuration."""
    bits = Bits(data, _WHAT)
    object_type, rate, channel_config = _object_type(bits), _rate(bits), bits.take(4)
    sbr: bool | None = None
    ps = False
    if object_type in (_SBR, _PS):
        sbr, ps = True, object_type == _PS
        _rate(bits)
        object_type = _object_type(bits)
    frame_samples = 1024
    if object_type in _GENERAL_AUDIO:
        frame_samples = _general_audio(bits, object_type, channel_config)
        if sbr is None:
            sbr, ps = _extension(bits)
    return AudioConfig(object_type, rate, channel_config, frame_samples, sbr, ps)


def _object_type(bits: Bits) -> int:
    kind = bits.take(5)
    return 32 + bits.take(6) if kind == _ESCAPE else kind


def _rate(bits: Bits) -> int:
    index = bits.take(4)
    if index == _EXPLICIT_RATE:
        return bits.take(24)
    if index >= len(RATES):
        raise BadBits(_WHAT)
    return RATES[index]


def _general_audio(bits: Bits, object_type: int, channel_config: int) -> int:
    """GASpecificConfig (4.4.1) up to a program config element; samples a frame."""
    short_frames = bits.flag()
    if bits.flag():
        bits.take(14)
    extension = bits.flag()
    if channel_config == 0:
        bits.take(bits.left)
        return 960 if short_frames else 1024
    if object_type in (6, 20):
        bits.take(3)
    if extension:
        bits.take(17 if object_type == 22 else 4 if object_type in (17, 19, 20, 23) else 1)
    return 960 if short_frames else 1024


def _extension(bits: Bits) -> tuple[bool | None, bool]:
    """The backward compatible signalling of SBR and PS that may follow (1.6.5.3)."""
    if bits.left < 16 or bits.take(11) != _SBR_SYNC or _object_type(bits) != _SBR:
        return None, False
    if not bits.flag():
        return False, False
    _rate(bits)
    return True, bits.left >= 12 and bits.take(11) == _PS_SYNC and bits.flag()
