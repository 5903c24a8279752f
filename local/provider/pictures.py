"""Pillow's part of a render: a coloured background of soft light per prompt, and the prompt as a caption."""

from __future__ import annotations

import colorsys
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Size = tuple[int, int]

_SKETCH: Size = (160, 90)
_CAPTION_LINES = 5
_FONT_PATHS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/TTF/DejaVuSans-Bold.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def background(seed: str, size: Size) -> Image.Image:
    """A smooth picture of neighbouring hues. The same seed gives the same picture."""
    dice = random.Random(seed)
    hue = dice.random()
    sketch = Image.new("RGB", _SKETCH, _colour(hue, 0.75, 0.32))
    for _ in range(7):
        colour = _colour(
            hue + dice.choice((-0.12, -0.06, 0.06, 0.12, 0.2)), dice.uniform(0.5, 0.85), dice.uniform(0.6, 0.95)
        )
        sketch.paste(Image.new("RGB", _SKETCH, colour), (0, 0), _blob(dice))
    return sketch.resize(size, Image.Resampling.BICUBIC)


def cover(picture: Image.Image, size: Size) -> Image.Image:
    """The picture scaled and cropped so that it fills the size."""
    upright = ImageOps.exif_transpose(picture)
    return ImageOps.fit(upright.convert("RGB"), size, Image.Resampling.BICUBIC)


def glow(side: int) -> Image.Image:
    """A round white light that fades to nothing at its edge, RGBA."""
    small = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(small).ellipse((16, 16, 48, 48), fill=110)
    alpha = small.filter(ImageFilter.GaussianBlur(8)).resize((side, side), Image.Resampling.BICUBIC)
    light = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    light.putalpha(alpha)
    return light


def caption(text: str, label: str, size: Size) -> Image.Image:
    """The text, large and centred over a soft shadow, and the label small below it; RGBA, `size` pixels."""
    width, height = size
    lines, font = _fitted(text, size)
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    _write(layer, lines, font, (0, 0, 0, 150))
    layer = layer.filter(ImageFilter.GaussianBlur(max(2, height // 120)))
    _write(layer, lines, font, (255, 255, 255, 255))
    small = load_font(max(10, min(width, height) // 32))
    margin = max(8, min(width, height) // 24)
    ImageDraw.Draw(layer).text((margin, height - margin), label, font=small, fill=(255, 255, 255, 190), anchor="ls")
    return layer


def still(text: str, label: str, seed: str, size: Size) -> Image.Image:
    """One finished picture, RGB."""
    width, height = size
    picture = background(seed, size).convert("RGBA")
    side = max(16, min(size) * 3 // 4)
    dice = random.Random(seed + "light")
    picture.alpha_composite(
        glow(side), (dice.randrange(max(1, width - side + 1)), dice.randrange(max(1, height - side + 1)))
    )
    picture.alpha_composite(caption(text, label, size))
    return picture.convert("RGB")


def load_font(size_pixels: int) -> Font:
    """The first bold font this machine has, else the one Pillow carries (Latin only)."""
    for path in _FONT_PATHS:
        if Path(path).exists():
            return ImageFont.truetype(path, size_pixels)
    return ImageFont.load_default(size_pixels)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _blob(dice: random.Random) -> Image.Image:
    mask = Image.new("L", _SKETCH, 0)
    x, y, radius = dice.randrange(_SKETCH[0]), dice.randrange(_SKETCH[1]), dice.randrange(18, 40)
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=205)
    return mask.filter(ImageFilter.GaussianBlur(16))


def _write(layer: Image.Image, lines: list[str], font: Font, fill: tuple[int, int, int, int]) -> None:
    centre = (layer.width / 2, layer.height / 2)
    ImageDraw.Draw(layer).multiline_text(
        centre, "\n".join(lines), font=font, fill=fill, anchor="mm", align="center", spacing=layer.height // 60
    )


def _fitted(text: str, size: Size) -> tuple[list[str], Font]:
    """The largest font at which the text fits into a few lines; a longer text ends in an ellipsis."""
    largest = max(12, min(size) // 9)
    for pixels in range(largest, max(11, largest // 3), -2):
        font = load_font(pixels)
        lines = _wrapped(text, font, size[0] * 0.84)
        if len(lines) <= _CAPTION_LINES:
            return lines, font
    return [*lines[: _CAPTION_LINES - 1], lines[_CAPTION_LINES - 1] + " …"], font


def _wrapped(text: str, font: Font, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines.append(word)
    return lines or [""]
