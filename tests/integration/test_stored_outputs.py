"""Outputs of a provider are brought once each: a message that comes again finds them in the bucket."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.adapters.s3 import S3MediaStore
from shared.domain.messages import MediaStored, Report, StoreFailed, StoreMedia
from shared.ports import Prediction
from shared.usecases.store_media import store_media
from tests.integration.fetching import PNG, downloader
from tests.s3_servers import own_server
from tests.scripted_server import ScriptedServer, by_path, in_turn, reply, scripted

BUCKET = "media"
OUTPUTS = {f"/{number}.png": PNG + bytes([number]) for number in range(3)}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3MediaStore]:
    with own_server(tmp_path_factory.mktemp("s3")) as own:
        own.server.client().create_bucket(Bucket=BUCKET)
        yield S3MediaStore(own.server.client(), BUCKET)


@dataclass
class Delivered:
    """One message, as often as it is delivered: what the inside and the provider say, and what was reported."""

    media: S3MediaStore
    host: ScriptedServer
    paths: tuple[str, ...] = tuple(OUTPUTS)
    message: StoreMedia = field(default_factory=lambda: StoreMedia(str(uuid4()), str(uuid4()), 1, "p1"))
    reported: list[Report] = field(default_factory=list)

    def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"verdict": "go", "mediaType": "image"}

    def get(self, provider_id: str) -> Prediction:
        urls = tuple(self.host.origin + path for path in self.paths)
        return Prediction(provider_id, "succeeded", "succeeded", urls)

    def send(self, report: Report) -> None:
        self.reported.append(report)

    @contextmanager
    def heartbeat(self, _: Callable[[], bool]) -> Iterator[None]:
        yield

    def deliver(self) -> Report:
        provider: Any = self
        store_media(
            self.message,
            inside=self,
            provider=provider,
            downloader=downloader(self.host.origin),
            media=self.media,
            reports=self,
            heartbeat=self.heartbeat,
        )
        return self.reported[-1]

    @property
    def fetched(self) -> list[str]:
        return [asked.path for asked in self.host.asked]

    def key(self, number: int) -> str:
        return f"incoming/{self.message.jobId}/1/{number}"


def served(answers: Mapping[str, bytes]) -> Any:
    return scripted(by_path({path: reply(200, body) for path, body in answers.items()}))


def test_a_message_that_comes_again_fetches_nothing_and_reports_the_same(media: S3MediaStore) -> None:
    with served(OUTPUTS) as host:
        message = Delivered(media, host)
        first, second = message.deliver(), message.deliver()

    assert (message.fetched, second) == (list(OUTPUTS), first)
    assert isinstance(first, MediaStored)
    assert [output.sha256 for output in first.outputs] == [
        hashlib.sha256(body).hexdigest() for body in OUTPUTS.values()
    ]


def test_after_a_delivery_that_stopped_half_way_only_the_rest_is_fetched(media: S3MediaStore) -> None:
    with served({path: body for path, body in OUTPUTS.items() if path != "/1.png"}) as lacking:
        message = Delivered(media, lacking)
        assert isinstance(message.deliver(), StoreFailed)
    with served(OUTPUTS) as host:
        message.host = host
        report = message.deliver()

    assert isinstance(report, MediaStored)
    assert message.fetched == ["/1.png", "/2.png"]


def test_what_was_put_is_reported_where_the_host_sends_something_else_by_now(media: S3MediaStore) -> None:
    with served({"/0.png": PNG + b"first"}) as before, served({"/0.png": PNG + b"second"}) as after:
        message = Delivered(media, before, ("/0.png",))
        first = message.deliver()
        message.host = after

        assert (message.deliver(), message.fetched) == (first, [])


def test_an_object_that_was_checked_against_no_hash_is_not_trusted(media: S3MediaStore, tmp_path: Path) -> None:
    with served(OUTPUTS) as host:
        message = Delivered(media, host, ("/0.png",))
        media.write_once(message.key(0), io.BytesIO(PNG[:100]), "image/png")
        report = message.deliver()

    assert isinstance(report, MediaStored)
    assert (message.fetched, report.outputs[0].sha256) == (["/0.png"], hashlib.sha256(OUTPUTS["/0.png"]).hexdigest())


def test_nothing_is_kept_of_an_output_that_breaks_off(media: S3MediaStore) -> None:
    with scripted(in_turn(reply(200, PNG)[:-10])) as host:
        message = Delivered(media, host, ("/0.png",))

        assert isinstance(message.deliver(), StoreFailed)
    assert media.head(message.key(0)) is None
