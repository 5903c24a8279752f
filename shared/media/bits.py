"""Single bits, most significant first, as codecs lay them out (ISO 14496-10, 7.2 and 9.1)."""

from __future__ import annotations

from shared.domain.errors import BadMedia

LONGEST_CODE_BITS = 32


class BadBits(BadMedia):
    """A codec's header ends early or holds a value its specification forbids."""

    code = "bad_codec_header"

    def __init__(self, what: str) -> None:
        super().__init__(f"The clip's {what} cannot be read: generate or upload it again.")


class Bits:
    """Reads bits; `at` is the position in bits. Past the end raises BadBits."""

    __slots__ = ("_data", "_what", "at")

    def __init__(self, data: bytes, what: str, at: int = 0) -> None:
        self._data, self._what, self.at = data, what, at

    @property
    def left(self) -> int:
        """Bits not yet read."""
        return len(self._data) * 8 - self.at

    def take(self, count: int) -> int:
        """The next bits as an unsigned number."""
        if not 0 <= count <= self.left:
            raise BadBits(self._what)
        first, self.at = self.at // 8, self.at + count
        last = -(-self.at // 8)
        number = int.from_bytes(self._data[first:last], "big")
        return (number >> (last * 8 - self.at)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit."""
        return bool(self.take(1))

    def ue(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > LONGEST_CODE_BITS:
                raise BadBits(self._what)
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def at_most(self, limit: int) -> int:
        """An unsigned Exp-Golomb code that may not exceed `limit`."""
        value = self.ue()
        if value > limit:
            raise BadBits(self._what)
        return value


def packed(fields: list[tuple[int, int]]) -> bytes:
    """`(value, width in bits)` one after another, filled up with zero bits to whole bytes."""
    number = size = 0
    for value, width in fields:
        number, size = (number << width) | value, size + width
    padding = -size % 8
    return (number << padding).to_bytes((size + padding) // 8, "big")
