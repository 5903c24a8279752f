"""Boxes of MP4 files changed as other writers would have written them; nothing here is the product's reader."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

Box = list  # [kind, payload or boxes]
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}


def parsed(data: bytes) -> list[Box]:
    """The boxes of a payload, containers taken apart."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        found.append([kind, parsed(body) if kind in CONTAINERS else body])
        at += size
    return found


def packed(boxes: Sequence[Box]) -> bytes:
    """The same as bytes."""
    out = b""
    for kind, body in boxes:
        data = packed(body) if isinstance(body, list) else body
        out += struct.pack(">I4s", len(data) + 8, kind) + data
    return out


def at(boxes: list[Box], *path: bytes) -> list:
    """The first box at a path."""
    box = next(one for one in boxes if one[0] == path[0])
    return box if len(path) == 1 else at(box[1], *path[1:])


def put(boxes: list[Box], kind: bytes, body: bytes | list[Box]) -> None:
    """Sets a child, or adds it."""
    boxes[:] = [one for one in boxes if one[0] != kind] + [[kind, body]]


def drop(boxes: list[Box], kind: bytes) -> None:
    """Takes children away."""
    boxes[:] = [one for one in boxes if one[0] != kind]


def tracks(moov: list[Box], handler: bytes) -> list[list[Box]]:
    """The tracks of a kind."""
    return [body for kind, body in moov if kind == b"trak" and at(body, b"mdia", b"hdlr")[1][8:12] == handler]


def tables(track: list[Box]) -> list[Box]:
    """A track's sample tables."""
    return at(track, b"mdia", b"minf", b"stbl")[1]


def changed(source: Path, result: Path, change: Callable[[list[Box]], None]) -> Path:
    """The file with its `moov`, which stands last, changed."""
    data, start = source.read_bytes(), 0
    while data[start + 4 : start + 8] != b"moov":
        start += int.from_bytes(data[start : start + 4], "big")
    end = start + int.from_bytes(data[start : start + 4], "big")
    moov = parsed(data[start + 8 : end])
    change(moov)
    result.write_bytes(data[:start] + packed([[b"moov", moov]]) + data[end:])
    return result


def edit_list(*rows: tuple[int, int]) -> list[Box]:
    """`edts` of rows of length and start at normal speed."""
    body = b"".join(struct.pack(">IiI", length, start, 0x10000) for length, start in rows)
    return [[b"elst", struct.pack(">II", 0, len(rows)) + body]]


def edits(track: list[Box]) -> list[tuple[int, int]]:
    """The rows a track has."""
    body = at(track, b"edts", b"elst")[1]
    count = struct.unpack_from(">I", body, 4)[0]
    return [struct.unpack_from(">Ii", body, 8 + 12 * row) for row in range(count)]


def run_table(*rows: tuple[int, int]) -> bytes:
    """`stts`: how many samples, how long each."""
    return struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(">II", *row) for row in rows)


def with_header(track: list[Box], change: Callable[[bytearray], None]) -> None:
    """Changes a track's `tkhd` in place."""
    header = bytearray(at(track, b"tkhd")[1])
    change(header)
    put(track, b"tkhd", bytes(header))


def size_in_header(width: int, height: int) -> Callable[[bytearray], None]:
    """In pixels."""

    def change(header: bytearray) -> None:
        header[76:84] = struct.pack(">II", width << 16, height << 16)

    return change


def flags_in_header(flags: int) -> Callable[[bytearray], None]:
    """1 is enabled."""

    def change(header: bytearray) -> None:
        header[3] = flags

    return change


def matrix_in_header(*rows: int) -> Callable[[bytearray], None]:
    """Nine numbers as they stand."""

    def change(header: bytearray) -> None:
        header[40:76] = struct.pack(">9i", *rows)

    return change
