"""The models the stand-in knows: what they make and at which sizes. Prices are of November 2026."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StandInModel:
    """One model. `price_usd` is charged a successful run, or a second of video where `per_second`."""

    name: str
    makes: str
    price_usd: float
    per_second: bool = False
    fps: int = 24
    required: tuple[str, ...] = ("prompt",)
    known: tuple[str, ...] = ("prompt", "seed")
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """A version hash of Replicate's form, the same at every start."""
        return hashlib.sha256(self.name.encode()).hexdigest()


_SIZES = ("prompt", "aspect_ratio", "resolution", "seed")
MODELS = {
    model.name: model
    for model in (
        StandInModel(
            "black-forest-labs/flux-schnell", "image", 0.003,
            known=("prompt", "aspect_ratio", "num_outputs", "output_format", "output_quality", "seed", "megapixels",
                   "go_fast", "num_inference_steps", "disable_safety_checker"),
        ),
        StandInModel(
            "stability-ai/sdxl", "image", 0.01,
            known=("prompt", "negative_prompt", "width", "height", "num_outputs", "seed", "guidance_scale",
                   "num_inference_steps"),
        ),
        StandInModel(
            "bytedance/seedance-1-lite", "video", 0.036, per_second=True,
            known=(*_SIZES, "image", "duration", "fps", "camera_fixed"), defaults={"duration": 5},
        ),
        StandInModel(
            "wan-video/wan-2.2-t2v-fast", "video", 0.05, fps=16,
            known=(*_SIZES, "num_frames", "frames_per_second"), defaults={"resolution": "480p"},
        ),
        StandInModel("minimax/video-01", "video", 0.5, known=("prompt", "first_frame_image", "prompt_optimizer")),
        StandInModel(
            "stability-ai/stable-video-diffusion", "video", 0.05, fps=6, required=("input_image",),
            known=("input_image", "video_length", "sizing_strategy", "frames_per_second", "motion_bucket_id",
                   "cond_aug", "seed"),
            defaults={"duration": 2},
        ),
        StandInModel(
            "meta/musicgen", "audio", 0.02,
            known=("prompt", "duration", "output_format", "model_version", "seed"), defaults={"duration": 8},
        ),
        StandInModel(
            "meta/meta-llama-3-8b-instruct", "text", 0.0001,
            known=("prompt", "system_prompt", "max_tokens", "temperature", "top_p"),
        ),
    )
}  # fmt: skip


def model_of(version: str) -> StandInModel | None:
    """The model of `owner/name`, `owner/name:hash` or a version hash; any hash of a known name is taken."""
    name = version.partition(":")[0]
    if name in MODELS:
        return MODELS[name]
    return next((model for model in MODELS.values() if model.version == version), None)


def input_schema(model: StandInModel) -> dict[str, Any]:
    """The model's openapi_schema as far as inputs go."""
    properties = {name: {"title": name, "x-order": order} for order, name in enumerate(model.known)}
    required = list(model.required)
    return {"components": {"schemas": {"Input": {"type": "object", "required": required, "properties": properties}}}}
