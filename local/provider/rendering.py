"""Makes the files of a prediction: pictures by Pillow, clips and sound by FFmpeg on one thread each."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from local.provider import pictures
from local.provider.plans import AudioPlan, ImagePlan, Plan, Sound, TextPlan, VideoPlan

# The background is drawn larger than the clip and drifts behind it.
_DRIFT_ROOM = 1.25


class RenderError(Exception):
    """The media could not be made; the text says why in the model's place."""


@dataclass(frozen=True)
class Renderer:
    """`ffmpeg` is the binary's path."""

    ffmpeg: str

    async def render(self, plan: Plan, folder: Path, image: bytes | None) -> list[str]:
        """Writes out-0.ext and so on into the folder and returns their names; no file for text."""
        if isinstance(plan, TextPlan):
            return []
        folder.mkdir(parents=True)
        if isinstance(plan, ImagePlan):
            return await asyncio.to_thread(_write_images, plan, folder)
        if isinstance(plan, AudioPlan):
            return [await self._audio(plan, folder)]
        return [await self._video(plan, folder, image)]

    async def _video(self, plan: VideoPlan, folder: Path, image: bytes | None) -> str:
        layers = await asyncio.to_thread(_write_layers, plan, folder, image)
        name = "out-0.mp4"
        await self._run(_video_arguments(plan, layers, folder / name))
        for layer in layers:
            layer.unlink()
        return name

    async def _audio(self, plan: AudioPlan, folder: Path) -> str:
        name = f"out-0.{plan.format}"
        tones = _tones(plan.caption, Sound(2, 32_000), plan.duration_seconds)
        await self._run(["-f", "lavfi", "-i", tones, str(folder / name)])
        return name

    async def _run(self, arguments: Sequence[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            self.ffmpeg,
            "-hide_banner",
            "-nostdin",
            "-v",
            "error",
            "-y",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await process.communicate()
        finally:
            await _end(process)
        if process.returncode != 0:
            raise RenderError(errors.decode(errors="replace").strip()[-500:] or "FFmpeg failed")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leaves no encoder behind when the prediction is canceled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def text_pieces(plan: TextPlan) -> list[str]:
    """An answer in pieces as a language model streams it, cut at max_tokens."""
    subject = plan.prompt or "nothing in particular"
    answer = (
        f"Here is a short answer about {subject}. It opens with a promise, shows one clear picture, "
        "names the problem, offers the way out, and ends with a call to act today."
    )
    pieces = [word if position == 0 else f" {word}" for position, word in enumerate(answer.split(" "))]
    return pieces[: plan.max_tokens]


def _seed(caption: str, number: int = 0) -> str:
    return hashlib.sha256(f"{caption}/{number}".encode()).hexdigest()


def _write_images(plan: ImagePlan, folder: Path) -> list[str]:
    names = [f"out-{number}.{plan.format}" for number in range(plan.count)]
    for number, name in enumerate(names):
        picture = pictures.still(plan.caption, plan.label, _seed(plan.caption, number), plan.size)
        picture.save(folder / name, quality=plan.quality, compress_level=1)
    return names


def _write_layers(plan: VideoPlan, folder: Path, image: bytes | None) -> list[Path]:
    """background, light, caption and progress bar, in the order FFmpeg stacks them."""
    width, height = plan.size
    canvas = (_even(width * _DRIFT_ROOM), _even(height * _DRIFT_ROOM))
    layers = {
        "background.png": pictures.cover(_opened(image), canvas)
        if image
        else pictures.background(_seed(plan.caption), canvas),
        "light.png": pictures.glow(_even(min(plan.size) * 0.8)),
        "caption.png": pictures.caption(plan.caption, plan.label, plan.size),
        "bar.png": Image.new("RGBA", (width, max(2, _even(height / 90))), (255, 255, 255, 200)),
    }
    for name, layer in layers.items():
        layer.save(folder / name, compress_level=1)
    return [folder / name for name in layers]


def _opened(image: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(image))
        picture.load()
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise RenderError(f"cannot identify image file: {error}") from error
    return picture


def _even(pixels: float) -> int:
    return max(2, int(pixels) // 2 * 2)


def _video_arguments(plan: VideoPlan, layers: Sequence[Path], target: Path) -> list[str]:
    inputs = [part for layer in layers for part in ("-framerate", str(plan.fps), "-i", str(layer))]
    sound: list[str] = []
    if plan.sound:
        inputs += ["-f", "lavfi", "-i", _tones(plan.caption, plan.sound, plan.duration_seconds)]
        sound = ["-map", f"{len(layers)}:a", "-c:a", "aac", "-b:a", "128k"]
    return [
        "-filter_complex_threads",
        "1",
        *inputs,
        "-filter_complex",
        _moving(plan),
        "-map",
        "[v]",
        *sound,
        "-frames:v",
        str(plan.frames),
        *_encoder(plan),
        "-movflags",
        "+faststart",
        str(target),
    ]


def _moving(plan: VideoPlan) -> str:
    """The background drifts, the light circles, the caption breathes, the bar fills with time."""
    width, height = plan.size
    phase = int(_seed(plan.caption)[:4], 16) / 10_000
    seconds = plan.duration_seconds
    return ";".join(
        (
            "[0:v]scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,loop=-1:1:0,"
            f"setpts=N/(({plan.fps})*TB),crop={width}:{height}:"
            f"x='(iw-ow)/2*(1+sin(t*0.9+{phase}))':y='(ih-oh)/2*(1+cos(t*0.7+{phase}))'[back]",
            f"[back][1:v]overlay=x='W*(0.5+0.4*sin(t*1.1+{phase}))-w/2':y='H*(0.5+0.35*cos(t*0.8+{phase}))-h/2'[lit]",
            f"[lit][2:v]overlay=x=0:y='{height / 90:.1f}*sin(t*1.6)'[told]",
            f"[told][3:v]overlay=x='-w+w*(t+{float(1 / plan.fps):.4f})/{seconds:.4f}':y=H-h,"
            "format=yuv420p,setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709[v]",
        )
    )


def _encoder(plan: VideoPlan) -> list[str]:
    """Fixed closed groups of one second and no scene cuts: clips of one model and size join by copy."""
    gop = max(1, round(plan.fps))
    encoding = plan.encoding
    return [
        "-c:v",
        "libx264",
        "-preset",
        "superfast",
        "-profile:v",
        "high",
        "-threads",
        "1",
        "-crf",
        str(encoding.crf),
        "-bf",
        str(encoding.b_frames),
        "-refs",
        str(encoding.references),
        "-g",
        str(gop),
        "-keyint_min",
        str(gop),
        "-sc_threshold",
        "0",
        "-flags",
        "+cgop",
        "-r",
        str(plan.fps),
        "-pix_fmt",
        "yuv420p",
        "-video_track_timescale",
        str(plan.fps.numerator * 512),
    ]


def _tones(caption: str, sound: Sound, seconds: float) -> str:
    """A calm chord whose root comes from the caption, as an FFmpeg source."""
    root = 110 * 2 ** (int(_seed(caption)[:2], 16) % 12 / 12)
    chord = "+".join(
        f"0.12*sin(2*PI*{root * ratio:.2f}*t)*(0.7+0.3*sin({speed}*t))"
        for ratio, speed in ((1, 0.9), (1.25, 1.3), (1.5, 0.7), (2, 1.9))
    )
    channels = "|".join([chord] * sound.channels)
    layout = "stereo" if sound.channels == 2 else "mono"
    return f"aevalsrc=exprs='{channels}':s={sound.rate_hz}:d={seconds:.6f}:c={layout}"
