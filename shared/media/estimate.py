"""How long a plan will take and what it will cost, corrected by how long such plans have taken here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median, quantiles

from shared.media.compare import ProbedClip
from shared.media.conform import shown_seconds
from shared.media.plan import SPLICE, CompilePlan
from shared.media.splice.parts import SMALLEST_PART_BYTES, in_memory

# Of a function with two processors, before anything was measured on the stage itself.
START_SECONDS = 0.1
SECONDS_A_CLIP = 0.02
BYTES_A_SECOND = 60_000_000
COPIED_BYTES_A_SECOND = 500_000_000
DECODED_PIXELS_A_SECOND = 250_000_000
ENCODED_PIXELS_A_SECOND = 60_000_000
READ_BYTES = 8 * 1024**2
# Of earlier runs, as a share of what was reckoned.
LEAST_RUNS = 5
WIDE_BAND = (0.4, 3.0)
# us-east-1, 2026: Lambda on arm64 and S3 Standard.
USD_A_GB_SECOND = Decimal("0.0000133334")
USD_A_PUT = Decimal("0.000005")
USD_A_GET = Decimal("0.0000004")
MICRO_USD = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What a plan consists of: seconds by the constants above, bytes that pass through and that S3 copies, requests."""

    seconds: float
    bytes_through: int
    bytes_copied: int
    puts: int
    gets: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds with a band that eight of ten runs fall into; `runs` is how many it was learnt from."""

    seconds: float
    low_seconds: float
    high_seconds: float
    cost_usd: Decimal
    runs: int


def reckon(
    plan: CompilePlan, probes: Sequence[ProbedClip], sizes_bytes: Sequence[int], *, proved: bool = True
) -> Reckoning:
    """From the plan alone, before anything is done. `proved`: all clips were decoded when they came in."""
    whole = sum(sizes_bytes)
    copied = 0 if in_memory(whole) else sum(max(size - SMALLEST_PART_BYTES, 0) for size in sizes_bytes)
    through, decoded = 2 * (whole - copied), plan.strategy != SPLICE or not proved
    pixels = sum(map(_pixels, probes)) if decoded else 0
    changed = (*plan.encoded, *plan.rewrapped)
    seconds = START_SECONDS + SECONDS_A_CLIP * (len(probes) + len(changed))
    if plan.strategy != SPLICE:
        # Clips are looked through, some are read to be changed and written, their sound is read.
        through += whole + 2 * sum(sizes_bytes[number] for number in changed) + whole * plan.whole_sound
        seconds += sum(_encoded_pixels(plan, probes[number]) for number in plan.encoded) / ENCODED_PIXELS_A_SECOND
    through += whole * decoded
    seconds += through / BYTES_A_SECOND + copied / COPIED_BYTES_A_SECOND + pixels / DECODED_PIXELS_A_SECOND
    requests = len(probes) + len(changed) + 1
    return Reckoning(seconds, through, copied, requests, 2 * requests + through // READ_BYTES)


def estimate(reckoning: Reckoning, runs: Sequence[tuple[float, float]], memory_mb: int) -> Estimate:
    """`runs` are earlier ones of the same strategy: seconds reckoned and seconds taken."""
    shares = sorted(taken / reckoned for reckoned, taken in runs if reckoned > 0)
    middle, (low, high) = 1.0, WIDE_BAND
    if len(shares) >= LEAST_RUNS:
        tenths = quantiles(shares, n=10, method="inclusive")
        middle, low, high = median(shares), tenths[0], tenths[-1]
    seconds = reckoning.seconds * middle
    cost = USD_A_GB_SECOND * Decimal(str(round(seconds * memory_mb / 1024, 6)))
    cost += USD_A_PUT * reckoning.puts + USD_A_GET * reckoning.gets
    return Estimate(
        seconds=round(seconds, 3),
        low_seconds=round(reckoning.seconds * low, 3),
        high_seconds=round(reckoning.seconds * high, 3),
        cost_usd=cost.quantize(MICRO_USD),
        runs=len(shares),
    )


def _encoded_pixels(plan: CompilePlan, probe: ProbedClip) -> float:
    """By what becomes of the clip: a still of one sample is as many frames as it lasts."""
    target, facts = plan.target, probe.facts
    if target is None or facts is None:
        return _pixels(probe)
    return float(target.width * target.height * target.fps * shown_seconds(facts))


def _pixels(probe: ProbedClip) -> int:
    video = probe.facts.video if probe.facts else None
    if video is not None:
        return video.width * video.height * video.frames
    picture = probe.clip.picture if probe.clip else None
    return picture.entry.width * picture.entry.height * picture.tables.sizes.count if picture else 0
