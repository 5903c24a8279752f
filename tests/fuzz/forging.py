"""Clips made wrong on purpose: sizes, counts, offsets, whole boxes and ends, where a reader believes them."""

from __future__ import annotations

import random
from collections.abc import Iterator

TELLING = (0, 1, 2, 7, 8, 16, 0x7F, 0xFF, 0x100, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf"}
KINDS = (b"free", b"moof", b"stz2", b"co64", b"mdat", b"trak", b"traf", b"trun")
HEAD_OF_PAYLOAD = 600
MOST_CHANGES = 4


def forged(data: bytes, chance: random.Random) -> bytes:
    """The file with one to a few changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, MOST_CHANGES)):
        boxes = list(_boxes(changed, 0, len(changed)))
        if not boxes:
            break
        change = chance.choice((_number, _number, _number, _size, _flip, _flip, _cut, _remove, _repeat, _in_payload))
        change(changed, chance.choice(boxes), chance)
    return bytes(changed)


def _boxes(data: bytearray, start: int, end: int, depth: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """First byte, byte after the last and kind of every box, as far as the tree still stands."""
    while start + 8 <= end and depth < 8:
        length = int.from_bytes(data[start : start + 4], "big")
        kind = bytes(data[start + 4 : start + 8])
        if length < 8 or start + length > end:
            return
        yield start, start + length, kind
        if kind in CONTAINERS:
            yield from _boxes(data, start + 8, start + length, depth + 1)
        start += length


def _number(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    """A 32-bit field: mostly one of the first, where counts are."""
    start, end, kind = box
    fields = max(1, (end - start - 8) // 4)
    if kind == b"mdat":
        fields = min(fields, 4)
    place = start + 8 + 4 * min(chance.choice((1, 2, 3, chance.randrange(fields))), fields - 1)
    old = int.from_bytes(data[place : place + 4], "big")
    new = chance.choice((*TELLING, old + 1, old - 1, old * 2, chance.getrandbits(32))) % 2**32
    data[place : place + 4] = new.to_bytes(4, "big")


def _size(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    start, end, _ = box
    new = chance.choice((*TELLING, end - start + chance.randint(-9, 9), chance.getrandbits(12))) % 2**32
    data[start : start + 4] = new.to_bytes(4, "big")


def _flip(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    start, end, kind = box
    place = chance.randrange(start, min(end, start + HEAD_OF_PAYLOAD) if kind == b"mdat" else end)
    data[place] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    del data[chance.randrange(*box[:2]) :]


def _remove(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    """Without its parents knowing, or hidden from a reader by another kind."""
    if chance.random() < 0.3:
        del data[box[0] : box[1]]
    else:
        data[box[0] + 4 : box[0] + 8] = chance.choice(KINDS)


def _repeat(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    if box[1] - box[0] < 4096:
        data[box[1] : box[1]] = data[box[0] : box[1]]


def _in_payload(data: bytearray, box: tuple[int, int, bytes], chance: random.Random) -> None:
    """Unit lengths, parameter sets in band and slice headers stand first in the payload."""
    at = data.find(b"mdat")
    if at >= 0 and at + 40 < len(data):
        place = at + 4 + chance.randrange(min(HEAD_OF_PAYLOAD, len(data) - at - 4))
        data[place] = chance.choice((0, 1, 3, 0x67, 0x68, 0x65, 0xFF, chance.randrange(256)))
