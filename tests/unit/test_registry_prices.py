"""Every parameter of the registry that raises the provider's bill is priced or limited."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.domain.catalog import Model, parse_catalog

CATALOG = parse_catalog(json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text()))
MODELS = [model for models in CATALOG.models.values() for model in models.values()]
# The parameter that a pricing unit counts.
COUNTED = {"run": None, "second": "duration", "computeSecond": None, "image": "num_outputs", "token": "max_tokens"}
# More of these is more work for the provider, whatever unit it is sold by.
RAISING = frozenset(
    {"num_outputs", "duration", "num_frames", "video_length", "num_inference_steps", "width", "height", "resolution"}
    | {"megapixels", "fps", "max_tokens"}
)
# These change a result, not the work it takes. Texts count by their bytes where tokens are billed. frames_per_second
# is only how fast the same frames play; all versions of musicgen have the same size; both strategies of sizing lead
# to one size.
NEUTRAL = frozenset(
    {"prompt", "negative_prompt", "system_prompt", "seed", "aspect_ratio", "ratio", "output_format", "output_quality"}
    | {"go_fast", "guidance_scale", "image", "camera_fixed", "frames_per_second", "input_image", "sizing_strategy"}
    | {"motion_bucket_id", "cond_aug", "model_version", "temperature", "top_p"}
)


def is_priced(model: Model, name: str) -> bool:
    values = model.limits.get(name, {}).get("enum", [])
    if name == COUNTED[model.pricing_unit] or len(values) == 1:
        return True
    if model.priced_by and model.priced_by.parameter == name:
        return set(map(str, values)) == set(model.priced_by.unit_usd)
    return model.priced_up_to is not None and name in model.priced_up_to.values


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_id)
def test_no_parameter_raises_the_bill_unpriced(model: Model) -> None:
    assert not set(model.supported) - RAISING - NEUTRAL, "say in this test whether the parameter raises the bill"
    assert [name for name in model.supported if name in RAISING and not is_priced(model, name)] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_id)
def test_what_a_price_counts_is_known_before_the_call(model: Model) -> None:
    counted = COUNTED[model.pricing_unit]

    assert counted in (None, "num_outputs") or counted in model.defaults or model.limits[counted].get("required")


def test_no_clip_takes_the_size_of_any_picture() -> None:
    limit = CATALOG.model("video", "stability-video").limits["sizing_strategy"]

    assert limit["enum"] == ["maintain_aspect_ratio", "crop_to_16_9"]


@pytest.mark.parametrize(
    ("kind", "model_id", "given", "cost"),
    [
        ("image", "sdxl", {"num_outputs": 4}, "0.04"),
        ("image", "sdxl", {"num_inference_steps": 20}, "0.01"),
        ("image", "sdxl", {"num_inference_steps": 500}, "0.1"),
        ("image", "sdxl", {"width": 2048, "height": 2048, "num_inference_steps": 100}, "0.08"),
        ("image", "flux-schnell", {"num_inference_steps": 4, "megapixels": "0.25"}, "0.003"),
        ("video", "wan-2.2-t2v-fast", {"num_frames": 121, "resolution": "720p"}, "0.149383"),
        ("video", "stability-video", {"video_length": "25_frames_with_svd_xt"}, "0.09"),
        ("audio", "musicgen", {}, "0.02"),
        ("audio", "musicgen", {"duration": 30}, "0.075"),
    ],
)
def test_what_raises_the_bill_raises_the_price(kind: str, model_id: str, given: dict[str, Any], cost: str) -> None:
    model = CATALOG.model(kind, model_id)
    picture = {"input_image": "https://example.com/a.png"} if model_id == "stability-video" else {"prompt": "x"}
    parameters = model.resolve({**picture, **given})

    assert model.price(parameters).estimate_usd(parameters) == Decimal(cost)


def test_more_work_is_more_of_the_expected_time_where_time_is_billed() -> None:
    priced = {"pricing": 0.001, "pricingUnit": "computeSecond", "pricedUpTo": {"steps": 50}}
    limits = {"steps": {"type": "integer"}}
    entry = {"version": "o/n", "estimatedTime": 10, "supportedParams": ["steps"], "limits": limits, **priced}
    price = parse_catalog({"image": {"m": entry}}).model("image", "m").price({"steps": 100})

    assert (price.unit_usd, price.expected_seconds) == (Decimal("0.001"), Decimal(20))
