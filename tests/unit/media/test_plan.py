"""How a film is made: the cheapest way that is right, with every reason against cheaper ones."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from shared.domain.errors import BadMedia
from shared.media.compare import ProbedClip
from shared.media.plan import dearer_plan, plan_film, plan_splice
from shared.media.second_reading import Shown
from shared.media.target import Wishes
from tests.unit.media.built import audio_facts, unread, video_facts
from tests.unit.media.plan_rows import ALL_ENCODED, COPIED, OF_WEBM_FILES, SIZE, SMART, SPLICED, TWO_PARTS
from tests.unit.media.planned import NOTHING, Row, in_words, sorted_reasons
from tests.unit.media.probed import (
    LARGE,
    MATROSKA,
    MONO,
    SMALL,
    cut_off,
    h264,
    other,
    webm,
    with_edits,
    without_facts,
    without_picture,
)

TABLES = {"splice": SPLICED, "copy": COPIED, "webm": OF_WEBM_FILES, "smart": SMART, "encode": ALL_ENCODED}
ROWS = {f"{way}: {what}": row for way, rows in TABLES.items() for what, row in rows.items()}
A, L, S = h264(), h264(size=LARGE), h264(size=SMALL)
MKV, UNEVEN = other(MATROSKA), h264(size=SMALL, variable_rate=True)
LONG = 24 * 1800
OTHER_KINDS = {
    "MKV": other(MATROSKA, size=LARGE),
    "WebM": webm(size=LARGE),
    "AVI": other("avi", size=LARGE),
    "TS": other("mpegts", size=LARGE),
}
ASKED_FOR = {
    "asked_for": Wishes(reencode=True),
    "size": Wishes(size=(320, 180)),
    "fps": Wishes(fps=Fraction(30)),
    "quality": Wishes(quality="low"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_cheapest_right_way_is_planned(row: Row) -> None:
    plan = plan_film(row.probes, row.wishes)

    assert in_words(plan) == replace(row.expected, reasons=sorted_reasons(row.expected.reasons))


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_splice_is_planned_without_ffmpeg_where_it_is_possible(row: Row) -> None:
    plan = plan_splice(row.probes, row.wishes)

    assert plan == (plan_film(row.probes, row.wishes) if row.expected.strategy == "splice" else None)


@pytest.mark.parametrize("name", ASKED_FOR)
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_files_of_other_kinds_are_not_copied_when_something_is_asked_for(kind: str, name: str) -> None:
    plan = plan_film([OTHER_KINDS[kind]] * 2, ASKED_FOR[name])

    assert (plan.strategy, plan.encoded, plan.rewrapped) == ("encode", (0, 1), ())
    assert {one.clip for one in plan.mismatches if (one.name, one.severity) == (name, "encode")} == {0, 1}


def still(container: str) -> ProbedClip:
    return unread(video_facts(codec="png", frames=1), None, container)


REFUSED = {
    "a PNG": ([A, still("png_pipe")], "still_needs_duration"),
    "an AVIF": ([still("mov,mp4,m4a,3gp,3g2,mj2")], "still_needs_duration"),
    "a GIF of one frame": ([still("gif")], "still_needs_duration"),
    "edits of several parts that FFmpeg shows otherwise": ([A, with_edits(*TWO_PARTS, frames=48)], "odd_edits"),
    "a file that ends before its media": ([A, cut_off(A)], "mp4_cut_off"),
    "an MP4 of audio": ([A, without_picture(A)], "no_picture"),
    "another file of audio": ([unread(None, audio_facts(), MATROSKA)], "no_picture"),
    "more than an hour": ([h264(frames=LONG), h264(frames=LONG + 1)], "film_too_long"),
    "more than an hour of MKV": ([other(MATROSKA, frames=2 * LONG + 1)], "film_too_long"),
}


@pytest.mark.parametrize(("probes", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_films_that_cannot_be_made_are_refused(probes: list[ProbedClip], code: str) -> None:
    with pytest.raises(BadMedia) as refused:
        plan_film(probes, NOTHING)

    assert refused.value.code == code


@pytest.mark.parametrize("probes", [[without_picture(A)], [h264(frames=2 * LONG + 1)]], ids=["audio", "too long"])
def test_indexes_alone_are_enough_to_refuse(probes: list[ProbedClip]) -> None:
    with pytest.raises(BadMedia):
        plan_splice([without_facts(probe) for probe in probes], NOTHING)


def test_a_film_of_an_hour_is_made() -> None:
    assert plan_film([h264(None, frames=LONG), h264(None, frames=LONG)], NOTHING).strategy == "splice"


def test_a_single_frame_of_a_video_file_is_no_still() -> None:
    assert plan_film([A, unread(video_facts(frames=1), None, MATROSKA)], NOTHING).strategy == "copy"


def test_a_clip_that_ffmpeg_showed_otherwise_is_not_spliced() -> None:
    shown = Shown(47, None, None, None)

    assert plan_splice([without_facts(A), replace(without_facts(A), shown=shown)], NOTHING) is None


def test_clips_that_nobody_could_read_are_not_spliced() -> None:
    assert plan_splice([A, ProbedClip(None, fault="not_mp4")], NOTHING) is None


def test_clips_that_cannot_be_spliced_are_planned_with_facts_alone() -> None:
    with pytest.raises(ValueError, match="probed by FFmpeg"):
        plan_film([A, without_facts(L)], NOTHING)


DEARER = {
    "from copies to the odd clip": ([A, A, MKV], NOTHING, "2 encode: not_mp4", (2,), (2,)),
    "from copies to all": ([MKV, MKV], NOTHING, "0 encode: not_mp4; 1 encode: not_mp4", (0, 1), ()),
    "from the odd clip to all": ([A, A, L], NOTHING, f"2 encode: {SIZE}", (0, 1, 2), ()),
    "from an uneven odd clip to all": ([A, A, UNEVEN], NOTHING, f"2 encode: {SIZE}", (0, 1, 2), ()),
}


@pytest.mark.parametrize(("probes", "wishes", "reasons", "encoded", "own_times"), DEARER.values(), ids=DEARER.keys())
def test_what_did_not_fit_together_is_planned_anew(
    probes: list[ProbedClip], wishes: Wishes, reasons: str, encoded: tuple[int, ...], own_times: tuple[int, ...]
) -> None:
    plan = plan_film(probes, wishes)

    dearer = dearer_plan(plan, probes, wishes)

    assert dearer is not None
    assert (in_words(dearer).reasons, dearer.encoded, dearer.own_times) == (sorted_reasons(reasons), encoded, own_times)
    assert plan.strategy in [strategy for strategy, why in dearer.refused if why]
    assert dearer.rewrapped == ()


@pytest.mark.parametrize("probes", [[A, A], [A, L, S]], ids=["spliced", "encoded"])
def test_where_nothing_is_left_no_plan_is_dearer(probes: list[ProbedClip]) -> None:
    assert dearer_plan(plan_film(probes, NOTHING), probes, NOTHING) is None


def test_a_plan_goes_all_the_way_from_copies_to_encoding_everything() -> None:
    probes = [A, A, MKV]
    plans = [plan_film(probes, NOTHING)]
    while (dearer := dearer_plan(plans[-1], probes, NOTHING)) is not None:
        plans.append(dearer)

    assert [plan.strategy for plan in plans] == ["copy", "smart", "encode"]
    assert [strategy for strategy, _ in plans[-1].refused] == ["splice", "copy", "smart"]


def test_reasons_name_clips_as_people_count() -> None:
    plan = plan_film([MKV, A, A, L], NOTHING)

    assert dict(plan.refused)["splice"] == (
        "Clip 1 is no MP4 that can be spliced.",
        "Clip 4 has another frame size than most of the film.",
    )


def test_the_share_that_would_be_encoded_anyway_is_a_reason() -> None:
    assert dict(plan_film([A, L, S], NOTHING).refused)["smart"] == ("67% of the pictures would be encoded anyway.",)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_every_cheaper_way_is_refused_with_a_reason(row: Row) -> None:
    refused = plan_film(row.probes, row.wishes).refused

    assert [strategy for strategy, why in refused if not why] == []


def test_other_audio_beside_the_odd_clip_is_no_reason_to_encode_all() -> None:
    plan = plan_film([A, h264(MONO), L], NOTHING)

    assert (plan.strategy, plan.encoded, plan.whole_sound) == ("smart", (2,), True)


def test_the_clip_that_has_the_size_asked_for_stays() -> None:
    plan = plan_film([A, L], Wishes(size=LARGE))

    assert (plan.strategy, plan.encoded) == ("smart", (0,))
