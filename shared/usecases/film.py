"""A film on its way: what it is made of, what is planned, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.media.clip import Clip
from shared.media.compare import ProbedClip
from shared.media.estimate import Reckoning
from shared.media.plan import CompilePlan
from shared.media.probe import MediaFacts
from shared.media.target import Wishes
from shared.ports import StoredObject
from shared.usecases.film_inputs import FilmInputs
from shared.usecases.object_source import ObjectSource


@dataclass(frozen=True, slots=True)
class Film:
    """A film that lies in the bucket, how it was made and what proves it. Times in seconds, sizes in pixels."""

    key: str
    thumbnail_key: str | None
    content_type: str
    size_bytes: int
    width: int | None
    height: int | None
    seconds: float
    plan: CompilePlan
    verification: Mapping[str, Any]
    breakdown: Mapping[str, float]
    bytes_through: int
    derived: tuple[StoredObject, ...] = ()
    # None where what it took says nothing: work of an earlier run was found, or a cheaper way was tried in vain.
    reckoning: Reckoning | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One job's film: its sources as the job names them, what is wished for, and where it is to lie (without a
    suffix). A film that is only thought of has no place.
    """

    sources: Sequence[Mapping[str, Any]]
    wishes: Wishes
    account_id: str = ""
    job_id: str = ""
    key: str = ""
    thumbnail_key: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: CompilePlan
    sources: Sequence[ObjectSource]
    probes: Sequence[ProbedClip]
    inputs: FilmInputs
    reckoning: Reckoning

    @property
    def facts(self) -> list[MediaFacts]:
        """What FFmpeg says of each clip, where it was asked."""
        return [probe.facts for probe in self.probes if probe.facts is not None]


@dataclass(frozen=True, slots=True)
class Together:
    """Clips that can be spliced: their objects and indexes, one sound for all where they need it, and what was made."""

    sources: Sequence[ObjectSource]
    clips: Sequence[Clip]
    sound: tuple[ObjectSource, Clip] | None = None
    derived: tuple[StoredObject, ...] = ()
