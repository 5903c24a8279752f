"""Clips that differ in what clips differ in, and can be spliced all the same."""

from __future__ import annotations

from pathlib import Path

from tests.unit.media.films import clip

IN_BAND = "-bsf:v dump_extra=freq=keyframe"
X264_MEDIUM = "-preset medium -bf 2 -g 12 -keyint_min 12"


def like_clips() -> list[Path]:
    return [clip(tone=tone) for tone in (440, 550, 660)]


def without_sound_in_the_middle() -> list[Path]:
    return [clip(tone=440), clip(tone=550, sound=None), clip(tone=660)]


def without_sound_first_and_last() -> list[Path]:
    return [clip(tone=440, sound=None), clip(tone=550), clip(tone=660, sound=None)]


def without_any_sound() -> list[Path]:
    return [clip(tone=440, sound=None), clip(tone=550, sound=None)]


def long_silence() -> list[Path]:
    return [clip(), clip(tone=550, sound=None, pictures=150, options="-g 50"), clip(tone=660)]


def b_pictures_behind_an_edit_list() -> list[Path]:
    return [clip(options=X264_MEDIUM, tone=tone) for tone in (440, 550)]


def b_pictures_beside_none() -> list[Path]:
    return [clip(), clip(tone=550, options=X264_MEDIUM), clip(tone=660)]


def shown_before_decoded() -> list[Path]:
    negative = "-movflags negative_cts_offsets"
    return [clip(options=f"{X264_MEDIUM} {negative}", tone=tone) for tone in (440, 550)]


def other_timescales() -> list[Path]:
    return [clip(options=f"-video_track_timescale {scale}", tone=scale % 999) for scale in (12288, 90000, 24000)]


def other_rates() -> list[Path]:
    return [clip(fps=fps, tone=tone) for tone, fps in enumerate(("24", "30", "30000/1001", "25"), start=440)]


def changing_rate() -> list[Path]:
    varying = "-vf setpts=N/24/TB+gte(N\\,4)*3/24/TB+gte(N\\,9)*2/24/TB -fps_mode vfr -enc_time_base:v 1/24"
    return [clip(options=varying, sound=0.8), clip(options=varying, tone=550, sound=0.8), clip(tone=660)]


def other_sets_of_the_same_ids() -> list[Path]:
    return [clip(pictures=24), clip(tone=550, options="-refs 4 -preset medium -bf 0"), clip(tone=660, options="-qp 20")]


def baseline_beside_high() -> list[Path]:
    return [
        clip(options="-profile:v baseline -x264-params slices=4"),
        clip(tone=550, options=f"{X264_MEDIUM} -profile:v high"),
        clip(tone=660, options="-profile:v main -preset fast -bf 1 -x264-params slices=2"),
    ]


def with_buffering_periods() -> list[Path]:
    hrd = "-x264-params nal-hrd=vbr:vbv-maxrate=300:vbv-bufsize=300"
    return [clip(pictures=24), clip(options=hrd, tone=550)]


def sets_under_distinct_ids() -> list[Path]:
    return [clip(), clip(options="-preset medium -bf 0 -x264-params sps-id=3", tone=550)]


def sets_in_band_everywhere() -> list[Path]:
    return [clip(options=IN_BAND, tone=tone) for tone in (440, 550)]


def sets_in_band_of_the_fewer() -> list[Path]:
    return [clip(pictures=24), clip(options=IN_BAND, tone=550)]


def sets_in_band_of_the_more() -> list[Path]:
    return [
        clip(pictures=24, options=IN_BAND),
        clip(tone=550),
        clip(tone=660, options="-refs 3 -x264-params aud=1"),
    ]


def index_behind_and_in_front() -> list[Path]:
    return [clip(), clip(tone=550, options="-movflags faststart"), clip(tone=660)]


def quicktime() -> list[Path]:
    return [clip("clip.mov"), clip(tone=550), clip("clip.mov", tone=660)]


def sound_shorter_and_longer() -> list[Path]:
    return [clip(sound=seconds, tone=440 + place) for place, seconds in enumerate((0.3, 0.8, 0.5, 0.05))]


def sound_that_begins_late() -> list[Path]:
    return [clip(tone=tone, inputs="-itsoffset -0.1", options="-avoid_negative_ts make_zero") for tone in (440, 550)]


def mono() -> list[Path]:
    return [clip(tone=tone, rate=48000, options="-ac 1") for tone in (440, 550)]


def one_clip() -> list[Path]:
    return [clip(options=X264_MEDIUM)]


