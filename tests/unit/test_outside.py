"""The outside does one thing on the internet and reports it: calls are signed for, results put where they belong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.errors import AnswerLost, DependencyDown, NotFound, ProductError, ProviderBusy, ProviderRefused
from shared.domain.messages import (
    CallAccepted,
    CallRejected,
    CallUnresolved,
    MediaStored,
    PredictionSeen,
    ProviderCall,
    Report,
    StoreFailed,
    StoreMedia,
)
from shared.domain.row_limits import RESULT_BYTES
from shared.ports import Fetched, Prediction
from shared.usecases.call_provider import call_provider
from shared.usecases.store_media import store_media
from tests.memory_media import MemoryMedia

JOB, ATTEMPT = str(uuid4()), str(uuid4())
REQUEST = {"version": "o/n", "input": {"prompt": "x", "image": {"s3Key": "uploads/a/b.png"}}, "stored": ["image"]}
SIGNED = {"prompt": "x", "image": "https://memory/uploads/a/b.png?expires=3600"}
URL = "https://replicate.delivery/a.png"


@dataclass
class Outside:
    """Everything the outside meets: what the inside and the provider answer, and what was asked and reported."""

    claim: Mapping[str, Any]
    answer: Prediction | ProductError | None = None
    asked: list[Any] = field(default_factory=list)
    reported: list[Report] = field(default_factory=list)
    media: MemoryMedia = field(default_factory=MemoryMedia)

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.claim

    def send(self, report: Report) -> None:
        self.reported.append(report)

    def create(self, request: Mapping[str, Any], webhook_url: str, cancel_after_seconds: int) -> Prediction:
        found = self._answered(request["input"])
        assert found is not None
        return found

    def find(self, request: Mapping[str, Any], webhook_url: str, since: datetime) -> Prediction | None:
        return self._answered(request["input"])

    def get(self, provider_id: str) -> Prediction:
        return self.create({"input": provider_id}, "", 0)

    def cancel(self, provider_id: str) -> Prediction | None:
        return self._answered(provider_id)

    def fetch(self, url: str, folder: Path) -> Fetched:
        path = folder / uuid4().hex
        path.write_bytes(url.encode())
        return Fetched(path, len(url), hashlib.sha256(url.encode()).hexdigest(), "image/png")

    def _answered(self, asked: Any) -> Prediction | None:
        self.asked.append(asked)
        if isinstance(self.answer, ProductError):
            raise self.answer
        return self.answer

    def call(self, **message: Any) -> Report | None:
        call_provider(
            ProviderCall(JOB, ATTEMPT, **message),
            inside=self,
            provider=self,
            reports=self,
            media=self.media,
            webhook_url=lambda job, attempt: f"https://api.example/{job}/{attempt}",
        )
        return self.reported[0] if self.reported else None

    def store(self) -> Report | None:
        store_media(
            StoreMedia(JOB, ATTEMPT, 1, "p1"),
            inside=self,
            provider=self,
            downloader=self,
            media=self.media,
            reports=self,
            heartbeat=_no_heartbeat,
        )
        return self.reported[0] if self.reported else None


@contextmanager
def _no_heartbeat(_: Callable[[], bool]) -> Iterator[None]:
    yield


def go(answer: Any) -> Outside:
    return Outside({"verdict": "go", "request": REQUEST, "cancelAfterSeconds": 60}, answer)


def resolve(answer: Any, *, absent_means_failed: bool = False) -> Outside:
    claim = {"verdict": "resolve", "request": REQUEST, "claimedAt": "2026-01-01T00:00:00.000Z"}
    return Outside({**claim, "absentMeansFailed": absent_means_failed}, answer)


def made(**facts: Any) -> Prediction:
    return Prediction(**{"id": "p1", "status": "succeeded", "provider_status": "succeeded", **facts})


@pytest.mark.parametrize("claimed", [go, resolve])
def test_stored_pictures_are_signed_for_each_call(claimed: Callable[[Any], Outside]) -> None:
    outside = claimed(made(status="running", provider_status="starting"))

    assert outside.call() == CallAccepted(JOB, ATTEMPT, "p1", "starting")
    assert outside.asked == [SIGNED]
    assert REQUEST["input"]["image"] == {"s3Key": "uploads/a/b.png"}  # type: ignore[index]


def test_an_image_that_cannot_be_read_costs_no_call_and_is_reported_as_such() -> None:
    """Once claimed, a call without an answer counts as spent: this one was never made."""

    class Down(MemoryMedia):
        def read(self, key: str, offset: int, length: int, etag: str) -> bytes:
            raise DependencyDown("The bucket does not answer.")

    outside = go(made())
    outside.media = Down()
    key = f"uploads/a/b/{JOB}/inline-0"
    outside.media.put(key, b"image", "image/png")
    outside.claim = {**outside.claim, "request": {**REQUEST, "input": {"image": {"s3Key": key}}, "stored": ["image"]}}

    report = outside.call()

    assert report == CallRejected(JOB, ATTEMPT, "image_unreadable", "The bucket does not answer.", True, 30)
    assert outside.asked == []


def test_what_only_looks_like_a_stored_picture_is_not_signed() -> None:
    outside = go(made())
    outside.claim = {**outside.claim, "request": {**REQUEST, "stored": []}}

    outside.call()

    assert outside.asked == [REQUEST["input"]]


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (ProviderRefused("No."), CallRejected(JOB, ATTEMPT, "provider_refused", "No.", retryable=False)),
        (
            ProviderBusy("Later.", code="provider_throttled", retry_after_seconds=7),
            CallRejected(JOB, ATTEMPT, "provider_throttled", "Later.", True, 7),
        ),
        (AnswerLost("Cut."), CallUnresolved(JOB, ATTEMPT, "Cut.", "answer_lost")),
        (AnswerLost("500.", code="provider_error"), CallUnresolved(JOB, ATTEMPT, "500.", "provider_error")),
    ],
)
def test_a_call_that_fails_is_reported_for_what_it_is(error: ProductError, report: Report) -> None:
    assert go(error).call() == report


@pytest.mark.parametrize("answer", [None, ProviderBusy("Later."), ProviderRefused("No."), AnswerLost("Two.")])
def test_what_cannot_be_found_stays_in_doubt(answer: Any) -> None:
    outside = resolve(answer)

    assert isinstance(outside.call(), CallUnresolved)


def test_a_call_the_provider_failed_and_does_not_list_may_be_made_again() -> None:
    report = resolve(None, absent_means_failed=True).call()

    assert isinstance(report, CallRejected)
    assert (report.code, report.retryable) == ("provider_error", True)
    assert isinstance(resolve(AnswerLost("Two."), absent_means_failed=True).call(), CallUnresolved)
    assert isinstance(resolve(made(), absent_means_failed=True).call(), CallAccepted)


@pytest.mark.parametrize("verdict", ["done", "cancelled", "wait"])
def test_without_a_claim_nothing_is_called(verdict: str) -> None:
    outside = Outside({"verdict": verdict}, made())

    assert (outside.call(), outside.asked) == (None, [])


def test_a_cancel_of_what_the_provider_has_forgotten_is_no_error() -> None:
    outside = Outside({}, NotFound("Gone."))

    assert (outside.call(action="cancel", providerId="p1"), outside.asked) == (None, ["p1"])


def test_the_end_that_a_cancel_tells_is_reported() -> None:
    outside = Outside({}, made(status="canceled", provider_status="canceled", predict_seconds=1.0))

    report = outside.call(action="cancel", providerId="p1")

    assert report == PredictionSeen(JOB, ATTEMPT, "p1", "canceled", predictSeconds=1.0)


def storing(media_type: str, **facts: Any) -> Outside:
    return Outside({"verdict": "go", "mediaType": media_type}, made(**facts))


def test_all_outputs_are_put_in_order_with_what_was_billed() -> None:
    outside = storing(
        "image", outputs=(URL, URL + "2"), text=f"{URL}note", caption="note", images=2, predict_seconds=1.5
    )

    report = outside.store()

    assert isinstance(report, MediaStored)
    assert [output.key for output in report.outputs] == [f"incoming/{JOB}/1/{n}" for n in range(2)]
    assert outside.media.objects[f"incoming/{JOB}/1/1"] == ((URL + "2").encode(), "image/png")
    assert (report.text, report.images, report.predictSeconds) == ("note", 2, 1.5)


def test_an_answer_that_is_an_address_is_text_where_text_was_asked_for() -> None:
    report = storing("text", outputs=(URL, "https://example.com/b"), tokens=9).store()

    assert isinstance(report, MediaStored)
    assert (report.outputs, report.text, report.tokens) == ((), URL + "https://example.com/b", 9)


def test_a_text_that_holds_addresses_is_kept_whole_where_text_was_asked_for() -> None:
    report = storing("text", outputs=(URL,), text=f"See {URL}.", caption="See .").store()

    assert isinstance(report, MediaStored)
    assert (report.outputs, report.text) == ((), f"See {URL}.")


def test_a_text_too_long_for_a_message_is_put_like_media() -> None:
    text = "\u00e9" * RESULT_BYTES
    outside = storing("text", text=text)

    report = outside.store()

    assert isinstance(report, MediaStored)
    assert (report.text, report.outputs[0].contentType) == (None, "text/plain")
    assert outside.media.read_text(report.outputs[0].key) == text


@pytest.mark.parametrize("facts", [{}, {"removed": True, "outputs": (URL,)}])
def test_a_success_without_output_is_a_failure_that_was_billed(facts: dict[str, Any]) -> None:
    report = storing("image", images=1, predict_seconds=2.0, **facts).store()

    assert isinstance(report, StoreFailed)
    assert (report.code, report.final, report.images, report.predictSeconds) == ("output_expired", True, 1, 2.0)


def test_what_nobody_waits_for_is_only_looked_at() -> None:
    outside = Outside({"verdict": "read"}, made(outputs=(URL,), media_seconds=5.0))

    report = outside.store()

    assert isinstance(report, PredictionSeen)
    assert (report.providerStatus, report.mediaSeconds, outside.media.objects) == ("succeeded", 5.0, {})
