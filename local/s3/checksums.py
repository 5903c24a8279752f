"""Digests of bodies: MD5, SHA-256 and S3's additional checksums, of objects and of their parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import anycrc

from local.s3.errors import Refused

HEADER_PREFIX = "x-amz-checksum-"
_CRC_MODELS = {"CRC32": "CRC32", "CRC32C": "CRC32-ISCSI", "CRC64NVME": "CRC64-NVME"}
_DIGESTS = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}
ALGORITHMS = (*_CRC_MODELS, *_DIGESTS)
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


@dataclass(frozen=True)
class Checksum:
    """`value` is base64; `kind` is COMPOSITE (of the parts' checksums, `-N` behind it) or FULL_OBJECT."""

    algorithm: str
    value: str
    kind: str = FULL_OBJECT

    @property
    def header(self) -> str:
        return HEADER_PREFIX + self.algorithm.lower()

    @property
    def element(self) -> str:
        """Its name in XML."""
        return f"Checksum{self.algorithm}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)


class _Running(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _RunningCrc:
    def __init__(self, algorithm: str) -> None:
        self._model = _model(algorithm)
        self._value = self._model.calc(b"")
        self._bytes = _width_bytes(algorithm)

    def update(self, data: bytes, /) -> None:
        self._value = self._model.calc(data, self._value)

    def digest(self) -> bytes:
        return int(self._value).to_bytes(self._bytes, "big")


class Digests:
    """Several digests of one stream of bytes, always MD5 among them."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._running: dict[str, _Running] = {"MD5": hashlib.md5(usedforsecurity=False)}
        for algorithm in algorithms:
            self._running[algorithm] = _start(algorithm)

    def update(self, data: bytes) -> None:
        for running in self._running.values():
            running.update(data)

    def hex(self, algorithm: str) -> str:
        return self._running[algorithm].digest().hex()

    def base64(self, algorithm: str) -> str:
        return base64.b64encode(self._running[algorithm].digest()).decode()


def known_algorithm(name: str) -> str:
    """The algorithm in capitals. Raises InvalidRequest for a name S3 does not know."""
    if name.upper() not in ALGORITHMS:
        raise Refused(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the "
            f"valid types: [{', '.join(ALGORITHMS)}]",
        )
    return name.upper()


def given_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """The one checksum that headers or trailers name. Raises InvalidRequest when it is malformed or not one."""
    found = [name for name in headers if name.lower().startswith(HEADER_PREFIX) and _is_value(name)]
    if len(found) > 1:
        raise Refused(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if not found:
        return None
    algorithm = known_algorithm(found[0][len(HEADER_PREFIX) :])
    value = headers[found[0]].strip()
    if _decoded_length(value) != _width_bytes(algorithm):
        raise Refused("InvalidRequest", f"Value for {found[0].lower()} header is invalid.")
    return Checksum(algorithm, value)


def of_parts(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The whole object's checksum from its parts' (base64, size in bytes), in order, without their bytes."""
    digests = [base64.b64decode(value) for value, _ in parts]
    if kind == COMPOSITE:
        whole = Digests([algorithm])
        whole.update(b"".join(digests))
        return Checksum(algorithm, f"{whole.base64(algorithm)}-{len(parts)}", COMPOSITE)
    model, value = _model(algorithm), int.from_bytes(digests[0], "big")
    for digest, (_, size_bytes) in zip(digests[1:], parts[1:], strict=True):
        value = model.combine(value, int.from_bytes(digest, "big"), size_bytes)
    return Checksum(algorithm, base64.b64encode(value.to_bytes(_width_bytes(algorithm), "big")).decode())


def kind_for(algorithm: str, asked: str | None) -> str:
    """COMPOSITE or FULL_OBJECT for an upload in parts. Raises InvalidRequest for a pair that S3 has not."""
    kind = asked or (FULL_OBJECT if algorithm == "CRC64NVME" else COMPOSITE)
    impossible = (FULL_OBJECT, "SHA1"), (FULL_OBJECT, "SHA256"), (COMPOSITE, "CRC64NVME")
    if kind not in (COMPOSITE, FULL_OBJECT) or (kind, algorithm) in impossible:
        raise Refused(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return kind


def _is_value(header: str) -> bool:
    return header[len(HEADER_PREFIX) :].lower() not in ("algorithm", "mode", "type")


def _start(algorithm: str) -> _Running:
    return _DIGESTS[algorithm](usedforsecurity=False) if algorithm in _DIGESTS else _RunningCrc(algorithm)


def _model(algorithm: str) -> anycrc.Model:
    return anycrc.Model(_CRC_MODELS[algorithm])


def _width_bytes(algorithm: str) -> int:
    return {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm]


def _decoded_length(value: str) -> int:
    try:
        return len(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return -1
