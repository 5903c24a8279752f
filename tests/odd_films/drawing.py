"""Frames that tell their clip and their number by black and white cells, drawn and read.

A grid of 10 by 6 cells: grey, a white cell in the upper left corner and black ones in the other corners, and in the
middle 16 pairs of cells, one black and one white, whose order is a bit: 8 of the clip, 6 of the frame, 2 to check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

COLUMNS, ROWS = 10, 6
CLIP_BITS, FRAME_BITS, CHECK_BITS = 8, 6, 2
BITS = CLIP_BITS + FRAME_BITS + CHECK_BITS
BLACK, GREY, WHITE = 0, 128, 255
EDGE = 64
LEAST_CONTRAST = 50
MOST_FRAMES = 1 << FRAME_BITS
CORNERS = {(0, 0): WHITE, (COLUMNS - 1, 0): BLACK, (0, ROWS - 1): BLACK, (COLUMNS - 1, ROWS - 1): BLACK}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """How a coded frame is shown: turned by a, b, c, d of its matrix, at an aspect, cut to a part of its coded area."""

    turn: tuple[int, int, int, int]
    aspect: Fraction
    crop: Box = (0.0, 0.0, 1.0, 1.0)

    def place(self, u: float, v: float) -> tuple[float, float]:
        """Where a point of the coded frame is shown, both in parts of width and height."""
        left, top, right, bottom = self.crop
        u, v = (u - left) / (right - left) - 0.5, (v - top) / (bottom - top) - 0.5
        a, b, c, d = self.turn
        return a * u + c * v + 0.5, b * u + d * v + 0.5


def value_of(clip: int, frame: int) -> int:
    """The bits of a frame."""
    payload = clip << FRAME_BITS | frame
    return payload << CHECK_BITS | _check(payload)


def _check(payload: int) -> int:
    return (payload * 7 + 1 + payload.bit_count()) % (1 << CHECK_BITS)


def drawn(clip: int, frame: int, width: int, height: int) -> bytes:
    """A grey frame, one byte a pixel."""
    cells = {**CORNERS, **dict(_code(value_of(clip, frame)))}
    rows = []
    for row in range(ROWS):
        line = b"".join(
            bytes([cells.get((column, row), GREY)])
            * (_edge(column + 1, COLUMNS, width) - _edge(column, COLUMNS, width))
            for column in range(COLUMNS)
        )
        rows.append(line * (_edge(row + 1, ROWS, height) - _edge(row, ROWS, height)))
    return b"".join(rows)


def _edge(cell: int, cells: int, pixels: int) -> int:
    return cell * pixels // cells


def _code(value: int) -> Iterator[tuple[tuple[int, int], int]]:
    for bit in range(BITS):
        first, second = _pair(bit)
        is_one = value >> bit & 1
        yield first, WHITE if is_one else BLACK
        yield second, BLACK if is_one else WHITE


def _pair(bit: int) -> tuple[tuple[int, int], tuple[int, int]]:
    column, row = 1 + bit % 4 * 2, 1 + bit // 4
    return (column, row), (column + 1, row)


@dataclass(frozen=True)
class Image:
    """A decoded frame: grey pixels, and the aspect a player shows it at."""

    pixels: memoryview
    width: int
    height: int
    aspect: Fraction

    def at(self, u: float, v: float) -> int:
        """The brightness at a point in parts of width and height: the mean of a few pixels around it."""
        x = min(max(int(u * self.width), 1), self.width - 2)
        y = min(max(int(v * self.height), 1), self.height - 2)
        first = y * self.width + x
        near = (first, first - 1, first + 1, first - self.width, first + self.width)
        return sum(self.pixels[index] for index in near) // len(near)


def area(shape: Shape, aspect: Fraction) -> Box:
    """Where a frame of that shape lies in a film of this aspect: as large as it can be, in the middle."""
    wide = min(float(shape.aspect / aspect), 1.0)
    high = min(float(aspect / shape.aspect), 1.0)
    return (1 - wide) / 2, (1 - high) / 2, (1 + wide) / 2, (1 + high) / 2


def read(image: Image, shape: Shape, within: Box) -> tuple[int, int] | None:
    """Clip and frame, or None where no frame of that shape can be read."""
    left, top, right, bottom = within

    def bright(column: int, row: int) -> int:
        u, v = shape.place((column + 0.5) / COLUMNS, (row + 0.5) / ROWS)
        return image.at(left + u * (right - left), top + v * (bottom - top))

    value = 0
    for bit in range(BITS):
        (a, b), (c, d) = _pair(bit)
        contrast = bright(a, b) - bright(c, d)
        if abs(contrast) < LEAST_CONTRAST:
            return None
        value |= (contrast > 0) << bit
    payload = value >> CHECK_BITS
    if _check(payload) != value & ((1 << CHECK_BITS) - 1):
        return None
    return payload >> FRAME_BITS, payload & (MOST_FRAMES - 1)


def corners_are_right(image: Image, shape: Shape, within: Box) -> bool:
    """Whether the upper left corner is white and the others are black, where they can be seen."""
    left, top, right, bottom = within
    seen = {}
    for column, row in CORNERS:
        # Nearer to the middle of the frame than to its edge, which may be cut.
        inwards = 0.7 if column == 0 else 0.3
        u, v = shape.place((column + inwards) / COLUMNS, (row + 0.5) / ROWS)
        seen[column, row] = image.at(left + u * (right - left), top + v * (bottom - top))
    return all((seen[at] > GREY) == (CORNERS[at] == WHITE) for at in CORNERS)


def bounds(image: Image) -> Box:
    """Left, top, right and bottom of what is not black around the frame, in parts of width and height."""
    width, height, pixels = image.width, image.height, image.pixels
    middle_row = [pixels[height // 2 * width + x] for x in range(width)]
    middle_column = [pixels[y * width + width // 2] for y in range(height)]
    left, right = _ends(middle_row)
    top, bottom = _ends(middle_column)
    return left / image.width, top / image.height, right / image.width, bottom / image.height


def _ends(line: Sequence[int]) -> tuple[int, int]:
    bright = [place for place, value in enumerate(line) if value > EDGE]
    return (bright[0], bright[-1] + 1) if bright else (0, 0)
