"""Real media from a prompt: H.264 by FFmpeg with the prompt drawn in, pictures by Pillow, tones, text."""

from __future__ import annotations

import asyncio
import hashlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from local.provider.models import StandInModel
from local.provider.steering import Steering, shown_prompt

RATIOS = {
    "16:9": (16, 9), "9:16": (9, 16), "1:1": (1, 1), "4:3": (4, 3), "3:4": (3, 4), "21:9": (21, 9),
    "9:21": (9, 21), "3:2": (3, 2), "2:3": (2, 3), "4:5": (4, 5), "5:4": (5, 4),
}  # fmt: skip
LINES = {"480p": 480, "720p": 720, "1080p": 1080}
HUGE_BYTES = 50_000_000
SOUNDS = {"mono": ("mono", 44100), "stereo": ("stereo", 44100), "48000": ("stereo", 48000)}


class RenderFailed(Exception):
    """FFmpeg could not make the media; the text is its last line."""


async def render(
    model: StandInModel, given: Mapping[str, Any], steering: Steering, folder: Path, ffmpeg: str
) -> list[str]:
    """Names of the files made in `folder`; for text models the pieces of text."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {**model.defaults, **given}
    prompt = shown_prompt(str(given.get("prompt", "")))
    if model.makes == "text":
        return _text(prompt)
    if steering.output in ("html", "huge"):
        return [_wrong_file(steering.output, folder)]
    if model.makes == "image":
        return await asyncio.to_thread(_images, asked, prompt, steering, folder)
    if model.makes == "audio":
        return [await _tone(asked, folder, ffmpeg)]
    name = await _video(model, asked, prompt, steering, folder, ffmpeg)
    if steering.output == "truncated":
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [name]


def _wrong_file(kind: str, folder: Path) -> str:
    if kind == "html":
        (folder / "out-0.mp4").write_text("<!doctype html><title>not a video</title>" + " " * 2000)
    else:
        with (folder / "out-0.mp4").open("wb") as file:
            file.write(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2")
            file.truncate(HUGE_BYTES)
    return "out-0.mp4"


def _text(prompt: str) -> list[str]:
    words = f"You asked: {prompt}. Here are three thoughts on it, each as short as it can be.".split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _size(asked: Mapping[str, Any], steering: Steering, lines: int) -> tuple[int, int]:
    if steering.size:
        across, down = steering.size.split("x")
        return int(across), int(down)
    if "width" in asked and "height" in asked:
        return int(asked["width"]), int(asked["height"])
    across, down = RATIOS.get(str(asked.get("aspect_ratio", "16:9")), (16, 9))
    short = LINES.get(str(asked.get("resolution", "")), lines)
    scale = short / min(across, down)
    return round(across * scale / 2) * 2, round(down * scale / 2) * 2


def _images(asked: Mapping[str, Any], prompt: str, steering: Steering, folder: Path) -> list[str]:
    width, height = _size(asked, steering, 1024)
    kind = str(asked.get("output_format", "png"))
    names = [f"out-{number}.{kind}" for number in range(int(asked.get("num_outputs", 1)))]
    for number, name in enumerate(names):
        picture = _gradient(f"{prompt}{number}", width, height)
        picture.paste(_caption(prompt, width, height), (0, 0), _caption(prompt, width, height))
        picture.save(folder / name, format={"jpg": "JPEG"}.get(kind, kind.upper()))
    return names


def _gradient(seed: str, width: int, height: int) -> Image.Image:
    """Two colours of the prompt's hash, running into each other."""
    digest = hashlib.sha256(seed.encode()).digest()
    corners = Image.new("RGB", (3, 2))
    for place in range(6):
        red, green, blue = digest[place * 3 : place * 3 + 3]
        corners.putpixel((place % 3, place // 3), (red // 2 + 20, green // 2 + 20, blue // 2 + 60))
    return corners.resize((width, height), Image.Resampling.BICUBIC)


def _caption(prompt: str, width: int, height: int) -> Image.Image:
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    size = max(min(width, height) // 12, 10)
    text = "\n".join(textwrap.wrap(prompt, max(int(width / (size * 0.6)), 8))[:6]) or "(no prompt)"
    draw = ImageDraw.Draw(layer)
    draw.multiline_text(
        (width / 2, height / 2), text, font=ImageFont.load_default(size), fill=(255, 255, 255, 240),
        anchor="mm", align="center", stroke_width=max(size // 16, 1), stroke_fill=(0, 0, 0, 160),
    )  # fmt: skip
    return layer


async def _video(
    model: StandInModel, asked: Mapping[str, Any], prompt: str, steering: Steering, folder: Path, ffmpeg: str
) -> str:
    width, height = _size(asked, steering, 720)
    fps = int(steering.fps or asked.get("frames_per_second") or asked.get("fps") or model.fps)
    seconds = float(steering.duration or asked.get("duration") or int(asked.get("num_frames", 81)) / fps)
    frames = max(round(seconds * fps), 1)
    await asyncio.to_thread(_gradient(prompt, width * 2, height).save, folder / "background.png")
    await asyncio.to_thread(_caption(prompt, width, height).save, folder / "caption.png")
    picture = (
        f"[0:v]loop=loop=-1:size=1,setpts=N/{fps}/TB,fps={fps},crop={width}:{height}:'(iw-{width})*n/{frames}':0[b];"
        f"[b][1:v]overlay=y='sin(n/{fps}*2)*h/20',format=yuv420p[v]"
    )
    sound = _sound(steering.sound, hashlib.sha256(prompt.encode()).digest()[0], seconds)
    argv = [
        ffmpeg, "-v", "error", "-y", "-i", str(folder / "background.png"), "-i", str(folder / "caption.png"),
        *sound[0], "-filter_complex", picture, "-map", "[v]", *sound[1], "-frames:v", str(frames),
        "-c:v", "libx264", "-preset", "superfast", "-crf", "20", "-g", str(fps), "-bf", "2", "-flags", "+cgop",
        "-threads", "1", "-r", str(fps), "-video_track_timescale", "12288", "-fflags", "+bitexact",
        "-movflags", "+faststart", str(folder / "out-0.mp4"),
    ]  # fmt: skip
    await _run(argv)
    return "out-0.mp4"


def _sound(kind: str, pitch: int, seconds: float) -> tuple[list[str], list[str]]:
    if kind not in SOUNDS:
        return [], []
    layout, rate = SOUNDS[kind]
    source = f"sine=frequency={220 + pitch}:sample_rate={rate}:duration={seconds}"
    return ["-f", "lavfi", "-i", source], ["-map", "2:a", "-c:a", "aac", "-ac", "1" if layout == "mono" else "2"]


async def _tone(asked: Mapping[str, Any], folder: Path, ffmpeg: str) -> str:
    kind, seconds = str(asked.get("output_format", "wav")), float(asked["duration"])
    pitch = 200 + hashlib.sha256(str(asked.get("prompt", "")).encode()).digest()[0]
    source = f"sine=frequency={pitch}:sample_rate=32000:duration={seconds}"
    await _run([ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", source, str(folder / f"out-0.{kind}")])
    return f"out-0.{kind}"


async def _run(argv: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if process.returncode:
        raise RenderFailed(errors.decode(errors="replace").strip().splitlines()[-1])