def hevc() -> list[Path]:
    coding = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=6:min-keyint=6:open-gop=0 -tag:v hvc1"
    return [clip(options=coding, tone=tone) for tone in (440, 550)]


def av1() -> list[Path]:
    return [clip(options="-c:v libsvtav1 -preset 12 -svtav1-params logical-processors=1", tone=t) for t in (440, 550)]


def vp9() -> list[Path]:
    return [clip(options="-c:v libvpx-vp9 -deadline realtime -cpu-used 8", tone=tone) for tone in (440, 550)]


def mpeg4_out_of_order() -> list[Path]:
    return [clip(options=f"-c:v mpeg4 -bf 2 -b:v {rate}k", tone=rate) for rate in (440, 550)]


def fragmented(flags: str) -> list[Path]:
    """Without and with pictures shown out of order, beside a clip in one piece."""
    moving = f"-movflags {flags}"
    return [
        clip(options=moving),
        clip(tone=550),
        clip(options=f"{X264_MEDIUM} {moving}", tone=660, pictures=24, sound=1.0),
        clip(options=f"{X264_MEDIUM} -g 5 {moving}", tone=880, sound=0.3),
    ]


def fragments() -> list[Path]:
    return fragmented("frag_keyframe+empty_moov+default_base_moof")


def fragments_counted_from_the_file() -> list[Path]:
    return fragmented("frag_keyframe+empty_moov")


def fragments_behind_samples_of_the_index() -> list[Path]:
    return fragmented("frag_keyframe")


def fragments_behind_an_edit_list() -> list[Path]:
    return fragmented("frag_keyframe+empty_moov+default_base_moof+delay_moov")


def fragments_shown_before_decoded() -> list[Path]:
    return fragmented("frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets")


def fragments_shown_before_decoded_behind_an_edit_list() -> list[Path]:
    return fragmented("frag_keyframe+delay_moov+negative_cts_offsets")


def fragments_of_cmaf() -> list[Path]:
    return fragmented("cmaf")


def fragments_of_dash() -> list[Path]:
    return fragmented("dash")


def fragments_of_every_picture() -> list[Path]:
    each = "-movflags frag_every_frame+empty_moov+default_base_moof"
    return [clip(options=f"{X264_MEDIUM} {each}", sound=None), clip(sound=None), clip(options=each, sound=None)]


def fragments_of_quicktime() -> list[Path]:
    moving = f"{X264_MEDIUM} -movflags frag_keyframe+empty_moov"
    return [clip("clip.mov", options=moving, tone=tone) for tone in (440, 550)]


def fragments_of_hevc() -> list[Path]:
    coding = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=6:min-keyint=6:open-gop=0:bframes=2"
    return [
        clip(options=f"{coding} -tag:v hvc1 {moving}", tone=tone)
        for tone, moving in ((440, "-movflags frag_keyframe+empty_moov+default_base_moof"), (550, ""))
    ]


def fragments_of_other_sets() -> list[Path]:
    moving = "-movflags frag_keyframe+empty_moov+default_base_moof"
    return [clip(pictures=24), clip(tone=550, options=f"-refs 4 {X264_MEDIUM} {moving}")]


def hd_colours_and_aspect() -> list[Path]:
    tagged = "-vf setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709,setsar=4/3"
    return [clip(options=tagged, tone=tone) for tone in (440, 550)]


JOINS = [
    like_clips,
    without_sound_in_the_middle,
    without_sound_first_and_last,
    without_any_sound,
    long_silence,
    b_pictures_behind_an_edit_list,
    b_pictures_beside_none,
    shown_before_decoded,
    other_timescales,
    other_rates,
    changing_rate,
    other_sets_of_the_same_ids,
    baseline_beside_high,
    with_buffering_periods,
    sets_under_distinct_ids,
    sets_in_band_everywhere,
    sets_in_band_of_the_fewer,
    sets_in_band_of_the_more,
    index_behind_and_in_front,
    quicktime,
    sound_shorter_and_longer,
    sound_that_begins_late,
    mono,
    one_clip,
    hevc,
    av1,
    vp9,
    mpeg4_out_of_order,
    hd_colours_and_aspect,
    fragments,
    fragments_counted_from_the_file,
    fragments_behind_samples_of_the_index,
    fragments_behind_an_edit_list,
    fragments_shown_before_decoded,
    fragments_shown_before_decoded_behind_an_edit_list,
    fragments_of_cmaf,
    fragments_of_dash,
    fragments_of_every_picture,
    fragments_of_quicktime,
    fragments_of_hevc,
    fragments_of_other_sets,
]
