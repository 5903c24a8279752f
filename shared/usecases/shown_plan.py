"""What callers see of a plan, and of what one clip is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

from shared.domain.errors import BadMedia
from shared.domain.row_limits import first_sentences
from shared.media.compare import NOTE, ProbedClip
from shared.media.estimate import Estimate
from shared.media.facts import ClipFacts, clip_facts
from shared.media.plan import CompilePlan
from shared.media.plan_checks import FILM_NOTES
from shared.media.probe import MediaFacts
from shared.usecases.film import Planned

# A file may have a hundred thousand; whoever made them so looks elsewhere.
MOST_EDITS_SHOWN = 50


def shown_plan(sources: Sequence[Mapping[str, Any]], planned: Planned, reckoned: Estimate) -> dict[str, Any]:
    """A plan as callers see it."""
    plan, target = planned.plan, planned.plan.target
    return {
        "strategy": plan.strategy,
        "container": plan.container,
        "wholeSound": plan.whole_sound,
        "clips": [_clip(number, source, planned) for number, source in enumerate(sources)],
        "mismatches": [_mismatch(one) for one in plan.mismatches if one.clip is None],
        "refused": reasons_of(plan),
        "notes": notes_of(plan),
        "target": None
        if target is None
        else {
            "width": target.width,
            "height": target.height,
            "fps": str(target.fps),
            "sampleRate": target.sample_rate,
            "channels": target.channels,
        },
        "totalDuration": round(sum(_seconds(probe) for probe in planned.probes), 3),
        "bytesThrough": planned.reckoning.bytes_through,
        "bytesCopied": planned.reckoning.bytes_copied,
        "estimate": {
            "seconds": reckoned.seconds,
            "lowSeconds": reckoned.low_seconds,
            "highSeconds": reckoned.high_seconds,
            "costUsd": float(reckoned.cost_usd),
            "learntFromRuns": reckoned.runs,
        },
    }


def _clip(number: int, source: Mapping[str, Any], planned: Planned) -> dict[str, Any]:
    plan: CompilePlan = planned.plan
    return {
        "videoId": None if source.get("videoId") is None else str(source["videoId"]),
        "s3Key": None if source.get("fetched") else source["key"],
        "fileSize": planned.sources[number].size_bytes,
        "action": "encoded" if number in plan.encoded else "rewrapped" if number in plan.rewrapped else "copied",
        "probe": shown_probe(planned.probes[number]),
        "mismatches": [_mismatch(one) for one in plan.mismatches if one.clip == number],
    }


def _mismatch(one: Any) -> dict[str, Any]:
    return {"name": one.name, "severity": one.severity or NOTE, "message": one.sentence}


def _seconds(probe: ProbedClip) -> float:
    if probe.facts is not None:
        return float(probe.facts.duration_seconds)
    return probe.clip.seconds_of_picture if probe.clip else 0.0


def shown_probe(probe: ProbedClip) -> dict[str, Any]:
    """By FFmpeg where it was asked, which knows all containers; of an MP4 its index too, which knows edits and GOPs.

    Raises BadMedia where neither could read the file.
    """
    if probe.facts is None and probe.clip is None:
        raise BadMedia("The file cannot be read: upload or generate it again.")
    index = _of_index(clip_facts(probe.clip)) if probe.clip is not None else None
    if probe.facts is None:
        return dict(index or {})
    return _of_facts(probe.facts) | {"index": index}


def _of_index(facts: ClipFacts) -> dict[str, Any]:
    shown: dict[str, Any] = _plain(asdict(replace(facts, edits=facts.edits[:MOST_EDITS_SHOWN])))
    return shown


def _of_facts(facts: MediaFacts) -> dict[str, Any]:
    hidden = {"extradata", "head", "open_start"}
    video, audio = (
        {_camel(name): _plain(value) for name, value in asdict(part).items() if name not in hidden} if part else None
        for part in (facts.video, facts.audio)
    )
    if video is not None and facts.video is not None:
        width, height = facts.video.shown_size
        video |= {"displayWidth": width, "displayHeight": height, "hdr": facts.video.hdr or None}
    return {
        "container": facts.container,
        "sizeBytes": facts.size_bytes,
        "seconds": float(facts.duration_seconds),
        "video": video,
        "audio": audio,
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value) if value.denominator > 1 else int(value)
    if isinstance(value, dict):
        return {_camel(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def reasons_of(plan: CompilePlan) -> dict[str, list[str]]:
    """Why cheaper strategies were refused."""
    return {rung: first_sentences(reasons) for rung, reasons in plan.refused}


def notes_of(plan: CompilePlan) -> list[str]:
    """What a film shows otherwise than its clips' files say, in sentences: where a first frame is held."""
    return first_sentences([one.sentence for one in plan.mismatches if one.name in FILM_NOTES])
