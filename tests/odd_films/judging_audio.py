"""Where a film's audio lies beside its frames, and whether it holds what nobody should hear."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import islice

from tests.odd_films.judging_times import Placed
from tests.odd_films.noise import RATE, SECONDS, Signs, found
from tests.odd_films.truth import HeardPart
from tests.odd_films.watching import Watched

WINDOW_SECONDS = 0.1
EDGE_SECONDS = 0.03
COPIED_SECONDS, ENCODED_SECONDS = 0.025, 0.03
SEARCHED_SECONDS = 0.15
PRIMING_SECONDS = 0.02
LEAST_FIT = 0.45
HEARD_FIT = 0.4
LEAST_HIDDEN_SECONDS = 0.2
HIDDEN_EDGE_SECONDS = 0.085
QUIET = 600


def audio_problems(film: Watched, parts: Sequence[Placed], encoded: Collection[int]) -> Iterator[str]:
    """Of all clips."""
    signs = film.signs()
    for place, part in enumerate(parts):
        if part.truth.deaf or part.truth.maybe_silent:
            continue
        limit = ENCODED_SECONDS if place in encoded else COPIED_SECONDS
        # Of TS the clip's begin is known to within its audio's priming alone.
        limit += PRIMING_SECONDS if part.truth.end_slack else 0
        yield from (f"clip {place + 1}: {one}" for one in _places(signs, part, limit + float(part.truth.slack)))
        yield from (f"clip {place + 1}: {one}" for one in _hidden(signs, part))
    yield from _unwanted(film, parts)


def _places(signs: Signs, part: Placed, limit: float) -> Iterator[str]:
    for heard in part.truth.heard:
        answers = (_place(signs, part, heard, at, limit) for at in _windows(heard, part))
        yield from islice(filter(None, answers), 1)


def _windows(heard: HeardPart, part: Placed) -> Iterator[float]:
    """Seconds of the clip at which to listen: first, middle and last of what is heard."""
    first = float(max(heard.begin, part.begin)) + EDGE_SECONDS
    last = float(min(heard.end, part.truth.end)) - float(part.truth.end_slack) - EDGE_SECONDS - WINDOW_SECONDS
    end_of_noise = float(heard.begin - heard.at) + SECONDS - WINDOW_SECONDS - EDGE_SECONDS
    first = max(first, float(heard.begin - heard.at) + EDGE_SECONDS)
    last = min(last, end_of_noise)
    if last >= first:
        yield from (first, (first + last) / 2, last)


def _place(signs: Signs, part: Placed, heard: HeardPart, at: float, limit: float) -> str | None:
    noise_at = at - float(heard.begin - heard.at)
    wanted = float(part.at - part.begin) + at
    centre, reach = round(wanted * RATE), round(SEARCHED_SECONDS * RATE)
    fit, place = found(signs, heard.noise, noise_at, WINDOW_SECONDS, centre - reach, centre + reach)
    if fit < LEAST_FIT:
        where = _anywhere(signs, heard.noise, noise_at)
        return f"its audio at {at:.2f} s is not heard at {wanted:.2f} s of the film, {where}"
    off = place / RATE - wanted
    return f"its audio at {at:.2f} s is {off * 1000:.0f} ms late" if abs(off) > limit else None


def _anywhere(signs: Signs, noise: int, noise_at: float) -> str:
    fit, place = found(signs, noise, noise_at, WINDOW_SECONDS, 0, signs.count)
    return f"but at {place / RATE:.2f} s" if fit >= LEAST_FIT else "nor anywhere else"


def _hidden(signs: Signs, part: Placed) -> Iterator[str]:
    """Noise that no edit list or enabled track presents."""
    for noise, begin, end in part.truth.hidden:
        first, last = float(begin) + HIDDEN_EDGE_SECONDS, float(end) - HIDDEN_EDGE_SECONDS
        if last - first < LEAST_HIDDEN_SECONDS:
            continue
        at = min((first + last) / 2, SECONDS - 2 * WINDOW_SECONDS)
        fit, place = found(signs, noise, at, WINDOW_SECONDS, 0, signs.count)
        if fit > HEARD_FIT:
            yield f"audio that must not be heard (noise {noise} at {at:.2f} s) is heard at {place / RATE:.2f} s"


def _unwanted(film: Watched, parts: Sequence[Placed]) -> Iterator[str]:
    """Something heard where no clip has audio."""
    samples = film.samples
    if samples is None or any(part.truth.deaf or part.truth.maybe_silent for part in parts):
        return
    for place, part in enumerate(parts):
        loud = (span for span in _silences(part) if _loudest(samples, part, *span) > QUIET)
        for begin, end in loud:
            yield f"clip {place + 1}: something is heard from {float(begin):.2f} s to {float(end):.2f} s"


def _loudest(samples: array[int], part: Placed, begin: Fraction, end: Fraction) -> int:
    first, last = (max(round(float(part.at - part.begin + moment) * RATE), 0) for moment in (begin, end))
    return max(map(abs, samples[first:last]), default=0)


def _silences(part: Placed) -> Iterator[tuple[Fraction, Fraction]]:
    edge = Fraction(85, 1000) + part.truth.slack
    at = part.begin
    for heard in part.truth.heard:
        if heard.begin - at > 2 * edge:
            yield at + edge, heard.begin - edge
        at = max(at, heard.end)
    if part.truth.end - at > 2 * edge + part.truth.end_slack:
        yield at + edge, part.truth.end - edge - part.truth.end_slack
