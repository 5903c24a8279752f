"""Everything but the truth: clock, queues, views, media, providers, FFmpeg."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from shared.domain.errors import Mistake
from shared.domain.messages import Report

if TYPE_CHECKING:
    from shared.media.conform import Timing
    from shared.media.presentation import Streams
    from shared.media.probe import MediaFacts, VideoFacts
    from shared.media.sound import SoundPiece
    from shared.media.streams import MediaInput, MediaResult
    from shared.media.target import Target


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def monotonic_seconds(self) -> float:
        """Seconds that never run backwards, for measuring how long work takes within one invocation.

        They may stand still between two, while Lambda keeps the environment frozen: what outlives one goes by `now`.
        """

    def sleep(self, seconds: float) -> None:
        """Lets the seconds pass."""


class Queue(Protocol):
    """The queues by topic. At least once, in no order."""

    def send(self, topic: str, messages: Sequence[tuple[Mapping[str, Any], int]]) -> Sequence[int]:
        """Sends bodies, each so many seconds late (at most 900); the places of those that were taken, from 0.

        Raises DependencyDown when none was.
        """

    def carries(self, topic: str) -> bool:
        """Whether this function may send to the topic."""


class Reports(Protocol):
    """The way from outside to inside that needs no answer."""

    def send(self, report: Report) -> None:
        """Queues a report. Raises DependencyDown."""


class Inside(Protocol):
    """The way from outside to inside that needs an answer at once."""

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Asks `settle`. Raises DependencyDown when it cannot answer."""


class LiveView(Protocol):
    """Snapshots of jobs for quick reading; an older version never replaces a newer one."""

    def put(self, snapshot: Mapping[str, Any]) -> None:
        """Writes where the held version is lower. Raises DependencyDown."""

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        """The snapshot unless it has expired. Raises DependencyDown."""

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        """Writes over whatever is held; whether that was something else. Raises DependencyDown."""

    def ping(self) -> bool:
        """Whether the cache answers."""

    def page(self, after: str | None, limit: int) -> tuple[Mapping[UUID, int], str | None]:
        """Versions of snapshots by job, in no order, and where to go on, None at the end. Raises DependencyDown."""

    def remove(self, job_id: UUID) -> None:
        """Takes a snapshot out; an absent one is no error. Raises DependencyDown."""


class StatusCache(Protocol):
    """Snapshots, quicker still. Its `put` and `get` are never in the way: an outage is a miss."""

    def put(self, snapshot: Mapping[str, Any]) -> None:
        """Writes where the held version is lower or the same."""

    def get(self, job_id: UUID) -> Mapping[str, Any] | None:
        """The snapshot."""

    def replace(self, snapshot: Mapping[str, Any]) -> bool:
        """Writes over whatever is held; whether that was something else. Raises DependencyDown."""

    def ping(self) -> bool:
        """Whether the cache answers."""


class Waiters(Protocol):
    """Places for callers who wait for a job; so many an account, so many a stage."""

    def place(self, account_id: UUID, seconds: int) -> AbstractContextManager[bool]:
        """Whether a place was free, held for the seconds at most; an outage of the count is a free place."""


class KeyDirectory(Protocol):
    """The projection of API keys which the authorizer reads."""

    def put(self, key: Mapping[str, Any]) -> bool:
        """Writes one key: keyHash, keyId, accountId, scopes, usagePlanKey, revokedAt.

        False, and nothing written, when the key is revoked here and this one is not: of two orders at once the
        stricter holds, whichever comes last.
        """

    def get(self, key_hash: str) -> Mapping[str, Any] | None:
        """One key by the SHA-256 of its text."""

    def is_empty(self) -> bool:
        """Whether it holds no key at all."""

    def hashes(self) -> Set[str]:
        """The hashes of all keys it holds."""

    def remove(self, key_hash: str) -> None:
        """Takes a key out; an absent one is no error."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model as its provider describes it: how a call names it, and the `components` of its OpenAPI schema."""

    called_as: str
    version_id: str
    components: Mapping[str, Any]


class ModelSource(Protocol):
    """Outside: what a provider says of its models."""

    def describe(self, version: str) -> ModelVersion:
        """Of a registry entry's version. Raises NotFound, ProviderBusy, ProviderRefused."""


