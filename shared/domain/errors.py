"""Every error the product can answer with: a stable code, a sentence that says what to do, details by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

# Codes of calls that were never made, as an image of theirs could not be read now, or is gone.
IMAGE_UNREADABLE, IMAGE_MISSING = "image_unreadable", "image_missing"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a request. `path` is dotted, as in `parameters.duration`.

    `facts` say the same to a program: fields that stand beside path and message in the answer.
    """

    path: str
    message: str
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict, hash=False)


# An answer is at most 6 MB (Lambda), whatever was sent.
MOST_MISTAKES = 100
LONGEST_PATH, LONGEST_MESSAGE = 300, 2000


class ProductError(Exception):
    """Base of all errors with a stable code; `http.py` maps the class to a status once.

    `details` are the first 100 mistakes, their texts cut to what fits an answer.
    """

    code = "internal"

    def __init__(
        self,
        sentence: str,
        *,
        code: str | None = None,
        details: Iterable[Mistake] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or type(self).code
        self.details = tuple(_bounded(mistake) for mistake in islice(details, MOST_MISTAKES))
        self.retry_after_seconds = retry_after_seconds


def _bounded(mistake: Mistake) -> Mistake:
    return replace(mistake, path=mistake.path[:LONGEST_PATH], message=mistake.message[:LONGEST_MESSAGE])


class MalformedRequest(ProductError):
    """The body is no JSON object."""

    code = "malformed_json"


class Forbidden(ProductError):
    """The key lacks the scope the route asks for."""

    code = "missing_scope"


class OverBudget(ProductError):
    """The account's or user's budget does not cover the estimate."""

    code = "budget_exceeded"


class RateLimited(ProductError):
    """The account asks for more than it may have at once."""

    code = "rate_limited"


class NotFound(ProductError):
    """There is no such thing in the caller's account."""

    code = "not_found"


class Conflict(ProductError):
    """The thing exists but is in a state that does not allow the action."""

    code = "conflict"


class OutOfTime(Conflict):
    """The invocation ends before the work does, which is taken up again."""

    code = "out_of_time"

    def __init__(self) -> None:
        super().__init__("The invocation's time is over; the job is taken up again.")


class OutOfPatience(ProductError):
    """The work was not done before its deadline."""

    code = "timeout"


class OwnFailure(ProductError):
    """A job ended for a reason that is ours, not its caller's."""


class TooLarge(ProductError):
    """A body or a media file is over its limit."""

    code = "too_large"


class NoRoom(TooLarge):
    """A worker's temporary storage is full: its stage is sized for what is accepted (`infra/stages.py`)."""

    code = "no_room"

    def __init__(self) -> None:
        super().__init__(
            "The files need more temporary storage than a worker of this stage has: use smaller ones, or have the "
            "stage's operator raise it."
        )


class InvalidRequest(ProductError):
    """Well-formed but wrong; `details` names each mistake."""

    code = "invalid_request"


class Unauthorized(ProductError):
    """A signature or key does not match."""

    code = "unauthorized"


class ProviderRefused(ProductError):
    """The provider answered that it will not do this; asking again would not help."""

    code = "provider_refused"


class ProviderBusy(ProductError):
    """The provider throttles or fails for now and has made nothing."""

    code = "provider_busy"


# The code of a ProviderBusy for a 429: nothing failed, the call has to wait.
PROVIDER_THROTTLED = "provider_throttled"
# The code of a ProviderRefused that no other request would change: of a token, a credit or a model that is missing.
MODEL_UNAVAILABLE = "model_unavailable"
# The code of an AnswerLost where the provider itself has answered that it failed (5xx).
PROVIDER_ERROR = "provider_error"


class AnswerLost(ProductError):
    """The provider may or may not have acted: never repeat the call, ask what became of it."""

    code = "answer_lost"


class BadMedia(ProductError):
    """A file is not the media it claims to be, or is beyond what is handled."""

    code = "bad_media"


class OutputGone(ProductError):
    """What is asked for was here, or at the provider, and is gone: deleted, erased or expired."""

    code = "output_expired"


class BrokenRegistry(Exception):
    """The registry of models cannot be used: no caller's mistake, but of the stage's operator, who reads this text."""

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        self.source, self.mistakes = source, tuple(mistakes)
        lines = [f"  {f'{mistake.path} {mistake.message}'.strip()}" for mistake in self.mistakes]
        remedy = "correct it there and start or deploy the stage again"
        super().__init__("\n".join([f"The registry of models in {source} is wrong: {remedy}.", *lines]))


class DependencyDown(ProductError):
    """A store or queue does not answer; nothing was recorded."""

    code = "dependency_down"
