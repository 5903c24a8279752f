"""The outside brings a source once, to the place it is told, as long as somebody waits for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.addresses import AddressRefused
from shared.domain.errors import BadMedia, Conflict, DependencyDown, OutputGone, ProductError, TooLarge
from shared.domain.messages import FetchSource, SourceFailed, SourceFetched, SourceReport
from shared.ports import Fetched
from shared.usecases.fetch_source import fetch_source
from tests.memory_media import MemoryMedia

JOB, URL, KEY = str(uuid4()), "https://example.com/a.mp4?secret", "fetched/a/b/0"
MESSAGE = FetchSource(JOB, 0)


@dataclass
class Outside:
    """What the inside and the host answer, what was asked of them, and what was reported."""

    verdict: str | ProductError = "go"
    host: ProductError | None = None
    stopped: bool = False
    fetched: list[str] = field(default_factory=list)
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    reported: list[SourceReport] = field(default_factory=list)
    media: MemoryMedia = field(default_factory=MemoryMedia)
    lost: Event = field(default_factory=Event)

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(question)
        if isinstance(self.verdict, ProductError):
            raise self.verdict
        return {"verdict": self.verdict, "url": URL, "key": KEY}

    def send(self, report: SourceReport) -> None:
        self.reported.append(report)

    def fetch(self, url: str, folder: Path, is_wanted: Callable[[], bool]) -> Fetched:
        self.fetched.append(url)
        if self.stopped:
            self.lost.set()
        if self.host is not None:
            raise self.host
        path = folder / "a"
        path.write_bytes(b"film")
        return Fetched(path, 4, hashlib.sha256(b"film").hexdigest(), "video/mp4")

    @contextmanager
    def heartbeat(self, renew: Callable[[], bool]) -> Iterator[Event]:
        assert renew()
        yield self.lost

    def run(self) -> None:
        fetch_source(MESSAGE, inside=self, downloader=self, media=self.media, reports=self, heartbeat=self.heartbeat)


def test_a_source_is_put_where_it_was_told_and_reported() -> None:
    outside = Outside()

    outside.run()

    assert outside.media.objects == {KEY: (b"film", "video/mp4")}
    assert outside.reported == [SourceFetched(JOB, 0, "video/mp4", 4)]
    assert [question["action"] for question in outside.asked] == ["claim_fetch", "renew_fetch"]
    assert len({question["owner"] for question in outside.asked}) == 1


def test_what_an_earlier_worker_has_put_there_is_reported_and_not_fetched_again() -> None:
    outside = Outside()
    outside.media.put(KEY, b"earlier", "video/webm")

    outside.run()

    assert (outside.fetched, outside.reported) == ([], [SourceFetched(JOB, 0, "video/webm", 7)])
    assert outside.media.objects[KEY] == (b"earlier", "video/webm")


@pytest.mark.parametrize("verdict", ["done", "wait"])
def test_without_a_claim_nothing_is_fetched(verdict: str) -> None:
    outside = Outside(verdict)

    outside.run()

    assert (outside.fetched, outside.reported) == ([], [])


def test_nothing_is_fetched_while_the_inside_cannot_be_asked() -> None:
    outside = Outside(DependencyDown("Down."))

    with pytest.raises(DependencyDown):
        outside.run()

    assert outside.fetched == []


@pytest.mark.parametrize(
    ("error", "report"),
    [
        (AddressRefused("Private."), SourceFailed(JOB, 0, "address_refused", "Private.", final=True)),
        (BadMedia("Words."), SourceFailed(JOB, 0, "bad_media", "Words.", final=True)),
        (TooLarge("Large."), SourceFailed(JOB, 0, "too_large", "Large.", final=True)),
        (OutputGone("404."), SourceFailed(JOB, 0, "output_expired", "404.", final=True)),
        (DependencyDown("Slow."), SourceFailed(JOB, 0, "dependency_down", "Slow.", final=False)),
    ],
)
def test_what_hinders_it_is_reported_for_what_it_is(error: ProductError, report: SourceFailed) -> None:
    outside = Outside(host=error)

    outside.run()

    (told,) = outside.reported
    assert isinstance(told, SourceFailed)
    assert (replace(told, owner=None), outside.media.objects) == (report, {})
    assert told.owner is not None


@pytest.mark.parametrize("host", [None, Conflict("Nobody waits.", code="stopped")])
def test_what_nobody_waits_for_any_more_is_neither_put_nor_reported(host: ProductError | None) -> None:
    outside = Outside(host=host, stopped=True)

    outside.run()

    assert (outside.reported, outside.media.objects) == ([], {})
