"""The registry checks, defaults and prices; a new model needs no code."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from shared.domain.catalog import parse_catalog
from shared.domain.errors import BrokenRegistry, InvalidRequest
from shared.domain.json_text import parse_json

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
        "parameters.durration",
        "parameters.duration",
        "parameters.fps",
        "parameters.prompt",
    }


@pytest.mark.parametrize("value", [True, "3", 3.5, None, [3], float("nan")])
def test_a_whole_number_is_nothing_else(value: object) -> None:
    model = CATALOG.model("audio", "musicgen")
    if value is None:
        assert model.resolve({"prompt": "x"})["duration"] == 8
        return
    with pytest.raises(InvalidRequest):
        model.resolve({"prompt": "x", "duration": value})


@pytest.mark.parametrize(
    ("media_type", "model_id", "name", "value", "sent"),
    [
        ("video", "seedance-1-lite", "duration", 2.0, "2"),
        ("video", "seedance-1-lite", "fps", 24.0, "24"),
        ("image", "sdxl", "width", 1024.0, "1024"),
        ("image", "sdxl", "guidance_scale", 7.0, "7"),
        ("image", "sdxl", "guidance_scale", 7.5, "7.5"),
    ],
)
def test_an_integral_number_is_sent_as_an_integer(
    media_type: str, model_id: str, name: str, value: float, sent: str
) -> None:
    resolved = CATALOG.model(media_type, model_id).resolve({"prompt": "x", name: value})

    assert json.dumps(resolved[name]) == sent


def test_a_size_with_a_point_becomes_its_ratio() -> None:
    resolved = CATALOG.model("image", "flux-schnell").resolve({"prompt": "x", "width": 1280.0, "height": 720.0})

    assert resolved["aspect_ratio"] == "16:9"


@pytest.mark.parametrize(
    ("media_type", "model_id", "name", "value", "problem"),
    [
        ("video", "seedance-1-lite", "seed", 2.0e30, "must be between 0 and 9223372036854775807"),
        ("video", "seedance-1-lite", "seed", 2**63, "must be between 0 and 9223372036854775807"),
        ("video", "seedance-1-lite", "seed", 10**400, "must be between 0 and 9223372036854775807"),
        ("video", "seedance-1-lite", "seed", -1.0, "must be between 0 and 9223372036854775807"),
        ("video", "seedance-1-lite", "duration", 13.0, "must be between 2 and 12"),
        ("video", "seedance-1-lite", "duration", 2.5, "must be of type integer"),
        ("video", "seedance-1-lite", "fps", 25.0, "must be one of 24"),
        ("image", "sdxl", "guidance_scale", 10**400, "must be between 1 and 50"),
        ("image", "sdxl", "guidance_scale", float("inf"), "must be a finite number"),
        ("image", "sdxl", "guidance_scale", float("nan"), "must be a finite number"),
    ],
)
def test_a_number_beyond_what_its_parameter_takes_is_named(
    media_type: str, model_id: str, name: str, value: float, problem: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.model(media_type, model_id).resolve({"prompt": "x", name: value})

    assert [(mistake.path, mistake.message) for mistake in refused.value.details] == [(f"parameters.{name}", problem)]


def test_a_registry_may_write_its_integers_with_a_point() -> None:
    text = """{"video": {"m": {"version": "o/n", "pricing": 0.1, "pricingUnit": "second", "estimatedTime": 2,
        "supportedParams": ["duration", "steps"], "defaults": {"duration": 5.0}, "deadlineSeconds": 600.0,
        "pricingBy": {"duration": {"5": 0.2}},
        "limits": {"duration": {"type": "integer", "enum": [5.0, 10.0]},
                   "steps": {"type": "integer", "minimum": 1.0, "maximum": 4e0}}}}}"""
    model = parse_catalog(parse_json(text)).model("video", "m")

    resolved = model.resolve({})
    assert (json.dumps(resolved), model.price(resolved).estimate_usd(resolved)) == ('{"duration": 5}', Decimal(1))
    with pytest.raises(InvalidRequest) as refused:
        model.resolve({"duration": 7, "steps": 9})
    problems = [mistake.message for mistake in refused.value.details]
    assert problems == ["must be one of 5, 10", "must be between 1 and 4"]


@pytest.mark.parametrize(
    ("kind", "model_id", "given", "cost"),
    [
        ("video", "seedance-1-lite", {"prompt": "x", "duration": 3}, "0.108"),
        ("image", "flux-schnell", {"prompt": "x", "num_outputs": 4}, "0.012"),
        ("image", "sdxl", {"prompt": "x"}, "0.01"),
        ("video", "seedance-1-lite", {"prompt": "x", "duration": 3, "resolution": "480p"}, "0.054"),
        ("video", "wan-2.2-t2v-fast", {"prompt": "x", "resolution": "720p"}, "0.10"),
    ],
)
def test_a_price_is_exact(kind: str, model_id: str, given: dict[str, object], cost: str) -> None:
    model = CATALOG.model(kind, model_id)
    resolved = model.resolve(given)
    assert model.price(resolved).estimate_usd(resolved) == Decimal(cost)


PICTURE = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    "frame",
    ["https://example.com/a.png", PICTURE, {"s3Key": "uploads/a/b.png"}, {"jobId": "0" * 32}],
)
def test_a_first_frame_goes_under_the_name_the_model_has_for_it(frame: object) -> None:
    for model_id, own in (("seedance-1-lite", "image"), ("stability-video", "input_image")):
        model = CATALOG.model("video", model_id)
        prompt = {"prompt": "x"} if "prompt" in model.supported else {}
        for name in (own, "firstFrame"):
            assert model.resolve({**prompt, name: frame})[own] == frame


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("ftp://example.com/a.png", "https URL"),
        ("https://user@example.com/a.png", "https URL"),
        ("https://[", "https URL"),
        ("https://example.com/" + "a" * 4000, "https URL"),
        ("/etc/passwd", "https URL"),
        ("data:text/html;base64,AAAA", "data: URI of an image"),
        ("data:image/png;base64,%%%%", "valid base64"),
        ("data:image/png;base64," + "A" * 400_000, "at most 262144 bytes"),
        ({"s3Key": ""}, "1 to 1024 characters"),
        ({"s3Key": 7}, "1 to 1024 characters"),
        ({"jobId": "nope"}, "a job's id"),
        ({"s3Key": "a", "jobId": "b"}, "https URL"),
        ({}, "https URL"),
        (7, "https URL"),
        (["https://example.com/a.png"], "https URL"),
    ],
)
def test_a_picture_that_cannot_be_one_is_named(frame: object, told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.model("video", "stability-video").resolve({"firstFrame": frame})
    (mistake,) = refused.value.details
    assert (mistake.path, told in mistake.message) == ("parameters.firstFrame", True), mistake


def test_two_first_frames_are_one_too_many() -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.model("video", "stability-video").resolve({"firstFrame": PICTURE, "input_image": PICTURE})
    assert "parameters.firstFrame" in [mistake.path for mistake in refused.value.details]


def test_a_model_without_pictures_knows_no_first_frame() -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.model("video", "wan-2.2-t2v-fast").resolve({"prompt": "x", "firstFrame": PICTURE})
    assert refused.value.details[0].path == "parameters.firstFrame"


def test_a_fallback_takes_what_it_knows_of_the_first_models_parameters() -> None:
    first, other = CATALOG.model("video", "seedance-1-lite"), CATALOG.model("video", "stability-video")

    resolved = other.resolve_for(first, {"prompt": "x", "image": PICTURE, "duration": 3, "seed": 7})

    assert (resolved["input_image"], resolved["seed"]) == (PICTURE, 7)
    assert not {"prompt", "image", "duration"} & resolved.keys()


def test_an_unknown_model_names_its_nearest() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'flux-schnell'"):
        CATALOG.model("image", "flux-schnel")


def test_a_model_of_another_kind_says_so() -> None:
    with pytest.raises(InvalidRequest, match="makes audio, not video") as refused:
        CATALOG.model("video", "musicgen")
    assert refused.value.code == "wrong_media_type"


def test_a_broken_registry_names_every_bad_entry() -> None:
    with pytest.raises(BrokenRegistry) as refused:
        parse_catalog({"image": {"a": {}}, "vidoe": {}, "text": {"b": {"version": "x", "pricingUnit": "mile"}}})
    named = [mistake.path for mistake in refused.value.mistakes]
    missing = ["pricing", "estimatedTime", "supportedParams"]
    assert named[:4] == [f"image.a.{name}" for name in ("version", *missing)]
    assert set(named[4:]) == {"vidoe", "text.b.pricingUnit", *(f"text.b.{name}" for name in missing)}


def test_a_new_model_needs_no_code() -> None:
    entry = {"version": "o/n", "pricing": 1, "estimatedTime": 2, "supportedParams": ["prompt"]}
    assert parse_catalog({"video": {"new": entry}}).model("video", "new").resolve({"prompt": "x"}) == {"prompt": "x"}
