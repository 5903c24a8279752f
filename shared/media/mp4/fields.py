"""Big-endian fields of bytes that cannot be trusted."""

from __future__ import annotations

import sys
from array import array

from shared.domain.errors import BadMedia


class BadMp4(BadMedia):
    """The file is no MP4 that can be read; `reason` is stable and doubles as the error's code."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(f"The MP4 cannot be read, {what}: generate or upload the clip again.", code=reason)
        self.reason = reason


class Fields:
    """Reads one field after another and never past the end: what is missing raises BadMp4 `mp4_cut_off`."""

    __slots__ = ("_at", "_view", "_where")

    def __init__(self, view: memoryview, where: str) -> None:
        self._view, self._where, self._at = view, where, 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._view) - self._at

    def take(self, length: int) -> memoryview:
        """The next bytes, not copied."""
        if not 0 <= length <= self.left:
            raise BadMp4("mp4_cut_off", f"its {self._where} says it is longer than it is")
        self._at += length
        return self._view[self._at - length : self._at]

    def take_rest(self) -> memoryview:
        """Everything not yet read."""
        return self.take(self.left)

    def unsigned(self, length: int) -> int:
        """An unsigned number of `length` bytes."""
        return int.from_bytes(self.take(length), "big")

    def signed(self, length: int) -> int:
        """A signed number of `length` bytes."""
        return int.from_bytes(self.take(length), "big", signed=True)

    def table(self, count: int, typecode: str) -> array[int]:
        """`count` numbers of an array's typecode; `I` is 32, `H` 16, `Q` 64 bits, `i` 32 bits signed."""
        numbers = array(typecode)
        numbers.frombytes(self.take(count * numbers.itemsize))
        if sys.byteorder == "little":
            numbers.byteswap()
        return numbers

    def version(self) -> int:
        """Version of a full box; its flags are skipped (ISO 14496-12, 4.2)."""
        version = self.unsigned(1)
        self.take(3)
        return version
