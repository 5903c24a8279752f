"""What the job and its answer say of a film's verification. Times in seconds, offsets in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from shared.domain.errors import BadMedia
from shared.media.probe import MediaFacts
from shared.media.splice.proof import Proof
from shared.media.verification import Verification
from shared.usecases.splicing import WrittenFilm


def of_clip(number: int, error: BadMedia) -> BadMedia:
    """The same, said of one clip as people count."""
    return BadMedia(f"Clip {number + 1}: {error.sentence}", code=error.code)


def failed(problems: Sequence[str]) -> BadMedia:
    """What a film that is not right raises; `problems` are half sentences."""
    return BadMedia(f"The film did not pass its verification: {'; '.join(problems)}.", code="verification_failed")


def of_proof(proof: Proof, written: WrittenFilm, decoded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Dark and silent stretches are the clips' own, found when they were decoded."""
    begins = [join.at_seconds for join in proof.joins]
    return {
        **_sums(proof, written),
        "method": "tables",
        "black": _moved("black", begins, decoded),
        "silent": _moved("silent", begins, decoded),
    }


def _moved(name: str, begins: Sequence[float], decoded: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    return [
        [round(begin + start, 3), round(begin + end, 3)]
        for begin, clip in zip(begins, decoded, strict=False)
        for start, end in clip.get(name, [])
    ]


def of_decode(proof: Proof, written: WrittenFilm, film: MediaFacts) -> dict[str, Any]:
    """Of a spliced film that was decoded whole."""
    decoded = film.decoded
    return {
        **_sums(proof, written),
        "method": "decoded",
        "black": [[one.start_seconds, one.end_seconds] for one in decoded.black] if decoded else [],
        "silent": [[one.start_seconds, one.end_seconds] for one in decoded.silent] if decoded else [],
    }


def _sums(proof: Proof, written: WrittenFilm) -> dict[str, Any]:
    planned = written.splice.joins
    offsets = [
        found.sound_offset_seconds if found.sound_offset_seconds is not None else own.sound_offset_seconds
        for found, own in zip(proof.joins, planned, strict=True)
    ]
    return {
        "ok": True,
        "framesExpected": written.splice.pictures,
        "frames": proof.pictures,
        "durationExpected": round(written.splice.duration_seconds, 3),
        "duration": round(proof.seconds, 3),
        "driftMs": round(proof.drift_seconds * 1000, 1),
        "problems": [],
        "joins": [
            {"atSeconds": round(join.at_seconds, 3), "audioOffsetMs": None if off is None else round(off * 1000, 1)}
            for join, off in zip(proof.joins, offsets, strict=True)
        ],
    }


def of_verification(verification: Verification) -> dict[str, Any]:
    """Of a film that FFmpeg joined, which is always decoded."""
    told = asdict(verification)
    return {
        "ok": told["ok"],
        "framesExpected": told["frames_expected"],
        "frames": told["frames"],
        "durationExpected": told["duration_expected"],
        "duration": told["duration"],
        "driftMs": told["drift_ms"],
        "problems": list(told["problems"]),
        "method": "decoded",
        "joins": [{"atSeconds": one["at_seconds"], "audioOffsetMs": one["audio_offset_ms"]} for one in told["joins"]],
        "black": [list(one.values()) for one in told["black"]],
        "silent": [list(one.values()) for one in told["silent"]],
    }
