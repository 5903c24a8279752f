"""What to make for a prediction: sizes, frames, sound and billed units, from its model, input and steering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from local.provider import models
from local.provider.models import Encoding, Model, Unit
from local.provider.steering import Steering, without_directives

Size = tuple[int, int]

# Sizes the real models answer with, which are not the round ones their `resolution` suggests.
_SEEDANCE: Mapping[str, Mapping[str, Size]] = {
    "480p": {"16:9": (864, 480), "4:3": (736, 544), "1:1": (640, 640), "21:9": (960, 416)},
    "720p": {"16:9": (1248, 704), "4:3": (1120, 832), "1:1": (960, 960), "21:9": (1504, 640)},
    "1080p": {"16:9": (1920, 1088), "4:3": (1664, 1248), "1:1": (1440, 1440), "21:9": (2176, 928)},
}
_WAN: Mapping[str, Size] = {"480p": (832, 480), "720p": (1280, 720)}
_VEO: Mapping[str, Size] = {"720p": (1280, 720), "1080p": (1920, 1080)}
_FLUX: Mapping[str, Size] = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "5:4": (1088, 896),
    "4:3": (1152, 896),
}
_SVD_FRAMES = {"14_frames_with_svd": 14, "25_frames_with_svd_xt": 25}
_MINIMAX_FRAMES = 141


@dataclass(frozen=True)
class Sound:
    channels: int
    rate_hz: int


@dataclass(frozen=True)
class VideoPlan:
    caption: str
    label: str
    size: Size
    fps: Fraction
    frames: int
    sound: Sound | None
    encoding: Encoding
    image: str | None = None

    @property
    def duration_seconds(self) -> float:
        return float(self.frames / self.fps)


@dataclass(frozen=True)
class ImagePlan:
    caption: str
    label: str
    size: Size
    count: int
    format: str
    quality: int


@dataclass(frozen=True)
class AudioPlan:
    caption: str
    duration_seconds: float
    format: str


@dataclass(frozen=True)
class TextPlan:
    prompt: str
    max_tokens: int


Plan = VideoPlan | ImagePlan | AudioPlan | TextPlan
_BILLED: Mapping[Unit, tuple[str, ...]] = {
    "run": (),
    "image": ("image_output_count",),
    "video_second": ("video_output_duration_seconds",),
    "token": ("token_input_count", "token_output_count"),
}
_STEREO = Sound(2, 44_100)
_SOUNDS = {"none": None, "mono": Sound(1, 44_100), "stereo": _STEREO, "48000": Sound(2, 48_000)}


def plan_for(model: Model, values: Mapping[str, Any], steering: Steering) -> Plan:
    """`values` is the input with the model's defaults."""
    caption = without_directives(str(values.get("prompt") or ""))
    if model.kind == "video":
        return _steered(_video(model, values, caption), steering)
    if model.kind == "image":
        return _image(model, values, caption, steering)
    if model.kind == "audio":
        seconds = steering.duration_seconds or float(values["duration"])
        return AudioPlan(caption, seconds, str(values["output_format"]))
    return TextPlan(caption, int(values["max_tokens"]))


def usage_of(plan: Plan, outputs: int) -> dict[str, float]:
    """What `metrics` tells of a prediction that made `outputs` files or pieces of text, a token a word."""
    if isinstance(plan, ImagePlan):
        return {"image_output_count": outputs}
    if isinstance(plan, VideoPlan):
        return {"video_output_count": outputs, "video_output_duration_seconds": round(plan.duration_seconds, 6)}
    if isinstance(plan, AudioPlan):
        return {"audio_output_count": outputs, "audio_output_duration_seconds": plan.duration_seconds}
    return {"token_input_count": len(plan.prompt.split()), "token_output_count": outputs}


def billed_units(model: Model, usage: Mapping[str, float]) -> Decimal:
    """Units of the model's price in one successful prediction."""
    names = _BILLED[model.price.unit]
    return Decimal(1) if not names else sum((Decimal(str(usage[name])) for name in names), Decimal(0))


def _video(model: Model, values: Mapping[str, Any], caption: str) -> VideoPlan:
    plan = VideoPlan(caption, model.key, (1024, 576), Fraction(24), 24, None, model.encoding)
    if model.owner == "runway":
        width, height = map(int, str(values["ratio"]).split(":"))
        return replace(plan, size=(width, height), frames=int(values["duration"]) * 24, image=values.get("image"))
    if model is models.SEEDANCE_LITE:
        size, frames = _seedance_size(values), int(values["duration"]) * 24
        return replace(plan, size=size, frames=frames, image=values.get("image"))
    if model is models.WAN_FAST:
        size = _turned(_WAN[values["resolution"]], values["aspect_ratio"])
        return replace(
            plan, size=size, fps=Fraction(int(values["frames_per_second"])), frames=int(values["num_frames"])
        )
    if model is models.VEO_FAST:
        size = _turned(_VEO[values["resolution"]], values["aspect_ratio"])
        sound = Sound(2, 48_000) if values["generate_audio"] else None
        return replace(plan, size=size, frames=int(values["duration"]) * 24, sound=sound, image=values.get("image"))
    if model is models.MINIMAX_VIDEO:
        return replace(
            plan, size=(1280, 720), fps=Fraction(25), frames=_MINIMAX_FRAMES, image=values.get("first_frame_image")
        )
    return replace(
        plan,
        fps=Fraction(int(values["frames_per_second"])),
        frames=_SVD_FRAMES[values["video_length"]],
        image=values["input_image"],
    )


def _steered(plan: VideoPlan, steering: Steering) -> VideoPlan:
    seconds = Fraction(str(steering.duration_seconds or plan.duration_seconds))
    fps = steering.fps or plan.fps
    kept = steering.fps is None and steering.duration_seconds is None
    frames = plan.frames if kept else max(1, round(seconds * fps))
    sound = _SOUNDS[steering.sound] if steering.sound else plan.sound
    return replace(plan, size=steering.size or plan.size, fps=fps, frames=frames, sound=sound)


def _seedance_size(values: Mapping[str, Any]) -> Size:
    sizes, ratio = _SEEDANCE[values["resolution"]], values["aspect_ratio"]
    return sizes[ratio] if ratio in sizes else _turned(sizes[_swapped(ratio)], ratio)


def _turned(landscape: Size, ratio: str) -> Size:
    wide, tall = ratio.split(":")
    return landscape if int(wide) >= int(tall) else (landscape[1], landscape[0])


def _swapped(ratio: str) -> str:
    wide, tall = ratio.split(":")
    return f"{tall}:{wide}"


def _image(model: Model, values: Mapping[str, Any], caption: str, steering: Steering) -> ImagePlan:
    size = steering.size or (_flux_size(values) if model is models.FLUX_SCHNELL else _sdxl_size(values))
    return ImagePlan(
        caption,
        model.key,
        size,
        int(values["num_outputs"]),
        str(values.get("output_format") or "png"),
        int(values.get("output_quality") or 80),
    )


def _flux_size(values: Mapping[str, Any]) -> Size:
    ratio = values["aspect_ratio"]
    width, height = _FLUX[ratio] if ratio in _FLUX else _turned(_FLUX[_swapped(ratio)], ratio)
    return (width // 2, height // 2) if values["megapixels"] == "0.25" else (width, height)


def _sdxl_size(values: Mapping[str, Any]) -> Size:
    return int(values["width"]), int(values["height"])
