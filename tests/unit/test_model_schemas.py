"""Parameters are held against what the provider says of its model, before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.adapters.model_schemas import StoredSchemas
from shared.adapters.replicate_models import ReplicateModels
from shared.domain.catalog import Catalog, Model
from shared.domain.errors import NotFound, ProviderBusy
from shared.domain.storage_keys import MODEL_SCHEMAS_KEY
from shared.usecases.refresh_schemas import refresh_schemas
from tests.memory import MemoryClock
from tests.memory_media import MemoryMedia

NAME = "owner/model"
COMPONENTS = {
    "schemas": {
        "Input": {
            "type": "object",
            "required": ["prompt"],
            "properties": {
                "prompt": {"type": "string"},
                "steps": {"type": "integer", "minimum": 1, "maximum": 4},
                "ratio": {"allOf": [{"$ref": "#/components/schemas/ratio"}]},
            },
        },
        "ratio": {"type": "string", "enum": ["1:1", "16:9"]},
    }
}


def described(path: str) -> Mapping[str, Any]:
    version = {"id": "f" * 64, "openapi_schema": {"components": COMPONENTS}}
    answers = {
        "/v1/models/owner/model": {"is_official": True, "latest_version": version},
        "/v1/models/owner/community": {"is_official": False, "latest_version": version},
        "/v1/models/owner/model/versions/abc": {**version, "id": "abc"},
    }
    if path not in answers:
        raise NotFound("No such model.")
    return answers[path]


def a_model(version: str) -> Model:
    return Model("image", version, version, "replicate", Decimal(1), "run", Decimal(1), ("prompt",), {}, {})


def stored(*versions: str) -> tuple[StoredSchemas, MemoryMedia, MemoryClock]:
    media, clock = MemoryMedia(), MemoryClock(datetime(2026, 1, 1, tzinfo=UTC))
    catalog = Catalog({"image": {version: a_model(version) for version in versions}})
    refresh_schemas(catalog=catalog, source=ReplicateModels(described), media=media, clock=clock)
    return StoredSchemas(media, clock), media, clock


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({}, "parameters.prompt"),
        ({"prompt": 1}, "parameters.prompt"),
        ({"prompt": "x", "steps": 9}, "parameters.steps"),
        ({"prompt": "x", "ratio": "2:1"}, "parameters.ratio"),
    ],
)
def test_what_the_schema_refuses_is_named(parameters: dict[str, Any], path: str) -> None:
    schemas, *_ = stored(NAME)

    assert [mistake.path for mistake in schemas.check(NAME, parameters)] == [path]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/components/schemas/Input"},
        {"properties": {"prompt": {"$ref": "http://127.0.0.1:9/schema.json"}}},
        {"properties": {"prompt": {"pattern": "("}}},
        {"properties": {"prompt": {"enum": 5}}},
        {"properties": {"steps": {"minimum": "a"}}},
        {"properties": []},
        5,
        None,
    ],
)
def test_a_schema_that_is_broken_itself_refuses_nothing_and_fetches_nothing(schema: Any) -> None:
    schemas, media, _ = stored(NAME)
    components = {} if schema is None else {"schemas": {"Input": schema}}
    media.replace_text(MODEL_SCHEMAS_KEY, json.dumps({"models": {NAME: {"components": components}}}))

    assert list(schemas.check(NAME, {"prompt": "x", "steps": 1})) == []


def test_what_the_schema_allows_passes() -> None:
    schemas, *_ = stored(NAME)

    assert schemas.check(NAME, {"prompt": "x", "steps": 4, "ratio": "16:9"}) == []


@pytest.mark.parametrize(
    ("version", "called_as"),
    [
        ("owner/model", "owner/model"),
        ("owner/community", f"owner/community:{'f' * 64}"),
        ("owner/model:abc", "owner/model:abc"),
        ("owner/unknown", "owner/unknown"),
    ],
)
def test_a_call_names_official_models_by_name_and_others_by_the_version_found(version: str, called_as: str) -> None:
    schemas, *_ = stored(version)

    assert schemas.called_as(version) == called_as


def test_of_an_unknown_model_nothing_is_refused() -> None:
    schemas, *_ = stored("owner/unknown")

    assert schemas.check("owner/unknown", {"anything": True}) == ()


def test_a_model_that_cannot_be_read_keeps_what_was_known_of_it() -> None:
    _, media, clock = stored(NAME)

    def broken(_: str) -> Mapping[str, Any]:
        raise ProviderBusy("down")

    catalog = Catalog({"image": {NAME: a_model(NAME)}})
    found = refresh_schemas(catalog=catalog, source=ReplicateModels(broken), media=media, clock=clock)

    assert found == {"read": 0, "notRead": 1}
    assert NAME in json.loads(media.read_text(MODEL_SCHEMAS_KEY))["models"]


def test_a_new_catalogue_is_seen_after_a_minute() -> None:
    schemas, media, clock = stored(NAME)
    assert schemas.called_as(NAME) == NAME
    media.replace_text(MODEL_SCHEMAS_KEY, json.dumps({"models": {}}))

    clock.moment += timedelta(seconds=61)

    assert schemas.check(NAME, {}) == ()