class ModelSchemas(Protocol):
    """Inside: what was stored of it. Of a model nothing is known of, nothing is refused."""

    def called_as(self, version: str) -> str:
        """The version as a call must name it."""

    def check(self, version: str, parameters: Mapping[str, Any]) -> Sequence[Mistake]:
        """What the model's own schema has against the parameters."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a provider says of one call. `status` is one of running, succeeded, failed, canceled, aborted.

    `text` is all that is not media alone, as it was written, `caption` what of it stands beside `outputs`.
    `retryable` says of one that failed whether the same call may succeed later; `logs` is their end, redacted;
    `tokens`, `images` and `media_seconds` are what the provider says it billed. `rate_*`: of its limit, how many calls
    are left until it is filled up again, and in how many seconds that is.
    """

    id: str
    status: str
    provider_status: str
    outputs: Sequence[str] = ()
    text: str | None = None
    caption: str | None = None
    error: str | None = None
    progress: int | None = None
    predict_seconds: float | None = None
    removed: bool = False
    retryable: bool = False
    logs: str | None = None
    tokens: int | None = None
    images: int | None = None
    media_seconds: float | None = None
    rate_remaining: int | None = None
    rate_reset_seconds: int | None = None


class Provider(Protocol):
    """A maker of media. Raises ProviderRefused, ProviderBusy (nothing made), AnswerLost (nobody knows)."""

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:
        """Makes one prediction; never repeats the call."""

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:
        """The prediction which an unanswered create made. None: no prediction that is listed can be it.

        Raises AnswerLost when several may be it.
        """

    def get(self, provider_id: str) -> Prediction:
        """Reads a prediction. Raises NotFound."""

    def cancel(self, provider_id: str) -> Prediction | None:
        """Asks the provider to stop; a finished prediction is no error. Its end, where it cannot be read afterwards."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file brought in from the internet."""

    path: Path
    size_bytes: int
    sha256: str
    content_type: str


class Downloader(Protocol):
    """The guarded way to a URL that somebody else named."""

    def fetch(self, url: str, folder: Path, is_wanted: Callable[[], bool] = ...) -> Fetched:
        """Brings one file. Raises BadMedia, TooLarge, OutputGone (final), DependencyDown (try again) or, once it is
        wanted no more, Conflict."""


class Encoder(Protocol):
    """FFmpeg, kept in. Raises BadMedia with a reason, Conflict when told to stop, what a stream raises.

    It reads files of the workplace or streams, and writes files or hands over an MP4 in pieces as it comes. `tell`
    hears how many seconds of the result there are.
    """

    def probe(self, source: MediaInput, streams: Streams | None = None) -> MediaFacts:
        """What the file is, from its packets, not its headers. `streams`: its tracks, where its index names them."""

    def verify(self, source: MediaInput, streams: Streams | None = None) -> MediaFacts:
        """Probes and decodes the whole file; frames counted are frames decoded."""

    def thumbnail(self, source: MediaInput, target: Path, streams: Streams | None = None) -> None:
        """Writes a JPEG of at most 640 pixels across. `streams`: as above."""

    def join(self, clips: Sequence[Path], target: Path, seconds: Sequence[Fraction] | None = None) -> None:
        """Joins like clips without re-encoding; `seconds` is how long each lasts, else its header says so."""

    def rewrap(
        self,
        clip: MediaInput,
        facts: MediaFacts,
        result: MediaResult,
        *,
        sound: bool,
        tell: Callable[[float], None] | None = None,
    ) -> None:
        """A clip's picture, with its sound or without, in an MP4 of its own; nothing is encoded."""

    def whole_sound(
        self,
        pieces: Sequence[SoundPiece],
        sample_rate: int,
        channels: int,
        result: MediaResult,
        *,
        tell: Callable[[float], None] | None = None,
    ) -> None:
        """The pieces' sound, sample by sample in a row, as one track of AAC in an MP4 of its own."""

    def conform(
        self,
        clip: MediaInput,
        facts: MediaFacts,
        like: Target,
        result: MediaResult,
        *,
        model: VideoFacts | None = None,
        timing: Timing | None = None,
        changing: bool = False,
        tell: Callable[[float], None] | None = None,
    ) -> None:
        """Re-encodes a clip to the size, rate and sound of `like` with frames by `timing` (None: as many as it lasts);
        with `model`, so that it can be copied next to it."""
