"""The registry checks, defaults and prices; a new model needs no code."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from shared.domain.catalog import parse_catalog
from shared.domain.errors import InvalidRequest

CONFIG = json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text())
CATALOG = parse_catalog(CONFIG)


def test_defaults_fill_what_was_not_given() -> None:
    resolved = CATALOG.model("video", "seedance-1-lite").resolve({"prompt": "x"})
    assert (resolved["duration"], resolved["resolution"]) == (5, "720p")


@pytest.mark.parametrize(
    ("width", "height", "ratio"), [(1024, 1024, "1:1"), (1920, 1080, "16:9"), (720, 1280, "9:16"), (800, 600, "4:3")]
)
def test_a_size_becomes_the_nearest_ratio(width: int, height: int, ratio: str) -> None:
    given = {"prompt": "x", "width": width, "height": height}
    assert CATALOG.model("image", "flux-schnell").resolve(given)["aspect_ratio"] == ratio


def test_every_mistake_is_named_in_one_answer() -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.model("video", "seedance-1-lite").resolve({"durration": 3, "duration": 99, "fps": 30})
    assert {mistake.path for mistake in refused.value.details} == {
        "parameters.durration", "parameters.duration", "parameters.fps", "parameters.prompt",
    }  # fmt: skip


@pytest.mark.parametrize("value", [True, "3", 3.5, None, [3], float("nan")])
def test_a_whole_number_is_nothing_else(value: object) -> None:
    model = CATALOG.model("audio", "musicgen")
    if value is None:
        assert model.resolve({"prompt": "x"})["duration"] == 8
        return
    with pytest.raises(InvalidRequest):
        model.resolve({"prompt": "x", "duration": value})


@pytest.mark.parametrize(
    ("kind", "model_id", "given", "cost"),
    [
        ("video", "seedance-1-lite", {"prompt": "x", "duration": 3}, "0.108"),
        ("image", "flux-schnell", {"prompt": "x", "num_outputs": 4}, "0.012"),
        ("image", "sdxl", {"prompt": "x"}, "0.01"),
    ],
)
def test_a_price_is_exact(kind: str, model_id: str, given: dict[str, object], cost: str) -> None:
    model = CATALOG.model(kind, model_id)
    assert model.price.estimate_usd(model.resolve(given)) == Decimal(cost)


def test_an_unknown_model_names_its_nearest() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'flux-schnell'"):
        CATALOG.model("image", "flux-schnel")


def test_a_model_of_another_kind_says_so() -> None:
    with pytest.raises(InvalidRequest, match="makes audio, not video") as refused:
        CATALOG.model("video", "musicgen")
    assert refused.value.code == "wrong_media_type"


def test_a_broken_registry_names_every_bad_entry() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_catalog({"image": {"a": {}}, "vidoe": {}, "text": {"b": {"version": "x", "pricingUnit": "mile"}}})
    assert [mistake.path for mistake in refused.value.details] == ["image.a", "vidoe", "text.b"]


def test_a_new_model_needs_no_code() -> None:
    entry = {"version": "o/n", "pricing": 1, "estimatedTime": 2, "supportedParams": ["prompt"]}
    assert parse_catalog({"video": {"new": entry}}).model("video", "new").resolve({"prompt": "x"}) == {"prompt": "x"}
