"""The table of plans: clips, what is asked for of their film, and the plan that is right."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from shared.media.colour import PERCEPTUAL_QUANTIZER, Colour
from shared.media.h264.config import AvcConfig
from shared.media.target import Wishes
from tests.unit.media.planned import Row, copied, encoded, of_webm, smart, spliced
from tests.unit.media.probed import (
    HE_AAC,
    LARGE,
    LOW_RATE,
    MATROSKA,
    MONO,
    SIX,
    SMALL,
    changed,
    coloured,
    h264,
    late,
    other,
    shown_as,
    silent,
    webm,
    with_clock,
    with_edits,
)

FPS = Fraction(30)
A, MKV, WEBM, SILENT = h264(), other(MATROSKA), webm(), h264(None)
L, S = h264(size=LARGE), h264(size=SMALL)
UNEVEN = h264(size=SMALL, variable_rate=True)
HEVC, INTERLACED = h264(codec="hevc"), h264(interlaced=True)
HDR = coloured(h264(pixel_format="yuv420p10le", transfer="smpte2084"), Colour(9, PERCEPTUAL_QUANTIZER, 9))
SIZE = "size_differs video_width video_height video_extradata"
TWO_PARTS = ((1000, 0), (500, 18432))
WITHOUT_AUDIO, OF_LARGE, OF_WEBM = "640x360 at 24, Nonex0", "1280x720 at 24, 44100x2", "640x360 at 24, 48000x2"
NOT_MP4, ANEW = "0 note: not_mp4; 1 note: not_mp4", "0 encode: not_mp4; 1 encode: not_mp4"

SPLICED = {
    "alike": Row([A, A, A], spliced()),
    "one clip": Row([A], spliced()),
    "another rate": Row([A, h264(fps=FPS), h264(fps=Fraction(30000, 1001))], spliced()),
    "other parameter sets": Row([A, h264(references=4)], spliced()),
    "no audio in one": Row([A, SILENT, A], spliced()),
    "no audio in any": Row([SILENT, SILENT], spliced()),
    "HDR alone": Row([HDR, HDR], spliced()),
    "HEVC alone": Row([HEVC, HEVC], spliced()),
    "a fine clock": Row([A, with_clock(16_777_213, 700_001)], spliced()),
    "late frames": Row([A, late(A, Fraction(1, 2))], spliced("1 note: first_frame_held")),
    "what is asked for": Row([A, A], spliced(), Wishes(size=(640, 360), fps=Fraction(24), quality="low")),
}
COPIED = {
    "mono": Row([A, A, h264(MONO)], copied((), "2 sound: audio_differs audio_layout audio_extradata", whole=True)),
    "six channels": Row([A, h264(SIX)], copied((), "1 sound: audio_channels audio_layout audio_extradata", whole=True)),
    "HE-AAC": Row([A, h264(HE_AAC)], copied((), "1 sound: audio_codec audio_extradata", whole=True)),
    "a low rate of audio": Row(
        [h264(LOW_RATE), h264(LOW_RATE)],
        copied((), "0 sound: audio_rate; 1 sound: audio_rate", whole=True, target="640x360 at 24, 16000x2"),
    ),
    "MKV": Row([A, MKV], copied((1,), "1 note: not_mp4")),
    "MKV alone": Row([MKV, MKV], copied((0, 1), NOT_MP4)),
    "TS": Row([other("mpegts"), A], copied((0,), "0 note: not_mp4")),
    "AVI": Row([other("avi"), A], copied((0,), "0 note: not_mp4")),
    "MPEG-4 in AVI": Row([other("avi", codec="mpeg4")] * 2, copied((0, 1), NOT_MP4)),
    "MKV as it is asked for": Row(
        [A, MKV], copied((1,), "1 note: not_mp4"), Wishes(size=(640, 360), fps=Fraction(24), quality="low")
    ),
    "MP3 in MKV": Row(
        [A, other(MATROSKA, {"codec": "mp3", "extradata": ""})],
        copied((1,), "1 note: not_mp4; 1 sound: audio_codec audio_extradata", whole=True),
    ),
    "MP3 in all": Row([other(MATROSKA, {"codec": "mp3"})] * 2, copied((0, 1), NOT_MP4, whole=True)),
    "MKV without audio": Row(
        [A, silent(MATROSKA)], copied((1,), "1 note: not_mp4 video_extradata; 1 sound: audio_presence")
    ),
    "other parameter sets in MKV": Row(
        [A, other(MATROSKA, extradata="h264 640x360 4")], copied((1,), "1 note: not_mp4 video_extradata")
    ),
    "late frames in MKV": Row([A, late(MKV, Fraction(1, 2))], copied((1,), "1 note: first_frame_held not_mp4")),
    "late frames that cannot be held": Row(
        [A, changed(A, late_seconds=Fraction(1, 2))], copied((1,), "1 note: late_picture", whole=True)
    ),
    "a damaged MP4": Row([A, replace(MKV, fault="mp4_no_moov")], copied((1,), "1 note: mp4_no_moov")),
    "parameter sets in band": Row(
        [A, changed(A, config=AvcConfig(4, {}, {}, {}))], copied((1,), "1 note: no_parameter_sets")
    ),
    "edits of several parts, nothing hidden": Row(
        [SILENT, with_edits(*TWO_PARTS, frames=36)], copied((1,), "1 note: odd_edits", target=WITHOUT_AUDIO)
    ),
    "a clock too fine for long frames": Row(
        [with_clock(16_777_213, 100 * 16_777_213 + 1, frames=3)],
        copied((0,), "0 note: timescale", target="640x360 at 10, Nonex0"),
    ),
}
OF_WEBM_FILES = {
    "WebM": Row([WEBM, WEBM], of_webm()),
    "WebM without audio": Row([silent(MATROSKA, codec="vp8")] * 2, of_webm(target=WITHOUT_AUDIO)),
    "audio a twentieth of a second longer": Row([WEBM, webm({"duration_seconds": Fraction(41, 20)})], of_webm()),
    "WebM asked to be MP4": Row(
        [WEBM, WEBM], copied((0, 1), NOT_MP4, whole=True, target=OF_WEBM), Wishes(container="mp4")
    ),
    "VP8 asked to be MP4": Row([webm(codec="vp8")] * 2, encoded(2, ANEW, OF_WEBM), Wishes(container="mp4")),
    "longer audio": Row([WEBM, webm({"duration_seconds": Fraction(21, 10)})], encoded(2, ANEW, OF_WEBM)),
    "a second video": Row([WEBM, webm(stream=1)], encoded(2, ANEW, OF_WEBM)),
    "a second audio": Row([WEBM, webm({"stream": 1})], encoded(2, ANEW, OF_WEBM)),
    "late frames": Row([WEBM, late(WEBM, Fraction(1, 2))], encoded(2, f"{ANEW}; 1 note: first_frame_held", OF_WEBM)),
    "WebM of other channels": Row(
        [WEBM, webm({"layout": "mono", "channels": 1})], encoded(2, f"{ANEW}; 1 sound: audio_layout", OF_WEBM)
    ),
    "WebM of another size": Row([WEBM, webm(size=LARGE)], encoded(2, f"{ANEW} video_width video_height", OF_WEBM)),
    "WebM beside MP4": Row(
        [A, A, WEBM],
        smart(
            (2,),
            "2 encode: not_mp4 video_codec video_extradata; 2 sound: audio_codec audio_sample_rate audio_extradata",
        ),
    ),
}
SMART = {
    "another size": Row([A, A, L], smart((2,), f"2 encode: {SIZE}")),
    "another size of most of it": Row([A, L, L], smart((0,), f"0 encode: {SIZE}", target=OF_LARGE)),
    "another size of half of it": Row([A, L], smart((1,), f"1 encode: {SIZE}")),
    "MKV of another size": Row(
        [A, A, other(MATROSKA, size=LARGE, extradata="")],
        smart((2,), "2 encode: not_mp4 video_width video_height video_extradata"),
    ),
    "MKV that is turned": Row([A, A, other(MATROSKA, rotation=90)], smart((2,), "2 encode: not_mp4 video_rotation")),
    "HDR": Row([A, A, HDR], smart((2,), "2 encode: colour_differs video_pixel_format video_transfer")),
    "HEVC": Row([A, A, HEVC], smart((2,), "2 encode: video_codec_differs video_codec video_extradata")),
    "interlaced": Row([A, A, INTERLACED], smart((2,), "2 encode: interlacing_differs video_interlaced")),
    "FFmpeg shows it otherwise": Row([A, A, shown_as(A, frames=47)], smart((2,), "2 encode: read_otherwise")),
    "edits that hide the end": Row(
        [SILENT, SILENT, with_edits((1500, 0), frames=36, hidden=12)],
        smart((2,), "2 encode: trimmed hidden_pictures", target=WITHOUT_AUDIO),
    ),
    "edits of several parts": Row(
        [SILENT, SILENT, with_edits(*TWO_PARTS, frames=36, hidden=12)],
        smart((2,), "2 encode: odd_edits hidden_pictures", target=WITHOUT_AUDIO),
    ),
    "uneven": Row([A, A, UNEVEN], smart((2,), f"2 encode: {SIZE}")),
    "uneven, a rate asked for": Row(
        [A, A, UNEVEN], smart((2,), f"2 encode: {SIZE}", own=False), Wishes(fps=Fraction(24))
    ),
    "a rate no screen shows": Row(
        [A, A, h264(size=SMALL, fps=Fraction(240))], smart((2,), f"2 encode: {SIZE}", own=False)
    ),
    "a size that most have": Row(
        [A, L, L],
        smart((0,), "0 encode: size video_width video_height video_extradata", target=OF_LARGE),
        Wishes(size=LARGE),
    ),
    "a rate that most have": Row(
        [A, A, h264(fps=FPS)], smart((2,), "2 encode: fps", own=False), Wishes(fps=Fraction(24))
    ),
}
ALL_ENCODED = {
    "three sizes": Row([A, L, S], encoded(3, f"1 encode: {SIZE}; 2 encode: {SIZE}")),
    "asked for": Row([A], encoded(1, "0 encode: asked_for"), Wishes(reencode=True)),
    "another size asked for": Row([A, A], encoded(2, "0 encode: size; 1 encode: size", OF_LARGE), Wishes(size=LARGE)),
    "another rate asked for": Row([A], encoded(1, "0 encode: fps", "640x360 at 30, 44100x2"), Wishes(fps=FPS)),
    "a quality asked for": Row([L], encoded(1, "0 encode: quality", "852x480 at 24, 44100x2"), Wishes(quality="low")),
    "uneven among three sizes": Row(
        [UNEVEN, L, A],
        encoded(3, f"1 encode: {SIZE}; 2 encode: {SIZE}", "320x180 at 24, 44100x2", own=(0,)),
    ),
    "uneven, a rate asked for": Row(
        [UNEVEN, L, A],
        encoded(3, f"1 encode: {SIZE}; 2 encode: {SIZE}", "320x180 at 24, 44100x2"),
        Wishes(fps=Fraction(24)),
    ),
    "uneven, asked for": Row(
        [UNEVEN], encoded(1, "0 encode: asked_for", "320x180 at 24, 44100x2"), Wishes(reencode=True)
    ),
    "most of it HDR": Row(
        [HDR, HDR, S], encoded(3, f"2 encode: {SIZE} colour_differs video_pixel_format video_transfer")
    ),
    "most of it interlaced": Row(
        [INTERLACED, INTERLACED, A], encoded(3, "2 encode: interlacing_differs video_interlaced")
    ),
    "most of it HEVC": Row([HEVC, HEVC, A], encoded(3, "2 encode: video_codec_differs video_codec video_extradata")),
    "HEVC of other parameter sets in MKV": Row(
        [HEVC, other(MATROSKA, codec="hevc", extradata="other")], encoded(2, "1 encode: not_mp4 video_extradata")
    ),
    "MJPEG in AVI": Row([other("avi", codec="mjpeg")], encoded(1, "0 encode: not_mp4")),
}
