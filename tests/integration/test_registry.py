"""Where the registry of models is read from: a text, an object of a bucket, or the file that comes along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ministack import ACCESS_KEY_ID, REGION
from shared import bootstrap
from shared.domain.errors import DependencyDown
from tests.s3_servers import SECRET, own_server
from tests.scripted_server import always, reply, scripted

REGISTRY = json.dumps(
    {
        "image": {
            "own": {
                "version": "owner/name",
                "pricing": 0.05,
                "pricingUnit": "run",
                "estimatedTime": 4,
                "supportedParams": ["prompt"],
            }
        }
    }
)


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is kept of what another test has read."""
    given = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for kept in (bootstrap.catalog, bootstrap.aws):
        kept.cache_clear()
    yield
    for kept in (bootstrap.catalog, bootstrap.aws):
        kept.cache_clear()


def test_without_a_setting_it_is_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELS_CONFIG", raising=False)
    assert "flux-schnell" in bootstrap.catalog().models["image"]


def test_a_text_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_CONFIG", REGISTRY)
    assert list(bootstrap.catalog().models["image"]) == ["own"]


def test_so_does_an_object_and_one_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with own_server(tmp_path) as own:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", own.server.url)
        own.server.client().create_bucket(Bucket="settings")
        own.server.client().put_object(Bucket="settings", Key="models.json", Body=REGISTRY.encode())
        monkeypatch.setenv("MODELS_CONFIG", "s3:settings/absent.json")
        with pytest.raises(ValueError, match=r"s3:settings/absent\.json"):
            bootstrap.catalog()
        monkeypatch.setenv("MODELS_CONFIG", "s3:settings/models.json")
        assert list(bootstrap.catalog().models["image"]) == ["own"]


def test_a_bucket_that_does_not_answer_has_to_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_CONFIG", "s3:settings/models.json")
    with scripted(always(reply(503))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.origin)
        with pytest.raises(DependencyDown):
            bootstrap.catalog()
