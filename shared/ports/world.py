"""Everything but the truth: clock, queues, views, media, providers, FFmpeg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from uuid import UUID

from shared.domain.errors import Mistake
from shared.domain.messages import Report

if TYPE_CHECKING:
    from shared.media.plan import Target
    from shared.media.probe import MediaFacts


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def monotonic_seconds(self) -> float:
        """Seconds that never run backwards, for measuring how long work takes."""

    def sleep(self, seconds: float) -> None:
        """Lets the seconds pass."""


class Queue(Protocol):
    """The queues by topic. At least once, in no order."""

    def send(self, topic: str, body: Mapping[str, Any], delay_seconds: int = 0) -> None:
        """Sends one message, at most 900 s late. Raises DependencyDown."""


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

    def forget(self, job_id: UUID) -> None:
        """Removes the snapshot of a job. Raises DependencyDown."""


class StatusCache(LiveView, Protocol):
    """Like the live view, and never in the way: an outage is a miss."""


class Waiters(Protocol):
    """Places for callers who wait for a job; so many an account, so many a stage."""

    def place(self, account_id: UUID, seconds: int) -> AbstractContextManager[bool]:
        """Whether a place was free, held for the seconds at most; an outage of the count is a free place."""


class KeyDirectory(Protocol):
    """The projection of API keys which the authorizer reads."""

    def put(self, key: Mapping[str, Any]) -> None:
        """Writes one key: keyHash, accountId, scopes, usagePlanKey, revokedAt."""

    def get(self, key_hash: str) -> Mapping[str, Any] | None:
        """One key by the SHA-256 of its text."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a listing."""

    key: str
    modified_at: datetime


class MediaStore(Protocol):
    """The private bucket. Every method raises DependencyDown when it does not answer."""

    @property
    def bucket(self) -> str:
        """Its name."""

    def download(self, key: str, path: Path) -> int:
        """Fetches an object into a file; its bytes. Raises NotFound."""

    def upload(self, path: Path, key: str, content_type: str) -> int:
        """Puts a file; its bytes."""

    def write_once(self, key: str, body: BinaryIO, content_type: str) -> None:
        """Puts a stream unless the key is taken already, which is no error."""

    def write_text(self, key: str, text: str) -> None:
        """Puts a small text unless the key is taken already."""

    def replace_text(self, key: str, text: str) -> None:
        """A small object of JSON, over what was there before."""

    def read_text(self, key: str) -> str:
        """A small object as text. Raises NotFound."""

    def head(self, key: str) -> Mapping[str, Any] | None:
        """`{sizeBytes, contentType}` or None."""

    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; absent ones are no error."""

    def keys(self, prefix: str) -> Sequence[str]:
        """All keys below a prefix."""

    def page(self, prefix: str, after: str, limit: int) -> Sequence[StoredObject]:
        """Objects under the prefix with keys behind `after`, in order, `limit` at most (1000)."""

    def abort_uploads(self, before: datetime) -> int:
        """Gives up multipart uploads that began before; how many."""

    def signed_url(self, key: str, seconds: int = 3600) -> str:
        """A SigV4 URL for GET, the same within a signing window."""


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

    `retryable` says of one that failed whether the same call may succeed later; `logs` is their end, redacted.
    """

    id: str
    status: str
    provider_status: str
    outputs: Sequence[str] = ()
    text: str | None = None
    error: str | None = None
    progress: int | None = None
    predict_seconds: float | None = None
    removed: bool = False
    retryable: bool = False
    logs: str | None = None
    tokens: int | None = None


class Provider(Protocol):
    """A maker of media. Raises ProviderRefused, ProviderBusy (nothing made), AnswerLost (nobody knows)."""

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:
        """Makes one prediction; never repeats the call."""

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:
        """The prediction which an unanswered create made, when that is certain. None: not (yet) to be seen."""

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

    def fetch(self, url: str, folder: Path) -> Fetched:
        """Brings one file. Raises BadMedia, TooLarge, OutputGone (final) or DependencyDown (try again)."""


class Encoder(Protocol):
    """FFmpeg, kept in. Raises BadMedia with a reason."""

    def probe(self, path: Path) -> MediaFacts:
        """What the file is, from its packets, not its headers."""

    def verify(self, path: Path) -> MediaFacts:
        """Probes and decodes the whole file; frames counted are frames decoded."""

    def thumbnail(self, path: Path, target: Path) -> None:
        """Writes a JPEG of at most 640 pixels across."""

    def join(self, clips: Sequence[Path], target: Path) -> None:
        """Joins like clips without re-encoding."""

    def conform(self, clip: Path, facts: MediaFacts, like: Target, target: Path) -> None:
        """Re-encodes a clip to the size, rate and sound of `like`."""
