"""What functions tell each other: ids and small facts, never media. One frozen shape a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import unquote_plus
from uuid import UUID

from shared.domain.storage_keys import job_of_upload

# The queues that announcements go to, besides events.
TOPICS = ("calls", "store", "inspect", "compile", "fetch")
# A message that failed comes again after so long at the latest.
HIDDEN_AT_MOST_SECONDS = 900


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """Queue `calls`: make (or, when claimed before, resolve) the attempt's call, or cancel it at the provider."""

    jobId: str
    attemptId: str
    action: Literal["create", "cancel"] = "create"
    providerId: str | None = None
    provider: str = "replicate"


@dataclass(frozen=True, slots=True)
class StoreMedia:
    """Queue `store`: read the prediction again and fetch what it made."""

    jobId: str
    attemptId: str
    attemptNumber: int
    providerId: str
    provider: str = "replicate"


@dataclass(frozen=True, slots=True)
class FetchSource:
    """Queue `fetch`: bring the job's source of this number from where its caller says it lies."""

    jobId: str
    number: int


@dataclass(frozen=True, slots=True)
class JobMessage:
    """Queues `inspect` and `compile`: do this job's work if nobody else holds its lease."""

    jobId: str


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """Report: the provider made the prediction `providerId`; of its limit `rateRemaining` calls are left until it is
    filled up again in `rateResetSeconds`, None where it does not say."""

    jobId: str
    attemptId: str
    providerId: str
    providerStatus: str
    rateRemaining: int | None = None
    rateResetSeconds: int | None = None
    type: Literal["call.accepted"] = "call.accepted"


@dataclass(frozen=True, slots=True)
class CallRejected:
    """Report: the provider made nothing. `retryable` says whether a new attempt may help."""

    jobId: str
    attemptId: str
    code: str
    message: str
    retryable: bool
    retryAfterSeconds: int = 0
    type: Literal["call.rejected"] = "call.rejected"


@dataclass(frozen=True, slots=True)
class CallUnresolved:
    """Report: whether the provider made something could not be found out yet; it is asked again later.

    `code` is `provider_error` when the provider itself answered that it had failed.
    """

    jobId: str
    attemptId: str
    message: str
    code: str = "answer_lost"
    type: Literal["call.unresolved"] = "call.unresolved"


@dataclass(frozen=True, slots=True)
class WebhookReceived:
    """Report: an authentic webhook came. Its body is a hint: the prediction is read again before use."""

    provider: str
    webhookId: str
    providerId: str
    providerStatus: str
    jobId: str
    attemptId: str
    type: Literal["webhook.received"] = "webhook.received"


@dataclass(frozen=True, slots=True)
class PredictionSeen:
    """Report: the prediction was read and has not succeeded (yet). `providerStatus` in the provider's words.

    `retryable` says of one that failed whether the same call may succeed; `logs` are the end of the provider's;
    tokens, images and seconds of media are what it says it billed, here and below.
    """

    jobId: str
    attemptId: str
    providerId: str
    providerStatus: str
    message: str | None = None
    progress: int | None = None
    predictSeconds: float | None = None
    retryable: bool = False
    logs: str | None = None
    tokens: int | None = None
    images: int | None = None
    mediaSeconds: float | None = None
    type: Literal["prediction.seen"] = "prediction.seen"


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """One output in `incoming/`: its key, what was counted and hashed while it came in."""

    key: str
    sizeBytes: int
    sha256: str
    contentType: str


@dataclass(frozen=True, slots=True)
class MediaStored:
    """Report: all outputs of the prediction are in `incoming/`."""

    jobId: str
    attemptId: str
    providerId: str
    outputs: Sequence[StoredOutput] = field(default_factory=tuple)
    text: str | None = None
    predictSeconds: float | None = None
    tokens: int | None = None
    images: int | None = None
    mediaSeconds: float | None = None
    type: Literal["media.stored"] = "media.stored"


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """Report: the prediction succeeded but its output cannot be had; `final` when asking again is useless."""

    jobId: str
    attemptId: str
    code: str
    message: str
    final: bool
    predictSeconds: float | None = None
    tokens: int | None = None
    images: int | None = None
    mediaSeconds: float | None = None
    type: Literal["store.failed"] = "store.failed"


@dataclass(frozen=True, slots=True)
class SourceFetched:
    """Report: the source lies at the key it was to have, and is of this type by its bytes."""

    jobId: str
    number: int
    contentType: str
    sizeBytes: int
    type: Literal["source.fetched"] = "source.fetched"


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """Report: the source could not be brought; `final` when asking again is useless. `owner` is the worker that tried,
    who is not named by releases before this field.
    """

    jobId: str
    number: int
    code: str
    message: str
    final: bool
    owner: str | None = None
    type: Literal["source.failed"] = "source.failed"


CallReport = CallAccepted | CallRejected | CallUnresolved | WebhookReceived | PredictionSeen | MediaStored | StoreFailed
SourceReport = SourceFetched | SourceFailed
Report = CallReport | SourceReport
Message = ProviderCall | StoreMedia | FetchSource | JobMessage | Report


def body_of(message: Message) -> Mapping[str, Any]:
    """The message as JSON values."""
    return asdict(message)


def jobs_to_inspect(body: Mapping[str, Any]) -> list[UUID]:
    """Of a JobMessage, or of S3's word that something was uploaded (Amazon S3 User Guide, event message structure).

    Raises KeyError, ValueError for a body that is neither.
    """
    if body.get("Event") == "s3:TestEvent":
        return []
    if "jobId" in body:
        return [UUID(body["jobId"])]
    jobs = [job_of_upload(unquote_plus(record["s3"]["object"]["key"])) for record in body["Records"]]
    return [job_id for job_id in jobs if job_id is not None]
