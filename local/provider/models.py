"""The models the stand-in runs: their parameters, versions, prices and the way their clips are encoded.

Parameters, defaults and limits follow the models' public input schemas. Version ids are stable here but
carry no meaning outside: a client must resolve them through the API, as it must with the real service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

Kind = Literal["video", "image", "audio", "text"]
JsonType = Literal["string", "integer", "number", "boolean"]
Unit = Literal["run", "image", "video_second", "token"]

# What a canceled prediction costs while it ran, whatever unit the model is sold by.
HARDWARE_USD_PER_SECOND = Decimal("0.0014")

WIDE_RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21")
RUNWAY_RATIOS = ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672")
FLUX_RATIOS = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21")


@dataclass(frozen=True)
class Parameter:
    """One input of a model, as its openapi_schema states it."""

    name: str
    type: JsonType = "string"
    default: str | int | float | bool | None = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str | int, ...] = ()
    is_uri: bool = False
    description: str = ""


@dataclass(frozen=True)
class Price:
    """USD for one unit; `usd` is keyed by the `resolution` input, "" when the price does not depend on it."""

    unit: Unit
    usd: Mapping[str, str]

    def usd_per_unit(self, resolution: str) -> Decimal:
        return Decimal(self.usd.get(resolution) or self.usd.get("") or max(self.usd.values(), key=Decimal))


@dataclass(frozen=True)
class Encoding:
    """x264 settings that all clips of a model share, so that they join by stream copy."""

    crf: int = 21
    b_frames: int = 0
    references: int = 1


@dataclass(frozen=True)
class Model:
    owner: str
    name: str
    kind: Kind
    official: bool
    description: str
    price: Price
    parameters: tuple[Parameter, ...]
    versions: tuple[str, ...]
    many_outputs: bool = False
    encoding: Encoding = field(default_factory=Encoding)

    @property
    def key(self) -> str:
        return f"{self.owner}/{self.name}"


def _made_version(key: str) -> str:
    return hashlib.sha256(f"local version of {key}".encode()).hexdigest()


PROMPT = Parameter("prompt", required=True, description="Text prompt")
SEED = Parameter("seed", "integer", description="Random seed. Set for reproducible generation")
IMAGE = Parameter("image", is_uri=True, description="Input image for image-to-video")


def _ratio(choices: tuple[str, ...], default: str) -> Parameter:
    return Parameter("aspect_ratio", default=default, choices=choices, description="Aspect ratio")


def _resolution(default: str, *choices: str) -> Parameter:
    return Parameter("resolution", default=default, choices=choices, description="Resolution of the video")


FLUX_SCHNELL = Model(
    "black-forest-labs",
    "flux-schnell",
    "image",
    True,
    "The fastest image generation model of its family",
    Price("image", {"": "0.003"}),
    (
        PROMPT,
        SEED,
        _ratio(FLUX_RATIOS, "1:1"),
        Parameter("num_outputs", "integer", 1, minimum=1, maximum=4, description="Number of outputs"),
        Parameter("num_inference_steps", "integer", 4, minimum=1, maximum=4, description="Denoising steps"),
        Parameter("output_format", default="webp", choices=("webp", "jpg", "png"), description="Image format"),
        Parameter("output_quality", "integer", 80, minimum=0, maximum=100, description="Not used for png"),
        Parameter("megapixels", default="1", choices=("1", "0.25"), description="Approximate megapixels"),
        Parameter("go_fast", "boolean", True, description="Run faster predictions"),
        Parameter("disable_safety_checker", "boolean", False, description="Disable the safety checker"),
    ),
    ("c846a69991daf4c0e5d016514849d14ee5b2e6846ce6b9d6f21369e564cfe51e",),
    many_outputs=True,
)

SDXL = Model(
    "stability-ai",
    "sdxl",
    "image",
    False,
    "A text-to-image model that creates 1024x1024 images",
    Price("image", {"": "0.01"}),
    (
        Parameter("prompt", default="An astronaut riding a rainbow unicorn", description="Input prompt"),
        Parameter("negative_prompt", default="", description="Input negative prompt"),
        Parameter("image", is_uri=True, description="Input image for img2img or inpaint mode"),
        Parameter("width", "integer", 1024, minimum=64, maximum=2048, description="Width of output image"),
        Parameter("height", "integer", 1024, minimum=64, maximum=2048, description="Height of output image"),
        Parameter("num_outputs", "integer", 1, minimum=1, maximum=4, description="Number of images"),
        Parameter("num_inference_steps", "integer", 50, minimum=1, maximum=500, description="Steps"),
        Parameter("guidance_scale", "number", 7.5, minimum=1, maximum=50, description="Guidance scale"),
        Parameter("prompt_strength", "number", 0.8, minimum=0, maximum=1, description="Prompt strength"),
        Parameter("scheduler", default="K_EULER", description="Scheduler"),
        Parameter("refine", default="no_refiner", description="Which refine style to use"),
        SEED,
    ),
    (
        "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc",
        "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b",
    ),
    many_outputs=True,
)

STABLE_VIDEO_DIFFUSION = Model(
    "stability-ai",
    "stable-video-diffusion",
    "video",
    False,
    "Image to video",
    Price("run", {"": "0.05"}),
    (
        Parameter("input_image", required=True, is_uri=True, description="Input image"),
        Parameter(
            "video_length",
            default="14_frames_with_svd",
            choices=("14_frames_with_svd", "25_frames_with_svd_xt"),
            description="Frames to make",
        ),
        Parameter(
            "sizing_strategy",
            default="maintain_aspect_ratio",
            choices=("maintain_aspect_ratio", "crop_to_16_9", "use_image_dimensions"),
            description="How the input image is resized",
        ),
        Parameter("frames_per_second", "integer", 6, minimum=5, maximum=30, description="Frames per second"),
        Parameter("motion_bucket_id", "integer", 127, minimum=1, maximum=255, description="Overall motion"),
        Parameter("cond_aug", "number", 0.02, description="Noise added to the input image"),
        Parameter("decoding_t", "integer", 14, description="Frames decoded at a time"),
        SEED,
    ),
    ("3f0457e4619daac51203dedb472816fd4af51f3149fa7a9e0b5ffcf1b8172438",),
)

SEEDANCE_LITE = Model(
    "bytedance",
    "seedance-1-lite",
    "video",
    True,
    "Text-to-video and image-to-video, 2 to 12 seconds",
    Price("video_second", {"480p": "0.018", "720p": "0.036", "1080p": "0.072"}),
    (
        PROMPT,
        IMAGE,
        Parameter("last_frame_image", is_uri=True, description="Input image for the last frame"),
        Parameter("duration", "integer", 5, minimum=2, maximum=12, description="Duration in seconds"),
        _resolution("720p", "480p", "720p", "1080p"),
        _ratio(WIDE_RATIOS, "16:9"),
        Parameter("fps", "integer", 24, choices=(24,), description="Frame rate (frames per second)"),
        Parameter("camera_fixed", "boolean", False, description="Whether to fix the camera position"),
        SEED,
    ),
    (_made_version("bytedance/seedance-1-lite"),),
)

WAN_FAST = Model(
    "wan-video",
    "wan-2.2-t2v-fast",
    "video",
    True,
    "A fast text-to-video model",
    Price("run", {"480p": "0.05", "720p": "0.10"}),
    (
        PROMPT,
        _ratio(("16:9", "9:16"), "16:9"),
        _resolution("480p", "480p", "720p"),
        Parameter("num_frames", "integer", 81, minimum=81, maximum=121, description="Number of frames"),
        Parameter("frames_per_second", "integer", 16, minimum=5, maximum=30, description="Frame rate"),
        Parameter("sample_shift", "number", 12, minimum=1, maximum=20, description="Sample shift factor"),
        Parameter("go_fast", "boolean", True, description="Go fast"),
        SEED,
    ),
    (_made_version("wan-video/wan-2.2-t2v-fast"),),
    encoding=Encoding(crf=22, b_frames=2, references=2),
)

MINIMAX_VIDEO = Model(
    "minimax",
    "video-01",
    "video",
    True,
    "Generate 6 s videos with prompts or images",
    Price("run", {"": "0.50"}),
    (
        PROMPT,
        Parameter("first_frame_image", is_uri=True, description="First frame for the video"),
        Parameter("subject_reference", is_uri=True, description="A character reference image"),
        Parameter("prompt_optimizer", "boolean", True, description="Use prompt optimizer"),
    ),
    ("5aa835260ff7f40f4069c41185f72036accf99e29957bb4a3b3a911f3b6c1912",),
    encoding=Encoding(crf=22, b_frames=2, references=2),
)

VEO_FAST = Model(
    "google",
    "veo-3-fast",
    "video",
    True,
    "Text-to-video and image-to-video with sound",
    Price("video_second", {"": "0.15"}),
    (
        PROMPT,
        IMAGE,
        _ratio(("16:9", "9:16"), "16:9"),
        _resolution("720p", "720p", "1080p"),
        Parameter("duration", "integer", 8, choices=(4, 6, 8), description="Duration in seconds"),
        Parameter("generate_audio", "boolean", True, description="Generate audio with the video"),
        Parameter("negative_prompt", description="What to exclude"),
        SEED,
    ),
    (_made_version("google/veo-3-fast"),),
    encoding=Encoding(b_frames=2, references=2),
)

MUSICGEN = Model(
    "meta",
    "musicgen",
    "audio",
    False,
    "Generate music from a prompt",
    Price("run", {"": "0.02"}),
    (
        Parameter("prompt", description="A description of the music you want to generate"),
        Parameter(
            "model_version",
            default="stereo-melody-large",
            choices=("stereo-melody-large", "stereo-large", "melody-large", "large"),
            description="Model to use for generation",
        ),
        Parameter("duration", "integer", 8, minimum=1, maximum=300, description="Duration in seconds"),
        Parameter("output_format", default="wav", choices=("wav", "mp3"), description="Output format"),
        Parameter("temperature", "number", 1, description="Conservativeness of sampling"),
        SEED,
    ),
    ("671ac645ce5e552cc63a54a2bbff63fcf798043055d2dac5fc9e36a837eedcfb",),
)

LLAMA = Model(
    "meta",
    "meta-llama-3-8b-instruct",
    "text",
    True,
    "An 8 billion parameter language model for chat",
    Price("token", {"": "0.00000025"}),
    (
        Parameter("prompt", default="", description="Prompt"),
        Parameter("system_prompt", default="You are a helpful assistant", description="System prompt"),
        Parameter("max_tokens", "integer", 512, minimum=1, description="Maximum tokens to generate"),
        Parameter("min_tokens", "integer", minimum=-1, description="Minimum tokens to generate"),
        Parameter("temperature", "number", 0.7, description="Temperature"),
        Parameter("top_p", "number", 0.95, minimum=0, maximum=1, description="Top p"),
    ),
    ("5a6809ca6288247d06daf6365557e5e429063f32a21146b2a807c682652136b8",),
    many_outputs=True,
)

MODELS: Mapping[str, Model] = {
    model.key: model
    for model in (
        FLUX_SCHNELL,
        SDXL,
        STABLE_VIDEO_DIFFUSION,
        SEEDANCE_LITE,
        WAN_FAST,
        MINIMAX_VIDEO,
        VEO_FAST,
        MUSICGEN,
        LLAMA,
    )
}
"""Replicate's by `owner/name`."""


def _runway(name: str, usd: str, *required: str) -> Model:
    """Runway's, made by the same renderer: fields as in Runway's API, priced by the second."""
    fields = (
        Parameter("image", is_uri=True),
        Parameter("prompt"),
        Parameter("ratio", choices=RUNWAY_RATIOS),
        SEED,
        Parameter("duration", "integer", 10, minimum=2, maximum=10),
    )
    parameters = tuple(replace(field, required=field.name in required) for field in fields)
    return Model("runway", name, "video", False, "Video", Price("video_second", {"": usd}), parameters, ())


RUNWAY_MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _runway("gen4_turbo", "0.05", "image", "ratio"),
        _runway("gen4.5", "0.12", "prompt", "ratio", "duration"),
    )
}
"""Runway's by the name its API has for them; Replicate's API does not show them."""


def by_key(key: str) -> Model:
    """Any model, by its `owner/name`. Raises KeyError."""
    return MODELS[key] if key in MODELS else RUNWAY_MODELS[key.removeprefix("runway/")]


def by_version(version: str) -> Model | None:
    """The model that has this version id, or None."""
    return next((model for model in MODELS.values() if version in model.versions), None)
