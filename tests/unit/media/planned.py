"""Plans in words, as the table of them has them."""

from __future__ import annotations

from dataclasses import dataclass

from shared.media.compare import ProbedClip
from shared.media.plan import CompilePlan
from shared.media.target import Target, Wishes

NOTHING = Wishes()
USUAL = "640x360 at 24, 44100x2"


@dataclass(frozen=True)
class Expected:
    """A plan in words. `reasons`: `<clip> <severity>: <names>`, with semicolons between clips and severities."""

    strategy: str
    reasons: str = ""
    target: str | None = USUAL
    refused: str = ""
    encoded: tuple[int, ...] = ()
    rewrapped: tuple[int, ...] = ()
    own_times: tuple[int, ...] = ()
    whole_sound: bool = False
    container: str = "mp4"


@dataclass(frozen=True)
class Row:
    """Probes and wishes."""

    probes: list[ProbedClip]
    expected: Expected
    wishes: Wishes = NOTHING


def in_words(plan: CompilePlan) -> Expected:
    """The plan as the table has it; reasons in the order of clips and, within one, sorted."""
    reasons: dict[str, set[str]] = {}
    for one in plan.mismatches:
        reasons.setdefault(f"{one.clip} {one.severity}", set()).add(one.name)
    return Expected(
        plan.strategy,
        sorted_reasons("; ".join(f"{of}: {' '.join(names)}" for of, names in reasons.items())),
        target_in_words(plan.target) if plan.target else None,
        " ".join(strategy for strategy, _ in plan.refused),
        plan.encoded,
        plan.rewrapped,
        plan.own_times,
        plan.whole_sound,
        plan.container,
    )


def sorted_reasons(reasons: str) -> str:
    rows = (row.split(": ") for row in reasons.split("; ") if row)
    return "; ".join(f"{of}: {' '.join(sorted(names.split()))}" for of, names in sorted(rows))


def target_in_words(target: Target) -> str:
    return f"{target.width}x{target.height} at {target.fps}, {target.sample_rate}x{target.channels}"


def spliced(reasons: str = "") -> Expected:
    return Expected("splice", reasons, None)


def copied(rewrapped: tuple[int, ...], reasons: str, *, whole: bool = False, target: str = USUAL) -> Expected:
    return Expected("copy", reasons, target, "splice", rewrapped=rewrapped, whole_sound=whole)


def smart(encoded: tuple[int, ...], reasons: str, *, target: str = USUAL, own: bool = True) -> Expected:
    own_times = encoded if own else ()
    return Expected("smart", reasons, target, "splice copy", encoded, own_times=own_times)


def encoded(clips: int, reasons: str, target: str = USUAL, *, own: tuple[int, ...] = ()) -> Expected:
    return Expected("encode", reasons, target, "splice copy smart", tuple(range(clips)), own_times=own)


def of_webm(*, target: str = "640x360 at 24, 48000x2") -> Expected:
    return Expected("copy", "0 note: not_mp4; 1 note: not_mp4", target, "splice", container="webm")
